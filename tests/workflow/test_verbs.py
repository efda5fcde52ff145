"""ketamap.workflow: every verb is a function of that name."""

import importlib
import inspect
import subprocess
import sys

import pytest

import ketamap.workflow


@pytest.mark.parametrize("verb", ketamap.workflow.__all__)
def test_every_verb_is_a_function_however_often_it_is_asked_for(verb):
    for _ in range(2):
        function = getattr(importlib.import_module("ketamap.workflow"), verb)
        assert inspect.isfunction(function)
        assert function.__doc__


def test_importing_the_package_loads_no_verb():
    code = "import sys, ketamap.workflow; print('pandas' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert done.stdout.strip() == "False"


def test_an_unknown_verb_is_an_attribute_error():
    with pytest.raises(AttributeError, match="stain"):
        ketamap.workflow.stain  # noqa: B018
