"""Voxel-wise maps: speed, error rate and recovery, on made-up cohorts.

Run ``python benchmarks/voxelwise.py [draws] [permutations]`` (default 150 and 1000).

The speed part has 24 animals on the phantom brain at 100 um: the point tables are planted and
mapped, then tested.  The error rates are of cohorts without effects on a small brain (200 um,
about 2,100 voxels): Poisson cells around an animal's level (SD .3) and smooth noise (SD .25,
300 um), 199 permutations; a cohort counts if any voxel of it is called at .05.
"""

import resource
import sys
import time
from pathlib import Path

import numpy as np
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.stats.voxel_cohorts import ellipsoid, log_densities

from ketamap.core.transform import AffineMap, Transform
from ketamap.phantom import phantom_atlas
from ketamap.quantify.density_maps import density_map, map_grid, sample_volume, tissue_of
from ketamap.stats.tfce import Enhancement, Lattice
from ketamap.stats.voxelwise import (
    VoxelDesign,
    VoxelTesting,
    Weighting,
    animal_levels,
    voxel_test,
    weighting_of,
)

NULLS = (
    ((6, 6), (1, 1)),
    ((4, 8), (1, 1)),
    ((4, 4, 4), (1, 1, 1)),
    ((4, 4), (2, 1)),
    ((4, 8), (2, 1)),
    ((4, 8), (1, 2)),
    ((4, 4, 4), (2, 1, 1)),
)
"""Animals per group, and multiples of the standard deviation."""


def cell_means(sizes):
    groups = np.repeat(np.arange(len(sizes)), sizes)
    contrast = np.zeros(len(sizes))
    contrast[0], contrast[-1] = -1.0, 1.0
    return np.eye(len(sizes))[groups], contrast, [f"g{g}" for g in groups]


def relative_of(values):
    return (values - animal_levels(values)[:, None]).astype(np.float32)


def large_study():
    """Log densities of 24 animals at 100 um, the tested voxels, and CPU-s of mapping one."""
    rng = np.random.default_rng(0)
    atlas = phantom_atlas(100.0)
    grid = map_grid(atlas, 100.0)
    tissue = tissue_of(atlas, grid)
    transform = Transform.from_affine(AffineMap(np.eye(4)), grid)
    places = np.argwhere(tissue.fraction > 0)
    logs, mapping = [], 0.0
    for _ in range(24):
        field = ndimage.gaussian_filter(rng.normal(size=grid.shape), 4)[tuple(places.T)]
        p = np.exp(0.3 * field / field.std())
        picked = places[rng.choice(len(places), 150_000, p=p / p.sum())]
        begun = time.process_time()
        sample = sample_volume(tissue, transform, None)
        made = density_map(grid.to_um(picked), None, sample, grid, 150.0)
        mapping += time.process_time() - begun
        logs.append(made.density_per_mm3[tissue.fraction >= 0.5])
    return np.log(np.array(logs) + np.float32(3.3)), tissue.fraction >= 0.5, mapping / 24


def inference(values, tested, *, connectivity=6, workers=1, permutations):
    """CPU and wall seconds of the inference on one map of 12 against 12."""
    design, contrast, names = cell_means((12, 12))
    what = VoxelDesign(matrix=design, contrast=contrast, blocks=["all"] * len(names))
    how = VoxelTesting(
        permutations=permutations,
        workers=workers,
        enhancement=Enhancement(connectivity=connectivity),
    )
    wall, cpu = time.perf_counter(), time.process_time()
    voxel_test(values, what, Lattice.of(tested, connectivity), how)
    return time.process_time() - cpu, time.perf_counter() - wall


def peak_gib():
    """Peak memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def speed(permutations):
    """Time 24 animals at 100 um: mapping, then testing with one and with two threads."""
    values, tested, mapping = large_study()
    print(f"\n24 animals, {values.shape[1]:,} tested voxels of 100 um")
    print(f"mapping: {mapping:.2f} CPU-s an animal (150,000 points)")
    for connectivity, workers, count in ((6, 1, 20), (26, 1, 20), (6, 2, permutations)):
        cpu, wall = inference(
            values, tested, connectivity=connectivity, workers=workers, permutations=count
        )
        print(
            f"{count} permutations, {connectivity} neighbours, {workers} threads: {cpu:.1f} CPU-s, "
            f"{wall:.1f} s wall, {1000 * cpu / count:.0f} CPU-ms a permutation (both signs)"
        )
    print(f"peak memory of this process: {peak_gib():.2f} GiB")


def acceptance(permutations):
    """Rows of acceptance: case, asked, measured, passed; relative and absolute map, one thread."""
    values, tested, mapping = large_study()
    both = (relative_of(values), values)
    seconds = 24 * mapping + sum(
        inference(one, tested, permutations=permutations)[0] for one in both
    )
    peak = peak_gib()
    return [
        (f"voxel-wise, 24 animals at 100 um, {permutations} permutations, 2 maps: CPU s",
         "<= 600", f"{seconds:.0f}", seconds <= 600),
        ("voxel-wise, peak memory, GiB", "<= 4", f"{peak:.2f}", peak <= 4.0),
    ]  # fmt: skip


def null_rate(sizes, spread, draws):
    """Share of null cohorts with a finding: pooled, weighted; relative and absolute."""
    rng = np.random.default_rng([len(sizes), *sizes, *spread])
    design, contrast, names = cell_means(sizes)
    hits = np.zeros(4)
    for k in range(draws):
        values, mask = log_densities(rng, np.repeat(spread, sizes))
        weighting = weighting_of(values, design, names)
        how = VoxelTesting(permutations=199, seed=k)
        lattice = Lattice.of(mask)
        maps = (relative_of(values), values)
        pooled = Weighting.equal(*values.shape)
        choices = (pooled,) if weighting.compared is None else (pooled, weighting)
        found = [
            bool(
                np.any(
                    voxel_test(
                        one,
                        VoxelDesign(
                            matrix=design,
                            contrast=contrast,
                            blocks=["all"] * len(names),
                            weighting=weights,
                        ),
                        lattice,
                        how,
                    ).p_fwe
                    < 0.05
                )
            )
            for weights in choices
            for one in maps
        ]
        hits += found if len(found) == 4 else found * 2
    return hits / draws


def recovery(draws):
    """Dice of what is called with what was planted, relative maps, and what lies far from it."""
    print("\nplanted cube of 1 mm3 (125 voxels), relative maps, 199 permutations")
    mask = ellipsoid()
    changed = np.zeros(mask.shape, dtype=bool)
    changed[4:9, 4:9, 4:9] = True
    far = ndimage.distance_transform_edt(~changed)[mask] > 3.5
    inside = changed[mask]
    for n in (4, 6, 12):
        for fold in (1.5, 2.0, 3.0):
            rng = np.random.default_rng([n, int(10 * fold)])
            dice, hit, wrong = [], [], []
            for k in range(draws):
                effect = np.outer(np.arange(2 * n) >= n, np.log(fold) * inside)
                values, _ = log_densities(rng, np.ones(2 * n), effect=effect)
                design, contrast, names = cell_means((n, n))
                what = VoxelDesign(matrix=design, contrast=contrast, blocks=["all"] * len(names))
                got = voxel_test(
                    relative_of(values),
                    what,
                    Lattice.of(mask),
                    VoxelTesting(permutations=199, seed=k),
                )
                called = got.p_fwe < 0.05
                hit.append(bool(np.any(called & inside & (got.tfce > 0))))
                dice.append(2 * np.sum(called & inside) / (called.sum() + inside.sum()))
                wrong.append(bool(np.any(called & far)))
            print(
                f"{n} v {n}, {fold:g}-fold: found in {np.mean(hit):.2f}, mean Dice "
                f"{np.mean(dice):.2f}, anything called over 0.7 mm away in {np.mean(wrong):.2f}"
            )


if __name__ == "__main__":
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else 150
    permutations = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    print(f"null cohorts with any called voxel, {draws} draws: relative, absolute")
    print("(pooled: groups as if of one variance; weighted: as `ketamap voxelwise` does)")
    for sizes, spread in NULLS:
        rates = null_rate(sizes, spread, draws)
        print(
            f"{' v '.join(map(str, sizes))}, SD x {' : '.join(map(str, spread))}: "
            f"pooled {rates[0]:.3f} {rates[1]:.3f}, weighted {rates[2]:.3f} {rates[3]:.3f}",
            flush=True,
        )
    recovery(max(20, draws // 5))
    speed(permutations)
