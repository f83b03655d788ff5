"""Damaged and lying GeoPIXE files: a clear error or a warning, never a wrong count."""

import json
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsciio_xfm.core import to_dask
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.geopixe import api, file_reader
from tests.builders import geopixe as builder


@pytest.fixture
def path(tmp_path):
    return tmp_path / "map.GeoPIXE"


def counts(path, **kwds):
    return np.asarray(file_reader(path, **kwds)[0]["data"])


class TestHeader:
    @pytest.mark.parametrize(
        ("content", "error", "match"),
        [
            (b"", TruncatedFileError, "the file has 0 bytes"),
            (b"\x01", TruncatedFileError, "the file has 1 bytes"),
            (
                b"\xff\xff{}",
                TruncatedFileError,
                "length is 65535 bytes, expected at most",
            ),
            (b"\x00\x00", FileFormatError, "not JSON"),
            (b"\x89HDF\r\n\x1a\n" + b"\x00" * 40000, FileFormatError, r"not JSON.*b'DF"),
            (b'\x05\x00{"\xff"}', FileFormatError, r"not UTF-8.*\(byte 4\)"),
            (b"\x02\x00[]", FileFormatError, "JSON list, expected an object"),
            (b"\x02\x00{}", FileFormatError, "'File Header' is None, expected"),
            (b"\x05\x00{'a'}", FileFormatError, r"not JSON.*\(byte 3\)"),
            (b"\x0a\x00" + b"[" * 10, FileFormatError, "not JSON"),
        ],
    )
    def test_not_a_map(self, path, content, error, match):
        path.write_bytes(content)
        with pytest.raises(error, match=match) as caught:
            file_reader(path)
        assert str(path) in str(caught.value)

    def test_deeply_nested(self, path):
        text = b"[" * 60000
        path.write_bytes(struct.pack("<H", len(text)) + text)
        with pytest.raises(FileFormatError, match="not JSON"):
            file_reader(path)

    def test_byte_of_an_error_after_other_letters(self, path):
        text = '{"µµ": 1, x}'.encode()
        builder.write(path, None, [], text=text)
        at = 2 + text.index(b"x")
        with pytest.raises(FileFormatError, match=rf"\(byte {at}\)"):
            file_reader(path)

    @pytest.mark.parametrize("name", ["Xres", "Yres", "Chan"])
    @pytest.mark.parametrize(
        "value", [None, 0, -1, 65537, 1.5, "20", True, [20], 10**400, float("nan")]
    )
    def test_sizes_have_to_be_sane(self, path, name, value):
        builder.write(path, builder.header_tree(**{name: value}), [])
        with pytest.raises(FileFormatError, match=f"the header's {name} is .* expected"):
            file_reader(path)

    @pytest.mark.parametrize("name", ["Xres", "Yres", "Chan"])
    def test_sizes_have_to_be_there(self, path, name):
        tree = builder.header_tree()
        del tree["File Header"][name]
        builder.write(path, tree, [])
        with pytest.raises(FileFormatError, match=f"the header's {name} is None"):
            file_reader(path)

    def test_a_size_that_stands_twice(self, path):
        text = builder.header_text(builder.header_tree())
        text = text.replace(b'"Xres": 7', b'"Xres": 7, "Xres": 8')
        builder.write(path, None, [], text=text)
        with pytest.raises(FileFormatError, match=r"Xres is \[7, 8\]"):
            file_reader(path)

    @pytest.mark.parametrize(
        "size",
        [(65536, 65536, 4096, 2), (65536, 65536, 65536, 65536), (9000, 3000, 9, 2)],
    )
    def test_a_map_that_the_file_cannot_hold(self, path, size):
        builder.write(path, builder.header_tree(size[0], size[1], size[3], size[2]), [])
        tracemalloc.start()
        with pytest.raises(FileFormatError, match="expected at most the 0 that the file"):
            file_reader(path, lazy=True)
        assert tracemalloc.get_traced_memory()[1] < 2**20
        tracemalloc.stop()

    def test_integral_floats_are_sizes(self, path):
        tree = builder.header_tree(Xres=7.0, Yres=5.0)
        builder.write(path, tree, builder.random_records())
        assert counts(path).shape == (5, 7, 32)

    @pytest.mark.parametrize(
        ("name", "value", "match"),
        [
            ("Dwell (mS)", None, "live and real time stay unknown"),
            ("Gain (eV)", 0, "the energy axis stays uncalibrated"),
            ("Width (mm)", "wide", "x stays uncalibrated"),
            ("Height (mm)", float("inf"), "y stays uncalibrated"),
            ("Height (mm)", -(10**400), "y stays uncalibrated"),
            ("Gain (eV)", 5e-324, "the energy axis stays uncalibrated"),
        ],
    )
    def test_a_scale_that_is_missing(self, path, name, value, match):
        builder.write(
            path, builder.header_tree(**{name: value}), builder.random_records()
        )
        with pytest.warns(UserWarning, match=match):
            (result,) = file_reader(path)
        lost = {"Gain (eV)": -1, "Width (mm)": 1, "Height (mm)": 0}.get(name)
        if lost is not None:
            axis = result["axes"][lost]
            assert (axis["scale"], axis["offset"], axis["units"]) == (1, 0, None)
        else:
            eds = result["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]
            assert "live_time" not in eds and "real_time" not in eds

    @pytest.mark.filterwarnings("ignore:.*stays uncalibrated")
    def test_cutoff_needs_a_gain(self, path):
        tree = builder.header_tree(**{"Gain (eV)": None})
        builder.write(path, tree, builder.random_records())
        with pytest.raises(ValueError, match="needs a header with Gain"):
            file_reader(path, cutoff_at_kV=1)

    def test_nested_objects(self, path):
        text = b'{"a":' * 300 + b"1" + b"}" * 300
        builder.write(path, None, [], text=text)
        with pytest.raises(FileFormatError, match="nested more than 20 levels"):
            file_reader(path)

    def test_text_that_cannot_be_saved(self, path):
        tree = builder.header_tree() | {"Note": "a\ud800b\0c"}
        builder.write(path, tree, builder.random_records())
        (result,) = file_reader(path)
        assert result["original_metadata"]["Note"] == "a?b?c"

    @pytest.mark.parametrize(
        "source", [None, [], {"Elt": "Mo"}, {"KV": "high"}, {"KV": 10**400}, {"KV": 0}]
    )
    def test_no_beam_energy(self, path, source):
        tree = builder.header_tree() | {"X-ray Source": source}
        builder.write(path, tree, builder.random_records())
        with pytest.warns(UserWarning, match="the beam energy stays unknown"):
            (result,) = file_reader(path)
        assert "beam_energy" not in result["metadata"]["Acquisition_instrument"]["SEM"]

    @pytest.mark.parametrize(
        "stamp", [None, 5, "", "yesterday", "13/45/2022 at 10:55 am"]
    )
    def test_no_date(self, path, stamp):
        builder.write(
            path, builder.header_tree(Timestamp=stamp), builder.random_records()
        )
        assert "date" not in file_reader(path)[0]["metadata"]["General"]

    def test_number_of_detectors_from_their_entries(self, path):
        tree = builder.header_tree()
        del tree["File Header"]["Dets"]
        builder.write(path, tree, builder.random_records())
        assert counts(path, sum_detectors=False).shape == (2, 5, 7, 32)

    @pytest.mark.parametrize("entry", ["3", "[]", "null", '"SDD"'])
    def test_detector_entries_that_are_no_objects(self, path, entry):
        text = json.dumps(builder.header_tree())[:-1] + f', "Detector": {entry}}}'
        builder.write(path, None, builder.random_records(), text=text.encode())
        assert counts(path).shape == (5, 7, 32)

    def test_missing_file(self, path):
        with pytest.raises(FileNotFoundError):
            file_reader(path)

    def test_a_folder(self, path):
        path.mkdir()
        with pytest.raises(FileFormatError, match="the path is that of a folder"):
            file_reader(path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes on this system")
    def test_a_pipe(self, path):
        os.mkfifo(path)
        with pytest.raises(FileFormatError, match="the path is that of a pipe"):
            file_reader(path)


def offset_of(records, n, tree=None):
    return (
        2
        + len(builder.header_text(tree or builder.header_tree()))
        + sum(len(r) for r in records[:n])
    )


class TestRecords:
    @pytest.mark.parametrize("n", [0, 31, 69])
    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"mark": b"XX"}, r"the mark of a record is b'XX', expected b'DP'"),
            ({"length": 0}, "the length of a record is 0, expected 16 plus 4"),
            ({"length": 15}, "the length of a record is 15"),
            ({"length": 17}, "the length of a record is 17"),
            ({"length": 16 + 4 * 33}, "the length of a record is 148"),
            ({"length": 2**32 - 1}, "the length of a record is 4294967295"),
            ({"x": 7}, "a record is at x=7, .* expected x < 7, y < 5, detector < 2"),
            ({"y": 5}, "a record is at x=0, y=5"),
            ({"x": 65535, "y": 65535}, "a record is at x=65535, y=65535"),
            ({"detector": 2}, "detector=2, expected"),
        ],
    )
    def test_a_wrong_record(self, path, n, change, match):
        records = builder.random_records()
        wrong = {"x": 0, "y": 0, "detector": 0, "entries": [(1, 1)]} | change
        records[n] = builder.record(**wrong)
        builder.write(path, builder.header_tree(), records)
        with pytest.raises(CorruptFileError, match=match) as caught:
            file_reader(path, lazy=True)
        assert f"(byte {offset_of(records, n)})" in str(caught.value)
        assert str(path) in str(caught.value)

    def test_a_length_that_passes_the_end(self, path):
        """Within what a record may have, but other records follow."""
        records = builder.random_records(n_channels=4096)
        records[-3] = builder.record(4, 4, 0, [(1, 1)], length=16 + 4 * 4000)
        tree = builder.header_tree(n_channels=4096)
        builder.write(path, tree, records)
        with pytest.raises(CorruptFileError, match="not one record that was cut off"):
            file_reader(path, lazy=True)

    def test_a_pixel_that_stands_twice(self, path):
        records = builder.random_records()
        records[40] = builder.record(3, 1, 1, [(1, 1)])
        builder.write(path, builder.header_tree(), records)
        with pytest.raises(CorruptFileError, match="x=3, y=1, detector=1 stands twice"):
            file_reader(path, lazy=True)

    @pytest.mark.parametrize("is_lazy", [False, True])
    @pytest.mark.parametrize("channel", [32, 33, 65535])
    def test_a_channel_beyond_chan(self, path, is_lazy, channel):
        records = builder.random_records()
        records[20] = builder.record(3, 1, 0, [(1, 1), (channel, 1)])
        builder.write(path, builder.header_tree(), records)
        match = rf"\.\.\., 1, {channel}, \.\.\., expected ascending channels less than 32"
        with pytest.raises(CorruptFileError, match=match) as caught:
            counts(path, lazy=is_lazy)
        assert f"byte {offset_of(records, 20) + 20})" in str(caught.value)

    @pytest.mark.parametrize("entries", [[(3, 5), (1, 2)], [(0, 1), (3, 5), (3, 5)]])
    def test_channels_that_do_not_ascend(self, path, entries):
        records = builder.random_records()
        records[20] = builder.record(3, 1, 0, entries)
        builder.write(path, builder.header_tree(), records)
        data = file_reader(path, lazy=True)[0]["data"]
        source = to_dask.source_of(data)
        whole = tuple((0, n) for n in source.shape)
        windows = ((0, 5), (0, 7), (10, 20))
        for read in (source.read, source.sum_navigation, source.sum_signal):
            for ranges in (whole, windows):
                with pytest.raises(
                    CorruptFileError, match=f"{entries[-1][0]}, .* ascending"
                ):
                    read(ranges)

    def test_a_channel_beyond_chan_is_found_in_sums(self, path):
        records = builder.random_records()
        records[20] = builder.record(3, 1, 0, [(1, 1), (32, 1)])
        builder.write(path, builder.header_tree(), records)
        source = to_dask.source_of(file_reader(path, lazy=True)[0]["data"])
        whole = tuple((0, n) for n in source.shape)
        for method in (source.sum_navigation, source.sum_signal):
            with pytest.raises(CorruptFileError, match="channels less than 32"):
                method(whole)

    def test_garbage_after_the_last_record(self, path):
        records = [*builder.random_records(), b"\x00" * 5]
        builder.write(path, builder.header_tree(), records)
        with pytest.raises(CorruptFileError, match="5 bytes that are no record follow"):
            file_reader(path)


class TestTruncated:
    def test_header_only(self, path):
        builder.write(path, builder.header_tree(), [])
        with pytest.warns(UserWarning, match="35 of 35 pixels .* holds 0 of 70 spectra"):
            data = counts(path)
        assert data.shape == (5, 7, 32)
        assert not data.any()

    @pytest.mark.parametrize("kept", [1, 2, 3, 15, 16, 18, 20, 21])
    @pytest.mark.parametrize("is_lazy", [False, True])
    def test_cut_within_a_record(self, path, kept, is_lazy):
        records = builder.random_records()
        records[41] = builder.record(6, 2, 1, [(1, 1), (5, 2), (9, 3)])
        cut = [*records[:41], records[41][:kept]]
        builder.write(path, builder.header_tree(), cut)
        # 41 spectra are whole: 20 pixels with both detectors, one with the first only
        match = "15 of 35 pixels .* holds 41 of 70 spectra and ends within a record"
        with pytest.warns(UserWarning, match=match):
            data = counts(path, sum_detectors=False, lazy=is_lazy)
        whole = path.with_name("whole.GeoPIXE")
        builder.write(whole, builder.header_tree(), records)
        expected = counts(whole, sum_detectors=False)
        expected[1, 2, 6] = 0
        expected[:, 3:] = 0
        np.testing.assert_array_equal(data[:, :2], expected[:, :2])
        np.testing.assert_array_equal(data, expected)

    def test_next_to_nothing_is_read_lazily_only(self, path):
        tree = builder.header_tree(1000, 1000, 1, 1024)
        builder.write(path, tree, [builder.record(0, 0, 0, [(1, 1)])])
        with pytest.warns(UserWarning, match="1 of 1000000 spectra"):
            assert file_reader(path, lazy=True)[0]["data"].shape == (1000, 1000, 1024)
        tracemalloc.start()
        with pytest.warns(UserWarning), pytest.raises(FileFormatError, match="lazy=True"):
            file_reader(path)
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
        tracemalloc.stop()

    def test_cut_between_records(self, path):
        builder.write(path, builder.header_tree(), builder.random_records()[:40])
        with pytest.warns(UserWarning, match="40 of 70 spectra. The counts") as caught:
            (result,) = file_reader(path)
        assert len(caught) == 1
        eds = result["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]
        dead_time = eds["_sig_dead_time"]["data"]
        assert np.isnan(dead_time).sum() == 30
        # 0.1 s of each of the 40 spectra that are there, averaged over all 35 pixels
        live_time = 0.1 * np.nansum(1 - dead_time.astype(float) / 100) / 35
        assert eds["live_time"] == pytest.approx(live_time)

    def test_real_file_cut(self, real_geopixe, path):
        content = real_geopixe.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.warns(UserWarning, match="ends within a record"):
            data = counts(path)
        np.testing.assert_array_equal(data[0], counts(real_geopixe)[0])


class TestZeros:
    """A copy that was interrupted can leave a file of full size that ends in zeros."""

    @pytest.mark.parametrize("is_lazy", [True, False])
    def test_any_number_of_bytes(self, path, is_lazy):
        """Only what was surely copied: a record may end in a zero that was not."""
        records = builder.random_records(n_rows=2, n_columns=2)
        tree = builder.header_tree(n_rows=2, n_columns=2)
        whole = builder.write(path, tree, records).read_bytes()
        head = len(whole) - sum(map(len, records))
        for kept in range(head, len(whole) - 16):
            path.write_bytes(whole[:kept].rstrip(b"\0"))
            spectra = builder.decode(path)
            expected = np.zeros((2, 2, 2, 32), dtype=int)
            for (x, y, detector), (_, spectrum) in spectra.items():
                for channel, n in spectrum.items():
                    expected[detector, y, x, channel] = n
            path.write_bytes(whole[:kept].ljust(len(whole), b"\0"))
            with pytest.warns(
                UserWarning, match=r"zeros in its last \d+ bytes"
            ) as caught:
                found = counts(path, lazy=is_lazy, sum_detectors=False)
            np.testing.assert_array_equal(found, expected)
            assert f"holds {len(spectra)} of 8 spectra" in str(caught[0].message)

    def test_dead_times_are_unknown(self, path):
        whole = builder.write_map(path).read_bytes()
        path.write_bytes(whole[:-900].ljust(len(whole), b"\0"))
        with pytest.warns(UserWarning, match="as of a copy that was interrupted"):
            (result,) = file_reader(path)
        eds = result["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]
        assert np.isnan(eds["_sig_dead_time"]["data"]).any()

    def test_more_than_the_map(self, path):
        """All spectra are there, and zeros behind them."""
        records = builder.random_records()
        records[-1] = builder.record(6, 4, 1, [(3, 300)])
        content = builder.write(path, builder.header_tree(), records).read_bytes()
        expected = counts(path)
        path.write_bytes(content + bytes(100_000))
        with pytest.warns(UserWarning, match=r"^\S+: 0 of 35 pixels.*100000 bytes"):
            np.testing.assert_array_equal(counts(path), expected)

    def test_record_without_counts_at_the_end(self, path):
        """Its own zeros are too few to be those of a copy."""
        records = builder.random_records(n_rows=1, n_columns=2)[:3]
        records += [builder.record(0, 0, 0, [], dead_time=0)]
        records[0] = builder.record(1, 0, 1, [(1, 1)])
        tree = builder.header_tree(n_rows=1, n_columns=2)
        builder.write(path, tree, records)
        assert path.read_bytes().endswith(bytes(10))
        with pytest.warns(UserWarning, match="are not recorded") as caught:
            counts(path)
        assert len(caught) == 1

    def test_zeros_within_are_damage(self, path):
        content = bytearray(builder.write_map(path).read_bytes())
        content[-900:-100] = bytes(800)
        path.write_bytes(content)
        with pytest.raises(CorruptFileError, match=r"the mark of a record|channels"):
            counts(path)


class TestDeadTimes:
    @pytest.mark.parametrize("value", [0.0, -3.0, 100.5, float("nan"), float("inf")])
    def test_not_recorded(self, path, value):
        records = builder.random_records()
        records[3] = builder.record(1, 0, 1, [(1, 1)], dead_time=value)
        builder.write(path, builder.header_tree(), records)
        with pytest.warns(UserWarning, match="1 of 70 dead times are not recorded"):
            (result,) = file_reader(path)
        eds = result["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]
        found = eds["_sig_dead_time"]["data"][1, 0, 1]
        assert np.float32(found).tobytes() == np.float32(value).tobytes()
        assert 0 <= eds["live_time"] <= eds["real_time"]

    @pytest.mark.filterwarnings("error")
    def test_of_the_detector_that_is_read(self, path):
        records = builder.random_records()
        records[3] = builder.record(1, 0, 1, [(1, 1)], dead_time=0)
        builder.write(path, builder.header_tree(), records)
        file_reader(path, detector=0)
        with pytest.warns(UserWarning, match="1 of 35 dead times"):
            file_reader(path, detector=1)

    def test_and_missing_spectra(self, path):
        records = builder.random_records()[:41]
        records[3] = builder.record(1, 0, 1, [(1, 1)], dead_time=float("nan"))
        builder.write(path, builder.header_tree(), records)
        with pytest.warns(UserWarning) as caught:
            file_reader(path)
        messages = [str(warning.message) for warning in caught]
        assert len(messages) == 2
        assert "holds 41 of 70 spectra" in messages[0]
        assert "1 of 41 dead times are not recorded" in messages[1]


class TestChangedFile:
    def test_changed_after_opening(self, path):
        builder.write_map(path)
        data = file_reader(path, lazy=True)[0]["data"]
        builder.write_map(path, seed=5)
        os.utime(path, ns=(0, 0))
        with pytest.raises(CorruptFileError, match="was changed since it was opened"):
            data.compute()

    def test_another_number_on_the_disk(self, path):
        """The same file by way of another mount, say."""
        builder.write_map(path)
        status = path.stat()
        data = file_reader(path, lazy=True)[0]["data"]
        other = builder.write_map(path.with_name("other.GeoPIXE"), seed=0)
        os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
        other.replace(path)
        assert path.stat().st_ino != status.st_ino
        np.testing.assert_array_equal(data.compute(), counts(path))

    @pytest.mark.parametrize("is_summed", [True, False])
    @pytest.mark.parametrize("is_even", [True, False])
    @pytest.mark.parametrize("order", [(4, 3, 2, 1, 0), (1, 0, 2, 3, 4), (0, 1, 2, 2, 4)])
    def test_rows_in_another_order(self, path, order, is_even, is_summed):
        """In place, size and time kept: right, or an error, never other counts.

        `is_even`: all records have one length, so that rows begin where others did.
        """
        records = builder.random_records()
        if is_even:
            records = [
                builder.record(i // 2 % 7, i // 14, i % 2, [(i % 9, i + 1), (20, 3)])
                for i in range(70)
            ]
        builder.write(path, builder.header_tree(), records)
        status, content = path.stat(), path.read_bytes()
        data = file_reader(path, lazy=True, sum_detectors=is_summed)[0]["data"]
        source = to_dask.source_of(data)
        expected = data.compute()
        moved = b"".join(r for y in order for r in records[14 * y : 14 * y + 14])
        head = len(content) - sum(map(len, records))
        path.write_bytes(
            (content[:head] + moved)[: len(content)].ljust(len(content), b"D")
        )
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        rows = [(y, stop) for y in range(5) for stop in range(y + 1, 6)]
        n_refused = 0
        for first, last in rows:
            part = (
                *((0, n) for n in expected.shape[:-3]),
                (first, last),
                (1, 6),
                (0, 25),
            )
            right = expected[tuple(slice(*r) for r in part)]
            for found, wanted in (
                (source.read, right),
                (source.sum_navigation, right.reshape(-1, 25).sum(0)),
                (source.sum_signal, right.sum(-1)),
            ):
                try:
                    np.testing.assert_array_equal(found(part), wanted)
                except CorruptFileError as error:
                    n_refused += 1
                    assert "load it again" in str(error)
        assert n_refused >= len(rows)

    def test_changed_while_it_is_opened(self, path, monkeypatch):
        builder.write_map(path)
        read_index = api.read_index

        def change_first(*arguments):
            os.utime(path, ns=(0, 0))
            return read_index(*arguments)

        monkeypatch.setattr(api, "read_index", change_first)
        with pytest.raises(CorruptFileError, match="was changed since it was opened"):
            file_reader(path, lazy=True)

    def test_gone_after_opening(self, path):
        builder.write_map(path)
        data = file_reader(path, lazy=True)[0]["data"]
        path.unlink()
        with pytest.raises(FileNotFoundError):
            data.compute()

    def test_changed_in_secret(self, path):
        """Same size and time, but no records where they were."""
        builder.write_map(path)
        status = path.stat()
        data = file_reader(path, lazy=True)[0]["data"]
        content = bytearray(path.read_bytes())
        content[-3000:] = bytes(3000)
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        with pytest.raises(CorruptFileError, match="no record of the map"):
            data.compute()


@pytest.mark.filterwarnings("ignore::UserWarning")
@settings(max_examples=300)
@given(data=st.data())
def test_any_damage_is_an_error_or_a_map(tmp_path, data):
    """Bytes changed, cut or added anywhere never end in another error."""
    path = tmp_path / "damaged.GeoPIXE"
    size = {"n_columns": 3, "n_rows": 2, "n_channels": 8}
    builder.write_map(path, **size)
    content = bytearray(path.read_bytes())
    header_end = len(content) - sum(map(len, builder.random_records(**size)))
    where = data.draw(st.sampled_from(["anywhere", "records"]))
    first = 0 if where == "anywhere" else header_end
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(first, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    path.write_bytes(content[:cut] + data.draw(st.binary(max_size=20)))
    try:
        (result,) = file_reader(path, lazy=True, sum_detectors=False)
        source = to_dask.source_of(result["data"])
        whole = tuple((0, n) for n in source.shape)
        counts = [
            source.read(whole),
            source.sum_navigation(whole),
            source.sum_signal(whole),
        ]
    except (FileFormatError, OverflowError) as error:
        assert str(path) in str(error) and "byte" in str(error)
        return
    # What is read is what the tests' own decoder finds in the records that are whole.
    expected = np.zeros(source.shape, dtype=np.int64)
    for (x, y, detector), (_, spectrum) in builder.decode(path).items():
        for channel, n in spectrum.items():
            expected[detector, y, x, channel] = n
    np.testing.assert_array_equal(counts[0], expected)
    np.testing.assert_array_equal(counts[1], expected.sum(axis=(0, 1, 2)))
    np.testing.assert_array_equal(counts[2], expected.sum(axis=-1))
