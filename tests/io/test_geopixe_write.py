"""Writing signals as GeoPIXE, checked with a decoder of the tests' own."""

import json
import math
import struct

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsciio_xfm import geopixe
from rsciio_xfm.formats.geopixe import header
from tests.builders import geopixe as builder
from tests.io.test_geopixe_copy import header_of, records_of


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.GeoPIXE")


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out.GeoPIXE"


def load(path, **kwds):
    return hs.load(path, sum_detectors=False, **kwds)


def make(data, units="mm", energy_units="keV", offset=0.0, **metadata):
    """A map in memory, of no file."""
    axes = [
        {
            "size": data.shape[-3],
            "name": "y",
            "units": units,
            "scale": 0.5,
            "navigate": True,
        },
        {
            "size": data.shape[-2],
            "name": "x",
            "units": units,
            "scale": 0.25,
            "navigate": True,
        },
        {
            "size": data.shape[-1],
            "name": "Energy",
            "units": energy_units,
            "scale": 0.01,
            "offset": offset,
            "navigate": False,
        },
    ]
    if data.ndim == 4:
        axes.insert(0, {"size": len(data), "name": "detector", "navigate": True})
    s = hs.signals.Signal1D(data, axes=axes)
    s.set_signal_type("EDS_XFM")
    s.metadata.add_dictionary(metadata)
    return s


def spectra_of(path):
    return {key: spectrum for key, (_, spectrum) in builder.decode(path).items()}


def dense(path, shape):
    counts = np.zeros(shape, dtype=np.int64)
    for (x, y, d), spectrum in spectra_of(path).items():
        for channel, n in spectrum.items():
            counts[d, y, x, channel] = n
    return counts


class TestIdentity:
    @pytest.mark.parametrize("is_lazy", [False, True])
    def test_real_file(self, real_geopixe, out, is_lazy):
        load(real_geopixe, lazy=is_lazy).save(out)
        assert builder.unmarked(out) == real_geopixe.read_bytes()

    @pytest.mark.parametrize(
        "chunks", ["auto", (1, 2, 3, 5), (2, 5, 7, 32), (1, 1, 7, 32), (2, 5, 2, 31)]
    )
    def test_chunks(self, path, out, chunks):
        load(path, lazy=True, chunks=chunks).save(out)
        assert builder.unmarked(out) == path.read_bytes()

    @settings(max_examples=50)
    @given(data=st.data())
    def test_any_map(self, tmp_path, data):
        size = {
            "n_columns": data.draw(st.integers(1, 5)),
            "n_rows": data.draw(st.integers(1, 4)),
            "n_detectors": data.draw(st.integers(1, 3)),
            "n_channels": data.draw(st.integers(1, 40)),
        }
        path = builder.write_map(
            tmp_path / "any.GeoPIXE", seed=data.draw(st.integers(0, 99)), **size
        )
        signal = load(path, lazy=data.draw(st.booleans()))
        if signal._lazy:
            axis = data.draw(st.integers(0, 3))
            signal.data = signal.data.rechunk({axis: 1})
        signal.save(tmp_path / "o.GeoPIXE", overwrite=True)
        assert builder.unmarked(tmp_path / "o.GeoPIXE") == path.read_bytes()

    @pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
    def test_schedulers(self, path, out, scheduler):
        import dask

        with dask.config.set(scheduler=scheduler):
            load(path, lazy=True, chunks=(1, 2, 3, 5)).save(out)
        assert builder.unmarked(out) == path.read_bytes()

    def test_cluster(self, path, out):
        distributed = pytest.importorskip("distributed")
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0"
            ) as cluster,
            distributed.Client(cluster),
        ):
            load(path, lazy=True).save(out)
        assert builder.unmarked(out) == path.read_bytes()

    def test_through_hspy(self, path, out, tmp_path):
        load(path).save(tmp_path / "s.hspy")
        hs.load(tmp_path / "s.hspy").save(out)
        assert builder.unmarked(out) == path.read_bytes()

    def test_missing_records(self, tmp_path, out):
        records = [r for i, r in enumerate(builder.random_records()) if i % 3]
        path = builder.write(tmp_path / "map.GeoPIXE", builder.header_tree(), records)
        with pytest.warns(UserWarning, match="missing"):
            signal = load(path, lazy=True)
        signal.save(out)
        assert builder.unmarked(out) == path.read_bytes()

    def test_unrecorded_dead_times(self, tmp_path, out):
        records = [
            builder.record(x, y, d, [(1, 5)], dead_time)
            for y in range(5)
            for x in range(7)
            for d, dead_time in ((0, 0.0), (1, -1.5))
        ]
        path = builder.write(tmp_path / "map.GeoPIXE", builder.header_tree(), records)
        with pytest.warns(UserWarning, match="not recorded"):
            signal = load(path)
        signal.save(out)
        assert builder.unmarked(out) == path.read_bytes()

    def test_over_its_own_file(self, path):
        before = path.read_bytes()
        signal = load(path, lazy=True)
        signal.save(path, overwrite=True, replace_original=True)
        assert builder.unmarked(path) == before
        with pytest.raises(Exception, match="changed since it was opened"):
            signal.data.compute()

    def test_reader_without_hyperspy(self, path, out):
        (map_,) = geopixe.file_reader(path, lazy=True, sum_detectors=False)
        geopixe.file_writer(out, map_)
        assert builder.unmarked(out) == path.read_bytes()


class TestParts:
    @pytest.mark.parametrize("is_lazy", [False, True])
    def test_crop_of_a_signal_is_a_crop_of_the_file(self, path, out, tmp_path, is_lazy):
        load(path, lazy=is_lazy).inav[2:6, 1:4].save(out)
        geopixe.crop(path, tmp_path / "c.GeoPIXE", x=(2, 6), y=(1, 4))
        assert records_of(out) == records_of(tmp_path / "c.GeoPIXE")
        assert header_of(out) == header_of(tmp_path / "c.GeoPIXE")

    def test_one_detector(self, path, out):
        s = hs.load(path, detector=1)
        s.save(out)
        again = hs.load(out)
        np.testing.assert_array_equal(again.data, s.data)
        np.testing.assert_array_equal(again.get_dead_time().data, s.get_dead_time().data)
        (entry,) = again.original_metadata.as_dictionary()["Detector"]
        assert entry["Idx"] == 1
        assert header_of(out).count('"Detector"') == 1

    def test_sum_of_detectors_keeps_its_live_time(self, path, out):
        s = hs.load(path)
        s.save(out)
        again = hs.load(out)
        np.testing.assert_array_equal(again.data, s.data)
        np.testing.assert_allclose(
            again.get_live_time().data, s.get_live_time().data, rtol=1e-6
        )
        assert json.loads(header_of(out))["File Header"]["Dwell (mS)"] == 200.0

    def test_rebinned(self, path, out):
        s = hs.load(path, lazy=True).rebin(scale=(7, 5, 1))
        s.save(out)
        again = hs.load(out)
        np.testing.assert_array_equal(again.data, s.data.compute())
        assert math.isclose(
            again.get_live_time().data.sum(), s.get_live_time().data.sum(), rel_tol=1e-6
        )
        assert math.isclose(again.axes_manager["x"].scale, 0.7)

    def test_first_channels(self, path, out):
        s = load(path).isig[:10]
        s.save(out)
        np.testing.assert_array_equal(load(out).data, s.data)
        assert json.loads(header_of(out))["File Header"]["Chan"] == 10

    def test_swapped_axes(self, path, out):
        s = hs.load(path).swap_axes("x", "y")
        s.save(out)
        np.testing.assert_array_equal(hs.load(out).data, s.data)

    def test_what_was_changed_in_the_metadata(self, path, out):
        s = load(path)
        s.set_microscope_parameters(beam_energy=40.0)
        s.metadata.General.date, s.metadata.General.time = "2026-11-21", "14:05:30"
        s.axes_manager["Energy"].scale = 0.02
        s.axes_manager["x"].scale = 0.2
        s.save(out)
        old = header_of(path).splitlines()
        new = builder.unmark(header_of(out)).splitlines()
        changed = [b.strip() for a, b in zip(old, new, strict=True) if a != b]
        assert changed == [
            '"Timestamp": "11/21/2026 at 02:05 pm",',
            '"Width (mm)": 1.4,',
            '"Gain (eV)": 20.0,',
            '"KV": 40.0,',
        ]

    def test_what_was_changed_in_the_original_metadata(self, path, out):
        s = load(path)
        s.original_metadata["X-ray Source"]["Elt"] = "Rh"
        s.save(out)
        assert records_of(out) == records_of(path)
        again = load(out).original_metadata.as_dictionary()
        assert again["X-ray Source"]["Elt"] == "Rh"
        assert [e["Idx"] for e in again["Detector"]] == [0, 1]
        assert header_of(out).count('"Detector"') == 2


class TestOtherSignals:
    counts = np.random.default_rng(0).poisson(0.7, (3, 4, 20))

    @pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", ">u2", "int32", "uint32",
                                       "int64", "uint64"])  # fmt: skip
    @pytest.mark.parametrize("is_lazy", [False, True])
    def test_integers(self, out, dtype, is_lazy):
        s = make(self.counts.astype(dtype))
        s = s.as_lazy() if is_lazy else s
        s.save(out)
        np.testing.assert_array_equal(dense(out, (1, 3, 4, 20))[0], self.counts)

    @pytest.mark.filterwarnings("ignore:.*not recorded:UserWarning")
    def test_header_is_made(self, out):
        s = make(
            self.counts.astype(np.uint16),
            General={"date": "2026-01-31", "time": "09:30:00"},
            Acquisition_instrument={
                "SEM": {"beam_energy": 20.0, "Detector": {"EDS": {"real_time": 0.05}}}
            },
        )
        s.save(out)
        tree = json.loads(header_of(out))
        assert tree["File Header"] == {
            "Written by": "rsciio_xfm",
            "Timestamp": "01/31/2026 at 09:30 am",
            "Dwell (mS)": 50.0,
            "Xres": 4,
            "Yres": 3,
            "Width (mm)": 1.0,
            "Height (mm)": 1.5,
            "Dets": 1,
            "Chan": 20,
            "Gain (eV)": 10.0,
        }
        assert tree["X-ray Source"] == {"KV": 20.0}
        again = hs.load(out)
        np.testing.assert_array_equal(again.data, self.counts)
        np.testing.assert_array_equal(again.get_dead_time().data, 0)
        for axis in ("x", "y", "Energy"):
            assert math.isclose(
                again.axes_manager[axis].scale, s.axes_manager[axis].scale
            )
        assert again.metadata.Acquisition_instrument.SEM.beam_energy == 20.0

    @pytest.mark.parametrize(
        ("units", "factor"), [("µm", 1e-3), ("um", 1e-3), ("cm", 10)]
    )
    def test_units(self, out, units, factor):
        make(self.counts.astype(np.uint8), units=units).save(out)
        width = json.loads(header_of(out))["File Header"]["Width (mm)"]
        assert math.isclose(width, factor)

    def test_units_of_energy(self, out):
        make(self.counts.astype(np.uint8), energy_units="eV").save(out)
        assert math.isclose(json.loads(header_of(out))["File Header"]["Gain (eV)"], 0.01)

    @pytest.mark.filterwarnings("ignore:.*unit of y is:UserWarning")
    def test_unknown_units(self, out):
        with pytest.warns(UserWarning, match="unit of x is furlong, expected one of m"):
            make(self.counts.astype(np.uint8), units="furlong").save(out)
        assert "Width" not in header_of(out)

    def test_tem(self, out):
        s = make(self.counts.astype(np.uint16))
        s.set_signal_type("EDS_TEM")
        s.save(out)
        np.testing.assert_array_equal(dense(out, (1, 3, 4, 20))[0], self.counts)

    def test_spectra_without_counts_have_records(self, out):
        make(np.zeros((2, 3, 5), np.uint16)).save(out)
        assert spectra_of(out) == {(x, y, 0): {} for x in range(3) for y in range(2)}

    def test_largest_counts(self, out):
        make(np.full((2, 3, 7), 65535, np.uint32)).save(out)
        assert set(spectra_of(out)[1, 1, 0].values()) == {65535}

    def test_dense_spectra_of_many_channels(self, out):
        """More bytes than the first estimate of the encoder allows for."""
        counts = np.arange(1, 30001, dtype=np.uint16).reshape(1, 3, 10000)
        make(np.repeat(counts, 40, axis=0)).save(out)
        np.testing.assert_array_equal(dense(out, (1, 40, 3, 10000))[0, 7], counts[0])

    def test_most_channels(self, out):
        counts = np.zeros((1, 1, 65535), np.uint8)
        counts[0, 0, -1] = 3
        make(counts).save(out)
        assert spectra_of(out) == {(0, 0, 0): {65534: 3}}


class TestRefused:
    def refuse(self, signal, out, kind, match):
        out.write_bytes(b"old")
        with pytest.raises(kind, match=match):
            signal.save(out, overwrite=True)
        assert out.read_bytes() == b"old"
        assert [p.name for p in out.parent.iterdir() if p.suffix == ".part"] == []

    @pytest.mark.parametrize("dtype", ["float32", "bool", "complex64"])
    def test_other_numbers(self, out, dtype):
        s = make(np.ones((2, 3, 4), dtype))
        self.refuse(
            s, out, TypeError, f"out.GeoPIXE: the counts are {dtype}.*change_dtype"
        )

    @pytest.mark.parametrize("is_lazy", [False, True])
    @pytest.mark.parametrize(
        ("dtype", "wrong"),
        [
            ("int8", -1),
            ("int32", 65536),
            ("uint32", 2**31),
            ("uint64", 2**63),
            ("int64", -(2**40)),
        ],
    )
    def test_counts_out_of_range(self, out, is_lazy, dtype, wrong):
        data = np.ones((2, 5, 3, 4), dtype)
        data[1, 3, 2, 1] = wrong
        s = make(data)
        if is_lazy:
            s = s.as_lazy(chunks=(1, 2, 2, 3))
        place = "channel 1 at x=2, y=3, detector=1"
        self.refuse(
            s, out, ValueError, f"counts of {place} are {wrong}, expected 0 to 65535"
        )

    def test_too_many_channels(self, out):
        s = make(np.zeros((1, 1, 65536), np.uint8))
        self.refuse(s, out, ValueError, r"\(1, 1, 65536\), expected .* 65535 channels")

    def test_too_many_pixels(self, out):
        s = make(np.zeros((1, 65537, 1), np.uint8))
        self.refuse(s, out, ValueError, "1 to 65536 pixels")

    def test_offset(self, out):
        s = make(np.ones((2, 3, 4), np.uint8), offset=0.3)
        self.refuse(s, out, ValueError, "energy of channel 0 is 0.3 keV, expected 0")

    def test_what_is_said_of_an_offset_helps(self, out):
        """As of a microscope's map, the zero of which is within a channel."""
        s = make(np.ones((2, 3, 200), np.uint8), offset=-0.953)
        s.axes_manager[-1].scale = 0.01
        s = s.isig[0.0:]
        self.refuse(s, out, ValueError, r"s\.axes_manager\[-1\]\.offset = 0")
        s.axes_manager[-1].offset = 0
        whole = out.with_name("whole.GeoPIXE")
        s.save(whole)
        assert whole.is_file()

    def test_rebinned_energy(self, path, out):
        s = hs.load(path, rebin_energy=2)
        self.refuse(s, out, ValueError, "energy of channel 0 is 0.005 keV.*rebin_energy")

    def test_negative_step(self, out):
        s = make(np.ones((2, 3, 4), np.uint8))
        s.axes_manager["x"].scale = -1
        self.refuse(s, out, ValueError, "step of x is -1")

    def test_lines_and_spectra(self, path, out):
        for s in (
            hs.load(path).inav[:, 2],
            hs.load(path).inav[1, 2],
            hs.load(path).sum("x"),
        ):
            self.refuse(s, out, (TypeError, ValueError), "support|navigation axes")

    def test_a_line_by_the_writer_itself(self, path, out):
        line = hs.load(path).inav[:, 2]
        with pytest.raises(ValueError, match=r"1 navigation axes.*s.inav\[:, 3:4\]"):
            geopixe.file_writer(out, line._to_dictionary())

    def test_another_third_axis(self, out):
        s = make(np.ones((2, 2, 3, 4), np.uint8))
        s.axes_manager[2].name = "z"
        self.refuse(
            s, out, ValueError, "first axis of the array is 'z', expected 'detector'"
        )

    def test_images(self, path, out):
        image = hs.load(path).get_window_images({"a": (0, 10)})["a"]
        self.refuse(image, out, TypeError, "support")

    def test_long_header(self, path, out):
        s = load(path)
        s.original_metadata.set_item("Note", "x" * 66000)
        self.refuse(s, out, ValueError, "header has .* bytes, expected at most 65535")

    def test_masked(self, out):
        s = make(np.ones((2, 3, 4), np.uint8))
        s.data = np.ma.masked_array(s.data, mask=s.data > 0)
        self.refuse(s, out, TypeError, "masked")

    def test_failure_in_a_chunk(self, out):
        s = make(np.ones((4, 3, 4), np.uint8)).as_lazy()

        def fail(block, block_info=None):
            raise OSError("the disk is gone")

        s.data = da.map_blocks(fail, s.data, dtype=np.uint8)
        self.refuse(s, out, OSError, "the disk is gone")


def test_header_editing():
    text = '{"A": {"b": 1, "c": "}"}, "A2": [1, {"b": 2}], "File Header": {}}'
    edited = header.edit_header(
        text,
        {"A": {"c": 2.5, "d": "é"}, "File Header": {"Xres": 3}, "New": {"x": 0.1 + 0.2}},
    )
    assert json.loads(edited) == {
        "New": {"x": 0.3},
        "A": {"d": "é", "b": 1, "c": 2.5},
        "A2": [1, {"b": 2}],
        "File Header": {"Xres": 3},
    }
    assert header.edit_header("{}", {"S": {"f": 1}}) == '{"S": {"f": 1}}'


@pytest.mark.parametrize("kept", [[0], [1], [2], [0, 2], [1, 2], [0, 1]])
@pytest.mark.parametrize("first", ['"A": 1, ', ""])
@pytest.mark.parametrize("last", [', "Z": 2', ""])
def test_detectors_of_a_header(kept, first, last):
    entries = ", ".join(f'"Detector": {{"Idx": {i}}}' for i in range(3))
    text = header.keep_detectors(f"{{{first}{entries}{last}}}", kept, 3)
    left = []
    tree = json.loads(text, object_pairs_hook=lambda p: left.extend(p) or dict(p))
    assert [value["Idx"] for key, value in left if key == "Detector"] == kept
    assert ("A" in tree, "Z" in tree) == (bool(first), bool(last))


def test_struct_of_a_record():
    """The record of the tests is that of the format: 16 bytes, little-endian."""
    assert struct.calcsize(builder.RECORD) == 16


class TestWhatIsNotKnown:
    """A number in the header that is not known any more would be a wrong one."""

    def test_unit_that_is_gone(self, path, out):
        s = load(path).inav[:3]
        s.axes_manager["x"].units, s.axes_manager["x"].scale = "px", 1
        s.save(out)
        assert "Width (mm)" not in header_of(out)
        assert "Height (mm)" in header_of(out)

    def test_real_time_that_is_gone(self, path, out):
        load(path).max("x").transpose(navigation_axes=[0])  # has none either
        s = load(path).isig[:20]
        del s.metadata.Acquisition_instrument.SEM.Detector.EDS.real_time
        s.save(out)
        assert "Dwell" not in header_of(out)

    def test_tem(self, path, out):
        s = hs.load(path)
        s.set_signal_type("EDS_TEM")
        s.save(out)
        fields = json.loads(header_of(out))
        assert fields["File Header"]["Dwell (mS)"] == 200.0
        assert fields["X-ray Source"]["KV"] == 50.0

    def test_sum_of_an_unrecorded_dead_time(self, tmp_path, out):
        records = [
            builder.record(
                x, y, d, [(1, 5)], [20.0, 0.0 if x == 1 else 130.0 if x == 2 else 40.0][d]
            )
            for y in range(5)
            for x in range(7)
            for d in (0, 1)
        ]
        path = builder.write(tmp_path / "map.GeoPIXE", builder.header_tree(), records)
        with pytest.warns(UserWarning, match="not recorded"):
            s = hs.load(path)
        s.save(out)
        with pytest.warns(UserWarning, match="10 of 35 dead times are not recorded"):
            found = hs.load(out).get_dead_time().data
        np.testing.assert_array_equal(found[0], np.float32([30, 0, 0, 30, 30, 30, 30]))

    @pytest.mark.filterwarnings("ignore:.*beam energy stays unknown:UserWarning")
    @pytest.mark.parametrize("source", [None, [1], "x", 3])
    def test_source_that_is_no_object(self, tmp_path, out, source):
        tree = builder.header_tree() | {"X-ray Source": source}
        path = builder.write(tmp_path / "map.GeoPIXE", tree, builder.random_records())
        s = load(path)
        s.save(out)
        assert builder.unmarked(out) == path.read_bytes()
        s.metadata.Acquisition_instrument.SEM.beam_energy = 40.0
        s.save(out, overwrite=True)
        assert json.loads(header_of(out))["X-ray Source"] == {"KV": 40.0}

    def test_header_without_dets(self, tmp_path, out):
        tree = builder.header_tree()
        del tree["File Header"]["Dets"]
        tree["Note"] = math.nan
        path = builder.write(tmp_path / "map.GeoPIXE", tree, builder.random_records())
        load(path).save(tmp_path / "s.hspy")
        hs.load(tmp_path / "s.hspy").save(out)
        assert builder.unmarked(out) == path.read_bytes()

    def test_bytes_in_the_original_metadata(self, path, out):
        s = load(path)
        s.original_metadata.set_item("Note", b"bytes")
        with pytest.raises(TypeError, match=r"out\.GeoPIXE: original_metadata: bytes"):
            s.save(out)


class TestDetectorAxis:
    def entries(self, path):
        found = []
        json.loads(
            header_of(path), object_pairs_hook=lambda p: found.extend(p) or dict(p)
        )
        return [value["Idx"] for key, value in found if key == "Detector"]

    def test_one_of_them(self, path, out):
        s = load(path).inav[:, :, 1:2]
        s.save(out)
        assert self.entries(out) == [1]
        again = hs.load(out)
        np.testing.assert_array_equal(again.data, s.data[0])
        node = again.metadata.Acquisition_instrument.SEM.Detector.EDS
        assert node.azimuth_angle == 10.0

    def test_reversed(self, path, out):
        s = load(path).inav[:, :, ::-1]
        s.save(out)
        assert self.entries(out) == [1, 0]
        np.testing.assert_array_equal(load(out).data, s.data)

    def test_instead_of_y(self, path, out):
        with pytest.raises(ValueError, match=r"\['detector', 'x', 'Energy'\], expected"):
            load(path).inav[:, 3].save(out)

    def test_last(self, path, out):
        s = load(path).transpose(navigation_axes=[2, 0, 1])
        with pytest.raises(ValueError, match="expected 'detector' before y and x"):
            s.save(out)


def test_pipes_and_folders_are_not_replaced(path, tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.GeoPIXE")
    (tmp_path / "folder.GeoPIXE").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(ValueError, match=r"expected a file or none"):
            geopixe.crop(path, tmp_path / f"{name}.GeoPIXE", overwrite=True)


def test_long_names(path, tmp_path):
    out = tmp_path / ("日" * 80 + ".GeoPIXE")
    load(path).save(out)
    assert builder.unmarked(out) == path.read_bytes()


@pytest.mark.parametrize(
    ("day", "hour", "expected"),
    [
        ("2009-03-12", "10:55:23.5", "03/12/2009 at 10:55 am"),
        ("12-MAR-2009", "1:05 PM", "03/12/2009 at 01:05 pm"),
        ("12.03.2009", "22:55", "03/12/2009 at 10:55 pm"),
    ],
)
def test_dates_in_other_styles(tmp_path, day, hour, expected):
    s = hs.signals.Signal1D(np.ones((2, 3, 8), np.uint8))
    s.metadata.General.add_dictionary({"date": day, "time": hour})
    s.save(tmp_path / "a.GeoPIXE")
    assert f'"{expected}"'.encode() in (tmp_path / "a.GeoPIXE").read_bytes()


@pytest.mark.parametrize(
    ("day", "hour"), [("03/12/2009", "12:00"), ("in spring", "12:00"), ("2009-03-12", "")]
)
def test_dates_that_are_dropped_are_said(tmp_path, day, hour):
    s = hs.signals.Signal1D(np.ones((2, 3, 8), np.uint8))
    s.metadata.General.add_dictionary({"date": day, "time": hour})
    with pytest.warns(
        UserWarning, match=f"General.date is '{day}' and General.time '{hour}'"
    ):
        s.save(tmp_path / "a.GeoPIXE")
    assert b"Timestamp" not in (tmp_path / "a.GeoPIXE").read_bytes()
