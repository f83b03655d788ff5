"""GeoPIXE maps beside ``cat`` and a decoder that goes record by record in Python.

    python benchmarks/geopixe.py [--repeats 7] [--folder /tmp]

makes a map of 512 x 512 pixels, 2 detectors and 4096 channels (1.8 GB), with records as
large as those of real files, and one of 9000 x 3000 pixels with empty records (0.9 GB),
and prints a table for each. Linux only: peak memory is read from /proc.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import _runner
import numpy as np


def cat(path):
    def run():
        with open("/dev/null", "w") as null:
            subprocess.run(["cat", path], stdout=null, check=True)

    return run


def index(path):
    import hyperspy.api  # noqa: F401

    from rsciio_xfm.geopixe import file_reader

    warm_up()
    return lambda: file_reader(path, lazy=True)[0]["data"].shape


def decode_all_rows(path):
    import hyperspy.api  # noqa: F401

    from rsciio_xfm.geopixe import file_reader

    warm_up()
    data = file_reader(path, lazy=True)[0]["data"]

    def run():
        corners = data.map_blocks(
            lambda block: block[:, :1, :1].copy(), chunks=(data.chunks[0], (1,), (1,))
        )
        return corners.compute(scheduler="threads").shape

    return run


def load_and_sum(path):
    import hyperspy.api as hs

    warm_up()

    def run():
        total = hs.load(path, lazy=True).sum()
        total.compute(show_progressbar=False)
        return f"{total.data.sum()} counts"

    return run


def load_and_sum_window(path):
    import hyperspy.api as hs

    warm_up()

    def run():
        image = hs.load(path, lazy=True).isig[6.3:6.5].sum("Energy")
        image.compute(show_progressbar=False)
        return f"{image.data.sum()} counts"

    return run


def record_by_record(path):
    """What one writes with numpy and struct: dense counts, a Python loop over records."""
    import json
    import struct

    def run():
        with open(path, "rb") as file:
            (length,) = struct.unpack("<H", file.read(2))
            header = json.loads(file.read(length))["File Header"]
            shape = header["Yres"], header["Xres"], header["Chan"]
            counts = np.zeros(shape, dtype=np.uint16)
            while head := file.read(16):
                _, length, x, y, _, _ = struct.unpack("<2sIHHHf", head)
                entries = np.frombuffer(file.read(length - 16), "<u2").reshape(-1, 2)
                counts[y, x, entries[:, 0]] += entries[:, 1]
        return f"{counts.sum(dtype=np.uint64)} counts"

    return run


CASES = {
    "cat FILE > /dev/null": cat,
    "index (fresh open)": index,
    "all rows decoded, block by block, in dask's threads": decode_all_rows,
    "hs.load(lazy=True), s.sum(), computed; index included": load_and_sum,
    "hs.load(lazy=True), 20 channels as an image; index included": load_and_sum_window,
    "record by record in Python, dense": record_by_record,
}


def warm_up():
    """Import what is needed and load the compiled kernels, on a small map."""
    import hyperspy.api as hs

    from rsciio_xfm._demo import write_demo_map

    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.GeoPIXE"
        write_demo_map(small, 4, 4)
        s = hs.load(small, lazy=True)
        for signal in (s.sum(), s.sum("Energy"), s):
            signal.compute(show_progressbar=False)


def write_empty_map(path, n_columns, n_rows, n_detectors=2):
    """Write a map in which every record is there and none has counts."""
    import json

    from rsciio_xfm._demo import _header
    from rsciio_xfm.geopixe._layout import RECORD, RECORD_MARK

    header = json.dumps(_header(n_columns, n_rows, n_detectors)).encode()
    records = np.zeros((n_columns, n_detectors), dtype=RECORD)
    records["mark"], records["length"] = RECORD_MARK, RECORD.itemsize
    records["x"] = np.arange(n_columns)[:, np.newaxis]
    records["detector"] = np.arange(n_detectors)
    records["dead_time"] = 10
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(2, "little") + header)
        for y in range(n_rows):
            records["y"] = y
            file.write(records.tobytes())


def main():
    from rsciio_xfm._demo import write_demo_map

    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "map.GeoPIXE"
        write_demo_map(path, 512, 512)
        print(
            f"512 x 512 pixels, 2 detectors, 4096 channels, {path.stat().st_size} bytes\n"
        )
        slow = ("record by record in Python, dense",)
        _runner.compare(__file__, list(CASES), str(path), arguments.repeats, slow)
        path.unlink()
        path = Path(folder) / "large.GeoPIXE"
        write_empty_map(path, 9000, 3000)
        print(
            f"\n9000 x 3000 pixels, 2 detectors, no counts, {path.stat().st_size} bytes\n"
        )
        _runner.compare(__file__, list(CASES)[:2], str(path), arguments.repeats)


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
