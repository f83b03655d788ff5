"""The header of a ``.bcf`` file and of an ``.spx`` file: XML as Esprit writes it."""

import base64
import binascii
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from rsciio.utils.xml import XmlToDict

from rsciio_xfm.core import xml
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.xrf import number
from rsciio_xfm.exceptions import FileFormatError, TruncatedFileError
from rsciio_xfm.formats.bruker import layout
from rsciio_xfm.formats.bruker.container import (
    Container,
    InflatedBytes,
    open_item,
    read_part,
)

_MOST_BYTES = 2**28  # of a header; 3 MB in the files seen
_GRANTED_BYTES = 2**26  # to the header of any file, however few bytes that has
_MOST_TIMES = 16  # larger than its file a larger header may be, as it is compressed
_MOST_LAYERS = 2**20  # bytes of the description of a detector's window, decompressed
_PLANE = b"<Data>"
_LEAST_PLANE = 4096  # bytes of a plane that is worth to be cut out
_SPECTRA = re.compile(re.escape(layout.SPECTRA) + r"(\d+)")
# Numbers with a comma, as of a German Windows; lists of two numbers are none.
_COMMA = re.compile(rb"(?<!<LineCounter)(?<!<Channels)(>-?\d+),(\d*([Ee]-?\d*)?<)")
_to_dict = XmlToDict(dub_attr_pre_str="XmlClass", tags_to_flatten="ClassInstance")


@dataclass(frozen=True)
class Spectrum:
    """What the header says of the spectra of a detector, as RosettaSciIO names it.

    Attributes
    ----------
    hardware, detector, analysis, spectrum
        Trees of the header.
    tube
        That of an X-ray tube; empty if a beam of electrons excites the sample.
    n_channels
        Of the sum spectrum, 0 if there is none.
    """

    hardware: dict[str, Any]
    detector: dict[str, Any]
    analysis: dict[str, Any]
    spectrum: dict[str, Any]
    tube: dict[str, Any]
    n_channels: int

    @property
    def scale(self) -> float | None:
        """KeV of a channel, None if it is no positive number."""
        scale = number(self.spectrum.get("CalibLin"))
        return scale if scale is not None and 1e-9 < scale < 1e3 else None

    @property
    def offset(self) -> float | None:
        """KeV of the first channel."""
        return number(self.spectrum.get("CalibAbs"))

    @property
    def frequency(self) -> float | None:
        """Hz of the pulses of which live times are made."""
        return number(self.hardware.get("ZeroPeakFrequency"))


@dataclass(frozen=True)
class Header:
    """What the header of a map says; see :func:`read_header`.

    Attributes
    ----------
    name
        Of the map.
    date
        When it was saved.
    microscope, stage, scan
        Trees of the header.
    line_counter
        How often each row was scanned.
    elements
        Those that were chosen: their lines.
    pixel_times
        µs of each pixel, of what see :mod:`rsciio_xfm.formats.bruker.times`.
    n_detectors
        How many there are; maps of the file, if there are as many.
    spectra
        By their number.
    has_images
        Whether there is an image of the sample.
    problem
        What is wrong with descriptions of detectors that RosettaSciIO would decompress
        without a limit; empty if nothing is.
    """

    name: str
    date: datetime | None
    microscope: dict[str, Any]
    stage: dict[str, Any]
    scan: dict[str, Any]
    line_counter: tuple[int, ...]
    elements: dict[str, str]
    pixel_times: np.ndarray | None
    n_detectors: int
    spectra: dict[int, Spectrum]
    has_images: bool
    problem: str


def find_spectra(container: Container) -> dict[int, str]:
    """Return the streams of spectra in a container by their number.

    Raises
    ------
    FileFormatError
        There are none, or no header.
    """
    matches = (_SPECTRA.fullmatch(path) for path in container.items)
    found = {int(match[1]): match[0] for match in matches if match}
    if not found or layout.HEADER not in container.items:
        names = ", ".join(list(container.items)[:8]) or "nothing"
        raise FileFormatError(
            f"{container.source.name}: the file holds {names:.200}, expected "
            f"{layout.HEADER} and {layout.SPECTRA}0 (byte {layout.CHUNK_START}). It is no "
            "map of Bruker, or is damaged."
        )
    return dict(sorted(found.items()))


def read_header(container: Container, numbers: list[int]) -> Header:
    """Read the header of a map.

    Parameters
    ----------
    container
        The file.
    numbers
        Of its streams of spectra.

    Raises
    ------
    FileFormatError
        It is no XML of a map, or larger than any.
    """
    name = container.source.name
    data = open_item(container, layout.HEADER)
    most = min(_MOST_BYTES, max(_GRANTED_BYTES, _MOST_TIMES * container.source.size))
    if data.size > most:
        raise FileFormatError(
            f"{name}: the header has {data.size} bytes, expected at most {most} in a file of "
            f"{container.source.size} (byte {data.byte_of(0)}). The file is damaged."
        )
    if data.present < data.size or (isinstance(data, InflatedBytes) and data.is_cut):
        raise TruncatedFileError(
            f"{name}: {data.present} bytes of the header are there, expected {data.size} "
            f"(byte {data.source.size}). The file is cut."
        )
    text, planes = _cut_planes(read_part(data, 0, data.size).tobytes())
    root = parse_xml(text, name, data.byte_of(0))
    base = root.find("./ClassInstance[@Type='TRTSpectrumDatabase']")
    if base is None:
        raise FileFormatError(
            f"{name}: the header has no TRTSpectrumDatabase, expected one (byte "
            f"{data.byte_of(0)}). It is no map of Bruker."
        )
    _put_back(base, planes)
    return _build_header(base, numbers, name)


def _cut_planes(text: bytes) -> tuple[bytes, list[bytes]]:
    """Take large planes of images, of which there are megabytes, out of the XML.

    ``#`` and a number is put in the place of each; what was there is returned in this order.
    """
    kept: list[bytes] = []
    planes: list[bytes] = []
    at = 0
    while (found := text.find(_PLANE, at)) >= 0:
        start = found + len(_PLANE)
        stop = text.find(b"<", start)
        if stop - start < _LEAST_PLANE:
            kept.append(text[at:start])
            at = start
            continue
        kept += [text[at:start], b"#%d" % len(planes)]
        planes.append(text[start:stop])
        at = stop
    return b"".join([*kept, text[at:]]), planes


def _put_back(base: Element, planes: list[bytes]) -> None:
    """Give the times of pixels, the only plane that is read here, what was cut from them."""
    for node in base.findall("./ClassInstance[@Name='PixelTimes']/Plane0/Data"):
        of_number = {f"#{i}": plane for i, plane in enumerate(planes)}
        if node.text in of_number:
            node.text = of_number[node.text].decode("latin-1")


def parse_xml(text: bytes, name: str, byte: int) -> Element:
    """Parse XML that declares nothing, so that it cannot become larger than it is.

    Parameters
    ----------
    text
        The XML; numbers may have commas.
    name, byte
        Of the file, and where the text begins in it.

    Raises
    ------
    FileFormatError
        It is none.
    """
    return xml.parse_xml(_COMMA.sub(rb"\1.\2", text), name, byte)


def parse_spectrum(node: Element) -> Spectrum:
    """Take what is known of a spectrum from its node, ``TRTSpectrum``."""
    headers = "./TRTHeaderedClass/ClassInstance[@Type='{}']"
    detector = _tree(node.find(headers.format("TRTDetectorHeader")))
    detector["DetLayers"] = _layers(detector.get("DetLayers"))
    channels = node.findtext("./Channels") or ""
    return Spectrum(
        hardware=_tree(node.find(headers.format("TRTSpectrumHardwareHeader"))),
        detector=detector,
        analysis=_tree(node.find(headers.format("TRTESMAHeader"))),
        spectrum=_tree(node.find("./ClassInstance[@Type='TRTSpectrumHeader']")),
        tube=_tree(node.find(headers.format("TRTXrfHeader"))),
        n_channels=sum(1 for part in channels.split(",") if part.strip()),
    )


def _build_header(base: Element, numbers: list[int], name: str) -> Header:
    instance = "./ClassInstance[@Type='{}']"
    spectra = {}
    for i in numbers:
        node = base.find(f"./SpectrumData{i}/ClassInstance")
        if node is not None:
            spectra[i] = parse_spectrum(node)
    images = base.findall(instance.format("TRTImageData"))
    times = [node for node in images if node.get("Name") == "PixelTimes"]
    _warn_unknown_images(base, name)
    return Header(
        name=base.get("Name", "Undefined"),
        date=_date(base.find("./Header")),
        microscope=_tree(base.find(instance.format("TRTSEMData"))),
        stage=_tree(base.find(instance.format("TRTSEMStageData"))),
        scan=_tree(base.find(instance.format("TRTDSPConfiguration"))),
        line_counter=_numbers(base.findtext("./LineCounter")),
        elements=_elements(base),
        pixel_times=_plane(times[0], name) if times else None,
        n_detectors=int(number(base.findtext("./DetectorCount")) or 1),
        spectra=spectra,
        has_images=any(not node.get("Name") for node in images),
        problem=_find_problem(base),
    )


def _warn_unknown_images(base: Element, name: str) -> None:
    """Say so if something of an unknown type looks like an image."""
    nodes = [node for node in base if node.find("./Plane0") is not None]
    kinds = {node.get("Type", node.tag) for node in nodes} - {"TRTImageData"}
    if kinds:
        warn(
            f"{name}: the header has images of the types {sorted(kinds)!r:.100}, expected "
            "TRTImageData: they are left out."
        )


def _tree(node: Element | None) -> dict[str, Any]:
    """Return a node as a dictionary; empty if it is not there, or nested without end."""
    if node is None:
        return {}
    try:
        found = _to_dict.dictionarize(node)
    except (MemoryError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _date(node: Element | None) -> datetime | None:
    if node is None:
        return None
    text = f"{node.findtext('./Date')} {node.findtext('./Time')}"
    try:
        return datetime.strptime(text, "%d.%m.%Y %H:%M:%S")
    except ValueError:
        return None


def _numbers(text: str | None) -> tuple[int, ...]:
    """Return whole numbers from a list of them, none if something else is in it."""
    found = [number(part) for part in (text or "").split(",") if part.strip()]
    return tuple(int(value) for value in found if value is not None and value >= 0) * all(
        value is not None and value >= 0 for value in found
    )


def _elements(base: Element) -> dict[str, str]:
    """Return the elements that were chosen, and their lines as Bruker names them."""
    regions = base.find(
        "./ClassInstance[@Type='TRTContainerClass']/ChildClassInstances"
        "/ClassInstance[@Type='TRTElementInformationList']"
        "/ClassInstance[@Type='TRTSpectrumRegionList']/ChildClassInstances"
    )
    if regions is None:
        return {}
    found = regions.findall("./ClassInstance[@Type='TRTSpectrumRegion']")
    trees = (_tree(node) for node in found)
    # One line alone of light elements has no name.
    return {
        str(tree["XmlClassName"]): str(tree.get("Line", "Ka"))
        for tree in trees
        if "XmlClassName" in tree
    }


def _plane(node: Element, name: str) -> np.ndarray | None:
    """Return the first plane of an image, None if there is none."""
    width, height, size = (
        int(number(node.findtext(f"./{key}")) or 0)
        for key in ("Width", "Height", "ItemSize")
    )
    text = node.findtext("./Plane0/Data")
    if not text or size not in (1, 2, 4):
        return None
    raw = _decode(text, base64.b64decode)
    if raw is None or width < 1 or not 0 < len(raw) == width * height * size:
        warn(
            f"{name}: PixelTimes has {len(raw or b'')} bytes, expected {width} x {height} "
            f"numbers of {size}: it is not used."
        )
        return None
    return np.frombuffer(raw, dtype=f"<u{size}").reshape(height, width)


def _layers(text: Any) -> dict[str, Any]:
    """Return the layers of a detector's window, which are XML, compressed, as text."""
    raw = _decode(text, base64.b64decode) if isinstance(text, str) else None
    xml = None if raw is None else _decode(raw, _inflate)
    if xml is None:
        return {}
    try:
        return {node.tag: dict(node.attrib) for node in parse_xml(xml, "", 0)}
    except FileFormatError:
        return {}


def _find_problem(root: Element) -> str:
    """Return what is wrong with the layers of detectors' windows, if they are there."""
    for node in root.iter("DetLayers"):
        raw = _decode(node.text or "", base64.b64decode)
        if raw is None or _decode(raw, _inflate) is None:
            return (
                f"DetLayers, {len(node.text or '')} characters, cannot be decompressed or has "
                f"more than {_MOST_LAYERS} bytes then"
            )
    return ""


def _inflate(raw: bytes) -> bytes:
    engine = zlib.decompressobj()
    found = engine.decompress(raw, _MOST_LAYERS)
    if not engine.eof:
        raise ValueError("it is larger than any")
    return found


def _decode(value: Any, decoder: Callable[[Any], bytes]) -> bytes | None:
    try:
        return decoder(value)
    except (binascii.Error, ValueError, zlib.error):
        return None


def read_spx(filename: str | Path) -> Spectrum:
    """Read what an ``.spx`` file says of its spectrum.

    Raises
    ------
    FileFormatError
        It is no XML of a spectrum.
    """
    path = Path(filename)
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise FileFormatError(
            f"{path}: the file has {size} bytes, expected at most {_MOST_BYTES} of a spectrum "
            "(byte 0)."
        )
    root = parse_xml(path.read_bytes(), str(path), 0)
    node = root.find("./ClassInstance[@Type='TRTSpectrum']")
    if node is None:
        raise FileFormatError(
            f"{path}: the file has no TRTSpectrum, expected one (byte 0). It is no spectrum "
            "of Bruker."
        )
    problem = _find_problem(root)
    if problem:
        raise FileFormatError(
            f"{path}: {problem}, expected base64 of zlib (byte 0). The file is damaged."
        )
    return parse_spectrum(node)
