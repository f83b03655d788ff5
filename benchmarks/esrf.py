"""ESRF's formats: sums and images of maps, next to h5py with dask, fabio and silx.

python benchmarks/esrf.py [--only bliss|plain|xia|spec|images] [--repeats 3] [--folder /tmp]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import _runner
import numpy as np

SHAPE = (256, 256, 4096)  # rows, columns, channels; uint32: 1 GiB
XIA = (256, 256, 2048)  # of each of two detectors
SPEC = (40, 60, 2048)
FRAMES = (800, 540, 640)
DATASET = "1.1/measurement/mca0"


# Cases: import and warm up, then return what is measured.


def warm_up():
    """Use the kernels on tiny maps: nothing is compiled in the time measured."""
    import hyperspy.api as hs

    with tempfile.TemporaryDirectory() as folder:
        for name, write in (("a.h5", write_bliss), ("b.h5", write_plain)):
            write(Path(folder) / name, (4, 4, 64))
            s = hs.load(Path(folder) / name, lazy=True, file_format="ESRF")
            s.inav[:2].sum()
            s.get_window_images({"w": (0.1, 0.2)}, show_progressbar=False)
        s = hs.load(write_xia(Path(folder) / "xia", (4, 4, 64)), lazy=True)
        s.sum()
        write_spec(Path(folder) / "a.dat", (4, 4, 64))
        hs.load(Path(folder) / "a.dat", lazy=True, file_format="ESRF").sum()
    return hs


def count(data):
    return f"{np.asarray(data).sum(dtype=np.uint64)} counts"


def cat(path):
    def run():
        for part in [Path(path)] if Path(path).is_file() else Path(path).iterdir():
            _runner.read(part)

    return run


def load(path):
    hs = warm_up()
    path = Path(path)
    path = path if path.is_file() else first_of(path)
    return lambda: hs.load(path, lazy=True, file_format="ESRF")


def first_of(folder):
    return folder / "map_xia00_0001_0000_0000.edf"


def opening(path):
    run = load(path)
    return lambda: len(run().data)


def total(path):
    run = load(path)

    def case():
        s = run()
        spectrum = s.sum()
        spectrum.compute(show_progressbar=False)
        return count(spectrum.data)

    return case


def image(path):
    run = load(path)

    def case():
        s = run()
        found = s.get_window_images({"w": (6.0, 6.8)}, show_progressbar=False)
        return count(found["w"].data)

    return case


def decoded(path):
    run = load(path)
    return lambda: count(run().data.max(axis=(0, 1)).compute())


def one_pixel(path):
    run = load(path)
    return lambda: count(run().data[100, 100].compute())


def h5py_total(path):
    import dask.array as da
    import h5py
    import hdf5plugin  # noqa: F401

    def case():
        with h5py.File(path) as file:
            data = da.from_array(file[DATASET], chunks=(2048, -1))
            return count(data.sum(axis=0, dtype=np.uint64).compute())

    return case


def h5py_image(path):
    import dask.array as da
    import h5py

    def case():
        with h5py.File(path) as file:
            data = da.from_array(file[DATASET], chunks=(2048, -1))
            return count(data[:, 600:680].sum(axis=1, dtype=np.uint64).compute())

    return case


def h5py_max(path):
    import dask.array as da
    import h5py

    def case():
        with h5py.File(path) as file:
            data = da.from_array(file[DATASET], chunks=(2048, -1))
            return count(data.max(axis=0).compute())

    return case


def fabio_total(path):
    import fabio

    def case():
        spectrum = np.zeros(XIA[-1], np.uint64)
        for part in sorted(Path(path).glob("*_xia0*.edf")):
            with fabio.open(str(part)) as file:
                spectrum += file.data.sum(axis=0, dtype=np.uint64)
        return count(spectrum)

    return case


def silx_total(path):
    from silx.io.specfile import SpecFile

    def case():
        spectrum = np.zeros(SPEC[-1])
        scan = SpecFile(path)[0]
        for i in range(len(scan.mca)):
            spectrum += scan.mca[i]
        return count(spectrum)

    return case


def frames_mean(path):
    run = load(path)
    return lambda: f"{run().data.mean(axis=0, dtype=np.float32).compute().mean():.3f}"


def fabio_mean(path):
    import fabio

    def case():
        with fabio.open(path) as file:
            mean = np.zeros(FRAMES[1:], np.float32)
            for frame in file.frames():
                mean += frame.data
        return f"{(mean / FRAMES[0]).mean():.3f}"

    return case


MAPS = {
    "cat": cat,
    "open": opening,
    "sum spectrum": total,
    "image of 80 channels": image,
    "maximum spectrum, decoded": decoded,
    "one pixel": one_pixel,
}
HDF5 = MAPS | {
    "h5py, dask: sum spectrum": h5py_total,
    "h5py, dask: image of 80 channels": h5py_image,
    "h5py, dask: maximum spectrum": h5py_max,
}
ROWS = MAPS | {"fabio: sum spectrum": fabio_total}
TEXT = {
    "cat": cat,
    "open": opening,
    "sum spectrum": total,
    "silx: sum spectrum": silx_total,
}
IMAGES = {"cat": cat, "open": opening, "mean": frames_mean, "fabio: mean": fabio_mean}
CASES = HDF5 | ROWS | TEXT | IMAGES


# The files.


def make_row(rng, shape):
    """Spectra of a few lines over a background."""
    energies = np.arange(shape[-1])
    expected = 3 * np.exp(-energies / (shape[-1] / 4))
    for line in (0.1, 0.16, 0.2, 0.3):
        at = line * shape[-1]
        expected += 20 * np.exp(-((energies - at) ** 2) / 50) * rng.uniform(0.2, 1)
    return rng.poisson(expected, (shape[1], shape[-1])).astype(np.uint32)


def write_hdf5(path, shape, **options):
    import h5py

    rng = np.random.default_rng(0)
    rows = [make_row(rng, shape) for _ in range(8)]
    with h5py.File(path, "w") as file:
        y, x, n_channels = shape
        file["1.1/title"] = f"amesh sy 0 1 {x - 1} sz 0 1 {y - 1} 0.1"
        detector = file.create_group("1.1/instrument/mca0")
        detector["calibration"] = [0.0, 0.01, 0.0]
        data = detector.create_dataset(
            "data", shape=(y * x, n_channels), dtype="u4", **options
        )
        for row in range(y):
            data[row * x : (row + 1) * x] = rows[row % len(rows)]
        file["1.1/measurement/mca0"] = h5py.SoftLink("/1.1/instrument/mca0/data")


def write_bliss(path, shape=SHAPE):
    n = min(128, shape[0] * shape[1])
    options = {"chunks": (n, shape[2]), "compression": "gzip", "shuffle": True}
    write_hdf5(path, shape, **options, compression_opts=4)


def write_plain(path, shape=SHAPE):
    write_hdf5(path, shape)


def write_xia(path, shape=XIA):
    import fabio.edfimage

    rng = np.random.default_rng(0)
    rows = [make_row(rng, shape) for _ in range(8)]
    path.mkdir()
    header = {"MCA a": 0, "MCA b": 0.01, "MCA c": 0, "time": 0.1}
    statistics = np.tile(
        np.array([0, 9000, 120000, 90000, 95, 25, 1, 8000, 110000, 80000, 95, 27]),
        (shape[1], 1),
    )
    for row in range(shape[0]):
        for detector in range(2):
            name = f"map_xia{detector:02d}_0001_0000_{row:04d}.edf"
            image = fabio.edfimage.EdfImage(rows[(row + detector) % len(rows)], header)
            image.write(str(path / name))
        name = f"map_xiast_0001_0000_{row:04d}.edf"
        fabio.edfimage.EdfImage(statistics, {"time": 0.1}).write(str(path / name))
    return first_of(path)


def write_spec(path, shape=SPEC):
    rng = np.random.default_rng(0)
    y, x, n_channels = shape
    with path.open("w") as file:
        file.write(f"#F a\n\n#S 1 mesh  sy 0 1 {x - 1}  sz 0 1 {y - 1}  0.1\n#N 1\n")
        file.write(f"#@MCA %16C\n#@CHANN {n_channels} 0 {n_channels - 1} 1\n")
        file.write("#@CALIB 0 0.01 0\n#L I0\n")
        for _ in range(y):
            for spectrum in make_row(rng, shape):
                text = spectrum.astype(str)
                lines = (" ".join(text[i : i + 16]) for i in range(0, n_channels, 16))
                file.write("1\n@A " + "\\\n ".join(lines) + "\n")


def write_images(path):
    import fabio.edfimage

    rng = np.random.default_rng(0)
    frames = [rng.poisson(900, FRAMES[1:]).astype(np.uint16) for _ in range(8)]
    with path.open("wb") as file:
        for i in range(FRAMES[0]):
            frame = fabio.edfimage.EdfFrame(data=frames[i % 8], header={"i": str(i)})
            frame._index = i
            file.write(frame.get_edf_block())


KINDS = {
    "bliss": ("scan.h5", write_bliss, HDF5),
    "plain": ("plain.h5", write_plain, HDF5),
    "xia": ("xia", write_xia, ROWS),
    "spec": ("scan.dat", write_spec, TEXT),
    "images": ("images.edf", write_images, IMAGES),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--only", choices=list(KINDS))
    arguments = parser.parse_args()
    for kind in [arguments.only] if arguments.only else KINDS:
        name, write, cases = KINDS[kind]
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            path = Path(folder) / name
            write(path)
            parts = [path] if path.is_file() else list(path.iterdir())
            n_bytes = sum(part.stat().st_size for part in parts)
            print(f"{kind}: {len(parts)} files, {n_bytes / 2**20:.0f} MiB\n")
            for part in parts:
                _runner.read(part)
            _runner.compare(
                __file__, list(cases), str(path), arguments.repeats, is_cached=False
            )
            print()


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
