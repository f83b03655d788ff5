"""One pass over a map, whatever holds it, for any number of results.

What is made of the spectra is a :class:`~rsciio_xfm.core.reduction.Reduction`; :func:`run`
gives each piece of the map to all of them, and puts together what they make of its parts.
"""

from __future__ import annotations

import itertools
import math
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, nullcontext
from typing import Any

import numpy as np

from rsciio_xfm.core.array import FileArray, Pieces, Range
from rsciio_xfm.core.config import (
    COMBINED_AT_ONCE,
    PART_PIECES,
    PIECE_BYTES,
    POLL_SECONDS,
)
from rsciio_xfm.core.later import cpu_count, da, dask
from rsciio_xfm.core.reduction import Images, Part, Piece, Ranges, Reduction, by_type
from rsciio_xfm.core.to_dask import source_of, split_rows, take
from rsciio_xfm.core.watch import who_waits
from rsciio_xfm.core.workplace import workplace
from rsciio_xfm.exceptions import PassCancelledError

# Authors of analyses import all of it from here.
__all__ = ["Images", "Part", "Piece", "Ranges", "Reduction", "by_type", "run"]

States = tuple[Any, ...]


def run(
    data: np.ndarray | da.Array,
    *reductions: Reduction,
    progress: Callable[[int, int], Any] | None = None,
    cancel: Any = None,
    partial: Callable[[tuple], Any] | None = None,
) -> tuple:
    """Go through a map once, for several results.

    Parameters
    ----------
    data
        Spectra, channels along the last axis. If it is the whole of an array-like over a
        file, the file is read piece by piece and no chunk of the array is built. A dask array
        is computed by dask's scheduler, whichever is set; a numpy array in threads.
    *reductions
        What is made of the spectra. Only the channels and the rows are read that one of them
        looks at, or that lie between.
    progress
        Called as ``progress(done, total)`` whenever a part of the map is finished.
    cancel
        A callable that returns True, or an event with ``is_set()``, when the pass is to stop.
        It is looked at after each piece in threads, else after each part.
    partial
        Called with a tuple of results so far whenever a part, a strip of rows, is finished.
        Where nothing has been measured yet images and spectra are zero.

    Returns
    -------
    tuple
        The result of each reduction, in memory.

    Raises
    ------
    TypeError
        The array is masked.
    rsciio_xfm.exceptions.PassCancelledError
        `cancel` said so.

    Notes
    -----
    `progress`, `cancel` and `partial` are called one at a time; what they raise ends the pass.
    `progress` and `partial` are called in the thread that called this function; `cancel`
    in those that read too. With `partial` each thread has totals of its own. Without
    `progress` or `cancel`, who waits is asked: :func:`rsciio_xfm.core.watch.watched`.

    Examples
    --------
    >>> import numpy as np
    >>> from rsciio_xfm.analysis.maps import Total, Windows
    >>> data = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8)
    >>> total, images = run(data, Total(), Windows(((0, 2),)))
    >>> total.tolist(), images.tolist()
    ([5, 7, 9], [[3, 9]])
    """
    if isinstance(getattr(data, "_meta", data), np.ma.MaskedArray):
        raise TypeError(
            "The array is masked, expected a plain one: its masked numbers would be added "
            "up too. Fill them, as with numpy.ma.filled."
        )
    is_shared = partial is None
    who = who_waits()
    progress = who.progress if progress is None else progress
    cancel = who.cancel if cancel is None else cancel
    plan, block = _make_plan(data, reductions, is_shared)
    watch = plan.stop = _Watch(plan, progress, cancel, partial)
    states = (None,) * len(reductions)
    if block is not None:
        watch.check()
        try:
            states = _compute(block, plan, watch)
        except BaseException:
            watch.end()
            raise
    return plan.finish(states)


class _Plan:
    """What each part of the map is given to; it can be pickled."""

    def __init__(
        self, reductions: Sequence[Reduction], wholes: list[Part], looked_at: list[Range]
    ) -> None:
        self.reductions = reductions
        self.wholes = wholes
        self.looked_at = looked_at  # channels, within those that are read
        self.origin: tuple[int, ...] = ()  # of what is read in the map, channels last
        self.stop: _Watch | None = None

    def __getstate__(self) -> dict[str, Any]:
        bare = [Part(w.ranges, w.channels, w.dtype) for w in self.wholes]
        return vars(self) | {"wholes": bare, "stop": None}

    def __call__(self, pieces: Pieces, ranges: Ranges) -> States:
        """Give the pieces of a part to all reductions; None stands for nothing added."""
        # Closed at once, and the file with them, whatever is raised.
        with self.stop or nullcontext(), closing(pieces):
            states = self._add(pieces, ranges)
        if states is None:
            return (None,) * len(self.reductions)
        return tuple(r.merge([s]) for r, s in zip(self.reductions, states, strict=True))

    def _add(self, pieces: Pieces, ranges: Ranges) -> list[Any] | None:
        states: list[Any] | None = None
        within = self._shift(ranges[:-1])
        for held, block in pieces:
            if states is None:
                states = [
                    reduction.begin(Part(within, w.channels, w.dtype, w.shared))
                    for reduction, w in zip(self.reductions, self.wholes, strict=True)
                ]
            rows = block.reshape(-1, block.shape[-1])
            where, zero = self._shift(held[:-1]), self.origin[-1] + held[-1][0]
            for i, reduction in enumerate(self.reductions):
                first, stop = self.wholes[i].channels
                piece = Piece(where, rows, first - zero, stop - zero)
                states[i] = reduction.add(states[i], piece)
            if self.stop is not None:
                self.stop.check()
        return states

    def multiply(self, source: FileArray, ranges: Ranges) -> States | None:
        """Give products of spectra to the only reduction; None where pieces are better."""
        reduction, whole = self.reductions[0], self.wholes[0]
        matrices = reduction.matrices()
        if len(self.reductions) > 1 or matrices is None:
            return None
        part = Part(self._shift(ranges[:-1]), whole.channels, whole.dtype, whole.shared)
        state = None
        with self.stop or nullcontext():
            for block in _cut_rows(source, ranges, 4 * (matrices.products.shape[1] + 1)):
                products = source.multiply(block, matrices)
                if products is None:
                    return None
                state = reduction.begin(part) if state is None else state
                reduction.add_products(state, self._shift(block[:-1]), products)
                if self.stop is not None:
                    self.stop.check()
        return (None if state is None else reduction.merge([state]),)

    def _shift(self, ranges: Ranges) -> Ranges:
        moved = zip(ranges, self.origin, strict=False)
        return tuple((start + origin, stop + origin) for (start, stop), origin in moved)

    def merge(self, parts: list[States]) -> States:
        """Merge the states of several parts."""
        merged = []
        for reduction, states in zip(
            self.reductions, zip(*parts, strict=True), strict=True
        ):
            added = [state for state in states if state is not None]
            merged.append(reduction.merge(added) if added else None)
        return tuple(merged)

    def finish(self, states: States) -> tuple:
        """Return the results."""
        each = zip(self.reductions, states, self.wholes, strict=True)
        return tuple(
            r.finish(_nothing(r, whole) if state is None else state, whole)
            for r, state, whole in each
        )


def _nothing(reduction: Reduction, whole: Part) -> Any:
    """Return the state of a map that is zero throughout."""
    nowhere = tuple((0, 0) for _ in whole.ranges)
    part = Part(nowhere, whole.channels, whole.dtype)
    return reduction.merge([reduction.begin(part)])


class _Watch:
    """Tells how far a pass is, and stops it."""

    def __init__(
        self,
        plan: _Plan,
        progress: Callable[[int, int], Any] | None,
        cancel: Any,
        partial: Callable[[tuple], Any] | None,
    ) -> None:
        self.plan, self.progress, self.partial = plan, progress, partial
        self.asks = getattr(cancel, "is_set", cancel)
        self.is_wanted = not (progress is None and cancel is None and partial is None)
        self.is_stopped = False
        self.n_done = self.n_parts = 0
        self.states: States | None = None
        self.n_reading = 0
        self.changed = threading.Condition()

    def __enter__(self) -> None:
        """Say that a thread begins to read."""
        with self.changed:
            self.check()
            self.n_reading += 1

    def __exit__(self, *_: Any) -> None:
        with self.changed:
            self.n_reading -= 1
            self.changed.notify_all()

    def end(self) -> None:
        """Wait until no thread reads any more, and let none begin."""
        with self.changed:
            self.is_stopped = True
            self.changed.wait_for(lambda: not self.n_reading)

    def check(self) -> None:
        """Raise an error if the pass is to stop."""
        if self.is_stopped or (self.asks is not None and self.asks()):
            self.is_stopped = True
            raise PassCancelledError(
                f"The pass over the map was cancelled, {self.n_done} of {self.n_parts} parts "
                "were done."
            )

    def finished(self, states: States | None) -> None:
        """Say that a part is finished."""
        self.n_done += 1
        if self.progress is not None:
            self.progress(self.n_done, self.n_parts)
        if self.partial is not None and states is not None:
            known = [states] if self.states is None else [self.states, states]
            self.states = self.plan.merge(known)
            self.partial(self.plan.finish(self.states))
        self.check()


def _make_plan(
    data: np.ndarray | da.Array, reductions: Sequence[Reduction], is_shared: bool
) -> tuple[_Plan, np.ndarray | da.Array | None]:
    """Return the plan and what is read for it; None if nothing need be."""
    *shape, n_channels = data.shape
    everything = tuple((0, size) for size in shape)
    looked_at: list[Range] = []
    wholes: list[Part] = []
    for reduction in reductions:
        channels = reduction.channels(n_channels)
        looked_at += channels
        whole = Part(everything, _hull(channels), data.dtype)
        shared = reduction.share(whole) if is_shared else None
        wholes.append(Part(everything, whole.channels, data.dtype, shared))
    areas = [reduction.area(tuple(shape)) for reduction in reductions]
    areas = [area for area in areas if all(start < stop for start, stop in area)]
    if not areas or 0 in data.shape:
        return _Plan(reductions, wholes, looked_at), None
    box = (*(_hull(ends) for ends in zip(*areas, strict=True)), _hull(looked_at))
    is_all = box == (*everything, (0, n_channels))
    first = box[-1][0]
    plan = _Plan(reductions, wholes, [(a - first, b - first) for a, b in looked_at])
    plan.origin = tuple(start for start, _ in box)
    return plan, data if is_all else take(data, tuple(slice(*ends) for ends in box))


def _hull(ranges: Sequence[Range]) -> Range:
    return min(start for start, _ in ranges), max(stop for _, stop in ranges)


def _compute(data: np.ndarray | da.Array, plan: _Plan, watch: _Watch) -> States:
    if not isinstance(data, da.Array):
        return _compute_in_threads(data, plan, watch)
    source = source_of(data)
    if source is not None:
        parts = _parts_of_file(source, plan)
    else:
        parts = _parts_of_blocks(data, plan)
    watch.n_parts = len(parts)
    merge = dask.delayed(plan.merge, traverse=False)
    results = parts
    while len(results) > 1:
        groups = range(0, len(results), COMBINED_AT_ONCE)
        results = [merge(results[i : i + COMBINED_AT_ONCE]) for i in groups]
    client = _client_of(results[0]) if watch.is_wanted else None
    if client is not None:
        return _compute_on_cluster(client, parts, results[0], watch)
    keys = {part.key for part in parts}

    def finished(key: Any, states: States, *_: Any) -> None:
        if key in keys:
            watch.finished(states)

    # dask calls it in the thread that computes, for its processes too.
    with dask.callbacks.Callback(posttask=finished) if watch.is_wanted else nullcontext():
        return results[0].compute()


def _compute_in_threads(data: np.ndarray, plan: _Plan, watch: _Watch) -> States:
    """Go through an array in memory: dask's graph would cost more than a small one."""
    n_rows = len(data)
    n_parts = max(1, min(n_rows, math.ceil(data.nbytes / (PART_PIECES * PIECE_BYTES))))
    edges = [n_rows * i // n_parts for i in range(n_parts + 1)]
    rest = tuple((0, size) for size in data.shape[1:])
    watch.n_parts = n_parts
    with ThreadPoolExecutor(
        dask.config.get("num_workers", None) or cpu_count()
    ) as executor:
        futures = [
            executor.submit(_run_rows, data, plan, (rows, *rest))
            for rows in itertools.pairwise(edges)
        ]
        try:
            for future in as_completed(futures):
                watch.finished(future.result())
        except BaseException:
            watch.is_stopped = True  # what is not begun ends at once, the rest soon
            raise
    return plan.merge([future.result() for future in futures])


def _client_of(result: Any) -> Any:
    """Return the client of the cluster that would compute a result, if there is one."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    get = dask.base.get_scheduler(collections=[result])
    client = getattr(get, "__self__", None)
    return client if isinstance(client, distributed.Client) else None


def _compute_on_cluster(client: Any, parts: list, result: Any, watch: _Watch) -> States:
    from distributed import wait

    *futures, last = client.compute([*parts, result])
    pending = set(futures)
    try:
        while pending:
            try:
                done = wait(pending, POLL_SECONDS, "FIRST_COMPLETED").done
            except TimeoutError:
                watch.check()
                continue
            for future in done:
                pending.discard(future)
                states = future.result() if watch.partial is not None else None
                watch.finished(states)
        return last.result()
    except BaseException:
        client.cancel([*futures, last])
        raise


def _parts_of_file(source: FileArray, plan: _Plan) -> list:
    # One object each in the graph, however many tasks.
    shared = dask.delayed(source, traverse=False)
    plan = dask.delayed(plan, traverse=False)
    run_part = dask.delayed(_run_part)
    return [run_part(shared, plan, ranges) for ranges in split_rows(source)]


def _run_part(source: FileArray, plan: _Plan, ranges: Ranges) -> States:
    with workplace():
        states = plan.multiply(source, ranges)
        if states is not None:
            return states
        return plan(source.pieces_for(ranges, plan.looked_at), ranges)


def _cut_rows(source: FileArray, ranges: Ranges, n_bytes: int) -> Iterator[Ranges]:
    """Cut a part into blocks of rows with so many bytes for each spectrum."""
    axis = source.row_axis()
    row = math.prod(b - a for i, (a, b) in enumerate(ranges[:-1]) if i != axis)
    n_at_once = max(1, PIECE_BYTES // max(1, row * n_bytes))
    for start in range(*ranges[axis], n_at_once):
        rows = (start, min(start + n_at_once, ranges[axis][1]))
        yield (*ranges[:axis], rows, *ranges[axis + 1 :])


def _parts_of_blocks(data: da.Array, plan: _Plan) -> list:
    data = data.rechunk({data.ndim - 1: -1})
    plan = dask.delayed(plan, traverse=False)
    run_block = dask.delayed(_run_block)
    edges = [np.cumsum((0, *sizes)).tolist() for sizes in data.chunks]
    parts = []
    for index, block in np.ndenumerate(data.to_delayed()):
        ranges = tuple((e[i], e[i + 1]) for i, e in zip(index, edges, strict=True))
        parts.append(run_block(block, plan, ranges))
    return parts


def _run_block(block: np.ndarray, plan: _Plan, ranges: Ranges) -> States:
    return plan(_one_piece(block, ranges), ranges)


def _one_piece(block: np.ndarray, ranges: Ranges) -> Pieces:
    yield ranges, np.ascontiguousarray(block)


def _run_rows(data: np.ndarray, plan: _Plan, ranges: Ranges) -> States:
    return plan(_pieces_of(data, ranges), ranges)


def _pieces_of(data: np.ndarray, ranges: Ranges) -> Pieces:
    """Yield pieces of an array in memory, all channels of it."""
    n_at_once = max(1, PIECE_BYTES // max(1, data[:1].nbytes))
    first, last = ranges[0]
    for start in range(first, last, n_at_once):
        rows = (start, min(start + n_at_once, last))
        yield (rows, *ranges[1:]), np.ascontiguousarray(data[slice(*rows)])
