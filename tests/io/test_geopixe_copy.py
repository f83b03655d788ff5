"""Cropping and filling by copying records, checked with a decoder of the tests' own."""

import builtins
import csv
import errno
import json
import math
import os
import random
import resource
import signal as signals
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsciio_xfm import data, geopixe
from rsciio_xfm.core import atomic
from rsciio_xfm.core import runs as _runs
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from tests.builders import geopixe as builder

FLOAT = "<f"


def header_of(path):
    content = path.read_bytes()
    (length,) = struct.unpack_from("<H", content)
    return content[2 : 2 + length].decode()


def records_of(path):
    """The records of a file as bytes, in their order."""
    content = path.read_bytes()
    at = 2 + struct.unpack_from("<H", content)[0]
    records = []
    while at < len(content):
        (length,) = struct.unpack_from("<I", content, at + 2)
        records.append(content[at : at + length])
        at += length
    return records


def place(record):
    return struct.unpack_from("<HHH", record, 6)


def only(folder, *names):
    """Assert that nothing but these is in a folder: no temporary file was left."""
    assert sorted(p.name for p in folder.iterdir()) == sorted(names)


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.GeoPIXE")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.GeoPIXE"


class TestCrop:
    def test_all_of_it_is_the_same_file(self, path, out):
        geopixe.crop(path, out)
        assert builder.unmarked(out) == path.read_bytes()

    def test_all_of_the_real_file(self, real_geopixe, out):
        geopixe.crop(real_geopixe, out, x=(0, 20), y=(0, 5), detectors=[0, 1])
        assert builder.unmarked(out) == real_geopixe.read_bytes()

    def test_part_of_the_real_file(self, real_geopixe, out):
        geopixe.crop(real_geopixe, out, x=(3, 9), y=(1, 4))
        whole, part = builder.decode(real_geopixe), builder.decode(out)
        expected = {
            (x - 3, y - 1, d): spectrum
            for (x, y, d), spectrum in whole.items()
            if 3 <= x < 9 and 1 <= y < 4
        }
        assert part == expected
        before, after = header_of(real_geopixe), builder.unmark(header_of(out))
        fields = json.loads(after)["File Header"]
        assert (fields["Xres"], fields["Yres"]) == (6, 3)
        assert math.isclose(fields["Width (mm)"], 0.5703125 * 6 / 20)
        assert math.isclose(fields["Height (mm)"], 0.1425233644859813 * 3 / 5)
        changed = ("Xres", "Yres", "Width", "Height")
        for old, new in zip(before.splitlines(), after.splitlines(), strict=True):
            assert (old == new) != any(f'"{name}' in old for name in changed)

    @given(data=st.data())
    def test_any_box_in_any_order(self, tmp_path, data):
        seed = data.draw(st.integers(0, 99))
        path = tmp_path / "any.GeoPIXE"
        shuffle = data.draw(st.booleans())

        def reorder(records):
            return random.Random(seed).sample(records, len(records))

        builder.write_map(path, seed=seed, order=reorder if shuffle else None)
        x = sorted(data.draw(st.tuples(st.integers(0, 6), st.integers(1, 7))))
        y = sorted(data.draw(st.tuples(st.integers(0, 4), st.integers(1, 5))))
        x[1], y[1] = max(x[1], x[0] + 1), max(y[1], y[0] + 1)
        kept = data.draw(st.sampled_from([None, 0, 1, [0], [0, 1], [1]]))
        geopixe.crop(path, tmp_path / "o.GeoPIXE", x, y, kept, overwrite=True)
        numbers = [0, 1] if kept is None else np.atleast_1d(kept).tolist()
        expected = []
        for record in records_of(path):
            column, row, detector = place(record)
            if x[0] <= column < x[1] and y[0] <= row < y[1] and detector in numbers:
                moved = (column - x[0], row - y[0], numbers.index(detector))
                expected.append(record[:6] + struct.pack("<HHH", *moved) + record[12:])
        assert records_of(tmp_path / "o.GeoPIXE") == expected
        (map_,) = geopixe.file_reader(tmp_path / "o.GeoPIXE")
        assert map_["data"].shape[:2] == (y[1] - y[0], x[1] - x[0])

    def test_detectors_keep_their_entries(self, tmp_path, out):
        path = builder.write_map(tmp_path / "map.GeoPIXE", n_detectors=4)
        geopixe.crop(path, out, detectors=[3, 1])
        assert out.read_bytes()  # numbered anew in ascending order
        (map_,) = geopixe.file_reader(out, sum_detectors=False)
        assert [e["Idx"] for e in map_["original_metadata"]["Detector"]] == [1, 3]
        (whole,) = geopixe.file_reader(path, sum_detectors=False)
        np.testing.assert_array_equal(map_["data"], whole["data"][[1, 3]])

    def test_one_entry_for_all_detectors_stays(self, tmp_path, out):
        records = builder.random_records()
        path = builder.write(
            tmp_path / "map.GeoPIXE", builder.header_tree(), records, n_detector_entries=1
        )
        geopixe.crop(path, out, detectors=1)
        expected = header_of(path).replace('"Dets": 2', '"Dets": 1')
        assert builder.unmark(header_of(out)) == expected

    @pytest.mark.parametrize(
        "text",
        [
            '{"File Header":{"Xres":7,"Yres":5,"Dets":2,"Chan":32,"Note":"\\u00b5 1.50E1"}}',
            '\n{ "A" : [1, {"Xres": 3}] ,\r\n"File Header"\t: {"Yres": 5 , "Xres" : 7, '
            '"Dets":2, "Chan": 32e0, "x": 1.0000}, "Detector":{"Xres": 9},"Detector":{}}\n ',
        ],
    )
    @pytest.mark.filterwarnings("ignore:.*stays:UserWarning")
    @pytest.mark.filterwarnings("ignore:.*stay unknown:UserWarning")
    def test_form_of_the_header(self, tmp_path, out, text):
        path = builder.write(
            tmp_path / "map.GeoPIXE", None, builder.random_records(), text=text.encode()
        )
        geopixe.crop(path, out)
        assert builder.unmarked(out) == path.read_bytes()
        geopixe.crop(path, out, x=(2, 4), overwrite=True)
        (place_,) = [m for m in ('"Xres":7', '"Xres" : 7') if m in text]
        expected = text.replace(place_, place_[:-1] + "2")
        assert builder.unmark(header_of(out)) == expected

    @pytest.mark.parametrize(
        ("ranges", "found"),
        [
            ({"x": (4, 2)}, r"x is \(4, 2\)"),
            ({"x": (3, 3)}, r"x is \(3, 3\)"),
            ({"x": (-2, 3)}, r"x is \(-2, 3\)"),
            ({"x": (0, 8)}, r"x is \(0, 8\)"),
            ({"y": (5, 6)}, r"y is \(5, 6\)"),
        ],
    )
    def test_wrong_ranges(self, path, out, ranges, found):
        with pytest.raises(
            ValueError, match=rf"map.GeoPIXE: {found}.*7 columns.* 5 rows"
        ):
            geopixe.crop(path, out, **ranges)
        assert not out.exists()

    @pytest.mark.parametrize("detectors", [2, -1, [], [0, 2]])
    def test_wrong_detectors(self, path, out, detectors):
        with pytest.raises(ValueError, match="2 detectors"):
            geopixe.crop(path, out, detectors=detectors)

    def test_numbers_that_are_not_whole(self, path, out):
        with pytest.raises(TypeError):
            geopixe.crop(path, out, x=(0.5, 3))

    def test_truncated(self, tmp_path, out):
        path = builder.write_map(tmp_path / "map.GeoPIXE")
        whole = path.read_bytes()
        path.write_bytes(whole[:-3])
        with pytest.warns(UserWarning, match="ends within a record"):
            geopixe.crop(path, out)
        assert records_of(out) == builder.random_records()[:-1]

    def test_nothing_in_the_box(self, tmp_path, out):
        records = [r for r in builder.random_records() if place(r)[0] > 2]
        path = builder.write(tmp_path / "map.GeoPIXE", builder.header_tree(), records)
        with pytest.warns(UserWarning, match="are missing"):
            geopixe.crop(path, out, x=(0, 2))
        assert records_of(out) == []

    def test_one_pixel_map(self, tmp_path, out):
        path = builder.write_map(tmp_path / "one.GeoPIXE", n_columns=1, n_rows=1)
        geopixe.crop(path, out, x=(0, 1), y=(0, 1))
        assert builder.unmarked(out) == path.read_bytes()

    def test_memory_is_that_of_a_block(self, tmp_path, out, monkeypatch):
        path = tmp_path / "demo.GeoPIXE"
        data.thin_section(path, (60, 60))  # 22 MB
        geopixe.crop(path, out, x=(0, 3))  # loads the kernels
        tracemalloc.start()
        geopixe.crop(path, out, x=(1, 60), overwrite=True)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert path.stat().st_size > 20e6
        assert peak < 11 * 2**20  # a block for the index, a block for the copy


class TestDestination:
    @pytest.fixture(params=["crop", "fill_dead_time", "write_table"])
    def write(self, request):
        def write(path, out, **kwds):
            if request.param == "fill_dead_time":
                kwds |= {"model": "constant", "value": 5.0}
            getattr(geopixe, request.param)(path, out, **kwds)

        return write

    def test_source(self, path, write, tmp_path):
        before = path.read_bytes()
        link = tmp_path / "link.GeoPIXE"
        link.symlink_to(path)
        hard = tmp_path / "hard.GeoPIXE"
        os.link(path, hard)
        for destination in (path, link, hard):
            with pytest.raises(ValueError, match="is the file that is read"):
                write(path, destination, overwrite=True)
        assert path.read_bytes() == before

    def test_is_there(self, path, out, write):
        out.write_bytes(b"old")
        with pytest.raises(FileExistsError, match=r"out.GeoPIXE.*overwrite=True"):
            write(path, out)
        assert out.read_bytes() == b"old"
        out.chmod(0o640)
        write(path, out, overwrite=True)
        assert out.stat().st_mode & 0o777 == 0o640
        only(path.parent, "map.GeoPIXE", "out.GeoPIXE")

    def test_new_files_have_the_usual_permissions(self, path, out, write):
        write(path, out)
        mask = os.umask(0)
        os.umask(mask)
        assert out.stat().st_mode & 0o777 == 0o666 & ~mask

    def test_a_link_stays_one(self, path, tmp_path, write):
        target = tmp_path / "elsewhere"
        target.mkdir()
        (target / "t.GeoPIXE").write_bytes(b"old")
        link = tmp_path / "link.GeoPIXE"
        link.symlink_to(target / "t.GeoPIXE")
        write(path, link, overwrite=True)
        assert link.is_symlink()
        assert (target / "t.GeoPIXE").stat().st_size > 100

    def test_no_folder(self, path, tmp_path, write):
        with pytest.raises(FileNotFoundError, match=r"nowhere.*out.GeoPIXE"):
            write(path, tmp_path / "nowhere" / "out.GeoPIXE")

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="not as root")
    def test_read_only_folder(self, path, tmp_path, write):
        folder = tmp_path / "read_only"
        folder.mkdir(mode=0o500)
        with pytest.raises(PermissionError, match=r"out.GeoPIXE"):
            write(path, folder / "out.GeoPIXE")

    def test_denied(self, path, out, write, monkeypatch):
        """As in a read-only folder, whoever runs the tests."""
        out.write_bytes(b"old")
        real_open = builtins.open

        def deny(file, mode="r", *rest, **kwds):
            if "x" in mode:
                raise PermissionError(errno.EACCES, "Permission denied", str(file))
            return real_open(file, mode, *rest, **kwds)

        monkeypatch.setattr(atomic, "open", deny, raising=False)
        with pytest.raises(PermissionError, match=r"out.GeoPIXE'"):
            write(path, out, overwrite=True)
        assert out.read_bytes() == b"old"

    def test_no_space(self, path, tmp_path, write):
        """A limit on the size of files stands for a full disk."""
        out = tmp_path / "out.GeoPIXE"
        out.write_bytes(b"old")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signals.signal(signals.SIGXFSZ, signals.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, before[1]))
        try:
            with pytest.raises(OSError, match=r"out.GeoPIXE") as caught:
                write(path, out, overwrite=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signals.signal(signals.SIGXFSZ, handler)
        assert caught.value.errno == errno.EFBIG
        assert out.read_bytes() == b"old"
        only(tmp_path, "map.GeoPIXE", "out.GeoPIXE")

    def test_source_changes_meanwhile(self, path, out, write, monkeypatch):
        out.write_bytes(b"old")
        real = _runs.read_ranges

        def change_then_read(*arguments):
            with path.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"\x07")
            os.utime(path, (1, 1))
            return real(*arguments)

        monkeypatch.setattr(_runs, "read_ranges", change_then_read)
        with pytest.raises(CorruptFileError, match="was changed since it was opened"):
            write(path, out, overwrite=True)
        assert out.read_bytes() == b"old"
        only(path.parent, "map.GeoPIXE", "out.GeoPIXE")

    def test_killed(self, path, out):
        """A process that dies leaves the old file, whatever else it leaves."""
        out.write_bytes(b"old")
        code = (
            "import os, sys; from rsciio_xfm.formats.geopixe import copy, crop\n"
            "copy._pack_records = lambda *a: os.kill(os.getpid(), 9)\n"
            "crop(sys.argv[1], sys.argv[2], overwrite=True)"
        )
        result = subprocess.run([sys.executable, "-c", code, path, out], check=False)
        assert result.returncode == -9
        assert out.read_bytes() == b"old"

    def test_no_map(self, tmp_path, out, write):
        path = tmp_path / "text.GeoPIXE"
        path.write_bytes(b"hello, this is no map")
        with pytest.raises(FileFormatError, match=r"text\.GeoPIXE"):
            write(path, out)
        assert not out.exists()


class TestFill:
    def map_with(self, folder, dead_times):
        """A map of 7 x 5 pixels and 2 detectors with these dead times, in turn."""
        records = [
            r[:12] + struct.pack(FLOAT, dead_times[i % len(dead_times)]) + r[16:]
            for i, r in enumerate(builder.random_records())
        ]
        return builder.write(folder / "map.GeoPIXE", builder.header_tree(), records)

    def test_constant(self, tmp_path, out):
        given_ = [10.5, 0.0, math.nan, -3.0, 100.5, math.inf, 100.0]
        path = self.map_with(tmp_path, given_)
        report = geopixe.fill_dead_time(path, out, "constant", value=33.0)
        assert builder.unmark(header_of(out)) == header_of(path)
        for old, new in zip(records_of(path), records_of(out), strict=True):
            assert old[:12] == new[:12] and old[16:] == new[16:]
            (before,) = struct.unpack(FLOAT, old[12:16])
            (after,) = struct.unpack(FLOAT, new[12:16])
            assert after == (before if before in (10.5, 100.0) else 33.0)
        assert sum(e["n_filled"] for e in report) == 50
        assert sum(e["n_known"] for e in report) == 20

    def test_nothing_is_missing(self, real_geopixe, out):
        report = geopixe.fill_dead_time(real_geopixe, out)
        assert builder.unmarked(out) == real_geopixe.read_bytes()
        assert [(e["n_filled"], e["n_known"]) for e in report] == [(0, 100)] * 2

    def test_missing_records_stay_missing(self, tmp_path, out):
        records = self.map_with(tmp_path, [0.0]).read_bytes()
        path = tmp_path / "map.GeoPIXE"
        path.write_bytes(records)
        kept = [r for r in records_of(path) if place(r)[0] != 3]
        builder.write(path, builder.header_tree(), kept)
        with pytest.warns(UserWarning, match="are missing"):
            report = geopixe.fill_dead_time(path, out, "constant", value=20)
        assert [e["n_filled"] for e in report] == [30, 30]
        assert len(records_of(out)) == 60

    def test_fit_of_the_real_file(self, real_geopixe, tmp_path, out):
        """Half of its dead times hidden: the bar that the fit was made for."""
        hidden = tmp_path / "hidden.GeoPIXE"
        truth = np.array(
            [struct.unpack(FLOAT, r[12:16])[0] for r in records_of(real_geopixe)]
        )
        order = np.random.default_rng(3).permutation(200)
        is_hidden = np.isin(np.arange(200), order[:100])
        text = header_of(real_geopixe).encode()
        records = [
            r[:12] + bytes(4) + r[16:] if gone else r
            for r, gone in zip(records_of(real_geopixe), is_hidden, strict=True)
        ]
        builder.write(hidden, None, records, text=text)
        report = geopixe.fill_dead_time(hidden, out)
        filled = np.array([struct.unpack(FLOAT, r[12:16])[0] for r in records_of(out)])
        np.testing.assert_array_equal(filled[~is_hidden], truth[~is_hidden])
        error = np.median(np.abs(filled - truth)[is_hidden])
        assert error <= 2
        assert sum(e["n_filled"] for e in report) == 100
        assert all(abs(e["error"] - error) < 1 for e in report)
        # The published cubic, rescaled to the map.
        counts = [
            sum(c for c in struct.unpack(f"<{len(r) // 2}H", r)[9::2]) for r in records
        ]
        cubic = np.polynomial.Polynomial(
            [0.23438781, 0.21464015, 0.05402071, 0.02689396],
            domain=[4.08008563, 99.727441],
            window=[-1, 1],
        )
        published = 100 * cubic(np.array(counts) / 100)
        detector = np.arange(200) % 2
        rescaled = np.empty(200)
        for d in (0, 1):
            known = ~is_hidden & (detector == d)
            factor = np.median(truth[known]) / np.median(published[known])
            rescaled[detector == d] = factor * published[detector == d]
        assert error <= 0.6 * np.median(np.abs(rescaled - truth)[is_hidden])

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"model": "constant"}, "value is None"),
            ({"model": "constant", "value": 0}, "value is 0"),
            ({"model": "constant", "value": 100}, "value is 100"),
            ({"model": "constant", "value": math.nan}, "value is nan"),
            ({"model": "fit", "value": 3}, "model is 'fit', not 'constant'"),
            ({"model": "magic"}, "model is 'magic', expected one of fit, constant"),
            ({"model": "polynomial", "coefficients": "quartic"}, "cubic, linear"),
            ({"model": "polynomial", "coefficients": []}, "finite numbers"),
            ({"model": "polynomial", "coefficients": [1, math.inf]}, "finite numbers"),
        ],
    )
    def test_wrong_options(self, path, out, options, match):
        with pytest.raises(ValueError, match=match):
            geopixe.fill_dead_time(path, out, **options)
        assert not out.exists()

    @pytest.mark.filterwarnings("ignore:.*stay unknown:UserWarning")
    def test_polynomial_without_dwell(self, tmp_path, out):
        tree = builder.header_tree()
        del tree["File Header"]["Dwell (mS)"]
        records = [r[:12] + bytes(4) + r[16:] for r in builder.random_records()]
        path = builder.write(tmp_path / "map.GeoPIXE", tree, records)
        with pytest.raises(ValueError, match="real time of the spectra is None ms"):
            geopixe.fill_dead_time(path, out, "polynomial")

    def test_polynomial(self, tmp_path, out):
        path = self.map_with(tmp_path, [0.0, 12.0])
        geopixe.fill_dead_time(path, out, "polynomial", coefficients=[1.0, 2.0])
        for record in records_of(out)[::2]:
            counts = sum(struct.unpack(f"<{len(record) // 2}H", record)[9::2])
            (found,) = struct.unpack(FLOAT, record[12:16])
            assert math.isclose(found, 1 + 2 * counts / 100, rel_tol=1e-6)

    def test_damaged_channels(self, tmp_path, out):
        records = [r[:12] + bytes(4) + r[16:] for r in builder.random_records()]
        records[20] = builder.record(*place(records[20]), [(9, 1), (3, 1)])
        path = builder.write(tmp_path / "map.GeoPIXE", builder.header_tree(), records)
        with pytest.raises(CorruptFileError, match="ascending"):
            geopixe.fill_dead_time(path, out, "polynomial")
        assert not out.exists()


class TestTable:
    def test_is_the_file(self, path, tmp_path):
        out = tmp_path / "t.csv"
        geopixe.write_table(path, out)
        with out.open(newline="") as file:
            rows = list(csv.DictReader(file))
        records = records_of(path)
        assert len(rows) == len(records)
        for row, record in zip(rows, records, strict=True):
            assert (int(row["x"]), int(row["y"]), int(row["detector"])) == place(record)
            dead_time = np.float32(row["dead_time_percent"])
            assert dead_time.astype("<f4").tobytes() == record[12:16]
            counts = struct.unpack(f"<{len(record) // 2}H", record)[9::2]
            assert int(row["counts"]) == sum(counts)
            assert int(row["record_bytes"]) == len(record)

    def test_real_file(self, real_geopixe, tmp_path):
        out = tmp_path / "t.csv"
        geopixe.write_table(real_geopixe, out)
        table = np.genfromtxt(out, delimiter=",", names=True)
        assert table.shape == (200,)
        assert table["record_bytes"].sum() + len(header_of(real_geopixe)) + 2 == 683488

    def test_nan(self, tmp_path):
        records = [
            r[:12] + struct.pack(FLOAT, math.nan) + r[16:]
            for r in builder.random_records()
        ]
        path = builder.write(tmp_path / "map.GeoPIXE", builder.header_tree(), records)
        geopixe.write_table(path, tmp_path / "t.csv")
        assert (tmp_path / "t.csv").read_text().count(",nan,") == 70
