"""Where a signal keeps the times of its spectra: in its metadata, in line with its axes.

Whatever makes a signal of another starts without times; each operation then gives the result
its own. After any operation the maps of times either fit the spectra or are gone, and live and
real time with them. A signal of another type has seconds only.
"""

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.core.eds import (
    DEAD_TIME,
    DETECTOR_NODES,
    EDS_DETECTOR,
    MAP_LIVE_TIME,
    MAP_REAL_TIME,
    MAP_SPECTRA,
    SHARE,
    SIGNAL_TYPE,
    TIME_MAPS,
    TIMES,
    drop_dead_time,
)
from rsciio_xfm.core.warning import warn
from rsciio_xfm.signals import time_maps
from rsciio_xfm.signals.times import (
    Times,
    fits,
    live_of,
    shape_of,
    with_dead_time,
    with_seconds,
)

# RosettaSciIO's readers whose times are those of a whole map, with nothing that says so.
_READERS_OF_MAP_TIMES = {f"rsciio.{name}" for name in ("bruker", "jeol", "edax", "emd")}


class Kept(NamedTuple):
    """The times of a signal, and what was in its metadata when they were put there.

    Attributes
    ----------
    map, data
        The map of dead times, and its array; None without.
    times
        Of the spectra.
    is_loaded
        Whether it was seen what the signal was loaded with: HyperSpy says so afterwards.
    """

    map: BaseSignal | None = None
    data: np.ndarray | None = None
    times: Times = Times()
    is_loaded: bool = False


def is_ours(signal: BaseSignal) -> bool:
    """Tell whether a signal keeps maps of times in line with its spectra."""
    return signal._signal_type == SIGNAL_TYPE


def times_of(signal: BaseSignal) -> Times:
    """Return the times of a signal; none if its maps do not fit its axes.

    Dead times in the metadata that are none of these spectra are dropped, with a warning.
    """
    if not is_ours(signal):
        return _seconds_of(signal)
    if not notice(signal):
        _drop(signal)
    kept = signal._kept
    has_maps = kept.times.dead is not None or kept.times.share is not None
    if has_maps and not fits(kept.times, shape_of(signal)):
        return Times()
    return _with_metadata(kept.times, signal._metadata, EDS_DETECTOR)


def live_map(signal: BaseSignal) -> np.ndarray | None:
    """Return the live time of each spectrum, s; None if it is not known.

    Dead times and shares say how it is spread over the spectra, metadata how much it is.
    """
    own = times_of(signal)
    relative = np.ones(()) if own.share is None else own.share
    if own.dead is not None:
        relative = live_of(own, 1.0)
    relative = np.broadcast_to(relative, shape_of(signal))
    if own.live is not None:
        mean = float(relative.mean()) if relative.size else 0.0
        return relative * (own.live / mean if mean else 0.0)
    if own.real is not None and own.dead is not None:
        return relative * own.real
    return None


def give(signal: BaseSignal, times: Times) -> None:
    """Put times into the metadata of a signal, instead of those that it had."""
    metadata, node = signal._metadata, _node_of(signal)
    drop_dead_time(metadata)
    _drop_seconds(metadata, node)
    for name, seconds in (("real_time", times.real), ("live_time", times.live)):
        if seconds is not None:
            metadata.set_item(f"{node}.{name}", float(seconds))
            if _gives_times_of_map(metadata):
                metadata.set_item(f"{node}.n_spectra_of_map", 1)
    if times.n_pixels is not None:
        metadata.set_item(f"{node}.n_pixels", times.n_pixels)
    if not is_ours(signal):
        return
    share = found = None
    if times.share is not None:
        share = (times.share, "Share of the real time", "Share", None)
        metadata.set_item(SHARE, time_maps.build(signal, *share))
    if times.dead is not None:
        found = time_maps.build(
            signal, times.dead, "Dead time", "Dead time (%)", times.detectors
        )
        metadata.set_item(DEAD_TIME, found)
    is_loaded = signal._kept is not None and signal._kept.is_loaded
    data = None if found is None else found.data
    signal._kept = Kept(found, data, times, is_loaded)


def given(out: BaseSignal | None, times: Times) -> AbstractContextManager[None]:
    """Give a signal its times while an operation gives it other axes.

    Whoever listens to its events sees them in time; if the operation fails, it has what it had
    before.
    """
    return _given(out, times) if isinstance(out, BaseSignal) else nullcontext()


@contextmanager
def _given(out: BaseSignal, times: Times) -> Iterator[None]:
    before = out._metadata.get_item(EDS_DETECTOR)
    before = None if before is None else dict(before.__dict__)
    kept = out._kept if is_ours(out) else None
    give(out, times)
    try:
        yield
    except BaseException:
        if before is not None:
            node = out._metadata.get_item(EDS_DETECTOR)
            node.__dict__.clear()
            node.__dict__.update(before)
        if kept is not None:
            out._kept = kept
        raise
    give(out, times)


def called(
    method: Callable[..., Any], own: Times, out: BaseSignal | None, **arguments: Any
) -> Any:
    """Call HyperSpy's method, and give what it returns, or `out`, its times."""
    with given(out, own):
        result = method(**arguments, out=out)
    if result is not None and result is not out:
        give(result, own)
    return result


def same(signal: BaseSignal, result: BaseSignal | None) -> BaseSignal | None:
    """Give a result the times of a signal, if it has its spectra."""
    if result is not None and shape_of(result) == shape_of(signal):
        give(result, times_of(signal))
    return result


def check_fit(signal: BaseSignal) -> None:
    """Drop the times of a signal whose axes have changed, if they are of other axes."""
    if not fits(signal._kept.times, shape_of(signal)):
        give(signal, Times())


def copy_with(
    signal: BaseSignal,
    data: Any,
    copy_variance: bool,
    copy_navigator: bool,
    copy_learning_results: bool,
) -> BaseSignal:
    """Return a copy of a signal with other data, without times.

    HyperSpy's own method takes the data off the signal meanwhile, and other threads find none.
    """
    metadata = signal._metadata.as_dictionary()
    _forget(metadata, EDS_DETECTOR, (*TIMES, *(f"_sig_{name}" for name in TIME_MAPS)))
    if not copy_variance:
        _forget(metadata, "Signal", ("Noise_properties",))
    if not copy_navigator:
        _forget(metadata, "_HyperSpy", ("navigator", "_sig_navigator"))
    dictionary = {
        "data": data,
        "axes": signal.axes_manager._get_axes_dicts(),
        "metadata": copy.deepcopy(metadata),
        "original_metadata": copy.deepcopy(signal.original_metadata.as_dictionary()),
        "attributes": {"_lazy": signal._lazy, "ragged": signal.axes_manager._ragged},
    }
    if copy_learning_results:
        results = copy.deepcopy(signal.learning_results.__dict__)
        dictionary["learning_results"] = results
    return type(signal)(**dictionary)


def to_dictionary(signal: BaseSignal, method: Callable, *args: Any, **kwds: Any) -> dict:
    """Describe a signal by HyperSpy's method; its maps have the axes that it has now."""
    own = times_of(signal)
    dictionary = method(*args, **kwds)
    if own.dead is not None or own.share is not None:
        time_maps.complete(dictionary, signal, own)
    return dictionary


def from_dictionary(kind: type, dictionary: dict[str, Any]) -> BaseSignal:
    """Return a signal that was pickled."""
    return kind(**dictionary)


# What becomes of metadata that others change.


def adopt(signal: BaseSignal, is_file: bool) -> None:
    """Take over the maps that a signal was made with, if they are those of its axes.

    Parameters
    ----------
    signal
        Newly made.
    is_file
        Whether it was saved and loaded: says so if the axes are others.
    """
    metadata = signal._metadata
    signal._kept = Kept()
    _mark_times_of_map(signal)
    found, share = metadata.get_item(DEAD_TIME), metadata.get_item(SHARE)
    maps = [own for own in (found, share) if own is not None]
    if not maps:
        return
    others = [own for own in maps if not isinstance(own, BaseSignal)]
    if others:
        drop_dead_time(metadata)
        warn(
            f"dead_time in the metadata is {others[0]!r:.40}, expected a map: it is dropped. "
            "Use set_dead_time."
        )
        return
    for own in maps:
        if own._lazy:  # loaded lazily from a .hspy file
            own.compute(show_progressbar=False)
    held: tuple[np.ndarray | None, dict[str, Any] | None] | None = None
    if all(time_maps.has_axes_of(signal, own) for own in maps):
        held = (None, None) if found is None else time_maps.read(signal, found)
    if held is not None:
        dead, detectors = held
        if share is not None:
            share = share.data.reshape(shape_of(signal))
        times = Times(dead=dead, share=share, detectors=detectors)
        data = None if found is None else found.data
        signal._kept = Kept(found, data, times, signal._kept.is_loaded)
        return
    give(signal, Times())
    if is_file:
        warn(
            f"{metadata.get_item('General.title', '')}: the dead times that were saved with "
            "the spectra are those of other axes: the map was cut, turned or calibrated "
            "without them. They are left out, and live and real time too."
        )


def notice(signal: BaseSignal) -> bool:
    """Take over dead times that were put into metadata, and the live time that they give.

    Parameters
    ----------
    signal
        One of ours.

    Returns
    -------
    bool
        False if they cannot be those of the spectra; then nothing is changed.
    """
    _mark_times_of_map(signal)
    kept, metadata = signal._kept, signal._metadata
    found = metadata.get_item(DEAD_TIME)
    if found is kept.map and (found is None or found.data is kept.data):
        return True
    bare = replace(kept.times, dead=None, detectors=None, mean_live=math.nan)
    if found is None:  # deleted
        signal._kept = kept._replace(map=None, data=None, times=bare)
        return True
    dead = time_maps.read(signal, found) if isinstance(found, BaseSignal) else None
    if dead is None or time_maps.count_wrong(dead[0]):
        return False
    bare = with_seconds(bare, *_times_of_spectrum(metadata, EDS_DETECTOR))
    give(signal, with_dead_time(bare, *dead))
    return True


def release(signal: BaseSignal) -> None:
    """Drop the maps of a signal that becomes one of another class, which would not crop them.

    Nor would it divide the live time of a whole map.
    """
    own = times_of(signal)
    give(signal, Times(own.real, own.live, n_pixels=own.n_pixels))


def calibrate(
    signal: BaseSignal, get_calibration_from: Callable[..., None], ref: Any, nb_pix: int
) -> None:
    """Copy metadata of a reference by exspy's method; times are those of the signal.

    Without dead times, they are those of the reference, divided by a number.
    """
    own = times_of(signal)
    signal._kept = None
    get_calibration_from(ref, nb_pix=1)
    seconds = _times_of_spectrum(signal._metadata, EDS_DETECTOR)
    signal._kept = Kept()
    if own.dead is None:
        real, live = (None if t is None else t / nb_pix for t in seconds)
        own = Times(real, live, n_pixels=own.n_pixels)
    give(signal, own)


def _drop(signal: BaseSignal) -> None:
    """Drop dead times that were put into metadata and are none of the spectra."""
    found = signal._metadata.get_item(DEAD_TIME)
    give(signal, Times())
    warn(
        f"The dead times that were put into the metadata {time_maps.describe(found)}, "
        f"expected a map of numbers from 0 to 100 of the shape {shape_of(signal)}, that of "
        "the spectra: they are dropped, and live and real time too. Use set_dead_time."
    )


def _mark_times_of_map(signal: BaseSignal) -> None:
    """Note beside times that are those of a whole map that they are, as soon as that is known.

    What a user sets then differs from what is noted, and is that of one spectrum.
    """
    metadata = signal._metadata
    if signal._kept.is_loaded or not metadata.has_item("General.FileIO"):
        return
    signal._kept = signal._kept._replace(is_loaded=True)
    if not _gives_times_of_map(metadata) or metadata.has_item(MAP_SPECTRA):
        return
    real, live = (metadata.get_item(f"{EDS_DETECTOR}.{name}") for name in TIMES[:2])
    for path, seconds in ((MAP_REAL_TIME, real), (MAP_LIVE_TIME, live)):
        if seconds is not None:
            metadata.set_item(path, seconds)
            metadata.set_item(MAP_SPECTRA, int(np.prod(shape_of(signal))))


def _gives_times_of_map(metadata: Any) -> bool:
    """Tell whether a signal was read by a reader that gives the times of a whole map.

    HyperSpy notes in ``General.FileIO`` what a signal was loaded and saved with.
    """
    entries = metadata.get_item("General.FileIO")
    if entries is None:
        return False
    plugins = (entry.get("io_plugin") for entry in entries.as_dictionary().values())
    return not _READERS_OF_MAP_TIMES.isdisjoint(plugins)


def _times_of_spectrum(metadata: Any, node: str) -> tuple[float | None, float | None]:
    """Return real and live time of one spectrum, whether metadata have it or a whole map's."""
    real, live, real_of_map, live_of_map, n = (
        float(value) if isinstance(value, int | float | np.number) else None
        for value in (metadata.get_item(f"{node}.{name}") for name in TIMES[:5])
    )
    if n and real is not None and real == real_of_map:
        real = real / n
    if n and live is not None and live == live_of_map:
        live = live / n
    return real, live


def _seconds_of(signal: BaseSignal) -> Times:
    """Return the times of a signal of another type; a whole map's are none of a spectrum."""
    metadata, node = signal._metadata, _node_of(signal)
    if _gives_times_of_map(metadata):
        return Times(n_pixels=metadata.get_item(f"{node}.n_pixels"))
    return _with_metadata(Times(), metadata, node)


def _with_metadata(times: Times, metadata: Any, node: str) -> Times:
    """Return times with the seconds, and the number of pixels, that metadata have."""
    n_pixels = metadata.get_item(f"{node}.n_pixels")
    if n_pixels != times.n_pixels:
        times = replace(times, n_pixels=n_pixels)
    return with_seconds(times, *_times_of_spectrum(metadata, node))


def _forget(metadata: dict[str, Any], path: str, names: tuple[str, ...]) -> None:
    """Delete entries of metadata in a dictionary."""
    for part in path.split("."):
        metadata = metadata.get(part, {})
    for name in names:
        metadata.pop(name, None)


def _drop_seconds(metadata: Any, node: str) -> None:
    """Delete live and real time from metadata that have them."""
    for name in TIMES:
        if metadata.has_item(f"{node}.{name}"):
            delattr(metadata.get_item(node), name)


def _node_of(signal: BaseSignal) -> str:
    """Return where the times are: exspy moves the node if a signal is one of a TEM."""
    if is_ours(signal):
        return EDS_DETECTOR
    has_item = signal._metadata.has_item
    return next((node for node in DETECTOR_NODES if has_item(node)), EDS_DETECTOR)
