"""Signals in the explorer: by a server, and as the widget of a notebook."""

import json
import logging
import threading

import hyperspy.api as hs
import numpy as np
import pytest
from exspy.signals import EDSSEMSpectrum

import rsciio_xfm
from rsciio_xfm import data
from rsciio_xfm.explore import answers, start, tasks
from rsciio_xfm.explore.explorer import Explorer
from tests.explore.asking import Asking, unpack

pytest.importorskip("anywidget", reason="the extra explore is not installed")
pytest.importorskip("uvicorn", reason="the extra explore is not installed")


@pytest.fixture
def counts():
    return np.random.default_rng(3).poisson(3, (6, 5, 40)).astype(np.uint16)


@pytest.fixture
def signal(counts):
    made = EDSSEMSpectrum(counts)
    axis = made.axes_manager.signal_axes[0]
    axis.scale, axis.units = 0.5, "keV"
    made.metadata.General.title = "grains"
    return made


@pytest.fixture
def notebook(monkeypatch):
    monkeypatch.setattr(start, "_shell", lambda: "ZMQInteractiveShell")


def ask(widget, path, **query):
    """Ask as the page does, and wait for the message that answers."""
    answered = threading.Event()
    messages = []

    def send(content, buffers):
        messages.append((content, bytes(buffers[0])))
        answered.set()

    widget.send = send
    widget._handle_custom_msg({"id": "7", "path": path, "query": query}, [])
    assert answered.wait(30)
    (content, body) = messages[0]
    assert content["id"] == "7"
    return content, body


def look_at(signal):
    return Asking(Explorer({"map": start.opened_signal(signal)}, most_waiting=100))


@pytest.mark.parametrize("is_lazy", [False, True])
def test_questions_are_messages(signal, counts, notebook, is_lazy):
    widget = rsciio_xfm.explore(signal.as_lazy() if is_lazy else signal)
    content, body = ask(widget, "api/maps")
    assert content["status"] == 200
    assert [(one["id"], one["name"]) for one in json.loads(body)] == [("map", "grains")]
    content, body = ask(widget, "api/map/map/spectrum", region=["r:1,1,4,3"], exact=1)
    assert content["status"] == 200, body
    expected = counts[1:4, 1:3].sum(axis=(0, 1))
    np.testing.assert_array_equal(unpack(body)[1]["spectrum"], expected)
    widget.close()


def test_a_wrong_question_is_answered(signal, notebook):
    widget = rsciio_xfm.explore(signal)
    content, body = ask(widget, "api/map/map/image", of="w:3:999")
    assert content["status"] == 400
    assert "999" in json.loads(body)["error"]
    content, body = ask(widget, "api/map/other/image", of="counts")
    assert content["status"] == 404
    widget.close()


def test_what_fails_is_told_without_a_traceback(signal, notebook, monkeypatch):
    def fail(asked):
        raise ZeroDivisionError("by mistake")

    monkeypatch.setitem(answers.HANDLERS, "lines", fail)
    widget = rsciio_xfm.explore(signal)
    content, body = ask(widget, "api/map/map/lines", elements="Fe")
    assert content["status"] == 500
    assert json.loads(body)["error"] == "The question failed: by mistake"
    widget.close()


def test_method_and_state(notebook):
    made = hs.signals.Signal1D(np.ones((3, 4, 16), np.uint8))
    made.set_signal_type("EDS_XFM")
    widget = made.explore()
    widget.state = {"image": "w:1:3"}
    assert widget.get_state("state")["state"] == {"image": "w:1:3"}
    widget.close()


def test_a_browser_is_for_scripts(signal, monkeypatch):
    opened = []
    monkeypatch.setattr(start.webbrowser, "open", opened.append)
    monkeypatch.setenv("BROWSER", "browser")
    server = rsciio_xfm.explore(signal, wait=False)
    assert opened == [server.address]
    server.close()


@pytest.mark.parametrize("shape", [(16,), (5, 16), (3, 4, 16), (2, 3, 4, 16)])
def test_any_number_of_navigation_axes(shape):
    counts = np.arange(np.prod(shape)).reshape(shape).astype(np.float32)
    with look_at(hs.signals.Signal1D(counts)) as asking:
        image = unpack(asking.raw("image", of="counts").body)[1]["image"]
    np.testing.assert_allclose(image.ravel(), counts.sum(axis=-1).ravel(), rtol=1e-6)


def test_a_part_of_a_map_has_the_dead_time_of_its_pixels(tmp_path):
    path = data.thin_section(tmp_path / "map.GeoPIXE", (12, 16), n_detectors=1).path
    part = hs.load(path, lazy=True).inav[2:7, 3:9]
    with look_at(part) as asking:
        info = asking.json_of("api/map/map/info")
        image = unpack(asking.raw("image", of="dead").body)[1]["image"]
    assert info["shape"] == [6, 5, 4096]
    expected = part.get_dead_time().data.reshape(6, 5)
    np.testing.assert_allclose(image, expected, rtol=1e-6)
    live = float(part.get_live_time().data.sum())
    assert info["live_time"] == pytest.approx(live, rel=1e-5)


@pytest.mark.parametrize(
    "made",
    [
        hs.signals.Signal2D(np.ones((3, 4, 5), np.uint8)),
        hs.signals.ComplexSignal1D(np.ones((3, 4), complex)),
    ],
)
def test_what_is_no_map_of_spectra_is_refused(made):
    with pytest.raises(ValueError, match="expected spectra"):
        rsciio_xfm.explore(made, browser=False, wait=False)


def test_options_of_a_reader_are_for_files(signal):
    with pytest.raises(TypeError, match="detector: options of a reader"):
        rsciio_xfm.explore(signal, detector=0)


def test_options_that_a_reader_does_not_know_are_refused(tmp_path):
    path = data.thin_section(tmp_path / "map.GeoPIXE", (4, 5), n_detectors=1).path
    with pytest.raises(
        TypeError, match=r"no option detectr, expected some of .*detector"
    ):
        rsciio_xfm.explore(path, browser=False, wait=False, detectr=0)


def test_messages_of_hyperspy_are_as_they_were(tmp_path, signal):
    logger = logging.getLogger("hyperspy")
    before = logger.level
    tasks.signal_of(start.opened_signal(signal), None)
    assert logger.level == before
