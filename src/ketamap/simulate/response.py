"""From mood to response: patients differ, placebo helps some, one point is calibrated.

A patient improves by ``placebo + sensitivity * gain * mood_effect``, as a fraction of the
score before treatment, and responds where that is at least one half.  Placebo improvement is
normal, sensitivity (plasticity) log-normal.  ``gain`` makes the response 24 h after one
infusion of 0.5 mg/kg 52.2 % (F001), ``remission_threshold`` the remission then 20.6 %.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from ketamap.core.errors import InputError
from ketamap.core.space import FloatArray

RESPONSE_24H = 0.522
"""Part of patients who respond 24 h after one infusion (F001): calibrated on."""

REMISSION_24H = 0.206
"""Part in remission then (F001): calibrated on."""

HALF = 0.5
"""Improvement that counts as response."""

_NODES = 200
_LARGEST_GAIN = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Patients:
    """How patients differ from each other; all three numbers are guesses.

    Raises
    ------
    InputError
        If a spread is negative or the placebo response is not a part.
    """

    placebo_response: float = 0.15
    """Part who respond without drug; encoded."""

    placebo_sd: float = 0.25
    """Spread of the improvement without drug."""

    sensitivity_sd_ln: float = 0.5
    """Spread of the sensitivity to the drug, ln units."""

    def __post_init__(self) -> None:
        if not (0.0 < self.placebo_response < 1.0 and self.placebo_sd > 0.0):
            msg = (
                "placebo_response must lie between 0 and 1 and placebo_sd be positive, got "
                f"{self.placebo_response:g} and {self.placebo_sd:g}."
            )
            raise InputError(msg)
        if self.sensitivity_sd_ln < 0.0:
            msg = f"sensitivity_sd_ln must be 0 or more, got {self.sensitivity_sd_ln:g}."
            raise InputError(msg)

    @property
    def placebo_mean(self) -> float:
        """Mean improvement without drug."""
        return HALF - self.placebo_sd * float(ndtri(1.0 - self.placebo_response))

    def sensitivities(self) -> FloatArray:
        """Return equally likely sensitivities, shape ``(200,)``, median 1."""
        levels = (np.arange(_NODES) + 0.5) / _NODES
        return np.asarray(np.exp(self.sensitivity_sd_ln * ndtri(levels)))


def part_improved(
    drug_effect: ArrayLike, patients: Patients, *, threshold: float = HALF
) -> FloatArray:
    """Return the part of patients whose improvement reaches a threshold.

    Parameters
    ----------
    drug_effect
        ``gain * mood_effect``, any shape.
    patients
        How they differ.
    threshold
        Improvement as a fraction of the score before treatment.
    """
    effect = np.asarray(drug_effect, dtype=np.float64)[..., None] * patients.sensitivities()
    reach = (patients.placebo_mean + effect - threshold) / patients.placebo_sd
    return np.asarray(ndtr(reach).mean(axis=-1))


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseLink:
    """The calibrated way from mood to response."""

    patients: Patients
    """How they differ."""

    gain: float
    """Improvement of the median patient per unit of mood effect; NaN where mood at 24 h
    does not rise, so that no gain can give the response."""

    remission_threshold: float
    """Improvement that counts as remission."""

    def response(self, mood_effect: ArrayLike) -> FloatArray:
        """Part of patients who respond."""
        return part_improved(self.gain * np.asarray(mood_effect), self.patients)

    def remission(self, mood_effect: ArrayLike) -> FloatArray:
        """Part of patients in remission."""
        effect = self.gain * np.asarray(mood_effect)
        return part_improved(effect, self.patients, threshold=self.remission_threshold)


def calibrate_response(mood_effect_24h: float, patients: Patients | None = None) -> ResponseLink:
    """Fit gain and remission threshold to the one point that is not held out.

    Parameters
    ----------
    mood_effect_24h
        Mood effect 24 h after 0.5 mg/kg over 40 minutes.
    patients
        How patients differ.
    """
    patients = patients or Patients()
    # the effect the median patient needs does not depend on mood: solve for it once
    needed = float(
        brentq(lambda e: float(part_improved(e, patients)) - RESPONSE_24H, 0.0, 10.0, xtol=1e-12)
    )
    threshold = float(
        brentq(
            lambda t: float(part_improved(needed, patients, threshold=t)) - REMISSION_24H,
            0.0,
            10.0,
            xtol=1e-12,
        )
    )
    gain = needed / mood_effect_24h if mood_effect_24h > needed / _LARGEST_GAIN else float("nan")
    return ResponseLink(patients=patients, gain=gain, remission_threshold=threshold)
