"""Coarse images of windows that are dragged: made of those that were made just before."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from rsciio_xfm.core.array import Range
from rsciio_xfm.explore.coarse import smallest
from rsciio_xfm.explore.cube import Cube

_Key = tuple[Hashable, int, Range]


class Windows:
    """Keeps the coarse images that were used last, within a budget of bytes.

    Parameters
    ----------
    most_bytes
        Of all of them together.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.n_bytes = most_bytes, 0
        self._held: OrderedDict[_Key, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def make(
        self, number: Hashable, cube: Cube, window: Range, step: int, cancel: Any
    ) -> np.ndarray:
        """Return the image of a window, in blocks of pixels.

        Parameters
        ----------
        number
            Of the map.
        cube
            Its cache.
        window
            Channels, half-open.
        step
            Pixels along a side of a block.
        cancel
            See :meth:`rsciio_xfm.explore.cube.Cube.image`.
        """
        near = self._nearest((number, step, window))
        if near is not None and near[0] == window:
            return near[1]
        image = smallest(cube.image(*window, cancel, step, near))
        if image.dtype.kind == "u":  # others may be rounded
            self._keep((number, step, window), image)
        return image

    def drop(self, is_dropped: Callable[[Any], bool]) -> None:
        """Forget those of all maps whose number is such."""
        with self._lock:
            for key in [key for key in self._held if is_dropped(key[0])]:
                self.n_bytes -= self._held.pop(key).nbytes

    def _nearest(self, wanted: _Key) -> tuple[Range, np.ndarray] | None:
        """Return the window of the same map that differs least, and its image."""
        number, step, (first, stop) = wanted
        with self._lock:
            keys = [key for key in self._held if key[:2] == (number, step)]
            if not keys:
                return None
            nearest = min(keys, key=lambda k: abs(k[2][0] - first) + abs(k[2][1] - stop))
            self._held.move_to_end(nearest)
            return nearest[2], self._held[nearest]

    def _keep(self, key: _Key, image: np.ndarray) -> None:
        with self._lock:
            before = self._held.pop(key, None)
            self.n_bytes += image.nbytes - (0 if before is None else before.nbytes)
            self._held[key] = image
            while self.n_bytes > self.most_bytes:
                self.n_bytes -= self._held.popitem(last=False)[1].nbytes
