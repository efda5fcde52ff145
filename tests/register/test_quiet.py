"""ketamap.register.quiet"""

import os

import pytest

from ketamap.register.quiet import captured_output


def test_text_written_below_python_is_caught_and_later_text_is_not(capfd):
    os.write(1, b"before ")
    with captured_output() as text:
        os.write(1, b"from C\n")
        os.write(2, b"to stderr\n")
    os.write(1, b"after")
    assert "from C" in text[0]
    assert "to stderr" in text[0]
    assert capfd.readouterr().out.split() == ["before", "after"]


def test_an_exception_passes_and_the_streams_come_back(capfd):
    text = []

    def fail():
        with captured_output() as caught:
            os.write(1, b"lost words")
            text.append(caught)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    os.write(1, b"heard")
    assert text == [["lost words"]]
    assert capfd.readouterr().out == "heard"
