"""Spectra of signals, drawn beside each other."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.core.eds import PER_KEV
from rsciio_xfm.core.progress import progress
from rsciio_xfm.core.warning import warn
from rsciio_xfm.drawing.page import new_axes
from rsciio_xfm.drawing.peak_names import name_peaks
from rsciio_xfm.drawing.spectra import NORMS, Curve, Frame, draw_spectra
from rsciio_xfm.signals.checks import check_labels, check_spectra
from rsciio_xfm.signals.elements import labels_of
from rsciio_xfm.signals.lines import check_element, check_line
from rsciio_xfm.signals.made import spectrum_of
from rsciio_xfm.signals.timekeeping import live_map, times_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PER = {None: "Counts", "pixel": "Counts per pixel",
        "live_time": "Counts per second of live time"}  # fmt: skip
_MOST = 32  # spectra of one signal that are drawn


@dataclass(frozen=True, eq=False)
class _Spectrum:
    """One of the spectra that are drawn.

    Attributes
    ----------
    name
        Of it.
    signal
        It comes from.
    counts
        Of its channels.
    n_pixels, live_time
        That were added up, and seconds; None if they are not known.
    """

    name: str
    signal: BaseSignal
    counts: np.ndarray
    n_pixels: float | None
    live_time: float | None


def plot_spectra(
    spectra: Any,
    *,
    norm: str = "log",
    per: str | None = None,
    lines: Any = None,
    energy_range: tuple[float, float] | None = None,
    labels: Iterable[str] | None = None,
    excitation: Any = None,
    ax: Any = None,
) -> "Axes":
    """Draw spectra over each other, with the names of their X-ray lines.

    Parameters
    ----------
    spectra
        A spectrum, several in a list, or in a dictionary that gives them names, as
        :func:`get_region_spectra` returns it; a signal with up to 32 spectra, as
        ``classes.spectra`` of :func:`rsciio_xfm.classify`. Of any type, lazy or not.
    norm
        ``"log"`` or ``"linear"``: the scale of the counts. On a logarithmic one channels
        without counts lie at half of the least counts that their spectrum has.
    per
        ``"pixel"``: counts / number of pixels; ``"live_time"``: counts / live time in seconds;
        None: counts as they are. The number of pixels is known of what
        :func:`get_region_spectra`, :func:`get_summary` and :func:`rsciio_xfm.classify` add up.
    lines
        Names to be written over the peaks: lines (``"Fe_Ka"``) and elements (``"Fe"``: the
        line that exspy chooses) in a list, or a dictionary of any text and its energy, in
        units of the axis. ``"auto"``: lines, or else elements, of the metadata; or else the
        elements that :func:`rsciio_xfm.find_elements` is clear about. What is beyond the
        energies that are drawn has no name, and of lines in a list a warning says so.
    energy_range
        That is drawn, in units of the axis; None: from the first channel to the last that has
        counts.
    labels
        Names of the spectra, instead of those that they have.
    excitation
        With ``lines="auto"``, what excites the sample, as of
        :func:`rsciio_xfm.find_elements`; None: from the metadata.
    ax
        Where to; None makes a figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes. ``ax.figure.savefig("spectra.pdf")`` writes them for print.

    Raises
    ------
    ValueError
        An argument is none of these; a number of pixels, or a live time, is not known; or
        spectra have different units.
    TypeError
        It is no signal.

    Warns
    -----
    UserWarning
        With ``lines="auto"`` nothing says which elements are there; a line is beyond the
        energies that are drawn; or there is no room for all names.

    Notes
    -----
    Colours are those of Okabe and Ito (https://jfly.uni-koeln.de/color), which the
    colour-blind tell apart; dashes are told apart in black and white too.

    Examples
    --------
    >>> import rsciio_xfm
    >>> left = s.data.sum(axis=-1).compute() > 0
    >>> left[:, 4:] = False
    >>> found = s.get_region_spectra({"left": left, "right": ~left})
    >>> ax = rsciio_xfm.plot_spectra(found, per="pixel", lines=["Fe", "Ca_Ka"])
    >>> ax.get_ylabel()
    'Counts per pixel'
    """
    _check_one_of("norm", norm, NORMS)
    _check_one_of("per", per, _PER)
    found = _renamed(list(_spectra_of(spectra)), labels)
    if not found:
        raise ValueError("There is no spectrum to be drawn.")
    units = _units_of(found[0].signal)
    curves = [_curve(spectrum, per, units) for spectrum in found]
    if ax is None:
        ax = new_axes(is_wide=True)
    ylabel = _PER[per]
    if per is None and all(spectrum.n_pixels == 1 for spectrum in found):
        ylabel = _PER["pixel"]
    frame = Frame(units, ylabel, norm, _checked(energy_range, curves))
    draw_spectra(ax, curves, frame)
    if lines is not None:
        if isinstance(lines, str) and lines == "auto":
            named = _automatic(found, units, excitation)
        else:
            named = _energies_of(lines, found)
            if not isinstance(lines, Mapping):
                _warn_of_lines_beyond(ax, named, units)
        _name_lines(ax, named)
    return ax


def _check_one_of(name: str, value: Any, known: Iterable[Any]) -> None:
    if value not in (known := list(known)):
        expected = ", ".join(map(repr, known))
        raise ValueError(f"{name} is {value!r:.60}, expected one of {expected}.")


def _checked(energy_range: Any, curves: list[Curve]) -> tuple[float, float] | None:
    """Return energies that are to be drawn, if there are channels."""
    if energy_range is None:
        return None
    try:
        start, stop = map(float, energy_range)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"energy_range is {energy_range!r:.60}, expected two energies."
        ) from error
    first = min(float(curve.energy.min()) for curve in curves)
    last = max(float(curve.energy.max()) for curve in curves)
    if not (start < stop and start < last and stop > first):
        raise ValueError(
            f"energy_range is {start:g} to {stop:g}, expected some of {first:g} to {last:g}, "
            "the lower end first."
        )
    return start, stop


# What is to be drawn.


def _spectra_of(spectra: Any) -> Iterator[_Spectrum]:
    """Return all spectra of what may be a signal, a list or a dictionary of some."""
    if isinstance(spectra, Mapping):
        for name, signal in spectra.items():
            yield from _of_signal(signal, str(name))
    elif isinstance(spectra, list | tuple):
        titles = [_title(signal) for signal in spectra]
        for signal, name in zip(spectra, _without_common(titles), strict=True):
            yield from _of_signal(signal, name)
    else:
        yield from _of_signal(spectra, _title(spectra))


def _title(signal: Any) -> str:
    check_spectra(signal)
    return str(signal.metadata.get_item("General.title", ""))


def _without_common(titles: list[str]) -> list[str]:
    """Return titles without that of the map; numbers if they do not tell spectra apart."""
    heads = {title.rpartition(": ")[0] for title in titles}
    names = [title.rpartition(": ")[2] for title in titles] if len(heads) == 1 else titles
    is_told = len(set(names)) == len(names) and all(names)
    return names if is_told or len(names) == 1 else [str(k) for k in range(len(names))]


def _of_signal(signal: Any, name: str) -> Iterator[_Spectrum]:
    check_spectra(signal)
    axes = signal.axes_manager
    n = axes.navigation_size if axes.navigation_dimension else 1
    if n > _MOST:
        raise ValueError(
            f"The signal is {signal}, expected a spectrum, or at most {_MOST}: sum the map, "
            "s.sum(), or take regions of it, s.get_region_spectra."
        )
    in_array = [axis.index_in_array for axis in axes.signal_axes]
    if in_array != [signal.data.ndim - 1]:
        raise ValueError(
            f"The signal is {signal}, expected its channels last in the array."
        )
    with progress(doing="computing the spectra"):
        counts = np.asarray(signal.data).reshape(n, -1)
    n_pixels, live = times_of(signal).n_pixels, live_map(signal)
    seconds = [None] * n if live is None else [float(t) for t in live.ravel()]
    names = [name]
    if axes.navigation_dimension:
        what = axes.navigation_axes[0].name
        what = what if isinstance(what, str) and axes.navigation_dimension == 1 else ""
        names = [f"{what} {k}".strip() for k in range(n)]
    for each in zip(names, counts, seconds, strict=True):
        yield _Spectrum(each[0], signal, each[1], n_pixels, each[2])


def _renamed(found: list[_Spectrum], labels: Iterable[str] | None) -> list[_Spectrum]:
    if labels is None:
        return found
    names = check_labels(labels, len(found))
    return [replace(one, name=name) for one, name in zip(found, names, strict=True)]


def _units_of(signal: BaseSignal) -> str | None:
    units = signal.axes_manager.signal_axes[0].units
    return units if isinstance(units, str) and units else None


def _curve(spectrum: _Spectrum, per: str | None, units: str | None) -> Curve:
    """Return a spectrum in units of the first, and divided by what is asked for."""
    (axis,) = spectrum.signal.axes_manager.signal_axes
    energy, own = np.asarray(axis.axis, dtype=float), _units_of(spectrum.signal)
    if own != units:
        if own not in PER_KEV or units not in PER_KEV:
            raise ValueError(
                f"The energies of {spectrum.name!r} are in {own or 'channels'}, those of the "
                f"first spectrum in {units or 'channels'}, expected the same."
            )
        energy = energy * (PER_KEV[units] / PER_KEV[own])
    return Curve(spectrum.name, energy, spectrum.counts / _divisor(spectrum, per))


def _divisor(spectrum: _Spectrum, per: str | None) -> float:
    if per is None:
        return 1.0
    known = spectrum.n_pixels if per == "pixel" else spectrum.live_time
    if known:
        return float(known)
    if per == "pixel":
        raise ValueError(
            f"How many pixels were added up in {spectrum.name!r} is not known: take sums of "
            "s.get_region_spectra or s.get_summary, whose spectra know it; or divide by the "
            "number of pixels, and leave out per."
        )
    raise ValueError(
        f"The live time of {spectrum.name!r} is {'not known' if known is None else '0 s'}: "
        "set it in seconds, as metadata.Acquisition_instrument.SEM.Detector.EDS.live_time; "
        'or use per="pixel".'
    )


# Names of lines.


def _name_lines(ax: "Axes", named: Mapping[str, float]) -> None:
    """Write the names of lines over their peaks."""
    left_out = name_peaks(ax, named.items())
    if left_out:
        warn(
            f"There is no room for the names of {', '.join(left_out)}: draw fewer lines, a "
            "part of the energies (energy_range), or a wider picture (ax)."
        )


def _warn_of_lines_beyond(
    ax: "Axes", named: Mapping[str, float], units: str | None
) -> None:
    """Say which lines are not among the energies that are drawn."""
    first, last = sorted(ax.get_xlim())
    beyond = [
        f"{name}, {energy:.4g} {units},"
        for name, energy in named.items()
        if not first <= energy <= last
    ]
    if beyond:
        lie = "lies" if len(beyond) == 1 else "lie"
        warn(
            f"{' and '.join(beyond)} {lie} outside of the {first:.4g} to {last:.4g} {units} "
            "that are drawn."
        )


def _energies_of(lines: Any, found: list[_Spectrum]) -> dict[str, float]:
    """Return names, and energies in units of the axis, of what was asked for."""
    if isinstance(lines, Mapping):
        return {str(text): float(energy) for text, energy in lines.items()}
    return _named([lines] if isinstance(lines, str) else list(lines), found)


def _named(names: Iterable[Any], found: list[_Spectrum]) -> dict[str, float]:
    """Return lines, and those of elements, with energies in units of the axis."""
    from exspy.material import elements

    factor = _factor(_units_of(found[0].signal))
    named = {}
    for name in dict.fromkeys(map(str, names)):
        line = name
        if "_" not in name:
            check_element(name)
            line = _line_of(name, found)
        check_line(line)
        element, _, shell = line.partition("_")
        properties = elements[element].Atomic_properties.Xray_lines[shell]
        named[line] = factor * properties["energy (keV)"]
    return named


def _factor(units: str | None) -> float:
    """Return how many units of an axis are 1 keV."""
    if units not in PER_KEV:
        raise ValueError(
            f"Lines cannot be named: the units of the energy axis are {units!r}, expected eV "
            "or keV. Calibrate it: s.calibrate_energy, or scale, offset and units of "
            "s.axes_manager.signal_axes[0]."
        )
    return PER_KEV[units]


def _line_of(element: str, found: list[_Spectrum]) -> str:
    """Return the line that exspy takes for an element."""
    lines = _lines_of(element, found)
    if not lines:
        raise ValueError(
            f"{element} has no line in the spectra that the beam excites; name one, as in "
            f"'{element}_Ka'."
        )
    return str(lines[0])


def _lines_of(element: str, found: list[_Spectrum]) -> list[str]:
    choose = getattr(found[0].signal, "_get_lines_from_elements", None)
    if choose is None:
        raise ValueError(
            f"Which line of {element} is meant is known of signals of EDS only, expected "
            f"the name of a line, like '{element}_Ka'."
        )
    try:
        return list(choose([element], only_one=True, only_lines=("a",)))
    except KeyError:  # of lithium, say, exspy knows no line at all
        return []


def _automatic(
    found: list[_Spectrum], units: str | None, excitation: Any
) -> dict[str, float]:
    """Return lines of the metadata, or of what is found."""
    if units not in PER_KEV:
        warn('lines="auto": no line is named, as the energy axis is not calibrated.')
        return {}
    for item in ("Sample.xray_lines", "Sample.elements"):
        listed = [one.signal.metadata.get_item(item, []) for one in found]
        names = [str(name) for some in listed for name in some]
        if names:  # elements that have no line in the spectra are left out
            return _named([n for n in names if "_" in n or _lines_of(n, found)], found)
    try:
        labels = labels_of(_together(found), excitation)
    except ImportError as error:
        warn(f'lines="auto": no line is named: {error}')
        return {}
    if not labels:
        warn(
            'lines="auto": no line is named: no element is found, or nothing says what '
            'excites the sample. Name lines, as lines=["Fe", "Ca"], in a terminal --lines '
            "Fe,Ca."
        )
    return {text: PER_KEV[units] * energy for text, energy in labels}


def _together(found: list[_Spectrum]) -> BaseSignal:
    """Return the sum of the spectra that have the channels of the strongest one."""
    strongest = max(found, key=lambda one: one.counts.sum())
    (axis,) = strongest.signal.axes_manager.signal_axes
    same = [
        one.counts
        for one in found
        if np.array_equal(one.signal.axes_manager.signal_axes[0].axis, axis.axis)
    ]
    return spectrum_of(strongest.signal, np.sum(same, axis=0), strongest.name)
