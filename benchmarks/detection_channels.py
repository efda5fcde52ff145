"""What a background channel does to detection: cells kept, bright bodies of both channels left out.

Run ``python benchmarks/detection_channels.py``: made-up tissue of .07 mm3 in two channels, with 150
somata in the signal alone, and 150 autofluorescent bodies as large and 15 vessels in both.
"""

import argparse

import numpy as np
from scipy import ndimage

from detection import FIRST_SEED, WITHIN_UM, match
from detection_tissue import (
    BRIGHTNESS,
    SHARP_PSF_UM,
    Tissue,
    add_ball,
    add_fibre,
    expose,
    illumination,
    neuropil,
)
from detection_train import volume_of
from ketamap.core.settings import DetectionSettings
from ketamap.detect import find_cells

SIZE_UM = (200.0, 600.0, 600.0)
BODIES, VESSELS = 150, 15
SHARED = 0.8
"""Light of tissue and bodies in the background channel over that in the signal."""

KINDS = {
    "5/2/2 um": {},
    "background exposed to a third": {"exposure": 0.3},
    "background exposed three times": {"exposure": 3.0},
    "smooth tissue": {"texture": 0.3},
    "10/5/5 um": {"spacing_um": (10.0, 5.0, 5.0)},
    "a tenth of the label leaks": {"leak": 0.1},
    "three tenths of it leak": {"leak": 0.3},
    "nothing shared": {"shared": 0.0},
}


def make_channels(
    seed, *, spacing_um=(5.0, 2.0, 2.0), exposure=1.0, texture=1.0, leak=0.0, shared=SHARED
):
    """Signal, background (uint16), positions of somata and of bodies in both, um."""
    rng = np.random.default_rng(seed)
    spacing, size = np.array(spacing_um), np.array(SIZE_UM)
    shape = tuple(np.rint(size / spacing).astype(int))
    tissue = neuropil(shape, spacing, rng, texture)
    at = rng.uniform(0, 1, (2, BODIES, 3)) * size
    cells, bodies = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for light, places, least_um, bright in ((cells, at[0], 10, 1.0), (bodies, at[1], 8, 0.8)):
        for place in places:
            radii = np.full(3, 0.5 * rng.uniform(least_um, 20))
            add_ball(light, spacing, place, radii, bright * np.exp(rng.normal(0, 0.4)))
    for _ in range(VESSELS):
        add_fibre(bodies, spacing, size, rng, radius_um=rng.uniform(4, 9), bright=0.5)
    camera = Tissue(spacing_um=spacing_um)
    lit = BRIGHTNESS * illumination(camera, shape, rng)

    def expose_light(light, gain):
        blurred = ndimage.gaussian_filter(light, np.asarray(SHARP_PSF_UM) / spacing, truncate=3.0)
        return expose(camera, gain * lit * blurred, rng)

    signal = expose_light(tissue + bodies + cells, 1.0)
    other = expose_light(shared * (tissue + bodies) + leak * cells, exposure)
    return signal, other, at[0], at[1]


def shares(volume, background, cells, bodies):
    """Part of the somata, and of the bodies, that is found."""
    found = find_cells(volume, DetectionSettings(), background=background)
    at = found[["z_um", "y_um", "x_um"]].to_numpy()
    return [len(match(at, truth, WITHIN_UM)[0]) / len(truth) for truth in (cells, bodies)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for name, unlike in KINDS.items():
        spacing_um = unlike.get("spacing_um", (5.0, 2.0, 2.0))
        rows = []
        for k in range(options.seeds):
            signal, other, cells, bodies = make_channels(FIRST_SEED + k, **unlike)
            volume, background = volume_of(signal, spacing_um), volume_of(other, spacing_um)
            rows.append([shares(volume, b, cells, bodies) for b in (None, background)])
        alone, told = np.mean(rows, axis=0)
        print(
            f"{name:32s} somata found {alone[0]:.3f} alone, {told[0]:.3f} with the background; "
            f"bodies of both counted {alone[1]:.3f}, {told[1]:.3f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
