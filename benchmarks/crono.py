"""Maps in CRONO's .HDF5 files next to h5py, which reads a row of the map at a time.

python benchmarks/crono.py [--pixels 160000] [--repeats 3] [--folder /tmp]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import _runner
import h5py
import numpy as np

N_CHANNELS = 4096
KINDS = 16  # chunks of spectra, which are written again and again
CHUNK = 16  # spectra
SPECTRA, INDEX = "XRF/Spectra", "XRF/SpectraSelectedIndex"


def by_rows(path):
    def run():
        total = np.zeros(N_CHANNELS, np.uint64)
        with h5py.File(path, "r") as file:
            index = file[INDEX][:, :, 0].astype(np.int64)
            for row in index:
                first, last = row.min(), row.max() + 1
                spectra = file[SPECTRA][first:last]
                total += spectra[row - first].sum(axis=0, dtype=np.uint64)
        return f"{total.sum()} counts"

    return run


def load(path):
    import hyperspy.api as hs

    return hs.load(path, file_format="CRONO", lazy=True)


def total(s):
    result = s.sum()
    result.compute(show_progressbar=False)
    return f"{result.data.sum(dtype=np.uint64)} counts"


def window(s):
    images = s.get_window_images({"Fe": (6.2, 6.6)}, show_progressbar=False)
    return f"{int(images['Fe'].data.sum())} counts"


def ours(what):
    def case(path):
        small = Path(path).with_name("tiny.HDF5")
        what(load(write(small, 8, 8)))  # kernels are compiled
        return lambda: what(load(path))

    return case


CASES = {
    "h5py, row by row, sum": by_rows,
    "hs.load(lazy=True)": ours(lambda s: s.data.shape),
    "ours: s.sum()": ours(total),
    "ours: one window": ours(window),
}


def write(path, n_rows, n_columns):
    """Write a map that was measured back and forth, of a fifth more spectra than pixels."""
    rng = np.random.default_rng(0)
    n = n_rows * n_columns * 6 // 5 // CHUNK * CHUNK + CHUNK
    chosen = np.sort(rng.choice(n, n_rows * n_columns, replace=False))
    index = chosen.reshape(n_rows, n_columns)
    index[1::2] = index[1::2, ::-1].copy()
    rates = 0.3 * np.exp(-np.arange(N_CHANNELS) / 600)
    with h5py.File(path, "w") as file:
        options = {"chunks": (CHUNK, N_CHANNELS), "compression": "gzip"}
        spectra = file.create_dataset(SPECTRA, (n, N_CHANNELS), "<u2", **options)
        chunks = []
        for i in range(min(KINDS, n // CHUNK)):
            spectra[i * CHUNK : (i + 1) * CHUNK] = rng.poisson(rates, (CHUNK, N_CHANNELS))
            chunks.append(spectra.id.read_direct_chunk((i * CHUNK, 0))[1])
        for i in range(len(chunks), n // CHUNK):
            spectra.id.write_direct_chunk((i * CHUNK, 0), chunks[i % len(chunks)])
        file[INDEX] = index[..., np.newaxis].astype("<u8")
        file["XRF/EnergyVector"] = (0.01 * np.arange(N_CHANNELS)).astype("<f4")
        file["XRF/RealTimes"] = np.full(n, 60_000, "<u8")
        file["XRF/LiveTimes"] = np.full(n, 59_000, "<u8")
    return str(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pixels", type=int, default=160_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    side = max(8, int(arguments.pixels**0.5))
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder, "map.HDF5")
        write(path, side, side)
        print(f"{side} x {side} x {N_CHANNELS}, {path.stat().st_size} bytes\n")
        _runner.compare(__file__, list(CASES), str(path), arguments.repeats)


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
