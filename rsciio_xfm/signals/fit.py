"""What spectra consist of: models and maps of the elements of a signal."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.fit.detectors import calibrate_each
from rsciio_xfm.analysis.fit.find import find_elements
from rsciio_xfm.analysis.fit.lines import SHELLS
from rsciio_xfm.analysis.fit.matrix import Projection, make_projection, region_areas
from rsciio_xfm.analysis.fit.model import Model, calibrated, make_model
from rsciio_xfm.analysis.fit.project import project
from rsciio_xfm.analysis.fit.suits import compare
from rsciio_xfm.core.eds import PER_KEV
from rsciio_xfm.core.progress import progress
from rsciio_xfm.core.watch import begin
from rsciio_xfm.signals.areas import Areas
from rsciio_xfm.signals.checks import check_axes
from rsciio_xfm.signals.element_maps import ElementMaps
from rsciio_xfm.signals.element_model import ElementModel, load_element_model
from rsciio_xfm.signals.elements import FINE, how_sure
from rsciio_xfm.signals.excitation import (
    calibration_of,
    excitation_of,
    has_excitation,
    response_of,
    warn_if_smoothed,
    warn_of_another_source,
)
from rsciio_xfm.signals.fit_checks import (
    check_watch,
    used_channels,
    warn_of_another_map,
    warn_of_fit,
    warn_of_maps,
)
from rsciio_xfm.signals.fit_regions import (
    areas_of_regions,
    find_in_parts,
    name_areas,
    size_of_region,
)
from rsciio_xfm.signals.fit_sums import (
    Sums,
    Wish,
    is_stack,
    live_map_of,
    sum_sample,
    sum_up,
)
from rsciio_xfm.signals.lines import check_element, is_line
from rsciio_xfm.signals.made import blank_of
from rsciio_xfm.signals.model_files import MODEL_EXTENSIONS
from rsciio_xfm.signals.results import Classification
from rsciio_xfm.signals.selections import resolve_regions

_EXPECTED = "expected some like ['Ca', 'Fe_K', 'Pb_L']"


def create_element_model(
    signal: BaseSignal,
    elements: Iterable[str] | str | None = None,
    excitation: Any = None,
    energy_range: tuple[float, float] | None = None,
    show_progressbar: bool | None = None,
) -> ElementModel:
    """Make a model of spectra: which elements, what excites them, how they are detected.

    Parameters
    ----------
    signal
        A map, lazy or not, or a spectrum, of any type, with a calibrated energy axis.
    elements
        ``["Ca", "Fe_K", "Pb_L"]``; of an element alone its shells that are excited and in
        range. None: those that are found, in one pass, by
        :func:`rsciio_xfm.analysis.fit.find.find_elements`; the model is calibrated then.
    excitation
        ``"Mo 50 kV"``, 17.44 (keV), ``"electrons 20 kV"``; None: from the metadata.
    energy_range
        What is fitted, in the units of the energy axis; None: around the lines of the
        elements and those of the source. Elements are looked for in all of the spectrum.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal or in a notebook.

    Returns
    -------
    ElementModel
        Not fitted yet if elements were given.

    Raises
    ------
    ImportError
        xraylib is not installed; names the extra.
    ValueError
        An element is none, has no lines in range, or none that are excited; the energy axis
        is not calibrated; or nothing was found.

    Examples
    --------
    >>> model = s.create_element_model(["Ca", "Ti", "Cr", "Mn", "Fe"], "Mo 50 kV", (3.4, 7.4))
    >>> model = model.fit()
    >>> axes = model.plot()
    """
    if elements is None:
        ends = _in_kev(signal, energy_range)
        sums = sum_up(signal, Wish(blocks=True), show_progressbar)
        with progress(show_progressbar):
            return find_model(signal, sums, excitation, ends)
    return make_element_model(signal, elements, excitation, energy_range)


def make_element_model(
    signal: BaseSignal,
    elements: Iterable[str] | str,
    excitation: Any = None,
    energy_range: tuple[float, float] | None = None,
) -> ElementModel:
    """Make a model of elements that are given, not fitted yet."""
    own, response = excitation_of(signal, excitation), response_of(signal)
    warn_if_smoothed(signal)
    is_known = excitation is not None or has_excitation(signal)
    model = make_model(
        _checked_elements(elements),
        own,
        response,
        signal.axes_manager.signal_axes[0].size,
        energy_range=_in_kev(signal, energy_range),
        scatter=is_known and own.kind != "electrons",
    )
    return ElementModel(model, calibration_of(signal), _title(signal), signal)


def find_model(
    signal: BaseSignal,
    sums: Sums,
    excitation: Any = None,
    energy_range: tuple[float, float] | None = None,
) -> ElementModel:
    """Make a model of the elements that are found in sums of spectra, fitted to them.

    Elements are found in all of a spectrum; those of the energies that are asked for, keV, are
    fitted.
    """
    own, response = excitation_of(signal, excitation), response_of(signal)
    warn_if_smoothed(signal)
    begin("looking for elements")
    found, model = find_elements(sums.total, own, response, sums.blocks)
    if not model.groups:
        raise ValueError(
            "No element was found in the spectra, expected some above 5 sigma: name those to "
            "be fitted, or calibrate the energies, s.calibrate_energy(...)."
        )
    if energy_range is not None:
        model = _part_of(model, energy_range)
        found = [one for one in found if one.name in {own.name for own in model.groups}]
    said = {one.name: how_sure(one) for one in found}
    for fine in FINE:
        said = {name: words.removeprefix(f"{fine}, ") for name, words in said.items()}
    doubts = {name: words for name, words in said.items() if words not in FINE}
    if model.fit is not None:
        model = replace(model, fit=replace(model.fit, n_pixels=sums.n_pixels))
    made = ElementModel(model, calibration_of(signal), _title(signal), signal, doubts)
    made.live_time = sums.live_time
    if not made.is_fitted:
        return made.calibrate(sums)
    warn_of_fit(model)
    return made


def _part_of(model: Model, energy_range: tuple[float, float]) -> Model:
    """Return a model of those elements whose strongest lines are in some energies, keV."""
    low, high = energy_range
    names = [own.name for own in model.groups if low < own.energy < high]
    if not names:
        every = ", ".join(f"{own.name} at {own.energy:.2f}" for own in model.groups)
        raise ValueError(
            f"energy_range is {low:g} to {high:g} keV, expected one with the lines of an "
            f"element that was found: {every} keV."
        )
    return make_model(
        names,
        model.excitation,
        model.response,
        model.n_channels,
        energy_range,
        bool(model.scatter),
    )


def _title(signal: BaseSignal) -> str:
    return str(signal.metadata.get_item("General.title", ""))


def _checked_elements(elements: Iterable[str] | str) -> list[str]:
    """Return groups of lines as they are asked for: a line, ``"Fe_Ka"``, is of its group."""
    if not isinstance(elements, Iterable) or isinstance(elements, bytes):
        raise ValueError(f"The elements are {elements!r:.40}, {_EXPECTED}.")
    names = [elements] if isinstance(elements, str) else list(elements)
    if not names:
        raise ValueError(f"There is no element, {_EXPECTED}.")
    found = []
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"An element is {name!r:.40}, expected one like 'Fe'.")
        element, bar, shell = name.partition("_")
        check_element(element)
        if bar and shell not in tuple(SHELLS) and not is_line(name):
            raise ValueError(
                f"{name!r} is no group of lines, expected {element}_K, {element}_L or "
                f"{element}_M, or {element}."
            )
        found.append(f"{element}_{shell[0]}" if shell else element)
    return list(dict.fromkeys(found))


def _in_kev(
    signal: BaseSignal, energy_range: tuple[float, float] | None
) -> tuple[float, float] | None:
    if energy_range is None:
        return None
    (axis,) = signal.axes_manager.signal_axes
    try:
        low, high = (float(end) for end in energy_range)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"energy_range is {energy_range!r:.60}, expected two energies."
        ) from error
    if not axis.low_value <= low < high <= axis.high_value + axis.scale:
        raise ValueError(
            f"energy_range is {low:g} to {high:g} {axis.units}, expected some of "
            f"{axis.low_value:g} to {axis.high_value:g}, where the spectra are."
        )
    return low / PER_KEV[axis.units], high / PER_KEV[axis.units]


def get_element_maps(
    signal: BaseSignal,
    model: ElementModel | Iterable[str] | str | Path | None = None,
    *,
    excitation: Any = None,
    energy_range: tuple[float, float] | None = None,
    regions: Any = None,
    classes: Any = None,
    nonnegative: bool = False,
    show_progressbar: bool | None = None,
    **watch: Any,
) -> ElementMaps:
    """Make maps of elements by a linear fit of each spectrum.

    Parameters
    ----------
    signal
        A map, lazy or not, of any type, with a calibrated energy axis.
    model
        A model, ``["Ca", "Fe_K"]``, the path of a saved model, or None: elements are found.
        A model that is not fitted yet, or elements, are calibrated on the sum of the spectra.
    excitation, energy_range
        As of :func:`rsciio_xfm.create_element_model`; not with a model.
    regions
        As of :func:`rsciio_xfm.signals.maps.get_region_spectra`: their counts are made too,
        :attr:`ElementMaps.regions`.
    classes
        A :class:`~rsciio_xfm.signals.results.Classification`, or labels of classes, as
        `regions` takes them: counts are weighted by what is expected in the pixel's class,
        which lessens the noise of pixels a little.
    nonnegative
        No pixel is below 0: for pictures. Sums over regions would be too high, so they are
        made of the spectra.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal or in a notebook.
    **watch
        ``progress`` and ``cancel`` of :func:`rsciio_xfm.core.reduce.run`, for the pass that
        makes the maps.

    Returns
    -------
    ElementMaps
        ``maps["Fe_K"]``, ``maps.sigma["Fe_K"]``, ``maps.background``, ``maps.chi2``,
        ``maps.get_region(...)``, ``maps.plot()``, ``maps.rgb(...)``, ``maps.save(folder)``.

    Raises
    ------
    ImportError
        xraylib is not installed; names the extra.
    ValueError
        As of :func:`rsciio_xfm.create_element_model`; or the model does not suit the map.

    Notes
    -----
    Two passes over the file: one for the sum of the spectra, with those of blocks, classes
    and regions, and one for the maps. With a model that is fitted one is enough, unless
    there are classes, or regions of maps that are not to be negative: some rows, of 3 million
    counts, are added up first, to see which channels do not count.

    Examples
    --------
    >>> s = hs.load("map.GeoPIXE", lazy=True)
    >>> maps = s.get_element_maps(["K", "Ca", "Ti", "Cr", "Mn", "Fe", "Ni", "Cu", "Zn"])
    >>> maps["Fe_K"].plot()
    >>> paths = maps.save("elements")
    """
    check_axes(signal)
    check_watch(watch)
    frame = _frame_of(signal)
    named = {} if regions is None else resolve_regions(frame, regions)
    labels, parts = _classes_of(frame, classes)
    models = _models_of(signal, model, excitation, energy_range)
    ends = _in_kev(signal, energy_range)
    needs_sum = models is None or not all(one.is_fitted for one in models)
    sums = None
    if needs_sum or parts or nonnegative:
        wish = Wish(models is None, parts, [*named.values()] if nonnegative else [])
        sums = sum_up(signal, wish, show_progressbar)
        with progress(show_progressbar, "calibrating the spectrum"):
            models = _calibrated(signal, models, sums, (excitation, ends))
    assert models is not None
    compared, is_other = [None] * len(models), False
    if not needs_sum:
        compared, is_other = _compared(models, _spectra_of(signal, sums, models))
    projections = [
        make_projection(
            one.basis,
            sums.classes[k] if sums and parts else None,
            used_channels(one.model, compared[k]),
        )
        for k, one in enumerate(models)
    ]
    chosen = projections if is_stack(signal) else projections[0]
    with progress(show_progressbar, "fitting every pixel"):
        found = project(
            signal.data, chosen, nonnegative=nonnegative, labels=labels, **watch
        )
    warn_of_maps(found, is_new=not needs_sum and not is_other)
    if nonnegative:
        assert sums is not None
        totals, *of_regions = _areas_of_sums(
            chosen, models[0].notes, sums, list(named.values())
        )
        tables = dict(zip(named, of_regions, strict=True))
    else:
        notes, everything = models[0].notes, {"": np.ones(found.chi2.shape, bool)}
        (totals,) = areas_of_regions(found, notes, everything).values()
        totals = replace(totals, notes={**totals.notes, **find_in_parts(found, totals)})
        tables = areas_of_regions(found, notes, named)
    live = live_map_of(signal)
    if has_excitation(signal):  # they know angles and crystal of the map then
        models = [model.with_geometry_of(signal) for model in models]
    return ElementMaps(frame, models, found, totals, tables, nonnegative, live)


def _spectra_of(
    signal: BaseSignal, sums: Sums | None, models: list[ElementModel]
) -> list[Any]:
    """Return the spectrum of each detector, of all or enough of the map."""
    if sums is not None:
        return list(sums.detectors)
    fits = [calibrated(one.model) for one in models]
    return list(
        sum_sample(signal, min(one.spectrum.sum() / one.n_pixels for one in fits))
    )


def _compared(
    models: list[ElementModel], spectra: list[np.ndarray]
) -> tuple[list[Any], bool]:
    """Compare models with spectra that they were not fitted to, and warn if they differ.

    Only the map knows its dead channels, and whether its peaks are where the model's are.
    """
    if not all(np.isfinite(spectrum).all() for spectrum in spectra):
        return [None] * len(models), False
    each = [model.model for model in models]
    compared = [compare(own, s) for own, s in zip(each, spectra, strict=True)]
    return compared, warn_of_another_map(each, spectra, compared)


def _areas_of_sums(
    projections: Projection | list[Projection],
    notes: Mapping[str, str],
    sums: Sums,
    regions: Sequence[np.ndarray],
) -> list[Areas]:
    """Return the counts of all, and of regions, from their spectra."""
    spectra = np.concatenate([sums.detectors[:, np.newaxis], sums.regions], axis=1)
    is_one = isinstance(projections, Projection)
    each = [projections] if isinstance(projections, Projection) else projections
    counts, sigma = region_areas(projections, spectra[0] if is_one else spectra)
    sizes = [sums.n_pixels, *map(size_of_region, regions)]
    return [
        name_areas(each, notes, *own) for own in zip(counts, sigma, sizes, strict=True)
    ]


def _frame_of(signal: BaseSignal) -> BaseSignal:
    """Return a signal with the axes of the maps that are made, and nothing in it."""
    n_axes = signal.axes_manager.navigation_dimension
    axes = [a.get_axis_dictionary() for a in signal.axes_manager._axes[:n_axes]]
    return blank_of(axes[int(is_stack(signal)) :], _title(signal))


def _classes_of(
    frame: BaseSignal, classes: Any
) -> tuple[np.ndarray | None, list[np.ndarray]]:
    """Return the class of each pixel, -1 outside of all, and the pixels of each class."""
    if classes is None:
        return None, []
    if isinstance(classes, Classification):
        classes = classes.labels
    parts = list(resolve_regions(frame, classes).values())
    labels = np.full(frame.data.shape[:-1], -1, dtype=np.int32)
    for k, part in enumerate(parts):
        (labels if part.dtype == bool else labels.reshape(-1))[part] = k
    return labels, parts


def _models_of(
    signal: BaseSignal,
    given: Any,
    excitation: Any,
    energy_range: tuple[float, float] | None,
) -> list[ElementModel] | None:
    """Return a model for each detector that is apart, or None: elements are to be found."""
    if given is None:
        return None
    n_models = signal.data.shape[0] if is_stack(signal) else 1
    given = _listed(given, n_models)
    are_models = [isinstance(one, ElementModel) for one in given]
    if not any(are_models):
        made = make_element_model(signal, given, excitation, energy_range)
        return [made] * n_models
    if not all(are_models):
        raise ValueError("Models and elements are given, expected one or the other.")
    if excitation is not None or energy_range is not None:
        raise ValueError(
            "A model and an excitation or energy_range are given, expected one or the other: "
            "the model has its own."
        )
    if len(given) != n_models:
        raise ValueError(
            f"There are {len(given)} models, expected {n_models}: one for each detector that "
            "is apart."
        )
    warn_if_smoothed(signal)
    for model in given:
        model.check_axis(signal)
    if given[0].is_fitted and given[0].excitation is not None:
        warn_of_another_source(signal, given[0].excitation)
    return given


def _listed(given: Any, n_models: int) -> list[Any]:
    """Return elements, or models, as a list; a model is one of each detector."""
    if isinstance(given, str | Path) and Path(given).suffix in MODEL_EXTENSIONS:
        given = load_element_model(given)
    if isinstance(given, ElementModel):
        return [given] * n_models
    if isinstance(given, str):
        return [given]
    if not isinstance(given, Iterable) or isinstance(given, bytes):
        raise ValueError(
            f"The model is {given!r:.60}, expected a model, the path of one "
            f"({', '.join(MODEL_EXTENSIONS)}), or elements."
        )
    return list(given)


def _calibrated(
    signal: BaseSignal,
    models: list[ElementModel] | None,
    sums: Sums,
    asked: tuple[Any, tuple[float, float] | None],
) -> list[ElementModel]:
    """Return models that are fitted, to the sums of their detectors.

    If there are none, elements are found: `asked` are excitation and energies, keV.
    """
    if models is not None and all(model.is_fitted for model in models):
        return models
    if models is None:
        first = find_model(signal, sums, *asked)
    else:
        first = next(m for m in models if not m.is_fitted).calibrate(sums)
    if not is_stack(signal):
        return [first]
    # Detectors differ in energies and response, not in what they see.
    each = calibrate_each(first.model, sums.detectors, sums.n_pixels)
    live: list[float | None] = [None] * len(each)
    if sums.live_times is not None:
        live = sums.live_times.tolist()
    return [first.with_model(*pair) for pair in zip(each, live, strict=True)]
