"""Writing pairs of ``.rpl`` and ``.raw`` files: RosettaSciIO's text, and numbers by blocks."""

from __future__ import annotations

import re
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.atomic import (
    holding_interrupts,
    refuse_half,
    refuse_original,
    replacing,
)
from rsciio_xfm.core.blocks import blocks, write_block
from rsciio_xfm.core.eds import with_times_of_one_spectrum
from rsciio_xfm.core.later import da
from rsciio_xfm.core.source import pair_of
from rsciio_xfm.core.writers import check_plain

_EXTENSIONS = (".rpl", ".raw")
# The first line of a .rpl file that was saved.
_SAVED = re.compile(rb";\s*File created by (RosettaSciIO|HyperSpy)\b")
_MOST_LINE = 1000


def is_original(path: Path) -> bool:
    """Tell whether a pair of files is a scanner's, rather than saved.

    Parameters
    ----------
    path
        Of one of them. Saving writes both, whichever of them is there.
    """
    rpl, raw = pair_of(path, _EXTENSIONS)
    if not rpl.is_file():
        return raw.is_file()
    with open(rpl, "rb") as file:
        return not _SAVED.match(file.readline(_MOST_LINE))


def file_writer(
    filename: str | Path,
    signal: dict[str, Any],
    encoding: str = "latin-1",
    replace_original: bool = False,
) -> None:
    """Write a signal as a ``.raw`` file, and a ``.rpl`` file that describes it.

    Parameters
    ----------
    filename
        Path of one of the two; the other gets the same name.
    signal
        A spectrum, an image, a line or a map of spectra, or a stack of images, as
        RosettaSciIO's readers return it or HyperSpy passes it. Dask arrays are written
        chunk by chunk.
    encoding
        Of the text.
    replace_original
        Replace files that were not saved before, a scanner's own say.

    Raises
    ------
    OSError
        RosettaSciIO's writer does not take the type of the numbers, or as many axes; a file
        cannot be written. Both are as they were.
    FileExistsError
        The other file is there and this one is not: it belongs to something else.
    TypeError, ValueError
        The array cannot be written: it is masked, or of unknown size. Or the files that are
        there were not saved before.

    Notes
    -----
    What the text says is up to RosettaSciIO's writer. Both files are written under temporary
    names and moved in place, the numbers first, when they are whole.

    Examples
    --------
    >>> from rsciio_xfm import edax, ripple
    >>> (map_,) = edax.file_reader("map.spd", lazy=True)
    >>> ripple.file_writer("map.rpl", map_)
    """
    path = Path(filename)
    rpl, raw = pair_of(path, _EXTENSIONS)
    refuse_half(path, raw if path == rpl else rpl)
    for written in (rpl, raw):
        refuse_original(written, is_original, replace_original)
    check_plain(path, signal["data"])
    text = _make_text(path, signal, encoding)
    data = _in_order_of_file(signal)
    with ExitStack() as stack:
        described, file = (stack.enter_context(replacing(name)) for name in (rpl, raw))
        # No error of a full disk between the moves: nothing is left to be written then.
        described.write(text)
        described.flush()
        for place, block in blocks(data):
            whole = np.ascontiguousarray(block, dtype=data.dtype)
            write_block(file, data.shape, place, whole)
        file.flush()
        with holding_interrupts():  # nor one between them
            # The numbers first: an old text with new numbers is noticed, unless it fits them.
            stack.close()


def _make_text(path: Path, signal: dict[str, Any], encoding: str) -> bytes:
    """Return what RosettaSciIO's writer says of a signal, whose numbers it is not given."""
    from rsciio.ripple import file_writer as write

    one = np.zeros((1,) * signal["data"].ndim, dtype=signal["data"].dtype)
    metadata = _in_known_form(with_times_of_one_spectrum(signal["metadata"]))
    known = signal | {"data": one, "metadata": metadata}
    try:
        with tempfile.TemporaryDirectory() as folder:
            rpl = Path(folder, "one.rpl")
            write(str(rpl), known, encoding)
            text = rpl.read_bytes() if rpl.exists() else None
    except OSError as exc:
        if exc.errno is None:  # what it refuses
            raise
        raise type(exc)(exc.errno, exc.strerror, str(path)) from exc
    if text is None:
        n_axes = sum(not axis["navigate"] for axis in signal["axes"])
        raise OSError(
            f"{path}: the signal has {n_axes} signal axes, expected one of spectra or two of "
            "images."
        )
    return text


def _in_known_form(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata whose type its writer knows, with the instruments that it looks for."""
    described = dict(metadata.get("Signal", {}))
    kind = described.get("signal_type", "")
    if "EDS" in kind and kind != "EDS_TEM":
        described["signal_type"] = "EDS_SEM"
    instruments = {"SEM": {}, "TEM": {}} | metadata.get("Acquisition_instrument", {})
    return metadata | {"Signal": described, "Acquisition_instrument": instruments}


def _in_order_of_file(signal: dict[str, Any]) -> np.ndarray | da.Array:
    """Return the array with the axes of spectra, or of images, behind those to navigate."""
    axes = signal["axes"]
    order = sorted(range(len(axes)), key=lambda i: not axes[i]["navigate"])
    data = signal["data"].transpose(order)
    # A block of a part of the channels would be written number by number.
    return data.rechunk({data.ndim - 1: -1}) if isinstance(data, da.Array) else data
