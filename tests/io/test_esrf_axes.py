"""What the axes of HDF5 datasets are: pixels, points, detectors, channels."""

import itertools
import pickle

import dask
import h5py
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import esrf
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import FileFormatError
from tests.conftest import DATA
from tests.io.esrf_common import axis, dead_time_of, eds_of, read, read_one, values

# (detector, y, x, channel): 60 pixels, 4 detectors, 128 channels.
COUNTS = np.random.default_rng(1).poisson(3, (4, 5, 12, 128)).astype(np.uint16)
SIZES = {"detector": 4, "y": 5, "x": 12, "channel": 128}
TRIPLES = np.moveaxis(COUNTS.reshape(4, 60, 128), 0, 1)  # (60, 4, 128)


def turned(axes):
    """Return the counts with their axes in an order; "point" are the pixels."""
    roles = axes.split()
    held = COUNTS if "point" not in roles else COUNTS.reshape(4, 60, 128)
    names = ["detector", "point", "channel"] if "point" in roles else [*SIZES]
    if "detector" not in roles:
        held, names = held[0], names[1:]
    return held.transpose([names.index(role) for role in roles])


def write(path, data, name="spectra", beside=None, attrs=None, **options):
    """Write a dataset, what is beside it, and attributes of its group."""
    with h5py.File(path, "w") as file:
        file.create_dataset(name, data=data, **options)
        group = file[name].parent
        for key, value in (beside or {}).items():
            group[key] = value
        for key, value in (attrs or {}).items():
            group.attrs[key] = value
    return path


EVERY = [
    *map(" ".join, itertools.permutations(("y", "x", "detector", "channel"))),
    *map(" ".join, itertools.permutations(("y", "x", "channel"))),
]
POINTS = [
    *map(" ".join, itertools.permutations(("point", "detector", "channel"))),
    *map(" ".join, itertools.permutations(("point", "channel"))),
]


class TestOption:
    @pytest.mark.parametrize("axes", EVERY)
    def test_maps(self, tmp_path, axes):
        path = write(tmp_path / "a.h5", turned(axes))
        signals = read(path, dataset_path="spectra", axes=axes, lazy=True)
        n = 4 if "detector" in axes else 1
        assert len(signals) == n
        for signal, counts in zip(signals, COUNTS[:n], strict=True):
            assert [a["name"] for a in signal["axes"]] == ["y", "x", "Energy"]
            np.testing.assert_array_equal(values(signal), counts)
            assert signal["data"].dtype == np.uint16

    @pytest.mark.parametrize("axes", POINTS)
    def test_points(self, tmp_path, axes):
        path = write(tmp_path / "a.h5", turned(axes))
        options = {"dataset_path": "spectra", "axes": axes}
        n = 4 if "detector" in axes else 1
        for signal, counts in zip(read(path, **options), COUNTS[:n], strict=True):
            np.testing.assert_array_equal(values(signal), counts.reshape(60, 128))
        signals = read(path, navigation_shape=(12, 5), lazy=True, **options)
        for signal, counts in zip(signals, COUNTS[:n], strict=True):
            np.testing.assert_array_equal(values(signal), counts)

    @pytest.mark.parametrize("axes", ["y x detector channel", "channel detector y x"])
    @pytest.mark.parametrize(
        "options",
        [
            {},
            {"chunks": True},
            {"chunks": True, "compression": "gzip", "shuffle": True},
            {"chunks": (2, 3, 2, 5), "compression": "lzf"},
        ],
        ids=str,
    )
    def test_storage(self, tmp_path, axes, options):
        path = write(tmp_path / "a.h5", turned(axes), **options)
        options = {"dataset_path": "spectra", "axes": axes}
        total = COUNTS.sum(0, dtype=np.uint32)
        for lazy in (False, True):
            signal = read_one(path, sum_detectors=True, lazy=lazy, **options)
            np.testing.assert_array_equal(values(signal), total)
            assert signal["data"].dtype == np.uint32
        data = signal["data"]
        part = np.s_[4:0:-2, 1:11:3, 100:20:-7]
        np.testing.assert_array_equal(data[part].compute(), total[part])
        found = pickle.loads(pickle.dumps(data)).compute()
        np.testing.assert_array_equal(found, total)
        one = read_one(path, detector=2, **options)
        np.testing.assert_array_equal(values(one), COUNTS[2])

    def test_in_processes(self, tmp_path):
        axes = "channel detector y x"
        path = write(tmp_path / "a.h5", turned(axes), chunks=True)
        options = {"dataset_path": "spectra", "axes": axes, "lazy": True}
        data = read_one(path, sum_detectors=True, **options)["data"]
        with dask.config.set(scheduler="processes", num_workers=2):
            np.testing.assert_array_equal(data.compute(), COUNTS.sum(0))

    @pytest.mark.parametrize("axes", ["y x detector channel", "channel x y"])
    def test_sums(self, tmp_path, axes):
        path = write(tmp_path / "a.h5", turned(axes), chunks=True)
        options = {"dataset_path": "spectra", "axes": axes, "lazy": True}
        is_sum = "detector" in axes
        signal = read_one(path, sum_detectors=is_sum or None, **options)
        total = COUNTS.sum(0) if is_sum else COUNTS[0]
        source = source_of(signal["data"])
        ranges, part = ((1, 4), (2, 7), (3, 60)), total[1:4, 2:7, 3:60]
        np.testing.assert_array_equal(source.sum_navigation(ranges), part.sum((0, 1)))
        np.testing.assert_array_equal(source.sum_signal(ranges), part.sum(-1))
        if is_sum:
            every = source.by_detector()
            np.testing.assert_array_equal(
                every.read(tuple((0, n) for n in every.shape)), COUNTS
            )

    def test_dask_names(self, tmp_path):
        """Detectors of one dataset, and the same one in another order, computed together."""
        path = write(tmp_path / "a.h5", TRIPLES)
        options = {"dataset_path": "spectra", "lazy": True, "chunks": -1}
        signals = read(path, axes="point detector channel", **options)
        other = read_one(path, axes="y x channel", **options)
        names = {signal["data"].name for signal in (*signals, other)}
        assert len(names) == 5
        found = dask.compute(*(signal["data"] for signal in (*signals, other)))
        for data, counts in zip(found, COUNTS, strict=False):
            np.testing.assert_array_equal(data, counts.reshape(60, 128))
        np.testing.assert_array_equal(found[-1], TRIPLES)

    def test_through_hyperspy(self, tmp_path):
        path = write(tmp_path / "a.h5", turned("y x detector channel"))
        options = {"file_format": "ESRF", "lazy": True, "dataset_path": "spectra"}
        s = hs.load(path, axes="y x detector channel", sum_detectors=True, **options)
        assert type(s).__name__ == "LazyEDSXFMSpectrum"
        assert s.metadata.General.title == "a spectra 4 detectors"
        np.testing.assert_array_equal(s.sum().data, COUNTS.sum((0, 1, 2)))
        part = s.inav[3:9, 1:4].data.compute()
        np.testing.assert_array_equal(part, COUNTS.sum(0)[1:4, 3:9])

    @pytest.mark.parametrize("axes", ["y x detector channel", "detector x y channel"])
    def test_times_of_detectors(self, tmp_path, axes):
        live = np.linspace(0.05, 0.09, 240).reshape(4, 5, 12)
        order = [["detector", "y", "x"].index(role) for role in axes.split()[:-1]]
        beside = {"live_time": live.transpose(order), "elapsed_time": np.full(60, 0.1)}
        path = write(tmp_path / "a.h5", turned(axes), beside=beside)
        options = {"dataset_path": "spectra", "axes": axes}
        for signal, own in zip(read(path, **options), live, strict=True):
            np.testing.assert_allclose(dead_time_of(signal), 100 * (1 - own / 0.1))
        total = read_one(path, sum_detectors=True, **options)
        np.testing.assert_allclose(dead_time_of(total), 100 * (1 - live / 0.1))
        assert eds_of(total)["real_time"] == pytest.approx(0.4)

    def test_stopped_scan(self, tmp_path):
        path = write(tmp_path / "a.h5", TRIPLES[:33])
        options = {"dataset_path": "spectra", "axes": "point detector channel"}
        signals = read(path, 1, navigation_shape=(12, 5), **options)
        for signal, counts in zip(signals, COUNTS, strict=True):
            expected = counts.reshape(60, 128).copy()
            expected[33:] = 0
            np.testing.assert_array_equal(values(signal), expected.reshape(5, 12, 128))

    @pytest.mark.parametrize(
        "axes",
        ["", "y x", "y y channel", "y x energy", "point x channel", ("y", "channel"), 3],
        ids=str,
    )
    def test_no_axes(self, tmp_path, axes):
        path = write(tmp_path / "a.h5", TRIPLES)
        with pytest.raises(
            ValueError, match=r"axes is .*expected one text with the names"
        ):
            read(path, dataset_path="spectra", axes=axes)

    def test_do_not_fit(self, tmp_path):
        path = write(tmp_path / "a.h5", TRIPLES)
        with pytest.raises(FileFormatError, match=r"\(60, 4, 128\), expected 4 axes"):
            read(path, dataset_path="spectra", axes="y x detector channel")
        options = {"dataset_path": "spectra", "axes": "point detector channel"}
        with pytest.raises(ValueError, match="detector is 4, expected 0 to 3"):
            read(path, detector=4, **options)
        with pytest.raises(FileFormatError, match="has no axis of detectors"):
            read(path, dataset_path="spectra", axes="y x channel", detector=0)
        with pytest.raises(ValueError, match="axes is given, expected None for counters"):
            read(path, axes="y x channel", select_type="counters")

    def test_known_layouts(self, tmp_path):
        from tests.builders import esrf as build

        build.write_maps(tmp_path / "maps.h5")
        with pytest.raises(ValueError, match="its axes are known"):
            read(tmp_path / "maps.h5", axes="channel y x")


class TestFound:
    """Names, or what lies beside the spectra, tell."""

    def check_detectors(self, path, name="spectra"):
        signals = read(path, dataset_path=name, lazy=True)
        for signal, counts in zip(signals, COUNTS, strict=True):
            np.testing.assert_array_equal(values(signal).reshape(5, 12, 128), counts)

    @pytest.mark.parametrize(
        ("axes", "labels"),
        [
            ("y x detector channel", ["y", "x", "detector", "energy"]),
            ("y x detector channel", ["y", "x", "element", "."]),
            ("y x detector channel", ["sy", "sx", ".", "."]),
            ("detector y x channel", ["det", "y", "x", "channels"]),
            ("channel y x detector", ["Energy", "y", "x", "detector_id"]),
            ("point detector channel", ["frame", "det", "bin"]),
        ],
        ids=str,
    )
    def test_names_of_axes(self, tmp_path, axes, labels):
        attrs = {"NX_class": "NXdata", "signal": "spectra", "axes": labels}
        self.check_detectors(write(tmp_path / "a.h5", turned(axes), attrs=attrs))
        path = write(tmp_path / "b.h5", turned(axes))
        with h5py.File(path, "r+") as file:
            for i, label in enumerate(labels):
                file["spectra"].dims[i].label = label.replace(".", "")
        self.check_detectors(path)

    def test_label_that_is_no_text(self, tmp_path):
        path = write(tmp_path / "a.h5", turned("point channel"))
        with h5py.File(path, "r+") as file:
            file["spectra"].dims[0].label = "micron"
        raw = path.read_bytes()
        assert raw.count(b"micron") == 1
        path.write_bytes(raw.replace(b"micron", b"\xb5icron"))
        signal = read_one(path, dataset_path="spectra")
        np.testing.assert_array_equal(values(signal), turned("point channel"))

    def test_energies_are_the_first_axis(self, tmp_path):
        attrs = {"signal": "spectra", "axes": ["energy", "y", "x"]}
        path = write(tmp_path / "a.h5", turned("channel y x"), attrs=attrs)
        signal = read_one(path, dataset_path="spectra")
        np.testing.assert_array_equal(values(signal), COUNTS[0])

    def test_numbers_of_the_channels(self, tmp_path):
        beside = {"channels": np.arange(10, 138), "calibration": [-0.5, 0.01, 0]}
        path = write(tmp_path / "a.h5", turned("channel y x"), beside=beside)
        signal = read_one(path, dataset_path="spectra")
        np.testing.assert_array_equal(values(signal), COUNTS[0])
        assert axis(signal, 2) == ("Energy", pytest.approx(-0.4), 0.01, "keV")

    def test_energies_of_the_beam_are_no_channels(self, tmp_path):
        """Spectra at each energy of the beam: the last axis are channels all the same."""
        data = turned("point channel")[:40]
        path = write(tmp_path / "a.h5", data, beside={"energy": np.linspace(7, 8, 40)})
        signal = read_one(path, dataset_path="spectra")
        np.testing.assert_array_equal(values(signal), data)

    @pytest.mark.parametrize(
        "name",
        [
            "entry/measurement/xspress3/data",
            "entry/instrument/xsp3/data",
            "xspress3_spectra",
        ],
    )
    def test_names_of_detectors(self, tmp_path, name):
        self.check_detectors(write(tmp_path / "a.h5", TRIPLES, name), name)
        path = write(tmp_path / "b.h5", turned("y x detector channel"), name)
        self.check_detectors(path, name)

    @pytest.mark.parametrize("outer", ["entry/instrument", "entry/instrument/detector"])
    def test_area_detector(self, tmp_path, outer):
        name = "entry/instrument/detector/data"
        path = write(tmp_path / "a.h5", TRIPLES, name)
        with h5py.File(path, "r+") as file:
            file.create_group(f"{outer}/NDAttributes")
            file["entry/data/data"] = h5py.SoftLink(f"/{name}")
        for one in (name, "entry/data/data"):
            self.check_detectors(path, one)

    def test_counters_beside(self, tmp_path):
        beside = {key: np.arange(60.0) for key in ("sx", "sy", "I0")}
        self.check_detectors(write(tmp_path / "a.h5", TRIPLES, beside=beside))

    def test_mca_arr(self, tmp_path):
        path = write(tmp_path / "a.h5", turned("channel y x"), "mca_arr")
        np.testing.assert_array_equal(values(read_one(path)), COUNTS[0])


class TestRefused:
    @pytest.mark.parametrize(
        "axes",
        [
            *("point detector channel", "y x channel", "channel y x"),
            *("y x detector channel", "channel detector y x"),
        ],
    )
    def test_nothing_tells(self, tmp_path, axes):
        path = write(tmp_path / "a.h5", turned(axes))
        match = r"a.h5: spectra is \(.*nothing tells which .*\(byte \d+\)\. .*axes='"
        for lazy in (False, True):
            with pytest.raises(FileFormatError, match=match):
                read(path, dataset_path="spectra", lazy=lazy)

    def test_two_things_tell(self, tmp_path):
        """Counters say points and detectors, the attribute pixels."""
        beside = {key: np.arange(60.0) for key in ("sx", "sy")}
        path = write(tmp_path / "a.h5", TRIPLES, beside=beside)
        with h5py.File(path, "r+") as file:
            file["spectra"].attrs["interpretation"] = "spectrum"
        with pytest.raises(FileFormatError, match="nothing tells which"):
            read(path)
        assert len(read(path, axes="point detector channel")) == 4

    def test_name_of_detectors_and_interpretation(self, tmp_path):
        """One detector in (y, x, channel), or several in (point, detector, channel)."""
        path = write(tmp_path / "a.h5", turned("y x channel"), "xspress3/data")
        with h5py.File(path, "r+") as file:
            file["xspress3/data"].attrs["interpretation"] = "spectrum"
        with pytest.raises(FileFormatError, match="nothing tells which"):
            read(path)
        with h5py.File(path, "r+") as file:
            file["xspress3"].attrs["axes"] = ["y", "x", "."]
        np.testing.assert_array_equal(values(read_one(path)), COUNTS[0])

    @pytest.mark.parametrize(
        "beside", [{"energy": np.arange(128.0)}, {"calibration": [0, 1, 0]}]
    )
    def test_energies_with_few_columns(self, tmp_path, beside):
        """They say what the channels are, but the columns may be detectors."""
        path = write(tmp_path / "a.h5", turned("y x channel"), beside=beside)
        with pytest.raises(FileFormatError, match="nothing tells which"):
            read(path, dataset_path="spectra")


class TestAsBefore:
    """Maps of (y, x, channel) that say it."""

    def check(self, path, **options):
        signal = read_one(path, **options)
        np.testing.assert_array_equal(values(signal), COUNTS[0])
        return signal

    def test_interpretation(self, tmp_path):
        path = write(tmp_path / "a.h5", turned("y x channel"))
        with h5py.File(path, "r+") as file:
            file["spectra"].attrs["interpretation"] = "spectrum"
        self.check(path)

    def test_interpretation_of_the_group(self, tmp_path):
        attrs = {"NX_class": "NXdata", "signal": "spectra", "interpretation": "spectrum"}
        self.check(write(tmp_path / "a.h5", turned("y x channel"), attrs=attrs))

    def test_name(self, tmp_path):
        self.check(write(tmp_path / "a.h5", turned("y x channel"), "mca_0"))

    def test_names_of_axes(self, tmp_path):
        attrs = {"signal": "spectra", "axes": ["y", "x", "energy"]}
        path = write(tmp_path / "a.h5", turned("y x channel"), attrs=attrs)
        self.check(path, dataset_path="spectra")

    def test_coordinates(self, tmp_path):
        beside = {"dim0": np.arange(5.0), "dim1": 2 * np.arange(12.0)}
        path = write(tmp_path / "a.h5", turned("y x channel"), beside=beside)
        signal = self.check(path, dataset_path="spectra")
        assert axis(signal, 1)[:3] == ("x", 0.0, 2.0)

    @pytest.mark.parametrize(
        "beside", [{"energy": np.arange(1, 129.0)}, {"calibration": [0, 2, 0]}]
    )
    def test_energies(self, tmp_path, beside):
        counts = np.random.default_rng(1).poisson(1, (20, 40, 128)).astype("u4")
        path = write(tmp_path / "a.h5", counts, beside=beside)
        signal = read_one(path, dataset_path="spectra")
        np.testing.assert_array_equal(values(signal), counts)

    def test_no_axis_of_channels(self, tmp_path):
        """Arrays that are too small for spectra are read along their last axis."""
        path = write(tmp_path / "a.h5", COUNTS[0, :, :, :6])
        found = values(read_one(path, dataset_path="spectra"))
        np.testing.assert_array_equal(found, COUNTS[0, :, :, :6])


class TestFirstChannel:
    def one(self, tmp_path, channels, **kwds):
        beside = {"calibration": [-0.5, 0.01, 0], "channels": channels}
        return read_one(write(tmp_path / "a.h5", COUNTS[0], "mca", beside), **kwds)

    @pytest.mark.parametrize(("first", "step"), [(0, 1), (10, 1), (100, 4)])
    def test_channels(self, tmp_path, first, step):
        signal = self.one(tmp_path, first + step * np.arange(128))
        expected = (pytest.approx(-0.5 + 0.01 * first), pytest.approx(0.01 * step))
        assert axis(signal, 2) == ("Energy", *expected, "keV")

    def test_without_a_calibration(self, tmp_path):
        path = write(
            tmp_path / "a.h5", COUNTS[0], "mca", {"channels": np.arange(10, 138)}
        )
        assert axis(read_one(path), 2) == ("Energy", 10.0, 1.0, None)

    def test_energies_are_of_the_channels_that_are_there(self, tmp_path):
        beside = {"channels": np.arange(10, 138), "energy": 0.1 + 0.02 * np.arange(128)}
        path = write(tmp_path / "a.h5", COUNTS[0], "mca", beside)
        expected = (pytest.approx(0.1), pytest.approx(0.02))
        assert axis(read_one(path), 2) == ("Energy", *expected, "keV")

    def test_uneven(self, tmp_path):
        channels = np.arange(128)
        channels[60:] += 1
        signal = self.one(tmp_path, channels, n_warnings=1)
        assert axis(signal, 2) == ("Energy", -0.5, 0.01, "keV")

    @pytest.mark.parametrize("units", ["keV", "eV", None])
    def test_written(self, tmp_path, units):
        """Channels and calibration agree with the axis, as PyMca and silx take them."""
        s = hs.signals.Signal1D(COUNTS[0])
        energy = s.axes_manager.signal_axes[0]
        energy.offset, energy.scale = (100.0, 1.0) if units is None else (1.1, 0.01)
        if units:
            energy.units = units
        s.set_signal_type("EDS_XFM")
        s.save(tmp_path / "a.h5", file_format="ESRF")
        with h5py.File(tmp_path / "a.h5") as file:
            detector = file["entry/instrument/mca00"]
            channels = detector["channels"][()]
            if units is None:
                assert channels.tolist() == list(range(100, 228))
                assert "calibration" not in detector
            else:
                a, b, c = detector["calibration"][()]
                energies = a + b * channels + c * channels**2
                unit = {"keV": 1.0, "eV": 1e-3}[units]
                np.testing.assert_allclose(energies, unit * energy.axis)
        # What others make of it keeps no axes of ours.
        with (
            h5py.File(tmp_path / "a.h5") as old,
            h5py.File(tmp_path / "b.h5", "w") as new,
        ):
            for key in ("data", "channels", "calibration"):
                if key in old["entry/instrument/mca00"]:
                    old.copy(f"entry/instrument/mca00/{key}", new, f"mca00/{key}")
        for name in ("a.h5", "b.h5"):
            own = read_one(tmp_path / name)["axes"][2]
            factor = 1e-3 if units == "eV" and name == "b.h5" else 1.0
            assert own["offset"] == pytest.approx(factor * energy.offset)
            assert own["scale"] == pytest.approx(factor * energy.scale)


class TestLiveTimeAlone:
    def test_mean(self, tmp_path):
        live = np.linspace(0.08, 0.09, 60)
        path = write(tmp_path / "a.h5", COUNTS[0], "mca", {"live_time": live})
        assert eds_of(read_one(path)) == {"live_time": pytest.approx(0.085)}

    def test_uneven(self, tmp_path):
        live = np.linspace(0.05, 0.09, 60)
        path = write(tmp_path / "a.h5", COUNTS[0], "mca", {"live_time": live})
        with pytest.warns(UserWarning, match="the live times of points differ"):
            esrf.file_reader(path)

    def test_of_the_whole_scan(self, tmp_path):
        """Not that of a pixel."""
        path = write(tmp_path / "a.h5", COUNTS[0], "mca", {"live_time": 5.1})
        assert "SEM" not in read_one(path)["metadata"]["Acquisition_instrument"]

    def test_sum(self, tmp_path):
        path = write(
            tmp_path / "a.h5", COUNTS[0], "mca", {"live_time": np.full(60, 0.085)}
        )
        s = hs.load(path, file_format="ESRF")
        name = "Acquisition_instrument.SEM.Detector.EDS.live_time"
        assert s.sum().metadata.get_item(name) == pytest.approx(60 * 0.085)
        s.save(tmp_path / "b.h5", file_format="ESRF")
        with h5py.File(tmp_path / "b.h5") as file:
            found = file["entry/instrument/mca00/live_time"][()]
        np.testing.assert_allclose(found, np.full((5, 12), 0.085))


class TestRealFiles:
    @pytest.fixture(autouse=True)
    def are_there(self):
        if not (DATA / "mda").is_dir():
            pytest.skip(f"{DATA} is not there")

    def test_channels(self):
        signal = read_one(DATA / "cases" / "pymca_recipe_channels.h5")
        assert axis(signal, 2) == ("Energy", pytest.approx(-0.4), 0.01, "keV")

    def test_live_time(self):
        path = DATA / "cases" / "pymca_recipe_live_time_only.h5"
        signal = read_one(path)
        assert eds_of(signal)["live_time"] == pytest.approx(0.0906, abs=5e-5)

    def test_diamond(self):
        path = DATA / "nexus" / "nexus_dls_example.nxs"
        signal = read_one(path)
        with h5py.File(path) as file:
            expected = file["entry1/testdata/nexustest/data"][()]
        np.testing.assert_array_equal(values(signal), expected)
        assert [a["name"] for a in signal["axes"]] == ["y", "x", "Energy"]

    @pytest.mark.parametrize("lazy", [False, True])
    def test_maps_raw(self, lazy):
        path = DATA / "mda" / "2xfm_0011_2xfm3__0.h5"
        signals = read(path, 1, lazy=lazy)  # elapsed times differ, of all detectors
        assert [s["data"].shape for s in signals] == [(11, 9, 2048)] * 4
        with h5py.File(path) as file:
            for signal, letter, i in zip(signals, "abcd", range(4), strict=True):
                expected = np.moveaxis(file[f"MAPS_RAW/data_{letter}"][()], 0, -1)
                np.testing.assert_array_equal(values(signal), expected)
                live, real = (file[f"MAPS_RAW/{k}"][i] for k in ("livetime", "realtime"))
                dead_time = 100 * (1 - live.astype(float) / real.astype(float))
                np.testing.assert_allclose(dead_time_of(signal), dead_time, atol=1e-6)
