"""A tiny atlas for tests: a box brain of four structures, mirror-symmetric."""

import numpy as np

from ketamap.core.atlas import Atlas, Structures, atlas_grid


def tiny_structures():
    return Structures(
        ids=np.array([997, 8, 1, 2, 3]),
        acronyms=("root", "grey", "A", "B", "Ba"),
        names=("root", "grey matter", "area A", "area B", "area B, part a"),
        parent_ids=np.array([0, 997, 8, 8, 2]),
        colors=np.full((5, 3), 128, dtype=np.uint8),
    )


def tiny_atlas(shape=(12, 10, 16), resolution_um=100.0):
    """Front half A, back half B with its lower part Ba; two voxels of nothing around."""
    annotation = np.zeros(shape, dtype=np.int64)
    middle_ap, middle_dv = shape[0] // 2, shape[1] // 2
    annotation[2:middle_ap, 2:-2, 2:-2] = 1
    annotation[middle_ap:-2, 2:middle_dv, 2:-2] = 2
    annotation[middle_ap:-2, middle_dv:-2, 2:-2] = 3
    return Atlas(
        name="tiny",
        grid=atlas_grid(shape, (resolution_um,) * 3),
        annotation=annotation,
        template=(annotation > 0).astype(np.float32) * 100,
        structures=tiny_structures(),
    )
