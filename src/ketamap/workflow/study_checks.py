"""What must hold of a study's images before the work begins."""

from __future__ import annotations

from ketamap.core.errors import ImageError, InputError
from ketamap.core.study import Animal, Study
from ketamap.core.volume import Volume
from ketamap.io.images import open_image
from ketamap.workflow.training import read_model


def signal_volume(study: Study, animal: Animal) -> Volume:
    """Open the image of an animal in which cells are found."""
    return open_image(animal.signal, voxel_um=study.voxel_um, channel=study.signal_channel)


def require_detectable(study: Study) -> None:
    """Refuse images in which cells cannot be found as the study says.

    Raises
    ------
    InputError
        If the study's score of cells is no model of this version, or for another soma diameter
        or kind of voxel.
    ImageError
        If cells are to be told by background images that are sampled otherwise.
    """
    if study.score_model is not None:
        _require_model(study)
    if study.detect_with_background:
        _require_backgrounds(study)


def _require_model(study: Study) -> None:
    from ketamap.detect.scale import plan_filters

    assert study.score_model is not None
    diameter_um, model = study.detection.soma_diameter_um, read_model(study.score_model)
    for animal in study.animals:
        coarse = plan_filters(signal_volume(study, animal).grid, diameter_um).coarse
        try:
            model.require_fit(diameter_um=diameter_um, coarse=coarse)
        except InputError as error:
            msg = f"detection.model {study.score_model}, animal {animal.animal}: {error}"
            raise InputError(msg) from error


def _require_backgrounds(study: Study) -> None:
    from ketamap.detect import require_alike

    for animal in study.animals:
        assert animal.background is not None  # the study has seen to it
        background = open_image(
            animal.background,
            voxel_um=study.background_voxel_um or study.voxel_um,
            channel=study.background_channel,
        )
        try:
            require_alike(signal_volume(study, animal), background)
        except ImageError as error:
            msg = f"detection.background, animal {animal.animal}: {error}"
            raise ImageError(msg) from error
