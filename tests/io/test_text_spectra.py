"""Spectra as text in each dialect: golden values are those of xraylarch and PyMca."""

import pickle

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import esrf, msa, text_spectra
from rsciio_xfm._register import find_reader
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.text_spectra.kernels import (
    DECIMAL,
    DIVIDES,
    DONE,
    LONG,
    STRANGE,
    read_numbers,
)
from tests.builders import esrf as esrf_builder
from tests.builders import msa as msa_builder
from tests.builders import text_spectra as builder
from tests.conftest import DATA


def real_file(name):
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def read(path, content, **options):
    path.write_bytes(content)
    (found,) = text_spectra.file_reader(path, **options)
    return found


def eds_of(signal):
    return signal["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]


# Real files -------------------------------------------------------------------------------


def test_gsecars():
    """Against xraylarch 2026.3: GSEMCA_File."""
    s = hs.load(real_file("mca/gsecars_epics.mca"))
    assert s._signal_type == "EDS_XFM" and s.data.dtype == np.uint32
    assert (s.data.shape, s.data.sum(), s.data.argmax()) == ((2048,), 380_924, 843)
    assert (s.data.max(), s.data[460]) == (8811, 71)
    axis = s.axes_manager[-1]
    assert (axis.offset, axis.scale) == (0.022052931, 0.013900329)
    instrument = s.metadata.Acquisition_instrument
    assert instrument.SEM.Detector.EDS.real_time == 2.0005023
    assert instrument.SEM.Detector.EDS.live_time == pytest.approx(1.7931432)
    assert instrument.XRF.dead_time == pytest.approx(10.365352)
    assert instrument.SEM.beam_energy == 11.8
    assert s.metadata.General.date == "2005-02-07"
    assert s.original_metadata.ROI_9_LABEL == "Au La &"
    assert len(s.original_metadata.ENVIRONMENT) == 15


@pytest.mark.parametrize(
    ("name", "n", "total", "highest", "counts", "some"),
    [
        ("mca/amptek.mca", 4, 6, 3, 3, [0, 1, 2, 3]),
        ("fit/Steel.spe", 2048, 5_607_017, 537, 202_571, [9, 5, 5, 5]),
        ("fit/XRFSpectrum.mca", 4096, 56_640_073, 96, 2_885_535, [0, 1, 0, 0]),
    ],
)
def test_files_of_pymca(name, n, total, highest, counts, some):
    """Against PyMca 5.9.7: specfilewrapper."""
    (found,) = text_spectra.file_reader(real_file(name))
    data = found["data"]
    assert data.dtype == np.uint32 and data.shape == (n,)
    assert (data.sum(), data.argmax(), data.max()) == (total, highest, counts)
    start = 1 if "Steel" in name else 0
    assert data[start : start + 4].tolist() == some


def test_amptek():
    s = hs.load(real_file("mca/amptek.mca"), lazy=True)
    axis = s.axes_manager[-1]
    assert (axis.offset, axis.scale) == (0, pytest.approx(0.0175817, abs=1e-7))
    assert axis.units == "keV"
    eds = s.metadata.Acquisition_instrument.SEM.Detector.EDS
    assert eds.live_time == eds.real_time == 599.524
    assert s.metadata.General.date == "2020-11-10"
    assert s.metadata.General.time == "11:47:50"


# Dialects ---------------------------------------------------------------------------------


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_amptek_in_full(tmp_path, newline):
    counts = builder.make_counts(32)
    found = read(tmp_path / "a.mca", builder.amptek(counts, newline=newline))
    np.testing.assert_array_equal(found["data"], counts)
    assert eds_of(found)["live_time"] == pytest.approx(0.9)
    assert eds_of(found)["real_time"] == 1.0
    # numpy.polyfit of the pairs, and PyMca: -0.017, 0.0176667.
    energy = found["axes"][0]
    assert energy["offset"] == pytest.approx(-0.017)
    assert energy["scale"] == pytest.approx(0.01766666667)
    original = found["original_metadata"]
    assert original["SERIAL_NUMBER"] == "1234" and original["DESCRIPTION"] == ""
    assert original["ROI"]["pairs"] == [[10, 20], [30, 45]]
    assert original["DP5 CONFIGURATION"] == {"RESC": "Y", "MCAC": "2048"}
    assert original["DPP STATUS"]["Device Type"] == "DP5"


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        (((100, 1.5),), (0.0, 0.015)),  # PyMca: through zero
        (((10, 0.1), (20, 0.3)), (-0.1, 0.02)),
        (((10, "0,1"), (20, "0,3")), (-0.1, 0.02)),
        (((10, 0.1), (10, 0.3)), (0.0, 1.0)),
        ((), (0.0, 1.0)),
    ],
)
def test_calibration_of_pairs(tmp_path, pairs, expected):
    found = read(tmp_path / "a.mca", builder.amptek([1, 2], pairs=pairs))
    axis = found["axes"][0]
    assert (axis["offset"], axis["scale"]) == pytest.approx(expected)
    assert axis["units"] == (None if expected == (0.0, 1.0) else "keV")


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        (((1, 1), (2, 2), (3, 30)), "up to 9 keV off the line"),
        (((1, "nan"), (5, 3)), "no channel and energy"),
    ],
)
def test_calibrations_that_cannot_be(tmp_path, pairs, said):
    with pytest.warns(UserWarning, match=said):
        read(tmp_path / "a.mca", builder.amptek([1, 2], pairs=pairs))


def test_decimal_commas(tmp_path):
    found = read(tmp_path / "a.mca", builder.amptek([1, 2], live="1,5", real="2,0"))
    assert (eds_of(found)["live_time"], eds_of(found)["real_time"]) == (1.5, 2.0)
    found = read(tmp_path / "a.dat", b"0,01;5\n0,02;6\n0,03;7\n")
    assert found["data"].tolist() == [5, 6, 7]
    assert found["axes"][0]["scale"] == pytest.approx(0.01)
    found = read(tmp_path / "a.dat", b"1,5\n2,5\n2,25\n")
    assert found["data"].tolist() == [1.5, 2.5, 2.25]


def test_latin_1(tmp_path):
    content = builder.amptek([1, 2]).replace(b"live_data", "Böhm µm".encode("latin-1"))
    assert read(tmp_path / "a.mca", content)["original_metadata"]["TAG"] == "Böhm µm"


@pytest.mark.parametrize("is_sum", [True, False])
def test_several_detectors(tmp_path, is_sum):
    """Against xraylarch: sums 34130, 34551, 33242."""
    path = builder.write_epics(tmp_path / "a.mca")
    (found,) = text_spectra.file_reader(path, sum_detectors=is_sum)
    counts = builder.make_counts(192).reshape(64, 3)
    eds = eds_of(found)
    if is_sum:
        np.testing.assert_array_equal(found["data"], counts.sum(axis=1))
        assert (eds["real_time"], eds["live_time"]) == pytest.approx((6.0, 5.1))
    else:
        assert found["data"].sum(axis=1).tolist() == [34_130, 34_551, 33_242]
        assert [axis["name"] for axis in found["axes"]] == ["detector", "Energy"]
        assert (eds["real_time"], eds["live_time"]) == pytest.approx((2.0, 1.7))
        s = hs.load(path, sum_detectors=False)
        assert s.get_dead_time().data.tolist() == pytest.approx([10, 15, 20])
    assert found["metadata"]["Acquisition_instrument"]["XRF"]["dead_time"] == [10, 15, 20]
    (one,) = text_spectra.file_reader(path, detector=1)
    np.testing.assert_array_equal(one["data"], counts[:, 1])
    assert eds_of(one)["live_time"] == pytest.approx(1.7)
    for wrong in (3, -1, 1.0, True):
        with pytest.raises(ValueError, match=r"detector is .*, expected 0 to 2"):
            text_spectra.file_reader(path, detector=wrong)


def test_other_energies_of_detectors(tmp_path):
    content = builder.epics(np.ones((64, 2), int), offset=(0.0, 0.05), slope=(0.01, 0.01))
    with pytest.warns(
        UserWarning, match="calibrations of the detectors differ by up to 5"
    ):
        found = read(tmp_path / "a.mca", content)
    assert found["data"].tolist() == [2] * 64


def test_energies_that_bend(tmp_path):
    content = builder.epics(np.ones(2048, int), quad=(1e-6,))
    with pytest.warns(UserWarning, match="energies bend by"):
        read(tmp_path / "a.mca", content)


def test_axil(tmp_path):
    counts = builder.make_counts(20)
    found = read(tmp_path / "a.spe", builder.axil(counts))
    np.testing.assert_array_equal(found["data"], counts)
    axis = found["axes"][0]
    assert (axis["offset"], axis["scale"], axis["units"]) == (-0.05, 0.01, "keV")
    assert (eds_of(found)["live_time"], eds_of(found)["real_time"]) == (90.0, 100.0)
    assert found["original_metadata"]["SPEC_ID"] == "steel 4"
    found = read(tmp_path / "a.spe", builder.axil(counts, first=100))
    assert found["axes"][0]["offset"] == pytest.approx(0.95)
    content = builder.axil(counts).replace(b"$MCA_CAL:\r\n3\r\n-0.05 0.01 0 keV", b"")
    found = read(tmp_path / "a.spe", content + b"$ENER_FIT:\r\n0,1 0,02\r\n")
    assert (found["axes"][0]["offset"], found["axes"][0]["scale"]) == (0.1, 0.02)


def test_axil_with_sections_that_repeat(tmp_path):
    content = builder.axil([1, 2, 3]) + b"$REM:\r\na\r\n$REM:\r\nb\r\n"
    found = read(tmp_path / "a.spe", content)
    assert found["data"].tolist() == [1, 2, 3]
    assert found["original_metadata"]["REM"] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "counts", "first", "step"),
    [
        (b"1\n2\n3\n", [1, 2, 3], 0, 1),
        (b"\xef\xbb\xbf1\n2\n\n3\n", [1, 2, 3], 0, 1),
        (b"# a comment\n1.0\n2.0E+00\n3\n", [1, 2, 3], 0, 1),
        (b"1 5\n2 6\n3 7\n", [5, 6, 7], 1, 1),
        (b"Channel,Counts\n0,5\n1,6\n2,7\n", [5, 6, 7], 0, 1),
        (b"0.5;5\n0.6;6\n0.7;7\n", [5, 6, 7], 0.5, 0.1),
        (b"0.5\t5.5\n0.6\t6\n0.7\t7\n", [5.5, 6, 7], 0.5, 0.1),
        (b"-1\n4\n5\n", [-1, 4, 5], 0, 1),
        (b"5000000000\n4\n5\n", [5_000_000_000, 4, 5], 0, 1),
        (b"12345678901234567890\n4\n5\n", [12345678901234567890.0, 4, 5], 0, 1),
        (b"1\n2\n3\n\x1a\0\0", [1, 2, 3], 0, 1),
    ],
)
def test_columns(tmp_path, content, counts, first, step):
    found = read(tmp_path / "a.dat", content)
    assert found["data"].tolist() == counts
    is_whole = all(c == int(c) and abs(c) < 2**53 for c in counts)
    assert found["data"].dtype.kind == (
        "f" if not is_whole else "i" if counts[0] < 0 else "u"
    )
    axis = found["axes"][0]
    assert (axis["offset"], axis["scale"]) == pytest.approx((first, step))


def test_times_of_comments(tmp_path):
    """As KETEK's program writes them."""
    text = b"File Version = 1\nRealtime = 2000 ms\nLivetime = 1.5 s\n1\n2\n3\n"
    eds = eds_of(read(tmp_path / "a.txt", text))
    assert (eds["real_time"], eds["live_time"]) == (2.0, 1.5)


# By content -------------------------------------------------------------------------------


def test_others_by_content(tmp_path):
    """MSA and SPEC files go to their readers, whatever they are called."""
    counts = msa_builder.make_counts(64)
    path = msa_builder.write_spectrum(tmp_path / "a.msa").rename(tmp_path / "a.mca")
    np.testing.assert_array_equal(hs.load(path).data, counts)
    assert (
        msa.file_reader(path)[0]["metadata"]
        == text_spectra.file_reader(path)[0]["metadata"]
    )
    pytest.importorskip("silx")
    path = tmp_path / "scan.mca"
    esrf_builder.write_spec(path)
    assert find_reader(path).__name__.endswith("esrf")
    found, expected = text_spectra.file_reader(path), esrf.file_reader(path)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one["data"], other["data"])


def test_recognizes(tmp_path):
    assert not text_spectra.recognizes(tmp_path / "none.mca")
    assert not text_spectra.recognizes(tmp_path)
    path = tmp_path / "a.dat"
    for content, expected in (
        (b"", False), (b"\x89HDF\r\n", False), (b"words\n", False), (b"1\n2\n", True),
        (b"#F a\n#S 1 ascan\n1 2\n", False), (builder.axil([1, 2]), True),
    ):  # fmt: skip
        path.write_bytes(content)
        assert text_spectra.recognizes(path) is expected
    assert find_reader(path).__name__.endswith("text_spectra")
    path.write_bytes(b"#F a\n#S 1 ascan\n1 2\n")
    assert find_reader(path).__name__.endswith("esrf")
    path = tmp_path / "a.MCA"
    path.write_bytes(b"words\n")
    assert find_reader(path).__name__.endswith("text_spectra")
    path.write_bytes(b"#F a\n#S 1 ascan\n1 2\n")
    assert find_reader(path).__name__.endswith("esrf")


# Bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"", FileFormatError, r"empty \(0 bytes\), expected a spectrum as"),
        (b"\x00\x01rubbish\n\xff", FileFormatError, r"with b'\\x00\\x01rubbish.*byte 0"),
        (b"some words\nand more\n", FileFormatError, r"begins with b'some words"),
        (b"<<PMCA SPECTRUM>>\nLIVE_TIME - 1\n", TruncatedFileError,
         r"before <<DATA>>.*byte 32"),
        (b"<<PMCA SPECTRUM>>\n<<DATA>>\n<<END>>\n", TruncatedFileError,
         r"no numbers behind"),
        (b"<<PMCA SPECTRUM>>\n<<DATA>>\n1\n2\nx3\n<<END>>", CorruptFileError,
         r"the data have b'x3', expected a number \(byte 31\)"),
        (b"VERSION: 3.1\nELEMENTS: 2\nDATA:\n1\n2\n", CorruptFileError,
         r"ELEMENTS is 2, expected 1"),
        (b"VERSION: 3.1\nELEMENTS: 9e9\nDATA:\n1 1\n2 2\n", CorruptFileError,
         r"ELEMENTS is 9e\+09, expected 2"),
        (b"VERSION: 3.1\nDATA:\n1 1\n2\n3 3\n", CorruptFileError,
         r"have b'2', expected 2 numbers in a line \(byte 23\)"),
        (b"VERSION: 3.1\nELEMENTS: 2\n", TruncatedFileError, r"before DATA:"),
        (b"VERSION: 3.1\nDATA:\n", TruncatedFileError, r"no numbers behind DATA:"),
        (b"$SPEC_ID:\nx\n", TruncatedFileError, r"has no \$DATA:"),
        (b"$SPEC_ID:\nx\n$DATA:\n0 5\n", TruncatedFileError, r"no numbers behind \$DATA:"),
        (b"$DATA:\n0 2\n1 2 z\n", CorruptFileError, r"have b'z', expected a number"),
        (builder.amptek([1, "1,5", 3, 4]), CorruptFileError,
         r"line \d+ of the file is b'1,5', expected one count, without a comma \(byte \d+\)"),
        (builder.amptek(["1 5", "2 6"]), CorruptFileError, r"is b'1 5', expected one count"),
        (b"1\n2 3\n4\n", CorruptFileError, r"have b'2 3', expected 1 numbers in a line"),
        (b"1 2 3\n4 5 6\n", FileFormatError, r"has 3 columns of numbers"),
        (b"2 1\n1 1\n", FileFormatError, r"two of which the first rises"),
        (b"1 1\n2.5 1\n40 1\n", FileFormatError, r"channels off a straight line"),
        (b"0 5\n1 6\n3 7\n4 8\n", FileFormatError, r"counts channels, and 3 follows on 1"),
        (b"nan\n1\n2\n", CorruptFileError, r"have b'nan', expected a number \(byte 0\)"),
        (b"1\n2\nnan\n", CorruptFileError, r"have b'nan'"),
        (b"1\n2\n1e999\n", CorruptFileError, r"a count is infinite"),
        (b"# a\nDATA:\n1\n2\n", FileFormatError, r"begins with b'# a"),
    ],
)  # fmt: skip
def test_bad(tmp_path, content, error, said):
    path = tmp_path / "a.mca"
    path.write_bytes(content)
    with pytest.raises(error, match=said) as caught:
        text_spectra.file_reader(path)
    assert type(caught.value) is error and str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "counts", "said"),
    [
        (builder.amptek([1, 2, 34]).partition(b"\r\n<<END")[0], [1, 2, 0],
         r"last number, .* is taken for 0 \(byte 289\); the file has no <<END>>"),
        (builder.amptek([1, 2, 34]), [1, 2, 34], r"has 3 channels, expected a power of 2"),
        (builder.axil([1, 2, 3]).rstrip(b"\r\n"), [1, 2, 0], r"is taken for 0"),
        (b"1\n2\n3", [1, 2, 3], r"last number, which may have been longer \(byte 5\)"),
        (builder.axil([1, 2, 3], last=9_999_999_999), [1, 2, 3],
         r"is 0 to 1e\+10, 1e\+10 channels, and 3 are there"),
        (builder.axil([1, 2, 3], last=1), [1, 2, 3], r"2 channels, and 3 are there"),
        (builder.axil([1, 2, 3]) + b"$DATA:\r\n0 1\r\n4 5\r\n", [1, 2, 3],
         r"\$DATA: is there 2 times: the first one is read"),
        (builder.epics([1, 2, 3]).replace(b"CHANNELS:   3", b"CHANNELS:   99999999999999"),
         [1, 2, 3], r"CHANNELS is 1e\+14, and 3 are there"),
        (builder.epics([[1, 1], [2, 2], [3, 3]])[:-3], [2, 4],
         r"the last line has 1 numbers, expected 2: it was left out.*CHANNELS is 3, and 2"),
    ],
)  # fmt: skip
def test_cut(tmp_path, content, counts, said):
    with pytest.warns(UserWarning, match=said):
        found = read(tmp_path / "a.mca", content)
    assert found["data"].tolist() == counts


def test_without_end_but_with_status(tmp_path):
    content = builder.amptek([1, 2, 3, 4]).replace(b"<<END>>\r\n", b"")
    assert read(tmp_path / "a.mca", content)["data"].tolist() == [1, 2, 3, 4]


def test_times_that_are_none(tmp_path):
    for live, real in (("-1", "1e30"), ("x", ""), ("nan", "inf")):
        found = read(tmp_path / "a.mca", builder.amptek([1, 2], live=live, real=real))
        assert "SEM" not in found["metadata"]["Acquisition_instrument"]


def test_too_large(tmp_path):
    path = tmp_path / "a.mca"
    with open(path, "wb") as file:
        file.truncate(2**25 + 1)
    with pytest.raises(FileFormatError, match=r"more than 33554432 bytes"):
        text_spectra.file_reader(path)


def test_time_and_memory_of_long_lines(tmp_path):
    """Of a header that is one long line, and of digits without end."""
    for text in (b"a" * 2**21, b"1" * 2**21, b" -" * 2**20, b"live time " * 2**17):
        for mark in (b"<<PMCA SPECTRUM>>\n", b"VERSION:", b"$SPEC_ID:\n", b"# "):
            path = tmp_path / "a.mca"
            path.write_bytes(mark + text + b"\n<<DATA>>\n1\n2\n<<END>>\n")
            with pytest.raises(FileFormatError) if mark[:2] != b"<<" else _nothing():
                text_spectra.file_reader(path)


class _nothing:  # noqa: N801
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


# Numbers ----------------------------------------------------------------------------------


def numbers(text, comma=DIVIDES):
    values = np.empty(len(text) // 2 + 1)
    content = np.frombuffer(text, np.uint8)
    n, status, at, *lines = read_numbers(content, 0, len(text), comma, values)
    return values[:n].tolist(), status, at, lines


def test_numbers():
    assert numbers(b"1 2\n3 4\r\n5") == ([1, 2, 3, 4, 5], DONE, 10, [2, 9, 1])
    assert numbers(b"1,5;2", DECIMAL)[:2] == ([1.5, 2], DONE)
    assert numbers(b"1,5;2")[:2] == ([1, 5, 2], DONE)
    assert numbers(b"1e5\t-2.5D-3 .5 5. +7")[0] == [1e5, -2.5e-3, 0.5, 5, 7]
    for strange in (b"--5", b"1e", b"1.2.3", b"e5", b"-", b"5x", b"0x10", b"1_000"):
        assert numbers(strange)[:2] == ([], STRANGE)
    for long in (b"9007199254740993", b"1e-23", b"1e23", b"9623564.797315590084"):
        assert numbers(long)[:2] == ([], LONG)
    assert numbers(b"0e99999999999")[0] == [0]


def test_numbers_are_exact():
    """As Python's, to the last bit."""
    rng = np.random.default_rng(0)
    sizes = 10.0 ** rng.uniform(-9, 9, 3000)
    digits = rng.integers(0, 15, 3000)
    texts = [f"{x:.{n}E}" for x, n in zip(sizes, digits, strict=True)]
    texts += [f"{x:.{n}f}" for x, n in zip(sizes, digits, strict=True)]
    n_exact = 0
    for text in texts:
        values, status, *_ = numbers(text.encode())
        assert status in (DONE, LONG)
        if status == DONE:
            n_exact += 1
            assert values == [float(text)]
    assert n_exact > 5000


def test_pickled(tmp_path):
    path = builder.write_map(tmp_path / "a.mca")
    s = hs.load(path, lazy=True)
    np.testing.assert_array_equal(
        pickle.loads(pickle.dumps(s.data)), builder.make_counts()
    )
