"""EMD files: opening and summing Velox maps, saving and loading NCEM's.

python benchmarks/emd.py [--only open|large|save] [--repeats 3] [--folder /tmp]

The file of RosettaSciIO's cases needs 17 GB of memory; its cases run once.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import _runner
import numpy as np

SHAPE = (100, 4, 512, 512)  # frames, detectors, rows, columns
N_CHANNELS = 4096
N_EVENTS = 3.9  # per pixel, frame and detector: 1 GiB in all
N_LARGE = 16  # times as many frames
SAVED = (1024, 512, 4096)


# Cases: import and warm up, then return what is measured.


def warm_up():
    """Use the kernels on a tiny map: nothing is compiled in the time measured."""
    import hyperspy.api as hs

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.emd"
        write_velox(path, (2, 1, 3, 3), 1)
        s = hs.load(path, lazy=True, select_type="spectrum_image")
        s.inav[:2].sum().compute(show_progressbar=False)
        s.set_signal_type("EDS_XFM")
        s.inav[:2].sum()
        s.save(Path(folder) / "saved.emd")
        hs.load(Path(folder) / "saved.emd", lazy=True).sum()
    return hs


def cat(path):
    return lambda: _runner.read(path)


def copy(path):
    import shutil

    target = Path(path).with_suffix(".copy")
    return lambda: shutil.copyfile(path, target)


def open_lazily(path):
    hs = warm_up()

    def run():
        return hs.load(path, lazy=True, select_type="spectrum_image", cache=False)

    return run


def open_cached(path):
    hs = warm_up()
    hs.load(path, lazy=True, select_type="spectrum_image")
    return lambda: hs.load(path, lazy=True, select_type="spectrum_image")


def load(path, **options):
    hs = warm_up()
    return hs.load(path, lazy=True, select_type="spectrum_image", cache=False, **options)


def count(data):
    return f"{np.asarray(data).sum(dtype=np.uint64)} counts"


def sum_by_dask(path):
    s = load(path)
    return lambda: count(s.data.sum(axis=(0, 1)).compute())


def sum_known(path):
    s = load(path, signal_type="EDS_XFM")
    return lambda: count(s.sum().data)


def sum_of_most(path):
    s = load(path, signal_type="EDS_XFM")
    return lambda: count(s.inav[:, 1:].sum().data)


def sixteen_rows(path):
    s = load(path)
    return lambda: count(s.data[200:216].compute())


def image(path):
    s = load(path, signal_type="EDS_XFM")
    return lambda: count(s.get_window_images({"Fe": (0.9, 1.1)})["Fe"].data)


def open_and_sum(path):
    hs = warm_up()

    def run():
        s = hs.load(path, lazy=True, select_type="spectrum_image", cache=False)
        return count(s.data.sum(axis=(0, 1)).compute())

    return run


def upstream():
    import hyperspy.api as hs
    import rsciio.emd

    return hs, rsciio.emd


def upstream_open(path):
    hs, module = upstream()

    def run():
        return hs.load(path, lazy=True, select_type="spectrum_image", file_format=module)

    return run


def upstream_sum(path):
    hs, module = upstream()
    s = hs.load(path, lazy=True, select_type="spectrum_image", file_format=module)
    return lambda: count(s.data.sum(axis=(0, 1)).compute())


def upstream_eager(path):
    hs, module = upstream()
    return lambda: hs.load(path, select_type="spectrum_image", file_format=module)


def eager(path):
    hs = warm_up()
    return lambda: hs.load(path, select_type="spectrum_image", cache=False)


def save(is_ours, **options):
    def case(path):
        hs = warm_up()
        s = hs.load(path, lazy=True, signal_type="EDS_TEM")
        target = Path(path).with_suffix(".saved.emd")

        def run():
            if is_ours:
                s.save(target, overwrite=True, **options)
            else:
                from rsciio.emd import file_writer

                file_writer(str(target), s._to_dictionary())

        return run

    return case


def load_saved(is_ours):
    def case(path):
        hs = warm_up()
        module = None if is_ours else upstream()[1]
        target = Path(path).with_suffix(".saved.emd")

        def run():
            s = hs.load(target, lazy=True, file_format=module)
            return count(s.data.sum(axis=(0, 1)).compute())

        return run

    return case


OPEN = {
    "cat": cat,
    "open lazily": open_lazily,
    "open lazily, index kept": open_cached,
    "sum spectrum, decoded": sum_by_dask,
    "sum spectrum, known": sum_known,
    "sum spectrum but one row": sum_of_most,
    "16 rows": sixteen_rows,
    "image of a window": image,
    "open, all in memory": eager,
    "RosettaSciIO: open lazily": upstream_open,
    "RosettaSciIO: sum spectrum": upstream_sum,
    "RosettaSciIO: open, all in memory": upstream_eager,
}
LARGE = {"cat": cat, "open lazily": open_lazily, "open and sum, decoded": open_and_sum}
SAVE = {
    "cp": copy,
    "save lazily": save(True),
    "load lazily and sum": load_saved(True),
    "save lazily, gzip": save(True, compression="gzip", compression_opts=1),
    "RosettaSciIO: save lazily": save(False),
    "RosettaSciIO: load lazily and sum": load_saved(False),
}
CASES = OPEN | LARGE | SAVE


# The files.


def make_frame(rng, n_pixels):
    """One frame's events of a detector, a mark after each pixel."""
    n = rng.poisson(N_EVENTS, n_pixels)
    peaks = rng.choice([28, 52, 77, 174, 800], n.sum() + n_pixels)
    values = (peaks + 4 * rng.standard_normal(peaks.size) + 30).astype("<u2")
    values[np.cumsum(n + 1) - 1] = 65535
    return values


def write_velox(path, shape, repeats):
    """Write a map as Velox does, the streams growing frame by frame, and return the path."""
    import h5py

    n_frames, n_detectors, n_rows, n_columns = shape
    rng = np.random.default_rng(0)
    frames = [make_frame(rng, n_rows * n_columns) for _ in range(8)]
    n_frames *= repeats
    with h5py.File(path, "w") as file:
        put_json(file, "Version", {"version": "11", "format": "Velox"})
        streams = []
        for i in range(n_detectors):
            group = file.create_group(f"Data/SpectrumStream/{i:032x}")
            put_json(
                group,
                "AcquisitionSettings",
                {"bincount": str(N_CHANNELS), "StreamEncoding": "uint16"},
            )
            put_metadata(group, describe(i, n_rows, n_columns))
            options = {"chunks": (8192, 1), "maxshape": (None, 1)}
            data = group.create_dataset("Data", (0, 1), "<u2", **options)
            table = np.zeros((n_frames, 1), "<u8")
            streams.append((group, data, table))
        for frame in range(n_frames):
            for i, (_, data, table) in enumerate(streams):
                values = frames[(frame + 3 * i) % len(frames)]
                table[frame] = len(data)
                data.resize(len(data) + len(values), axis=0)
                data[-len(values) :, 0] = values
        for group, _, table in streams:
            group.create_dataset("FrameLocationTable", data=table)
        group = file.create_group("Data/SpectrumImage/0")
        put_json(group, "SpectrumImageSettings", {"endFramePosition": str(n_frames)})
        group = file.create_group("Data/Image/0")
        image = np.zeros((n_rows, n_columns, 1), np.uint16)
        group.create_dataset("Data", data=image, chunks=image.shape)
        put_metadata(group, describe(0, n_rows, n_columns))
        put_json(file, "Displays/ImageDisplay/0", {"id": "HAADF"})
        put_json(file, "SharedProperties/EDSSpectrumQuantificationSettings/0", {})
    return path


def describe(i, n_rows, n_columns):
    detectors = {
        f"Detector-{j}": {
            "DetectorName": f"SuperX{j}",
            "Dispersion": "10",
            "OffsetEnergy": "-250",
        }
        for j in range(SHAPE[1])
    }
    return {
        "Detectors": detectors,
        "BinaryResult": {
            "DetectorIndex": str(i),
            "Detector": f"SuperX{i}",
            "PixelSize": {"width": "1e-9", "height": "1e-9"},
            "PixelUnitX": "m",
            "Offset": {"x": "0", "y": "0"},
        },
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1709189884"}},
        "Scan": {
            "ScanSize": {"width": str(n_columns), "height": str(n_rows)},
            "ScanArea": {"left": "0", "top": "0", "right": "1", "bottom": "1"},
            "FrameTime": "0.3",
        },
    }


def put_json(group, name, tree):
    text = np.array([json.dumps(tree).encode()], dtype=object)
    import h5py

    group.create_dataset(name, data=text, dtype=h5py.string_dtype())


def put_metadata(group, tree):
    raw = np.zeros((60000, 1), np.uint8)
    text = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    raw[: len(text), 0] = text
    group.create_dataset("Metadata", data=raw, chunks=raw.shape)


def write_spectra(path):
    """Write a map of 2 GiB as EDAX does, to be saved as EMD."""
    import edax

    edax.write_map(path, SAVED)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--only", choices=["open", "large", "save"])
    parser.add_argument("--ours", action="store_true", help="leave RosettaSciIO out")
    arguments = parser.parse_args()
    wanted = {arguments.only} if arguments.only else {"open", "large", "save"}

    def compare(cases, path):
        names = [n for n in cases if not (arguments.ours and "Rosetta" in n)]
        slow = tuple(n for n in names if "Rosetta" in n)
        _runner.compare(__file__, names, str(path), arguments.repeats, slow)
        print()

    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "map.emd"
        for name, cases, repeats in (("open", OPEN, 1), ("large", LARGE, N_LARGE)):
            if name in wanted:
                write_velox(path, SHAPE, repeats)
                print(f"{SHAPE} x {repeats}, {path.stat().st_size / 2**20:.0f} MiB\n")
                compare(cases, path)
                path.unlink()
        if "save" in wanted:
            path = Path(folder) / "map.spd"
            write_spectra(path)
            print(f"{SAVED} of uint8, {path.stat().st_size / 2**20:.0f} MiB\n")
            compare(SAVE, path)


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
