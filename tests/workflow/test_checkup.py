"""ketamap.workflow.checkup"""

import pytest

from ketamap.core.errors import MissingExtraError, ResourceError
from ketamap.workflow import doctor


def gpu_line(monkeypatch, answer):
    def describe():
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("ketamap.detect.gpu.describe_gpu", describe)
    (line,) = [line for line in doctor() if line.startswith("GPU: ")]
    return line


def test_a_gpu_is_named(monkeypatch):
    assert "Some GPU" in gpu_line(monkeypatch, "Some GPU, 6.0 of 8.0 GiB free")


@pytest.mark.parametrize("error", [MissingExtraError("no CuPy"), ResourceError("no device")])
def test_without_a_gpu_the_doctor_says_why_and_goes_on(monkeypatch, error):
    line = gpu_line(monkeypatch, error)
    assert "none is used" in line
    assert str(error) in line
