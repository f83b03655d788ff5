"""Maps that go to pyhmsa and come back: `nox -s pyhmsa`, as it is for an older Python."""

import collections
import collections.abc
import time
import warnings

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import hmsa


@pytest.fixture
def pyhmsa(monkeypatch):
    """The package, with what Python had when it was written."""
    for name in collections.abc.__all__:
        monkeypatch.setattr(
            collections, name, getattr(collections.abc, name), raising=False
        )
    monkeypatch.setattr(time, "clock", time.perf_counter, raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("pkg_resources")
        yield pytest.importorskip("pyhmsa.fileformat.datafile")


def read(pyhmsa, path):
    reader = pyhmsa.DataFileReader()
    reader.read(str(path))
    reader.join()
    return reader.get()


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_ours(pyhmsa, tmp_path, dtype):
    counts = np.arange(3 * 4 * 5).reshape(3, 4, 5).astype(dtype)
    s = hs.signals.Signal1D(counts)
    s.set_signal_type("EDS_XFM")
    s.axes_manager[0].scale, s.axes_manager[0].units = 2.0, "µm"
    s.axes_manager[-1].scale, s.axes_manager[-1].units = 0.01, "keV"
    s.metadata.General.title = "Ours"
    s.metadata.set_item("Acquisition_instrument.SEM.beam_energy", 20.0)
    s.metadata.set_item("Acquisition_instrument.SEM.Detector.EDS.live_time", 0.25)
    s.metadata.set_item("Acquisition_instrument.XRF.source", "electrons")
    s.save(tmp_path / "ours.hmsa")
    found = read(pyhmsa, tmp_path / "ours.hmsa")
    raster = found.data["Ours"]
    assert (int(raster.x), int(raster.y), int(raster.channels)) == (4, 3, 5)
    assert raster.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(np.asarray(raster).transpose(1, 0, 2), counts)
    assert found.header.title == "Ours"
    conditions = found.conditions
    assert float(conditions["Probe0"].beam_voltage) == 20.0
    assert float(conditions["Acquisition0"].step_size_x) == 2.0
    assert float(conditions["Acquisition0"].dwell_time_live) == 0.25
    assert conditions["Detector0"].calibration(3) == pytest.approx(30.0)


@pytest.mark.parametrize("shape", [(7,), (5, 7)])
def test_our_spectra_and_images(pyhmsa, tmp_path, shape):
    data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    hs.signals.Signal1D(data).save(tmp_path / "spectra.hmsa")
    (found,) = read(pyhmsa, tmp_path / "spectra.hmsa").data.values()
    np.testing.assert_array_equal(np.asarray(found), data)
    if data.ndim == 2:
        hs.signals.Signal2D(data).save(tmp_path / "image.hmsa")
        (found,) = read(pyhmsa, tmp_path / "image.hmsa").data.values()
        np.testing.assert_array_equal(np.asarray(found).T, data)


def test_theirs(pyhmsa, tmp_path):
    from pyhmsa.datafile import DataFile
    from pyhmsa.spec.datum.imageraster import ImageRaster2DSpectral

    x, y, channel = np.indices((4, 3, 2))
    counts = (100 * x + 10 * y + channel).astype(np.int32)
    datafile = DataFile()
    datafile.header.title = "Theirs"
    datafile.data["Map"] = ImageRaster2DSpectral(4, 3, 2, np.int32, counts)
    writer = pyhmsa.DataFileWriter()
    writer.write(datafile, str(tmp_path / "theirs.hmsa"))
    writer.join()
    (found,) = hmsa.file_reader(tmp_path / "theirs.hmsa")
    np.testing.assert_array_equal(found["data"], counts.transpose(1, 0, 2))
    assert found["metadata"]["General"]["title"] == "Theirs"
