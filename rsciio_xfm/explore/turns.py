"""Whose turn it is: clients one after the other, each with what it asked first.

One who asks much waits for what he asks himself, and not everybody else with him.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Collection
from dataclasses import dataclass
from typing import Generic, TypeVar

from rsciio_xfm.explore.messages import QuestionError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Client:
    """Who asks.

    Attributes
    ----------
    name
        Of a browser: each has its own.
    address
        Of its machine, or of the machine through which a class reaches the server.
    """

    name: str = ""
    address: str = ""


@dataclass(frozen=True)
class Limits:
    """How much may wait for its turn.

    Attributes
    ----------
    client, address, everybody
        Of a client, of all clients of an address, and of all.
    """

    client: int
    address: int
    everybody: int


class Turns(Generic[Item]):
    """What waits for its turn. It is not locked.

    Parameters
    ----------
    limits
        How much may wait.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._waiting: OrderedDict[Client, deque[Item]] = OrderedDict()
        self._of_address: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._of_address.total()

    def put(self, client: Client, item: Item) -> None:
        """Let something wait for its turn.

        Raises
        ------
        QuestionError
            There waits too much.
        """
        limits, own = self.limits, self._waiting.get(client, ())
        if len(own) >= limits.client:
            raise QuestionError(
                429,
                "What you asked before still waits for its turn.",
                "Wait a moment, then ask again.",
            )
        is_full = self._of_address[client.address] >= limits.address
        if is_full or len(self) >= limits.everybody:
            raise QuestionError(
                429,
                "Too much waits for its turn: the machine is busy.",
                "Wait a moment, then ask again.",
            )
        self._append(client, item)

    def _append(self, client: Client, item: Item) -> None:
        self._waiting.setdefault(client, deque()).append(item)
        self._of_address[client.address] += 1

    def move(self, client: Client, item: Item, to: Client) -> None:
        """Let something that waits take the turn of another client."""
        self.drop(client, item)
        self._append(to, item)

    def next(self, busy: Collection[Client] = ()) -> Item | None:
        """Take what is next, of a client that is not busy; None if there is nothing."""
        client = next((one for one in self._waiting if one not in busy), None)
        if client is None:
            return None
        item = self._waiting[client][0]
        self.drop(client, item)
        if client in self._waiting:
            self._waiting.move_to_end(client)
        return item

    def drop(self, client: Client, item: Item) -> None:
        """Let something wait no longer, if it does."""
        own = self._waiting.get(client)
        if own is None or item not in own:
            return
        own.remove(item)
        if not own:
            del self._waiting[client]
        self._of_address[client.address] -= 1
        if not self._of_address[client.address]:
            del self._of_address[client.address]
