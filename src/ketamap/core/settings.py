"""Settings of the steps: frozen, checked, with units.  What a study file can say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ketamap.core.errors import InputError

Extent: TypeAlias = Literal["whole", "left", "right"]
"""Which part of the brain an image shows."""

EXTENTS: tuple[Extent, ...] = ("whole", "left", "right")


def _require(ok: bool, message: str) -> None:  # noqa: FBT001 (an assertion, read as one)
    if not ok:
        raise InputError(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionSettings:
    """How cells are found: one physical size, the rest calibrates itself."""

    soma_diameter_um: float = 15.0
    """Diameter of a soma, um."""

    min_score: float = 0.5
    """Candidates less likely than this to be cells are left out; scores lie in [0, 1]."""

    spike_ins: int = 0
    """Somata planted, each alone, to estimate which share of such cells is found; 0: none."""

    def __post_init__(self) -> None:
        _require(
            0.5 <= self.soma_diameter_um <= 500.0,
            f"soma_diameter_um must lie between 0.5 and 500, got {self.soma_diameter_um:g}.",
        )
        _require(
            0.0 <= self.min_score <= 1.0,
            f"min_score must lie between 0 and 1, got {self.min_score:g}.",
        )
        _require(self.spike_ins >= 0, f"spike_ins must be 0 (none) or more, got {self.spike_ins}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """How axons are traced: one physical width, the rest calibrates itself."""

    fibre_sigma_um: float = 2.4
    """Standard deviation of a fibre's cross-section in the image, blur included, um."""

    box_um: float = 25.0
    """Edge of the boxes of the table of axons, um."""

    min_length_um: float = 12.0
    """Objects that stay within a box of this edge are not fibres, um."""

    threshold: float | None = None
    """Least score of a fibre, in standard deviations of the noise; left out: from the
    calibration."""

    soma_diameter_um: float = 15.0
    """Diameter of the cell bodies that are left out, um."""

    vessel_diameter_um: float = 16.0
    """Bright tubes at least this thick are vessels, um."""

    def __post_init__(self) -> None:
        for name, least, most in (
            ("fibre_sigma_um", 0.1, 50.0),
            ("box_um", 1.0, 1000.0),
            ("min_length_um", 0.0, 100.0),
            ("soma_diameter_um", 0.5, 500.0),
            ("vessel_diameter_um", 1.0, 500.0),
        ):
            value = getattr(self, name)
            _require(
                least <= value <= most,
                f"{name} must lie between {least:g} and {most:g}, got {value:g}.",
            )
        _require(
            self.threshold is None or 0.5 <= self.threshold <= 1000.0,
            f"threshold must lie between 0.5 and 1000, got {self.threshold}.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationSettings:
    """How a brain is aligned to the atlas."""

    resolution_um: float = 100.0
    """Voxel size at which images are compared, um."""

    iterations: tuple[int, int, int] = (100, 60, 60)
    """Deformable iterations at 4x, 2x and 1x of `resolution_um`."""

    refits: int = 4
    """Repeated coarse fits that the position error is estimated from, 0 (not estimated) or 2 to
    4, about three seconds each."""

    threads: int = 1
    """Threads of the engine for one brain; brains run side by side."""

    def __post_init__(self) -> None:
        _require(
            20.0 <= self.resolution_um <= 400.0,
            f"registration resolution_um must be 20 to 400, got {self.resolution_um:g}.",
        )
        _require(
            len(self.iterations) == 3 and min(self.iterations) >= 0 and max(self.iterations) > 0,
            "registration iterations are three numbers, not all zero, coarse to fine, got "
            f"{self.iterations}.",
        )
        _require(
            self.refits in {0, 2, 3, 4},
            f"registration refits must be 0, 2, 3 or 4, got {self.refits}.",
        )
        _require(self.threads >= 1, f"threads must be at least 1, got {self.threads}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The statistical design: what is compared with what.

    Either `factor` and `control` (a level), or `dose`, optionally `duration`, and
    `control` (a dose, usually 0).
    """

    control: str | float
    """Level of `factor`, or dose, that the others are compared with."""

    factor: str | None = None
    """Column of the animals table that holds the groups."""

    dose: str | None = None
    """Column that holds the dose."""

    duration: str | None = None
    """Column that holds the days of treatment."""

    formula: str | None = None
    """Wilkinson formula over the animals table; left out: the factor (or dose x duration
    cells) alone."""

    batch: str | None = None
    """Column of an experimental batch, added to the model."""

    measures: tuple[str, ...] = ()
    """Measures of the region table to analyse, in order; none: all it holds, cells first."""

    alpha: float = 0.05
    """False discovery rate at which effects are called."""

    permutations: int | None = None
    """Permutations of the second opinion on relative effects; 0: none; None: the analysis
    takes its own number where a permutation can reach significance at all."""

    def __post_init__(self) -> None:
        _require(
            (self.factor is None) != (self.dose is None),
            "A design names either 'factor' (with a control level) or 'dose' (with a control "
            f"dose), got factor={self.factor!r} and dose={self.dose!r}.",
        )
        _require(
            self.duration is None or self.dose is not None,
            "A design with 'duration' needs 'dose' as well.",
        )
        _require(0.0 < self.alpha < 1.0, f"alpha must lie between 0 and 1, got {self.alpha:g}.")
        _require(
            all(self.measures) and len(set(self.measures)) == len(self.measures),
            f"measure names each measure once, got {', '.join(map(repr, self.measures))}.",
        )
        _require(
            self.permutations is None or self.permutations >= 0,
            f"permutations must be 0 or more, got {self.permutations}.",
        )
