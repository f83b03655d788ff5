"""``file_writer`` for pairs of ``.hmsa`` and ``.xml`` files."""

import hashlib
import secrets
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from rsciio_xfm.core.atomic import (
    CREATOR,
    holding_interrupts,
    refuse_half,
    refuse_original,
    replacing,
)
from rsciio_xfm.core.beam import find, is_electrons
from rsciio_xfm.core.blocks import blocks, write_block
from rsciio_xfm.core.dates import parse_date, parse_time
from rsciio_xfm.core.eds import (
    DETECTOR_AXIS,
    PER_KEV,
    clean_units,
    with_times_of_one_spectrum,
)
from rsciio_xfm.core.later import da
from rsciio_xfm.core.packed import EXTRA, LEFT_OUT, pack
from rsciio_xfm.core.progress import bytes_bar
from rsciio_xfm.core.source import pair_of
from rsciio_xfm.core.writers import check_plain
from rsciio_xfm.core.xrf import number
from rsciio_xfm.formats.hmsa.layout import (
    ANALYSIS,
    CHANNEL,
    EXTENSIONS,
    IMAGE,
    KINDS,
    MOST_EXTRA,
    OF_DETECTOR,
    OF_PROBE,
    OF_TIMES,
    ROOT,
    SIGNAL_TYPES,
    TYPES,
    UID_BYTES,
    UNITS,
    VERSION,
    WIDER,
    XEDS,
)

_NAMES = {dtype: name for name, dtype in TYPES.items()}
_UNITS = {"m": 1e6, "mm": 1e3, "µm": 1.0, "nm": 1e-3}  # in µm
_MARK = f"<AuthorSoftware>{CREATOR}".encode()
_MOST_HEAD = 2**16  # bytes in which the mark stands


def is_original(path: Path) -> bool:
    """Tell whether a pair of files was not written here.

    Parameters
    ----------
    path
        Of one of them; saving writes both.
    """
    hmsa, xml = pair_of(path, EXTENSIONS)
    if not xml.is_file():
        return hmsa.is_file()
    with open(xml, "rb") as file:
        return _MARK not in file.read(_MOST_HEAD)


@dataclass(frozen=True)
class _Part:
    """A set of data that is written: its name, the array, and its axes, slowest first."""

    name: str
    data: Any
    axes: list[dict[str, Any]]

    @property
    def collection(self) -> list[dict[str, Any]]:
        """Axes that become those of the collection: of an image, x and y."""
        is_image = len(self.axes) == 2 and not any(a["navigate"] for a in self.axes)
        return [axis for axis in self.axes if axis["navigate"] or is_image]

    @property
    def datum(self) -> list[dict[str, Any]]:
        """Axes of a spectrum, or of an image at each point."""
        return self.axes[len(self.collection) :]

    @property
    def kind(self) -> tuple[str, str]:
        """Tag and class."""
        return KINDS[len(self.collection), len(self.datum)]


def file_writer(
    filename: str | Path, signal: dict[str, Any], replace_original: bool = False
) -> None:
    """Write a signal as a ``.hmsa`` file, and an ``.xml`` file that describes it.

    Parameters
    ----------
    filename
        Path of one of the two; the other gets the same name.
    signal
        A spectrum, a line or a map of spectra, an image, or images along up to two axes, as
        HyperSpy passes it. Dask arrays are written chunk by chunk. A first axis ``detector``
        of a map becomes a set of data for each detector.
    replace_original
        Replace files that were not written here, an instrument's own say.

    Raises
    ------
    TypeError
        The format has no type for the numbers; the array is masked.
    ValueError
        It has no place for as many axes, or the extension is another; or the files that are
        there were not written here.
    OverflowError
        Counts of 64 bits without a sign are larger than the format can say.
    FileExistsError
        The other file is there and this one is not: it belongs to something else.
    OSError
        A file cannot be written; both are as they were.

    Warns
    -----
    UserWarning
        Something in the metadata cannot be written.

    Notes
    -----
    Numbers are those of the signal: of types that the format has not, int8 becomes int16,
    uint64 int64 and float16 float. Both files are written under temporary names and moved in
    place, the numbers first, when they are whole; a unique number in both, and the SHA-1 of
    the numbers in the text, tell whether they belong to each other. Axes and metadata as they
    are, dead times too, are in the header of the text, for :func:`file_reader`.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm import edax, hmsa
    >>> (map_,) = edax.file_reader("map.spd", lazy=True)
    >>> hmsa.file_writer("joint.hmsa", map_)
    """
    path = Path(filename)
    if path.suffix.lower() not in EXTENSIONS:
        raise ValueError(
            f"{path}: the extension is {path.suffix!r}, expected .hmsa (or .xml)."
        )
    hmsa, xml = pair_of(path, EXTENSIONS)
    refuse_half(path, xml if path == hmsa else hmsa)
    for written in (hmsa, xml):
        refuse_original(written, is_original, replace_original)
    parts = _find_parts(path, signal)
    dtype, check = _choose_type(path, signal["data"].dtype)
    root, uid = _describe(xml, signal, parts, dtype)
    n_bytes = sum(part.data.size for part in parts) * dtype.itemsize
    with ExitStack() as stack:
        bar = stack.enter_context(bytes_bar(n_bytes, f"Writing {hmsa.name}"))
        text, file = (stack.enter_context(replacing(name)) for name in (xml, hmsa))
        file.write(uid)
        start = UID_BYTES
        for part in parts:
            for block in _write(file, part.data, dtype, start):
                check(block)
                bar.update(block.size * dtype.itemsize)
            start += part.data.size * dtype.itemsize
        file.flush()
        text.write(_finish(root, file.name))
        text.flush()
        with holding_interrupts():
            stack.close()  # the numbers first: with an old text they are noticed


def _find_parts(path: Path, signal: dict[str, Any]) -> list[_Part]:
    """Return the sets of data of a signal."""
    data = signal["data"]
    check_plain(path, data)
    axes = sorted(signal["axes"], key=lambda axis: axis.get("index_in_array", 0))
    order = sorted(range(len(axes)), key=lambda i: not axes[i]["navigate"])
    axes = [axes[i] | {"size": data.shape[i]} for i in order]
    data = data.transpose(order)
    title = str(signal["metadata"].get("General", {}).get("title") or path.stem)
    title = title.encode("ascii", "replace").decode()
    title = "".join(c for c in title if c.isprintable()).strip() or "Data"
    n_navigate = sum(axis["navigate"] for axis in axes)
    if n_navigate == 3 and axes[0]["name"] == DETECTOR_AXIS:
        parts = [
            _Part(f"{title} detector {i}", own, axes[1:]) for i, own in enumerate(data)
        ]
    else:
        parts = [_Part(title, data, axes)]
    key = (len(parts[0].collection), len(parts[0].datum)) if axes and parts else None
    if key not in KINDS or 0 in data.shape:
        raise ValueError(
            f"{path}: the signal has {n_navigate} axes to navigate and "
            f"{len(axes) - n_navigate} of the signal (array {data.shape}), expected a "
            "spectrum or an image, or up to two axes of them; and some numbers."
        )
    return parts


def _choose_type(
    path: Path, dtype: np.dtype
) -> tuple[np.dtype, Callable[[np.ndarray], None]]:
    """Return the type to write, and what is to be checked of each block."""
    known = ", ".join(str(np.dtype(one)) for one in _NAMES)
    little = dtype.newbyteorder("<")
    if little in _NAMES:
        return little, lambda _: None
    if dtype.name in WIDER:
        return TYPES[WIDER[dtype.name]], lambda _: None
    if dtype != np.uint64:
        raise TypeError(
            f"{path}: the data are {dtype}, expected one of {known}: convert them with the "
            "signal's change_dtype."
        )
    largest = np.iinfo(np.int64).max

    def check(block: np.ndarray) -> None:
        if block.size and int(block.max()) > largest:
            raise OverflowError(
                f"{path}: a number is {block.max()}, expected at most {largest}: the format "
                f"has {known}."
            )

    return TYPES["int64"], check


def _write(
    file: BinaryIO, data: Any, dtype: np.dtype, start: int
) -> Iterator[np.ndarray]:
    """Write an array, and give each block away before it is written."""
    if isinstance(data, da.Array):
        data = data.rechunk({data.ndim - 1: -1})  # else channels one by one
    for place, block in blocks(data):
        yield block
        whole = np.ascontiguousarray(block, dtype=dtype)
        write_block(file, data.shape, place, whole, start)


def _finish(root: Element, numbers: str) -> bytes:
    """Put the checksum of the numbers into the text."""
    with open(numbers, "rb") as file:
        found = hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False))
    checksum = SubElement(root[0], "Checksum", {"Algorithm": "SHA-1"})
    checksum.text = found.hexdigest().upper()
    indent(root, "\t")
    return BOM_UTF8 + tostring(root, encoding="UTF-8", xml_declaration=True)


# The text.


def _describe(
    path: Path, signal: dict[str, Any], parts: list[_Part], dtype: np.dtype
) -> tuple[Element, bytes]:
    """Make the XML, and the unique number of the pair."""
    uid = secrets.token_bytes(UID_BYTES)
    root = Element(
        ROOT, {"Version": VERSION, "UID": uid.hex().upper(), "xml:lang": "en-US"}
    )
    metadata = with_times_of_one_spectrum(signal["metadata"])
    _add_header(SubElement(root, "Header"), path, signal, parts)
    conditions = SubElement(root, "Conditions")
    _add_conditions(conditions, metadata, parts[0])
    every = SubElement(root, "Data")
    start = UID_BYTES
    for part in parts:
        tag, kind = part.kind
        element = SubElement(every, tag, {"Class": kind, "Name": part.name})
        n_bytes = part.data.size * dtype.itemsize
        _number(element, "DataOffset", start, "int64")
        _number(element, "DataLength", n_bytes, "int64")
        kind_of = SubElement(element, "DatumType", {"SizeInBytes": str(dtype.itemsize)})
        kind_of.text = _NAMES[dtype]
        for name, axes, names in (
            (
                "DatumDimensions",
                part.datum,
                (CHANNEL,) if len(part.datum) == 1 else IMAGE,
            ),
            (
                "CollectionDimensions",
                part.collection,
                (ANALYSIS,) if len(part.collection) == 1 else ("X", "Y"),
            ),
        ):
            node = SubElement(element, name)
            for label, axis in zip(names, reversed(axes), strict=False):
                _number(node, "Dimension", axis["size"], "uint32", Name=label)
        included = SubElement(element, "IncludeConditions")
        for condition in conditions:
            SubElement(included, condition.tag).text = condition.get("ID")
        start += n_bytes
    return root, uid


def _number(
    parent: Element, tag: str, value: float, kind: str = "double", **attributes: str
) -> None:
    node = SubElement(parent, tag, {"DataType": kind, **attributes})
    node.text = repr(int(value) if kind != "double" else float(value))


def _text(parent: Element, tag: str, value: Any) -> None:
    """Add a text, if there is one, without what XML has not."""
    text = "".join(c for c in str(value or "") if c.isprintable() or c in "\n\t").strip()
    if text:
        SubElement(parent, tag).text = text.encode("utf-8", "replace").decode("utf-8")


def _add_header(
    header: Element, path: Path, signal: dict[str, Any], parts: list[_Part]
) -> None:
    general = signal["metadata"].get("General", {})
    _text(header, "AuthorSoftware", CREATOR)
    _text(header, "Title", general.get("title"))
    day, time = (
        parse_date(str(general.get("date") or "")),
        parse_time(str(general.get("time") or "")),
    )
    _text(header, "Date", day and day.isoformat())
    _text(header, "Time", time and time.isoformat("seconds"))
    _text(header, "Timezone", general.get("time_zone"))
    _text(header, "Author", general.get("authors"))
    axes = parts[0].axes
    if len(parts) == 1 and all("scale" in axis for axis in axes):
        packed = pack(path, signal, axes, MOST_EXTRA) or LEFT_OUT
        SubElement(header, EXTRA).text = packed


def _add_conditions(conditions: Element, metadata: dict[str, Any], part: _Part) -> None:
    """Say what the spectra were measured with."""
    instruments = metadata.get("Acquisition_instrument", {})
    kind = str(metadata.get("Signal", {}).get("signal_type") or "")
    instrument = instruments.get("TEM" if kind == "EDS_TEM" else "SEM", {})
    by_electrons = is_electrons(partial(find, metadata))
    beam = number(instrument.get("beam_energy"))
    if by_electrons and beam is not None:
        probe = SubElement(conditions, "Probe", {"Class": "EM", "ID": "Probe0"})
        for name, (tag, unit) in OF_PROBE.items():
            _quantity(probe, tag, instrument.get(name), unit)
    eds = instrument.get("Detector", {}).get("EDS", {})
    units = clean_units(part.axes[-1].get("units"))
    if len(part.datum) == 1 and isinstance(units, str) and UNITS.fullmatch(units):
        _add_detector(conditions, part.axes[-1], kind, by_electrons, eds)
    _add_acquisition(conditions, part, eds)


def _quantity(parent: Element, tag: str, value: Any, unit: str) -> None:
    found = number(value) if not isinstance(value, dict) else None
    if found is not None:
        _number(parent, tag, found, **({"Unit": unit} if unit else {}))


def _add_detector(
    conditions: Element,
    axis: dict[str, Any],
    kind: str,
    by_electrons: bool,
    eds: dict[str, Any],
) -> None:
    is_xray = kind.startswith("EDS")
    own = {"Class": XEDS if is_xray else "Spectrometer", "ID": "Detector0"}
    node = SubElement(conditions, "Detector", own)
    xrays = "EDS" if by_electrons else "XRF"
    types = {ours: theirs for theirs, ours in SIGNAL_TYPES.items()}
    _text(node, "SignalType", xrays if is_xray else types.get(kind))
    for name, (tag, unit) in OF_DETECTOR.items():
        _quantity(node, tag, eds.get(name), unit)
    _number(node, "ChannelCount", axis["size"], "uint32")
    units = clean_units(axis["units"])
    name = axis["name"] if isinstance(axis.get("name"), str) and axis["name"] else CHANNEL
    per_kev = PER_KEV.get(units or "")
    factor = 1.0 if per_kev is None else 1000 / per_kev
    is_even = "scale" in axis
    kind_of = "Linear" if is_even else "Explicit"
    calibration = SubElement(node, "Calibration", {"Class": kind_of})
    _text(calibration, "Quantity", "Energy" if per_kev else name)
    _text(calibration, "Unit", "eV" if per_kev else units)
    if is_even:
        _number(calibration, "Gain", axis["scale"] * factor)
        _number(calibration, "Offset", axis["offset"] * factor)
    else:
        values = np.asarray(axis["axis"], dtype=float) * factor
        attributes = {"DataType": "array:double", "Count": str(values.size)}
        text = ",".join(repr(float(value)) for value in values)
        SubElement(calibration, "Values", attributes).text = text


def _add_acquisition(conditions: Element, part: _Part, eds: dict[str, Any]) -> None:
    """Say where and how long was measured."""
    axes = list(reversed(part.collection))
    if not axes:
        return
    is_line = len(axes) == 1
    kind = "Raster/Linescan" if is_line else "Raster/XY"
    node = SubElement(conditions, "Acquisition", {"Class": kind, "ID": "Acquisition0"})
    for name, (tag, unit) in OF_TIMES.items():
        _quantity(node, tag, eds.get(name), unit)
    for label, axis in zip(("",) if is_line else ("X", "Y"), axes, strict=True):
        _number(node, f"{label}StepCount", axis["size"], "uint32")
        units = clean_units(axis["units"]) if isinstance(axis.get("units"), str) else None
        if units in _UNITS and axis.get("scale", 0) > 0:
            _quantity(node, f"{label}StepSize", axis["scale"] * _UNITS[units], "um")
