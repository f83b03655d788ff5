"""Every method of exspy's EDS signals, called on ours, with the matplotlib that is there."""

import exspy
import hyperspy.api as hs
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from rsciio_xfm.signals import EDSXFMSpectrum
from tests.builders import geopixe as builder


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("exspy") / "map.GeoPIXE"
    size = {"n_columns": 4, "n_rows": 3, "n_channels": 512}
    return builder.write_map(path, **size)


@pytest.fixture(params=["lazy", "eager"])
def s(request, path):
    s = hs.load(path, lazy=request.param == "lazy")
    s.axes_manager[-1].scale = 0.02
    s.set_elements(["Fe", "Ca"])
    s.add_lines()
    yield s
    plt.close("all")


def windows_of_background(s):
    return s.estimate_background_windows()


def add_markers(s):
    s.plot()
    s.add_xray_lines_markers(["Fe_Ka", "Ca_Ka"])
    s.remove_xray_lines_markers(["Ca_Ka"])


def fit(s):
    model = s.sum().create_model() if not s._lazy else computed(s.sum()).create_model()
    model.fit()
    return model


def computed(s):
    s.compute(show_progressbar=False)
    return s


CALLS = {
    "set_elements": lambda s: s.set_elements(["Si"]),
    "add_elements": lambda s: s.add_elements(["Si"]),
    "set_lines": lambda s: s.set_lines(["Fe_Kb"]),
    "add_lines": lambda s: s.add_lines(["Fe_Kb"]),
    "estimate_integration_windows": lambda s: s.estimate_integration_windows(),
    "estimate_background_windows": windows_of_background,
    "get_take_off_angle": lambda s: s.get_take_off_angle(),
    "get_lines_intensity": lambda s: s.get_lines_intensity(["Fe_Ka", "Ca_Ka"]),
    "add_xray_lines_markers": add_markers,
    "remove_xray_lines_markers": add_markers,
    "sum": lambda s: s.sum(),
    "rebin": lambda s: s.rebin(scale=(2, 3, 1)),
    "set_microscope_parameters": lambda s: s.set_microscope_parameters(
        beam_energy=20.0, live_time=1.0, tilt_stage=1.0, energy_resolution_MnKa=130.0
    ),
    "get_calibration_from": lambda s: s.get_calibration_from(s.sum()),
    "create_model": fit,
    "plot": lambda s: s.plot(),
}


def test_every_method_is_called():
    theirs = {
        name
        for kind in (
            exspy.signals.EDSSEMSpectrum,
            exspy.signals.EDSSEMSpectrum.__mro__[1],
        )
        for name, value in vars(kind).items()
        if callable(value) and not name.startswith("_")
    }
    assert "get_lines_intensity" in theirs
    assert theirs == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_method(s, name):
    CALLS[name](s)
    assert isinstance(s, EDSXFMSpectrum)
    s.get_dead_time()


PLOTS = {
    "lines": {"xray_lines": True},
    "elements": {"xray_lines": "from_elements", "only_lines": ("a",)},
    "integration": {"integration_windows": "auto"},
    "integration of a width": {"xray_lines": ["Fe_Ka"], "integration_windows": 2.1},
    "background": {"background_windows": windows_of_background},
    "both": {
        "background_windows": windows_of_background,
        "integration_windows": lambda s: s.estimate_integration_windows(),
    },
}


@pytest.mark.parametrize(
    "of", ["map", pytest.param("line", marks=pytest.mark.thorough), "spectrum"]
)
@pytest.mark.parametrize("options", PLOTS.values(), ids=PLOTS)
def test_plot(s, options, of):
    """matplotlib 3.11 has the colours of its cycle as numbers, which exspy sorts as text."""
    s = {"map": lambda: s, "line": lambda: s.inav[1], "spectrum": s.sum}[of]()
    cycle = mpl.rcParams["axes.prop_cycle"]
    given = {k: v(s) if callable(v) else v for k, v in options.items()}
    s.plot(**given)
    assert plt.get_fignums()
    assert mpl.rcParams["axes.prop_cycle"] == cycle


@pytest.mark.parametrize("background", [None, windows_of_background])
def test_lines_intensity_with_plots(s, background):
    """Of a spectrum exspy draws the windows of its results."""
    total = computed(s.sum()) if s._lazy else s.sum()
    background = background and background(total)
    found = total.get_lines_intensity(
        background_windows=background, plot_result=True, integration_windows=2.0
    )
    assert len(found) == 2
    low, high = total.estimate_integration_windows()[0]
    first, stop = (round(edge / 0.02) for edge in (low, high))
    if background is None:
        near = total.data[first - 1 : stop + 1].sum()
        assert 0 < found[0].data[0] <= near
    assert np.isfinite(found[1].data).all()
