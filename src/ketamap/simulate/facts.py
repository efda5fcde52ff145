"""The facts the simulator uses: value, species, condition, source and certainty of each."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib import resources

import pandas as pd

from ketamap.core.errors import InputError


def read_data_table(name: str) -> pd.DataFrame:
    """Read a CSV table that ships with the simulator, every cell as text."""
    with (resources.files("ketamap.simulate") / name).open(encoding="utf-8") as file:
        table: pd.DataFrame = pd.read_csv(file, dtype="str", keep_default_na=False)
    return table


@lru_cache(maxsize=1)
def _facts() -> pd.DataFrame:
    return read_data_table("facts.csv").set_index("id")


def fact_table() -> pd.DataFrame:
    """Return every fact used, indexed by its id.

    Returns
    -------
    DataFrame
        Columns ``section, quantity, value, unit, species, condition, uncertainty, source,
        doi_or_pmc, certainty``, all text; ``certainty`` runs from ``read:
        text/table/caption`` to ``unverified memory``.
    """
    return _facts().copy()


def split_ids(text: str) -> tuple[str, ...]:
    """Split a cell of fact ids, separated by blanks."""
    return tuple(text.split())


def citations(ids: Iterable[str]) -> tuple[str, ...]:
    """Return "source (certainty)" of facts, without repeats, in order.

    Raises
    ------
    InputError
        If an id is not a fact that ships.
    """
    facts = _facts()
    wanted = list(ids)
    unknown = [one for one in wanted if one not in facts.index]
    if unknown:
        msg = f"No fact is called {', '.join(unknown)}. See fact_table() for the {len(facts)} used."
        raise InputError(msg)
    rows = facts.loc[wanted]
    lines = [f"{s} ({c})" for s, c in zip(rows["source"], rows["certainty"], strict=True)]
    return tuple(dict.fromkeys(lines))
