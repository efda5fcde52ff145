"""The verbs: each is a function with the name, arguments and units of its command.

They are loaded when they are first used, since some need heavy libraries.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "analyse": "ketamap.workflow.analysis",
    "demo": "ketamap.workflow.demonstration",
    "detect": "ketamap.workflow.brain",
    "doctor": "ketamap.workflow.checkup",
    "inspect": "ketamap.io.images",
    "quantify": "ketamap.workflow.quantification",
    "register": "ketamap.workflow.brain",
    "report": "ketamap.workflow.analysis",
    "run": "ketamap.workflow.study_run",
    "template": "ketamap.workflow.cohort_template",
    "trace": "ketamap.workflow.tracing",
    "transform": "ketamap.workflow.brain",
}
"""Module of each verb."""

_OTHER_NAMES = {"inspect": "describe_image"}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), _OTHER_NAMES.get(name, name))
