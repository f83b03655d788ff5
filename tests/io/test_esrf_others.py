"""Images that are written by fabio: CBF, TIFF, PGM and SFRM, and converted to these."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest
from click.testing import CliRunner

from rsciio_xfm import esrf
from rsciio_xfm.cli import main
from rsciio_xfm.formats.esrf.write import is_original

fabio = pytest.importorskip("fabio")

TYPES = {
    "cbf": ("u1", "i1", "u2", "i2", "u4", "i4"),
    "tif": ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4"),
    "pgm": ("u1", "u2"),
    "sfrm": ("u1", "i1", "u2", "i2", "i4"),
}


def make_image(dtype="i4", shape=(40, 30)):
    """An image in which the ends of the range of its type are."""
    data = np.random.default_rng(0).poisson(30, shape).astype(dtype)
    if data.dtype.kind != "f":
        data[0, 1], data[2, 3] = np.iinfo(data.dtype).min, np.iinfo(data.dtype).max
    s = hs.signals.Signal2D(data)
    for axis, name, scale in zip(
        s.axes_manager._axes, ("y", "x"), (3.0, 2.0), strict=True
    ):
        axis.name, axis.scale, axis.units = name, scale, "µm"
    s.metadata.General.title = "An image"
    return s


def read(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fabio's, of an unused table in PGM
        (signal,) = esrf.file_reader(path)
    return signal


@pytest.mark.parametrize(
    ("extension", "dtype"), [(e, t) for e, types in TYPES.items() for t in types]
)
def test_types(tmp_path, extension, dtype):
    s = make_image(dtype)
    path = tmp_path / f"a.{extension}"
    s.save(path, file_format="ESRF")
    with fabio.open(str(path)) as image:
        np.testing.assert_array_equal(image.data, s.data)
    np.testing.assert_array_equal(read(path)["data"], s.data)


@pytest.mark.parametrize("extension", TYPES)
def test_types_that_do_not_fit(tmp_path, extension):
    """An error that names those that do; nothing is written, and nothing wraps."""
    for dtype in ("u4", "i8", "f8", "c8"):
        if dtype in TYPES[extension]:
            continue
        s = make_image("u1")
        s.data = s.data.astype(dtype)
        with pytest.raises(TypeError, match=f"{s.data.dtype}, expected of uint8, "):
            s.save(tmp_path / f"a.{extension}", file_format="ESRF")
    assert not list(tmp_path.iterdir())


def test_cbf_is_ours(tmp_path):
    """Without naming the format, saved and loaded, lazy too."""
    s = make_image()
    s.as_lazy().save(tmp_path / "a.cbf")
    for is_lazy in (False, True):
        found = hs.load(tmp_path / "a.cbf", lazy=is_lazy)
        np.testing.assert_array_equal(np.asarray(found.data), s.data)
    assert [(a.name, a.scale, a.units) for a in found.axes_manager._axes] == [
        ("y", pytest.approx(3.0), "µm"), ("x", pytest.approx(2.0), "µm")
    ]  # fmt: skip
    s.save(tmp_path / "a.cbf", overwrite=True)


def test_tiff_stays_with_rosettasciio(tmp_path):
    s = make_image("u2")
    s.save(tmp_path / "a.tif")
    assert (
        hs.load(tmp_path / "a.tif").metadata.General.FileIO["0"].io_plugin
        == "rsciio.tiff"
    )


@pytest.mark.parametrize("extension", ["cbf", "tif"])
def test_headers(tmp_path, extension):
    """Of an EDF file: they come back, also from a copy of the copy."""
    source = make_image("u2")
    source.original_metadata.add_dictionary({"header": {"Beam": "17 keV", "Size": "9"}})
    source.save(tmp_path / "a.edf")
    path = tmp_path / "a.edf"
    # .tif is loaded by RosettaSciIO, unless its reader is named.
    for name in ("b", "c")[: 2 if extension == "cbf" else 1]:
        output = tmp_path / f"{name}.{extension}"
        result = CliRunner().invoke(main, ["convert", str(path), "-o", str(output)])
        assert result.exit_code == 0, result.output
        found = read(output)
        np.testing.assert_array_equal(found["data"], source.data)
        header = found["original_metadata"]["header"]
        assert header["Beam"] == "17 keV"
        assert header["title"] == "An image"
        assert [axis["scale"] for axis in found["axes"]] == pytest.approx([3.0, 2.0])
        path = output


def test_text_of_a_detector(tmp_path):
    """As Dectris writes it: it stays."""
    text = "# Detector: PILATUS 1M\r\n# Exposure_time 0.1 s"
    image = make_image().data
    header = {"_array_data.header_contents": text}
    fabio.cbfimage.CbfImage(data=image, header=header).write(str(tmp_path / "a.cbf"))
    assert is_original(tmp_path / "a.cbf")
    result = CliRunner().invoke(
        main, ["convert", str(tmp_path / "a.cbf"), "-o", str(tmp_path / "b.cbf")]
    )
    assert result.exit_code == 0, result.output
    with fabio.open(str(tmp_path / "b.cbf")) as found:
        assert text.replace("\r", "") in found.header[
            "_array_data.header_contents"
        ].replace("\r", "")
    assert not is_original(tmp_path / "b.cbf")


def test_frames(tmp_path):
    stack = hs.signals.Signal2D(np.zeros((3, 10, 8), np.uint16))
    stack.save(tmp_path / "a.edf")
    with pytest.raises(ValueError, match=r"expected one image: the format holds one"):
        stack.save(tmp_path / "a.cbf")
    arguments = ["convert", str(tmp_path / "a.edf"), "-o", str(tmp_path / "a.cbf")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1 and "as .edf" in result.output
    assert not (tmp_path / "a.cbf").exists()
    stack.inav[:1].save(tmp_path / "one.cbf")
    assert read(tmp_path / "one.cbf")["data"].shape == (10, 8)


def test_back_to_edf(tmp_path):
    s = make_image("u2")
    s.save(tmp_path / "a.cbf")
    arguments = ["convert", str(tmp_path / "a.cbf"), "-o", str(tmp_path / "a.edf")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(read(tmp_path / "a.edf")["data"], s.data)


def test_originals_stay(tmp_path):
    path = tmp_path / "a.cbf"
    image = make_image()
    fabio.cbfimage.CbfImage(data=image.data).write(str(path))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="was not written here"):
        image.save(path, overwrite=True)
    assert path.read_bytes() == before
    image.save(path, overwrite=True, replace_original=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.cbf"]


def test_what_comes_back_is_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(
        fabio.cbfimage.CbfImage, "write", _write_something_else(fabio.cbfimage.CbfImage)
    )
    with pytest.raises(ValueError, match="changes the numbers"):
        make_image().save(tmp_path / "a.cbf")
    assert not list(tmp_path.iterdir())


def _write_something_else(image_class):
    write = image_class.write

    def write_something_else(self, name):
        self.data[0, 0] += 1
        write(self, name)

    return write_something_else


def test_info(tmp_path):
    make_image().save(tmp_path / "a.cbf")
    result = CliRunner().invoke(main, ["info", str(tmp_path / "a.cbf")])
    assert result.exit_code == 0 and "int32" in result.output, result.output
