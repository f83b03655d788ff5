"""Velox files that are damaged, lie, or lack something."""

import itertools
import os
import time
import warnings
from contextlib import suppress

import h5py
import hyperspy.api as hs
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsciio_xfm.core import cache
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.emd import file_reader
from rsciio_xfm.formats.velox import count as _count
from tests.builders import emd as builder
from tests.io.test_emd import COUNTS, MARK, compute, read_map, streams_of, warned


@pytest.fixture
def path(tmp_path):
    return builder.write_velox(tmp_path / "map.emd")


# Streams that are damaged.


@pytest.mark.parametrize("lazy", [False, True])
def test_stream_cut_short(tmp_path, lazy):
    streams = streams_of()
    marks = np.flatnonzero(streams[0] == MARK)
    streams[0] = streams[0][: marks[47] + 1]  # 2 frames, a row and 3 pixels
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, streams=streams)
    with warned("SuperX1 ends early: 11 of 60", "its spectrum in the file"):
        signal = read_map(path, lazy=lazy)
    kept = COUNTS.copy()
    kept[0].reshape(60, 32)[48:] = 0
    np.testing.assert_array_equal(compute(signal), kept.sum((0, 1)))


def test_empty_stream(tmp_path):
    streams = streams_of()
    streams[0] = streams[0][:0]
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, streams=streams)
    with pytest.warns(UserWarning, match="SuperX1 is empty"):
        signal = read_map(path)
    np.testing.assert_array_equal(compute(signal), COUNTS[1].sum(0))


def test_all_streams_empty(tmp_path):
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, streams=[[], []])
    with pytest.warns(UserWarning, match="streams of all 2 detectors are empty"):
        signals = file_reader(path)
    assert [s["data"].ndim for s in signals] == [1, 1, 2]
    with pytest.warns(UserWarning), pytest.raises(FileFormatError, match="holds nothing"):
        read_map(path)


@pytest.mark.parametrize("lazy", [False, True])
def test_channel_beyond_the_spectrum(tmp_path, lazy):
    streams = streams_of()
    at = int(np.flatnonzero(streams[1] != MARK)[70])
    streams[1][at] = 32
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, streams=streams)
    with pytest.raises(CorruptFileError) as caught:
        read_map(path, lazy=lazy)
    with path.open("rb") as file:
        file.seek(int(str(caught.value).split("byte ")[1].split(")")[0]))
        assert int.from_bytes(file.read(2), "little") == 32
    assert f"value {at}," in str(caught.value)


def test_a_count_more_than_velox_has(tmp_path):
    streams = streams_of()
    streams[0] = np.insert(streams[0], 3, 7)
    path = builder.write_velox(
        tmp_path / "map.emd", COUNTS, streams=streams, has_table=False
    )
    with pytest.warns(
        UserWarning, match="SuperX1 has .* counts, its spectrum in the file"
    ):
        assert compute(read_map(path)).sum() == COUNTS.sum() + 1


def test_marks_that_do_not_fit(tmp_path):
    streams = [np.insert(s, 0, [MARK] * 7) for s in streams_of()]
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, streams=streams)
    with pytest.raises(CorruptFileError, match="mark 66 spectra, expected"):
        read_map(path)


def test_more_frames_than_said(tmp_path):
    """A frame that was not finished follows; the table says where frames start."""
    more = [np.concatenate([s, [MARK, 1, 1, MARK]]) for s in streams_of()]
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, streams=more)
    with warned("3 values more than the 3 frames"):
        signal = read_map(path)
    np.testing.assert_array_equal(compute(signal), COUNTS.sum((0, 1)))
    with warned():
        lazy = read_map(path, lazy=True)
    assert source_of(lazy["data"]).known_total() is None


def test_counts_after_the_last_mark(tmp_path):
    streams = [np.concatenate([s, [MARK, 3, 4]]) for s in streams_of()]
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, streams=streams)
    with warned("2 values more than the 3 frames"):
        signal = read_map(path)
    np.testing.assert_array_equal(compute(signal), COUNTS.sum((0, 1)))


def test_frames_that_are_not_said(tmp_path):
    """The number of frames is wrong and there is no table: the marks tell."""
    path = builder.write_velox(
        tmp_path / "map.emd", COUNTS, n_frames=2, has_table=False, n_metadata=1
    )
    with warned("says that it has 2 frames, its streams have 3"):
        signal = read_map(path)
    np.testing.assert_array_equal(compute(signal), COUNTS.sum((0, 1)))


def test_many_frames_of_nothing(tmp_path):
    """What is said takes no memory by itself."""
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, n_frames=2**30)
    with h5py.File(path, "a") as file:
        group = file[f"Data/SpectrumStream/{builder.uuid(100)}"]
        del group["Data"], group["FrameLocationTable"]
        group.create_dataset("Data", (2**24, 1), "<u2", chunks=(8192, 1))
        image = file[f"Data/Image/{builder.uuid(400)}"]
        del image["Data"]
        image["Data"] = np.zeros((1, 1, 1), "u1")
    with warned():
        index_before = psutil.Process().memory_info().rss
        with suppress(FileFormatError):
            read_map(path, lazy=True)
        assert psutil.Process().memory_info().rss - index_before < 200 * 2**20


def test_stream_in_another_file(tmp_path):
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, has_spectra=False)
    other = builder.write_velox(tmp_path / "other.emd", COUNTS[::-1], has_spectra=False)
    name = f"Data/SpectrumStream/{builder.uuid(100)}"
    with h5py.File(other, "a") as file:
        file.move(name, "elsewhere")
    with h5py.File(path, "a") as file:
        del file[name]
        file[name] = h5py.ExternalLink("other.emd", "/elsewhere")
    for lazy in (False, True):
        signal = read_map(path, lazy=lazy)
        np.testing.assert_array_equal(compute(signal), 2 * COUNTS[1].sum(0))


def test_stream_that_is_there_twice(path):
    with h5py.File(path, "a") as file:
        file["Data/SpectrumStream/again"] = file[
            f"Data/SpectrumStream/{builder.uuid(100)}"
        ]
    with pytest.raises(CorruptFileError, match="expected as many different ones"):
        read_map(path)


def test_changed_in_place_while_open(tmp_path):
    """HDF5 shares what it has read of a file: ours is read anew."""
    path = builder.write_velox(tmp_path / "map.emd", COUNTS)
    whole = path.read_bytes()
    with h5py.File(path, "a") as file:
        del file["Data/SpectrumStream"]
    with h5py.File(path) as held:
        assert "SpectrumImage" in held["Data"]
        path.write_bytes(whole)
        np.testing.assert_array_equal(compute(read_map(path)), COUNTS.sum((0, 1)))


# Rows in another order, in place: what ``rsync --inplace -t`` does keeps size and time.


def rewrite(path, order):
    """Put the rows of each frame into another order; size, time and number stay."""
    before = path.stat()
    time.sleep(0.02)  # the time of the change is not finer than some ms
    with h5py.File(path, "r+") as file:
        for group in file["Data/SpectrumStream"].values():
            stream = np.append(group["Data"][:, 0], MARK)
            ends = np.flatnonzero(stream == MARK)[4::5] + 1
            rows = np.split(stream, ends)[:-1]
            moved = [rows[4 * frame + y] for frame in range(3) for y in order]
            group["Data"][:, 0] = np.concatenate(moved)[:-1]
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = path.stat()
    for name in ("st_size", "st_mtime_ns", "st_ino"):
        assert getattr(after, name) == getattr(before, name)


# Maps whose spectra all have as many counts: rows begin where others did.
EVEN = np.zeros_like(COUNTS)
for place in np.ndindex(COUNTS.shape[:-1]):
    EVEN[(*place, [sum(place) % 9, 9 + place[2], 20])] = 1


@pytest.mark.parametrize("order", [(1, 0, 2, 3), (3, 2, 1, 0)])
@pytest.mark.parametrize("counts", [COUNTS, EVEN], ids=["any", "even"])
@pytest.mark.parametrize(
    "options", [{}, {"sum_frames": False}, {"last_frame": 1}], ids=str
)
def test_rows_in_another_order_while_open(tmp_path, counts, order, options):
    """Each row that is not where it was is an error, whatever is asked of it."""
    path = builder.write_velox(tmp_path / "map.emd", counts)
    signal = read_map(path, lazy=True, **options)
    source = source_of(signal["data"])
    rewrite(path, order)
    whole = [(0, n) for n in source.shape]
    for first, last in itertools.combinations(range(5), 2):
        rows = range(first, last)
        is_moved = any(order[row] != row for row in rows)
        for columns, channels in (((0, 5), (0, 32)), ((1, 4), (3, 25))):
            part = (*whole[:-3], (first, last), columns, channels)
            for ask in (source.read, source.sum_navigation, source.sum_signal):
                if is_moved:
                    with pytest.raises(CorruptFileError, match=r"again with cache=False"):
                        ask(part)
                else:
                    ask(part)
    is_whole = "last_frame" not in options
    assert (
        source.known_total() is not None
    ) == is_whole  # that of all rows, in any order


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("counts", [COUNTS, EVEN], ids=["any", "even"])
def test_rows_in_another_order_and_an_index(tmp_path, monkeypatch, counts, lazy):
    monkeypatch.setattr(cache, "CACHED_FILE_BYTES", 0)
    monkeypatch.setattr(cache, "SETTLED_S", -1)
    path = builder.write_velox(tmp_path / "map.emd", counts)
    read_map(path)
    rewrite(path, (3, 2, 1, 0))
    moved = counts[:, :, ::-1]
    np.testing.assert_array_equal(compute(read_map(path, lazy=lazy)), moved.sum((0, 1)))
    # where the system keeps no time of changes
    monkeypatch.setattr(cache, "change_time", lambda path: 0)
    read_map(path)
    rewrite(path, (3, 2, 1, 0))
    with pytest.raises(CorruptFileError, match=r"again with cache=False"):
        compute(read_map(path, lazy=lazy))
    again = read_map(path, lazy=lazy, cache=False)
    np.testing.assert_array_equal(compute(again), counts.sum((0, 1)))


@pytest.mark.parametrize("block", [3, 7, 1000])
def test_checksums_of_blocks_that_end_anywhere(tmp_path, monkeypatch, block):
    """The index is that of a plain loop."""
    monkeypatch.setattr(_count, "_BLOCK_VALUES", block)
    monkeypatch.setattr(_count, "_TASK_VALUES", 50)
    path = builder.write_velox(tmp_path / "map.emd", COUNTS)
    source = source_of(read_map(path, lazy=True)["data"])
    for records, stream in zip(source.streams, streams_of()[::-1], strict=True):
        runs, sums = records.runs, []
        starts, stops = runs.start // 2, (runs.start + runs.length) // 2
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            values = enumerate(stream[start:stop].tolist(), start + 1)
            sums.append(sum(place * value for place, value in values))
        assert runs.checksum.tolist() == [n % 2**64 for n in sums]


# Zeros at the end of a file, or of what was stored of a stream: a copy that was interrupted.


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("options", [{}, {"has_table": False}, {"compression": "gzip"}])
def test_stream_that_ends_in_zeros(tmp_path, options, lazy):
    shape = (1, 3, 16, 16, 32)
    counts = builder.make_counts(shape)
    counts[..., 0] = 0  # channel 0 would be left out with them, in the last pixel
    (stream,) = streams_of(counts)
    kept = 3 * len(stream) // 5
    half = stream.copy()
    half[kept:] = 0
    path = builder.write_velox(tmp_path / "map.emd", counts, streams=[half], **options)
    with warned(f"last {len(stream) - kept} values of {len(stream)} are zeros, as of"):
        signal = read_map(path, lazy=lazy)
        source = source_of(read_map(path, lazy=True)["data"])
    expected = np.zeros((3 * 16 * 16, 32), int)
    pixels = np.cumsum(stream[:kept] == MARK)
    for value, pixel in zip(stream[:kept], pixels, strict=True):
        if value != MARK:
            expected[pixel, value] += 1
    expected = expected.reshape(shape[1:]).sum(0)
    np.testing.assert_array_equal(compute(signal), expected)
    total = source.sum_navigation(((0, 16), (0, 16), (0, 32)))
    np.testing.assert_array_equal(total, expected.sum((0, 1)))


@pytest.mark.parametrize("share", [0.05, 0.6])
def test_file_that_ends_in_zeros(path, share):
    """HDF5 does not find what it needs; the error says why."""
    content = path.read_bytes()
    kept = int(len(content) * share)
    path.write_bytes(content[:kept].ljust(len(content), b"\0"))
    with pytest.raises(CorruptFileError, match=r"Its last \d+ bytes are zeros, as of"):
        file_reader(path)


def test_many_counts_in_the_first_channel(tmp_path):
    """They are counts where no mark is missing."""
    counts = np.zeros((1, 1, 1, 2, 8), np.uint16)
    counts[0, 0, 0, 1, 0] = 3000
    path = builder.write_velox(tmp_path / "map.emd", counts)
    np.testing.assert_array_equal(compute(read_map(path)), counts[0, 0])


@pytest.mark.parametrize(
    "unit", ["9**9**9**9", "m/0", "(", "{}", "m^", "\0", "é", "furlong?"]
)
def test_units_are_not_computed(tmp_path, unit):
    tree = builder.metadata("SuperX1", 1, 2, (4, 5))["BinaryResult"]
    changes = {"BinaryResult": tree | {"PixelUnitX": unit}}
    path = builder.write_velox(tmp_path / "map.emd", COUNTS[:1], changes=changes)
    with warned("is no unit"):
        signal = read_map(path)
    assert signal["axes"][1]["units"] == unit


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.__setitem__("Data/SpectrumStream/z", h5py.SoftLink("/nowhere")),
        lambda file: file.__setitem__("Data/SpectrumImage/z", h5py.SoftLink("/nowhere")),
        lambda file: file.__setitem__("Data/SpectrumImage/z", np.zeros(3)),
        lambda file: file.__setitem__("Data/Image/z", h5py.ExternalLink("no.emd", "/x")),
        lambda file: (
            file["Data"].move("SpectrumStream", "z")
            or file.__setitem__("Data/SpectrumStream", 3)
        ),
    ],
)
def test_odd_items(path, damage):
    with h5py.File(path, "a") as file:
        damage(file)
    with warned():
        try:
            signals = file_reader(path)
        except FileFormatError as exc:
            assert "byte" in str(exc)
            return
    if signals[-1]["data"].ndim == 3:
        np.testing.assert_array_equal(signals[-1]["data"], COUNTS.sum((0, 1)))


def test_huge_numbers_in_json(tmp_path):
    changes = {"Optics": {"CameraLength": 10**400, "AccelerationVoltage": "1e999"}}
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, changes=changes)
    signal = read_map(path)
    assert "beam_energy" not in signal["metadata"]["Acquisition_instrument"]["TEM"]
    np.testing.assert_array_equal(compute(signal), COUNTS.sum((0, 1)))


@pytest.mark.parametrize("has_many_tasks", [False, True])
@pytest.mark.parametrize("wrong", [[0, 1, 2], [0, 0, 0], [5, 0, 1], [0, 2**40, 2**41]])
def test_wrong_table(tmp_path, monkeypatch, wrong, has_many_tasks):
    if has_many_tasks:
        monkeypatch.setattr(_count, "_TASK_VALUES", 10)
    path = builder.write_velox(tmp_path / "map.emd", COUNTS)
    with h5py.File(path, "a") as file:
        for group in file["Data/SpectrumStream"].values():
            group["FrameLocationTable"][:, 0] = wrong
    with pytest.warns(UserWarning, match="FrameLocationTable that is wrong"):
        signal = read_map(path)
    np.testing.assert_array_equal(compute(signal), COUNTS.sum((0, 1)))


@given(data=st.data())
def test_any_values(tmp_path_factory, data):
    """Whatever stands in a stream: its counts, with a warning, or an error."""
    path = tmp_path_factory.getbasetemp() / "any.emd"
    values = st.lists(st.sampled_from([0, 1, 31, 32, 65534, MARK]), max_size=200)
    streams = [data.draw(values), data.draw(values)]
    builder.write_velox(path, COUNTS, streams=streams, has_spectra=False)
    try:
        with warned():
            signal = read_map(path)
    except (CorruptFileError, FileFormatError):
        return
    expected = np.zeros((60, 32), int)
    for stream in streams:
        pixel = 0
        for value in stream:
            if value == MARK:
                pixel += 1
            elif pixel < 60:
                expected[pixel, value] += 1
    total = expected.reshape(3, 20, 32).sum(0).reshape(4, 5, 32)
    np.testing.assert_array_equal(compute(signal), total)


# Files that lack something.


def test_missing_json(tmp_path):
    path = builder.write_velox(
        tmp_path / "map.emd",
        COUNTS,
        changes={k: {} for k in ("Detectors", "Optics", "Stage", "Acquisition")},
    )
    with pytest.warns(UserWarning, match="no energy scale"):
        signal = read_map(path)
    np.testing.assert_array_equal(compute(signal), COUNTS.sum((0, 1)))
    assert signal["axes"][-1]["units"] is None


@pytest.mark.parametrize(
    "name",
    [
        "Data/SpectrumStream/*/Metadata",
        "Data/SpectrumStream/*/AcquisitionSettings",
        "Data/SpectrumImage/*/SpectrumImageSettings",
        "Data/Image/*/Metadata",
        "Data/Spectrum/*/Data",
        "Displays",
        "Features",
        "SharedProperties",
    ],
)
def test_missing_parts(tmp_path, name):
    """The map is read, whatever else is not; bincount is then the usual 4096."""
    counts = np.zeros((2, 3, 4, 5, 4096), np.uint16)
    counts[..., :32] = COUNTS
    path = builder.write_velox(tmp_path / "map.emd", counts)
    with h5py.File(path, "a") as file:
        parent, _, last = name.partition("/*/")
        for group in list(file[parent].values()) if last else ():
            del group[last]
        if not last:
            del file[name]
    with warned():
        signals = file_reader(path)
    np.testing.assert_array_equal(signals[-1]["data"], counts.sum((0, 1)))


def test_text_that_is_no_json(path):
    with h5py.File(path, "a") as file:
        for group in file["Features/SIFeature"].values():
            group[0] = b"{" * 5000
        for group in file["Data/SpectrumStream"].values():
            group["Metadata"][:10] = 255
    with warned("is no JSON"):
        signal = read_map(path)
    np.testing.assert_array_equal(compute(signal), COUNTS.sum((0, 1)))


@pytest.mark.parametrize("lazy", [False, True])
def test_lying_sizes(tmp_path, path, lazy):
    """What claims to be larger than the file is refused before it is read."""
    with h5py.File(path, "a") as file:
        group = file[f"Data/Image/{builder.uuid(400)}"]
        del group["Data"]
        group.create_dataset("Data", (2**16, 2**16, 3), "u2", chunks=(16, 16, 1))
    with pytest.raises(CorruptFileError, match="are stored"):
        file_reader(path, lazy=lazy, select_type="image")
    np.testing.assert_array_equal(compute(read_map(path)), COUNTS.sum((0, 1)))


def test_lying_stream(path):
    """A stream of which next to nothing is stored is not gone through."""
    with h5py.File(path, "a") as file:
        group = file[f"Data/SpectrumStream/{builder.uuid(100)}"]
        del group["Data"]
        group.create_dataset("Data", (2**50, 1), "u2", chunks=(8192, 1))
    with pytest.raises(CorruptFileError, match="are stored"):
        read_map(path, lazy=True)


@pytest.mark.parametrize("frames", [10**9, 10**15])
def test_lying_number_of_frames(tmp_path, frames):
    path = builder.write_velox(tmp_path / "map.emd", COUNTS, n_frames=frames)
    np.testing.assert_array_equal(compute(read_map(path)), COUNTS.sum((0, 1)))


def test_next_to_nothing_is_there(tmp_path):
    counts = np.zeros((1, 1, 200, 300, 4096), np.uint16)
    path = builder.write_velox(
        tmp_path / "map.emd", counts, [[7, MARK, 8]], has_table=False, has_spectra=False
    )
    with warned("ends early"), pytest.raises(FileFormatError, match="Use lazy=True"):
        read_map(path)
    with warned("ends early"):
        data = read_map(path, lazy=True)["data"]
    assert data[0].compute().sum() == 2


def test_values_that_are_not_stored(tmp_path):
    """Chunks without data hold the fill value: marks of pixels without counts here."""
    path = builder.write_velox(tmp_path / "map.emd", COUNTS[:1])
    with h5py.File(path, "a") as file:
        (group,) = file["Data/SpectrumStream"].values()
        stored = group["Data"][:, 0]
        stop = (
            int(np.flatnonzero(stored == MARK)[20]) + 1
        )  # after the first frame's 21 pixels
        del group["Data"]
        shape = (stop + 39, 1)
        data = group.create_dataset("Data", shape, "u2", chunks=(7, 1), fillvalue=MARK)
        data[:stop, 0] = stored[:stop]
    with warned("its spectrum in the file"):
        signal = read_map(path, lazy=True)
    expected = COUNTS[0].copy()
    expected.reshape(60, 32)[21:] = 0
    np.testing.assert_array_equal(compute(signal), expected.sum(0))


def test_stream_of_another_kind(path):
    with h5py.File(path, "a") as file:
        group = file[f"Data/SpectrumStream/{builder.uuid(100)}"]
        del group["Data"]
        group["Data"] = np.zeros((5, 2), "f4")
    with pytest.raises(CorruptFileError, match=r"expected \(n, 1\)"):
        read_map(path)


@pytest.mark.parametrize(
    ("key", "value"), [("StreamEncoding", "rle"), ("bincount", "1e9")]
)
def test_unknown_settings(path, key, value):
    with h5py.File(path, "a") as file:
        for group in file["Data/SpectrumStream"].values():
            builder.put_text(group, "New", {"bincount": "32"} | {key: value})
            del group["AcquisitionSettings"]
            group.move("New", "AcquisitionSettings")
    with pytest.raises(FileFormatError, match="expected"):
        read_map(path)


def test_other_hdf5(tmp_path):
    path = tmp_path / "other.emd"
    with h5py.File(path, "w") as file:
        file["something"] = np.arange(3)
    with pytest.raises(FileFormatError, match="is no EMD file: its root holds something"):
        file_reader(path)


@pytest.mark.parametrize("keep", [0, 4, 8, 100, 0.3, 0.9])
@pytest.mark.parametrize("lazy", [False, True])
def test_truncated_file(path, keep, lazy):
    whole = path.read_bytes()
    n = keep if isinstance(keep, int) else int(keep * len(whole))
    path.write_bytes(whole[:n])
    with pytest.raises(FileFormatError) as caught:
        file_reader(path, lazy=lazy)
    assert str(path) in str(caught.value) and "byte" in str(caught.value)


def test_damaged_places(path):
    """Bytes of the index of chunks are damaged: an error, or numbers from elsewhere.

    It has no checksum, but what was counted is compared with the detector's spectrum.
    """
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    places = [i for i in range(0, len(whole) - 4) if whole[i : i + 4] == b"TREE"]
    n_found = 0
    for place in rng.choice(places, 60):
        damaged = bytearray(whole)
        at = place + int(rng.integers(4, 80))
        damaged[at] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                data = compute(read_map(path))
            except FileFormatError:
                n_found += 1
                continue
        if not np.array_equal(data, COUNTS.sum((0, 1))):
            n_found += 1
            assert any("its spectrum in the file" in str(w.message) for w in caught), at
    assert n_found


def test_pruned(path):
    with h5py.File(path, "a") as file:
        for name in list(file["Data/SpectrumStream"]):
            del file["Data/SpectrumStream"][name]
    with pytest.warns(UserWarning, match="No spectrum stream is present"):
        signals = hs.load(path)
    assert [s.metadata.General.title for s in signals] == ["EDS", "EDS", "HAADF"]
    with pytest.warns(UserWarning), pytest.raises(FileFormatError, match="holds nothing"):
        file_reader(path, select_type="spectrum_image")
