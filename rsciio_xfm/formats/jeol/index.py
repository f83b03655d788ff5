"""The index of a ``.pts`` stream: where each row of each frame begins, and its clock.

One pass over the stream, in bounded memory, finds the rows, and counts on the way what else is
wanted: the sum spectrum, the counts of each pixel, of which the type of the map's integers is
chosen, the ticks of real and live time of each row, and words of which nobody knows what they
mean.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rsciio_xfm.core.cache import Entry
from rsciio_xfm.core.config import BLOCK_BYTES
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.runs import FileBytes
from rsciio_xfm.core.source import little_endian
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.jeol.kernels import LOST, NOWHERE, index_block
from rsciio_xfm.formats.jeol.layout import (
    EVENT,
    IMAGE,
    KIND_SHIFT,
    LIVE,
    N_CHANNELS,
    N_VALUES,
    REAL,
    VALUE,
    WORD,
    X,
    Y,
)
from rsciio_xfm.formats.jeol.parse import Header

# To be changed whenever an index of an older version must not be used.
_CACHE_KIND = "jeol-1"
_BYTES = WORD.itemsize
_N_KINDS = 16
_KNOWN = (REAL, LIVE, X, Y, IMAGE, EVENT)
# An image of the map may have _LEAST_BYTES, however small the file is; a larger one at most
# _MOST_TIMES the bytes of the file.
_LEAST_BYTES = 2**26
_MOST_TIMES = 16


@dataclass(frozen=True, eq=False)
class Index:
    """The rows of a stream, in the order of the file, and what was counted.

    Attributes
    ----------
    start
        int64: byte at which each row begins, with the word of its position.
    position
        uint16: of each row, from 0 to 4095.
    last
        int16: position of the last column of a row of which something is stored, or -1.
    ticks
        uint32, shape (rows of the stream, 2): ticks of real and live time.
    pixels
        uint32, shape (n_rows, n_columns): counts of all frames.
    total
        uint64, shape (4096,): the sum of all spectra.
    kinds, strange
        int64, shape (16,): how many words of each kind there are, and of how many nobody
        knows what they mean.
    columns, rows
        int32, shape (4096,): column and row of each position, -1 outside of the map.
    facts
        int64: X-rays without a place in the map, byte of the first of them, byte of the first
        word that is not known, and where the stream ends.
    """

    start: np.ndarray
    position: np.ndarray
    last: np.ndarray
    ticks: np.ndarray
    pixels: np.ndarray
    total: np.ndarray
    kinds: np.ndarray
    strange: np.ndarray
    columns: np.ndarray
    rows: np.ndarray
    facts: np.ndarray

    @property
    def stop(self) -> int:
        """Byte at which the last whole word ends."""
        return int(self.facts[-1])

    @property
    def length(self) -> np.ndarray:
        """Bytes of each row."""
        return np.diff(self.start, append=self.stop)

    @property
    def has_image(self) -> bool:
        """Whether there is an electron signal."""
        return bool(self.kinds[IMAGE])

    @property
    def has_clock(self) -> bool:
        """Whether there are ticks of real time."""
        return bool(self.kinds[REAL] > self.strange[REAL])


def read_index(header: Header, cache: bool) -> Index:
    """Index the stream of a file, or take the index that was kept of it.

    Parameters
    ----------
    header
        Of the file.
    cache
        Whether an index may be taken from, and kept in, the user's cache.

    Raises
    ------
    FileFormatError
        The map would have far more pixels than the file can fill.

    Warns
    -----
    UserWarning
        There are words that are not known, X-rays without a place in the map, or positions
        that are not those of its pixels.
    """
    shape = header.n_rows, header.n_columns
    n_bytes = header.n_rows * header.n_columns * np.dtype(np.uint32).itemsize
    if n_bytes > max(_LEAST_BYTES, _MOST_TIMES * header.source.size):
        raise FileFormatError(
            f"{header.source.name}: the map has {shape} pixels, in a file of "
            f"{header.source.size} bytes, expected fewer (byte {header.start})."
        )
    if cache:
        entry = Entry.of(_CACHE_KIND, header.source, shape, header.start)
        index = entry.get_or_make(
            lambda: build_index(header), vars, lambda found: _unpack(found, header)
        )
    else:
        index = build_index(header)
    _warn_of(index, header)
    return index


def _unpack(found: dict[str, np.ndarray], header: Header) -> Index | None:
    """Make an index of what was kept, unless it cannot be that of the stream."""
    index = Index(**found)
    n, lookup = len(index.start), (np.int32, (N_VALUES,))
    expected: dict[str, tuple[Any, tuple[int, ...]]] = {
        "start": (np.int64, (n,)),
        "position": (np.uint16, (n,)),
        "last": (np.int16, (n,)),
        "ticks": (np.uint32, (n, 2)),
        "pixels": (np.uint32, (header.n_rows, header.n_columns)),
        "total": (np.uint64, (N_CHANNELS,)),
        "kinds": (np.int64, (_N_KINDS,)),
        "strange": (np.int64, (_N_KINDS,)),
        "columns": lookup,
        "rows": lookup,
        "facts": (np.int64, (4,)),
    }
    for name, (dtype, size) in expected.items():
        held = getattr(index, name)
        if held.dtype != dtype or held.shape != size:
            return None
    bounds = np.concatenate(([header.start], index.start, [index.stop]))
    sizes = ((index.columns, header.n_columns), (index.rows, header.n_rows))
    is_sound = np.all(np.diff(bounds) >= 0) and index.stop <= header.source.size
    is_sound &= all(t.min() >= NOWHERE and t.max() < size for t, size in sizes)
    is_sound &= bool(np.all(index.position < N_VALUES) and np.all(index.last < N_VALUES))
    return index if is_sound else None


class _Found(NamedTuple):
    """What is known so far, see :class:`Index`; of the rows those of a block."""

    start: np.ndarray
    position: np.ndarray
    last: np.ndarray
    ticks: np.ndarray
    pixels: np.ndarray
    total: np.ndarray
    kinds: np.ndarray
    strange: np.ndarray
    columns: np.ndarray
    rows: np.ndarray
    state: np.ndarray


def _new_rows(n: int) -> tuple[np.ndarray, ...]:
    return (
        np.zeros(n, dtype=np.int64),
        np.zeros(n, dtype=np.uint16),
        np.full(n, NOWHERE, dtype=np.int16),
        np.zeros((n, 2), dtype=np.uint32),
    )


def build_index(header: Header) -> Index:
    """Index the stream of a file in one pass of bounded memory; see :func:`read_index`."""
    start = header.start
    stop = start + (header.source.size - start) // _BYTES * _BYTES
    raw = np.empty(min(BLOCK_BYTES, stop - start), dtype=np.uint8)
    found: _Found | None = None
    held: list[tuple[np.ndarray, ...]] = []
    opened = _new_rows(1)  # the row that is not over; before the first one, none
    with (
        FileBytes(header.source).opened() as read,
        bytes_bar(stop - start, "Indexing the map") as bar,
    ):
        for at in range(start, stop, BLOCK_BYTES):
            part = raw[: stop - at]
            read(np.array([at]), np.array([at + part.size]), part)
            values = little_endian(part, np.uint16)
            found = found or _first_found(header, values)
            n_rows = int(np.count_nonzero(values >> KIND_SHIFT == Y))
            found = _Found(*_new_rows(n_rows + 1), *found[4:])  # type: ignore[call-arg]
            for new, old in zip(found[:4], opened, strict=True):
                new[:1] = old
            index_block(values, at, found)
            held.append(tuple(array[:-1] for array in found[:4]))
            opened = tuple(array[-1:].copy() for array in found[:4])
            bar.update(part.size)
    found = found or _first_found(header, np.empty(0, np.uint16))
    held.append(opened)
    rows = (np.concatenate(parts)[1:] for parts in zip(*held, strict=True))
    facts = np.array([*found.state[LOST:], stop], dtype=np.int64)
    return Index(*rows, *found[4:-1], facts)  # type: ignore[call-arg]


def _first_found(header: Header, values: np.ndarray) -> _Found:
    columns, rows = find_places(header, values)
    shape = header.n_rows, header.n_columns
    state = np.array([NOWHERE, NOWHERE, 0, 0, 0], dtype=np.int64)
    return _Found(  # type: ignore[call-arg]
        *_new_rows(0),
        np.zeros(shape, dtype=np.uint32),
        np.zeros(N_CHANNELS, dtype=np.uint64),
        np.zeros(_N_KINDS, dtype=np.int64),
        np.zeros(_N_KINDS, dtype=np.int64),
        columns,
        rows,
        state,
    )


def find_places(header: Header, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which column and row each of the 4096 positions is.

    Parameters
    ----------
    header
        Of the file.
    values
        Words from the beginning of the stream.

    Returns
    -------
    columns, rows : numpy.ndarray
        int32, shape (4096,); -1 outside of the map.

    Notes
    -----
    Positions run from 0 to 4095 over each axis, whatever the size of the map. Of a map that is
    not square, they could also run over its longer axis only, with the same step along both:
    those that are in the file tell.
    """
    sizes = header.n_columns, header.n_rows
    seen = [np.unique(values[values >> KIND_SHIFT == kind] & VALUE) for kind in (X, Y)]
    tables = []
    for size, other, positions in zip(sizes, sizes[::-1], seen, strict=True):
        table, same = _places(size, N_VALUES / size), _places(size, N_VALUES / other)
        if not _fits(positions, table, N_VALUES / size):
            if _fits(positions, same, N_VALUES / other):
                table = same
            else:
                warn(
                    f"{header.source.name}: the positions {positions[:4].tolist()}, ... are "
                    f"not those of {size} pixels, one in {N_VALUES / size:g}: X-rays are "
                    f"counted in the pixel that each is in (byte {header.start})."
                )
        tables.append(table)
    return tables[0], tables[1]


def _places(size: int, step: float) -> np.ndarray:
    """Return the pixel of each position: it begins there, or next to it if that is broken."""
    places = np.arange(N_VALUES) / step
    found = np.floor(places) if step.is_integer() else np.round(places)
    found[found >= size] = NOWHERE
    return found.astype(np.int32)


def _fits(positions: np.ndarray, table: np.ndarray, step: float) -> bool:
    """Tell whether all positions are those of pixels."""
    pixels = table[positions]
    off = np.abs(positions - pixels * step)
    return bool(np.all(pixels >= 0) and np.all(off < 1))


def _warn_of(index: Index, header: Header) -> None:
    """Say what of a stream is not read."""
    name, (n_lost, lost_at, strange_at, _) = header.source.name, index.facts.tolist()
    if n_lost:
        warn(
            f"{name}: {n_lost} X-rays have no position within the map of {header.n_rows} rows "
            f"and {header.n_columns} columns: they are left out (byte {lost_at}, the first)."
        )
    if index.strange.any():
        kinds = np.flatnonzero(index.strange)
        found = ", ".join(f"{index.strange[kind]} of kind 0x{kind:X}" for kind in kinds)
        values = " or have a value" if set(kinds) & set(_KNOWN) else ""
        warn(
            f"{name}: words of the stream are not known{values}: {found} (byte {strange_at}, "
            "the first). They are left out."
        )
