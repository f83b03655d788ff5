"""``file_reader`` for JEOL's maps, projects, images and spectra."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.checks import is_whole
from rsciio_xfm.core.eds import build_axis, keep_dead_time_with_its_class, order_axes
from rsciio_xfm.core.runs import FileBytes, Stream
from rsciio_xfm.core.stream import Grid
from rsciio_xfm.core.to_dask import check_worth_reading, from_source, in_memory, read_all
from rsciio_xfm.core.warning import warn
from rsciio_xfm.core.xrf import clean, number
from rsciio_xfm.formats.jeol import metadata as metadata_of
from rsciio_xfm.formats.jeol.data import JEOLArray
from rsciio_xfm.formats.jeol.frames import (
    Chosen,
    Frames,
    Rows,
    choose_frames,
    find_frames,
    find_rows,
)
from rsciio_xfm.formats.jeol.index import Index, read_index
from rsciio_xfm.formats.jeol.kernels import NOWHERE
from rsciio_xfm.formats.jeol.layout import N_CHANNELS
from rsciio_xfm.formats.jeol.parse import Header, read_header
from rsciio_xfm.formats.jeol.project import read_project
from rsciio_xfm.formats.jeol.times import Times, find_times
from rsciio_xfm.formats.jeol.upstream import read_other

_MAP, _PROJECT, _OTHERS = ".pts", ".asw", (".img", ".map", ".eds")
_NOT_READ = (".apb",)  # of a project: nobody knows what is in them
_MOST_CHANNELS = 2**16
_DTYPES = "an integer type, as 'uint16'"
# A map of which less is there is read lazily only, unless it is small.
_LEAST_SHARE = 0.01
_MANY_FRAMES = 16  # of which RosettaSciIO sums images as uint32


@dataclass(frozen=True)
class _Options:
    """Of the reader, for maps."""

    lazy: bool
    chunks: Any
    rebin_energy: int
    sum_frames: bool
    dtype: Any
    cutoff: float | None
    downsample: Any
    only_valid_data: bool
    read_em_image: bool
    frame_list: Any
    frame_shifts: Any
    cache: bool


@dataclass(frozen=True, eq=False)
class _Map:
    """A map and the part of it that is read.

    ``steps`` says how many columns and rows of the file become one pixel of the array.
    """

    header: Header
    index: Index
    frames: Frames
    chosen: Chosen
    rows: Rows
    steps: tuple[int, int]


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    rebin_energy: int = 1,
    sum_frames: bool = True,
    SI_dtype: Any = None,
    cutoff_at_kV: float | None = None,
    downsample: int | tuple[int, int] = 1,
    only_valid_data: bool = True,
    read_em_image: bool = False,
    frame_list: Sequence[int] | None = None,
    frame_shifts: Any = None,
    frame_start_index: Any = None,
    cache: bool = True,
) -> list[dict[str, Any]]:
    """Read a file of JEOL's Analysis Station: a map, a project, an image or a spectrum.

    Parameters
    ----------
    filename
        Path of a ``.pts``, ``.asw``, ``.img``, ``.map`` or ``.eds`` file. A project
        (``.asw``) is all files that it names, maps with the options given here.
    lazy
        If True, ``data`` is a dask array; now the header is read, and one pass made over the
        stream, in bounded memory, that indexes its rows and counts the ticks of its clock.
    chunks
        Of the dask array. ``"auto"`` makes chunks of whole rows with all channels, at
        most 128 MiB. Anything else goes to :func:`dask.array.core.normalize_chunks`.
    rebin_energy
        Sum so many channels into one; a divisor of 4096.
    sum_frames
        Sum the frames ("sweeps"); if False, they are the first axis.
    SI_dtype
        Of the counts. None takes the smallest of ``uint8``, ``uint16`` and ``uint32`` that
        holds all counts of any pixel, so that no sum of channels can exceed it.
    cutoff_at_kV
        Read channels up to this energy, in keV; zeros follow beyond those of the file.
    downsample
        Sum so many pixels into one: along both axes, or ``(x, y)``; divisors of the map's
        size.
    only_valid_data
        Leave out frames that do not reach the last row, as the last one does when the
        acquisition is stopped.
    read_em_image
        Read the electron signal too, if the stream has one: a second signal.
    frame_list
        Numbers of the frames to read, from 0 on, in their order in the array; one that stands
        twice is counted twice. None is all.
    frame_shifts
        ``(dy, dx)`` or ``(dy, dx, dE)`` for each frame of the file: by how many pixels and
        channels (of those that result) it is moved, against drift. What not all frames have
        is cut off.
    frame_start_index
        Not needed: RosettaSciIO's reader takes here what it found when it read the file
        before.
    cache
        Keep the index of a file above 64 MiB in the user's cache, and take it from there
        when the same file is opened again.

    Returns
    -------
    list of dict
        Signals. ``data`` of a map: counts, shape ``(y, x, E)``, or ``(Frame, y, x, E)`` if
        `sum_frames` is False. ``axes``: y and x in µm, Energy in keV, Frame in s of real
        time. ``metadata``: as RosettaSciIO has them, with the dead time in percent,
        ``(y, x)``, included. Signals of the type EDS_XFM keep that, see Notes.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is none of Analysis Station, or its header cannot be true.
    rsciio_xfm.exceptions.CorruptFileError
        The file was changed since it was indexed; for a lazy array, when it is computed.
    FileNotFoundError
        None of the files of a project is there.
    OverflowError
        Counts do not fit `SI_dtype`; for a lazy array, when it is computed.
    MemoryError
        The map is larger than the available memory and `lazy` is False.
    ValueError
        An argument does not suit the file.

    Warns
    -----
    UserWarning
        Frames are left out; the stream ends early, has words that are not known, or a clock
        that disagrees with the header; files of a project are missing.

    Notes
    -----
    The signal type is EDS_SEM or EDS_TEM, as of RosettaSciIO.
    ``hs.load("map.pts", signal_type="EDS_XFM")`` makes any map one with the methods of this
    package, and keeps the dead times.

    Live and real time in the metadata are those of one spectrum of the map, the mean;
    ``live_time_of_map`` and ``real_time_of_map`` are those of all of them together.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.jeol import file_reader
    >>> (map_,) = file_reader("map.pts", lazy=True)
    >>> map_["data"].shape
    (8, 16, 4096)
    """
    options = _Options(
        lazy,
        chunks,
        rebin_energy,
        sum_frames,
        SI_dtype,
        cutoff_at_kV,
        downsample,
        only_valid_data,
        read_em_image,
        frame_list,
        frame_shifts,
        cache,
    )
    path = Path(filename)
    kind = path.suffix.lower()
    if kind == _PROJECT:
        return _read_project(path, options)
    if kind not in (_MAP, *_OTHERS):
        raise ValueError(
            f"{path}: the extension is {path.suffix!r}, expected one of "
            f"{', '.join((_MAP, _PROJECT, *_OTHERS))}."
        )
    return _read_one(path, options)


def _read_one(path: Path, options: _Options) -> list[dict[str, Any]]:
    if path.suffix.lower() == _MAP:
        return _read_map(path, options)
    return read_other(path, options.lazy)


def _read_project(path: Path, options: _Options) -> list[dict[str, Any]]:
    """Read the files of a project, each with what the project says of it."""
    tree, members = read_project(path)
    kinds = (_MAP, *_OTHERS)
    others = [
        m.path.name for m in members if m.path.suffix.lower() not in (*kinds, *_NOT_READ)
    ]
    if others:
        warn(f"{path}: files of other kinds are left out: {', '.join(others[:10])}.")
    members = [m for m in members if m.path.suffix.lower() in kinds]
    missing = [str(member.path) for member in members if not member.path.is_file()]
    if missing and len(missing) == len(members):
        raise FileNotFoundError(
            f"{path}: none of the {len(members)} files of the project is there, such as "
            f"{missing[0]}. Copy them too: they are in the folder Sample beside it."
        )
    if missing:
        warn(
            f"{path}: {len(missing)} of the {len(members)} files of the project are not "
            f"there, such as {missing[0]}: they are left out."
        )
    signals = []
    for member in members:
        if str(member.path) not in missing:
            for signal in _read_one(member.path, options):
                own = {"asw": clean(tree), "asw_viewdata": clean(member.described)}
                signal["original_metadata"] |= own
                signals.append(signal)
    return signals


def _read_map(path: Path, options: _Options) -> list[dict[str, Any]]:
    header = read_header(path)
    steps = _check_divisors(header, options)
    index = read_index(header, options.cache)
    frames = find_frames(header, index)
    chosen = choose_frames(
        header,
        frames,
        options.frame_list,
        options.frame_shifts,
        options.only_valid_data,
    )
    _check_shifts(header, chosen, steps)
    rows = find_rows(header, index, frames, chosen, steps[1], not options.sum_frames)
    map_ = _Map(header, index, frames, chosen, rows, steps)
    array = _make_array(map_, options)
    axes = _build_axes(map_, array, options)
    original = clean(header.tree) | _describe_frames(map_)
    times = Times()
    if len(chosen.numbers):
        times = find_times(header, index, frames, chosen, rows, array)
    eds = metadata_of.describe_times(times, axes[:-1])
    signals: list[dict[str, Any]] = [
        {
            "data": _read_counts(map_, array, options),
            "axes": order_axes(axes),
            "metadata": metadata_of.build_metadata(header, path.name, eds),
            "original_metadata": original,
            "post_process": [keep_dead_time_with_its_class],
        }
    ]
    if options.read_em_image and index.has_image:
        flat = [axis | {"navigate": axis["name"] == "Frame"} for axis in axes[:-1]]
        signals.append(
            {
                "data": _read_image(array, map_),
                "axes": order_axes(flat),
                "metadata": metadata_of.build_metadata(header, path.name, None),
                "original_metadata": original,
            }
        )
    elif options.read_em_image:
        warn(f"{path}: there is no electron image in the file, expected one to be read.")
    return signals


def _check_divisors(header: Header, options: _Options) -> tuple[int, int]:
    """Return how many pixels and rows are one of the array, if the options suit the map."""
    given = options.downsample
    if isinstance(given, str) or not np.ndim(given):
        given = (given, given)
    if len(given) != 2:
        raise ValueError(
            f"{header.source.name}: `downsample` can't be an iterable of length different "
            f"from 2, found {given!r:.40}."
        )
    names = "rebin_energy", "downsample[0]", "downsample[1]"
    factors = options.rebin_energy, *given
    sizes = N_CHANNELS, header.n_columns, header.n_rows
    for name, factor, size in zip(names, factors, sizes, strict=True):
        if not is_whole(factor) or factor < 1 or size % factor:
            raise ValueError(
                f"{header.source.name}: `{name}`({factor!r:.40}) must be a divisor of {size}."
            )
    return int(given[0]), int(given[1])


def _check_shifts(header: Header, chosen: Chosen, steps: tuple[int, int]) -> None:
    """Refuse shifts that leave no pixel that all frames have."""
    n_rows, n_columns = header.n_rows // steps[1], header.n_columns // steps[0]
    crop_rows, crop_columns = chosen.crop
    if crop_rows >= n_rows or crop_columns >= n_columns:
        raise ValueError(
            f"{header.source.name}: frame_shifts moves frames by {crop_rows} rows and "
            f"{crop_columns} columns, expected less than the {n_rows} and {n_columns} that "
            "the map has."
        )


def _make_array(map_: _Map, options: _Options) -> JEOLArray:
    """Make the array-like over the frames that are read."""
    header, index, chosen = map_.header, map_.index, map_.chosen
    step, row_step = map_.steps
    crop_rows, crop_columns = chosen.crop
    n_rows = header.n_rows // row_step - crop_rows
    n_columns = header.n_columns // step - crop_columns
    n_planes, n_bins = len(map_.rows.ticks), _count_bins(header, options)
    planes = np.zeros(n_planes, int) if options.sum_frames else np.arange(n_planes)
    shifts = (
        chosen.shifts[:, 1:] if chosen.is_moved else np.zeros((n_planes, 2), np.int64)
    )
    columns = np.where(index.columns >= 0, index.columns // step, NOWHERE)
    return JEOLArray(
        streams=(Stream(FileBytes(header.source), map_.rows.runs),),
        grid=Grid(n_rows, n_columns, N_CHANNELS),
        places=tuple(planes.tolist()),
        is_summed=options.sum_frames,
        rebin_energy=options.rebin_energy,
        n_bins=n_bins,
        dtype=_choose_dtype(map_, options.dtype),
        total=_known_total(map_, options.rebin_energy, n_bins),
        columns=columns.astype(np.int32),
        shifts=np.ascontiguousarray(shifts),
    )


def _count_bins(header: Header, options: _Options) -> int:
    n_all = N_CHANNELS // options.rebin_energy
    if options.cutoff is None:
        return n_all
    if header.scale is None or header.offset is None:
        raise ValueError(
            f"{header.source.name}: cutoff_at_kV is given, and the file has no energies."
        )
    scale, energy = header.scale * options.rebin_energy, number(options.cutoff)
    n = 0 if energy is None else round((energy - header.offset) / scale)
    if not 1 <= n <= _MOST_CHANNELS:
        raise ValueError(
            f"{header.source.name}: cutoff_at_kV is {options.cutoff!r:.40}, expected an "
            f"energy of 1 to {_MOST_CHANNELS} channels of {scale:g} keV."
        )
    return n


def _choose_dtype(map_: _Map, given: Any) -> np.dtype:
    """Return the type of the counts: that given, or one that holds all of a pixel's."""
    if given is None:
        numbers, shifts = map_.chosen.numbers, map_.chosen.shifts
        highest = _most_counts(map_.index.pixels, *map_.steps)
        # Frames that stand twice, or are moved, can put their highest counts together.
        n_times = int(np.unique(numbers, return_counts=True)[1].max(initial=1))
        n_places = len(np.unique(shifts, axis=0)) if len(shifts) else 1
        return np.dtype(np.min_scalar_type(highest * n_times * n_places))
    name = map_.header.source.name
    try:
        chosen = np.dtype(given).newbyteorder("=")
    except TypeError as exc:
        raise ValueError(
            f"{name}: SI_dtype is {given!r:.40}, expected {_DTYPES}."
        ) from exc
    if chosen.kind not in "iu":
        raise ValueError(
            f"{name}: SI_dtype is {chosen.name}, expected {_DTYPES}: counts are whole "
            "numbers."
        )
    return chosen


def _most_counts(pixels: np.ndarray, step: int, row_step: int) -> int:
    """Return the most counts of any pixel of the array."""
    for axis, n in ((0, row_step), (1, step)):
        if n > 1:
            firsts = np.arange(0, pixels.shape[axis], n)
            pixels = np.add.reduceat(pixels, firsts, axis=axis, dtype=np.uint64)
    return int(pixels.max())


def _known_total(map_: _Map, rebin_energy: int, n_bins: int) -> np.ndarray | None:
    """Return the sum of all spectra, if it is that of what is read."""
    numbers = map_.chosen.numbers
    is_all = np.array_equal(np.sort(numbers), np.arange(map_.frames.n))
    if map_.chosen.is_moved or not is_all:
        return None
    binned = map_.index.total.reshape(-1, rebin_energy).sum(axis=1)[:n_bins]
    return np.pad(binned, (0, n_bins - len(binned)))


def _build_axes(map_: _Map, array: JEOLArray, options: _Options) -> list[dict[str, Any]]:
    """Describe the axes, named as RosettaSciIO does."""
    header, chosen = map_.header, map_.chosen
    # Not the array's shape, which has no frames to ask for if none is read.
    n_rows, n_columns, n_bins = array.grid.n_rows, array.grid.n_columns, array.n_bins
    pixel, scale = header.pixel_um, header.scale
    axes = []
    if not options.sum_frames:
        n_pixels = header.n_rows * header.n_columns
        seconds = None if header.dwell_s is None else header.dwell_s * n_pixels
        axes.append(build_axis("Frame", len(chosen.numbers), seconds, "s"))
    sizes = zip(
        ("y", "x"), (n_rows, n_columns), map_.steps[::-1], chosen.origin, strict=True
    )
    for name, size, step, moved in sizes:
        axis = build_axis(name, size, None if pixel is None else pixel * step, "µm")
        axes.append(axis | {"offset": float(moved) * axis["scale"]})
    scale = None if scale is None else scale * options.rebin_energy
    axes.append(build_axis("Energy", n_bins, scale, "keV", navigate=False))
    if header.offset is not None:
        axes[-1]["offset"] = header.offset
    return axes


def _describe_frames(map_: _Map) -> dict[str, Any]:
    """Return what RosettaSciIO keeps of the frames."""
    chosen, frames, header = map_.chosen, map_.frames, map_.header
    starts = map_.index.start[frames.first[:-1]]
    starts = np.append(starts, map_.index.stop) - header.start
    if chosen.given:
        starts = starts[: max(chosen.numbers, default=-1) + 1]
    shifts = np.zeros((frames.n, 3), np.int64)
    shifts[chosen.numbers] = chosen.shifts
    return {
        "jeol_pts_frame_origin": np.append(chosen.origin, 0),
        "jeol_pts_frame_shifts": shifts,
        "jeol_pts_frame_start_index": starts // 2,
    }


def _read_counts(map_: _Map, array: JEOLArray, options: _Options) -> Any:
    name = map_.header.source.name
    if not len(map_.chosen.numbers) and not options.sum_frames:
        shape = 0, array.grid.n_rows, array.grid.n_columns, array.n_bins
        empty = np.zeros(shape, dtype=array.dtype)
        return in_memory(empty, -1) if options.lazy else empty
    if options.lazy:
        return from_source(array, options.chunks)
    n_all, runs = math.prod(array.shape[:-2]), map_.rows.runs
    start = map_.header.start
    check_worth_reading(
        name, array, len(runs.start), n_all, "rows", _LEAST_SHARE, byte=start
    )
    return read_all(array, name)


def _read_image(array: JEOLArray, map_: _Map) -> np.ndarray:
    """Return the electron signal, as integers of RosettaSciIO's type if they fit it."""
    n_frames = len(map_.chosen.numbers)
    if not n_frames and not array.is_summed:
        return np.zeros((0, array.grid.n_rows, array.grid.n_columns), np.uint16)
    image = array.read_image()
    is_long = array.is_summed and n_frames >= _MANY_FRAMES
    dtype = np.dtype(np.uint32 if is_long else np.uint16)
    return image.astype(np.promote_types(dtype, np.min_scalar_type(int(image.max()))))
