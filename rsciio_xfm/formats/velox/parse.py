"""What kind of EMD file a file is, and the JSON of Velox's."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.hdf5.sizes import check_size
from rsciio_xfm.core.tree import get
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.velox.layout import (
    FORMATS,
    IMAGES,
    SPECTRA,
    SPECTRUM_IMAGES,
    STREAMS,
    VALUE,
)

# Groups of JSON texts that are kept as original metadata.
_TEXT_GROUPS = ("Displays", "Operations", "SharedProperties", "Features")
_MOST_PIXELS = 2**31
_MOST_CHANNELS = 65535  # the mark is no channel
_USUAL_CHANNELS = 4096
_MOST_JSON_BYTES = 2**24
# Of a stream, which is never in memory as a whole; counting so much takes a minute.
_MOST_EMPTY_BYTES = 2**36


@dataclass(frozen=True)
class Stream:
    """A detector's stream of events, as its group describes it.

    Attributes
    ----------
    name
        Of its group in the file.
    detector
        Name of the detector.
    metadata
        Of the first frame.
    n_metadata
        How many frames have metadata.
    n_values
        Values in the stream.
    n_stored
        Those of them that are in the file, the others being its fill value.
    n_channels
        Channels of a spectrum.
    frame_table
        int64, the value at which each frame starts, as the file has it, right or wrong; empty
        if the file has none.
    """

    name: str
    detector: str
    metadata: dict[str, Any]
    n_metadata: int
    n_values: int
    n_stored: int
    n_channels: int
    frame_table: np.ndarray


@dataclass(frozen=True)
class VeloxHeader:
    """What a Velox file says of its map.

    Attributes
    ----------
    version
        Of the format.
    streams
        One for each detector, in the order of the file.
    shapes
        (rows, columns) that the map may have, the likeliest first.
    frame_counts
        Numbers of frames that it may have, the likeliest first.
    spectra
        For names of detectors: counts, (channels,), that the file holds as the detector's
        spectrum, and its metadata.
    tree
        JSON texts of the file, by group.
    """

    version: int
    streams: list[Stream]
    shapes: list[tuple[int, int]]
    frame_counts: list[int]
    spectra: dict[str, tuple[np.ndarray, dict[str, Any]]]
    tree: dict[str, Any]


def get_number(tree: Any, *names: str) -> float | None:
    """Return a number of nested dictionaries, which may be text; None if it is none."""
    try:
        number = float(get(tree, *names))
    except (OverflowError, TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def is_velox(path: Path, file: h5py.File) -> bool:
    """Tell whether an EMD file was written by Velox."""
    version = _read_text(path, file.get("Version"))
    return get(version, "format") in FORMATS


def read_velox_header(path: Path, file: h5py.File) -> VeloxHeader:
    """Read what a Velox file says of its map; streams may be missing.

    Raises
    ------
    FileFormatError
        A stream has an encoding that is not known.
    CorruptFileError
        A dataset is not what the format has there.
    """
    tree = {
        name: _read_text_group(path, file[name]) for name in _TEXT_GROUPS if name in file
    }
    spectra = _read_spectra(path, file)
    names = [f"{STREAMS}/{name}" for name in stream_names(file)]
    streams = [_read_stream(path, name, file.get(name), spectra) for name in names]
    _check_different(path, file, names)
    version = get_number(_read_text(path, file.get("Version")), "version")
    return VeloxHeader(
        version=int(version or 0),
        streams=streams,
        shapes=_find_shapes(path, file, tree, streams),
        frame_counts=_find_frame_counts(path, file, streams),
        spectra=spectra,
        tree=tree,
    )


def stream_names(file: h5py.File) -> list[str]:
    """Return the names of the streams, none if the file has none."""
    groups = file.get(STREAMS)
    return list(groups) if isinstance(groups, h5py.Group) else []


def _groups_of(file: h5py.File, name: str) -> Iterator[tuple[str, h5py.Group]]:
    """Yield the groups in a group, if it is there; what else is in it is not ours."""
    parent = file.get(name)
    for key, group in parent.items() if isinstance(parent, h5py.Group) else ():
        if isinstance(group, h5py.Group):
            yield key, group


def _check_different(path: Path, file: h5py.File, names: list[str]) -> None:
    """Refuse to count one stream twice, under two names."""
    data = [file[f"{name}/Data"] for name in names]
    infos = [h5py.h5o.get_info(d.id) for d in data]
    places = {(info.fileno, info.addr) for info in infos}
    if len(places) < len(names):
        raise CorruptFileError(
            f"{path}: {STREAMS} has {len(names)} streams, expected as many different ones: "
            f"there are {len(places)} ({_byte_of(file[STREAMS])})."
        )


def read_metadata(path: Path, group: h5py.Group, frame: int = 0) -> dict[str, Any]:
    """Read the JSON text of a group's ``Metadata``.

    Returns
    -------
    dict
        Empty if there is none.
    """
    dataset = group.get("Metadata")
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype != np.uint8:
        warn(
            f"{path}: {group.name} has no Metadata, expected JSON: nothing is known of it."
        )
        return {}
    if not 0 <= frame < _count_metadata(group):
        return {}
    check_size(path, dataset)
    text = dataset[:, frame] if dataset.ndim > 1 else dataset[()]
    tree = _parse_json(path, text.tobytes().rstrip(b"\0"), dataset.name)
    return tree if isinstance(tree, dict) else {}


def _count_metadata(group: h5py.Group) -> int:
    """Return how many metadata there are: one for each frame, or one."""
    dataset = group.get("Metadata")
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim not in (1, 2):
        return 0
    return dataset.shape[1] if dataset.ndim > 1 else 1


def _read_stream(
    path: Path,
    name: str,
    group: Any,
    spectra: dict[str, tuple[np.ndarray, dict[str, Any]]],
) -> Stream:
    data: Any = group.get("Data") if isinstance(group, h5py.Group) else None
    is_stream = isinstance(data, h5py.Dataset) and data.ndim in (1, 2)
    if not is_stream or data.shape[1:] not in ((), (1,)) or data.dtype != VALUE:
        found = (
            f"{data.shape} of {data.dtype}" if isinstance(data, h5py.Dataset) else data
        )
        raise CorruptFileError(
            f"{path}: {name}/Data is {found}, expected (n, 1) of {VALUE} "
            f"({_byte_of(group)})."
        )
    check_size(path, data, _MOST_EMPTY_BYTES)
    settings = _read_text(path, group.get("AcquisitionSettings"))
    encoding = get(settings, "StreamEncoding") or get(settings, "encoding")
    if encoding not in (None, "uint16"):
        raise FileFormatError(
            f"{path}: the encoding of {name} is {encoding!r}, expected 'uint16' "
            f"({_byte_of(group)})."
        )
    first = read_metadata(path, group)
    detector = get(first, "BinaryResult", "Detector")
    if not isinstance(detector, str) or not detector:
        detector = Path(name).name
    n_channels = get_number(settings, "bincount")
    if n_channels is None:
        n_channels = len(spectra[detector][0]) if detector in spectra else _USUAL_CHANNELS
        warn(f"{path}: {name} has no bincount, expected {n_channels}, which is used.")
    if not 1 <= n_channels <= _MOST_CHANNELS or n_channels != int(n_channels):
        raise CorruptFileError(
            f"{path}: the bincount of {name} is {n_channels:g}, expected 1 to "
            f"{_MOST_CHANNELS} channels ({_byte_of(group)})."
        )
    n_values = data.shape[0]
    is_plain = not (data.is_virtual or data.external or data.compression)
    n_stored = data.id.get_storage_size() // VALUE.itemsize if is_plain else n_values
    return Stream(
        name=name,
        detector=detector,
        metadata=first,
        n_metadata=_count_metadata(group),
        n_values=n_values,
        n_stored=min(n_stored, n_values),
        n_channels=int(n_channels),
        frame_table=_read_frame_table(path, group),
    )


def _read_frame_table(path: Path, group: h5py.Group) -> np.ndarray:
    """Return the frame table, which may be wrong; empty if there is none."""
    table = group.get("FrameLocationTable")
    is_table = isinstance(table, h5py.Dataset) and table.shape is not None
    if not is_table or table.dtype.kind not in "iu":
        return np.empty(0, np.int64)
    check_size(path, table)
    return table[()].ravel().astype(np.int64)


def _read_spectra(
    path: Path, file: h5py.File
) -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    spectra = {}
    for _, group in _groups_of(file, SPECTRA):
        data = group.get("Data")
        is_spectrum = isinstance(data, h5py.Dataset) and data.shape is not None
        if not is_spectrum or data.dtype.kind not in "iu":
            continue
        check_size(path, data)
        metadata = read_metadata(path, group)
        name = get(metadata, "BinaryResult", "Detector")
        if isinstance(name, str) and data.ndim and data.size == data.shape[0]:
            spectra[name] = (data[()].ravel(), metadata)
    return spectra


def _find_frame_counts(path: Path, file: h5py.File, streams: list[Stream]) -> list[int]:
    counts = []
    for _, group in _groups_of(file, SPECTRUM_IMAGES):
        settings = _read_text(path, group.get("SpectrumImageSettings"))
        last = get_number(settings, "endFramePosition")
        first = get_number(settings, "startFramePosition")
        counts.append(last)
        counts.append(None if last is None or first is None else last - first + 1)
    counts += [s.frame_table.size for s in streams]
    counts += [s.n_metadata for s in streams]
    limit = max((s.n_values + 1 for s in streams), default=0)
    sound = [int(n) for n in counts if n is not None and 1 <= n <= limit]
    return list(dict.fromkeys(sound))


def _find_shapes(
    path: Path, file: h5py.File, tree: dict[str, Any], streams: list[Stream]
) -> list[tuple[int, int]]:
    """Return sizes that the map may have: a file can hold images of other acquisitions."""
    images = {}
    for name, group in _groups_of(file, IMAGES):
        data = group.get("Data")
        if isinstance(data, h5py.Dataset) and len(data.shape or ()) >= 2:
            images[name] = data.shape[:2]
    # The images that Velox says were acquired with the spectra.
    shapes = [images.get(name) for name in _images_of_map(tree)]
    shapes += [_shape_of_scan(stream.metadata) for stream in streams]
    shapes += images.values()
    limit = max((s.n_values + 1 for s in streams), default=0)
    limit = min(limit, _MOST_PIXELS)
    sound = [s for s in shapes if s is not None and 1 <= s[0] * s[1] <= limit]
    # Of a stream that was cut off early there may be fewer values than pixels.
    sound += [s for s in shapes if s is not None and 1 <= s[0] * s[1] <= _MOST_PIXELS]
    return list(dict.fromkeys(sound))


def _images_of_map(tree: dict[str, Any]) -> list[str]:
    """Return the names of the images that were acquired with the map."""
    names = []
    features = get(tree, "Features", "SIFeature")
    references = get(tree, "SharedProperties", "ImageSeriesDataReference")
    for feature in features.values() if isinstance(features, dict) else ():
        detectors = get(feature, "stem", "stemDetectors")
        for detector in detectors if isinstance(detectors, list) else ():
            reference = str(get(detector, "data")).rsplit("/", 1)[-1]
            path = get(references, reference, "dataPath")
            names.append(str(path).rsplit("/", 1)[-1])
    return names


def _shape_of_scan(metadata: dict[str, Any]) -> tuple[int, int] | None:
    """Return the size of the part of the scan that was acquired."""
    shape = []
    for size, low, high in (("height", "top", "bottom"), ("width", "left", "right")):
        whole = get_number(metadata, "Scan", "ScanSize", size)
        start = get_number(metadata, "Scan", "ScanArea", low)
        stop = get_number(metadata, "Scan", "ScanArea", high)
        if whole is None or start is None or stop is None:
            return None
        shape.append(round(min(abs(whole * (stop - start)), _MOST_PIXELS)))
    n_rows, n_columns = shape
    return n_rows, n_columns


# JSON.


def _read_text_group(path: Path, group: Any) -> dict[str, Any]:
    """Read the texts of a group, and of the groups within."""
    texts = {}
    for name, item in group.items() if isinstance(group, h5py.Group) else ():
        if isinstance(item, h5py.Group):
            texts[name] = {k: _read_text(path, v) for k, v in item.items()}
        else:
            texts[name] = _read_text(path, item)
    return texts


def _read_text(path: Path, dataset: Any) -> Any:
    """Read a JSON text, the first of a dataset; None if there is none."""
    if not isinstance(dataset, h5py.Dataset) or dataset.size in (0, None):
        return None
    if dataset.dtype.kind not in "OS":
        return None
    check_size(path, dataset)
    text = dataset[(0,) * dataset.ndim]
    return _parse_json(path, text, dataset.name) if isinstance(text, bytes) else None


def _parse_json(path: Path, text: bytes, name: str) -> Any:
    """Parse a JSON text; one that is none is a warning, as the counts do not need it."""
    try:
        if len(text) > _MOST_JSON_BYTES:
            raise ValueError(f"it has {len(text)} bytes")
        return json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError) as exc:
        warn(f"{path}: {name} is no JSON: {exc}. Expected JSON: it is left out.")
        return None


def _byte_of(group: Any) -> str:
    if not isinstance(group, h5py.Group):
        return "byte unknown"
    return f"byte {h5py.h5o.get_info(group.id).addr}"
