"""One pass over a map for several results: what is read, progress, cancelling, partial."""

import math
import pickle
import threading
from dataclasses import dataclass

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import edax
from rsciio_xfm.analysis.colour import Colours, channel_colours, mix_colours
from rsciio_xfm.analysis.maps import (
    Counts,
    Highest,
    Regions,
    Total,
    Wanted,
    Windows,
    make_maps,
    region_spectra,
    summarise,
    window_images,
)
from rsciio_xfm.core import reduce as passes
from rsciio_xfm.core import source as opened
from rsciio_xfm.core import table as _table
from rsciio_xfm.core import to_dask
from rsciio_xfm.core.chunks import ChunkedArray, Table
from rsciio_xfm.core.reduce import Images, Reduction, run
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.exceptions import PassCancelledError
from tests.builders import edax as edax_builder

SHAPE = (12, 7, 32)
WHOLE = SHAPE[0] * SHAPE[1] * SHAPE[2] * 2  # bytes


@dataclass(frozen=True)
class Seen(Images):
    """The channels from `start` to `stop`, as images, as they were given."""

    start: int
    stop: int

    def channels(self, n_channels):
        return ((self.stop - 1, self.stop), (self.start, self.start + 1))

    def kind(self, dtype):
        return self.stop - self.start, dtype

    def make(self, piece):
        assert piece.rows.flags.c_contiguous
        assert piece.spectra.shape[1] == self.stop - self.start
        return piece.spectra.T


@dataclass(frozen=True)
class Parts(Reduction):
    """How often each method is called."""

    def begin(self, part):
        return [part.ranges]

    def add(self, state, piece):
        assert piece.spectra.any()
        return state

    def merge(self, states):
        return [ranges for state in states for ranges in state]


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A map of which each task goes through two rows."""
    path = edax_builder.write_map(tmp_path / "a.spd", SHAPE, 2)
    task_bytes = math.ceil(path.stat().st_size / 6)
    monkeypatch.setattr(to_dask, "SUM_FILE_BYTES", (task_bytes, task_bytes))
    return path


@pytest.fixture
def data(path):
    return edax.file_reader(path, lazy=True)[0]["data"]


@pytest.fixture
def read(monkeypatch):
    """The sizes of all that is read of the counts."""
    sizes = []

    def count(file, offset, buffer, n_bytes, original=opened.read_into):
        sizes.append(n_bytes)
        return original(file, offset, buffer, n_bytes)

    monkeypatch.setattr(opened, "read_into", count)
    return sizes


def kinds(data, counts):
    """The same map in a file, in chunks, and in memory."""
    return {
        "file": data,
        "dask": da.from_array(counts, chunks=(3, 4, 9)),
        "numpy": counts,
    }


def test_each_reduction_has_its_own_channels(data):
    counts = data.compute()
    reductions = [
        Seen(3, 9),
        Seen(20, 31),
        Total(),
        Seen(5, 6),
        Windows(((4, 8), (2, 3))),
    ]
    for held in kinds(data, counts).values():
        *seen, one, images = run(held, *(reductions[i] for i in (0, 1, 3, 4)))
        for found, (start, stop) in zip(
            (*seen, one), ((3, 9), (20, 31), (5, 6)), strict=True
        ):
            expected = np.moveaxis(counts[..., start:stop], -1, 0)
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(images[0], counts[..., 4:8].sum(axis=-1))
        np.testing.assert_array_equal(images[1], counts[..., 2])
        first, total = run(held, reductions[0], reductions[2])
        np.testing.assert_array_equal(total, counts.sum(axis=(0, 1)))
        np.testing.assert_array_equal(first[0], counts[..., 3])


def test_all_at_once_is_one_pass(data, read):
    counts = data.compute()
    labels = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE[:2]) % 5
    colours = Colours(0, channel_colours(32), "log")
    wanted = Wanted([(3, 9), (5, 30)], labels, True, colours)
    read.clear()
    found = make_maps(data, wanted)
    assert sum(read) == WHOLE
    assert set(found) == {"windows", "regions", "summary", "colours"}
    np.testing.assert_array_equal(found["windows"], window_images(counts, wanted.windows))
    np.testing.assert_array_equal(found["regions"], region_spectra(counts, labels))
    for name, expected in summarise(counts).items():
        np.testing.assert_array_equal(found["summary"][name], expected)
    expected = mix_colours(counts, channel_colours(32), "log")
    np.testing.assert_array_equal(found["colours"], expected)


def test_signals_are_made_in_one_pass(path, read):
    s = hs.load(path, lazy=True)
    mask = np.zeros(SHAPE[:2], dtype=bool)
    mask[2:4] = True
    windows = {"low": (1, 5), "high": (20, 30)}
    read.clear()
    found = s.get_maps(
        windows=windows,
        regions={"two rows": mask},
        summary=True,
        colours={"scale": "log", "energy_range": (0.05, 0.2)},
    )
    assert sum(read) == WHOLE
    for name, image in s.get_window_images(windows).items():
        np.testing.assert_array_equal(found["windows"][name].data, image.data)
    for name, own in (
        ("regions", s.get_region_spectra({"two rows": mask})),
        ("summary", s.get_summary()),
    ):
        assert list(found[name]) == list(own)
        for key, signal in own.items():
            np.testing.assert_array_equal(found[name][key].data, signal.data)
            assert (
                found[name][key].metadata.as_dictionary()
                == signal.metadata.as_dictionary()
            )
    picture = s.get_colour_map("log", (0.05, 0.2))
    assert (found["colours"].data == picture.data).all()
    with pytest.raises(ValueError, match="Nothing"):
        s.get_maps()
    with pytest.raises(TypeError, match="progress_bar"):
        s.get_maps(windows, progress_bar=print)


def test_parts_of_signals_are_signals(path):
    s = hs.load(path, lazy=True)
    seen = []
    found = s.get_maps(windows=(1, 5), partial=seen.append)
    assert len(seen) == 6
    (image,), (last,) = (one["windows"].values() for one in (seen[0], seen[-1]))
    assert not image.data.all() and image.axes_manager.signal_dimension == 2
    (expected,) = found["windows"].values()
    np.testing.assert_array_equal(last.data, expected.data)


def test_regions_read_their_rows_only(data, read):
    mask = np.zeros(SHAPE[:2], dtype=bool)
    mask[4, 2:6] = True
    others = np.zeros(SHAPE[:2], dtype=bool)
    others[6, 3] = True
    counts = data.compute()
    read.clear()
    regions = [Regions.of([m], SHAPE[:2]) for m in (mask, others, ~mask & mask)]
    one, two, none = run(data, *regions)
    assert sum(read) == 3 * 4 * SHAPE[2] * 2
    np.testing.assert_array_equal(one[0], counts[mask].sum(axis=0))
    np.testing.assert_array_equal(two[0], counts[others].sum(axis=0))
    assert none.shape == (1, 32) and not none.any()


def test_nothing_is_cut_out_of_a_whole_map(data, monkeypatch):
    counts = data.compute()
    monkeypatch.delattr(passes, "take")
    (total,) = run(data, Total())
    np.testing.assert_array_equal(total, counts.sum(axis=(0, 1)))


@pytest.mark.parametrize("size", [1, 2, 4])
def test_narrow_windows_far_apart_are_mapped(tmp_path, monkeypatch, read, size):
    monkeypatch.setattr(_table, "_MAP_LEAST_BYTES", 0)  # of a map that is not this small
    path = edax_builder.write_map(tmp_path / "a.spd", (5, 7, 1200), size)
    data = edax.file_reader(path, lazy=True)[0]["data"]
    counts = data.compute()
    read.clear()
    windows = [(1150, 1160), (3, 12), (600, 601)]
    for image, (start, stop) in zip(window_images(data, windows), windows, strict=True):
        np.testing.assert_array_equal(image, counts[..., start:stop].sum(axis=-1))
    assert not read
    window_images(data, [*windows, (100, 900)])
    assert sum(read) == counts.nbytes


@pytest.mark.parametrize("scheduler", ["threads", "synchronous", "processes"])
def test_progress(data, scheduler):
    counts = data.compute()
    for kind, held in kinds(data, counts).items():
        calls = []
        with dask.config.set(scheduler=scheduler):
            (found,) = run(
                held, Total(), progress=lambda *call, own=calls: own.append(call)
            )
        np.testing.assert_array_equal(found, counts.sum(axis=(0, 1)))
        n_parts = {"file": 6, "dask": 8, "numpy": 1}[kind]
        assert calls == [(i + 1, n_parts) for i in range(n_parts)]


@pytest.mark.parametrize("scheduler", ["threads", "synchronous", "processes"])
def test_partial(data, scheduler):
    counts = data.compute().astype(np.int64) + 1
    lazily = da.from_array(counts, chunks=(3, 7, 32))
    labels = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE[:2]) // 14
    reductions = [Counts(), Total(), Highest(), Regions.of(labels, SHAPE[:2])]
    seen = []
    with dask.config.set(scheduler=scheduler):
        found = run(lazily, *reductions, partial=seen.append)
    assert len(seen) == 4
    n_known = []
    for image, total, highest, regions in seen:
        is_known = image > 0
        assert (is_known == is_known[:, :1]).all()  # strips of rows
        rows = counts[is_known[:, 0]]
        np.testing.assert_array_equal(image[is_known[:, 0]], rows.sum(axis=-1))
        np.testing.assert_array_equal(total, rows.sum(axis=(0, 1)))
        np.testing.assert_array_equal(highest, rows.max(axis=(0, 1)))
        assert regions.sum() == rows[labels[is_known[:, 0]] > 0].sum()
        n_known.append(len(rows))
    assert n_known == [3, 6, 9, 12]
    for result, last in zip(found, seen[-1], strict=True):
        np.testing.assert_array_equal(result, last)


def test_partial_of_many_regions_is_of_whole_strips(data, monkeypatch):
    """Threads do not share totals then, which would have spectra of others' strips."""
    from rsciio_xfm.analysis import maps

    monkeypatch.setattr(maps, "SHARED_BYTES", 0)
    labels = np.ones(SHAPE[:2], dtype=int)
    seen = []
    (found,) = run(data, Regions.of(labels, SHAPE[:2]), partial=seen.append)
    totals = [int(one[0].sum()) for (one,) in seen]
    assert totals == sorted(set(totals)) and totals[-1] == found.sum()
    np.testing.assert_array_equal(found, region_spectra(data, labels))


@pytest.mark.parametrize("scheduler", ["threads", "synchronous", "processes"])
@pytest.mark.parametrize("kind", ["file", "dask", "numpy"])
def test_cancel(data, scheduler, kind):
    held = kinds(data, data.compute())[kind]
    event = threading.Event()
    done = []

    def progress(n_done, total):
        done.append(n_done)
        event.set()

    with dask.config.set(scheduler=scheduler):
        with pytest.raises(PassCancelledError, match=r"1 of \d parts were done"):
            run(held, Total(), progress=progress, cancel=event)
        assert done == [1]
        with pytest.raises(PassCancelledError, match="0 of 0 parts"):
            run(held, Total(), cancel=lambda: True)
        (total,) = run(held, Total(), cancel=lambda: False)
    np.testing.assert_array_equal(total, held.sum(axis=(0, 1)))


def test_cancel_within_a_part(monkeypatch):
    """A thread looks after each piece, however long its part takes."""
    monkeypatch.setattr(passes, "PIECE_BYTES", 100)
    monkeypatch.setattr(passes, "PART_PIECES", 10**6)
    asked = []

    def cancel():
        asked.append(True)
        return len(asked) > 5

    with pytest.raises(PassCancelledError):
        run(np.ones((1000, 2, 40), dtype="u1"), Total(), cancel=cancel)
    assert 6 <= len(asked) <= 7  # also before the first one


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("kind", ["file", "dask", "numpy"])
def test_what_callbacks_raise_ends_the_pass(data, kind, error):
    held = kinds(data, data.compute())[kind]

    def fail(*_):
        raise error

    for callback in ({"progress": fail}, {"partial": fail}, {"cancel": fail}):
        with pytest.raises(error):
            run(held, Total(), **callback)


def test_threads_stop_after_an_interrupt(monkeypatch):
    """Those that still read when the pass ended look at it after each piece."""
    monkeypatch.setattr(passes, "PIECE_BYTES", 80)
    monkeypatch.setattr(passes, "PART_PIECES", 1000)
    data = np.ones((4000, 2, 40), dtype="u1")
    is_second_read, is_over, quick, pieces = threading.Event(), threading.Event(), [], []

    @dataclass(frozen=True)
    class Slow(Total):
        def add(self, state, piece):
            part = piece.ranges[0][0] // 1000
            quick.append(part)
            if part != quick[0]:
                is_second_read.set()
                assert is_over.wait(60)
                pieces.append(piece.ranges)
            return state

    def interrupt(*_):
        assert is_second_read.wait(60)
        raise KeyboardInterrupt

    class Executor(passes.ThreadPoolExecutor):
        def shutdown(self, *arguments, **options):
            is_over.set()
            super().shutdown(*arguments, **options)

    monkeypatch.setattr(passes, "ThreadPoolExecutor", Executor)
    with dask.config.set(num_workers=2), pytest.raises(KeyboardInterrupt):
        run(data, Slow(), progress=interrupt)
    assert len(pieces) <= 2


def test_errors_of_a_part_are_told(data, path):
    with path.open("r+b") as file:
        file.truncate(2000)
    for watch in ({}, {"progress": lambda *_: None}):
        with pytest.raises(ValueError, match=r"a\.spd"):
            run(data, Total(), **watch)


def test_parts_of_zeros_are_left_out():
    """Rows that are not in the file are never given to a reduction."""
    run_ = Table.of_run(LocalFile("none", (0, 0)), 0, (4, 5, 8), np.dtype("u1"), 0)
    source = ChunkedArray(run_)
    data = to_dask.from_source(source)
    parts, total, highest = run(data, Parts(), Total(), Highest())
    assert parts == [((0, 0), (0, 0))]
    assert not total.any() and not highest.any()


def test_state_goes_through_merge_once_at_least():
    counts = np.ones((2, 3, 4), dtype="u1")

    @dataclass(frozen=True)
    class Packed(Total):
        def merge(self, states):
            return sum(s if isinstance(s, int) else int(s.sum()) for s in states)

    assert run(counts, Packed()) == (24,)
    assert run(counts[:0], Packed()) == (0,)


def test_masked():
    data = np.ma.masked_array(np.ones((2, 3, 4)), False)
    for held in (data, da.from_array(data)):
        with pytest.raises(TypeError, match="masked"):
            run(held, Total())


def test_error_can_be_pickled():
    error = pickle.loads(pickle.dumps(PassCancelledError("why")))
    assert str(error) == "why" and not isinstance(error, ValueError)
