"""NumPy as if its arrays lay on a GPU: they cannot be mixed with arrays of the main memory."""

from types import SimpleNamespace

import numpy as np

from ketamap.detect.gpu import ArrayDevice


class Elsewhere(np.ndarray):
    """An array that lies elsewhere, as CuPy's do."""

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        arrays = [*inputs, *(out or ())]
        if any(isinstance(a, np.ndarray) and not isinstance(a, Elsewhere) for a in arrays):
            raise TypeError(f"{ufunc.__name__} of arrays here and elsewhere")
        if out is not None:
            kwargs["out"] = tuple(a.view(np.ndarray) for a in out)
        plain = [a.view(np.ndarray) if isinstance(a, Elsewhere) else a for a in inputs]
        result = getattr(ufunc, method)(*plain, **kwargs)
        return out[0] if out is not None else there(result)

    def __array_function__(self, func, types, args, kwargs):
        raise TypeError(f"numpy.{func.__name__} of an array elsewhere")


def there(result):
    return result.view(Elsewhere) if isinstance(result, np.ndarray) else result


def here(array):
    """Copy to the main memory."""
    assert isinstance(array, Elsewhere)
    return np.array(array.view(np.ndarray))


def _wrapped(function):
    def call(*args, **kwargs):
        plain = [a.view(np.ndarray) if isinstance(a, Elsewhere) else a for a in args]
        return there(function(*plain, **kwargs))

    return call


FUNCTIONS = ("pad", "zeros", "ones", "arange", "clip", "take", "flatnonzero")
"""What is asked of a library besides ``asarray`` and ``float32``."""

XP = SimpleNamespace(
    float32=np.float32,
    asarray=lambda array: np.array(array).view(Elsewhere),
    **{name: _wrapped(getattr(np, name)) for name in FUNCTIONS},
)


def device(free_bytes=lambda: 2**40, give_back=lambda: None):
    """Return a `Device` that runs the code of the GPU on the processor."""
    return ArrayDevice(xp=XP, to_host=here, free_bytes=free_bytes, give_back=give_back)
