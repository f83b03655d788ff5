"""Who is let in by a server: its token, the cookie that this becomes, and its names.

Browsers must call the server by a name of its own, against DNS rebinding, and have a cookie
that only the address with the token gives.
"""

import hashlib
import hmac
import secrets
import socket
from collections.abc import Iterable
from dataclasses import dataclass

TOKEN_BYTES = 16  # 128 bits
LEAST_TOKEN = 22  # characters of such a token
_CLIENT_BYTES = 8
LOOPBACK = ("127.0.0.1", "localhost", "::1")


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
