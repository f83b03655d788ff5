"""Progress: one line in words, that moves, where somebody waits; and nothing else."""

import io
import os
import signal
import sys
import threading
import time
import warnings

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm.analysis.maps import Total
from rsciio_xfm.core import progress as module
from rsciio_xfm.core.progress import bytes_bar, count_bar, is_wanted, progress
from rsciio_xfm.core.reduce import run
from rsciio_xfm.core.watch import Watch, begin, watched
from tests.builders import geopixe as builder


@pytest.fixture
def terminal(monkeypatch):
    """A terminal on which everything is shown at once."""
    monkeypatch.setattr(module, "_DELAY", 0)
    stream = io.StringIO()
    monkeypatch.setattr(module, "_is_terminal", lambda: True)
    monkeypatch.setattr(module, "_stream", lambda: stream)
    return stream


@pytest.fixture
def busy(monkeypatch):
    """What is short is so on a busy machine too."""
    monkeypatch.setattr(module, "_STEP", 0.02)
    monkeypatch.setattr(module, "_DELAY", 3.0)


def wait_for(condition):
    """Wait for what the thread draws."""
    end = time.monotonic() + 60
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def lines_of(stream):
    """The lines that are left when all is done, as a terminal shows them."""
    left = []
    for line in stream.getvalue().split("\n"):
        shown = line.rsplit("\r", 1)[-1]
        left.append(shown.rstrip())
    return [line for line in left if line]


class TestWhere:
    def test_no_terminal(self, monkeypatch, capfd):
        monkeypatch.setattr(module, "_DELAY", 0)
        with progress(doing="waiting"):
            time.sleep(0.05)
        with bytes_bar(10, "Writing") as bar:
            bar.update(10)
        assert capfd.readouterr() == ("", "")

    def test_asked_for(self, monkeypatch, capfd):
        monkeypatch.setattr(module, "_DELAY", 0)
        with progress(True, "waiting"):
            time.sleep(0.05)
        out, err = capfd.readouterr()
        assert not out
        assert "Waiting [00:" in err

    def test_terminal(self, terminal):
        with bytes_bar(10, "Writing a.emd") as bar:
            bar.update(10)
        assert lines_of(terminal)[0].startswith("Writing a.emd: 100%|")
        assert terminal.getvalue().endswith("\n")

    def test_not_asked_for(self, terminal):
        with progress(False, "waiting"), bytes_bar(10, "Writing") as bar:
            bar.update(10)
            begin("something else")
        assert not terminal.getvalue()

    def test_preference_of_hyperspy(self, terminal, monkeypatch):
        assert is_wanted()
        monkeypatch.setattr(hs.preferences.General, "show_progressbar", False)
        assert not is_wanted()
        assert is_wanted(True)

    def test_nobody_waits_in_another_thread(self, terminal):
        found = []
        thread = threading.Thread(target=lambda: found.append(is_wanted()))
        thread.start()
        thread.join()
        assert found == [False]
        assert is_wanted()

    def test_notebook(self, monkeypatch, capfd, busy):
        """There it is one output, not red as errors, that ends with what took long."""
        display = pytest.importorskip("IPython.display")
        shown = []

        class Handle:
            def update(self, data, raw):
                shown.append(data["text/plain"])

        def show(data, raw, display_id):
            shown.append(data["text/plain"])
            return Handle()

        monkeypatch.setattr(display, "display", show)
        monkeypatch.setattr(module, "_is_notebook", lambda: True)
        with count_bar(4, "Reading") as bar:
            bar.update(2)
            wait_for(lambda: any(text.startswith("Reading:  50%|█") for text in shown))
            bar.update(2)
            begin("a short one")
            wait_for(lambda: any("A short one" in text for text in shown))
        assert len(shown[-1].splitlines()) == 1
        assert shown[-1].startswith("Reading: 100%|██████████| ")
        assert capfd.readouterr() == ("", "")

    def test_no_standard_error(self, monkeypatch):
        monkeypatch.setattr(module, "_DELAY", 0)
        monkeypatch.setattr(sys, "stderr", None)  # of a program without a console
        assert not is_wanted()
        with count_bar(4, "Reading", True) as bar:
            bar.update(4)

    def test_closed_standard_error(self, monkeypatch):
        monkeypatch.setattr(module, "_DELAY", 0)
        monkeypatch.setattr(module, "_STEP", 0.01)
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        with progress(True, "waiting"):
            time.sleep(0.05)
            stream.close()
            time.sleep(0.05)
            begin("more")
        assert not is_wanted()
        with count_bar(4, "Reading", True) as bar:
            bar.update(4)

    def test_a_terminal_that_is_gone(self, terminal, monkeypatch):
        def write(_):
            raise OSError(5, "Input/output error")

        monkeypatch.setattr(terminal, "write", write)
        with progress(doing="waiting"):
            time.sleep(0.05)
            begin("more")
        assert not terminal.getvalue()

    @pytest.mark.parametrize("error", [OSError, RuntimeError, TypeError, ValueError])
    def test_other_bars_are_drawn_where_one_cannot_be(self, terminal, monkeypatch, error):
        """Its thread lets go of the lock that all bars of tqdm share."""
        tried = threading.Event()

        def write(_):
            tried.set()
            raise error("gone")

        monkeypatch.setattr(terminal, "write", write)
        with progress(doing="waiting"):
            assert tried.wait(60)
        bars = module._bar_type()
        drawn = io.StringIO()
        thread = threading.Thread(target=lambda: bars(file=drawn).close(), daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        assert drawn.getvalue()


class TestWhen:
    def test_what_is_quick_is_not_told(self, terminal, monkeypatch):
        monkeypatch.setattr(module, "_DELAY", 600.0)
        with progress(doing="waiting"):
            time.sleep(0.1)
        assert not terminal.getvalue()

    def test_it_moves_while_nothing_ends(self, terminal, monkeypatch):
        monkeypatch.setattr(module, "_STEP", 0.02)
        monkeypatch.setattr(module, "_DELAY", 0.1)
        with progress(doing="waiting"):
            wait_for(lambda: terminal.getvalue().count("Waiting") > 4)
        (line,) = lines_of(terminal)
        assert line.startswith("Waiting [00:")

    def test_short_steps_leave_nothing(self, terminal, busy):
        with progress():
            begin("the long one")
            time.sleep(3.1)
            begin("a short one")
            wait_for(lambda: "A short one" in terminal.getvalue())
        (line,) = lines_of(terminal)
        assert line.startswith("The long one [00:")

    def test_no_thread_is_left(self, terminal):
        with pytest.raises(KeyError), progress(doing="waiting"):
            raise KeyError
        assert "progress" not in [thread.name for thread in threading.enumerate()]
        assert not dask.callbacks.Callback.active


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
class TestFork:
    """A new process has neither the thread that draws, nor who would free its locks."""

    @pytest.fixture
    def in_child(self):
        """Run something in a fork; return how it ends."""
        children = []

        def in_child(do):
            with warnings.catch_warnings():
                # Of newer versions of Python: there are threads.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if not child:
                try:
                    do()
                except BaseException:
                    os._exit(2)
                os._exit(7)
            children.append(child)
            until = time.monotonic() + 20
            while time.monotonic() < until:
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    children.remove(child)
                    return os.waitstatus_to_exitcode(status)
                time.sleep(0.01)
            return None

        yield in_child
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def test_a_fork_while_the_line_is_drawn(self, terminal, monkeypatch, in_child):
        monkeypatch.setattr(module, "_STEP", 0.001)
        write, is_drawn = terminal.write, threading.Event()

        def write_slowly(text):
            is_drawn.set()
            time.sleep(0.05)
            return write(text)

        monkeypatch.setattr(terminal, "write", write_slowly)

        def work():
            before = terminal.getvalue()
            with count_bar(4, "Reading") as bar:
                bar.update(4)
                begin("the end")
            assert terminal.getvalue() == before

        with progress(doing="waiting"):
            assert is_drawn.wait(20)
            assert in_child(work) == 7
        assert lines_of(terminal) == ["Waiting [00:00]"]

    def test_a_line_of_the_fork(self, terminal, in_child):
        def work():
            with progress(doing="waiting"):
                time.sleep(0.05)
            assert "Waiting" in terminal.getvalue()

        assert in_child(work) == 7


class TestWhat:
    DATA = da.from_array(np.ones((8, 4, 16), np.uint16), chunks=(2, 4, 16))

    def test_tasks_of_dask(self, terminal):
        with progress(doing="adding up"):
            assert self.DATA.sum().compute(scheduler="synchronous") == 512
        assert lines_of(terminal)[0].startswith("Adding up: 100%|")

    @pytest.mark.parametrize("data", [DATA, DATA.compute()], ids=["lazy", "in memory"])
    def test_a_pass(self, terminal, data):
        with progress(doing="adding up"):
            (total,) = run(data, Total())
        assert total.sum() == 512
        assert lines_of(terminal)[0].startswith("Adding up: 100%|")

    def test_one_line_for_what_is_within(self, terminal):
        with progress(doing="first"), bytes_bar(7, "Writing") as bar:
            bar.update(3)
            self.DATA.sum().compute()  # which has nothing to say about bytes
            assert (bar._stage.done, bar._stage.total) == (3, 7)
            bar.update(4)
            with progress(doing="last"):
                pass
        assert [line.split(":")[0] for line in lines_of(terminal)] == [
            "First [00",
            "Writing",
            "Last [00",
        ]

    def test_who_waits_may_still_stop_it(self, terminal):
        stop = threading.Event()
        with watched(Watch(cancel=stop)), progress(doing="waiting"):
            begin("more")
            stop.set()
            with pytest.raises(RuntimeError, match="not wanted"):
                begin("even more")

    def test_loading(self, terminal, tmp_path):
        hs.load(builder.write_map(tmp_path / "map.GeoPIXE"), lazy=True)
        assert lines_of(terminal)[0].startswith("Indexing map.GeoPIXE: 100%|")

    def test_methods(self, terminal, tmp_path):
        s = hs.load(builder.write_map(tmp_path / "map.GeoPIXE"), lazy=True)
        terminal.truncate(0)
        s.get_summary()
        assert "Adding up the spectra: 100%|" in terminal.getvalue()
        said = terminal.getvalue()
        s.get_summary(show_progressbar=False)
        s.save(tmp_path / "copy.hspy", show_progressbar=False)
        assert terminal.getvalue() == said
        s.save(tmp_path / "copy.hspy", overwrite=True)
        assert "Writing copy.hspy: 100%|" in terminal.getvalue()
