"""Spectra saved as MSA come back with what EDS needs, whatever was saved before."""

import dask.array as da
import exspy
import hyperspy.api as hs
import numpy as np
import pytest
from rsciio.msa import file_writer as upstream_writer

from rsciio_xfm.signals import EDSXFMSpectrum
from tests.builders import geopixe as builder


@pytest.fixture(params=["lazy", "eager"])
def s(request, tmp_path):
    path = builder.write_map(tmp_path / "map.GeoPIXE")
    return hs.load(path, lazy=request.param == "lazy").inav[1:4].sum()


def keywords(path):
    lines = path.read_text(encoding="latin-1").splitlines()
    pairs = [line[1:].split(":", 1) for line in lines if line.startswith("#")]
    return {key.strip(): value.strip() for key, value in pairs}


def eds(signal):
    instrument = signal.metadata.Acquisition_instrument
    return instrument.SEM if instrument.has_item("SEM") else instrument.TEM


@pytest.mark.parametrize("arguments", [{}, {"format": "XY"}])
def test_round_trip(s, tmp_path, arguments):
    path = tmp_path / "sum.msa"
    s.save(path, **arguments)
    for kwds in ({}, {"signal_type": "EDS_XFM"}):
        again = hs.load(path, **kwds)
        assert isinstance(again, exspy.signals.EDSSpectrum)
        np.testing.assert_array_equal(again.data, np.asarray(s.data))
        assert again.axes_manager[0].scale == pytest.approx(0.01)
        assert again.axes_manager[0].units == "keV"
        assert eds(again).beam_energy == 50
        expected = s.metadata.Acquisition_instrument.SEM.Detector.EDS
        assert eds(again).Detector.EDS.live_time == pytest.approx(expected.live_time)
        assert eds(again).Detector.EDS.real_time == pytest.approx(expected.real_time)
        assert eds(again).Detector.EDS.elevation_angle == 20
        assert again.metadata.General.date == "2022-10-26"
        assert again.metadata.General.time == "10:55:00"
    assert isinstance(again, EDSXFMSpectrum)


def test_keywords_in_the_standards_order(s, tmp_path):
    path = tmp_path / "sum.msa"
    s.save(path)
    found = keywords(path)
    assert list(found)[:6] == ["FORMAT", "VERSION", "TITLE", "DATE", "TIME", "OWNER"]
    assert found["SIGNALTYPE"] == "EDS"
    assert found["DATE"] == "26-OCT-2022"
    assert found["TIME"] == "10:55"
    assert float(found["BEAMKV"]) == 50


def test_the_signal_is_unchanged(s, tmp_path):
    before = s.metadata.as_dictionary()
    original = s.original_metadata.as_dictionary()
    s.save(tmp_path / "sum.msa")
    assert s.metadata.Signal.signal_type == "EDS_XFM"
    assert list(s.metadata.as_dictionary()) == list(before)
    assert s.metadata.has_item("Acquisition_instrument.SEM.Detector.EDS.dead_time")
    assert not s.metadata.has_item("Acquisition_instrument.TEM")
    assert s.original_metadata.as_dictionary() == original


@pytest.mark.parametrize("first", ["EDS_SEM", "EDS_TEM", "EDS_XFM"])
def test_several_types_in_one_process(s, tmp_path, first):
    """RosettaSciIO's writer remembers the type that it wrote first."""
    for i, kind in enumerate([first, "EDS_TEM", "EDS_XFM", "EDS_SEM", "EDS_XFM"]):
        other = s.deepcopy()
        other.set_signal_type(kind)
        path = tmp_path / f"{i}.msa"
        other.save(path)
        assert keywords(path)["SIGNALTYPE"] == "EDS"
        assert float(keywords(path)["BEAMKV"]) == 50
        assert float(keywords(path)["LIVETIME"]) > 0


def test_after_rosettasciio_wrote(s, tmp_path):
    """It wrote an EDS_SEM signal, and looks for a SEM ever since."""
    s = s.deepcopy()
    s.compute(show_progressbar=False) if s._lazy else None
    s.set_signal_type("EDS_SEM")
    upstream_writer(str(tmp_path / "theirs.msa"), s._to_dictionary())
    for kind in ("EDS_TEM", "EELS", "EDS_SEM"):
        s.set_signal_type("EDS_TEM")  # where the node of the instrument is
        s.set_signal_type(kind)
        s.save(tmp_path / f"{kind}.msa")
        assert float(keywords(tmp_path / f"{kind}.msa")["BEAMKV"]) == 50


@pytest.mark.parametrize("kind", ["EDS_TEM", "EDS_SEM", "EDS_XFM", "EELS", ""])
def test_lazy_spectrum_is_computed_once(tmp_path, kind):
    computed = []

    def count(block):
        computed.append(block.shape)
        return block

    data = da.map_blocks(count, da.arange(64, chunks=32), meta=np.empty(0, int))
    s = hs.signals.Signal1D(data).as_lazy()
    s.set_signal_type(kind)
    s.save(tmp_path / "a.msa")
    assert computed == [(32,), (32,)]
    np.testing.assert_array_equal(hs.load(tmp_path / "a.msa").data, np.arange(64))


def test_other_keywords_of_a_file_are_kept(s, tmp_path):
    s.save(tmp_path / "a.msa")
    again = hs.load(tmp_path / "a.msa", signal_type="EDS_TEM")
    again.original_metadata.add_dictionary({"EMISSION": 12.0, "LIVETIME-s": 99.0})
    again.save(tmp_path / "b.msa")
    found = keywords(tmp_path / "b.msa")
    assert found["EMISSION"] == "12.0" and "LIVETIME-s" not in found


@pytest.mark.filterwarnings("ignore:The 'extension' parameter:FutureWarning")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("a.msa", {}),
        ("a.MSA", {}),
        ("a.emsa", {}),
        ("a", {"extension": "msa"}),
        ("a.dat", {"extension": ".msa"}),
        ("a.txt", {"file_format": "MSA"}),
    ],
)
def test_all_ways_to_name_the_format(s, tmp_path, name, arguments):
    s.save(tmp_path / name, **arguments)
    (path,) = set(tmp_path.glob("a*"))
    assert keywords(path)["SIGNALTYPE"] == "EDS"


def test_no_date(s, tmp_path):
    del s.metadata.General.date, s.metadata.General.time
    s.save(tmp_path / "sum.msa")
    assert keywords(tmp_path / "sum.msa")["DATE"] == ""
    again = hs.load(tmp_path / "sum.msa")
    assert "date" not in again.metadata.General


def test_saved_again_under_its_name(s, tmp_path):
    """Without a name, or in a folder: where it came from, in its format."""
    s.save(tmp_path / "sum.msa")
    assert str(s.tmp_parameters.folder) == str(tmp_path)
    assert (s.tmp_parameters.filename, s.tmp_parameters.extension) == ("sum", ".msa")
    again = hs.load(tmp_path / "sum.msa", signal_type="EDS_XFM")
    again.original_metadata.OWNER = "Curie"
    again.save(overwrite=True)
    assert keywords(tmp_path / "sum.msa")["SIGNALTYPE"] == "EDS"
    assert keywords(tmp_path / "sum.msa")["OWNER"] == "Curie"
    (tmp_path / "other").mkdir()
    again.save(tmp_path / "other")
    assert keywords(tmp_path / "other" / "sum.msa")["SIGNALTYPE"] == "EDS"


def test_a_lazy_map_is_refused_before_it_is_read(tmp_path, monkeypatch):
    s = hs.load(builder.write_map(tmp_path / "map.GeoPIXE"), lazy=True)
    monkeypatch.setattr(type(s), "compute", None)
    with pytest.raises(TypeError, match="does not support this data"):
        s.save(tmp_path / "map.msa")


def test_overwrite_is_respected(s, tmp_path):
    path = tmp_path / "sum.msa"
    path.write_text("precious")
    s.save(path, overwrite=False)
    assert path.read_text() == "precious"
    s.save(path, overwrite=True)
    assert path.read_text() != "precious"


def test_a_map_is_refused_as_by_hyperspy(tmp_path):
    s = hs.load(builder.write_map(tmp_path / "map.GeoPIXE"))
    with pytest.raises(TypeError, match="does not support this data"):
        s.save(tmp_path / "map.msa")


@pytest.mark.parametrize("format", ["Y", "XY"])
@pytest.mark.parametrize("separator", [", ", ",", "  , "])
def test_counts_are_exact(tmp_path, format, separator):
    """RosettaSciIO's XY form keeps 6 digits of them."""
    counts = np.array([0, 1234567, 2**32 - 1, 2**40 + 1, 2**52 + 1], dtype=np.uint64)
    s = EDSXFMSpectrum(counts)
    s.axes_manager[0].trait_set(scale=0.0123456789, offset=-0.1, units="keV")
    path = tmp_path / "a.msa"
    s.save(path, format=format, separator=separator)
    found = hs.load(path, signal_type="EDS_XFM")
    np.testing.assert_array_equal(found.data, counts)
    body = path.read_bytes().split(b"Starts Here\r\n")[1].split(b"\r\n")
    assert len(body) == 6 and body[-1].startswith(b"#ENDOFDATA")
    if format == "XY":
        x, y = body[1].decode().split(separator)
        assert float(x) == pytest.approx(-0.0876543211, abs=1e-11)
        assert y == "1234567"
    assert list(tmp_path.iterdir()) == [path]
    # what is there and not to be overwritten stays
    path.write_text("precious")
    s.save(path, format=format, separator=separator, overwrite=False)
    assert path.read_text() == "precious"


def test_small_numbers_are_kept(tmp_path):
    s = EDSXFMSpectrum(np.array([1e-9, 0.1 + 0.2, 1e9]))
    s.save(tmp_path / "a.msa")
    np.testing.assert_array_equal(hs.load(tmp_path / "a.msa").data, s.data)


@pytest.mark.parametrize("kind", ["EDS_SEM", "EELS", ""])
@pytest.mark.parametrize("format", ["Y", "XY"])
def test_every_digit(tmp_path, kind, format):
    for data in ([8e-10, 0.1 + 0.2], [123456789, 987654321], [True, False]):
        s = hs.signals.Signal1D(np.array(data))
        s.set_signal_type(kind)
        s.metadata.General.title = "two\nlines"
        s.save(tmp_path / "a.msa", format=format, overwrite=True)
        again = hs.load(tmp_path / "a.msa")
        np.testing.assert_array_equal(again.data, data)
        assert again.metadata.General.title == "two lines"
        assert again.axes_manager[0].units in ("", s.axes_manager[0].units)


def test_odd_metadata(tmp_path):
    s = hs.signals.Signal1D(np.arange(3))
    s.set_signal_type("EDS_TEM")
    s.save(tmp_path / "a.msa")
    s = hs.load(tmp_path / "a.msa")
    s.metadata.set_item("Sample.thickness", np.arange(3))
    s.original_metadata.add_dictionary({"THICKNESS": 3.0, "DATE": "1 Oct 1991"})
    s.save(tmp_path / "b.msa")
    assert keywords(tmp_path / "b.msa")["DATE"] == "1 Oct 1991"


def test_file_with_units_comes_back(tmp_path):
    """Keywords with their units, as other programs write them, and what they say."""
    lines = [
        "#FORMAT      : EMSA/MAS Spectral Data File",
        "#VERSION     : 1.0",
        "#TITLE       : NiO",
        "#DATE        : 01-OCT-1991",
        "#TIME        : 12:00",
        "#OWNER       : Curie",
        "#NPOINTS     : 3.",
        "#NCOLUMNS    : 1.",
        "#XUNITS      : eV",
        "#YUNITS      : Intensity",
        "#YLABEL      : X-RAY INTENSITY",
        "#DATATYPE    : Y",
        "#XPERCHAN    : 10.0",
        "#OFFSET      : 200.0",
        "#SIGNALTYPE  : EDS",
        "#BEAMKV   -kV: 120.0",
        "#LIVETIME  -s: 100.0",
        "#ELEVANGLE-dg: 20.0",
        "#EDSDET      : SIWLS",
        "#SPECTRUM    : Spectral Data Starts Here",
        "65, 67, 68,",
        "#ENDOFDATA   : End Of Data and File",
    ]
    (tmp_path / "a.msa").write_text("\r\n".join(lines))
    s = hs.load(tmp_path / "a.msa")
    s.save(tmp_path / "b.msa")
    again = hs.load(tmp_path / "b.msa")
    trees = [x.metadata.as_dictionary() for x in (s, again)]
    for tree in trees:
        del tree["General"]["FileIO"], tree["General"]["original_filename"]
    assert trees[0] == trees[1]
    np.testing.assert_array_equal(again.data, s.data)
