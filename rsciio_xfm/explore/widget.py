"""The explorer in a notebook: the same page, whose questions are messages to the kernel."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import anywidget
import traitlets

from rsciio_xfm.explore.answers import begin
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.messages import Answer, QuestionError
from rsciio_xfm.explore.page import widget_module, widget_style
from rsciio_xfm.explore.questions import Ticket


class ExplorerWidget(anywidget.AnyWidget):
    """The page of an explorer, in a cell of a notebook.

    Parameters
    ----------
    explorer
        That answers its questions.
    **options
        Of the widget: ``state={...}`` shows what another had.

    Attributes
    ----------
    state
        What is seen: images, regions, contrast. It follows the page, and the page follows it.
    """

    _esm = widget_module()
    _css = widget_style()
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, explorer: Explorer, **options: Any) -> None:
        super().__init__(**options)
        self.explorer = explorer
        self.on_msg(self._ask)

    def close(self) -> None:
        """Take the page away, and stop what it has begun."""
        super().close()
        self.explorer.close()

    def _ask(self, _: Any, content: Any, buffers: Any) -> None:
        if not isinstance(content, Mapping) or "id" not in content:
            return  # nobody can be answered
        number, query = content["id"], content.get("query")
        query = _texts(query) if isinstance(query, Mapping) else {}
        begun = begin(self.explorer, str(content.get("path", "")), query)
        if isinstance(begun, Answer):
            self._send_answer(number, begun)
            return
        # Messages are sent by the thread in which the kernel handles them, if it has a loop.
        later: Callable[..., Any]
        try:
            later = asyncio.get_running_loop().call_soon_threadsafe
        except RuntimeError:
            later = _now
        begun.future.add_done_callback(lambda _: later(self._finish, number, begun))

    def _finish(self, number: str, ticket: Ticket) -> None:
        self._send_answer(number, _answer_of(ticket.future))
        ticket.leave()

    def _send_answer(self, number: str, answer: Answer) -> None:
        content = {"id": number, "status": answer.status, "media_type": answer.media_type}
        self.send(content, [answer.body])


def _texts(query: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return what is asked as an address would have it: numbers are texts there."""
    return {
        key: [str(one) for one in (value if isinstance(value, list) else [value])]
        for key, value in query.items()
    }


def _now(function: Callable, *arguments: Any) -> None:
    function(*arguments)


def _answer_of(future: "Future[Answer]") -> Answer:
    error = future.exception()
    if error is None:
        return future.result()
    return QuestionError(500, f"The question failed: {error}", "Ask again.").answer()
