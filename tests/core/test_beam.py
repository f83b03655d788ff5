"""What metadata say of the source is the same for signals and where there are none."""

import functools

import numpy as np
import pytest
from hyperspy.signals import Signal1D

from rsciio_xfm.core.beam import describe
from rsciio_xfm.explore.opened import find
from rsciio_xfm.signals.excitation import excitation_of

SOURCES = [
    {"SEM": {"beam_energy": 17.44}},
    {"SEM": {"beam_energy": 20.0, "working_distance": 8.0}},
    {"SEM": {"beam_energy": 20.0, "magnification": 100.0}},
    {"SEM": {"beam_energy": 20.0, "magnification": 100.0}, "XRF": {"tube_current": 1.0}},
    {"TEM": {"beam_energy": 200.0}},
    {"XRF": {"tube_target": "Rh", "tube_voltage": 50.0}},
    {"XRF": {"source": "electrons"}, "SEM": {"beam_energy": 15.0}},
]


@pytest.mark.parametrize("instrument", SOURCES)
def test_what_is_said_is_what_is_taken(instrument):
    pytest.importorskip("xraylib", reason="the extra fit is not installed")
    signal = Signal1D(np.ones((2, 64)))
    signal.metadata.set_item("Acquisition_instrument", instrument)
    axis = signal.axes_manager.signal_axes[0]
    axis.scale, axis.units = 0.02, "keV"
    text = describe(functools.partial(find, {"Acquisition_instrument": instrument}))
    taken, expected = excitation_of(signal), excitation_of(signal, text)
    assert (taken.kind, taken.highest) == (expected.kind, expected.highest)
    assert taken.anode == expected.anode
