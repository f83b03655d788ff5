"""MSA files in every form that programs write, next to RosettaSciIO as another reader."""

import contextlib
import datetime
import time
import warnings

import exspy
import hyperspy.api as hs
import numpy as np
import pytest
from rsciio.msa import file_reader as upstream_reader

from rsciio_xfm.core.dates import parse_date, parse_time
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.msa import file_reader, file_writer
from rsciio_xfm.signals import EDSXFMSpectrum
from tests.builders.msa import END, make_text
from tests.conftest import DATA

PAIRS = "-0.2, 1.\n-0.19, 2.\n-0.18, 3.\n-0.17, 4.\n"
EELS = """\
#FORMAT      : EMSA/MAS Spectral Data File
#VERSION     : 1.0
#TITLE       : NIO EELS OK SHELL
#TITLE       :  - second line
#DATE        : 01-OCT-1991
#TIME        : 12:00:30
#OWNER       : EMSA/MAS TASK FORCE
#NPOINTS     : 4.
#NCOLUMNS    : 2.
#XUNITS      : eV
#YUNITS      : Intensity
#DATATYPE    : XY
#XPERCHAN    : 3.1
#OFFSET      : 520.13
#CHOFFSET    : -168
#SIGNALTYPE  : ELS
#XLABEL      : Energy
#YLABEL      : Counts
#BEAMKV   -kV: 120.0
#EMISSION -uA: 5.5
#PROBECUR -nA: 12.345
#CONVANGLE-mR: 1.5
#COLLANGLE-mR: 3.4
#OPERMODE    : IMAG
#THICKNESS-nm: 50.
#DWELLTIME-ms: 100.
#TAUWIND  -cm: 2.0 E-06
#ELSDET      : SERIAL
#COMMENT     : The next two lines are the user's
##ALPHA-1    : 3.1415926535
##RESTMASS   : 511.030
#SPECTRUM    : Spectral Data Starts Here
520.13, 4066.0, 523.22, 3996.0
526.32, 3932.0, 529.42, 3923.0
#ENDOFDATA   : Spectral Data Ends Here
"""
EDS = """\
#FORMAT      : EMSA/MAS SPECTRAL DATA FILE
#VERSION     : 1.0
#TITLE       : Bruker AXS spectrum
#DATE        : 19-NOV-2019
#TIME        : 11:42
#OWNER       : Bruker AXS
#NPOINTS     : 8.0
#NCOLUMNS    : 4.0
#XUNITS      : keV
#YUNITS      : Counts
#DATATYPE    : Y
#XPERCHAN    : 0.0099990
#OFFSET      : -0.9553045
#SIGNALTYPE  : EDS
#BEAMKV   -kV: {beam}
#XTILTSTGE-dg: 45.
#LIVETIME  -s: 119.994
#REALTIME  -s: 131.733
#ELEVANGLE-dg: 20.
#SOLIDANGL-sR: 0.13
##RTDET      : XFlash 430
#EDSDET      : SDD
##MNFWHM -keV: 0.1438759
#SPECTRUM    : DATA BEGINS HERE
     65.820,     67.872,      -1.0,   711.0,
       93.0,       0.0,       12.0,     4.0,
#ENDOFDATA   :
"""


@pytest.fixture
def read(tmp_path):
    """Write a text as it is, and read it; other warnings than the expected ones are errors."""

    def read(text, warns=None, **options):
        content = text if isinstance(text, bytes) else text.encode()
        (tmp_path / "a.msa").write_bytes(content)
        if warns is None:
            (found,) = file_reader(tmp_path / "a.msa", **options)
        else:
            with pytest.warns(UserWarning, match=warns) as caught:
                (found,) = file_reader(tmp_path / "a.msa", **options)
            assert len(caught) == 1 and str(tmp_path / "a.msa") in str(caught[0].message)
        return found

    return read


def real(*names):
    path = DATA.joinpath(*names)
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


def calibration(found):
    (axis,) = found["axes"]
    return axis["scale"], axis["offset"], axis["units"]


def eds(found):
    return found["metadata"]["Acquisition_instrument"]["TEM"]


# What RosettaSciIO reads right ------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [EELS, EDS.format(beam=20), EDS.format(beam=120), make_text()]
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_same_as_upstream(tmp_path, text, newline):
    path = tmp_path / "a.msa"
    path.write_bytes(text.replace("\n", newline).encode())
    (ours,), (theirs,) = file_reader(path), upstream_reader(path)
    assert ours.keys() == theirs.keys()
    assert ours["data"].dtype == theirs["data"].dtype
    np.testing.assert_array_equal(ours.pop("data"), theirs.pop("data"))
    assert ours == theirs


@pytest.mark.parametrize("element", ["Cr", "Cu", "Fe", "Ni", "Si", "Steel", "Ti"])
def test_files_of_bruker(element):
    path = real("fit", "rh_steel", f"{element}_50kv_50_ma_Rh_vac_D1.msa")
    (ours,), (theirs,) = file_reader(path), upstream_reader(path)
    np.testing.assert_array_equal(ours.pop("data"), theirs.pop("data"))
    assert ours == theirs
    assert ours["axes"][0]["size"] == 4096


# Variants ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a_pixlise_Y.msa", (7.9, -20, "eV")),
        ("g_no_datatype.msa", (0.01, -0.2, "keV")),
        ("h_lower_datatype.msa", (0.01, -0.2, "keV")),
    ],
)
def test_cases(name, expected):
    (found,) = file_reader(real("cases", name))
    assert found["data"].tolist() == [1, 2, 3, 4]
    assert calibration(found) == expected


@pytest.mark.parametrize(
    "text",
    [
        make_text(start="#SPECTRUM    :"),
        make_text(start="#SPECTRUM"),
        make_text(start="#spectrum: here").replace("#DATATYPE", "#datatype"),
        make_text(DATATYPE="y"),
        make_text(without=["DATATYPE"]),
        make_text(without=["DATATYPE", "NPOINTS"]),
        make_text(end=""),  # the number of channels is right
        make_text(NPOINTS="4.0 points"),
        make_text("1 2 3 4\n"),
        make_text("1,2,3,4\n"),
        make_text("1, 2,\n3, 4,\n"),
        make_text("1;2\t3 4\n", NCOLUMNS="4"),
        make_text("1.0E+00 2.D0 0.3e1 4\n"),
        make_text("1,0\n2,0\n3,0\n4,0\n"),
        make_text("1,0, 2,0,\n3,0, 4,0,\n"),
        make_text(
            "1,0 2,0 3,0 4,0\n", XPERCHAN="0,01", OFFSET="-0,2", without=["NPOINTS"]
        ),
        make_text("\n1\n\n2\n# a comment\n3\n4\n"),
        make_text(PAIRS, DATATYPE="XY"),
        make_text(PAIRS, DATATYPE="xy"),
        make_text(PAIRS, without=["DATATYPE"]),
        make_text(PAIRS, without=["DATATYPE", "NPOINTS"]),
        make_text(PAIRS, without=["DATATYPE", "NPOINTS", "XPERCHAN", "OFFSET"]),
        make_text(PAIRS, DATATYPE="XY", without=["XPERCHAN", "OFFSET"]),
        make_text(PAIRS.replace(".", ",").replace(", ", "; "), without=["DATATYPE"]),
        make_text("-0,2,1\n-0,19,2\n-0,18,3\n-0,17,4\n", DATATYPE="XY"),
        make_text("-0.2 1. -0.19 2.\n-0.18 3. -0.17 4.\n", DATATYPE="XY", NCOLUMNS="2"),
        make_text(XPERCHAN="10 eV per channel", OFFSET="-200 eV"),
        make_text(XPERCHAN="0.01 keV", OFFSET="-0.2 keV", without=["XUNITS"]),
        make_text(XPERCHAN="1.0 E-02"),
        make_text(without=["OFFSET"], lines=["#OFFSET -0.2"]),
        make_text(without=["XPERCHAN"], lines=["#XPERCHAN -eV: 10"]),
        make_text(lines=["##OFFSET     : 7", "# no keyword", "##KEY"]),
        make_text(LIVETIME="10 s"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_variants(read, text, newline):
    found = read(text.replace("\n", newline))
    assert found["data"].tolist() == [1, 2, 3, 4]
    assert found["data"].dtype == np.float64
    assert calibration(found) == pytest.approx((0.01, -0.2, "keV"))
    assert eds(found)["Detector"]["EDS"]["live_time"] == 10
    assert eds(found)["beam_energy"] == 20
    assert found["metadata"]["Signal"]["signal_type"] == "EDS_SEM"
    assert found["metadata"]["General"]["date"] == "1991-10-01"


def test_keywords_are_kept(read):
    lines = ["##OXINSTLABEL: 8, 0.525, O", "##OXINSTLABEL: 26, 6.4, Fe", "# some words"]
    lines += ["##OFFSET     : 7", "#UNHEARD-OF  : a: b", "#LIVETIME  -s: 10"]
    found = read(make_text(lines=lines, without=["LIVETIME"]))["original_metadata"]
    assert found["OXINSTLABEL"] == ["8, 0.525, O", "26, 6.4, Fe"]
    assert found["UNHEARD-OF"] == "a: b"
    assert found["LIVETIME  -s"] == 10
    assert found["OFFSET"] == -0.2 and found["##OFFSET"] == "7"
    assert found["some words"] is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["#BEAMKV   -eV: 20000"], 20),
        (["#BEAMKV      : 20000 eV"], 20),
        (["#BEAMKV  -keV: 20"], 20),
        (["#BEAMKV      : 20 kV, sometimes"], 20),
    ],
)
def test_units_of_other_size(read, lines, expected):
    found = read(
        make_text(lines=[*lines, "#LIVETIME -ms: 10000"], without=["LIVETIME", "BEAMKV"])
    )
    assert eds(found)["beam_energy"] == expected
    assert eds(found)["Detector"]["EDS"]["live_time"] == 10
    assert eds(found)["Detector"]["EDS"]["live_time_units"] == "s"
    assert found["original_metadata"]["LIVETIME -ms"] == 10000


@pytest.mark.parametrize(
    "title",
    ["sample: spot 3", "12:30", "a : b : c", "Brünhilde µ", "Χαλκός", "日本の土", "Ã©"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_titles(read, title, encoding):
    try:
        content = make_text(TITLE=title).encode(encoding)
    except UnicodeEncodeError:
        return
    given = {"encoding": "latin-1"} if (title, encoding) == ("Ã©", "latin-1") else {}
    found = read(content, **given)
    assert found["metadata"]["General"]["title"] == title
    assert found["data"].tolist() == [1, 2, 3, 4]


def test_energies_of_the_data(read):
    given = make_text("0, 1\n1, 2\n2, 3\n3, 4\n", DATATYPE="XY")
    found = read(given, "others than #XPERCHAN")
    assert calibration(found) == (1, 0, "keV")
    text = make_text("0, 1\n1, 2\n4, 3\n9, 4\n", DATATYPE="XY", without=["XPERCHAN"])
    (axis,) = read(text)["axes"]
    assert axis["axis"].tolist() == [0, 1, 4, 9] and "scale" not in axis
    falling = "3.5 1\n3.25 2\n3 3\n2.75 4\n"
    found = read(make_text(falling, DATATYPE="XY", without=["XPERCHAN", "OFFSET"]))
    assert calibration(found) == (-0.25, 3.5, "keV")
    wrong = make_text("0, 1\n1, 2\n1, 3\n9, 4\n", DATATYPE="XY")
    assert calibration(read(wrong, "neither rise nor fall")) == (0.01, -0.2, "keV")


def test_uneven_energies_as_a_signal(read, tmp_path):
    read(make_text("0, 1\n1, 2\n4, 3\n9, 4\n", DATATYPE="XY", without=["XPERCHAN"]))
    s = hs.load(tmp_path / "a.msa")
    assert isinstance(s, exspy.signals.EDSSEMSpectrum)
    assert not s.axes_manager[0].is_uniform
    s.save(tmp_path / "b.msa")
    again = hs.load(tmp_path / "b.msa")
    assert again.axes_manager[0].axis.tolist() == [0, 1, 4, 9]
    assert again.data.tolist() == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="not even, expected format='XY'"):
        s.save(tmp_path / "b.msa", format="Y", overwrite=True)


def test_energies_by_a_function(tmp_path):
    s = hs.signals.Signal1D(
        np.arange(4), axes=[{"expression": "x**2", "x": {"size": 4}, "navigate": False}]
    )
    with pytest.raises(ValueError, match="are a function, expected numbers"):
        s.save(tmp_path / "a.msa")
    s.axes_manager[0].convert_to_non_uniform_axis()
    s.save(tmp_path / "a.msa")
    assert hs.load(tmp_path / "a.msa").axes_manager[0].axis.tolist() == [0, 1, 4, 9]


def test_lazy(tmp_path):
    (tmp_path / "a.msa").write_text(make_text())
    s = hs.load(tmp_path / "a.msa", lazy=True)
    assert s._lazy
    assert s.data.compute().tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("extension", ["msa", "emsa", "ems", "mas", "EMSA"])
def test_extensions(tmp_path, extension):
    (tmp_path / f"a.{extension}").write_text(make_text())
    assert hs.load(tmp_path / f"a.{extension}").data.tolist() == [1, 2, 3, 4]


# Damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "warns", "expected"),
    [
        (make_text(NPOINTS="3"), "NPOINTS is 3, and 4 channels", [1, 2, 3, 4]),
        (make_text(NPOINTS="5"), "NPOINTS is 5, and 4 channels", [1, 2, 3, 4]),
        (make_text("1.\n2.\n", end=""), "NPOINTS is 4, and 2 channels", [1, 2]),
        (make_text(without=["NPOINTS"], end=""), "has no #ENDOFDATA", [1, 2, 3, 4]),
        (make_text("1, \n2, \n3, \n40", end=""), "within a number", [1, 2, 3]),
        (make_text("1\n2\n30", end=""), "within a number", [1, 2]),
        (make_text("1\n2\n3\n4", end=""), "may have been longer", [1, 2, 3, 4]),
        (make_text("-0.2, 1\n-0.19, 2\n-0.1", DATATYPE="XY", end=""), "within", [1, 2]),
        (
            make_text("-0.2, 1\n-0.19, 2\n-0.1, ", DATATYPE="XY", end=""),
            "is 4, and 2",
            [1, 2],
        ),
        (make_text("1\n2\n3\n", end="\0" * 600), "NPOINTS is 4, and 3", [1, 2, 3]),
        (make_text(end=END + "\n1\n2\n"), "behind #ENDOFDATA was left out", [1, 2, 3, 4]),
        (make_text(DATATYPE="Q"), "DATATYPE is 'Q'", [1, 2, 3, 4]),
        (make_text(PAIRS), "DATATYPE is Y, and the data are XY", [1, 2, 3, 4]),
        (make_text(DATATYPE="XY"), "DATATYPE is XY, and the data are Y", [1, 2, 3, 4]),
        (make_text(NPOINTS="many"), "NPOINTS is 'many', expected a number", [1, 2, 3, 4]),
        (make_text(NPOINTS="4.5"), "expected a whole number", [1, 2, 3, 4]),
        (make_text(SIGNALTYPE="BRIAN"), "SIGNALTYPE is 'BRIAN'", [1, 2, 3, 4]),
        (make_text(lines=["words"]), "is no keyword", [1, 2, 3, 4]),
        (make_text(lines=["#LIVETIME    : 11"]), "LIVETIME is 10 and", [1, 2, 3, 4]),
        (
            make_text(DATE="03/12/2009"),
            "DATE is '03/12/2009', which is not",
            [1, 2, 3, 4],
        ),
        (make_text(TIME="12:100"), "TIME is '12:100', which is not", [1, 2, 3, 4]),
    ],
)
def test_salvaged_with_a_warning(read, text, warns, expected):
    assert read(text, warns)["data"].tolist() == expected


def test_calibration_that_is_none(read):
    found = read(make_text(XPERCHAN="ten"), "XPERCHAN is 'ten', expected a number")
    assert calibration(found) == (1, -0.2, "keV")
    assert calibration(read(make_text(XPERCHAN="0"), "XPERCHAN is 0"))[0] == 1


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", FileFormatError, "its beginning is empty"),
        ("\n\n", FileFormatError, "is no MSA file"),
        ("energy,counts\n1,2\n", FileFormatError, r"'energy,counts.* expected '#FORMAT"),
        ("#!/bin/sh\necho\n", FileFormatError, "is no MSA file"),
        ("#F a.spec\n#S 1\n", FileFormatError, "is no MSA file"),
        (make_text()[:100], TruncatedFileError, "ends within its keywords"),
        (make_text("", end=""), TruncatedFileError, "no numbers behind #SPECTRUM"),
        (
            make_text("1\n2x\n3\n4\n"),
            CorruptFileError,
            r"have '2x', expected a number \(byte",
        ),
        (make_text("1\n2_0\n3\n4\n"), CorruptFileError, "have '2_0'"),
        (
            make_text("1 2 3\n4 5 6\n", DATATYPE="XY"),
            CorruptFileError,
            "3 numbers.*pairs",
        ),
    ],
)
def test_errors(read, tmp_path, text, error, message):
    with pytest.raises(error, match=message) as caught:
        read(text)
    assert str(tmp_path / "a.msa") in str(caught.value)


def test_a_large_file_of_another_kind_is_not_read(tmp_path):
    path = tmp_path / "video.msa"
    with path.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(FileFormatError, match="is no MSA file"):
        file_reader(path)


@pytest.mark.parametrize(
    "text",
    [
        make_text(REALTIME="1" * 100_000 + "a"),
        make_text(f"{'1' * 100_000}a\n2\n3\n4\n"),
        "#COMMENT     : " + f"\n#COMMENT     : {'x' * 64}" * 30_000 + make_text(),
        "".join(f"##A         : {i}\n" for i in range(60_000)) + make_text(),
    ],
    ids=["keyword", "number", "comments", "keywords"],
)
def test_time_that_does_not_grow_with_the_square(read, text):
    """Of the size; of these the first took minutes, the last seconds."""
    start = time.thread_time()  # of the processor: machines are shared
    with contextlib.suppress(CorruptFileError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read(text)
    assert time.thread_time() - start < 2


def test_a_file_that_is_no_single_spectrum(read):
    """Memory is some hundred bytes for each line."""
    with pytest.raises(
        FileFormatError, match="more than 33554432 bytes or 2097152 lines"
    ):
        read(make_text("1\n" * (2**22 + 1)))
    with pytest.raises(FileFormatError, match="more than 33554432 bytes"):
        read(make_text("1" * 2**25))


def test_long_list_of_problems(read):
    """A warning of megabytes, one sentence for each line."""
    text = "".join(f"#LIVETIME    : {i} s\n" for i in range(1000)) + "no keyword\n" * 1000
    with pytest.warns(UserWarning) as caught:
        read(text + make_text())
    (message,) = (str(w.message) for w in caught)
    assert len(message) < 2000
    assert "#LIVETIME is 0 and, in a later line, 1" in message and " more." in message


# What was saved comes back ----------------------------------------------------------------


@pytest.mark.parametrize("kind", ["EDS_XFM", "EDS_SEM", "EDS_TEM", "EELS", "CL", ""])
@pytest.mark.parametrize("beam", [5, 30, 50, 200])
@pytest.mark.parametrize("format", ["Y", "XY"])
def test_type_and_times_come_back(tmp_path, kind, beam, format):
    s = hs.signals.Signal1D(np.arange(16, dtype=np.uint32))
    s.set_signal_type("EDS_TEM" if kind == "EDS_TEM" else kind)
    node = "TEM" if kind in ("EDS_TEM", "EELS") else "SEM"
    s.metadata.set_item(f"Acquisition_instrument.{node}.beam_energy", beam)
    s.metadata.set_item("General.title", "sample: Χαλκός")
    s.metadata.set_item("General.date", "2022-10-26")
    s.metadata.set_item("General.time", "10:55:23.250000")
    if kind.startswith("EDS"):
        for name, seconds in (("live_time", 1 / 3), ("real_time", 0.5)):
            s.metadata.set_item(
                f"Acquisition_instrument.{node}.Detector.EDS.{name}", seconds
            )
    s.save(tmp_path / "a.msa", format=format)
    again = hs.load(tmp_path / "a.msa")
    assert type(again) is type(s)
    assert again.data.dtype == np.uint32
    np.testing.assert_array_equal(again.data, s.data)
    for name in ("title", "date", "time"):
        assert again.metadata.General[name] == s.metadata.General[name]
    if kind.startswith("EDS"):
        instruments = [
            x.metadata.Acquisition_instrument[node].as_dictionary() for x in (again, s)
        ]
        assert instruments[0] == instruments[1]


@pytest.mark.parametrize("code", "?bBhHiIlLqQefd")
def test_every_type_of_numbers(tmp_path, code):
    dtype = np.dtype(code)
    if dtype.kind == "f":
        data = np.array([0.1, -1e4, np.nan, np.inf], dtype)
    elif dtype.kind == "b":
        data = np.array([True, False])
    else:
        info = np.iinfo(dtype)
        data = np.array([info.min, info.max, 1], dtype)
    hs.signals.Signal1D(data).save(tmp_path / "a.msa")
    again = hs.load(tmp_path / "a.msa").data
    assert again.dtype == dtype
    np.testing.assert_array_equal(again, data)


@pytest.mark.parametrize(
    "data",
    [np.array([1 + 2j, 3]), np.array([1, "a"], dtype=object), np.array(["a", "b"])],
)
def test_what_are_no_real_numbers_is_refused(tmp_path, data):
    s = {"data": data, "axes": [{"size": 2, "scale": 1, "offset": 0}], "metadata": {}}
    (tmp_path / "a.msa").write_text("precious")
    with pytest.raises(TypeError, match="expected real numbers"):
        file_writer(tmp_path / "a.msa", s)
    assert (tmp_path / "a.msa").read_text() == "precious"


def test_more_digits_than_float64(tmp_path):
    if np.dtype(np.longdouble).itemsize == 8:
        pytest.skip("there is no longer type on this machine")
    s = hs.signals.Signal1D(np.array([1, 1 + np.finfo(np.longdouble).eps]))
    with pytest.raises(ValueError, match="more digits than float64"):
        s.save(tmp_path / "a.msa")
    s.data[1] = 0.1 + 0.2  # which are float64's
    s.save(tmp_path / "a.msa")
    assert hs.load(tmp_path / "a.msa").data.tolist() == [1, 0.1 + 0.2]


@pytest.mark.parametrize(
    "text",
    ["2009-03-12", "2009/03/12", "12.03.2009", "12-mar-2009", "in spring", "12:00"],
)
def test_dates_of_metadata_come_back(tmp_path, text):
    s = EDSXFMSpectrum(np.arange(3))
    s.metadata.set_item("General.date", text)
    s.metadata.set_item("General.time", text)
    s.save(tmp_path / "a.msa")
    again = hs.load(tmp_path / "a.msa")
    assert again.metadata.General.date == text
    assert again.metadata.General.time == text


@pytest.mark.parametrize(
    "title",
    [
        "x" * 200,
        "word " * 40 + "end",
        "a" * 63 + "  " + "b" * 70,
        "ends # here",
        " é" * 60,
    ],
)
def test_long_titles(tmp_path, title):
    s = EDSXFMSpectrum(np.arange(3))
    s.metadata.General.title = title.strip()
    s.save(tmp_path / "a.msa")
    lines = (tmp_path / "a.msa").read_bytes().split(b"\r\n")
    assert max(map(len, lines)) <= 80
    assert hs.load(tmp_path / "a.msa").metadata.General.title == title.strip()
    (theirs,) = upstream_reader(tmp_path / "a.msa")
    assert theirs["metadata"]["General"]["title"] == title.strip()


@pytest.mark.parametrize(
    ("title", "encoding"),
    [("plain", "ascii"), ("Fe Kβ", "utf-8"), ("5 µm", "latin-1"), ("Ã©", "utf-8")],
)
def test_encoding_of_what_is_written(tmp_path, title, encoding):
    s = EDSXFMSpectrum(np.arange(3))
    s.metadata.General.title = title
    s.save(tmp_path / "a.msa")
    assert (
        f"#TITLE       : {title}\r\n".encode(encoding)
        in (tmp_path / "a.msa").read_bytes()
    )
    assert hs.load(tmp_path / "a.msa").metadata.General.title == title


def test_letters_that_an_encoding_does_not_have_are_said(tmp_path):
    s = EDSXFMSpectrum(np.arange(3))
    s.metadata.General.title = "Fe Kβ"
    with pytest.warns(UserWarning, match="latin-1 does not have 'β'"):
        s.save(tmp_path / "a.msa", encoding="latin-1")
    assert hs.load(tmp_path / "a.msa").metadata.General.title == "Fe K?"


def test_other_keywords_come_back(tmp_path):
    lines = [
        "##OXINSTLABEL: 8, O",
        "##OXINSTLABEL: 26, Fe",
        "# words",
        "##OFFSET     : 7",
    ]
    lines += ["#SOLIDANGL-sR: 0.13", "##ALPHA-1    : 3.1415926535", "#EMISSION -uA: 5.5"]
    (tmp_path / "a.msa").write_text(
        make_text(lines=lines, SIGNALTYPE="XRF", OWNER="Curie")
    )
    s = hs.load(tmp_path / "a.msa")
    s.save(tmp_path / "b.msa")
    again = hs.load(tmp_path / "b.msa").original_metadata.as_dictionary()
    assert again.pop("COMMENT").startswith("File created by rsciio_xfm")
    assert again.pop("XLABEL") == ""
    assert again == s.original_metadata.as_dictionary()


def test_a_spectrum_that_another_program_changed(tmp_path):
    EDSXFMSpectrum(np.arange(3, dtype=np.uint8)).save(tmp_path / "a.msa")
    text = (tmp_path / "a.msa").read_text().replace("\n2, ", "\n700, ")
    (tmp_path / "a.msa").write_text(text)
    found = hs.load(tmp_path / "a.msa").data
    assert found.dtype == np.float64 and found.tolist() == [0, 1, 700]


# Dates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "12-MAR-2009", "12-mar-2009", "12-Mrz-2009", "12-MÄR-2009", "12. März 2009",
        "12-MARS-2009", "2009-03-12", "2009/03/12", "2009-03-12T10:00:00", "12.03.2009",
        "12.3.2009", "20090312", "12 March 2009", "12 Mar. 2009", "Mar 12, 2009",
        "Thu Mar 12 2009", "Thu Mar 12 10:00:00 2009",
    ],
)  # fmt: skip
def test_dates(text):
    assert parse_date(text) == datetime.date(2009, 3, 12)


@pytest.mark.parametrize(
    ("text", "month"),
    [
        ("1-Mai-2009", 5), ("1-Okt-2009", 10), ("1-Dez-2009", 12), ("1 février 2009", 2),
        ("1 avr. 2009", 4), ("1-juin-2009", 6), ("1-juil-2009", 7), ("1 août 2009", 8),
        ("1-déc-2009", 12), ("1-SEPT-2009", 9),
    ],
)  # fmt: skip
def test_months(text, month):
    assert parse_date(text) == datetime.date(2009, month, 1)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "03/12/2009", "31-FEB-2009", "12-XYZ-2009", "1-1-09", "99.99.2009"],
)
def test_no_dates(text):
    assert parse_date(text) is None


def test_dates_in_one_order_only():
    assert parse_date("03/25/2009") == datetime.date(2009, 3, 25)
    assert parse_date("25/03/2009") == datetime.date(2009, 3, 25)
    assert parse_date("03/03/2009") == datetime.date(2009, 3, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12:00", (12, 0)), ("12:00:30", (12, 0, 30)), ("12:00:30.5", (12, 0, 30, 500_000)),
        ("1:05 PM", (13, 5)), ("12:05 am", (0, 5)), ("9.30", (9, 30)), ("1:05 p.m.", (13, 5)),
        ("12:00:00+02:00", (12, 0)),
    ],
)  # fmt: skip
def test_times(text, expected):
    assert parse_time(text) == datetime.time(*expected)


@pytest.mark.parametrize("text", ["", "12:100", "24:00", "13:05 PM", "noon", "12"])
def test_no_times(text):
    assert parse_time(text) is None
