"""``rsciio_xfm.explore(path)`` and ``rsciio_xfm.explore.serve(folder)``."""

import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.listing import Listing
from rsciio_xfm.explore.server import LEAST_TOKEN, Place, Running

MEMORY = 128.0  # MiB, of what is kept besides the program
_WAITING_OF_ONE = 8  # questions of a kind in the queue: nobody else waits


def explore(
    path: str | Path,
    browser: bool = True,
    wait: bool | None = None,
    *,
    port: int = 0,
    memory: float = MEMORY,
    cache: bool = True,
    **reader: Any,
) -> Running:
    """Explore a map in the browser.

    Parameters
    ----------
    path
        Of a file of a format that this package reads.
    browser
        Whether the browser is opened.
    wait
        Whether to wait for Ctrl-C; None does so in a script, which would end at once.
    port
        Of this machine; 0 takes one that is free.
    memory
        MiB that answers and open maps may take, besides the program.
    cache
        Whether a large map gets a cache on disk, which makes answers fast.
    **reader
        Options of the reader of the format: ``detector=0``, ``dataset_path="..."``.

    Returns
    -------
    rsciio_xfm.explore.server.Running
        ``.address`` is what the browser opens, ``.close()`` ends it.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ImportError
        Starlette or uvicorn is not installed; names the extra.
    OSError
        The port is taken.

    Examples
    --------
    >>> import rsciio_xfm
    >>> explorer = rsciio_xfm.explore("map.spd", browser=False, wait=False)
    >>> explorer.address[:17]
    'http://127.0.0.1:'
    >>> explorer.close()
    """
    explorer = Explorer(
        Listing(Path(path), reader),
        memory=round(memory * 2**20),
        most_waiting=_WAITING_OF_ONE,
        is_cached=cache,
    )
    server = _start(explorer, Place(port=port))
    if browser and _has_screen():
        webbrowser.open(server.address)
    is_script = not (hasattr(sys, "ps1") or sys.flags.interactive or _in_notebook())
    if is_script if wait is None else wait:
        sys.stdout.write(f"{server.address}\nCtrl-C ends the explorer.\n")
        server.wait()
        server.close()
    return server


def serve(
    folder: str | Path,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    memory: float = MEMORY,
    token: str | None = None,
    names: Sequence[str] = (),
    cache: bool = True,
) -> Running:
    """Let others explore the maps of a folder in their browsers.

    Parameters
    ----------
    folder
        Whose maps, and those of folders in it, are shown; links that lead out are left out.
    host
        Address to listen at: this machine only, or ``"0.0.0.0"`` for all.
    port
        0 takes one that is free.
    memory
        MiB that answers and open maps may take, besides the program.
    token
        That lets people in, of at least 22 characters; None makes a new one.
    names
        Further names by which browsers reach this server: of a proxy, say.
    cache
        Whether large maps get a cache on disk, which makes answers fast.

    Returns
    -------
    rsciio_xfm.explore.server.Running
        ``.address`` is what browsers open, ``.wait()`` waits for Ctrl-C, ``.close()`` ends it.

    Raises
    ------
    FileNotFoundError
        There is no such folder.
    ImportError
        Starlette or uvicorn is not installed; names the extra.
    OSError
        The port is taken.
    ValueError
        The token is too short.

    Examples
    --------
    >>> import rsciio_xfm
    >>> server = rsciio_xfm.explore.serve(".")
    >>> server.address[:17]
    'http://127.0.0.1:'
    >>> server.close()
    """
    if token is not None and len(token) < LEAST_TOKEN:
        raise ValueError(
            f"The token has {len(token)} characters, expected at least {LEAST_TOKEN}, as "
            'python -c "import secrets; print(secrets.token_urlsafe())" makes them.'
        )
    listing = Listing(Path(folder))
    explorer = Explorer(listing, memory=round(memory * 2**20), is_cached=cache)
    return _start(explorer, Place(host, port, tuple(names), token or ""))


def _start(explorer: Explorer, place: Place) -> Running:
    try:
        return Running(explorer, place).start()
    except BaseException:
        explorer.close()
        raise


def _has_screen() -> bool:
    """Tell whether there is a screen: a browser in the terminal would take it over."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform != "linux" or any(map(os.environ.get, names))


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and shell.get_ipython() is not None
