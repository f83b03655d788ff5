"""Layouts of beamlines in HDF5: each is read back exactly, however it is asked for."""

import importlib.util
import pickle
import re
from pathlib import Path

import dask
import h5py
import hyperspy.api as hs
import numpy as np
import psutil
import pytest

from rsciio_xfm import esrf
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.hdf5_maps.layouts import LAYOUTS, shown
from tests.builders import esrf as esrf_builder
from tests.builders import hdf5_layouts as build
from tests.conftest import DATA
from tests.io.esrf_common import axis, dead_time_of, eds_of, read, read_one, values

SHAPE = {"navigation_shape": build.SHAPE[::-1]}


def write_area(folder):
    return folder / "a.h5", build.write_area_detector(folder / "a.h5"), SHAPE


def write_odd(folder):
    options = {"chunks": (7, 2, 50), "compression": "gzip", "shuffle": True}
    return folder / "a.h5", build.write_area_detector(folder / "a.h5", **options), SHAPE


def write_xspress3(folder):
    name = "entry/instrument/xspress3/data"
    truth = build.write_area_detector(folder / "a.h5", name=name, attributes="")
    return folder / "a.h5", truth | {"dead_time": None}, SHAPE


def write_rows(folder):
    truth = build.write_rows(folder / "rows")
    return folder / "rows" / "row_0002.h5", truth, {"series": True}


def write_gsecars(folder):
    truth = build.write_rows(folder / "rows", pattern="xsp3.{:04d}")
    return folder / "rows" / "xsp3.0001", truth, {"series": "xsp3.*"}


def write_aps_u(folder):
    return *build.write_aps_u(folder), {}


def write_aps_u_snake(folder):
    return *build.write_aps_u(folder, is_snake=True, detector="ME7"), {}


def write_nanomax(folder):
    return folder / "a.h5", build.write_nanomax(folder / "a.h5"), {}


def write_nanomax_snake(folder):
    path = folder / "a.h5"
    return path, build.write_nanomax(path, is_snake=True, name="x3mini/frames"), {}


def write_p06(folder):
    truth = build.write_p06(folder)
    return folder / "xspress3_00012_00001.nxs", truth, SHAPE


def write_p06_master(folder):
    truth = build.write_p06(folder, master=True)
    return folder / "scan_00012.nxs", truth, {}


def write_soleil(folder):
    return folder / "a.nxs", build.write_soleil(folder / "a.nxs"), {}


def write_soleil_flat(folder):
    return folder / "a.nxs", build.write_soleil(folder / "a.nxs", is_flat=True), SHAPE


def write_sgm(folder):
    return folder / "a.h5", build.write_sgm(folder / "a.h5"), {}


def write_diamond(folder):
    return folder / "a.nxs", build.write_diamond(folder / "a.nxs"), {}


def write_maps_raw(folder):
    return folder / "a.h5", build.write_maps_raw(folder / "a.h5"), {}


def write_maps(folder):
    path = folder / "a.h5"
    truth = esrf_builder.write_maps(path)
    dead = 100 * (1 - truth["live_time"] / truth["elapsed_time"])
    return path, truth | {"dead_time": dead}, {}


EVERY = {
    "areaDetector": write_area,
    "areaDetector, odd chunks": write_odd,
    "Xspress3": write_xspress3,
    "areaDetector, rows": write_rows,
    "areaDetector, GSECARS": write_gsecars,
    "APS-U master": write_aps_u,
    "APS-U master, snake": write_aps_u_snake,
    "NanoMAX": write_nanomax,
    "NanoMAX, snake": write_nanomax_snake,
    "PETRA III": write_p06,
    "PETRA III master": write_p06_master,
    "SOLEIL flyscan": write_soleil,
    "SOLEIL flyscan, points": write_soleil_flat,
    "CLS SGM": write_sgm,
    "Diamond": write_diamond,
    "MAPS_RAW": write_maps_raw,
    "MAPS": write_maps,
}


def check(signals, truth):
    """Compare signals of all detectors with what was written."""
    assert len(signals) == len(truth["counts"])
    for i, (signal, counts) in enumerate(zip(signals, truth["counts"], strict=True)):
        np.testing.assert_array_equal(values(signal), counts)
        assert signal["data"].dtype == counts.dtype
        if truth["dead_time"] is not None:
            np.testing.assert_allclose(
                dead_time_of(signal), truth["dead_time"][i], rtol=1e-9
            )


class TestEveryLayout:
    @pytest.fixture(params=EVERY)
    def case(self, request, tmp_path):
        return EVERY[request.param](tmp_path)

    def test_eager_and_lazy(self, case):
        path, truth, options = case
        for lazy in (False, True):
            signals = read(path, lazy=lazy, **options)
            if signals[0]["data"].dtype == np.float32:  # MAPS keeps floats
                truth = {**truth, "counts": truth["counts"].astype(np.float32)}
            check(signals, truth)
        data = signals[-1]["data"]
        part = np.s_[3:0:-1, 1:5:2, 100:20:-7]
        expected = truth["counts"][-1][part]
        np.testing.assert_array_equal(data[part].compute(), expected)
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(data))[part], expected)

    def test_sums(self, case):
        path, truth, options = case
        counts = truth["counts"]
        if len(counts) == 1:
            with pytest.raises(ValueError, match="hold sums of their own"):
                read(path, sum_detectors=True, **options)
            return
        if counts.dtype.kind == "f":
            with pytest.raises(ValueError, match="expected integers"):
                read(path, sum_detectors=True, **options)
            return
        total = counts.sum(0, dtype=np.uint64)
        for lazy in (False, True):
            signal = read_one(path, sum_detectors=True, lazy=lazy, **options)
            np.testing.assert_array_equal(values(signal), total)
        assert signal["metadata"]["General"]["title"].endswith(
            f" {len(counts)} detectors"
        )
        source, ranges = source_of(signal["data"]), ((1, 4), (1, 4), (3, 60))
        part = total[1:4, 1:4, 3:60]
        np.testing.assert_array_equal(source.sum_navigation(ranges), part.sum((0, 1)))
        np.testing.assert_array_equal(source.sum_signal(ranges), part.sum(-1))
        whole = tuple((0, n) for n in source.shape)
        np.testing.assert_array_equal(source.sum_navigation(whole), total.sum((0, 1)))
        every = source.by_detector()
        apart = every.read(tuple((0, n) for n in every.shape))
        np.testing.assert_array_equal(apart, counts)
        if truth["dead_time"] is not None:
            np.testing.assert_allclose(
                dead_time_of(signal), truth["dead_time"], rtol=1e-9
            )

    @pytest.mark.thorough
    def test_one_detector(self, case):
        path, truth, options = case
        if len(truth["counts"]) == 1:
            with pytest.raises(ValueError, match="detector is given"):
                read(path, detector=0, **options)
            return
        signal = read_one(path, detector=1, **options)
        np.testing.assert_array_equal(values(signal), truth["counts"][1])
        with pytest.raises(ValueError, match="detector is 9, expected"):
            read(path, detector=9, **options)

    def test_in_processes(self, case):
        path, truth, options = case
        data = read(path, lazy=True, **options)[-1]["data"]
        with dask.config.set(scheduler="processes", num_workers=2):
            np.testing.assert_array_equal(data.compute(), truth["counts"][-1])

    @pytest.mark.thorough
    def test_info(self, case, run):
        path, _, options = case
        if options:  # series and shapes are for Python
            return
        text = run("info", path)
        assert "5" in text
        assert esrf.tree(path)


def test_cases_are_of_all_layouts():
    names = {layout.name for layout in LAYOUTS}
    assert names == {name.split(",")[0] for name in EVERY} - {"Diamond"}


class TestAreaDetector:
    @pytest.mark.parametrize(
        ("keys", "origin"),
        [
            (build.KEYS, "dead-time factor"),
            ((*build.SCA, "DTPercent"), "dead-time percentage"),
            ((*build.SCA, "EventWidth"), "clock ticks"),
            (build.SCA, "clock ticks"),
        ],
    )
    def test_dead_times(self, tmp_path, keys, origin):
        path = tmp_path / "a.h5"
        truth = build.write_area_detector(path, keys=keys)
        for signal, expected in zip(read(path, **SHAPE), truth["dead_time"], strict=True):
            np.testing.assert_allclose(dead_time_of(signal), expected, rtol=1e-9)
            xrf = signal["metadata"]["Acquisition_instrument"]["XRF"]
            assert xrf["dead_time_from"] == origin
            ticks = truth["scalers"]["SCA0"][xrf["detector"]]
            assert eds_of(signal)["real_time"] == pytest.approx(ticks.mean() * 12.5e-9)

    def test_numbers_of_xraylarch(self, tmp_path):
        """T / (T - (all (width + 1) + resets)), computed by hand."""
        scalers = {"SCA0": [[800000.0]], "SCA1": [[8000.0]], "SCA3": [[20000.0]]}
        counts = build.make_counts(1, (1, 1))[:, 0]
        build.write_xspress3(tmp_path / "a.h5", counts, scalers, keys=tuple(scalers))
        dead_time = dead_time_of(read_one(tmp_path / "a.h5"))
        # 20000 * 6 + 8000 = 128000 of 800000 ticks
        np.testing.assert_allclose(dead_time, [16.0])

    def test_other_order_of_names(self, tmp_path):
        """Names in other letters, and attributes beside the spectra."""
        place = "entry/instrument/detector/NDAttributes"
        truth = build.write_area_detector(tmp_path / "a.h5", attributes=place)
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            for key in list(file[place]):
                file.move(f"{place}/{key}", f"{place}/{key.replace('CHAN', 'Chan')}")
        check(read(tmp_path / "a.h5", **SHAPE), truth)

    def test_line(self, tmp_path):
        path = tmp_path / "map.h5"
        truth = build.write_area_detector(path)
        signal = read_one(path, detector=2)
        expected = truth["counts"][2].reshape(-1, build.N_CHANNELS)
        np.testing.assert_array_equal(values(signal), expected)

    def test_four_axes(self, tmp_path):
        counts = build.make_counts()
        scalers, dead_time = build.scalers_of(counts)
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["entry/data/data"] = counts.transpose(1, 2, 0, 3)
            group = file.create_group("entry/instrument/NDAttributes")
            flat = {key: build.flat(v) for key, v in scalers.items()}
            build.put_scalers(group, flat, build.KEYS)
        check(read(tmp_path / "a.h5"), {"counts": counts, "dead_time": dead_time})

    def test_images_are_no_spectra(self, tmp_path):
        """Frames of another detector that areaDetector wrote."""
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["entry/data/data"] = np.zeros((3, 100, 120), "u2")
            file["entry/instrument/NDAttributes/CHAN1SCA0"] = np.zeros(3)
        with pytest.raises(FileFormatError, match="no map of X-ray spectra"):
            read(tmp_path / "a.h5")

    def test_axes_that_are_said(self, tmp_path):
        path = tmp_path / "a.h5"
        truth = build.write_area_detector(path)
        signals = read(path, axes="point detector channel", **SHAPE)
        check(signals, truth)
        with pytest.raises(FileFormatError, match=r"expected 4 axes"):
            read(path, axes="y x detector channel")

    def test_points_and_detectors_are_no_map(self, tmp_path):
        """(60, 4, 128) is 60 points of 4 detectors, or an error, but never 60 x 4 pixels."""
        counts = build.make_counts(4, (1, 60))[:, 0]
        path = tmp_path / "a.h5"
        build.write_xspress3(path, counts, {"SCA0": np.full((4, 60), 1e6)}, ("SCA0",))
        shapes = {signal["data"].shape for signal in read(path)}
        assert shapes == {(60, build.N_CHANNELS)}
        with h5py.File(path, "w") as file:
            file["somewhere/data"] = np.moveaxis(counts, 0, 1)
        with pytest.raises(FileFormatError, match="nothing tells which"):
            read(path, dataset_path="somewhere/data")

    def test_one_pixel(self, tmp_path):
        truth = build.write_area_detector(tmp_path / "a.h5", (1, 1), 1)
        signal = read_one(tmp_path / "a.h5")
        np.testing.assert_array_equal(values(signal)[0], truth["counts"][0, 0, 0])

    def test_no_point(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("entry/data/data", (0, 4, 128), "u4")
            file["entry/instrument/NDAttributes/CHAN1SCA0"] = np.zeros(0)
        with pytest.raises(FileFormatError, match=r"no map|no axis of 0"):
            read(tmp_path / "a.h5")

    def test_through_hyperspy(self, tmp_path):
        truth = build.write_rows(tmp_path / "rows")
        path = tmp_path / "rows" / "row_0001.h5"
        options = {"file_format": "ESRF", "lazy": True, "series": True}
        s = hs.load(path, sum_detectors=True, **options)
        assert type(s).__name__ == "LazyEDSXFMSpectrum"
        total = truth["counts"].sum(0)
        np.testing.assert_array_equal(s.sum().data, total.sum((0, 1)))
        np.testing.assert_array_equal(s.inav[1:4, 2:].data.compute(), total[2:, 1:4])

    def test_on_the_command_line(self, tmp_path, run):
        truth = build.write_rows(tmp_path / "rows")
        path, out = tmp_path / "rows" / "row_0001.h5", tmp_path / "a.npy"
        run("export", path, "--series", "--detector", 1, "-o", out)
        np.testing.assert_array_equal(np.load(out), truth["counts"][1])
        truth = build.write_area_detector(tmp_path / "a.h5")
        shape = ("--navigation-shape", "5x4")
        run(
            "export", tmp_path / "a.h5", *shape, "--detector", 1, "-o", tmp_path / "b.npy"
        )
        np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), truth["counts"][1])
        text = run("info", path, "--navigation-shape", "5", code=2)
        assert "'5' is no shape, expected columns and rows, 40x30" in text


class TestRows:
    def test_pattern_of_hyperspy(self, tmp_path):
        """All files are named: the map is loaded once."""
        truth = build.write_rows(tmp_path / "rows", n_detectors=1)
        options = {"file_format": "ESRF", "series": True}
        s = hs.load(str(tmp_path / "rows" / "row_*.h5"), **options)
        s = s[0] if isinstance(s, list) else s
        np.testing.assert_array_equal(s.data, truth["counts"][0])

    def rewrite(self, path, change):
        """Change the numbers of points in a file of a row."""
        with h5py.File(path, "r+") as file:
            data = change(file["entry/instrument/detector/data"][()])
            del file["entry/data/data"], file["entry/instrument/detector/data"]
            file["entry/instrument/detector/data"] = data

    def test_they_are_told_of(self, tmp_path):
        build.write_rows(tmp_path / "rows")
        path = tmp_path / "rows" / "row_0001.h5"
        with pytest.warns(UserWarning, match=r"names of 4 files differ .*series=True"):
            assert len(esrf.file_reader(path)) == 4
        read(path, navigation_shape=(5, 1))

    def test_order_of_numbers(self, tmp_path):
        truth = build.write_rows(tmp_path / "rows", (12, 5), 1, "row{}.h5")
        check(read(tmp_path / "rows" / "row3.h5", series=True), truth)

    def test_missing_row(self, tmp_path):
        truth = build.write_rows(tmp_path / "rows")
        (tmp_path / "rows" / "row_0002.h5").unlink()
        truth["counts"][:, 1], truth["dead_time"][:, 1] = 0, np.nan
        with pytest.warns(
            UserWarning, match=r"1 are not there: 2\. Their rows are zeros"
        ):
            signals = esrf.file_reader(tmp_path / "rows" / "row_0001.h5", series=True)
        check(signals, truth)

    def test_first_frame_that_was_not_measured(self, tmp_path):
        """GSECARS: a first frame of hardly a tick; the others are the row."""
        truth = build.write_rows(tmp_path / "rows")
        for row in range(4):
            path = tmp_path / "rows" / f"row_{row + 1:04d}.h5"
            junk = np.full((1, 4, build.N_CHANNELS), 7, "u4")
            self.rewrite(path, lambda data, junk=junk: np.concatenate([junk, data]))
            with h5py.File(path, "r+") as file:
                group = file["entry/instrument/NDAttributes"]
                for key in list(group):
                    found = group[key][()]
                    del group[key]
                    first = 3.0 if key.endswith("SCA0") else 0
                    group[key] = np.concatenate([[first], found])
        with pytest.warns(UserWarning, match=r"4 of 4 rows begin with a frame of fewer"):
            signals = esrf.file_reader(path, series=True)
        check(signals, truth)
        with pytest.warns(UserWarning, match="first frame has fewer than 5 ticks"):
            signals = esrf.file_reader(path, navigation_shape=(5, 1))
        np.testing.assert_array_equal(values(signals[0]), truth["counts"][0, 3:])

    def test_a_spectrum_less_than_counters(self, tmp_path):
        truth = build.write_rows(tmp_path / "rows")
        path = tmp_path / "rows" / "row_0003.h5"
        self.rewrite(path, lambda data: data[:-1])
        truth["counts"][:, 2, -1], truth["dead_time"][:, 2, -1] = 0, np.nan
        with pytest.warns(
            UserWarning, match=r"1 of 4 rows have fewer than 5 points.*0003"
        ):
            signals = esrf.file_reader(path, series=True)
        check(signals, truth)
        with pytest.warns(UserWarning, match="one spectrum less than there are counters"):
            signals = esrf.file_reader(path, navigation_shape=(5, 1))
        np.testing.assert_array_equal(values(signals[1])[0], truth["counts"][1, 2])

    def test_rows_of_several_lengths(self, tmp_path):
        truth = build.write_rows(tmp_path / "rows")
        more = lambda data: np.concatenate([data, data[:2]])  # noqa: E731
        self.rewrite(tmp_path / "rows" / "row_0001.h5", more)
        self.rewrite(tmp_path / "rows" / "row_0004.h5", lambda data: data[:2])
        truth["counts"][:, 3, 2:], truth["dead_time"][:, 3, 2:] = 0, np.nan
        path = tmp_path / "rows" / "row_0001.h5"
        with pytest.warns(UserWarning) as caught:
            signals = esrf.file_reader(path, series=True)
        check(signals, truth)
        texts = "\n".join(str(w.message) for w in caught)
        assert re.search(r"1 of 4 rows have fewer than 5 points.*row_0004", texts)
        assert re.search(r"1 of 4 rows have more than 5 points.*row_0001", texts)

    def test_navigation_shape(self, tmp_path):
        truth = build.write_rows(tmp_path / "rows")
        path = tmp_path / "rows" / "row_0001.h5"
        with pytest.warns(UserWarning, match=r"4 of 4 rows have more than 3 points"):
            signals = esrf.file_reader(path, series=True, navigation_shape=(3, 6))
        expected = np.zeros((6, 3, build.N_CHANNELS), "u4")
        expected[:4] = truth["counts"][1, :, :3]
        np.testing.assert_array_equal(values(signals[1]), expected)

    def test_other_files(self, tmp_path):
        build.write_rows(tmp_path / "rows")
        with h5py.File(tmp_path / "rows" / "row_0003.h5", "w") as file:
            file["other"] = [1]
        path = tmp_path / "rows" / "row_0001.h5"
        with pytest.raises(FileFormatError, match=r"row_0003.h5: entry/.* is not there"):
            esrf.file_reader(path, series=True)
        build.write_rows(tmp_path / "rows", (4, 5), 3, "row_{:04d}.h5")
        build.write_rows(tmp_path / "rows", (1, 5), 4, "row_{:04d}.h5")
        with pytest.raises(FileFormatError, match=r"of row_0002.h5 is \(5, 3, 128\)"):
            esrf.file_reader(path, series=True)

    def test_counters(self, tmp_path):
        build.write_rows(tmp_path / "rows")
        path = tmp_path / "rows" / "row_0001.h5"
        with pytest.raises(ValueError, match="series is given, expected None"):
            esrf.file_reader(path, series=True, select_type="counters")

    def test_numbers_that_are_far_apart(self, tmp_path):
        build.write_rows(tmp_path / "rows", (2, 5))
        path = tmp_path / "rows" / "row_9999.h5"
        (tmp_path / "rows" / "row_0002.h5").rename(path)
        with pytest.raises(FileFormatError, match="2 files are numbered 1 to 9999"):
            esrf.file_reader(path, series=True)

    def test_no_number(self, tmp_path):
        build.write_area_detector(tmp_path / "map.hdf5")
        with pytest.raises(FileFormatError, match="no number before the extension"):
            esrf.file_reader(tmp_path / "map.hdf5", series=True)

    def test_whole_maps_are_no_rows(self, tmp_path):
        build.write_soleil(tmp_path / "flyscan_1.nxs")
        with pytest.raises(FileFormatError, match=r"SOLEIL flyscan hold whole maps"):
            esrf.file_reader(tmp_path / "flyscan_1.nxs", series=True)

    def test_maps_raw(self, tmp_path):
        counts = build.make_counts(4, dtype=np.uint16)
        dead_times = [
            build.write_maps_raw(tmp_path / f"{i}.h5", counts[:, i : i + 1], i)[
                "dead_time"
            ]
            for i in range(4)
        ]
        truth = {"counts": counts, "dead_time": np.concatenate(dead_times, axis=1)}
        check(read(tmp_path / "2.h5", series=True), truth)
        source = source_of(read(tmp_path / "2.h5", series=True, lazy=True)[1]["data"])
        found = np.zeros_like(counts[1])
        for held, part in source.pieces(((1, 4), (0, 5), (0, 128))):
            found[tuple(slice(*r) for r in held)] = part
        np.testing.assert_array_equal(found[1:], counts[1, 1:])
        assert not found[0].any()

    def test_windows_of_rows(self, tmp_path):
        truth = build.write_rows(tmp_path / "rows")
        options = {"file_format": "ESRF", "lazy": True, "series": True}
        s = hs.load(tmp_path / "rows" / "row_0001.h5", sum_detectors=True, **options)
        image = s.get_window_images({"a": (10, 20)}, show_progressbar=False)["a"].data
        expected = truth["counts"].sum(0)[..., 10:20].sum(-1)
        np.testing.assert_array_equal(image, expected)


def test_number_of_a_detector_that_is_none(tmp_path):
    """Python does not read numbers of more than 4300 digits."""
    path = tmp_path / "a.nxs"
    truth = build.write_soleil(path, n_detectors=1)
    with h5py.File(path, "r+") as file:
        (name,) = file
        group = file[f"{name}/scan_data"]
        (old,) = [n for n in group if n.startswith("channel")]
        group.move(old, "channel" + "1" * 5000)
    signal = read(path)[0]
    np.testing.assert_array_equal(signal["data"], truth["counts"][0])
    assert "detector" not in signal["metadata"]["Acquisition_instrument"]["XRF"]


class TestMasters:
    def test_missing_row(self, tmp_path):
        path, truth = build.write_aps_u(tmp_path, missing=(2,))
        with pytest.warns(UserWarning) as caught:
            signals = esrf.file_reader(path)
        check(signals, truth)
        texts = "\n".join(str(w.message) for w in caught)
        assert "scan_0007_00003.h5" in texts
        assert "They are zeros without dead times" in texts.replace("\n", " ")

    def test_nothing_is_there(self, tmp_path):
        path, _ = build.write_aps_u(tmp_path, missing=range(4))
        match = r"4 links point to what is not there: .*XRF_ME7/scan_0007_00001.h5"
        with pytest.raises(FileNotFoundError, match=match):
            read(path)

    def test_many_rows(self, tmp_path):
        """More files than a process may have open: one at a time."""
        resource = pytest.importorskip("resource")
        path, truth = build.write_aps_u(tmp_path, (300, 2), missing=(0, 7))
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = psutil.Process().num_fds() + 100
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
        try:
            with pytest.warns(UserWarning) as caught:
                signals = esrf.file_reader(path, lazy=True)
            check(signals, truth)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        texts = " ".join(str(w.message) for w in caught)
        assert "2 of 300 parts of APS-U master are not there: scan_0007_00001.h5" in texts

    def test_too_many_files(self, tmp_path):
        """Files that cannot be opened are not called missing."""
        resource = pytest.importorskip("resource")
        links = {}
        for i in range(100):
            esrf_builder.write_nexus(tmp_path / f"{i}.h5", shape=(1, 2), n=1)
            links[f"scan{i}"] = (tmp_path / f"{i}.h5", "/entry")
        esrf_builder.write_bliss_master(tmp_path / "master.h5", links)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = psutil.Process().num_fds() + 60
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                esrf.file_reader(tmp_path / "master.h5")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    def test_positions(self, tmp_path):
        path, _ = build.write_aps_u(tmp_path, is_snake=True)
        signal = read(path)[0]
        assert axis(signal, 0) == ("Encoder2", 2.0, 0.5, None)
        assert axis(signal, 1) == ("Encoder1", -1.0, 0.25, None)
        assert signal["metadata"]["General"]["title"] == "scan_0007_master XRF_ME7 0"

    def test_paths(self, tmp_path):
        path, truth = build.write_aps_u(tmp_path)
        check(read(path, dataset_path="detectors/XRF_ME7"), truth)
        row = "detectors/XRF_ME7/scan_0007_00002.h5/entry/data/data"
        signal = read(path, dataset_path=row)[1]
        np.testing.assert_array_equal(values(signal).squeeze(), truth["counts"][1, 1])

    def test_another_folder(self, tmp_path):
        path, truth = build.write_aps_u(tmp_path)
        (tmp_path / "master").mkdir()
        moved = path.rename(tmp_path / "master" / path.name)
        with h5py.File(moved, "r+") as file:
            for key in list(file["detectors/XRF_ME7"]):
                del file[f"detectors/XRF_ME7/{key}"]
                link = h5py.ExternalLink(f"../XRF_ME7/{key}", "/")
                file[f"detectors/XRF_ME7/{key}"] = link
            del file["positions"]
        with pytest.raises(FileFormatError, match="allow_outside_links=True"):
            read(moved)
        check(read(moved, allow_outside_links=True), truth)


class TestPetra:
    def test_missing_file(self, tmp_path):
        truth = build.write_p06(tmp_path, missing=(1,))
        with pytest.warns(UserWarning, match=r"8 points are in none of 2 files"):
            signals = esrf.file_reader(tmp_path / "xspress3_00012_00000.nxs", **SHAPE)
        check(signals, truth)

    def test_files_of_other_scans(self, tmp_path):
        """Points of both are numbered from 1 on: each is a scan of its own."""
        truth = build.write_p06(tmp_path, per_file=100)
        path = tmp_path / "xspress3_00012_00000.nxs"
        (tmp_path / "xspress3_00012_00001.nxs").write_bytes(path.read_bytes())
        check(read(path, **SHAPE), truth)

    def test_files_of_something_else(self, tmp_path):
        truth = build.write_p06(tmp_path, per_file=100)
        with h5py.File(tmp_path / "xspress3_00012_00001.nxs", "w") as file:
            file["other"] = [1]
        check(read(tmp_path / "xspress3_00012_00000.nxs", **SHAPE), truth)

    def test_damaged_file_beside(self, tmp_path):
        """That points are missing is said."""
        build.write_p06(tmp_path)
        (tmp_path / "xspress3_00012_00003.nxs").write_bytes(b"no HDF5")
        with pytest.warns(UserWarning, match=r"00003\.nxs beside it .* begins with"):
            signals = esrf.file_reader(tmp_path / "xspress3_00012_00000.nxs")
        assert signals[0]["data"].shape[:-1] == (8,)

    def test_link_that_leads_to_itself(self, tmp_path):
        truth = build.write_p06(tmp_path)
        link = tmp_path / "xspress3_00012_00003.nxs"
        link.symlink_to(link)
        check(read(tmp_path / "xspress3_00012_00000.nxs", **SHAPE), truth)

    @pytest.mark.parametrize("part", [0, 1])
    def test_missing_part_of_a_master(self, tmp_path, part):
        truth = build.write_p06(tmp_path, missing=(part,), master=True)
        with pytest.warns(UserWarning) as caught:
            signals = esrf.file_reader(tmp_path / "scan_00012.nxs")
        check(signals, truth)
        texts = " ".join(str(w.message) for w in caught)
        assert f"channel00_f0000{part} is /entry" in texts
        assert "8 points are in none of 2 files" in texts

    def test_without_numbers(self, tmp_path):
        """Parts that are missing are as long as the others."""
        truth = build.write_p06(tmp_path, missing=(1,), master=True)
        for path in tmp_path.glob("xspress3*.nxs"):
            with h5py.File(path, "r+") as file:
                del file["entry/instrument/detector"]
        with pytest.warns(UserWarning) as caught:
            signals = esrf.file_reader(tmp_path / "scan_00012.nxs")
        check(signals, truth)
        texts = " ".join(str(w.message) for w in caught)
        assert "1 of 3 parts of PETRA III master are not there: 00001" in texts

    def test_numbers_that_are_no_sequence(self, tmp_path):
        build.write_p06(tmp_path)
        with h5py.File(tmp_path / "xspress3_00012_00002.nxs", "r+") as file:
            file["entry/instrument/detector/sequence_number"][...] += 10**9
        with pytest.raises(FileFormatError, match=r"numbered 1000000017 to"):
            esrf.file_reader(tmp_path / "xspress3_00012_00000.nxs")


class TestOthers:
    def test_stopped_scan_of_nanomax(self, tmp_path):
        truth = build.write_nanomax(tmp_path / "a.h5", n_points=13)
        signals = read(tmp_path / "a.h5", 1)
        check(signals, truth)
        assert axis(signals[0], 1)[:3] == ("sx", -1.0, 0.25)
        assert axis(signals[0], 0)[:3] == ("sy", 2.0, 0.5)
        xrf = signals[0]["metadata"]["Acquisition_instrument"]["XRF"]
        assert xrf["command"].startswith("npointflyscan sx")

    @pytest.mark.parametrize(
        ("keys", "origin"),
        [
            (None, "dead-time percentage"),
            (("icr", "ocr", "realtime", "livetime"), "OCR / ICR"),
            (("realtime", "livetime"), "live time / elapsed time"),
        ],
    )
    def test_dead_times_of_soleil(self, tmp_path, keys, origin):
        truth = build.write_soleil(tmp_path / "a.nxs", keys=keys)
        signals = read(tmp_path / "a.nxs")
        check(signals, truth)
        xrf = signals[0]["metadata"]["Acquisition_instrument"]["XRF"]
        assert xrf["dead_time_from"] == origin

    def test_axes_of_sgm(self, tmp_path):
        build.write_sgm(tmp_path / "a.h5")
        signal = read(tmp_path / "a.h5")[0]
        assert axis(signal, 0)[:3] == ("y", 2.0, 0.5)
        assert axis(signal, 1)[:3] == ("x", -1.0, 0.25)
        assert axis(signal, 2) == ("Energy", 0.0, pytest.approx(0.01), "keV")

    def test_energies_of_another_detector(self, tmp_path):
        build.write_sgm(tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            del file["entry1/map1/emission"]
            file["entry1/map1/emission"] = np.arange(256.0)
        with pytest.warns(UserWarning, match=r"emission .*256 values, expected 128"):
            signal = esrf.file_reader(tmp_path / "a.h5")[0]
        assert axis(signal, 2)[1:] == (0.0, 1.0, None)

    def test_counts_beyond_int16(self, tmp_path):
        counts = build.make_counts(4, dtype=np.uint16)
        counts[:, 1, 2, 30:40] = 65535 - np.arange(10)
        truth = build.write_maps_raw(tmp_path / "a.h5", counts)
        check(read(tmp_path / "a.h5"), truth)
        lazy = read(tmp_path / "a.h5", lazy=True)[3]["data"]
        source = source_of(lazy)
        whole = tuple((0, n) for n in source.shape)
        expected = counts[3].sum((0, 1), dtype=np.uint64)
        np.testing.assert_array_equal(source.sum_navigation(whole), expected)

    def test_real_file_of_maps_raw(self):
        path = DATA / "mda" / "2xfm_0011_2xfm3__0.h5"
        if not path.is_file():
            pytest.skip(f"{path} is not there")
        signals = read(path, 1)
        # From h5py; the sums of the same rows of 2xfm_0011.mda.
        sums = [int(values(s).sum(dtype=np.uint64)) for s in signals]
        assert sums == [100311, 96080, 48479, 50482]
        assert {s["data"].dtype for s in signals} == {np.dtype("u2")}


def test_table_of_the_documentation():
    """It is made of the table of layouts, so that it says what is read."""
    docs = Path(__file__).parents[2] / "docs"
    spec = importlib.util.spec_from_file_location("layouts_table", docs / "layouts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = module.table()
    for layout in LAYOUTS:
        assert f"* - {layout.name}\n" in text
        assert f"``{shown(layout.spectra)}``" in text
    assert "``CHAN<n>DTFactor``; else ``CHAN<n>DTPercent``; else" in text
    page = (docs / "formats" / "hdf5_maps.rst").read_text(encoding="utf-8")
    assert ".. include:: _layouts.txt" in page
