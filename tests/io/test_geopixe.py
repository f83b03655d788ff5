"""The GeoPIXE reader against a decoder of its own, in values, order and slices."""

import gc
import pickle
import random
import struct
import tracemalloc

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsciio_xfm.core import to_dask
from rsciio_xfm.core.config import BLOCK_BYTES
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.geopixe import file_reader
from rsciio_xfm.formats.geopixe import index as _index
from rsciio_xfm.formats.geopixe.index import build_index
from rsciio_xfm.formats.geopixe.layout import RECORD, RECORD_MARK
from rsciio_xfm.formats.geopixe.parse import read_header
from rsciio_xfm.kernels.compiled import Kernel
from tests.builders import geopixe as builder


def expected_counts(path, shape):
    """Dense counts (detector, y, x, E) by the test's own decoder."""
    counts = np.zeros(shape, dtype=np.int64)
    for (x, y, detector), (_, spectrum) in builder.decode(path).items():
        for channel, n in spectrum.items():
            counts[detector, y, x, channel] = n
    return counts


def expected_dead_time(path, shape):
    dead_time = np.full(shape, np.nan, dtype="<f4")
    for (x, y, detector), (raw, _) in builder.decode(path).items():
        dead_time[detector, y, x] = np.frombuffer(raw, dtype="<f4")[0]
    return dead_time


def dead_time_of(file_dict):
    eds = file_dict["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]
    return eds["_sig_dead_time"]


def read(path, **kwds):
    (file_dict,) = file_reader(path, **kwds)
    return file_dict


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A map of 7 x 5 pixels, 2 detectors, 32 channels."""
    return builder.write_map(tmp_path_factory.mktemp("geopixe") / "small.GeoPIXE")


SMALL = (2, 5, 7, 32)


class TestRealFile:
    shape = (2, 5, 20, 4096)

    @pytest.mark.parametrize("is_lazy", [False, True])
    def test_summed_counts(self, real_geopixe, is_lazy):
        data = read(real_geopixe, lazy=is_lazy)["data"]
        assert isinstance(data, da.Array if is_lazy else np.ndarray)
        assert data.dtype == np.uint16
        expected = expected_counts(real_geopixe, self.shape).sum(axis=0)
        np.testing.assert_array_equal(np.asarray(data), expected)

    @pytest.mark.parametrize("is_lazy", [False, True])
    def test_counts_by_detector(self, real_geopixe, is_lazy):
        expected = expected_counts(real_geopixe, self.shape)
        data = read(real_geopixe, lazy=is_lazy, sum_detectors=False)["data"]
        np.testing.assert_array_equal(np.asarray(data), expected)
        for detector in (0, 1):
            data = read(real_geopixe, lazy=is_lazy, detector=detector)["data"]
            np.testing.assert_array_equal(np.asarray(data), expected[detector])

    def test_dead_times_bit_for_bit(self, real_geopixe):
        found = dead_time_of(read(real_geopixe, lazy=True))["data"]
        expected = expected_dead_time(real_geopixe, self.shape[:3])
        assert found.dtype == np.float32
        assert found.tobytes() == expected.astype(np.float32).tobytes()

    def test_axes(self, real_geopixe):
        y, x, energy = read(real_geopixe, lazy=True)["axes"]
        assert (y["name"], y["size"], y["units"], y["navigate"]) == ("y", 5, "mm", True)
        assert y["scale"] == pytest.approx(0.1425233644859813 / 5)
        assert (x["name"], x["size"], x["units"], x["navigate"]) == ("x", 20, "mm", True)
        assert x["scale"] == pytest.approx(0.5703125 / 20)
        assert (energy["name"], energy["units"]) == ("Energy", "keV")
        assert (energy["scale"], energy["offset"]) == (0.01, 0)
        assert not energy["navigate"]

    def test_metadata(self, real_geopixe):
        metadata = read(real_geopixe, lazy=True)["metadata"]
        assert metadata["General"]["date"] == "2022-10-26"
        assert metadata["General"]["time"] == "10:55:00"
        instrument = metadata["Acquisition_instrument"]
        assert instrument["SEM"]["beam_energy"] == 50
        eds = instrument["SEM"]["Detector"]["EDS"]
        dead_time = expected_dead_time(real_geopixe, self.shape[:3]).astype(np.float64)
        assert eds["real_time"] == pytest.approx(0.2)
        live_time = 0.1 * (1 - dead_time / 100).sum(axis=0).mean()
        assert eds["live_time"] == pytest.approx(live_time)
        xrf = instrument["XRF"]
        assert (xrf["tube_target"], xrf["tube_current"]) == ("Mo", 200)
        assert (xrf["tube_filter"], xrf["dwell_time"]) == ("None", 0.1)
        assert (xrf["incidence_angle"], xrf["take_off_angle"]) == (70, 20)

    def test_a_distorted_angle_is_left_out(self, real_geopixe):
        eds = read(real_geopixe, lazy=True)["metadata"]["Acquisition_instrument"]["SEM"]
        assert eds["Detector"]["EDS"]["azimuth_angle"] == 0


class TestOptions:
    def test_every_detector_entry_is_kept(self, small):
        entries = read(small, lazy=True)["original_metadata"]["Detector"]
        assert [entry["Idx"] for entry in entries] == [0, 1]

    def test_azimuth_is_the_detectors_own(self, small):
        metadata = read(small, lazy=True, detector=1)["metadata"]
        eds = metadata["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]
        assert eds["azimuth_angle"] == 10

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
    def test_dtype(self, tmp_path, dtype):
        records = [builder.record(0, 0, 0, [(3, 200), (5, 55)])]
        tree = builder.header_tree(1, 1, 1, 8)
        path = builder.write(tmp_path / "a.GeoPIXE", tree, records)
        for is_lazy in (False, True):
            data = np.asarray(read(path, dtype=dtype, lazy=is_lazy)["data"])
            assert data.dtype == np.dtype(dtype)
            np.testing.assert_array_equal(data[0, 0], [0, 0, 0, 200, 0, 55, 0, 0])

    def test_counts_have_the_byte_order_of_the_machine(self, small):
        assert read(small, dtype=">u2")["data"].dtype == np.uint16

    @pytest.mark.parametrize("dtype", ["float32", "int16", "bool"])
    def test_other_dtypes_are_refused(self, small, dtype):
        with pytest.raises(ValueError, match=f"dtype is {dtype}, expected one of uint8"):
            read(small, dtype=dtype)

    @pytest.mark.parametrize("rebin_energy", [1, 2, 8, 32])
    def test_rebin_energy(self, small, rebin_energy):
        expected = expected_counts(small, SMALL).sum(axis=0)
        expected = expected.reshape(5, 7, -1, rebin_energy).sum(axis=-1)
        for is_lazy in (False, True):
            result = read(small, lazy=is_lazy, rebin_energy=rebin_energy)
            np.testing.assert_array_equal(np.asarray(result["data"]), expected)
        energy = result["axes"][-1]
        assert energy["scale"] == pytest.approx(0.01 * rebin_energy)
        # the mean energy of the channels of the first bin
        assert energy["offset"] == pytest.approx(0.01 * (rebin_energy - 1) / 2)

    def test_rebin_energy_sums(self, small):
        source = to_dask.source_of(read(small, lazy=True, rebin_energy=4)["data"])
        expected = expected_counts(small, SMALL).sum(axis=0).reshape(5, 7, 8, 4).sum(-1)
        ranges = ((1, 4), (2, 7), (3, 6))
        block = expected[1:4, 2:7, 3:6]
        np.testing.assert_array_equal(source.sum_signal(ranges), block.sum(axis=-1))
        spectrum = block.sum(axis=(0, 1))
        np.testing.assert_array_equal(source.sum_navigation(ranges), spectrum)

    @pytest.mark.parametrize("rebin_energy", [0, 3, 64, -1])
    def test_rebin_energy_has_to_divide(self, small, rebin_energy):
        with pytest.raises(ValueError, match="expected a divisor of the map's 32"):
            read(small, rebin_energy=rebin_energy)

    def test_cutoff(self, small):
        expected = expected_counts(small, SMALL).sum(axis=0)
        data = read(small, cutoff_at_kV=0.1)["data"]
        np.testing.assert_array_equal(data, expected[..., :10])
        data = read(small, cutoff_at_kV=0.1, rebin_energy=2)["data"]
        binned = expected.reshape(5, 7, 16, 2).sum(axis=-1)
        np.testing.assert_array_equal(data, binned[..., :5])
        assert read(small, cutoff_at_kV=99, lazy=True)["data"].shape == (5, 7, 32)

    @pytest.mark.parametrize("cutoff", [0, -1, float("nan"), 0.001])
    def test_cutoff_below_the_first_channel(self, small, cutoff):
        with pytest.raises(ValueError, match="expected at least one channel"):
            read(small, cutoff_at_kV=cutoff)

    @pytest.mark.parametrize("detector", [-1, 2])
    def test_detector_out_of_range(self, small, detector):
        with pytest.raises(ValueError, match="expected 0 to 1: the map has 2 detectors"):
            read(small, detector=detector)

    def test_detector_axis(self, small):
        result = read(small, lazy=True, sum_detectors=False)
        assert result["data"].shape == SMALL
        assert [axis["name"] for axis in result["axes"]] == [
            "detector",
            "y",
            "x",
            "Energy",
        ]
        assert [axis["index_in_array"] for axis in result["axes"]] == [0, 1, 2, 3]
        # time per spectrum is now that of one detector
        eds = result["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]
        assert eds["real_time"] == pytest.approx(0.1)

    def test_a_misspelt_option_is_refused(self, small):
        with pytest.raises(TypeError, match="rebin_enrgy"):
            file_reader(small, rebin_enrgy=2)


class TestOverflow:
    def path(self, tmp_path):
        entries = [(2, 65535)]
        records = [builder.record(0, 0, d, entries) for d in (0, 1)]
        tree = builder.header_tree(1, 1, 2, 4)
        return builder.write(tmp_path / "bright.GeoPIXE", tree, records)

    @pytest.mark.parametrize("is_lazy", [False, True])
    def test_error_names_dtype(self, tmp_path, is_lazy):
        path = self.path(tmp_path)
        with pytest.raises(OverflowError, match=r"above 65535.*dtype='uint32'"):
            np.asarray(read(path, lazy=is_lazy)["data"])

    def test_wider_dtype_fits(self, tmp_path):
        data = read(self.path(tmp_path), dtype="uint32")["data"]
        assert data[0, 0, 2] == 2 * 65535

    def test_single_detectors_fit(self, tmp_path):
        path = self.path(tmp_path)
        data = read(path, sum_detectors=False)["data"]
        np.testing.assert_array_equal(data[:, 0, 0, 2], [65535, 65535])

    def test_uint8_overflows_in_one_record(self, tmp_path):
        records = [builder.record(0, 0, 0, [(0, 256)])]
        tree = builder.header_tree(1, 1, 1, 4)
        path = builder.write(tmp_path / "a.GeoPIXE", tree, records)
        with pytest.raises(OverflowError, match="above 255"):
            read(path, dtype="uint8")

    @pytest.mark.parametrize("n_channels", [4, 65536])
    def test_sums_beyond_32_bits(self, tmp_path, n_channels):
        """More than 2**32 counts in a channel, within one block of the file."""
        size = {"n_columns": 300, "n_rows": 300, "n_detectors": 1}
        tree = builder.header_tree(**size, n_channels=n_channels)
        places = [(x, y) for y in range(300) for x in range(300)]
        records = [builder.record(x, y, 0, [(1, 65535), (3, 65535)]) for x, y in places]
        path = builder.write(tmp_path / "bright.GeoPIXE", tree, records)
        source = to_dask.source_of(read(path, lazy=True)["data"])
        found = source.sum_navigation(((0, 300), (0, 300), (0, 4)))
        np.testing.assert_array_equal(found, [0, 65535 * 90000, 0, 65535 * 90000])
        found = source.sum_navigation(((0, 300), (0, 300), (2, 4)))
        np.testing.assert_array_equal(found, [0, 65535 * 90000])

    def test_sums_do_not_overflow(self, tmp_path):
        source = to_dask.source_of(read(self.path(tmp_path), lazy=True)["data"])
        whole = ((0, 1), (0, 1), (0, 4))
        assert source.sum_navigation(whole)[2] == 2 * 65535
        assert source.sum_signal(whole)[0, 0] == 2 * 65535


def shuffled(records):
    return random.Random(1).sample(records, len(records))


def columns(records):
    """X slowest, as a stage that scans columns would write."""
    return sorted(records, key=lambda r: struct.unpack_from("<HHH", r, 6))


def serpentine(records):
    def key(r):
        x, y, detector = struct.unpack_from("<HHH", r, 6)
        return y, -x if y % 2 else x, detector

    return sorted(records, key=key)


class TestOrders:
    @pytest.mark.parametrize("order", [shuffled, columns, serpentine])
    def test_any_order_gives_the_same_map(self, tmp_path, small, order):
        path = builder.write_map(tmp_path / "other.GeoPIXE", order=order)
        expected = expected_counts(small, SMALL)
        for rows in (1, 2, 5):
            chunks = (-1, rows, -1, -1)
            data = read(path, lazy=True, sum_detectors=False, chunks=chunks)["data"]
            np.testing.assert_array_equal(data.compute(), expected)

    def test_raster_order_has_one_run_a_row(self, small):
        index = build_index(small, read_header(small))
        assert len(index.run_start) == 5
        np.testing.assert_array_equal(index.row_pointer, range(6))

    def test_many_parts_of_runs(self, tmp_path, monkeypatch):
        monkeypatch.setattr("rsciio_xfm.formats.geopixe.index._RUNS_PER_PART", 3)
        path = builder.write_map(tmp_path / "other.GeoPIXE", order=columns)
        data = read(path, lazy=True, sum_detectors=False)["data"]
        np.testing.assert_array_equal(data.compute(), expected_counts(path, SMALL))

    @pytest.mark.parametrize("order", [None, serpentine])
    def test_runs_longer_than_their_length_can_say(self, tmp_path, monkeypatch, order):
        """The compiled kernel has the constant built in: its Python is run instead."""
        monkeypatch.setattr(_index, "_MAX_RUN_BYTES", 300)
        monkeypatch.setattr(_index, "_RUNS_PER_PART", 3)
        kernel = _index._index_block
        monkeypatch.setattr(kernel, "for_steps", lambda n: kernel.function)
        path = builder.write_map(tmp_path / "a.GeoPIXE", order=order)
        index = build_index(path, read_header(path))
        assert len(index.run_start) > 5
        assert index.run_length.max() <= 300
        data = read(path, lazy=True, sum_detectors=False)["data"]
        np.testing.assert_array_equal(data.compute(), expected_counts(path, SMALL))

    @pytest.mark.parametrize("order", [None, serpentine, columns])
    def test_without_numba(self, tmp_path, monkeypatch, order):
        """As a small map is indexed where numba was not imported yet."""
        path = builder.write_map(tmp_path / "a.GeoPIXE", order=order)
        header = read_header(path)
        expected = build_index(path, header)
        monkeypatch.setattr(Kernel, "is_worth", lambda self, n: False)
        monkeypatch.setattr(Kernel, "compiled", property(lambda self: 1 / 0))
        found = build_index(path, header)
        for name, array in vars(expected).items():
            np.testing.assert_array_equal(getattr(found, name), array, strict=True)

    @pytest.mark.parametrize("where", ["mark", "length", "x", "detector"])
    def test_damage_without_numba(self, tmp_path, monkeypatch, where):
        path = builder.write_map(tmp_path / "a.GeoPIXE")
        header = read_header(path)
        content = bytearray(path.read_bytes())
        at, size = RECORD.fields[where][1] + header.data_offset, RECORD[where].itemsize
        content[at : at + size] = b"\xff" * size
        path.write_bytes(content)
        with pytest.raises(CorruptFileError) as compiled:
            build_index(path, read_header(path))
        monkeypatch.setattr(Kernel, "is_worth", lambda self, n: False)
        with pytest.raises(CorruptFileError) as plain:
            build_index(path, read_header(path))
        assert str(plain.value) == str(compiled.value)

    def test_places_beyond_32_bits_without_numba(self):
        lengths = np.full(3, 2**32 - 4, dtype=np.uint32)
        rows, slots = np.arange(3, dtype=np.uint16), np.arange(3)
        start, length = np.zeros(3, np.int64), np.zeros(3, np.uint32)
        end = _index._place_runs.plain(lengths, rows, 7, slots, start, length)
        assert [*start, end] == [7 + k * (2**32 - 4) for k in range(4)]

    @pytest.mark.parametrize(("is_shuffled", "most"), [(False, 5), (True, 24)])
    def test_memory_of_the_index(self, tmp_path, is_shuffled, most):
        """At most 24 bytes a record, 4 (the dead times) in raster order, and a buffer."""
        shape = (700, 400, 2)
        rows = np.zeros(shape, dtype=RECORD)
        rows["mark"], rows["length"], rows["dead_time"] = RECORD_MARK, RECORD.itemsize, 5
        rows["y"], rows["x"], rows["detector"] = np.indices(shape)
        records = rows.ravel()
        if is_shuffled:
            records = np.random.default_rng(0).permutation(records)
        tree = builder.header_tree(400, 700, 2, 8)
        path = builder.write(tmp_path / "a.GeoPIXE", tree, [records.tobytes()])
        del rows, records
        header = read_header(path)
        build_index(path, header)  # loads the kernels
        tracemalloc.start()
        index = build_index(path, header)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert index.n_records.sum() == np.prod(shape)
        assert peak - BLOCK_BYTES - 2**20 <= most * np.prod(shape)

    @pytest.mark.parametrize("block", [64, 100, 1000])
    def test_blocks_that_cut_records(self, tmp_path, monkeypatch, block):
        monkeypatch.setattr("rsciio_xfm.formats.geopixe.index.BLOCK_BYTES", block)
        monkeypatch.setattr("rsciio_xfm.core.stream.BLOCK_BYTES", block)
        path = builder.write_map(tmp_path / "a.GeoPIXE", seed=3)
        data = read(path, sum_detectors=False)["data"]
        np.testing.assert_array_equal(data, expected_counts(path, SMALL))


class TestSizes:
    @pytest.mark.parametrize("length", [0, 1, 2, 3])
    def test_header_of_any_alignment(self, tmp_path, length):
        size = {"n_columns": 3, "n_rows": 2}
        text = builder.header_text(builder.header_tree(**size)) + b" " * length
        records = builder.random_records(**size)
        path = builder.write(tmp_path / "a.GeoPIXE", None, records, text=text)
        data = read(path, sum_detectors=False)["data"]
        np.testing.assert_array_equal(data, expected_counts(path, (2, 2, 3, 32)))

    @pytest.mark.parametrize(
        "size",
        [
            {"n_columns": 1, "n_rows": 1, "n_detectors": 1, "n_channels": 1},
            {"n_columns": 1, "n_rows": 1, "n_detectors": 4},
            {"n_columns": 1, "n_rows": 9, "n_detectors": 1},
            {"n_columns": 9, "n_rows": 1, "n_detectors": 3, "n_channels": 65536},
        ],
    )
    def test_sizes(self, tmp_path, size):
        path = builder.write_map(tmp_path / "a.GeoPIXE", **size)
        size = {"n_columns": 7, "n_rows": 5, "n_detectors": 2, "n_channels": 32} | size
        shape = tuple(
            size[n] for n in ("n_detectors", "n_rows", "n_columns", "n_channels")
        )
        expected = expected_counts(path, shape)
        for is_lazy in (False, True):
            data = read(path, lazy=is_lazy, sum_detectors=False)["data"]
            np.testing.assert_array_equal(np.asarray(data), expected)
            data = read(path, lazy=is_lazy)["data"]
            np.testing.assert_array_equal(np.asarray(data), expected.sum(axis=0))

    def test_a_record_without_counts(self, tmp_path):
        tree = builder.header_tree(1, 1, 1, 4)
        path = builder.write(tmp_path / "a.GeoPIXE", tree, [builder.record(0, 0, 0, [])])
        assert not read(path)["data"].any()


class TestSlices:
    @settings(max_examples=60)
    @given(data=st.data())
    def test_any_slice_is_that_of_the_array(self, small, data):
        array = read(small, lazy=True, sum_detectors=False)["data"]
        source = to_dask.source_of(array)
        key = tuple(
            data.draw(st.one_of(st.integers(-n, n - 1), st.slices(n))) for n in SMALL
        )
        dense = expected_counts(small, SMALL)
        np.testing.assert_array_equal(source[key], dense[key])
        np.testing.assert_array_equal(
            to_dask.take(array, key).compute(scheduler="sync"), dense[key]
        )

    def test_ellipsis_and_too_many(self, small):
        source = to_dask.source_of(read(small, lazy=True)["data"])
        dense = expected_counts(small, SMALL).sum(axis=0)
        np.testing.assert_array_equal(source[..., 3], dense[..., 3])
        np.testing.assert_array_equal(source[1:3, ..., 3], dense[1:3, ..., 3])
        with pytest.raises(IndexError, match="4 indices for 3 axes"):
            source[0, 0, 0, 0]
        with pytest.raises(IndexError):
            source[5]

    @settings(max_examples=40)
    @given(data=st.data(), is_summed=st.booleans())
    def test_sums_of_any_block(self, small, data, is_summed):
        array = read(small, lazy=True, sum_detectors=is_summed)["data"]
        dense = expected_counts(small, SMALL)
        dense = dense.sum(axis=0) if is_summed else dense
        ranges = []
        for n in array.shape:
            start = data.draw(st.integers(0, n - 1))
            ranges.append((start, data.draw(st.integers(start + 1, n))))
        key = tuple(slice(*r) for r in ranges)
        view = to_dask.take(array, key)
        source = to_dask.source_of(view)
        axes = tuple(range(dense.ndim - 1))
        spectrum = to_dask.sum_navigation(source).compute(scheduler="sync")
        np.testing.assert_array_equal(spectrum, dense[key].sum(axis=axes))
        total = to_dask.sum_signal(source).compute(scheduler="sync")
        np.testing.assert_array_equal(total, dense[key].sum(axis=-1))
        assert spectrum.dtype == total.dtype == np.uint64

    def test_views_of_views(self, small):
        array = read(small, lazy=True)["data"]
        twice = to_dask.take(
            to_dask.take(array, (slice(1, 5), slice(None), slice(4, 20))),
            (slice(1, 3), slice(2, 6), slice(0, 3)),
        )
        source = to_dask.source_of(twice)
        assert source.ranges == ((2, 4), (2, 6), (4, 7))
        dense = expected_counts(small, SMALL).sum(axis=0)[2:4, 2:6, 4:7]
        np.testing.assert_array_equal(twice.compute(), dense)


class TestChunks:
    @pytest.mark.parametrize(
        "chunks",
        ["auto", -1, 3, (1, -1, -1), (2, 3, 5), {0: 4}, ((3, 2), (7,), (30, 2)), "1KiB"],
    )
    def test_chunks(self, small, chunks):
        data = read(small, lazy=True, chunks=chunks)["data"]
        if chunks != "auto":
            wanted = da.core.normalize_chunks(chunks, (5, 7, 32), dtype=np.uint16)
            assert data.chunks == wanted
        expected = expected_counts(small, SMALL).sum(axis=0)
        np.testing.assert_array_equal(data.compute(), expected)

    def test_default_chunks_are_whole_rows(self):
        chunks = to_dask.default_chunks((3000, 9000, 4096), np.dtype("uint16"), 0)
        assert chunks == (1, 9000, 4096)
        chunks = to_dask.default_chunks((512, 512, 4096), np.dtype("uint16"), 0)
        assert chunks == (5, 512, 4096)
        chunks = to_dask.default_chunks((2, 3, 4, 5), np.dtype("uint16"), 1)
        assert chunks == (2, 3, 4, 5)

    @pytest.mark.parametrize("row_axis", [0, 1])
    def test_a_huge_row_is_cut(self, row_axis):
        shape = (4, 60000, 65536) if row_axis == 0 else (4, 3, 60000, 65536)
        chunk = to_dask.default_chunks(shape, np.dtype("uint64"), row_axis)
        assert np.prod(chunk) * 8 <= 128 * 2**20
        assert chunk[row_axis] == 1 and chunk[-1] == 65536

    def test_a_huge_pixel_is_cut(self):
        chunk = to_dask.default_chunks((8192, 1, 7, 65536), np.dtype("uint16"), 1)
        assert chunk == (1024, 1, 1, 65536)


class TestLazy:
    def test_pickle(self, small):
        data = read(small, lazy=True)["data"]
        expected = data.compute()
        again = pickle.loads(pickle.dumps(data))
        np.testing.assert_array_equal(again.compute(), expected)
        source = to_dask.source_of(data)
        assert len(pickle.dumps(source)) < 2000
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(source))[...], expected)

    def test_tokens(self, small, tmp_path):
        names = {
            read(small, lazy=True, **kwds)["data"].name
            for kwds in (
                {},
                {"detector": 0},
                {"detector": 1},
                {"sum_detectors": False},
                {"dtype": "uint32"},
                {"rebin_energy": 2},
                {"cutoff_at_kV": 0.1},
                {"chunks": (1, -1, -1)},
            )
        }
        assert len(names) == 8
        same = {read(small, lazy=True)["data"].name for _ in range(2)}
        assert len(same) == 1 and same <= names

    def test_a_file_written_anew_is_another_array(self, tmp_path):
        path = builder.write_map(tmp_path / "a.GeoPIXE")
        first = read(path, lazy=True)["data"]
        path.unlink()
        builder.write_map(path, seed=1)
        assert read(path, lazy=True)["data"].name != first.name

    def test_sources_of_twins(self, small):
        """Two arrays of one name; one of them is gone."""
        first, second = (read(small, lazy=True)["data"] for _ in range(2))
        del second
        gc.collect()
        assert to_dask.source_of(first) is not None
        again = pickle.loads(pickle.dumps(first))
        assert to_dask.source_of(again) is not None

    def test_no_source_of_other_arrays(self, small):
        data = read(small, lazy=True)["data"]
        for other in (data + 1, data[1:], data.rechunk(2), data.persist(), da.ones(3)):
            assert to_dask.source_of(other) is None

    def test_another_working_folder(self, tmp_path, monkeypatch):
        path = builder.write_map(tmp_path / "a.GeoPIXE")
        expected = read(path)["data"]
        monkeypatch.chdir(tmp_path)
        data = read("a.GeoPIXE", lazy=True)["data"]
        monkeypatch.chdir("/")
        np.testing.assert_array_equal(data.compute(), expected)

    @pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
    def test_schedulers(self, small, scheduler):
        data = read(small, lazy=True, chunks=(1, -1, -1))["data"]
        expected = expected_counts(small, SMALL).sum(axis=0)
        np.testing.assert_array_equal(data.compute(scheduler=scheduler), expected)
        spectrum = to_dask.sum_navigation(to_dask.source_of(data))
        found = spectrum.compute(scheduler=scheduler)
        np.testing.assert_array_equal(found, expected.sum(axis=(0, 1)))

    def test_opening_reads_no_counts(self, tmp_path):
        """A channel beyond Chan is found when the row that has it is read."""
        records = builder.random_records(n_rows=3)
        records[0] = builder.record(0, 0, 0, [(99, 1)])
        tree = builder.header_tree(n_rows=3)
        path = builder.write(tmp_path / "a.GeoPIXE", tree, records)
        data = read(path, lazy=True, chunks=(1, -1, -1))["data"]
        data[1:].compute()
        with pytest.raises(ValueError, match="channels less than 32"):
            data[0].compute()

    def test_eager_reading_checks_memory(self, small, monkeypatch):
        class Memory:
            available = 1000

        monkeypatch.setattr("psutil.virtual_memory", lambda: Memory)
        with pytest.raises(MemoryError, match="Use lazy=True"):
            read(small)
        assert read(small, lazy=True)["data"].shape == (5, 7, 32)
