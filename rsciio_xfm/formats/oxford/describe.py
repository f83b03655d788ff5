"""Times, energies and metadata of what a slice holds."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.dates import parse_datetime
from rsciio_xfm.core.dead_time import dead_time_of_times, live_fraction
from rsciio_xfm.core.eds import ELECTRONS, ELEMENTS, MOST_SEM_KV, put
from rsciio_xfm.core.hdf5.links import Dataset, Group, get
from rsciio_xfm.core.hdf5.small import text_of
from rsciio_xfm.core.times import Times, put_share
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.oxford.layout import (
    ANGLES,
    ATOMIC_NUMBER,
    BEAM,
    CHANNELS,
    DATE,
    DETECTOR_TYPE,
    DISTANCE,
    FIELDS,
    KEPT,
    LIVE,
    MAGNIFICATION,
    NAME,
    POSITIONS,
    RANGE,
    REAL,
    SPECIMEN,
    STAGE,
    START,
    TABLES,
    TILT,
    WIDTH,
)
from rsciio_xfm.formats.oxford.parse import Part

_EV = 1e-3  # keV
_MOST_KEV = 1000.0
_MOST_WIDTH, _MOST_START = 1e5, 1e6  # eV, of a channel and of the first one
_ALIKE = 0.02  # by which live times may be more than real times, by their noise
_AT_ONCE = 2**18  # pixels
_EVEN = 1e-5  # by which real times may differ: they are float32


def read_times(parts: Sequence[Part], n_pixels: int) -> Times:
    """Read the times of all pixels.

    Real times of several detectors are taken as their mean, in which the dead times are then:
    live times, and all real times together, are those of the file.
    """
    real = _mean_of_each(parts, REAL, n_pixels)
    mean = meta.mean_time(real)
    live = [part.values(LIVE, n_pixels) for part in parts]
    known = [values for values in live if values is not None]
    if real is None or mean is None or len(known) < len(parts):
        _warn_of_other_sizes(parts, n_pixels)
        means = [meta.mean_time(values) for values in known]
        for part, values in zip(parts, live, strict=True):
            meta.warn_of_uneven(part.where, values, is_live=True)
        sound = [seconds for seconds in means if seconds is not None]
        is_known = len(sound) == len(parts)
        return Times(None, mean, sum(sound) / len(sound) if is_known else None)
    dead = np.empty((len(parts), n_pixels), np.float32)
    for part, own, values in zip(parts, dead, known, strict=True):
        for some in _parts(n_pixels):
            own[some] = dead_time_of_times(values[some], real[some])
        is_sound = np.isfinite(own)
        _warn_of_more_live(part, values.sum(where=is_sound), real.sum(where=is_sound))
    if not np.isfinite(dead).any():
        warn(
            f"{parts[0].where}: no pixel has a {LIVE} of 0 s or more and a {REAL} above that, "
            f"expected them: live and dead times stay unknown {parts[0].byte}."
        )
        return Times(None, mean, None)
    # What is not needed any more goes first: there may be millions of pixels.
    del live, known, values
    share = np.ones(n_pixels, np.float32)
    np.divide(
        real, mean, out=share, where=np.isfinite(real) & (real > 0), casting="same_kind"
    )
    del real
    if np.abs(share - 1).max() <= _EVEN:
        return Times(dead, mean, mean * _mean_live(dead))
    return Times(dead, mean, mean * _mean_live(dead, share), share)


def _warn_of_other_sizes(parts: Sequence[Part], n_pixels: int) -> None:
    """Say so if there are times, and not one of each pixel."""
    for part, name in itertools.product(parts, (REAL, LIVE)):
        shape = getattr(get(part.data, name), "shape", None)
        if shape and shape not in ((n_pixels,), (n_pixels, 1)):
            warn(
                f"{part.where}: {name} is of the shape {shape}, expected ({n_pixels}, 1), one "
                f"of each pixel: it is not used {part.byte}."
            )


def _warn_of_more_live(part: Part, live: float, real: float) -> None:
    """Say so if a detector was live for longer than it measured."""
    if live > (1 + _ALIKE) * real:
        warn(
            f"{part.where}: {LIVE} is {live:.4g} s of all pixels together and {REAL} "
            f"{real:.4g} s, expected less of the former: dead times are taken for 0 "
            f"where it is more {part.byte}."
        )


def _mean_of_each(parts: Sequence[Part], name: str, n_pixels: int) -> np.ndarray | None:
    """Return the mean over the detectors for each pixel; None if one has no values."""
    total = None
    for part in parts:
        values = part.values(name, n_pixels)
        if values is None:
            return None
        total = values if total is None else total + values
    return total if total is None or len(parts) == 1 else total / len(parts)


def _mean_live(dead: np.ndarray, share: np.ndarray | None = None) -> float:
    """Return live time / real time of all pixels; what was not measured counts as dead."""
    total = 0.0
    for some in _parts(dead.shape[1]):
        weights = np.float32(1) if share is None else share[some]
        total += float((live_fraction(dead[:, some]) * weights).sum())
    return total / dead.size


def _parts(n_pixels: int) -> Iterator[slice]:
    """Return some pixels at a time: maps may have millions."""
    return (slice(i, i + _AT_ONCE) for i in range(0, n_pixels, _AT_ONCE))


def calibration_of(part: Part) -> tuple[float, float] | None:
    """Return the energy of channel 0 and the width of a channel in keV, None if not known."""
    width, start, n = part.number(WIDTH), part.number(START), part.number(CHANNELS)
    full = part.number(RANGE)
    if width is None and full is not None and n:
        width = full / n / _EV
    if width is None or not 0 < width <= _MOST_WIDTH:
        warn(
            f"{part.where}: {WIDTH} is {'not there' if width is None else f'{width:g}'}, "
            f"expected eV: energies are numbers of channels {part.byte}."
        )
        return None
    if start is not None and abs(start) > _MOST_START:
        warn(
            f"{part.where}: {START} is {start:g}, expected eV: energies are numbers of "
            f"channels {part.byte}."
        )
        return None
    return _EV * (start or 0.0), _EV * width


def energy_axis(parts: Sequence[Part], n_channels: int) -> dict[str, Any]:
    """Make the energy axis, that of the first detector."""
    found = [calibration_of(part) for part in parts]
    known = [own for own in found if own is not None]
    meta.warn_of_calibrations(str(parts[0].path), known, n_channels)
    for part in parts:
        claimed = part.number(CHANNELS)
        if claimed is not None and claimed != n_channels:
            warn(
                f"{part.where}: {CHANNELS} is {claimed:g}, expected {n_channels}, as the "
                f"spectra have: check the energies {part.byte}."
            )
    return meta.energy_axis(parts[0].where, n_channels, known[0] if known else None)


def add_metadata(signal: dict[str, Any], parts: Sequence[Part], times: Times) -> None:
    """Put microscope, detector, sample and uneven real times into the metadata of a map."""
    metadata, first = signal["metadata"], parts[0]
    beam = first.number(BEAM)
    if beam is not None and not 0 <= beam <= _MOST_KEV:
        warn(f"{first.where}: {BEAM} is {beam:g}, expected kV: left out {first.byte}.")
    elif beam is not None and beam > MOST_SEM_KV:
        metadata["Signal"]["signal_type"] = "EDS_TEM"
    for name, value in _microscope(first).items():
        put(metadata, f"Acquisition_instrument.SEM.{name}", value)
    put_share(signal, times)
    specimen = first.text(SPECIMEN)
    sample: dict[str, Any] = {"description": specimen} if specimen else {}
    elements = _elements(first)
    if elements:
        sample["elements"] = elements
    if sample:
        metadata["Sample"] = sample
    if len(parts) == 1:
        for name, key in ANGLES.items():
            angle = first.number(key)
            if angle is not None and abs(angle) <= 2 * math.pi:
                place = f"Acquisition_instrument.SEM.Detector.EDS.{name}"
                put(metadata, place, round(math.degrees(angle), 3))


def _microscope(part: Part) -> dict[str, float]:
    """Return what exspy knows places for, by their names below ``SEM``."""
    found = {"magnification": part.number(MAGNIFICATION)}
    found["working_distance"] = part.number(DISTANCE)
    stage = part.tree.get(STAGE)
    stage = stage if isinstance(stage, dict) else {}
    for name in POSITIONS:
        found[f"Stage.{name.lower()}"] = meta.number(stage.get(name))
    tilt = part.number(TILT)
    for name, angle in (
        ("tilt_alpha", meta.number(stage.get("Tilt")) if tilt is None else tilt),
        ("rotation", meta.number(stage.get("Rotation"))),
    ):
        found[f"Stage.{name}"] = None if angle is None else round(math.degrees(angle), 3)
    return {name: value for name, value in found.items() if value is not None}


def _elements(part: Part) -> list[str]:
    """Return the elements that windows, peaks or concentrations were calculated of."""
    numbers = set()
    for name, _ in TABLES.values():
        group = get(part.data, name)
        for key in group if isinstance(group, Group) else ():
            item = get(group, key)
            if isinstance(item, Dataset):
                number = meta.number(np.ravel(item.attrs.get(ATOMIC_NUMBER, 0))[:1].sum())
                numbers.add(int(number or 0))
    return [str(ELEMENTS[n]) for n in sorted(numbers) if 0 < n < len(ELEMENTS)]


def instrument(parts: Sequence[Part], n_pixels: int, times: Times) -> dict[str, Any]:
    """Return what is kept of an acquisition."""
    first = parts[0]
    found: dict[str, Any] = {"slice": first.owner.name, "source": ELECTRONS}
    found["detectors"] = [part.name for part in parts]
    found |= {k: first.tree[n] for k, n in KEPT.items() if n in first.tree}
    kind = None if first.header is None else get(first.header, DETECTOR_TYPE)
    if isinstance(kind, Dataset) and text_of(kind.attrs.get(NAME)):
        found["detector_type"] = text_of(kind.attrs.get(NAME))
    fields = first.values(FIELDS, n_pixels)
    if fields is not None:
        found["montage_fields"] = len(np.unique(fields[np.isfinite(fields)]))
    if times.dead is not None:
        found["dead_time_from"] = "live time / real time"
    return found


def date_of(part: Part) -> Any:
    """Return when it was measured."""
    return parse_datetime(part.text(DATE))
