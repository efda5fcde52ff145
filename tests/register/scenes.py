"""Small brains with known shape and pose, for the tests of this room."""

import numpy as np
from scipy import ndimage

from ketamap.core.atlas import Atlas, Structures, atlas_grid
from ketamap.core.space import ATLAS_ORIENTATION as ATLAS
from ketamap.core.space import VoxelGrid
from ketamap.core.transform import AffineMap, DisplacementField, Transform
from ketamap.core.volume import Volume


def toy_atlas(resolution_um=200.0):
    """An egg with blobs inside, unlike itself under every turn, alike left and right."""
    shape = tuple(round(mm * 1000.0 / resolution_um) for mm in (13.2, 8.0, 11.4))
    grid = atlas_grid(shape, (resolution_um,) * 3)
    z, y, x = np.meshgrid(
        *(grid.to_um(np.arange(n)[:, None])[:, k] / 1000.0 for k, n in enumerate(shape)),
        indexing="ij",
    )
    lateral = np.abs(x - 5.7)
    inside = ((z - 6.6) / 5.8) ** 2 + ((y - 4.2) / (3.0 + 0.07 * z)) ** 2 + (lateral / 4.8) ** 2 < 1
    template = np.where(inside, 100.0, 0.0)
    annotation = np.where(inside, 2, 0)
    rng = np.random.default_rng(7)
    for number in range(40):
        centre = rng.uniform((1.5, 1.5, 0.2), (11.5, 7.0, 4.4))
        radius = rng.uniform(0.5, 1.1)
        blob = inside & (
            (z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (lateral - centre[2]) ** 2 < radius**2
        )
        template[blob] = rng.uniform(20.0, 220.0)
        annotation[blob] = 3 + number % 3
    texture = ndimage.gaussian_filter(rng.standard_normal(shape), 250.0 / resolution_um)
    texture = texture + texture[:, :, ::-1]  # the fit needs something to hold on to everywhere
    template[inside] *= 1.0 + 0.2 * (texture / texture.std())[inside]
    return Atlas(
        name="toy",
        grid=grid,
        annotation=annotation.astype(np.int64),
        template=ndimage.gaussian_filter(template, 100.0 / resolution_um).astype(np.float32),
        structures=Structures(
            ids=np.arange(1, 6),
            acronyms=("root", "a", "b", "c", "d"),
            names=("root", "a", "b", "c", "d"),
            parent_ids=np.array([0, 1, 1, 1, 1]),
            colors=np.zeros((5, 3), dtype=np.uint8),
        ),
    )


def waves(grid, amplitude_um):
    """A smooth displacement of known size, half a wave across the box."""
    index = np.indices(grid.shape, dtype=np.float64)
    phase = [np.pi * (i + 0.5) / n for i, n in zip(index, grid.shape, strict=True)]
    vectors = np.stack(
        [
            amplitude_um * np.sin(2 * phase[1]) * np.sin(phase[2]),
            amplitude_um * np.sin(phase[0]) * np.cos(2 * phase[2]),
            amplitude_um * np.sin(2 * phase[0]) * np.sin(phase[1]),
        ]
    )
    return DisplacementField(grid, vectors.astype(np.float32))


def warped(atlas, *, amplitude_um=100.0, turn_deg=4.0, orientation, spacing_um=100.0):
    """A volume and the exact map of its own um to atlas um.

    The map is given backwards (sample to atlas), so that every sample voxel's true place
    is known without inverting anything.
    """
    grid = VoxelGrid(
        shape=tuple(round(n * atlas.grid.spacing_um[0] / spacing_um) for n in atlas.grid.shape),
        spacing_um=(spacing_um,) * 3,
    )
    angle = np.deg2rad(turn_deg)
    matrix = np.eye(4)
    matrix[0:2, 0:2] = 1.03 * np.array(
        [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    )
    centre = grid.centre_um
    matrix[:3, 3] = atlas.grid.centre_um - matrix[:3, :3] @ centre + (150.0, -100.0, 50.0)
    field = waves(atlas.grid, amplitude_um)
    upright = Transform(affine=AffineMap(np.linalg.inv(matrix)), outward=field, inward=field)
    image = upright.image_to_sample(atlas.template, atlas.grid, grid)
    turn = orientation.map_to(ATLAS)  # sample -> upright
    back = ATLAS.map_to(orientation)  # upright -> sample
    stored = np.ascontiguousarray(back.array(image))
    stored_grid = back.grid(grid)
    truth_matrix = turn.matrix(stored_grid)

    def to_atlas(sample_um):
        return upright.to_atlas(AffineMap(truth_matrix)(sample_um))

    return Volume(data=stored, grid=stored_grid, name="toy brain"), to_atlas
