"""A map that is open: its times, and the memory that it holds."""

import tracemalloc

import numpy as np
import pytest

from rsciio_xfm.core.dead_time import live_time
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.opened import Opened
from tests.explore.asking import Asking

SHAPE = (60, 50)


def make(dead=None, times=None, shape=SHAPE, name="map"):
    """A map in memory, of 2 channels."""
    even = {"offset": 0, "scale": 1}
    axes = [
        {"name": name, "size": size, "navigate": name != "Energy", **even}
        for name, size in zip(("y", "x", "Energy"), (*shape, 2), strict=True)
    ]
    eds = dict(times or {})
    if dead is not None:
        eds["_sig_dead_time"] = {"data": dead}
    metadata = {"Acquisition_instrument": {"SEM": {"Detector": {"EDS": eds}}}}
    data = np.ones((*shape, 2), dtype=np.uint8)
    return Opened({"data": data, "axes": axes, "metadata": metadata}, name)


@pytest.mark.parametrize("n_detectors", [None, 3])
@pytest.mark.parametrize("times", [{"real_time": 0.2}, {"live_time": 0.1}, {}])
@pytest.mark.parametrize("part", [2**20, 100])
def test_live_times(n_detectors, times, part, monkeypatch):
    from rsciio_xfm.explore import opened as module

    monkeypatch.setattr(module, "_PART", part)
    rng = np.random.default_rng(1)
    shape = SHAPE if n_detectors is None else (n_detectors, *SHAPE)
    dead = rng.uniform(0, 90, shape)
    dead[..., 0, :3] = np.nan
    opened = make(dead, times)
    mask = rng.random(SHAPE) < 0.3
    expected = live_time(dead, 1.0, None if n_detectors is None else 0)
    if "live_time" in times:
        expected *= 0.1 / expected.mean()
    elif "real_time" in times:
        expected *= 0.2
    for chosen in (mask, None, np.zeros(SHAPE, dtype=bool)):
        real, live = opened.times_of(chosen)
        own = expected if chosen is None else expected[chosen]
        if not times:
            assert (real, live) == (None, None)
            continue
        assert live == pytest.approx(own.sum(), rel=1e-12)
        assert real == (pytest.approx(0.2 * own.size) if "real_time" in times else None)


def test_no_image_of_live_times_is_made(monkeypatch):
    shape = (1500, 1000)
    opened = make(np.full(shape, 10, dtype=np.float32), {"real_time": 0.1}, shape)
    mask = np.zeros(shape, dtype=bool)
    mask[:50] = True
    opened.times_of(mask)
    tracemalloc.start()
    assert opened.times_of(mask)[1] == pytest.approx(50 * 1000 * 0.09)
    assert opened.times_of(None)[1] == pytest.approx(1500 * 1000 * 0.09)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20  # an image of them has 12 MB


def test_dead_times_count_as_memory():
    """Of maps that nobody looks at they are forgotten with the map."""
    shape = (500, 400)
    maps = {
        str(k): make(np.zeros((8, *shape), np.float32), {}, shape, f"map {k}")
        for k in range(4)
    }
    explorer = Explorer(maps, memory=24 * 2**20)
    with Asking(explorer):
        for number, one in maps.items():
            assert one.nbytes > 8 * 500 * 400 * 4
            explorer.open(number).opened.overview.wait(30)
        explorer.open("3")
        assert list(explorer._open) == ["3"]
        held = sum(one.opened.nbytes for one in explorer._open.values())
        assert held <= 12 * 2**20


def test_what_excites():
    sources = [
        ({}, None),
        ({"SEM": {"beam_energy": 17.44}}, "17.44 keV"),
        ({"SEM": {"beam_energy": 20, "working_distance": 8}}, "electrons 20 kV"),
        ({"SEM": {"beam_energy": "20", "magnification": 100}}, "electrons 20 kV"),
        ({"XRF": {"tube_target": "Rh", "tube_voltage": 50.0}}, "Rh 50 kV"),
        ({"XRF": {"tube_target": "Xx", "tube_voltage": 50.0}}, None),
        ({"TEM": {"beam_energy": 1e9}}, None),
    ]
    for instrument, expected in sources:
        opened = make()
        opened.metadata["Acquisition_instrument"] = instrument
        said = opened.info()["excitation"]
        source = "none" if expected is None else "file"
        assert said == {"text": expected, "source": source}
