"""An atlas: which structure every place belongs to, and how structures nest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from ketamap.core.errors import InputError, StructureNotFoundError
from ketamap.core.space import VoxelGrid

OUTSIDE_BRAIN = 0
"""Region id of atlas voxels that belong to no structure."""

OUTSIDE_ATLAS = -1
"""Region id given to positions beyond the atlas volume (or nowhere, NaN)."""

HEMISPHERES = ("left", "right")
"""Values of every `hemisphere` column."""

NO_PARENT = 0
"""Parent id of the root."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Structures:
    """The tree of structures, parents before children (depth first).

    Raises
    ------
    InputError
        If ids or acronyms repeat, a parent is missing, or the tree has a loop.
    """

    ids: NDArray[np.int64]
    """Allen structure ids, shape ``(n,)``."""

    acronyms: tuple[str, ...]
    """One per id, unique."""

    names: tuple[str, ...]
    """One per id."""

    parent_ids: NDArray[np.int64]
    """Shape ``(n,)``; `NO_PARENT` for the root."""

    colors: NDArray[np.uint8]
    """Shape ``(n, 3)``, RGB."""

    _index: dict[int, int] = field(init=False, repr=False)
    _by_acronym: dict[str, int] = field(init=False, repr=False)
    _parents: NDArray[np.int64] = field(init=False, repr=False)
    _depths: NDArray[np.int64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index = {int(i): k for k, i in enumerate(self.ids)}
        if len(index) != len(self.ids) or len(set(self.acronyms)) != len(self.acronyms):
            msg = "Structure ids and acronyms must be unique."
            raise InputError(msg)
        orphans = sorted({int(p) for p in self.parent_ids} - set(index) - {NO_PARENT})
        if orphans:
            msg = f"Parents {orphans} of the structure tree are not in it."
            raise InputError(msg)
        parents = np.array([index.get(int(p), -1) for p in self.parent_ids], dtype=np.int64)
        object.__setattr__(self, "_index", index)
        object.__setattr__(self, "_by_acronym", {a: k for k, a in enumerate(self.acronyms)})
        object.__setattr__(self, "_parents", parents)
        object.__setattr__(self, "_depths", _depths(parents))

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, region_id: object) -> bool:
        return region_id in self._index

    @property
    def depths(self) -> NDArray[np.int64]:
        """Number of ancestors of each structure, shape ``(n,)``."""
        return self._depths

    def position(self, region_id: int) -> int:
        """Find the row of a structure.

        Raises
        ------
        StructureNotFoundError
            If the id is not in the tree.
        """
        try:
            return self._index[int(region_id)]
        except KeyError:
            msg = f"No structure has id {region_id} among the {len(self)} of this atlas."
            raise StructureNotFoundError(msg) from None

    def id_of(self, acronym: str) -> int:
        """Return the id of an acronym (case matters: Allen has both "SC" and "sc"-like pairs)."""
        try:
            return int(self.ids[self._by_acronym[acronym]])
        except KeyError:
            near = [a for a in self.acronyms if a.lower() == acronym.lower()]
            hint = f" Did you mean {near[0]}?" if near else ""
            msg = f"No structure has acronym {acronym!r} in this atlas.{hint}"
            raise StructureNotFoundError(msg) from None

    def acronym_of(self, region_id: int) -> str:
        """Return the acronym of an id."""
        return self.acronyms[self.position(region_id)]

    def name_of(self, region_id: int) -> str:
        """Return the full name of an id."""
        return self.names[self.position(region_id)]

    def parent_of(self, region_id: int) -> int:
        """Return the id of the parent, `NO_PARENT` for the root."""
        return int(self.parent_ids[self.position(region_id)])

    def ancestors(self, region_id: int) -> tuple[int, ...]:
        """Ids from the parent up to the root."""
        chain = []
        row = int(self._parents[self.position(region_id)])
        while row >= 0:
            chain.append(int(self.ids[row]))
            row = int(self._parents[row])
        return tuple(chain)

    def children(self, region_id: int) -> tuple[int, ...]:
        """Ids whose parent this is."""
        rows = np.flatnonzero(self._parents == self.position(region_id))
        return tuple(int(i) for i in self.ids[rows])

    def descendants(self, region_id: int) -> tuple[int, ...]:
        """Ids below this one, at any depth."""
        below: list[int] = []
        stack = list(self.children(region_id))
        while stack:
            child = stack.pop()
            below.append(child)
            stack.extend(self.children(child))
        return tuple(sorted(below, key=self.position))

    def rows_of(self, region_ids: ArrayLike) -> NDArray[np.int64]:
        """Row of each id, -1 where the id is not in the tree; any shape."""
        wanted = np.asarray(region_ids)
        order = np.argsort(self.ids)
        spot = np.clip(np.searchsorted(self.ids[order], wanted), 0, len(self) - 1)
        rows = order[spot]
        return np.where(self.ids[rows] == wanted, rows, -1)

    def roll_up(self, own: NDArray[Any]) -> NDArray[Any]:
        """Add descendants: ``own`` of shape ``(n, ...)`` to totals of the same shape."""
        total = np.array(own, copy=True)
        for row in np.argsort(-self._depths, kind="stable"):
            if self._parents[row] >= 0:
                total[self._parents[row]] += total[row]
        return total

    def peel(self, total: NDArray[Any]) -> NDArray[Any]:
        """Take children off: the inverse of `roll_up`."""
        own = np.array(total, copy=True)
        for row in range(len(self)):
            if self._parents[row] >= 0:
                own[self._parents[row]] -= total[row]
        return own


@dataclass(frozen=True, eq=False, kw_only=True)
class Atlas:
    """A reference brain, axes (ap, dv, ml), orientation "asr".

    Micrometres count from the outer corner of the volume: the centre of voxel i lies at
    (i + 0.5) x resolution, the same place at every resolution.
    """

    name: str
    """BrainGlobe's name, or ``phantom_mouse_<n>um``."""

    grid: VoxelGrid
    """Where the voxels are; its origin is half a voxel."""

    annotation: NDArray[np.int64]
    """Region id of each voxel, `OUTSIDE_BRAIN` outside."""

    template: NDArray[np.float32]
    """Reference image, same shape."""

    structures: Structures
    """The tree of the ids in `annotation`."""

    is_phantom: bool = False
    """Whether this is a made-up brain: for demonstrations and tests only."""

    citation: str = ""
    """Whom to cite."""

    def __post_init__(self) -> None:
        for label, image in (("annotation", self.annotation), ("template", self.template)):
            if image.shape != self.grid.shape:
                msg = f"Atlas {self.name}: {label} is {image.shape}, its grid {self.grid.shape}."
                raise InputError(msg)
        present = np.unique(np.concatenate([pd.unique(plane.ravel()) for plane in self.annotation]))
        unknown = present[(self.structures.rows_of(present) < 0) & (present != OUTSIDE_BRAIN)]
        if unknown.size:
            msg = f"Atlas {self.name}: ids {unknown[:5].tolist()} are not in its structure tree."
            raise InputError(msg)

    @property
    def midline_um(self) -> float:
        """Position of the midsagittal plane along ml, um."""
        return self.grid.origin_um[2] + 0.5 * (self.grid.shape[2] - 1) * self.grid.spacing_um[2]

    @property
    def brain_mask(self) -> NDArray[np.bool_]:
        """Voxels that belong to a structure."""
        return np.asarray(self.annotation != OUTSIDE_BRAIN)

    def regions_at(self, atlas_um: ArrayLike) -> NDArray[np.int64]:
        """Region id at each position, ``(n, 3)`` um; see `OUTSIDE_BRAIN`, `OUTSIDE_ATLAS`."""
        index, inside = self.grid.nearest_index(atlas_um)
        found = self.annotation[tuple(index.T)].astype(np.int64)
        return np.where(inside, found, OUTSIDE_ATLAS)

    def without(self, acronyms: Iterable[str]) -> Atlas:
        """Return the atlas without some structures and all that they hold.

        Their voxels belong to no structure then; tree and template stay as they are.
        """
        tree = self.structures
        roots = [tree.id_of(acronym) for acronym in acronyms]
        if not roots:
            return self
        lost = [i for root in roots for i in (root, *tree.descendants(root))]
        kept = np.where(np.isin(self.annotation, lost), OUTSIDE_BRAIN, self.annotation)
        return replace(self, annotation=kept.astype(self.annotation.dtype))

    def is_left(self, atlas_um: ArrayLike) -> NDArray[np.bool_]:
        """Whether positions lie in the left hemisphere, ``(n, 3)`` um.

        In orientation "asr" the ml axis starts on the right; the midline itself counts
        as left (it has no volume).
        """
        with np.errstate(invalid="ignore"):
            return np.asarray(np.asarray(atlas_um)[:, 2] >= self.midline_um)


def atlas_grid(shape: Iterable[int], resolution_um: Iterable[float]) -> VoxelGrid:
    """Return the grid of an atlas volume: origin half a voxel, counted from the outer corner."""
    a, b, c = (float(um) for um in resolution_um)
    z, y, x = (int(n) for n in shape)
    return VoxelGrid(shape=(z, y, x), spacing_um=(a, b, c), origin_um=(a / 2, b / 2, c / 2))


def _depths(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    depths = np.full(len(parents), -1, dtype=np.int64)
    for row in range(len(parents)):
        chain = []
        at = row
        while at >= 0 and depths[at] < 0:
            if at in chain:
                msg = "The structure tree has a loop."
                raise InputError(msg)
            chain.append(at)
            at = int(parents[at])
        base = depths[at] if at >= 0 else -1
        for step, link in enumerate(reversed(chain), start=1):
            depths[link] = base + step
    return depths
