"""Fit the score that ships with the package, and say how well it fits tissue it has not seen.

Run ``python benchmarks/detection_train.py --work DIR``; DIR keeps what was measured, so that a
second run goes on. The scenes' seeds begin at 5000, the phantom brain's is 9000: no other benchmark uses them. With
``--crops`` (the folder with ``signal_5x2x2um.tif`` and ``background_5x2x2um.tif``) candidates of
a real crop are learned from too: somata planted into both channels are cells, what else is found
in the background channel is none. Without ``--write`` nothing in the package changes.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
from scipy.spatial import cKDTree

import ketamap.detect
from detection_tissue import BLUNT_PSF_UM, SHARP_PSF_UM, Tissue, make_tissue
from ketamap.core.settings import DetectionSettings
from ketamap.core.space import VoxelGrid
from ketamap.core.volume import Volume
from ketamap.detect.lazy import survey
from ketamap.detect.model import fit_model, model_as_dict
from ketamap.detect.spikes import Spikes, draw_spikes, response_per_height, with_spikes
from ketamap.io.images import open_image
from ketamap.phantom import BrainSettings, default_cohort
from ketamap.workflow.cohort import write_brain

FIRST_SEED, FIRST_COARSE_SEED, PHANTOM_SEED = 5000, 6000, 9000
PSFS_UM = (SHARP_PSF_UM, BLUNT_PSF_UM, (5.0, 1.5, 1.5), (2.5, 1.0, 1.0))
SPACINGS_UM = {
    (5.0, 2.0, 2.0): 0.2,
    (4.0, 1.8, 1.8): 0.15,
    (10.0, 5.0, 5.0): 0.25,
    (5.0, 5.0, 5.0): 0.05,
    (3.0, 3.0, 3.0): 0.05,
    (8.0, 4.0, 4.0): 0.1,
    (6.0, 2.5, 2.5): 0.05,
    (10.0, 4.0, 4.0): 0.1,
    (2.0, 2.0, 2.0): 0.05,
}
"""Voxel sizes and how often each is drawn."""

COARSE_UM = {(7.5, 7.5, 7.5): 0.5, (6.0, 6.0, 6.0): 0.25, (10.0, 7.5, 7.5): 0.25}
"""Voxels of which a soma spans two or three: a series of its own."""

WITHIN_DIAMETERS = 0.62
"""A candidate this close to a soma that no better candidate has taken is that soma."""

PHANTOM_WEIGHT = 0.25
"""Weight of a phantom brain's 41 000 candidates: enough to know beads of thick fibres."""

CELL_WEIGHT, OTHER_WEIGHT = 5.0, 10.0
"""Weights of the crop's cells and other candidates: it is a fifth of a cubic millimetre."""

CROP_UM = (5.0, 2.0, 2.0)
CROP_DIAMETERS_UM = (15.0, 12.0, 18.0, 15.0)
CROP_SPIKES = 250


def draw_scene(seed):
    """Return a `Tissue` and the soma diameter that a user would declare for it."""
    rng = np.random.default_rng(seed)
    chances_of = COARSE_UM if seed >= FIRST_COARSE_SEED else SPACINGS_UM
    spacings = list(chances_of)
    spacing = spacings[rng.choice(len(spacings), p=list(chances_of.values()))]
    fine = spacing[0] <= 6.0
    scale = rng.choice([0.6, 0.8, 1.0, 1.0, 1.0, 1.0, 1.3, 1.7] if fine else [1, 1, 1, 1, 1.3, 1.7])
    edge = 400.0 if spacing[0] <= 3.0 else 560.0 if fine else 900.0
    spread = [(14, 30), (14, 30), (12, 20), (20, 45)][rng.integers(4)]
    tissue = Tissue(
        size_um=(200.0, edge, edge),
        spacing_um=spacing,
        psf_um=PSFS_UM[rng.choice(4, p=[0.4, 0.2, 0.25, 0.15])],
        diameter_um=(15 * scale * rng.uniform(0.55, 0.8), 15 * scale * rng.uniform(1.2, 1.45)),
        sparse_per_mm3=rng.choice([300, 900, 1800, 1800]) / scale**2,
        clusters_per_mm3=rng.choice([0, 120, 220, 400]) / scale**2.5,
        cells_per_cluster=[(4, 16), (4, 16), (10, 30), (3, 8)][rng.integers(4)],
        cluster_sd_um=(spread[0] * scale, spread[1] * scale),
        contrast=rng.choice([0.4, 0.6, 1.0, 1.0, 1.5, 3.0]),
        contrast_sd_ln=rng.uniform(0.2, 0.5),
        elongation_sd_ln=rng.choice([0.05, 0.1, 0.2]),
        axons_per_mm3=rng.choice([0, 188, 188, 500]),
        vessels_per_mm3=rng.choice([0, 75, 75, 200]),
        neuropil=rng.choice([0.3, 1.0, 1.0, 1.6]),
        shading_sd_ln=rng.choice([0.05, 0.2, 0.4]),
        stripes=rng.choice([0, 0.05, 0.05, 0.12]),
        surface=[None, None, None, 0.1, 0.6, 1.5][rng.integers(6)],
        flicker=[0, 0, 0.03, 0.08, 0.15][rng.integers(5)],
        debris_per_mm3=rng.choice([0, 0, 100, 400]),
        grey_per_photon=rng.choice([1.0, 4.0, 4.0, 4.0, 10.0]),
        read_noise=rng.choice([3.0, 8.0, 15.0]),
    )
    return tissue, 15.0 * scale


def rows_of(image, spacing_um, diameter_um, spikes=None):
    """Return the features of every candidate and its position in um."""
    volume = volume_of(image, spacing_um)
    if spikes is not None:
        volume = with_spikes(volume, spikes)
    found = survey(volume, DetectionSettings(soma_diameter_um=diameter_um))
    return np.concatenate([found.noise_rows, found.evidence], axis=1), found.um


def volume_of(image, spacing_um):
    return Volume(data=image, grid=VoxelGrid(shape=image.shape, spacing_um=spacing_um))


def label(um, log_z, truth_um, within_um):
    """Tell which candidates are somata: the strongest first, each takes the nearest free one."""
    yes = np.zeros(len(um), dtype=bool)
    if not len(truth_um):
        return yes
    near = cKDTree(truth_um).query_ball_point(um, within_um)
    taken = np.zeros(len(truth_um), dtype=bool)
    for i in np.argsort(-log_z, kind="stable"):
        free = [k for k in near[i] if not taken[k]]
        if free:
            taken[min(free, key=lambda k, i=i: np.sum((truth_um[k] - um[i]) ** 2))] = True
            yes[i] = True
    return yes


def measure_scene(seed):
    tissue, diameter_um = draw_scene(seed)
    image, truth = make_tissue(tissue, seed)
    rows, um = rows_of(image, tissue.spacing_um, diameter_um)
    yes = label(um, rows[:, 0], truth.at_um, WITHIN_DIAMETERS * diameter_um)
    return {
        "rows": rows,
        "yes": yes,
        "group": np.full(len(rows), f"{tissue.spacing_um[0]:g} um planes"),
    }


def measure_crops(folder):
    """Candidates of both channels of the crop with planted somata, by half of the crop."""
    signal = tifffile.imread(folder / "signal_5x2x2um.tif")
    background = tifffile.imread(folder / "background_5x2x2um.tif")
    found = survey(volume_of(signal, CROP_UM), DetectionSettings())
    blob = (found.noise_rows[:, 0] > np.log(7.0)) & (found.evidence[:, 7] < 0.8)
    blob &= found.evidence[:, 6] < 0.6
    grid = VoxelGrid(shape=signal.shape, spacing_um=CROP_UM)
    heights = found.response[blob] / response_per_height(grid, 15.0)
    rng = np.random.default_rng(FIRST_SEED)
    anywhere = rng.uniform(0, 1, (3000, 3)) * (np.asarray(grid.shape) - 1) * CROP_UM
    parts = []
    for seed, diameter_um in enumerate(CROP_DIAMETERS_UM):
        for image, near in ((signal, found.um[blob]), (background, anywhere)):
            drawn = draw_spikes(
                grid, near, heights, n=CROP_SPIKES, diameter_um=15.0, seed=FIRST_SEED + seed
            )
            spikes = Spikes(um=drawn.um, height=drawn.height, diameter_um=diameter_um)
            parts.append(_crop_part(image, spikes, unlabelled=image is background))
    return {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}


def _crop_part(image, spikes, *, unlabelled):
    """Rows of one channel; in the labelled one only planted somata are known to be cells."""
    rows, um = rows_of(image, CROP_UM, 15.0, spikes)
    yes = label(um, rows[:, 0], spikes.um, WITHIN_DIAMETERS * 15.0)
    keep = yes | unlabelled
    left = um[:, 2] < 0.5 * image.shape[2] * CROP_UM[2]
    name = "background" if unlabelled else "signal"
    group = np.where(left, f"{name} left", f"{name} right")
    return {"rows": rows[keep], "yes": yes[keep], "group": group[keep]}


def measure_phantom(folder, seed=PHANTOM_SEED):
    """Candidates of a phantom brain as the demo makes them, and how many cells it has."""
    settings = BrainSettings()
    plan = default_cohort(seed=seed, animals_per_group=2)
    animal = plan.animals[0]
    write_brain(plan=plan, animal=animal, folder=folder, settings=settings)
    volume = open_image(folder / "images" / animal.animal / "signal.ome.zarr")
    found = survey(volume, DetectionSettings(soma_diameter_um=settings.soma_diameter_um))
    rows = np.concatenate([found.noise_rows, found.evidence], axis=1)
    truth = pd.read_parquet(folder / "truth" / f"{animal.animal}_cells.parquet")
    at = truth[["z_um", "y_um", "x_um"]].to_numpy(float)
    yes = label(found.um, rows[:, 0], at, WITHIN_DIAMETERS * settings.soma_diameter_um)
    group = np.full(len(rows), "phantom")
    return {"rows": rows, "yes": yes, "group": group, "planted": len(at)}


def gather(work, seeds, crops):
    """Measure what ``work`` does not hold yet; return everything and each row's source."""
    work.mkdir(parents=True, exist_ok=True)
    wanted = {f"scene_{s}": lambda s=s: measure_scene(s) for s in seeds}
    wanted["phantom"] = lambda: measure_phantom(work / "brain")
    if crops is not None:
        wanted["crops"] = lambda: measure_crops(crops)
    parts = []
    for name, measure in wanted.items():
        path = work / f"{name}.npz"
        if not path.exists():
            np.savez_compressed(path, **measure())
            print(f"measured {name}", flush=True)
        with np.load(path) as held:
            part = {k: held[k] for k in ("rows", "yes", "group")}
        weight = np.ones(len(part["yes"]))
        if name == "crops":
            weight = np.where(part["yes"], CELL_WEIGHT, OTHER_WEIGHT)
        if name == "phantom":
            weight *= PHANTOM_WEIGHT
        parts.append({**part, "weight": weight, "source": np.full(len(weight), name)})
    return {key: np.concatenate([p[key] for p in parts]) for key in parts[0]}


def fit(data, keep):
    return fit_model(data["rows"][keep], data["yes"][keep], weight=data["weight"][keep])


def chances(model, rows):
    return model.probability(model.local_part(rows[:, 2:]), rows[:, :2])


def report_unseen(data):
    """Every fifth scene, and each half of the crop, by a model that has not seen it."""
    scenes = np.char.startswith(data["source"], "scene")
    numbers = np.array(
        [int(s.rpartition("_")[2]) if s.startswith("scene") else 1 for s in data["source"]]
    )
    held = scenes & (numbers % 5 == 0)
    score = chances(fit(data, ~held), data["rows"][held])
    print_reliability("scenes not seen", score, data["yes"][held])
    for group in np.unique(data["group"][held]):
        here = data["group"][held] == group
        print_reliability(group, score[here], data["yes"][held][here], bins=(0, 0.5, 1))
    for side in ("left", "right"):
        here = np.char.endswith(data["group"], side)
        if here.any():
            score = chances(fit(data, ~here), data["rows"][here])
            false = np.char.startswith(data["group"][here], "background") & ~data["yes"][here]
            print(
                f"{side} half of the crop not seen: somata scored .5 or more "
                f"{(score[data['yes'][here]] >= 0.5).mean():.3f} of those listed, other "
                f"candidates {(score[false] >= 0.5).sum() / len(CROP_DIAMETERS_UM):.1f} per visit"
            )


def print_reliability(name, score, yes, bins=(0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 1)):
    """Share of cells among candidates by score."""
    place = np.clip(np.digitize(score, bins) - 1, 0, len(bins) - 2)
    for k in range(len(bins) - 1):
        here = place == k
        if here.any():
            print(
                f"{name:16s} score {bins[k]:.2f} to {bins[k + 1]:.2f}: n {here.sum():6d} "
                f"mean score {score[here].mean():.3f} cells {yes[here].mean():.3f}"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder for measured candidates")
    parser.add_argument("--scenes", type=int, default=130)
    parser.add_argument("--coarse", type=int, default=24, help="scenes of coarse voxels")
    parser.add_argument("--crops", type=Path, help="folder with the two channels of a real crop")
    parser.add_argument("--write", action="store_true", help="replace the package's score")
    options = parser.parse_args()
    seeds = [*range(FIRST_SEED, FIRST_SEED + options.scenes)]
    seeds += range(FIRST_COARSE_SEED, FIRST_COARSE_SEED + options.coarse)
    data = gather(options.work, seeds, options.crops)
    coarse = np.char.startswith(data["source"], "scene_6") | (data["source"] == "phantom")
    series = {
        name: {key: values[keep] for key, values in data.items()}
        for name, keep in (("fine", ~coarse), ("coarse", coarse))
    }
    for name, part in series.items():
        print(f"{name}: {len(part['yes'])} candidates, {part['yes'].sum()} cells")
        report_unseen(part)
    if options.write:
        models = {k: model_as_dict(fit(d, d["yes"] | True)) for k, d in series.items()}
        path = Path(ketamap.detect.__file__).with_name("score_model.json")
        path.write_text(json.dumps(models, indent=1) + "\n", encoding="utf-8")
        print(f"wrote {path.name}")


if __name__ == "__main__":
    main()
