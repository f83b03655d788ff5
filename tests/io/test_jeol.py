"""JEOL's maps and projects: made files."""

import os
import pickle
import struct
import warnings

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import jeol
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.jeol import index as index_of
from tests.builders import jeol as builder
from tests.io.jeol_common import counts, dead_of, eds_of, frames, read, read_all, theirs


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.pts")


# Made files -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"has_image": True},
        {"has_clock": False},
        {"shape": (16, 8)},
        {"shape": (1, 1), "n_frames": 1},
        {"shape": (4, 32), "n_frames": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_lazy", [False, True])
def test_counts(tmp_path, options, is_lazy):
    path = builder.write_map(tmp_path / "map.pts", **options)
    found = read(path, lazy=is_lazy)
    shape = options.get("shape", builder.SHAPE)
    numbers = range(options.get("n_frames", builder.N_FRAMES))
    expected = counts(shape, numbers)
    assert found["data"].dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(found["data"]), expected)
    found = np.zeros((len(numbers), *shape, builder.N_CHANNELS), np.uint16)
    np.add.at(found, tuple(np.transpose(builder.decode(path)[2])), 1)
    np.testing.assert_array_equal(found, frames(shape, numbers))


@pytest.mark.parametrize("block", [6, 50])
def test_rows_that_go_on_in_another_block(path, monkeypatch, block):
    monkeypatch.setattr("rsciio_xfm.core.stream.BLOCK_BYTES", block)
    monkeypatch.setattr("rsciio_xfm.formats.jeol.index.BLOCK_BYTES", block)
    found = read(path, lazy=True, chunks=(3, 5, 1000), cache=False)
    expected = counts()
    np.testing.assert_array_equal(found["data"], expected)
    source = source_of(found["data"])
    np.testing.assert_array_equal(source.known_total(), expected.sum(axis=(0, 1)))
    assert eds_of(found)["real_time_of_map"] == pytest.approx(3.84)


@pytest.mark.parametrize("options", [{}, {"downsample": (4, 2), "rebin_energy": 32}])
def test_sums(path, options):
    source = source_of(read(path, lazy=True, **options)["data"])
    whole = tuple((0, n) for n in source.shape)
    data = source.read(whole).astype(np.uint64)
    np.testing.assert_array_equal(source.sum_navigation(whole), data.sum(axis=(0, 1)))
    np.testing.assert_array_equal(source.known_total(), data.sum(axis=(0, 1)))
    np.testing.assert_array_equal(source.sum_signal(whole), data.sum(axis=2))
    part = (1, 3), (1, 4), (4, 100)
    cut = data[1:3, 1:4, 4:100]
    np.testing.assert_array_equal(source.read(part), cut)
    np.testing.assert_array_equal(source.sum_navigation(part), cut.sum(axis=(0, 1)))
    np.testing.assert_array_equal(source.sum_signal(part), cut.sum(axis=2))


def test_signal(path):
    s = hs.load(path, lazy=True, signal_type="EDS_XFM")
    assert s.metadata.Signal.signal_type == "EDS_XFM"
    assert s.metadata.General.as_dictionary().items() >= {
        "title": "EDS extracted from map.pts", "date": "2019-02-04", "time": "12:00:00",
    }.items()  # fmt: skip
    scale = builder.SCAN_SIZE / builder.MAGNIFICATION * 1000 / 16
    assert s.axes_manager["y"].scale == s.axes_manager["x"].scale == pytest.approx(scale)
    assert s.axes_manager["Energy"].offset == pytest.approx(-0.001 - 96 * 0.01)
    node = s.metadata.Acquisition_instrument.SEM
    assert (node.beam_energy, node.magnification) == (20, 40000)
    assert node.Detector.EDS.as_dictionary().items() >= {
        "azimuth_angle": 90, "elevation_angle": 22.5, "energy_resolution_MnKa": 138,
        "detector_type": "EX1",
    }.items()  # fmt: skip
    expected = counts()
    np.testing.assert_array_equal(s.sum().data, expected.sum(axis=(0, 1)))
    part = s.inav[1:4, 2:].isig[190:520]
    np.testing.assert_array_equal(part.data, expected[2:, 1:4, 190:520])
    images = s.get_window_images([(1.0395, 1.1995)])
    (image,) = images.values()
    np.testing.assert_array_equal(image.data, expected[..., 200:216].sum(axis=2))
    mask = expected[..., 501] > 0
    np.testing.assert_array_equal(
        s.get_region_spectra({"a": mask})["a"].data, expected[mask].sum(axis=0)
    )


def test_type_of_signal(tmp_path, path):
    s = hs.load(path)
    assert s._signal_type == "EDS_SEM"
    # exspy multiplies the time of a spectrum by their number.
    eds = s.sum().metadata.Acquisition_instrument.SEM.Detector.EDS
    assert eds.live_time == pytest.approx(builder.n_ticks()[1] / 100)
    assert not hs.load(path).metadata.has_item(
        "Acquisition_instrument.SEM.Detector.EDS.dead_time"
    )
    path = builder.write_map(tmp_path / "map.pts", AccKV=200.0)
    s = hs.load(path)
    assert s._signal_type == "EDS_TEM"
    assert s.metadata.Acquisition_instrument.TEM.beam_energy == 200
    assert hs.load(path, signal_type="EDS_XFM").get_dead_time().data.shape == (8, 16)


@pytest.mark.parametrize("options", [{}, {"sum_frames": False}])
def test_other_processes(path, options):
    chunks = (1, 2, 5, 1000) if options else (2, 5, 1000)
    data = read(path, lazy=True, chunks=chunks, **options)["data"]
    again = pickle.loads(pickle.dumps(data))
    expected = frames() if options else counts()
    np.testing.assert_array_equal(again.compute(scheduler="processes"), expected)


def test_empty_map(tmp_path):
    """Rows without an X-ray, and a stream without a word."""
    words = [0x9000 | 512 * y for y in range(8)]
    path = builder.write_map(tmp_path / "map.pts", raw=struct.pack("<8H", *words))
    assert not read(path)["data"].any()
    path = builder.write_map(tmp_path / "map.pts", raw=b"")
    found = read(path, lazy=True)
    assert found["data"].shape == (8, 16, 4096) and not found["data"].compute().any()
    assert read(path, sum_frames=False)["data"].shape == (0, 8, 16, 4096)
    assert "real_time" not in eds_of(found)


def test_index_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("RSCIIO_XFM_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("rsciio_xfm.core.cache.CACHED_FILE_BYTES", 0)
    monkeypatch.setattr("rsciio_xfm.core.cache.SETTLED_S", -1e9)
    path = builder.write_map(tmp_path / "map.pts", shape=(8, 4))
    first = read(path, lazy=True)
    assert len(list((tmp_path / "cache").glob("jeol*"))) == 1
    monkeypatch.setattr("rsciio_xfm.formats.jeol.index.build_index", None)
    again = read(path, lazy=True)
    np.testing.assert_array_equal(again["data"].compute(), first["data"].compute())
    np.testing.assert_array_equal(dead_of(again), dead_of(first))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start", lambda a: a[::-1].copy()),
        ("start", lambda a: a + 2**40),
        ("position", lambda a: a[1:]),
        ("columns", lambda a: a + 100),
        ("total", lambda a: a.astype(float)),
        ("position", lambda a: a | 0x8000),
    ],
)
def test_damaged_index_is_not_used(path, name, value):
    header = jeol.parse.read_header(path)
    held = dict(vars(index_of.build_index(header)))
    assert index_of._unpack(held, header) is not None
    held[name] = value(held[name])
    assert index_of._unpack(held, header) is None


def test_changed_file(path):
    """Other rows are noticed, whatever size and time say."""
    data = read(path, lazy=True)["data"]
    status, content = os.stat(path), bytearray(path.read_bytes())
    at = content.index(struct.pack("<H", 0x9000 | 512), builder.DATA)
    content[at : at + 2] = struct.pack("<H", 0x9000 | 1024)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(CorruptFileError, match=r"row of the map .*\(byte 16384\)"):
        data.compute()
    content[at + 2 : at + 4] = content[at : at + 2]
    content[at : at + 2] = struct.pack("<H", 0x9000 | 512)
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(CorruptFileError, match="row of the map"):
        data.sum(axis=2).compute()


def test_large_map(tmp_path):
    """A header alone costs no memory for the cube: 4096 x 4096 pixels are 64 GiB."""
    path = builder.write_map(
        tmp_path / "map.pts",
        raw=builder.stream((4, 4), 1, rows_of_last=1),
        Pixels="4096x4096",
        RealTime=0.04,
        LiveTime=0.03,
    )
    found = read_all(path, lazy=True)
    assert found["data"].shape == (4096, 4096, 4096)
    assert found["data"][0, 1024, 201].compute() == 2
    with pytest.raises((MemoryError, FileFormatError), match="lazy=True"):
        read_all(path)


# Positions --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(16, 8), (8, 16), (4, 64)])
def test_maps_that_are_not_square(tmp_path, shape):
    """Positions over both axes run to 4095; or the step is that of the longer one."""
    step = builder.POSITIONS // max(shape)
    for steps in (None, (step, step)):
        path = builder.write_map(tmp_path / "map.pts", shape=shape, steps=steps)
        np.testing.assert_array_equal(read(path)["data"], counts(shape=shape))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("is_same", [False, True])
def test_sizes_that_do_not_divide(tmp_path, turned, is_same):
    """As of 4:3; positions are rounded, or have the step of the axis that does divide."""
    shape = (16, 12) if turned else (12, 16)
    steps = [256.0 if is_same or n == 16 else 4096 / 12 for n in shape]
    path = builder.write_map(tmp_path / "map.pts", shape=shape, steps=steps)
    np.testing.assert_array_equal(read(path)["data"], counts(shape=shape))


def test_positions_of_no_pixel(tmp_path):
    raw = struct.pack("<6H", 0x9000, 0x8000, 0xB010, 0x8000 | 300, 0xB020, 0x9000 | 3584)
    path = builder.write_map(tmp_path / "map.pts", raw=raw)
    with pytest.warns(
        UserWarning, match=r"positions \[0, 300\], ... are not those of 16"
    ):
        data = read(path)["data"]
    assert data[0, 0, 16] == data[0, 1, 32] == 1


def test_positions_outside(tmp_path):
    """Of 12 columns, 4090 would be column 12; X-rays without a column are lost too."""
    raw = [0x9000, 0xB001, 0x8000, 0xB010, 0x8000 | 4090, 0xB020, 0x9000 | 3755]
    raw = struct.pack(f"<{len(raw)}H", *raw)
    path = builder.write_map(tmp_path / "map.pts", shape=(12, 12), raw=raw)
    with pytest.warns(UserWarning) as caught:
        found = read(path, lazy=True)
    said = " ".join(str(w.message) for w in caught)
    assert "2 X-rays have no position within the map of 12 rows and 12 columns" in said
    assert f"(byte {builder.DATA + 2}, the first)" in said
    assert found["data"].sum(dtype=int).compute() == 1 == found["data"].compute().sum()


def test_words_that_are_not_known(tmp_path):
    words = [0x9000, 0x8000, 0xB010, 0xC123, 0x6001, 0xC000, 0x9000 | 3584]
    path = builder.write_map(tmp_path / "map.pts", raw=struct.pack("<7H", *words))
    with pytest.warns(
        UserWarning, match=r"a value: 1 of kind 0x6, 2 of kind 0xC"
    ) as said:
        found = read(path)
    assert found["data"].sum() == 1
    assert f"(byte {builder.DATA + 6}, the first)" in str(said[0].message)


def test_area_that_was_scanned(tmp_path):
    """A frame is whole if it comes to the last row of that area."""
    area = struct.pack("<4H", 0, 0, 15, 5)
    options = {"rows_of_last": 6, "Aim Area": area, "n_frames": 1}
    path = builder.write_map(tmp_path / "map.pts", **options)
    assert len(read(path, sum_frames=False, lazy=True)["data"]) == 1
    options["Aim Area"] = struct.pack("<4H", 0, 0, 99, 5)  # which cannot be
    path = builder.write_map(tmp_path / "map.pts", **options)
    with pytest.warns(UserWarning, match="last frame is not whole"):
        assert len(read(path, sum_frames=False, lazy=True)["data"]) == 0


# Frames -----------------------------------------------------------------------------------


def test_frames(path):
    each = frames()
    found = read(path, lazy=True, sum_frames=False)
    np.testing.assert_array_equal(found["data"], each)
    assert [axis["name"] for axis in found["axes"]] == ["Frame", "y", "x", "Energy"]
    assert found["axes"][0]["scale"] == pytest.approx(1.28)
    source = source_of(found["data"])
    part = (1, 3), (2, 7), (0, 9), (200, 210)
    np.testing.assert_array_equal(source.read(part), each[1:3, 2:7, :9, 200:210])
    np.testing.assert_array_equal(
        source.sum_signal(part), each[1:3, 2:7, :9, 200:210].sum(axis=3)
    )
    for numbers in ([1], [2, 0], [0, 0, 2]):
        chosen = read(path, frame_list=numbers, sum_frames=False)
        np.testing.assert_array_equal(chosen["data"], each[numbers])
        summed = read(path, frame_list=numbers)
        np.testing.assert_array_equal(summed["data"], each[numbers].sum(axis=0))
        ticks = [builder.n_ticks(frames=[i])[1] for i in numbers]
        assert eds_of(summed)["live_time_of_map"] == pytest.approx(sum(ticks) / 100)
        assert eds_of(summed)["real_time_of_map"] == pytest.approx(1.28 * len(numbers))


@pytest.mark.parametrize("is_summed", [False, True])
def test_shifts(path, is_summed):
    """Frames are moved, and what not all of them have is cut off."""
    shifts = [(0, 0, 0), (2, -1, 3), (1, 3, -2)]
    options = {"sum_frames": is_summed, "frame_shifts": shifts}
    found = read(path, lazy=True, **options)
    moved = []
    for frame, (dy, dx, d) in zip(frames(), shifts, strict=True):
        top, left = 2 - dy, 3 - dx
        spectra = frame[top : top + 6, left : left + 12]
        moved.append(np.roll(spectra, d, axis=2))
        assert not spectra[..., -4 if d > 0 else 0].any()  # nothing goes around
    moved = np.sum(moved, axis=0) if is_summed else np.array(moved)
    np.testing.assert_array_equal(found["data"], moved)
    np.testing.assert_array_equal(
        found["data"].sum(axis=tuple(range(moved.ndim - 1))),
        moved.reshape(-1, 4096).sum(0),
    )
    y, x = found["axes"][-3:-1]
    assert y["offset"] == pytest.approx(2 * y["scale"])
    assert x["offset"] == pytest.approx(3 * x["scale"])


def test_cut_frame(tmp_path):
    """It is left out; if it is read, its rows have been scanned more often than others."""
    path = builder.write_map(
        tmp_path / "map.pts", rows_of_last=5, columns_of_last=8, has_image=True
    )
    with pytest.warns(UserWarning) as caught:
        found = read(path, lazy=True)
    first, second = (str(w.message) for w in caught)
    assert "2 of 3 frames are whole" in first and "only_valid_data=False" in first
    assert "ticks of the stream are 3.28 s, expected the 3.84 s" in second
    np.testing.assert_array_equal(found["data"], counts(frames_read=range(2)))
    assert eds_of(found)["real_time_of_map"] == pytest.approx(2.56)
    with pytest.warns(
        UserWarning, match=r"ticks of the stream are 3.28 s, expected .*3.84"
    ):
        s = hs.load(path, only_valid_data=False, lazy=True, signal_type="EDS_XFM")
    rest = frames()[2]
    rest[5:] = rest[4, 8:] = 0
    np.testing.assert_array_equal(s.data, counts(frames_read=range(2)) + rest)
    eds = s.metadata.Acquisition_instrument.SEM.Detector.EDS
    assert eds.real_time * 128 == eds.real_time_of_map == pytest.approx(3.28)
    share = eds.relative_real_time.data[:, 0]
    np.testing.assert_allclose(share / share[-1], [1.5] * 4 + [1.25] + [1] * 3)


def test_cut_in_a_row_of_its_image(tmp_path):
    """The last row was begun: with an image it is seen that it is not whole."""
    options = {"rows_of_last": 8, "columns_of_last": 15}
    path = builder.write_map(tmp_path / "map.pts", has_image=True, **options)
    with pytest.warns(UserWarning, match="last frame is not whole"):
        read(path, lazy=True)
    path = builder.write_map(tmp_path / "map.pts", **options)
    assert len(read(path, lazy=True, sum_frames=False)["data"]) == 3


def test_image(tmp_path):
    path = builder.write_map(tmp_path / "map.pts", has_image=True)
    expected = np.array(
        [
            [[builder.image_of(f, y, x) for x in range(16)] for y in range(8)]
            for f in range(3)
        ]
    )
    _, image = jeol.file_reader(path, read_em_image=True)
    np.testing.assert_array_equal(image["data"], expected.sum(axis=0))
    assert image["data"].dtype == np.uint16
    assert image["metadata"]["General"]["title"] == "S(T)EM Image extracted from map.pts"
    assert [axis["navigate"] for axis in image["axes"]] == [False, False]
    _, image = jeol.file_reader(path, read_em_image=True, sum_frames=False, lazy=True)
    np.testing.assert_array_equal(image["data"], expected)
    assert [axis["navigate"] for axis in image["axes"]] == [True, False, False]
    _, image = jeol.file_reader(path, read_em_image=True, frame_list=[2] * 30)
    np.testing.assert_array_equal(image["data"], expected[2] * 30)
    assert image["data"].dtype == np.uint32
    assert len(jeol.file_reader(path)) == 1
    _, image = hs.load(path, read_em_image=True)
    assert image.axes_manager.signal_shape == (16, 8)


# Times ------------------------------------------------------------------------------------


def test_times(path):
    real, live = builder.n_ticks()
    eds = eds_of(read(path))
    assert eds["real_time_of_map"] == pytest.approx(real / 100)
    assert eds["real_time"] == pytest.approx(real / 100 / 128)
    assert eds["live_time_of_map"] == pytest.approx(live / 100)
    assert eds["live_time"] == pytest.approx(live / 100 / 128)
    s = hs.load(path, signal_type="EDS_XFM")
    assert s.get_live_time().data.sum() == pytest.approx(live / 100, rel=0.01)
    eds = s.sum().metadata.Acquisition_instrument.SEM.Detector.EDS
    assert eds.real_time == pytest.approx(real / 100)


def test_dead_time_of_rows(tmp_path):
    """Of as many rows as tell it to 1 %: 147 ticks of these frames."""
    path = builder.write_map(tmp_path / "map.pts", shape=(16, 64))
    found = read(path, lazy=True)
    assert eds_of(found)["dead_time_from"] == "ticks of each row"
    ticks = np.array([builder.n_ticks((1, 64)) for _ in range(16)])
    live = [
        sum(not builder.is_dead(f, y, x) for f in range(3) for x in range(64))
        for y in range(16)
    ]
    expected = 100 * (1 - np.array(live) / ticks[:, 0])
    np.testing.assert_allclose(dead_of(found)[:, 9], expected, rtol=1e-5)
    assert np.ptp(dead_of(found), axis=1).max() == 0
    one = read(path, lazy=True, frame_list=[1])
    assert eds_of(one)["dead_time_from"] == "ticks of 2 rows"
    whole = read(builder.write_map(tmp_path / "map.pts", shape=(4, 4)), lazy=True)
    assert eds_of(whole)["dead_time_from"] == "ticks of the map"


def test_dead_time_of_pixels(tmp_path):
    """A pixel of 3 s has its own."""
    shape, n = (2, 4), 300
    path = builder.write_map(tmp_path / "map.pts", shape=shape, n_frames=n)
    found = read(path, lazy=True)
    assert eds_of(found)["dead_time_from"] == "ticks of each pixel"
    dead = [
        [np.mean([builder.is_dead(f, y, x) for f in range(n)]) for x in range(4)]
        for y in range(2)
    ]
    np.testing.assert_allclose(dead_of(found), 100 * np.array(dead), rtol=1e-5)


def test_dwell_of_live_time(tmp_path):
    """Each pixel is as long alive as any; real times differ."""
    path = builder.write_map(tmp_path / "map.pts", shape=(16, 64), LTDwellT=True)
    s = hs.load(path, signal_type="EDS_XFM")
    live = s.get_live_time().data
    np.testing.assert_allclose(live, live.mean(), rtol=1e-5)
    assert np.ptp(
        s.metadata.Acquisition_instrument.SEM.Detector.EDS.relative_real_time.data
    )


def test_without_a_clock(tmp_path):
    path = builder.write_map(tmp_path / "map.pts", has_clock=False)
    eds = eds_of(read(path))
    real, live = builder.n_ticks()
    assert (eds["real_time_of_map"], eds["live_time_of_map"]) == (real / 100, live / 100)
    assert eds["real_time_from"] == "RealTime" and "_sig_dead_time" not in eds
    assert "real_time" not in eds_of(read(path, frame_list=[0]))


def test_clock_of_real_time_only(tmp_path):
    raw = builder.stream().replace(struct.pack("<H", 0x7000), b"")
    path = builder.write_map(tmp_path / "map.pts", raw=raw, LiveTime=None)
    eds = eds_of(read(path))
    assert eds["real_time_of_map"] == pytest.approx(3.84) and "live_time" not in eds


def test_clock_that_disagrees(tmp_path):
    path = builder.write_map(tmp_path / "map.pts", RealTime=99.0)
    with pytest.warns(UserWarning, match=r"3.84 s, expected the 99.00 s of .* RealTime"):
        read(path, lazy=True)


# Options ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"rebin_energy": 10}, r"`rebin_energy`\(10\) must be a divisor of 4096"),
        ({"rebin_energy": 0}, "must be a divisor"),
        ({"rebin_energy": 2.5}, "must be a divisor"),
        ({"downsample": 3}, r"`downsample\[0\]`\(3\) must be a divisor of 16"),
        ({"downsample": (2, 3)}, r"`downsample\[1\]`\(3\) must be a divisor of 8"),
        ({"downsample": (2, 2, 2)}, "can't be an iterable of length different from 2"),
        ({"downsample": "2"}, "must be a divisor"),
        ({"cutoff_at_kV": -1}, "cutoff_at_kV is -1, expected"),
        ({"cutoff_at_kV": float("nan")}, "cutoff_at_kV is nan"),
        ({"cutoff_at_kV": 1e6}, "cutoff_at_kV is 1000000.0"),
        ({"SI_dtype": "float32"}, "SI_dtype is float32, expected an integer type"),
        ({"SI_dtype": "counts"}, "SI_dtype is 'counts'"),
        ({"frame_list": ["a"]}, "frame_list is"),
        ({"frame_list": [2**40]}, "frame_list is"),
        ({"frame_list": 3}, "frame_list is 3, expected numbers of frames"),
        ({"frame_shifts": [1, 2]}, "frame_shifts is"),
        ({"frame_shifts": [(1.5, 2)]}, "frame_shifts is"),
        ({"frame_shifts": [(1, 2), (1,)]}, "frame_shifts is"),
        ({"frame_shifts": [("a", "b")] * 3}, "frame_shifts is"),
        ({"frame_shifts": [(0, 0), (8, 0), (0, 0)]}, "moves frames by 8 rows"),
        ({"frame_shifts": [(0, 0), (100, 0), (0, 0)]}, "moves frames by 100 rows"),
        ({"frame_shifts": [(0, 0), (0, 100), (0, 0)]}, "0 rows and 100 columns"),
    ],
    ids=str,
)
def test_wrong_options(path, options, match):
    with pytest.raises(ValueError, match=match) as caught:
        read(path, **options)
    assert str(caught.value).startswith(f"{path}: ")


def test_too_few_shifts_are_told(tmp_path, path):
    """Frames that have none are left out; one that is not whole would be anyway."""
    with pytest.warns(UserWarning, match=r"frames \[2\] are left out, as there are 2 fr"):
        read(path, frame_shifts=[(0, 0), (1, 0)])
    cut = builder.write_map(tmp_path / "cut.pts", rows_of_last=5)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        read(cut, frame_shifts=[(0, 0), (1, 0)])
    assert not any("frame_shifts" in str(one.message) for one in said)


def test_no_image_is_told(path):
    with pytest.warns(UserWarning, match="there is no electron image in the file"):
        assert len(jeol.file_reader(path, read_em_image=True)) == 1


def test_frames_that_are_not_there(path):
    with pytest.warns(
        UserWarning, match=r"frames \[-1, 7\] are left out, expected 0 to 2"
    ):
        found = read(path, frame_list=[7, 1, -1], sum_frames=False)
    np.testing.assert_array_equal(found["data"], frames(numbers=[1]))
    with pytest.warns(
        UserWarning, match=r"frames \[2\] are left out.*and 2 frame_shifts"
    ):
        read(path, frame_list=[0, 2], frame_shifts=[(0, 0), (1, 1)])


def test_extension(tmp_path, path):
    with pytest.raises(ValueError, match=r"extension is '.dat', expected one of .pts"):
        jeol.file_reader(path.rename(tmp_path / "map.dat"))


@pytest.mark.parametrize("cutoff", [3, 50])
def test_cutoff(path, cutoff):
    found = read(path, cutoff_at_kV=cutoff, rebin_energy=2)
    n = round((cutoff + 0.961) / 0.02)
    expected = counts().reshape(8, 16, -1, 2).sum(axis=3)
    expected = np.pad(expected, ((0, 0), (0, 0), (0, max(0, n - 2048))))[..., :n]
    np.testing.assert_array_equal(found["data"], expected)


@pytest.mark.parametrize("dtype", ["int8", "uint16", "uint32", "uint64", ">u2"])
def test_dtype(path, dtype):
    data = read(path, SI_dtype=dtype)["data"]
    assert data.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(data, counts())


def test_type_that_holds_all_counts(tmp_path):
    """A type that any sum of channels fits; a smaller one is refused when it is too small."""
    options = {"shape": (2, 2), "n_frames": 200}
    path = builder.write_map(tmp_path / "map.pts", **options)
    expected = counts((2, 2), range(200))
    assert expected.max() > 255
    found = read(path)
    assert found["data"].dtype == np.uint16
    np.testing.assert_array_equal(found["data"], expected)
    with pytest.raises(OverflowError, match=r"above 255, .*SI_dtype='uint16'"):
        read(path, SI_dtype="uint8")
    # Moved or repeated frames can put the highest counts together.
    again = read(path, frame_list=list(range(200)) * 200, lazy=True)
    assert again["data"].dtype == np.uint32
    np.testing.assert_array_equal(again["data"], 200 * expected)


def test_header_that_says_less(tmp_path):
    """Without energies or sizes the map is the same."""
    options = {"CoefA": None, "Mag": None, "AccKV": None, "DwellTime(msec)": None}
    path = builder.write_map(tmp_path / "map.pts", **options)
    with pytest.warns(UserWarning, match="not say all of CoefA, CoefB and DigZ of T4"):
        found = read(path, sum_frames=False)
    np.testing.assert_array_equal(found["data"], frames())
    assert [axis["units"] for axis in found["axes"]] == [None] * 4
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="has no energies"):
        read(path, cutoff_at_kV=3)


# Projects, and files that RosettaSciIO reads ------------------------------------------------


def test_project(tmp_path):
    path = builder.write_project(tmp_path / "project.ASW")
    ours, expected = jeol.file_reader(path), theirs(path)
    assert [signal["data"].shape for signal in ours] == [(4, 6), (8, 16, 4096), (32,)]
    for signal, other in zip(ours, expected, strict=True):
        np.testing.assert_array_equal(signal["data"], other["data"])
        for name in ("asw", "asw_viewdata"):
            np.testing.assert_equal(
                signal["original_metadata"][name], other["original_metadata"][name]
            )
    image, map_, spectrum = hs.load(path, lazy=True, downsample=2)
    assert (map_.data.shape, spectrum._signal_type) == ((4, 8, 4096), "EDS_SEM")
    assert image.metadata.General.title == "SEI"
    np.testing.assert_array_equal(spectrum.data, range(32))


def test_files_of_a_project_that_are_missing(tmp_path):
    path = builder.write_project(tmp_path / "a.asw", file_1=None)
    with pytest.warns(
        UserWarning, match=r"1 of the 3 files .* not there, such as .*b\.pts"
    ):
        assert len(jeol.file_reader(path)) == 2
    path = builder.write_project(tmp_path / "b.asw", file_1="Sample\\00_View000\\x.new")
    with pytest.warns(UserWarning, match=r"files of other kinds are left out: x.new"):
        assert len(jeol.file_reader(path)) == 2
    alone = tmp_path / "alone" / "a.asw"
    alone.parent.mkdir()
    alone.write_bytes(path.read_bytes())
    with (
        pytest.warns(UserWarning, match="other kinds"),
        pytest.raises(FileNotFoundError, match="none of the 2 files"),
    ):
        jeol.file_reader(alone)


@pytest.mark.parametrize(
    "name",
    ["..\\secret.eds", "C:\\secret.eds", "\\\\host\\a\\b.eds", "/etc/a.eds", "", "a\\.."],
)
def test_files_outside_of_the_project(tmp_path, name):
    path = builder.write_project(tmp_path / "a.asw", file_1=None)
    text = builder.tree(
        {
            "SampleInfo": {
                "0": {"ViewInfo": {"0": {"ViewData": {"0": {"Filename": name}}}}}
            }
        }
    )
    path.write_bytes(bytes(12) + text)
    with pytest.raises(
        FileFormatError, match=r"expected one below its folder \(byte 12\)"
    ):
        jeol.file_reader(path)


def test_project_without_files(tmp_path):
    path = tmp_path / "a.asw"
    path.write_bytes(bytes(12) + builder.tree({"SampleInfo": {"0": {"Memo": "none"}}}))
    with pytest.warns(UserWarning, match="has no views, or no files"):
        assert jeol.file_reader(path) == []
    path.write_bytes(b"aaaaaaaaaaaaaaaa")
    with pytest.raises(FileFormatError, match="Not a valid JEOL asw format"):
        jeol.file_reader(path)


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (builder.write_image, "a.img"),
        (builder.write_image, "a.map"),
        (builder.write_spectrum, "a.eds"),
    ],
)
def test_other_files_as_rosettasciio(tmp_path, write, name):
    path = write(tmp_path / name)
    (ours,), (other,) = jeol.file_reader(path), theirs(path)
    np.testing.assert_array_equal(ours["data"], other["data"])
    assert ours["metadata"] == other["metadata"]
    assert [axis["index_in_array"] for axis in ours["axes"]] == list(
        range(other["data"].ndim)
    )
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(
        FileFormatError, match=r"cannot be read|of the header are expected"
    ):
        jeol.file_reader(path)


def test_sizes_that_lie(tmp_path):
    """What RosettaSciIO would allocate: 8 GB of counts, and an image without bits."""
    path = builder.write_spectrum(tmp_path / "a.eds", n_channels=2**31 - 1)
    with pytest.raises(FileFormatError, match=r"has 2147483647 channels, .*\(byte 454\)"):
        jeol.file_reader(path)
    path = builder.write_image(tmp_path / "a.img", Size=[2**15, 2**15])
    with pytest.raises(FileFormatError, match="expected as many pixels as its 24 Bits"):
        jeol.file_reader(path)


@pytest.mark.parametrize("magnification", [0.0, 1e-300, float("nan"), 1e300])
def test_sizes_of_pixels_that_cannot_be_true_are_left_out(tmp_path, magnification):
    path = builder.write_image(tmp_path / "a.img", magnification=magnification)
    with pytest.warns(UserWarning, match=r"the pixels have the sizes .* left out"):
        (image,) = jeol.file_reader(path)
    assert image["data"].shape == (4, 6)
    assert [(axis["scale"], axis["units"]) for axis in image["axes"]] == [(1.0, "")] * 2
