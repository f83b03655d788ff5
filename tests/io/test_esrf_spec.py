"""SPEC files."""

import contextlib
import pickle
import warnings

import dask
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsciio_xfm import esrf
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from tests.builders import esrf as build
from tests.conftest import DATA
from tests.io.esrf_common import axis, eds_of, read, read_one, values

MESH = {"kind": "mesh"}


def write(folder, *scans):
    return folder / "a.dat", build.write_spec(folder / "a.dat", scans)


class TestRealFile:
    @pytest.fixture
    def path(self):
        path = DATA / "esrf" / "oleg.dat"
        if not path.is_file():
            pytest.skip(f"{path} is not there")
        return path

    @pytest.mark.parametrize("lazy", [False, True])
    def test_equal_to_silx(self, path, lazy):
        from silx.io.specfile import SpecFile

        signals = read(path, lazy=lazy)
        with contextlib.closing(SpecFile(str(path))) as file:
            assert [s["original_metadata"]["scan"] for s in signals] == file.keys()
            for signal in signals:
                scan = file[signal["original_metadata"]["scan"]]
                expected = np.stack([scan.mca[i] for i in range(len(scan.mca))])
                np.testing.assert_array_equal(values(signal), expected)
                motors = signal["original_metadata"]["motors"]
                # silx has one position more than names: a blank at the end of a line.
                expected = [scan.motor_position_by_name(n) for n in scan.motor_names[:8]]
                assert [motors[n] for n in scan.motor_names[:8]] == expected
                assert len(motors) == 67
                assert motors["rien"] == 0
            counters = read(path, select_type="counters")
            for signal in counters:
                scan = file[signal["original_metadata"]["scan"]]
                np.testing.assert_array_equal(signal["data"], scan.data)
                assert signal["metadata"]["General"]["counters"] == scan.labels
        assert axis(signals[0], 0) == ("del", -0.5, pytest.approx(0.05), None)
        assert signals[0]["metadata"]["General"]["date"] == "2011-02-10"

    def test_tree(self, path):
        item = esrf.tree(path)["94.1"]
        assert (item["kind"], item["shape"], item["n_spectra"]) == ("scan", (21,), 21)
        assert item["text"] == "ascan  del -0.5 0.5  20 1"


class TestScans:
    @pytest.mark.parametrize("lazy", [False, True])
    @pytest.mark.parametrize("n_detectors", [1, 3])
    def test_mesh(self, tmp_path, lazy, n_detectors):
        path, (truth,) = write(tmp_path, MESH | {"n_detectors": n_detectors})
        signals = read(path, lazy=lazy)
        assert len(signals) == n_detectors
        for signal, counts in zip(signals, truth["counts"], strict=True):
            np.testing.assert_array_equal(values(signal), counts)
            assert signal["data"].dtype == np.uint16
            assert axis(signal, 0) == ("sampz", -3.0, 0.5, None)
            assert axis(signal, 1) == ("sampy", 10.0, 2.0, None)
            assert axis(signal, 2) == ("Energy", 0.0, 1.0, None)

    def test_line(self, tmp_path):
        path, (truth,) = write(tmp_path, {"kind": "ascan", "shape": (9,)})
        np.testing.assert_array_equal(values(read_one(path)), truth["counts"][0, 0])

    @pytest.mark.parametrize("n_points", [1, 6, 7, 11, 34])
    def test_stopped(self, tmp_path, n_points):
        path, (truth,) = write(tmp_path, MESH | {"n_points": n_points, "n_detectors": 2})
        with pytest.warns(UserWarning, match=f"{n_points} of 35 points"):
            signals = esrf.file_reader(path, lazy=True)
        for signal, counts in zip(signals, truth["counts"], strict=True):
            np.testing.assert_array_equal(values(signal), counts)

    def test_numbers_that_are_not_whole(self, tmp_path):
        path, (truth,) = write(tmp_path, MESH | {"floats": True})
        signal = read_one(path, lazy=True)
        assert signal["data"].dtype == np.float64
        np.testing.assert_array_equal(values(signal), truth["counts"][0])

    @pytest.mark.parametrize(
        ("number", "dtype"),
        [
            *(("65535", "u2"), ("65536", "u4"), ("4294967295", "u4")),
            *(("4294967296", "f8"), ("-1", "f8"), ("1e3", "f8"), ("0.5", "f8")),
        ],
    )
    def test_types(self, tmp_path, number, dtype):
        path = tmp_path / "a.dat"
        path.write_text(f"#F a\n\n#S 1 ct  1\n#N 1\n#L I0\n3\n@A 1 {number}\\\n 3 4\n")
        signal = read_one(path)
        assert signal["data"].dtype == np.dtype(dtype)
        assert values(signal).ravel().tolist() == [1, float(number), 3, 4]

    def test_calibration(self, tmp_path):
        path, _ = write(tmp_path, MESH | {"calibration": (-0.1, 0.02, 0)})
        assert axis(read_one(path), 2) == ("Energy", -0.1, 0.02, "keV")

    def test_first_channel(self, tmp_path):
        path, _ = write(tmp_path, MESH | {"calibration": (-0.1, 0.02, 0)})
        text = path.read_text().replace("#@CHANN 64 0 63 1", "#@CHANN 64 10 136 2")
        path.write_text(text)
        found = axis(read_one(path), 2)
        assert found == ("Energy", pytest.approx(0.1), pytest.approx(0.04), "keV")

    def test_times(self, tmp_path):
        """One triple stands for a scan: of a single spectrum it is its own."""
        ctime = (0.1, 0.09, 0.11)
        path, _ = write(tmp_path, MESH | {"ctime": ctime})
        signal = read_one(path)
        assert "SEM" not in signal["metadata"]["Acquisition_instrument"]
        xrf = signal["metadata"]["Acquisition_instrument"]["XRF"]
        assert xrf["preset_time"] == 0.1
        path, _ = write(tmp_path, {"kind": "ascan", "shape": (1,), "ctime": ctime})
        assert eds_of(read_one(path)) == {"real_time": 0.11, "live_time": 0.09}

    def test_counters(self, tmp_path):
        path, (_, truth) = write(tmp_path, {"kind": "no-mca", "shape": (4,)}, MESH)
        line, map_ = read(path, select_type="counters")
        names = map_["metadata"]["General"]["counters"]
        assert names == ["sampy", "sampz", "Epoch", "Seconds", "I0"]
        np.testing.assert_array_equal(map_["data"][4], truth["I0"])
        assert line["data"].shape == (4, 4)
        # Without spectra, a scan is its counters.
        signals = read(path)
        assert [s["metadata"]["Signal"]["signal_type"] for s in signals] == [
            "",
            "EDS_XFM",
        ]

    def test_dataset_path(self, tmp_path):
        path, truth = write(tmp_path, MESH, {"kind": "none"}, {"kind": "ascan"})
        for wanted in ("3.1", "/3.1", "3", ["3.1"]):
            signal = read_one(path, dataset_path=wanted)
            np.testing.assert_array_equal(values(signal), truth[2]["counts"][0, 0])
        with pytest.raises(
            FileNotFoundError, match=r"no scan '4.1', expected .* 1.1, 2.1"
        ):
            read(path, dataset_path="4.1")
        with pytest.raises(FileFormatError, match=r"scan 2.1 has neither"):
            read(path, dataset_path="2.1")

    def test_navigation_shape(self, tmp_path):
        path, (truth,) = write(tmp_path, {"kind": "ascan", "shape": (12,)})
        signal = read_one(path, navigation_shape=(4, 3))
        np.testing.assert_array_equal(
            values(signal), truth["counts"][0, 0].reshape(3, 4, 64)
        )

    def test_line_ends_of_windows(self, tmp_path):
        path, (truth,) = write(tmp_path, MESH)
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
        np.testing.assert_array_equal(values(read_one(path)), truth["counts"][0])

    def test_through_hyperspy(self, tmp_path):
        import hyperspy.api as hs

        path, (truth,) = write(tmp_path, MESH)
        s = hs.load(path, file_format="ESRF", lazy=True)
        assert type(s).__name__ == "LazyEDSXFMSpectrum"
        np.testing.assert_array_equal(s.sum().data, truth["counts"].sum((0, 1, 2)))
        np.testing.assert_array_equal(
            s.inav[2:5, 1:3].data.compute(), truth["counts"][0, 1:3, 2:5]
        )


CASES = DATA / "cases"
WORDS = ("@A", "@A1", "@B", "@Ab_2", "@a", "@mca1", "@")


class TestMarks:
    """Spectra of other marks than @A, and of several."""

    HEAD = "#F a\n#D Tue Mar 05 10:11:12 2024\n\n#S 1 cscan  m 0 1 1  1\n"

    def write(self, folder, points, header=""):
        """Write counters, then spectra; a mark may be part of its first number."""
        text = f"{self.HEAD}{header}#N 2\n#L m  det\n"
        for i, spectra in enumerate(points):
            text += f"{i} {i + 5}\n" + "".join(f"{line}\n" for line in spectra)
        (folder / "a.dat").write_text(text)
        return folder / "a.dat"

    @pytest.mark.parametrize("mark", WORDS)
    @pytest.mark.parametrize("is_continued", [False, True])
    def test_word(self, tmp_path, mark, is_continued):
        gap = "\\\n " if is_continued else " "
        points = [[f"{mark} 4 5{gap}6"], [f"{mark} 7 8{gap}9"]]
        signal = read_one(self.write(tmp_path, points), lazy=True)
        assert values(signal).tolist() == [[4, 5, 6], [7, 8, 9]]
        counters = read_one(tmp_path / "a.dat", select_type="counters")
        assert values(counters).tolist() == [[0, 1], [5, 6]]

    @pytest.mark.parametrize("n_bytes", [16, 17, 23, 37, 64])
    def test_words_in_blocks(self, tmp_path, monkeypatch, n_bytes):
        points = [["@A1 4 5 6", "@mca2 40 5\\\n 6"], ["@A1 7 8 9", "@mca2 70 8\\\n 9"]]
        path = self.write(tmp_path, points)
        monkeypatch.setattr("rsciio_xfm.formats.spec.index._BLOCK_BYTES", n_bytes)
        found = [values(signal).tolist() for signal in read(path)]
        assert found == [[[4, 5, 6], [7, 8, 9]], [[40, 5, 6], [70, 8, 9]]]

    def test_of_several_lengths(self, tmp_path):
        """Detectors may have their own number of channels."""
        path = self.write(tmp_path, [["@A 1 2 3", "@B 4 5"], ["@A 6 7 8", "@B 9 10"]])
        signals = read(path)
        assert [values(s).tolist() for s in signals] == [
            [[1, 2, 3], [6, 7, 8]],
            [[4, 5], [9, 10]],
        ]
        with pytest.raises(ValueError, match=r"shapes \(2, 2\), \(2, 3\), expected one"):
            read(path, sum_detectors=True)

    @pytest.mark.parametrize("lazy", [False, True])
    def test_sum_of_detectors(self, tmp_path, lazy):
        path, (truth,) = write(tmp_path, MESH | {"n_detectors": 3})
        signal = read_one(path, lazy=lazy, sum_detectors=True)
        np.testing.assert_array_equal(values(signal), truth["counts"].sum(0))
        assert signal["metadata"]["General"]["title"] == "a 1.1 3 detectors"
        assert axis(signal, 1) == ("sampy", 10.0, 2.0, None)

    def test_order_of_detectors_differs(self, tmp_path):
        """Each goes to its detector, and one that is not there leaves zeros."""
        points = [
            ["@A 1 2", "@B 3 4"],
            ["@B 7 8", "@A 5 6"],
            ["@B 9 9"],
            ["@A 1 1", "@B 2 2"],
        ]
        path = self.write(tmp_path, points)
        with pytest.warns(UserWarning, match="1 points have 1 of 2 spectra: .* zeros"):
            first, second = esrf.file_reader(path)
        assert values(first).tolist() == [[1, 2], [5, 6], [0, 0], [1, 1]]
        assert values(second).tolist() == [[3, 4], [7, 8], [9, 9], [2, 2]]

    def test_unknown_mark_at_one_point(self, tmp_path):
        """As if counts of channel 0 stood behind the letter without a blank."""
        path = self.write(tmp_path, [["@A5 1 2"], ["@A17 3 4"]])
        byte = path.read_text().index("@A17") + len("@A17")
        match = rf"marked @A17, expected @A5 .*\(byte {byte}\)"
        with pytest.raises(CorruptFileError, match=match):
            read(path)

    def test_too_many_spectra_for_a_point(self, tmp_path):
        """Each was a detector, with a signal of its own: this took minutes."""
        path = tmp_path / "a.dat"
        path.write_text("#F a\n\n#S 1 ct\n#N 1\n#L a\n1\n" + "@A 1 2\n" * 100_000)
        match = "100000 spectra for a point, expected at most 1024"
        with pytest.raises(CorruptFileError, match=match):
            read(path)

    def test_numbers_are_counts(self, tmp_path):
        path = self.write(tmp_path, [["@0 1 2"], ["@17 3 4"]])
        assert values(read_one(path)).tolist() == [[0, 1, 2], [17, 3, 4]]
        path = self.write(tmp_path, [["@0 1\\\n 2"], ["@-0.5 3\\\n 4"]])
        assert values(read_one(path)).tolist() == [[0, 1, 2], [-0.5, 3, 4]]

    @pytest.mark.parametrize("header", ["", "#@CHANN 2 0 1 1\n"])
    def test_numbers_are_detectors(self, tmp_path, header):
        """The header says so, or they count up at each point."""
        points = [["@0 4 5", "@1 6 7"], ["@0 8 9", "@1 10 11"]]
        found = [values(s).tolist() for s in read(self.write(tmp_path, points, header))]
        assert found == [[[4, 5], [8, 9]], [[6, 7], [10, 11]]]

    def test_numbers_count_up_and_are_counts(self, tmp_path):
        points = [["@0 4 5", "@1 6 7"], ["@0 8 9", "@1 10 11"]]
        path = self.write(tmp_path, points, "#@CHANN 3 0 2 1\n")
        found = [values(s).tolist() for s in read(path)]
        assert found == [[[0, 4, 5], [0, 8, 9]], [[1, 6, 7], [1, 10, 11]]]

    @pytest.mark.parametrize("n_further", [1, 2, 5])
    def test_spectra_behind_the_last_point(self, tmp_path, n_further):
        """Where a spectrum stands before its counters, the last ones have none."""
        head = f"{self.HEAD}#N 2\n#L m  det\n"
        text = "".join(f"@0 1 {i}\n{i} 7\n" for i in range(3)) + "@0 5 5\n" * n_further
        (tmp_path / "a.dat").write_text(head + text)
        match = f"{n_further} spectra behind the last of 3 points belong to no point"
        with pytest.warns(UserWarning, match=match):
            (signal,) = esrf.file_reader(tmp_path / "a.dat")
        assert values(signal).tolist() == [[0, 1, 0], [0, 1, 1], [0, 1, 2]]

    def test_more_spectra_than_of_other_points(self, tmp_path):
        points = [["@A 1 2"], ["@A 3 4"], ["@A 5 6", "@A 7 8", "@A 9 9"]]
        path = self.write(tmp_path, points)
        with pytest.warns(UserWarning, match="2 spectra behind the last of 3 points"):
            (signal,) = esrf.file_reader(path)
        assert values(signal).tolist() == [[1, 2], [3, 4], [5, 6]]

    @pytest.mark.parametrize(
        ("points", "expected"),
        [
            (
                [["@A1 4 5", "@A2 6 7"], ["@A1 8 9", "@A2 1 2"]],
                [[[4, 5], [8, 9]], [[6, 7], [1, 2]]],
            ),
            ([["@0 4 5"], ["@3 8 9"]], [[[0, 4, 5], [3, 8, 9]]]),
            ([["@B 1 2"], ["@B 3 4"], ["@B 5 6", "@B 7 8"]], [[[1, 2], [3, 4], [5, 6]]]),
        ],
    )
    def test_convert(self, tmp_path, points, expected):
        import h5py

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            esrf.convert(self.write(tmp_path, points), tmp_path / "a.h5")
        with h5py.File(tmp_path / "a.h5") as file:
            found = [
                file[f"1.1/instrument/mca_{i}/data"][()].tolist()
                for i in range(len(expected))
            ]
            assert found == expected
            assert f"mca_{len(expected)}" not in file["1.1/instrument"]

    def test_convert_points_of_different_spectra(self, tmp_path):
        """For which silx has an assertion."""
        path = self.write(tmp_path, [["@A 1 2", "@B 3 4"], ["@A 5 6"]])
        byte = path.read_text().index("@A") + len("@A")
        match = (
            f"scan 1.1 has 3 spectra at 2 points, expected as many at each.*byte {byte}"
        )
        with pytest.raises(CorruptFileError, match=match):
            esrf.convert(path, tmp_path / "a.h5")
        assert not (tmp_path / "a.h5").exists()


class TestCases:
    """Files that were read wrongly, and what is right."""

    @pytest.fixture(autouse=True)
    def are_there(self):
        if not CASES.is_dir():
            pytest.skip(f"{CASES} is not there")

    POINT = ([0, 35, 0, 10], [0, 35, 0, 20], [0, 0, 35, 35], [0, 35, 0, 40])

    def test_detectors_by_number(self, tmp_path):
        path = CASES / "spec_A1_detectors.spec"
        signals = read(path)
        assert [values(s)[0].tolist() for s in signals] == list(self.POINT)
        assert all(axis(s, 1) == ("Energy", 0.0, 0.01, "keV") for s in signals)
        total = read_one(path, sum_detectors=True)
        assert values(total)[0].tolist() == np.sum(self.POINT, axis=0).tolist()
        esrf.convert(path, tmp_path / "a.h5")
        converted = read(tmp_path / "a.h5")
        assert [values(s)[0].tolist() for s in converted] == list(self.POINT)

    def test_continued_lines(self, tmp_path):
        path = CASES / "aps33idd_at0_3points.spec"
        signal = read_one(path, n_warnings=1)  # the scan was stopped
        assert signal["data"].shape[-1] == 2048
        (event,) = read(path, 1, select_type="counters")
        names = event["metadata"]["General"]["counters"]
        assert len(names) == 41
        row = event["data"][names.index("Vor_Event")]
        assert np.isfinite(row).sum() == 3
        sums = values(signal).sum(-1)
        assert sums[0] == row[0] == 67372
        assert (sums[:3] > 0).all()
        assert not sums[3:].any()
        esrf.convert(path, tmp_path / "a.h5")
        converted = read_one(tmp_path / "a.h5", 1)
        np.testing.assert_array_equal(values(converted), values(signal))

    def test_first_channel(self, tmp_path):
        path = CASES / "spec_first_channel_100.spec"
        esrf.convert(path, tmp_path / "a.h5")
        expected = ("Energy", pytest.approx(1.1), pytest.approx(0.01), "keV")
        assert axis(read_one(path), 1) == expected
        assert axis(read_one(tmp_path / "a.h5"), 1) == expected

    def test_first_channel_without_a_calibration(self, tmp_path):
        text = (CASES / "spec_first_channel_100.spec").read_text()
        path = tmp_path / "a.spec"
        path.write_text(text.replace("#@CALIB 0.1 0.01 0\n", ""))
        esrf.convert(path, tmp_path / "a.h5")
        for name in (path, tmp_path / "a.h5"):
            assert axis(read_one(name), 1) == ("Energy", 100.0, 1.0, None)


class TestReading:
    @pytest.mark.parametrize("chunks", ["auto", (2, 3, 10), (1, 1, 64), -1])
    def test_chunks(self, tmp_path, chunks):
        path, (truth,) = write(tmp_path, MESH)
        data = read_one(path, lazy=True, chunks=chunks)["data"]
        counts = truth["counts"][0]
        np.testing.assert_array_equal(data.compute(), counts)
        part = np.s_[4:1:-2, 1:5, 6:60:5]
        np.testing.assert_array_equal(data[part].compute(), counts[part])
        again = pickle.loads(pickle.dumps(data))
        np.testing.assert_array_equal(again.compute(), counts)

    def test_in_processes(self, tmp_path):
        path, (truth,) = write(tmp_path, MESH)
        data = read_one(path, lazy=True, chunks=(2, 3, 10))["data"]
        with dask.config.set(scheduler="processes", num_workers=2):
            np.testing.assert_array_equal(data.compute(), truth["counts"][0])

    def test_sums(self, tmp_path):
        path, (truth,) = write(tmp_path, MESH)
        source = source_of(read_one(path, lazy=True)["data"])
        part = truth["counts"][0, 1:4, 2:7, 3:60]
        ranges = ((1, 4), (2, 7), (3, 60))
        np.testing.assert_array_equal(source.sum_navigation(ranges), part.sum((0, 1)))
        np.testing.assert_array_equal(source.sum_signal(ranges), part.sum(-1))

    @pytest.mark.parametrize("n_bytes", [37, 64, 1000, 4096])
    def test_blocks(self, tmp_path, monkeypatch, n_bytes):
        """Wherever blocks of the file begin, in marks too."""
        path, (truth, _) = write(tmp_path, MESH | {"n_detectors": 2}, {"kind": "ascan"})
        monkeypatch.setattr("rsciio_xfm.formats.spec.index._BLOCK_BYTES", n_bytes)
        signals = read(path)
        np.testing.assert_array_equal(values(signals[1]), truth["counts"][1])

    @pytest.mark.parametrize("n_bytes", [37, 64, 1000])
    def test_other_marks_in_blocks(self, tmp_path, monkeypatch, n_bytes):
        path, (truth,) = write(tmp_path, MESH)
        path.write_bytes(path.read_bytes().replace(b"\n@A", b"\n@B"))
        monkeypatch.setattr("rsciio_xfm.formats.spec.index._BLOCK_BYTES", n_bytes)
        np.testing.assert_array_equal(values(read_one(path)), truth["counts"][0])

    @given(
        st.lists(st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=3), min_size=1)
    )
    def test_any_counts(self, tmp_path_factory, spectra):
        path = tmp_path_factory.mktemp("spec") / "a.dat"
        lines = ["#S 1 ascan  a 0 1 1  1", "#N 1", "#L a"]
        for i, spectrum in enumerate(spectra):
            lines += [str(i), "@A " + " ".join(map(str, spectrum))]
        path.write_text("\n".join(lines) + "\n")
        found = esrf.file_reader(path, navigation_shape=(len(spectra),))[0]["data"]
        assert found.tolist() == spectra

    def test_replaced(self, tmp_path):
        path, _ = write(tmp_path, MESH)
        data = read_one(path, lazy=True)["data"]
        write(tmp_path, MESH, MESH)
        with pytest.raises(CorruptFileError, match="the file was changed"):
            data.compute()


class TestBadInput:
    def test_cut(self, tmp_path):
        path, (truth,) = write(tmp_path, MESH)
        text = path.read_text()
        path.write_text(text[: text.rindex("@A") + 30])
        with pytest.warns(UserWarning) as caught:
            (signal,) = esrf.file_reader(path)
        texts = " ".join(str(w.message) for w in caught)
        assert "the file ends within a spectrum (byte" in texts
        expected = truth["counts"][0].copy()
        expected[-1, -1] = 0
        np.testing.assert_array_equal(values(signal), expected)

    @pytest.mark.parametrize(
        ("end", "n_found"),
        [("", 1), (" ", 1), ("\n", 2), (" 0", 2), (" 0 ", 2), ("0", 1)],
    )
    def test_last_number_may_go_on(self, tmp_path, end, n_found):
        path = tmp_path / "a.dat"
        last = "7 12" if "0" in end.split() else "7 8 12"
        path.write_text(f"#S 1 ct 1\n#N 1\n#L a\n1\n@A 7 8 9\n2\n@A {last}{end}")
        (signal,) = read(path, n_warnings=2 - n_found)
        expected = [int(word) for word in f"{last}{end}".split()]
        found = values(signal).tolist()
        assert found == [[7, 8, 9], expected if n_found == 2 else [0, 0, 0]]

    def test_only_spectrum_cut(self, tmp_path):
        path = tmp_path / "a.dat"
        path.write_text("#S 1 ct 1\n#N 1\n#L a\n1\n@A 7 8 9")
        with pytest.raises(CorruptFileError, match=r"may go on.*\(byte 30; .* byte 24\)"):
            esrf.file_reader(path)

    def test_counters_cut(self, tmp_path):
        path = tmp_path / "a.dat"
        path.write_text("#S 1 ct 1\n#N 2\n#L a  b\n3 67")
        with pytest.warns(UserWarning, match="last number may go on"):
            (signal,) = esrf.file_reader(path)
        assert np.isnan(values(signal)).any()

    def test_spectra_of_several_lengths(self, tmp_path):
        path = tmp_path / "a.dat"
        path.write_text(
            "#S 1 ascan  a 0 1 2  1\n#N 1\n#L a\n0\n@A 1 2 3\n1\n@A 1 2\n2\n@A 4 5 6\n"
        )
        with pytest.raises(CorruptFileError, match=r"spectra of 2 and of 3 .* .byte 48"):
            read(path)

    def test_letters(self, tmp_path):
        path = tmp_path / "a.dat"
        path.write_text("#S 1 ct  1\n#N 1\n#L a\n0\n@A 1 x 3\n")
        data = read_one(path, lazy=True)["data"]
        with pytest.raises(CorruptFileError, match=r"what is no number.*byte"):
            data.compute()

    HEAD = "#F a\n#E 1\n\n"

    def write(self, folder, text, encoding="utf-8"):
        (folder / "a.dat").write_bytes((self.HEAD + text).encode(encoding))
        return folder / "a.dat"

    @pytest.mark.parametrize("line", ["abc x", "0 5 9"])
    def test_line_of_counters_that_cannot_be_read(self, tmp_path, line):
        """It is not a spectrum less, and no detector more."""
        text = "#S 1 ascan s 0 1 1 .1\n#N 2\n#L s  I0\n0 5\n@A 1 2 3 4\n"
        path = self.write(tmp_path, f"{text}{line}\n@A 5 6 7 8\n")
        with pytest.warns(
            UserWarning, match="2 lines of counters, of which silx reads 1"
        ):
            (signal,) = esrf.file_reader(path)
        assert signal["data"].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
        with pytest.raises(CorruptFileError, match="2 lines of counters"):
            read(path, select_type="counters")

    def test_blank_behind_a_backslash(self, tmp_path):
        text = "#S 1 ascan x 0 1 1 .1\n#N 2\n#L x  I0\n0 5\n@A 1 2\\ \n 3 4\n1 6\n"
        path = self.write(tmp_path, text + "@A 5 6\\ \n 7 8\n")
        with pytest.warns(
            UserWarning, match="2 lines of counters, of which silx reads 4"
        ):
            (signal,) = esrf.file_reader(path)
        assert signal["data"].tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
        with pytest.raises(CorruptFileError, match="of which silx reads 4"):
            read(path, select_type="counters")

    def test_old_encoding(self, tmp_path):
        path = self.write(tmp_path, "#S 1 ct\n#C 20°C\n#N 1\n#L I0\n5\n", "latin-1")
        assert values(read_one(path)).tolist() == [[5]]
        assert list(esrf.tree(path)) == ["1.1"]

    def test_end_of_the_file_at_a_mark(self, tmp_path):
        good = "#S 1 ct 1\n#N 1\n#L a\n0\n@A 1 2\n"
        for end in ("\n#S 2", "\n#S 2 ", "\n#S", "\n@A", "\n@"):
            path = self.write(tmp_path, good + end)
            with warnings.catch_warnings(record=True):
                warnings.simplefilter("always")
                try:
                    signals = esrf.file_reader(path)
                except CorruptFileError:
                    assert end == "\n@A"  # a spectrum of no channels
                else:
                    assert values(signals[0]).ravel().tolist() == [1, 2]

    @pytest.mark.parametrize("spectrum", ["@A", "@A\\\n", "@A 1_0 2"])
    def test_spectra_of_no_numbers(self, tmp_path, spectrum):
        path = self.write(tmp_path, f"#S 1 ct 1\n#N 1\n#L a\n0\n{spectrum}\n")
        with pytest.raises(CorruptFileError):
            read(path)

    @pytest.mark.parametrize("mark", ["@A 1", "@B 1"])
    def test_other_marks(self, tmp_path, mark):
        """As silx reads them; what it takes amiss is in TestMarks."""
        from silx.io.specfile import SpecFile

        path = self.write(tmp_path, f"#S 1 ct 1\n#N 1\n#L a\n0\n{mark} 7\\\n 8\n")
        with contextlib.closing(SpecFile(str(path))) as file:
            expected = file[0].mca[0].tolist()
        assert values(read_one(path)).ravel().tolist() == expected == [1, 7, 8]

    @pytest.mark.parametrize("point", [0, 4])
    def test_point_without_a_spectrum(self, tmp_path, point):
        """Those after it keep their places."""
        path, (truth,) = write(tmp_path, MESH)
        parts = path.read_text().split("@A")
        lost = parts[point + 1].splitlines(keepends=True)
        while lost and lost[0].rstrip().endswith("\\"):
            lost.pop(0)
        parts[point : point + 2] = [parts[point] + "".join(lost[1:])]
        path.write_text("@A".join(parts))
        with pytest.warns(UserWarning, match="1 of 35 points have no spectrum"):
            (signal,) = esrf.file_reader(path)
        expected = truth["counts"][0].copy()
        expected[divmod(point, 7)] = 0
        np.testing.assert_array_equal(values(signal), expected)

    @pytest.mark.parametrize("number", ["2", "2.5"])
    def test_blanks_behind_a_backslash(self, tmp_path, number):
        text = f"#S 1 ct 1\n#N 1\n#L a\n0\n@A 1 {number}\\ \n 3 4 \n"
        signal = read_one(self.write(tmp_path, text))
        assert values(signal).ravel().tolist() == [1, float(number), 3, 4]

    @pytest.mark.parametrize("name", ["µXRF é.dat", "a b.dat"])
    def test_names(self, tmp_path, name):
        path, (truth,) = write(tmp_path, MESH)
        path = path.rename(tmp_path / name)
        np.testing.assert_array_equal(values(read_one(path)), truth["counts"][0])
        assert list(esrf.tree(path)) == ["1.1"]

    def test_numbers_that_are_not_exact(self, tmp_path):
        path = self.write(tmp_path, "#S 1 ct 1\n#N 1\n#L a\n0\n@A 9007199254740993 8\n")
        with pytest.raises(OverflowError, match="numbers above 9007199254740992"):
            read(path)

    def test_memory(self, tmp_path):
        """A plan of many points is not believed of a file of a few."""
        line = "#S 1 mesh x 0 1 29999999 y 0 1 9999 .1\n#N 2\n#L x  I0\n0 5\n1 6\n"
        path = self.write(tmp_path, line)
        with pytest.warns(UserWarning, match="it is not used"):
            (signal,) = esrf.file_reader(path, select_type="counters")
        assert signal["data"].tolist() == [[0, 1], [5, 6]]

    def test_no_points(self, tmp_path):
        path, _ = write(tmp_path, {"kind": "none"})
        with pytest.raises(FileFormatError, match="none of 1 scans has a point"):
            read(path)

    def test_options_of_others(self, tmp_path):
        path, _ = write(tmp_path, MESH)
        with pytest.raises(FileFormatError, match="detector given"):
            read(path, detector=0)

    def test_without_silx(self, tmp_path, monkeypatch):
        import sys

        path, _ = write(tmp_path, MESH)
        monkeypatch.setitem(sys.modules, "silx.io.specfile", None)
        with pytest.raises(ImportError, match=r"silx is needed .*rsciio-xfm\[esrf\]"):
            read(path)


class TestLimitsOfSilx:
    """It copies to arrays of fixed size, and does not look whether they are large enough."""

    REST = "#N 1\n#L a\n1\n@A 1\n"

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            (f"#S {'9' * 46} a\n{REST}", r"a scan begins .*\(byte 0\)"),
            (f"#S 1\n#N1\n#L{'a' * 80}\n1\n@A 1\n", "a scan begins with b'#S 1'"),
            (f"#S 1\tascan\tm\t1\t2\n#D\tTue\n{REST}", "a scan begins"),
            (f"#S 1{'é' * 23} a\n{REST}", "a scan begins"),
            (f"#S 1 {'a' * 3000}\n{REST}", "a command of at most 3000"),
            (f"#S 1 a\n#N 1\n#L a\n{'1' * 50}\n@A 1\n", r"too long.*\(byte 17\)"),
            (f"#S 1 a\n#N 1\n#L {'a  ' * 1000}\n1\n@A 1\n", r"too long.*\(byte 12\)"),
            (f"#F a\n#O0 {'a' * 3000}\n#S 1 a\n{REST}", r"too long.*\(byte 5\)"),
            (f"#S 1 a\n{REST}#C {'a' * 3000}\n", "too long"),
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
    def test_refused(self, tmp_path, text, match, encoding):
        path = tmp_path / "a.dat"
        path.write_bytes(text.encode(encoding))
        with pytest.raises(CorruptFileError, match=match):
            esrf.file_reader(path)

    @pytest.mark.parametrize(
        "text",
        [
            f"#S {'9' * 19} a\n{REST}",
            f"#S  1  a\n{REST}",
            f"#S 1 {'a' * 2900}\n{REST}",
            f"#S 1 a\n#C {'b' * 2900}\n{REST}",
            f"#S 1 a\n#C {'é' * 1000}\n{REST}",
            f"#S 1 a\n#C http://{'b' * 200}\n{REST}",
            f"#S 1 a\n#N 1\n#L a\n{'1' * 49}\n@A 1\n",
        ],
    )
    @pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
    def test_read(self, tmp_path, text, encoding):
        path = tmp_path / "a.dat"
        path.write_bytes(text.encode(encoding))
        assert values(read_one(path)).ravel().tolist() == [1]

    def test_many_lines(self, tmp_path):
        """silx' time grows with the square of their number."""
        path = tmp_path / "a.dat"
        line = f"#C {'a' * 60}\n"
        path.write_text(f"#F a\n#E 1\n{line * 100_000}\n#S 1 a\n{self.REST}")
        with pytest.raises(CorruptFileError, match="lines of a header follow each other"):
            esrf.file_reader(path)
        path.write_text(f"#F a\n#E 1\n{line * 1000}\n#S 1 a\n{self.REST}")
        assert values(read_one(path)).ravel().tolist() == [1]

    @pytest.mark.parametrize("end", ["#S", "#S ", "#S 2", "#S 2 ", "#S 2\n", "#S 2 a"])
    def test_cut_at_the_last_scan(self, tmp_path, end):
        path = tmp_path / "a.dat"
        path.write_text(f"#S 1 a é\n{self.REST}\n{end}", encoding="utf-8")
        with pytest.warns(UserWarning, match=r"scan \d\.1: .*left out"):
            (signal,) = esrf.file_reader(path)
        assert values(signal).ravel().tolist() == [1]
        assert signal["original_metadata"]["scan_header"]["S"] == "1 a é"
