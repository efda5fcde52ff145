"""Shared by the tests of the command line."""

import sys

import pytest

from ketamap.cli.main import main


@pytest.fixture
def ketamap(monkeypatch, capsys):
    """Run the command line in this process; gives exit code and what was printed."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ketamap", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run
