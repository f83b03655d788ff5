"""Going through a map once, piece by piece, whatever holds it."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.system import CPU_COUNT

from rsciio_xfm.core.array import PIECE_BYTES, FileArray, Range
from rsciio_xfm.core.source import workplace
from rsciio_xfm.core.to_dask import source_of, split_rows

_COMBINED_AT_ONCE = 8  # results, each of them in memory

Pieces = Iterable[tuple[tuple[Range, ...], np.ndarray]]


def over_pieces(
    data: np.ndarray | da.Array,
    consume: Callable[[Pieces, tuple[Range, ...]], Any],
    combine: Callable[[list[Any]], Any],
) -> Any:
    """Give each part of a map to a function, all of them in one pass, and combine.

    Parameters
    ----------
    data
        Channels along the last axis. If it is the whole of an array-like over a file,
        the file is read piece by piece and no chunk of the array is built.
    consume
        Called with the pieces of a part, as :meth:`FileArray.pieces` yields them, and the
        ranges of the part. It can be pickled, and what it returns too.
    combine
        Makes one result of several, in any grouping.

    Returns
    -------
    Any
        Computed, with dask's scheduler if `data` is a dask array.

    Raises
    ------
    TypeError
        The array is masked.
    """
    if isinstance(getattr(data, "_meta", data), np.ma.MaskedArray):
        raise TypeError(
            "The array is masked, expected a plain one: its masked numbers would be added "
            "up too. Fill them, as with numpy.ma.filled."
        )
    if not isinstance(data, da.Array):
        return _over_array(data, consume, combine)
    source = source_of(data)
    if source is not None:
        results = _consume_file(source, consume)
    else:
        results = _consume_blocks(data, consume)
    merge = dask.delayed(combine)
    while len(results) > 1:
        groups = range(0, len(results), _COMBINED_AT_ONCE)
        results = [merge(results[i : i + _COMBINED_AT_ONCE]) for i in groups]
    return results[0].compute()


def join(results: list[list]) -> list:
    """Combine lists of what each part gave, for :func:`over_pieces`."""
    return [part for parts in results for part in parts]


def _over_array(data: np.ndarray, consume: Callable, combine: Callable) -> Any:
    n_rows = len(data)
    n_parts = max(1, min(n_rows, math.ceil(data.nbytes / (4 * PIECE_BYTES))))
    edges = [n_rows * i // n_parts for i in range(n_parts + 1)]
    rest = [(0, size) for size in data.shape[1:]]

    def run(part: int) -> Any:
        ranges = ((edges[part], edges[part + 1]), *rest)
        return consume(_pieces_of(data[ranges[0][0] : ranges[0][1]], ranges), ranges)

    with ThreadPoolExecutor(CPU_COUNT) as executor:
        return combine(list(executor.map(run, range(n_parts))))


def _consume_file(source: FileArray, consume: Callable) -> list[Any]:
    axis = source.row_axis()
    edges = split_rows(source)
    # One object each in the graph, however many tasks.
    shared = dask.delayed(source, traverse=False)
    consume = dask.delayed(consume, traverse=False)
    run = dask.delayed(_consume_part)
    results = []
    for start, stop in itertools.pairwise(edges):
        whole = [(0, size) for size in source.shape]
        whole[axis] = (start, stop)
        results.append(run(shared, consume, tuple(whole)))
    return results


def _consume_part(source: FileArray, consume: Callable, ranges: tuple[Range, ...]) -> Any:
    with workplace():
        return consume(source.pieces(ranges), ranges)


def _consume_blocks(data: da.Array, consume: Callable) -> list[Any]:
    data = data.rechunk({data.ndim - 1: -1})
    consume = dask.delayed(consume, traverse=False)
    run = dask.delayed(_consume_block)
    edges = [np.cumsum((0, *sizes)).tolist() for sizes in data.chunks]
    results = []
    for index, block in np.ndenumerate(data.to_delayed()):
        ranges = tuple((e[i], e[i + 1]) for i, e in zip(index, edges, strict=True))
        results.append(run(block, consume, ranges))
    return results


def _consume_block(
    block: np.ndarray, consume: Callable, ranges: tuple[Range, ...]
) -> Any:
    return consume(iter([(ranges, np.ascontiguousarray(block))]), ranges)


def _pieces_of(
    part: np.ndarray, ranges: tuple[Range, ...]
) -> Iterator[tuple[tuple[Range, ...], np.ndarray]]:
    """Yield pieces of an array in memory, all channels of it."""
    row_bytes = max(1, part[:1].nbytes)
    n_at_once = max(1, PIECE_BYTES // row_bytes)
    first = ranges[0][0]
    for start in range(0, len(part), n_at_once):
        piece = np.ascontiguousarray(part[start : start + n_at_once])
        rows = (first + start, first + start + len(piece))
        yield (rows, *ranges[1:-1], (0, part.shape[-1])), piece
