"""Progress: one line that says what is being done and moves, where somebody waits for it.

It is shown on a terminal, or below the cell of a notebook, once the waiting takes longer than
two seconds. What is done is said in words: :func:`rsciio_xfm.core.watch.begin`.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from rsciio_xfm.core.watch import begin, watched, who_waits

if TYPE_CHECKING:
    from dask.callbacks import Callback
    from tqdm import tqdm

_DELAY = 2.0  # seconds that are waited for without a word
_STEP = 0.5  # seconds after which the line moves
_UNKNOWN = "{desc} [{elapsed}]"
_PARTS = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
_BYTES = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"
# Who says how far a stage is. Parts of a pass are known better than by tasks of dask's, and
# what is counted, in bytes or files, best of all.
_NOBODY, _DASK, _PASS, _COUNTED = range(4)
# What drawing raises where the terminal is gone, the stream closed, the window that it was in
# gone, or the stream is one of bytes.
_GONE = (OSError, RuntimeError, TypeError, ValueError)
_TURN = threading.RLock()  # of who draws, and of who forks


@dataclass
class _Stage:
    """What is being done now.

    Attributes
    ----------
    label
        In words; "" before the first.
    since
        When it began, by :func:`time.monotonic`.
    done, total
        Of what it consists of; 0 if that is not known.
    by
        Who says so.
    is_bytes
        Whether these are bytes.
    """

    label: str = ""
    since: float = field(default_factory=time.monotonic)
    done: int = 0
    total: int = 0
    by: int = _NOBODY
    is_bytes: bool = False

    @property
    def form(self) -> str:
        """How the line looks, in tqdm's words."""
        if not self.total:
            return _UNKNOWN
        return _BYTES if self.is_bytes else _PARTS

    def is_long(self) -> bool:
        """Tell whether it has taken so long that its line is left when it ends."""
        return bool(self.label) and time.monotonic() - self.since >= _DELAY


@functools.cache
def _bar_type() -> type[tqdm]:
    """Return bars without tqdm's own thread, which would not wait for its turn."""
    from tqdm import tqdm

    class Bar(tqdm):
        monitor_interval = 0

        def refresh(self, nolock: bool = False, lock_args: Any = None) -> None:
            """Draw, and let go of the lock of all bars, whatever the stream raises."""
            with self.get_lock():
                super().refresh(nolock=True)

    return Bar


class Line:
    """The line: it is drawn by a thread of its own, which moves it even if nothing ends."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._stage = _Stage()
        self._began = self._stage.since
        self._bar: tqdm | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        _LINES.add(self)
        self._thread.start()

    def begin(self, label: str) -> None:
        """Say what is done from now on."""
        with _TURN:
            self._end_stage()
            self._stage = _Stage(label[:1].upper() + label[1:])

    def count(self, done: int, total: int) -> None:
        """Say how many parts of a pass are done."""
        with _TURN:
            self._expect(done, total, _PASS)

    def expect(self, total: int, is_bytes: bool) -> None:
        """Say how much there is to do; :meth:`update` says how much of it is done."""
        with _TURN:
            self._stage.by = _NOBODY  # a later count replaces an earlier one
            self._expect(0, total, _COUNTED)
            self._stage.is_bytes = is_bytes

    def update(self, n: int) -> None:
        """Say that so much more is done, in any thread."""
        with _TURN:
            self._stage.done += int(n)

    def close(self, is_done: bool) -> None:
        """Leave the line as it is, and draw no more."""
        self._is_over.set()
        self._thread.join()
        with _TURN:
            if is_done:
                self._stage.done = self._stage.total
            self._end_stage()

    def be_silent(self) -> None:
        """Draw no more: nobody sees it, or another process draws it."""
        self._stream = None
        if self._bar is not None:
            self._bar.disable = True

    def callback(self) -> Callback:
        """Return what counts tasks of dask's."""
        from dask.callbacks import Callback

        return Callback(start_state=self._start_graph, posttask=self._end_task)

    def _start_graph(self, _: Any, state: dict[str, Any]) -> None:
        kinds = ("ready", "waiting", "running")
        with _TURN:
            self._expect(0, sum(len(state[kind]) for kind in kinds), _DASK)

    def _end_task(self, *_: Any) -> None:
        with _TURN:
            if self._stage.by == _DASK:
                self._stage.done += 1

    def _expect(self, done: int, total: int, by: int) -> None:
        if self._stage.by != _COUNTED:
            self._stage.by, self._stage.done, self._stage.total = by, done, total

    def _run(self) -> None:
        while not self._is_over.wait(min(_STEP, _DELAY or 0.01)):
            with _TURN:
                if self._stage.label and time.monotonic() - self._began >= _DELAY:
                    self._draw(self._stage)

    def _end_stage(self) -> None:
        """Leave the line of what took long, and wipe out any other."""
        if self._bar is not None or self._stage.is_long():
            self._draw(self._stage, is_last=True)
        self._bar = None

    def _draw(self, stage: _Stage, is_last: bool = False) -> None:
        if self._stream is None:
            return
        try:
            if self._bar is None:
                # With a delay it draws nothing by itself.
                self._bar = _bar_type()(
                    file=self._stream, unit_scale=True, dynamic_ncols=True, delay=1e-9
                )
                self._bar.start_t -= time.monotonic() - stage.since
            bar = self._bar
            bar.desc, bar.bar_format = stage.label, stage.form
            bar.n, bar.total = min(stage.done, stage.total), stage.total or None
            bar.refresh()
            if is_last:
                bar.leave = stage.is_long()
                bar.close()
        except _GONE:
            self.be_silent()


_LINES: WeakSet[Line] = WeakSet()


def _begin_in_fork() -> None:
    """Be silent in a process that was forked while a line is drawn: its parent draws it."""
    for line in list(_LINES):
        line.be_silent()
    _TURN.release()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    # Nobody draws meanwhile: all locks that drawing takes are free in the new process.
    os.register_at_fork(
        before=_TURN.acquire,
        after_in_parent=_TURN.release,
        after_in_child=_begin_in_fork,
    )


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
    return _is_open(sys.stderr) and sys.stderr.isatty()


def _is_open(stream: Any) -> bool:
    """Tell whether somebody may read it: programs without a console have no stream."""
    return stream is not None and not getattr(stream, "closed", False)


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
    """Return where the line goes; None: nowhere."""
    if _is_notebook():
        return _Cell()
    return sys.stderr if _is_open(sys.stderr) else None


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
    stream = _stream() if is_wanted(show_progressbar) else None
    if stream is None:
        held = _IS_HIDDEN.set(True)
        try:
            yield None
        finally:
            _IS_HIDDEN.reset(held)
        return
    line = Line(stream)
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
