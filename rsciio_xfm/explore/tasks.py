"""What takes long: fits, elements, classes. HyperSpy is loaded for these, and only then.

A task goes on as long as somebody asks how far it is. What it has made is kept with what was
asked, within a budget of bytes.
"""

import copy
import importlib
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rsciio_xfm.core.warning import collected
from rsciio_xfm.core.watch import Watch, watched
from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.explore.messages import is_closed
from rsciio_xfm.explore.notes import to_notes
from rsciio_xfm.explore.opened import Opened
from rsciio_xfm.explore.turns import Client, Limits, Turns
from rsciio_xfm.explore.wishes import ClassWish, FitWish

# Seconds, after which a task that nobody asks about is stopped. Browsers let pages that are
# not looked at ask once a minute.
ABANDONED = 90.0
_FORGOTTEN = 10.0  # seconds, after which a failed one may be tried again
_MOST_ENDED = 32  # that are remembered
_MOST_WAIT = 5.0  # seconds, for tasks that end late when all is closed
_N_WORKERS = 2  # so that a long task does not hold up a short one of somebody else
# Tasks that wait. A class of 25 may come from one address.
LIMITS = Limits(client=4, address=48, everybody=64)
# What is wrong with a file, a question or the machine.
_ERRORS = (ImportError, MemoryError, OSError, OverflowError, TypeError, ValueError)
_loading = threading.Lock()
Said = dict[str, Any]
Arrays = Mapping[str, np.ndarray]


@dataclass(eq=False)
class Task:
    """Something that takes long.

    Attributes
    ----------
    client
        Whose turn it takes.
    make
        Makes what is said, and the arrays.
    state
        ``"waiting"``, ``"running"``, ``"done"``, ``"failed"`` or ``"stopped"``.
    doing
        What is done now, in words.
    progress
        0 to 1; None where it is not known.
    result
        As the page is told it.
    arrays
        What was made.
    error
        What went wrong, in words.
    askers
        When each client has asked last.
    """

    client: Client
    make: "Make"
    state: str = "waiting"
    doing: str = "waiting for its turn"
    progress: float | None = None
    result: Said | None = None
    arrays: Arrays = field(default_factory=dict)
    error: str | None = None
    askers: dict[Client, float] = field(default_factory=dict)
    ended: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def is_over(self) -> bool:
        """Tell whether it is to stop: nobody asks for it any more."""
        if self.stop.is_set():
            return True
        last = max(tuple(self.askers.values()), default=-math.inf)
        return time.monotonic() - last > ABANDONED

    def begin(self, doing: str) -> None:
        """Take what is done now."""
        self.doing, self.progress = doing, None

    def count(self, done: int, of: int) -> None:
        """Take how far it is with that."""
        self.progress = done / max(of, 1)

    def said(self) -> Said:
        """Return what the page is told."""
        found: Said = {"state": self.state, "doing": self.doing}
        found["progress"] = self.progress
        return found | {"result": self.result, "error": self.error}

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("waiting", "running")

    @property
    def nbytes(self) -> int:
        """Of what was made."""
        return sum(array.nbytes for array in self.arrays.values())


Make = Callable[[Task], tuple[Said, Arrays]]


class Tasks:
    """Does some tasks at a time, one of each client; equal ones are one.

    Parameters
    ----------
    most_bytes
        That what tasks have made may take; the last one is kept in any case.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self._turns: Turns[Task] = Turns(LIMITS)
        self._running: dict[Task, threading.Thread] = {}
        self._tasks: OrderedDict[Hashable, Task] = OrderedDict()
        self._lock = threading.Lock()
        self._is_closed = False

    def ask(self, key: Hashable, client: Client, make: Make) -> Task:
        """Return the task of a key; begin it if there is none.

        Parameters
        ----------
        key
            Equal for equal tasks.
        client
            Who asks.
        make
            Makes the result; looks at :meth:`Task.is_over`.

        Raises
        ------
        QuestionError
            Too many wait for their turn, or all is closed.
        """
        with self._lock:
            if self._is_closed:
                raise is_closed()
            task = self._tasks.get(key)
            if task is not None and task.state == "failed":
                is_old = time.monotonic() - task.ended > _FORGOTTEN
                task = None if is_old else task
            if task is None:
                self._leave_abandoned()
                task = Task(client, make)
                self._turns.put(client, task)
                self._tasks[key] = task
            task.askers[client] = time.monotonic()
            self._tasks.move_to_end(key)
            self._forget()
            self._begin()
        return task

    def _leave_abandoned(self) -> None:
        """Let those wait no longer that nobody asks about any more."""
        for key, task in [*self._tasks.items()]:
            if task.state == "waiting" and task.is_over():
                self._turns.drop(task.client, task)
                del self._tasks[key]

    def stop(self, key: Hashable, client: Client) -> None:
        """Stop a task for a client: it goes on if others ask for it."""
        with self._lock:
            task = self._tasks.get(key)
            if task is None or not task.is_active:
                return
            if task.askers.pop(client, None) is None:
                return  # somebody else's
            if task.askers:
                self._hand_over(task)
                return
            task.stop.set()
            self._turns.drop(task.client, task)
            del self._tasks[key]

    def _hand_over(self, task: Task) -> None:
        """Let a task take the turn of another client that asks for it."""
        if task.client not in task.askers:
            own, task.client = task.client, next(iter(task.askers))
            if task.state == "waiting":
                self._turns.move(own, task, task.client)

    def made(self, key: Hashable) -> Arrays | None:
        """Return what a task has made; None if it is not there, or not any more."""
        with self._lock:
            task = self._tasks.get(key)
            if task is None or task.state != "done":
                return None
            self._tasks.move_to_end(key)
            return task.arrays

    def _begin(self) -> None:
        """Begin the tasks whose turn it is: in threads that do not keep Python running."""
        while len(self._running) < _N_WORKERS:
            task = self._turns.next({task.client for task in self._running})
            if task is None:
                return
            thread = threading.Thread(
                target=self._run, args=(task,), name="task", daemon=True
            )
            self._running[task] = thread
            thread.start()

    def _run(self, task: Task) -> None:
        try:
            if task.is_over():
                raise PassCancelledError
            task.state, task.doing = "running", "getting ready"
            watch = Watch(task.begin, task.count, task.is_over)
            with watched(watch), collected() as texts:
                said, arrays = task.make(task)
            task.result, task.arrays = said | {"notes": to_notes(texts)}, arrays
        except PassCancelledError:
            self._end(task, "stopped", "It was stopped.")
        except _ERRORS as error:
            self._end(task, "failed", str(error) or type(error).__name__)
        else:
            self._end(task, "done")
        finally:
            if task.is_active:  # an error of our own, which the terminal shows
                said_of_us = "The explorer itself failed; its terminal says how."
                self._end(task, "failed", said_of_us)

    def _end(self, task: Task, state: str, error: str | None = None) -> None:
        with self._lock:
            task.doing, task.progress = "", 1.0 if state == "done" else task.progress
            task.error, task.ended, task.state = error, time.monotonic(), state
            del self._running[task]
            self._forget()
            self._begin()

    def _forget(self) -> None:
        """Forget those that were stopped, and what was made beyond the budget."""
        n_bytes = n_ended = 0
        for key, task in [*reversed(self._tasks.items())]:
            if task.is_active:
                continue
            n_bytes += task.nbytes
            is_full = n_ended and n_bytes > self.most_bytes and task.nbytes
            if task.state == "stopped" or is_full or n_ended >= _MOST_ENDED:
                n_bytes -= task.nbytes
                del self._tasks[key]
            else:
                n_ended += 1

    def drop(self, is_dropped: Callable[[Any], bool]) -> None:
        """Stop and forget all tasks whose key is such."""
        with self._lock:
            for key in [key for key in self._tasks if is_dropped(key)]:
                task = self._tasks.pop(key)
                task.stop.set()
                self._turns.drop(task.client, task)

    def close(self) -> None:
        """Stop all, and wait a moment for it."""
        with self._lock:
            self._is_closed = True
        self.drop(lambda key: True)
        with self._lock:
            threads = [*self._running.values()]
        for thread in threads:
            thread.join(_MOST_WAIT)


def _load_signals() -> None:
    """Import the signals, in one thread at a time.

    Two threads that import parts of one package for the first time, which import each other,
    see parts that are not complete.
    """
    with _loading:
        importlib.import_module("rsciio_xfm.signals")


def signal_of(opened: Opened, energy: tuple[float, float] | None) -> Any:
    """Return a map as a signal of HyperSpy's, lazy if the map is.

    Parameters
    ----------
    opened
        The map.
    energy
        Offset and scale of the page, keV; None keeps those of the file.
    """
    import dask.array as da
    from hyperspy.io import dict2signal

    own = dict(opened.signal)
    for name in ("metadata", "original_metadata", "attributes"):
        if name in own:
            own[name] = _copied(own[name])
    own["axes"] = copy.deepcopy(own["axes"])
    logger = logging.getLogger("hyperspy")
    level = logger.level
    logger.setLevel("CRITICAL")  # of what others than the one who asks would read
    try:
        signal = dict2signal(own, lazy=isinstance(own["data"], da.Array))
    finally:
        logger.setLevel(level)
    if energy is not None:
        axis = signal.axes_manager.signal_axes[0]
        axis.offset, axis.scale, axis.units = *energy, "keV"
    return signal


def _copied(tree: Any) -> Any:
    """Return nested dictionaries of the same values: HyperSpy changes the dictionaries."""
    if isinstance(tree, dict):
        return {key: _copied(value) for key, value in tree.items()}
    return [_copied(value) for value in tree] if isinstance(tree, list) else tree


def fit(opened: Opened, wish: FitWish) -> tuple[Said, Arrays]:
    """Fit the elements of each pixel; return what is said, and the maps by name."""
    _load_signals()
    from rsciio_xfm.signals.fit import get_element_maps

    found = get_element_maps(
        signal_of(opened, wish.energy),
        list(wish.elements) or None,
        excitation=wish.excitation,
        show_progressbar=False,
    )
    maps = {name: np.asarray(_map(found, name, opened)) for name in found}
    totals, rows = found.totals, []
    for k, name in enumerate(totals.names):
        numbers = {"counts": totals.counts, "sigma": totals.sigma, "limit": totals.limits}
        row = {kind: float(values[k]) for kind, values in numbers.items()}
        rows.append({"name": name, **row, "note": totals.note(name)})
    elements = list(dict.fromkeys(name.partition("_")[0] for name in maps))
    return {"maps": list(maps), "elements": elements, "table": rows}, maps


def _map(found: Any, name: str, opened: Opened) -> np.ndarray:
    data = found[name].data
    if data.size != opened.image_shape[0] * opened.image_shape[1]:
        raise ValueError(
            f"The fitted maps are of shape {data.shape}, the map of {opened.image_shape}: "
            "choose one detector."
        )
    return data.reshape(opened.image_shape)


def find_elements(opened: Opened, wish: FitWish) -> tuple[Said, Arrays]:
    """Find the elements of a map; return what is said of each."""
    _load_signals()
    from rsciio_xfm.signals.elements import find_elements, how_sure

    found = find_elements(
        signal_of(opened, wish.energy),
        wish.elements or None,
        excitation=wish.excitation,
        show_progressbar=False,
    )
    rows = [
        {
            "element": one.element,
            "name": one.name,
            "sigma": float(one.evidence),
            "counts": float(one.counts),
            "lines": [float(line) for line in one.lines],
            "remark": how_sure(one),
        }
        for one in found
    ]
    return {"elements": rows}, {}


def classify(opened: Opened, wish: ClassWish) -> tuple[Said, Arrays]:
    """Sort the pixels into classes; return what is said, and the class of each pixel."""
    _load_signals()
    from rsciio_xfm.signals.classify import classify

    found = classify(
        signal_of(opened, None),
        reducer="pca",
        classifier=wish.method,
        n_classes=wish.n_classes,
        show_progressbar=False,
    )
    labels = np.asarray(found.labels.data).reshape(opened.image_shape)
    sizes = np.bincount(labels[labels >= 0].reshape(-1))
    return {"n": int(sizes.size), "sizes": sizes.tolist()}, {"labels": labels}


MAKES: dict[str, Callable[[Opened, Any], tuple[Said, Arrays]]] = {
    "fit": fit,
    "elements": find_elements,
    "classify": classify,
}
