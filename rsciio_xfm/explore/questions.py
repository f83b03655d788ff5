"""Questions that are asked at once: equal ones are joined, the rest take turns.

Threads as many as processors answer them; what was made is kept within a budget of bytes. What
nobody waits for any more is cancelled. There is no state of a user here.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from dask.system import CPU_COUNT

from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.explore.messages import Answer, QuestionError, is_closed
from rsciio_xfm.explore.turns import Client, Limits, Turns

# Questions that wait: a class of 25 behind one address has some 75 when all drag at once.
LIMITS = Limits(client=64, address=160, everybody=256)
_UNWANTED = "Nobody waits for this answer any more."


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

    def __iter__(self) -> Iterator[Any]:
        """Yield the keys of what is kept now."""
        with self._lock:
            keys = list(self._held)
        return iter(keys)

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


Place = tuple[Client, str]  # who asks, and what kind of question


@dataclass(eq=False)
class _Job:
    """A question that is asked by somebody."""

    key: Hashable
    place: Place
    make: Callable[[threading.Event], Answer]
    future: "Future[Answer]" = field(default_factory=Future)
    cancel: threading.Event = field(default_factory=threading.Event)
    n_waiting: int = 0
    is_queued: bool = True


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
        self._turns: Turns[_Job] = Turns(LIMITS)
        self._queued: Counter[Hashable] = Counter()
        self._lock = threading.Lock()
        self._is_closed = False
        self.n_made = 0  # of answers, for tests and measurements

    def ask(
        self, key: Hashable, place: Place, make: Callable[[threading.Event], Answer]
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
            Too many wait for their turn: of the kind and client, or of all. Or all is closed.
        """
        with self._lock:
            if self._is_closed:
                raise is_closed()
            job = self._jobs.get(key)
            if job is None:
                if self._queued[place] >= self.most_waiting:
                    raise QuestionError(
                        429,
                        "The last question of this kind still waits for its turn.",
                        "Wait a moment, then ask again.",
                    )
                job = _Job(key, place, make)
                self._turns.put(place[0], job)
                self._queued[place] += 1
                self._jobs[key] = job
                self._pool.submit(self._run_next)
            job.n_waiting += 1
        return Ticket(self, job)

    def _run_next(self) -> None:
        """Answer the question whose turn it is."""
        with self._lock:
            job = self._turns.next()
            if job is None:  # whoever asked it has left
                return
            self._leave_queue(job)
            self.n_made += not job.cancel.is_set()
        try:
            if job.cancel.is_set():
                raise PassCancelledError(_UNWANTED)
            answer = job.make(job.cancel)
        except BaseException as error:
            self._end(job)
            job.future.set_exception(error)
            return
        self._end(job)
        job.future.set_result(answer)

    def _leave_queue(self, job: _Job) -> None:
        """Say that a question waits for its turn no longer."""
        if job.is_queued:
            job.is_queued = False
            self._turns.drop(job.place[0], job)
            self._queued[job.place] -= 1
            if not self._queued[job.place]:
                del self._queued[job.place]

    def _end(self, job: _Job) -> None:
        with self._lock:
            if self._jobs.get(job.key) is job:
                del self._jobs[job.key]

    def _leave(self, job: _Job) -> None:
        with self._lock:
            job.n_waiting -= 1
            if job.n_waiting > 0 or job.future.done():
                return
            # A later equal question is another job.
            job.cancel.set()
            if self._jobs.get(job.key) is job:
                del self._jobs[job.key]
            was_queued = job.is_queued
            self._leave_queue(job)
        if was_queued and not job.future.done():
            job.future.set_exception(PassCancelledError(_UNWANTED))

    def close(self) -> None:
        """Cancel all, and wait for what has begun."""
        with self._lock:
            self._is_closed = True
            for job in self._jobs.values():
                job.cancel.set()
        self._pool.shutdown(wait=True, cancel_futures=False)
