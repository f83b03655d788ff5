"""Energies of the channels, put into a ``.rpl`` file that is there."""

import re
from pathlib import Path

from rsciio_xfm.core.atomic import replacing
from rsciio_xfm.core.source import find_beside
from rsciio_xfm.formats.ripple.rpl import parse_rpl

# What tells of the energies, HyperSpy's keys first: of others the numbers would contradict.
_KEYS = re.compile(
    rb"^[ \t]*(?:MLX::)?(?:depth-scale|depth-origin|depth-units|depthscaleincrement|"
    rb"depthscaleorigin|depthscaleunits|ev-per-chan)(?=[\s:=])",
    re.IGNORECASE,
)


def write_energies(filename: str | Path, zero: float, gain: float) -> Path:
    """Put the calibration of the energy axis into a ``.rpl`` file.

    Parameters
    ----------
    filename
        Path of the text, or of the ``.raw`` file that it describes.
    zero, gain
        Energy of channel 0 and width of a channel, keV.

    Returns
    -------
    pathlib.Path
        The text: all other lines are as they were, those of an older calibration are gone.
        The numbers are not touched.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        It is no such text.
    OSError
        It cannot be read or written; it is as it was.

    Notes
    -----
    ``depth-scale``, ``depth-origin`` and ``depth-units``, as HyperSpy and RosettaSciIO write
    them.

    Examples
    --------
    >>> from rsciio_xfm.formats.ripple.energies import write_energies
    >>> write_energies("scan.rpl", -0.012, 0.01)
    PosixPath('scan.rpl')
    """
    path = Path(filename)
    rpl = path if path.suffix.lower() == ".rpl" else find_beside(path, ".rpl")
    parse_rpl(rpl)
    text = rpl.read_bytes()
    newline = b"\r\n" if b"\r\n" in text else b"\r" if b"\n" not in text else b"\n"
    kept = [line for line in text.split(newline) if not _KEYS.match(line)]
    while kept and not kept[-1].strip(b" \t\x1a"):
        kept.pop()
    own = (f"depth-scale\t{gain!r}", f"depth-origin\t{zero!r}", "depth-units\tkeV")
    lines = [*kept, *(line.encode() for line in own), b""]
    with replacing(rpl) as file:
        file.write(newline.join(lines))
    parse_rpl(rpl)
    return rpl
