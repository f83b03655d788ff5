"""Oxford's .h5oina maps next to h5py, which reads them chunk by chunk.

python benchmarks/oxford.py [--pixels 1000000] [--repeats 3] [--folder /tmp]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import _runner
import h5py
import numpy as np

N_CHANNELS = 2048
CHUNK = 200  # spectra
KINDS = 16  # of chunks, which are written again and again
NAME = "1/EDS/Data/Spectrum"


def by_chunks(path):
    write(beside(path), 10, 20)

    def run():
        with h5py.File(path, "r") as file:
            dataset = file[NAME]
            total = np.zeros(N_CHANNELS, np.uint64)
            for i in range(0, dataset.shape[0], dataset.chunks[0]):
                total += dataset[i : i + dataset.chunks[0]].sum(axis=0, dtype=np.uint64)
        return f"{total.sum()} counts"

    return run


def load(path):
    import hyperspy.api as hs

    return hs.load(path, lazy=True)


def total(s):
    result = s.sum()
    result.compute(show_progressbar=False)
    return f"{result.data.sum(dtype=np.uint64)} counts"


def window(s):
    images = s.get_window_images({"Fe": (6.2, 6.6)}, show_progressbar=False)
    return f"{int(images['Fe'].data.sum())} counts"


def region(s):
    mask = np.zeros(s.data.shape[:2], bool)
    mask[: len(mask) // 10] = True
    spectra = s.get_region_spectra({"r": mask}, show_progressbar=False)
    return f"{int(spectra['r'].data.sum())} counts"


def ours(what):
    def case(path):
        what(load(write(beside(path), 10, 20)))  # kernels are compiled
        return lambda: what(load(path))

    return case


def beside(path):
    return Path(path).with_name("tiny.h5oina")


CASES = {
    "h5py, chunk by chunk, sum": by_chunks,
    "hs.load(lazy=True)": ours(lambda s: s.data.shape),
    "ours: s.sum()": ours(total),
    "ours: one window": ours(window),
    "ours: region of a tenth": ours(region),
}


def write(path, n_rows, n_columns):
    """Write a map with the datasets that a reader needs."""
    n, rng = n_rows * n_columns, np.random.default_rng(0)
    rates = np.exp(-np.arange(N_CHANNELS) / 300)
    with h5py.File(path, "w") as file:
        file["Format Version"], file["Manufacturer"] = "8.0", "Oxford Instruments"
        numbers = {"X Cells": n_columns, "Y Cells": n_rows, "X Step": 0.5, "Y Step": 0.5,
                   "Channel Width": 10.0, "Start Channel": -200.0}  # fmt: skip
        for name, value in numbers.items():
            file[f"1/EDS/Header/{name}"] = [value]
        options = {"chunks": (CHUNK, N_CHANNELS), "compression": "lzf"}
        dataset = file.create_dataset(NAME, (n, N_CHANNELS), "<i4", **options)
        chunks = []
        for i in range(min(KINDS, n // CHUNK)):
            dataset[i * CHUNK : (i + 1) * CHUNK] = rng.poisson(rates, (CHUNK, N_CHANNELS))
            chunks.append(dataset.id.read_direct_chunk((i * CHUNK, 0))[1])
        for i in range(len(chunks), n // CHUNK):
            dataset.id.write_direct_chunk((i * CHUNK, 0), chunks[i % len(chunks)])
        real = np.full(n, 0.032, "<f4")
        file["1/EDS/Data/Real Time"] = real
        file["1/EDS/Data/Live Time"] = real * rng.uniform(0.6, 0.9, n).astype("<f4")
    return str(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pixels", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    n_rows = max(1, int(arguments.pixels**0.5) // CHUNK) * CHUNK
    n_columns = arguments.pixels // n_rows
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder, "map.h5oina")
        write(path, n_rows, n_columns)
        print(f"{n_rows} x {n_columns} x {N_CHANNELS}, {path.stat().st_size} bytes\n")
        _runner.compare(__file__, list(CASES), str(path), arguments.repeats)


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
