"""MA-XRF scans: converting, drawing and loading them, next to maxrf4u, zarr and cat.

python benchmarks/datastack.py --maxrf4u PYTHON [--only convert|counts|preview|load|large]
    [--repeats 3] [--folder /tmp]

PYTHON is the interpreter of an environment of its own, in which maxrf4u converts:

    python -m venv maxrf && maxrf/bin/pip install maxrf4u==0.1.27 zarr==3.0.5 \\
        "dask[array]==2025.2.0"
"""

import argparse
import sys
import tempfile
from pathlib import Path

import _runner
import numpy as np

SHAPE = (256, 256)
N_CHANNELS = 4096
LARGE = (1024, 2048)  # 16 GiB
SIGMA = 7


# Cases: import and warm up, then return what is measured.


def warm_up():
    """Use the kernels on a tiny scan: nothing is compiled in the time measured."""
    from rsciio_xfm import datastack

    with tempfile.TemporaryDirectory() as folder:
        raw, rpl = Path(folder, "tiny.raw"), Path(folder, "tiny.rpl")
        np.ones((2, 2, 8), dtype="<u2").tofile(raw)
        rpl.write_text("width\t2\nheight\t2\ndepth\t8\ndata-Length\t2")
        for sigma, compressor in ((1, "zstd"), (0, "blosc")):
            datastack.convert(
                raw,
                rpl,
                sigma=sigma,
                compressor=compressor,
                overwrite=True,
                show_progressbar=False,
            )
        datastack.preview(raw, rpl)
    return datastack


def cat(path):
    return lambda: _runner.read(path)


def convert(path, sigma, compressor):
    datastack = warm_up()
    target = Path(path).with_name("ours.datastack")

    def run():
        rpl = Path(path).with_suffix(".rpl")
        kwds = {"show_progressbar": False, "overwrite": True}
        datastack.convert(path, rpl, target, sigma, compressor=compressor, **kwds)
        return describe(datastack.read(target, "maxrf_maxspectrum"), target)

    return run


def convert_with_maxrf4u(path, sigma):
    import maxrf4u
    from maxrf4u import storage

    if sigma == 0:
        storage.gaussian_filter = lambda array, sigma: array
    folder = Path(path).with_suffix(".theirs")
    folder.mkdir(exist_ok=True)

    def run():
        rpl = Path(path).with_suffix(".rpl")
        storage.raw_to_datastack(path, str(rpl), output_dir=str(folder), verbose=False)
        (target,) = folder.iterdir()
        stack = maxrf4u.DataStack(str(target))
        return describe(stack.read("maxrf_maxspectrum"), target)

    return run


def describe(spectrum, path):
    size = path.stat().st_size / 2**20
    return f"sum of the maxima {spectrum.sum(dtype=float):.2f}, {size:.0f} MiB"


def preview(path):
    datastack = warm_up()

    def run():
        found = datastack.preview(path, Path(path).with_suffix(".rpl"))
        return f"channel {found.channel}, {found.sum_spectrum.sum()} counts"

    return run


def preview_with_maxrf4u(path):
    from maxrf4u import storage

    def run():
        rpl = str(Path(path).with_suffix(".rpl"))
        folder = str(Path(path).parent)
        return storage.make_raw_preview(path, rpl, output_dir=folder).shape

    return run


def sum_lazily(path):
    import hyperspy.api as hs

    warm_up()

    def run():
        signal = hs.load(path, lazy=True)
        return f"{signal.data.sum(axis=(0, 1), dtype=float).compute().sum():.0f}"

    return run


def sum_with_zarr(path):
    import dask.array as da
    import zarr

    def run():
        store = zarr.storage.ZipStore(path, mode="r")
        cube = da.from_array(zarr.open_group(store, mode="r")["maxrf_cube"])
        return f"{cube.sum(axis=(0, 1), dtype=float).compute().sum():.0f}"

    return run


CASES = {
    "cat": cat,
    "maxrf4u, sigma 7": lambda path: convert_with_maxrf4u(path, SIGMA),
    "convert, sigma 7, zstd as maxrf4u": lambda path: convert(path, SIGMA, "zstd"),
    "convert, sigma 7": lambda path: convert(path, SIGMA, "blosc"),
    "maxrf4u, not smoothed": lambda path: convert_with_maxrf4u(path, 0),
    "convert, sigma 0, zstd as maxrf4u": lambda path: convert(path, 0, "zstd"),
    "convert, sigma 0": lambda path: convert(path, 0, "blosc"),
    "preview with max and sum spectra": preview,
    "maxrf4u's preview": preview_with_maxrf4u,
    "load and sum": sum_lazily,
    "zarr and dask: sum": sum_with_zarr,
}


# Their input.


def write_scan(path):
    """Write a scan of 512 MiB: four areas with lines of their own, Poisson counts."""
    rng = np.random.default_rng(0)
    energy = np.arange(N_CHANNELS) * 0.01
    areas = []
    for lines in ((3.69, 6.4), (8.05, 8.9), (10.55, 12.6), (9.99, 11.8)):
        spectrum = 0.15 * np.exp(-(((energy - 12) / 7) ** 2))
        for line in lines:
            spectrum += 8 * np.exp(-(((energy - line) / 0.06) ** 2) / 2)
        areas.append(spectrum)
    areas = np.array(areas)
    with open(path, "wb") as file:
        for y in range(SHAPE[0]):
            which = (np.arange(SHAPE[1]) // 64 + y // 50) % len(areas)
            file.write(rng.poisson(areas[which]).astype("<u2").tobytes())
    write_rpl(path, SHAPE)


def write_sparse(path):
    """Write a scan of 16 GiB that takes up no space."""
    with open(path, "wb") as file:
        file.truncate(LARGE[0] * LARGE[1] * N_CHANNELS * 2)
    write_rpl(path, LARGE)


def write_rpl(path, shape):
    lines = {
        "key": "value",
        "width": shape[1],
        "height": shape[0],
        "depth": N_CHANNELS,
        "offset": 0,
        "data-Length": 2,
        "data-type": "unsigned",
        "byte-order": "little-endian",
        "record-by": "vector",
    }
    text = "\n".join(f"{key}\t{value}" for key, value in lines.items())
    Path(path).with_suffix(".rpl").write_text(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maxrf4u", help="interpreter of an environment with maxrf4u")
    parser.add_argument(
        "--only", choices=("convert", "counts", "preview", "load", "large")
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default=None)
    options = parser.parse_args()
    tables = {
        "convert": [
            "maxrf4u, sigma 7",
            "convert, sigma 7, zstd as maxrf4u",
            "convert, sigma 7",
        ],
        "counts": [
            "maxrf4u, not smoothed",
            "convert, sigma 0, zstd as maxrf4u",
            "convert, sigma 0",
        ],
        "preview": ["cat", "preview with max and sum spectra", "maxrf4u's preview"],
        "load": ["zarr and dask: sum", "load and sum"],
        "large": ["convert, sigma 7"],
    }
    theirs = {name: options.maxrf4u for name in CASES if name.startswith("maxrf4u")}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        scan = str(Path(folder, "scan.raw"))
        write_scan(scan)
        for table, names in tables.items():
            if options.only not in (None, table):
                continue
            print(f"\n{table}\n")
            path, repeats = scan, options.repeats
            if table == "large":
                path, repeats = str(Path(folder, "large.raw")), 1
                write_sparse(path)
            elif table == "load":
                path = str(Path(folder, "scan.datastack"))
                _runner.run(__file__, "convert, sigma 7, zstd as maxrf4u", scan)
                Path(scan).with_name("ours.datastack").replace(path)
            known = [n for n in names if options.maxrf4u or n not in theirs]
            _runner.compare(
                __file__,
                known,
                path,
                repeats,
                is_cached=table != "large",
                interpreters=theirs,
            )


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
