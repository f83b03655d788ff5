"""The battery finds what it is to find: readers with faults on purpose."""

import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

from rsciio_xfm.exceptions import CorruptFileError
from tests.robustness import battery
from tests.robustness.samples import SAMPLES

SAMPLE = SAMPLES["EDAX .spd"]
TRUTH = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def signals(array):
    return [{"data": array}]


def wrong(path):
    return signals(TRUTH[::-1])


def lost(path):
    return signals(np.where(np.arange(2)[:, None, None] > 0, 0, TRUTH))


def lost_with_a_warning(path):
    warnings.warn("the last row is not there", stacklevel=1)
    return lost(path)


def numpy_warning(path):
    warnings.warn("overflow", RuntimeWarning, stacklevel=1)
    return signals(TRUTH)


def other_error(path):
    raise KeyError("a")


def own_error(path):
    raise CorruptFileError(f"{path}: it is damaged")


def own_error_without_a_path(path):
    raise CorruptFileError("it is damaged")


@pytest.mark.parametrize(
    ("read", "case", "kind"),
    [
        (lambda path: signals(TRUTH), "bit in header", "same"),
        (own_error, "bit in header", "rejected"),
        (lost_with_a_warning, "cut at byte 3", "salvaged"),
        (wrong, "bit in data at", "altered"),
        (wrong, "bit in header", "wrong counts"),
        (wrong, "cut at byte 3", "wrong counts"),
        (lost, "bit in header", "wrong counts"),
        (lost, "cut at byte 3", "wrong counts"),
        (other_error, "bit in header", "other error"),
        (own_error_without_a_path, "bit in header", "other error"),
        (numpy_warning, "bit in header", "other warning"),
    ],
)
def test_judge(read, case, kind, tmp_path):
    sample = replace(SAMPLE, read=read, decode=None)
    found, _ = battery._judge(sample, tmp_path / "map.spd", [TRUTH], case)
    assert found == kind


FAULTS = {
    "hang": "while True: time.sleep(1)",
    "crash": "os.kill(os.getpid(), 11)",
    "memory": "bytearray(200 * 2**20).count(1)",
    "left open": "kept.append(open(path, 'rb'))",
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("kind", FAULTS)
def test_process(kind, monkeypatch, tmp_path):
    """What happens to the process of the reader is found, and others go on."""
    (tmp_path / "faulty.py").write_text(
        f"""
import os, time
from dataclasses import replace
from tests.robustness import battery
kept = []
def read(path, own=battery.SAMPLES["EDAX .ipr of a map"].read):
    if os.path.getsize(path.with_suffix(".ipr")) == 96:
        {FAULTS[kind]}
    return own(path)
name = "EDAX .ipr of a map"
battery.SAMPLES[name] = replace(battery.SAMPLES[name], read=read)
def serve(*arguments, serve=battery._serve):
    serve(*arguments)
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    if kind == "hang":
        monkeypatch.setattr(battery, "TIME_LIMIT", 10.0)
    import faulty

    monkeypatch.setattr(battery, "_serve", faulty.serve)
    outcomes = battery.run("EDAX .ipr of a map", 0)
    bad = [o for o in outcomes if o.kind in battery.BAD]
    assert len(outcomes) > 100
    assert [(o.kind, o.case) for o in bad] == [(kind, "cut at byte 96")]
