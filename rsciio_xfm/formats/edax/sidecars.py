"""The files beside a map: where they are, and what they say, checked."""

import csv
import re
import warnings
import xml.parsers.expat
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from rsciio_xfm.core.eds import ELEMENTS, build_axis, order_axes
from rsciio_xfm.core.fields import field_offset
from rsciio_xfm.core.source import open_unbuffered
from rsciio_xfm.exceptions import FileFormatError, TruncatedFileError
from rsciio_xfm.formats.edax.layout import (
    IPR_333,
    IPR_334,
    SPC_COUNTS,
    SPC_HEADER,
    SPC_WHOLE_061,
    SPC_WHOLE_070,
    ByteOrder,
)
from rsciio_xfm.formats.edax.parse import Header

_MAX_EV_PER_CHANNEL = 1000
# Other formats named .spc. Galactic's second byte is its version: new, of either byte order,
# or old (Galactic SPC File Format, SPC.H). EDAX's first four are a number, 0.61 or 0.70.
_GALACTIC_VERSIONS = (b"\x4b", b"\x4c", b"\x4d")
_PHI_MAGIC = b"SOFH"  # start of the text before the spectra of photoelectrons
_MAX_KEV = 1000
_UM_PER_PIXEL = 1e-6, 1e6
_MAX_XML_BYTES = 256 * 2**10  # 250 bytes in files seen
_MAX_CSV_BYTES = 4 * 2**20
_MAX_DEPTH = 20  # of an .xml file; 2 in files seen
_IPR_SINCE_334 = 334
_FULL_HEADER_SINCE = 0.7
_MOST_DISTANCE = 1e12  # of any unit
_RGB = np.dtype({"names": ["R", "G", "B"], "formats": ["u1", "u1", "u1"]})
_MOST_PIXELS = 8  # per byte of the file: those of two colours


def find_file(folder: Path, names: Iterable[str]) -> Path | None:
    """Find the first of some names in a folder, whatever their case.

    Parameters
    ----------
    folder
        Where to look.
    names
        In the order in which they are looked for. The exact name comes first.
    """
    try:
        there = {path.name: path for path in sorted(folder.iterdir())}
    except OSError:  # a folder that may be entered but not listed
        return next((folder / n for n in names if (folder / n).is_file()), None)
    folded = {name.casefold(): path for name, path in there.items()}
    for name in names:
        path = there.get(name, folded.get(name.casefold()))
        if path is not None and path.is_file():
            return path
    return None


@dataclass(frozen=True)
class SpcHeader:
    """What a ``.spc`` file says; see :func:`read_spc`.

    Attributes
    ----------
    tree
        Its fields, EDAX's names.
    n_channels
        Of its own spectrum.
    data_start
        Byte at which its counts begin.
    kev_per_channel, start_kev
        Energy scale, keV.
    elements
        Symbols, sorted.
    collected
        When the spectrum was measured, None if it does not say.
    faults
        Names of the fields that cannot be true, with what they are.
    """

    tree: dict[str, Any]
    n_channels: int
    data_start: int
    kev_per_channel: float
    start_kev: float
    elements: list[str]
    collected: datetime | None
    faults: list[str]


def read_spc(path: Path, endianness: ByteOrder, load_all: bool) -> SpcHeader:
    """Read and check the header of a ``.spc`` file.

    Parameters
    ----------
    path
        The file.
    endianness
        ``"<"`` or ``">"``.
    load_all
        Whether the tree has all fields of the format.

    Raises
    ------
    FileFormatError
        The file is too short, or its energy scale cannot be true.
    """
    with open_unbuffered(path) as file:
        raw = file.read(SPC_WHOLE_070)
    _refuse_other_maker(path, raw)
    if len(raw) < SPC_HEADER.itemsize:
        raise TruncatedFileError(
            f"{path}: the file has {len(raw)} bytes, expected at least the "
            f"{SPC_HEADER.itemsize} of a .spc header (byte {len(raw)})."
        )
    dtype = SPC_HEADER.newbyteorder(endianness)
    header = np.frombuffer(raw, dtype=dtype, count=1)[0]
    ev, start = int(header["evPerChan"]), float(header["startEnergy"])
    start_bound = f"a number within {-_MAX_KEV} and {_MAX_KEV} keV"
    for name, is_sound, expected in (
        ("evPerChan", 0 < ev <= _MAX_EV_PER_CHANNEL, f"1 to {_MAX_EV_PER_CHANNEL} eV"),
        ("startEnergy", abs(start) <= _MAX_KEV, start_bound),
        ("numPts", header["numPts"] > 0, "at least 1"),
        (
            "dataStart",
            header["dataStart"] >= dtype.itemsize,
            f"at least {dtype.itemsize}",
        ),
    ):
        if not is_sound:
            raise FileFormatError(
                f"{path}: {name} is {header[name]}, expected {expected} (byte "
                f"{field_offset(dtype, name)}). The file is damaged or of the other byte "
                "order."
            )
    elements, faults = _read_elements(header)
    tree = _read_whole_spc(path, raw, header, endianness) if load_all else None
    if load_all and tree is None:
        faults.append("not all of its fields can be read, as load_all_spc asks for")
    return SpcHeader(
        tree=tree or {name: header[name] for name in dtype.names or ()},
        n_channels=int(header["numPts"]),
        data_start=int(header["dataStart"]),
        kev_per_channel=ev / 1000,
        start_kev=start,
        elements=elements,
        collected=_read_moment(header),
        faults=faults,
    )


def _refuse_other_maker(path: Path, raw: bytes) -> None:
    """Say whose file it is, if it is one of the other formats named ``.spc``."""
    maker = None
    if raw[1:2] in _GALACTIC_VERSIONS:
        maker = "Galactic Industries (Thermo GRAMS)"
    elif raw.startswith(_PHI_MAGIC):
        maker = "Physical Electronics (PHI)"
    if maker is not None:
        raise FileFormatError(
            f"{path}: the file is a .spc of {maker}, it begins with {raw[:4].hex(' ')}, "
            "expected one of EDAX (byte 0). Neither this package nor RosettaSciIO reads it: "
            "export it as .msa (EMSA/MAS) from the program that wrote it."
        )


def _read_elements(header: np.void) -> tuple[list[str], list[str]]:
    n_elements = int(header["numElem"])
    if not 0 <= n_elements <= header["at"].size:
        return [], [f"numElem is {n_elements}, expected 0 to {header['at'].size}"]
    numbers = {int(z) for z in header["at"][:n_elements]}
    known = {z for z in numbers if 0 < z < len(ELEMENTS)}
    faults = [
        f"an atomic number is {z}, expected 1 to {len(ELEMENTS) - 1}"
        for z in sorted(numbers - known)
    ]
    symbols = (ELEMENTS[z] for z in known)
    return sorted(symbol for symbol in symbols if symbol is not None), faults


def _read_moment(header: np.void) -> datetime | None:
    names = ("DateYear", "DateMon", "DateDay", "TimeHour", "TimeMin", "TimeSec")
    try:
        year, month, day, hour, minute, second = (
            int(header[f"collect{name}"]) for name in names
        )
        return datetime(year, month, day, hour, minute, second)
    except ValueError:
        return None


def _read_whole_spc(
    path: Path, raw: bytes, header: np.void, endianness: ByteOrder
) -> dict[str, Any] | None:
    """Return all fields of a header, as RosettaSciIO reads them; None if it cannot."""
    from rsciio.edax import file_reader

    version = round(float(header["fVersion"]), 2)
    needed = SPC_WHOLE_070 if version >= _FULL_HEADER_SINCE else SPC_WHOLE_061
    if len(raw) < needed or path.suffix.lower() != ".spc":
        return None
    try:
        (spectrum,) = file_reader(str(path), endianness=endianness, load_all_spc=True)
    except (KeyError, IndexError, TypeError, ValueError):  # of elements, say
        return None
    tree = spectrum["original_metadata"]["spc_header"]
    return {name: value for name, value in tree.items() if not name.startswith("filler")}


def read_spc_counts(path: Path, header: SpcHeader, endianness: ByteOrder) -> np.ndarray:
    """Read the counts of a ``.spc`` file.

    Returns
    -------
    numpy.ndarray
        uint32; shorter than the header says if the file ends early.
    """
    with open_unbuffered(path) as file:
        file.seek(header.data_start)
        raw = file.read(header.n_channels * SPC_COUNTS.itemsize)
    whole = len(raw) // SPC_COUNTS.itemsize
    counts = np.frombuffer(raw, SPC_COUNTS.newbyteorder(endianness), count=whole)
    return counts.astype(np.uint32)


def read_ipr(path: Path, endianness: ByteOrder) -> tuple[dict[str, Any], float, float]:
    """Read and check a ``.ipr`` file.

    Returns
    -------
    tree : dict
        Its fields, EDAX's names.
    x_um, y_um : float
        Size of a pixel, µm.

    Raises
    ------
    FileFormatError
        The file is too short, or the size of a pixel cannot be true.
    """
    with open_unbuffered(path) as file:
        raw = file.read(IPR_334.itemsize)
    version = int.from_bytes(raw[:2], "little" if endianness == "<" else "big")
    dtype = IPR_334 if version >= _IPR_SINCE_334 else IPR_333
    if len(raw) < dtype.itemsize:
        raise TruncatedFileError(
            f"{path}: the file has {len(raw)} bytes, expected the {dtype.itemsize} of "
            f".ipr version {version} (byte {len(raw)})."
        )
    header = np.frombuffer(raw, dtype.newbyteorder(endianness), count=1)[0]
    low, high = _UM_PER_PIXEL
    for name in ("mppX", "mppY"):
        if not low <= header[name] <= high:
            raise FileFormatError(
                f"{path}: {name} is {header[name]}, expected µm per pixel, "
                f"{low:g} to {high:g} (byte {field_offset(dtype, name)}). The file is "
                "damaged or of the other byte order."
            )
    tree = {name: header[name] for name in dtype.names or ()}
    # h5py cannot write an array of text.
    tree["charText"] = [np.bytes_(line) for line in tree["charText"]]
    return tree, float(header["mppX"]), float(header["mppY"])


def read_xml(path: Path) -> dict[str, Any]:
    """Read the attributes in a ``.xml`` file.

    Returns
    -------
    dict
        The root's name and what it holds: an element is a dictionary of its attributes
        and elements; one that stands more than once, the list of them.

    Raises
    ------
    FileFormatError
        The file is no XML, declares entities, or is too large or too deep.
    """
    tree: dict[str, Any] = {}
    open_elements = [tree]

    def begin(name: str, attributes: dict[str, str]) -> None:
        if len(open_elements) > _MAX_DEPTH:
            raise ValueError(f"elements lie deeper than {_MAX_DEPTH} levels")
        element: dict[str, Any] = dict(attributes)
        parent = open_elements[-1]
        if name not in parent:
            parent[name] = element
        elif isinstance(parent[name], list):
            parent[name].append(element)
        else:
            parent[name] = [parent[name], element]
        open_elements.append(element)

    def refuse(*_: Any) -> None:
        raise ValueError("it has a document type, which could declare entities")

    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: open_elements.pop()
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(_read_text(path, _MAX_XML_BYTES), True)
    except (xml.parsers.expat.ExpatError, ValueError, LookupError) as error:
        raise FileFormatError(
            f"{path}: the file is no XML as EDAX writes it ({error}), expected attributes "
            f"in elements (byte {parser.CurrentByteIndex})."
        ) from error
    return tree


def read_csv(path: Path) -> tuple[dict[str, str], np.ndarray, str | None]:
    """Read the ``.csv`` file of a line scan.

    Returns
    -------
    tree : dict
        The lines above the table, ``label: value``.
    distances : numpy.ndarray
        float64, of each point.
    units : str or None
        Of the distances.

    Raises
    ------
    FileFormatError
        The file has no column of distances, or one of them is no number.
    """
    raw = _read_text(path, _MAX_CSV_BYTES)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = text.splitlines(keepends=True)
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    except csv.Error as error:
        raise FileFormatError(
            f"{path}: the file is no table ({error}), expected one (byte 0)."
        ) from error
    at, column, units = _find_distances(rows)
    if at is None:
        raise FileFormatError(
            f"{path}: the file has no line of column names with a Distance, expected one, "
            f"as in 'Distance (nm)' (byte {len(text)})."
        )
    tree = {row[0]: ",".join(row[1:]) for row in rows[:at] if len(row) > 1}
    cells = [
        (at + i, row[column])
        for i, row in enumerate(rows[at:])
        if i and len(row) > column and row[column]
    ]
    for line, cell in cells:
        if not _is_float(cell):
            start = sum(len(text.encode()) for text in lines[:line])
            raise FileFormatError(
                f"{path}: a distance is {cell!r:.40}, expected a number (line {line + 1}, "
                f"byte {start})."
            )
    distances = np.array([float(cell) for _, cell in cells], dtype=np.float64)
    return tree, distances, units


def _find_distances(rows: list[list[str]]) -> tuple[int | None, int, str | None]:
    """Return line and column of the distances, and their units."""
    for line, row in enumerate(rows):
        for column, cell in enumerate(row):
            match = re.fullmatch(r"Distance\s*(?:\((.*)\))?", cell)
            if match and len(row) > 1:
                return line, column, match.group(1)
    return None, 0, None


def _is_float(text: str) -> bool:
    try:
        return abs(float(text)) <= _MOST_DISTANCE  # False of what is no number
    except ValueError:
        return False


def _read_text(path: Path, most: int) -> bytes:
    with open_unbuffered(path) as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise FileFormatError(
            f"{path}: the file has more than {most} bytes, expected a small one (byte {most})."
        )
    return raw


def read_bmp(path: Path) -> np.ndarray:
    """Read a Windows bitmap.

    Returns
    -------
    numpy.ndarray
        Shape (y, x): uint8 if all colours are grey, else HyperSpy's ``rgb8``.

    Raises
    ------
    FileFormatError
        The file is no whole bitmap.
    """
    try:
        with open_unbuffered(path) as file:
            with warnings.catch_warnings():
                # Of a size that is compared with that of the file, next.
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(file, formats=["BMP"])
            _check_size(path, image.size)
            is_grey = image.mode in ("1", "L")
            colours = np.asarray(image.convert("L" if is_grey else "RGB"))
    except (FileNotFoundError, FileFormatError):
        raise
    except (
        Image.DecompressionBombError,
        OSError,
        SyntaxError,
        UnidentifiedImageError,
        ValueError,
    ) as error:
        raise FileFormatError(
            f"{path}: the file is no whole bitmap ({error}), expected one (byte 0)."
        ) from error
    if is_grey:
        return np.ascontiguousarray(colours)
    grey = colours[..., 0]
    if (colours == grey[..., np.newaxis]).all():
        return np.ascontiguousarray(grey)
    return np.ascontiguousarray(colours).view(_RGB)[..., 0]


def _check_size(path: Path, size: tuple[int, int]) -> None:
    """Refuse an image whose header promises more pixels than the file can hold."""
    n_pixels, n_bytes = size[0] * size[1], path.stat().st_size
    if n_pixels > _MOST_PIXELS * n_bytes:
        raise FileFormatError(
            f"{path}: the image has {size[0]} x {size[1]} pixels, expected what a file of "
            f"{n_bytes} bytes can hold (byte 18)."
        )


def image_names(path: Path, header: Header, extension: str) -> list[str]:
    """Return the names under which a map's image or its description may lie.

    The name in the header is what the map had when it was measured, and in a folder of
    several maps perhaps another's by now: the map's own name comes first.
    """
    stem = Path(header.image_name).stem
    names = [f"{path.stem}{extension}", f"{path.stem}_Img{extension}"]
    return list(dict.fromkeys([*names, *([f"{stem}{extension}"] if stem else [])]))


def read_image(
    path: Path,
    header: Header,
    ipr: tuple[dict[str, Any], float, float] | None,
    given: str | Path | None,
) -> dict[str, Any]:
    """Make the signal of a map's image.

    Parameters
    ----------
    path, header
        The map.
    ipr
        From the description of the image: its fields, and the size of a pixel in µm.
    given
        Path of the image, if it is not beside the map.
    """
    names = image_names(path, header, ".bmp")
    beside = Path(given) if given else find_file(path.parent, names)
    if beside is None or not beside.is_file():
        looked_for = given or " or ".join(names)
        raise FileNotFoundError(f"{path}: no image {looked_for} beside it.")
    image = read_bmp(beside)
    n_rows, n_columns = image.shape[:2]
    x_scale = y_scale = None
    original = {"spd_header": header.tree}
    if ipr is not None:
        # The image shows what the map does, perhaps in other pixels.
        original["ipr_header"], x_um, y_um = ipr
        x_scale = x_um * header.n_columns / n_columns
        y_scale = y_um * header.n_rows / n_rows
    axes = [
        build_axis("y", n_rows, y_scale, "µm", navigate=False),
        build_axis("x", n_columns, x_scale, "µm", navigate=False),
    ]
    return {
        "data": image,
        "axes": order_axes(axes),
        "metadata": {
            "General": {"title": beside.stem, "original_filename": beside.name},
            "Signal": {"signal_type": ""},
        },
        "original_metadata": original,
    }
