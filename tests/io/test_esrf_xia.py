"""Maps of one EDF file a row and detector."""

import pickle
import shutil

import dask
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import esrf
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from tests.builders import esrf as build
from tests.io.esrf_common import axis, dead_time_of, eds_of, read_one, values


def first(folder, kind="00"):
    return sorted(folder.glob(f"*_xia{kind}_*.edf"))[0]


def percent_dead(truth):
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = 100 * (1 - truth["output_rate"] / truth["input_rate"])
    return np.where(truth["input_rate"] > 0, percent, np.nan)


class TestMaps:
    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize("dtype", ["u2", "u4", "i4", "f4"])
    def test_sum_of_detectors(self, tmp_path, lazy, dtype):
        truth = build.write_xia(tmp_path, dtype=np.dtype(dtype))
        signal = read_one(first(tmp_path), lazy=lazy)
        np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))
        np.testing.assert_allclose(dead_time_of(signal), percent_dead(truth))
        assert eds_of(signal)["_sig_dead_time"]["metadata"]["Signal"]["has_detectors"]
        # Of two detectors.
        assert eds_of(signal)["real_time"] == pytest.approx(0.2)
        live = 0.2 * (1 - np.mean(percent_dead(truth)) / 100)
        assert eds_of(signal)["live_time"] == pytest.approx(live)

    def test_any_of_the_files_stands_for_all(self, tmp_path):
        truth = build.write_xia(tmp_path, sum_file=True)
        for kind in ("00", "01", "st"):
            signal = read_one(first(tmp_path, kind))
            np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))
        signal = read_one(first(tmp_path, "S1"))
        np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))

    def test_detectors_apart(self, tmp_path):
        truth = build.write_xia(tmp_path, detectors=(0, 1, 10, 11))
        signal = read_one(first(tmp_path), sum_detectors=False, lazy=True)
        np.testing.assert_array_equal(values(signal), truth["counts"])
        np.testing.assert_allclose(dead_time_of(signal), percent_dead(truth))
        assert signal["axes"][0]["name"] == "detector"
        for i, number in enumerate((0, 1, 10, 11)):
            signal = read_one(first(tmp_path), detector=number)
            np.testing.assert_array_equal(values(signal), truth["counts"][i])
            np.testing.assert_allclose(dead_time_of(signal), percent_dead(truth)[i])
        with pytest.raises(
            ValueError, match="detector is 2, expected one of 0, 1, 10, 11"
        ):
            read_one(first(tmp_path), detector=2)

    def test_one_detector(self, tmp_path):
        truth = build.write_xia(tmp_path, detectors=(3,))
        for sum_detectors in (True, False):
            signal = read_one(first(tmp_path, "03"), sum_detectors=sum_detectors)
            np.testing.assert_array_equal(values(signal), truth["counts"][0])
            assert dead_time_of(signal).shape == (5, 7)

    def test_rows_are_numbers(self, tmp_path):
        truth = build.write_xia(tmp_path, first_row=9998)
        signal = read_one(first(tmp_path), lazy=True)
        np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))
        assert axis(signal, 0) == ("y", 9998.0, 1.0, None)

    @pytest.mark.parametrize("missing", [(0,), (2,), (1, 3)])
    def test_missing_rows(self, tmp_path, missing):
        truth = build.write_xia(tmp_path, missing_rows=missing)
        text = f"files of {len(missing)} of 5 rows of some detector"
        with pytest.warns(UserWarning, match=text):
            (signal,) = esrf.file_reader(first(tmp_path), lazy=True)
        np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))
        assert np.isnan(dead_time_of(signal)[:, list(missing)]).all()
        assert np.isnan(dead_time_of(signal)).sum() == 2 * 7 * len(missing)

    def test_missing_row_of_one_detector(self, tmp_path):
        truth = build.write_xia(tmp_path)
        (tmp_path / "zap_xia01_0001_0000_0002.edf").unlink()
        with pytest.warns(UserWarning, match="files of 1 of 5 rows of some detector"):
            (signal,) = esrf.file_reader(first(tmp_path))
        expected = truth["counts"].copy()
        expected[1, 2] = 0
        np.testing.assert_array_equal(values(signal), expected.sum(0))
        assert np.isnan(dead_time_of(signal)).sum() == 7

    def test_zero_rates(self, tmp_path):
        truth = build.write_xia(tmp_path, missing_rates=(3, 9))
        found = dead_time_of(read_one(first(tmp_path)))
        assert np.isnan(found).sum() == 4
        np.testing.assert_allclose(found, percent_dead(truth))

    @pytest.mark.parametrize("calibration", ["mca", "McaCalib"])
    def test_calibration(self, tmp_path, calibration):
        build.write_xia(tmp_path, calibration=calibration, coefficients=(-0.02, 0.015, 0))
        signal = read_one(first(tmp_path))
        assert axis(signal, 2) == ("Energy", -0.02, 0.015, "keV")

    def test_calibration_that_bends(self, tmp_path):
        build.write_xia(tmp_path, calibration="mca", coefficients=(0, 0.01, 1e-4))
        with pytest.warns(UserWarning, match="the energies bend by"):
            esrf.file_reader(first(tmp_path))

    @pytest.mark.parametrize("bits", [1, 2, 3])
    def test_corrected_counts(self, tmp_path, bits):
        build.write_xia(tmp_path, xcorr=bits)
        with pytest.warns(UserWarning, match="the counts are corrected"):
            (signal,) = esrf.file_reader(first(tmp_path))
        assert "_sig_dead_time" not in eds_of(signal)

    def test_without_statistics(self, tmp_path):
        truth = build.write_xia(tmp_path, has_statistics=False)
        signal = read_one(first(tmp_path))
        np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))
        assert eds_of(signal) == {"real_time": pytest.approx(0.2)}

    def test_real_time_without_a_preset(self, tmp_path):
        build.write_xia(tmp_path, stats_dtype=np.float64)
        for path in tmp_path.iterdir():
            path.write_bytes(path.read_bytes().replace(b"\ntime =", b"\ntyme ="))
        # Events / OCR.
        assert eds_of(read_one(first(tmp_path)))["real_time"] == pytest.approx(
            0.2, rel=0.1
        )

    def test_counters(self, tmp_path):
        truth = build.write_xia(tmp_path)
        signal = read_one(first(tmp_path), select_type="counters")
        names = signal["metadata"]["General"]["counters"]
        found = signal["data"][names.index("input_rate 01")]
        np.testing.assert_array_equal(found, truth["input_rate"][1])

    def test_one_row_as_an_image(self, tmp_path):
        truth = build.write_xia(tmp_path)
        signal = read_one(first(tmp_path), select_type="image")
        np.testing.assert_array_equal(values(signal), truth["counts"][0, 0])

    def test_scans_are_kept_apart(self, tmp_path):
        truth = build.write_xia(tmp_path)
        build.write_xia(tmp_path, scan=2, seed=5, shape=(3, 4))
        build.write_xia(tmp_path, prefix="zap2", seed=6)
        signal = read_one(tmp_path / "zap_xia00_0001_0000_0000.edf")
        np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))

    def test_tree(self, tmp_path):
        build.write_xia(tmp_path, missing_rows=(2,))
        listed = esrf.tree(first(tmp_path))
        assert list(listed) == ["detector 0", "detector 1"]
        assert listed["detector 0"]["text"] == f"4 of 5 rows in {tmp_path}"


class TestSingle:
    """`xiact`: one acquisition, channel numbers in the first row."""

    @pytest.fixture
    def path(self, tmp_path):
        self.counts = build.make_counts((2, 64))
        data = np.vstack([np.arange(64, dtype=np.uint32), self.counts])
        header = {"xnb": 2, "xdet": "0 1", "time": 0.5, "MCA a": -0.1, "MCA b": 0.02}
        header |= {"xicr00": 1000, "xocr00": 800, "xicr01": 0, "xocr01": 0}
        build.write_edf(tmp_path / "a_xiact_0001_0000.edf", data, header)
        return tmp_path / "a_xiact_0001_0000.edf"

    @pytest.mark.parametrize("lazy", [False, True])
    def test_read(self, path, lazy):
        signal = read_one(path, lazy=lazy)
        np.testing.assert_array_equal(values(signal), self.counts)
        np.testing.assert_allclose(dead_time_of(signal), [20, np.nan])
        assert eds_of(signal)["real_time"] == 0.5
        assert axis(signal, 0) == ("detector", 0.0, 1.0, None)
        assert axis(signal, 1) == ("Energy", -0.1, 0.02, "keV")

    def test_through_hyperspy(self, path):
        import hyperspy.api as hs

        s = hs.load(path)
        assert s.axes_manager.shape == (2, 64)
        np.testing.assert_array_equal(s.sum().data, self.counts.sum(0))
        image = hs.load(path, select_type="image")
        assert type(image).__name__ == "Signal2D"

    def test_other_content(self, path):
        build.write_edf(path, self.counts)
        with pytest.raises(FileFormatError, match="expected a row of channel numbers"):
            read_one(path)
        with pytest.raises(
            FileFormatError, match="detector given, expected of these none"
        ):
            read_one(path, detector=1)


class TestReading:
    @pytest.mark.parametrize("chunks", ["auto", (2, 3, 10), (1, 7, 64), -1])
    def test_chunks(self, tmp_path, chunks):
        truth = build.write_xia(tmp_path)
        data = read_one(first(tmp_path), lazy=True, chunks=chunks)["data"]
        counts = truth["counts"].sum(0)
        np.testing.assert_array_equal(data.compute(), counts)
        part = np.s_[3:0:-1, 2:6, 5:60:3]
        np.testing.assert_array_equal(data[part].compute(), counts[part])
        again = pickle.loads(pickle.dumps(data))
        np.testing.assert_array_equal(again.compute(), counts)

    def test_in_processes(self, tmp_path):
        truth = build.write_xia(tmp_path)
        data = read_one(first(tmp_path), lazy=True, chunks=(2, 3, 10))["data"]
        with dask.config.set(scheduler="processes", num_workers=2):
            np.testing.assert_array_equal(data.compute(), truth["counts"].sum(0))

    def test_sums(self, tmp_path):
        truth = build.write_xia(tmp_path)
        source = source_of(read_one(first(tmp_path), lazy=True)["data"])
        part = truth["counts"].sum(0)[1:4, 2:7, 3:60]
        ranges = ((1, 4), (2, 7), (3, 60))
        np.testing.assert_array_equal(source.sum_navigation(ranges), part.sum((0, 1)))
        np.testing.assert_array_equal(source.sum_signal(ranges), part.sum(-1))
        apart = source.by_detector()
        every = apart.read(((0, 2), (0, 5), (0, 7), (0, 64)))
        np.testing.assert_array_equal(every, truth["counts"])

    def test_the_methods_of_maps(self, tmp_path):
        import hyperspy.api as hs

        truth = build.write_xia(tmp_path, calibration="mca")
        s = hs.load(first(tmp_path), lazy=True)
        np.testing.assert_array_equal(s.sum().data, truth["counts"].sum((0, 1, 2)))
        live = 1 - percent_dead(truth).mean(0) / 100
        rate = s.inav[:4].apply_live_time_correction()
        expected = truth["counts"].sum(0) / live[..., None]
        np.testing.assert_allclose(rate.data.compute(), expected[:, :4], rtol=1e-5)

    def test_overflow(self, tmp_path):
        build.write_xia(tmp_path)
        counts = np.full((7, 64), 2**32 - 1, np.uint32)
        for detector in (0, 1):
            for row in range(5):
                name = f"zap_xia{detector:02d}_0001_0000_{row:04d}.edf"
                build.write_edf(tmp_path / name, counts)
        with pytest.raises(OverflowError, match="does not fit uint32"):
            read_one(first(tmp_path))
        assert read_one(first(tmp_path), detector=0)["data"].max() == 2**32 - 1

    @pytest.mark.parametrize(
        ("number", "does_fit"), [(-(2**31), False), (2**30, False), (-(2**30), True)]
    )
    def test_signed_counts(self, tmp_path, number, does_fit):
        build.write_xia(tmp_path, dtype=np.int32)
        row = np.full((7, 64), number, np.int32)
        for detector in (0, 1):
            for i in range(5):
                name = f"zap_xia{detector:02d}_0001_0000_{i:04d}.edf"
                build.write_edf(tmp_path / name, row)
        if does_fit:
            assert (values(read_one(first(tmp_path))) == 2 * number).all()
        else:
            with pytest.raises(OverflowError, match="does not fit int32"):
                read_one(first(tmp_path))


class TestBadInput:
    def test_cut_row(self, tmp_path):
        truth = build.write_xia(tmp_path)
        path = tmp_path / "zap_xia01_0001_0000_0003.edf"
        path.write_bytes(path.read_bytes()[: -3 * 64 * 4 - 10])
        with pytest.warns(UserWarning) as caught:
            (signal,) = esrf.file_reader(first(tmp_path), lazy=True)
        texts = " ".join(str(w.message) for w in caught)
        assert "3 of 7 rows of frame 0" in texts
        assert "1 files have fewer pixels" in texts
        expected = truth["counts"].copy()
        expected[1, 3, 3:] = 0
        np.testing.assert_array_equal(values(signal), expected.sum(0))
        assert np.isnan(dead_time_of(signal)[1, 3, 3:]).all()

    def test_row_of_fewer_pixels(self, tmp_path):
        truth = build.write_xia(tmp_path)
        row = truth["counts"][0, 4, :5]
        build.write_edf(tmp_path / "zap_xia00_0001_0000_0004.edf", row)
        with pytest.warns(UserWarning, match="1 files have fewer pixels"):
            (signal,) = esrf.file_reader(first(tmp_path))
        expected = truth["counts"].copy()
        expected[0, 4, 5:] = 0
        np.testing.assert_array_equal(values(signal), expected.sum(0))

    def test_damaged_row(self, tmp_path):
        truth = build.write_xia(tmp_path)
        (tmp_path / "zap_xia00_0001_0000_0004.edf").write_bytes(b"nonsense")
        with pytest.warns(UserWarning) as caught:
            (signal,) = esrf.file_reader(first(tmp_path))
        texts = " ".join(str(w.message) for w in caught)
        assert "The row is left out" in texts and "files of 1 of 5 rows" in texts
        expected = truth["counts"].copy()
        expected[0, 4] = 0
        np.testing.assert_array_equal(values(signal), expected.sum(0))

    def test_row_of_another_kind(self, tmp_path):
        truth = build.write_xia(tmp_path)
        row = truth["counts"][0, 4]
        path = tmp_path / "zap_xia00_0001_0000_0004.edf"
        build.write_edf(path, row[:, :32])
        with pytest.raises(CorruptFileError, match=r"0004.edf: the file holds \(7, 32\)"):
            read_one(first(tmp_path))
        # Of the same size, it is noticed when it is read.
        build.write_edf(path, row.view(np.float32), {"time": 0.1, "xcorr": 0, "xdata": 0})
        other = first(tmp_path).stat().st_size
        assert path.stat().st_size == other
        data = read_one(first(tmp_path), lazy=True)["data"]
        with pytest.raises(CorruptFileError, match=r"0004.edf: the header says"):
            data.compute()

    def test_damaged_statistics(self, tmp_path):
        build.write_xia(tmp_path)
        (tmp_path / "zap_xiast_0001_0000_0001.edf").write_bytes(b"nonsense")
        with pytest.warns(UserWarning, match="Dead times of row 1 are not known"):
            (signal,) = esrf.file_reader(first(tmp_path))
        assert np.isnan(dead_time_of(signal)).sum() == 14

    def test_statistics_alone(self, tmp_path):
        build.write_xia(tmp_path)
        for path in tmp_path.glob("*_xia0*"):
            path.unlink()
        with pytest.raises(FileFormatError, match="no files of spectra"):
            read_one(first(tmp_path, "st"))

    def test_rows_far_apart(self, tmp_path):
        build.write_xia(tmp_path)
        shutil.copy(first(tmp_path), tmp_path / "zap_xia00_0001_0000_9999999.edf")
        with pytest.raises(
            FileFormatError, match="6 rows are there, numbered 0 to 9999999"
        ):
            read_one(first(tmp_path))

    def test_replaced_row(self, tmp_path):
        truth = build.write_xia(tmp_path)
        data = read_one(first(tmp_path), lazy=True)["data"]
        build.write_edf(tmp_path / "zap_xia00_0001_0000_0004.edf", truth["counts"][0, 0])
        with pytest.raises(CorruptFileError, match=r"0004.edf: the file was changed"):
            data.compute()


class TestGlob:
    """HyperSpy calls the reader for each file of a list, and each stands for the map."""

    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize("stack", [False, True])
    @pytest.mark.parametrize("pattern", ["zap_xia*.edf", "zap_xia00*.edf"])
    def test_map_once(self, tmp_path, lazy, stack, pattern):
        truth = build.write_xia(tmp_path)
        s = hs.load(str(tmp_path / pattern), lazy=lazy, stack=stack)
        assert isinstance(s, hs.signals.BaseSignal)
        assert s.data.shape == (5, 7, 64)
        np.testing.assert_array_equal(np.asarray(s.data), truth["counts"].sum(0))
        np.testing.assert_allclose(s.get_dead_time().data, percent_dead(truth))

    @pytest.mark.parametrize("stack", [False, True])
    def test_several_maps(self, tmp_path, stack):
        truth = [build.write_xia(tmp_path, scan=scan, seed=scan) for scan in (1, 2)]
        s = hs.load(str(tmp_path / "zap_xia*.edf"), stack=stack)
        found = s.data if stack else np.stack([one.data for one in s])
        np.testing.assert_array_equal(found, [t["counts"].sum(0) for t in truth])

    def test_lists(self, tmp_path):
        """Files of other kinds stay, and the list of the user is as it was."""
        build.write_xia(tmp_path)
        image = np.arange(6, dtype=np.uint16).reshape(2, 3)
        build.write_edf(tmp_path / "image.edf", image)
        files = [*sorted(tmp_path.glob("zap*.edf")), tmp_path / "image.edf"]
        for given in (files, [str(file) for file in files]):
            before = list(given)
            found, other = hs.load(given)
            assert found.data.shape == (5, 7, 64)
            assert other.data.tolist() == image.tolist()
            assert given == before

    def test_images_of_rows(self, tmp_path):
        truth = build.write_xia(tmp_path)
        pattern = str(tmp_path / "zap_xia00*.edf")
        s = hs.load(pattern, stack=True, select_type="image")
        np.testing.assert_array_equal(s.data, truth["counts"][0])
