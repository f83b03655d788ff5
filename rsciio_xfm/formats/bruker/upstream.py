"""What RosettaSciIO reads of Bruker's files: images of the sample, and single spectra."""

import zlib
from pathlib import Path
from typing import Any

from rsciio_xfm.core.eds import MOST_SEM_KV, SIGNAL_TYPE
from rsciio_xfm.core.faults import UPSTREAM
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.bruker.metadata import describe_tube
from rsciio_xfm.formats.bruker.parse import read_spx

_LEAST_OF_TEM = 60.0  # kV, of those that are used for EDS

# What its reader raises on damaged files; SyntaxError of their XML.
_FAULTS = (*UPSTREAM, SyntaxError, UnboundLocalError, zlib.error)


def read_images(
    path: Path, instrument: str | None, is_optional: bool, problem: str
) -> list[dict]:
    """Read the images of a ``.bcf`` file, whose container and header are known to be sound.

    Parameters
    ----------
    path
        Of the file.
    instrument
        ``"SEM"``, ``"TEM"`` or None.
    is_optional
        Whether a fault is a warning: there is a map beside.
    problem
        With the header, because of which RosettaSciIO is not asked; empty if there is none.

    Raises
    ------
    FileFormatError
        They cannot be read.
    """
    from rsciio.bruker import file_reader

    text = f"{path}: its images cannot be read: {problem}"
    if not problem:
        try:
            signals = file_reader(str(path), select_type="image", instrument=instrument)
        except _FAULTS as exc:
            text += f"{exc!r:.200}"
        else:
            for signal in signals:
                order_axes_of(signal)
            return signals
    if not is_optional:
        raise FileFormatError(f"{text}. Expected what Esprit writes (byte 0).")
    warn(f"{text}. They are left out.")
    return []


def is_of_tube(kilovolts: float | None) -> bool:
    """Tell whether a voltage is that of an X-ray tube, if nothing else says what it is of.

    Scanning microscopes have less, and TEMs that are used for EDS more.
    """
    return kilovolts is not None and MOST_SEM_KV < kilovolts < _LEAST_OF_TEM


def read_spectrum(path: Path, lazy: bool) -> list[dict[str, Any]]:
    """Read an ``.spx`` file; a spectrum that an X-ray tube excited is none of a TEM.

    Raises
    ------
    FileFormatError
        It cannot be read.
    """
    from rsciio.bruker import file_reader

    spectrum = read_spx(path)  # of which nothing can become larger than it is
    try:
        signals = file_reader(str(path), lazy=lazy)
    except _FAULTS as exc:
        raise FileFormatError(
            f"{path}: the spectrum cannot be read: {exc!r:.200}. Expected what Esprit writes "
            "(byte 0)."
        ) from exc
    for signal in signals:
        order_axes_of(signal)
        metadata = signal["metadata"]
        (node,) = metadata["Acquisition_instrument"].values()
        if spectrum.tube or is_of_tube(node.get("beam_energy")):
            nodes = {"SEM": node, "XRF": describe_tube(spectrum)}
            metadata["Acquisition_instrument"] = nodes
            metadata["Signal"]["signal_type"] = SIGNAL_TYPE
    return signals


def order_axes_of(signal: dict[str, Any]) -> None:
    """Give axes what RosettaSciIO leaves to HyperSpy."""
    for i, axis in enumerate(signal["axes"]):
        axis.setdefault("navigate", False)
        axis["index_in_array"] = i
