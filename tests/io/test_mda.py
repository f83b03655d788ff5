"""Scans of EPICS in ``.mda`` files: maps, lines, points, counters."""

import hashlib
import pickle
import struct

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import mda
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.mda import data as records
from tests.builders import mda as builder
from tests.builders import standards
from tests.conftest import DATA

SHAPE = (4, 5, 64)
REAL = DATA / "mda"
# Counts of each detector of axo_std.mda, and all of its pixels, (detector, y, x, E) as uint32:
# of mdaviz 1.4.2.
SUMS = [895_788, 844_397, 593_359, 696_070]
FLY = 1_449_615_830, 12_510_121, 0  # of 2xfm_0011.mda
ALL = "57380b63566c7d5ff6c03b0d391fe3766b2ca5bb07c2f16235c0b13e507a2bb8"


def real(name):
    if not (REAL / name).is_file():
        pytest.skip(f"{REAL / name} is not here")
    return REAL / name


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.mda")


@pytest.fixture
def counts():
    return builder.make_counts(SHAPE, 2)


def rewrite(path, at, form, *values):
    raw = bytearray(path.read_bytes())
    struct.pack_into(form, raw, at, *values)
    path.write_bytes(raw)


def row_of(path, number):
    """Return where a row of a map begins."""
    raw = path.read_bytes()
    return builder.read_scan(raw, 32)["inner"][number]


def eds(s):
    return s.metadata.Acquisition_instrument.SEM.Detector.EDS


# A file of an instrument --------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*DETECTOR_ELEMENTS is 1, expected 4")
class TestReal:
    def test_counts(self):
        path = real("axo_std.mda")
        (found,) = mda.file_reader(path, sum_detectors=False)
        assert found["data"].dtype == np.uint32 and found["data"].shape == (
            4,
            11,
            11,
            2000,
        )
        assert found["data"].sum(axis=(1, 2, 3)).tolist() == SUMS
        raw = found["data"].astype("<u4")
        assert hashlib.sha256(np.ascontiguousarray(raw)).hexdigest() == ALL
        spectra, _ = standards.read_mda(path)
        np.testing.assert_array_equal(found["data"], np.moveaxis(spectra, 2, 0))

    def test_lazy_and_eager(self):
        path = real("axo_std.mda")
        s, eager = hs.load(path, lazy=True), hs.load(path)
        assert s.data.dtype == np.uint32
        np.testing.assert_array_equal(s.data.compute(), eager.data)
        total = s.sum().data.compute()
        assert (
            total.sum() == sum(SUMS) and total.argmax() == 384 and total.max() == 21_626
        )
        assert eager.data[3, 7].sum() == 25_131 and eager.data[10, 0].sum() == 24_327
        for i, number in enumerate(SUMS):
            one = hs.load(path, detector=i, lazy=True)
            assert one.sum().data.compute().sum() == number
            assert one.metadata.General.title == f"axo_std mca{i + 1}"
        by_name = hs.load(path, detector="dxpXMAP2xfm3:mca3.VAL")
        np.testing.assert_array_equal(by_name.data, hs.load(path, detector="mca3").data)

    def test_axes_and_times(self):
        s = hs.load(real("axo_std.mda"), lazy=True)
        x, y, energy = (s.axes_manager[name] for name in ("x", "y", "Energy"))
        assert (x.units, y.units, energy.units) == ("mm", "mm", "keV")
        assert x.offset == pytest.approx(-1.3664701) and x.scale == pytest.approx(0.1)
        assert y.offset == pytest.approx(2.74200006) and y.scale == pytest.approx(0.1)
        assert energy.offset == -0.0041840752 and energy.scale == 0.0095216077
        assert s.metadata.Acquisition_instrument.SEM.beam_energy == 10
        dead = eds(s).dead_time
        assert dead.data.shape == (4, 11, 11)
        rates = standards.read_mda(real("axo_std.mda"))[1]
        ocr, icr = (rates[f"dxpXMAP2xfm3:dxp2:{k}CountRate"] for k in ("Output", "Input"))
        np.testing.assert_allclose(dead.data[1], 100 * (1 - ocr / icr), rtol=1e-4)
        # Of four detectors, each about a second.
        assert eds(s).real_time == pytest.approx(4.0257, abs=1e-4)
        assert (s.metadata.General.date, s.metadata.General.time) == (
            "2016-08-09",
            "10:28:52",
        )

    def test_energies_that_the_scan_recorded(self, tmp_path):
        """MAPS' file is not beside it, which has others than the electronics."""
        path = tmp_path / "axo_std.mda"
        path.write_bytes(real("axo_std.mda").read_bytes())
        energy = hs.load(path, lazy=True).axes_manager["Energy"]
        assert (energy.offset, energy.scale) == (0.05, 0.0094)

    def test_counters(self):
        path = real("axo_std.mda")
        s = hs.load(path, select_type="counters")
        names = s.metadata.General.counters
        _, expected = standards.read_mda(path)
        assert len(names) == 69 and set(names) == set(expected)
        for name, image in zip(names, s.data, strict=True):
            np.testing.assert_array_equal(image, expected[name])

    def test_fly_scan(self):
        """Its innermost scan is named like spectra, and holds counters of pixels."""
        path = real("2xfm_0011.mda")
        with pytest.warns(
            UserWarning, match=r"no spectra.*images.*2xfm_0011_2xfm3__0\.h5"
        ):
            s = hs.load(path)
        names = list(s.metadata.General.counters)
        assert s.data.shape == (52, 11, 11)
        first = s.data[names.index("2xfm:mcs:mca1.VAL")]
        last = s.data[names.index("2xfm:adc:mca16.VAL")]
        # By mdaviz.
        assert (first.sum(), first[2, 5]) == (FLY[0], FLY[1])
        assert last.sum() == FLY[2]
        with pytest.raises(FileFormatError, match=r"holds no spectra.*2xfm3__0\.h5"):
            hs.load(path, select_type="spectrum_image")


# Made files ---------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("shape", [(64,), (5, 64), SHAPE, (2, 3, 4, 64), (1, 1, 64)])
def test_shapes(tmp_path, shape, lazy):
    """A point, a line, a map, a stack, one pixel."""
    path = builder.write_map(tmp_path / "a.mda", shape)
    expected = builder.make_counts(shape, 2)
    np.testing.assert_array_equal(builder.read_map(path), expected)
    (found,) = mda.file_reader(path, lazy=lazy)
    assert found["data"].dtype == np.uint32
    np.testing.assert_array_equal(np.asarray(found["data"]), expected.sum(axis=-2))
    (each,) = mda.file_reader(path, lazy=lazy, sum_detectors=False)
    np.testing.assert_array_equal(np.asarray(each["data"]), np.moveaxis(expected, -2, 0))
    for i in (0, 1):
        (one,) = mda.file_reader(path, lazy=lazy, detector=i)
        np.testing.assert_array_equal(np.asarray(one["data"]), expected[..., i, :])


def test_sums_windows_and_chunks(path, counts):
    expected = counts.sum(axis=2)
    for chunks in ("auto", (3, 2, 7), (1, 5, -1)):
        s = hs.load(path, lazy=True, chunks=chunks)
        np.testing.assert_array_equal(s.data, expected)
        np.testing.assert_array_equal(s.sum(), expected.sum(axis=(0, 1)))
        np.testing.assert_array_equal(s.sum("Energy"), expected.sum(axis=2))
        part = s.inav[1:4, 2:].isig[10:20]
        np.testing.assert_array_equal(
            part.sum(), expected[2:, 1:4, 10:20].sum(axis=(0, 1))
        )
    images = s.get_window_images([(0.3, 0.5)])
    np.testing.assert_array_equal(
        images["0.3-0.5 keV"].data, expected[..., 20:30].sum(-1)
    )


def test_other_processes(path, counts):
    s = hs.load(path, lazy=True)
    again = pickle.loads(pickle.dumps(s.data))
    np.testing.assert_array_equal(
        again.compute(scheduler="processes"), counts.sum(axis=2)
    )


def test_dead_time_of_each_detector(path):
    icr, ocr = builder.make_rates(SHAPE, 2)
    s = hs.load(path, lazy=True)
    expected = 100 * (1 - ocr.astype(float) / icr)
    np.testing.assert_allclose(
        eds(s).dead_time.data, np.moveaxis(expected, 2, 0), rtol=1e-5
    )
    assert eds(s).real_time == 1.0
    (one,) = mda.file_reader(path, detector="mca2")
    node = one["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]
    np.testing.assert_allclose(
        node["_sig_dead_time"]["data"], expected[..., 1], rtol=1e-5
    )


def test_rows_back_and_forth(tmp_path, counts):
    path = builder.write_map(tmp_path / "a.mda", is_snake=True)
    s, expected = hs.load(path, lazy=True), counts.sum(axis=2)
    expected[1::2] = expected[1::2, ::-1].copy()
    np.testing.assert_array_equal(s.data, expected)
    assert s.axes_manager["x"].offset == pytest.approx(-1.5)
    icr, ocr = builder.make_rates(SHAPE, 2)
    dead = 100 * (1 - ocr.astype(float) / icr)[..., 0]
    np.testing.assert_allclose(eds(s).dead_time.data[0, 1], dead[1, ::-1], rtol=1e-5)


@pytest.mark.parametrize("done", [1, 5, 7, 12, 19])
@pytest.mark.parametrize("is_snake", [False, True])
def test_stopped(tmp_path, counts, done, is_snake):
    """What was measured is there, the rest is zeros and has no dead time."""
    path = builder.write_map(tmp_path / "a.mda", done=done, is_snake=is_snake)
    with pytest.warns(
        UserWarning, match=rf"{done} of 20 points are there: the scan was st"
    ):
        (found,) = mda.file_reader(path)
    expected = counts.sum(axis=2)
    expected.reshape(20, -1)[done:] = 0
    if is_snake and done != 6:
        n_back = 2 if done > 6 else 1
        for row in range(1, 4)[::2][:n_back]:
            expected[row] = expected[row, ::-1].copy()
    np.testing.assert_array_equal(found["data"], expected)
    node = found["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]
    dead = node["_sig_dead_time"]["data"]
    np.testing.assert_array_equal(np.isnan(dead[0]), expected.sum(axis=2) == 0)


def test_rows_of_different_length(tmp_path, counts):
    path = builder.write_map(tmp_path / "a.mda", lengths=[5, 3, 5, 4])
    with pytest.warns(UserWarning, match=r"rows have 3 to 5 points, expected the same"):
        (found,) = mda.file_reader(path)
    expected = counts.sum(axis=2)
    expected[1, 3:] = expected[3, 4:] = 0
    np.testing.assert_array_equal(found["data"], expected)
    node = found["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]
    assert np.isnan(node["_sig_dead_time"]["data"]).sum() == 2 * 3


def test_positions_that_are_no_axis(path):
    """One row is enough: all others are alike."""
    raw = path.read_bytes()
    for row in builder.read_scan(raw, 32)["inner"]:
        at = builder.read_scan(raw, row)["data"]
        rewrite(path, at, ">5d", 0.0, 7.0, 1.0, 9.0, 2.0)
    with pytest.warns(
        UserWarning, match=r"positions of 2xfm:m24\.VAL are not evenly spaced"
    ):
        s = hs.load(path, lazy=True)
    assert s.axes_manager["x"].units != "mm" and s.axes_manager["y"].units == "mm"


def test_nothing_measured(tmp_path):
    path = builder.write_map(tmp_path / "a.mda", done=0)
    with pytest.raises(
        FileFormatError, match=r"no point of the scan was measured.*byte 32"
    ):
        mda.file_reader(path, lazy=True)


def test_calibration(tmp_path, path):
    builder.write_override(tmp_path, terms=(0.5, 0.01, 0.0))
    s = hs.load(path, lazy=True)
    assert (s.axes_manager["Energy"].offset, s.axes_manager["Energy"].scale) == (
        0.5,
        0.01,
    )
    assert s.metadata.Acquisition_instrument.SEM.beam_energy == 10
    kept = s.metadata.Acquisition_instrument.XRF
    assert kept.calibration == "maps_fit_parameters_override.txt"
    # A file for a detector of its own, as XRF-Maps has them.
    name = "maps_fit_parameters_override.txt1"
    builder.write_override(tmp_path, n=1, terms=(0.25, 0.02, 0.0), name=name)
    assert hs.load(path, detector=1, lazy=True).axes_manager["Energy"].offset == 0.25
    assert hs.load(path, detector=0, lazy=True).axes_manager["Energy"].offset == 0.5
    # Another name, a decimal comma.
    other = builder.write_override(tmp_path, terms=("0,75", "0,01", 0), name="other.txt")
    assert (
        hs.load(path, calibration=other, lazy=True).axes_manager["Energy"].offset == 0.75
    )
    with pytest.raises(FileNotFoundError, match=r"calibration is no file.*missing\.txt"):
        hs.load(path, calibration=tmp_path / "missing.txt", lazy=True)


def test_calibration_of_other_detectors(tmp_path, path):
    builder.write_override(tmp_path, n=7)
    with pytest.warns(
        UserWarning, match=r"DETECTOR_ELEMENTS is 7, expected 2.*calibration"
    ):
        hs.load(path, lazy=True)


def test_calibration_that_is_none(tmp_path, path):
    (tmp_path / "maps_fit_parameters_override.txt").write_text("VERSION: 5\n")
    with pytest.warns(UserWarning, match=r"CAL_OFFSET_\[E_OFFSET\] and .* are not there"):
        s = hs.load(path, lazy=True)
    assert s.axes_manager["Energy"].scale == 0.02  # as the scan recorded it


def test_detectors_that_are_there_twice(tmp_path, counts):
    names = ["dxp:mca1.VAL", "dxp:mca1.VAL"]
    path = builder.write_map(tmp_path / "a.mda", names=names)
    with pytest.warns(UserWarning, match=r"dxp:mca1\.VAL is there more than once"):
        (found,) = mda.file_reader(path)
    np.testing.assert_array_equal(found["data"], counts[..., 0, :])


def test_names_of_other_electronics(tmp_path, counts):
    names = ["XSP3_4Chan:MCA1:ArrayData", "XSP3_4Chan:MCA2:ArrayData"]
    path = builder.write_map(tmp_path / "a.mda", names=names, rates=False)
    (found,) = mda.file_reader(path, detector="MCA2")
    np.testing.assert_array_equal(found["data"], counts[..., 1, :])
    path = builder.write_map(tmp_path / "b.mda", names=["a:one", "a:two"], rates=False)
    (found,) = mda.file_reader(path, select_type="spectrum_image")
    np.testing.assert_array_equal(found["data"], counts.sum(axis=2))


def test_fly_scan(tmp_path):
    path = builder.write_fly(tmp_path / "fly.mda")
    with pytest.warns(UserWarning, match=r"holds no spectra, only counters"):
        s = hs.load(path, lazy=True)
    assert list(s.metadata.General.counters) == [
        "2xfm:mcs:mca1.VAL",
        "2xfm:mcs:ElapsedReal",
    ]
    np.testing.assert_array_equal(s.data[0, :, 2], [2, 1002, 2002])
    assert s.axes_manager["x"].offset == -1.5 and s.axes_manager["y"].units == "mm"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"detector": 2}, r"detector is 2, expected 0 to 1, or mca1, mca2"),
        ({"detector": True}, r"detector is True"),
        ({"detector": "mca9"}, r"detector is 'mca9'"),
        (
            {"select_type": "image"},
            r"select_type is 'image', expected None, 'spectrum_image'",
        ),
        ({"select_type": "counters", "detector": 0}, r"detector is given, expected None"),
    ],
)
def test_arguments(path, options, match):
    with pytest.raises(ValueError, match=match):
        mda.file_reader(path, **options)


# Files that lie -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"), [(-1.0, "-1"), (2.5, "2.5"), (np.nan, "nan"), (2.0**32, "4.29")]
)
def test_what_is_no_count(tmp_path, counts, value, text):
    changed = counts.astype(float)
    changed[2, 3, 1, 10] = value
    path = builder.write_map(tmp_path / "a.mda", counts=changed)
    (found,) = mda.file_reader(path, lazy=True, chunks=(1, 5, -1))
    match = (
        rf"channel 10 of detector 1 of pixel \(2, 3\) is {text}.*expected counts, whole"
    )
    with pytest.raises(CorruptFileError, match=match):
        found["data"].compute()
    # Others are what they are.
    np.testing.assert_array_equal(found["data"][:2].compute(), counts[:2].sum(axis=2))


def test_counts_that_float32_rounds(tmp_path, counts):
    counts[1, 1, 0, 5] = 2**24 + 2
    path = builder.write_map(tmp_path / "a.mda", counts=counts)
    with pytest.warns(
        UserWarning, match=r"pixel \(1, 1\) has 16777218 counts.*rounds them"
    ):
        (found,) = mda.file_reader(path)
    np.testing.assert_array_equal(found["data"], counts.sum(axis=2))


def test_sum_that_does_not_fit(tmp_path, counts):
    counts[0, 0, :, 5] = 2**31
    path = builder.write_map(tmp_path / "a.mda", counts=counts)
    with (
        pytest.warns(UserWarning, match="rounds them"),
        pytest.raises(OverflowError, match=r"sum of the detectors does not fit uint32"),
    ):
        mda.file_reader(path)


def test_truncated(path, counts):
    """Spectra that are whole are read, the rest is zeros."""
    raw = path.read_bytes()
    path.write_bytes(raw[: row_of(path, 2) + 2000])
    with pytest.warns(
        UserWarning, match=r"missing|left out|of 20 points|expected at least"
    ):
        (found,) = mda.file_reader(path)
    found, expected = found["data"], counts.sum(axis=2)
    is_there = found.any(axis=2)
    np.testing.assert_array_equal(found[is_there], expected[is_there])
    assert is_there[:2].all() and not is_there[3].any()
    path.write_bytes(raw[:20])
    with pytest.raises(TruncatedFileError, match=r"has 20 bytes, expected at least 24"):
        mda.file_reader(path)
    path.write_bytes(raw[:200])
    with pytest.raises(TruncatedFileError, match=r"has 200 bytes, expected at least"):
        mda.file_reader(path)


def test_header(path):
    for at, form, value, match in (
        (0, ">f", 77.0, r"version is 77, expected 1.0 to 2.0.*byte 0"),
        (8, ">i", 99, r"rank is 99, expected 1 to 8 \(byte 8\)"),
        (32, ">i", 2, r"rank of the scan at byte 32 is 2, expected 3 to 3"),
        (36, ">i", 2**30, r"number of points is 1073741824"),
        (40, ">i", 9, r"number of points that are done is 9, expected 0 to 4"),
    ):
        before = path.read_bytes()
        rewrite(path, at, form, value)
        with pytest.raises(FileFormatError, match=match):
            mda.file_reader(path, lazy=True)
        path.write_bytes(before)


def test_positions_that_lie(path):
    row = row_of(path, 1)
    first, second = struct.unpack_from(">2i", path.read_bytes(), row + 12)
    rewrite(path, row + 12, ">2i", first, first)
    with pytest.raises(CorruptFileError, match=r"twice the same.*byte"):
        mda.file_reader(path, lazy=True)
    rewrite(path, row + 12, ">2i", first, second + 4)
    (found,) = mda.file_reader(path, lazy=True)
    with pytest.raises(CorruptFileError, match=r"pixel \(1, 1\) has another header"):
        found["data"].compute()


def test_a_file_that_was_changed(path):
    (found,) = mda.file_reader(path, lazy=True)
    path.write_bytes(path.read_bytes()[:-700])
    with pytest.raises(CorruptFileError, match="was changed"):
        found["data"].compute()


def test_sizes_out_of_proportion(tmp_path):
    """Rows that were planned and not begun make no map that nobody can hold."""
    path = builder.write_map(tmp_path / "a.mda", (3000, 1000, 2), 1, done=3, rates=False)
    with (
        pytest.warns(UserWarning, match=r"2999 rows that were not begun are left out"),
        pytest.warns(UserWarning, match=r"3 of 1000 points are there"),
    ):
        (found,) = mda.file_reader(path, lazy=True)
    assert found["data"].shape == (1, 1000, 2)


def test_one_read_for_neighbours(path, monkeypatch, counts):
    """A row is read at once, and a detector's spectra are decoded alone."""
    (found,) = mda.file_reader(path, lazy=True, detector=1)
    sizes = []
    decode = records.Record.decode

    def watched(self, raw, out, place):
        sizes.append((raw.size, out.size))
        decode(self, raw, out, place)

    monkeypatch.setattr(records.Record, "decode", watched)
    np.testing.assert_array_equal(found["data"].compute(), counts[..., 1, :])
    assert len(sizes) == 20 and {out for _, out in sizes} == {4 * 64}
