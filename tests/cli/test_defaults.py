"""ketamap.cli: an option that is left out means what the settings mean by it."""

from dataclasses import fields

import pytest
import typer.main

from ketamap.cli.main import app
from ketamap.cli.parsing import parse_iterations
from ketamap.core.settings import DetectionSettings, RegistrationSettings, TracingSettings

READ = {"iterations": parse_iterations}
"""Options whose words are parsed."""


@pytest.mark.parametrize(
    ("verb", "settings", "apart"),
    [
        ("register", RegistrationSettings(), set()),
        ("detect", DetectionSettings(), {"spike_ins"}),
        ("trace", TracingSettings(), {"box_um", "min_length_um"}),
    ],
)
def test_defaults_of_a_verb_are_those_of_its_settings(verb, settings, apart):
    options = {option.name: option for option in typer.main.get_command(app).commands[verb].params}
    compared = {f.name for f in fields(settings)} - apart
    assert compared <= set(options)
    for name in compared:
        default = options[name].default
        assert READ.get(name, lambda v: v)(default) == getattr(settings, name), name
