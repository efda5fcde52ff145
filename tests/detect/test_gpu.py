"""ketamap.detect.gpu: what runs on a GPU, run on the processor; on a GPU where there is one"""

import importlib.machinery
import importlib.util
import sys
from dataclasses import replace
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ketamap.core.errors import ImageError, InputError, MissingExtraError, ResourceError
from ketamap.core.settings import DetectionSettings
from ketamap.detect import Resources, find_and_check, find_cells
from ketamap.detect.device import on_cpu
from ketamap.detect.gpu import describe_gpu, open_device
from tests.detect.elsewhere import device
from tests.detect.made import cell_image, found_um, spread_centres, volume_of

SCENES = {
    "unbinned": ((31, 57, 63), (5.0, 5.0, 5.0)),
    "binned": ((41, 95, 103), (5.0, 2.0, 2.0)),
    "odd bins": ((45, 71, 131), (4.0, 3.0, 1.4)),
    "coarse": ((19, 47, 53), (10.0, 5.0, 5.0)),
}
"""Shape, none a multiple of its bins, and voxel size of 15 um somata."""

IMAGES = [
    ("unbinned", np.uint8),
    ("unbinned", np.float64),
    ("binned", np.uint16),
    ("binned", ">u2"),
    ("odd bins", np.float32),
    ("coarse", np.uint16),
]


def tissue(name, dtype):
    """Somata, a dark and a saturated corner, and a background that shares their texture."""
    shape, um = SCENES[name]
    sigma = 4.0 / np.asarray(um)
    centres = spread_centres(shape, 60, least=2.5 * sigma.max(), margin=2)
    signal = cell_image(shape, centres, sigma=sigma, height=90.0, base=60.0)
    texture = cell_image(shape, [], sigma=sigma, noise=6.0, base=0.0, seed=5)
    signal, background = signal + texture, 40.0 + 2.0 * texture
    signal[:8, :20, :20], signal[-8:, -20:, -20:] = 0.0, 255.0
    return [
        volume_of(np.clip(image, 0.0, 255.0).astype(dtype), um) for image in (signal, background)
    ]


def cells_by(device_, signal, background=None, **more):
    resources = Resources(device=device_, **more)
    return find_cells(signal, DetectionSettings(), background=background, resources=resources)


@pytest.mark.parametrize(("scene", "dtype"), IMAGES)
def test_cells_are_those_of_the_processor_to_the_last_bit(scene, dtype):
    signal, background = tissue(scene, dtype)
    for other in (None, background):
        wanted = cells_by(on_cpu, signal, other)
        assert len(wanted) > 10
        pd.testing.assert_frame_equal(cells_by(device(), signal, other), wanted, check_exact=True)


def test_an_image_of_one_value_has_no_cells():
    flat = np.full((20, 30, 40), 65535, dtype=np.uint16)
    assert cells_by(device(), volume_of(flat, (5.0, 2.0, 2.0))).empty


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_not_finite_are_refused_with_their_channel(value):
    signal, background = tissue("unbinned", np.float32)
    background.data[3, 4, 5] = value
    with pytest.raises(ImageError, match=r"red light, voxels .*NaN or infinite"):
        cells_by(device(), signal, replace(background, name="red light"))


def test_planted_somata_are_found_alike():
    signal, _ = tissue("unbinned", np.uint16)
    with_spikes = [
        find_and_check(
            signal, DetectionSettings(spike_ins=10), resources=Resources(device=one)
        ).spikes
        for one in (on_cpu, device())
    ]
    pd.testing.assert_frame_equal(*with_spikes, check_exact=True)


def test_threads_wait_for_one_another_and_memory_is_given_back():
    busy, most, blocks = [], [], []

    def free_bytes():
        busy.append(1)
        most.append(len(busy))
        return 2**40

    def give_back():
        busy.pop()
        blocks.append(1)

    signal, _ = tissue("binned", np.uint16)
    one = device(free_bytes=free_bytes, give_back=give_back)
    found = cells_by(one, signal, workers=3)
    pd.testing.assert_frame_equal(found, cells_by(on_cpu, signal), check_exact=True)
    assert len(blocks) >= 3
    assert most == [1] * len(blocks)
    assert not busy


def test_too_little_memory_on_the_device_is_an_error_with_the_remedy():
    with pytest.raises(ResourceError, match=r"0\.00 GiB are free.*--memory"):
        cells_by(device(free_bytes=lambda: 1000), tissue("binned", np.uint16)[0])


def test_the_processor_needs_nothing():
    assert open_device("cpu") is on_cpu


def test_another_device_is_refused():
    with pytest.raises(InputError, match="--device must be cpu or gpu, got 'cuda'"):
        open_device("cuda")


def test_without_cupy_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("ketamap.detect.gpu.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"not installed.*pip install 'ketamap\[gpu\]'"):
        open_device("gpu")


def test_a_cupy_that_cannot_be_imported_is_not_called_missing(monkeypatch, tmp_path):
    (tmp_path / "cupy").mkdir()
    (tmp_path / "cupy" / "__init__.py").write_text("raise ImportError('no libcufft')\n")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"cannot be imported \(no libcufft\)"):
        open_device("gpu")


class CudaError(RuntimeError):
    pass


@pytest.fixture
def cupy(monkeypatch):
    """Return a CuPy with a GPU of 8 GiB, to be changed."""
    fake = ModuleType("cupy")
    fake.__spec__ = importlib.machinery.ModuleSpec("cupy", None)
    fake.__version__ = "14.2.0"
    fake.asnumpy = np.asarray
    fake.get_default_memory_pool = lambda: SimpleNamespace(free_all_blocks=lambda: None)
    fake.cuda = SimpleNamespace(
        runtime=SimpleNamespace(
            CUDARuntimeError=CudaError,
            getDeviceCount=lambda: 1,
            getDeviceProperties=lambda number: {"name": b"Some GPU"},
            memGetInfo=lambda: (6 * 2**30, 8 * 2**30),
        ),
        nvrtc=SimpleNamespace(getVersion=lambda: (12, 9)),
    )
    monkeypatch.setitem(sys.modules, "cupy", fake)
    return fake


def failing(error):
    def fail():
        raise error

    return fail


def test_a_gpu_is_named_with_its_memory(cupy):
    assert describe_gpu() == "Some GPU, 6.0 of 8.0 GiB free, CuPy 14.2.0"
    assert open_device("gpu").free_bytes() == 6 * 2**30


def test_a_gpu_that_does_not_answer_is_an_error_that_says_so(cupy):
    cupy.cuda.runtime.memGetInfo = failing(CudaError("uncorrectable ECC error"))
    with pytest.raises(ResourceError, match=r"cannot use it \(uncorrectable ECC"):
        describe_gpu()


@pytest.mark.parametrize("count", [lambda: 0, failing(CudaError("driver too old"))])
def test_no_gpu_is_an_error_that_says_so(cupy, count):
    cupy.cuda.runtime.getDeviceCount = count
    for ask in (describe_gpu, lambda: open_device("gpu")):
        with pytest.raises(ResourceError, match=r"finds no GPU \((it counts 0|driver too old)"):
            ask()


def test_a_missing_compiler_is_an_error_that_says_so(cupy):
    cupy.cuda.nvrtc.getVersion = failing(RuntimeError("no libnvrtc"))
    with pytest.raises(ResourceError, match=r"compiler.*no libnvrtc.*pip install"):
        open_device("gpu")


def real_gpu():
    """Return the GPU as a device; skip, with the reason, where CuPy or a GPU is not there."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed (pip install 'ketamap[gpu]')")
    import cupy

    try:
        cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        pytest.skip(f"CuPy {cupy.__version__} is installed but finds no GPU ({error})")
    return open_device("gpu")


@pytest.mark.parametrize(("scene", "dtype"), IMAGES)
def test_a_gpu_finds_the_cells_of_the_processor(scene, dtype):
    gpu = real_gpu()
    signal, background = tissue(scene, dtype)
    wanted = cells_by(on_cpu, signal, background)
    found = cells_by(gpu, signal, background, workers=2)
    assert len(found) == len(wanted)  # some 50: one of them is more than .1 %
    np.testing.assert_allclose(found_um(found), found_um(wanted), atol=0.01)
    np.testing.assert_allclose(found.score, wanted.score, atol=0.01)
