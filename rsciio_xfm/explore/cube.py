"""The cache of a map: images of any window and spectra of any region, without the file.

It holds the same counts as the file in another order, losslessly: planes of each channel, and
spectra of blocks of pixels. It is made in one pass, in the user's cache folder.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.array import FileArray, Range
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.explore.cube_border import Border, add_border, check_cancel
from rsciio_xfm.explore.cube_chunks import ChunkReader, DamagedError
from rsciio_xfm.explore.cube_identity import Identity, are_current
from rsciio_xfm.explore.cube_layout import GROUP, Layout, change_window, split_window
from rsciio_xfm.explore.cube_making import Watch, fill, read_summary
from rsciio_xfm.explore.cube_pixels import add_kept
from rsciio_xfm.explore.cube_planes import PlaneAdder
from rsciio_xfm.explore.cube_store import (
    CacheFullError,
    CacheLostError,
    CubeError,
    Place,
    Room,
    discard,
    is_full,
    is_small,
    is_suited,
    make_room,
    sizes_of,
    touch,
    unsuited,
)
from rsciio_xfm.kernels.cubes import add_chosen, count_blocks

__all__ = [
    "CacheFullError",
    "CacheLostError",
    "Cube",
    "CubeError",
    "find",
    "is_small",
    "is_suited",
    "make",
    "unsuited",
]

_ATTEMPTS = 3  # to make a cache whose parts turn out to be damaged


@dataclass(frozen=True)
class Cube:
    """The cache of one map, which is finished and only read.

    It holds no open file: it can be pickled, and used by any number of threads and processes.

    Attributes
    ----------
    folder
        Where it lies.
    layout
        How.
    files
        What it was made of: name, size (bytes), and times of modification and of change (ns).
    """

    folder: Path
    layout: Layout
    files: tuple[tuple[str, int, int, int], ...]

    @property
    def n_bytes(self) -> int:
        """Of the cache on the disk."""
        return sum(sizes_of(self.folder).values())

    def is_current(self) -> bool:
        """Tell whether the map's file is still what the cache was made of."""
        return are_current([list(file) for file in self.files])

    def image(
        self,
        first: int,
        stop: int,
        cancel: Any = None,
        step: int = 1,
        made: tuple[Range, np.ndarray] | None = None,
    ) -> np.ndarray:
        """Sum the channels of a window for each pixel, or for blocks of pixels.

        Parameters
        ----------
        first, stop
            Channels of the window, half-open.
        cancel
            A callable that returns True, or an event with ``is_set()``, to stop.
        step
            Pixels along a side of a block.
        made
            Another window and its image, in blocks of the same size: what both have is not
            read again.

        Returns
        -------
        numpy.ndarray
            Shape (rows, columns), what :func:`rsciio_xfm.analysis.maps.window_images` returns
            for the window; of blocks their sums, shape (ceil(rows / step),
            ceil(columns / step)).

        Raises
        ------
        ValueError
            The window is empty or beyond the channels.
        CacheLostError
            The cache is damaged, or was deleted.
        rsciio_xfm.exceptions.PassCancelledError
            `cancel` said so.
        """
        layout = self.layout
        if not 0 <= first < stop <= layout.shape[2]:
            raise ValueError(
                f"A window is {first} to {stop}, expected first < stop within 0 and "
                f"{layout.shape[2]}, the number of channels."
            )
        most = np.iinfo(layout.dtype).max * (stop - first) * step**2
        dtype = np.uint32 if most < 2**32 else np.uint64
        planes = split_window(layout, first, stop)
        image, others = None, None
        if made is not None and made[0][0] < stop and first < made[0][1]:
            others = change_window(layout, made[0], (first, stop))
        if made is not None and others is not None and len(others) < len(planes):
            planes, image = others, made[1].astype(dtype)
        if image is None:
            shape = [-(-size // step) for size in layout.shape[:2]]
            image = np.zeros(shape, dtype=dtype)
        with self.opened() as reader:
            adder = PlaneAdder(reader, layout, planes, image, step)
            for cell in range(layout.n_cells if planes else 0):
                check_cancel(cancel)
                adder.add(cell)
        return image

    def overview(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the image of all counts, and the sum and the maximum of all spectra.

        Returns
        -------
        counts : numpy.ndarray
            uint64, shape (rows, columns).
        total : numpy.ndarray
            uint64, shape (channels,).
        highest : numpy.ndarray
            Of the type of the map, shape (channels,).

        Raises
        ------
        CacheLostError
            The cache is damaged, or was deleted.
        """
        layout = self.layout
        image = np.zeros(layout.shape[:2], dtype=np.uint64)
        spectra = np.zeros((2, layout.shape[2]), dtype=np.uint64)
        with self.opened() as reader:
            for cell in range(layout.n_cells):
                counts, own = read_summary(reader, layout, cell)
                image[tuple(slice(*ends) for ends in layout.place(cell))] = counts
                spectra[0] += own[0]
                np.maximum(spectra[1], own[1], out=spectra[1])
        return image, spectra[0], spectra[1].astype(layout.dtype)

    def spectrum(
        self,
        mask: np.ndarray,
        source: FileArray | None = None,
        exact: bool = True,
        cancel: Any = None,
    ) -> np.ndarray:
        """Sum the spectra of a region.

        Parameters
        ----------
        mask
            bool, shape (rows, columns).
        source
            The map, of which the pixels at the border of the region are read, if the cache
            does not have them.
        exact
            If not, of each block of pixels at the border its share is taken.
        cancel
            A callable that returns True, or an event with ``is_set()``, to stop.

        Returns
        -------
        numpy.ndarray
            Shape (channels,): uint64, what :func:`rsciio_xfm.analysis.maps.region_spectra`
            returns for the region; float64 if it is not exact.

        Raises
        ------
        ValueError
            The mask is none of the map, or there is no source for an exact answer.
        CacheLostError
            The cache is damaged, or was deleted.
        CorruptFileError
            The file was changed.
        rsciio_xfm.exceptions.PassCancelledError
            `cancel` said so.
        """
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != self.layout.shape[:2]:
            raise ValueError(
                f"A region is an array of {mask.dtype}, shape {mask.shape}, expected a "
                f"boolean one of shape {self.layout.shape[:2]}."
            )
        if exact and source is None:
            raise ValueError("An exact spectrum needs the source, expected the map.")
        shares = _shares_of(mask, self.layout)
        if not exact:
            total = np.zeros(self.layout.shape[2], dtype=np.float64)
            self._add_blocks(shares, total)
            return total
        # Of a block that is mostly inside, what is outside is taken away again.
        is_taken = shares > 0.5
        summed = np.zeros(self.layout.shape[2], dtype=np.uint64)
        self._add_blocks(is_taken.astype(np.uint64), summed)
        if source is not None:
            is_border = (shares > 0) & (shares < 1)
            border = Border(mask, is_border, is_taken, self.layout.block, cancel)
            if self.layout.keeps_pixels and is_border.any():
                border = replace(border, is_border=self._add_kept(border, summed))
            add_border(source, border, summed)
        return summed

    def _add_kept(self, border: Border, total: np.ndarray) -> np.ndarray:
        """Add the pixels of a border that are kept; return at which blocks others are left."""
        if not self.is_current():
            raise CorruptFileError(
                f"{self.files[0][0]}: the file was changed since its map was cached (byte 0). "
                "Load it again."
            )
        with self.opened() as reader:
            return add_kept(reader, self.layout, border, total)

    def _add_blocks(self, weights: np.ndarray, total: np.ndarray) -> None:
        """Add blocks, by their weights; of whole fields, what is kept of them."""
        layout = self.layout
        if not weights.any():
            return
        weights = weights.copy()
        with self.opened() as reader:
            for spectra, chosen in self._fields_in(reader, weights):
                add_chosen(spectra, chosen, total)
            for spectra, chosen in self._tiles_in(reader, weights):
                add_chosen(spectra.reshape(-1, layout.shape[2]), chosen, total)

    def _fields_in(
        self, reader: ChunkReader, weights: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield spectra of fields, and weights of those that are full; leave them out then."""
        full = _full_fields(weights)
        for number, row, columns in self.layout.field_chunks():
            chosen = full[row, slice(*columns)]
            if not chosen.any():
                continue
            shape = (columns[1] - columns[0], self.layout.shape[2])
            spectra = reader.chunk(number, shape)
            if spectra is not None:
                yield spectra, chosen.astype(weights.dtype)
        for row, column in np.argwhere(full).tolist():
            weights[row * GROUP :, column * GROUP :][:GROUP, :GROUP] = 0

    def _tiles_in(
        self, reader: ChunkReader, weights: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield spectra of tiles of blocks, and the weights of these."""
        layout = self.layout
        (down, across), (tall, wide) = layout.cell_blocks, layout.tile
        rows, columns = np.nonzero(weights)
        cells = rows // down * layout.grid[1] + columns // across
        tiles = rows % down // tall * layout.tiles[1] + columns % across // wide
        for number in np.unique(cells * math.prod(layout.tiles) + tiles).tolist():
            cell, tile = divmod(number, math.prod(layout.tiles))
            row, column = divmod(cell, layout.grid[1])
            own = weights[row * down :, column * across :]
            chosen = own[tuple(slice(*r) for r in layout.tile_place(cell, tile))]
            chunk = cell * layout.n_chunks + layout.first_tile + tile
            spectra = reader.chunk(chunk, (*chosen.shape, layout.shape[2]))
            if spectra is not None:
                yield spectra, chosen.reshape(-1)

    @contextlib.contextmanager
    def opened(self) -> Iterator[ChunkReader]:
        """Open the cache for a while; throw it away if it is damaged.

        Raises
        ------
        CacheLostError
            It is damaged, or was deleted.
        """
        touch(self.folder)
        reader = ChunkReader(self.folder)
        try:
            with reader:
                yield reader
        except (DamagedError, OSError) as exc:
            if not reader.is_replaced():  # another may have made it anew meanwhile
                discard(self.folder)
            raise CacheLostError(
                f"{self.folder}: the cache of the map is damaged or was deleted ({exc}). It "
                "is made anew."
            ) from exc


def find(source: FileArray) -> Cube | None:
    """Return the finished cache of a map, if there is one.

    Parameters
    ----------
    source
        The map.

    Returns
    -------
    Cube or None
        None also of a map whose file was changed since it was opened.
    """
    if unsuited(source):
        return None
    try:
        place = Place.of(source)
    except (CorruptFileError, OSError):
        return None
    return _find(place)


def _find(place: Place) -> Cube | None:
    try:
        is_finished = place.is_finished()
    except (OSError, RuntimeError):  # there may be no home
        return None
    if not is_finished:
        return None
    touch(place.folder)
    return Cube(place.folder, place.layout, place.identity.files)


def make(
    source: FileArray,
    *,
    progress: Callable[[int, int], Any] | None = None,
    cancel: Any = None,
    overview: Callable[[int, np.ndarray, np.ndarray, np.ndarray], Any] | None = None,
) -> Cube:
    """Make the cache of a map in one pass, or what is left of it, or wait for who makes it.

    Parameters
    ----------
    source
        The map.
    progress
        Called as ``progress(done, of)``, strips of rows (or cells of a map with long rows).
    cancel
        A callable that returns True, or an event with ``is_set()``, to stop. What is made is
        kept, and gone on with next time.
    overview
        Called as ``overview(rows_done, counts, total, highest)`` strip by strip: how many rows
        are done; the image of all counts of the rows that are new, ``(new rows, columns)``,
        uint64; and the sum (uint64) and the maximum of all spectra so far. Of what is made
        already it is called at once.

    Returns
    -------
    Cube
        The cache.

    Raises
    ------
    CubeError
        The map does not suit one, or the user wants none.
    CacheFullError
        There is no room for it.
    rsciio_xfm.exceptions.PassCancelledError
        `cancel` said so.
    CorruptFileError
        The file is damaged, or was changed.
    """
    reason = unsuited(source)
    if reason:
        raise CubeError(reason)
    place = Place.of(source)
    place.identity.wait_until_settled()
    place = Place.of(source)
    watch = Watch(place.layout, progress, cancel, overview)
    for _ in range(_ATTEMPTS):
        try:
            return _get(source, place, watch)
        except CacheLostError:
            continue
        except OSError as exc:
            if not str(exc.filename).startswith(str(place.part)):
                raise  # of the map's own file
            raise CubeError(f"The cache of the map cannot be written: {exc}.") from exc
    raise CubeError(f"{place.folder}: what is written there is damaged again and again.")


def _get(source: FileArray, place: Place, watch: Watch) -> Cube:
    """Find, make or wait for a cache.

    Raises
    ------
    CacheLostError
        It is damaged; it was deleted.
    """
    while True:
        found = _find(place)
        if found is not None:
            with found.opened() as reader:
                watch.see(reader, place.layout.n_cells)
            return found
        _prepare(place)
        with place.claimed() as is_mine:
            if is_mine and _find(place) is None:
                _make(source, place, watch)
            elif is_mine:  # by another, a moment ago
                discard(place.part)
        if not is_mine:
            _follow(place, watch)


def _prepare(place: Place) -> None:
    try:
        place.part.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as exc:
        if is_full(exc):
            raise Room.full() from exc
        raise CubeError(f"The cache of the map cannot be written: {exc}.") from exc


def _make(source: FileArray, place: Place, watch: Watch) -> None:
    """Make a cache that this thread claimed; what is no use any more is deleted."""
    try:
        fill(source, place, watch)
        if Identity.of(source) != place.identity:
            raise CorruptFileError(
                f"{place.identity.files[0][0]}: the file was changed while its map was "
                "cached (byte 0). Load it again."
            )
        place.finish()
    except DamagedError as exc:
        discard(place.part)
        raise CacheLostError(f"{place.part}: the cache is damaged ({exc}).") from exc
    except (CubeError, CorruptFileError):
        discard(place.part)
        raise
    except OSError as exc:
        if is_full(exc):
            discard(place.part)
            raise Room.full() from exc
        if not place.part.exists():
            raise CacheLostError(f"{place.part}: the folder was deleted.") from exc
        raise
    make_room(place.identity.name, sum(sizes_of(place.folder).values()))


def _follow(place: Place, watch: Watch) -> None:
    """Look at what another makes, and wait a little."""
    with contextlib.suppress(DamagedError, OSError), ChunkReader(place.part) as reader:
        watch.see(reader, reader.count_finished(place.layout)[0])
    watch.wait()


# Blocks of a region ----------------------------------------------------------------------


def _shares_of(mask: np.ndarray, layout: Layout) -> np.ndarray:
    """Return which share of each block of pixels is inside a region."""
    counts = np.zeros(layout.blocks, dtype=np.int64)
    count_blocks(mask, layout.block, counts)
    sizes = [
        np.diff(np.minimum(np.arange(n + 1) * step, size))
        for n, step, size in zip(layout.blocks, layout.block, mask.shape, strict=True)
    ]
    return counts / np.outer(*sizes)


def _full_fields(weights: np.ndarray) -> np.ndarray:
    full: np.ndarray = weights == 1
    for axis in range(2):
        edges = np.arange(0, weights.shape[axis], GROUP)
        full = np.logical_and.reduceat(full, edges, axis=axis)
    return full
