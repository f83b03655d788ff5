"""Elements, excitation and detector of spectra as a model that is fitted to their sum."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.fit.basis import Basis
from rsciio_xfm.analysis.fit.calibrate import calibrate
from rsciio_xfm.analysis.fit.excitation import Excitation
from rsciio_xfm.analysis.fit.model import Fit, Model
from rsciio_xfm.analysis.fit.pymca import to_pymca
from rsciio_xfm.analysis.fit.saving import to_dict
from rsciio_xfm.analysis.fit.unexplained import unexplained
from rsciio_xfm.analysis.quantify.setup import Setup
from rsciio_xfm.core.progress import progress
from rsciio_xfm.core.warning import warn
from rsciio_xfm.drawing.fits import draw_fit
from rsciio_xfm.signals.areas import Areas, as_table, order_of, show
from rsciio_xfm.signals.concentrations import Concentrations
from rsciio_xfm.signals.excitation import (
    OF_EXSPY,
    calibration_of,
    geometry_of,
    is_uncalibrated,
    spectrum_that_says,
)
from rsciio_xfm.signals.fit_checks import show_chi2, warn_of_fit
from rsciio_xfm.signals.fit_sums import Sums, Wish, sum_up
from rsciio_xfm.signals.model_files import (
    MODEL_EXTENSIONS,
    checked_path,
    read_model,
    read_yaml,
    to_yaml,
    write_text,
)
from rsciio_xfm.signals.quantify import make_plan, quantify, standard_of, total_live_time
from rsciio_xfm.signals.standards import Standard

_MOST_SHOWN = 5  # of what is not explained
_NOTED_KEV, _REFUSED_KEV = 0.02, 0.3  # by which energy axes of a set-up may differ


class ElementModel:
    """Elements, excitation and detector of spectra, fitted to a spectrum.

    :func:`rsciio_xfm.create_element_model` and ``s.create_element_model()`` make one,
    :func:`rsciio_xfm.load_element_model` reads one.

    Attributes
    ----------
    model
        rsciio_xfm.analysis.fit.model.Model, as it is now: for functions on arrays.
    title
        Of what it was made for.
    doubts
        What was said of elements when they were found, if they are not sure: by name.
    axis
        Energy of channel 0 and width of a channel, keV, that the spectra's axis had: maps of
        the same set-up have them too.
    live_time
        Of a spectrum that it was fitted to, s, the mean of those of a map; of several
        detectors that were fitted together it is added up. None: not known.
    geometry
        What the spectra that it was made for say of angles, air, window and crystal, see
        :func:`rsciio_xfm.signals.excitation.geometry_of`: concentrations need it.
    """

    live_time: float | None = None

    def __init__(
        self,
        model: Model,
        axis: tuple[float, float],
        title: str = "",
        source: BaseSignal | None = None,
        doubts: Mapping[str, str] | None = None,
    ) -> None:
        self.model = model
        self.axis = axis
        self.title = title
        self.doubts = dict(doubts or {})
        self._source = source
        self.geometry: dict[str, Any] = {} if source is None else geometry_of(source)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the spectra behind: a model is small, a map is not."""
        return vars(self) | {"_source": None}

    def with_model(self, model: Model, live_time: float | None) -> "ElementModel":
        """Return one of another detector, whose spectra are of the same sample."""
        found = copy.copy(self)
        found.model, found._source, found.live_time = model, None, live_time
        return found

    def with_geometry_of(self, spectra: BaseSignal) -> "ElementModel":
        """Return one that knows angles, air, window and crystal of other spectra, too.

        What they say takes the place of what was saved with the model. A model that still
        has its own spectra is returned as it is.
        """
        if self._source is not None:
            return self
        found, theirs = copy.copy(self), geometry_of(spectra)
        if theirs.get("takeoff") == OF_EXSPY:
            theirs["takeoff"] = self.geometry.get("takeoff", OF_EXSPY)
        found.geometry = self.geometry | theirs
        return found

    @property
    def elements(self) -> list[str]:
        """Groups of lines that are fitted: ``["Ca_K", "Pb_L"]``."""
        return [group.name for group in self.model.groups]

    @property
    def excitation(self) -> Excitation | None:
        """What excites the sample; as text ``"Mo 50 kV"``."""
        return self.model.excitation

    @property
    def source(self) -> BaseSignal | None:
        """The spectra that it was made for; of a saved model one that says their geometry."""
        if self._source is None and self.geometry:
            return spectrum_that_says(self.geometry)
        return self._source

    @property
    def is_fitted(self) -> bool:
        """Whether it is calibrated on a spectrum."""
        return self.model.fit is not None

    @property
    def basis(self) -> Basis:
        """Columns and counts of the components: what maps are made with."""
        return self._fit().basis

    @property
    def chi2(self) -> float:
        """Of the spectrum that was fitted, per channel: about 1 if all is explained."""
        return self._fit().chi2

    @property
    def areas(self) -> Areas:
        """Counts of all components in the spectrum that was fitted, with sigma and limits."""
        fit, names = self._fit(), self.names
        order = order_of(fit.basis.names, fit.basis.kinds)
        counts, sigma = (
            np.asarray(a, float)[order] for a in (fit.basis.areas, fit.sigma)
        )
        limits = np.array([fit.detection_limits.get(name, np.nan) for name in names])
        others = frozenset(names) - frozenset(self.elements)
        return Areas(names, counts, sigma, limits, fit.n_pixels, self.notes, others)

    @property
    def names(self) -> tuple[str, ...]:
        """Of all components but the background, elements first."""
        basis = self._fit().basis
        return tuple(basis.names[k] for k in order_of(basis.names, basis.kinds))

    @property
    def correlated(self) -> dict[str, str]:
        """What each component cannot be told apart from, with the correlation, in words."""
        found: dict[str, list[str]] = {}
        for first, second, r in self._fit().correlations:
            found.setdefault(first, []).append(f"{second} (r = {r:.2f})")
            found.setdefault(second, []).append(f"{first} (r = {r:.2f})")
        return {name: f"with {', '.join(others)}" for name, others in found.items()}

    @property
    def notes(self) -> dict[str, str]:
        """What is to be said of components: doubts, and what each is mistaken for."""
        both = [*self.doubts.items(), *self.correlated.items()]
        found: dict[str, list[str]] = {}
        for name, words in both:
            found.setdefault(name, []).append(words)
        return {name: "; ".join(words) for name, words in found.items()}

    @property
    def unexplained(self) -> list[tuple[float, float, str]]:
        """Where the spectrum is above or below the fit: keV, sigma, what it may be."""
        self._fit()
        return list(unexplained(self.model))

    def fit(
        self,
        spectrum: BaseSignal | None = None,
        fixed: Sequence[str] | str = (),
        show_progressbar: bool | None = None,
    ) -> "ElementModel":
        """Calibrate the model on a spectrum, or on the sum of all spectra of a map.

        Parameters
        ----------
        spectrum
            A spectrum, or a map, which is summed in one pass; None: what the model was made
            for.
        fixed
            Names of parameters that stay as they are: ``"zero"``, ``"gain"``, ``"noise"``.
        show_progressbar
            Of lazy signals; None is HyperSpy's preference, on a terminal or in a notebook.

        Returns
        -------
        ElementModel
            Itself.

        Raises
        ------
        ValueError
            There is no spectrum, it is empty, or does not suit the model.
        """
        signal = self._source if spectrum is None else spectrum
        if signal is None:
            raise ValueError(
                "The model was not made for a map here, expected one: model.fit(s)."
            )
        self.check_axis(signal)
        sums = sum_up(signal, Wish(), show_progressbar)
        with progress(show_progressbar, "calibrating the spectrum"):
            return self.calibrate(sums, fixed)

    def calibrate(self, sums: Sums, fixed: Sequence[str] | str = ()) -> "ElementModel":
        """Calibrate the model on the sum of some spectra, and return it."""
        fixed = (fixed,) if isinstance(fixed, str) else tuple(fixed)
        self.model = calibrate(self.model, sums.total, sums.n_pixels, fixed)
        self.live_time = sums.live_time
        warn_of_fit(self.model)
        return self

    def check_axis(self, signal: BaseSignal) -> None:
        """Refuse spectra of another set-up than the model's.

        Raises
        ------
        ValueError
            They have another number of channels, or energies that are far off.

        Warns
        -----
        UserWarning
            Their energies differ by more than 20 eV, or they have none: those of the model
            are taken.
        """
        n_channels = signal.axes_manager.signal_axes[0].size
        if n_channels != self.model.n_channels:
            raise ValueError(
                f"The spectra have {n_channels} channels, the model {self.model.n_channels}: "
                "expected maps of the same set-up. Make a model for this one: "
                "s.create_element_model(model.elements)."
            )
        if is_uncalibrated(signal):
            warn("The spectra have no energies: those of the model are taken.")
            return
        zero, gain = calibration_of(signal)
        own = self.model.response
        ends = [(e - own.zero) / own.gain for e in self.model.energy_range]
        # Of the axis as it was when the model was made, or as the fit has found it.
        known = (self.axis, (own.zero, own.gain))
        off = min(
            max(abs(zero - z + (gain - g) * channel) for channel in ends)
            for z, g in known
        )
        if off > _NOTED_KEV:
            text = (
                f"The energies of the spectra (from {zero:.4g} keV, {1000 * gain:.5g} eV a "
                f"channel) differ from the model's ({self.axis[0]:.4g} keV, "
                f"{1000 * self.axis[1]:.5g} eV) by up to {1000 * off:.0f} eV"
            )
            advice = "make a model for this map: s.create_element_model(model.elements)."
            if off > _REFUSED_KEV:
                raise ValueError(f"{text}, expected maps of the same set-up: {advice}")
            warn(f"{text}. If it is another set-up, {advice}")

    def __repr__(self) -> str:
        model = self.model
        low, high = model.energy_range
        title = f" of {self.title}" if self.title else ""
        head = (
            f"ElementModel{title}: {model.excitation}, {low:.4g} to {high:.4g} keV, "
            f"{len(model.groups)} groups of lines"
        )
        if not self.is_fitted:
            return f"{head}, not fitted yet: model.fit()\n{', '.join(self.elements)}"
        parts = [head, f"  {self._calibration()}", "", self._table()]
        left = self.unexplained
        parts += ["", "Not explained:"] if left else []
        parts += [f"  {e:.2f} keV, {sigma:+.0f} sigma{_perhaps(what)}"
                  for e, sigma, what in left[:_MOST_SHOWN]]  # fmt: skip
        if len(left) > _MOST_SHOWN:
            parts.append(f"  and {len(left) - _MOST_SHOWN} more: model.unexplained")
        return "\n".join(parts)

    def _calibration(self) -> str:
        fit, own = self._fit(), self.model.response
        shown = []
        for name, value, digits in (("zero", own.zero, 1), ("gain", own.gain, 4)):
            _, sigma = fit.parameters.get(name, (value, 0.0))
            width = f" +- {_short(1000 * sigma)}" if sigma else ""
            shown.append(f"{name} {1000 * value:.{digits}f}{width} eV")
        shown.append(f"FWHM of Mn Ka {1000 * own.fwhm:.1f} eV")
        return ", ".join([*shown, f"chi2/n {show_chi2(fit)}"])

    def _table(self) -> str:
        areas = self.areas
        energies = {group.name: f"{group.energy:.3f}" for group in self.model.groups}
        rows = [["", "keV", "counts", "sigma", "limit", ""]]
        each = zip(areas.names, areas.counts, areas.sigma, areas.limits, strict=True)
        for name, *numbers in each:
            rows.append(
                [name, energies.get(name, ""), *map(show, numbers), areas.note(name)]
            )
        return as_table(rows)

    def plot(self) -> np.ndarray:
        """Draw the spectrum, the fit and its components, and what is left, in sigma.

        Returns
        -------
        numpy.ndarray
            matplotlib's axes: the spectra on a logarithmic scale, the residual below.

        Raises
        ------
        ValueError
            The model is not fitted.
        """
        fit, own = self._fit(), self.model.response
        basis = fit.basis
        channels = np.arange(basis.first, basis.stop)
        spectra = {
            name: basis.columns[:, k] * basis.areas[k]
            for k, name in enumerate(basis.names)
        }
        return draw_fit(
            own.zero + own.gain * channels,
            np.asarray(fit.spectrum)[basis.first : basis.stop],
            spectra,
            dict(zip(basis.names, basis.kinds, strict=True)),
            f"{self.title or 'Fit'}: {self._calibration()}",
        )

    def as_standard(
        self,
        known: Mapping[str, float],
        sample: Any = "thick",
        *,
        live_time: float | None = None,
        setup: Setup | None = None,
    ) -> Standard:
        """Take what was fitted for that of a known sample: it tells the geometry factor.

        Parameters
        ----------
        known
            Mass % of its elements, or of compounds: ``{"Fe": 64.3, "SiO2": 2.1}``; µg/cm2 if
            the sample is thin. What has no lines absorbs: name it too.
        sample
            ``"thick"``, ``"thin"`` (a film that absorbs nothing), or its mass per area,
            g/cm2: density x thickness in cm.
        live_time
            Of one spectrum, s, of a map the mean; of several detectors added up. None: as
            the metadata have it.
        setup
            Of :func:`rsciio_xfm.make_setup`; None: made of the metadata, and of what is
            usual.

        Returns
        -------
        Standard
            For ``quantify``; ``standard.save("standard.yaml")``.

        Raises
        ------
        ValueError
            The model is not fitted, or has no lines of what is known; amounts add up to more
            or much less than 100 %; the live time is zero or not known; or electrons excite.

        Examples
        --------
        >>> elements = ["Ca", "Ti", "Cr", "Mn", "Fe"]
        >>> model = s.create_element_model(elements, "Mo 50 kV", (3.4, 7.4)).fit()
        >>> standard = model.as_standard({"Fe": 12.0, "Ca": 3.9}, "thin", live_time=0.01)
        >>> list(standard.factor.per_group)
        ['Ca_K', 'Fe_K']
        """
        areas = self.areas
        seconds = self._seconds(areas, live_time)
        return standard_of(self, areas, seconds, known, sample, setup)

    def quantify(
        self,
        standard: Any = None,
        setup: Setup | None = None,
        sample: Any = "thick",
        matrix: Any = None,
        live_time: float | None = None,
    ) -> Concentrations:
        """Return how much of each element there is in what was fitted.

        Parameters
        ----------
        standard
            Of :meth:`as_standard` or :func:`rsciio_xfm.load_standard`, or several.
        setup
            Of :func:`rsciio_xfm.make_setup`; None: that of the standard. With flux and solid
            angle no standard is needed.
        sample
            As of :meth:`as_standard`.
        matrix
            What the lines do not show: None, nothing; ``"SiO2"``, the rest up to 100 %;
            ``"oxides"`` or ``"oxides + H2O"``, each element as its oxide; ``"normalise"``, the
            elements add up to 100 %, which needs neither standard nor flux nor live time.
        live_time
            Of one spectrum, s, of a map the mean; of several detectors added up. None: as
            the metadata have it.

        Returns
        -------
        Concentrations
            ``found["Fe"]`` is (mass %, sigma), µg/cm2 of a thin sample.

        Raises
        ------
        ValueError
            There is neither a standard nor a geometry; the excitation of the standard or the
            set-up is another one than that of the fit; the live time is zero or not known;
            electrons excite the sample.

        Warns
        -----
        UserWarning
            The composition did not converge, adds up to more than 105 % or to little, or a
            thin sample is none.

        Examples
        --------
        >>> elements = ["Ca", "Ti", "Cr", "Mn", "Fe"]
        >>> model = s.create_element_model(elements, "Mo 50 kV", (3.4, 7.4)).fit()
        >>> standard = model.as_standard({"Fe": 12.0, "Ca": 3.9}, "thin", live_time=0.01)
        >>> found = model.quantify(standard, sample="thin", live_time=0.01)
        >>> round(found["Fe"][0], 2)
        12.0
        """
        plan, areas = make_plan(self, standard, setup, sample, matrix), self.areas
        seconds = None
        if plan.needs_live_time or live_time is not None or self.live_time:
            seconds = self._seconds(areas, live_time)
        return quantify(plan, self.title, {"": areas}, {"": seconds})

    def _seconds(self, areas: Areas, live_time: float | None) -> float:
        """Return the live time of all spectra that were fitted."""
        n, own = areas.n_pixels, self.live_time
        return total_live_time(live_time, None if own is None else n * own, n)

    def save(self, filename: str | Path, overwrite: bool = False) -> None:
        """Write the model as YAML, for :func:`rsciio_xfm.load_element_model`.

        Parameters
        ----------
        filename
            Path, ending in ``.yaml`` or ``.yml``.
        overwrite
            Whether it may be there, if it is such a model.

        Raises
        ------
        FileExistsError
            It is there, and `overwrite` is False.
        ValueError
            The extension is another one, or what is there is no model.
        """
        path = checked_path(filename, MODEL_EXTENSIONS)
        if overwrite and path.exists():
            read_yaml(path)  # another's file is not replaced
        write_text(path, self.to_yaml(), overwrite)

    def to_yaml(self) -> str:
        """Return what :meth:`save` writes."""
        axis = {"zero_keV": self.axis[0], "gain_keV": self.axis[1]}
        held = {**to_dict(self.model), "title": self.title, "axis": axis}
        if self.doubts:
            held["doubts"] = self.doubts
        if self.live_time is not None:
            held["live_time_s"] = self.live_time
        if self.geometry:
            held["geometry"] = self.geometry
        return to_yaml(held)

    def to_pymca(self, filename: str | Path, overwrite: bool = False) -> None:
        """Write the model as a configuration of PyMca's fit.

        Parameters
        ----------
        filename
            Path, ending in ``.cfg``.
        overwrite
            Whether it may be there.

        Raises
        ------
        FileExistsError
            It is there, and `overwrite` is False.
        ValueError
            The extension is another one.
        """
        path = checked_path(filename, (".cfg",))
        write_text(path, to_pymca(self.model), overwrite)

    def _fit(self) -> Fit:
        if self.model.fit is None:
            raise ValueError("The model is not fitted yet: call model.fit() first.")
        return self.model.fit


def load_element_model(filename: str | Path) -> ElementModel:
    """Read a model that :meth:`ElementModel.save` has written.

    Parameters
    ----------
    filename
        Path.

    Returns
    -------
    ElementModel
        Ready for ``s.get_element_maps(model)`` of any map of the same set-up.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no such model, is damaged, or of another version.

    Examples
    --------
    >>> s.create_element_model(["Ca", "Ti", "Fe"]).save("model.yaml", overwrite=True)
    >>> load_element_model("model.yaml").elements
    ['Ca_K', 'Ti_K', 'Fe_K']
    """
    model, axis, others = read_model(Path(filename))
    found = ElementModel(model, axis, others.title, doubts=others.doubts)
    found.live_time, found.geometry = others.live_time, others.geometry
    return found


def _short(number: float) -> str:
    """Return a standard deviation with two digits."""
    return f"{number:.1g}" if number < 1 else f"{number:.0f}"


def _perhaps(what: str) -> str:
    return f": {what}?" if what else ""
