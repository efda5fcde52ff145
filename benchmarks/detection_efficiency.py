"""How well planted somata tell which share of the cells of a tissue is found.

Run ``python benchmarks/detection_efficiency.py``: made-up tissue with known somata, of which the
two halves differ; for each half the detection efficiency of its cells, as the region table has it,
beside the share of its somata that is found.
"""

import argparse

import numpy as np

from detection import FIRST_SEED, WITHIN_UM, match
from detection_tissue import BLUNT_PSF_UM, Tissue, make_tissue
from detection_train import volume_of
from ketamap.core.settings import DetectionSettings
from ketamap.detect import find_and_check

PLAIN = {"size_um": (200.0, 900.0, 500.0), "clusters_per_mm3": 0.0, "sparse_per_mm3": 1800.0}
"""Scattered somata throughout."""

BESIDE_PLAIN = {
    "somata two fifths as bright": {"contrast": 0.4},
    "a quarter as bright": {"contrast": 0.25},
    "three times as many": {"sparse_per_mm3": 5400.0},
    "with clusters": {"clusters_per_mm3": 400.0},
}
"""What is different in the right half."""

WHOLE = {
    "5/2/2, sharp": {},
    "5/2/2, wide": {"psf_um": BLUNT_PSF_UM},
    "10/5/5, sharp": {"spacing_um": (10.0, 5.0, 5.0)},
    "5/2/2, sharp, two fifths as bright": {"contrast": 0.4},
}
"""Tissue of ``detection.py``: left half sparse, right half clustered."""

SPIKES = 200


def two_halves(unlike, seed):
    """Image, truth (n, 3) um and spacing of plain tissue with other tissue on its right."""
    left, right = Tissue(**PLAIN), Tissue(**PLAIN | unlike)
    (image, here), (other, there) = make_tissue(left, seed), make_tissue(right, seed + 1000)
    shift = np.array([0.0, 0.0, image.shape[2] * left.spacing_um[2]])
    truth = np.concatenate([here.at_um, there.at_um + shift])
    return np.concatenate([image, other], axis=2), truth, left.spacing_um


def whole(unlike, seed):
    tissue = Tissue(size_um=(200.0, 1000.0, 1000.0), **unlike)
    image, truth = make_tissue(tissue, seed)
    return image, truth.at_um, tissue.spacing_um


def measure(image, truth, spacing_um):
    """Estimated and true share found, in the left and in the right half."""
    settings = DetectionSettings(spike_ins=SPIKES)
    cells = find_and_check(volume_of(image, spacing_um), settings).cells
    at = cells[["z_um", "y_um", "x_um"]].to_numpy()
    found = np.isin(np.arange(len(truth)), match(at, truth, WITHIN_UM)[1])
    middle_um = (image.shape[2] - 1) * spacing_um[2] / 2
    rows = []
    for right in (False, True):
        here = (at[:, 2] > middle_um) == right
        true = found[(truth[:, 2] > middle_um) == right].mean()
        rows.append((here.sum() / np.sum(1.0 / cells.efficiency[here]), true))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    series = (("beside plain tissue: ", two_halves, BESIDE_PLAIN), ("", whole, WHOLE))
    for start, make, kinds in series:
        for name, unlike in kinds.items():
            for k in range(options.seeds):
                halves = measure(*make(unlike, FIRST_SEED + k))
                shown = ", ".join(f"{estimate:.2f} / {true:.2f}" for estimate, true in halves)
                print(f"{start}{name}, seed {FIRST_SEED + k}: {shown}", flush=True)


if __name__ == "__main__":
    main()
