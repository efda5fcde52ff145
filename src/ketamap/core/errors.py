"""Errors a user can act on.  Imports nothing from the package.

Every error raised on purpose derives from `KetamapError` and from the built-in it
resembles.  The message says what was asked, what there is and what to do; the command
line prints it without a traceback.  Arguments go to ``super().__init__`` unchanged, so
that an error survives the trip back from a worker process.
"""


class KetamapError(Exception):
    """Base of every error raised on purpose."""


class InputError(KetamapError, ValueError):
    """Something the user gave (a file's content, a setting) cannot be used."""


class MissingInputError(KetamapError, FileNotFoundError):
    """A file or folder the user named is not there."""


class ImageError(InputError):
    """An image has the wrong shape, type or content."""


class SpacingMismatchError(InputError):
    """The voxel spacing in a file contradicts the one the user declared.

    Parameters
    ----------
    path
        The image.
    declared_um
        Spacing the user gave, (z, y, x), in micrometres.
    stored_um
        Spacing the file states, (z, y, x), in micrometres.
    """

    def __init__(
        self,
        path: str,
        declared_um: tuple[float, ...],
        stored_um: tuple[float, ...],
    ) -> None:
        super().__init__(path, declared_um, stored_um)
        self.path, self.declared_um, self.stored_um = path, declared_um, stored_um

    def __str__(self) -> str:
        def triple(um: tuple[float, ...]) -> str:
            return ",".join(f"{v:g}" for v in um)

        return (
            f"{self.path}: --voxel-um says {triple(self.declared_um)} but the file says "
            f"{triple(self.stored_um)} (z, y, x, in um). Leave --voxel-um out to use the "
            f"file's, or correct the file's metadata."
        )


class AtlasNotFoundError(KetamapError, LookupError):
    """No atlas of that name can be opened."""


class StructureNotFoundError(KetamapError, LookupError):
    """A structure id or acronym is not in the atlas."""


class TableError(InputError):
    """A table lacks columns, has impossible values or counts the same cell twice."""


class DesignError(InputError):
    """The statistical design cannot be estimated or must not be."""


class RegistrationError(KetamapError, RuntimeError):
    """A brain could not be aligned, or was aligned so badly that it must not be used."""


class BalanceError(KetamapError, ArithmeticError):
    """The balance sheet of cells does not add up: a fault of the program."""


class MissingExtraError(KetamapError, ImportError):
    """A package of an optional extra is not installed."""


class ResourceError(KetamapError, OSError):
    """The disk, memory or GPU does not suffice for what was asked."""
