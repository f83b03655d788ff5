"""``file_reader`` for ``.h5oina`` files."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.array import FileArray
from rsciio_xfm.core.checks import check_choice, is_whole
from rsciio_xfm.core.detectors import StackedMaps, SummedMaps
from rsciio_xfm.core.eds import DETECTOR_AXIS, build_axis, order_axes
from rsciio_xfm.core.hdf5.links import Dataset, Group, get, open_checked
from rsciio_xfm.core.hdf5.stored import make_source
from rsciio_xfm.core.to_dask import in_memory, load
from rsciio_xfm.core.views import Placed, Unsigned
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.formats.oxford import describe
from rsciio_xfm.formats.oxford.layout import (
    BEAM,
    DETECTORS_OF_IMAGES,
    EBSD,
    FIRST_WITH_SPECTRA,
    IMAGES,
    SPECTRUM,
    TABLES,
    VERSION,
    X,
)
from rsciio_xfm.formats.oxford.parse import (
    Part,
    Slice,
    find_part,
    find_slices,
    read_image,
    read_tables,
)

_SELECTIONS = (None, "spectrum_image", "image", *TABLES, "counters")


@dataclass(frozen=True)
class _Options:
    lazy: bool
    chunks: Any
    select_type: str | None
    detector: int | str | None
    sum_detectors: bool


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    select_type: str | None = None,
    index: int | str | None = None,
    detector: int | str | None = None,
    sum_detectors: bool = True,
) -> list[dict[str, Any]]:
    """Read a ``.h5oina`` file of Oxford Instruments' AZtec.

    Parameters
    ----------
    filename
        Path of the file.
    lazy
        If True, ``data`` are dask arrays. Of spectra each chunk is read when it is needed;
        images and their stacks, which are small, are read now.
    chunks
        Of the dask arrays. ``"auto"`` makes chunks of whole rows with all channels, 128 MiB at
        most; anything else goes to :func:`dask.array.core.normalize_chunks`.
    select_type
        ``"spectrum_image"`` or None reads the spectra of all pixels, which files have since
        format 7.0 if they were exported; ``"image"`` the electron images. Stacks of images of
        each line or element: ``"window_integral"``, ``"peak_area"`` and ``"composition"``;
        ``"counters"`` of all else that has a value for each pixel: times, positions, fields
        of a montage.
    index
        Read this slice only, by the number that it has in the file: 1 is that of a map. A
        particle analysis has one for each feature.
    detector
        Read this EDS detector only, 0 being the first; or its name, such as ``"EDS2"``.
    sum_detectors
        Of spectra: sum all detectors; if False, they are the first axis.

    Returns
    -------
    list of dict
        Signals, of each slice. ``data`` of a map: counts, uint32 (int32 in the file), shape
        ``(y, x, E)``, ``(x, E)`` of a line; ``(detector, y, x, E)`` of several detectors if
        `sum_detectors` is False. ``axes``: x and y in µm, Energy in keV. ``metadata``: signal
        type EDS_XFM, EDS_TEM above 30 kV; dead times in percent. Stacks of images are float64,
        ``(counter, y, x)``, with their names in ``General.counters``; NaN outside of the area
        that was measured.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no ``.h5oina`` file, its header cannot be true, or it does not hold what
        is read; the message says what it holds.
    rsciio_xfm.exceptions.CorruptFileError
        Its parts contradict each other, or cannot be read; for a lazy array, when it is
        computed.
    MemoryError
        The map is larger than the available memory and `lazy` is False.
    OverflowError
        The sum of detectors does not fit the type of their counts.
    ValueError
        An argument does not suit the file.

    Warns
    -----
    UserWarning
        Energies or positions do not fit the spectra; detectors have other energies.

    Notes
    -----
    Dead time of a pixel = 1 - live time / real time, both from the file. Live and real time
    in the metadata are those of one spectrum, the mean. What is in the group EBSD is not
    looked at.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.oxford import file_reader
    >>> (map_,) = file_reader("map.h5oina", lazy=True)
    >>> map_["data"].shape
    (20, 30, 1024)
    """
    path = Path(filename)
    check_choice("select_type", select_type, _SELECTIONS)
    options = _Options(lazy, chunks, select_type, detector, sum_detectors)
    read = {"image": _read_images, "spectrum_image": _read_spectra, None: _read_spectra}
    reader = read.get(select_type, _read_tables)
    with open_checked(path) as root, np.errstate(all="ignore"):
        slices = find_slices(path, root)
        chosen = _choose_slices(path, slices, index)
        signals = [signal for one in chosen for signal in reader(one, options)]
        if not signals:
            raise FileFormatError(_say_what_is_there(path, chosen, select_type))
        return signals


def _choose_slices(
    path: Path, slices: list[Slice], index: int | str | None
) -> list[Slice]:
    chosen = [one for one in slices if index is None or one.name == str(index)]
    if not chosen or isinstance(index, bool):
        names = [one.name for one in slices]
        shown = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
        raise ValueError(f"{path}: index is {index!r:.40}, expected one of {shown}.")
    return chosen


def _choose_detectors(
    owner: Slice, parts: list[Part], detector: int | str | None
) -> list[Part]:
    if detector is None:
        return parts
    names = [part.name for part in parts]
    if is_whole(detector) and 0 <= detector < len(parts):
        return [parts[detector]]
    if not isinstance(detector, str) or detector not in names:
        raise ValueError(
            f"{owner.path}: detector is {detector!r:.40}, expected 0 to {len(parts) - 1}, or "
            f"{', '.join(names)}."
        )
    return [parts[names.index(detector)]]


# Spectra.


def _read_spectra(owner: Slice, options: _Options) -> list[dict[str, Any]]:
    """Read the spectra of a slice; nothing if there are none."""
    every = owner.find_eds()
    found = [part for part in every if part.spectra is not None]
    if not found:
        return []
    for part in every:
        if part not in found:
            warn(
                f"{part.where} holds no {SPECTRUM} that can be read, other detectors have "
                f"them: it is left out {part.byte}."
            )
    parts = _choose_detectors(owner, found, options.detector)
    shape = _shape_of_all(parts, options.sum_detectors)
    sources = [_make_source(part, shape) for part in parts]
    source, times = sources[0], describe.read_times(parts, math.prod(shape))
    is_sum = options.sum_detectors and len(parts) > 1
    axes = parts[0].axes(shape)
    if len(parts) > 1:
        where = f"{owner.path}: {owner.name}"
        own = tuple(sources)
        source = SummedMaps(own, where) if is_sum else StackedMaps(own)
        if not is_sum:
            axes.insert(0, build_axis(DETECTOR_AXIS, len(parts), None, None))
    dead = None if times.dead is None else times.dead.reshape(len(parts), *_sizes(shape))
    signal = meta.build_map(
        owner.path,
        _title(owner, parts, len(found)),
        [*axes, describe.energy_axis(parts, source.shape[-1])],
        dead,
        times.real,
        n_detectors=len(parts) if is_sum else 0,
        instrument=describe.instrument(parts, math.prod(shape), times),
        beam_energy=parts[0].number(BEAM),
        date=describe.date_of(parts[0]),
        live_time=times.live,
    )
    describe.add_metadata(signal, parts, times)
    _check_positions(parts[0], shape)
    signal["data"] = load(source, owner.path, options.lazy, options.chunks)
    signal["original_metadata"] = _original(owner, parts)
    return [signal]


def _sizes(shape: tuple[int, int]) -> tuple[int, ...]:
    """Return the shape without the axis of the rows of a line."""
    return shape[1:] if shape[0] == 1 else shape


def _shape_of_all(parts: Sequence[Part], is_sum: bool) -> tuple[int, int]:
    """Return rows and columns of the map, the same of all detectors."""
    shapes = [_shape_of(part) for part in parts]
    channels = {part.spectra.shape[1] for part in parts if part.spectra is not None}
    if len(set(shapes)) > 1 or len(channels) > 1:
        found = ", ".join(f"{part.name} {part.spectra.shape}" for part in parts)  # type: ignore[union-attr]
        option = "sum_detectors is True" if is_sum else "detectors are an axis"
        raise ValueError(
            f"{parts[0].path}: {option} and the detectors have the shapes {found}, expected "
            "one. Use detector=... to read one of them."
        )
    return shapes[0]


def _shape_of(part: Part) -> tuple[int, int]:
    """Return rows and columns of a detector's map, after a look at its spectra."""
    dataset = part.spectra
    if dataset is None or dataset.ndim != 2 or dataset.dtype.kind not in "iu":
        found = "not there" if dataset is None else f"{dataset.shape} of {dataset.dtype}"
        raise FileFormatError(
            f"{part.where}: {SPECTRUM} is {found}, expected integers, a row of channels for "
            f"each pixel {part.byte}."
        )
    n_pixels = dataset.shape[0]
    if 0 in dataset.shape:
        raise FileFormatError(
            f"{part.where}: {SPECTRUM} is {dataset.shape}, expected no axis of 0 {part.byte}."
        )
    if n_pixels == 1:  # as of a feature, whatever area it is the spectrum of
        return 1, 1
    shape = part.shape()
    if math.prod(shape) != n_pixels:
        raise FileFormatError(
            f"{part.where}: {SPECTRUM} has {n_pixels} pixels, expected {math.prod(shape)}: "
            f"Y Cells and X Cells are {shape[0]} and {shape[1]} (byte "
            f"{h5py.h5o.get_info(dataset.id).addr})."
        )
    return shape


def _make_source(part: Part, shape: tuple[int, int]) -> FileArray:
    dataset = part.spectra
    source = make_source(part.path, dataset)
    if source.dtype.kind == "i":
        source = Unsigned(source, f"{part.where}: {SPECTRUM}")
    n_pixels = math.prod(shape)
    return source if shape[0] == 1 else Placed(source, shape, n_pixels)


def _check_positions(part: Part, shape: tuple[int, int]) -> None:
    """Say so if a row does not begin where the one before did."""
    item = get(part.data, X)
    n_rows, n_columns = shape
    if n_rows == 1 or n_columns == 1 or not isinstance(item, Dataset):
        return
    values = part.values(X, math.prod(shape))
    if values is None:
        return
    first, second, below = values[[0, 1, n_columns]]
    if abs(below - first) > abs(second - first) / 2 > 0:
        warn(
            f"{part.where}: {X} is {first:g} at the begin of the first row and {below:g} at "
            f"that of the second, expected the same: X Cells, {n_columns}, does not fit "
            f"{part.byte}."
        )


def _title(owner: Slice, parts: Sequence[Part], n_all: int) -> str:
    """Return the name of the file, with slice and detector if there are others."""
    names = [owner.path.stem]
    if owner.name != "1":
        names.append(owner.name)
    if len(parts) == 1 < n_all:
        names.append(parts[0].name)
    return " ".join(names)


def _original(owner: Slice, parts: Sequence[Part]) -> dict[str, Any]:
    """Return the headers as they are."""
    return meta.clean({"file": owner.tree} | {part.name: part.tree for part in parts})


# Images.


def _read_tables(owner: Slice, options: _Options) -> list[dict[str, Any]]:
    """Read values of the pixels as stacks of images, one of each detector."""
    name, quantity = TABLES.get(options.select_type or "", ("", ""))
    found = owner.find_eds()
    signals = []
    for part in _choose_detectors(owner, found, options.detector) if found else ():
        shape = part.shape()
        tables = read_tables(part, name, math.prod(shape))
        label = name.lower() or "counters"
        title = f"{_title(owner, [part], len(found))} {label}"
        signal = meta.build_counters(
            owner.path,
            title,
            {key: values.reshape(_sizes(shape)) for key, values in tables.items()},
            part.axes(shape),
            {"slice": owner.name, "detectors": [part.name]},
            describe.date_of(part),
        )
        if signal is not None:
            if quantity:
                signal["metadata"]["Signal"]["quantity"] = quantity
            signals.append(_loaded(signal, options, _original(owner, [part])))
    return signals


def _read_images(owner: Slice, options: _Options) -> list[dict[str, Any]]:
    """Read the electron images of a slice."""
    part = find_part(owner, IMAGES)
    if part is None:
        return []
    signals = []
    for kind in DETECTORS_OF_IMAGES:
        group = get(part.data, kind)
        for name in group if isinstance(group, Group) else ():
            item = get(group, name)
            signal = _read_image(part, item) if isinstance(item, Dataset) else None
            if signal is not None:
                title = f"{_title(owner, [part], 1)} {kind} {name}"
                signal["metadata"]["General"]["title"] = title
                signals.append(_loaded(signal, options, _original(owner, [part])))
    return signals


def _read_image(part: Part, item: Dataset) -> dict[str, Any] | None:
    """Read an electron image; None, with a warning, if it has other pixels than the header."""
    shape = part.shape()
    data = read_image(part.path, item, shape)
    if data is None:
        warn(
            f"{part.where}: the image {item.name} is {item.shape} of {item.dtype}, expected "
            f"{math.prod(shape)} numbers: it is left out {part.byte}."
        )
        return None
    return {
        "data": data.reshape(_sizes(shape)),
        "axes": order_axes(part.axes(shape, navigate=False)),
        "metadata": {
            "General": meta.build_general(part.path, "", describe.date_of(part)),
            "Signal": {"signal_type": ""},
        },
    }


def _loaded(
    signal: dict[str, Any], options: _Options, original: dict[str, Any]
) -> dict[str, Any]:
    """Complete a signal whose data are in memory."""
    data = signal["data"]
    if options.lazy:
        data = in_memory(data, options.chunks)
    return signal | {"data": data, "original_metadata": original}


def _say_what_is_there(path: Path, slices: list[Slice], select_type: str | None) -> str:
    """Say that what is read is not there, and what is."""
    parts = [part for one in slices for part in one.find_eds()]
    there = []
    if any(part.spectra is not None for part in parts):
        there.append("spectrum_image")
    for option, (name, _) in TABLES.items():
        if any(isinstance(get(part.data, name), Group) for part in parts):
            there.append(option)
    if any(one.has(IMAGES) for one in slices):
        there.append("image")
    version = slices[0].tree.get(VERSION, "unknown")
    what = (
        f"no {SPECTRUM} of an EDS detector (format {version}; all spectra can be exported "
        f"since {FIRST_WITH_SPECTRA}, AZtec 6.2)"
        if select_type in (None, "spectrum_image")
        else f"nothing for select_type={select_type!r}"
    )
    there = [name for name in there if name != select_type]
    options = " or ".join(f"select_type={name!r}" for name in there) or "nothing"
    ebsd = " EBSD is read by kikuchipy." if any(one.has(EBSD) for one in slices) else ""
    return (
        f"{path}: the file holds {what}, expected it (byte 0, the whole file). What is there: "
        f"{options}.{ebsd}"
    )
