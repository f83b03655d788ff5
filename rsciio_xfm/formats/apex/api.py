"""``file_reader`` for ``.edaxh5`` files."""

from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.checks import check_choice
from rsciio_xfm.core.eds import (
    ELECTRONS,
    ELEMENTS,
    MOST_SEM_KV,
    build_axis,
    build_live_time,
    order_axes,
    put,
)
from rsciio_xfm.core.hdf5.links import Group, get, open_checked
from rsciio_xfm.core.hdf5.stored import Arrangement, make_source, number_type, shape_of
from rsciio_xfm.core.to_dask import in_memory, load
from rsciio_xfm.core.views import Unsigned
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.apex.layout import (
    BEAM,
    CHANNELS,
    COLUMNS,
    DETECTOR,
    EV,
    IMAGE_STEPS,
    IMAGES,
    LIVE,
    N_POINTS,
    N_SPECTRA,
    OFFSET,
    PEAKS,
    ROWS,
    SPECTRA,
    STEPS,
    WINDOW,
    WINDOWS,
)
from rsciio_xfm.formats.apex.parse import Item, fields_of, find_items, image_of

_SELECTIONS = (None, "spectrum_image", "spectrum", "image", "window_integral")
_CHEAP_BYTES = 2**24  # of spectra that are summed when a lazy map is opened
_MOST_STEP = 1e6  # µm
_MOST_WIDTH = 1e5  # eV, of a channel
_REQUEST = (
    "EDAX APEX files are read by the names that other programs look for in them, which could "
    "not be tried on a file: experimental. Hold what you read against APEX, and please send "
    "the authors a file that may be published."
)


@dataclass(frozen=True)
class _Options:
    lazy: bool
    chunks: Any


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    select_type: str | None = None,
    dataset_path: str | list[str] | None = None,
) -> list[dict[str, Any]]:
    """Read an ``.edaxh5`` file of EDAX's APEX; experimental, as no file could be had.

    Parameters
    ----------
    filename
        Path of the file.
    lazy
        If True, ``data`` are dask arrays. Of spectra each chunk is read when it is needed;
        images, which are small, are read now.
    chunks
        Of the dask arrays. ``"auto"`` makes chunks of whole rows with all channels, 128 MiB at
        most; anything else goes to :func:`dask.array.core.normalize_chunks`.
    select_type
        ``"spectrum_image"`` reads maps and line scans; ``"spectrum"`` the spectra of spots and
        areas; ``"image"`` the electron images of maps; ``"window_integral"`` stacks of the
        images of lines. None reads maps and line scans, or spectra if there are none of
        these.
    dataset_path
        Only what is in these groups, as ``"Live Map 1"`` or with the groups that it is in,
        ``"project/sample/area/Live Map 1"``.

    Returns
    -------
    list of dict
        Signals. ``data`` of a map: counts, unsigned integers of the size that they have in
        the file, shape ``(y, x, E)``; ``(x, E)`` of a line. ``axes``: x and y in µm, Energy
        in keV. ``metadata``: signal type EDS_XFM, EDS_TEM above 30 kV.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is none of APEX, or does not hold what is read; spectra are other than
        expected.
    rsciio_xfm.exceptions.CorruptFileError
        Counts are negative, or cannot be read; for a lazy array, when it is computed.
    FileNotFoundError
        There is no such group.
    MemoryError
        The map is larger than the available memory and `lazy` is False.
    ValueError
        An argument does not suit the file.

    Warns
    -----
    UserWarning
        Always one: that the format is experimental, and what was assumed: the order of x and
        y where neither the file's own sizes nor its images tell; energies and live time where
        the sum spectrum in the file is not the sum of the map's.

    Notes
    -----
    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.apex import file_reader
    >>> (map_,) = file_reader("map.edaxh5", lazy=True)
    >>> map_["data"].shape
    (4, 5, 48)
    """
    path = Path(filename)
    check_choice("select_type", select_type, _SELECTIONS)
    options = _Options(lazy, chunks)
    with open_checked(path) as root, np.errstate(all="ignore"):
        items = find_items(path, root)
        chosen = _choose(path, items, dataset_path)
        if select_type in ("image", "window_integral"):
            read = _read_images if select_type == "image" else _read_windows
            signals = [signal for item in chosen for signal in read(item, options)]
        else:
            signals = _read_spectra(chosen, select_type, options)
        if not signals:
            raise FileFormatError(_say_what_is_there(path, chosen, select_type))
    if len(signals) == 1 and select_type != "image":
        signals[0]["metadata"]["General"]["title"] = path.stem
    texts = dict.fromkeys(text for item in chosen for text in item.assumed)
    assumed = f" Assumed: {'; '.join(texts)}." if texts else ""
    warn(f"{path}: {_REQUEST}{assumed}")
    return signals


def _choose(path: Path, items: list[Item], wanted: str | list[str] | None) -> list[Item]:
    if wanted is None:
        return items
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    chosen = []
    for name in names:
        own = [i for i in items if f"/{i.name}".endswith(f"/{name.strip('/')}")]
        if not own:
            found = ", ".join(item.name for item in items) or "nothing"
            text = f"there is no {name!r:.80} in it, expected of {found:.300}"
            raise FileNotFoundError(ENOENT, text, str(path))
        chosen += own
    return chosen


def _read_spectra(
    items: list[Item], select_type: str | None, options: _Options
) -> list[dict[str, Any]]:
    signals = []
    if select_type != "spectrum":
        found = [item for item in items if item.spectra is not None]
        found.sort(key=lambda item: item.kind != "map")
        signals = [_read_map(item, options) for item in found]
    if select_type == "spectrum" or (select_type is None and not signals):
        found = [i for i in items if i.kind == "spectrum" and i.total is not None]
        signals = [_read_spot(item, options) for item in found]
    return signals


# Maps and lines.


def _read_map(item: Item, options: _Options) -> dict[str, Any]:
    """Read the spectra of a map, or of a line."""
    source = _make_source(item)
    chunks = options.chunks
    is_row = item.kind == "line" and len(source.shape) == 3
    if is_row and isinstance(chunks, tuple | list):
        chunks = (1, *chunks)
    data = load(source, item.path, options.lazy, chunks)
    data = data[0] if is_row else data
    *sizes, n_channels = data.shape
    n_spectra = int(np.prod(sizes))
    axes = [
        build_axis(name, size, *_step(item, name))
        for name, size in zip(("y", "x")[-len(sizes) :], sizes, strict=True)
    ]
    total = None
    if not options.lazy or data.nbytes <= _CHEAP_BYTES:
        counts = data if isinstance(data, np.ndarray) else source[...]
        total = counts.reshape(-1, n_channels).sum(axis=0, dtype=np.uint64)
    is_sum = _is_sum(item, total)
    signal = _describe(item, [*axes, _energy_axis(item, n_channels, is_sum)])
    live = item.number(LIVE)
    if live is not None and live > 0:
        build_live_time(signal["metadata"], live, n_spectra)
        if not is_sum:
            why = "was not looked at" if is_sum is None else "is not the sum of these"
            item.assume(
                f"the live time, {live:g} s, is that of all spectra together "
                f"(the sum spectrum {why})"
            )
    return signal | {"data": data}


def _make_source(item: Item) -> FileArray:
    """Make the array-like over spectra, rows first; a line is one row."""
    dataset = item.spectra
    where = f"{item.where}/{SPECTRA[item.kind]}"
    shape = () if dataset is None or dataset.shape is None else shape_of(dataset)
    is_line = item.kind == "line"
    fits = len(shape) == 3 and not (is_line and shape[0] != 1)
    fits = (fits or (is_line and len(shape) == 2)) and 0 not in shape
    if dataset is None or not fits or number_type(dataset).kind not in "iu":
        what = "a row of spectra" if is_line else "a spectrum for each pixel"
        kind = "" if dataset is None else f" of {number_type(dataset)}"
        raise FileFormatError(
            f"{where} is {shape}{kind}, expected integers, {what} {item.byte}. Please send "
            "the authors the file."
        )
    order = () if is_line else _find_order(item, shape)
    source = make_source(item.path, dataset, Arrangement(order=order))
    if source.dtype.kind == "i":
        source = Unsigned(source, where)
    _check_sizes(item, shape)
    return source


def _check_sizes(item: Item, shape: tuple[int, ...]) -> None:
    """Refuse spectra of other sizes than are written beside them."""
    said = [(CHANNELS, shape[-1])]
    if item.kind == "line":
        said.append((N_SPECTRA, shape[-2]))
    for name, found in said:
        value = item.number(name)
        if value is not None and value != found:
            raise FileFormatError(
                f"{item.where}/{SPECTRA[item.kind]}: {name} is {value:g}, expected {found}, "
                f"as the spectra are {shape} {item.byte}."
            )


def _find_order(item: Item, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Tell which axis of a map's spectra are the rows, from what the file says beside."""
    sizes = shape[:2]
    said = tuple(meta.number(item.own.get(name)) for name in (ROWS, COLUMNS))
    image = image_of(item.path, get(item.group, "MAPIMAGE"))
    others = [
        (said, "its NumberOfLines and NumberOfPoints"),
        (None if image is None else image.shape, "its MAPIMAGE"),
    ]
    for found, _ in others:
        if found == sizes and sizes[0] != sizes[1]:
            return ()
        if found == sizes[::-1] and sizes[0] != sizes[1]:
            return (1, 0, 2)
    if said == sizes:  # as many of both
        return ()
    known = [
        f"{what} are {found}" for found, what in others if found and None not in found
    ]
    item.assume(
        f"the first axis of {sizes} is y"
        + (f" ({' and '.join(known)})" if known else " (nothing tells)")
    )
    return ()


def _step(item: Item, name: str) -> tuple[float | None, str | None]:
    step = item.number(STEPS[name]) if item.kind == "map" else None
    is_step = step is not None and 0 < step <= _MOST_STEP
    return (step, "µm") if is_step else (None, None)


def _is_sum(item: Item, total: np.ndarray | None) -> bool | None:
    """Tell whether SPC is the sum of the spectra; None if that is not known."""
    own = item.total
    if own is None or total is None:
        return None
    n = min(own.size, total.size)
    return bool((own[:n] == total[:n]).all() and not total[n:].any())


def _energy_axis(item: Item, n: int, is_sum: bool | None) -> dict[str, Any]:
    """Describe the energies: those of SPC, if it has as many channels or is the sum."""
    width, offset = item.number(*EV), item.number(OFFSET)
    if offset is None and not item.has(OFFSET):
        offset = 0.0
    own = item.total
    n_own = n if own is None else own.size
    points = meta.number(item.record.get(N_POINTS))
    if (
        width is None
        or offset is None
        or not 0 < width <= _MOST_WIDTH
        or abs(offset) > _MOST_STEP
    ):
        if item.has(*EV, OFFSET):
            item.assume(
                f"energies are not known, since evPerChannel is {width} and "
                f"eVOffset is {offset}"
            )
        return meta.energy_axis(item.where, n, None)
    if item.kind != "spectrum" and n not in (n_own, points) and not is_sum:
        item.assume(
            f"energies are not known, since SPC has {n_own} channels and the spectra {n}"
        )
        return meta.energy_axis(item.where, n, None)
    return meta.energy_axis(item.where, n, (offset / 1000, width / 1000))


def _read_spot(item: Item, options: _Options) -> dict[str, Any]:
    """Read the spectrum of a spot or of an area."""
    counts = item.total
    assert counts is not None  # it was chosen for it
    points = meta.number(item.record.get(N_POINTS))
    n = int(points) if points is not None and 1 < points <= counts.size else counts.size
    counts = counts[:n].astype(counts.dtype.newbyteorder("="))
    signal = _describe(item, [_energy_axis(item, n, True)])
    live = item.number(LIVE)
    if live is not None and live > 0:
        build_live_time(signal["metadata"], live)
    data = in_memory(counts, options.chunks) if options.lazy else counts
    return signal | {"data": data}


def _title(item: Item) -> str:
    return f"{item.path.stem} {' '.join(item.name.split('/')[1:])}"


def _describe(item: Item, axes: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe spectra without their data."""
    beam = item.number(BEAM)
    signal = meta.build_map(
        item.path,
        _title(item),
        axes,
        instrument={"source": ELECTRONS, "dataset": item.name},
        beam_energy=beam,
    )
    metadata = signal["metadata"]
    if beam is not None and beam > MOST_SEM_KV:
        metadata["Signal"]["signal_type"] = "EDS_TEM"
    for name, key in DETECTOR.items():
        value = item.number(key)
        if value is not None and 0 <= value <= 360:
            put(metadata, f"Acquisition_instrument.SEM.Detector.EDS.{name}", value)
    numbers = np.ravel(item.record.get(PEAKS, ()))
    known = sorted({int(z) for z in numbers if 0 < z < len(ELEMENTS)})
    if known:
        metadata["Sample"] = {"elements": [str(ELEMENTS[z]) for z in known]}
    tree = {"group": item.name, "SPC": item.record, SPECTRA.get(item.kind, ""): item.own}
    signal["original_metadata"] = meta.clean(
        {
            name: {key: v for key, v in part.items() if meta.is_small(v)}
            if isinstance(part, dict)
            else part
            for name, part in tree.items()
            if name
        }
    )
    return signal


# Images.


def _read_images(item: Item, options: _Options) -> list[dict[str, Any]]:
    """Read the electron images of a map, and of the area that it is in."""
    signals = []
    for name, records in IMAGES.items():
        owner = item.group if name.startswith("MAP") else item.parent
        data = image_of(item.path, get(owner, name))
        if item.kind != "map" or data is None:
            continue
        record: dict[str, Any] = {}
        for one in records:
            record |= fields_of(item.path, get(owner, one))
        axes = []
        for label, size in zip(("y", "x"), data.shape, strict=True):
            step = meta.number(record.get(IMAGE_STEPS[label]))
            step = step if step is not None and 0 < step <= _MOST_STEP else None
            axes.append(build_axis(label, size, step, "µm", navigate=False))
        signals.append(
            {
                "data": in_memory(data, options.chunks) if options.lazy else data,
                "axes": order_axes(axes),
                "metadata": {
                    "General": meta.build_general(
                        item.path, f"{_title(item)} {name}", None
                    ),
                    "Signal": {"signal_type": ""},
                },
                "original_metadata": meta.clean({name: record}),
            }
        )
    return signals


def _read_windows(item: Item, options: _Options) -> list[dict[str, Any]]:
    """Read the images of lines as a stack."""
    group = get(item.group, WINDOWS)
    dataset = item.spectra
    if item.kind != "map" or not isinstance(group, Group) or dataset is None:
        return []
    shape = shape_of(dataset)
    order = _find_order(item, shape)
    images = {}
    for name in group:
        image = image_of(item.path, get(group, name), shape[:2])
        if name.endswith(WINDOW) and image is not None:
            images[name.removesuffix(WINDOW)] = image.T if order else image
    if not images:
        return []
    sizes = shape[1::-1] if order else shape[:2]
    axes = [
        build_axis(name, size, *_step(item, name))
        for name, size in zip(("y", "x"), sizes, strict=True)
    ]
    signal = meta.build_counters(
        item.path, f"{_title(item)} window integral", images, axes, {"dataset": item.name}
    )
    if signal is None:
        return []
    data = in_memory(signal["data"], options.chunks) if options.lazy else signal["data"]
    return [signal | {"data": data}]


def _say_what_is_there(path: Path, items: list[Item], select_type: str | None) -> str:
    found = ", ".join(item.name for item in items) or "no maps, line scans or spectra"
    return (
        f"{path}: the file holds {found:.300}, expected "
        f"{select_type or 'spectra of a map, a line or a spot'} (byte 0, the whole file)."
    )
