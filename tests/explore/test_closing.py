"""What is under way when a map, or all, is closed or lost: it ends, and is done once."""

import json
import signal
import socket
import sys
import threading
import time
import traceback
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.explore import answers, asked, prepare, server
from rsciio_xfm.explore.answers import answer
from rsciio_xfm.explore.cube import CacheLostError
from rsciio_xfm.explore.door import Door
from rsciio_xfm.explore.explorer import Explorer, OpenMap
from rsciio_xfm.explore.listing import Listing
from rsciio_xfm.explore.messages import Answer, QuestionError
from rsciio_xfm.explore.questions import Questions
from rsciio_xfm.explore.server import Place, Running
from rsciio_xfm.explore.tasks import Tasks
from rsciio_xfm.explore.turns import Client
from tests.builders import edax
from tests.explore.asking import LONG, explore_file
from tests.explore.test_opened import make

SOON = 0.2  # seconds, for what is not to happen


@pytest.fixture
def path(tmp_path):
    return edax.write_map(tmp_path / "map.spd")


class TestMaps:
    def test_closed_while_one_is_opened(self, path, monkeypatch):
        """Nothing is begun of a map that is read when all is closed."""
        is_read, is_closed, said = threading.Event(), threading.Event(), []
        begun = []
        monkeypatch.setattr(prepare, "start", lambda *_: begun.append(1))
        explorer = Explorer(Listing(path))
        real = explorer._opened

        def read(path):
            opened = real(path)
            is_read.set()
            assert is_closed.wait(LONG)
            return opened

        explorer._opened = read
        (number,) = explorer.listing.files()

        def open_it():
            try:
                explorer.open(number)
            except QuestionError as error:
                said.append(error.status)

        thread = threading.Thread(target=open_it)
        thread.start()
        assert is_read.wait(LONG)
        explorer.close()
        is_closed.set()
        thread.join(LONG)
        assert said == [503]
        assert not begun
        assert not explorer._open

    def test_put_away_while_it_is_asked_for(self, path, monkeypatch):
        """What was closed to make room is not taken for one that is open."""
        explorer = explore_file(path)
        (number,) = explorer.listing.files()
        first = explorer.open(number)

        def put_away(held):
            explorer._close(number)
            return False

        monkeypatch.setattr(OpenMap, "needs_opening", put_away)
        assert explorer.open(number, is_fresh=True) is first
        monkeypatch.undo()
        second = explorer.open(number)
        assert second is not first
        assert second.opened.overview.wait(LONG)
        explorer.close()

    def test_of_memory_is_opened_again(self):
        """A map of a notebook, of which reading failed once, is read again."""
        explorer = Explorer({"map": make()})
        first = explorer.open("map")
        assert first.opened.overview.wait(LONG)
        first.opened.is_broken = True
        second = explorer.open("map", is_fresh=True).opened
        assert not second.is_broken
        assert second.overview.wait(LONG)
        assert second.overview.rows_done == second.overview.rows
        assert second.overview.counts.sum() == 60 * 50 * 2
        explorer.close()

    def test_asked_when_all_is_closed(self, path):
        explorer = explore_file(path)
        (number,) = explorer.listing.files()
        explorer.close()
        for what in ("info", "image", "task/classify"):
            found = answer(explorer, f"api/map/{number}/{what}", {})
            assert found.status == 503
            assert json.loads(found.body)["error"] == "The explorer was closed."


class TestLostCaches:
    @pytest.fixture
    def begun(self, monkeypatch):
        found = []
        monkeypatch.setattr(prepare, "_thread", lambda *_: found.append(1))
        return found

    @pytest.fixture
    def cache(self):
        found = prepare.Cache()
        found.ready("first")
        return found

    def test_two_find_it_lost(self, begun, cache, monkeypatch):
        opened, real = make(), cache.making
        others = []

        def find_it_lost():
            prepare.start_again(opened, cache, "first")

        def making():
            if not others:
                others.append(threading.Thread(target=find_it_lost))
                others[0].start()
                others[0].join(SOON)
            real()

        monkeypatch.setattr(cache, "making", making)
        find_it_lost()
        others[0].join(LONG)
        assert begun == [1]

    def test_one_finds_the_last_one_lost(self, begun, cache):
        """When the next one is there already."""
        opened = make()
        cache.ready("second")
        prepare.start_again(opened, cache, "first")
        assert cache.cube == "second"
        assert not begun

    def test_of_a_map_that_is_closed(self, begun, cache):
        opened = make()
        prepare.stop(opened, cache)
        prepare.start_again(opened, cache, "first")
        assert not begun

    def test_is_lost_while_another_asks(self):
        seen = Counter()

        class Cache:
            @property
            def cube(self):
                seen["looks"] += 1
                return "cube" if seen["looks"] == 1 else None

        question = SimpleNamespace(map=SimpleNamespace(cache=Cache()))
        assert asked._from_cube(question, lambda cube: cube.upper()) == "CUBE"

    def test_lost_one_is_made_again(self, begun, cache):
        question = SimpleNamespace(map=SimpleNamespace(cache=cache), opened=make())

        def lose(cube):
            raise CacheLostError(cube)

        assert asked._from_cube(question, lose) is None
        assert begun == [1]
        assert cache.said()["state"] == "making"

    def test_what_was_begun_before_ends_first(self):
        opened, cache, go, order = make(), prepare.Cache(), threading.Event(), []

        def first():
            assert go.wait(LONG)
            order.append("first")

        prepare._thread(first, opened, cache)
        prepare._thread(lambda: order.append("second"), opened, cache)
        cache.thread.join(SOON)
        go.set()
        cache.thread.join(LONG)
        assert order == ["first", "second"]


def test_asked_while_questions_are_closed():
    """Who asks then is told at once, and what is under way is waited for."""
    questions = Questions(n_threads=1)
    begun, go = threading.Event(), threading.Event()

    def make_answer(cancel):
        begun.set()
        assert cancel.wait(LONG)
        assert go.wait(LONG)
        return Answer("text/plain", b"")

    first = questions.ask(1, (Client(), "image"), make_answer)
    assert begun.wait(LONG)
    closing = threading.Thread(target=questions.close)
    closing.start()
    while not questions._is_closed:
        time.sleep(0.01)
    with pytest.raises(QuestionError) as error:
        questions.ask(2, (Client(), "image"), make_answer)
    assert error.value.status == 503
    assert closing.is_alive()
    go.set()
    closing.join(LONG)
    assert first.future.done()


def test_no_task_is_begun_after_the_end():
    tasks = Tasks(2**20)
    tasks.close()
    with pytest.raises(QuestionError) as error:
        tasks.ask(1, Client(), None)
    assert error.value.status == 503


def test_ctrl_c(path):
    """The server ends in order, with what it sends; nothing is closed under it."""
    running, main = Running(explore_file(path), Place()).start(), threading.get_ident()
    thread = running._thread

    def press():
        names = []
        while ("server.py", "wait") not in names:
            time.sleep(0.01)
            stack = traceback.extract_stack(sys._current_frames()[main])
            names = [(Path(one.filename).name, one.name) for one in stack]
        time.sleep(0.05)
        signal.pthread_kill(main, signal.SIGINT)

    pressing = threading.Thread(target=press)
    pressing.start()
    running.wait()
    pressing.join(LONG)
    assert thread in threading.enumerate()  # it still answers
    assert thread.is_alive()
    running.close()
    assert running._has_ended.is_set()


@pytest.mark.parametrize("is_quick", [True, False])
def test_who_waits_for_an_answer_is_told(path, monkeypatch, capfd, is_quick):
    """And no traceback is shown."""
    begun, go = threading.Event(), threading.Event()

    def take_long(asked):
        begun.set()
        assert asked.cancel.wait(LONG)
        assert is_quick or go.wait(LONG)
        raise PassCancelledError

    monkeypatch.setitem(answers.HANDLERS, "image", take_long)
    monkeypatch.setattr(server, "_GRACE", 1)
    with Running(explore_file(path), Place()) as running:
        door = Door(running.token, frozenset())
        cookie = f"rsciio_xfm_{running.port}={door.new_cookie()}"
        number = running.explorer.list_maps()[0]["id"]
        head = f"GET /api/map/{number}/image HTTP/1.1\r\nHost: localhost\r\n"
        one = socket.create_connection(("127.0.0.1", running.port), timeout=LONG)
        one.sendall(f"{head}Cookie: {cookie}\r\n\r\n".encode())
        assert begun.wait(LONG)
        closing = threading.Thread(target=running.close)
        closing.start()
        assert one.recv(2**12).startswith(b"HTTP/1.1 503")
        go.set()
        closing.join(LONG)
        one.close()
    assert "Traceback" not in capfd.readouterr().err


def test_server_that_cannot_be_made_does_not_listen(path, monkeypatch):
    def fail(*_):
        raise ImportError("starlette")

    monkeypatch.setattr(server, "make_app", fail)
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = one.getsockname()[1]
    explorer = explore_file(path)
    with pytest.raises(ImportError, match="starlette") as error:
        Running(explorer, Place(port=port))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    explorer.close()
    assert error.type is ImportError
