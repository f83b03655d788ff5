"""``rsciio_xfm.explore(map)``: a server for one person and the browser, or a notebook."""

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsciio_xfm.core.extras import require
from rsciio_xfm.explore.explorer import MEMORY, Explorer, explore_file
from rsciio_xfm.explore.opened import Opened
from rsciio_xfm.explore.server import Place, Running

if TYPE_CHECKING:
    from rsciio_xfm.explore.widget import ExplorerWidget

_MOST_WAITING = 8  # questions of one kind of the one page that there is


def explore(
    what: Any,
    *,
    browser: bool | None = None,
    wait: bool | None = None,
    memory: int = MEMORY,
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
    memory
        Bytes that answers may take.
    **reader
        Options of the reader of the format: ``detector=0``, ``dataset_path="..."``.

    Returns
    -------
    rsciio_xfm.explore.server.Running or rsciio_xfm.explore.widget.ExplorerWidget
        The server: ``.address`` is what the browser opens, ``.close()`` ends it. In a notebook
        the page: ``.state`` is what it shows.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ImportError
        Starlette, uvicorn or anywidget is not installed; names the extra.
    TypeError
        Options of a reader are given with a signal.
    ValueError
        The signal is not one of spectra.

    Examples
    --------
    >>> explorer = rsciio_xfm.explore("map.spd", browser=False, wait=False)
    >>> explorer.address[:17]
    'http://127.0.0.1:'
    >>> explorer.close()
    """
    options: dict[str, Any] = {"memory": memory, "most_waiting": _MOST_WAITING}
    if isinstance(what, str | Path):
        explorer = explore_file(what, reader=reader, **options)
    elif reader:
        raise TypeError(
            f"{', '.join(reader)}: options of a reader, expected with a file."
        )
    else:
        explorer = Explorer({"map": opened_signal(what)}, **options)
    shell = _shell()
    if browser is None and shell == "ZMQInteractiveShell":
        require("anywidget", "explore")
        from rsciio_xfm.explore.widget import ExplorerWidget

        return ExplorerWidget(explorer)
    server = Running(explorer, Place()).start()
    if browser is None or browser:
        webbrowser.open(server.address)
    is_script = not (hasattr(sys, "ps1") or sys.flags.interactive or shell)
    if is_script if wait is None else wait:
        sys.stdout.write(f"{server.address}\nCtrl-C ends the explorer.\n")
        server.wait()
        server.close()
    return server


def opened_signal(signal: Any) -> Opened:
    """Return a signal of HyperSpy as a map that is open; its data are not copied.

    Raises
    ------
    ValueError
        It is not one of spectra of real numbers.
    """
    axes = signal.axes_manager
    is_real = signal.data.dtype.kind in "uif"
    if axes.signal_dimension != 1 or not is_real:
        raise ValueError(
            f"{signal}: the signal has {axes.signal_dimension} signal axes of "
            f"{signal.data.dtype}, expected spectra (one axis) of numbers."
        )
    return Opened(signal._to_dictionary(), signal.metadata.General.title or "Signal")


def _shell() -> str:
    """Return the class of IPython's shell, empty without one."""
    module = sys.modules.get("IPython")
    shell = None if module is None else module.get_ipython()
    return "" if shell is None else type(shell).__name__
