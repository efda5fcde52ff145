"""What an experiment is: drugs, regimens, animals, and the study that holds them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ketamap.core.errors import InputError
from ketamap.core.settings import (
    Design,
    DetectionSettings,
    Extent,
    RegistrationSettings,
    TracingSettings,
)
from ketamap.core.space import Orientation, Zyx


@dataclass(frozen=True, slots=True, kw_only=True)
class Regimen:
    """What an animal was given: a daily dose for a number of days.

    Raises
    ------
    InputError
        If the dose is negative or there are no days.
    """

    drug: str
    """Name of the drug under study, the same for vehicle animals (dose 0)."""

    dose_mg_per_kg: float
    """Daily dose; 0 is vehicle."""

    days: int
    """Days of treatment."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.dose_mg_per_kg < float("inf"):
            msg = f"dose_mg_per_kg must be 0 or more, got {self.dose_mg_per_kg:g}."
            raise InputError(msg)
        if self.days < 1:
            msg = f"days must be at least 1, got {self.days}."
            raise InputError(msg)

    @property
    def group(self) -> str:
        """Short label: ``vehicle 10 d`` or ``30 mg/kg 10 d``."""
        dose = f"{self.dose_mg_per_kg:g} mg/kg" if self.dose_mg_per_kg else "vehicle"
        return f"{dose} {self.days} d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Animal:
    """One animal with its images."""

    animal: str
    """Identifier, unique in the study; used as a folder name."""

    regimen: Regimen
    """What it was given."""

    signal: Path
    """Image with the labelled cells."""

    background: Path | None = None
    """Autofluorescence image, used for registration where there is one."""

    mask: Path | None = None
    """Image that is 0 where the image that is registered shows no tissue."""

    sex: str = ""
    """``F``, ``M`` or empty."""

    batch: str = ""
    """Experimental batch, or empty."""

    covariates: tuple[tuple[str, str | float], ...] = ()
    """Further columns of the animals table, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """An image of an animal, and how to read it."""

    path: Path
    """TIFF stack, folder of TIFF planes or OME-Zarr."""

    voxel_um: Zyx[float] | None
    """Spacing, where the file does not say."""

    channel: int | None
    """Channel to use, where it has several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A whole experiment, ready to run.

    Raises
    ------
    InputError
        If it has no animals, an identifier repeats, or an animal lacks the background image
        that its cells are to be told by.
    """

    name: str
    """Title of the report."""

    atlas: str
    """Name of the atlas."""

    animals: tuple[Animal, ...]
    """All animals."""

    orientation: Orientation
    """How the images lie in the animal."""

    design: Design
    """What is compared with what."""

    atlas_dir: Path | None = None
    """Folder with atlases in BrainGlobe's layout, instead of the user's cache."""

    voxel_um: Zyx[float] | None = None
    """Spacing of the signal images, where the files do not say."""

    background_voxel_um: Zyx[float] | None = None
    """Spacing of the background images, where the files do not say."""

    signal_channel: int | None = None
    """Channel of the signal images to use, counted from 0, where they have several."""

    background_channel: int | None = None
    """Channel of the background images to use, where they have several."""

    extent: Extent = "whole"
    """Which part of the brain the images show."""

    detection: DetectionSettings = field(default_factory=DetectionSettings)
    """How cells are found."""

    score_model: Path | None = None
    """Score of cells written by ``ketamap train-detector``; None: the shipped one."""

    detect_with_background: bool = False
    """Whether what signal and background images share is no cell; they must be sampled alike."""

    registration: RegistrationSettings = field(default_factory=RegistrationSettings)
    """How brains are aligned."""

    tracing: TracingSettings | None = None
    """How axons are traced; None: they are not."""

    trace_calibration: Path | None = None
    """``trace.json`` of a calibrated trace, whose calibration all brains share."""

    trace_regions: tuple[str, ...] = ()
    """Acronyms of the regions whose trace is pictured; none: a few with much axon."""

    note: str = ""
    """Something readers of the report must know, for instance that brains are made up."""

    def __post_init__(self) -> None:
        if not self.animals:
            msg = f"Study {self.name!r} has no animals."
            raise InputError(msg)
        twice = [a for a, n in Counter(one.animal for one in self.animals).items() if n > 1]
        if twice:
            msg = f"Study {self.name!r} names these animals more than once: {', '.join(twice)}."
            raise InputError(msg)
        bare = [one.animal for one in self.animals if one.background is None]
        if self.detect_with_background and bare:
            msg = (
                f"Study {self.name!r} detects cells with the background images, but these animals "
                f"have none: {', '.join(bare)}. Name their `background`, or leave out "
                "`detection: background`."
            )
            raise InputError(msg)

    def registered_image(self, animal: Animal) -> ImageSource:
        """Say which image of an animal is registered: the background where there is one."""
        if animal.background is None:
            return ImageSource(
                path=animal.signal, voxel_um=self.voxel_um, channel=self.signal_channel
            )
        return ImageSource(
            path=animal.background,
            voxel_um=self.background_voxel_um,
            channel=self.background_channel,
        )
