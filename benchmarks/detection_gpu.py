"""Detection with filters on a GPU: what there is to gain, and what is gained where there is one.

Run ``python benchmarks/detection_gpu.py``; half a CPU-minute. Of 40 Mvoxel it prints CPU and wall
seconds of `find_cells` on the processor, beside a GPU that would take no time (its answer made
beforehand, by the GPU's code with NumPy), and on the GPU where CuPy and one are there; and whether
the cells are the same.
"""

import time

import numpy as np

from detection_tissue import Tissue, make_tissue
from detection_train import volume_of
from ketamap.core.errors import MissingExtraError, ResourceError
from ketamap.core.settings import DetectionSettings
from ketamap.detect import Resources, find_cells
from ketamap.detect.device import on_cpu
from ketamap.detect.gpu import ArrayDevice, describe_gpu, open_device
from ketamap.detect.scale import plan_filters

SEED = 100
REPEATS = 3


class NoTime:
    """A device that has filtered its only block beforehand."""

    def __init__(self, image, plan):
        by_numpy = ArrayDevice(
            xp=np, to_host=np.asarray, free_bytes=lambda: 2**50, give_back=lambda: None
        )
        self._shape, self._ready = image.shape, by_numpy(image, plan)

    def __call__(self, block, plan):
        del plan
        assert block.shape == self._shape, "the volume was cut: another block than that prepared"
        return self._ready


def timed(volume, device):
    """Cells, and the least CPU and wall seconds of some repeats after a first one."""
    resources = Resources(device=device)
    cells = find_cells(volume, DetectionSettings(), resources=resources)
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time(), time.perf_counter()
        find_cells(volume, DetectionSettings(), resources=resources)
        seconds.append((time.process_time() - start[0], time.perf_counter() - start[1]))
    return cells, *np.min(seconds, axis=0)


def main():
    tissue = Tissue()
    image, _ = make_tissue(tissue, SEED)
    volume = volume_of(image, tissue.spacing_um)
    plan = plan_filters(volume.grid, DetectionSettings().soma_diameter_um)
    devices = {"processor": on_cpu, "a GPU that takes no time": NoTime(image, plan)}
    try:
        devices[describe_gpu()] = open_device("gpu")
    except (MissingExtraError, ResourceError) as error:
        print(f"no GPU: {error}")
    first = None
    for name, device in devices.items():
        cells, cpu, wall = timed(volume, device)
        first = cells if first is None else first
        same = "the same" if cells.equals(first) else f"others than the {len(first)} of the first"
        print(f"{name}: {cpu:.3f} CPU-s, {wall:.3f} s; {len(cells)} cells, {same}")


if __name__ == "__main__":
    main()
