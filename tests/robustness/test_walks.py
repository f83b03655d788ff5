"""Random walks from every format, and a judge that finds faults that were planted."""

import importlib.util
from dataclasses import replace

import numpy as np
import pytest
from exspy.signals import EDSSEMSpectrum

from rsciio_xfm.signals import EDSXFMSpectrum
from tests.robustness import walks

N_WALKS = 15
NEEDED = {"datastack": "numcodecs", "EDF, XIA": "fabio", "SPEC": "silx"}


def skip_without_packages(name):
    needed = NEEDED.get(name, "hdf5plugin" if name.startswith("HDF5") else "numpy")
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"{needed} is not installed")


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", walks.FORMATS)
def test_walks(name, lazy, tmp_path):
    skip_without_packages(name)
    failures = walks.run(name, lazy, range(N_WALKS), tmp_path)
    assert not failures, "\n\n".join(["", *failures])


# The judge ------------------------------------------------------------------------------


@pytest.fixture(params=["GeoPIXE", "GeoPIXE, detectors apart", "EMD, Velox"])
def start(request, tmp_path):
    load, model = walks.FORMATS[request.param](tmp_path)
    return load(False), model


def set_time(name, factor):
    def plant(s):
        node = s.metadata.get_item(walks.EDS)
        node.set_item(name, node.get_item(name) * factor)

    return plant


def transpose_a_block(s):
    s.data[..., :3, :3, :] = s.data[..., :3, :3, :].swapaxes(-3, -2).copy()


def add_a_count(s):
    s.data.flat[17] += 1


def change_the_type(s):
    s.data = s.data.astype(np.uint32)


def shift_an_axis(s):
    s.axes_manager["x"].offset += 0.01


def stretch_an_axis(s):
    s.axes_manager[-1].scale *= -1


def become_another_type(s):
    s.__class__ = EDSSEMSpectrum


FAULTS = {
    "live_time, of all": set_time("live_time", 1.001),
    "real_time, of all": set_time("real_time", 0.5),
    "count ": transpose_a_block,
    "count (0, ": add_a_count,
    "type of counts": change_the_type,
    "offset of axis": shift_an_axis,
    "scale of axis": stretch_an_axis,
    "type is": become_another_type,
}


@pytest.mark.parametrize("said", FAULTS)
def test_judge(start, said):
    signal, model = start
    walks.check(signal, model)
    FAULTS[said](signal)
    with pytest.raises(walks.DiffersError) as error:
        walks.check(signal, model)
    assert str(error.value).startswith(said)


def test_judge_of_times_that_should_be_gone(start):
    signal, model = start
    with pytest.raises(walks.DiffersError, match=r"times is .*live_time.*expected gone"):
        walks.check(signal, replace(model, times=None))


def test_judge_of_times_that_should_be_there(start):
    signal, model = start
    del signal.metadata.Acquisition_instrument.SEM.Detector.EDS.live_time
    with pytest.raises(walks.DiffersError, match="live_time is None, expected"):
        walks.check(signal, model)


@pytest.mark.parametrize("name", ["GeoPIXE", "GeoPIXE, detectors apart", "EDF, XIA"])
def test_judge_of_dead_times(name, tmp_path):
    """Those of two pixels were swapped: the sums are what they were."""
    skip_without_packages(name)
    load, model = walks.FORMATS[name](tmp_path)
    signal = load(False)
    dead_time = signal.get_dead_time()
    dead_time.data[..., [0, 1]] = dead_time.data[..., [1, 0]]
    signal.metadata.set_item(f"{walks.EDS}.dead_time", dead_time)
    with pytest.raises(walks.DiffersError, match="get_live_time"):
        walks.check(signal, model)
    del signal.metadata.Acquisition_instrument.SEM.Detector.EDS.dead_time
    with pytest.raises(walks.DiffersError, match="dead times is gone"):
        walks.check(signal, model)


def test_walk_to_a_fault_is_shortened(monkeypatch, tmp_path):
    """Of a fault in one operation that one is left, with what it takes to see it."""

    def faulty(self, axis1, axis2, optimize=False, original=EDSXFMSpectrum.swap_axes):
        made = original(self, axis1, axis2, optimize)
        made.data = made.data[..., ::-1]
        return made

    monkeypatch.setattr(EDSXFMSpectrum, "swap_axes", faulty)
    without = set(walks.OPERATIONS) - {"swap_axes", "inav", "isig", "copy", "lazily"}
    failures = walks.run("GeoPIXE", False, range(5), tmp_path, without)
    assert failures
    for failure in failures:
        first, code, error = failure.splitlines()
        assert first.startswith("GeoPIXE, lazy=False, seed ")
        assert code.strip().startswith("s = s.swap_axes(")
        assert "-> DiffersError: count" in error
