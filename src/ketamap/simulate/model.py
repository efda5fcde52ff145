"""The model text: modules in Antimony, put together, and the same as SBML."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from string import Template

import antimony
import pandas as pd

from ketamap.core.errors import KetamapError
from ketamap.simulate.parameters import EVERY_SPECIES, parameter_table
from ketamap.simulate.species import CELL_CLASSES, ENCODED_REGIONS

MODEL_NAME = "ketamap"
"""Name of the model in Antimony and SBML; an import must carry it."""

DOSING_PARAMETERS = ("F_nose_first", "F_nose_later_factor", "spray_mg", "duration_swallowed")
"""Parameters that shape doses before they reach the model."""

BLOCKS = ("block_ampa", "block_mtor", "block_d1", "lesion_lhb", "block_nmda")
"""Parameters of the model that co-treatments set."""

_EQUATION = re.compile(r"\s*(\w+)(?:'|\s*:)\s*=\s*(.*)$")
_NAME = re.compile(r"[A-Za-z_]\w*")
_KEPT_LINES = ("//", "model ", "end", "unit ")
_ALWAYS = ("plasma_S",)

_TIME_TO_RESPONSE = {"th": "th_response", "axon": "axon_response"}


class ModelError(KetamapError, RuntimeError):
    """The model text cannot be turned into SBML: a fault of the program."""


@lru_cache(maxsize=1)
def antimony_text() -> str:
    """Return the whole model in Antimony, with the values of a human.

    One text holds every equation; `parameters_for` gives the values of other species.
    """
    parts = [
        _module("units"),
        _declarations(),
        _module("body"),
        _module("pk_enantiomer", E="S", CLRATIO="1"),
        _module("pk_enantiomer", E="R", CLRATIO="ratio_CL_R_to_S"),
        _module("plasma"),
        _module("receptors"),
        *(
            _module("nmdar_class", C=name, CELL=meaning, ACTIVITY=activity)
            for name, (meaning, activity) in CELL_CLASSES.items()
        ),
        _module("cortex"),
        _module("dopamine"),
        _module("plasticity"),
        _module("history"),
        *(
            _module("history_region", KEY=one.readout, RESPONSE=_TIME_TO_RESPONSE[one.measure])
            for one in ENCODED_REGIONS
        ),
        _module("clinic"),
        _module("abuse"),
    ]
    return f"model {MODEL_NAME}\n" + "\n".join(parts) + "\nend\n"


@lru_cache(maxsize=1)
def sbml_text() -> str:
    """Return the model as SBML level 3, every quantity and every number with its unit.

    Raises
    ------
    ModelError
        If the text does not parse.
    """
    return to_sbml(antimony_text())


@lru_cache(maxsize=32)
def sbml_for(columns: frozenset[str]) -> str:
    """Return the SBML of what some columns depend on; every other equation is left out.

    No equation that is left out acts on one that is kept, so the columns are the same but
    for the solver's choice of steps.

    Parameters
    ----------
    columns
        States and readouts that are wanted.
    """
    needed = _depended_on((*sorted(columns), *_ALWAYS))
    return to_sbml(_kept(antimony_text(), needed))


def _statements(text: str) -> list[str]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith(_KEPT_LINES))
    return [one for line in lines for one in line.split(";")]


def _depended_on(columns: tuple[str, ...]) -> frozenset[str]:
    """Names that some columns depend on, themselves included."""
    found = (_EQUATION.match(one) for one in _statements(antimony_text()))
    uses = {match[1]: _NAME.findall(match[2]) for match in found if match}
    seen: set[str] = set()
    waiting = list(columns)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += uses.get(name, [])
    return frozenset(seen)


def _kept(text: str, needed: frozenset[str]) -> str:
    """Drop statements about names that nothing needed depends on."""
    lines = []
    for line in text.splitlines():
        if line.lstrip().startswith(_KEPT_LINES):
            lines.append(line)
            continue
        parts = [
            one for one in line.split(";") if (name := _NAME.search(one)) and name[0] in needed
        ]
        lines.append(";".join(parts) + ";" if parts else "")
    return "\n".join(lines) + "\n"


def to_sbml(text: str) -> str:
    """Translate Antimony to SBML; bare numbers become pure numbers.

    Raises
    ------
    ModelError
        If the text does not parse.
    """
    antimony.clearPreviousLoads()
    if antimony.loadAntimonyString(text) < 0:
        msg = f"The model text is not valid Antimony: {antimony.getLastError()}"
        raise ModelError(msg)
    return _with_units(str(antimony.getSBMLString(MODEL_NAME)))


def _module(name: str, **names: str) -> str:
    text = (resources.files("ketamap.simulate") / "model" / f"{name}.ant").read_text("utf-8")
    return Template(text).substitute(names)


def _declarations() -> str:
    """Declare parameters with their units; values are those of a human."""
    table = parameter_table()
    ours = table[table["species"].isin([EVERY_SPECIES, "human"])]
    ours = ours[~ours["name"].isin(DOSING_PARAMETERS)]
    lines = ["// Parameters, from parameters.csv."]
    lines += [_declared(row.name, row.unit, row.value) for row in ours.itertuples(index=False)]
    lines.append("// Co-treatments, 0 (none) to 1 (complete).")
    lines += [_declared(name, "dimensionless", 0.0) for name in BLOCKS]
    return "\n".join(lines) + "\n"


def _declared(name: object, unit: object, value: object) -> str:
    return f"  {name} has {unit}; {name} = {value};"


def _with_units(sbml: str) -> str:
    """Mark bare numbers as pure numbers, so that every unit can be checked."""
    sbml = re.sub(
        r"<math xmlns=\"http://www.w3.org/1998/Math/MathML\">",
        '<math xmlns="http://www.w3.org/1998/Math/MathML" '
        'xmlns:sbml="http://www.sbml.org/sbml/level3/version2/core">',
        sbml,
    )
    return re.sub(r"<cn(?![^>]*sbml:units)", '<cn sbml:units="dimensionless"', sbml)


def state_table() -> pd.DataFrame:
    """Return ``name``, ``unit`` and ``kind`` (state or readout) of every model variable."""
    sbml = sbml_text()
    units = dict(re.findall(r"<parameter id=\"(\w+)\"[^>]*? units=\"(\w+)\"", sbml))
    states = re.findall(r"<rateRule variable=\"(\w+)\"", sbml)
    readouts = re.findall(r"<assignmentRule variable=\"(\w+)\"", sbml)
    return pd.DataFrame(
        [(name, units[name], "state") for name in states]
        + [(name, units[name], "readout") for name in readouts],
        columns=["name", "unit", "kind"],
    )
