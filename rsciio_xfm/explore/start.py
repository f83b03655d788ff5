"""``rsciio_xfm.explore(map)`` and ``rsciio_xfm.explore.serve(folder)``."""

import errno
import os
import socket
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsciio_xfm.core.config import EXPLORER_MIB
from rsciio_xfm.core.extras import require
from rsciio_xfm.explore.door import LEAST_TOKEN
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.listing import Listing
from rsciio_xfm.explore.opened import Opened, check_options
from rsciio_xfm.explore.server import Place, Running

if TYPE_CHECKING:
    from rsciio_xfm.explore.widget import ExplorerWidget

# By the number of the system's error, when a server cannot listen.
_NO_PLACE = {
    errno.EADDRINUSE: "Port {port} is taken by another program, or by an explorer that still "
    "runs: choose another port, or none, which takes one that is free.",
    errno.EACCES: "Port {port} is not for everybody to use: choose one above 1024, or none, "
    "which takes one that is free.",
    errno.EADDRNOTAVAIL: "{host} is no address of this machine: 0.0.0.0 are all that it has, "
    "127.0.0.1 is the one that only this machine reaches.",
    **dict.fromkeys(
        (socket.EAI_NONAME, socket.EAI_AGAIN),
        "{host} is no name of this machine: 0.0.0.0 are all addresses that it has, 127.0.0.1 "
        "is the one that only this machine reaches.",
    ),
}
_WAITING_OF_ONE = 8  # questions of a kind in the queue: nobody else waits


def explore(
    what: Any,
    browser: bool | None = None,
    wait: bool | None = None,
    *,
    port: int = 0,
    memory: float = EXPLORER_MIB,
    cache: bool = True,
    **reader: Any,
) -> "Running | ExplorerWidget":
    """Explore a map in the browser, or in the notebook.

    Parameters
    ----------
    what : str, pathlib.Path or hyperspy.api.signals.BaseSignal
        A file of a format that this package reads, or a signal of spectra of any type, lazy
        or not.
    browser
        True opens a browser, False leaves that to you. None opens one, but in a notebook,
        where the page is the output of the cell.
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
    rsciio_xfm.explore.server.Running or rsciio_xfm.explore.widget.ExplorerWidget
        The server: ``.address`` is what the browser opens, ``.close()`` ends it. In a notebook
        the page: ``.state`` is what it shows, ``.close()`` ends it too.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ImportError
        Starlette, uvicorn or anywidget is not installed; names the extra.
    OSError
        The port is taken, or may not be used.
    TypeError
        The reader does not have an option, or options of one are given with a signal.
    ValueError
        The signal is not one of spectra.

    Examples
    --------
    >>> import rsciio_xfm
    >>> explorer = rsciio_xfm.explore("map.spd", browser=False, wait=False)
    >>> explorer.address[:17]
    'http://127.0.0.1:'
    >>> explorer.close()
    """
    explorer = Explorer(
        _listing(what, reader),
        memory=round(memory * 2**20),
        most_waiting=_WAITING_OF_ONE,
        is_cached=cache,
    )
    shell = _shell()
    if browser is None and shell == "ZMQInteractiveShell":
        require("anywidget", "explore")
        from rsciio_xfm.explore.widget import ExplorerWidget

        return ExplorerWidget(explorer)
    server = _start(explorer, Place(port=port))
    if browser is not False and _has_screen():
        webbrowser.open(server.address)
    is_script = not (hasattr(sys, "ps1") or sys.flags.interactive or shell)
    if is_script if wait is None else wait:
        sys.stdout.write(f"{server.address}\nCtrl-C ends the explorer.\n")
        server.wait()
        server.close()
    return server


def _listing(what: Any, reader: dict[str, Any]) -> Listing | dict[str, Opened]:
    if isinstance(what, str | Path):
        check_options(Path(what), reader)
        return Listing(Path(what), reader)
    if reader:
        raise TypeError(
            f"{', '.join(reader)}: options of a reader, expected with a file."
        )
    return {"map": opened_signal(what)}


def opened_signal(signal: Any) -> Opened:
    """Return a signal of HyperSpy as a map that is open; its data are not copied.

    Raises
    ------
    ValueError
        It is not one of spectra of real numbers.
    """
    n_axes = signal.axes_manager.signal_dimension
    if n_axes != 1 or signal.data.dtype.kind not in "uif":
        raise ValueError(
            f"{signal}: the signal has {n_axes} signal axes of {signal.data.dtype}, "
            "expected spectra (one axis) of numbers."
        )
    return Opened(signal._to_dictionary(), signal.metadata.General.title or "Signal")


def serve(
    folder: str | Path,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    memory: float = EXPLORER_MIB,
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
        The port is taken or may not be used, or the host is no address of this machine.
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
    except OSError as error:
        explorer.close()
        if error.errno not in _NO_PLACE:
            raise
        said = _NO_PLACE[error.errno].format(host=place.host, port=place.port)
        raise OSError(said) from error
    except BaseException:
        explorer.close()
        raise


def _shell() -> str:
    """Return the class of IPython's shell, empty without one."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return "" if shell is None else type(shell).__name__


def _has_screen() -> bool:
    """Tell whether there is a screen: a browser in the terminal would take it over."""
    names = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.platform != "linux" or any(map(os.environ.get, names))
