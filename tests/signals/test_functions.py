"""Methods are functions of a signal, of any type; HyperSpy's hooks are overridden once."""

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm.signals import (
    EDSXFMSpectrum,
    LazyEDSXFMSpectrum,
    classify,
    colour_map_plots,
    components,
    dead_time,
    dead_time_plots,
    maps,
    operations,
    saving,
)

COUNTS = np.random.default_rng(0).poisson(3, (4, 5, 32)).astype(np.uint16)
MASK = np.arange(20).reshape(4, 5) % 3 == 0
MODULES = (classify, colour_map_plots, components, dead_time, dead_time_plots, maps)
OTHERS = {"": None, "EDS_SEM": "SEM", "EDS_TEM": "TEM"}


def live_time(signal, microscope):
    path = f"Acquisition_instrument.{microscope}.Detector.EDS.live_time"
    return signal.metadata.get_item(path)


def load_as(signal, io_plugin):
    """Note what HyperSpy notes when it loads a file."""
    entry = {"operation": "load", "io_plugin": io_plugin}
    signal.metadata.set_item("General.FileIO", {"0": entry})


@pytest.fixture(params=[False, True], ids=["eager", "lazy"])
def is_lazy(request):
    return request.param


@pytest.fixture
def make(is_lazy):
    def make(signal_type):
        s = hs.signals.Signal1D(COUNTS.copy())
        s.set_signal_type(signal_type)
        s.metadata.General.title = "some"
        if OTHERS.get(signal_type):
            s.set_microscope_parameters(live_time=0.5)
        return s.as_lazy() if is_lazy else s

    return make


def public(module):
    own = (f for f in vars(module).values() if callable(f) and not isinstance(f, type))
    names = {f.__name__ for f in own if f.__module__ == module.__name__}
    return [
        n for n in names if n.startswith(("get_", "set_", "plot_", "fill_", "apply_"))
    ]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__.split(".")[-1])
def test_methods_are_the_functions(module):
    for name in public(module):
        assert getattr(EDSXFMSpectrum, name) is getattr(module, name)
    for name in ("pca", "umap", "kmeans", "classify", "estimate_n_classes"):
        home = components if name in ("pca", "umap") else classify
        assert getattr(EDSXFMSpectrum, name) is getattr(home, name)
    assert EDSXFMSpectrum.save is saving.save
    assert EDSXFMSpectrum.flip is operations.flip


def test_each_hook_is_overridden_once():
    ours = [
        c for c in LazyEDSXFMSpectrum.__mro__ if c.__module__.startswith("rsciio_xfm")
    ]
    assert ours == [LazyEDSXFMSpectrum, EDSXFMSpectrum]
    names = [{n for n in vars(c) if n not in ("__doc__", "__module__")} for c in ours]
    assert not names[0] & names[1]


@pytest.mark.parametrize("signal_type", [*OTHERS, "EDS_XFM"])
class TestOfAnyType:
    def test_images(self, make, signal_type):
        s = make(signal_type)
        images = maps.get_window_images(s, {"a": (3, 9)}, show_progressbar=False)
        np.testing.assert_array_equal(images["a"].data, COUNTS[..., 3:9].sum(-1))
        picture = maps.get_colour_map(s, show_progressbar=False)
        assert picture.data.shape == (4, 5)
        axes = colour_map_plots.plot_colour_map(s, show_progressbar=False)
        assert len(axes) == 2

    def test_spectra(self, make, signal_type):
        s = make(signal_type)
        (found,) = maps.get_region_spectra(s, [MASK], show_progressbar=False).values()
        np.testing.assert_array_equal(found.data, COUNTS[MASK].sum(0))
        summary = maps.get_summary(s, show_progressbar=False)
        np.testing.assert_array_equal(summary["max"].data, COUNTS.max((0, 1)))
        np.testing.assert_array_equal(summary["counts"].data, COUNTS.sum(-1))
        assert found.metadata.Signal.signal_type == signal_type
        if OTHERS.get(signal_type):
            seconds = [
                live_time(made, OTHERS[signal_type])
                for made in (found, summary["sum"], summary["mean"], summary["max"])
            ]
            assert seconds == pytest.approx([0.5 * MASK.sum(), 10, 0.5, None])

    def test_flip(self, make, signal_type):
        mirrored = operations.flip(make(signal_type), 0)
        np.testing.assert_array_equal(np.asarray(mirrored.data), COUNTS[:, ::-1])

    def test_saved(self, make, signal_type, tmp_path):
        saving.save(make(signal_type), tmp_path / "a.hspy")
        again = hs.load(tmp_path / "a.hspy")
        np.testing.assert_array_equal(again.data, COUNTS)


@pytest.mark.parametrize("signal_type", ["EDS_SEM", "EDS_TEM"])
def test_times_of_a_whole_map_are_not_those_of_a_spectrum(make, signal_type):
    """They were multiplied by the pixels of a class: 0.5 s of a map of 20 as 3.5 s of 7."""
    s = make(signal_type)
    load_as(s, "rsciio.bruker")
    found = maps.get_region_spectra(s, [MASK], show_progressbar=False)["0"]
    assert live_time(found, OTHERS[signal_type]) is None
    assert live_time(s, OTHERS[signal_type]) == 0.5


@pytest.mark.parametrize("signal_type", list(OTHERS))
def test_dead_times_need_a_type_that_keeps_them(make, signal_type):
    s = make(signal_type)
    with pytest.raises(ValueError, match=r"expected EDS_XFM.*set_signal_type"):
        dead_time.set_dead_time(s, 20.0)
    with pytest.raises(ValueError, match="carries no dead-time map"):
        dead_time.get_live_time(s)


def test_metadata_of_another_signal(is_lazy):
    """Parts of a stack get the metadata of what was stacked, their times included."""
    s = EDSXFMSpectrum(COUNTS.copy())
    s.set_microscope_parameters(live_time=1.5)
    s.metadata.set_item("Acquisition_instrument.SEM.Detector.EDS.real_time", 2.0)
    s.set_dead_time(20.0)
    other = s.inav[:2]
    other._metadata = s.metadata.deepcopy()
    assert live_time(other, "SEM") is None
    assert not other.metadata.has_item(
        "Acquisition_instrument.SEM.Detector.EDS.dead_time"
    )
    assert live_time(other.sum(), "SEM") is None
    stacked = hs.stack([s, s], lazy=is_lazy, show_progressbar=False)
    for part in (stacked, *stacked.split()):
        assert live_time(part, "SEM") is None
    assert live_time(s, "SEM") == pytest.approx(1.6)
