"""Questions that are asked at once: joined, in turn, cancelled, within memory."""

import random
import threading
import time

import numpy as np
import pytest

from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.explore.messages import Answer, QuestionError, as_binary, as_json
from rsciio_xfm.explore.questions import LIMITS, Questions, Store
from rsciio_xfm.explore.turns import Client
from tests.explore.asking import unpack


@pytest.fixture
def questions():
    found = Questions(n_threads=1)
    yield found
    found.close()


def place(name, kind, address=""):
    return Client(str(name), address), kind


class Gate:
    """A question whose answer waits until it is let go."""

    def __init__(self):
        self.begun, self.go, self.n_made = threading.Event(), threading.Event(), 0

    def __call__(self, cancel):
        self.n_made += 1
        self.begun.set()
        while not self.go.wait(0.01):
            if cancel.is_set():
                raise PassCancelledError("cancelled")
        return Answer("text/plain", b"answer")


class TestQuestions:
    def test_equal_ones_are_joined(self, questions):
        gate = Gate()
        tickets = [
            questions.ask("q", place(client, "image"), gate) for client in range(20)
        ]
        gate.go.set()
        assert {ticket.result().body for ticket in tickets} == {b"answer"}
        assert gate.n_made == 1

    def test_answered_ones_are_asked_anew(self, questions):
        gate = Gate()
        gate.go.set()
        for _ in range(2):
            questions.ask("q", place("me", "image"), gate).result()
        assert gate.n_made == 2

    def test_one_of_a_kind_in_the_queue(self, questions):
        gate = Gate()
        first = questions.ask(1, place("me", "image"), gate)
        assert gate.begun.wait(10)
        second = questions.ask(2, place("me", "image"), gate)
        with pytest.raises(QuestionError) as error:
            questions.ask(3, place("me", "image"), gate)
        assert error.value.status == 429
        others = [
            questions.ask(4, place("me", "spectrum"), gate),
            questions.ask(5, place("you", "image"), gate),
            questions.ask(2, place("you", "image"), gate),  # joined: no place is needed
        ]
        gate.go.set()
        for ticket in (first, second, *others):
            assert ticket.result().body == b"answer"
        assert not questions._queued
        assert len(questions._turns) == 0

    def test_what_nobody_waits_for_is_cancelled(self, questions):
        gate = Gate()
        tickets = [
            questions.ask("q", place(client, "image"), gate) for client in range(2)
        ]
        assert gate.begun.wait(10)
        tickets[0].leave()
        time.sleep(0.05)
        assert not tickets[1].future.done()
        tickets[1].leave()
        with pytest.raises(PassCancelledError):
            tickets[1].future.result(10)

    def test_what_waits_in_the_queue_is_not_made(self, questions):
        gate, never = Gate(), Gate()
        first = questions.ask(1, place("me", "image"), gate)
        assert gate.begun.wait(10)
        questions.ask(2, place("me", "image"), never).leave()
        again = questions.ask(3, place("me", "image"), gate)  # the place is free
        gate.go.set()
        first.result()
        again.result()
        assert never.n_made == 0

    def test_one_that_floods(self, questions):
        gate = Gate()
        tickets, refused = [], 0
        for k in range(1000):
            try:
                tickets.append(questions.ask(k, place(k, "image"), gate))
            except QuestionError:
                refused += 1
        assert refused >= 700
        assert len(questions._turns) <= LIMITS.everybody
        for ticket in tickets:
            ticket.leave()
        with pytest.raises(PassCancelledError):
            tickets[0].future.result(10)

    def test_errors_reach_all(self, questions):
        def fail(cancel):
            time.sleep(0.05)
            raise ValueError("no")

        tickets = [
            questions.ask("q", place(client, "image"), fail) for client in range(2)
        ]
        for ticket in tickets:
            with pytest.raises(ValueError, match="no"):
                ticket.result()

    def test_who_floods_waits_for_what_he_asks(self, questions):
        """Clients take turns; what others ask is not behind all of one's own."""
        gate, made = Gate(), []
        first = questions.ask("first", place("first", "image"), gate)
        assert gate.begun.wait(10)

        def make(name):
            return lambda cancel: made.append(name) or Answer("text/plain", b"")

        tickets = [
            questions.ask((name, k), place(name, str(k)), make(name))
            for name in ("flood", "a", "b")
            for k in range(20 if name == "flood" else 2)
        ]
        gate.go.set()
        for ticket in (first, *tickets):
            ticket.result()
        assert made[:7] == ["flood", "a", "b", "flood", "a", "b", "flood"]

    def test_one_address_leaves_room_for_others(self, questions):
        """Cookies can be had without end; addresses cannot."""
        gate, refused = Gate(), []
        for k in range(LIMITS.everybody):
            try:
                questions.ask(k, place(k, "image", "10.0.0.1"), gate)
            except QuestionError as error:
                refused.append(error.status)
        assert set(refused) == {429}
        assert len(questions._turns) <= LIMITS.address
        questions.ask("other", place("other", "image", "10.0.0.2"), gate)
        gate.go.set()

    def test_nothing_is_left_of_many_who_come_and_go(self):
        questions = Questions(n_threads=2)
        failed = []

        def come_and_go(name):
            rng = random.Random(name)
            for _ in range(100):
                try:
                    key = rng.randrange(12)
                    ticket = questions.ask(key, place(name, "image"), self.quick)
                except QuestionError:
                    continue
                if rng.random() < 0.4:
                    ticket.leave()
                elif ticket.result().body != b"quick":
                    failed.append(name)

        threads = [threading.Thread(target=come_and_go, args=(k,)) for k in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        questions.close()
        assert not failed
        assert (len(questions._turns), questions._queued, questions._jobs) == (0, {}, {})

    @staticmethod
    def quick(cancel):
        time.sleep(0.0005)
        return Answer("text/plain", b"quick")

    def test_a_class_behind_one_address(self, questions):
        """25 browsers that ask for an image, a spectrum and a scatter at once."""
        gate = Gate()
        tickets = [
            questions.ask((k, kind), place(k, kind, "10.0.0.1"), gate)
            for k in range(25)
            for kind in ("image", "spectrum", "scatter")
        ]
        gate.go.set()
        assert {ticket.result().body for ticket in tickets} == {b"answer"}


class TestStore:
    def test_keeps_what_was_used_last(self):
        store = Store(100)
        for key in "abc":
            store.put(key, key, 40)
        assert [store.get(key) for key in "abc"] == [None, "b", "c"]
        store.get("b")
        store.put("d", "d", 40)
        assert [store.get(key) for key in "bcd"] == ["b", None, "d"]
        assert store.n_bytes == 80

    def test_what_is_too_large(self):
        store = Store(100)
        store.put("a", "a", 60)
        store.put("b", "b", 101)
        assert (store.get("a"), store.get("b")) == ("a", None)

    def test_is_made_once(self):
        store, n_made = Store(2**20), []

        def make():
            n_made.append(1)
            time.sleep(0.05)
            return np.zeros(10)

        threads = [
            threading.Thread(target=store.get_or_make, args=("k", make)) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(n_made) == 1
        assert not store._making

    def test_another_makes_it_if_one_was_cancelled(self):
        store = Store(2**20)

        def cancelled():
            raise PassCancelledError("cancelled")

        with pytest.raises(PassCancelledError):
            store.get_or_make("k", cancelled)
        assert store.get_or_make("k", lambda: np.ones(3)).sum() == 3


def test_binary():
    arrays = {
        "a": np.arange(3, dtype=">u2"),
        "b": np.ones((2, 2), dtype=np.float64)[:, ::-1],
        "c": np.zeros((0, 3), dtype=np.uint8),
    }
    header, found = unpack(as_binary(arrays, {"max": np.float64(np.nan), "é": "µ"}).body)
    assert header["max"] is None
    assert header["é"] == "µ"
    for name, array in arrays.items():
        assert (found[name] == array).all()
        assert found[name].shape == array.shape


def test_json():
    found = as_json({"a": np.float32("inf"), "b": (np.int64(3), [np.bool_(True)])})
    assert found.body == b'{"a": null, "b": [3, [true]]}'
