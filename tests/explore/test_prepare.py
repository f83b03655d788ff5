"""The explorer with a cache of its map: the same answers, and none that is lost."""

import shutil
import time

import numpy as np
import pytest

from rsciio_xfm.core import cache as index_cache
from rsciio_xfm.explore import cube, cube_store, prepare
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.listing import Listing
from tests.builders import edax
from tests.explore.asking import Asking, explore_file

pytest.importorskip("numcodecs")
REGIONS = ("r:2,3,30,35", "o:16,20,9,12|-r:10,10,14,14", "p:0,0;33,5;20,39")


@pytest.fixture(autouse=True)
def caches_of_small_maps(monkeypatch):
    monkeypatch.setattr(cube_store, "CUBE_MAP_BYTES", 0)
    monkeypatch.setattr(index_cache, "CACHED_FILE_BYTES", 0)


@pytest.fixture
def path(tmp_path):
    found = edax.write_map(tmp_path / "map.spd", shape=(34, 40, 64))
    time.sleep(0.01)
    return found


def wait_for(ask, *states):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        said = ask.json("info")["cache"]
        if said["state"] in states:
            return said
        time.sleep(0.02)
    raise AssertionError(said)


@pytest.fixture
def plain(path):
    """What is answered without a cache."""
    with Asking(explore_file(path, is_cached=False, most_waiting=9)) as ask:
        assert ask.json("info")["cache"]["why"] == "The cache was switched off."
        return {
            **{region: ask.spectrum(region) for region in REGIONS},
            **{of: ask.image(of) for of in ("counts", "w:0:64", "w:5:19")},
            **{of: ask.spectrum(of) for of in ("", "max")},
        }


def check(ask, plain):
    for name, expected in plain.items():
        if name in REGIONS:
            header, arrays = ask.arrays("spectrum", region=name, exact="1")
            assert header["exact"]
            assert (arrays["spectrum"] == expected).all()
        elif name in ("", "max"):
            assert (ask.spectrum(name) == expected).all()
        else:
            assert (ask.image(name) == expected).all()


def test_same_answers(path, plain):
    with Asking(path) as ask:
        wait_for(ask, "ready")
        check(ask, plain)
        header, arrays = ask.arrays("spectrum", region=REGIONS[1])
        assert not header["exact"]
        total = plain[REGIONS[1]].sum()
        assert arrays["spectrum"].sum() == pytest.approx(total, rel=0.2)


@pytest.mark.thorough
def test_is_found_again(path, plain, monkeypatch):
    with Asking(path) as ask:
        wait_for(ask, "ready")
    monkeypatch.setattr(cube, "make", None)
    with Asking(path) as ask:
        wait_for(ask, "ready")
        check(ask, plain)


@pytest.mark.thorough
def test_is_made_again_if_it_is_lost(path, plain):
    with Asking(path) as ask:
        wait_for(ask, "ready")
        shutil.rmtree(ask.explorer.open(ask.number).cache.cube.folder)
        check(ask, plain)
        wait_for(ask, "ready")
        check(ask, plain)


@pytest.mark.thorough
def test_without_room(path, plain, monkeypatch):
    def make(*arguments, **options):
        options["overview"](5, np.zeros((5, 40), np.uint64), np.zeros(64), np.zeros(64))
        raise cube.CacheFullError("The disk has 1 MiB left, expected 9 MiB.")

    monkeypatch.setattr(cube, "make", make)
    with Asking(path) as ask:
        said = wait_for(ask, "off")
        assert "1 MiB left" in said["why"]
        check(ask, plain)


@pytest.mark.thorough
def test_without_numcodecs(path, plain, monkeypatch):
    monkeypatch.setattr(prepare.importlib.util, "find_spec", lambda name: None)
    with Asking(path) as ask:
        assert "numcodecs" in wait_for(ask, "off")["why"]
        check(ask, plain)


@pytest.mark.thorough
def test_first_pictures_come_in_strips(path, monkeypatch):
    seen = []
    real = prepare.Opened.read

    def read(*arguments):
        opened = real(*arguments)
        put = opened.overview.put
        opened.overview.put = lambda n, *rest: (seen.append(n), put(n, *rest))
        return opened

    monkeypatch.setattr(prepare.Opened, "read", read)
    with Asking(path) as ask:
        wait_for(ask, "ready")
    assert seen[-1] == 34
    assert seen == sorted(seen)


def test_closed_while_it_is_made(path, monkeypatch):
    begun = []

    def make(source, *, cancel, **options):
        begun.append(1)
        while not cancel.is_set():
            time.sleep(0.01)
        raise cube.CubeError("cancelled")

    monkeypatch.setattr(cube, "make", make)
    explorer = Explorer(Listing(path))
    explorer.open(next(iter(explorer.listing.files())))
    explorer.close()
    assert begun == [1]


@pytest.mark.thorough
def test_one_cache_at_a_time(path, plain):
    """While another map's is made, pictures come first."""
    with prepare._CUBES, Asking(path) as ask:
        assert ask.opened.overview.is_done
        assert wait_for(ask, "making")["progress"] == 0
        assert (ask.image("counts") == plain["counts"]).all()
        prepare._CUBES.release()
        wait_for(ask, "ready")
        prepare._CUBES.acquire()
        check(ask, plain)


def test_closed_before_its_turn(path):
    with prepare._CUBES:
        explorer = Explorer(Listing(path))
        held = explorer.open(next(iter(explorer.listing.files())))
        assert held.opened.overview.wait(30)
        explorer.close()
        assert not held.is_read()
        assert held.cache.state == "off"


def test_forgotten_while_it_is_read(path):
    """What others pushed out of memory is waited for as well."""
    with prepare._CUBES:
        explorer = Explorer(Listing(path), memory=1)
        held = explorer.open(number := next(iter(explorer.listing.files())))
        assert held.opened.overview.wait(30)
        explorer._close(number)
        explorer.close()
        assert not held.is_read()


def test_windows_that_are_dragged(path, plain):
    """Their coarse images are right, made of each other, and nothing else is kept of them."""
    with Asking(path) as ask:
        wait_for(ask, "ready")
        with Asking(explore_file(path, is_cached=False, most_waiting=9)) as other:
            for stop in (9, 11, 12, 30, 28, 20):
                for step in ("2", "3"):
                    query = {"of": f"w:5:{stop}", "step": step}
                    header, arrays = ask.arrays("image", **query)
                    expected = other.arrays("image", **query)
                    assert header == expected[0] | {"arrays": header["arrays"]}
                    assert (arrays["image"] == expected[1]["image"]).all()
        assert len(ask.explorer.windows) == 12
        assert len(ask.explorer.store) == 0
        assert (ask.image("w:5:19") == plain["w:5:19"]).all()


def test_windows_are_kept_within_a_budget(path):
    with Asking(explore_file(path, memory=8 * 2000, most_waiting=9)) as ask:
        wait_for(ask, "ready")
        for stop in range(10, 40):
            ask.arrays("image", of=f"w:5:{stop}", step="2")
        assert 0 < len(ask.explorer.windows) < 10
        assert ask.explorer.windows.n_bytes <= 2000
        ask.explorer._close(ask.number)
        assert ask.explorer.windows.n_bytes == len(ask.explorer.windows) == 0
