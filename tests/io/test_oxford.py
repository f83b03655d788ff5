"""``.h5oina`` files of a builder that follows the specification, read next to plain h5py."""

import pickle

import dask
import dask.array as da
import h5py
import hyperspy.api as hs
import numpy as np
import pytest

import rsciio_xfm
from rsciio_xfm.core.hdf5.links import Group
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.oxford import file_reader
from rsciio_xfm.signals.excitation import excitation_of
from tests.builders import oxford as builder

EDS = ("Acquisition_instrument", "SEM", "Detector", "EDS")


def read(path, **options):
    (signal,) = file_reader(path, **options)
    return signal


def eds_of(signal):
    node = signal["metadata"]
    for name in EDS:
        node = node[name]
    return node


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.h5oina")


# Counts.


@pytest.mark.parametrize("is_lazy", [False, True])
@pytest.mark.parametrize("is_column", [False, True])
@pytest.mark.parametrize(
    "storage",
    [
        {},
        {"compression": "lzf", "chunks": (6, 48)},
        {"compression": "lzf", "chunks": (7, 13)},
        {"compression": "lzf", "shuffle": True, "chunks": (1, 48)},
        {"compression": "gzip", "chunks": (20, 48)},
        {"compression": "lzf", "fletcher32": True, "chunks": (5, 48)},
    ],
    ids=str,
)
def test_counts(tmp_path, storage, is_column, is_lazy):
    path = builder.write_map(tmp_path / "a.h5oina", is_column=is_column, storage=storage)
    signal = read(path, lazy=is_lazy)
    assert isinstance(signal["data"], da.Array if is_lazy else np.ndarray)
    assert signal["data"].dtype == np.uint32
    np.testing.assert_array_equal(np.asarray(signal["data"]), builder.read_spectra(path))


@pytest.mark.parametrize("chunks", [(1, 1, -1), (3, 2, 7), (4, 5, 48), "auto"])
def test_chunks(path, chunks):
    data = read(path, lazy=True, chunks=chunks)["data"]
    expected = builder.read_spectra(path)
    np.testing.assert_array_equal(data.compute(), expected)
    np.testing.assert_array_equal(data[1:3, ::2, 5:9].compute(), expected[1:3, ::2, 5:9])


def test_sums_windows_and_regions(path):
    s, expected = hs.load(path, lazy=True), builder.read_spectra(path)
    total = s.sum()
    total.compute(show_progressbar=False)
    np.testing.assert_array_equal(total.data, expected.sum((0, 1)))
    image = s.get_window_images({"w": (-0.1, 0.1)})["w"]
    energies = s.axes_manager[-1].axis
    inside = (energies >= -0.1 - 1e-9) & (energies < 0.1 - 1e-9)
    np.testing.assert_array_equal(image.data, expected[..., inside].sum(-1))
    mask = np.zeros((4, 5), bool)
    mask[1, 2:] = mask[3, 0] = True
    region = s.get_region_spectra({"r": mask})
    np.testing.assert_array_equal(region["r"].data, expected[mask].sum(0))


def test_pickled_and_in_processes(path):
    data = pickle.loads(pickle.dumps(read(path, lazy=True, chunks=(2, 5, -1))["data"]))
    with dask.config.set(scheduler="processes", num_workers=2):
        np.testing.assert_array_equal(data.compute(), builder.read_spectra(path))


def test_line_and_one_pixel(tmp_path):
    path = builder.write_map(tmp_path / "line.h5oina", (1, 9, 16))
    signal = read(path)
    assert [axis["name"] for axis in signal["axes"]] == ["x", "Energy"]
    assert signal["axes"][0]["scale"] == 0.5 and signal["axes"][0]["units"] == "µm"
    np.testing.assert_array_equal(signal["data"], builder.read_spectra(path)[0])
    assert eds_of(signal)["_sig_dead_time"]["data"].shape == (9,)
    path = builder.write_map(tmp_path / "one.h5oina", (1, 1, 16))
    np.testing.assert_array_equal(read(path)["data"], builder.read_spectra(path)[0])
    column = builder.write_map(tmp_path / "column.h5oina", (6, 1, 16))
    assert read(column)["data"].shape == (6, 1, 16)


def test_empty_map(tmp_path):
    counts = np.zeros((1, 20, 48), "<i4")
    path = builder.write_map(tmp_path / "a.h5oina", counts=counts)
    assert not read(path)["data"].any()


def test_spectrum_of_a_feature(tmp_path):
    """One spectrum of an area of several pixels is what it is, not that of a pixel."""
    path = builder.write_map(
        tmp_path / "a.h5oina", (1, 1, 16), header={"X Cells": 7, "Y Cells": 5}
    )
    assert read(path)["data"].shape == (1, 16)


def test_slices(tmp_path):
    names = ("1", "2", "10")
    path = builder.write_map(tmp_path / "a.h5oina", slices=names)
    signals = file_reader(path, lazy=True)
    assert [s["metadata"]["General"]["title"] for s in signals] == ["a", "a 2", "a 10"]
    for name, signal in zip(names, signals, strict=True):
        expected = builder.read_spectra(path, one_slice=name)
        np.testing.assert_array_equal(signal["data"].compute(), expected)
        alone = read(path, index=int(name))
        np.testing.assert_array_equal(alone["data"], expected)
    for index in (3, "x", True, 1.0):
        with pytest.raises(ValueError, match=r"index is .*, expected one of 1, 2, 10"):
            file_reader(path, index=index)


# Detectors.


@pytest.fixture
def two(tmp_path):
    return builder.write_map(tmp_path / "two.h5oina", n_detectors=2)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_detectors(two, is_lazy):
    each = [builder.read_spectra(two, name) for name in ("EDS1", "EDS2")]
    total = read(two, lazy=is_lazy)
    np.testing.assert_array_equal(np.asarray(total["data"]), each[0] + each[1])
    stack = read(two, lazy=is_lazy, sum_detectors=False)
    np.testing.assert_array_equal(np.asarray(stack["data"]), np.stack(each))
    assert [axis["name"] for axis in stack["axes"]] == ["detector", "y", "x", "Energy"]
    for i, name in enumerate(("EDS1", "EDS2")):
        for detector in (i, name, np.int64(i)):
            one = read(two, lazy=is_lazy, detector=detector)
            np.testing.assert_array_equal(np.asarray(one["data"]), each[i])
            assert one["metadata"]["General"]["title"] == f"two {name}"
    for detector in (2, -1, "EDS3", 0.0, True):
        with pytest.raises(ValueError, match="expected 0 to 1, or EDS1, EDS2"):
            file_reader(two, detector=detector)


def test_detectors_apart(two):
    s = hs.load(two, lazy=True)
    with h5py.File(two) as file:
        for i, name in enumerate(("EDS1", "EDS2")):
            data = file[f"1/{name}/Data"]
            dead = 100 * (1 - data["Live Time"][:, 0] / data["Real Time"][:, 0])
            carried = s.get_dead_time().data[i]
            np.testing.assert_allclose(carried.ravel()[1:], dead[1:], rtol=1e-4)
            assert np.isnan(carried[0, 0])


def test_sum_that_does_not_fit(tmp_path):
    counts = np.full((2, 20, 48), 2**31 - 1, "<i4")
    path = builder.write_map(
        tmp_path / "a.h5oina", n_detectors=3, counts=[*counts, counts[0]]
    )
    assert read(path, detector=0)["data"].max() == 2**31 - 1
    with pytest.raises(OverflowError, match=r"a\.h5oina.*sum_detectors=False"):
        read(path)


def test_detectors_of_other_shapes(two):
    with h5py.File(two, "r+") as file:
        header = file["1/EDS2/Header"]
        header["X Cells"][...], header["Y Cells"][...] = 4, 5
    for is_sum in (True, False):
        with pytest.raises(ValueError, match=r"EDS2 .*expected one.* detector="):
            file_reader(two, sum_detectors=is_sum)
    with pytest.warns(UserWarning, match="X Cells, 4, does not fit"):
        assert read(two, detector=1)["data"].shape == (5, 4, 48)


def test_detectors_of_other_energies(two):
    with h5py.File(two, "r+") as file:
        file["1/EDS2/Header/Start Channel"][...] = -150
    with pytest.warns(UserWarning, match=r"differ by up to 5 channels.*detector="):
        signal = read(two)
    assert signal["axes"][-1]["offset"] == pytest.approx(-0.2)


def test_detectors_that_are_not_whole(two):
    expected = builder.read_spectra(two, "EDS2")
    with h5py.File(two, "r+") as file:
        del file["1/EDS1/Data/Spectrum"]
    with pytest.warns(UserWarning, match=r"1/EDS1 holds no Spectrum .*left out"):
        signal = read(two)
    np.testing.assert_array_equal(signal["data"], expected)
    with h5py.File(two, "r+") as file:
        del file["1/EDS1/Data"]
    with pytest.warns(UserWarning, match=r"1/EDS1 holds no group Data .*left out"):
        assert read(two)["data"].shape == expected.shape


# Times.


def test_live_and_real_time(path):
    s = hs.load(path)
    with h5py.File(path) as file:
        data = file["1/EDS/Data"]
        live, real = data["Live Time"][:, 0], data["Real Time"][:, 0]
    found = s.get_live_time().data.ravel()
    np.testing.assert_allclose(found[1:], live[1:], rtol=1e-5)
    assert found[0] == 0  # nothing was measured there
    node = s.metadata.get_item(".".join(EDS))
    assert node.real_time == pytest.approx(real[1])
    assert node.live_time == pytest.approx(np.nansum(live) / 20, rel=1e-6)
    total = s.inav[1:, :].sum()
    node = total.metadata.get_item(".".join(EDS))
    expected = live.reshape(4, 5)[:, 1:].sum()
    assert node.live_time == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n_detectors", [1, 2])
@pytest.mark.parametrize("is_sum", [True, False])
def test_uneven_real_times(tmp_path, n_detectors, is_sum):
    """Live and real time of each pixel, and of all that is made of them, are the file's."""
    real = np.linspace(0.01, 0.05, 20).astype("<f4")
    live = (real * np.linspace(0.9, 0.5, 20)).astype("<f4")
    path = builder.write_map(
        tmp_path / "a.h5oina", times=(live, real), n_detectors=n_detectors
    )
    s = hs.load(path, lazy=True, sum_detectors=is_sum)
    n = n_detectors if is_sum else 1
    for found in s.get_live_time().data.reshape(-1, 20):
        np.testing.assert_allclose(found, n * live, rtol=1e-5)
    one = s.inav[3, 2] if is_sum or n_detectors == 1 else s.inav[3, 2, 0]
    node = one.metadata.get_item(".".join(EDS))
    assert node.real_time == pytest.approx(n * real[13], rel=1e-5)
    assert node.live_time == pytest.approx(n * live[13], rel=1e-5)
    total = s.sum()
    node = total.metadata.get_item(".".join(EDS))
    assert node.real_time == pytest.approx(n_detectors * real.sum(), rel=1e-5)
    assert node.live_time == pytest.approx(n_detectors * live.sum(), rel=1e-5)


def test_detectors_with_other_real_times(tmp_path):
    """Sums have the live and the real times of all detectors together."""
    path = builder.write_map(tmp_path / "a.h5oina", n_detectors=2)
    times = np.full(20, 0.02), np.full(20, 0.03)
    with h5py.File(path, "r+") as file:
        for i, own in enumerate(((0.9, 1.0), (0.5, 1.5))):
            data = file[f"1/EDS{i + 1}/Data"]
            data["Live Time"][...], data["Real Time"][...] = own[0] * 0.02, own[1] * 0.02
    s = hs.load(path)
    np.testing.assert_allclose(s.get_live_time().data, 1.4 * times[0][0], rtol=1e-5)
    node = s.metadata.get_item(".".join(EDS))
    assert node.real_time == pytest.approx(2.5 * 0.02)
    assert node.live_time == pytest.approx(1.4 * 0.02)


def test_live_times_alone(tmp_path):
    live = np.full(20, 0.02, "<f4")
    path = builder.write_map(tmp_path / "a.h5oina", times=(live, None), n_detectors=2)
    assert eds_of(read(path, detector=0))["live_time"] == pytest.approx(0.02)
    node = eds_of(read(path))
    assert node["live_time"] == pytest.approx(0.04) and "_sig_dead_time" not in node


def test_without_times(tmp_path):
    path = builder.write_map(tmp_path / "a.h5oina", times=(None, None))
    assert not {"live_time", "real_time", "_sig_dead_time"} & set(eds_of(read(path)))


def test_damaged_times(tmp_path):
    """NaN, negative and infinite times, and live times longer than real times."""
    live, real = builder.make_times(20)
    live[1:5] = np.inf, -1, 2 * real[4], np.nan
    real[6] = -np.inf
    path = builder.write_map(tmp_path / "a.h5oina", times=(live, real))
    dead = eds_of(read(path))["_sig_dead_time"]["data"].ravel()
    assert np.isnan(dead[[0, 1, 2, 4, 6]]).all() and dead[3] == 0
    assert np.isfinite(dead[7:]).all()


# Metadata.


@pytest.mark.parametrize("live", [-1.0, np.inf])
def test_live_times_that_cannot_be(tmp_path, live):
    """None is not 0 s: nothing is known then but the real time."""
    times = np.full(20, live, "<f4"), np.ones(20, "<f4")
    path = builder.write_map(tmp_path / "a.h5oina", times=times)
    with pytest.warns(UserWarning, match="live and dead times stay unknown"):
        s = hs.load(path)
    eds = s.metadata.Acquisition_instrument.SEM.Detector.EDS
    assert eds.real_time == 1 and "live_time" not in eds


def test_times_of_another_size(tmp_path):
    times = np.ones(3, "<f4"), np.ones(20, "<f4")
    path = builder.write_map(tmp_path / "a.h5oina", times=times)
    with pytest.warns(UserWarning, match=r"Live Time is of the shape \(3, 1\), expected"):
        s = hs.load(path)
    assert "live_time" not in s.metadata.Acquisition_instrument.SEM.Detector.EDS


def test_live_times_above_real_times(tmp_path):
    live, real = builder.make_times(20)
    path = builder.write_map(tmp_path / "a.h5oina", times=(1000 * live, real))
    with pytest.warns(UserWarning, match="Live Time is .* s of all pixels together"):
        read(path)


def test_tables_that_do_not_fit(tmp_path):
    path = builder.write_map(tmp_path / "a.h5oina", header={"X Cells": 7})
    with pytest.raises(FileFormatError, match="nothing for select_type") as error:
        read(path, select_type="peak_area")
    assert "What is there: " in str(error.value)
    assert "select_type='peak_area'" not in str(error.value).partition("What is")[2]


def test_metadata(path):
    signal = read(path)
    metadata, (y, x, energy) = signal["metadata"], signal["axes"]
    assert (y["scale"], x["scale"], y["units"]) == (0.25, 0.5, "µm")
    assert energy["offset"] == pytest.approx(-0.2) and energy["scale"] == pytest.approx(
        0.01
    )
    sem = metadata["Acquisition_instrument"]["SEM"]
    assert (sem["beam_energy"], sem["working_distance"]) == (20.0, 10.5)
    assert sem["magnification"] == 500.0
    stage = {"x": 1.5, "y": -2.5, "z": 12.0, "tilt_alpha": 0.0, "rotation": 90.0}
    assert sem["Stage"] == stage
    assert eds_of(signal)["elevation_angle"] == 35.0
    assert eds_of(signal)["azimuth_angle"] == 45.0
    assert metadata["General"]["date"] == "2026-03-30"
    assert metadata["General"]["time"] == "14:05:06"
    assert metadata["Sample"] == {"description": "A basalt", "elements": ["Al", "Fe"]}
    assert metadata["Signal"]["signal_type"] == "EDS_XFM"
    xrf = metadata["Acquisition_instrument"]["XRF"]
    assert xrf["detector_type"] == "Ultim Max 100" and xrf["process_time"] == 4
    original = signal["original_metadata"]
    assert original["file"]["Format Version"] == "8.0"
    assert original["EDS"]["Stage Position"]["Z"] == 12.0


def test_transmission_microscope(tmp_path):
    """Above 30 kV maps are exspy's EDS_TEM; the methods here take them if asked."""
    path = builder.write_map(tmp_path / "a.h5oina", header={"Beam Voltage": 200.0})
    s = hs.load(path)
    assert s._signal_type == "EDS_TEM"
    assert s.metadata.Acquisition_instrument.TEM.beam_energy == 200.0
    assert s.metadata.Acquisition_instrument.TEM.Detector.EDS.live_time > 0
    s = hs.load(path, signal_type="EDS_XFM")
    assert s.get_dead_time().data.shape == (4, 5)


def test_missing_and_wrong_numbers(tmp_path):
    header = {
        "X Step": float("nan"), "Y Step": None, "Beam Voltage": float("inf"),
        "Acquisition Date": "yesterday", "Tilt Angle": None, "Number Channels": 50,
    }  # fmt: skip
    path = builder.write_map(tmp_path / "a.h5oina", header=header)
    with pytest.warns(UserWarning, match="Number Channels is 50, expected 48"):
        signal = read(path)
    assert [axis["units"] for axis in signal["axes"]] == [None, None, "keV"]
    assert "beam_energy" not in signal["metadata"]["Acquisition_instrument"]["SEM"]
    assert "date" not in signal["metadata"]["General"]
    np.testing.assert_array_equal(signal["data"], builder.read_spectra(path))


def test_electrons(tmp_path):
    """All files are of microscopes, whatever their headers leave out."""
    pytest.importorskip("xraylib")
    none = dict.fromkeys(("Magnification", "Working Distance"))
    s = hs.load(builder.write_map(tmp_path / "a.h5oina", header=none))
    assert s.metadata.Acquisition_instrument.XRF.source == "electrons"
    assert str(excitation_of(s)) == "electrons 20 kV"
    with pytest.raises(ValueError, match="Electrons excite the sample"):
        rsciio_xfm.make_setup(s)


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("Beam Voltage", 1e38, "Beam Voltage is 1e\\+38, expected kV: left out"),
        ("Beam Voltage", -20.0, "Beam Voltage is -20, expected kV"),
        ("Channel Width", 1e30, "Channel Width is 1e\\+30, expected eV"),
        ("Start Channel", -1e20, "Start Channel is -1e\\+20, expected eV"),
        ("X Step", 1e25, "X Step is 1e\\+25, expected µm: the axis counts pixels"),
    ],
)
def test_huge_numbers(tmp_path, name, value, match):
    path = builder.write_map(tmp_path / "a.h5oina", header={name: value})
    with pytest.warns(UserWarning, match=match):
        signal = read(path)
    assert signal["metadata"]["Signal"]["signal_type"] == "EDS_XFM"
    assert all(abs(axis["scale"]) <= 1 for axis in signal["axes"])
    np.testing.assert_array_equal(signal["data"], builder.read_spectra(path))


@pytest.mark.parametrize("width", [None, 0.0, -10.0, float("nan")])
def test_energies(tmp_path, width):
    header = {"Channel Width": width, "Energy Range": None}
    path = builder.write_map(tmp_path / "a.h5oina", header=header)
    with pytest.warns(UserWarning, match="Channel Width is .*numbers of channels"):
        assert read(path)["axes"][-1]["units"] is None
    header |= {"Energy Range": 0.96}
    path = builder.write_map(tmp_path / "b.h5oina", header=header)
    if width is None:
        assert read(path)["axes"][-1]["scale"] == pytest.approx(0.02)


def test_montage(tmp_path):
    maps = {"LAM Field Index": np.arange(20, dtype="<i4") // 5}
    path = builder.write_map(tmp_path / "a.h5oina", maps=maps)
    xrf = read(path)["metadata"]["Acquisition_instrument"]["XRF"]
    assert xrf["montage_fields"] == 4
    counters = read(path, select_type="counters")
    names = counters["metadata"]["General"]["counters"]
    image = counters["data"][names.index("LAM Field Index")]
    np.testing.assert_array_equal(image, np.repeat([0, 1, 2, 3], 5).reshape(4, 5))


# Images.


@pytest.mark.parametrize("is_lazy", [False, True])
@pytest.mark.parametrize("is_column", [False, True])
def test_images(tmp_path, is_column, is_lazy):
    path = builder.write_map(tmp_path / "a.h5oina", is_column=is_column)
    se, bse = file_reader(path, select_type="image", lazy=is_lazy)
    expected = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(np.asarray(se["data"]), expected)
    np.testing.assert_array_equal(np.asarray(bse["data"]), 1000 * expected)
    assert (se["data"].dtype, bse["data"].dtype) == (np.uint8, np.uint16)
    assert [axis["scale"] for axis in se["axes"]] == [3.0, 2.0]
    assert se["metadata"]["General"]["title"] == "a SE SE Image 1"
    image = hs.load(path, select_type="image")[0]
    assert image.axes_manager.signal_shape == (4, 3)


def test_image_of_another_size(path):
    with h5py.File(path, "r+") as file:
        file["1/Electron Image/Header/X Cells"][...] = 5
    with (
        pytest.warns(UserWarning, match="SE Image 1 is .*expected 15"),
        pytest.raises(FileFormatError, match="nothing for select_type='image'"),
    ):
        file_reader(path, select_type="image")


@pytest.mark.parametrize(
    ("select_type", "factor", "names", "quantity"),
    [
        ("window_integral", 10, ["Al K series", "Fe K series"], "Window integral (cps)"),
        ("peak_area", 5, ["Al K series", "Fe K series"], "Peak area (cps)"),
        ("composition", 1, ["Al", "Fe"], "Composition (wt%)"),
    ],
)
def test_tables(tmp_path, select_type, factor, names, quantity):
    """Below format 7.0 there are no spectra, but these."""
    path = builder.write_map(tmp_path / "a.h5oina", version="6.0", has_spectra=False)
    with pytest.raises(
        FileFormatError, match=rf"no Spectrum .*format 6\.0.*select_type='{select_type}'"
    ):
        file_reader(path)
    signal = read(path, select_type=select_type)
    assert signal["metadata"]["General"]["counters"] == names
    assert signal["metadata"]["Signal"]["quantity"] == quantity
    for image, z in zip(signal["data"], (13, 26), strict=True):
        np.testing.assert_array_equal(image, factor * z + np.arange(20.0).reshape(4, 5))


def test_tables_of_each_detector(two):
    signals = file_reader(two, select_type="peak_area", lazy=True)
    titles = [signal["metadata"]["General"]["title"] for signal in signals]
    assert titles == ["two EDS1 peak area", "two EDS2 peak area"]
    assert read(two, select_type="peak_area", detector=1)["data"].shape == (2, 4, 5)


def test_counters(path):
    signal = read(path, select_type="counters")
    assert signal["metadata"]["General"]["counters"] == [
        "Live Time",
        "Real Time",
        "X",
        "Y",
    ]
    np.testing.assert_array_equal(signal["data"][2], 0.5 * np.indices((4, 5))[1])


def test_unknown_selection(path):
    with pytest.raises(ValueError, match="select_type is 'maps', expected None"):
        file_reader(path, select_type="maps")


# EBSD.


def test_ebsd_is_not_touched(tmp_path, monkeypatch):
    """Not even looked at: what is there may be damaged, large or lead anywhere."""

    def write(group):
        group["Data"] = h5py.ExternalLink("/nowhere/patterns.h5", "/")
        group.create_dataset("Processed Patterns", (10**6, 10**6), "u1")

    path = builder.write_map(tmp_path / "a.h5oina", ebsd=write)
    opened, step = [], Group._step

    def watched(group, part, links):
        opened.append(part)
        return step(group, part, links)

    monkeypatch.setattr(Group, "_step", watched)
    for select_type in (None, "image", "counters", "peak_area"):
        file_reader(path, select_type=select_type)
    assert b"Spectrum" in opened and b"EBSD" not in opened


def test_only_ebsd(tmp_path):
    path = builder.write_map(
        tmp_path / "a.h5oina", names=[], ebsd=lambda group: group.create_group("Data")
    )
    with pytest.raises(FileFormatError, match="EBSD is read by kikuchipy"):
        file_reader(path)


# Bad input.


def test_positions_that_do_not_fit(path):
    """X Cells and Y Cells that were exchanged would make another map of the same size."""
    with h5py.File(path, "r+") as file:
        header = file["1/EDS/Header"]
        header["X Cells"][...], header["Y Cells"][...] = 4, 5
    with pytest.warns(UserWarning, match="X is 0 .* and 2 .*X Cells, 4, does not fit"):
        file_reader(path)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (0, "X Cells is 0, expected a whole number"),
        (-5, "X Cells is -5, expected"),
        (2.5, "X Cells is 2.5, expected"),
        (None, "X Cells is not there, expected"),
        (7, "Spectrum has 20 pixels, expected 28: Y Cells and X Cells are 4 and 7"),
        (2**31 - 1, "expected at most"),
    ],
)
def test_cells(tmp_path, cells, message):
    path = builder.write_map(tmp_path / "a.h5oina", header={"X Cells": cells})
    with pytest.raises(FileFormatError, match=rf"a\.h5oina: 1/EDS.*{message}.*byte \d+"):
        file_reader(path)


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((20,), "i4", r"is \(20,\) of int32"),
        ((4, 5, 48), "i4", r"is \(4, 5, 48\) of int32"),
        ((20, 48), "f4", r"is \(20, 48\) of float32"),
        ((20, 0), "i4", "expected no axis of 0"),
        ((0, 48), "i4", "expected no axis of 0"),
        ((20, 48), "S4", r"of \|S4"),
    ],
)
def test_spectra_of_another_kind(path, shape, dtype, message):
    with h5py.File(path, "r+") as file:
        del file["1/EDS/Data/Spectrum"]
        file["1/EDS/Data"].create_dataset("Spectrum", shape, dtype)
    with pytest.raises(FileFormatError, match=rf"Spectrum is .*{message}|{message}"):
        file_reader(path)


def test_more_than_is_there(path):
    """A header that promises terabytes takes no memory."""
    with h5py.File(path, "r+") as file:
        del file["1/EDS/Data/Spectrum"]
        options = {"chunks": (1000, 2048), "compression": "lzf"}
        file["1/EDS/Data"].create_dataset("Spectrum", (10**9, 2048), "i4", **options)
        header = file["1/EDS/Header"]
        header["X Cells"][...], header["Y Cells"][...] = 10**5, 10**4
    with pytest.raises(CorruptFileError, match=r"Spectrum is \(1000000000, 2048\)"):
        file_reader(path, lazy=True)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_negative_counts(tmp_path, is_lazy):
    counts = builder.make_counts((20, 48))
    counts[13, 5] = -3
    path = builder.write_map(tmp_path / "a.h5oina", counts=[counts])
    with pytest.raises(CorruptFileError, match=r"a\.h5oina: 1/EDS: Spectrum holds -3"):
        data = read(path, lazy=is_lazy, chunks=(1, -1, -1))["data"]
        np.testing.assert_array_equal(data[0].compute(), counts.reshape(4, 5, 48)[0])
        data.compute()


def test_truncated(path):
    content = path.read_bytes()
    for size in (0, 100, 512, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises((FileFormatError, TruncatedFileError), match="byte"):
            file_reader(path, lazy=True)[0]["data"].compute()


def test_damaged_chunk(path):
    first = builder.read_spectra(path)[0]
    with h5py.File(path) as file:
        chunk = file["1/EDS/Data/Spectrum"].id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * 40)
    data = read(path, lazy=True, chunks=(1, -1, -1))["data"]
    np.testing.assert_array_equal(data[0].compute(), first)
    with pytest.raises(CorruptFileError, match=rf"LZF .*byte {chunk.byte_offset}\)"):
        data.compute()


def test_changed_after_opening(path):
    data = read(path, lazy=True)["data"]
    with h5py.File(path, "r+") as file:
        file["1/more"] = np.zeros(4096)
    with pytest.raises(CorruptFileError, match="changed"):
        data.compute()


def test_other_hdf5(tmp_path):
    path = tmp_path / "a.h5oina"
    with h5py.File(path, "w") as file:
        file["1/EDS/Data/Spectrum"] = np.zeros((2, 3))
    with pytest.raises(FileFormatError, match=r'Format Version is not there.*"ESRF"'):
        file_reader(path)
    with h5py.File(path, "w") as file:
        file["Manufacturer"] = "Oxford Instruments"
    with pytest.raises(FileFormatError, match="no slices, expected a group 1"):
        file_reader(path)


def test_headers_without_end(path):
    """Groups that hold themselves, thousands of items, text of megabytes."""
    with h5py.File(path, "r+") as file:
        header = file["1/EDS/Header"]
        header["Stage Position/again"] = h5py.SoftLink("/1/EDS/Header/Stage Position")
        header.create_dataset("zz", data=np.bytes_(b"a" * 2**20))
        for i in range(2000):
            header[f"z{i}"] = i
    signal = read(path)
    assert len(signal["original_metadata"]["EDS"]) < 1100
    assert "zz" not in signal["original_metadata"]["EDS"]


def test_registered_for_its_extension_alone():
    from rsciio import IO_PLUGINS

    (entry,) = [p for p in IO_PLUGINS if p["api"] == "rsciio_xfm.formats.oxford"]
    assert entry["file_extensions"] == ["h5oina"] and "other_extensions" not in entry
    owners = [p["name"] for p in IO_PLUGINS if "h5oina" in p["file_extensions"]]
    assert owners == ["Oxford"]


def test_exported_and_loaded(path, tmp_path):
    s = hs.load(path, lazy=True)
    s.save(tmp_path / "copy.hspy")
    again = hs.load(tmp_path / "copy.hspy")
    np.testing.assert_array_equal(again.data, builder.read_spectra(path))
    np.testing.assert_allclose(
        again.get_live_time().data, s.get_live_time().data, rtol=1e-6
    )


def test_command_line(path, run):
    said = run("info", path)
    assert "uint32" in said and "Tilt Angle: 0.0" in said and "dead time" in said


def test_detector_that_is_missing(tmp_path):
    path = builder.write_map(tmp_path / "map.h5oina", n_detectors=2)
    with h5py.File(path, "r+") as file:
        file.move("1/EDS1", "1/E")
    with pytest.warns(UserWarning, match="holds EDS2, expected EDS1 to EDS2"):
        (signal,) = file_reader(path)
    np.testing.assert_array_equal(signal["data"], builder.read_spectra(path, "EDS2"))
