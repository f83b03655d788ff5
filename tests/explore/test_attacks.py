"""What the explorer does with hostile questions, files and clients."""

import contextlib
import csv
import io
import json
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from rsciio_xfm.core import chunks, table
from rsciio_xfm.core.watch import go_on
from rsciio_xfm.explore import answers, exports, script, server, tasks
from rsciio_xfm.explore.answers import answer
from rsciio_xfm.explore.asked import Asked
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.listing import Listing
from rsciio_xfm.explore.messages import QuestionError
from rsciio_xfm.explore.opened import Opened
from rsciio_xfm.explore.server import Place, Running
from rsciio_xfm.explore.tasks import Tasks
from rsciio_xfm.explore.turns import Client
from tests.builders import edax, ripple
from tests.explore.asking import Asking, explore_file, unpack


@pytest.fixture
def served(tmp_path):
    """An explorer of a folder with one map."""
    folder = tmp_path / "maps"
    folder.mkdir()
    edax.write_map(folder / "map.spd")
    explorer = Explorer(Listing(folder), most_waiting=100)
    yield explorer
    explorer.close()


class TestFiles:
    @pytest.mark.skipif(sys.platform != "linux", reason="names of files are Unicode")
    def test_a_name_that_is_no_text(self, served):
        folder = os.fsencode(served.listing.root)
        with open(folder + b"/b\xff.spd", "wb") as file:
            file.write(b"nothing")
        found = json.loads(answer(served, "api/maps", {}).body)
        assert [one["name"] for one in found] == ["b?.spd", "map.spd"]
        assert answer(served, f"api/map/{found[0]['id']}/info", {}).status == 500

    def test_counts_that_lie_elsewhere(self, tmp_path):
        folder = tmp_path / "maps"
        folder.mkdir()
        ripple.write_map(folder / "map.rpl")
        counts = folder / "map.raw"
        counts.rename(tmp_path / "secret")
        counts.symlink_to(tmp_path / "secret")
        explorer = Explorer(Listing(folder))
        number = explorer.list_maps()[0]["id"]
        for what in ("info", "thumbnail.png"):
            found = answer(explorer, f"api/map/{number}/{what}", {})
            assert (found.status, b"leads out" in found.body) == (404, True)
        explorer.close()
        with Asking(folder / "map.rpl") as ask:  # one's own file
            assert ask.json("info")["shape"] == [5, 7, 16]

    def test_where_the_cache_lies(self, served, tmp_path, monkeypatch):
        monkeypatch.setenv("RSCIIO_XFM_CACHE_DIR", str(tmp_path / "home"))
        number = served.list_maps()[0]["id"]
        error = OSError(13, "Permission denied", str(tmp_path / "home's" / "cubes"))
        served.open(number).wait(30)
        served.open(number).cache.off(f"The cache cannot be written: {error}.")
        found = answer(served, f"api/map/{number}/info", {})
        why = json.loads(found.body)["cache"]["why"]
        assert why == "The cache cannot be written: [Errno 13] Permission denied."
        assert served.hide_paths(f"{tmp_path}/home/cubes/1: bad") == "cubes/1: bad"

    @pytest.mark.skipif(sys.platform != "linux", reason="others do not cut open files")
    def test_a_file_that_is_cut_while_it_is_read(self, tmp_path):
        """A mapped file would end the process."""
        path = edax.write_map(tmp_path / "map.spd", shape=(80, 80, 2048))
        code = f"""
            import os, sys
            from rsciio_xfm.core import chunks, table
            from rsciio_xfm.explore.opened import Opened
            from rsciio_xfm.explore.server import Place, Running
            from rsciio_xfm.explore.explorer import Explorer
            from rsciio_xfm.explore.listing import Listing

            def mapped(run, reader):
                raise SystemExit("mapped")

            table._mapped = mapped
            from pathlib import Path
            path = Path({str(path)!r})
            for shown, stop in ((path.parent, 80), (path.parent, 60), (path, 60)):
                with Running(Explorer(Listing(shown)), Place()):
                    source = Opened.read(path, {{}}).source
                    ranges = ((0, 80), (0, stop), (3, 9))
                    for part, block in source.pieces_for(ranges, [(3, 9)]):
                        block.sum()
                print("read")
        """
        ended = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (ended.returncode, ended.stdout) == (0, 3 * "read\n"), ended.stderr

    def test_files_are_mapped_again_once_it_is_closed(self, tmp_path, monkeypatch):
        path = edax.write_map(tmp_path / "map.spd", shape=(80, 80, 2048))
        mapped, n_mapped = table.can_map, []

        def count(of):
            n_mapped.append(mapped(of))
            return n_mapped[-1]

        def read():
            source = Opened.read(path, {}).source
            pieces = source.pieces_for(((0, 80), (0, 80), (3, 9)), [(3, 9)])
            return sum(len(block) for _, block in pieces)

        monkeypatch.setattr(chunks, "can_map", count)
        for shown in (tmp_path, path):
            with Running(Explorer(Listing(shown)), Place()):
                assert read() == 80
        with Running(Explorer({}), Place()):  # a user's own signal is read as it was
            assert read() == 80
        assert n_mapped == [False, False, True]
        assert (read(), n_mapped[-1]) == (80, True)


class TestQuestions:
    def test_numbers_of_maps_that_are_not_there(self, served):
        for k in range(5):
            assert answer(served, f"api/map/{k}/info", {}).status == 404
        assert not served._opening

    @pytest.mark.parametrize(
        "text",
        [
            '{"window": [Infinity, 2]}',
            '{"window": [1]}',
            '{"energy": [1]}',
            '{"classes": {"n": Infinity}}',
            f'{{"contrast": {{"low": 1{"0" * 400}}}}}',
        ],
    )
    def test_states(self, served, text):
        with pytest.raises(ValueError, match=r"state|classes"):
            script.parse_state(json.loads(text))
        number = served.list_maps()[0]["id"]
        found = answer(served, f"api/map/{number}/script.py", {"state": text})
        assert found.status == 400

    def test_a_name_that_is_a_pattern(self, tmp_path):
        import hyperspy.api as hs

        import rsciio_xfm

        path = edax.write_map(tmp_path / "map[1].spd")
        with Asking(path) as ask:
            text = ask.raw("script.py", state="{}").body.decode()
        (line,) = (line for line in text.splitlines() if "hs.load" in line)
        found = {"hs": hs, "rsciio_xfm": rsciio_xfm}
        exec(line, found)
        assert found["s"].data.shape == (5, 7, 32)

    def test_two_who_fit_others(self, served, monkeypatch):
        """What is asked is a part of the question: nobody gets what another has fitted."""

        def fit(opened, wish):
            value = 1 + len(wish.elements) + 10 * bool(wish.excitation)
            maps = {f"{e}_K": np.full(opened.image_shape, value) for e in wish.elements}
            return {"maps": list(maps)}, maps

        monkeypatch.setitem(tasks.MAKES, "fit", fit)
        monkeypatch.setattr(answers, "check_excitation", lambda text: None)
        monkeypatch.setattr(Asked, "axis", lambda asked: None)
        number = served.list_maps()[0]["id"]
        served.open(number).opened.overview.wait(30)
        wishes = ({"elements": "Fe"}, {"elements": "Fe,Cu"},
                  {"elements": "Fe", "excitation": "Rh 50 kV"})  # fmt: skip

        def image(wish):
            query = {"of": "fit:Fe_K", **wish}
            return answer(served, f"api/map/{number}/image", query)

        for wish in wishes:
            said = json.loads(image(wish).body)
            assert said["again"] == "fit"
            state, end = "waiting", time.monotonic() + 30
            while state in ("waiting", "running") and time.monotonic() < end:
                time.sleep(0.01)
                body = answer(served, f"api/map/{number}/task/fit", wish).body
                state = json.loads(body)["state"]
            assert state == "done"
        found = [unpack(image(wish).body)[1]["image"].max() for wish in wishes]
        assert found == [2, 3, 12]
        missing = answer(
            served, f"api/map/{number}/image", {"of": "fit:Zn_K", **wishes[1]}
        )
        assert missing.status == 404
        assert json.loads(missing.body).get("again") is None
        assert "Fe_K, Cu_K" in json.loads(missing.body)["error"]

    @pytest.mark.parametrize(
        ("what", "query", "text"),
        [
            ("task/fit", {"elements": "Fe," * 10**5}, "too many"),
            ("task/fit", {"elements": "Fe" * 10**5}, "too many"),
            ("task/elements", {"elements": "A" * 10**5}, "too many"),
            ("image", {"of": "fit:Fe_K", "elements": "x" * 10**5}, "too many"),
            ("task/fit", {"elements": "Xx"}, "'Xx' is no element"),
            ("task/fit", {"elements": "__import__('os')"}, "is no element"),
            ("task/fit", {"excitation": "nonsense"}, "is no excitation"),
            ("task/fit", {"excitation": "Rh 50 kV" * 10**4}, "characters"),
            ("task/elements", {"excitation": "Rh 1e999 kV"}, "is no excitation"),
            ("task/classify", {"n": "1e9"}, "choose 2 to 64"),
            ("task/classify", {"n": "nan"}, "expected 1 number"),
            ("image", {"of": "class", "n": "1e9"}, "choose 2 to 64"),
            ("image", {"of": "class", "method": "rm -rf"}, "choose kmeans"),
            ("spectrum", {"region": "c:0", "n": "1e9"}, "choose 2 to 64"),
        ],
    )
    def test_wishes_that_are_none(self, served, monkeypatch, what, query, text):
        monkeypatch.setattr(Asked, "axis", lambda asked: None)
        number = served.list_maps()[0]["id"]
        served.open(number).opened.overview.wait(30)
        found = answer(served, f"api/map/{number}/{what}", query)
        assert found.status == 400
        assert text in json.loads(found.body)["error"]
        assert len(found.body) < 1000
        assert not served.tasks._tasks

    def test_stop_of_what_another_does(self, served, monkeypatch):
        begun = threading.Event()

        def classify(opened, wish):
            begun.set()
            while True:
                go_on()
                time.sleep(0.01)

        monkeypatch.setitem(tasks.MAKES, "classify", classify)
        number = served.list_maps()[0]["id"]
        served.open(number).opened.overview.wait(30)

        def ask(name, **query):
            path = f"api/map/{number}/task/classify"
            return json.loads(answer(served, path, query, Client(name)).body)["state"]

        assert ask("mine") in ("waiting", "running")
        assert begun.wait(20)
        assert ask("yours", stop="1") == "stopped"  # for you; you had not asked
        assert ask("mine") == "running"
        assert ask("mine", stop="1") == "stopped"
        assert not served.tasks._tasks

    def test_too_many_fits(self):
        """Of one, of one address, and of all; and who has asked before can go on asking."""
        tasks = Tasks(0)

        def make(task):
            while not task.is_over():
                time.sleep(0.01)
            return {}, {}

        def ask(k, address):
            return tasks.ask(k, Client(str(k), address), make)

        first = [ask(k, "10.0.0.1") for k in range(50)]
        with pytest.raises(QuestionError, match="busy"):
            ask("one more", "10.0.0.1")
        assert ask(0, "10.0.0.1") is first[0]
        assert ask(51, "10.0.0.2").state == "waiting"
        tasks.close()

    @pytest.mark.parametrize(
        ("name", "written"),
        [
            ("x;=1+1", "x;'=1+1"),
            ('x;"=1+1', "x;\"'=1+1"),
            ("x\n@SUM(A1)", "x\n'@SUM(A1)"),
            ("x\t-cmd", "x\t'-cmd"),
            ("p:1,2;-3,4", "p:1,2;-3,4"),
        ],
    )
    def test_formulas_behind_other_separators(self, name, written):
        text = exports.to_csv({name: np.ones(1)}, None, None).decode("utf-8-sig")
        assert next(csv.reader(io.StringIO(text, newline=""))) == ["channel", written]

    def test_messages_that_are_none(self, tmp_path):
        pytest.importorskip("anywidget", reason="the extra explore is not installed")
        from rsciio_xfm.explore.widget import ExplorerWidget

        sent = []
        widget = ExplorerWidget(explore_file(edax.write_map(tmp_path / "map.spd")))
        widget.send = lambda content, buffers: sent.append((content["id"], buffers[0]))
        for content in (None, 5, [], {}, {"path": "api/maps"}):
            widget._ask(None, content, [])
        assert not sent
        widget._ask(None, {"id": 1}, [])
        widget._ask(None, {"id": 2, "path": 5, "query": [1]}, [])
        widget._ask(None, {"id": 3, "path": "\ud800", "query": {"a": None}}, [])
        widget._ask(None, {"id": 4, "path": "api/maps", "query": "x"}, [])
        assert [number for number, _ in sent] == [1, 2, 3, 4]
        assert json.loads(sent[3][1])[0]["name"] == "map.spd"
        widget.close()


@pytest.fixture
def running(tmp_path):
    path = edax.write_map(tmp_path / "map.spd")
    with Running(explore_file(path), Place()) as found:
        yield found


def connect(running):
    found = socket.create_connection(("127.0.0.1", running.port))
    found.settimeout(20)
    return found


def question(running, path):
    door = server.Door(running.token, frozenset())
    cookie = f"rsciio_xfm_{running.port}={door.new_cookie()}"
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n".encode()


def is_closed(one, timeout=20):
    one.settimeout(timeout)
    try:
        while one.recv(2**16):
            pass
    except ConnectionError:
        pass
    except TimeoutError:
        return False
    return True


class TestClients:
    @pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: loc"])
    def test_who_asks_nothing_is_sent_away(self, running, monkeypatch, said):
        monkeypatch.setattr(server, "_MOST_SILENCE", 0.2)
        with connect(running) as one:
            one.sendall(said)
            assert is_closed(one)

    def test_one_address_does_not_have_all_connections(self, running, monkeypatch):
        monkeypatch.setattr(server, "_MOST_OF_ADDRESS", 3)
        with contextlib.ExitStack() as stack:
            # This machine: a proxy, say.
            many = [stack.enter_context(connect(running)) for _ in range(6)]
            assert not is_closed(many[5], 0.3)
            monkeypatch.setattr(server, "LOOPBACK", ())
            with connect(running) as one:
                assert is_closed(one)
        end, is_refused = time.monotonic() + 20, True
        while is_refused and time.monotonic() < end:
            with connect(running) as one:
                is_refused = is_closed(one, 0.3)
        assert not is_refused

    def test_who_takes_no_answer_is_sent_away(self, running, monkeypatch):
        monkeypatch.setattr(server, "_MOST_SILENCE", 0.5)
        monkeypatch.setattr(server, "_static", lambda _: self.large())
        with connect(running) as one:
            one.sendall(question(running, "/page/x"))
            time.sleep(4)
            n_bytes = 0
            with pytest.raises(ConnectionError):
                while part := one.recv(2**20):
                    n_bytes += len(part)
                raise ConnectionError
            assert n_bytes < 64 * 2**20

    @staticmethod
    def large():
        from starlette.responses import Response

        return Response(bytes(64 * 2**20))

    def test_a_long_question_is_waited_for(self, running, monkeypatch):
        monkeypatch.setattr(server, "_MOST_SILENCE", 0.1)

        def slow(asked):
            time.sleep(1)
            return answers.as_json("slow")

        monkeypatch.setitem(answers.HANDLERS, "info", slow)
        number = running.explorer.list_maps()[0]["id"]
        with connect(running) as one:
            one.sendall(question(running, f"/api/map/{number}/info"))
            assert one.recv(2**12).startswith(b"HTTP/1.1 200")

    def test_answers_are_sent_at_once(self, running):
        """Without TCP_NODELAY each waits 40 ms for the acknowledgement of its head."""
        assert running._socket.proto == socket.IPPROTO_TCP

    @pytest.mark.parametrize("name", ["%00.js", "a" * 300 + ".js", "a/" * 5000 + ".js"])
    def test_files_that_cannot_be(self, running, name):
        with connect(running) as one:
            one.sendall(question(running, f"/page/{name}"))
            assert one.recv(2**12).startswith(b"HTTP/1.1 404")

    def test_a_cookie_that_came_encrypted_stays_so(self, running):
        path = running.address.partition(str(running.port))[2]
        for proxy, is_secure in (("", False), ("X-Forwarded-Proto: https\r\n", True)):
            with connect(running) as one:
                head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{proxy}\r\n"
                one.sendall(head.encode())
                assert (b"secure" in one.recv(2**12).lower()) == is_secure

    def test_a_token_with_signs(self, tmp_path):
        path = edax.write_map(tmp_path / "map.spd")
        token = "a+b/c&d#e%20f=ü 0123456789"
        with Running(explore_file(path), Place(token=token)) as running:
            path = running.address.partition(str(running.port))[2]
            with connect(running) as one:
                one.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert one.recv(2**12).startswith(b"HTTP/1.1 303")
