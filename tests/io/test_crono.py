"""Maps of CRONO in ``.HDF5`` files: made ones, as no file of the scanner could be had."""

import itertools
import pickle
import shutil

import h5py
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import crono, datastack
from rsciio_xfm._register import find_reader
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.crono.data import Selected
from tests.builders import crono as builder
from tests.builders import esrf as esrf_builder

SHAPE = (4, 5, 64)


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.HDF5")


def load(path, **options):
    return hs.load(path, file_format="CRONO", lazy=True, **options)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 64), (1, 7, 32), (6, 1, 32)])
@pytest.mark.parametrize("chunks", [True, (1, 64), (50, 64), None])
def test_counts(tmp_path, shape, lazy, chunks):
    n = max(60, shape[0] * shape[1] + 3)
    chunks = chunks if not isinstance(chunks, tuple) else (chunks[0], shape[2])
    path = builder.write_map(tmp_path / "a.HDF5", shape, n=n, chunks=chunks)
    (found,) = crono.file_reader(path, lazy=lazy)
    assert found["data"].dtype == np.uint16 and found["data"].shape == shape
    np.testing.assert_array_equal(np.asarray(found["data"]), builder.read_map(path))


def test_sums_windows_and_chunks(path):
    expected = builder.read_map(path).astype(np.int64)
    for chunks in ("auto", (3, 2, 7), (1, 5, -1)):
        s = load(path, chunks=chunks)
        np.testing.assert_array_equal(s.data, expected)
        np.testing.assert_array_equal(s.sum(), expected.sum(axis=(0, 1)))
        np.testing.assert_array_equal(s.sum("Energy"), expected.sum(axis=2))
        part = s.inav[1:4, 2:].isig[10:20]
        np.testing.assert_array_equal(
            part.sum(), expected[2:, 1:4, 10:20].sum(axis=(0, 1))
        )
    mask = expected[..., 1] > 2
    spectra = s.get_region_spectra({"a": mask})
    np.testing.assert_array_equal(spectra["a"].data, expected[mask].sum(axis=0))


def test_other_processes(path):
    again = pickle.loads(pickle.dumps(load(path).data))
    found = again.compute(scheduler="processes")
    np.testing.assert_array_equal(found, builder.read_map(path))


def test_spectra_are_read_in_their_order(tmp_path):
    """Each chunk of the file is read once for a block, and in the order of the file."""
    path = builder.write_map(tmp_path / "a.HDF5", (20, 30, 16), chunks=(8, 16))
    selected = source_of(crono.file_reader(path, lazy=True)[0]["data"])
    numbers = np.sort(selected.index[3:9, 4:30].ravel())
    runs = [*selected._runs(numbers)]
    assert runs[0][0] == 0 and runs[-1][1] == len(numbers)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(runs))
    edges = [(numbers[a] // 8, numbers[b - 1] // 8) for a, b in runs]
    assert all(a[1] < b[0] for a, b in itertools.pairwise(edges))


def test_memory_of_a_block(monkeypatch, tmp_path):
    """Spectra that are far apart, or many, are not read at once."""
    path = builder.write_map(tmp_path / "a.HDF5", (20, 30, 16), n=5000, chunks=None)
    monkeypatch.setattr("rsciio_xfm.formats.crono.data.PIECE_BYTES", 40 * 32)
    monkeypatch.setattr("rsciio_xfm.formats.crono.data._GAP_BYTES", 32)
    (found,) = crono.file_reader(path, lazy=True)
    sizes, read = [], Selected.read

    def watched(self, ranges):
        numbers = np.sort(self.index.ravel())
        for first, last in self._runs(numbers):
            sizes.append(numbers[last - 1] - numbers[first] + 1)
        return read(self, ranges)

    monkeypatch.setattr(Selected, "read", watched)
    np.testing.assert_array_equal(found["data"].compute(), builder.read_map(path))
    assert max(sizes) <= 40 and sum(sizes) < 2000


def test_all_spectra(path):
    s = load(path, dataset_path="XRF/Spectra")
    n = 28
    np.testing.assert_array_equal(s.data, builder.make_spectra(n, 64))
    real, live = builder.make_times(n)
    dead = s.metadata.Acquisition_instrument.SEM.Detector.EDS.dead_time
    np.testing.assert_allclose(dead.data, 100 * (1 - live / real), rtol=1e-5)
    counters = load(path, dataset_path="/XRF/Spectra", select_type="counters")
    names = list(counters.metadata.General.counters)
    assert counters.data.shape == (8, n)
    expected = np.arange(3 * n).reshape(n, 3)
    np.testing.assert_array_equal(counters.data[names.index("motor_y")], expected[:, 1])


def test_times_and_axes(path):
    s = load(path)
    x, y, energy = (s.axes_manager[name] for name in ("x", "y", "Energy"))
    assert (x.offset, x.scale, x.units) == (10, 0.5, "mm")
    assert (y.offset, y.scale, y.units) == (20, 0.25, "mm")
    assert energy.units == "keV"
    assert (energy.offset, energy.scale) == (pytest.approx(-1.17), pytest.approx(0.02))
    eds = s.metadata.Acquisition_instrument.SEM.Detector.EDS
    real, live = builder.make_times(28)
    index = builder.make_index((4, 5), 28)
    expected = (100 * (1 - live / real))[index]
    np.testing.assert_allclose(eds.dead_time.data, expected, rtol=1e-5)
    assert eds.real_time == pytest.approx(0.06)
    assert eds.live_time == pytest.approx(0.06 * (1 - expected.mean() / 100))
    assert s.metadata.General.date == "2021-02-15"
    assert s.original_metadata.InitialSystemStatus.TubeTemperature == 31.5
    assert s.original_metadata.software == "1.2.3.4"


def test_images(path):
    index = builder.make_index((4, 5), 28)
    counters = load(path, select_type="counters")
    names = list(counters.metadata.General.counters)
    np.testing.assert_array_equal(counters.data[names.index("detected")], index + 7)
    live = builder.make_times(28)[1]
    np.testing.assert_allclose(counters.data[names.index("live_time")], live[index] / 1e6)
    windows = load(path, select_type="window_integral")
    assert list(windows.metadata.General.counters) == ["SiKa", "PbLa"]
    np.testing.assert_array_equal(windows.data[1], np.arange(40).reshape(4, 5, 2)[..., 1])


def test_what_is_opaque_is_never_read(path, monkeypatch):
    """Settings are objects of another program, photographs fill most of a file."""
    read, seen = h5py.Dataset.__getitem__, []

    def watched(self, key, **options):
        seen.append(self.name)
        return read(self, key, **options)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    for kind in (None, "counters", "window_integral"):
        crono.file_reader(path, select_type=kind)
    assert seen and not any(
        name.startswith(("/Configuration", "/Images")) for name in seen
    )


# Which file is whose ------------------------------------------------------------------------


def test_other_files_of_the_same_extension(path, tmp_path):
    assert find_reader(path).__name__ == "rsciio_xfm.formats.crono"
    s = load(path)
    s.save(tmp_path / "own.hspy")
    own = shutil.copy(tmp_path / "own.hspy", tmp_path / "own.hdf5")
    assert find_reader(tmp_path / "own.hdf5").__name__ == "rsciio_xfm.formats.esrf"
    again = hs.load(own, file_format="HSPY")
    np.testing.assert_array_equal(again.data, s.data)
    bliss = tmp_path / "bliss.h5"
    esrf_builder.write_bliss(bliss)
    assert find_reader(bliss).__name__ == "rsciio_xfm.formats.esrf"
    (tmp_path / "text.hdf5").write_text("none")
    assert not crono.recognizes(tmp_path / "text.hdf5")
    # Four readers have the extension, three of them not ours: HyperSpy asks for one.
    with pytest.raises(ValueError, match=r"multiple file readers.*HSPY.*CRONO"):
        hs.load(path)
    with pytest.raises(
        FileFormatError, match=r'no dataset XRF/Spectra.*file_format="ESRF"'
    ):
        crono.file_reader(bliss)


def test_commands(run, path, tmp_path):
    assert "dead time" in run("info", path) and "0.02 keV" in run("info", path)
    text = run("convert", path, "--sigma", 0, "--integers")
    assert "map.datastack: 5 x 4 pixels, 64 channels" in text
    stack = tmp_path / "map.datastack"
    expected = builder.read_map(path)
    np.testing.assert_array_equal(datastack.read(stack, "maxrf_cube"), expected)
    kev = datastack.read(stack, "maxrf_energies")
    np.testing.assert_allclose(kev, -1.17 + 0.02 * np.arange(64), atol=1e-6)
    run("convert", path, "-o", tmp_path / "b.datastack", "--flip-vertical")
    smooth = datastack.read(tmp_path / "b.datastack", "maxrf_cube")
    assert smooth.dtype == np.float32
    np.testing.assert_allclose(smooth.sum(axis=2), expected[::-1].sum(axis=2), rtol=0.2)
    text = run("convert", path, "--rpl", path, "--overwrite", code=1)
    assert "--rpl is for a .raw file" in text


# Files that lie -----------------------------------------------------------------------------


def test_one_spectrum_of_two_pixels(tmp_path):
    index = builder.make_index((4, 5), 28)
    index[2, 3] = index[0, 1]
    path = builder.write_map(tmp_path / "a.HDF5", index=index)
    (found,) = crono.file_reader(path)
    np.testing.assert_array_equal(found["data"], builder.read_map(path))


@pytest.mark.parametrize("number", [28, 2**63, 2**64 - 1])
def test_spectra_that_are_not_there(tmp_path, number):
    index = builder.make_index((4, 5), 28)
    index[2, 3] = number
    path = builder.write_map(tmp_path / "a.HDF5", index=index)
    match = (
        rf"x 3, y 2 is {number}, expected 0 to 27.*1 of 20 pixels.*byte \d+.*reads all"
    )
    with pytest.raises(CorruptFileError, match=match):
        crono.file_reader(path, lazy=True)
    (found,) = crono.file_reader(path, dataset_path="XRF/Spectra")
    assert found["data"].shape == (28, 64)


def test_zero_for_none(tmp_path):
    index = builder.make_index((4, 5), 28)
    index[:2] = 0
    path = builder.write_map(tmp_path / "a.HDF5", index=index)
    with pytest.warns(
        UserWarning, match=r"is 0 at 1\d of 20 pixels.*nothing was measured"
    ):
        (found,) = crono.file_reader(path)
    np.testing.assert_array_equal(found["data"], builder.read_map(path))


def test_energies_that_bend(tmp_path):
    channels = np.arange(64)
    bent = (0.02 * channels + 1e-4 * channels**2).astype("<f4")
    path = builder.write_map(tmp_path / "a.HDF5", energies=bent)
    with pytest.warns(UserWarning, match=r"the energies bend by .* channels"):
        s = load(path)
    assert s.axes_manager["Energy"].scale == pytest.approx(0.0263, abs=1e-4)


def test_energies_that_do_not_ascend(tmp_path):
    path = builder.write_map(tmp_path / "a.HDF5", energies=np.zeros(64, "<f4"))
    with pytest.warns(UserWarning, match=r"XRF/EnergyVector does not ascend"):
        s = load(path)
    # By the points that the calibration was made of.
    assert s.axes_manager["Energy"].scale == pytest.approx(0.02)
    path = builder.write_map(tmp_path / "b.HDF5", energies=np.zeros(63, "<f4"))
    with pytest.warns(
        UserWarning, match=r"XRF/EnergyVector is \(63,\) of float32, expected"
    ):
        load(path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"XRF/SpectraSelectedIndex": None}, r"SpectraSelectedIndex is not there"),
        (
            {"XRF/SpectraSelectedIndex": np.zeros(20)},
            r"Index is \(20,\) of float64, expected",
        ),
        (
            {"XRF/SpectraSelectedIndex": np.zeros((0, 5), "u8")},
            r"is \(0, 5\), expected",
        ),
    ],
)
def test_index(tmp_path, changes, match):
    path = builder.write_map(tmp_path / "a.HDF5", **changes)
    with pytest.raises(FileFormatError, match=match):
        crono.file_reader(path, lazy=True)


def test_spectra(tmp_path):
    path = builder.write_map(tmp_path / "a.HDF5", spectra=np.zeros((28, 64), "f4"))
    with pytest.raises(FileFormatError, match=r"XRF/Spectra is \(28, 64\) of float32"):
        crono.file_reader(path, lazy=True)


def test_missing_times(tmp_path):
    left = ("XRF/RealTimes", "XRF/XComputedMapsCoordinate", "XRF/CalibrationPoints")
    path = builder.write_map(tmp_path / "a.HDF5", left_out=left)
    s = load(path)
    eds = s.metadata.Acquisition_instrument.SEM.Detector.EDS
    assert "dead_time" not in eds and 0.04 < eds.live_time < 0.06
    assert s.axes_manager["x"].scale == 1 and s.axes_manager["y"].units == "mm"
    path = builder.write_map(tmp_path / "b.HDF5", left_out=("XRF/Maps/ComputedMaps",))
    with pytest.raises(
        FileFormatError, match=r"holds nothing that select_type='window_int"
    ):
        crono.file_reader(path, select_type="window_integral")


def test_truncated(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(FileFormatError):
        crono.file_reader(path)[0]["data"].sum()


def test_a_file_that_was_changed(path):
    s = load(path)
    builder.write_map(path, n=40)
    with pytest.raises(CorruptFileError, match="was changed"):
        s.data.compute()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"dataset_path": "XRF/Other"}, r"dataset_path is 'XRF/Other', expected None or"),
        ({"select_type": "image"}, r"select_type is 'image', expected None"),
        (
            {"dataset_path": "XRF/Spectra", "select_type": "window_integral"},
            r"images are of the map",
        ),
    ],
)
def test_arguments(path, options, match):
    with pytest.raises(ValueError, match=match):
        crono.file_reader(path, **options)
