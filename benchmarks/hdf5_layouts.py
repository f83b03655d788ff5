"""Xspress3 maps of areaDetector next to h5py, which reads them chunk by chunk.

python benchmarks/hdf5_layouts.py [--gib 1] [--compression gzip] [--repeats 3] [--folder /tmp]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import _runner
import h5py
import numpy as np

N_CHANNELS, N_DETECTORS, N_COLUMNS = 4096, 4, 128
NAME = "entry/instrument/detector/data"
KINDS = 16  # of points, which are written again and again
STEP = 64  # points that h5py reads at once, 4 MiB


def by_chunks(path):
    write(beside(path), 2, None)

    def run():
        with h5py.File(path, "r") as file:
            dataset = file[NAME]
            total = np.zeros(N_CHANNELS, np.uint64)
            for i in range(0, dataset.shape[0], STEP):
                total += dataset[i : i + STEP].sum(axis=(0, 1), dtype=np.uint64)
        return f"{total.sum()} counts"

    return run


def load(path):
    import hyperspy.api as hs

    with h5py.File(path, "r") as file:
        shape = (N_COLUMNS, file[NAME].shape[0] // N_COLUMNS)
    options = {"lazy": True, "sum_detectors": True, "navigation_shape": shape}
    return hs.load(path, file_format="ESRF", **options)


def total(s):
    result = s.sum()
    result.compute(show_progressbar=False)
    return f"{result.data.sum(dtype=np.uint64)} counts"


def window(s):
    images = s.get_window_images({"Fe": (620, 660)}, show_progressbar=False)
    return f"{int(images['Fe'].data.sum())} counts"


def region(s):
    mask = np.zeros(s.data.shape[:2], bool)
    mask[: max(1, len(mask) // 10)] = True
    spectra = s.get_region_spectra({"r": mask}, show_progressbar=False)
    return f"{int(spectra['r'].data.sum())} counts"


def ours(what):
    def case(path):
        what(load(write(beside(path), 2, None)))  # kernels are compiled
        return lambda: what(load(path))

    return case


def beside(path):
    return Path(path).with_name("tiny.h5")


CASES = {
    "h5py, chunk by chunk, sum": by_chunks,
    "hs.load(lazy=True, sum_detectors=True)": ours(lambda s: s.data.shape),
    "ours: s.sum()": ours(total),
    "ours: one window": ours(window),
    "ours: region of a tenth": ours(region),
}


def write(path, n_rows, compression):
    """Write a map as areaDetector does, a chunk for each point, with its counters."""
    n, rng = n_rows * N_COLUMNS, np.random.default_rng(0)
    rates = 0.3 * np.exp(-np.arange(N_CHANNELS) / 700)
    with h5py.File(path, "w") as file:
        shape = (N_DETECTORS, N_CHANNELS)
        dataset = file.create_dataset(
            NAME, (n, *shape), "<u4", chunks=(1, *shape), compression=compression
        )
        kinds = []
        for i in range(KINDS):
            dataset[i] = rng.poisson(rates, shape)
            kinds.append(dataset.id.read_direct_chunk((i, 0, 0))[1])
        for i in range(KINDS, n):
            dataset.id.write_direct_chunk((i, 0, 0), kinds[i % KINDS])
        group = file.create_group("entry/instrument/NDAttributes")
        for i in range(N_DETECTORS):
            group[f"CHAN{i + 1}SCA0"] = np.full(n, 8e5)
            group[f"CHAN{i + 1}DTFactor"] = rng.uniform(1.01, 1.2, n)
    return str(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gib", type=float, default=1)
    parser.add_argument("--compression", default=None)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    n_rows = int(arguments.gib * 2**30 / (N_COLUMNS * N_DETECTORS * N_CHANNELS * 4))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder, "map.h5")
        write(path, n_rows, arguments.compression)
        shape = f"{n_rows} x {N_COLUMNS} x {N_DETECTORS} x {N_CHANNELS}"
        print(f"{shape}, {path.stat().st_size} bytes\n")
        _runner.compare(__file__, list(CASES), str(path), arguments.repeats)


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
