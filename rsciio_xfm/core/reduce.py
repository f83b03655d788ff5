"""One pass over a map, whatever holds it, for any number of results.

A result is a :class:`Reduction`: what is begun for each part of the map, what is added to it
for each piece, and how parts are put together. :func:`run` gives each piece to all of them.
"""

from __future__ import annotations

import functools
import itertools
import math
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsciio_xfm.core.array import FileArray, Matrices, Pieces, Range
from rsciio_xfm.core.config import (
    COMBINED_AT_ONCE,
    PART_PIECES,
    PIECE_BYTES,
    POLL_SECONDS,
)
from rsciio_xfm.core.later import cpu_count, da, dask
from rsciio_xfm.core.source import workplace
from rsciio_xfm.core.to_dask import source_of, split_rows, take
from rsciio_xfm.core.watch import who_waits
from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.kernels.sums import is_counts

Ranges = tuple[Range, ...]
States = tuple[Any, ...]


@dataclass(frozen=True)
class Part:
    """A part of a map, or all of it, before its spectra are read.

    Attributes
    ----------
    ranges
        ``(start, stop)`` along each navigation axis of the map.
    channels
        From the first to the last that the reduction asked for.
    dtype
        Of the spectra.
    shared
        What :meth:`Reduction.share` gave; None in other processes.
    """

    ranges: Ranges
    channels: Range
    dtype: np.dtype
    shared: Any = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes along the navigation axes."""
        return tuple(stop - start for start, stop in self.ranges)

    @property
    def n_channels(self) -> int:
        """How many channels the reduction has."""
        return self.channels[1] - self.channels[0]


@dataclass(frozen=True)
class Piece:
    """Some spectra of a part, in memory that is used again for the next piece.

    Attributes
    ----------
    ranges
        ``(start, stop)`` along each navigation axis of the map.
    rows
        The spectra as they were read, shape (spectra, channels), C-contiguous: there may be
        channels that the reduction did not ask for.
    first, stop
        The channels that it asked for, in `rows`: kernels are faster with `rows` and
        `first` than with `spectra`.
    """

    ranges: Ranges
    rows: np.ndarray
    first: int
    stop: int

    @property
    def spectra(self) -> np.ndarray:
        """The channels that the reduction asked for, shape (spectra, channels)."""
        return self.rows[:, self.first : self.stop]

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes along the navigation axes."""
        return tuple(stop - start for start, stop in self.ranges)

    @property
    def place(self) -> tuple[slice, ...]:
        """Where the piece lies in an array of the navigation axes of the map."""
        return tuple(slice(*ends) for ends in self.ranges)


class Reduction(ABC):
    """A result of one pass over a map.

    Its classes are frozen dataclasses that can be pickled. The methods are called in
    several threads at once, each with a state of its own.
    """

    def channels(self, n_channels: int) -> Sequence[Range]:
        """Return which channels are looked at: all.

        Parameters
        ----------
        n_channels
            Of the map.

        Returns
        -------
        sequence of (int, int)
            Half-open ranges, in any order; :meth:`add` is given the spectra from the first
            of all to the last.
        """
        return ((0, n_channels),)

    def area(self, shape: tuple[int, ...]) -> Ranges:
        """Return which part of the map is looked at: all. More of it may be given.

        Parameters
        ----------
        shape
            Of the navigation axes.
        """
        return tuple((0, size) for size in shape)

    def share(self, whole: Part) -> Any:
        """Return what the threads of this process share: nothing.

        Parameters
        ----------
        whole
            The map. What is returned is the attribute `shared` of its parts in this process.
        """
        return None

    @abstractmethod
    def begin(self, part: Part) -> Any:
        """Return the state of a part of which nothing has been added: what zeros give."""

    @abstractmethod
    def add(self, state: Any, piece: Piece) -> Any:
        """Return the state with some spectra; it may be changed in place.

        Pieces that are zero throughout are left out.
        """

    def matrices(self) -> Matrices | None:
        """Return what spectra are multiplied by, if products are all that is made of them.

        Its channels are those from the first to the last that the reduction asked for.

        Notes
        -----
        Some files are multiplied faster than they are decoded: then :meth:`add_products` is
        called and not :meth:`add`, if this is the only reduction of a pass.
        """
        return None

    def add_products(self, state: Any, ranges: Ranges, products: np.ndarray) -> None:
        """Add products of the spectra of a block to a state.

        Parameters
        ----------
        state
            Of the part that the block is in; it is changed in place.
        ranges
            Of the block, ``(start, stop)`` along each navigation axis of the map.
        products
            What :meth:`rsciio_xfm.core.array.FileArray.multiply` returned.
        """
        name = type(self).__name__
        raise NotImplementedError(f"{name} has matrices, and no add_products.")

    @abstractmethod
    def merge(self, states: list[Any]) -> Any:
        """Make one state of those of several parts, in any grouping, or of a single one.

        Each part's state goes through it once before it leaves its process.
        """

    def finish(self, state: Any, whole: Part) -> Any:
        """Return the result. What no part has been merged of is zero."""
        return state


class Images(Reduction):
    """A reduction to some numbers for each spectrum: images of the map."""

    @abstractmethod
    def kind(self, dtype: np.dtype) -> tuple[int, np.dtype]:
        """Return how many images there are, and their type, for spectra of a type."""

    def make(self, piece: Piece) -> np.ndarray | None:
        """Return the numbers of each spectrum, shape (images, spectra); None is zeros."""
        return None

    def begin(self, part: Part) -> list[tuple[Ranges, np.ndarray]]:
        """Return blank images of a part, and where it lies."""
        n_images, dtype = self.kind(part.dtype)
        return [(part.ranges, np.zeros((n_images, *part.shape), dtype=dtype))]

    def add(self, state: list[tuple[Ranges, np.ndarray]], piece: Piece) -> Any:
        """Put the numbers of a piece where it lies."""
        self.put(state, piece, self.make(piece))
        return state

    @staticmethod
    def put(
        state: list[tuple[Ranges, np.ndarray]], piece: Piece, made: np.ndarray | None
    ) -> None:
        """Put numbers where their piece lies, in the images of its part."""
        if made is not None:
            ((ranges, images),) = state
            own = zip(piece.ranges, ranges, strict=True)
            place = tuple(slice(a - origin, b - origin) for (a, b), (origin, _) in own)
            images[(slice(None), *place)] = made.reshape(-1, *piece.shape)

    def merge(self, states: list[list[tuple[Ranges, np.ndarray]]]) -> Any:
        """Keep the images of all parts."""
        return [part for parts in states for part in parts]

    def finish(self, state: list[tuple[Ranges, np.ndarray]], whole: Part) -> Any:
        """Return the images of the whole map, shape (images, navigation axes)."""
        n_images, dtype = self.kind(whole.dtype)
        images = np.zeros((n_images, *whole.shape), dtype=dtype)
        for ranges, part in state:
            images[(slice(None), *(slice(*ends) for ends in ranges))] = part
        return images


def by_type(of_counts: Callable, of_others: Callable) -> Callable:
    """Make one function of a kernel for counts and of what does the same for other numbers.

    Parameters
    ----------
    of_counts, of_others
        Their first argument are spectra. Counts are unsigned integers of at most 32 bits.
    """

    @functools.wraps(of_others)
    def choose(spectra: np.ndarray, *arguments: Any) -> Any:
        function = of_counts if is_counts(spectra) else of_others
        return function(spectra, *arguments)

    return choose


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
