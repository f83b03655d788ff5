"""HDF5 maps of Bliss, PyXRF, xraylarch, XRF-Maps and NeXus."""

import pickle

import dask
import h5py
import numpy as np
import pytest

from rsciio_xfm import esrf
from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from tests.builders import esrf as build
from tests.io.esrf_common import (
    axis,
    dead_time_of,
    eds_of,
    expected_dead_time,
    read,
    read_one,
    values,
)

DETECTORS = ("1.1/measurement/fx1_det0", "1.1/measurement/fx1_det1")


@pytest.fixture
def scan(tmp_path):
    path = tmp_path / "scan.h5"
    return path, build.write_bliss(path)


class TestBliss:
    KINDS = (
        {},
        {"is_snake": True},
        {"scan": "fscan2d"},
        {"scan": "fscan2d", "is_snake": True},
        {"scan": "unknown"},
        {"scan": "unknown", "is_snake": True},
        {"jitter": 0.2},
        {"names": "xmap"},
        {"compression": "gzip", "chunks": (3, 16)},
        {"compression": "gzip", "chunks": (20, 64), "is_snake": True},
        {"chunks": (4, 64), "dtype": np.uint16},
        {"dtype": np.int32},
        {"is_title_bytes": True},
        {"shape": (1, 7)},
        {"shape": (5, 2), "is_snake": True},
        {"coordinates": (("sampy", 10.0, -2.0), ("sampz", 3.0, -0.5)), "is_snake": True},
    )

    @pytest.mark.parametrize("options", KINDS, ids=str)
    @pytest.mark.parametrize("lazy", [False, True])
    def test_maps(self, tmp_path, options, lazy):
        truth = build.write_bliss(tmp_path / "scan.h5", **options)
        signals = read(tmp_path / "scan.h5", lazy=lazy)
        assert len(signals) == 2
        for i, signal in enumerate(signals):
            np.testing.assert_array_equal(values(signal), truth["counts"][i])
            assert signal["data"].dtype == np.dtype(options.get("dtype", np.uint32))
            np.testing.assert_allclose(
                dead_time_of(signal), expected_dead_time(truth, i), atol=1e-9
            )
            (fast, start, step), (slow, *_) = options.get(
                "coordinates", build.COORDINATES
            )
            assert [a["name"] for a in signal["axes"]] == [slow, fast, "Energy"]
            near = {"rel": 0.2} if options.get("jitter") else {"abs": 1e-9}
            assert signal["axes"][1]["scale"] == pytest.approx(step, **near)
            assert signal["axes"][1]["offset"] == pytest.approx(start, abs=1)
            assert signal["axes"][1]["units"] == "µm"
            assert eds_of(signal)["real_time"] == pytest.approx(
                truth["elapsed_time"][i].mean()
            )

    @pytest.mark.parametrize("n_points", [1, 6, 7, 8, 10, 14, 24, 34])
    @pytest.mark.parametrize("scan", ["amesh", "fscan2d"])
    @pytest.mark.parametrize("is_snake", [False, True])
    def test_stopped(self, tmp_path, n_points, scan, is_snake):
        path = tmp_path / "scan.h5"
        truth = build.write_bliss(path, n_points=n_points, scan=scan, is_snake=is_snake)
        with pytest.warns(UserWarning, match=f"{n_points} of 35 points"):
            signals = esrf.file_reader(path, lazy=True)
        for i, signal in enumerate(signals):
            np.testing.assert_array_equal(values(signal), truth["counts"][i])
            found = dead_time_of(signal)
            np.testing.assert_allclose(found, expected_dead_time(truth, i), atol=1e-9)
            assert np.isnan(found).sum() == 35 - n_points

    def test_stopped_with_all_spectra_kept(self, tmp_path):
        path = tmp_path / "scan.h5"
        truth = build.write_bliss(path, n_points=24, is_spectrum_full=True)
        for i, signal in enumerate(read(path)):
            np.testing.assert_array_equal(values(signal), truth["counts"][i])
            assert np.isnan(dead_time_of(signal)).sum() == 35 - 24

    @pytest.mark.parametrize(
        "options", [{}, {"chunks": (2, 64)}, {"dtype": np.int32}], ids=str
    )
    @pytest.mark.parametrize("lazy", [False, True])
    def test_stopped_line(self, tmp_path, options, lazy):
        path = tmp_path / "scan.h5"
        line = {"shape": (9,), "scan": "ascan", "n_points": 5}
        truth = build.write_bliss(path, **line, **options)
        for i, signal in enumerate(read(path, 1, lazy=lazy)):
            np.testing.assert_array_equal(values(signal), truth["counts"][i, 0])

    @pytest.mark.parametrize("scan", ["ascan", "loopscan"])
    def test_lines(self, tmp_path, scan):
        path = tmp_path / "scan.h5"
        truth = build.write_bliss(path, shape=(9,), scan=scan)
        for i, signal in enumerate(read(path)):
            np.testing.assert_array_equal(values(signal), truth["counts"][i, 0])
        is_motor = scan == "ascan"
        assert signal["axes"][0]["name"] == ("sampy" if is_motor else "x")
        assert signal["axes"][0]["scale"] == (2.0 if is_motor else 1.0)

    def test_one_point(self, tmp_path):
        truth = build.write_bliss(tmp_path / "scan.h5", shape=(1, 1))
        for i, signal in enumerate(read(tmp_path / "scan.h5", lazy=True)):
            assert signal["data"].shape == (1, 1, 64)
            np.testing.assert_array_equal(values(signal), truth["counts"][i])

    def test_rates_stand_in_for_the_live_time(self, tmp_path):
        path = tmp_path / "scan.h5"
        truth = build.write_bliss(path, live_time=False, missing_rates=(3, 8))
        for i, signal in enumerate(read(path)):
            instrument = signal["metadata"]["Acquisition_instrument"]["XRF"]
            assert instrument["dead_time_from"] == "OCR / ICR"
            found = dead_time_of(signal)
            # Never that of the trigger.
            np.testing.assert_allclose(found, expected_dead_time(truth, i), atol=1e-9)
            assert np.isnan(found.ravel()[[3, 8]]).all()
            assert np.isnan(found).sum() == 2

    def test_rates_stand_in_where_the_live_time_is_zero(self, tmp_path):
        path = tmp_path / "scan.h5"
        truth = build.write_bliss(path)
        with h5py.File(path, "r+") as file:
            file["1.1/instrument/fx1_det0/live_time"][5] = 0
        signal = read(path)[0]
        np.testing.assert_allclose(
            dead_time_of(signal), expected_dead_time(truth), atol=1e-9
        )
        source = signal["metadata"]["Acquisition_instrument"]["XRF"]["dead_time_from"]
        assert source == "live time / elapsed time, else OCR / ICR"

    def test_events_stand_in_for_rates(self, tmp_path):
        path = tmp_path / "scan.h5"
        truth = build.write_bliss(path, live_time=False)
        with h5py.File(path, "r+") as file:
            for name in ("trigger_count_rate", "event_count_rate"):
                del file[f"1.1/instrument/fx1_det0/{name}"]
                del file[f"1.1/measurement/fx1_det0_{name}"]
        signal = read(path)[0]
        np.testing.assert_allclose(
            dead_time_of(signal), expected_dead_time(truth), atol=1e-6
        )

    def test_without_times(self, scan):
        path, _ = scan
        with h5py.File(path, "r+") as file:
            for name in list(file["1.1/instrument/fx1_det0"]):
                if name not in ("data", "spectrum"):
                    del file[f"1.1/instrument/fx1_det0/{name}"]
            for name in list(file["1.1/measurement"]):
                if name.startswith("fx1_det0_"):
                    del file[f"1.1/measurement/{name}"]
        signal = read(path)[0]
        sem = signal["metadata"]["Acquisition_instrument"]["SEM"]
        assert sem == {"beam_energy": 12.5}

    def test_metadata(self, scan):
        path, _ = scan
        signal = read(path)[0]
        metadata = signal["metadata"]
        assert metadata["General"]["title"] == "scan 1.1 fx1_det0"
        assert metadata["General"]["date"] == "2024-03-05"
        assert metadata["Signal"]["signal_type"] == "EDS_XFM"
        xrf = metadata["Acquisition_instrument"]["XRF"]
        assert xrf["command"] == "amesh sampy 10 22 6 sampz -3 -1 4 0.1"
        assert metadata["Acquisition_instrument"]["SEM"]["beam_energy"] == 12.5
        assert signal["original_metadata"]["positioners_start"]["sampx"] == 1.5

    @pytest.mark.parametrize(
        "dataset_path",
        [
            "1.1/measurement/fx1_det1",
            "/1.1/measurement/fx1_det1",
            "/1.1/instrument/fx1_det1/data",
            "1.1/instrument/fx1_det1/spectrum",
            ["1.1/measurement/fx1_det1"],
        ],
    )
    def test_dataset_path(self, scan, dataset_path):
        path, truth = scan
        signal = read_one(path, dataset_path=dataset_path)
        np.testing.assert_array_equal(values(signal), truth["counts"][1])
        assert signal["metadata"]["General"]["title"] == "scan 1.1 fx1_det1"

    def test_groups_as_dataset_path(self, tmp_path):
        path = tmp_path / "scans.h5"
        build.write_bliss(path)
        second = build.write_bliss(path, scan_number=2, seed=7, shape=(3, 4), mode="a")
        assert len(read(path)) == 4
        assert len(read(path, dataset_path="/")) == 4
        signals = read(path, dataset_path="2.1")
        assert len(signals) == 2
        np.testing.assert_array_equal(values(signals[0]), second["counts"][0])

    def test_scans_are_sorted_by_number(self, tmp_path):
        path = tmp_path / "scans.h5"
        for i, number in enumerate((10, 2, 1)):
            options = {"detectors": ("det",), "shape": (2, 2), "seed": number}
            build.write_bliss(path, scan_number=number, mode="a" if i else "w", **options)
        titles = [s["metadata"]["General"]["title"] for s in read(path)]
        assert titles == ["scans 1.1 det", "scans 2.1 det", "scans 10.1 det"]

    def test_navigation_shape(self, scan):
        path, truth = scan
        signal = read_one(
            path, dataset_path=DETECTORS[0], navigation_shape=(5, 7), lazy=True
        )
        assert signal["data"].shape == (7, 5, 64)
        np.testing.assert_array_equal(values(signal).ravel(), truth["counts"][0].ravel())
        for wrong in ((0, 3), (), (2.5, 2)):
            with pytest.raises(ValueError, match="navigation_shape is"):
                read(path, navigation_shape=wrong)

    def test_more_points_than_planned(self, scan):
        path, truth = scan
        with h5py.File(path, "r+") as file:
            del file["1.1/title"]
            file["1.1/title"] = "amesh sampy 10 22 6 sampz -3 -1.5 3 0.1"
        with pytest.warns(
            UserWarning,
            match="35 points are there, 28 were planned .the command 'amesh",
        ):
            signal = esrf.file_reader(path)[0]
        np.testing.assert_array_equal(values(signal), truth["counts"][0, :4])
        with pytest.warns(
            UserWarning, match=r"28 were planned .navigation_shape \(7, 4\)"
        ):
            esrf.file_reader(path, navigation_shape=(7, 4))

    def test_a_command_of_a_billion_points_is_not_believed(self, scan):
        path, _ = scan
        with h5py.File(path, "r+") as file:
            del file["1.1/title"]
            file["1.1/title"] = "amesh sampy 0 1 99999999 sampz 0 1 99999 0.1"
        with pytest.warns(UserWarning, match="it is not used"):
            signals = esrf.file_reader(path)
        assert values(signals[0]).shape == (35, 64)

    def test_rows_that_were_not_begun(self, scan):
        path, truth = scan
        with h5py.File(path, "r+") as file:
            del file["1.1/title"]
            file["1.1/title"] = "amesh sampy 10 22 6 sampz -3 1e6 2999999 0.1"
        with pytest.warns(UserWarning, match="2999995 rows that were not begun"):
            signals = esrf.file_reader(path)
        np.testing.assert_array_equal(values(signals[0]), truth["counts"][0])

    def test_counters(self, scan):
        path, truth = scan
        signal = read_one(path, select_type="counters")
        names = signal["metadata"]["General"]["counters"]
        assert signal["data"].shape == (len(names), 5, 7)
        np.testing.assert_array_equal(signal["data"][names.index("I0")], truth["I0"])
        np.testing.assert_array_equal(
            signal["data"][names.index("fx1_det1_live_time")], truth["live_time"][1]
        )
        assert [a["navigate"] for a in signal["axes"]] == [True, False, False]
        assert len(read(path, select_type="counters", dataset_path="1.1")) == 1
        with pytest.raises(
            FileNotFoundError, match=r"no scan '3.1', expected one of 1.1"
        ):
            read(path, select_type="counters", dataset_path="3.1")

    @pytest.mark.parametrize("point", [0, 6, 7, 20])
    @pytest.mark.parametrize("is_snake", [False, True])
    def test_one_wrong_reading_of_a_motor(self, tmp_path, point, is_snake):
        path = tmp_path / "scan.h5"
        truth = build.write_bliss(path, is_snake=is_snake)
        with h5py.File(path, "r+") as file:
            file["1.1/instrument/sampy/value"][point] = 30
        np.testing.assert_array_equal(values(read(path)[0]), truth["counts"][0])

    def test_one_counter(self, scan):
        path, truth = scan
        signal = read_one(path, dataset_path="1.1/measurement/I0")
        np.testing.assert_array_equal(signal["data"], truth["I0"])
        assert signal["metadata"]["General"]["title"] == "scan 1.1 I0"
        assert [a["name"] for a in signal["axes"]] == ["sampz", "sampy"]
        assert [a["navigate"] for a in signal["axes"]] == [False, False]

    def test_normalising(self, scan):
        import hyperspy.api as hs

        path, truth = scan
        options = {"file_format": "ESRF", "lazy": True}
        s = hs.load(path, dataset_path=DETECTORS[0], **options)
        i0 = hs.load(path, dataset_path="1.1/measurement/I0", **options)
        np.testing.assert_allclose(
            (s / i0.T).data.compute(), truth["counts"][0] / truth["I0"][..., None]
        )

    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize(
        "options",
        [{}, {"is_snake": True}, {"dtype": np.uint16}, {"n_points": 24}],
        ids=str,
    )
    def test_sum_of_detectors(self, tmp_path, lazy, options):
        path = tmp_path / "scan.h5"
        detectors = ("det0", "det1", "det2")
        truth = build.write_bliss(path, detectors=detectors, **options)
        n_warnings = 1 if "n_points" in options else 0
        signal = read_one(path, n_warnings, lazy=lazy, sum_detectors=True)
        np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))
        expected = [expected_dead_time(truth, i) for i in range(3)]
        np.testing.assert_allclose(dead_time_of(signal), expected, atol=1e-9)
        assert signal["metadata"]["General"]["title"] == "scan 1.1 3 detectors"
        if lazy:
            data = pickle.loads(pickle.dumps(signal["data"]))
            source = source_of(data)
            part = truth["counts"].sum(0)[1:4, 2:7, 3:60]
            ranges = ((1, 4), (2, 7), (3, 60))
            np.testing.assert_array_equal(source.sum_navigation(ranges), part.sum((0, 1)))
            np.testing.assert_array_equal(source.sum_signal(ranges), part.sum(-1))
            apart = source.by_detector().read(((0, 3), *ranges))
            np.testing.assert_array_equal(apart, truth["counts"][:, 1:4, 2:7, 3:60])
            np.testing.assert_array_equal(data.compute(), truth["counts"].sum(0))

    def test_sums_of_scans(self, tmp_path):
        path = tmp_path / "scans.h5"
        build.write_bliss(path)
        build.write_bliss(path, scan_number=2, mode="a")
        assert len(read(path, sum_detectors=True)) == 2
        one = read_one(path, sum_detectors=True, dataset_path=DETECTORS[0])
        assert one["metadata"]["General"]["title"] == "scans 1.1"

    def test_sums_of_scans_of_one_name(self, tmp_path):
        """Scans of two files that a third one links to are two scans."""
        truths = [build.write_bliss(tmp_path / f"{i}.h5", seed=i) for i in range(2)]
        linked = {f"s{i}": (tmp_path / f"{i}.h5", "/1.1") for i in range(2)}
        build.write_bliss_master(tmp_path / "m.h5", linked)
        signals = read(tmp_path / "m.h5", sum_detectors=True)
        for signal, truth in zip(signals, truths, strict=True):
            np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))

    def test_sums_of_entries(self, tmp_path):
        counts = build.make_counts((2, 2, 3, 4, 20))
        with h5py.File(tmp_path / "a.h5", "w") as file:
            for i in range(2):
                for j in range(2):
                    file[f"entry{i}/mca{j:02d}/data"] = counts[i, j]
        signals = read(tmp_path / "a.h5", sum_detectors=True, lazy=True)
        for i, signal in enumerate(signals):
            np.testing.assert_array_equal(values(signal), counts[i].sum(0))
        assert len(signals) == 2

    def test_what_is_named_twice_is_added_once(self, scan):
        path, truth = scan
        named = ["1.1", DETECTORS[0], "/1.1/instrument/fx1_det0/data"]
        signal = read_one(path, dataset_path=named, sum_detectors=True)
        np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))

    def test_sums_that_are_refused(self, tmp_path):
        build.write_xrm(tmp_path / "a.h5")
        with pytest.raises(ValueError, match="such files hold sums of their own"):
            read(tmp_path / "a.h5", sum_detectors=True)
        build.write_bliss(tmp_path / "b.h5", dtype=np.float32)
        with pytest.raises(ValueError, match="is of float32, expected integers"):
            read(tmp_path / "b.h5", sum_detectors=True)

    @pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint64])
    def test_sums_of_other_integers(self, tmp_path, dtype):
        truth = build.write_bliss(tmp_path / "a.h5", dtype=dtype)
        for lazy in (False, True):
            (signal,) = read(tmp_path / "a.h5", sum_detectors=True, lazy=lazy)
            np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))

    def test_live_times_of_regions(self, tmp_path):
        """What was not measured has none, in the map and in all that is made of it."""
        import hyperspy.api as hs

        path = tmp_path / "scan.h5"
        truth = build.write_bliss(path, n_points=24, detectors=("det",))
        with pytest.warns(UserWarning, match="24 of 35 points"):
            s = hs.load(path, file_format="ESRF", lazy=True)
        fraction = 1 - expected_dead_time(truth) / 100
        real = truth["elapsed_time"][0][truth["is_acquired"]].mean()
        key = "Acquisition_instrument.SEM.Detector.EDS.live_time"
        for region, part in (
            (s.inav[:, :3].sum(), np.s_[:3]),
            (s.inav[3, 2], np.s_[2:3, 3:4]),
            (s.sum(), np.s_[:]),
        ):
            expected = real * np.nansum(fraction[part])
            assert region.metadata.get_item(key) == pytest.approx(expected, rel=1e-6)

    def test_uneven_times(self, scan):
        path, _ = scan
        with h5py.File(path, "r+") as file:
            file["1.1/instrument/fx1_det0/elapsed_time"][3] = 0.5
        with pytest.warns(UserWarning, match="differ from their mean, 0.11"):
            esrf.file_reader(path, dataset_path=DETECTORS[0])

    def test_tree(self, scan):
        path, _ = scan
        listed = esrf.tree(path)
        assert [n for n, item in listed.items() if item["kind"] == "map"] == [*DETECTORS]
        assert listed[DETECTORS[0]] == {
            "kind": "map",
            "shape": (35, 64),
            "dtype": "uint32",
            "n_bytes": 35 * 64 * 4,
            "text": "amesh sampy 10 22 6 sampz -3 -1 4 0.1",
        }
        assert listed["1.1/measurement/I0"]["kind"] == "dataset"


class TestLinks:
    @pytest.fixture
    def master(self, tmp_path):
        (tmp_path / "raw").mkdir()
        truth = build.write_bliss(tmp_path / "raw" / "scan.h5")
        build.write_bliss_master(
            tmp_path / "master.h5",
            {
                "sample_1.1": (tmp_path / "raw" / "scan.h5", "/1.1"),
                "sample_2.1": (tmp_path / "raw" / "gone.h5", "/1.1"),
            },
        )
        return tmp_path / "master.h5", truth

    def test_missing_files_are_named(self, master):
        path, truth = master
        with pytest.warns(
            UserWarning, match=r"sample_2.1 is /1.1 of the file raw/gone.h5"
        ):
            signals = esrf.file_reader(path, lazy=True)
        for i, signal in enumerate(signals):
            np.testing.assert_array_equal(values(signal), truth["counts"][i])
            again = pickle.loads(pickle.dumps(signal["data"]))
            np.testing.assert_array_equal(again.compute(), truth["counts"][i])
        wanted = "sample_2.1/measurement/fx1_det0"
        with pytest.raises(
            FileNotFoundError, match=r"link to /1.1 of the file raw/gone.h5"
        ):
            esrf.file_reader(path, dataset_path=wanted)
        assert esrf.tree(path)["sample_2.1"]["kind"] == "missing"

    def test_nothing_else_is_there(self, tmp_path):
        build.write_bliss_master(tmp_path / "m.h5", {"a": (tmp_path / "gone.h5", "/1.1")})
        with pytest.raises(FileNotFoundError, match=r"a is /1.1 of the file gone.h5"):
            read(tmp_path / "m.h5")

    def test_replaced_files_are_noticed(self, master, tmp_path):
        path, _ = master
        with pytest.warns(UserWarning, match="gone"):
            signal = esrf.file_reader(path, lazy=True)[0]
        build.write_bliss(tmp_path / "raw" / "scan.h5", seed=3)
        with pytest.raises(CorruptFileError, match=r"scan.h5: the file was changed"):
            signal["data"].compute()

    def test_cycles(self, scan):
        path, truth = scan
        with h5py.File(path, "r+") as file:
            file["1.1/again"] = h5py.SoftLink("/1.1")
            file["1.1/hard"] = file["1.1"]
            file["1.1/up"] = h5py.SoftLink("/")
            file["loop"] = h5py.SoftLink("/loop")
            file["1.1/self"] = h5py.ExternalLink(path.name, "/1.1")
        signals = read(path)
        assert len(signals) == 2
        np.testing.assert_array_equal(values(signals[0]), truth["counts"][0])
        assert esrf.tree(path)["loop"]["kind"] == "missing"

    @pytest.mark.parametrize("is_direct", [True, False])
    def test_virtual_datasets_of_themselves(self, tmp_path, is_direct):
        """HDF5 would end the process."""
        first = h5py.VirtualLayout((3, 4, 8), "u4")
        name = "mca00" if is_direct else "mca01"
        first[:] = h5py.VirtualSource(".", name, (3, 4, 8))
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_virtual_dataset("mca00", first)
            if not is_direct:
                second = h5py.VirtualLayout((3, 4, 8), "u4")
                second[:] = h5py.VirtualSource(".", "mca00", (3, 4, 8))
                file.create_virtual_dataset("mca01", second)
        with pytest.raises(CorruptFileError, match="is made of itself"):
            read(tmp_path / "a.h5")

    def test_virtual_datasets(self, tmp_path):
        counts = build.make_counts((35, 64))
        with h5py.File(tmp_path / "part.h5", "w") as file:
            file["data"] = counts
        layout = h5py.VirtualLayout(counts.shape, counts.dtype)
        layout[:] = h5py.VirtualSource("part.h5", "data", counts.shape)
        path = tmp_path / "whole.h5"
        with h5py.File(path, "w") as file:
            file.create_virtual_dataset("mca", layout)
        signal = read_one(path, lazy=True)
        np.testing.assert_array_equal(values(signal), counts)
        with h5py.File(tmp_path / "part.h5", "w") as file:
            file["other"] = counts
        with pytest.raises(CorruptFileError, match=r"part.h5: the file was changed"):
            signal["data"].compute()
        with pytest.raises(FileNotFoundError, match=r"made of data of the file part.h5"):
            read(path)
        (tmp_path / "part.h5").unlink()
        with pytest.raises(FileNotFoundError, match=r"made of data of the file part.h5"):
            read(path)


class TestOthers:
    def test_pyxrf(self, tmp_path):
        path = tmp_path / "pyxrf.h5"
        truth = build.write_pyxrf(path)
        signals = read(path, lazy=True)
        titles = [s["metadata"]["General"]["title"] for s in signals]
        assert titles == [f"{path.stem} {n}" for n in ("det1", "det2", "det3", "detsum")]
        for signal, counts in zip(signals, [*truth["counts"], truth["sum"]], strict=True):
            np.testing.assert_array_equal(values(signal), counts)
        assert signals[0]["axes"][1]["scale"] == pytest.approx(2.0, rel=0.05)
        assert signals[0]["axes"][2]["units"] is None
        assert (
            signals[0]["original_metadata"]["scan_metadata"]["file_software"] == "PyXRF"
        )

    @pytest.mark.parametrize(
        "options",
        [{}, {"n_rows_written": 3}, {"is_attr_text": True, "n_rows_written": 4}],
        ids=str,
    )
    def test_xrm(self, tmp_path, options):
        path = tmp_path / "xrm.h5"
        truth = build.write_xrm(path, chunks=(4, 7, 16), **options)
        n_rows = truth["n_rows"]
        signals = read(path, lazy=True)
        assert len(signals) == 4
        for i, signal in enumerate(signals[:3]):
            np.testing.assert_array_equal(values(signal), truth["counts"][i, :n_rows])
            live = truth["live_time"][i, :n_rows] / truth["elapsed_time"][i, :n_rows]
            np.testing.assert_allclose(dead_time_of(signal), 100 * (1 - live), atol=1e-3)
            assert axis(signal, 2) == ("Energy", pytest.approx(-0.01), 0.015, "keV")
        # The sum was corrected by xraylarch: it has no dead times.
        np.testing.assert_array_equal(values(signals[3]), truth["sum"][:n_rows])
        assert "_sig_dead_time" not in eds_of(signals[3])
        xrf = signals[3]["metadata"]["Acquisition_instrument"]["XRF"]
        assert xrf["dead_time_corrected"] is True

    def test_scalers(self, tmp_path):
        truth = build.write_pyxrf(tmp_path / "a.h5")
        signal = read_one(tmp_path / "a.h5", select_type="counters")
        np.testing.assert_array_equal(signal["data"], np.moveaxis(truth["scalers"], 2, 0))
        assert len(signal["metadata"]["General"]["counters"]) == 2
        for version in (9, 10):
            build.write_maps(tmp_path / "b.h5", version=version)
            with h5py.File(tmp_path / "b.h5", "r+") as file:
                place = (
                    file["MAPS"]
                    if version == 9
                    else file["MAPS"].require_group("Scalers")
                )
                for name in ("scaler_names", "scalers", "Names", "Values"):
                    if name in place:
                        del place[name]
                keys = (
                    ("scaler_names", "scalers") if version == 9 else ("Names", "Values")
                )
                place[keys[0]] = [b"I0", b"I0", b"x"]
                place[keys[1]] = np.arange(105.0).reshape(3, 5, 7)
            signal = read_one(tmp_path / "b.h5", select_type="counters")
            assert signal["metadata"]["General"]["counters"] == ["I0", "I0_", "x"]
            np.testing.assert_array_equal(signal["data"].ravel(), np.arange(105))
        build.write_xrm(tmp_path / "c.h5", n_rows_written=3)
        with h5py.File(tmp_path / "c.h5", "r+") as file:
            group = file["xrmmap"].require_group("scalars")
            group["mon"] = np.arange(64.0 * 7).reshape(64, 7)
            n_before = len(group)
        signal = read_one(tmp_path / "c.h5", select_type="counters")
        assert signal["data"].shape == (n_before, 3, 7)
        mon = signal["metadata"]["General"]["counters"].index("mon")
        assert signal["data"][mon].tolist() == np.arange(21.0).reshape(3, 7).tolist()

    def test_first_version_of_xrm(self, tmp_path):
        path = tmp_path / "xrm.h5"
        truth = build.write_xrm(path, root="xrfmap")
        signals = read(path)
        titles = [s["metadata"]["General"]["title"] for s in signals]
        assert titles == [f"{path.stem} {n}" for n in ("det1", "det2", "det3", "detsum")]
        np.testing.assert_array_equal(values(signals[0]), truth["counts"][0])

    @pytest.mark.parametrize("version", [9, 10])
    @pytest.mark.parametrize("lazy", [False, True])
    def test_maps(self, tmp_path, version, lazy):
        path = tmp_path / "maps.h5"
        truth = build.write_maps(path, version=version)
        signal = read_one(path, lazy=lazy)
        np.testing.assert_array_equal(values(signal), truth["counts"][0])
        assert axis(signal, 0) == ("y", -3.0, 0.5, None)
        energies = signal["axes"][2]
        found = energies["offset"] + energies["scale"] * np.arange(64)
        np.testing.assert_allclose(found, truth["energy"], atol=1e-4)
        if version == 10:
            live = truth["live_time"][0] / truth["elapsed_time"][0]
            np.testing.assert_allclose(dead_time_of(signal), 100 * (1 - live), atol=1e-3)

    def test_nexus(self, tmp_path):
        path = tmp_path / "nexus.h5"
        truth = build.write_nexus(path)
        signals = read(path, lazy=True)
        assert len(signals) == 2
        for i, signal in enumerate(signals):
            np.testing.assert_array_equal(values(signal), truth["counts"][i])
            np.testing.assert_allclose(
                dead_time_of(signal), expected_dead_time(truth, i), atol=1e-6
            )
            _, b, _ = truth["calibration"]
            assert signal["axes"][2]["scale"] == pytest.approx(b, rel=1e-3)
            assert signal["axes"][1]["scale"] == pytest.approx(2.0)

    def test_images(self, tmp_path):
        images = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["frames"] = images
            file["frames"].attrs["interpretation"] = "image"
        # Of a file without maps, all images.
        for options in ({}, {"dataset_path": "frames"}):
            signal = read_one(tmp_path / "a.h5", **options)
            np.testing.assert_array_equal(signal["data"], images)
            assert [a["navigate"] for a in signal["axes"]] == [True, False, False]


class TestReading:
    @pytest.mark.parametrize("chunks", ["auto", (2, 3, 10), (5, 7, 64), (1, 1, 1), -1])
    @pytest.mark.parametrize(
        "options",
        [{}, {"is_snake": True}, {"compression": "gzip", "chunks": (9, 20)}],
        ids=str,
    )
    def test_chunks(self, tmp_path, chunks, options):
        truth = build.write_bliss(tmp_path / "scan.h5", **options)
        signal = read(tmp_path / "scan.h5", lazy=True, chunks=chunks)[0]
        data = signal["data"]
        np.testing.assert_array_equal(data.compute(), truth["counts"][0])
        part = np.s_[1:4, 5:1:-2, 3:50:7]
        np.testing.assert_array_equal(data[part].compute(), truth["counts"][0][part])

    def test_processes(self, scan):
        path, truth = scan
        data = read(path, lazy=True)[0]["data"]
        with dask.config.set(scheduler="processes", num_workers=2):
            np.testing.assert_array_equal(data.compute(), truth["counts"][0])

    @pytest.mark.parametrize(
        "options",
        [{}, {"is_snake": True}, {"chunks": (4, 64)}, {"n_points": 24}],
        ids=str,
    )
    def test_sums(self, tmp_path, options):
        truth = build.write_bliss(tmp_path / "scan.h5", **options)
        n_warnings = 1 if "n_points" in options else 0
        data = read(tmp_path / "scan.h5", n_warnings, lazy=True)[0]["data"]
        source = source_of(data)
        counts = truth["counts"][0].astype(np.uint64)
        ranges = ((1, 5), (2, 7), (3, 60))
        part = counts[1:5, 2:7, 3:60]
        np.testing.assert_array_equal(source.sum_navigation(ranges), part.sum((0, 1)))
        np.testing.assert_array_equal(source.sum_signal(ranges), part.sum(-1))

    @pytest.mark.parametrize("chunks", [None, (2, 3, 64)])
    @pytest.mark.parametrize("is_signed", [False, True])
    def test_numbers_of_fewer_bits(self, tmp_path, chunks, is_signed):
        """HDF5 converts them: they do not stand in the file as numpy holds them."""
        counts = build.make_counts((5, 7, 64), dtype=np.int16 if is_signed else np.uint16)
        kind = (h5py.h5t.STD_I16LE if is_signed else h5py.h5t.STD_U16LE).copy()
        kind.set_precision(12)
        kind.set_offset(4)
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        if chunks:
            creation.set_chunk(chunks)
            creation.set_deflate(4)
        with h5py.File(tmp_path / "a.h5", "w") as file:
            space = h5py.h5s.create_simple(counts.shape)
            dataset = h5py.h5d.create(file.id, b"mca", kind, space, creation)
            dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, counts)
        for lazy in (False, True):
            signal = read_one(tmp_path / "a.h5", lazy=lazy)
            np.testing.assert_array_equal(values(signal), counts)

    def test_plain_numbers_are_read_past_hdf5(self, scan):
        path, _ = scan
        assert isinstance(source_of(read(path, lazy=True)[0]["data"]), ChunkedArray)

    def test_user_block(self, tmp_path):
        counts = build.make_counts((3, 4, 20))
        path = tmp_path / "a.h5"
        with h5py.File(path, "w", userblock_size=512) as file:
            file["mca"] = counts
        np.testing.assert_array_equal(values(read_one(path, lazy=True)), counts)

    def test_replaced_file(self, scan):
        path, _ = scan
        data = read(path, lazy=True)[0]["data"]
        build.write_bliss(path, seed=5)
        with pytest.raises(CorruptFileError, match="the file was changed"):
            data.compute()

    def test_open_for_writing(self, scan):
        """A file that is still being written can be read."""
        path, truth = scan
        with h5py.File(path, "r+") as file:
            file.flush()
            signal = read(path, lazy=True)[0]
            np.testing.assert_array_equal(values(signal), truth["counts"][0])

    def test_plugins(self, tmp_path):
        import hdf5plugin

        counts = build.make_counts((6, 5, 64))
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("mca", data=counts, **hdf5plugin.Bitshuffle())
        np.testing.assert_array_equal(
            values(read_one(tmp_path / "a.h5", lazy=True)), counts
        )


class TestBadInput:
    def test_what_there_is_is_listed(self, scan):
        path, _ = scan
        with pytest.raises(
            FileNotFoundError, match=r"no 'nowhere'.*1.1/measurement/fx1_det0"
        ):
            read(path, dataset_path="nowhere")
        with pytest.raises(
            FileFormatError, match=r"group '1.1/instrument/I0' holds no map"
        ):
            read(path, dataset_path="1.1/instrument/I0")

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("text", "is of type object"),
            ("texts", r"is of type \|S3"),
            ("number", "is a single number"),
            ("line", "has one axis of 5 numbers"),
            ("nothing", "is empty"),
            ("complex", "is of type complex128"),
            ("void", r"is \(0, 5\)"),
        ],
    )
    def test_other_kinds(self, tmp_path, name, text):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file["text"] = "a text"
            file["texts"] = np.array([[b"abc"]])
            file["number"] = 3
            file["line"] = np.arange(5)
            file["nothing"] = h5py.Empty("f")
            file["complex"] = np.ones((3, 4), complex)
            file.create_dataset("void", shape=(0, 5), dtype="u2")
        with pytest.raises(FileFormatError, match=text) as caught:
            read(path, dataset_path=name)
        assert name in str(caught.value) and "byte" in str(caught.value)

    def test_no_map(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["images"] = np.zeros((3, 4, 5))
        with pytest.raises(FileFormatError, match=r"no map .* images \(3, 4, 5\)"):
            read(tmp_path / "a.h5")
        with h5py.File(tmp_path / "b.h5", "w"):
            pass
        with pytest.raises(FileFormatError, match="found no dataset"):
            read(tmp_path / "b.h5")

    def test_missing_plugin(self, tmp_path, monkeypatch):
        import hdf5plugin

        with h5py.File(tmp_path / "a.h5", "w") as file:
            counts = build.make_counts((6, 5, 64))
            file.create_dataset("mca", data=counts, **hdf5plugin.Bitshuffle())
        monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: False)
        with pytest.raises(FileFormatError, match="filter 32008"):
            read(tmp_path / "a.h5")

        def gone(name, extra):
            raise ImportError(f'pip install "rsciio-xfm[{extra}]" for {name}')

        monkeypatch.setattr("rsciio_xfm.core.hdf5.stored.require", gone)
        with pytest.raises(ImportError, match=r"rsciio-xfm\[esrf\].*hdf5plugin"):
            read(tmp_path / "a.h5")

    @pytest.mark.parametrize("value", [1e308, 1e-320, np.inf, np.nan, -1])
    def test_times_that_are_none(self, scan, value):
        path, truth = scan
        with h5py.File(path, "r+") as file:
            group = file["1.1/instrument/fx1_det0"]
            for name in ("live_time", "elapsed_time", "event_count_rate"):
                group[name][...] = value
        signal = read(path, dataset_path=DETECTORS[0])[0]
        np.testing.assert_array_equal(values(signal), truth["counts"][0])

    def test_three_axes(self, tmp_path):
        truth = build.write_bliss(tmp_path / "a.h5", shape=(6, 4))
        with h5py.File(tmp_path / "a.h5", "r+") as file:
            del file["1.1/title"]
            file["1.1/title"] = "fscan3d a 0 1 2 b 0 1 3 c 0 1 4 .1"
        signal = read(tmp_path / "a.h5", lazy=True, chunks=(1, 2, 3, 10))[0]
        expected = truth["counts"][0].reshape(2, 3, 4, 64)
        np.testing.assert_array_equal(values(signal), expected)
        source = source_of(signal["data"])
        ranges = ((0, 2), (1, 3), (1, 4), (3, 60))
        np.testing.assert_array_equal(
            source.sum_signal(ranges), expected[:, 1:, 1:, 3:60].sum(-1)
        )

    @pytest.mark.parametrize("axes", [3, h5py.Empty("S1"), [1, 2]])
    def test_axes_that_are_no_names(self, tmp_path, axes):
        counts = build.make_counts((3, 4, 20))
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["mca00"] = counts
            file.attrs["axes"] = axes
        np.testing.assert_array_equal(values(read_one(tmp_path / "a.h5")), counts)

    def test_size_along_points(self, scan):
        path, _ = scan
        with h5py.File(path, "r+") as file:
            del file["1.1/instrument/fx1_det0/spectrum"]
            options = {"shape": (10**9, 4096), "dtype": "u4", "chunks": (1, 4096)}
            file.create_dataset("1.1/instrument/fx1_det0/spectrum", **options)
        with pytest.raises(CorruptFileError, match="16384000000000 bytes"):
            read(path, lazy=True)

    def test_size_that_is_claimed(self, tmp_path):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("mca", shape=(10**6, 10**6), dtype="u4", chunks=(1, 4096))
        with pytest.raises(
            CorruptFileError, match="4000000000000 bytes, expected at most"
        ):
            read(tmp_path / "a.h5", lazy=True)

    def test_cut_file(self, scan):
        path, _ = scan
        path.write_bytes(path.read_bytes()[:20000])
        with pytest.raises(FileFormatError, match=r"scan.h5"):
            read(path)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"detector": 1}, "given, expected of these .* HDF5"),
            ({"series": True}, "series is given, expected False .* rows in files are"),
            ({"select_type": "image"}, "given, expected of these .* HDF5"),
        ],
        ids=str,
    )
    def test_options_of_others(self, scan, options, said):
        with pytest.raises(FileFormatError, match=said):
            read(scan[0], **options)

    def test_select_type(self, scan):
        with pytest.raises(ValueError, match="select_type is 'maps'"):
            read(scan[0], select_type="maps")


def test_real_file():
    from tests.conftest import DATA

    path = DATA / "esrf" / "types.h5"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    import silx.io

    signals = read(path, lazy=True)
    names = [s["metadata"]["General"]["title"] for s in signals]
    assert names == [f"types interpretation_attr/spectrum/{n}d" for n in (2, 3, 4)]
    with silx.io.open(str(path)) as file:
        for name, signal in zip(names, signals, strict=True):
            np.testing.assert_array_equal(values(signal), file[name.split()[-1]][()])
        for kind in ("zipped", "lzf", "shuffle_filter", "fletcher32_filter"):
            name = f"compressed_arrays/{kind}"
            signal = read_one(path, dataset_path=name, lazy=True)
            np.testing.assert_array_equal(values(signal), file[name.split()[-1]][()])
        for kind in ("float", "integer"):
            for n in (2, 3, 4):
                signal = read_one(path, dataset_path=f"arrays/{kind}_{n}d")
                np.testing.assert_array_equal(
                    values(signal), file[f"arrays/{kind}_{n}d"][()]
                )
    for name in ("arrays/string_2d", "scalars/nan", "numpy_structured_arrays/example_1"):
        with pytest.raises(FileFormatError):
            read(path, dataset_path=name)
