"""Results as lines of text."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ketamap.core.errors import InputError
from ketamap.core.measures import measure_of
from ketamap.core.registration import RegistrationQuality, TissueMask
from ketamap.core.settings import EXTENTS, Extent

if TYPE_CHECKING:
    from ketamap.io.images import ImageSummary
    from ketamap.trace import Tracing
    from ketamap.workflow.answers import Answers
    from ketamap.workflow.truth import TruthScore
    from ketamap.workflow.truth_axons import AxonScore


MANY_OUTSIDE = 0.2
"""Share of cells outside every region above which something is likely to be wrong."""


MUCH_PADDING = 0.05
"""Share of constant voxels above which `trace` warns: in one labelled brain an equal volume of
zeros beside it more than doubled the length."""

MANY_SATURATED = 0.05
"""Share of boxes with merged fibres above which a trace is said to be too short."""


def extent_of(text: str) -> Extent:
    """Read the part of the brain an image shows.

    Raises
    ------
    InputError
        If it is none of the three.
    """
    for extent in EXTENTS:
        if text == extent:
            return extent
    msg = f"--extent {text!r}: give one of {', '.join(EXTENTS)}."
    raise InputError(msg)


def counts_of(text: str | None) -> Literal["own", "total"] | None:
    """Read what a table's counts include.

    Raises
    ------
    InputError
        If it is neither own nor total.
    """
    if text is None or text == "own" or text == "total":
        return text  # type: ignore[return-value]
    msg = f"--counts {text!r}: give own or total, or leave it out."
    raise InputError(msg)


def quality_lines(quality: RegistrationQuality) -> Iterator[str]:
    """Show how well a brain was aligned."""
    yield (
        f"verdict {quality.verdict}: NCC {quality.ncc:.3f}, LNCC {quality.lncc:.3f}, least "
        f"Jacobian {quality.least_jacobian:.2f}, inverse error p95 "
        f"{quality.inverse_error_p95_um:.1f} um, {_error_of(quality.error_median_um)}"
    )
    yield from quality.reasons


def hole_lines(tissue: TissueMask | None) -> Iterator[str]:
    """Say how much of the brain was found to be torn or cut out."""
    if tissue is not None:
        lost_mm3 = np.count_nonzero(~tissue.present) * tissue.grid.voxel_volume_mm3
        yield (
            f"{lost_mm3:.1f} mm3 of the brain show no tissue (torn or cut out): they are not "
            f"counted, see covered_fraction."
        )


def _error_of(median_um: float) -> str:
    if math.isnan(median_um):
        return "position error not estimated"
    return f"estimated position error {median_um:.0f} um (median)"


def balance_line(balance: Mapping[str, Any]) -> str:
    """Show where every detected cell went."""
    return (
        f"{balance['detected']} cells detected = {balance['in_regions']} in regions + "
        f"{balance['outside_brain']} outside the brain + {balance['outside_atlas']} outside "
        f"the atlas"
    )


def placing_lines(balance: Mapping[str, Any]) -> Iterator[str]:
    """Warn when many cells lie in no region."""
    lost = balance["detected"] - balance["in_regions"]
    if balance["detected"] and lost > MANY_OUTSIDE * balance["detected"]:
        yield (
            f"Warning: {lost / balance['detected']:.0%} of the cells lie in no region. Are their "
            f"positions in um, and from the same brain as the registration?"
        )


def axon_balance_line(balance: Mapping[str, Any]) -> str:
    """Show where all traced length went."""
    return (
        f"{balance['traced_mm']:.2f} mm of axon traced = {balance['in_regions_mm']:.2f} in regions + "
        f"{balance['outside_brain_mm']:.2f} outside the brain + "
        f"{balance['outside_atlas_mm']:.2f} outside the atlas"
    )


def saturation_lines(saturated: Sequence[str]) -> Iterator[str]:
    """Warn of structures in which fibres merge in the image."""
    if saturated:
        names = ", ".join(saturated[:12]) + (", ..." if len(saturated) > 12 else "")
        yield (
            f"Warning: more than 10 % of {len(saturated)} structures is labelled ({names}): their "
            f"fibres merge in the image and the length is too low; see the corrected columns."
        )


def trace_lines(traced: Tracing) -> Iterator[str]:
    """Show the threshold, the length and what was left out."""
    axons = traced.axons
    yield (
        f"threshold {traced.threshold:.2f} sd of the noise (band {traced.threshold_low:.2f} to "
        f"{traced.threshold_high:.2f})"
    )
    yield (
        f"{axons.length_um.sum() / 1000:.2f} mm of axon (band "
        f"{axons.length_low_um.sum() / 1000:.2f} to {axons.length_high_um.sum() / 1000:.2f})"
    )
    quality = traced.quality
    yield (
        f"{quality['labelled_share']:.1%} of the volume is axon; left out: "
        f"{quality['small_objects']:.0f} small objects, {quality['thick_voxels']:.0f} voxels of "
        f"vessels and other thick things, {quality['soma_voxels']:.0f} of cell bodies"
    )
    if quality["constant_share"] > MUCH_PADDING and len(axons):
        yield (
            f"Warning: {quality['constant_share']:.0%} of the image repeats its least intensity "
            f"(padding, or a background cut off at zero). The threshold is then too low and the "
            f"length too great: crop the image to the tissue, or calibrate on it (--calibrate)."
        )
    if quality["saturated_boxes_share"] > MANY_SATURATED:
        yield (
            f"Warning: in {quality['saturated_boxes_share']:.0%} of the boxes more than 10 % is "
            f"labelled: fibres merge there and the length is too low. `ketamap quantify` gives "
            f"corrected columns; too low a threshold does the same, so look at skeleton.ome.zarr."
        )


def balance_lines(out: Path) -> Iterator[str]:
    """Show the balance sheet of every animal of a study folder."""
    from ketamap.io.manifests import read_json
    from ketamap.io.tables import read_animals

    for name in read_animals(out / "animals.csv")["animal"]:
        folder = out / "animals" / str(name)
        yield f"{name}: {balance_line(read_json(folder / 'balance.json'))}"
        if (folder / "axon_balance.json").exists():
            yield f"{name}: {axon_balance_line(read_json(folder / 'axon_balance.json'))}"


def effect_lines(result: Answers, alpha: float) -> Iterator[str]:
    """Show the brain-wide shift and the number of regions found, per measure and contrast."""
    yield from result.warnings
    effects = result.effects
    for (measure, contrast), part in effects.groupby(["measure", "contrast"], sort=False):
        shift = part[part.estimand == "shift"].iloc[0]
        of = f"{measure_of(str(measure)).short}, " if len(result.measures) > 1 else ""
        yield (
            f"{of}{contrast}: brain-wide shift {shift.estimate_log2:+.2f} log2 "
            f"[{shift.ci_low_log2:+.2f}, {shift.ci_high_log2:+.2f}], p = {shift.p:.3g}"
        )
        for estimand in ("relative", "absolute"):
            tested = part[(part.estimand == estimand) & part.testable]
            found = tested[tested.q < alpha]
            names = ", ".join(found.sort_values("p").acronym.head(12))
            yield (
                f"  {estimand}: {len(found)} of {len(tested)} regions at q < {alpha:g}"
                + (f": {names}" if names else "")
            )


def image_lines(image: ImageSummary) -> Iterator[str]:
    """Show what an image is."""
    yield f"{image.path}: {image.format}, {image.size_on_disk_bytes / 1e9:.2f} GB on disk"
    yield f"axes {image.axes}, shape {_triple(image.shape, ' x ')}, {image.dtype}"
    if image.spacing_um is None:
        yield "voxel size: not in the file; declare it with --voxel-um Z,Y,X"
    else:
        yield f"voxel size (z, y, x): {_triple(image.spacing_um)} um"
    if image.channels:
        yield f"channels: {', '.join(image.channels)}; choose one with --channel 0 to {len(image.channels) - 1}"
    if image.block_shape is not None:
        yield f"decoded in blocks of {_triple(image.block_shape, ' x ')} voxels"
    for number, level in enumerate(image.levels):
        um = "not stated" if level.spacing_um is None else f"{_triple(level.spacing_um)} um"
        yield f"pyramid level {number}: {_triple(level.shape, ' x ')}, voxel size {um}"
    yield f"next: {image.suggested_command}"


def truth_lines(score: TruthScore) -> Iterator[str]:
    """Show truth beside the answer."""
    yield (
        f"cells: {score.planted_cells} planted, {score.detected_cells} detected; recall "
        f"{score.recall:.3f}, precision {score.precision:.3f} (least of any brain)"
    )
    yield f"region counts against planted: r = {score.count_correlation:.4f}"
    yield f"registration error: median {score.error_median_um:.0f} um, p95 {score.error_p95_um:.0f} um"
    several = len({contrast.measure for contrast in score.contrasts}) > 1
    for contrast in score.contrasts:
        of = f"{measure_of(contrast.measure).short}, " if several else ""
        yield (
            f"{of}{contrast.name}: of {contrast.planted} planted changes of {contrast.fold:g}-fold "
            f"or more that could be tested, {contrast.right_sign} have the right sign and "
            f"{contrast.found} are found (q < {score.alpha:g}, relative); {contrast.false} other "
            f"regions are called"
        )
    if score.axons is not None:
        yield from _axon_lines(score.axons)


def _axon_lines(score: AxonScore) -> Iterator[str]:
    yield (
        f"axons: {score.planted_mm:.0f} mm planted, {score.traced_mm:.0f} mm traced in regions; "
        f"region lengths against planted: r = {score.length_correlation:.3f}; recovery per region "
        f"{score.recovery_median:.2f} (p10 to p90 {score.recovery_p10:.2f} to "
        f"{score.recovery_p90:.2f})"
    )
    for one in score.group_changes:
        yield (
            f"axons in {one.acronym}: planted {one.planted:+.0%}, with the noise between animals "
            f"{one.real:+.1%}, traced {one.traced:+.1%}"
        )


def _triple(values: tuple[float, ...] | tuple[int, ...], joint: str = ", ") -> str:
    return joint.join(f"{value:g}" for value in values)
