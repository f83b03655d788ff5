"""``file_reader`` for EDAX maps, line scans and spectra."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.chunks import ChunkedArray, Table
from rsciio_xfm.core.eds import SIGNAL_TYPE, build_axis, build_live_time, order_axes
from rsciio_xfm.core.to_dask import (
    check_worth_reading,
    from_source,
    in_memory,
    read_all,
)
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.edax import sidecars
from rsciio_xfm.formats.edax.layout import (
    SPC_HEADER,
    SPC_WHOLE_061,
    SPC_WHOLE_070,
    ByteOrder,
)
from rsciio_xfm.formats.edax.parse import Header, read_header
from rsciio_xfm.formats.edax.sidecars import image_names, read_image

_EXTENSIONS = (".spd", ".lsd", ".spc")
_SELECTIONS = (None, "spectrum_image", "image")
# A map of which less is there is read lazily only, unless it is small.
_LEAST_SHARE = 0.25
_UNEVEN = 0.01  # of a step, between the points of a line
_SPC_SIZES = (SPC_WHOLE_061, SPC_WHOLE_070)
_SPC_ITEMS = {
    "azimuth": "azimuth_angle",
    "elevation": "elevation_angle",
    "detReso": "energy_resolution_MnKa",
    "kV": "beam_energy",
    "tilt": "tilt_alpha",
}


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    load_all_spc: bool = False,
    spc_fname: str | Path | None = None,
    ipr_fname: str | Path | None = None,
    csv_fname: str | Path | None = None,
    endianness: ByteOrder = "<",
    xml_fname: str | Path | None = None,
    bmp_fname: str | Path | None = None,
    select_type: str | None = None,
) -> list[dict[str, Any]]:
    """Read an EDAX ``.spd`` map, ``.lsd`` line scan or ``.spc`` spectrum.

    Parameters
    ----------
    filename
        Path of the file. What belongs to it is looked for beside it, in capitals or
        not, unless it is given by name.
    lazy
        If True, ``data`` is a dask array; now only headers are read.
    chunks
        Of the dask array. ``"auto"`` makes chunks of whole rows with all channels, at
        most 128 MiB. Anything else goes to :func:`dask.array.core.normalize_chunks`.
    load_all_spc
        Put all fields of the ``.spc`` file into the original metadata, rather than those
        that are used.
    spc_fname
        The spectrum that was saved with a map or line scan: energy scale, beam, elements,
        live time. ``<name>.spc`` by default.
    ipr_fname
        Description of the image that was saved with a map: size of a pixel. By default
        ``<name>.ipr``, ``<name>_Img.ipr``, or the one with the name of the image in the
        map's header.
    csv_fname
        Table that was saved with a line scan: distances. ``<name>.csv`` by default.
    endianness
        ``"<"`` or ``">"``, the byte order of all these files.
    xml_fname
        Working distance, label and processing of a map. ``<name>.xml`` by default.
    bmp_fname
        The image of a map, for ``select_type="image"``; by default found as the ``.ipr``.
    select_type
        ``"image"`` reads the sample's image instead of the map; ``"spectrum_image"`` or
        None, the spectra.

    Returns
    -------
    list of dict
        One signal. ``data``: counts as they are in the file, uint8, uint16 or uint32,
        shape ``(y, x, E)`` of a map, ``(x, E)`` of a line scan, ``(E,)`` of a spectrum;
        or the image ``(y, x)``, uint8, or RGB. ``axes``: x and y in µm (of line scans in
        the table's units), Energy in keV. Without its file an axis has scale 1, offset 0
        and no units.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no EDAX file, or its header cannot be true.
    rsciio_xfm.exceptions.TruncatedFileError
        The file ends before its first row does.
    FileNotFoundError
        A file that was given by name is not there.
    MemoryError
        The map is larger than the available memory and `lazy` is False.
    ValueError
        An argument has none of its values.

    Warns
    -----
    UserWarning
        A file beside the map is missing, damaged or of another map; the map ends early:
        whole rows are read, the rest are zeros.

    Notes
    -----
    The live time of a map is the whole map's, as EDAX and RosettaSciIO have it; signals
    made from it have that of their spectra.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.edax import file_reader
    >>> (map_,) = file_reader("map.spd", lazy=True)
    >>> map_["data"].shape
    (120, 160, 2048)
    """
    path = Path(filename)
    extension = path.suffix.lower()
    if extension not in _EXTENSIONS:
        raise ValueError(
            f"{path}: the extension is {path.suffix!r}, expected one of "
            f"{', '.join(_EXTENSIONS)}."
        )
    if endianness not in ("<", ">"):
        raise ValueError(f"endianness is {endianness!r}, expected '<' or '>'.")
    if select_type not in _SELECTIONS:
        raise ValueError(
            f"select_type is {select_type!r}, expected 'spectrum_image', 'image' or None."
        )
    given = {
        "spc_fname": spc_fname,
        "ipr_fname": ipr_fname,
        "csv_fname": csv_fname,
        "xml_fname": xml_fname,
        "bmp_fname": bmp_fname,
        "select_type": select_type,
    }
    _check_options(path, extension, {name for name in given if given[name] is not None})
    if extension == ".spc":
        return [_read_spectrum(path, lazy, chunks, endianness, load_all_spc)]
    header = read_header(path, endianness)
    if select_type == "image":
        pixel_size = _read_ipr(path, header, ipr_fname, endianness)
        return [read_image(path, header, pixel_size, bmp_fname)]
    spc = _read_spc(path, header, spc_fname, endianness, load_all_spc)
    source = _make_array(header, endianness)
    _warn_size(path, header)
    if not lazy:
        check_worth_reading(
            path,
            source,
            header.n_rows_present,
            header.n_rows,
            "rows",
            _LEAST_SHARE,
            byte=header.source.size,
        )
    result = _build_dict(path, header, spc)
    if header.is_line_scan:
        _add_distances(path, header, csv_fname, result)
    else:
        _add_pixel_size(
            path, header, _read_ipr(path, header, ipr_fname, endianness), result
        )
        _add_xml(path, xml_fname, result)
    result["data"] = from_source(source, chunks) if lazy else read_all(source, str(path))
    result["axes"] = order_axes(result["axes"])
    return [result]


def _make_array(header: Header, endianness: ByteOrder) -> ChunkedArray:
    shape: tuple[int, ...] = (header.n_rows, header.n_columns, header.n_channels)
    if header.is_line_scan:
        shape = (header.n_rows, header.n_channels)
    dtype = np.dtype(f"{endianness}u{header.count_bytes}")
    place = header.source, header.data_offset
    return ChunkedArray(Table.of_run(*place, shape, dtype, header.n_rows_present))


def _check_options(path: Path, extension: str, given: set[str]) -> None:
    """Refuse options that would do nothing."""
    used = {
        ".spc": set(),
        ".lsd": {"spc_fname", "csv_fname"},
        ".spd": {"spc_fname", "ipr_fname", "xml_fname", "bmp_fname", "select_type"},
    }[extension]
    kind = {".spc": "single spectrum", ".lsd": "line scan", ".spd": "map"}[extension]
    unused = sorted(given - used)
    if unused:
        raise ValueError(
            f"{path}: {', '.join(unused)} given, expected "
            f"{' or '.join(sorted(used)) or 'none of these'}: the file is a {kind}."
        )
    if "bmp_fname" in given and "select_type" not in given:
        raise ValueError(
            f"{path}: bmp_fname given, expected select_type='image' with it."
        )


def _read_spectrum(
    path: Path, lazy: bool, chunks: Any, endianness: ByteOrder, load_all: bool
) -> dict[str, Any]:
    spc = sidecars.read_spc(path, endianness, load_all)
    counts = sidecars.read_spc_counts(path, spc, endianness)
    if counts.size < spc.n_channels:
        warn(
            f"{path}: the file ends early: {counts.size} of {spc.n_channels} channels are "
            "there, the rest are zeros."
        )
        counts = np.pad(counts, (0, spc.n_channels - counts.size))
    elif (size := path.stat().st_size) not in _SPC_SIZES or (
        spc.data_start != SPC_HEADER.itemsize
    ):
        warn(
            f"{path}: the file has {size} bytes and its counts begin at byte "
            f"{spc.data_start}, expected {' or '.join(map(str, _SPC_SIZES))} and byte "
            f"{SPC_HEADER.itemsize}, as of all that are known: if it is damaged, the counts "
            "can be wrong."
        )
    metadata = _build_metadata(path, spc)
    if _is_time(spc):
        build_live_time(metadata, float(spc.tree["liveTime"]))
    return {
        "data": in_memory(counts, chunks) if lazy else counts,
        "axes": order_axes([_energy_axis(spc.n_channels, spc)]),
        "metadata": metadata,
        "original_metadata": {"spc_header": spc.tree},
    }


def _build_dict(
    path: Path, header: Header, spc: sidecars.SpcHeader | None
) -> dict[str, Any]:
    axes = [build_axis("x", header.n_columns, None, None)]
    if header.is_line_scan:
        axes = [build_axis("x", header.n_rows, None, None)]
    else:
        axes.insert(0, build_axis("y", header.n_rows, None, None))
    metadata = _build_metadata(path, spc)
    if spc is not None and _is_time(spc):
        n_spectra = None if header.is_line_scan else header.n_rows * header.n_columns
        build_live_time(metadata, float(spc.tree["liveTime"]), n_spectra)
    original = {"spd_header": header.tree}
    if spc is not None:
        original["spc_header"] = spc.tree
    return {
        "axes": [*axes, _energy_axis(header.n_channels, spc)],
        "metadata": metadata,
        "original_metadata": original,
    }


def _energy_axis(n_channels: int, spc: sidecars.SpcHeader | None) -> dict[str, Any]:
    scale = None if spc is None else spc.kev_per_channel
    axis = build_axis("Energy", n_channels, scale, "keV", navigate=False)
    return axis | {"offset": 0.0 if spc is None else spc.start_kev}


def _build_metadata(path: Path, spc: sidecars.SpcHeader | None) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "General": {"title": path.stem, "original_filename": path.name},
        "Signal": {"signal_type": SIGNAL_TYPE, "quantity": "X-rays (Counts)"},
    }
    if spc is None:
        return metadata
    if spc.collected is not None:
        metadata["General"]["date"] = spc.collected.date().isoformat()
        metadata["General"]["time"] = spc.collected.time().isoformat()
    if spc.elements:
        metadata["Sample"] = {"elements": spc.elements}
    faults = list(spc.faults)

    def number(name: str, is_sound: Callable[[float], bool], expected: str) -> dict:
        value = float(spc.tree[name])
        if math.isfinite(value) and is_sound(value):
            return {_SPC_ITEMS[name]: value}
        faults.append(f"{name} is {value}, expected {expected}")
        return {}

    def angle(name: str) -> dict:
        return number(name, lambda degrees: abs(degrees) <= 360, "degrees")

    def positive(name: str, unit: str) -> dict:
        return number(name, lambda value: 1e-3 <= value < 1e7, f"more than 0 {unit}")

    eds = angle("azimuth") | angle("elevation") | positive("detReso", "eV")
    sem = positive("kV", "kV") | {"Stage": angle("tilt"), "Detector": {"EDS": eds}}
    metadata["Acquisition_instrument"] = {"SEM": sem}
    if not _is_time(spc):
        faults.append(f"liveTime is {spc.tree['liveTime']}, expected seconds")
    if faults:
        warn(
            f"{path}: the .spc file is damaged or not whole: {'; '.join(faults)}. Left out."
        )
    return metadata


def _is_time(spc: sidecars.SpcHeader) -> bool:
    return 0 <= spc.tree["liveTime"] < 1e12  # NaN is not


def _warn_size(path: Path, header: Header) -> None:
    rows = "spectra" if header.is_line_scan else "rows"
    if header.n_rows_present < header.n_rows:
        warn(
            f"{path}: the file ends early: {header.n_rows_present} of {header.n_rows} "
            f"{rows} are there, the rest are zeros."
        )
    # A line scan keeps room for more spectra than it has.
    elif header.n_bytes_left >= header.row_bytes and not header.is_line_scan:
        warn(
            f"{path}: {header.n_bytes_left} bytes follow the {header.n_rows} rows of the "
            "map that its header describes. They are not read."
        )


# The files beside a map.


def _find(
    path: Path, given: str | Path | None, names: list[str], effect: str
) -> Path | None:
    """Return the path of a file beside a map; warn and return None if it is not there."""
    if given is not None:
        if not Path(given).is_file():
            raise FileNotFoundError(f"{given}: there is no such file, for {path}")
        return Path(given)
    found = sidecars.find_file(path.parent, names)
    if found is None:
        warn(f"{path}: no {' or '.join(names)} beside it: {effect}.")
    return found


def _read_beside(
    path: Path | None, effect: str, read: Callable[..., Any], *arguments: Any
) -> Any:
    """Read a file beside a map; a damaged one is a warning."""
    if path is None:
        return None
    try:
        return read(path, *arguments)
    except (FileFormatError, OSError) as error:
        warn(f"{error} It is not used: {effect}.")
        return None


def _read_spc(
    path: Path,
    header: Header,
    given: str | Path | None,
    endianness: ByteOrder,
    load_all: bool,
) -> sidecars.SpcHeader | None:
    effect = "no energy scale, elements or beam energy"
    beside = _find(path, given, [f"{path.stem}.spc"], effect)
    spc = _read_beside(beside, effect, sidecars.read_spc, endianness, load_all)
    if spc is not None and spc.n_channels != header.n_channels:
        common = "EDAX saves more channels there than in a map, but"
        if spc.n_channels < header.n_channels:
            common = "EDAX does not save fewer channels there than in a map:"
        warn(
            f"{beside}: the spectrum has {spc.n_channels} channels, {path.name} has "
            f"{header.n_channels}. {common} check that it belongs to it, as the energy "
            f"scale is taken from it: {spc.kev_per_channel * 1000:g} eV per channel from "
            f"{spc.start_kev:g} keV."
        )
    return spc


def _read_ipr(
    path: Path, header: Header, given: str | Path | None, endianness: ByteOrder
) -> tuple[dict[str, Any], float, float] | None:
    effect = "x and y have no scale"
    beside = _find(path, given, image_names(path, header, ".ipr"), effect)
    return _read_beside(beside, effect, sidecars.read_ipr, endianness)


def _add_pixel_size(
    path: Path,
    header: Header,
    ipr: tuple[dict[str, Any], float, float] | None,
    result: dict[str, Any],
) -> None:
    if ipr is None:
        return
    tree, x_um, y_um = ipr
    result["original_metadata"]["ipr_header"] = tree
    y, x = result["axes"][:2]
    x |= {"scale": x_um, "units": "µm"}
    y |= {"scale": y_um, "units": "µm"}


def _add_xml(path: Path, given: str | Path | None, result: dict[str, Any]) -> None:
    effect = "no working distance"
    beside = _find(path, given, [f"{path.stem}.xml"], effect)
    tree = _read_beside(beside, effect, sidecars.read_xml)
    if tree is None:
        return
    result["original_metadata"]["xml"] = tree
    root = next(iter(tree.values()))
    distance = _attribute(root, "Geometry", "WorkingDistance")
    if distance is not None:
        try:
            millimetres = float(distance)
        except ValueError:
            millimetres = math.nan
        if 0 < millimetres < 1e4:
            instrument = result["metadata"].setdefault("Acquisition_instrument", {})
            instrument.setdefault("SEM", {})["working_distance"] = millimetres
        else:
            warn(f"{beside}: WorkingDistance is {distance!r:.40}, expected mm. Left out.")
    label = _attribute(root, "SpectrumLabel", "Label")
    if label and label.strip():
        sample = result["metadata"].setdefault("Sample", {})
        sample["description"] = label.strip()


def _attribute(root: Any, element: str, name: str) -> str | None:
    found = root.get(element) if isinstance(root, dict) else None
    if isinstance(found, list):  # it stands more than once: the first one
        found = next((item for item in found if isinstance(item, dict)), None)
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else None


def _add_distances(
    path: Path, header: Header, given: str | Path | None, result: dict[str, Any]
) -> None:
    effect = "x has no scale"
    beside = _find(path, given, [f"{path.stem}.csv"], effect)
    table = _read_beside(beside, effect, sidecars.read_csv)
    if table is None:
        return
    tree, distances, units = table
    result["original_metadata"]["csv_header"] = tree
    steps = np.diff(distances)
    if distances.size != header.n_rows:
        fault = f"{distances.size} distances for {header.n_rows} spectra"
    elif not steps.size:
        fault = "a single distance, which gives no step"
    elif not steps[0] or np.ptp(steps) > _UNEVEN * abs(steps[0]):
        fault = f"distances {steps.min():g} to {steps.max():g} {units} apart"
    else:
        step = float((distances[-1] - distances[0]) / steps.size)
        result["axes"][0] |= {
            "scale": step,
            "offset": float(distances[0]),
            "units": "µm" if units in ("um", "µm", "μm") else units,
        }
        return
    warn(
        f"{beside}: the table has {fault}, expected one for each, evenly spaced: {effect}."
    )
