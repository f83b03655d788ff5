"""Which elements are in spectra, and the energies of their channels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.fit import energy
from rsciio_xfm.analysis.fit.find import find_elements as find
from rsciio_xfm.analysis.fit.found import Found
from rsciio_xfm.analysis.fit.known_lines import Calibration
from rsciio_xfm.analysis.fit.model import Model, calibrated
from rsciio_xfm.core.eds import PER_KEV
from rsciio_xfm.core.progress import progress
from rsciio_xfm.signals.areas import IN_PART, POSSIBLE, as_table, show
from rsciio_xfm.signals.checks import check_spectra, check_uniform
from rsciio_xfm.signals.excitation import (
    excitation_of,
    has_excitation,
    response_of,
    warn_if_smoothed,
)
from rsciio_xfm.signals.fit_checks import fair_chi2
from rsciio_xfm.signals.fit_sums import Wish, sum_up

SURE, CLEAR = "sure", "clear"
FINE = (SURE, CLEAR)  # said of elements that nobody needs to doubt
_SURE, _CLEAR = 30.0, 10.0  # sigma
_FAIR_CHI2 = 1.5  # times that of a good fit
_ANODES = ("Mo", "Rh", "Pd", "Ag")  # of tubes, and rare in samples
_LEAST_CHANNELS = 64


def calibrate_energy(
    signal: BaseSignal,
    known: Mapping[str, float] | Sequence[str],
    show_progressbar: bool | None = None,
) -> Calibration:
    """Calibrate the energy axis by lines that are in the spectra, in place.

    Parameters
    ----------
    signal
        A map, lazy or not, or a spectrum, of any type; its sum is looked at. The axis may
        have energies, which are corrected then, or none.
    known
        Lines and about where they are: ``{"Fe_Ka": 640, "Ca_Ka": 369.5}``. If all numbers are
        within 30 % of the energies of their lines in keV, they are energies on the axis as it
        is, else channels, counted from the first of the signal, 0. Or elements,
        ``["Fe", "Ca"]``: peaks are matched, within 10 % of the energies that there are.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal or in a notebook.

    Returns
    -------
    Calibration
        What was matched, and what is left; it prints as a table. Offset, scale and units of
        the signal's axis are set, in keV; the file it came from stays as it is.

    Raises
    ------
    ImportError
        xraylib is not installed; names the extra.
    ValueError
        There are no counts; a name is no line or element; no peak is where a line is said to
        be; lines contradict each other; elements fit in several ways or in none. The axis is
        as it was.

    Examples
    --------
    >>> found = s.calibrate_energy({"Fe_Ka": 640, "Ca_Ka": 369})
    >>> found.taken_as
    'channels'
    >>> found = s.calibrate_energy(["Fe", "Ca"])
    """
    check_spectra(signal)
    (axis,) = signal.axes_manager.signal_axes
    check_uniform([axis])
    sums = sum_up(signal, Wish(), show_progressbar)
    start = None
    if axis.units in PER_KEV and axis.scale > 0:
        factor = PER_KEV[axis.units]
        start = (axis.offset / factor, axis.scale / factor)
    with progress(show_progressbar, "looking for the energies"):
        found = energy.calibrate_energy(sums.total, known, start)
    axis.offset, axis.scale, axis.units = found.zero, found.gain, "keV"
    return found


@dataclass(frozen=True, eq=False)
class Elements(Sequence[Found]):
    """Elements that were found in spectra, the clearest first; it prints as a table.

    Attributes
    ----------
    found
        Each by one shell.
    model
        Fitted to the sum of the spectra; without a fit if nothing was found.
    title
        Of the spectra.
    is_excitation_known
        Whether it was said what excites the sample, by the user or the metadata.
    """

    found: tuple[Found, ...]
    model: Model
    title: str = ""
    is_excitation_known: bool = True

    @property
    def elements(self) -> list[str]:
        """Symbols, each once."""
        return list(dict.fromkeys(one.element for one in self.found))

    def __getitem__(self, index: Any) -> Any:
        return self.found[index]

    def __len__(self) -> int:
        return len(self.found)

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        of = f" in {self.title}" if self.title else ""
        source = f", excited by {self.model.excitation}" if self.model.excitation else ""
        if not self.found:
            yield f"No element was found{of}{source}."
            return
        n = len(self.elements)
        yield f"{n} element{'s' * (n > 1)} found{of}{source}{self._unsure()}"
        rows = [["", "sigma", "counts", "+-", "lines (keV)", ""]]
        for one in self.found:
            lines = ", ".join(f"{line:.2f}" for line in one.lines)
            cells = [f"{one.evidence:.1f}", show(one.counts), show(one.sigma), lines]
            rows.append([one.name, *cells, how_sure(one)])
        yield as_table(rows)
        if any(one.in_part is not None for one in self.found):
            yield f"Counts of what is {IN_PART} are those of that part."
        yield from self._of_the_tube()
        fit = calibrated(self.model)
        if fit.chi2 > _FAIR_CHI2 * fair_chi2(fit):
            yield (
                f"chi2/n of the fit is {fit.chi2:.1f}: it does not describe the spectrum as "
                f"models do, and elements below {_SURE:g} sigma may make up for that."
            )

    def _unsure(self) -> str:
        """Return how many elements are no more than possible."""
        better = {one.element for one in self.found if one.evidence >= _CLEAR}
        n = len(self.elements) - len(better)
        return f"; {n} of them no more than possible" if n else ""

    def _of_the_tube(self) -> Iterator[str]:
        """Say which element may be that of the tube, if nobody said what it is."""
        own = [one for one in self.found if one.element in _ANODES and one.shell == "K"]
        if own and not self.is_excitation_known:
            name = max(own, key=lambda one: one.counts).element
            yield (
                f"{name}_K may be the tube's, scattered by the sample, and what is found "
                f'beside it too: give its excitation, as "{name} 50 kV".'
            )


def how_sure(one: Found) -> str:
    """Return in words how sure an element is, and what else it could be.

    Examples
    --------
    >>> how_sure(Found("Zn", "K", (8.63,), 6.5, 270.0, 40.0, ("Re_L",)))
    'possible, or Re_L'
    """
    words = [POSSIBLE]
    if one.evidence >= _CLEAR:
        words = [SURE if one.evidence >= _SURE else CLEAR]
    if one.same_map:
        words.append(f"map like {one.same_map}'s")
    if one.in_part is not None:
        words.append(IN_PART)
    if one.alternatives:
        words.append(f"or {', '.join(one.alternatives)}")
    return ", ".join(words)


def find_elements(
    signal: BaseSignal,
    elements: Iterable[str] | None = None,
    exclude: Iterable[str] = (),
    excitation: Any = None,
    set_elements: bool = False,
    show_progressbar: bool | None = None,
) -> Elements:
    """Find the elements in the spectra of a map, in one pass over the file.

    Parameters
    ----------
    signal
        A map, lazy or not, or a spectrum, of any type, with a calibrated energy axis (it may
        be 20 eV and 1 % off). Blocks of a map are looked at as well as its sum, so that a few
        grains matter.
    elements
        Those that may be there; None: all from sodium, or of electrons from carbon, to
        uranium. Rare gases but argon, what is radioactive, and other elements that few samples
        have need more evidence then; those that are named do not.
    exclude
        Those that are not there.
    excitation
        ``"Mo 50 kV"``, 17.44 (keV), ``"electrons 20 kV"``; None: from the metadata.
    set_elements
        Put those that were found into the metadata, ``Sample.elements``.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal or in a notebook.

    Returns
    -------
    Elements
        The clearest first: evidence in standard deviations, lines that tell, counts, and
        which others it could be.

    Raises
    ------
    ImportError
        xraylib is not installed; names the extra.
    ValueError
        The energy axis is not calibrated, there are no counts, or a name is no element.

    Notes
    -----
    See :func:`rsciio_xfm.analysis.fit.find.find_elements`.

    Examples
    --------
    >>> found = s.find_elements(exclude=["Rb"])
    >>> "Fe" in found.elements
    True
    """
    named = None if elements is None else list(_names(elements))
    left_out = list(_names(exclude))
    own, response = excitation_of(signal, excitation), response_of(signal)
    warn_if_smoothed(signal)
    is_map = bool(signal.axes_manager.navigation_dimension)
    sums = sum_up(signal, Wish(blocks=is_map), show_progressbar)
    with progress(show_progressbar, "looking for elements"):
        found, model = find(sums.total, own, response, sums.blocks, named, left_out)
    title = str(signal.metadata.get_item("General.title", ""))
    is_known = excitation is not None or has_excitation(signal)
    result = Elements(tuple(found), model, title, is_known)
    if set_elements:
        signal.metadata.set_item("Sample.elements", sorted(result.elements))
    return result


def _names(names: Iterable[str] | str) -> Iterable[str]:
    if not isinstance(names, Iterable) or isinstance(names, bytes):
        raise ValueError(
            f"The elements are {names!r:.40}, expected some like ['Fe', 'Ca']."
        )
    return [names] if isinstance(names, str) else names


def labels_of(spectrum: BaseSignal, excitation: Any = None) -> list[tuple[str, float]]:
    """Return what the peaks of a spectrum are to be labelled with, and their energies in keV.

    Parameters
    ----------
    spectrum
        Of any type. Without a calibration, counts, or an excitation there are no labels.
    excitation
        As of :func:`find_elements`.

    Raises
    ------
    ImportError
        xraylib is not installed; names the extra.
    """
    (axis,) = spectrum.axes_manager.signal_axes
    if axis.units not in PER_KEV or axis.size < _LEAST_CHANNELS:
        return []
    is_known = excitation is not None or has_excitation(spectrum)
    if not is_known or not axis.scale > 0:
        return []
    try:
        found = find_elements(spectrum, excitation=excitation, show_progressbar=False)
    except ValueError:  # nothing is in it
        return []
    clear = [one for one in found if one.evidence >= _CLEAR]
    return [(f"{one.element}_{one.shell}a", one.lines[0]) for one in clear]
