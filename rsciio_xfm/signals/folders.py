"""Results of an analysis as files of a folder, which are written all together."""

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal2D

from rsciio_xfm.core.atomic import check_replaceable, replacing_in
from rsciio_xfm.signals.saving import fit_tiff

# For print; text of .pdf and .svg is text, which can be searched and edited.
_PRINT: Any = {"savefig.dpi": 300, "svg.fonttype": "none", "pdf.fonttype": 42}
Writers = Mapping[str, Callable[[Path], None]]


def save_files(
    folder: str | Path, writers: Writers, old: Iterable[Path], overwrite: bool
) -> list[Path]:
    """Write files to a folder, when all of them are whole.

    Parameters
    ----------
    folder
        Made if it is not there.
    writers
        What writes each file, by its name: it is called with a path of that name.
    old
        Files of results that were written before: those that are none of the new ones are
        removed in the end.
    overwrite
        Whether files may be there.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    FileExistsError
        A file is there, and `overwrite` is False.
    NotADirectoryError
        The folder is a file.
    ValueError, PermissionError
        What is there is no file, or may only be read; or there is no name.
    """
    if not str(folder).strip():
        raise ValueError(f"The folder is {str(folder)!r}, expected a name, or '.'.")
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file, expected a folder or none.")
    paths = [folder / name for name in writers]
    there = [*old, *(path for path in paths if path.exists())]
    if there and not overwrite:
        raise FileExistsError(f"{there[0]} exists; use overwrite=True to replace it.")
    for path in there:
        check_replaceable(path)
    with _made(folder), replacing_in(folder) as temporary:
        for name, write in writers.items():
            write(temporary / name)
    for path in set(there) - set(paths):
        path.unlink(missing_ok=True)
    return paths


@contextlib.contextmanager
def _made(folder: Path) -> Any:
    """Make a folder; if nothing is put into a new one, it goes again."""
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def save_image(image: BaseSignal, path: Path) -> None:
    """Write a map as TIFF; a line becomes an image of one row."""
    shown = image.deepcopy()
    if image.axes_manager.signal_dimension == 1:
        shown = Signal2D(np.atleast_2d(image.data))
    fit_tiff(shown)
    shown.save(path)


def save_figure(axes: Any, path: Path) -> None:
    """Write the figure of some axes for print, 300 dpi or vectors, and close it."""
    import matplotlib.pyplot as plt

    figure = np.ravel(axes)[0].figure
    try:
        with plt.rc_context(_PRINT):
            figure.savefig(path)
    finally:
        plt.close(figure)


def save_lines(lines: Sequence[str], path: Path) -> None:
    """Write lines of text."""
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
