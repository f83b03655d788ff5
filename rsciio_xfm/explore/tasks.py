"""What takes long: fits, elements, classes. HyperSpy is loaded for these, and only then.

A task goes on as long as somebody asks how far it is, and what it has made stays with the map.
"""

import copy
import logging
import threading
import time
import warnings
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import numpy as np

from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.explore.opened import Opened
from rsciio_xfm.explore.questions import QuestionError

ABANDONED = 60.0  # seconds, after which a task that nobody asks about is stopped
_FORGOTTEN = 10.0  # seconds, after which a failed one may be tried again
_MOST_TASKS = 32  # that are remembered, and that wait
_MOST_WAIT = 5.0  # seconds, for a task that ends late when all is closed
# What is wrong with a file, a question or the machine.
_ERRORS = (ImportError, MemoryError, OSError, OverflowError, TypeError, ValueError)


@dataclass
class Task:
    """Something that takes long.

    Attributes
    ----------
    state
        ``"running"``, ``"done"`` or ``"failed"``.
    progress
        0 to 1; 0 as long as it is not known.
    result
        As the page is told it.
    error
        What went wrong, in words.
    """

    state: str = "running"
    progress: float = 0.0
    result: dict[str, Any] | None = None
    error: str | None = None
    asked: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def is_over(self) -> bool:
        """Tell whether it is to stop: nobody asks for it any more."""
        return self.stop.is_set() or time.monotonic() - self.asked > ABANDONED

    def count(self, done: int, of: int) -> None:
        """Take how far it is."""
        self.progress = done / max(of, 1)

    def said(self) -> dict[str, Any]:
        """Return what the page is told."""
        found = {"state": self.state, "progress": self.progress}
        return found | {"result": self.result, "error": self.error}


Make = Callable[[Task], dict[str, Any]]


class Tasks:
    """Does one task at a time; equal ones are one."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[tuple[Task, Make] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._tasks: dict[Hashable, Task] = {}
        self._lock = threading.Lock()

    def ask(self, key: Hashable, make: Make) -> Task:
        """Return the task of a key; begin it if there is none.

        Parameters
        ----------
        key
            Equal for equal tasks.
        make
            Makes the result; looks at :meth:`Task.is_over`.

        Raises
        ------
        QuestionError
            Too many wait for their turn.
        """
        with self._lock:
            task = self._tasks.get(key)
            if task is not None and task.state == "failed":
                is_old = time.monotonic() - task.ended > _FORGOTTEN
                task = None if is_old else task
            if task is None:
                n_waiting = sum(t.state == "running" for t in self._tasks.values())
                if n_waiting >= _MOST_TASKS:
                    raise QuestionError(
                        429, "Too many fits wait for their turn.", "Ask again later."
                    )
                task = self._tasks[key] = Task()
                self._queue.put((task, make))
                self._begin()
                self._forget()
            task.asked = time.monotonic()
        return task

    def _begin(self) -> None:
        """Begin to work: in a thread that does not keep Python from ending."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="tasks", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while (one := self._queue.get()) is not None:
            self._run(*one)

    def _forget(self) -> None:
        ended = [key for key, task in self._tasks.items() if task.state != "running"]
        for key in ended[: max(0, len(self._tasks) - _MOST_TASKS)]:
            del self._tasks[key]

    def _run(self, task: Task, make: Make) -> None:
        try:
            if task.is_over():
                raise PassCancelledError("Nobody waits for this any more.")
            task.result = make(task)
        except PassCancelledError:
            self._end(task, "It was stopped, as nobody waited for it any more.")
            task.ended = -_FORGOTTEN
        except _ERRORS as error:
            self._end(task, str(error) or type(error).__name__)
        else:
            task.progress, task.state = 1.0, "done"
        finally:
            if task.state == "running":  # an error of our own, which the terminal shows
                self._thread = None
                self._end(task, "The explorer itself failed; its terminal says how.")

    def _end(self, task: Task, error: str) -> None:
        task.error, task.state, task.ended = error, "failed", time.monotonic()

    def forget(self, key: Hashable) -> None:
        """Forget a task that is done, as what it made is not there any more."""
        with self._lock:
            task = self._tasks.get(key)
            if task is not None and task.state == "done":
                del self._tasks[key]

    def drop(self, is_dropped: Callable[[Any], bool]) -> None:
        """Stop and forget all tasks whose key is such."""
        with self._lock:
            for key in [key for key in self._tasks if is_dropped(key)]:
                self._tasks.pop(key).stop.set()

    def close(self) -> None:
        """Stop all, and wait a moment for it."""
        self.drop(lambda key: True)
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(_MOST_WAIT)


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


@dataclass(frozen=True)
class Wish:
    """What is asked of a fit, of finding elements, or of classes.

    Attributes
    ----------
    elements
        Names; none finds them.
    excitation
        As users say it; None: as the metadata say it.
    n_classes, method
        Of classes.
    """

    elements: tuple[str, ...] = ()
    excitation: str | None = None
    n_classes: int = 6
    method: str = "kmeans"


def fit(
    opened: Opened, energy: tuple[float, float] | None, wish: Wish, task: Task
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Fit the elements of each pixel; return what is said, and the maps by name."""
    from rsciio_xfm.signals.fit import get_element_maps

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        found = get_element_maps(
            signal_of(opened, energy),
            list(wish.elements) or None,
            excitation=wish.excitation,
            show_progressbar=False,
            progress=task.count,
            cancel=task.is_over,
        )
    maps = {name: np.asarray(_map(found, name, opened)) for name in found}
    totals, rows = found.totals, []
    for k, name in enumerate(totals.names):
        numbers = {"counts": totals.counts, "sigma": totals.sigma, "limit": totals.limits}
        row = {kind: float(values[k]) for kind, values in numbers.items()}
        rows.append({"name": name, **row, "note": totals.note(name)})
    elements = list(dict.fromkeys(name.partition("_")[0] for name in maps))
    said = {"maps": list(maps), "elements": elements, "table": rows}
    return said | {"notes": _messages(caught)}, maps


def _map(found: Any, name: str, opened: Opened) -> np.ndarray:
    data = found[name].data
    if data.size != opened.image_shape[0] * opened.image_shape[1]:
        raise ValueError(
            f"The fitted maps are of shape {data.shape}, the map of {opened.image_shape}: "
            "choose one detector."
        )
    return data.reshape(opened.image_shape)


def find_elements(
    opened: Opened, energy: tuple[float, float] | None, wish: Wish
) -> list[dict[str, Any]]:
    """Find the elements of a map; return what is said of each."""
    from rsciio_xfm.signals.elements import find_elements, how_sure

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = find_elements(
            signal_of(opened, energy),
            wish.elements or None,
            excitation=wish.excitation,
            show_progressbar=False,
        )
    return [
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


def classify(
    opened: Opened, energy: tuple[float, float] | None, wish: Wish
) -> tuple[dict[str, Any], np.ndarray]:
    """Sort the pixels into classes; return what is said, and the class of each pixel."""
    from rsciio_xfm.signals.classify import classify

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        found = classify(
            signal_of(opened, energy),
            reducer="pca",
            classifier=wish.method,
            n_classes=wish.n_classes,
            show_progressbar=False,
        )
    labels = np.asarray(found.labels.data).reshape(opened.image_shape)
    sizes = np.bincount(labels[labels >= 0].reshape(-1))
    return {"n": int(sizes.size), "sizes": sizes.tolist()}, labels


def _messages(caught: list[warnings.WarningMessage]) -> list[str]:
    return [str(one.message) for one in caught if one.category is UserWarning]
