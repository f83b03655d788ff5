"""Progress: one line that says what is being done and moves, where somebody waits for it.

It is shown on a terminal, or below the cell of a notebook, once the waiting takes longer than
two seconds. What is done is said in words: :func:`rsciio_xfm.core.watch.begin`.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from rsciio_xfm.core.watch import begin, watched, who_waits

if TYPE_CHECKING:
    from dask.callbacks import Callback
    from tqdm import tqdm

_DELAY = 2.0  # seconds that are waited for without a word
_STEP = 0.5  # seconds after which the line moves
_UNKNOWN = "{desc} [{elapsed}]"
_PARTS = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
_BYTES = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"


class Line:
    """The line: it is drawn by a thread of its own, which moves it even if nothing ends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._began = time.monotonic()
        self._bar: tqdm | None = None
        self._stream = _stream()
        self._label, self._done, self._total = "", 0, 0
        self._is_counted = False  # in bytes or files, not in tasks of dask's
        self._is_told = (
            False  # by a pass, which knows better than dask what its parts are
        )
        self._is_bytes = False
        self._since = self._began
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    def begin(self, label: str) -> None:
        """Say what is done from now on."""
        with self._lock:
            self._end_stage()
            self._label = label[:1].upper() + label[1:]

    def count(self, done: int, total: int) -> None:
        """Say how many parts of a pass are done."""
        with self._lock:
            self._is_told = True
            if not self._is_counted:
                self._done, self._total = done, total

    def expect(self, total: int, is_bytes: bool) -> None:
        """Say how much there is to do; :meth:`update` says how much of it is done."""
        with self._lock:
            self._is_counted, self._is_bytes = True, is_bytes
            self._done, self._total = 0, total

    def update(self, n: int) -> None:
        """Say that so much more is done, in any thread."""
        with self._lock:
            self._done += int(n)

    def close(self, is_done: bool) -> None:
        """Leave the line as it is, and draw no more."""
        self._is_over.set()
        self._thread.join()
        with self._lock:
            if is_done:
                self._done = self._total
            self._end_stage()

    def callback(self) -> Callback:
        """Return what counts tasks of dask's."""
        from dask.callbacks import Callback

        return Callback(start_state=self._start_graph, posttask=self._end_task)

    def _start_graph(self, _: Any, state: dict[str, Any]) -> None:
        with self._lock:
            self._is_told = False
            if not self._is_counted:
                kinds = ("ready", "waiting", "running")
                self._done, self._total = 0, sum(len(state[kind]) for kind in kinds)

    def _end_task(self, *_: Any) -> None:
        with self._lock:
            if not (self._is_counted or self._is_told):
                self._done += 1

    def _run(self) -> None:
        while not self._is_over.wait(min(_STEP, _DELAY or 0.01)):
            with self._lock:
                if self._label and time.monotonic() - self._began >= _DELAY:
                    self._draw()

    def _draw(self) -> tqdm:
        if self._bar is None:
            from tqdm import tqdm

            # With a delay it draws nothing by itself.
            self._bar = tqdm(
                file=self._stream, unit_scale=True, dynamic_ncols=True, delay=1e-9
            )
            self._bar.start_t -= time.monotonic() - self._since
        bar = self._bar
        bar.desc = self._label
        bar.n, bar.total = min(self._done, self._total), self._total or None
        known = _BYTES if self._is_bytes else _PARTS
        bar.bar_format = known if self._total else _UNKNOWN
        bar.refresh()
        return bar

    def _end_stage(self) -> None:
        """Leave the line of what took long, and wipe out any other."""
        is_long = bool(self._label) and time.monotonic() - self._since >= _DELAY
        if self._bar is not None or is_long:
            bar = self._draw()
            bar.leave = is_long
            bar.close()
        self._bar, self._since = None, time.monotonic()
        self._done = self._total = 0
        self._is_counted = self._is_told = self._is_bytes = False


class Bar(Protocol):
    """What somebody who counts tells how much more is done."""

    def update(self, n: int) -> Any:
        """Say that so much more is done, in any thread."""


class _Nothing:
    """A line that is not shown."""

    def update(self, n: int) -> None:
        """Do nothing."""


_LINE: ContextVar[Line | None] = ContextVar("line", default=None)
_IS_HIDDEN = ContextVar("is_hidden", default=False)  # within progress(False)


def is_wanted(show_progressbar: bool | None = None) -> bool:
    """Tell whether progress is shown.

    Parameters
    ----------
    show_progressbar
        What the user said. None is HyperSpy's preference, on a terminal or in a notebook, and
        not of what is done in another thread than the main one, for which nobody waits there,
        nor within :func:`progress` of False.
    """
    if show_progressbar is not None:
        return bool(show_progressbar)
    is_main = threading.current_thread() is threading.main_thread()
    if _IS_HIDDEN.get() or not is_main:
        return False
    return (_is_terminal() or _is_notebook()) and _is_preferred()


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _is_notebook() -> bool:
    """Tell whether this is a kernel of Jupyter's."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def _is_preferred() -> bool:
    """Tell what HyperSpy's preferences say, if it is imported."""
    api = sys.modules.get("hyperspy.api")
    preferences = getattr(api, "preferences", None)
    return preferences is None or bool(preferences.General.show_progressbar)


class _Cell:
    """Below the cell of a notebook: one output, in which the text is put anew."""

    encoding = "utf-8"  # tqdm draws with letters that not all files have

    def __init__(self) -> None:
        self._lines = [""]
        self._handle: Any = None

    def write(self, text: str) -> None:
        """Take text as a terminal does: a return begins the line anew."""
        for part in re.split(r"([\r\n])", text):
            if part == "\n":
                self._lines.append("")
            else:
                self._lines[-1] = "" if part == "\r" else self._lines[-1] + part

    def flush(self) -> None:
        """Show the text."""
        from IPython.display import display

        text = "\n".join(line.rstrip() for line in self._lines).rstrip("\n")
        data = {"text/plain": text}
        if self._handle is not None:
            self._handle.update(data, raw=True)
        elif text:
            self._handle = display(data, raw=True, display_id=True)


def _stream() -> Any:
    """Return where the line goes."""
    return _Cell() if _is_notebook() else sys.stderr


@contextmanager
def progress(show_progressbar: bool | None = None, doing: str = "") -> Iterator[None]:
    """Show the progress of what is done in the ``with`` block.

    Parameters
    ----------
    show_progressbar
        As of :func:`is_wanted`.
    doing
        What is done, in words; later :func:`rsciio_xfm.core.watch.begin` says what else.

    Notes
    -----
    Computations of dask and passes of :func:`rsciio_xfm.core.reduce.run` say how far they
    are. Within another such block the line of that one is used.
    """
    with _joined(show_progressbar):
        if doing:
            begin(doing)
        yield


@contextmanager
def _joined(show_progressbar: bool | None) -> Iterator[Line | None]:
    if _LINE.get() is not None:
        yield _LINE.get()
        return
    if not is_wanted(show_progressbar):
        held = _IS_HIDDEN.set(True)
        try:
            yield None
        finally:
            _IS_HIDDEN.reset(held)
        return
    line = Line()
    token = _LINE.set(line)
    is_done = False
    watch = replace(who_waits(), doing=line.begin, progress=line.count)
    try:
        with watched(watch), line.callback():
            yield line
        is_done = True
    finally:
        _LINE.reset(token)
        line.close(is_done)


def bytes_bar(
    total: int, doing: str, show_progressbar: bool | None = None
) -> AbstractContextManager[Bar]:
    """Show how many bytes of a file are done.

    Parameters
    ----------
    total
        Size of the file.
    doing
        What is done, in words.
    show_progressbar
        As of :func:`is_wanted`.

    Returns
    -------
    context manager
        Of an object whose ``update(n)`` says that so many more are done.
    """
    return _counted(total, doing, show_progressbar, True)


def count_bar(
    total: int, doing: str, show_progressbar: bool | None = None
) -> AbstractContextManager[Bar]:
    """Show how many of anything else are done, as :func:`bytes_bar`."""
    return _counted(total, doing, show_progressbar, False)


@contextmanager
def _counted(
    total: int, doing: str, show_progressbar: bool | None, is_bytes: bool
) -> Iterator[Bar]:
    with _joined(show_progressbar) as line:
        if line is None:
            yield _Nothing()
        else:
            line.begin(doing)
            line.expect(total, is_bytes)
            yield line
