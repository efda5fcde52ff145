"""ketamap.cli.main: help comes at once and says units and defaults."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ketamap import __version__
from ketamap.cli.main import app

VERBS = (
    "demo", "run", "inspect", "register", "transform", "detect", "quantify", "analyse", "report",
    "doctor", "train-detector", "template",
)  # fmt: skip


def ketamap(*arguments):
    return subprocess.run(
        [sys.executable, "-c", "from ketamap.cli.main import main; main()", *arguments],
        capture_output=True, text=True, encoding="utf-8", check=False, env={"COLUMNS": "200", "PATH": ""},
    )  # fmt: skip


def test_help_names_every_verb():
    done = ketamap("--help")
    assert done.returncode == 0
    for verb in VERBS:
        assert verb in done.stdout


def test_help_needs_none_of_the_heavy_libraries():
    code = (
        "import sys; from ketamap.cli.main import main\n"
        "heavy = {'numba', 'pandas', 'zarr', 'dask', 'scipy', 'matplotlib', 'plotly'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_its_options(verb):
    done = CliRunner().invoke(app, [verb, "--help"])
    assert done.exit_code == 0
    assert "Usage" in done.stdout


def test_units_and_defaults_are_shown():
    text = CliRunner().invoke(app, ["detect", "--help"]).stdout
    assert "um" in text
    assert "15.0" in text
    assert "4GB" in text


def test_the_version_is_shown():
    assert ketamap("--version").stdout.strip() == f"ketamap {__version__}"
