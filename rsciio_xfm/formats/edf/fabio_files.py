"""Files that fabio opens: quietly, with its faults said in our words."""

import bz2
import logging
import math
import os
import threading
import traceback
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.extras import require
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError

_MOST_AXES = 32  # that numpy has everywhere
_logging = threading.Lock()
_levels: list[int] = []  # of fabio's logger: its own, and one for each who keeps it quiet


def check_packed(path: str, frame: Any, number: int) -> None:
    """Refuse a frame that unpacks to more than its header says: fabio unpacks all of it."""
    packing = str(frame.header.get("COMPRESSION", frame.header.get("Compression", "")))
    unpack: Any = None
    if "GZIP" in packing.upper():
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
    elif "BZ" in packing.upper():
        unpack = bz2.BZ2Decompressor()
    elif packing.upper().startswith("Z"):
        unpack = zlib.decompressobj()
    if unpack is None:
        return
    with frame.file.lock:
        frame.file.seek(frame.start)
        raw = frame.file.read(frame.blobsize)
    expected = math.prod(frame.shape) * np.dtype(frame.dtype).itemsize
    with suppress(OSError, zlib.error):  # fabio says what is wrong
        if len(unpack.decompress(raw, expected + 1)) > expected:
            raise CorruptFileError(
                f"{path}: frame {number} unpacks to more than the {expected} bytes of "
                f"{tuple(frame.shape)} of {frame.dtype}, expected these (byte {frame.start})."
            )


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """Open an image with fabio, and turn what it raises into our errors.

    Yields
    ------
    fabio.fabioimage.FabioImage

    Raises
    ------
    FileFormatError
        It is no image that fabio knows.
    CorruptFileError
        Fabio cannot read it, now or within the ``with`` block.
    """
    fabio = require("fabio", "esrf")
    _bound_ranks(require("fabio.edfimage", "esrf").EdfFrame)
    size = os.stat(path).st_size
    with quiet():
        try:
            image = fabio.open(str(path))
        except Exception as exc:
            if _is_own(exc, path):
                raise
            traceback.clear_frames(exc.__traceback__)  # they keep the file open
            raise FileFormatError(
                f"{path}: fabio cannot read it: {exc or type(exc).__name__} (byte 0; the file "
                f"has {size} bytes). Expected an image of one of its formats."
            ) from exc
        try:
            with image:
                yield image
        except (FileFormatError, ImportError):
            raise
        except Exception as exc:
            if _is_own(exc, path):
                raise
            raise CorruptFileError(
                f"{path}: fabio cannot read it: {exc!r} (byte 0; the file has {size} bytes). "
                "Expected a whole image."
            ) from exc


def _bound_ranks(frame_class: Any) -> None:
    """Let fabio refuse an EDF header with a key such as Dim_99999999.

    It makes a list as long as that number, in a time that grows with its square.
    """
    find_rank = frame_class.get_data_rank
    if find_rank.__module__ == __name__:
        return

    def get_data_rank(*arguments: Any, **keywords: Any) -> int:
        rank = find_rank(*arguments, **keywords)
        if rank > _MOST_AXES:
            raise ValueError(
                f"the header of a frame has a key Dim_{rank}, expected at most "
                f"Dim_{_MOST_AXES}"
            )
        return rank

    frame_class.get_data_rank = staticmethod(get_data_rank)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep fabio from logging what is said here, in any number of threads."""
    logger = logging.getLogger("fabio")
    with _logging:
        if not _levels:
            _levels.append(logger.level)
            logger.setLevel(logging.CRITICAL)
        _levels.append(logger.level)
    try:
        yield
    finally:
        with _logging:
            _levels.pop()
            if len(_levels) == 1:
                logger.setLevel(_levels.pop())


def _is_own(exc: Exception, path: str | Path) -> bool:
    """Tell the system's errors about a file: that it may not be read, say."""
    name = getattr(exc, "filename", None)
    return getattr(exc, "errno", None) is not None and str(name) == str(path)
