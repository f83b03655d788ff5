"""GeoPIXE maps beside ``cat`` and a decoder that goes record by record in Python.

    python benchmarks/geopixe.py [--repeats 7] [--folder /tmp] [--only read|write|open]

makes a map of 512 x 512 pixels, 2 detectors and 4096 channels (1.8 GB), with records as
large as those of real files, and one of 9000 x 3000 pixels with empty records (0.9 GB),
and prints a table for reading, one for writing (ratios to ``cp``) and one for opening. A
folder in memory (``/dev/shm``) keeps the disk out of the ratios of writing. Linux only:
peak memory is read from /proc.
"""

import argparse
import os
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

    from rsciio_xfm.formats.geopixe import file_reader

    warm_up()
    return lambda: file_reader(path, lazy=True, cache=False)[0]["data"].shape


def decode_all_rows(path):
    import hyperspy.api  # noqa: F401

    from rsciio_xfm.formats.geopixe import file_reader

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


def open_again(path):
    """With the index that an earlier process kept."""
    import hyperspy.api  # noqa: F401

    from rsciio_xfm.formats.geopixe import file_reader

    warm_up()
    file_reader(path, lazy=True)
    return lambda: file_reader(path, lazy=True)[0]["data"].shape


def _output(path):
    """Where the cases write, gone."""
    out = Path(path).with_name("out.GeoPIXE")
    out.unlink(missing_ok=True)
    os.sync()
    return out


def _size(out):
    size = out.stat().st_size
    out.unlink()
    return f"{size} bytes"


def copy(path):
    out = _output(path)

    def run():
        subprocess.run(["cp", path, out], check=True)
        return _size(out)

    return run


def crop(path, **box):
    from rsciio_xfm import geopixe

    warm_up()
    out = _output(path)

    def run():
        geopixe.crop(path, out, cache=False, **box)
        return _size(out)

    return run


def crop_part(path):
    return crop(path, x=(1, 511))


def crop_detector(path):
    return crop(path, detectors=1)


def fill(path, model, **options):
    from rsciio_xfm import geopixe

    warm_up()
    out = _output(path)

    def run():
        report = geopixe.fill_dead_time(path, out, model, cache=False, **options)
        return f"{_size(out)}, {sum(e['n_filled'] for e in report)} filled"

    return run


def fill_constant(path):
    return fill(path, "constant", value=33.0)


def fill_fit(path):
    return fill(path, "fit")


def save(path, **options):
    import hyperspy.api as hs

    warm_up()
    signal = hs.load(path, lazy=True, **options)
    out = _output(path)

    def run():
        signal.save(out)
        return _size(out)

    return run


def save_detectors(path):
    return save(path, sum_detectors=False)


def crop_record_by_record(path):
    """What one writes with struct: a Python loop over records; the header is left as it is."""
    import struct

    out = _output(path)

    def run():
        with open(path, "rb") as file, open(out, "wb") as new:
            head = file.read(2)
            new.write(head + file.read(int.from_bytes(head, "little")))
            while head := file.read(16):
                _, length, x, _, _, _ = struct.unpack("<2sIHHHf", head)
                rest = file.read(length - 16)
                if 1 <= x < 511:
                    new.write(head[:6] + struct.pack("<H", x - 1) + head[8:] + rest)
        return _size(out)

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


READING = {
    "cat FILE > /dev/null": cat,
    "index (fresh open)": index,
    "all rows decoded, block by block, in dask's threads": decode_all_rows,
    "hs.load(lazy=True), s.sum(), computed; index included": load_and_sum,
    "hs.load(lazy=True), 20 channels as an image; index included": load_and_sum_window,
    "record by record in Python, dense": record_by_record,
}
WRITING = {
    "cp FILE OUT": copy,
    "geopixe.crop, all of it; index included": crop,
    "geopixe.crop, columns 1 to 510; index included": crop_part,
    "geopixe.crop, one detector; index included": crop_detector,
    "geopixe.fill_dead_time, constant; index included": fill_constant,
    "geopixe.fill_dead_time, fit; index included": fill_fit,
    "s.save of a lazy signal, detectors apart": save_detectors,
    "s.save of a lazy signal, detectors summed": save,
    "crop record by record in Python": crop_record_by_record,
}
OPENING = {
    "cat FILE > /dev/null": cat,
    "index (fresh open)": index,
    "open again, index from the cache": open_again,
}
CASES = READING | WRITING | OPENING


def warm_up():
    """Import what is needed and load the compiled kernels, on a small map."""
    import hyperspy.api as hs

    from rsciio_xfm import data, geopixe

    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.GeoPIXE"
        data.thin_section(small, (4, 4))
        s = hs.load(small, lazy=True, sum_detectors=False)
        s.save(Path(folder) / "saved.GeoPIXE")
        out = Path(folder) / "out.GeoPIXE"
        geopixe.crop(small, out, x=(1, 2))
        geopixe.fill_dead_time(small, out, "polynomial", overwrite=True)
        geopixe.fill_dead_time(small, out, "constant", value=1, overwrite=True)
        s = hs.load(small, lazy=True)
        for signal in (s.sum(), s.sum("Energy"), s):
            signal.compute(show_progressbar=False)


def write_empty_map(path, n_columns, n_rows, n_detectors=2):
    """Write a map in which every record is there and none has counts."""
    import json

    from rsciio_xfm.data._thin_section import make_header
    from rsciio_xfm.formats.geopixe.layout import RECORD, RECORD_MARK

    header = json.dumps(make_header(n_rows, n_columns, n_detectors)).encode()
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
    from rsciio_xfm import data

    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--only", choices=["read", "write", "open"])
    arguments = parser.parse_args()
    wanted = [arguments.only] if arguments.only else ["read", "write", "open"]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        # Not the user's: the first case that opens a file must not find its index.
        os.environ["RSCIIO_XFM_CACHE_DIR"] = str(Path(folder) / "cache")
        path = Path(folder) / "map.GeoPIXE"
        if "read" in wanted or "write" in wanted:
            data.thin_section(path, (512, 512))
            if "write" in wanted:
                hide_dead_times(path)
            _age(path)
            size = path.stat().st_size
            print(f"512 x 512 pixels, 2 detectors, 4096 channels, {size} bytes\n")
        if "read" in wanted:
            slow = ("record by record in Python, dense",)
            os.environ["RSCIIO_XFM_CACHE"] = "0"
            _runner.compare(__file__, list(READING), str(path), arguments.repeats, slow)
            del os.environ["RSCIIO_XFM_CACHE"]
        if "write" in wanted:
            print()
            slow = ("crop record by record in Python",)
            _runner.compare(__file__, list(WRITING), str(path), arguments.repeats, slow)
        path.unlink(missing_ok=True)
        if "open" in wanted:
            path = Path(folder) / "large.GeoPIXE"
            write_empty_map(path, 9000, 3000)
            _age(path)
            size = path.stat().st_size
            print(f"\n9000 x 3000 pixels, 2 detectors, no counts, {size} bytes\n")
            _runner.compare(__file__, list(OPENING), str(path), arguments.repeats)


def hide_dead_times(path):
    """Set the dead time of every third record to 0, as where none was recorded."""
    from rsciio_xfm.formats.geopixe.layout import RECORD
    from rsciio_xfm.formats.geopixe.parse import read_header

    header = read_header(path)
    offset = RECORD.fields["dead_time"][1]
    content = np.memmap(path, dtype=np.uint8, mode="r+")
    position, n = header.data_offset, 0
    while position < content.size:
        if n % 3 == 0:
            content[position + offset : position + offset + 4] = 0
        position += int.from_bytes(
            content[position + 2 : position + 6].tobytes(), "little"
        )
        n += 1


def _age(path):
    """Make a file old enough to be cached."""
    moment = path.stat().st_mtime - 60
    os.utime(path, (moment, moment))


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
