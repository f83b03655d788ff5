"""A folder of spectra, one file a pixel, as a map, beside what is done without a reader.

    python benchmarks/text_spectra.py [FOLDER] [--files 100000] [--channels 2048] [--repeats 1]

makes Amptek files in FOLDER (or in a temporary one, removed afterwards), and prints a table:
all of them converted to a .datastack and to a .h5 file, only read, each read as a spectrum,
and the same with numpy and with float() line by line, as scripts do, of a part of them.
"""

import argparse
import math
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import _runner
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.builders import text_spectra as builder

PART = 5000  # files, of what is slow


def shape_of(path):
    n = len(os.listdir(path))
    rows = next(d for d in range(math.isqrt(n), 0, -1) if n % d == 0)
    return n // rows, rows


def part_of(path):
    return sorted(Path(path).iterdir())[:PART]


def warm_up(convert, suffix):
    """Compile, or load, the kernels."""
    with tempfile.TemporaryDirectory() as folder:
        builder.write_folder(Path(folder) / "small")
        convert(Path(folder) / "small", Path(folder) / f"small{suffix}", (6, 4))


def converted(suffix):
    """Make a case: a folder converted to a file of a format."""

    def prepare(path):
        from rsciio_xfm import text_spectra

        warnings.simplefilter("ignore")
        warm_up(text_spectra.convert, suffix)
        destination = Path(f"{path}_map{suffix}")

        def action():
            text_spectra.convert(path, destination, shape_of(path), overwrite=True)
            size = destination.stat().st_size
            destination.unlink()
            return f"{size >> 20} MiB"

        return action

    return prepare


def opened(path):
    """Files read one after the other by `file_reader`."""
    from rsciio_xfm import text_spectra

    files = part_of(path)
    text_spectra.file_reader(files[0])
    return lambda: sum(text_spectra.file_reader(f)[0]["data"].sum() for f in files)


def by_numpy(path):
    """Lines behind <<DATA>> to numpy, as scripts do; and nothing of the header."""
    files = part_of(path)

    def read(file):
        text = file.read_text("latin-1")
        return np.array(text.split("<<DATA>>")[1].split("<<END>>")[0].split(), dtype=int)

    return lambda: sum(read(f).sum() for f in files)


def by_int(path):
    """Line by line, as XISMuS does."""
    files = part_of(path)

    def read(file):
        counts = []
        with open(file, encoding="latin-1") as lines:
            for line in lines:
                if "<<DATA>>" in line:
                    break
            for line in lines:
                if "<<END>>" in line:
                    break
                counts.append(int(line))
        return sum(counts)

    return lambda: sum(read(f) for f in files)


CASES = {
    "converted to .datastack": converted(".datastack"),
    "converted to .h5": converted(".h5"),
    "first 5000: file_reader": opened,
    "first 5000: split, numpy, no header": by_numpy,
    "first 5000: int(line), no header": by_int,
}


def make(folder, n, n_channels):
    """Write so many files, but for those that are there."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    mean = 30 * np.exp(-np.linspace(0, 6, n_channels)) + 0.02
    words = np.array([str(i) for i in range(200)], dtype=object)
    for i in range(1, n + 1):
        path = folder / f"scan_{i}.mca"
        if not path.exists():
            live = f"{0.9 + i % 7 / 100:.6f}"
            path.write_bytes(builder.amptek(words[rng.poisson(mean)], live=live))


def main():
    """Make the files, and print the table."""
    if len(sys.argv) > 1 and _runner.main(CASES, sys.argv[-1]):
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--channels", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    temporary = Path(tempfile.mkdtemp()) if options.folder is None else None
    folder = (temporary or options.folder).resolve() / "spectra"
    try:
        make(folder, options.files, options.channels)
        _runner.compare(__file__, [*CASES], str(folder), options.repeats, is_cached=False)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary)


if __name__ == "__main__":
    main()
