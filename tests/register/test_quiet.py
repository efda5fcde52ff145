"""ketamap.register.quiet"""

import os
import sys

import pytest

from ketamap.register.quiet import captured_output


def test_text_written_below_python_is_caught_and_later_text_is_not(capfd):
    print("before")
    with captured_output() as text:
        os.write(1, b"from C\n")
        os.write(2, b"to stderr\n")
        sys.stdout.write("from Python\n")
    print("after")
    assert "from C" in text[0]
    assert "to stderr" in text[0]
    assert capfd.readouterr().out.split() == ["before", "after"]


def test_an_exception_passes_and_the_streams_come_back(capfd):
    with pytest.raises(KeyError), captured_output() as text:
        os.write(1, b"lost words")
        raise KeyError
    os.write(1, b"heard")
    assert text == ["lost words"]
    assert capfd.readouterr().out == "heard"
