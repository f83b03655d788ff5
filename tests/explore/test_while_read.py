"""Answers while a map is still being read: they say how much of it they are of."""

import threading

import numpy as np
import pytest

from rsciio_xfm.explore import downloads, prepare
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.overview import Overview
from tests.explore.asking import LONG, Asking
from tests.explore.test_opened import make

ROWS, COLUMNS = 60, 50
SOON = 0.2  # seconds, for what is not to happen


@pytest.fixture
def ask(monkeypatch):
    """Questions about a map of which half is read."""
    monkeypatch.setattr(prepare, "start", lambda *_: None)
    with Asking(Explorer({"map": make()}, most_waiting=9), wait=False) as found:
        put(found.opened.overview, ROWS // 2)
        yield found


def put(seen, n_rows):
    counts = np.zeros((ROWS, COLUMNS), np.uint64)
    counts[:n_rows] = 2
    spectrum = np.full(2, n_rows * COLUMNS, np.uint64)
    seen.put(n_rows, counts, spectrum, spectrum)


def finish(seen):
    put(seen, ROWS)
    seen.finish()


@pytest.mark.parametrize(
    ("what", "query", "array"),
    [
        ("spectrum", {"region": ""}, "spectrum"),
        ("spectrum", {"region": "max"}, "spectrum"),
        ("image", {"of": "counts"}, "image"),
    ],
)
def test_rows_are_those_of_what_is_sent(ask, monkeypatch, what, query, array):
    """Also if the last ones are read at this very moment: or a part would stay for all."""
    seen, others, is_asked = ask.opened.overview, [], []
    wait = seen.wait_for_something
    seen.wait_for_something = lambda: (is_asked.append(1), wait())[1]
    name = {"": "total", "max": "highest"}.get(query.get("region"), "counts")

    def read(self):
        found = vars(self)[name]
        if is_asked and not others:
            others.append(threading.Thread(target=finish, args=(seen,)))
            others[0].start()
            others[0].join(SOON)
        return found

    def write(self, value):
        vars(self)[name] = value

    monkeypatch.setattr(Overview, name, property(read, write), raising=False)
    header, arrays = ask.arrays(what, **query)
    others[0].join(LONG)
    share = arrays[array].sum() / (ROWS * COLUMNS * 2)
    assert header["rows_done"] == pytest.approx(share * ROWS)


def test_region_by_counts_is_made_again(ask):
    """Pixels that were not read yet belong to it later."""
    region = {"region": "t:counts@1,255", "exact": "1"}
    for n_rows in (ROWS // 2, ROWS):
        header, arrays = ask.arrays("spectrum", **region)
        assert header["pixels"] == n_rows * COLUMNS
        assert arrays["spectrum"].tolist() == [n_rows * COLUMNS] * 2
        finish(ask.opened.overview)


def test_a_part_is_not_exported(ask, monkeypatch):
    """Not even if the rest is read at this very moment."""
    real = downloads.make_spectrum

    def make_spectrum(*arguments):
        found = real(*arguments)
        finish(ask.opened.overview)
        return found

    monkeypatch.setattr(downloads, "make_spectrum", make_spectrum)
    assert ask.error("export/spectrum.msa", region="") == (
        503,
        "The map is still being read.",
    )
