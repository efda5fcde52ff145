"""ketamap.phantom"""

import ketamap.phantom as room


def test_everything_named_is_there():
    assert sorted(room.__all__, key=str.lower) == sorted(set(room.__all__), key=str.lower)
    for name in room.__all__:
        assert getattr(room, name) is not None
