"""EDAX files against what the builder wrote, lazily and eagerly; bad ones too."""

import os
import pickle
import struct
import tracemalloc
import warnings
from pathlib import Path

import dask
import hyperspy.api as hs
import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import (
    CorruptFileError,
    FileFormatError,
    TruncatedFileError,
)
from rsciio_xfm.formats.edax import file_reader
from tests.builders import edax as builder

CODES = {1: "B", 2: "H", 4: "I"}
EDS = "Acquisition_instrument.SEM.Detector.EDS"


def read_counts(path, shape, count_bytes=1, endianness="<", offset=1068):
    """The counts of a file by ``struct``."""
    n = shape[0] * shape[1] * shape[2]
    raw = Path(path).read_bytes()[offset : offset + n * count_bytes]
    values = struct.unpack(f"{endianness}{n}{CODES[count_bytes]}", raw)
    return np.array(values, dtype=f"u{count_bytes}").reshape(shape)


def read_one(path, **options):
    (result,) = file_reader(path, **options)
    return result


@pytest.mark.parametrize("count_bytes", [1, 2, 4])
@pytest.mark.parametrize("endianness", ["<", ">"])
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    "shape", [(5, 7, 32), (1, 1, 1), (1, 9, 5), (9, 1, 5), (3, 2, 1)]
)
def test_counts(tmp_path, count_bytes, endianness, lazy, shape):
    path = builder.write_map(tmp_path / "map.spd", shape, count_bytes, endianness)
    data = read_one(path, lazy=lazy, endianness=endianness)["data"]
    expected = read_counts(path, shape, count_bytes, endianness)
    assert data.dtype == np.dtype(f"u{count_bytes}") and data.dtype.isnative
    np.testing.assert_array_equal(np.asarray(data), expected)


@pytest.mark.parametrize(
    "chunks", ["auto", -1, (1, -1, -1), (2, 3, 5), (5, 7, 1), "1 KiB"]
)
@pytest.mark.parametrize("endianness", ["<", ">"])
def test_chunks(tmp_path, chunks, endianness):
    path = builder.write_map(tmp_path / "map.spd", (5, 7, 32), 2, endianness)
    data = read_one(path, lazy=True, chunks=chunks, endianness=endianness)["data"]
    expected = read_counts(path, (5, 7, 32), 2, endianness)
    np.testing.assert_array_equal(data.compute(), expected)
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(again.compute(), expected)


@pytest.mark.parametrize("chunks", ["auto", (2, 3, 5)])
def test_in_processes(tmp_path, chunks):
    path = builder.write_map(tmp_path / "map.spd", (5, 7, 32), 2, ">")
    data = read_one(path, lazy=True, chunks=chunks, endianness=">")["data"]
    found = data.compute(scheduler="processes", num_workers=2)
    np.testing.assert_array_equal(found, read_counts(path, (5, 7, 32), 2, ">"))


@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=60)
def test_any_slice(tmp_path_factory, data):
    shape = tuple(data.draw(st.integers(1, 9)) for _ in range(3))
    count_bytes = data.draw(st.sampled_from([1, 2, 4]))
    endianness = data.draw(st.sampled_from(["<", ">"]))
    path = tmp_path_factory.mktemp("slice") / "map.spd"
    builder.write_map(path, shape, count_bytes, endianness)
    counts = read_counts(path, shape, count_bytes, endianness)
    source = source_of(read_one(path, lazy=True, endianness=endianness)["data"])
    key = tuple(
        data.draw(st.slices(n) | st.integers(-n, n - 1) | st.just(slice(None)))
        for n in shape
    )
    np.testing.assert_array_equal(source[key], counts[key])
    ranges = []
    for n in shape:
        start = data.draw(st.integers(0, n))
        ranges.append((start, data.draw(st.integers(start, n))))
    block = counts[tuple(slice(*r) for r in ranges)].astype(np.uint64)
    np.testing.assert_array_equal(
        source.sum_navigation(tuple(ranges)), block.sum(axis=(0, 1))
    )
    np.testing.assert_array_equal(source.sum_signal(tuple(ranges)), block.sum(axis=2))


@pytest.mark.parametrize("block_bytes", [1, 40, 300, 10**6])
def test_blocks_of_any_size(tmp_path, monkeypatch, block_bytes):
    """Rows cut into columns, many rows at once, and all between."""
    from rsciio_xfm.core import chunks
    from rsciio_xfm.core import table as _table

    monkeypatch.setattr(chunks, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(_table, "BLOCK_BYTES", block_bytes)
    path = builder.write_map(tmp_path / "map.spd", (5, 7, 32), 2, ">")
    counts = read_counts(path, (5, 7, 32), 2, ">")
    source = source_of(read_one(path, lazy=True, endianness=">")["data"])
    np.testing.assert_array_equal(source[1:5, 2:6, 3:30], counts[1:5, 2:6, 3:30])
    box = ((1, 5), (2, 6), (0, 32))
    expected = counts[1:5, 2:6].astype(np.uint64)
    np.testing.assert_array_equal(source.sum_navigation(box), expected.sum(axis=(0, 1)))
    np.testing.assert_array_equal(source.sum_signal(box), expected.sum(axis=2))


@pytest.mark.parametrize("count_bytes", [1, 2, 4])
@pytest.mark.parametrize("map_bytes", [2**25, 5000, 50000])
@pytest.mark.parametrize("offset", [1068, 1069, 1070])
def test_narrow_windows(tmp_path, monkeypatch, count_bytes, map_bytes, offset):
    """They are looked at in the file's own pages, where these lie well."""
    from rsciio_xfm.core import chunks
    from rsciio_xfm.core import table as _table

    monkeypatch.setattr(_table, "MAP_BYTES", map_bytes)
    monkeypatch.setattr(_table, "_MAP_LEAST_BYTES", 0)
    shape = (5, 7, 1030)
    path = builder.write_map(
        tmp_path / "map.spd", shape, count_bytes, sidecars=False, dataOffset=offset
    )
    builder.write_spc(path.with_suffix(".spc"), 1030)
    counts = read_counts(path, shape, count_bytes, offset=offset)
    with pytest.warns(UserWarning):
        s = hs.load(path, lazy=True)
    source = source_of(s.data)
    assert source._can_map(((0, 5), (0, 7), (5, 9)), [(5, 9)]) == (
        7 * 1030 * count_bytes <= map_bytes and offset % count_bytes == 0
    )
    expected = counts[..., 5:9].sum(axis=2, dtype=np.uint64)
    with monkeypatch.context() as patch:
        if source._can_map(((0, 5), (0, 7), (5, 9)), [(5, 9)]):
            patch.delattr(
                chunks, "_sum_channels"
            )  # which copies what is no whole spectrum
        found = source.sum_signal(((0, 5), (0, 7), (5, 9)))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(source[1:4, :, 5:9], counts[1:4, :, 5:9])
    np.testing.assert_array_equal(source[1:4, 2:3, 5:9], counts[1:4, 2:3, 5:9])
    image = s.isig[5:9].sum("Energy")
    np.testing.assert_array_equal(image.data.compute(), expected)
    found = s.get_window_images([(5, 9), (200, 210)], show_progressbar=False)
    np.testing.assert_array_equal(found["channels 5-9"].data, expected)
    expected = counts[..., 200:210].sum(axis=2, dtype=np.uint64)
    np.testing.assert_array_equal(found["channels 200-210"].data, expected)


def test_without_pread(path, monkeypatch):
    """As on Windows, and where reading within a kernel fails."""
    from rsciio_xfm.core import table as _table

    counts = read_counts(path, (5, 7, 32), 2)
    for broken in ("can_stream", "stream_spectra"):
        with monkeypatch.context() as patch:
            patch.setattr(_table, broken, False if broken == "can_stream" else refuse)
            patch.setattr(_table, "stream_channels", refuse)
            source = source_of(read_one(path, lazy=True)["data"])
            box = ((0, 5), (1, 7), (0, 32))
            expected = counts[:, 1:].astype(np.uint64)
            np.testing.assert_array_equal(
                source.sum_navigation(box), expected.sum(axis=(0, 1))
            )
            np.testing.assert_array_equal(source.sum_signal(box), expected.sum(axis=2))


def refuse(*arguments):
    arguments[-1][...] = 7  # what was added before it failed
    return False


def test_pickled(tmp_path):
    path = builder.write_map(tmp_path / "map.spd")
    data = read_one(path, lazy=True)["data"]
    assert len(pickle.dumps(source_of(data))) < 1000
    again = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(again.compute(), data.compute())


def test_relative_path(tmp_path, monkeypatch):
    builder.write_map(tmp_path / "map.spd")
    monkeypatch.chdir(tmp_path)
    data = read_one("map.spd", lazy=True)["data"]
    monkeypatch.chdir("/")
    assert data.compute().any()


def test_same_token_same_file(tmp_path):
    path = builder.write_map(tmp_path / "map.spd")
    one, two = (read_one(path, lazy=True)["data"] for _ in range(2))
    assert one.name == two.name
    assert dask.base.tokenize(one) == dask.base.tokenize(two)
    other = builder.write_map(tmp_path / "other.spd", sidecars=False)
    with pytest.warns(UserWarning):
        assert read_one(other, lazy=True)["data"].name != one.name


# Through HyperSpy.


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.spd", (5, 7, 32), 2)


@pytest.mark.parametrize("lazy", [False, True])
def test_hyperspy(path, lazy):
    s = hs.load(path, lazy=lazy)
    assert type(s).__name__ == ("LazyEDSXFMSpectrum" if lazy else "EDSXFMSpectrum")
    counts = read_counts(path, (5, 7, 32), 2)
    np.testing.assert_array_equal(np.asarray(s.data), counts)
    assert s.metadata.General.title == "map"
    assert s.metadata.General.date == "2016-04-19"
    assert s.metadata.General.time == "15:38:51"
    assert s.metadata.Sample.elements == ["Al", "Fe", "O"]
    sem = s.metadata.Acquisition_instrument.SEM
    assert sem.beam_energy == 22
    assert sem.working_distance == 15.0
    assert sem.Stage.tilt_alpha == 1.5
    assert sem.Detector.EDS.azimuth_angle == 45
    assert sem.Detector.EDS.elevation_angle == 35
    assert sem.Detector.EDS.energy_resolution_MnKa == pytest.approx(129.31299)
    processing = s.original_metadata.xml.ExtendedSpectrumData.Processing
    assert processing.ICCShelfFactor == "0.20"
    x, y = s.axes_manager.navigation_axes
    assert (x.scale, y.scale, x.units, y.units) == (0.5, 0.25, "µm", "µm")
    energy = s.axes_manager.signal_axes[0]
    assert (energy.scale, energy.offset, energy.units) == (0.01, 0.0, "keV")
    for found, expected in (
        (s.sum(), counts.sum(axis=(0, 1))),
        (s.inav[2:5, 1:4].sum(), counts[1:4, 2:5].sum(axis=(0, 1))),
        (s.isig[3:9].sum("Energy"), counts[..., 3:9].sum(axis=2)),
        (s.inav[3, 2], counts[2, 3]),
        (s.max(), counts.max(axis=(0, 1))),
    ):
        np.testing.assert_array_equal(np.asarray(found.data), expected)


def test_live_times(path):
    """The file's is that of all spectra; signals have that of their own."""
    s = hs.load(path, lazy=True)
    assert s.metadata.get_item(f"{EDS}.live_time") == 70  # as RosettaSciIO has it
    for part, n_spectra in (
        (s.sum(), 35),
        (s.inav[2:5, 1:4].sum(), 9),
        (s.inav[2:5], 1),
        (s.inav[3, 2], 1),
        (s.mean(), 1),
        (s.sum("x"), 7),
        (s.rebin(scale=(7, 1, 1)), 7),
        (s.isig[:10].inav[:4].sum("x"), 4),
        (s.inav[:4].deepcopy().sum(), 20),
        (s.get_current_signal(), 1),
        (s.get_summary(show_progressbar=False)["sum"], 35),
        (s.get_region_spectra([[(0, 0), (3, 3)]], show_progressbar=False)["0"], 2),
    ):
        found = part.metadata.get_item(f"{EDS}.live_time")
        assert found == pytest.approx(2 * n_spectra), part
        assert not part.metadata.has_item(f"{EDS}.n_spectra_of_map")
    cropped = s.deepcopy()
    cropped.crop("x", 1, 4)
    assert cropped.metadata.get_item(f"{EDS}.live_time") == pytest.approx(2)
    for other in (s.max(), s.min("x"), s.std()):  # no time is that of all channels
        assert not other.metadata.has_item(f"{EDS}.live_time")
    for signal_type in ("EDS_SEM", "EDS_TEM", "EDS_XFM"):
        plain = s.deepcopy()
        plain.set_signal_type(signal_type)
        item = f"{EDS}.live_time"
        item = item.replace("SEM", "TEM") if signal_type == "EDS_TEM" else item
        assert plain.sum().metadata.get_item(item) == pytest.approx(70)
    one = s.inav[0, 0]
    one.get_calibration_from(s)
    assert one.metadata.get_item(f"{EDS}.live_time") == 2
    s.set_microscope_parameters(live_time=3.0)  # the user's word: of each spectrum
    assert s.sum().metadata.get_item(f"{EDS}.live_time") == pytest.approx(105)


def test_image(path):
    image = hs.load(path, select_type="image")
    assert repr(image).startswith("<Signal2D")
    assert image.data.dtype == np.uint8
    np.testing.assert_array_equal(image.data, np.arange(35).reshape(5, 7))
    s = hs.load(path, lazy=True)
    for ours, of_map in zip(
        image.axes_manager.signal_axes, s.axes_manager.navigation_axes, strict=True
    ):
        for key in ("name", "size", "scale", "offset", "units"):
            assert getattr(ours, key) == getattr(of_map, key)


def test_image_of_other_size_and_colour(path):
    """It shows the same field: its pixels are smaller."""
    builder.write_bmp(path.with_suffix(".bmp"), 14, 20, grey=False)
    image = hs.load(path, select_type="image")
    assert image.data.dtype.names == ("R", "G", "B")
    assert image.data[3, 2].tolist() == (200, 3, 2)
    x, y = image.axes_manager.signal_axes
    assert (x.scale, y.scale) == (0.25, 0.0625)


def test_line_scan(tmp_path):
    path = builder.write_line(tmp_path / "line.lsd", n_spectra=4)
    s = hs.load(path, lazy=True)
    assert s.axes_manager.shape == (4, 32)
    (x,) = s.axes_manager.navigation_axes
    assert (x.scale, x.offset, x.units) == (212.0, 0.0, "nm")
    expected = read_counts(path, (4, 1, 32), 4)[:, 0]
    np.testing.assert_array_equal(s.data.compute(), expected)
    np.testing.assert_array_equal(hs.load(path).data, expected)
    total = s.sum()
    total.compute(show_progressbar=False)
    np.testing.assert_array_equal(total.data, expected.sum(axis=0, dtype=np.uint64))
    found = s.get_window_images([(3, 7)], show_progressbar=False)["channels 3-7"]
    np.testing.assert_array_equal(found.data, expected[:, 3:7].sum(axis=1))
    assert repr(found).startswith("<Signal1D")


def test_line_scan_with_room_for_more(tmp_path):
    path = builder.write_line(tmp_path / "line.lsd", n_spectra=6, nSpectra=4)
    builder.write_csv(path.with_suffix(".csv"), [0, 2, 4, 6], "um")
    result = read_one(path)
    assert result["data"].shape == (4, 32)
    assert result["axes"][0]["units"] == "µm"


@pytest.mark.parametrize("lazy", [False, True])
def test_spectrum(tmp_path, lazy):
    path = builder.write_spc(tmp_path / "one.SPC", 100, startEnergy=-0.1)
    s = hs.load(path, lazy=lazy)
    assert s._lazy == lazy and s._signal_type == "EDS_XFM"
    expected = struct.unpack_from("<100I", path.read_bytes(), 3840)
    np.testing.assert_array_equal(np.asarray(s.data), expected)
    assert s.axes_manager[0].offset == pytest.approx(-0.1)
    assert s.metadata.get_item(f"{EDS}.live_time") == 70


# Files beside the map.


def test_names_in_any_case(tmp_path):
    path = builder.write_map(
        tmp_path / "Map.spd", sidecars=False, fName=b"D:\\x\\A\xdf.bmp"
    )
    builder.write_spc(tmp_path / "MAP.Spc")
    builder.write_ipr(tmp_path / "aß.IPR")
    builder.write_xml(tmp_path / "mAP.XML")
    builder.write_bmp(tmp_path / "Aß.BMP")
    result = read_one(path)  # no warning
    assert [axis["units"] for axis in result["axes"]] == ["µm", "µm", "keV"]
    assert read_one(path, select_type="image")["data"].shape == (5, 7)


@pytest.mark.parametrize("name", ["map_Img.ipr", "map.ipr", "old name.ipr"])
def test_names_of_the_ipr(path, name):
    """Renamed sets and those of the default name."""
    path.with_suffix(".ipr").rename(path.with_name("x.tmp"))
    raw = bytearray(path.read_bytes())
    raw[48:168] = b"C:\\maps\\old name.bmp".ljust(120, b"\0")
    path.write_bytes(raw)
    path.with_name("x.tmp").rename(path.with_name(name))
    assert read_one(path)["axes"][0]["scale"] == 0.25


def test_its_own_files_come_first(tmp_path):
    """In a folder of several maps that were all measured under the same name."""
    builder.write_ipr(tmp_path / "map_Img.ipr", 99.0, 99.0)
    for name, size in (("A", 0.5), ("B", 0.25)):
        path = builder.write_map(tmp_path / f"{name}.spd")
        builder.write_ipr(path.with_suffix(".ipr"), size, size)
        assert read_one(path)["axes"][0]["scale"] == size


def test_warnings_point_here(tmp_path):
    path = builder.write_map(tmp_path / "map.spd", sidecars=False)
    with pytest.warns(UserWarning) as caught:
        file_reader(path)
    assert {w.filename for w in caught} == {__file__}


def test_missing_files(tmp_path):
    path = builder.write_map(tmp_path / "map.spd", sidecars=False)
    with pytest.warns(UserWarning) as caught:
        result = read_one(path)
    texts = " ".join(str(w.message) for w in caught)
    for name in ("map.spc", "map_Img.ipr", "map.ipr", "map.xml"):
        assert name in texts
    for axis in result["axes"]:
        assert (axis["scale"], axis["offset"], axis["units"]) == (1.0, 0.0, None)


@pytest.mark.parametrize("option", ["spc_fname", "ipr_fname", "xml_fname"])
def test_given_files(tmp_path, path, option):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    source = path.with_suffix("." + option[:3])
    target = source.rename(elsewhere / source.name)
    expected = read_one(path, **{option: target})
    assert read_one(path, **{option: str(target)})["axes"] == expected["axes"]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_one(path, **{option: tmp_path / "nowhere"})


def test_given_image_and_table(tmp_path, path):
    image = builder.write_bmp(tmp_path / "another.dib", 3, 2)
    assert read_one(path, select_type="image", bmp_fname=image)["data"].shape == (2, 3)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_one(path, select_type="image", bmp_fname=tmp_path / "nowhere")
    line = builder.write_line(tmp_path / "line.lsd")
    table = builder.write_csv(tmp_path / "other.txt", [0, 5, 10])
    assert read_one(line, csv_fname=table)["axes"][0]["scale"] == 5


def test_missing_image(path):
    path.with_suffix(".bmp").unlink()
    with pytest.raises(FileNotFoundError, match=r"map\.bmp or map_Img\.bmp"):
        read_one(path, select_type="image")


def is_uncalibrated(axis):
    return (axis["scale"], axis["offset"], axis["units"]) == (1.0, 0.0, None)


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        ({"size": 0}, "0 bytes, expected at least the 3840"),
        ({"size": 700}, "700 bytes, expected at least the 3840"),
        ({"evPerChan": 0}, "evPerChan is 0"),
        ({"evPerChan": -5}, "evPerChan is -5"),
        ({"evPerChan": 10**8}, "evPerChan is 100000000"),
        ({"startEnergy": float("nan")}, "startEnergy is nan"),
        ({"startEnergy": 1e30}, "startEnergy is 1"),
        ({"numPts": -1}, "numPts is -1"),
        ({"dataStart": 100}, "dataStart is 100"),
        ({"endianness": ">"}, "byte order"),
    ],
)
def test_damaged_spc(path, damage, match):
    builder.write_spc(path.with_suffix(".spc"), **damage)
    with pytest.warns(UserWarning, match=match) as caught:
        result = read_one(path)
    assert len(caught) == 1 and "It is not used" in str(caught[0].message)
    assert is_uncalibrated(result["axes"][2])
    assert (
        "Acquisition_instrument" not in result["metadata"]
        or "beam_energy" not in (result["metadata"]["Acquisition_instrument"]["SEM"])
    )
    with pytest.raises(FileFormatError, match=match):
        read_one(path.with_suffix(".spc"))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"numElem": 49}, "numElem is 49"),
        ({"numElem": -1}, "numElem is -1"),
        ({"at": (26, 0, 120, *[0] * 45)}, "atomic number is 0.*atomic number is 120"),
        ({"kV": float("nan")}, "kV is nan"),
        ({"liveTime": -1.0}, "liveTime is -1"),
        ({"azimuth": 1e20}, "azimuth is 1"),
        ({"detReso": 0.0}, "detReso is 0"),
    ],
)
def test_partly_damaged_spc(path, fields, match):
    """What is sound is used; the rest is named and left out."""
    builder.write_spc(path.with_suffix(".spc"), **fields)
    with pytest.warns(UserWarning, match=match):
        result = read_one(path)
    assert result["axes"][2]["scale"] == 0.01
    sem = result["metadata"]["Acquisition_instrument"]["SEM"]
    numbers = {"kV": sem.get("beam_energy")} | sem["Detector"]["EDS"]
    names = {"liveTime": "live_time", "azimuth": "azimuth_angle"}
    names["detReso"] = "energy_resolution_MnKa"
    for name in fields:
        assert numbers.get(names.get(name, name)) is None
    if "at" in fields:
        assert result["metadata"]["Sample"]["elements"] == ["Fe"]


def test_repeated_elements(path):
    builder.write_spc(path.with_suffix(".spc"), numElem=4, at=(26, 26, 8, 26, *[0] * 44))
    assert read_one(path)["metadata"]["Sample"]["elements"] == ["Fe", "O"]


@pytest.mark.parametrize("n_channels", [16, 64])
def test_spc_of_another_map(path, n_channels):
    builder.write_spc(path.with_suffix(".spc"), n_channels)
    match = f"has {n_channels} channels, map.spd has 32.*10 eV per channel from 0 keV"
    with pytest.warns(UserWarning, match=match):
        read_one(path)


def test_spc_version_061(path):
    """20736 bytes, four less than what RosettaSciIO asks for."""
    spc = builder.write_spc(path.with_suffix(".spc"), version=0.61)
    assert spc.stat().st_size == 20736
    assert read_one(path)["axes"][2]["scale"] == 0.01
    (one,) = file_reader(spc, load_all_spc=True)
    assert one["original_metadata"]["spc_header"]["xRayTubeZ"] == 45
    assert read_one(spc)["data"].shape == (32,)


def test_load_all_of_a_short_spc(path):
    """The header is whole, what follows the counts is not."""
    builder.write_spc(path.with_suffix(".spc"), size=4000)
    with pytest.warns(UserWarning, match="not all of its fields can be read"):
        header = read_one(path, load_all_spc=True)["original_metadata"]["spc_header"]
    assert header["evPerChan"] == 10


def test_load_all_of_an_spc_that_upstream_cannot_read(path):
    """It names an element that is none."""
    spc = builder.write_spc(path.with_suffix(".spc"), at=(0, 26, 8, *[0] * 45))
    with pytest.warns(UserWarning, match="not all of its fields.*Left out"):
        result = read_one(path, load_all_spc=True)
    assert result["metadata"]["Sample"]["elements"] == ["Fe", "O"]
    with pytest.warns(UserWarning, match="atomic number is 0"):
        assert read_one(spc, load_all_spc=True)["data"].shape == (32,)


def test_truncated_spectrum(tmp_path):
    path = builder.write_spc(tmp_path / "one.spc", 100, size=3840 + 4 * 60 + 3)
    with pytest.warns(UserWarning, match="60 of 100 channels"):
        data = read_one(path)["data"]
    assert data.shape == (100,) and data[:60].any() and not data[60:].any()


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        ({"size": 0}, "0 bytes, expected the 252"),
        ({"size": 263}, "263 bytes, expected the 264"),
        ({"x_um": 0.0}, "mppX is 0"),
        ({"y_um": float("nan")}, "mppY is nan"),
        ({"x_um": -1.0}, "mppX is -1"),
        ({"x_um": 1e30}, "mppX is 1"),
        ({"endianness": ">"}, "byte order"),
    ],
)
def test_damaged_ipr(path, damage, match):
    builder.write_ipr(path.with_suffix(".ipr"), **damage)
    with pytest.warns(UserWarning, match=match):
        result = read_one(path)
    assert is_uncalibrated(result["axes"][0]) and is_uncalibrated(result["axes"][1])
    assert result["axes"][2]["units"] == "keV"


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;">]><a x="&c;"/>'


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no XML"),
        ("<a>", "no XML"),
        ("\x00\x01", "no XML"),
        (BOMB, "document type"),
        ("<a>" * 50 + "</a>" * 50, "deeper than"),
        ("<a>" + "x" * 300000 + "</a>", "more than 262144 bytes"),
        ('<?xml version="1.0" encoding="nonsense"?><a/>', "no XML"),
    ],
)
def test_damaged_xml(path, text, match):
    path.with_suffix(".xml").write_text(text)
    with pytest.warns(UserWarning, match=match):
        result = read_one(path)
    assert "xml" not in result["original_metadata"]
    assert "working_distance" not in result["metadata"]["Acquisition_instrument"]["SEM"]


@pytest.mark.parametrize("distance", ["", "far", "nan", "-3", "1e30"])
def test_wrong_working_distance(path, distance):
    builder.write_xml(path.with_suffix(".xml"), distance, label=" quartz ")
    with pytest.warns(UserWarning, match="WorkingDistance"):
        result = read_one(path)
    assert "working_distance" not in result["metadata"]["Acquisition_instrument"]["SEM"]
    assert result["metadata"]["Sample"]["description"] == "quartz"


@pytest.mark.parametrize(
    "text", ["<a/>", "<a><Geometry/><Geometry/><SpectrumLabel/></a>", "<Geometry/>"]
)
def test_other_xml(path, text):
    path.with_suffix(".xml").write_text(text)
    assert "xml" in read_one(path)["original_metadata"]


@pytest.mark.parametrize("content", [b"", b"BM", b"\x89PNG", b"BM" + b"\xff" * 200])
def test_damaged_image(path, content):
    path.with_suffix(".bmp").write_bytes(content)
    with pytest.raises(FileFormatError, match=r"map\.bmp.*bitmap|image has"):
        read_one(path, select_type="image")


def test_truncated_and_lying_image(path):
    bmp = path.with_suffix(".bmp")
    whole = bmp.read_bytes()
    bmp.write_bytes(whole[:-20])
    with pytest.raises(FileFormatError, match="no whole bitmap"):
        read_one(path, select_type="image")
    bmp.write_bytes(whole[:18] + struct.pack("<ii", 9000, 9000) + whole[26:])
    with pytest.raises(FileFormatError, match="9000 x 9000 pixels"):
        read_one(path, select_type="image")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "no line of column names"),
        ("a,b\n1,2\n", "no line of column names"),
        ("Point,Distance (nm)\n1,far\n", "distance is 'far'.*line 2, byte 20"),
        ("Point,Distance (nm)\n1,nan\n2,3\n3,4\n", "distance is 'nan'"),
        ("Point,Distance (nm)\n", "0 distances for 3 spectra"),
        ("Point,Distance (nm)\n1,0\n2,1\n", "2 distances for 3 spectra"),
        ("Point,Distance (nm)\n1,0\n2,1\n3,3\n", "1 to 2 nm apart"),
        ("Point,Distance (nm)\n1,2\n2,2\n3,2\n", "0 to 0 nm apart"),
        ('"' + "x" * 200000, "no table"),
        ("x" * 5000000, "more than 4194304 bytes"),
    ],
)
def test_damaged_table(tmp_path, text, match):
    path = builder.write_line(tmp_path / "line.lsd")
    path.with_suffix(".csv").write_text(text)
    with pytest.warns(UserWarning, match=match):
        result = read_one(path)
    assert is_uncalibrated(result["axes"][0])


@pytest.mark.parametrize("n_header", [0, 3, 40])
def test_table_with_any_header(tmp_path, n_header):
    path = builder.write_line(tmp_path / "line.lsd")
    builder.write_csv(path.with_suffix(".csv"), [10, 7.5, 5], "mm", n_header)
    axis = read_one(path)["axes"][0]
    assert (axis["scale"], axis["offset"], axis["units"]) == (-2.5, 10.0, "mm")


def test_table_in_another_code_page(tmp_path):
    path = builder.write_line(tmp_path / "line.lsd")
    text = "Point,Distance (µm),Fe K\n1,0,5\n2,1.5,5\n3,3,5\nTotal,,15\n"
    path.with_suffix(".csv").write_bytes(text.encode("latin-1"))
    axis = read_one(path)["axes"][0]
    assert (axis["scale"], axis["units"]) == (1.5, "µm")


def test_line_of_one_point(tmp_path):
    path = builder.write_line(tmp_path / "line.lsd", n_spectra=1)
    with pytest.warns(UserWarning, match="single distance"):
        result = read_one(path)
    assert result["data"].shape == (1, 32)


def test_files_beside_that_are_folders(path):
    path.with_suffix(".spc").unlink()
    path.with_suffix(".spc").mkdir()
    with pytest.warns(UserWarning, match=r"no map\.spc beside it"):
        read_one(path)


def test_xml_with_repeated_names(path):
    text = '<a Geometry="x"><Geometry WorkingDistance="7.5"/><Geometry/></a>'
    path.with_suffix(".xml").write_text(text)
    sem = read_one(path)["metadata"]["Acquisition_instrument"]["SEM"]
    assert sem["working_distance"] == 7.5


# Headers that lie.


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"tag": b"NOT_A_MAP_FILE!!"}, "begins with b'NOT_A_MAP_FILE!!'.*byte 0"),
        ({"countBytes": 3}, r"countBytes is 3, expected 1, 2 or 4 \(byte 36\)"),
        ({"countBytes": 0}, "countBytes is 0"),
        ({"countBytes": 8}, "countBytes is 8"),
        ({"nPoints": 0}, r"nPoints is 0, expected 1 to 1048576 \(byte 24\)"),
        ({"nPoints": -1}, "nPoints is -1"),
        ({"nLines": 0}, "nLines is 0"),
        ({"nChannels": 0}, "nChannels is 0"),
        ({"nLines": 2**32 - 1, "nPoints": 2**31 - 1}, "nPoints is 2147483647"),
        ({"nLines": 5 * 10**8, "nPoints": 1, "nChannels": 1}, "nLines is 500000000"),
        ({"nChannels": 2**32 - 1}, "nChannels is 4294967295"),
        ({"dataOffset": 0}, "dataOffset is 0, expected at least 1068"),
        ({"dataOffset": 1067}, "dataOffset is 1067"),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_header_that_cannot_be(tmp_path, fields, match, lazy):
    path = tmp_path / "map.spd"
    path.write_bytes(builder.spd_header(**fields) + bytes(5 * 7 * 32))
    with pytest.raises(FileFormatError, match=match):
        file_reader(path, lazy=lazy)


@pytest.mark.parametrize(
    "fields",
    [
        {"dataOffset": 10**9},
        {"dataOffset": 2**32 - 1},
        {"nChannels": 2**20},
        {"nPoints": 2**20},
        {"nLines": 10**6, "nPoints": 10**6},
        {"nLines": 2**20, "nPoints": 2**20, "nChannels": 2**20},
        {"nLines": 20000},
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_header_beyond_the_file(tmp_path, fields, lazy):
    path = tmp_path / "map.spd"
    path.write_bytes(builder.spd_header(**fields) + bytes(5 * 7 * 32))
    tracemalloc.start()
    try:
        with pytest.raises(TruncatedFileError, match="bytes of counts follow, expected"):
            file_reader(path, lazy=lazy)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize("size", [0, 1, 16, 1067])
def test_shorter_than_the_header(tmp_path, size):
    path = tmp_path / "map.spd"
    path.write_bytes(builder.spd_header()[:size])
    with pytest.raises(
        TruncatedFileError, match=f"{size} bytes, expected at least the 1068"
    ):
        file_reader(path)


@pytest.mark.parametrize("endianness", ["<", ">"])
def test_wrong_byte_order(tmp_path, endianness):
    path = builder.write_map(tmp_path / "map.spd", count_bytes=2, endianness=endianness)
    other = {"<": ">", ">": "<"}[endianness]
    with pytest.raises(FileFormatError, match=f"endianness='{endianness}'"):
        file_reader(path, endianness=other)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(("n_rows", "extra"), [(1, 0), (3, 10), (4, 223)])
def test_truncated(path, lazy, n_rows, extra):
    """Whole rows are read, the rest are zeros, and a warning says how many."""
    counts = read_counts(path, (5, 7, 32), 2)
    path.write_bytes(path.read_bytes()[: 1068 + n_rows * 448 + extra])
    match = f"ends early: {n_rows} of 5 rows are there, the rest are zeros"
    with pytest.warns(UserWarning, match=match):
        s = hs.load(path, lazy=lazy)
    counts[n_rows:] = 0
    np.testing.assert_array_equal(np.asarray(s.data), counts)
    for found, expected in (
        (s.sum(), counts.sum(axis=(0, 1))),
        (s.sum("Energy"), counts.sum(axis=2)),
        (s.inav[1:3, 2:].isig[4:9], counts[2:, 1:3, 4:9]),
        (s.inav[:, 3:].sum(), counts[3:].sum(axis=(0, 1))),
    ):
        np.testing.assert_array_equal(np.asarray(found.data), expected)
    summary = s.get_summary(show_progressbar=False)
    np.testing.assert_array_equal(summary["counts"].data, counts.sum(axis=2))
    np.testing.assert_array_equal(summary["max"].data, counts.max(axis=(0, 1)))
    image = s.get_window_images((3, 9), show_progressbar=False)["channels 3-9"]
    np.testing.assert_array_equal(image.data, counts[..., 3:9].sum(axis=2))
    mask = np.zeros((5, 7), dtype=bool)
    mask[:, 3] = True
    region = s.get_region_spectra(mask, show_progressbar=False)["0"]
    np.testing.assert_array_equal(region.data, counts[:, 3].sum(axis=0))


def test_no_whole_row(path):
    path.write_bytes(path.read_bytes()[: 1068 + 447])
    with pytest.raises(TruncatedFileError, match="447 bytes of counts"):
        file_reader(path)


def test_little_of_a_large_map_is_read_lazily_only(tmp_path):
    path = tmp_path / "map.spd"
    row = 1000 * 1000
    path.write_bytes(builder.spd_header((500, 1000, 1000)) + bytes(row))
    with (
        pytest.warns(UserWarning),
        pytest.raises(FileFormatError, match=r"1 of 500 rows.*Use lazy=True"),
    ):
        file_reader(path)
    with pytest.warns(UserWarning):
        assert file_reader(path, lazy=True)[0]["data"].shape == (500, 1000, 1000)


def test_bytes_that_follow(path):
    path.write_bytes(path.read_bytes() + bytes(447))
    read_one(path)  # less than a row: no warning
    path.write_bytes(path.read_bytes() + bytes(1))
    with pytest.warns(UserWarning, match="448 bytes follow the 5 rows"):
        read_one(path)


def test_changed_file(path):
    data = read_one(path, lazy=True)["data"]
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(CorruptFileError, match="changed since it was opened"):
        data.compute()
    path.write_bytes(content)
    os.utime(path, (1, 1))
    with pytest.raises(CorruptFileError, match="Load it again"):
        data.sum(axis=2).compute()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"endianness": "="}, "endianness is '='"),
        ({"select_type": "map"}, "select_type is 'map'"),
    ],
)
def test_wrong_options(path, options, match):
    with pytest.raises(ValueError, match=match):
        file_reader(path, **options)


def test_other_files(tmp_path):
    with pytest.raises(ValueError, match=r"'\.txt', expected one of"):
        file_reader(tmp_path / "map.txt")
    spectrum = builder.write_spc(tmp_path / "a.spc")
    line = builder.write_line(tmp_path / "a.lsd")
    map_ = builder.write_map(tmp_path / "a.spd")
    for path, options, match in (
        (spectrum, {"select_type": "image"}, "single spectrum"),
        (spectrum, {"spc_fname": spectrum}, "spc_fname given, expected none"),
        (line, {"select_type": "image"}, "select_type given.*line scan"),
        (line, {"ipr_fname": "a.ipr"}, "ipr_fname given"),
        (map_, {"csv_fname": "a.csv"}, "csv_fname given"),
        (map_, {"bmp_fname": "a.bmp"}, "expected select_type='image'"),
    ):
        with pytest.raises(ValueError, match=match):
            file_reader(path, **options)
    map_.unlink()
    with pytest.raises(FileFormatError, match="folder"):
        (tmp_path / "map.spd").mkdir()
        file_reader(tmp_path / "map.spd")


def test_line_scan_of_another_tag(tmp_path):
    path = builder.write_line(tmp_path / "line.lsd", tag=b"LINESPECTRA_DATA")
    assert read_one(path)["data"].shape == (3, 32)
    path = builder.write_line(tmp_path / "line.lsd", tag=b"\x01\x02")
    with pytest.raises(FileFormatError, match="begins with"):
        file_reader(path)


def test_40_gigabytes(tmp_path):
    """A sparse file: opening it reads its header only."""
    path = tmp_path / "map.spd"
    with path.open("wb") as file:
        file.write(builder.spd_header((4000, 3400, 3000)))
        file.truncate(1068 + 4000 * 3400 * 3000)
    tracemalloc.start()
    try:
        with pytest.warns(UserWarning):
            s = hs.load(path, lazy=True)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert s.data.nbytes > 40e9
    assert peak < 20 * 2**20
    with pytest.warns(UserWarning), pytest.raises(MemoryError, match="lazy=True"):
        hs.load(path)
    assert s.inav[100, 3999].data.compute().shape == (3000,)


def test_image_that_claims_much(tmp_path):
    """Pillow warns from 89 million pixels on, and refuses twice as many."""
    path = builder.write_map(tmp_path / "map.spd", (4, 3, 8), 2)
    image = path.with_suffix(".bmp")
    whole = image.read_bytes()
    for width in (10_000, 33_554_436, 2**30):
        image.write_bytes(whole[:18] + struct.pack("<i", width) + whole[22:])
        with pytest.raises(FileFormatError, match="byte"):
            read_one(path, select_type="image")


@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=200)
def test_damaged_anywhere(tmp_path_factory, data):
    """Any bytes changed in any file, or any cut: our error, or a map of the right size."""
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    path = builder.write_map(folder / "map.spd", (4, 3, 8), 2)
    name = data.draw(st.sampled_from(["spd", "spc", "ipr", "xml", "bmp"]))
    victim = path.with_suffix(f".{name}")
    raw = bytearray(victim.read_bytes())
    last = min(len(raw), 1100) - 1
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    if data.draw(st.booleans()):
        raw = raw[: data.draw(st.integers(0, len(raw)))]
    victim.write_bytes(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            for lazy in (False, True):
                result = read_one(path, lazy=lazy)
                shape = tuple(axis["size"] for axis in result["axes"])
                assert np.asarray(result["data"]).shape == shape
                for axis in result["axes"]:
                    assert np.isfinite(axis["scale"]) and np.isfinite(axis["offset"])
            read_one(path, select_type="image")
        except FileFormatError as error:
            assert str(folder) in str(error) and "byte" in str(error)
