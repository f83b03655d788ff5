"""Maps in EPICS' .mda files next to numpy, which reads a row of pixels at a time.

python benchmarks/mda.py [--rows 128] [--repeats 3] [--folder /tmp]
"""

import argparse
import struct
import sys
import tempfile
from pathlib import Path

import _runner
import numpy as np

ROOT = Path(__file__).parents[1]
N_COLUMNS, N_DETECTORS, N_CHANNELS = 256, 4, 2048
KINDS = 16  # of pixels, which are written again and again


def by_rows(path):
    """What a short script does, without any check."""

    def run():
        total = np.zeros(N_CHANNELS, np.uint64)
        with open(path, "rb", buffering=0) as file:

            def take(at, n):
                file.seek(at)
                return file.read(n)

            (n_rows,) = struct.unpack(">i", take(36, 4))
            for row in struct.unpack(f">{n_rows}i", take(44, 4 * n_rows)):
                pixels = struct.unpack(f">{N_COLUMNS}i", take(row + 12, 4 * N_COLUMNS))
                step = pixels[1] - pixels[0]
                raw = np.frombuffer(take(pixels[0], step * N_COLUMNS), np.uint8)
                spectra = raw.reshape(N_COLUMNS, step)[:, -4 * N_DETECTORS * N_CHANNELS :]
                numbers = (
                    np.ascontiguousarray(spectra).view(">f4").reshape(-1, N_CHANNELS)
                )
                total += numbers.sum(axis=0, dtype=np.float64).astype(np.uint64)
        return f"{total.sum()} counts"

    return run


def load(path, **options):
    import hyperspy.api as hs

    return hs.load(path, lazy=True, **options)


def total(s):
    result = s.sum()
    result.compute(show_progressbar=False)
    return f"{result.data.sum(dtype=np.uint64)} counts"


def window(s):
    images = s.get_window_images({"Fe": (6.2, 6.6)}, show_progressbar=False)
    return f"{int(images['Fe'].data.sum())} counts"


def ours(what, **options):
    def case(path):
        small = Path(path).with_name("tiny.mda")
        what(load(write(small, 2), **options))  # kernels are compiled
        return lambda: what(load(path, **options))

    return case


CASES = {
    "numpy, row by row, sum": by_rows,
    "hs.load(lazy=True)": ours(lambda s: s.data.shape),
    "ours: s.sum()": ours(total),
    "ours: s.sum() of one detector": ours(total, detector=1),
    "ours: one window": ours(window),
}


def write(path, n_rows):
    """Write a map with rates and 58 other counters, as a beamline records them."""
    sys.path.insert(0, str(ROOT))
    from tests.builders import mda

    rng = np.random.default_rng(0)
    shape = (N_DETECTORS, N_CHANNELS)
    kinds = [
        rng.poisson(rng.uniform(0, 3, N_CHANNELS), shape).astype(">f4").tobytes()
        for _ in range(KINDS)
    ]
    names = [f"{mda.CRATE}:mca{i + 1}.VAL" for i in range(N_DETECTORS)]
    empty = [], [*zip(names, np.zeros(shape), strict=True)], "trigger"
    record = mda.scan(0, 1, N_CHANNELS, N_CHANNELS, (), "2xfm:scanH", empty)
    head = record[: -4 * N_DETECTORS * N_CHANNELS]
    rates = mda.make_rates((n_rows, N_COLUMNS, 1), N_DETECTORS)

    def row(y, inner):
        counters = [(f"2xfm:scaler{i}", np.zeros(N_COLUMNS)) for i in range(58)]
        counters += [
            (f"{mda.CRATE}:dxp{i + 1}:{kind}CountRate", values[y, :, i])
            for i in range(N_DETECTORS)
            for kind, values in zip(("Input", "Output"), rates, strict=True)
        ]
        real = np.full(N_COLUMNS, 0.5)
        counters += [(own.replace(".VAL", ".ERTM"), real) for own in names]
        items = (
            [("2xfm:m24.VAL", "samX", 0.1 * np.arange(N_COLUMNS))],
            counters,
            "trigger",
        )
        return mda.scan(0, 2, N_COLUMNS, N_COLUMNS, inner, "2xfm:scan1", items)

    def outer(inner):
        terms = [
            (own.replace(".VAL", f".CAL{key}"), np.full(n_rows, term))
            for own in names
            for key, term in zip("OSQ", (0.0, 0.01, 0.0), strict=True)
        ]
        items = [("2xfm:m13.VAL", "samY", 0.1 * np.arange(n_rows))], terms, "trigger"
        return mda.scan(0, 3, n_rows, n_rows, inner, "2xfm:scan2", items)

    start = struct.pack(">fii3iii", 1.4, 1, 3, n_rows, N_COLUMNS, N_CHANNELS, 1, 0)
    n_row = len(row(0, [0] * N_COLUMNS))
    first = len(start) + len(outer([0] * n_rows))
    step = n_row + N_COLUMNS * len(record)
    rows = [first + y * step for y in range(n_rows)]
    with open(path, "wb") as file:
        file.write(start + outer(rows))
        for y, at in enumerate(rows):
            pixels = [at + n_row + x * len(record) for x in range(N_COLUMNS)]
            file.write(row(y, pixels))
            for x in range(N_COLUMNS):
                file.write(head + kinds[(7 * y + x) % KINDS])
    return str(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder, "map.mda")
        write(path, arguments.rows)
        print(f"{arguments.rows} x {N_COLUMNS} pixels, {path.stat().st_size} bytes\n")
        _runner.compare(__file__, list(CASES), str(path), arguments.repeats)


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
