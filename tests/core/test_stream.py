"""A list-mode format made here: what a format author writes, and all that the engine adds."""

import os
import pickle
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import ClassVar

import dask.base
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsciio_xfm.core import cache, stream
from rsciio_xfm.core import runs as runs_of
from rsciio_xfm.core.runs import FileBytes, Runs, Stream
from rsciio_xfm.core.source import LocalFile, Memory
from rsciio_xfm.core.stream import (
    DAMAGED,
    DONE,
    END,
    OVERFLOW,
    PLANE,
    ROW,
    Grid,
    Kernels,
    Nouns,
    RecordStream,
)
from rsciio_xfm.core.to_dask import from_source
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.kernels.compiled import kernel

# The format: an event is four numbers, the first two of them a magic number and the row.
EVENT = np.dtype([("magic", "<u2"), ("y", "<u2"), ("x", "<u2"), ("channel", "<u2")])
MAGIC = 0xABCD


@kernel
def _check(words, block, longest):
    words, runs = words[0], block.runs
    i = 0
    for at in range(0, block.n_bytes // 8 * 8, 8):
        while block.base + at >= runs[i, END]:
            i += 1
        if words[at // 2] != MAGIC or words[at // 2 + 1] != runs[i, ROW]:
            return 0
    return block.n_bytes // 8 * 8


@kernel
def _next(words, block, box, at, i):
    """Return the run of an event, and its place, row, column and channel, -1 if unwanted."""
    while block.base + at >= block.runs[i, END]:
        i += 1
    x = np.int64(words[at // 2 + 2])
    channel = np.int64(words[at // 2 + 3])
    place = box.places[block.runs[i, PLANE]]
    if not box.first_column <= x < box.last_column:
        place = -1
    if not 0 <= channel - box.first_channel < box.n_wanted:
        place = -1
    bin_ = (channel - box.first_channel) // box.rebin
    return i, place, block.runs[i, ROW] - box.first_row, x - box.first_column, bin_


@kernel
def _decode(words, block, box, dense, is_clear, limit):
    i = 0
    for at in range(0, block.n_bytes, 8):
        if words[0][at // 2 + 3] >= box.n_channels:
            return at, DAMAGED
        i, place, row, x, bin_ = _next(words[0], block, box, at, i)
        if place >= 0:
            if not is_clear[place, row, x]:
                dense[place, row, x] = 0
                is_clear[place, row, x] = True
            if np.uint64(dense[place, row, x, bin_]) == limit:
                return at, OVERFLOW
            dense[place, row, x, bin_] += 1
    return block.n_bytes, DONE


@kernel
def _sum_spectra(words, block, box, total):
    i = 0
    for at in range(0, block.n_bytes, 8):
        i, place, _, _, bin_ = _next(words[0], block, box, at, i)
        if place >= 0:
            total[bin_] += np.uint64(1)
    return block.n_bytes, DONE


@kernel
def _sum_channels(words, block, box, dense):
    i = 0
    for at in range(0, block.n_bytes, 8):
        i, place, row, x, _ = _next(words[0], block, box, at, i)
        if place >= 0:
            dense[place, row, x] += np.uint64(1)
    return block.n_bytes, DONE


class ToyArray(RecordStream):
    """Events of frames, ``(y, x, E)`` or ``(frame, y, x, E)``."""

    kernels: ClassVar[Kernels] = Kernels(
        (np.uint16,), _check, _decode, _sum_spectra, _sum_channels
    )
    nouns: ClassVar[Nouns] = Nouns("frames", "dtype", "event of the map")

    def longest_record(self):
        return EVENT.itemsize

    def describe_damage(self, stream, status, position):
        return f"a channel is above the last (byte {position})"


# The end of the format.


def events_of(counts, rng):
    """The events of each line (frame, row), in any order of pixels and channels."""
    lines = []
    for y, row in ((y, row) for frame in counts for y, row in enumerate(frame)):
        x, channel = (
            np.repeat(i, row.ravel()) for i in np.indices(row.shape).reshape(2, -1)
        )
        line = np.zeros(len(x), EVENT)
        line["magic"], line["y"], line["x"], line["channel"] = MAGIC, y, x, channel
        lines.append(rng.permutation(line))
    return lines


def write(path, counts, seed=0, n_parts=1):
    """Write a file, lines in parts and in any order; return where their runs are."""
    rng = np.random.default_rng(seed)
    parts = [
        (i, part)
        for i, line in enumerate(events_of(counts, rng))
        for part in np.array_split(line, n_parts)
    ]
    content, places = b"head", {i: [] for i in range(counts.shape[0] * counts.shape[1])}
    for k in rng.permutation(len(parts)) if n_parts > 1 else range(len(parts)):
        i, part = parts[k]
        places[i].append((len(content), part.nbytes))
        content += part.tobytes()
    path.write_bytes(content)
    flat = [run for i in places for run in places[i]]
    pointer = np.cumsum([0, *(len(places[i]) for i in places)])
    start, length = np.array(flat, np.int64).reshape(-1, 2).T.copy()
    return Runs(start, length, pointer if n_parts > 1 else None)


def make(path, counts, runs, **options):
    n_frames, *size = counts.shape
    n_rows, n_columns, n_channels = size
    is_summed = options.pop("is_summed", True)
    rebin = options.pop("rebin_energy", 1)
    source = options.pop("source", None) or LocalFile.of(path)
    return ToyArray(
        streams=(Stream(FileBytes(source), runs),),
        grid=Grid(n_rows, n_columns, n_channels),
        places=tuple([0] * n_frames if is_summed else range(n_frames)),
        is_summed=is_summed,
        rebin_energy=rebin,
        n_bins=n_channels // rebin,
        dtype=np.dtype(options.pop("dtype", np.uint16)),
    )


def expected_of(counts, is_summed=True, rebin=1):
    counts = counts.sum(axis=0) if is_summed else counts
    n_bins = counts.shape[-1] // rebin
    kept = counts[..., : n_bins * rebin]
    return kept.reshape(*kept.shape[:-1], n_bins, rebin).sum(axis=-1)


def check(array, expected, part):
    right = expected[tuple(slice(*r) for r in part)]
    np.testing.assert_array_equal(array.read(part), right)
    np.testing.assert_array_equal(array.sum_signal(part), right.sum(axis=-1))
    sums = right.reshape(-1, right.shape[-1]).sum(axis=0)
    np.testing.assert_array_equal(array.sum_navigation(part), sums)


COUNTS = np.random.default_rng(3).poisson(0.7, (3, 5, 4, 6))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "map.toy"


@settings(max_examples=80)
@given(data=st.data())
def test_any_part_is_that_of_numpy(tmp_path, monkeypatch, data):
    shape = data.draw(st.tuples(*(st.integers(1, n) for n in (3, 4, 5, 7))))
    counts = np.random.default_rng(data.draw(st.integers(0, 99))).poisson(0.6, shape)
    n_parts = data.draw(st.sampled_from([1, 3]))
    runs = write(tmp_path / "map.toy", counts, n_parts=n_parts)
    options = {
        "is_summed": data.draw(st.booleans()),
        "rebin_energy": data.draw(st.integers(1, shape[-1])),
    }
    array = make(tmp_path / "map.toy", counts, runs, **options)
    expected = expected_of(counts, options["is_summed"], options["rebin_energy"])
    assert array.shape == expected.shape
    part = []
    for size in array.shape:
        start = data.draw(st.integers(0, size - 1))
        part.append((start, data.draw(st.integers(start + 1, size))))
    with monkeypatch.context() as patch:
        patch.setattr(stream, "BLOCK_BYTES", data.draw(st.sampled_from([8, 24, 2**20])))
        patch.setattr(stream, "_MOST_RUNS", data.draw(st.sampled_from([1, 2**18])))
        check(array, expected, tuple(part))


def whole(array):
    return tuple((0, n) for n in array.shape)


def test_source_in_memory(path):
    """What an object store could be: nothing reads it but through its reader."""
    runs = write(path, COUNTS, n_parts=3)
    source = Memory.of(path.read_bytes(), "memory:map")
    path.unlink()
    array = make(path, COUNTS, runs, source=source)
    check(array, COUNTS.sum(axis=0), whole(array))


def test_lazy_parts_in_threads_and_processes(path):
    runs = write(path, COUNTS)
    data = from_source(make(path, COUNTS, runs, is_summed=False), (1, 2, 4, 6))
    for scheduler in ("threads", "processes"):
        np.testing.assert_array_equal(data.compute(scheduler=scheduler), COUNTS)


def test_pickled(path):
    array = make(path, COUNTS, write(path, COUNTS))
    again = pickle.loads(pickle.dumps(array))
    assert dask.base.tokenize(again) == dask.base.tokenize(array)
    check(again, COUNTS.sum(axis=0), whole(again))
    with ProcessPoolExecutor(1) as pool:
        found = pool.submit(array.read, whole(array)).result()
    np.testing.assert_array_equal(found, COUNTS.sum(axis=0))


def test_many_threads_of_one_array(path):
    array = make(path, COUNTS, write(path, COUNTS))
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(array.read, [whole(array)] * 40):
            np.testing.assert_array_equal(found, COUNTS.sum(axis=0))


def test_no_events(path):
    counts = np.zeros((1, 2, 2, 3), int)
    array = make(path, counts, write(path, counts))
    check(array, counts[0], whole(array))
    assert array.file_bytes() == 0


def test_only_the_rows_that_are_asked_for(path, monkeypatch):
    runs = write(path, COUNTS)
    array = make(path, COUNTS, runs)
    read = []
    real = runs_of.read_ranges

    def spy(reader, offsets, sizes, out):
        read.append(sizes.sum())
        real(reader, offsets, sizes, out)

    monkeypatch.setattr(runs_of, "read_ranges", spy)
    array.sum_navigation(((2, 3), (0, 4), (0, 6)))
    lines = 2 + 5 * np.arange(3)
    assert sum(read) == runs.length[lines].sum() == array.count_bytes((2, 3))


def test_counts_never_wrap(path):
    counts = np.zeros((2, 1, 2, 3), int)
    counts[:, 0, 1, 2] = 128
    array = make(path, counts, write(path, counts), dtype=np.uint8)
    message = r"summed over frames, are above 255.*\(byte \d+\).*dtype='uint16'"
    with pytest.raises(OverflowError, match=message):
        array.read(whole(array))
    wide = make(path, counts, write(path, counts), dtype=np.uint16)
    check(wide, counts.sum(axis=0), whole(wide))


def test_damage_is_described_by_the_format(path):
    runs = write(path, COUNTS)
    content = bytearray(path.read_bytes())
    content[4 + 6 : 4 + 8] = b"\xff\xff"
    path.write_bytes(content)
    array = make(path, COUNTS, runs)
    with pytest.raises(
        CorruptFileError, match=r"above the last \(byte 4\). The file is dam"
    ):
        array.read(whole(array))


def test_changed(path):
    runs = write(path, COUNTS)
    array = make(path, COUNTS, runs)
    os.utime(path, (1, 1))
    with pytest.raises(CorruptFileError, match="was changed since it was opened"):
        array.read(whole(array))


def test_changed_in_secret(path):
    """Size and time are the same, but other rows are where these were."""
    runs = write(path, COUNTS)
    array = make(path, COUNTS, runs)
    status = path.stat()
    write(path, COUNTS[:, ::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    for method in (array.read, array.sum_navigation, array.sum_signal):
        with pytest.raises(CorruptFileError, match=r"no event of the map.*cache=False"):
            method(whole(array))


def test_changed_while_it_is_read(path, monkeypatch):
    array = make(path, COUNTS, write(path, COUNTS))
    real = runs_of.read_ranges

    def change_then_read(*arguments):
        os.utime(path, (1, 1))
        real(*arguments)

    monkeypatch.setattr(runs_of, "read_ranges", change_then_read)
    with pytest.raises(CorruptFileError, match="was changed since it was opened"):
        array.read(whole(array))


@pytest.mark.parametrize("can_stream", [True, False])
def test_cut(path, monkeypatch, can_stream):
    monkeypatch.setattr(runs_of, "can_stream", can_stream)
    runs = write(path, COUNTS)
    path.write_bytes(path.read_bytes()[:-20])
    array = make(path, COUNTS, runs)
    check(array, COUNTS.sum(axis=0), ((0, 2), (0, 4), (0, 6)))
    with pytest.raises(
        CorruptFileError, match="the file ends here, expected 20 bytes more"
    ):
        array.read(whole(array))


# The cache.


@pytest.fixture
def entry(path, tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "CACHED_FILE_BYTES", 0)
    monkeypatch.setenv(cache.FOLDER, str(tmp_path / "cache"))
    write(path, COUNTS)
    moment = time.time() - 60
    os.utime(path, (moment, moment))
    return lambda *others: cache.Entry.of("toy-1", LocalFile.of(path), *others)


def keep(entry, path, made):
    def index():
        made.append(1)
        return write(path, COUNTS)

    def unpack(found):
        runs = Runs(**found)
        return runs if runs.is_sound(15, 4, path.stat().st_size) else None

    def pack(runs):
        return {"start": runs.start, "length": runs.length}

    status = path.stat()
    runs = entry.get_or_make(index, pack, unpack)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    return runs


def test_index_is_kept(entry, path, monkeypatch):
    monkeypatch.setattr(
        cache, "change_time", lambda path: 0
    )  # the index is made by writing
    made = []
    first = keep(entry(), path, made)
    again = keep(entry(), path, made)
    assert len(made) == 1
    np.testing.assert_array_equal(again.start, first.start)
    assert entry().find() is not None
    keep(entry("another header"), path, made)
    assert len(made) == 2
    monkeypatch.setenv(cache.SWITCH, "0")
    assert entry().find() is None
    keep(entry(), path, made)
    assert len(made) == 3


@pytest.mark.parametrize("how", ["noise", "cut", "beyond", "absent", "other lines"])
def test_kept_index_that_cannot_be_right(entry, path, monkeypatch, how):
    monkeypatch.setattr(cache, "change_time", lambda path: 0)
    made = []
    runs = keep(entry(), path, made)
    place = entry().find()
    arrays = {"start": runs.start, "length": runs.length}
    if how == "noise":
        place.write_bytes(bytes(300))
    elif how == "cut":
        place.write_bytes(place.read_bytes()[:-50])
    elif how == "beyond":
        entry().save(arrays | {"start": runs.start + 8})
    elif how == "absent":
        entry().save({"start": runs.start})
    else:
        entry().save({name: value[:-1] for name, value in arrays.items()})
    again = keep(entry(), path, made)
    assert len(made) == 2
    np.testing.assert_array_equal(again.start, runs.start)
