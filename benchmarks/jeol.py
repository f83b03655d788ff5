"""JEOL maps beside RosettaSciIO.

    python benchmarks/jeol.py [--repeats 3] [--passes 1]

makes a map of 512 x 512 pixels, 4096 channels and 14 frames, with as many X-rays as
RosettaSciIO's test file has, and prints a table: opening it, its sum spectrum, an image of a
window, a region, one frame, classes, and reopening with the index that was kept.
``--passes 70`` makes the file 70 times as long (980 frames). Linux only: peak memory is read
from /proc.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import _runner

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.builders import jeol as builder


def ours(path, **options):
    import hyperspy.api as hs

    return hs.load(path, lazy=True, signal_type="EDS_XFM", **options)


def theirs(path, lazy=False, **options):
    """Load with RosettaSciIO, whose counts have to fit the type that it is given."""
    import hyperspy.api as hs
    import rsciio.jeol

    dtype = "uint8" if os.path.getsize(path) < 2**24 else "uint16"
    options = {"SI_dtype": dtype, "file_format": rsciio.jeol, "lazy": lazy} | options
    return hs.load(path, **options)


def theirs_lazy(path, **options):
    return theirs(path, lazy=True, **options)


def warm_up(read):
    """Compile, or load, the kernels."""
    with tempfile.TemporaryDirectory() as folder:
        small = read(str(builder.write_map(Path(folder) / "small.pts")))
        for signal in (
            small.sum(),
            small.isig[100:600].sum("Energy"),
            small.inav[1:3, 1:3],
        ):
            if signal._lazy:
                signal.compute(show_progressbar=False)


def case(read, compute, cache=False, **options):
    """Make a case: what is loaded with `read`, and what is computed of it."""

    def prepare(path):
        own = (lambda p, **kw: ours(p, cache=cache, **kw)) if read is ours else read
        warm_up(own)
        if compute is classes:
            classes(own(str(builder.write_large(f"{path}.small.pts", (64, 64))[0])))
        if cache:
            own(path)
        return lambda: compute(own(path, **options))

    return prepare


def open_only(signal):
    return f"{signal.data.shape}"


def computed(signal):
    if signal._lazy:
        signal.compute(show_progressbar=False)
    return f"{int(signal.data.sum())} counts"


def total(signal):
    return computed(signal.sum())


def window(signal):
    return computed(signal.isig[400:500].sum("Energy"))


def region(signal):
    return computed(signal.inav[10:40, 20:50].sum())


def classes(signal):
    found = signal.classify("pca", show_progressbar=False)
    return f"{found.labels.data.shape} labels"


OURS = {
    "rsciio_xfm: opened, index made": case(ours, open_only),
    "opened again, index kept": case(ours, open_only, cache=True),
    "opened, sum spectrum": case(ours, total),
    "opened, 100 channels as an image": case(ours, window),
    "opened, spectrum of 30 x 30 pixels": case(ours, region),
    "opened, sum of frame 7": case(ours, total, frame_list=[7]),
    'opened, classify("pca")': case(ours, classes),
}
THEIRS = {
    "RosettaSciIO: opened": case(theirs, open_only),
    "RosettaSciIO: opened, sum spectrum": case(theirs, total),
    "RosettaSciIO: opened, 100 channels as an image": case(theirs, window),
    "RosettaSciIO, lazy: opened": case(theirs_lazy, open_only),
    "RosettaSciIO, lazy: opened, sum spectrum": case(theirs_lazy, total),
    "RosettaSciIO, lazy: opened, 100 channels as an image": case(theirs_lazy, window),
}
CASES = OURS | THEIRS


def main():
    """Make a map, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--only", default="", help="cases whose names contain this")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        # Not the user's: the first case that opens a file must not find its index.
        os.environ["RSCIIO_XFM_CACHE_DIR"] = str(Path(folder) / "cache")
        path = Path(folder) / "map.pts"
        path, n_events = builder.write_large(path, n_repeats=arguments.passes)
        moment = path.stat().st_mtime - 60
        os.utime(path, (moment, moment))  # old enough to be cached
        print(f"512 x 512 pixels, {n_events} X-rays, {path.stat().st_size} bytes\n")
        names = [name for name in CASES if arguments.only in name]
        _runner.compare(__file__, names, str(path), arguments.repeats)


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
