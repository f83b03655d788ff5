"""Questions that are asked at once: equal ones are joined, the rest take turns.

Threads as many as processors answer them; what was made is kept within a budget of bytes. What
nobody waits for any more is cancelled. There is no state of a user here.
"""

import json
import math
import struct
import threading
import zlib
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from rsciio_xfm.exceptions import PassCancelledError

MOST_QUEUED = 256  # questions of all clients together
_GZIP = 16 + zlib.MAX_WBITS
JSON, BINARY = "application/json", "application/octet-stream"


@dataclass(frozen=True)
class Answer:
    """What is sent back.

    Attributes
    ----------
    media_type, body, status
        As HTTP has them.
    filename
        Of what is downloaded.
    """

    media_type: str
    body: bytes
    status: int = 200
    filename: str | None = None

    @cached_property
    def gzipped(self) -> bytes:
        """The body, compressed fast: counts are few numbers that seldom repeat in order."""
        pack = zlib.compressobj(1, zlib.DEFLATED, _GZIP, 9, zlib.Z_HUFFMAN_ONLY)
        return pack.compress(self.body) + pack.flush()


class QuestionError(Exception):
    """A question that has no answer, in words for people.

    Attributes
    ----------
    status
        As HTTP has it.
    hint
        What to do.
    """

    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.status, self.hint = status, hint

    def answer(self) -> Answer:
        """Return what is sent back."""
        return as_json({"error": str(self), "hint": self.hint}, self.status)


def as_json(value: Any, status: int = 200) -> Answer:
    """Return a value as JSON; numbers that JSON does not have are null."""
    text = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    return Answer(JSON, _encoded(text), status)


def as_binary(arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> Answer:
    """Return arrays with a header: its length, itself, and the arrays, at multiples of 8."""
    named = {name: _little(array) for name, array in arrays.items()}
    described = [
        {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        for name, array in named.items()
    ]
    text = json.dumps(_plain({**header, "arrays": described}), ensure_ascii=False)
    head = _encoded(text)
    head += b" " * (-(4 + len(head)) % 8)
    parts = [struct.pack("<I", len(head)), head]
    for array in named.values():
        parts += [array.tobytes(), b"\0" * (-array.nbytes % 8)]
    return Answer(BINARY, b"".join(parts))


def _encoded(text: str) -> bytes:
    """Return text as UTF-8; what names of files have that is none becomes "?"."""
    return text.encode(errors="replace")


def _little(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(own) for own in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


class Store:
    """Arrays that were made, those used last, within a budget of bytes.

    Parameters
    ----------
    most_bytes
        Of all of them together.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes, self.n_bytes = most_bytes, 0
        self._held: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()
        self._lock = threading.Lock()
        self._making: dict[Hashable, list[Any]] = {}

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable) -> Any:
        """Return what is kept, None if nothing is."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key][1]

    def put(self, key: Hashable, value: Any, n_bytes: int) -> None:
        """Keep something; what is too large for the budget is not kept."""
        with self._lock:
            self._drop(key)
            if n_bytes > self.most_bytes:
                return
            self._held[key] = n_bytes, value
            self.n_bytes += n_bytes
            while self.n_bytes > self.most_bytes:
                self._drop(next(iter(self._held)))

    def _drop(self, key: Hashable) -> None:
        if key in self._held:
            self.n_bytes -= self._held.pop(key)[0]

    def drop(self, is_dropped: Callable[[Any], bool]) -> None:
        """Forget all whose key is such."""
        with self._lock:
            for key in [key for key in self._held if is_dropped(key)]:
                self._drop(key)

    def get_or_make(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return an array that is kept, or make and keep it, once at a time."""
        with self._lock:
            entry = self._making.setdefault(key, [threading.Lock(), 0])
            entry[1] += 1
        try:
            with entry[0]:
                found = self.get(key)
                if found is None:
                    found = make()
                    self.put(key, found, found.nbytes)
                return found
        finally:
            with self._lock:
                entry[1] -= 1
                if not entry[1]:
                    self._making.pop(key, None)


@dataclass(eq=False)
class _Job:
    """A question that is asked by somebody."""

    key: Hashable
    future: "Future[Answer]"
    cancel: threading.Event = field(default_factory=threading.Event)
    n_waiting: int = 0
    queued_by: list[Hashable] = field(default_factory=list)


class Ticket:
    """A place at a question: the answer comes, or one leaves.

    Attributes
    ----------
    future
        Of the :class:`Answer`.
    """

    def __init__(self, questions: "Questions", job: _Job) -> None:
        self._questions, self._job, self._is_in = questions, job, True
        self.future = job.future

    def leave(self) -> None:
        """Wait no longer: if nobody else does, the question is cancelled."""
        if self._is_in:
            self._is_in = False
            self._questions._leave(self._job)

    def result(self) -> Answer:
        """Wait for the answer."""
        try:
            return self.future.result()
        finally:
            self.leave()


class Questions:
    """Answers questions, some at a time.

    Parameters
    ----------
    n_threads
        How many at a time; as many as there are processors if None.
    most_waiting
        Questions of one kind that a client may have in the queue.
    """

    def __init__(self, n_threads: int | None = None, most_waiting: int = 1) -> None:
        self.most_waiting = most_waiting
        self._pool = ThreadPoolExecutor(n_threads or CPU_COUNT, "questions")
        self._jobs: dict[Hashable, _Job] = {}
        self._queued: Counter[Hashable] = Counter()
        self._n_queued = 0
        self._lock = threading.Lock()
        self.n_made = 0  # of answers, for tests and measurements

    def ask(
        self,
        key: Hashable,
        place: Hashable,
        make: Callable[[threading.Event], Answer],
    ) -> Ticket:
        """Ask a question.

        Parameters
        ----------
        key
            Equal for equal questions, which are answered once.
        place
            Client and kind.
        make
            Makes the answer; looks at the event whether anybody still waits.

        Raises
        ------
        QuestionError
            The client has too many of the kind in the queue.
        """
        with self._lock:
            job = self._jobs.get(key)
            if job is None:
                if (
                    self._queued[place] >= self.most_waiting
                    or self._n_queued >= MOST_QUEUED
                ):
                    raise QuestionError(
                        429,
                        "The last question of this kind still waits for its turn.",
                        "Wait a moment, then ask again.",
                    )
                job = _Job(key, Future())
                self._jobs[key] = job
                self._queued[place] += 1
                self._n_queued += 1
                job.queued_by.append(place)
                self._pool.submit(self._run, job, make)
            job.n_waiting += 1
        return Ticket(self, job)

    def _run(self, job: _Job, make: Callable[[threading.Event], Answer]) -> None:
        with self._lock:
            self._leave_queue(job)
            self.n_made += not job.cancel.is_set()
        try:
            if job.cancel.is_set():
                raise PassCancelledError("Nobody waits for this answer any more.")
            answer = make(job.cancel)
        except BaseException as error:
            self._end(job)
            job.future.set_exception(error)
            return
        self._end(job)
        job.future.set_result(answer)

    def _leave_queue(self, job: _Job) -> None:
        for place in job.queued_by:
            self._n_queued -= 1
            self._queued[place] -= 1
            if not self._queued[place]:
                del self._queued[place]
        job.queued_by.clear()

    def _end(self, job: _Job) -> None:
        with self._lock:
            if self._jobs.get(job.key) is job:
                del self._jobs[job.key]

    def _leave(self, job: _Job) -> None:
        with self._lock:
            job.n_waiting -= 1
            if job.n_waiting <= 0 and not job.future.done():
                # A later equal question is another job.
                job.cancel.set()
                if self._jobs.get(job.key) is job:
                    del self._jobs[job.key]
                self._leave_queue(job)

    def close(self) -> None:
        """Cancel all, and wait for what has begun."""
        with self._lock:
            for job in self._jobs.values():
                job.cancel.set()
        self._pool.shutdown(wait=True, cancel_futures=False)
