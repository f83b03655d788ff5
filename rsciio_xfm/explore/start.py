"""``rsciio_xfm.explore(path)``: a server for one person, and the browser."""

import sys
import webbrowser
from pathlib import Path
from typing import Any

from rsciio_xfm.explore.explorer import MEMORY, explore_file
from rsciio_xfm.explore.server import Place, Running


def explore(
    path: str | Path,
    browser: bool = True,
    wait: bool | None = None,
    memory: int = MEMORY,
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
    memory
        Bytes that answers may take.
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

    Examples
    --------
    >>> explorer = rsciio_xfm.explore("map.spd", browser=False, wait=False)
    >>> explorer.address[:17]
    'http://127.0.0.1:'
    >>> explorer.close()
    """
    server = Running(
        explore_file(path, memory=memory, most_waiting=8, reader=reader), Place()
    ).start()
    if browser:
        webbrowser.open(server.address)
    is_script = not (hasattr(sys, "ps1") or sys.flags.interactive or _in_notebook())
    if is_script if wait is None else wait:
        sys.stdout.write(f"{server.address}\nCtrl-C ends the explorer.\n")
        server.wait()
        server.close()
    return server


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    return shell is not None and shell.get_ipython() is not None
