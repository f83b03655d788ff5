"""The server of the explorer, which listens at an address and runs in a thread."""

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from rsciio_xfm.core.extras import require
from rsciio_xfm.core.table import mapping_left_out
from rsciio_xfm.explore.app import EXTRA, MOST_URL, make_app
from rsciio_xfm.explore.door import LOOPBACK, Door, names_of, new_token
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.listing import Listing

_MOST_CONNECTIONS = 512
_MOST_OF_ADDRESS = 256  # of these: 25 browsers behind one address have some 150
_BACKLOG = 256
_LOOKS = 0.5  # seconds, between looks whether it has ended: Windows tells of Ctrl-C then
_GRACE = 5  # seconds, for answers that are being sent when it is closed
_MOST_WAIT = 10.0  # seconds, for all that is done then
_MOST_SILENCE = 15.0  # seconds, of a connection that asks nothing
_MOST_PATIENCE = 4  # times as long, with one that takes nothing of its answer


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


def _listen(place: Place) -> socket.socket:
    """Return a socket that listens: whoever comes before the server answers waits."""
    family = socket.AF_INET6 if ":" in place.host else socket.AF_INET
    # Only of sockets whose protocol is told asyncio knows that they are TCP, and sends
    # answers at once (TCP_NODELAY), not after the client's delayed acknowledgement.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((place.host, place.port))
        found.listen(_BACKLOG)
    except OSError:
        found.close()
        raise
    return found


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
        with contextlib.ExitStack() as stack:
            self._socket = stack.enter_context(_listen(place))
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
                h11_max_incomplete_event_size=MOST_URL + 2**14,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=_GRACE,
            )
            self._server = uvicorn.Server(config)
            # A file that somebody writes again must not end the server. Regions cost no more
            # so; windows of a map that has no cache take twice as long.
            if isinstance(explorer.listing, Listing):
                stack.enter_context(mapping_left_out())
            self._held = stack.pop_all()  # until it is closed
        self._thread: threading.Thread | None = None
        self._has_ended = threading.Event()

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
        try:
            with contextlib.suppress(KeyboardInterrupt):
                self._server.run(sockets=[self._socket])
        finally:
            self._has_ended.set()

    def wait(self) -> None:
        """Wait until it is closed, or Ctrl-C.

        Not for the thread: before Python 3.13 one that somebody waits for passes for ended
        after Ctrl-C, and its socket would be closed under it.
        """
        with contextlib.suppress(KeyboardInterrupt):
            while self._thread is not None and not self._has_ended.wait(_LOOKS):
                pass

    def close(self) -> None:
        """Stop, and close all maps."""
        self._server.should_exit = True
        self.explorer.close()  # so that who still waits for an answer is told
        if self._thread is not None:
            self._has_ended.wait(_MOST_WAIT)
        self._socket.close()
        self._held.close()

    def __enter__(self) -> "Running":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()
