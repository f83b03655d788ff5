"""Images in formats other than EDF, which fabio writes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.atomic import replacing_path
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.packed import EXTRA, LEFT_OUT
from rsciio_xfm.formats.edf.fabio_files import quiet
from rsciio_xfm.formats.edf.layout import CBF_TEXT, TEXTS, TIFF_TEXT
from rsciio_xfm.formats.edf.write import held_header, make_header


@dataclass(frozen=True)
class Kind:
    """A format.

    Attributes
    ----------
    name
        Of fabio's class.
    types
        Of the numbers that come back as they were.
    text
        Key of the header that holds keys and values as a text; empty if it keeps none.
    """

    name: str
    types: tuple[str, ...]
    text: str = ""


_INTEGERS = ("u1", "i1", "u2", "i2", "u4", "i4")
_TIFF = Kind("tifimage.TifImage", (*_INTEGERS, "u8", "i8", "f4"), TIFF_TEXT)
KINDS = {
    ".cbf": Kind("cbfimage.CbfImage", _INTEGERS, CBF_TEXT),
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".pgm": Kind("pnmimage.PnmImage", ("u1", "u2")),
    ".sfrm": Kind("bruker100image.Bruker100Image", ("u1", "i1", "u2", "i2", "i4")),
}


def write_other(
    path: Path, signal: dict[str, Any], data: Any, axes: list[dict[str, Any]]
) -> None:
    """Write an image by fabio; see :func:`rsciio_xfm.esrf.file_writer`."""
    kind = KINDS[path.suffix.lower()]
    roles = [axis["navigate"] for axis in axes]
    is_image = roles == [False, False] or (
        roles == [True, False, False] and data.shape[0] == 1
    )
    if not is_image:
        raise ValueError(
            f"{path}: the signal has {roles.count(True)} axes to navigate and "
            f"{roles.count(False)} of the signal (array {data.shape}), expected one image: "
            "the format holds one. Save each, or all of them as .edf."
        )
    if data.dtype.str[1:] not in kind.types:
        known = ", ".join(str(np.dtype(one)) for one in kind.types)
        raise TypeError(
            f"{path}: the data are {data.dtype}, expected of {known}, which the format holds "
            "as they are: convert them with the signal's change_dtype, if they fit, or save "
            "as .edf."
        )
    image = np.ascontiguousarray(np.asarray(data), data.dtype.newbyteorder("="))
    image = image.reshape(image.shape[-2:])
    module, name = kind.name.split(".")
    image_class = getattr(require(f"fabio.{module}", "esrf"), name)
    header = _header(path, signal, axes[-2:], kind)
    with quiet(), replacing_path(path) as temporary:
        image_class(data=image.copy(), header=header).write(str(temporary))
        with image_class().read(str(temporary)) as written:
            if not np.array_equal(written.data, image, equal_nan=image.dtype.kind == "f"):
                raise ValueError(
                    f"{path}: fabio's writer of the format changes the numbers, expected "
                    "them as they are: save as .edf."
                )


def _header(
    path: Path, signal: dict[str, Any], axes: list[dict[str, Any]], kind: Kind
) -> dict[str, str]:
    """Make the header that fabio is given."""
    if not kind.text:
        return {}
    held, text = held_header(signal), ""
    if kind.text == CBF_TEXT:  # what another program wrote there stays as it is
        keys = [key for key in held if key.endswith(TEXTS[0])]
        text = "\r\n".join(own for key in keys if EXTRA not in (own := held.pop(key)))
    pairs = make_header(path, signal | {"original_metadata": {"header": held}}, axes)
    pairs[EXTRA] = LEFT_OUT
    if kind.text == TIFF_TEXT:
        return pairs
    lines = [f"# {key} = {value}" for key, value in pairs.items()]
    return {CBF_TEXT: "\r\n".join([*([text] if text else []), *lines])}
