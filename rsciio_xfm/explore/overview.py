"""What is seen first of a map: its counts, and the sum and the maximum of its spectra."""

import threading
from typing import Any, NamedTuple

import numpy as np

from rsciio_xfm.analysis.maps import Counts, Highest, Total
from rsciio_xfm.core.cache import Entry
from rsciio_xfm.core.reduce import run
from rsciio_xfm.explore.coarse import smallest


class Seen(NamedTuple):
    """What is known of a map at one time: rows that are read, and what they have."""

    rows_done: int
    counts: np.ndarray
    total: np.ndarray
    highest: np.ndarray


class Overview:
    """Counts of each pixel, sum and maximum of the spectra: made in one pass, in strips.

    Parameters
    ----------
    data
        The spectra, with the axes that they have in the file.
    shape
        Rows, columns and channels.

    Attributes
    ----------
    counts
        Shape (rows, columns); zero where nothing has been read yet.
    total, highest
        Shape (channels,), of what has been read.
    """

    def __init__(self, data: Any, shape: tuple[int, int, int]) -> None:
        height, width, n_channels = shape
        self.counts: np.ndarray = np.zeros((height, width), dtype=np.uint8)
        self.total: np.ndarray = np.zeros(n_channels, dtype=np.uint64)
        self.highest: np.ndarray = self.total
        self.rows, self.rows_done = height, 0
        self.error: str | None = None
        self.is_done = False
        self.stop = threading.Event()
        self._data, self._changed = data, threading.Condition()

    def state(self) -> dict[str, Any]:
        """Return how far it is."""
        with self._changed:
            return {"rows_done": self.rows_done, "rows": self.rows, "done": self.is_done}

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is done, or failed; tell whether it is done."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_done or self.error, timeout)
        return self.is_done

    def wait_for_something(self, timeout: float = 1.0) -> Seen:
        """Wait until there is something to be seen; return what there is now."""
        with self._changed:
            self._changed.wait_for(lambda: self.rows_done or self.error, timeout)
            return Seen(self.rows_done, self.counts, self.total, self.highest)

    def put(self, rows_done: int, counts: np.ndarray, total: Any, highest: Any) -> None:
        """Take what is known so far."""
        with self._changed:
            self.counts = np.asarray(counts).reshape(self.counts.shape)
            self.total, self.highest = np.asarray(total), np.asarray(highest)
            self.rows_done = min(max(rows_done, self.rows_done), self.rows)
            self._changed.notify_all()

    def finish(self, error: str | None = None) -> None:
        """Say that it is done, or what went wrong."""
        with self._changed:
            self.error, self.is_done = error, error is None
            if self.is_done:
                self.rows_done = self.rows
            self._changed.notify_all()

    def put_rows(
        self, rows_done: int, counts: np.ndarray, total: Any, highest: Any
    ) -> None:
        """Take further rows of the counts, and the spectra of all so far."""
        image = self.counts if self.counts.dtype == counts.dtype else None
        image = np.zeros(self.counts.shape, counts.dtype) if image is None else image
        image[rows_done - len(counts) : rows_done] = counts
        self.put(rows_done, image, total, highest)

    def take(self, entry: Entry | None) -> bool:
        """Take what was kept; tell whether anything was."""
        kept = None if entry is None else entry.load()
        if kept is None or not {"counts", "total", "highest"} <= kept.keys():
            return False
        arrays = kept["counts"], kept["total"], kept["highest"]
        shapes = (self.counts.shape, self.total.shape, self.highest.shape)
        if tuple(array.shape for array in arrays) != shapes:
            return False
        self.put(self.rows, *arrays)
        return True

    def make(self, entry: Entry | None) -> None:
        """Make it by a pass over the file, or take what was kept."""
        if self.take(entry):
            return
        self.rows_done = 0
        n_done = [0, 1]

        def count(done: int, total: int) -> None:
            n_done[:] = done, total

        def show(results: tuple) -> None:
            total, highest, counts = results
            self.put(self.rows * n_done[0] // n_done[1], counts, total, highest)

        show(
            run(
                self._data,
                Total(),
                Highest(),
                Counts(),
                progress=count,
                partial=show,
                cancel=self.stop,
            )
        )
        self.put(self.rows, smallest(self.counts), self.total, self.highest)
        self.keep(entry)

    def keep(self, entry: Entry | None) -> None:
        """Keep it for the next time that the file is opened."""
        if entry is not None:
            arrays = {"counts": self.counts, "total": self.total, "highest": self.highest}
            entry.save(arrays)
