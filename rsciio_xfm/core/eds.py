"""Metadata in HyperSpy's form, and the one place that knows where each item lies."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from hyperspy.signal import BaseSignal

SIGNAL_TYPE = "EDS_XFM"
DETECTOR_AXIS = "detector"

# By the units of an energy axis.
PER_KEV = {"keV": 1, "eV": 1000}
TO_KEV = {units: 1 / number for units, number in PER_KEV.items()}

# exspy looks for these.
INSTRUMENT = "Acquisition_instrument.SEM"
XRF = "Acquisition_instrument.XRF"  # what exspy has no place for
# What XRF.source is where only a microscope can have measured, whatever else is known of it.
ELECTRONS = "electrons"
MOST_SEM_KV = 30.0  # a microscope with a higher voltage is a TEM
EDS_DETECTOR = f"{INSTRUMENT}.Detector.EDS"
# What exspy takes from its preferences where the metadata have none, and where it is noted of
# which that holds; HyperSpy shows no items that begin so.
OFTEN_PREFERRED = (
    f"{INSTRUMENT}.Stage.tilt_alpha",
    f"{EDS_DETECTOR}.elevation_angle",
    f"{EDS_DETECTOR}.azimuth_angle",
    f"{EDS_DETECTOR}.energy_resolution_MnKa",
)
PREFERRED = "_preferred"
LIVE_TIME = f"{EDS_DETECTOR}.live_time"
REAL_TIME = f"{EDS_DETECTOR}.real_time"
# EDAX gives the live time of the whole map. As long as LIVE_TIME is MAP_LIVE_TIME, it is that
# of MAP_SPECTRA spectra together.
MAP_LIVE_TIME = f"{EDS_DETECTOR}.live_time_of_map"
MAP_REAL_TIME = f"{EDS_DETECTOR}.real_time_of_map"
MAP_SPECTRA = f"{EDS_DETECTOR}.n_spectra_of_map"
# Percent, a signal with the navigation axes of the map (and perhaps detectors) only.
DEAD_TIME = f"{EDS_DETECTOR}.dead_time"
# Real time of each spectrum / REAL_TIME, likewise, where they differ: 0 what a mask left out.
SHARE = f"{EDS_DETECTOR}.relative_real_time"
# Of the detector's items: times of the spectra, and maps of one value for each of them.
TIMES = (
    "real_time",
    "live_time",
    "real_time_of_map",
    "live_time_of_map",
    "n_spectra_of_map",
    "n_pixels",  # of a map, that were added up in each spectrum
)
TIME_MAPS = ("dead_time", "relative_real_time")
# exspy moves the node when a signal becomes one of a TEM.
DETECTOR_NODES = (EDS_DETECTOR, EDS_DETECTOR.replace(".SEM.", ".TEM."))
# In the map's metadata: its last axis are detectors whose spectra were summed.
HAS_DETECTORS = "Signal.has_detectors"

# By atomic number; files name elements from hydrogen to californium.
_SYMBOLS = """
H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se
Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy
Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf
"""
ELEMENTS = (None, *_SYMBOLS.split())


def build_axis(
    name: str, size: int, scale: float | None, units: str | None, *, navigate: bool = True
) -> dict[str, Any]:
    """Describe a uniform axis as RosettaSciIO does.

    Parameters
    ----------
    name, size, units
        Of the axis.
    scale
        Step in `units`; None leaves the axis uncalibrated: scale 1, no units.
    navigate
        False for the energy axis.

    Returns
    -------
    dict
        An axis with offset 0; ``index_in_array`` is set by :func:`order_axes`.
    """
    return {
        "name": name,
        "size": size,
        "offset": 0.0,
        "scale": 1.0 if scale is None else scale,
        "units": None if scale is None else units,
        "navigate": navigate,
    }


def order_axes(axes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give axes the numbers of the array's axes.

    Parameters
    ----------
    axes
        From :func:`build_axis`, slowest first.
    """
    return [axis | {"index_in_array": i} for i, axis in enumerate(axes)]


def build_dead_time(
    dead_time: np.ndarray, axes: list[dict[str, Any]], has_detectors: bool
) -> dict[str, Any]:
    """Describe a dead-time map; under the key ``_sig_dead_time`` HyperSpy makes it a signal.

    Parameters
    ----------
    dead_time
        Percent.
    axes
        One for each axis of `dead_time`, all of them navigation axes.
    has_detectors
        Whether the spectra are sums over the first axis, the detectors.
    """
    found = _build_time_map(dead_time, axes, "Dead time", "Dead time (%)")
    found["metadata"]["Signal"]["has_detectors"] = has_detectors
    return found


def build_share(share: np.ndarray, axes: list[dict[str, Any]]) -> dict[str, Any]:
    """Describe real times of spectra / their mean, under the key ``_sig_relative_real_time``.

    Parameters
    ----------
    share
        Of each spectrum.
    axes
        One for each axis of `share`, all of them navigation axes.
    """
    return _build_time_map(share, axes, "Share of the real time", "Share")


def _build_time_map(
    values: np.ndarray, axes: list[dict[str, Any]], title: str, quantity: str
) -> dict[str, Any]:
    return {
        "data": values,
        "axes": order_axes(axes),
        "metadata": {
            "General": {"title": title},
            "Signal": {"quantity": quantity, "signal_type": ""},
        },
        # Held in memory, lazy spectra or not: it is a thousandth of their size.
        "attributes": {"_lazy": False},
    }


def put(tree: dict[str, Any], path: str, value: Any) -> None:
    """Set an item of nested dictionaries."""
    *nodes, last = path.split(".")
    for node in nodes:
        tree = tree.setdefault(node, {})
    tree[last] = value


def as_measured(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata, as a dictionary, without what are exspy's preferences in them.

    Other programs would take these for what was measured.
    """
    preferred = metadata.get(PREFERRED)
    if not isinstance(preferred, dict):
        return metadata
    for place in OFTEN_PREFERRED:
        name = place.rpartition(".")[2]
        if name in preferred:
            metadata = _without(metadata, place.split("."), preferred[name])
    return {name: item for name, item in metadata.items() if name != PREFERRED}


def _without(tree: Any, names: list[str], value: Any) -> Any:
    """Return nested dictionaries without an item, if it is of some value; none is changed."""
    first, *rest = names
    if not isinstance(tree, dict) or first not in tree:
        return tree
    if rest:
        return tree | {first: _without(tree[first], rest, value)}
    is_same = bool(tree[first] == value)
    return {k: v for k, v in tree.items() if k != first} if is_same else tree


def with_times_of_one_spectrum(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return metadata for a format that has one real time for each spectrum of a map.

    Times of the whole map are divided by its spectra. Where real times differ, since a mask
    left spectra out, say, all are given the longest, and dead times that leave the live time
    of each as it is; NaN where there is none.

    Parameters
    ----------
    metadata
        Of a signal, as a writer is given it; not changed.
    """
    names = EDS_DETECTOR.split(".")
    nodes = [metadata]
    for name in names:
        nodes.append(nodes[-1].get(name, {}))
    if not nodes[-1]:
        return metadata
    eds = dict(nodes[-1])
    for kind in ("real_time", "live_time"):
        if eds.get("n_spectra_of_map") and kind in eds:
            is_map = eds[kind] == eds.get(f"{kind}_of_map")
            eds[kind] /= eds["n_spectra_of_map"] if is_map else 1
    share = eds.pop("_sig_relative_real_time", None)
    if share is not None:
        eds |= _with_even_real_times(eds, share)
    for node, name in zip(nodes[-2::-1], names[::-1], strict=True):
        eds = {**node, name: eds}
    return eds


def _with_even_real_times(eds: dict[str, Any], share: dict[str, Any]) -> dict[str, Any]:
    """Return what changes if all spectra are given the longest real time."""
    longest = np.max(share["data"])
    factor = np.asarray(share["data"]) / longest
    carried = eds.get("_sig_dead_time")
    real, live = eds.get("real_time"), eds.get("live_time")
    percent = 100 * (1 - live / real) if real and live is not None else 0.0
    percent = percent if carried is None else np.asarray(carried["data"])
    with np.errstate(invalid="ignore"):
        percent = np.where(factor > 0, 100 - (100 - percent) * factor, np.nan)
    changed = {"_sig_dead_time": (carried or share) | {"data": percent}}
    return changed if real is None else changed | {"real_time": float(real * longest)}


def keep_dead_time_with_its_class(signal: "BaseSignal") -> "BaseSignal":
    """Take the dead-time map off a signal of another class, which would not crop it."""
    if signal.metadata.get_item("Signal.signal_type") != SIGNAL_TYPE:
        drop_dead_time(signal.metadata)
    return signal


def drop_dead_time(metadata: Any) -> None:
    """Delete the maps of dead times, and of shares, from metadata that have them."""
    for node in DETECTOR_NODES:
        for name in TIME_MAPS:
            if metadata.has_item(f"{node}.{name}"):
                delattr(metadata.get_item(node), name)


def build_live_time(
    metadata: dict[str, Any], seconds: float, n_spectra: int | None = None
) -> None:
    """Put a live time into metadata.

    Parameters
    ----------
    metadata
        Of a signal, in the making.
    seconds
        The live time.
    n_spectra
        If it is that of so many spectra together: signals made from the map have that of
        their own.
    """
    instrument = metadata.setdefault("Acquisition_instrument", {}).setdefault("SEM", {})
    eds = instrument.setdefault("Detector", {}).setdefault("EDS", {})
    eds["live_time"] = seconds
    if n_spectra is not None:
        eds["live_time_of_map"] = seconds
        eds["n_spectra_of_map"] = n_spectra


def clean_units(units: str | None) -> str | None:
    """Return units as they are written here, None for no text."""
    return "µm" if units in ("um", "μm", "micron", "microns") else units or None
