"""What a report tells of a map: all that is computed, before any of it is drawn."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.core.eds import PER_KEV
from rsciio_xfm.core.warning import collected, warn
from rsciio_xfm.core.watch import begin
from rsciio_xfm.signals.areas import Areas, group_of
from rsciio_xfm.signals.checks import check_spectra
from rsciio_xfm.signals.classify import classify, estimate_n_classes
from rsciio_xfm.signals.dead_time import dead_times_of
from rsciio_xfm.signals.element_maps import ElementMaps
from rsciio_xfm.signals.element_model import ElementModel
from rsciio_xfm.signals.fit import create_element_model, get_element_maps
from rsciio_xfm.signals.maps import get_maps
from rsciio_xfm.signals.results import Classification
from rsciio_xfm.signals.selections import resolve_regions

AUTO = "auto"
_MOST_AXES = 2
_LEAST_PIXELS = 3  # that classes can be looked for in
_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Source:
    """What a report is of, and how it came to be.

    Attributes
    ----------
    signal
        A map of x and y, a line scan or one spectrum, lazy or not.
    path
        Of its file; None if it has none.
    how
        The command, or the lines of Python, that make the report again.
    calibration
        How the energies of the channels were found before, in words.
    warnings
        That were given when it was opened.
    """

    signal: BaseSignal
    path: Path | None = None
    how: str = ""
    calibration: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Asked:
    """What the user wants, as of :func:`rsciio_xfm.write_report`."""

    model: Any = None
    excitation: Any = None
    energy_range: tuple[float, float] | None = None
    regions: Any = None
    n_classes: int | str = AUTO
    rgb: Sequence[str | None] | None = None
    show_progressbar: bool | None = None

    def __post_init__(self) -> None:
        """Refuse what is no names of colours, before anything is read."""
        rgb = self.rgb
        if rgb is None:
            return
        is_names = isinstance(rgb, list | tuple) and 1 <= len(rgb) <= 3 and any(rgb)
        if not (is_names and all(one is None or isinstance(one, str) for one in rgb)):
            raise ValueError(
                f"rgb is {rgb!r:.60}, expected up to three names of lines or elements, None "
                'where a colour is left out: ("Fe_Ka", "Ca_Ka", "Ti_Ka").'
            )

    @property
    def is_of_elements(self) -> bool:
        """Whether something was said of the fit, so that what is wrong is an error."""
        given = self.model, self.excitation, self.energy_range, self.rgb
        return any(one is not None for one in given)


@dataclass(frozen=True, eq=False)
class Fitted:
    """Elements of a map, or of one spectrum, which has no maps.

    Attributes
    ----------
    model
        That was fitted.
    totals
        Counts of the components in all spectra.
    maps
        Of the elements; None of one spectrum.
    """

    model: ElementModel
    totals: Areas
    maps: ElementMaps | None = None

    @property
    def kinds(self) -> dict[str, str]:
        """What each component is: ``"element"``, ``"scatter"`` or ``"sum peak"``."""
        return dict(zip(self.model.basis.names, self.model.basis.kinds, strict=True))


@dataclass(frozen=True, eq=False)
class Content:
    """All that a report tells.

    Attributes
    ----------
    source, asked
        What it is made of.
    total
        The sum of all spectra.
    counts
        Of each pixel, an image; None of one spectrum.
    fitted, classes
        Elements and classes, or in words why there are none.
    regions
        The sum of each region; empty if none was given.
    parts
        Counts of elements in the classes and in the regions, by the name of each.
    dead_times
        Percent, of each detector; empty if the file records none.
    rgb
        Names of the maps that the user wants as red, green and blue; None: as it seems best.
    warnings
        All that were given on the way, each once.
    """

    source: Source
    asked: Asked
    total: BaseSignal
    counts: BaseSignal | None
    fitted: Fitted | str
    classes: Classification | str
    regions: Mapping[str, BaseSignal] = field(default_factory=dict)
    parts: Mapping[str, Areas] = field(default_factory=dict)
    dead_times: Mapping[str, np.ndarray] = field(default_factory=dict)
    rgb: tuple[str | None, ...] | None = None
    warnings: tuple[str, ...] = ()


def gather(source: Source, asked: Asked) -> Content:
    """Compute all that a report tells of a map, in a few passes over its file.

    Parameters
    ----------
    source
        The map.
    asked
        What is wanted of it.

    Returns
    -------
    Content
        What cannot be known of this map is said in words.

    Raises
    ------
    ValueError
        It is no map of spectra, or what was asked for does not suit it.
    """
    signal = source.signal
    check_spectra(signal)
    n_axes = signal.axes_manager.navigation_dimension
    if n_axes > _MOST_AXES:
        raise ValueError(
            f"The signal is {signal}, expected a map of x and y, a line scan or a spectrum: "
            "choose a part of it, s.inav[...], or add up the detectors, s.sum('detector')."
        )
    if asked.rgb is not None and n_axes != _MOST_AXES:
        raise ValueError(f"rgb is given for {signal}, expected a map of x and y.")
    with collected() as texts:
        total, counts, regions = _sums(signal, asked)
        fitted = _elements(signal, asked, total)
        classes = _classes(signal, asked, counts)
        parts = _parts(signal, asked, fitted, classes)
        rgb = _composite(asked, fitted)
    return Content(
        source,
        asked,
        total,
        counts,
        fitted,
        classes,
        regions,
        parts,
        _dead_times(signal),
        rgb,
        tuple(dict.fromkeys([*source.warnings, *texts])),
    )


def region_key(name: str) -> str:
    """Return the name of a region among the parts, where classes have theirs too."""
    return f"region {name}"


def class_key(number: int) -> str:
    """Return the name of a class among the parts."""
    return f"class {number}"


def _sums(
    signal: BaseSignal, asked: Asked
) -> tuple[BaseSignal, BaseSignal | None, Mapping[str, BaseSignal]]:
    """Add up all spectra, each pixel and each region, in one pass."""
    if not signal.axes_manager.navigation_dimension:
        if asked.regions is not None:
            raise ValueError("Regions are given, and there is one spectrum: no map.")
        return signal, None, {}
    begin("adding up the spectra")
    found = get_maps(
        signal,
        regions=asked.regions,
        summary=True,
        show_progressbar=asked.show_progressbar,
    )
    summary = found["summary"]
    return summary["sum"], summary["counts"], found.get("regions", {})


def _elements(signal: BaseSignal, asked: Asked, total: BaseSignal) -> Fitted | str:
    """Fit the elements, or say why there are none."""
    (axis,) = signal.axes_manager.signal_axes
    missing = ""
    if axis.units not in PER_KEV:
        missing = (
            "The energies of the channels are not known, so no elements were looked for. "
            "Calibrate the map by lines that are in it: rsciio-xfm report FILE --calibrate "
            "Fe_Ka=640,Ca_Ka=369 (lines and their channels), in Python s.calibrate_energy."
        )
    elif not np.asarray(total.data).any():
        missing = "There are no counts, so no elements were looked for."
    if missing and asked.is_of_elements:
        raise ValueError(missing)
    return missing or _tried(lambda: _fit(signal, asked), is_asked=asked.is_of_elements)


def _fit(signal: BaseSignal, asked: Asked) -> Fitted:
    options: dict[str, Any] = {
        "excitation": asked.excitation,
        "energy_range": asked.energy_range,
    }
    shown: dict[str, Any] = {"show_progressbar": asked.show_progressbar}
    if signal.axes_manager.navigation_dimension:
        maps = get_element_maps(signal, asked.model, **options, **shown)
        return Fitted(maps.model, maps.totals, maps)
    model = asked.model
    if not isinstance(model, ElementModel):
        model = create_element_model(signal, model, **options, **shown)
    if model is asked.model or not model.is_fitted:
        model = model.fit(signal, **shown)
    return Fitted(model, model.areas)


def _tried(make: Callable[[], _T], is_asked: bool) -> _T | str:
    """Return what is made, or why it cannot be; what was asked for by name is an error."""
    try:
        return make()
    except ImportError as error:  # the extra that has it is named
        return str(error)
    except ValueError as error:
        if is_asked:
            raise
        return str(error)


def _classes(
    signal: BaseSignal, asked: Asked, counts: BaseSignal | None
) -> Classification | str:
    """Find classes of the spectra, or say why there are none."""
    if asked.n_classes == 0:
        return "No classes were asked for."
    n_counted = 0 if counts is None else int(np.count_nonzero(counts.data))
    if n_counted < _LEAST_PIXELS and asked.n_classes == AUTO:
        return f"There are {n_counted} spectra with counts: too few to look for classes."
    return _tried(
        lambda: _classify(signal, asked), is_asked=asked.n_classes not in (AUTO, None)
    )


def _classify(signal: BaseSignal, asked: Asked) -> Classification:
    shown: dict[str, Any] = {"show_progressbar": asked.show_progressbar}
    n_classes: Any = asked.n_classes
    if n_classes == AUTO:
        begin("looking how many classes there are")
        n_classes = estimate_n_classes(signal, **shown)
    return classify(signal, reducer="pca", n_classes=n_classes, **shown)


def _parts(
    signal: BaseSignal,
    asked: Asked,
    fitted: Fitted | str,
    classes: Classification | str,
) -> dict[str, Areas]:
    """Return the counts of elements in each class and region, from the maps."""
    if isinstance(fitted, str) or fitted.maps is None:
        return {}
    wanted: dict[str, np.ndarray] = {}
    if not isinstance(classes, str):
        labels = classes.labels.data
        wanted |= {class_key(k): labels == k for k in range(len(classes.sums))}
    if asked.regions is not None:
        named = resolve_regions(signal, asked.regions)
        wanted |= {region_key(name): region for name, region in named.items()}
    return {
        name: fitted.maps.get_region({name: region})[name]
        for name, region in wanted.items()
    }


def _composite(asked: Asked, fitted: Fitted | str) -> tuple[str | None, ...] | None:
    """Return the maps that the user wants together, if all of them were made."""
    if asked.rgb is None or isinstance(fitted, str) or fitted.maps is None:
        return None
    names = fitted.maps.names
    try:
        return tuple(one and group_of(one, names) for one in asked.rgb)
    except KeyError as error:  # the fit has taken its time: what is whole is written
        warn(f"rgb: {error.args[0]} The composite is of others.")
        return None


def _dead_times(signal: BaseSignal) -> dict[str, np.ndarray]:
    try:
        return dead_times_of(signal)
    except ValueError:  # the format has none
        return {}
