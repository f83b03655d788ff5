"""Velox maps: counts, options, axes, metadata, and what is wrong with damaged streams."""

import json
import pickle
import warnings
import zipfile
from contextlib import contextmanager

import dask
import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import rsciio.emd
from hypothesis import given
from hypothesis import strategies as st

from rsciio_xfm.core import stream
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.emd import file_reader
from rsciio_xfm.formats.velox import count, index
from tests.builders import emd as builder
from tests.conftest import DATA

MARK = builder.MARK
COUNTS = builder.make_counts((2, 3, 4, 5, 32))  # detector, frame, y, x, E


def read_map(path, **kwds):
    (signal,) = file_reader(path, select_type="spectrum_image", **kwds)
    return signal


def compute(signal):
    return np.asarray(signal["data"])


@contextmanager
def warned(*texts):
    """All warnings, among which are some that say this."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    said = [str(w.message) for w in caught]
    for text in texts:
        assert any(text in message for message in said), said


def streams_of(counts=COUNTS, **kwds):
    return [builder.to_stream(c, seed=i, **kwds)[0] for i, c in enumerate(counts)]


@pytest.fixture
def path(tmp_path):
    return builder.write_velox(tmp_path / "map.emd")


# Counts.

VARIANTS = {
    "as Velox writes": {},
    "last mark there": {"is_last_marked": True},
    "no table": {"has_table": False},
    "compressed": {"compression": "gzip", "shuffle": True},
    "large chunks": {"chunk": 5000},
    "one metadata": {"n_metadata": 1},
    "no spectra": {"has_spectra": False},
    "old version": {"version": "10"},
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_counts(tmp_path, variant, lazy):
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, **VARIANTS[variant])
    signal = read_map(path, lazy=lazy)
    assert signal["data"].dtype == np.uint16
    np.testing.assert_array_equal(compute(signal), COUNTS.sum((0, 1)))


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("first", "last"), [(0, None), (0, 1), (1, 2), (2, 3), (1, None), (0, 3)]
)
@pytest.mark.parametrize("rebin", [1, 4, 32])
def test_options(path, first, last, rebin, lazy):
    chosen = COUNTS[:, first:last]
    chosen = chosen.reshape(*chosen.shape[:-1], -1, rebin).sum(-1)
    options = {
        "lazy": lazy,
        "first_frame": first,
        "last_frame": last,
        "rebin_energy": rebin,
        "select_type": "spectrum_image",
    }
    (signal,) = file_reader(path, **options)
    np.testing.assert_array_equal(compute(signal), chosen.sum((0, 1)))
    (signal,) = file_reader(path, sum_frames=False, **options)
    np.testing.assert_array_equal(compute(signal), chosen.sum(0))
    signals = file_reader(path, sum_EDS_detectors=False, **options)
    names = [s["metadata"]["General"]["title"] for s in signals]
    assert names == ["SuperX2", "SuperX1"]  # by their place in the file
    for signal, counts in zip(signals, chosen[::-1], strict=True):
        np.testing.assert_array_equal(compute(signal), counts.sum(0))
    assert signals[0]["metadata"] is not signals[1]["metadata"]


@given(
    key=st.tuples(
        *(st.slices(size) if size > 1 else st.just(slice(None)) for size in (3, 4, 5, 32))
    )
)
def test_slices(tmp_path_factory, key):
    path = tmp_path_factory.getbasetemp() / "slices.emd"
    if not path.exists():
        builder.write_velox(path, COUNTS)
    data = read_map(path, lazy=True, sum_frames=False)["data"]
    np.testing.assert_array_equal(source_of(data)[key], COUNTS.sum(0)[key])


@pytest.mark.parametrize("chunks", ["auto", -1, (3, 2, 7), (1, 5, 32), 1, "10 kB"])
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_chunks(path, chunks, scheduler):
    data = read_map(path, lazy=True, chunks=chunks)["data"]
    with dask.config.set(scheduler=scheduler):
        np.testing.assert_array_equal(data.compute(), COUNTS.sum((0, 1)))


def test_blocks_that_end_anywhere(path, monkeypatch):
    """Values are read in blocks, within rows and frames too."""
    for n_bytes in (2, 6, 50, 1000):
        monkeypatch.setattr(stream, "BLOCK_BYTES", n_bytes)
        monkeypatch.setattr(stream, "_MOST_RUNS", 3)
        monkeypatch.setattr(count, "_BLOCK_VALUES", n_bytes // 2)
        for options in ({}, {"sum_frames": False}):
            expected = COUNTS.sum(0) if options else COUNTS.sum((0, 1))
            data = read_map(path, lazy=True, **options)["data"]
            np.testing.assert_array_equal(data.compute(), expected)
            source = source_of(data)
            whole = tuple((0, n) for n in source.shape)
            part = (*whole[:-3], (1, 4), (2, 4), (3, 20))
            cut = expected[..., 1:4, 2:4, 3:20]
            np.testing.assert_array_equal(source.read(part), cut)
            np.testing.assert_array_equal(source.sum_signal(part), cut.sum(-1))
            sums = cut.reshape(-1, 17).sum(0)
            np.testing.assert_array_equal(source.sum_navigation(part), sums)
            total = expected.reshape(-1, 32).sum(0)
            np.testing.assert_array_equal(source.sum_navigation(whole), total)


def test_many_tasks(tmp_path, monkeypatch):
    """Frames of large streams are indexed at the same time."""
    monkeypatch.setattr(count, "_TASK_VALUES", 50)
    monkeypatch.setattr(count, "_TASKS_EACH", 64)
    counts = builder.make_counts((2, 9, 3, 4, 16))
    path = builder.write_velox(tmp_path / "map.emd", counts)
    np.testing.assert_array_equal(compute(read_map(path)), counts.sum((0, 1)))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1, 32), (4, 2, 1, 7, 16), (1, 1, 7, 1, 2)])
def test_small_maps(tmp_path, shape):
    counts = builder.make_counts(shape) + 1
    path = builder.write_velox(tmp_path / "map.emd", counts)
    np.testing.assert_array_equal(compute(read_map(path)), counts.sum((0, 1)))


def test_pixels_without_counts(tmp_path):
    counts = np.zeros((2, 2, 3, 4, 16), np.uint16)
    counts[0, 1, 2, 3, 15] = 2
    path = builder.write_velox(tmp_path / "map.emd", counts)
    np.testing.assert_array_equal(compute(read_map(path)), counts.sum((0, 1)))


def test_pickled(path):
    data = read_map(path, lazy=True)["data"]
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(again.compute(), COUNTS.sum((0, 1)))


def test_file_that_changed(path):
    data = read_map(path, lazy=True)["data"]
    builder.write_velox(path, COUNTS + 1)
    with pytest.raises(CorruptFileError, match="was changed since"):
        data.compute()


def test_file_is_closed(path):
    """Lazy signals keep no file open: it can be moved, deleted, written again."""
    signals = file_reader(path, lazy=True)
    with h5py.File(path, "a"):
        pass
    assert len(signals) == 4


def test_sums_of_our_signal(path):
    s = hs.load(path, lazy=True, select_type="spectrum_image", signal_type="EDS_XFM")
    total = COUNTS.sum((0, 1, 2, 3))
    assert source_of(s.data).known_total() is not None
    np.testing.assert_array_equal(s.sum().data, total)
    cut = s.isig[4:20]
    np.testing.assert_array_equal(cut.sum().data, total[4:20])
    part = s.inav[1:4, :2]
    np.testing.assert_array_equal(
        part.sum().data, COUNTS[:, :, :2, 1:4].sum((0, 1, 2, 3))
    )
    np.testing.assert_array_equal(s.sum(-1).data, COUNTS.sum((0, 1, 4)))
    part = read_map(path, lazy=True, last_frame=2)["data"]
    assert source_of(part).known_total() is None


# Options that cannot be.


@pytest.mark.parametrize(
    "options",
    [
        {"last_frame": 0},
        {"last_frame": 4},
        {"first_frame": -1},
        {"first_frame": 3},
        {"first_frame": 1, "last_frame": 1},
        {"rebin_energy": 3},
        {"rebin_energy": 0},
        {"rebin_energy": -1},
        {"SI_dtype": "float32"},
        {"select_type": "map"},
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_wrong_options(path, options, lazy):
    with pytest.raises(ValueError, match="expected"):
        file_reader(path, lazy=lazy, **options)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint32", "uint64", ">u2", "int64"])
def test_dtype(tmp_path, dtype):
    counts = np.zeros((2, 2, 2, 2, 4), np.uint16)
    counts[:, :, 1, 1, 3] = 30  # 120 in all
    path = builder.write_velox(tmp_path / "map.emd", counts)
    signal = read_map(path, SI_dtype=dtype)
    assert signal["data"].dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(compute(signal), counts.sum((0, 1)))


@pytest.mark.parametrize(("dtype", "n"), [("uint8", 64), ("int8", 32), (None, 16384)])
def test_counts_never_wrap(tmp_path, dtype, n):
    counts = np.zeros((2, 2, 2, 2, 4), np.uint16)
    counts[:, :, 1, 1, 3] = n
    path = builder.write_velox(tmp_path / "map.emd", counts)
    with pytest.raises(OverflowError, match=r"SI_dtype='uint(16|32)'"):
        read_map(path, SI_dtype=dtype)
    lazy = read_map(path, SI_dtype=dtype, lazy=True)["data"]
    with pytest.raises(OverflowError):
        lazy.compute()
    counts[0, 0, 1, 1, 3] -= 1
    builder.write_velox(path, counts)
    assert compute(read_map(path, SI_dtype=dtype)).max() == 4 * n - 1


# Which signals, axes, metadata.


@pytest.mark.parametrize("lazy", [False, True])
def test_signals(path, lazy):
    signals = hs.load(path, lazy=lazy)
    kinds = [(s.metadata.General.title, s.data.shape) for s in signals]
    assert kinds == [
        ("EDS", (32,)),
        ("EDS", (32,)),
        ("HAADF", (4, 5)),
        ("EDS", (4, 5, 32)),
    ]
    assert all(s._lazy == lazy for s in signals)
    for name in ("image", "images"):
        image = hs.load(path, lazy=lazy, select_type=name)
        assert image.metadata.General.title == "HAADF"
    spectra = hs.load(path, lazy=lazy, select_type="single_spectrum")
    np.testing.assert_array_equal(np.asarray(spectra[1].data), COUNTS[1].sum((0, 1, 2)))


@pytest.mark.parametrize("lazy", [False, True])
def test_image_stack(path, lazy):
    stack = hs.load(path, lazy=lazy, select_type="image", load_SI_image_stack=True)
    assert stack.data.shape == (3, 4, 5)
    if lazy:
        stack.close_file()


def test_axes(path):
    signal = read_map(path, sum_frames=False, first_frame=1, rebin_energy=4)
    time, y, x, energy = signal["axes"]
    assert [a["index_in_array"] for a in signal["axes"]] == [0, 1, 2, 3]
    assert [a["size"] for a in signal["axes"]] == [2, 4, 5, 8]
    assert [a["navigate"] for a in signal["axes"]] == [True, True, True, False]
    assert (time["name"], time["units"]) == ("Time", "ms")
    assert time["scale"] == pytest.approx(288)
    for axis, name, offset in ((y, "y", -32.4), (x, "x", -39.6)):
        assert (axis["name"], axis["units"]) == (name, "nm")
        assert axis["scale"] == pytest.approx(3.6)
        assert axis["offset"] == pytest.approx(offset)
    assert (energy["name"], energy["units"]) == ("X-ray energy", "keV")
    assert energy["scale"] == pytest.approx(0.04)
    # the mean energy of the first four channels
    assert energy["offset"] == pytest.approx(-0.25 + 0.015)


def test_metadata(path):
    s = hs.load(path, select_type="spectrum_image")
    assert type(s).__name__ == "EDSTEMSpectrum"
    general, tem = s.metadata.General, s.metadata.Acquisition_instrument.TEM
    assert general.original_filename == "map.emd"
    assert general.date in ("2024-02-28", "2024-02-29")  # local
    assert s.metadata.Sample.elements == ["C", "O", "Ca", "Cu"]
    assert tem.beam_energy == 300
    assert tem.camera_length == pytest.approx(115.9)
    assert tem.magnification == 225000
    assert tem.microscope == "Titan"
    assert tem.Stage.tilt_alpha == pytest.approx(np.degrees(0.1), abs=1e-3)
    assert tem.Stage.tilt_beta == pytest.approx(np.degrees(-0.2), abs=1e-3)
    eds = tem.Detector.EDS
    assert eds.number_of_frames == 3
    assert eds.elevation_angle == 18
    # of one spectrum: 3 frames of 1 ms, live 90 % and 80 %
    assert eds.real_time == pytest.approx(3e-3)
    assert eds.live_time == pytest.approx(3e-3 * 0.85)
    assert s.original_metadata.ImportedDataParameter.Number_of_frames == 3
    # exspy multiplies by the spectra that it adds up
    total = s.sum()
    live = total.metadata.Acquisition_instrument.TEM.Detector.EDS.live_time
    assert live == pytest.approx(20 * 3e-3 * 0.85)


def test_metadata_of_frames_and_detectors(path):
    signals = file_reader(
        path,
        select_type="spectrum_image",
        sum_EDS_detectors=False,
        sum_frames=False,
        first_frame=1,
    )
    for signal, name, azimuth, share in zip(
        signals, ("SuperX2", "SuperX1"), (135, 45), (0.8, 0.9), strict=True
    ):
        eds = signal["metadata"]["Acquisition_instrument"]["TEM"]["Detector"]["EDS"]
        assert eds["detectors"] == [name]
        assert eds["azimuth_angle"] == pytest.approx(azimuth, abs=0.01)
        assert eds["real_time"] == pytest.approx(1e-3)
        assert eds["live_time"] == pytest.approx(share * 1e-3)
    (signal,) = file_reader(path, select_type="spectrum_image", first_frame=1)
    eds = signal["metadata"]["Acquisition_instrument"]["TEM"]["Detector"]["EDS"]
    assert eds["real_time"] == pytest.approx(2e-3)
    assert "azimuth_angle" not in eds  # the detectors look from different sides


def test_single_spectra_have_their_detector(path):
    spectra = hs.load(path, select_type="single_spectrum")
    eds = spectra[0].metadata.Acquisition_instrument.TEM.Detector.EDS
    assert eds.elevation_angle == 18 and eds.azimuth_angle == 45
    assert eds.live_time == pytest.approx(3 * 20 * 1e-3 * 0.9)


def test_times_of_one_metadata(tmp_path):
    """If the frames have no times, those of the detector's spectrum are the whole's."""
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, n_metadata=1)
    eds = read_map(path, last_frame=1)["metadata"]["Acquisition_instrument"]["TEM"]
    assert eds["Detector"]["EDS"]["real_time"] == pytest.approx(1e-3)


def test_times_of_a_moment(tmp_path):
    """Up to version 6, all frames but the last one say how long the detector last counted."""
    scan = builder.metadata("SuperX1", 1, 2, (4, 5))["Scan"] | {"DwellTime": "0.001"}
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, changes={"Scan": scan})
    with h5py.File(path, "a") as file:
        for group in file["Data/SpectrumStream"].values():
            text = group["Metadata"][:, 0].tobytes().rstrip(b"\0")
            tree = json.loads(text)
            for detector in tree["Detectors"].values():
                detector |= {"RealTime": "0.0003", "LiveTime": "0.0002"}
            raw = np.frombuffer(json.dumps(tree).encode(), np.uint8)
            group["Metadata"][:, 0] = 0
            group["Metadata"][: len(raw), 0] = raw
    for frames in ((0, 1), (1, 3), (0, 3), (1, 2)):
        signal = read_map(path, first_frame=frames[0], last_frame=frames[1])
        eds = signal["metadata"]["Acquisition_instrument"]["TEM"]["Detector"]["EDS"]
        n_frames = frames[1] - frames[0]
        assert eds["real_time"] == pytest.approx(n_frames * 1e-3)
        assert eds["live_time"] == pytest.approx(n_frames * 1e-3 * 0.85)


# Format version 4: one stream of a group of detectors.

GROUP = {"BinaryResult": {"Detector": "SuperX"}}


def test_group_of_detectors(tmp_path):
    counts = COUNTS[:1]
    detectors = builder.metadata("SuperX1", 1, 4, (4, 5))["Detectors"]
    options = {"version": "4", "has_spectra": False}
    changes = GROUP | {"Detectors": detectors}
    path = builder.write_velox(tmp_path / "map.emd", counts, changes=changes, **options)
    signal = read_map(path)
    np.testing.assert_array_equal(compute(signal), counts.sum((0, 1)))
    energy = signal["axes"][-1]
    assert (energy["scale"], energy["offset"]) == (0.01, -0.25)
    # they look from different sides, and nothing says whether the times are those of each
    eds = signal["metadata"]["Acquisition_instrument"]["TEM"]["Detector"]["EDS"]
    assert eds == {"number_of_frames": 3, "elevation_angle": 18, "detectors": ["SuperX"]}
    detectors["Detector-3"]["OffsetEnergy"] = "-240"
    builder.write_velox(path, counts, changes=changes, **options)
    with warned("different energy scales"):
        assert read_map(path)["axes"][-1]["offset"] == -0.25


def write_spectrum(path, has_marks=False):
    """A spectrum as Velox 4 saves it: with its stream, without an image."""
    counts = COUNTS[:1, :1, :1, : 1 + has_marks]
    path = builder.write_velox(path, counts, changes={"Scan": {}} | GROUP, version="4")
    with h5py.File(path, "a") as file:
        for name in ("Data/SpectrumImage", "Data/Image", "Features", "Displays"):
            del file[name]
    return path


@pytest.mark.parametrize("lazy", [False, True])
def test_single_spectrum_with_its_stream(tmp_path, lazy):
    (signal,) = file_reader(write_spectrum(tmp_path / "spectrum.emd"), lazy=lazy)
    np.testing.assert_array_equal(compute(signal), COUNTS[0, 0, 0, 0])
    assert signal["metadata"]["Signal"]["signal_type"] == "EDS_TEM"
    path = write_spectrum(tmp_path / "map.emd", has_marks=True)
    with pytest.raises(FileFormatError, match="how many pixels the map has"):
        file_reader(path, lazy=lazy)


def version4(name):
    path = DATA / "velox4" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    return path


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("options", [{}, {"sum_frames": False, "rebin_energy": 256}])
@pytest.mark.parametrize(
    ("name", "n_counts", "kev"),
    [
        ("fei_SI_SuperX-HAADF_10frames_10x50.emd", 764005, 0.005),
        ("fei_emd_si.emd", 6564, 0.01),
    ],
)
def test_version_4_as_upstream(name, n_counts, kev, options, lazy):
    path = version4(name)
    with warned():
        image, signal = file_reader(path, lazy=lazy, **options)
    theirs = rsciio.emd.file_reader(str(path), **options)
    np.testing.assert_array_equal(image["data"], theirs[0]["data"])
    np.testing.assert_array_equal(compute(signal), theirs[1]["data"])
    assert compute(signal).sum() == n_counts
    for axis, expected in zip(signal["axes"], theirs[1]["axes"], strict=True):
        assert (axis["name"], axis["units"]) == (expected["name"], expected["units"])
        assert axis["scale"] == pytest.approx(expected["scale"])
    rebin = options.get("rebin_energy", 1)
    assert signal["axes"][-1]["scale"] == pytest.approx(kev * rebin)
    assert signal["axes"][-1]["offset"] == pytest.approx(-1 + kev * (rebin - 1) / 2)


@pytest.mark.parametrize("lazy", [False, True])
def test_version_4_spectrum(lazy):
    path = version4("fei_emd_spectrum.emd")
    (signal,) = file_reader(path, lazy=lazy)
    (theirs,) = rsciio.emd.file_reader(str(path))
    np.testing.assert_array_equal(compute(signal), theirs["data"])
    assert compute(signal).sum() == 1168845
    assert signal["axes"] == theirs["axes"]
    eds = signal["metadata"]["Acquisition_instrument"]["TEM"]["Detector"]["EDS"]
    assert eds == {"elevation_angle": 22.0}


def test_signal_type(path):
    s = hs.load(path, select_type="spectrum_image", signal_type="EDS_XFM")
    assert type(s).__name__ == "EDSXFMSpectrum"
    assert s.metadata.Acquisition_instrument.SEM.Detector.EDS.elevation_angle == 18
    assert s.metadata.Acquisition_instrument.SEM.beam_energy == 300
    s = hs.load(path, signal_type="EDS_XFM")
    assert [type(x).__name__ for x in s[2:]] == ["Signal2D", "EDSXFMSpectrum"]


# The size of the map.


@pytest.mark.parametrize(
    "options",
    [
        {"other_images": [(16, 16)]},
        {"other_images": [(16, 16), (4, 4)], "has_feature": False},
        # only another image is there, the scan says the size
        {"image_shape": (16, 16), "has_feature": False},
        # the scan is said to be another, the image is right
        {"changes": {"Scan": {"ScanSize": {"width": "9", "height": "9"}}}},
        {"changes": {"Scan": {}}, "other_images": [(3, 5)], "has_feature": False},
        {"n_frames": 1, "has_table": True},
    ],
)
def test_size_of_map(tmp_path, options):
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, **options)
    np.testing.assert_array_equal(compute(read_map(path)), COUNTS.sum((0, 1)))


def test_size_is_not_said(tmp_path):
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, changes={"Scan": {}})
    with h5py.File(path, "a") as file:
        del file["Data/Image"]
    with pytest.raises(FileFormatError, match="how many pixels"):
        read_map(path)


def test_number_of_frames_is_not_said(tmp_path):
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, has_table=False)
    with h5py.File(path, "a") as file:
        del file["Data/SpectrumImage"]
        for group in file["Data/SpectrumStream"].values():
            del group["Metadata"]
    with warned("no Metadata", "no energy scale"):
        signal = read_map(path)
    np.testing.assert_array_equal(compute(signal), COUNTS.sum((0, 1)))


# The cache.


def test_cache(tmp_path, monkeypatch):
    from rsciio_xfm.core import cache

    monkeypatch.setattr(cache, "CACHED_FILE_BYTES", 0)
    monkeypatch.setattr(cache, "SETTLED_S", -1)
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "cache"))
    made = []
    build = index.build_index
    monkeypatch.setattr(index, "build_index", lambda *a: made.append(a) or build(*a))
    for options in ({}, {"compression": "gzip"}):
        made.clear()
        path = builder.write_velox(tmp_path / "map.emd", COUNTS, **options)
        for _ in range(2):
            np.testing.assert_array_equal(compute(read_map(path)), COUNTS.sum((0, 1)))
        assert len(made) == 1
        read_map(path, cache=False)
        assert len(made) == 2
    streams = streams_of()
    streams[0] = streams[0][:100]
    builder.write_velox(path, COUNTS, streams=streams)
    for _ in range(2):  # what is wrong is said each time
        with warned("ends early"):
            read_map(path)


# Other readers.


@pytest.fixture(scope="session")
def real_files(tmp_path_factory):
    archive = DATA / "emd" / "velox_emd_version11.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there")
    folder = tmp_path_factory.mktemp("velox")
    with zipfile.ZipFile(archive) as zipped:
        zipped.extractall(folder)
    return folder


OPTIONS = [
    {},
    {"sum_frames": False},
    {"sum_EDS_detectors": False},
    {"first_frame": 1, "rebin_energy": 4, "sum_frames": False},
    {"last_frame": 1, "SI_dtype": "uint8"},
    {"load_SI_image_stack": True, "select_type": None},
]


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_real_file_as_upstream(real_files, options, lazy):
    path = real_files / "Test SI 16x16 215 kx.emd"
    ours = hs.load(path, lazy=lazy, **options)
    theirs = hs.load(path, file_format=rsciio.emd, **options)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        assert type(mine).__name__.removeprefix("Lazy") == type(other).__name__
        assert mine.data.dtype == other.data.dtype
        np.testing.assert_array_equal(np.asarray(mine.data), other.data)
        rebin = options.get("rebin_energy", 1)
        for axis, expected in zip(
            mine.axes_manager._axes, other.axes_manager._axes, strict=True
        ):
            assert (axis.name, axis.units) == (expected.name, expected.units)
            # upstream widens the channels of single spectra too
            width = rebin if axis.name == "Energy" else 1
            assert axis.scale * width == pytest.approx(expected.scale)
            is_rebinned = axis.name == "X-ray energy"
            shift = (rebin - 1) / 2 / rebin * axis.scale if is_rebinned else 0
            assert axis.offset == pytest.approx(expected.offset + shift)
            assert axis.navigate == expected.navigate
        theirs_tree = other.metadata.as_dictionary()
        tree = mine.metadata.as_dictionary()
        for tem in (tree, theirs_tree):  # documented corrections
            tem["Acquisition_instrument"]["TEM"].pop("Detector", None)
            tem["General"].pop("FileIO")
            tem["Signal"].pop("quantity", None)
        if options.get("sum_EDS_detectors") is False and mine.data.ndim == 3:
            assert tree["General"].pop("title").startswith("SuperXG2")
            theirs_tree["General"].pop("title")
        assert tree == theirs_tree
        mine_om = mine.original_metadata.as_dictionary()
        theirs_om = other.original_metadata.as_dictionary()
        # None is left there by what was read before
        if theirs_om.get("DetectorMetadata", 0) is None:
            del theirs_om["DetectorMetadata"]
        assert mine_om == theirs_om
    if lazy and options.get("load_SI_image_stack"):
        ours[4].close_file()  # and so the others


def test_real_file_pruned(real_files):
    with pytest.warns(UserWarning, match="No spectrum stream is present"):
        signals = hs.load(real_files / "Test SI 16x16 ReducedData 215 kx.emd")
    assert len(signals) == 9


def test_energy_loss_maps(tmp_path):
    """They are RosettaSciIO's, whatever is in the streams."""
    path = builder.write_velox(tmp_path / "map.emd", COUNTS)
    cube = np.arange(5 * 7 * 4, dtype="f4").reshape(5, 7, 4)
    with h5py.File(path, "a") as file:
        group = file.create_group("Data/EelsSpectrumImage/0")
        group["Data"] = cube
        builder.put_metadata(group, [{"name": "EELS"}])
        raw = np.zeros((60000, 1), np.uint8)
        text = b'{"Data": {"offset": 480.0, "dispersion": 0.2}}'
        raw[: len(text), 0] = np.frombuffer(text, np.uint8)
        group["AcquisitionMetadata"] = raw
    *_, loss, x_rays = file_reader(path, lazy=True)
    assert loss["metadata"]["Signal"]["signal_type"] == "EELS"
    assert loss["metadata"]["General"]["original_filename"] == "map.emd"
    np.testing.assert_array_equal(loss["data"], cube.transpose(2, 0, 1))
    np.testing.assert_array_equal(compute(x_rays), COUNTS.sum((0, 1)))
    theirs = rsciio.emd.file_reader(str(path), select_type="spectrum_image")[0]
    assert loss["axes"] == theirs["axes"]
    assert len(file_reader(path, select_type="spectrum_image")) == 2
