"""Element maps: each spectrum of a map times the matrix of a model, in one pass."""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.matrix import Projection, check_channels
from rsciio_xfm.analysis.fit.projected import Projected, weights_of
from rsciio_xfm.analysis.fit.tables import Tables
from rsciio_xfm.core.array import Matrices, Range
from rsciio_xfm.core.later import da
from rsciio_xfm.core.one_thread import one_thread
from rsciio_xfm.core.reduce import Part, Piece, Ranges, Reduction, run
from rsciio_xfm.core.warning import warn
from rsciio_xfm.kernels.project import make_positive, prepare_spectra

VARIANCES = ("smoothed", "class", "pixel")
_BLOCK_BYTES = 2 * 2**20  # of spectra as float32 that are multiplied at a time
_LEAST_SPECTRA = 64
_OTHERS = 3  # images beside areas and variances: expected residual, counts, and residual
_STEP = 1e-11  # of the weighted squares of a spectrum, that tell an area from 0


def project(
    data: np.ndarray | da.Array,
    projection: Projection | Sequence[Projection],
    nonnegative: bool = False,
    variance: str = "smoothed",
    labels: np.ndarray | None = None,
    **watch: Any,
) -> Projected:
    """Make the element maps of a map, in one pass.

    Parameters
    ----------
    data
        Spectra, channels along the last axis.
    projection
        What :func:`rsciio_xfm.analysis.fit.matrix.make_projection` returns; or a list of one
        for each detector, along the first axis of `data`: their maps are added up.
    nonnegative
        Whether no area of a pixel may be negative. Then small areas are too large on average,
        and sums over regions are no longer what the sum of the spectra gives.
    variance
        Of a pixel: ``"smoothed"``, the mean of 3 x 3 pixels and, as if it were 5 counts more,
        of the map; ``"class"``, that of all pixels of its class, or of the map, in proportion
        to their counts; ``"pixel"``, from its own counts alone, which is as uncertain as these
        are few.
    labels
        Whole numbers, shape of the navigation axes (without that of the detectors, if each
        has a calibration of its own): the class of each pixel, whose weights are used if the
        projection has some; other numbers take the weights of the whole.
    **watch
        ``progress``, ``cancel`` and ``partial`` of :func:`rsciio_xfm.core.reduce.run`;
        `partial` is called with what this function returns, so far.

    Returns
    -------
    Projected
        The maps.

    Raises
    ------
    ValueError
        The map is empty, its spectra are complex or shorter than the model, or an argument
        does not suit it.

    Examples
    --------
    >>> import numpy as np
    >>> from rsciio_xfm.analysis.fit.basis import Basis
    >>> from rsciio_xfm.analysis.fit.matrix import make_projection
    >>> columns = np.array([[1.0, 0.25], [0.0, 0.25], [0.0, 0.25], [0.0, 0.25]])
    >>> basis = Basis(("Fe_K", "background"), ("element", "background"), 0, columns,
    ...               np.array([10.0, 40.0]))
    >>> data = np.array([[17, 10, 11, 9], [0, 1, 0, 2]], dtype=np.uint16)
    >>> found = project(data, make_projection(basis))
    >>> found.maps.round(3).tolist()
    [[7.0, -1.0], [40.0, 4.0]]
    """
    reduction = ElementMaps.of(data, projection, nonnegative, variance, labels)
    partial = watch.pop("partial", None)
    if partial is not None:
        watch["partial"] = lambda results: partial(results[0])
    with one_thread():
        (found,) = run(data, reduction, **watch)
    if data.dtype.kind in "if" and (found.own_variance < 0).any():
        warn(
            "Spectra have numbers below 0, which are no counts: the element maps are right, "
            "but their sigma and chi2, which take all noise for that of counts, are not."
        )
    return found


@dataclass(frozen=True, eq=False)
class ElementMaps(Reduction):
    """Element maps as one of several results of a pass; see :func:`project`.

    Attributes
    ----------
    projections
        One; or of each detector, along the first axis of the map.
    is_stack
        Whether there is one for each detector.
    nonnegative, smoothing, labels
        See :func:`project`.
    """

    projections: tuple[Projection, ...]
    is_stack: bool
    nonnegative: bool
    smoothing: str
    labels: np.ndarray | None = field(repr=False)

    @classmethod
    def of(
        cls,
        data: np.ndarray | da.Array,
        projection: Projection | Sequence[Projection],
        nonnegative: bool = False,
        variance: str = "smoothed",
        labels: np.ndarray | None = None,
    ) -> ElementMaps:
        """Make it of what :func:`project` takes."""
        is_stack = not isinstance(projection, Projection)
        projections = _each(projection)
        if 0 in data.shape:
            raise ValueError(f"The map is empty: its shape is {data.shape}.")
        if data.ndim < 2:
            raise ValueError("There is one spectrum, expected a map: use region_areas.")
        if data.dtype.kind not in "biuf":
            raise ValueError(f"The spectra are {data.dtype}, expected real numbers.")
        if variance not in VARIANCES:
            raise ValueError(
                f"variance is {variance!r}, expected one of {', '.join(VARIANCES)}."
            )
        if is_stack:
            _check_detectors(projections, data.shape)
        for own in projections:
            check_channels(own, data.shape[-1])
        shape = data.shape[int(is_stack) : -1]
        labels = None if labels is None else _checked_labels(labels, shape)
        return cls(projections, is_stack, bool(nonnegative), variance, labels)

    @property
    def n_components(self) -> int:
        """How many components the model has."""
        return len(self.projections[0].names)

    def channels(self, n_channels: int) -> Sequence[Range]:
        """Return the channels that are fitted."""
        return [(own.first, own.stop) for own in self.projections]

    def share(self, whole: Part) -> _Images:
        """Return images of the whole map, which threads put their numbers into."""
        images = self._blank(whole.ranges)
        images.is_shared = True
        return images

    def begin(self, part: Part) -> Any:
        """Return blank images of a part, or those that threads share."""
        return self._blank(part.ranges) if part.shared is None else part.shared

    def add(self, state: _Images, piece: Piece) -> _Images:
        """Put the numbers of a piece where it lies."""
        first = piece.first - min(own.first for own in self.projections)
        with one_thread():
            for ranges, rows in _blocks(piece, self._most_spectra):
                detectors = range(*ranges[0]) if self.is_stack else range(1)
                place = ranges[int(self.is_stack) :]
                n = len(rows) // len(detectors)
                for i, detector in enumerate(detectors):
                    made = self._make(detector, rows[i * n : (i + 1) * n], first, place)
                    state.put(place, made, self.is_stack)
        return state

    def merge(self, states: list[Any]) -> list[tuple[Ranges, np.ndarray]]:
        """Keep the images of all parts but those that are shared."""
        return [part for state in states for part in _parts_of(state)]

    def finish(self, state: list[tuple[Ranges, np.ndarray]], whole: Part) -> Projected:
        """Return the maps."""
        images = self.begin(whole)
        for ranges, made in state:
            images.put(ranges, made, self.is_stack)
        return self._projected(images.numbers)

    def _blank(self, ranges: Ranges) -> _Images:
        inner = ranges[int(self.is_stack) :]
        shape = [stop - start for start, stop in inner]
        n_images = 2 * self.n_components + _OTHERS
        return _Images(inner, np.zeros((n_images, *shape), dtype=np.float32))

    @functools.cached_property
    def _tables(self) -> list[Tables]:
        return [Tables.of(own) for own in self.projections]

    @functools.cached_property
    def _most_spectra(self) -> int:
        """Return how many spectra are multiplied at a time."""
        most = max(table.weights.shape[1] for table in self._tables)
        return max(_LEAST_SPECTRA, _BLOCK_BYTES // (4 * most))

    def _make(
        self, detector: int, rows: np.ndarray, first: int, place: Ranges
    ) -> np.ndarray:
        """Return the numbers of some spectra, shape (images, spectra)."""
        own, table = self.projections[detector], self._tables[detector]
        order, which, edges = self._sort(own, place, len(rows))
        made = np.empty((2 * self.n_components + _OTHERS, len(rows)), dtype=np.float32)
        channels = (first + own.first, first + own.stop, table.bins.base)
        bins = table.bins.picks, table.weights
        with table.buffers(len(rows)) as out:
            prepare_spectra(_as_native(rows), channels, (order, which), bins, out)
            for start, stop in itertools.pairwise(edges):
                one = out[0][start:stop], out[1][start:stop]
                self._multiply(table, int(which[start]), one, made[:, start:stop])
        if len(edges) == 2:
            return made
        back = np.empty_like(made)
        back[:, order] = made
        return back

    def _sort(
        self, own: Projection, place: Ranges, n_spectra: int
    ) -> tuple[np.ndarray, np.ndarray, list[int]]:
        """Return spectra in the order of their weights, and where each of these begin."""
        order = np.arange(n_spectra)
        if self.labels is None or not own.n_classes:
            return order, np.zeros_like(order), [0, n_spectra]
        here = self.labels[tuple(slice(*ends) for ends in place)].reshape(-1)
        which = weights_of(here, own.n_classes)
        order = np.argsort(which, kind="stable")
        which = which[order]
        firsts = np.flatnonzero(np.diff(which, prepend=-1))
        return order, which, [*firsts.tolist(), n_spectra]

    def _multiply(
        self,
        table: Tables,
        k: int,
        prepared: tuple[np.ndarray, np.ndarray],
        made: np.ndarray,
    ) -> None:
        """Multiply spectra by the matrix of one set of weights."""
        floats, squares = prepared
        with np.errstate(all="ignore"):  # of NaN and infinity
            self._put(table, k, floats @ table.products[k], squares, made)

    def _put(
        self,
        table: Tables,
        k: int,
        products: np.ndarray,
        squares: np.ndarray,
        made: np.ndarray,
    ) -> None:
        """Put areas, the expected residual, counts, variances and, last, the residual."""
        n, n_columns = self.n_components, table.n_columns
        areas, gram = products[:, :n_columns].astype(np.float64), table.grams[k]
        found = areas @ gram
        if self.nonnegative:
            make_positive(areas, table.spreads[k], _STEP * squares)
            found = 2 * found - areas @ gram
        made[:n] = table.adding.T @ areas.T
        made[n:-1] = products[:, n_columns : n_columns + n + 2].T
        made[-1] = squares - np.einsum("ij,ij->i", areas, found)

    def matrices(self) -> Matrices | None:
        """Return what makes the numbers of spectra, if all have the same weights."""
        has_classes = self.labels is not None and self.projections[0].n_classes > 0
        return None if self.is_stack or has_classes else self._tables[0].matrices

    def add_products(self, state: _Images, ranges: Ranges, products: np.ndarray) -> None:
        """Put the numbers of a block where it lies."""
        products = products.reshape(-1, products.shape[-1])
        made = np.empty((2 * self.n_components + _OTHERS, len(products)), np.float32)
        squares = products[:, -1].astype(np.float64)
        with one_thread():
            self._put(self._tables[0], 0, products[:, :-1], squares, made)
        state.put(ranges, made, False)

    def _projected(self, numbers: np.ndarray) -> Projected:
        n, first = self.n_components, self.projections[0]
        expected, residual = numbers[n], numbers[-1]
        chi2: np.ndarray = np.full(expected.shape, np.nan, dtype=np.float32)
        np.divide(np.maximum(residual, 0), expected, out=chi2, where=expected > 0)
        return Projected(
            names=first.names,
            kinds=first.kinds,
            maps=numbers[:n],
            own_variance=numbers[n + 2 : -1],
            chi2=chi2,
            counts=numbers[n + 1],
            projections=self.projections,
            labels=self.labels,
            smoothing=self.smoothing,
        )


class _Images:
    """Images that threads put numbers into, and the part of the map that they are of."""

    def __init__(self, ranges: Ranges, numbers: np.ndarray) -> None:
        self.ranges, self.numbers = ranges, numbers
        self.is_shared, self.lock = False, threading.Lock()

    def put(self, ranges: Ranges, made: np.ndarray, is_added: bool) -> None:
        """Put numbers, shape (images, ...), where they lie, or add them to what is there."""
        own = zip(ranges, self.ranges, strict=True)
        place = tuple(slice(a - origin, b - origin) for (a, b), (origin, _) in own)
        target = self.numbers[(slice(None), *place)]
        if is_added:
            with self.lock:
                target += made.reshape(target.shape)
        else:
            target[:] = made.reshape(target.shape)


def _parts_of(state: Any) -> list[tuple[Ranges, np.ndarray]]:
    if isinstance(state, _Images):
        return [] if state.is_shared else [(state.ranges, state.numbers)]
    return state


def _blocks(piece: Piece, most: int) -> Iterator[tuple[Ranges, np.ndarray]]:
    """Cut a piece into blocks of at most so many spectra, and yield where they lie."""
    shape, ranges = piece.shape, piece.ranges
    axis, inner = len(shape) - 1, 1
    while axis > 0 and inner * shape[axis] <= most:
        inner *= shape[axis]
        axis -= 1
    step, done = max(1, most // inner), 0
    for index in np.ndindex(shape[:axis]):
        outer = [(r[0] + i, r[0] + i + 1) for r, i in zip(ranges, index, strict=False)]
        for start in range(*ranges[axis], step):
            stop = min(start + step, ranges[axis][1])
            n = (stop - start) * inner
            block = (*outer, (start, stop), *ranges[axis + 1 :])
            yield block, piece.rows[done : done + n]
            done += n


def _as_native(rows: np.ndarray) -> np.ndarray:
    """Return numbers of a type that kernels take."""
    if rows.dtype.kind == "b" or rows.dtype.itemsize > 8 or rows.dtype == np.float16:
        return rows.astype(np.float64 if rows.dtype.itemsize > 8 else np.float32)
    return rows.astype(rows.dtype.newbyteorder("="), copy=False)


def _checked_labels(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    labels = np.asarray(labels)
    if labels.dtype.kind not in "iu" or labels.shape != shape:
        raise ValueError(
            f"labels are {labels.dtype}, shape {labels.shape}, expected whole numbers of "
            f"shape {shape}."
        )
    return labels


def _each(projection: Projection | Sequence[Projection]) -> tuple[Projection, ...]:
    return (projection,) if isinstance(projection, Projection) else tuple(projection)


def _check_detectors(projections: tuple[Projection, ...], shape: tuple[int, ...]) -> None:
    if len(shape) < 3 or len(projections) != shape[0]:
        raise ValueError(
            f"There are {len(projections)} calibrations and a map of shape {shape}, "
            "expected one for each detector, along its first axis."
        )
    names = projections[0].names
    for own in projections[1:]:
        if own.names != names:
            raise ValueError(
                f"The calibrations of the detectors have the components {list(names)} and "
                f"{list(own.names)}, expected the same ones."
            )
