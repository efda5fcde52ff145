"""Detect with one tool in one volume, in whatever interpreter that tool is installed in.

Called by ``detection_peers.py``: reads ``image`` and ``spacing_um`` from an npz file, and writes
positions in um and CPU seconds for each setting to another. Imports nothing but the tool.
"""

import json
import sys

import numpy as np

SOMA_UM = 15.0
SOMATA_UM = (10.0, 20.0)
"""Diameters that blob_dog is to look for: those of the made-up somata."""


def ketamap(image, spacing_um, _setting):
    from ketamap.core.settings import DetectionSettings
    from ketamap.core.space import VoxelGrid
    from ketamap.core.volume import Volume
    from ketamap.detect import find_cells

    volume = Volume(data=image, grid=VoxelGrid(shape=image.shape, spacing_um=tuple(spacing_um)))
    return find_cells(volume, DetectionSettings())[["z_um", "y_um", "x_um"]].to_numpy()


def blob_dog(image, spacing_um, setting):
    """Scikit-image's; brightness is counted from the darkest to the brightest thousandth."""
    from skimage.feature import blob_dog as find

    low, high = np.quantile(image, (0.001, 0.999))
    scaled = ((image - low) / (high - low)).astype(np.float32)
    least, most = (0.5 * d / np.sqrt(3.0) / spacing_um for d in SOMATA_UM)
    found = find(scaled, min_sigma=list(least), max_sigma=list(most), **setting)
    return found[:, :3] * spacing_um


def cellfinder(image, spacing_um, setting):
    """Its detection alone, with the soma diameter that all tools are told."""
    from cellfinder.core.detect.detect import main

    cells = main(
        image,
        voxel_sizes=tuple(spacing_um),
        soma_diameter=SOMA_UM,
        torch_device="cpu",
        batch_size=1,  # one process beside this one; more planes at once change no cell
        **setting,
    )
    at = [(c.z, c.y, c.x) for c in cells if c.type != c.ARTIFACT]
    return np.array(at, float).reshape(-1, 3) * spacing_um


def cpu_seconds():
    """Of this process and its finished children."""
    import resource

    return sum(
        use.ru_utime + use.ru_stime
        for use in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


TOOLS = {"ketamap": ketamap, "blob_dog": blob_dog, "cellfinder": cellfinder}


def run():
    tool, source, target, settings = sys.argv[1:]
    with np.load(source) as held:
        image, spacing_um = held["image"], held["spacing_um"]
    find, out = TOOLS[tool], {}
    piece = image[:, :80, :80].copy()
    find(piece, spacing_um, {})
    out["start"] = cpu_seconds()  # imports, compilation and a small piece
    find(piece, spacing_um, {})
    out["fixed"] = cpu_seconds() - out["start"]  # what every call costs
    for k, setting in enumerate(json.loads(settings)):
        before = cpu_seconds()
        out[f"um_{k}"] = find(image, spacing_um, setting)
        out[f"cpu_{k}"] = cpu_seconds() - before
    np.savez(target, **out)


if __name__ == "__main__":
    run()
