"""What RosettaSciIO reads of a Velox file: images, single spectra and energy-loss maps."""

import logging
import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from rsciio_xfm.core.faults import UPSTREAM
from rsciio_xfm.core.hdf5.sizes import check_all_sizes
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.velox.layout import STREAMS


def read_with_rosettasciio(
    path: Path,
    file: h5py.File,
    lazy: bool,
    is_optional: bool,
    view: Path | None = None,
    **options: Any,
) -> list[dict[str, Any]]:
    """Read what is not a stream of events with RosettaSciIO.

    Parameters
    ----------
    path, file
        The file.
    lazy
        As of its reader.
    is_optional
        Whether a fault is a warning: there is a map beside.
    view
        Path of a file that points to what is to be read; None reads all of `path`.
    **options
        Of its reader, ``select_type`` among them.

    Raises
    ------
    FileFormatError
        It cannot read them, and they are what was asked for.
    CorruptFileError
        A dataset claims to be larger than what is stored of it.
    """
    from rsciio.emd import file_reader

    try:
        for kind, group in file["Data"].items():
            if kind != Path(STREAMS).name and isinstance(group, h5py.Group):
                check_all_sizes(path, group)
        return file_reader(str(view or path), lazy=lazy, **options)
    except UPSTREAM as exc:
        if isinstance(exc, FileFormatError) and not is_optional:
            raise
        # Lazily, it leaves the file open in these.
        traceback.clear_frames(exc.__traceback__)
        what = options["select_type"] or "signals"
        text = f"{path}: its {what} cannot be read: {exc!r}"
        if not is_optional:
            raise FileFormatError(
                f"{text}. Expected what Velox writes (byte 0, the whole file)."
            ) from exc
        warn(f"{text}. They are left out.")
        return []


def read_energy_loss(
    path: Path, file: h5py.File, is_optional: bool
) -> list[dict[str, Any]]:
    """Read the energy-loss maps of a file that has streams too, with RosettaSciIO.

    Its reader reads all streams as well. It is given a file that points to everything else.

    Returns
    -------
    list of dict
        Not lazy, as of its reader.
    """
    target = os.path.abspath(path)
    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / path.name
        with h5py.File(link, "w") as view:
            names = [name for name in file if name != "Data"]
            names += [f"Data/{name}" for name in file["Data"]]
            for name in names:
                if name != STREAMS:
                    view[name] = h5py.ExternalLink(target, f"/{name}")
        with _quiet():
            signals = read_with_rosettasciio(
                path, file, False, is_optional, link, select_type="spectrum_image"
            )
    for signal in signals:
        signal["metadata"]["General"]["original_filename"] = path.name
    return signals


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep RosettaSciIO from saying that there are no streams."""
    logger = logging.getLogger("rsciio")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
