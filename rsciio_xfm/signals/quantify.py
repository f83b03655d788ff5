"""From the counts of spectra, maps and regions to how much of each element there is."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rsciio_xfm.analysis.fit.excitation import Excitation
from rsciio_xfm.analysis.quantify.compose import (
    LEAST_SUM,
    MOST_SUM,
    Composition,
    Densities,
    Matrix,
    Measured,
    group_of,
    parse_matrix,
    solve,
    thin,
)
from rsciio_xfm.analysis.quantify.enhancement import yields
from rsciio_xfm.analysis.quantify.primary import Sample, sensitivities
from rsciio_xfm.analysis.quantify.setup import Setup
from rsciio_xfm.analysis.quantify.standards import Factor, absolute, combine
from rsciio_xfm.core.warning import warn
from rsciio_xfm.signals.areas import Areas
from rsciio_xfm.signals.concentrations import Amounts, Concentrations, Pixels
from rsciio_xfm.signals.setups import check_photons, make_setup
from rsciio_xfm.signals.standards import (
    MOST_SPREAD,
    Standard,
    checked_thickness,
    make_standard,
    name_of,
)

if TYPE_CHECKING:
    from rsciio_xfm.signals.element_model import ElementModel

_SAME_ENERGY, _SAME_ANGLE = 0.005, 1.0  # relative; degrees
_MOST_ABSORBED = 0.05  # by a film that is called thin
_SAME_COUNTS = 1e-9  # relative, of a standard that is given twice


@dataclass(frozen=True)
class Plan:
    """What counts are turned into amounts with.

    Attributes
    ----------
    setup
        Of the measurement.
    factor
        Geometry factor; None: the elements add up to 100 %.
    matrix
        What the lines do not show.
    thickness
        g/cm2; None: a thin film.
    """

    setup: Setup
    factor: Factor | None
    matrix: Matrix
    thickness: float | None

    @property
    def needs_live_time(self) -> bool:
        """Whether amounts depend on the live time: their ratios do not."""
        return self.matrix.kind != "normalise"


def standard_of(
    model: "ElementModel",
    areas: Areas,
    live_time: float,
    known: Any,
    sample: Any,
    setup: Setup | None,
) -> Standard:
    """Return a standard from the counts of a sample that is known, and their live time."""
    check_photons(model.excitation)
    chosen = make_setup(model) if setup is None else setup
    _check_same(model.excitation, chosen.excitation, "the fit was made for")
    measured = _measured(areas, live_time)
    return make_standard(model.model, measured, chosen, known, sample, model.title)


def make_plan(
    model: "ElementModel", standard: Any, setup: Setup | None, sample: Any, matrix: Any
) -> Plan:
    """Return what turns the counts of a model into amounts, or say what is missing.

    Raises
    ------
    ValueError
        There is neither a standard nor a geometry; energies of the standard, the set-up and
        the fit differ; or something is none of what it should be.

    Warns
    -----
    UserWarning
        The angles of a standard are others.
    """
    check_photons(model.excitation)
    thickness, what = checked_thickness(sample), parse_matrix(matrix)
    if thickness is None and what != Matrix():
        raise ValueError(
            f"matrix is {matrix!r}, and the sample thin: a film that absorbs nothing has "
            "areal densities, whatever else is in it. Expected one or the other."
        )
    standards = _standards_of(standard)
    chosen = standards[0].setup if setup is None and standards else setup
    if chosen is None and what.kind == "normalise":
        chosen = make_setup(model)
    if chosen is None:
        raise ValueError(
            "There is no standard and no geometry, expected one or the other: "
            "standard=model.as_standard({...}) of a sample that is known, or "
            "setup=rsciio_xfm.make_setup(model, flux=photons/s, solid_angle=sr)."
        )
    if not isinstance(chosen, Setup):
        raise TypeError(
            f"setup is {chosen!r:.60}, expected what rsciio_xfm.make_setup returns."
        )
    _check_same(model.excitation, chosen.excitation, "the fit was made for")
    for one in standards:
        _check_standard(one, chosen)
    return Plan(chosen, _factor_of(standards, chosen, what), what, thickness)


def _standards_of(given: Any) -> list[Standard]:
    if given is None:
        return []
    found: Any = [given] if isinstance(given, Standard) else given
    if not isinstance(found, Iterable) or isinstance(found, str):
        found = [found]
    found = list(found)
    if not found or not all(isinstance(one, Standard) for one in found):
        raise TypeError(
            f"standard is {given!r:.60}, expected model.as_standard({{...}}), "
            "rsciio_xfm.load_standard(...), or several of them in a list."
        )
    once = [one for k, one in enumerate(found) if not _is_among(one, found[:k])]
    if len(once) < len(found):
        warn(
            f"There are {len(found)} standards, {len(found) - len(once)} of them given before "
            "under the same or another name: they count once."
        )
    return once


def _is_among(standard: Standard, others: Iterable[Standard]) -> bool:
    """Tell whether a standard, the same measurement, is one of others."""
    own, factor = standard.measured, standard.factor
    return any(
        own.names == one.measured.names
        and np.allclose(own.counts, one.measured.counts, rtol=_SAME_COUNTS, atol=0)
        and factor.per_group.keys() == one.factor.per_group.keys()
        and math.isclose(factor.value, one.factor.value, rel_tol=_SAME_COUNTS)
        for one in others
    )


def _factor_of(standards: list[Standard], setup: Setup, matrix: Matrix) -> Factor | None:
    if standards:
        found = combine([one.factor for one in standards])
        _warn_of_spread(standards, found)
        return found
    has_geometry = setup.flux is not None and setup.solid_angle is not None
    if matrix.kind == "normalise" and not has_geometry:
        return None
    return absolute(setup)


def _warn_of_spread(standards: list[Standard], together: Factor) -> None:
    """Warn of standards that tell different things of one instrument."""
    if len(standards) > 1 and together.spread > MOST_SPREAD:
        values = [one.factor.value for one in standards]
        warn(
            f"The standards do not agree: the geometry factors are {min(values):.3g} to "
            f"{max(values):.3g} photons/s, and differ by {together.spread:.0%} between lines. "
            "Look at what is known of them, thick or thin, live times, angles, air and window."
        )


def _check_same(own: Excitation | None, other: Excitation, said: str) -> None:
    """Refuse two excitations that are not the same."""
    if own is None:
        return
    is_same = (own.kind, own.anode) == (other.kind, other.anode) and math.isclose(
        own.highest, other.highest, rel_tol=_SAME_ENERGY
    )
    if not is_same:
        raise ValueError(
            f"The set-up has {other}, and {said} {own}: expected the same excitation. Say "
            "it when the model is made, excitation=..., and in make_setup."
        )


def _check_standard(standard: Standard, setup: Setup) -> None:
    """Refuse a standard of another excitation, and warn of one at other angles."""
    own = standard.setup
    called = f"the standard {standard.title}".strip()
    _check_same(setup.excitation, own.excitation, "the sample was measured with")
    angles = ("incidence", "takeoff")
    other = [
        name
        for name in angles
        if abs(getattr(own, name) - getattr(setup, name)) > _SAME_ANGLE
    ]
    if other or own.path != setup.path or own.detector != setup.detector:
        what = ", ".join(other) or "air, window or crystal"
        warn(
            f"The set-up of {called} differs from that of the sample in {what}: flux and "
            "solid angle are taken to be the same nevertheless."
        )


def quantify(
    plan: Plan,
    title: str,
    regions: Mapping[str, Areas],
    live_times: Mapping[str, float | None],
    pixels: Pixels | None = None,
) -> Concentrations:
    """Return how much of each element there is in regions, without those that are empty.

    Parameters
    ----------
    plan
        See :func:`make_plan`.
    title
        Of the sample.
    regions
        Counts, by the name of the region.
    live_times
        Of all spectra of a region together, s; None: not known.
    pixels
        What maps are made of; None: there are none.

    Warns
    -----
    UserWarning
        A region has no counts, others have: it is left out.
    """
    empty = [name for name, areas in regions.items() if not _has_counts(areas)]
    if 0 < len(empty) < len(regions):
        warn(f"{', '.join(empty)}: no counts in its spectra, left out.")
        regions = {name: own for name, own in regions.items() if name not in empty}
    amounts = {
        name: _amounts(plan, areas, live_times[name], name)
        for name, areas in regions.items()
    }
    said = {
        "sample": name_of(plan.thickness),
        "matrix": _words(plan.matrix),
    }
    return Concentrations(title, plan.setup, plan.factor, said, amounts, pixels)


def _words(matrix: Matrix) -> str:
    is_told = matrix.kind not in ("none", "compound")
    both = [matrix.kind * is_told, matrix.formula or ""]
    return " + ".join(part for part in both if part)


def _has_counts(areas: Areas) -> bool:
    """Tell whether there is anything in the spectra; NaN is something."""
    used = [own not in areas.others for own in areas.names]
    return not (np.asarray(areas.sigma, float)[used] == 0).any()


def _amounts(plan: Plan, areas: Areas, live_time: float | None, name: str) -> Amounts:
    measured = _measured(areas, live_time, name)
    if plan.thickness is None:
        assert plan.factor is not None
        film = thin(measured, plan.setup, plan.factor)
        _warn_of_absorption(plan, film, name)
        return _as_amounts(plan, film, areas, measured.live_time)
    found = solve(measured, plan.setup, plan.factor, plan.matrix, plan.thickness)
    _warn_of(plan, found, name)
    return _as_amounts(plan, found, areas, measured.live_time)


def _as_amounts(
    plan: Plan, found: Composition | Densities, areas: Areas, live_time: float | None
) -> Amounts:
    if isinstance(found, Densities):
        parts, unit = found.densities, "µg/cm2"
    else:
        parts, unit = found.fractions, "mass %"
    sigma = _with_factor(plan, found.groups, found.sigma, parts)
    said = {name: areas.notes[name] for name in found.groups if areas.notes.get(name)}
    seconds = math.nan if live_time is None else live_time
    return Amounts(found.groups, parts, sigma, found, unit, areas.n_pixels, seconds, said)


def _with_factor(
    plan: Plan, names: tuple[str, ...], sigma: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Return standard deviations with the counting noise of the standard in them.

    If the elements are normalised, what changes all of them by the same factor cancels:
    ``dw_i = w_i (d_i - sum w_j d_j)``, with the relative errors d of the factors, which are
    independent of each other but for lines that have the mean, and the sum of what is above 0.
    """
    if plan.factor is None:
        return sigma
    relative = np.array([plan.factor.relative_sigma(name) for name in names])
    if plan.matrix.kind != "normalise":
        return np.hypot(sigma, relative * values)
    is_own = np.array([plan.factor.has_own(name) for name in names])
    by_factor = np.diag(values) - np.outer(values, np.maximum(values, 0))
    own, mean = by_factor * (relative * is_own), by_factor @ (relative * ~is_own)
    return np.sqrt(sigma**2 + (own**2).sum(axis=1) + mean**2)


def _measured(areas: Areas, live_time: float | None, name: str = "") -> Measured:
    """Return the counts of elements, and say what is wrong with them."""
    where = f" of {name}" if name else ""
    used = [k for k, own in enumerate(areas.names) if own not in areas.others]
    counts, sigma, limits = (
        np.asarray(values, float)[used]
        for values in (areas.counts, areas.sigma, areas.limits)
    )
    if not np.isfinite(counts).all():
        raise ValueError(
            f"Counts{where} are NaN, expected numbers: leave out the pixels whose spectra "
            "have none."
        )
    if not (sigma > 0).all():
        raise ValueError(
            f"The spectra{where} have no counts, expected some: there is nothing to tell "
            "amounts from. Leave them out."
        )
    if live_time is not None and not (math.isfinite(live_time) and live_time > 0):
        raise ValueError(
            f"The live time{where} is {live_time:g} s, expected more than 0: as the metadata "
            "and dead times have it, nothing was measured. Give it: live_time=seconds of one "
            "spectrum."
        )
    names = tuple(areas.names[k] for k in used)
    return Measured(names, counts, sigma, limits, live_time)


def total_live_time(
    given: Any, known: float | None, n_spectra: int, name: str = ""
) -> float:
    """Return the live time of spectra together, s.

    Parameters
    ----------
    given
        Of one spectrum, as a user says it; None: what is known.
    known
        Of all of them, by metadata.
    n_spectra
        How many there are.
    name
        Of the region.

    Raises
    ------
    ValueError
        It is not known, or no number above 0.
    """
    if given is None and known is not None:
        return known
    if given is None:
        where = f" of {name}" if name else ""
        raise ValueError(
            f"The live time{where} is not known, expected seconds: live_time=... of one "
            "spectrum (of a map the mean of its pixels), or in the metadata of the spectra, "
            "before they are fitted."
        )
    is_number = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    if not is_number or not 0 < given < math.inf:
        raise ValueError(
            f"live_time is {given!r:.40}, expected seconds of one spectrum, above 0."
        )
    return float(given) * n_spectra


def _warn_of(plan: Plan, found: Composition, name: str) -> None:
    """Warn of a composition that should not be trusted."""
    where = f"{name}: " if name else ""
    if not found.is_converged:
        (said,) = [note for note in found.notes if note.startswith("Not converged")]
        warn(
            f"{where}{said} Composition and counts do not go together: look at geometry, "
            "standard, thickness and matrix."
        )
    is_normalised = plan.matrix.kind == "normalise"
    if found.sum > MOST_SUM:
        done = "They were normalised" if is_normalised else "Nothing was normalised"
        warn(
            f"{where}The elements add up to {100 * found.sum:.1f} %, expected at most 100: "
            f"the geometry factor, the thickness or the matrix is wrong. {done}."
        )
    has_rest = plan.matrix.formula is not None or is_normalised
    if plan.thickness == math.inf and not has_rest and found.sum < LEAST_SUM:
        warn(
            f"{where}The elements add up to {100 * found.sum:.3g} % of a thick sample, and "
            "absorb as if nothing else were there. If it is a film: sample='thin', or its "
            "thickness in g/cm2; if the rest has no lines: matrix='SiO2', or 'oxides + H2O'."
        )


def _warn_of_absorption(plan: Plan, film: Densities, name: str) -> None:
    """Warn of a film that absorbs what it is said not to absorb."""
    is_seen = film.densities > film.limits
    densities = dict(zip(film.names, np.where(is_seen, film.densities, 0.0), strict=True))
    total = sum(densities.values())
    if not total > 0:
        return
    sample = Sample({e: float(own / total) for e, own in densities.items()}, total)
    groups = [
        group_of(name, plan.setup)
        for name, is_there in zip(film.groups, is_seen, strict=True)
        if is_there
    ]
    each = np.array([densities[one.element] for one in groups])
    kept = yields(sample, plan.setup, groups).total
    kept = kept / (each * sensitivities(plan.setup, groups))
    k = int(np.argmin(kept))
    if kept[k] < 1 - _MOST_ABSORBED:
        where = f"{name}: " if name else ""
        warn(
            f"{where}The sample is said to be thin, and what was found of it, "
            f"{1e6 * total:.3g} µg/cm2, would absorb {1 - kept[k]:.0%} of {groups[k].name}: "
            "amounts are too low. Give its thickness, sample=g/cm2, or sample='thick'."
        )
