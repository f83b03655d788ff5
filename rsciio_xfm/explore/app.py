"""The application of the explorer: pages and answers over HTTP, and what is sent with them.

It only reads, so that nothing can be changed through it.
"""

import asyncio
import math
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsciio_xfm.core.extras import require
from rsciio_xfm.exceptions import PassCancelledError
from rsciio_xfm.explore.answers import begin
from rsciio_xfm.explore.door import Door
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.messages import Answer, QuestionError, is_closed
from rsciio_xfm.explore.questions import Ticket
from rsciio_xfm.explore.turns import Client

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

EXTRA = "explore"
_POLL = 0.05  # seconds, between looks whether a client is still there
MOST_URL = 2**17  # bytes of a question
_LEAST_GZIPPED, _MOST_GZIPPED = 8192, 2**20  # bytes
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
        if len(request.scope.get("query_string", b"")) > MOST_URL:
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
    except asyncio.CancelledError:  # The server ends, and waits no longer.
        return is_closed().answer()
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
