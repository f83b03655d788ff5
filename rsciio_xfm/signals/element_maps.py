"""Maps of elements by a linear fit of whole spectra, and what is known of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.fit.basis import BACKGROUND, ELEMENT
from rsciio_xfm.analysis.fit.model import calibrated
from rsciio_xfm.analysis.fit.project import Projected
from rsciio_xfm.analysis.fit.response import line_share
from rsciio_xfm.analysis.quantify.setup import Setup
from rsciio_xfm.drawing.composites import Composite
from rsciio_xfm.drawing.panels import Panel
from rsciio_xfm.signals.areas import (
    Areas,
    index_of,
    order_of,
)
from rsciio_xfm.signals.checks import steps_of_axes
from rsciio_xfm.signals.concentrations import Concentrations, Pixels
from rsciio_xfm.signals.element_map_files import Pictures, save_maps
from rsciio_xfm.signals.element_map_panels import panel_of
from rsciio_xfm.signals.element_model import ElementModel
from rsciio_xfm.signals.fit_checks import show_chi2
from rsciio_xfm.signals.fit_regions import areas_of_regions
from rsciio_xfm.signals.made import Signals, blank_of, image_of, picture_of
from rsciio_xfm.signals.map_plots import plot_maps, plot_rgb
from rsciio_xfm.signals.quantify import make_plan, quantify, standard_of, total_live_time
from rsciio_xfm.signals.results import Classification
from rsciio_xfm.signals.selections import resolve_regions
from rsciio_xfm.signals.standards import Standard

_SAME = 1e-5  # relative, of counts that were added up in different ways


class ElementMaps(Mapping[str, BaseSignal]):
    """Maps of elements, name -> signal; see :func:`rsciio_xfm.get_element_maps`.

    ``maps["Fe_K"]`` is an image of counts, float32, not rounded, and negative where the noise
    makes it so: only then are sums over regions right. ``maps["Fe"]`` is the first group of
    lines of iron. Scatter and sum peaks are there by name too, ``maps["Compton_Ka"]``, but
    are no elements: the mapping's own names are those of elements.

    Attributes
    ----------
    models
        The :class:`~rsciio_xfm.signals.element_model.ElementModel` they were made with; one
        for each detector, if those were apart.
    names
        Of all components but the background: elements, scatter, sum peaks.
    totals
        Counts of each component in the whole map, with sigma and detection limits.
    regions
        The same of the regions that were asked for when the maps were made.
    is_nonnegative
        Whether no pixel is below 0: for pictures, as sums are too high then.
    live_time
        Of each pixel, s, an array of the shape of the maps, added up over detectors; None: it
        is not known.
    """

    def __init__(
        self,
        frame: BaseSignal,
        models: Sequence[ElementModel],
        projected: Projected,
        totals: Areas,
        regions: Mapping[str, Areas],
        is_nonnegative: bool = False,
        live_time: np.ndarray | None = None,
    ) -> None:
        self.models, self.totals, self.regions = tuple(models), totals, dict(regions)
        self.is_nonnegative, self.live_time = is_nonnegative, live_time
        self._frame, self._projected = frame, projected
        self._names, self._kinds = projected.names, projected.kinds
        order = order_of(self._names, self._kinds)
        self.names = tuple(self._names[k] for k in order)

    def __getstate__(self) -> dict[str, Any]:
        """Keep the axes as values: signals that were looped over cannot be pickled."""
        axes = [a.get_axis_dictionary() for a in self._frame.axes_manager.navigation_axes]
        frame = axes[::-1], str(self._frame.metadata.General.title)
        return vars(self) | {"_frame": frame}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state | {"_frame": blank_of(*state["_frame"])})

    @property
    def kinds(self) -> dict[str, str]:
        """What each of the names is: ``"element"``, ``"scatter"`` or ``"sum peak"``."""
        known = dict(zip(self._names, self._kinds, strict=True))
        return {name: known[name] for name in self.names}

    @property
    def model(self) -> ElementModel:
        """The first of the models, or the only one."""
        return self.models[0]

    # A mapping of elements.

    def __getitem__(self, name: str) -> BaseSignal:
        k = index_of(name, self._names)
        return self._image(self._projected.maps[k], self._names[k])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names[: len(self)])

    def __len__(self) -> int:
        return self._kinds.count(ELEMENT)

    @property
    def sigma(self) -> Mapping[str, BaseSignal]:
        """Standard deviation of each pixel, counts, by the name of the component."""

        def make(name: str) -> BaseSignal:
            own = self._names[index_of(name, self._names)]
            return self._image(self._projected.sigma(own), own, "sigma")

        return Signals(self.names, make)

    @property
    def background(self) -> BaseSignal:
        """Counts of the background below all peaks, an image."""
        is_own = [kind == BACKGROUND for kind in self._kinds]
        return self._image(self._projected.maps[is_own].sum(axis=0), BACKGROUND)

    @property
    def chi2(self) -> BaseSignal:
        """How well each pixel is fitted: about 1 if the components explain it."""
        image = image_of(self._frame, self._projected.chi2, "chi2/n")
        image.metadata.set_item("Signal.quantity", "chi2/n")
        return image

    def _image(self, data: np.ndarray, name: str, what: str = "") -> BaseSignal:
        image = image_of(self._frame, data, f"{name} {what}".strip())
        image.metadata.set_item("Signal.quantity", "X-rays (Counts)")
        image.metadata.set_item("Signal.component", name)
        if self._kinds[self._names.index(name)] == ELEMENT:
            element, shell = name.split("_")
            image.metadata.set_item("Sample.elements", [element])
            image.metadata.set_item("Sample.xray_lines", [f"{element}_{shell}a"])
        return image

    # What is to be believed.

    def get_region(self, regions: Any) -> dict[str, Areas]:
        """Return the counts of regions: those that a fit of their spectra would give.

        Parameters
        ----------
        regions
            As of :func:`rsciio_xfm.signals.maps.get_region_spectra`: boolean maps, label
            images, pixels or ROIs, best in a dictionary that gives them names.

        Returns
        -------
        dict of str to Areas
            Of each region, ``found["zircon"]["Zr_K"]`` is (counts, sigma): statistics and
            what the calibration adds. No pass over the file is made.

        Raises
        ------
        ValueError
            A region is none of these, or the maps are not negative anywhere by force: their
            sums are too high.

        Examples
        --------
        >>> maps = s.get_element_maps(["Ca", "Ti", "Cr", "Mn", "Fe"], energy_range=(3.4, 7.4))
        >>> found = maps.get_region({"rich in iron": maps["Fe_K"].data > 20})
        >>> counts, sigma = found["rich in iron"]["Fe_K"]
        """
        return self._areas_of(resolve_regions(self._frame, regions))

    def _areas_of(self, regions: Mapping[str, np.ndarray]) -> dict[str, Areas]:
        if self.is_nonnegative:
            raise ValueError(
                "The maps were made with nonnegative=True, and sums of them are too high: "
                "give the regions to s.get_element_maps(..., regions=...), or make the maps "
                "without it."
            )
        return areas_of_regions(self._projected, self.model.notes, regions)

    def as_standard(
        self,
        known: Mapping[str, float],
        sample: Any = "thick",
        *,
        live_time: float | None = None,
        setup: Setup | None = None,
    ) -> Standard:
        """Take the whole map for that of a known sample.

        See :meth:`rsciio_xfm.signals.element_model.ElementModel.as_standard`.
        """
        live = self._live_times(self._live(live_time), {"": self._everything})[""]
        return standard_of(self.model, self.totals, live, known, sample, setup)

    def quantify(
        self,
        standard: Any = None,
        setup: Setup | None = None,
        sample: Any = "thick",
        matrix: Any = None,
        per: Any = None,
        live_time: float | None = None,
    ) -> Concentrations:
        """Return how much of each element there is, in the whole map or in parts of it.

        Parameters
        ----------
        standard, setup, sample, matrix
            As of :meth:`rsciio_xfm.signals.element_model.ElementModel.quantify`.
        per
            Parts, each of which has a composition of its own: a
            :class:`~rsciio_xfm.signals.results.Classification`, labels of classes, or
            ``{"zircon": mask}``, as :meth:`get_region` takes them. None: the whole map. The
            composition of a single pixel is not solved for.
        live_time
            Of a pixel, s, of several detectors added up; None: what dead times and metadata
            tell of each.

        Returns
        -------
        Concentrations
            ``found["zircon"]["Zr"]`` is (mass %, sigma), µg/cm2 of a thin sample;
            ``found.maps["Fe"]`` a map of it, ``found.save(folder)`` writes all.

        Raises
        ------
        ValueError
            As of :meth:`rsciio_xfm.signals.element_model.ElementModel.quantify`; or parts are
            given and the maps have no negative pixels.

        Examples
        --------
        >>> maps = s.get_element_maps(["Ca", "Ti", "Cr", "Mn", "Fe"], energy_range=(3.4, 7.4))
        >>> standard = maps.as_standard({"Fe": 12.0, "Ca": 3.9}, "thin")
        >>> rich = maps["Fe_K"].data > 20
        >>> found = maps.quantify(standard, sample="thin", per={"iron": rich, "rest": ~rich})
        >>> found["iron"]["Fe"][0] > 12 > found["rest"]["Fe"][0]
        True
        >>> image = found.maps["Fe"]
        """
        plan = make_plan(self.model, standard, setup, sample, matrix)
        parts, areas = {"": self._everything}, {"": self.totals}
        if per is not None:
            per = per.labels if isinstance(per, Classification) else per
            parts = resolve_regions(self._frame, per)
            areas = self._areas_of(parts)
        is_timed = plan.needs_live_time or live_time is not None or self._has_live_times
        live = self._live(live_time if is_timed else 1.0)
        known = self._live_times(live, parts)
        seconds = known if is_timed else dict.fromkeys(parts)
        pixels = Pixels(self._counts_of, self._blank, live, parts)
        title = str(self._frame.metadata.General.title)
        return quantify(plan, title, areas, seconds, pixels)

    def intensities(self, lines: Sequence[str]) -> list[BaseSignal]:
        """Return counts of lines as exspy's quantification of a TEM's spectra takes them.

        Parameters
        ----------
        lines
            ``["Fe_Ka", "Pt_La"]``: Ka, Kb, La or Ma of groups that were fitted. exspy expects
            its k-factors in the same order, which it has by the alphabet.

        Returns
        -------
        list of hyperspy.api.signals.BaseSignal
            For each line its share of the counts of the group, over the axes of the map:
            ``s.quantification(maps.intensities([...]), "CL", kfactors)``.

        Raises
        ------
        KeyError
            A group was not fitted.
        TypeError
            A line is no text.
        ValueError
            A line is none of these.

        Examples
        --------
        >>> maps = s.get_element_maps(["Ca", "Ti", "Cr", "Mn", "Fe"], energy_range=(3.4, 7.4))
        >>> iron, titanium = maps.intensities(["Fe_Ka", "Ti_Ka"])
        >>> iron.metadata.Sample.xray_lines
        ['Fe_Ka']
        """
        every = (
            [lines]
            if isinstance(lines, str) or not isinstance(lines, Iterable)
            else lines
        )
        lines = list(every)
        if not all(isinstance(line, str) for line in lines):
            raise TypeError(
                f"lines are {lines!r:.60}, expected some like ['Fe_Ka', 'Pt_La']."
            )
        return [self._intensity(line) for line in lines]

    def _intensity(self, line: str) -> BaseSignal:
        element, _, own = line.partition("_")
        if not own:
            raise ValueError(f"The line is {line!r:.40}, expected one like 'Fe_Ka'.")
        name = self._names[index_of(f"{element}_{own[:1]}", self._names)]
        groups = {one.name: one for one in self.model.model.groups}
        share = line_share(groups[name], own, self.model.model.response)
        image = self[name]
        image.data = image.data * np.float32(share)
        image.metadata.set_item("Sample.xray_lines", [line])
        title = f"X-ray line intensity of {self._frame.metadata.General.title}: {line}"
        image.metadata.General.title = title
        return image.transpose(signal_axes=[])

    def _counts_of(self, name: str) -> np.ndarray:
        return self._projected.maps[self._names.index(name)]

    def _blank(self, data: np.ndarray, title: str) -> BaseSignal:
        return image_of(self._frame, data, title)

    @property
    def _everything(self) -> np.ndarray:
        return np.arange(self._projected.chi2.size)

    def _live(self, given: float | None) -> np.ndarray:
        """Return the live time of each pixel, as it is given or known."""
        shape = self._projected.chi2.shape
        if given is None and self.live_time is not None:
            return self.live_time
        return np.broadcast_to(total_live_time(given, None, 1), shape)

    @property
    def _has_live_times(self) -> bool:
        return self.live_time is not None and bool((self.live_time > 0).any())

    def _live_times(
        self, live: np.ndarray, regions: Mapping[str, np.ndarray]
    ) -> dict[str, float]:
        """Return the live time of all pixels of regions together."""
        parts = {
            name: live[where] if where.dtype == bool else live.reshape(-1)[where]
            for name, where in regions.items()
        }
        return {name: float(part.sum()) for name, part in parts.items()}

    def __repr__(self) -> str:
        shape = " x ".join(str(n) for n in self._frame.axes_manager.navigation_shape)
        title = str(self._frame.metadata.get_item("General.title", ""))
        lines = [
            f"ElementMaps{f' of {title}' if title else ''}: {len(self)} groups of lines, "
            f"{shape} pixels, {self._quality()}"
        ]
        if self.is_nonnegative:
            lines.append(
                "No pixel is negative: for pictures. Counts are those of the sum."
            )
        return "\n".join([*lines, repr(self.totals)])

    def _quality(self) -> str:
        """Return how well the spectra of this map are fitted."""
        if self._are_calibrated_here():
            said = ", ".join(show_chi2(calibrated(one.model)) for one in self.models)
            return f"chi2/n of the sum {said}"
        chi2 = self._projected.chi2
        mean = float(chi2.mean(dtype=float, where=np.isfinite(chi2)))
        other = self.model.title or "another map"
        return f"chi2/n of a pixel {mean:.2f} on average, with the model of {other}"

    def _are_calibrated_here(self) -> bool:
        """Tell whether the models were fitted to the sum of this map, by its counts."""
        fits = [calibrated(one.model) for one in self.models]
        spectra = [fit.spectrum[fit.basis.first : fit.basis.stop] for fit in fits]
        fitted = sum(float(spectrum.sum()) for spectrum in spectra)
        own = float(self._projected.counts.sum(dtype=float))
        return abs(own - fitted) <= _SAME * abs(fitted)

    def plot(
        self,
        names: Iterable[str] | str | None = None,
        percentile: float = 99.5,
        **options: Any,
    ) -> np.ndarray:
        """Draw the maps side by side, with colour bars and a scale bar.

        Parameters
        ----------
        names
            Of what is drawn; None: all elements.
        percentile
            Of the pixels: what is as bright as can be, if it is above 4 sigma of a pixel.
            Zero and what is below it is black.
        **options
            Of :func:`rsciio_xfm.plot_maps`: ``cmap``, ``per_row``, ``scalebar``,
            ``colorbar``, ``pixel_size``, ``labels``.

        Returns
        -------
        numpy.ndarray
            matplotlib's axes, one for each map. Maps of elements that are below their
            detection limit are grey, and say so.

        Raises
        ------
        ValueError
            The signal had more than two axes to navigate.
        """
        return plot_maps(self.as_panels(names), percentile=percentile, **options)

    def plot_rgb(
        self,
        red: str | None = None,
        green: str | None = None,
        blue: str | None = None,
        **options: Any,
    ) -> Any:
        """Draw up to three components as red, green and blue, with a legend.

        Parameters
        ----------
        red, green, blue
            Names of components; None leaves a colour out.
        **options
            Of :func:`rsciio_xfm.plot_rgb`: ``percentile``, ``scalebar``, ``pixel_size``,
            ``labels``.

        Returns
        -------
        matplotlib.axes.Axes
            Those of the picture.

        Raises
        ------
        ValueError
            The maps are none of x and y, or no component is named.

        Examples
        --------
        >>> maps = s.get_element_maps(["Ca", "Ti", "Cr", "Mn", "Fe"], energy_range=(3.4, 7.4))
        >>> ax = maps.plot_rgb("Fe_K", "Ca_K", "Ti_K")
        >>> ax.figure.savefig("minerals.png", dpi=300)
        """
        each = (red, green, blue)
        shown = [None if name is None else self.as_panels(name)[0] for name in each]
        return plot_rgb(*shown, **options)

    def as_panels(self, names: Iterable[str] | str | None = None) -> list[Panel]:
        """Return maps as they are drawn, with what is known of them: see :meth:`plot`."""
        chosen = (
            [names] if isinstance(names, str) else [*(self if names is None else names)]
        )
        if not chosen:
            raise ValueError("There is no map to draw, expected the name of an element.")
        own = self._frame.axes_manager.navigation_axes
        if not 1 <= len(own) <= 2:
            raise ValueError(f"The maps have {len(own)} axes, expected x and y to plot.")
        return [self._panel(name) for name in chosen]

    def _panel(self, name: str) -> Panel:
        own = self._names[index_of(name, self._names)]
        note = self.totals.note(own) if own in self.totals else ""
        steps = steps_of_axes(self._frame.axes_manager.navigation_axes)
        return panel_of(self._projected, own, note, steps)

    def rgb(
        self, red: str, green: str | None = None, blue: str | None = None,
        percentile: float = 99.5,
    ) -> BaseSignal:  # fmt: skip
        """Return a picture of up to three components as red, green and blue.

        Parameters
        ----------
        red, green, blue
            Names of components; None leaves a colour out.
        percentile
            Of the pixels of each: what is as bright as can be.

        Returns
        -------
        hyperspy.api.signals.BaseSignal
            8-bit RGB, a pixel for each of the map: ``.save("map.png")`` writes it. For print,
            with a legend, it is drawn by :meth:`plot_rgb`.

        Raises
        ------
        ValueError
            The maps are none of x and y.

        Examples
        --------
        >>> maps = s.get_element_maps(["Ca", "Ti", "Cr", "Mn", "Fe"], energy_range=(3.4, 7.4))
        >>> picture = maps.rgb("Fe_K", "Ca_K", "Ti_K")
        >>> picture.save("minerals.png")
        """
        if self._projected.chi2.ndim != 2:
            raise ValueError(f"The maps are of {self._frame}, expected a map of x and y.")
        each = {"red": red, "green": green, "blue": blue}
        panels = {c: None if n is None else self._panel(n) for c, n in each.items()}
        colours = Composite(list(panels.values()), percentile).colours
        said = [f"{c} {panel.name}" for c, panel in panels.items() if panel is not None]
        return picture_of(self._frame, colours, ", ".join(said))

    def save(
        self,
        folder: str | Path,
        overwrite: bool = False,
        sigma: bool = False,
        pictures: Pictures | None = None,
    ) -> list[Path]:
        """Write the maps to a folder.

        Parameters
        ----------
        folder
            Made if it is not there. Files: ``Fe_K.tif``, ... (float32, counts), ``maps.png``,
            ``elements.csv`` (counts, sigma and detection limits of the whole map),
            ``regions.csv`` (of the regions that were asked for), ``fit.png`` and
            ``model.yaml``. Maps of more than two axes come without ``maps.png``.
        overwrite
            Replace files that are there, when all the new ones are whole; and then remove
            maps of elements that there were before and are not now.
        sigma
            Write the standard deviations of the pixels as well: ``Fe_K_sigma.tif``, ...
        pictures
            How the pictures are written; None: as ``.png`` of 300 dpi.

        Returns
        -------
        list of pathlib.Path
            What was written.

        Raises
        ------
        FileExistsError
            A file is there, and `overwrite` is False.
        NotADirectoryError
            The folder is a file.
        ValueError
            A folder has the name of one of the files.

        Notes
        -----
        The files are moved to the folder one by one, when all are whole. A process that is
        killed while it does so leaves new files beside old ones, but none that is cut off.
        """
        return save_maps(self, folder, overwrite, sigma, pictures or Pictures())
