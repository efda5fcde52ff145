"""Shrunken estimates of every measure and contrast, as an extra beside the tests."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from ketamap.core.atlas import Structures
from ketamap.core.errors import DesignError
from ketamap.core.measures import measure_of
from ketamap.workflow.answers import Answers

SHRUNKEN = "shrunken"
"""Name of the table in a result folder."""


def shrunken(
    answers: Answers, trees: Mapping[str, Structures]
) -> tuple[pd.DataFrame | None, list[str]]:
    """Draw effects towards those of their division, for estimates and ranking only.

    Parameters
    ----------
    answers
        The analysis of every measure.
    trees
        Structure tree of each measure.

    Returns
    -------
    frame
        `ketamap.stats.bayes.Shrunken.frame` of every measure and contrast; None where no
        chain agreed or no two regions are tested.
    notes
        What a reader must know, each once, with the contrasts it holds for.

    Raises
    ------
    MissingExtraError
        If numpyro is not installed.
    """
    from ketamap.stats.bayes import SamplingError, shrink

    frames: list[pd.DataFrame] = []
    told: dict[str, list[str]] = {}
    for measure, one in answers.by_measure.items():
        who = one.animal_factors
        groups = dict(zip(who["animal"].astype(str), who["group"].astype(str), strict=True))
        for contrast in one.contrasts:
            where = f"{measure_of(measure).short}, {contrast}"
            try:
                found = shrink(
                    one.effects,
                    trees[measure],
                    contrast=contrast,
                    values=one.values,
                    groups=groups,
                )
            except (SamplingError, DesignError) as error:
                told.setdefault(f"Not shrunken: {error}", []).append(where)
                continue
            frames.append(found.frame)
            for note in found.warnings:
                told.setdefault(note, []).append(where)
    everywhere = sum(len(one.contrasts) for one in answers.by_measure.values())
    notes = [
        note if len(where) == everywhere else f"{'; '.join(where)}: {note}"
        for note, where in told.items()
    ]
    return pd.concat(frames, ignore_index=True) if frames else None, notes
