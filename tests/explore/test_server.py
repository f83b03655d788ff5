"""Who is let in by the server of the explorer, and what it gives them."""

import contextlib
import json
import socket
import threading
import urllib.error
import urllib.request
import warnings

import pytest

from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.explore import listing
from rsciio_xfm.explore.app import make_app
from rsciio_xfm.explore.door import Door, names_of, new_token
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.listing import Listing
from rsciio_xfm.explore.server import Place, Running
from tests.builders import edax, ripple
from tests.explore.asking import LONG, explore_file, unpack

with warnings.catch_warnings():  # starlette 1 prefers a successor of httpx
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

TOKEN = "0123456789abcdef012345"
DOOR = Door(TOKEN, names_of("127.0.0.1"), "rsciio_xfm_1")


@pytest.fixture
def folder(tmp_path):
    maps = tmp_path / "maps"
    (maps / "below").mkdir(parents=True)
    edax.write_map(maps / "first.spd")
    edax.write_map(maps / "below" / "second.spd", shape=(3, 4, 16))
    return maps


@pytest.fixture
def explorer(folder):
    found = Explorer(Listing(folder))
    yield found
    found.close()


@pytest.fixture
def stranger(explorer):
    app = make_app(explorer, DOOR)
    with TestClient(app, "http://127.0.0.1:1", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(stranger):
    stranger.get(f"/?token={TOKEN}", follow_redirects=False)
    return stranger


@pytest.fixture
def listed_anew(monkeypatch):
    """See files that are new at once, not after some seconds."""
    monkeypatch.setattr(listing, "_FRESH", 0)


def first(client):
    return client.get("/api/maps").json()[0]["id"]


class TestToken:
    def test_has_128_bits(self):
        tokens = {new_token() for _ in range(100)}
        assert len(tokens) == 100
        assert all(len(token) >= 22 for token in tokens)

    @pytest.mark.parametrize("path", ["/", "/api/maps", "/page/app.js", "/nothing"])
    def test_nothing_without(self, stranger, path):
        found = stranger.get(path)
        assert found.status_code == 403
        assert "token" in found.text or "address" in found.text

    @pytest.mark.parametrize(
        "token", ["", "x", TOKEN[:-1], TOKEN + "0", "é", TOKEN.upper()]
    )
    def test_nothing_with_another(self, stranger, token):
        found = stranger.get("/", params={"token": token}, follow_redirects=False)
        assert found.status_code == 403
        assert not stranger.cookies

    def test_becomes_a_cookie(self, stranger):
        found = stranger.get(f"/?token={TOKEN}", follow_redirects=False)
        assert (found.status_code, found.headers["location"]) == (303, "/")
        cookie = found.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert TOKEN not in cookie
        assert stranger.get("/api/maps").status_code == 200

    @pytest.mark.parametrize("cookie", ["", "x", ".", "a.b", "00.é", TOKEN])
    def test_forged_cookies(self, stranger, cookie):
        headers = {"cookie": f"{DOOR.cookie}={cookie}".encode()}
        assert stranger.get("/api/maps", headers=headers).status_code == 403

    def test_cookie_of_a_server_before(self, stranger):
        """One that was started again with the same token knows the cookies it gave."""
        same = Door(TOKEN, DOOR.hosts, DOOR.cookie)
        stranger.cookies.set(DOOR.cookie, same.new_cookie())
        assert stranger.get("/api/maps").status_code == 200
        other = Door(new_token(), DOOR.hosts, DOOR.cookie)
        assert DOOR.client_of(other.new_cookie()) is None

    def test_not_for_other_paths(self, stranger):
        assert stranger.get(f"/api/maps?token={TOKEN}").status_code == 403


class TestRequests:
    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1.evil.example", "", "localhost.evil.example:1"]
    )
    def test_foreign_hosts(self, client, host):
        found = client.get("/api/maps", headers={"host": host})
        assert found.status_code == 403
        assert "name" in found.json()["error"]

    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:9", "[::1]:5"]
    )
    def test_own_hosts(self, client, host):
        assert client.get("/api/maps", headers={"host": host}).status_code == 200

    def test_names_of_all_interfaces(self):
        assert "127.0.0.1" in names_of("0.0.0.0")
        assert "xfm.example.org" in names_of("127.0.0.1", ["XFM.example.org"])
        assert "evil.example" not in names_of("0.0.0.0")

    @pytest.mark.parametrize(
        "method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"]
    )
    def test_only_get(self, client, method):
        assert client.request(method, "/api/maps").status_code == 405

    def test_headers(self, client):
        for path in ("/", "/api/maps", "/nothing"):
            headers = client.get(path).headers
            assert "default-src 'self'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert not [name for name in headers if name.startswith("access-control")]

    def test_no_cors(self, client):
        found = client.get("/api/maps", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in found.headers

    @pytest.mark.parametrize(
        "path",
        [
            "/page/../server.py",
            "/page/%2e%2e/server.py",
            "/page/..%2fserver.py",
            "/page//etc/passwd",
            "/page/%2fetc%2fpasswd",
            "/page/..\\server.py",
            "/api/map/..%2f..%2fetc%2fpasswd/info",
            "/api/map/first.spd/info",
            "/api/map/%00/info",
            "/api/../../etc/passwd",
            "/api/map",
            "/api/map//",
        ],
    )
    def test_no_way_out(self, client, path):
        found = client.get(path)
        assert found.status_code == 404
        assert "root:" not in found.text
        assert "import" not in found.text

    def test_long_questions(self, client):
        number = first(client)
        polygon = "p:" + ";".join(["1,1"] * 4000)
        found = client.get(f"/api/map/{number}/spectrum", params={"region": polygon})
        assert found.status_code == 400
        assert found.json()["error"]

    def test_what_fails_inside(self, client, monkeypatch):
        from rsciio_xfm.explore import answers

        def fail(_):
            raise KeyError("secret")

        monkeypatch.setitem(answers.HANDLERS, "info", fail)
        found = client.get(f"/api/map/{first(client)}/info")
        assert found.status_code == 500
        assert "secret" not in found.text
        assert "Traceback" not in found.text
        assert found.json()["hint"]


class TestFolder:
    def test_maps(self, client):
        found = client.get("/api/maps").json()
        assert [one["name"] for one in found] == ["first.spd", "below/second.spd"]
        assert all(len(one["id"]) == 12 for one in found)

    def test_numbers_stay(self, folder):
        assert list(Listing(folder).files()) == list(Listing(folder).files())

    def test_image(self, client):
        found = client.get(f"/api/map/{first(client)}/image?of=w:1:3")
        header, arrays = unpack(found.content)
        assert arrays["image"].shape == (5, 7)
        assert header["channels"] == [1, 3]

    def test_who_asks(self, client, monkeypatch):
        """By cookie, and by the address: a proxy on this machine says whose it is."""
        from rsciio_xfm.explore import answers

        monkeypatch.setitem(
            answers.HANDLERS, "info", lambda asked: answers.as_json(vars(asked.client))
        )
        who = client.get(f"/api/map/{first(client)}/info").json()
        assert who["name"] == client.cookies[DOOR.cookie].partition(".")[0]
        assert who["address"] == "testclient"

    def test_large_answers_are_compressed(self, folder, client, listed_anew):
        edax.write_map(folder / "a.spd", shape=(90, 100, 8))
        number = Listing(folder).number(folder / "first.spd")
        small = client.get(f"/api/map/{number}/image?of=w:1:3")
        assert "content-encoding" not in small.headers
        number = Listing(folder).number(folder / "a.spd")
        path = f"/api/map/{number}/image?of=w:1:3"
        packed = client.get(path)
        plain = client.get(path, headers={"accept-encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert int(packed.headers["content-length"]) < len(plain.content)
        assert packed.content == plain.content

    def test_large_answers_of_ones_own_machine_come_as_they_are(self, tmp_path):
        path = edax.write_map(tmp_path / "map.spd", shape=(1100, 1000, 2))
        explorer = explore_file(path, is_cached=False)
        app = make_app(explorer, DOOR)
        with TestClient(app, "http://127.0.0.1:1") as client:
            client.get(f"/?token={TOKEN}", follow_redirects=False)
            where = f"/api/map/{first(client)}/image?of=w:0:2"
            assert "content-encoding" not in client.get(where).headers
            assert client.get(f"{where}&step=2").headers["content-encoding"] == "gzip"
        explorer.close()

    def test_links_that_lead_out(self, folder, tmp_path):
        edax.write_map(tmp_path / "secret.spd")
        (folder / "link.spd").symlink_to(tmp_path / "secret.spd")
        (folder / "inner.spd").symlink_to(folder / "first.spd")
        (folder / "circle.spd").symlink_to(folder / "circle.spd")
        (folder / "out").symlink_to(tmp_path)
        (folder / ".hidden.spd").write_bytes(b"")
        listing = Listing(folder)
        names = sorted(listing.name(path) for path in listing.files().values())
        assert names == ["below/second.spd", "first.spd", "inner.spd"]

    def test_link_that_is_turned(self, folder, tmp_path):
        """What was inside when the folder was listed, and is not any more."""
        listing = Listing(folder)
        number = next(iter(listing.files()))
        path = listing.path(number)
        path.unlink()
        path.symlink_to(edax.write_map(tmp_path / "secret.spd"))
        assert listing.path(number) is None

    def test_size_of_a_ripple_map(self, tmp_path):
        path = ripple.write_map(tmp_path / "map.rpl")
        found = Explorer(Listing(tmp_path)).list_maps()
        assert [one["name"] for one in found] == ["map.rpl"]
        sizes = [f.stat().st_size for f in (path, path.with_suffix(".raw"))]
        assert found[0]["size_bytes"] == sum(sizes)

    def test_pictures(self, client):
        found = client.get(f"/api/map/{first(client)}/thumbnail.png")
        assert found.headers["content-type"] == "image/png"
        assert found.content[:4] == b"\x89PNG"

    def test_paths_stay(self, client, folder, listed_anew):
        broken = folder / "broken.spd"
        broken.write_bytes(b"nothing")
        number = next(
            one["id"]
            for one in client.get("/api/maps").json()
            if one["name"] == "broken.spd"
        )
        found = client.get(f"/api/map/{number}/info")
        assert found.status_code == 500
        assert str(folder) not in found.text
        assert "broken.spd" in found.json()["error"]

    def test_as_many_open_as_memory_allows(self, folder):
        explorer = Explorer(Listing(folder), memory=2**20)
        try:
            for number in explorer.listing.files():
                explorer.open(number)
            assert len(explorer._open) == 1
        finally:
            explorer.close()


class TestRunning:
    def test_from_start_to_end(self, tmp_path):
        path = edax.write_map(tmp_path / "map.spd")
        before = set(threading.enumerate())
        with Running(explore_file(path), Place()) as server:
            assert server.address.startswith(f"http://127.0.0.1:{server.port}/?token=")
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with pytest.raises(urllib.error.HTTPError) as error:
                opener.open(f"http://127.0.0.1:{server.port}/api/maps")
            assert error.value.code == 403
            error.value.close()
            try:
                opener.open(server.address).close()
            except urllib.error.HTTPError as error:  # the page is not there yet
                error.close()
            with opener.open(f"http://127.0.0.1:{server.port}/api/maps") as found:
                assert json.load(found)[0]["name"] == "map.spd"
                assert "server" not in {name.lower() for name in found.headers}
        for thread in set(threading.enumerate()) - before:
            thread.join(LONG)
            assert not thread.is_alive(), thread.name

    def test_a_million_vertices(self, tmp_path):
        path = edax.write_map(tmp_path / "map.spd")
        with Running(explore_file(path), Place()) as server:
            with socket.create_connection(("127.0.0.1", server.port)) as one:
                one.settimeout(LONG)
                target = b"/api/map/0/spectrum?region=p:" + b"1,1;" * 10**6
                with contextlib.suppress(ConnectionError):  # it stops listening
                    one.sendall(
                        b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    )
                with contextlib.suppress(ConnectionError):
                    assert b" 400 " in one.recv(1000)
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            with pytest.raises(urllib.error.HTTPError) as error:
                opener.open(f"http://127.0.0.1:{server.port}/api/maps")
            error.value.close()

    def test_who_leaves_is_not_answered(self, tmp_path, monkeypatch):
        from rsciio_xfm.explore import answers

        begun, left = threading.Event(), threading.Event()

        def wait(asked):
            begun.set()
            if asked.cancel.wait(LONG):
                left.set()
            raise PassCancelledError("cancelled")

        monkeypatch.setitem(answers.HANDLERS, "image", wait)
        path = edax.write_map(tmp_path / "map.spd")
        with Running(explore_file(path), Place()) as server:
            number = server.explorer.list_maps()[0]["id"]
            door = Door(server.token, names_of("127.0.0.1"))
            cookie = f"rsciio_xfm_{server.port}={door.new_cookie()}"
            with socket.create_connection(("127.0.0.1", server.port)) as one:
                head = f"GET /api/map/{number}/image HTTP/1.1\r\nHost: localhost\r\n"
                one.sendall(f"{head}Cookie: {cookie}\r\n\r\n".encode())
                assert begun.wait(LONG)
                assert not left.is_set()
            assert left.wait(LONG)

    def test_port_that_is_taken(self, tmp_path):
        path = edax.write_map(tmp_path / "map.spd")
        with Running(explore_file(path), Place()) as server:
            second = explore_file(path)
            with pytest.raises(OSError, match="in use"):
                Running(second, Place(port=server.port))
            second.close()

    def test_from_python(self, tmp_path, monkeypatch):
        import rsciio_xfm

        opened = []
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr("webbrowser.open", opened.append)
        path = edax.write_map(tmp_path / "map.spd")
        server = rsciio_xfm.explore(path, wait=False)
        assert opened == [server.address]
        server.close()


def test_missing_extra(tmp_path, run, monkeypatch):
    import sys

    path = edax.write_map(tmp_path / "map.spd")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    said = run("explore", path, "--no-browser", code=1)
    assert 'pip install "rsciio-xfm[explore]"' in said


class TestCommands:
    @pytest.fixture(autouse=True)
    def at_once(self, monkeypatch):
        """Nobody presses Ctrl-C here."""
        monkeypatch.setattr(Running, "wait", lambda self: None)

    def test_explore(self, tmp_path, run, monkeypatch):
        opened = []
        monkeypatch.setenv("DISPLAY", ":0")
        monkeypatch.setattr("webbrowser.open", opened.append)
        path = edax.write_map(tmp_path / "map.spd")
        said = run("explore", path)
        assert opened[0] in said
        assert "Ctrl-C" in said
        opened.clear()
        assert "/?token=" in run("explore", path, "--no-browser")
        assert not opened

    def test_serve(self, folder, run):
        said = run("serve", folder)
        assert "2 maps" in said
        assert "127.0.0.1" in said
        assert "encrypted" not in said
        said = run("serve", folder, "--host", "0.0.0.0", "--token", TOKEN)
        assert "not encrypted" in said
        assert f"token={TOKEN}" in said

    def test_what_is_wrong(self, folder, run, tmp_path):
        assert "at least 22" in run("serve", folder, "--token", "short", code=1)
        other = tmp_path / "map.txt"
        other.write_text("")
        assert "the extension is '.txt'" in run("explore", other, code=1)
        spd = folder / "first.spd"
        assert "--detector" in run("explore", spd, "--detector", 0, code=1)

    @pytest.mark.parametrize(
        ("host", "text"),
        [("203.0.113.7", "is no address of"), ("no.such.invalid", "is no name of")],
    )
    def test_hosts_that_are_others(self, folder, run, host, text):
        said = run("serve", folder, "--host", host, code=1)
        assert f"{host} {text}" in said
        assert "0.0.0.0" in said

    def test_port_that_is_taken(self, folder, run):
        with Running(Explorer(Listing(folder)), Place()) as server:
            for what in (("serve", folder), ("explore", folder / "first.spd")):
                said = run(*what, "--port", server.port, code=1)
                assert f"Port {server.port} is taken" in said
                assert "choose another port" in said
                assert "Errno" not in said
