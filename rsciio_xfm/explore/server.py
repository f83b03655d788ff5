"""The server of the explorer: questions over HTTP, for those who have the token.

It only reads, so that nothing can be changed through it. What may reach it: browsers that name
it by a name of its own (against DNS rebinding), with a cookie that only the address with the
token gives.
"""

import asyncio
import contextlib
import hashlib
import hmac
import math
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from rsciio_xfm.core.extras import require
from rsciio_xfm.core.table import mapping_left_out
from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.explore.answers import begin
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.listing import Listing
from rsciio_xfm.explore.messages import Answer, QuestionError
from rsciio_xfm.explore.questions import Ticket
from rsciio_xfm.explore.turns import Client

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

EXTRA = "explore"
TOKEN_BYTES = 16  # 128 bits
LEAST_TOKEN = 22  # characters of such a token
_POLL = 0.05  # seconds, between looks whether a client is still there
_MOST_URL = 2**17  # bytes
_MOST_CONNECTIONS = 512
_MOST_OF_ADDRESS = 256  # of these: 25 browsers behind one address have some 150
_BACKLOG = 256
_MOST_SILENCE = 15.0  # seconds, of a connection that asks nothing
_MOST_PATIENCE = 4  # times as long, with one that takes nothing of its answer
_CLIENT_BYTES = 8
_LEAST_GZIPPED, _MOST_GZIPPED = 8192, 2**20  # bytes
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",  # the first address has the token
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
_REFUSED = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Explorer</title>
<h1>The address is not complete</h1>
<p>Open the whole address that the explorer printed when it was started: its end,
<code>?token=...</code>, lets you in. An explorer that is started again prints a new one.</p>
</html>"""


def new_token() -> str:
    """Return a token of 128 bits."""
    return secrets.token_urlsafe(TOKEN_BYTES)


@dataclass(frozen=True)
class Door:
    """Who is let in.

    Attributes
    ----------
    token
        That the first address has.
    hosts
        Names that browsers may call the server by, in small letters.
    cookie
        Name of the cookie.
    """

    token: str
    hosts: frozenset[str]
    cookie: str = "rsciio_xfm"

    def is_host(self, host: str) -> bool:
        """Tell whether a Host header is a name of the server; the port does not matter."""
        name = host.lower()
        if name.startswith("["):
            name = name[1:].partition("]")[0]
        elif name.count(":") == 1:
            name = name.partition(":")[0]
        return name.rstrip(".") in self.hosts

    def is_token(self, given: str) -> bool:
        """Tell whether a token is right, in a time that tells nothing."""
        return secrets.compare_digest(given.encode(), self.token.encode())

    def new_cookie(self) -> str:
        """Return what a client is known by: a number, and that it was let in."""
        client = secrets.token_hex(_CLIENT_BYTES)
        return f"{client}.{self._sign(client)}"

    def client_of(self, cookie: str) -> str | None:
        """Return the client that a cookie is of; None if it was not let in."""
        client, _, given = cookie.partition(".")
        expected = self._sign(client)
        return (
            client if secrets.compare_digest(given.encode(), expected.encode()) else None
        )

    def _sign(self, client: str) -> str:
        return hmac.new(self.token.encode(), client.encode(), hashlib.sha256).hexdigest()


def make_app(explorer: Explorer, door: Door) -> "Starlette":
    """Return the application: pages and answers, and who may have them.

    Raises
    ------
    ImportError
        Starlette is not installed; names the extra.
    """
    require("starlette", EXTRA)
    from starlette.applications import Starlette
    from starlette.responses import RedirectResponse
    from starlette.routing import Route

    async def index(request: "Request") -> "Response":
        if "token" in request.query_params:
            return _let_in(request, RedirectResponse, door)
        return _static("index.html")

    async def page(request: "Request") -> "Response":
        return _static(request.path_params["name"])

    async def api(request: "Request") -> "Response":
        answer = await _ask(explorer, request)
        accepted = request.headers.get("accept-encoding", "")
        # On one's own machine large answers come faster as they are.
        most = math.inf if explorer.is_served else _MOST_GZIPPED
        if not _LEAST_GZIPPED <= len(answer.body) <= most or "gzip" not in accepted:
            return _respond(answer)
        body = await asyncio.to_thread(lambda: answer.gzipped)
        response = _respond(replace(answer, body=body))
        response.headers["Content-Encoding"] = "gzip"
        return response

    async def failed(_: "Request", error: Exception) -> "Response":
        kind = type(error).__name__
        problem = QuestionError(
            500, f"The explorer itself failed ({kind}).", "Ask again, or reload the page."
        )
        return _respond(problem.answer())

    async def missing(request: "Request", _: Exception) -> "Response":
        problem = QuestionError(404, f"There is nothing at {request.url.path[:80]!r}.")
        return _respond(problem.answer())

    app = Starlette(
        routes=[
            Route("/", index),
            Route("/page/{name:path}", page),
            Route("/api/{path:path}", api),
        ],
        exception_handlers={404: missing, 500: failed},
    )
    app.add_middleware(_Guard, door=door)
    return app


def _let_in(request: "Request", redirect: Any, door: Door) -> "Response":
    """Turn the token of an address into a cookie, and send the browser on without it."""
    response = redirect("/", status_code=303)
    cookie = request.cookies.get(door.cookie, "")
    if door.client_of(cookie) is None:
        cookie = door.new_cookie()
    response.set_cookie(
        door.cookie,
        cookie,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",  # by a proxy with TLS
        path="/",
    )
    return response


class _Guard:
    """Refuses what is not meant for this server, before anything else looks at it."""

    def __init__(self, app: Any, door: Door) -> None:
        self.app, self.door = app, door

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            await self.app(scope, receive, send)
            return
        from starlette.requests import Request

        request = Request(scope)
        refused = self._refuse(request)

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = [(k.lower().encode(), v.encode()) for k, v in HEADERS.items()]
                message["headers"] = [*message.get("headers", ()), *own]
            await send(message)

        app = self.app if refused is None else refused
        await app(scope, receive, send_with_headers)

    def _refuse(self, request: "Request") -> "Response | None":
        """Return what a request is refused with; None if it is fine."""
        from starlette.responses import HTMLResponse

        if not self.door.is_host(request.headers.get("host", "")):
            return _respond(
                QuestionError(
                    403,
                    "The explorer is not known by this name.",
                    "Use the address that it printed, or name this one: --name.",
                ).answer()
            )
        if request.method != "GET":
            return _respond(QuestionError(405, "The explorer only answers GET.").answer())
        if len(request.scope.get("query_string", b"")) > _MOST_URL:
            return _respond(
                QuestionError(
                    400, "The question is too long.", "Use fewer or simpler regions."
                ).answer()
            )
        if request.url.path == "/" and self._has_token(request):
            return None
        client = self.door.client_of(request.cookies.get(self.door.cookie, ""))
        if client is not None:
            address = "" if request.client is None else request.client.host
            request.state.client = Client(client, address)
            return None
        if request.url.path == "/":
            return HTMLResponse(_REFUSED, status_code=403)
        return _respond(
            QuestionError(
                403,
                "The explorer was started anew, or you have not been let in.",
                "Open the whole address that it printed.",
            ).answer()
        )

    def _has_token(self, request: "Request") -> bool:
        return self.door.is_token(request.query_params.get("token", ""))


async def _ask(explorer: Explorer, request: "Request") -> Answer:
    """Ask a question, and wait for the answer as long as the client does."""
    params = request.query_params
    query = {key: params.getlist(key) for key in params}
    path = "api/" + request.path_params["path"]
    begun = await asyncio.to_thread(begin, explorer, path, query, request.state.client)
    if not isinstance(begun, Ticket):
        return begun
    future = asyncio.wrap_future(begun.future)
    future.add_done_callback(_look_at)
    try:
        while not future.done():
            await asyncio.wait([future], timeout=_POLL)
            if not future.done() and await request.is_disconnected():
                return QuestionError(499, "The client has gone.").answer()
        return future.result()
    except PassCancelledError:
        return QuestionError(503, "The question was cancelled.", "Ask again.").answer()
    finally:
        begun.leave()


def _look_at(future: "asyncio.Future[Answer]") -> None:
    """See an exception that nobody waits for, or asyncio reports it."""
    if not future.cancelled():
        future.exception()


def _respond(answer: Answer) -> "Response":
    from starlette.responses import Response

    headers = {}
    if answer.filename is not None:
        headers["Content-Disposition"] = f'attachment; filename="{answer.filename}"'
    if answer.status == 429:
        headers["Retry-After"] = "1"
    return Response(answer.body, answer.status, headers, answer.media_type)


def page_folder() -> Path:
    """Return the folder of the page."""
    return Path(str(resources.files("rsciio_xfm.explore") / "page")).resolve()


def _static(name: str) -> "Response":
    """Return a file of the page."""
    from starlette.responses import Response

    folder = page_folder()
    missing = QuestionError(404, "There is no such file of the page.")
    try:
        path = (folder / name).resolve()
        media_type = _TYPES.get(path.suffix)
        if not path.is_relative_to(folder) or media_type is None or not path.is_file():
            return _respond(missing.answer())
        return Response(path.read_bytes(), media_type=media_type)
    except (OSError, ValueError):  # a name that no file can have
        return _respond(missing.answer())


# Running.


@dataclass(frozen=True)
class Place:
    """Where a server listens.

    Attributes
    ----------
    host, port
        Address; port 0 takes one that is free.
    names
        Further names that browsers may use.
    token
        That lets people in.
    """

    host: str = "127.0.0.1"
    port: int = 0
    names: tuple[str, ...] = ()
    token: str = ""

    @property
    def is_local(self) -> bool:
        """Whether only this machine reaches it."""
        return self.host in LOOPBACK


def names_of(host: str, others: Iterable[str] = ()) -> frozenset[str]:
    """Return the names that browsers may call a server by that listens at an address."""
    names = {*LOOPBACK, *(one.lower() for one in others)}
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 - of all interfaces, as the user chose
        import psutil

        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        for addresses in psutil.net_if_addrs().values():
            names |= {a.address.partition("%")[0].lower() for a in addresses}
    else:
        names.add(host.lower())
    return frozenset(names)


def _impatient(protocol: Any) -> Any:
    """Return a protocol of uvicorn's that closes connections on which nothing happens.

    Otherwise those who connect and never finish a question, for which no token is needed,
    would keep all others out; and those who never take their answer would fill the memory.
    Nor does one address have all connections, but this machine, where a proxy may be.
    """
    of_address: Counter[str] = Counter()

    class Impatient(protocol):
        _address = ""
        _watch: asyncio.TimerHandle | None = None
        _seen: Any = None
        _n_same = 0

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._address = str((transport.get_extra_info("peername") or ("",))[0])
            of_address[self._address] += 1
            is_full = of_address[self._address] > _MOST_OF_ADDRESS
            if is_full and self._address not in LOOPBACK:
                transport.abort()
                return
            self._look_later()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._watch is not None:
                self._watch.cancel()
            of_address[self._address] -= 1
            if not of_address[self._address]:
                del of_address[self._address]
            super().connection_lost(exc)

        def _look_later(self) -> None:
            self._watch = self.loop.call_later(_MOST_SILENCE, self._look)

        def _look(self) -> None:
            cycle, unsent = self.cycle, self.transport.get_write_buffer_size()
            is_answering = cycle is not None and not cycle.response_complete
            now = cycle, unsent
            self._n_same = self._n_same + 1 if now == self._seen else 0
            # A slow network takes long to make room for more of an answer.
            most = _MOST_PATIENCE if unsent else 1
            if self._n_same >= most and (unsent or not is_answering):
                self.transport.abort()
                return
            self._seen = now
            self._look_later()

    return Impatient


class Running:
    """A server that runs in a thread of its own.

    Attributes
    ----------
    address
        That lets somebody in: with the token.
    """

    def __init__(self, explorer: Explorer, place: Place) -> None:
        uvicorn = require("uvicorn", EXTRA)
        from uvicorn.protocols.http.h11_impl import H11Protocol

        self.explorer, self.place = explorer, place
        family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
        # Only of sockets whose protocol is told asyncio knows that they are TCP, and sends
        # answers at once (TCP_NODELAY), not after the client's delayed acknowledgement.
        self._socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((place.host, place.port))
            self._socket.listen(_BACKLOG)  # whoever comes first waits
        except OSError:
            self._socket.close()
            raise
        self.port = self._socket.getsockname()[1]
        self.token = place.token or new_token()
        door = Door(
            self.token, names_of(place.host, place.names), f"rsciio_xfm_{self.port}"
        )
        config = uvicorn.Config(
            make_app(explorer, door),
            access_log=False,
            log_level="error",
            server_header=False,
            http=_impatient(H11Protocol),
            ws="none",
            lifespan="off",
            h11_max_incomplete_event_size=_MOST_URL + 2**14,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None
        self._reading = contextlib.ExitStack()
        # A file that somebody writes again must not end the server. Regions cost no more so;
        # windows of a map that has no cache take twice as long.
        if isinstance(explorer.listing, Listing):
            self._reading.enter_context(mapping_left_out())

    @property
    def address(self) -> str:
        """What a browser opens."""
        return (
            f"http://{self._shown_host()}:{self.port}/?token={quote(self.token, safe='')}"
        )

    def _shown_host(self) -> str:
        host = self.place.host
        if host in ("0.0.0.0", "::", ""):  # noqa: S104
            host = socket.gethostname()
        return f"[{host}]" if ":" in host else host

    def start(self) -> "Running":
        """Answer from now on, in a thread."""
        self._thread = threading.Thread(target=self.run, name="explorer", daemon=True)
        self._thread.start()
        return self

    def run(self) -> None:
        """Answer until it is closed."""
        with contextlib.suppress(KeyboardInterrupt):
            self._server.run(sockets=[self._socket])

    def wait(self) -> None:
        """Wait until it is closed, or Ctrl-C."""
        with contextlib.suppress(KeyboardInterrupt):
            while self._thread is not None and self._thread.is_alive():
                self._thread.join(0.5)

    def close(self) -> None:
        """Stop, and close all maps."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(10)
        self._socket.close()
        self.explorer.close()
        self._reading.close()

    def __enter__(self) -> "Running":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()
