"""Pairs of ``.hmsa`` and ``.xml`` files: of a builder, of pyhmsa, of instruments, and ours."""

import pickle
import shutil
from pathlib import Path

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from click.testing import CliRunner

from rsciio_xfm import geopixe, hmsa
from rsciio_xfm._register import find_reader
from rsciio_xfm.cli import main
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.hmsa import file_reader, file_writer
from rsciio_xfm.formats.hmsa.write import is_original
from tests.builders import geopixe as geopixe_builder
from tests.builders import hmsa as builder
from tests.conftest import DATA

REAL = DATA / "hmsa"
# Written by pyhmsa 0.2.0: a map of int16, 100 x + 10 y + channel; an image of 10 x + y; a list
# of three spectra, number + 0.5 channel.
GOLDEN = Path(builder.__file__).with_name("hmsa_golden.xml")
GOLDEN_BYTES = bytes.fromhex(
    "6d9ee79f390ca3710000010064006500c800c9002c012d010a000b006e006f00d200d30036013701"
    "1400150078007900dc00dd0040014101000a141e010b151f020c1620000000000000003f0000803f"
    "0000c03f0000004000002040"
)


def read(path, **options):
    (signal,) = file_reader(path, **options)
    return signal


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.hmsa")


@pytest.fixture
def golden(tmp_path):
    shutil.copy(GOLDEN, tmp_path / "golden.xml")
    (tmp_path / "golden.hmsa").write_bytes(GOLDEN_BYTES)
    return tmp_path / "golden.hmsa"


def change(path, old, new):
    """Replace text in the XML."""
    xml = path.with_suffix(".xml")
    text = xml.read_text(encoding="utf-8")
    assert old in text
    xml.write_text(text.replace(old, new), encoding="utf-8")


class TestOfOthers:
    def test_golden(self, golden):
        map_, image, listed = file_reader(golden)[0], *file_reader(golden)[2:0:-1]
        y, x, e = np.indices((3, 4, 2))
        assert map_["data"].dtype == np.int16
        np.testing.assert_array_equal(map_["data"], 100 * x + 10 * y + e)
        np.testing.assert_array_equal(image["data"], (10 * x + y)[..., 0])
        np.testing.assert_array_equal(listed["data"], [[0, 0.5], [1, 1.5], [2, 2.5]])
        axes = [(a["name"], a["offset"], a["scale"], a["units"]) for a in map_["axes"]]
        assert axes == [
            ("y", 0, 3.0, "µm"), ("x", 0, 2.0, "µm"), ("Energy", -0.1, 0.01, "keV")
        ]  # fmt: skip
        general = map_["metadata"]["General"]
        assert general["title"] == "Golden Map" and general["authors"] == "A. Nobody"
        assert (general["date"], general["time"]) == ("2026-03-04", "05:06:07")
        sem = map_["metadata"]["Acquisition_instrument"]["SEM"]
        assert sem["beam_energy"] == 15.0 and sem["beam_current"] == 2.5
        expected = {"real_time": 0.5, "live_time": 0.4, "elevation_angle": 35.0}
        assert sem["Detector"]["EDS"] == expected

    def test_chosen(self, golden):
        assert read(golden, dataset_path="Image")["data"].shape == (3, 4)
        names = [s["original_metadata"]["Data"] for s in file_reader(golden)]
        assert names == ["Map", "List", "Image"]
        with pytest.raises(FileNotFoundError, match="no 'Other', expected of Map, Image"):
            file_reader(golden, dataset_path=["Map", "Other"])

    @pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")
    def test_measured_spectrum(self):
        """Counts and calibration as pyhmsa 0.2.0 reads them."""
        spectrum = read(REAL / "breccia_eds.xml")
        counts = spectrum["data"]
        assert counts.dtype == np.int64 and counts.shape == (4096,)
        assert counts.sum() == 32174147
        (axis,) = spectrum["axes"]
        assert axis["scale"] == pytest.approx(0.00249985, rel=1e-12)
        assert axis["offset"] == pytest.approx(-0.237098251, rel=1e-12)
        sem = spectrum["metadata"]["Acquisition_instrument"]["SEM"]
        assert sem["beam_energy"] == 15.0 and sem["beam_current"] == 47.59
        assert sem["Detector"]["EDS"]["elevation_angle"] == 40.0
        assert spectrum["metadata"]["General"]["title"] == "Breccia - EDS sum spectrum"
        assert hs.load(REAL / "breccia_eds.hmsa").metadata.Signal.signal_type == "EDS_XFM"

    @pytest.mark.skipif(not REAL.is_dir(), reason="the real files are not here")
    def test_made_files(self):
        map_ = read(REAL / "imageraster2dspectral.hmsa", lazy=True)
        expected = np.indices((6, 5, 7)).sum(axis=0)
        np.testing.assert_array_equal(map_["data"].compute(), expected)
        assert read(REAL / "analysis2d.hmsa")["data"].shape == (220, 220)


class TestMaps:
    @pytest.mark.parametrize(
        "dtype", ["u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<f4", "<f8"]
    )
    def test_counts(self, tmp_path, dtype):
        path = builder.write_map(tmp_path / "a.hmsa", (3, 4, 16), dtype)
        expected = builder.read_counts(path, (3, 4, 16), dtype)
        for chunks in ("auto", (2, 3, 5), (1, -1, -1)):
            lazy = read(path, lazy=True, chunks=chunks)["data"]
            assert isinstance(lazy, da.Array) and lazy.dtype == np.dtype(dtype)
            np.testing.assert_array_equal(lazy.compute(), expected)
        np.testing.assert_array_equal(read(path.with_suffix(".xml"))["data"], expected)

    def test_metadata(self, path):
        signal = read(path)
        axes = [(a["name"], a["offset"], a["scale"], a["units"]) for a in signal["axes"]]
        assert axes == [
            ("y", 0, 0.25, "µm"), ("x", 0, 0.5, "µm"), ("Energy", -0.1, 0.01, "keV")
        ]  # fmt: skip
        sem = signal["metadata"]["Acquisition_instrument"]["SEM"]
        assert sem["beam_energy"] == 20.0
        assert sem["beam_current"] == pytest.approx(2.0)  # nA
        expected = {"real_time": 0.25, "live_time": 0.2, "elevation_angle": 40.0}
        assert sem["Detector"]["EDS"] == expected
        assert signal["metadata"]["Signal"]["signal_type"] == "EDS_XFM"

    def test_transmission_microscope(self, path):
        change(path, ">20000\n", ">200000\n")
        assert read(path)["metadata"]["Signal"]["signal_type"] == "EDS_TEM"

    def test_hyperspy(self, path):
        counts = builder.read_counts(path, (4, 5, 48))
        for is_lazy in (False, True):
            s = hs.load(path, lazy=is_lazy)
            assert s._lazy is is_lazy and s.axes_manager.navigation_shape == (5, 4)
            np.testing.assert_array_equal(s.sum().data, counts.sum((0, 1)))
            part = s.inav[1:3, 2].data
            np.testing.assert_array_equal(np.asarray(part), counts[2, 1:3])
        s = hs.load(path.with_suffix(".xml"), file_format="HMSA")
        np.testing.assert_array_equal(s.data, counts)

    def test_pickled_to_processes(self, path):
        counts = builder.read_counts(path, (4, 5, 48))
        data = pickle.loads(pickle.dumps(read(path, lazy=True)["data"]))
        with dask.config.set(scheduler="processes"):
            np.testing.assert_array_equal(data[1:3].compute(num_workers=1), counts[1:3])

    def test_one_pixel(self, tmp_path):
        path = builder.write_map(tmp_path / "a.hmsa", (1, 1, 16))
        assert read(path, lazy=True)["data"].compute().shape == (1, 1, 16)

    def test_empty(self, tmp_path):
        path = builder.write_map(tmp_path / "a.hmsa", counts=np.zeros((2, 3, 8), "<u4"))
        assert not hs.load(path, lazy=True).sum().data.any()
        path = builder.write_map(tmp_path / "b.hmsa", counts=np.zeros((0, 3, 8), "<u4"))
        with pytest.raises(
            FileFormatError, match=r"dimension 'Y' is '0', expected .* least 1"
        ):
            read(path)

    def test_detectors(self, tmp_path):
        """Two sets of data, each with the detector that it names."""
        counts = [builder.make_counts((3, 4, n), seed=n) for n in (16, 24)]
        own = builder.LINEAR.replace(">10.<", ">20.<")
        conditions = builder.detector(16) + builder.detector(24, own)
        starts = (8, 8 + counts[0].nbytes)
        elements = [
            builder.element(
                "ImageRaster", "2D/Spectral", c, start, [("Channel", n)],
                [("Y", 3), ("X", 4)], f"EDS{n}", include=f"<Detector>Det{n}</Detector>",
            )
            for c, start, n in zip(counts, starts, (16, 24), strict=True)
        ]  # fmt: skip
        path = builder.write_pair(tmp_path / "a.hmsa", counts, elements, conditions)
        signals = file_reader(path)
        for signal, expected, scale in zip(signals, counts, (0.01, 0.02), strict=True):
            np.testing.assert_array_equal(signal["data"], expected)
            assert signal["axes"][-1]["scale"] == pytest.approx(scale)
        assert signals[1]["metadata"]["General"]["title"] == "a EDS24"

    @pytest.mark.parametrize(
        ("node", "offset", "scale"),
        [
            ('<Calibration Class="Polynomial"><Quantity>Energy</Quantity><Unit>eV</Unit>'
             "<Coefficients>20,-400</Coefficients></Calibration>", -0.4, 0.02),
            ('<Calibration Class="Explicit"><Quantity>Energy</Quantity><Unit>keV</Unit>'
             f"<Values>{','.join(str(1 + 0.5 * i) for i in range(48))}</Values></Calibration>",
             1.0, 0.5),
        ],
    )  # fmt: skip
    def test_calibrations(self, tmp_path, node, offset, scale):
        axis = read(builder.write_map(tmp_path / "a.hmsa", calibration=node))["axes"][-1]
        assert axis["offset"] == pytest.approx(offset)
        assert axis["scale"] == pytest.approx(scale) and axis["units"] == "keV"

    def test_bent_calibration(self, tmp_path):
        node = (
            '<Calibration Class="Polynomial"><Quantity>Energy</Quantity><Unit>eV</Unit>'
            "<Coefficients>0.1,10,0</Coefficients></Calibration>"
        )
        path = builder.write_map(tmp_path / "a.hmsa", calibration=node)
        with pytest.warns(UserWarning, match="energies bend by 2.5 channels"):
            read(path)

    @pytest.mark.parametrize(
        "node",
        [
            builder.LINEAR.replace(">10.<", ">0<"),
            '<Calibration Class="Linear"><Unit>eV</Unit><Gain>x</Gain></Calibration>',
            '<Calibration Class="Explicit"><Unit>eV</Unit><Values>1,2</Values></Calibration>',
            '<Calibration Class="Unheard of"><Unit>eV</Unit></Calibration>',
        ],
    )
    def test_calibrations_that_cannot_be(self, tmp_path, node):
        path = builder.write_map(tmp_path / "a.hmsa", calibration=node)
        with pytest.warns(UserWarning, match="calibration of the class"):
            axis = read(path)["axes"][-1]
        assert axis["scale"] == 1.0 and axis["units"] is None

    def test_wavelengths(self, tmp_path):
        """Of cathodoluminescence: uneven, and not X-rays."""
        values = ",".join(str(400 + i + 0.01 * i * i) for i in range(48))
        node = (
            '<Calibration Class="Explicit"><Quantity>Wavelength</Quantity><Unit>nm</Unit>'
            f"<Values>{values}</Values></Calibration>"
        )
        conditions = builder.detector(48, node, "Spectrometer/CL", "CLS")
        path = builder.write_map(tmp_path / "a.hmsa", conditions=conditions)
        signal = read(path)
        assert signal["metadata"]["Signal"]["signal_type"] == "CL"
        assert signal["axes"][-1]["axis"][2] == pytest.approx(402.04)
        assert hs.load(path).axes_manager[-1].units == "nm"

    def test_other_unit(self, path):
        change(path, 'Unit="nm">500', 'Unit="parsec">500')
        with pytest.warns(UserWarning, match="XStepSize has the unit 'parsec'"):
            assert read(path)["axes"][1]["units"] is None

    def test_info(self, path):
        for file in (path, path.with_suffix(".xml")):
            result = CliRunner().invoke(main, ["info", str(file)])
            assert result.exit_code == 0, result.output
            assert "uint16" in result.output and "beam_energy 20 keV" in result.output


class TestDamaged:
    def test_truncated(self, path):
        counts = builder.read_counts(path, (4, 5, 48))
        content = path.read_bytes()
        path.write_bytes(content[: 8 + 3 * 480 - 1])
        with pytest.warns(UserWarning, match="2 of 4 rows of Map are there"):
            data = read(path, lazy=True)["data"].compute()
        np.testing.assert_array_equal(data[:2], counts[:2])
        assert not data[2:].any()
        path.write_bytes(content[:400])
        with pytest.raises(TruncatedFileError, match=r"ends at byte 400, expected 1928"):
            read(path)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (
                'UID="0123456789ABCDEF"',
                'UID="0123456789ABCDE0"',
                "begins with 0123456789ABCD",
            ),
            (">1920<", ">1922<", "DataLength is 1922, expected 1920"),
            (">uint16<", ">uint17<", "DatumType is 'uint17', expected byte"),
            ('SizeInBytes="2"', 'SizeInBytes="4"', "SizeInBytes is '4', expected 2"),
            (
                ">8</DataOffset",
                ">7</DataOffset",
                "DataOffset is '7', expected a whole number",
            ),
            ('Name="X">5', 'Name="X">-5', "dimension 'X' is '-5'"),
            ('Name="X">5', 'Name="Y">5', "dimension 'Y' again"),
            ("<Data>", "<Data/><None>", "cannot be read"),
        ],
    )
    def test_lies(self, path, old, new, message):
        change(path, old, new)
        with pytest.raises(FileFormatError, match=message) as caught:
            read(path, lazy=True)
        assert str(path.with_suffix("")) in str(caught.value)
        assert "byte" in str(caught.value)

    def test_beyond_the_end(self, path):
        change(path, ">8</DataOffset", ">999999999999</DataOffset")
        with pytest.raises(TruncatedFileError, match="Too little is there"):
            read(path, lazy=True)

    def test_either_file_of_a_pair_in_any_capitals_is_found(self, path):
        path.rename(path.with_suffix(".Hmsa"))
        assert find_reader(path.with_suffix(".xml")).__name__.endswith("hmsa")
        assert read(path.with_suffix(".xml"))["data"].any()
        assert find_reader(path.with_name("other.xml")) is None

    def test_other_xml(self, path):
        path.with_suffix(".xml").write_text("<html/>")
        with pytest.raises(FileFormatError, match="is a 'html', expected MSAHyper"):
            read(path)

    def test_alone(self, path):
        path.with_suffix(".xml").unlink()
        with pytest.raises(FileNotFoundError, match=r"map.xml is not there"):
            read(path)
        result = CliRunner().invoke(main, ["info", str(path)])
        assert result.exit_code == 1 and "map.xml is not there" in result.output

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
    def test_entities(self, path, encoding):
        """A billion laughs, in an encoding in which they are not seen either."""
        xml = path.with_suffix(".xml")
        text = xml.read_text(encoding="utf-8-sig").replace("UTF-8", encoding)
        laughs = "".join(f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(9))
        kind = f'<!DOCTYPE x [<!ENTITY a0 "ha">{laughs}]>'
        text = text.replace("<MSAHyper", f"{kind}<MSAHyper", 1)
        text = text.replace("<Header>", "<Header><Title>&a9;</Title>")
        text = text.encode("ascii", "ignore").decode()
        xml.write_bytes(text.encode(encoding))
        with pytest.raises(FileFormatError, match="declares a type of its own"):
            read(path)

    def test_too_many_nodes(self, path):
        change(path, "<Header>", "<Header>" + "<A/>" * 2**20)
        with pytest.raises(FileFormatError, match="tags or attributes, more than"):
            read(path)

    def test_checksum(self, tmp_path):
        header = '<Checksum Algorithm="SHA-1">{sha1}</Checksum>'
        path = builder.write_map(tmp_path / "a.hmsa", header=header)
        read(path, verify_checksum=True)
        content = bytearray(path.read_bytes())
        content[100] ^= 1
        path.write_bytes(content)
        with pytest.raises(CorruptFileError, match="SHA-1 of the file is"):
            read(path, lazy=True)
        assert read(path, verify_checksum=False)["data"].shape == (4, 5, 48)


def test_many_of_one_name(tmp_path):
    """Names that repeat do not grow with each: that would take minutes."""
    path = builder.write_map(tmp_path / "a.hmsa", header="<Note>1</Note>" * 50_000)
    header = read(path)["original_metadata"]["Header"]
    assert len(header) == 50_000
    assert [*header][:3] == ["Note", "Note_", "Note__"]
    assert max(map(len, header)) < 20


def test_energies_beyond_all_numbers(tmp_path):
    calibration = builder.LINEAR.replace("10.", "1e308").replace("-100.", "1e308")
    path = builder.write_map(tmp_path / "a.hmsa", calibration=calibration)
    with pytest.warns(UserWarning, match="Linear") as caught:
        signal = read(path)
    assert len(caught) == 1
    assert signal["axes"][-1]["units"] is None


def make_signal(dtype=np.uint32, shape=(3, 4, 16)):
    s = hs.signals.Signal1D(builder.make_counts(shape, dtype))
    s.set_signal_type("EDS_XFM")
    steps = {"y": 3.0, "x": 2.0, "Energy": 0.02}
    for axis, (name, scale) in zip(s.axes_manager._axes, steps.items(), strict=True):
        axis.name, axis.scale, axis.units = name, scale, "µm"
    s.axes_manager[-1].units = "keV"
    s.axes_manager[-1].offset = -0.5
    s.metadata.General.title = "Größe <&>"
    return s


class TestWritten:
    @pytest.mark.parametrize("chunks", [None, (2, 3, 16), (1, 1, 5)])
    def test_map(self, tmp_path, chunks):
        s = make_signal()
        expected = s.data
        if chunks:
            s = s.as_lazy()
            s.data = s.data.rechunk(chunks)
        path = tmp_path / "a.hmsa"
        s.save(path)
        np.testing.assert_array_equal(
            np.fromfile(path, "<u4", offset=8).reshape(3, 4, 16), expected
        )
        found = hs.load(path)
        np.testing.assert_array_equal(found.data, expected)
        assert found.metadata.General.title == "Größe <&>"
        assert found.axes_manager.as_dictionary() == s.axes_manager.as_dictionary()
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.hmsa", "a.xml"]
        read(path, verify_checksum=True)

    def test_title_that_xml_cannot_hold(self, tmp_path):
        s = make_signal()
        s.metadata.General.title = "a\x00b\x0b \ud800"
        s.save(tmp_path / "a.hmsa")
        np.testing.assert_array_equal(read(tmp_path / "a.hmsa")["data"], s.data)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("XRF.source", "electrons"), ("SEM.working_distance", 10.0)],
    )
    def test_what_others_read(self, tmp_path, name, value):
        """Without what only we read, axes and times are those of the signal."""
        s = make_signal()
        s.metadata.set_item("Acquisition_instrument.SEM.Detector.EDS.real_time", 0.5)
        s.metadata.set_item("Acquisition_instrument.SEM.Detector.EDS.live_time", 0.375)
        s.metadata.set_item("Acquisition_instrument.SEM.beam_energy", 15.0)
        s.metadata.set_item(f"Acquisition_instrument.{name}", value)
        path = tmp_path / "a.hmsa"
        s.save(path)
        change(path, "<rsciio_xfm>", "<other>")
        change(path, "</rsciio_xfm>", "</other>")
        found = hs.load(path)
        for axis, other in zip(
            found.axes_manager._axes, s.axes_manager._axes, strict=True
        ):
            assert (axis.name, axis.units) == (other.name, other.units)
            assert axis.scale == pytest.approx(other.scale)
            assert axis.offset == pytest.approx(other.offset)
        sem = found.metadata.Acquisition_instrument.SEM
        assert sem.beam_energy == 15.0
        assert sem.Detector.EDS.real_time == 0.5 and sem.Detector.EDS.live_time == 0.375

    def test_dead_times(self, tmp_path):
        """From a GeoPIXE map, through the command line."""
        path = geopixe_builder.write_map(tmp_path / "map.GeoPIXE")
        output = tmp_path / "x.hmsa"
        result = CliRunner().invoke(main, ["convert", str(path), "-o", str(output)])
        assert result.exit_code == 0, result.output
        (expected,), found = geopixe.file_reader(path), hs.load(output)
        np.testing.assert_array_equal(found.data, expected["data"])
        s = hs.load(path)
        node = "Acquisition_instrument.SEM.Detector.EDS.dead_time"
        np.testing.assert_array_equal(
            found.metadata.get_item(node).data, s.metadata.get_item(node).data
        )
        again = CliRunner().invoke(main, ["convert", str(path), "-o", str(output)])
        assert again.exit_code == 1 and "--overwrite" in again.output
        arguments = ["convert", str(path), "-o", str(output), "--overwrite"]
        assert CliRunner().invoke(main, arguments).exit_code == 0

    def test_detectors(self, tmp_path):
        path = geopixe_builder.write_map(tmp_path / "map.GeoPIXE")
        s = hs.load(path, sum_detectors=False, lazy=True)
        s.save(tmp_path / "x.hmsa")
        found = file_reader(tmp_path / "x.hmsa")
        assert len(found) == len(s.data)
        for signal, expected in zip(found, s.data.compute(), strict=True):
            np.testing.assert_array_equal(signal["data"], expected)

    @pytest.mark.parametrize("shape", [(7,), (5, 7), (3, 5, 7)])
    def test_spectra(self, tmp_path, shape):
        s = hs.signals.Signal1D(
            np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
        )
        s.save(tmp_path / "a.hmsa")
        np.testing.assert_array_equal(hs.load(tmp_path / "a.hmsa").data, s.data)

    @pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7), (2, 3, 5, 7)])
    def test_images(self, tmp_path, shape):
        s = hs.signals.Signal2D(np.arange(np.prod(shape), dtype=np.int16).reshape(shape))
        s.save(tmp_path / "a.hmsa")
        found = hs.load(tmp_path / "a.hmsa")
        np.testing.assert_array_equal(found.data, s.data)
        assert found.axes_manager.signal_dimension == 2

    def test_uneven_axis(self, tmp_path):
        values = 400 + np.arange(16) ** 1.5
        axes = [{"name": "Wavelength", "axis": values, "units": "nm", "navigate": False}]
        s = hs.signals.Signal1D(np.arange(16, dtype=np.uint8), axes=axes)
        s.save(tmp_path / "a.hmsa")
        found = hs.load(tmp_path / "a.hmsa").axes_manager[0]
        np.testing.assert_allclose(found.axis, values, rtol=1e-12)
        assert found.name == "Wavelength" and found.units == "nm"

    @pytest.mark.parametrize(
        ("dtype", "written"),
        [("u1", "u1"), ("i1", "i2"), ("i2", "i2"), ("u2", "u2"), (">i4", "i4"), ("u4", "u4"),
         ("i8", "i8"), ("u8", "i8"), ("f2", "f4"), ("f4", "f4"), ("f8", "f8"), ("?", "u1")],
    )  # fmt: skip
    def test_types(self, tmp_path, dtype, written):
        data = np.array([[0, 1, 0], [1, 1, 0]]).astype(dtype)
        hs.signals.Signal1D(data).save(tmp_path / "a.hmsa")
        found = read(tmp_path / "a.hmsa")["data"]
        assert found.dtype == np.dtype(written)
        np.testing.assert_array_equal(found, data)

    def test_types_that_do_not_fit(self, tmp_path):
        """An error that says what fits, never other counts; and the old files stay."""
        path = tmp_path / "a.hmsa"
        hs.signals.Signal1D(np.arange(6)).save(path)
        before = [p.read_bytes() for p in sorted(tmp_path.iterdir())]
        for data, error, message in (
            (
                np.array([0, 2**63], np.uint64),
                OverflowError,
                "9223372036854775808, expected",
            ),
            (np.zeros(3, complex), TypeError, "complex128, expected one of uint8, int16"),
            (np.ma.masked_array(np.zeros(3), [0, 1, 0]), TypeError, "masked"),
            (np.zeros((2, 2, 2, 2, 3)), ValueError, "4 axes to navigate"),
            (np.zeros((0, 3)), ValueError, "some numbers"),
        ):
            signal = hs.signals.Signal1D(np.zeros(3))._to_dictionary()
            axes = [
                {"name": f"a{i}", "size": n, "scale": 1.0, "offset": 0.0, "units": None,
                 "navigate": i < data.ndim - 1} for i, n in enumerate(data.shape)
            ]  # fmt: skip
            with pytest.raises(error, match=message):
                file_writer(path, signal | {"data": data, "axes": axes})
        assert [p.read_bytes() for p in sorted(tmp_path.iterdir())] == before

    def test_originals_stay(self, path, tmp_path):
        assert is_original(path) and is_original(path.with_suffix(".xml"))
        s = make_signal()
        with pytest.raises(ValueError, match="was not written here"):
            s.save(path, overwrite=True)
        s.save(path, overwrite=True, replace_original=True)
        assert not is_original(path)
        s.save(path, overwrite=True)
        (tmp_path / "other.xml").write_text("<html/>")
        with pytest.raises(FileExistsError, match=r"other.xml: .*expected both or none"):
            s.save(tmp_path / "other.hmsa")
        assert not (tmp_path / "other.hmsa").exists()

    def test_interrupted(self, tmp_path):
        path = tmp_path / "a.hmsa"
        make_signal().save(path)
        before = [p.read_bytes() for p in sorted(tmp_path.iterdir())]

        def fail(block):
            raise KeyboardInterrupt

        s = make_signal().as_lazy()
        s.data = s.data.map_blocks(
            fail, dtype=s.data.dtype, meta=np.empty((0, 0, 0), "u4")
        )
        with pytest.raises(KeyboardInterrupt):
            file_writer(path, s._to_dictionary())
        assert [p.read_bytes() for p in sorted(tmp_path.iterdir())] == before

    def test_new_numbers_with_an_old_text(self, tmp_path):
        """As after a power failure between the two moves: it is told."""
        make_signal().save(tmp_path / "a.hmsa")
        make_signal().save(tmp_path / "b.hmsa")
        shutil.copy(tmp_path / "b.hmsa", tmp_path / "a.hmsa")
        with pytest.raises(FileFormatError, match="do not belong to each other"):
            hmsa.file_reader(tmp_path / "a.hmsa")
