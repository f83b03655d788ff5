"""What the tests of ESRF's formats share."""

import warnings

import numpy as np
import pytest

for module in ("fabio", "silx", "hdf5plugin"):
    pytest.importorskip(module)

from rsciio_xfm.formats.esrf import file_reader  # noqa: E402


def read(path, n_warnings=0, **options):
    """Read a file; exactly so many warnings are given."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        signals = file_reader(path, **options)
    assert len(caught) == n_warnings, [str(w.message) for w in caught]
    return signals


def read_one(path, n_warnings=0, **options):
    (signal,) = read(path, n_warnings, **options)
    return signal


def values(signal):
    return np.asarray(signal["data"])


def dead_time_of(signal):
    eds = signal["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]
    return eds["_sig_dead_time"]["data"]


def eds_of(signal):
    return signal["metadata"]["Acquisition_instrument"]["SEM"]["Detector"]["EDS"]


def expected_dead_time(truth, detector=0):
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = 100 * (1 - truth["live_time"] / truth["elapsed_time"])
    return np.where(truth["live_time"] > 0, percent, np.nan)[detector]


def axis(signal, i):
    found = signal["axes"][i]
    return found["name"], found["offset"], found["scale"], found["units"]
