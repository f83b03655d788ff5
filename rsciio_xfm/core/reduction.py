"""What is made of the spectra of a map in one pass over it.

A result is a :class:`Reduction`: what is begun for each part of the map, what is added to it
for each piece, and how parts are put together. :func:`rsciio_xfm.core.reduce.run` makes any
number of them in one pass.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsciio_xfm.core.array import Matrices, Range
from rsciio_xfm.kernels.sums import is_counts

Ranges = tuple[Range, ...]


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
