"""Bruker maps beside RosettaSciIO, and a large one that it cannot read in this memory.

    python benchmarks/bruker.py [--repeats 5] [--rows 160] [--columns 160] [--large]

makes a map of 4096 channels with records as large as those of real files, and prints a table:
opening it, its sum spectrum, an image of a window, a region, and reopening with the index that
was kept. ``--large`` makes 1273 x 1662 pixels (2.1 million), without RosettaSciIO: its reader
would need 8.7 GB for each of these. Linux only: peak memory is read from /proc.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import _runner

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.builders import bruker as builder

OPTIONS = {"lazy": True, "select_type": "spectrum_image"}


def load(path, **options):
    import hyperspy.api as hs

    return hs.load(path, **OPTIONS, **options)


def ours(path, **options):
    return load(path, signal_type="EDS_XFM", **options)


def theirs(path):
    import rsciio.bruker

    return load(path, file_format=rsciio.bruker)


def warm_up(read):
    """Compile, or load, the kernels."""
    with tempfile.TemporaryDirectory() as folder:
        picture = builder.image("", [1] * 35, 7, 5)
        small = read(builder.write_map(Path(folder) / "small.bcf", images=picture))
        small.sum().data.sum()
        small.isig[100:130].sum("Energy").compute(show_progressbar=False)
        small.inav[1:3, 1:3].sum().compute(show_progressbar=False)


def case(read, compute, cache=False):
    """Make a case: what is loaded with `read`, and what is computed of it."""

    def prepare(path):
        own = (lambda p: ours(p, cache=cache)) if read is ours else theirs
        warm_up(own)
        if cache:
            own(path)
        return lambda: compute(own(path))

    return prepare


def open_only(signal):
    return f"{signal.data.shape}"


def computed(signal):
    signal.compute(show_progressbar=False)
    return f"{int(signal.data.sum())} counts"


def total(signal):
    return computed(signal.sum())


def window(signal):
    return computed(signal.isig[300:400].sum("Energy"))


def region(signal):
    return computed(signal.inav[10:40, 20:50].sum())


OURS = {
    "rsciio_xfm: opened, index made": case(ours, open_only),
    "opened again, index kept": case(ours, open_only, cache=True),
    "opened, sum spectrum": case(ours, total),
    "opened, 100 channels as an image": case(ours, window),
    "opened, spectrum of 30 x 30 pixels": case(ours, region),
}
THEIRS = {
    "RosettaSciIO: opened, sum spectrum": case(theirs, total),
    "RosettaSciIO: opened, 100 channels as an image": case(theirs, window),
    "RosettaSciIO: opened, spectrum of 30 x 30 pixels": case(theirs, region),
}
CASES = OURS | THEIRS


def main():
    """Make a map, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=160)
    parser.add_argument("--columns", type=int, default=160)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    size = (1273, 1662) if arguments.large else (arguments.rows, arguments.columns)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        # Not the user's: the first case that opens a file must not find its index.
        os.environ["RSCIIO_XFM_CACHE_DIR"] = str(Path(folder) / "cache")
        path, _ = builder.write_large(Path(folder) / "map.bcf", *size)
        moment = path.stat().st_mtime - 60
        os.utime(path, (moment, moment))  # old enough to be cached
        n_bytes = path.stat().st_size
        print(f"{size[0]} x {size[1]} pixels, 4096 channels, {n_bytes} bytes\n")
        names = list(OURS if arguments.large else CASES)
        _runner.compare(__file__, names, str(path), arguments.repeats)


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
