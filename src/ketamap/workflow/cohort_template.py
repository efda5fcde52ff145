"""The verb `template`: an average of a study's own brains, and every brain aligned through it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ketamap.core.errors import InputError
from ketamap.core.registration import Registration
from ketamap.core.study import Animal, Study
from ketamap.io.images import open_image
from ketamap.io.ome_zarr import write_image
from ketamap.io.registrations import require_replaceable
from ketamap.io.studies import read_study
from ketamap.workflow.atlases import open_atlas
from ketamap.workflow.brain import keep_registration
from ketamap.workflow.masks import read_tissue
from ketamap.workflow.progress import Quiet, Reporter

if TYPE_CHECKING:
    from ketamap.core.atlas import Atlas
    from ketamap.core.progress import Progress
    from ketamap.register.align import Case

TEMPLATE = "template.ome.zarr"
"""The average brain, in atlas orientation."""

MOST_ROUNDS = 10
"""More averages than that change nothing that can be seen."""


def template(
    study_file: Path,
    *,
    out: Path,
    rounds: int = 3,
    reporter: Reporter | None = None,
) -> dict[str, Registration]:
    """Average a study's brains, align the average to the atlas, and every brain through it.

    Parameters
    ----------
    study_file
        The study, as YAML.
    out
        Folder to write: ``template.ome.zarr`` and a registration per animal, as `register`
        writes it.
    rounds
        Averages made: the first by affine maps, the others by deformations.
    reporter
        Shows progress.

    Returns
    -------
    dict
        Animal to registration.

    Raises
    ------
    InputError
        If ``rounds`` is not 1 to `MOST_ROUNDS`, or ``out`` holds other files.
    RegistrationError
        If fewer than two brains are whole.
    """
    from ketamap.register import cohort_template, through_template

    show = reporter or Quiet()
    if not 1 <= rounds <= MOST_ROUNDS:
        msg = f"--rounds {rounds}: give 1 to {MOST_ROUNDS}; 3 to 5 are usual."
        raise InputError(msg)
    study = read_study(study_file)
    for animal in study.animals:
        require_replaceable(out / animal.animal)
    atlas = open_atlas(study.atlas, atlas_dir=study.atlas_dir)
    with show.stage(f"read {len(study.animals)} brains") as progress:
        cases = [
            _open(study, animal, atlas, _part(progress, k, len(study.animals)))
            for k, animal in enumerate(study.animals)
        ]
    with show.stage(f"average them, {rounds} rounds") as progress:
        average = cohort_template(cases, rounds=rounds, progress=progress)
        out.mkdir(parents=True, exist_ok=True)
        write_image(out / TEMPLATE, average.image, average.grid)
    found = {}
    with show.stage("align each through the average") as progress:
        aligned = through_template(cases, average)
        for done, (animal, case) in enumerate(zip(study.animals, cases, strict=True), start=1):
            result = replace(next(aligned), atlas_dir=study.atlas_dir)
            keep_registration(
                out / animal.animal,
                result,
                atlas,
                coarse=case.sample.image,
                coarse_grid=case.sample.grid,
            )
            found[animal.animal] = result
            progress(done, len(cases))
    return found


def _open(study: Study, animal: Animal, atlas: Atlas, progress: Progress) -> Case:
    from ketamap.register import open_case

    image = study.registered_image(animal)
    volume = open_image(image.path, voxel_um=image.voxel_um, channel=image.channel)
    return open_case(
        volume,
        atlas,
        orientation=study.orientation,
        extent=study.extent,
        tissue=None if animal.mask is None else read_tissue(animal.mask, volume),
        settings=study.registration,
        progress=progress,
    )


def _part(progress: Progress, number: int, parts: int) -> Progress:
    """Return the progress of one of several equal parts."""
    return lambda done, total: progress(number + done / total, parts)
