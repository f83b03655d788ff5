"""What commands say: sizes, counts, and how far they are."""

import contextlib
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from rsciio_xfm.core.progress import progress


def compute(signal: Any, doing: str) -> Any:
    """Compute a signal if it is lazy, and show progress: `doing` says what it is, in words."""
    if signal._lazy:
        with progress(doing=doing):
            signal.compute(show_progressbar=False)
    return signal


def region_size(region: Any) -> str:
    return " x ".join(str(n) for n in region.axes_manager.navigation_shape)


def show_size(n_bytes: int) -> str:
    if n_bytes < 2**20:
        return f"{n_bytes / 2**10:.0f} KiB"
    if n_bytes < 2**30:
        return f"{n_bytes / 2**20:.0f} MiB"
    return f"{n_bytes / 2**30:.1f} GiB"


def peak_memory() -> int:
    """Return the largest resident memory that this process has had, in bytes."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextlib.contextmanager
def timed() -> Iterator[list[float]]:
    took = [time.perf_counter()]
    yield took
    took[0] = time.perf_counter() - took[0]


def show_counts(number: Any) -> str:
    """Show all digits of an integer, and those of other numbers that mean something."""
    return f"{number:.7g}" if isinstance(number, np.floating) else str(number)
