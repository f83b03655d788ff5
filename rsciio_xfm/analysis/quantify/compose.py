"""From the counts of groups to the composition of a sample."""

import functools
import math
import re
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from rsciio_xfm.analysis.fit.lines import Group, group
from rsciio_xfm.analysis.quantify.enhancement import Yields, unit_yields
from rsciio_xfm.analysis.quantify.materials import check_element, oxygen_of, parse_formula
from rsciio_xfm.analysis.quantify.primary import Tables, sensitivities, tables
from rsciio_xfm.analysis.quantify.setup import Setup, efficiency

_MOST_STEPS = 50
_CONVERGED = 1e-6  # largest change of a fraction in a step
_DEPTH = 6  # steps that are looked back on
_MOST_FRACTION = 10.0  # what runs away is stopped here
_STEP = 1e-3  # of fractions, for their derivatives
LEAST_SUM, MOST_SUM = 0.9, 1.05  # of fractions that are not doubted
# Groups of an element that may be used: the efficiency relative to that of the best, at least,
# and the relative uncertainty relative to that of the best, at most; of an element that is not
# seen that in a thin film.
_HARD, _SURE, _SURE_OF_NONE = 0.1, 3.0, 10.0
_LEAST_SEEN = 1e-6  # of photons: less is nothing
_NOTHING = 1e-200
_SIGMAS, _APART = 3.0, 0.1  # groups of an element that differ by more are told
_NO_LIVE_TIME = "The live time is not known, expected seconds: live_time=..."
_NAME = re.compile(r"([A-Z][a-z]?)_([KLM][1-5]?)")


@dataclass(frozen=True, eq=False)
class Measured:
    """Counts of groups.

    Attributes
    ----------
    names
        ``"Fe_K"``, ``"Pb_L"``.
    counts, sigma
        float64, shape (groups,): areas of the fit and their uncertainty.
    limits
        float64, shape (groups,): detection limits, counts.
    live_time
        s; None: not known, for a matrix of kind ``"normalise"``.

    Raises
    ------
    ValueError
        A name is none of a group, the arrays differ in length, a sigma is not above 0, or
        the live time is not.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    sigma: np.ndarray
    limits: np.ndarray
    live_time: float | None

    def __post_init__(self) -> None:
        for name in self.names:
            element_of(name)
        if not self.names or len(set(self.names)) != len(self.names):
            raise ValueError(f"The groups are {self.names}, expected each once.")
        for what in ("counts", "sigma", "limits"):
            values = np.asarray(getattr(self, what), float)
            object.__setattr__(self, what, values)
            if values.shape != (len(self.names),):
                raise ValueError(
                    f"{what} has shape {values.shape} for {len(self.names)} groups."
                )
        if not (np.isfinite(self.counts).all() and (self.sigma > 0).all()):
            raise ValueError("Counts have to be finite, and their sigma above 0.")
        if self.live_time is not None and not 0 < self.live_time < math.inf:
            raise ValueError(
                f"The live time is {self.live_time!r} s, expected one above 0: give it."
            )


@dataclass(frozen=True)
class Matrix:
    """What the lines do not show.

    Attributes
    ----------
    kind
        ``"none"``: there is nothing else, the sum tells whether that is so; ``"compound"``:
        the rest is the formula; ``"oxides"``: each element is an oxide, and the rest the
        formula, if there is one; ``"normalise"``: the elements that are seen add up to 1.
    formula
        Of the rest. Elements of it that are measured are as much as their lines tell: of the
        rest they are no part, which is then the other elements, in the formula's proportions.
    """

    kind: str = "none"
    formula: str | None = None


class GroupFactors(Protocol):
    """Geometry factors of groups, photons/s."""

    def of(self, name: str) -> float:
        """Return that of a group."""


@dataclass(frozen=True, eq=False)
class Composition:
    """What a sample consists of.

    Attributes
    ----------
    names
        Elements that tell something.
    groups
        From which group each was taken.
    fractions, sigma, limits
        float64, shape (elements,): mass fractions, negative where the counts are, their
        statistical uncertainty, and detection limits.
    per_count
        float64, shape (elements,): fraction per count at this composition, for maps.
    sum
        Of the elements that were measured and the oxygen of their oxides, before anything was
        normalised, negative ones not counted; nan if the geometry factor or the live time is
        not known.
    n_iterations, is_converged
        Of the iteration.
    enhancement
        float64, shape (elements,): share of the counts that other lines of the sample excite.
    matrix
        Fractions of what was not measured.
    notes
        In words: what was assumed, and what is to be doubted.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    fractions: np.ndarray
    sigma: np.ndarray
    limits: np.ndarray
    per_count: np.ndarray
    sum: float
    n_iterations: int
    is_converged: bool
    enhancement: np.ndarray
    matrix: dict[str, float]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Densities:
    """Elements of a thin film.

    Attributes
    ----------
    names, groups
        Elements that tell something, and from which group each was taken.
    densities, sigma, limits
        float64, shape (elements,): g/cm2; negative where the counts are.
    per_count
        float64, shape (elements,): g/cm2 per count.
    notes
        In words.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    densities: np.ndarray
    sigma: np.ndarray
    limits: np.ndarray
    per_count: np.ndarray
    notes: tuple[str, ...]


def element_of(name: str) -> str:
    """Return the element of a group's name.

    Raises
    ------
    ValueError
        It is none.

    Examples
    --------
    >>> element_of("Pb_L")
    'Pb'
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"{name!r} is no group of lines, expected one like 'Fe_K'.")
    return check_element(found[1])


def parse_matrix(text: str | Matrix | None) -> Matrix:
    """Return what a user says of the matrix.

    Parameters
    ----------
    text
        None, ``"normalise"`` or ``"normalize"``, a formula (``"SiO2"``: what is not seen is
        this, up to 100 %), ``"oxides"``, or ``"oxides + H2O"``.

    Raises
    ------
    ValueError
        It is none of these.

    Examples
    --------
    >>> parse_matrix("oxides + H2O")
    Matrix(kind='oxides', formula='H2O')
    """
    if isinstance(text, Matrix):
        return text
    if text is None:
        return Matrix()
    if not isinstance(text, str):
        raise ValueError(
            f"The matrix is {text!r:.40}, expected a formula like 'SiO2', 'oxides', "
            "'oxides + H2O' or 'normalise'."
        )
    kind, _, rest = (part.strip() for part in text.partition("+"))
    kind = "normalise" if kind == "normalize" else kind
    if kind in ("oxides", "normalise"):
        formula = rest or None
    else:
        kind, formula = "compound", text.strip()
    if formula is not None:
        if kind == "normalise":
            raise ValueError(
                f"The matrix is {text!r}: nothing is left of what adds up to 1."
            )
        try:
            parse_formula(formula)
        except ValueError as error:
            raise ValueError(
                f"The matrix is {text!r}, expected a formula like 'SiO2', 'oxides', "
                "'oxides + H2O' or 'normalise'."
            ) from error
    return Matrix(kind, formula)


def thin(measured: Measured, setup: Setup, factor: float | GroupFactors) -> Densities:
    """Return the elements of a film so thin that it absorbs nothing.

    Parameters
    ----------
    measured
        Counts.
    setup
        Angles, excitation, path, detector.
    factor
        Geometry factor, photons/s: one, or what has one for each group.

    Returns
    -------
    Densities
        ``counts / (sensitivity x live time x factor)``.

    Raises
    ------
    ValueError
        No group tells anything, or the live time is missing.
    """
    if measured.live_time is None:
        raise ValueError(f"{_NO_LIVE_TIME}.")
    groups = _groups(measured, setup)
    used, notes = _choose(measured, setup, groups)
    per_count = _inverse(sensitivities(setup, groups) * _photons(measured, factor))
    every, spread, each = (
        measured.counts * per_count,
        measured.sigma * per_count,
        per_count[used],
    )
    return Densities(
        tuple(groups[i].element for i in used),
        tuple(measured.names[i] for i in used),
        every[used],
        spread[used],
        measured.limits[used] * each,
        each,
        (*setup.assumed, *notes, *_compare(groups, used, every, spread)),
    )


def solve(
    measured: Measured,
    setup: Setup,
    factor: float | GroupFactors | None,
    matrix: Matrix | str | None = None,
    thickness: float = math.inf,
) -> Composition:
    """Return the composition that gives the counts that were measured.

    Parameters
    ----------
    measured
        Counts.
    setup
        Angles, excitation, path, detector.
    factor
        Geometry factor, photons/s: one, or what has one for each group. None: not known, for
        a matrix of kind ``"normalise"``.
    matrix
        As of :func:`parse_matrix`.
    thickness
        Mass per area of the sample, g/cm2; math.inf: thick.

    Returns
    -------
    Composition
        Negative fractions, where the counts are, absorb nothing; a sum above 1 is told, not
        normalised.

    Raises
    ------
    ValueError
        No group tells anything, or the factor or the live time is missing.

    Notes
    -----
    Fixed-point iteration of the fundamental parameters (Criss and Birks, Anal. Chem. 40 (1968)
    1080): fractions = counts / yields at these fractions, accelerated as by Anderson (J. ACM
    12 (1965) 547). What absorbs is the composition with its matrix, normalised to 1. The
    statistical uncertainty follows from the Jacobian at the fixed point.
    """
    own = _problem(measured, setup, factor, parse_matrix(matrix), thickness)
    found, n_iterations, change = _iterate(own)
    return _composition(own, found, n_iterations, change)


@dataclass(frozen=True, eq=False)
class _Problem:
    """What :func:`solve` iterates on."""

    measured: Measured
    setup: Setup
    matrix: Matrix
    thickness: float
    groups: tuple[Group, ...]
    used: np.ndarray  # the group of each element
    photons: np.ndarray  # factor times live time, of each group
    is_absolute: bool
    notes: tuple[str, ...]

    @functools.cached_property
    def elements(self) -> tuple[str, ...]:
        """Those that are measured."""
        return tuple(self.groups[i].element for i in self.used)

    @functools.cached_property
    def rest(self) -> dict[str, float]:
        """What is not measured of the formula of the matrix, adding up to 1."""
        formula = self.matrix.formula
        whole = parse_formula(formula) if formula else {}
        rest = {name: w for name, w in whole.items() if name not in self.elements}
        return {name: w / sum(rest.values()) for name, w in rest.items()}

    @functools.cached_property
    def tables(self) -> Tables:
        """Cross sections of all elements."""
        oxygen = ["O"] if self.matrix.kind == "oxides" else []
        return tables([*self.elements, *self.rest, *oxygen], self.setup, self.groups)

    @property
    def counts(self) -> np.ndarray:
        """Those of the group of each element."""
        return self.measured.counts[self.used]

    def fill(self, fractions: np.ndarray) -> tuple[dict[str, float], float]:
        """Return all elements, adding up to 1, and the sum of what the lines tell."""
        shares = dict(zip(self.elements, np.maximum(fractions, 0.0), strict=True))
        if self.matrix.kind == "oxides" and "O" not in shares:
            shares["O"] = sum(w * oxygen_of(name) for name, w in shares.items())
        total = float(sum(shares.values()))
        for name, share in self.rest.items():
            shares[name] = shares.get(name, 0.0) + max(0.0, 1 - total) * share
        every = sum(shares.values())
        if not every > 0:  # nothing was found, and something has to absorb
            return dict.fromkeys(self.elements, 1 / len(self.elements)), total
        return {name: float(share / every) for name, share in shares.items()}, total

    def yields(self, fractions: np.ndarray) -> Yields:
        """Return the yields per mass fraction if the sample is as these fractions say."""
        every, _ = self.fill(fractions)
        shares = np.array([every.get(name, 0.0) for name in self.tables.elements])
        return unit_yields(self.tables, self.setup, shares, self.thickness)

    def step(self, fractions: np.ndarray) -> np.ndarray:
        """Return the fractions that the counts give if the sample is as these say."""
        found = self.counts / (self.yields(fractions).total * self.photons)[self.used]
        if self.matrix.kind == "normalise":
            total = np.maximum(found, 0).sum()
            found = found / total if total > 0 else np.zeros_like(found)
        return np.clip(found, -_MOST_FRACTION, _MOST_FRACTION)


def _problem(
    measured: Measured,
    setup: Setup,
    factor: float | GroupFactors | None,
    matrix: Matrix,
    thickness: float,
) -> _Problem:
    if factor is None and matrix.kind != "normalise":
        raise ValueError(
            "The geometry factor is missing: measure a standard, give flux and solid angle, "
            "or take matrix='normalise' if the elements add up to 100 %."
        )
    if measured.live_time is None and matrix.kind != "normalise":
        raise ValueError(f"{_NO_LIVE_TIME}, or matrix='normalise', which needs none.")
    if not thickness > 0:
        raise ValueError(f"The thickness is {thickness:g} g/cm2, expected one above 0.")
    groups = _groups(measured, setup)
    used, notes = _choose(measured, setup, groups)
    photons = _photons(measured, 1.0 if factor is None else factor)
    is_absolute = factor is not None and measured.live_time is not None
    own = _Problem(
        measured, setup, matrix, thickness, groups, used, photons, is_absolute, ()
    )
    return replace(own, notes=(*setup.assumed, *notes, *_assumptions(own)))


def _iterate(own: _Problem) -> tuple[np.ndarray, int, np.ndarray]:
    """Return the fractions, after how many steps, and what one more would change."""
    sensitivity = sensitivities(own.setup, own.groups) * own.photons
    start = np.maximum(own.counts / sensitivity[own.used], 0)
    fractions = start / start.sum() if start.sum() > 0 else start
    tried: list[np.ndarray] = []
    changes: list[np.ndarray] = []
    for _ in range(_MOST_STEPS):
        change = own.step(fractions) - fractions
        tried, changes = [*tried, fractions], [*changes, change]
        if np.abs(change).max() <= _CONVERGED:
            break
        fractions = fractions + change
        if len(tried) > 1:
            # The combination of the last steps whose changes cancel best, cf. Anderson.
            moves = np.diff(tried[-_DEPTH:], axis=0).T
            differences = np.diff(changes[-_DEPTH:], axis=0).T
            weights = np.linalg.lstsq(differences, change, rcond=1e-8)[0]
            fractions = fractions - (moves + differences) @ weights
        fractions = np.clip(fractions, -_MOST_FRACTION, _MOST_FRACTION)
    return tried[-1], len(tried), change


def _uncertainty(own: _Problem, fractions: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the fractions.

    At the fixed point ``w = g(w, c)``, thus ``dw = (1 - dg/dw)^-1 dg/dc dc``.
    """
    n, base = len(fractions), own.step(fractions)
    _, total = own.fill(fractions)
    by_fraction = np.zeros((n, n))
    for k in range(n):
        moved = fractions.copy()
        step = _STEP * max(abs(fractions[k]), 0.1)
        # Downwards where the rest ends within the step: there is a kink.
        moved[k] += (
            -step if fractions[k] > step and total < 1 < total + 4 * step else step
        )
        by_fraction[:, k] = (own.step(moved) - base) / (moved[k] - fractions[k])
    each = 1 / (own.yields(fractions).total * own.photons)[own.used]
    by_count = np.diag(each)
    if own.matrix.kind == "normalise":
        total = np.maximum(own.counts * each, 0).sum()
        if not total > 0:
            return np.full(n, np.nan)
        by_count = (np.eye(n) - base[:, np.newaxis]) * each / total
    whole = np.linalg.lstsq(np.eye(n) - by_fraction, by_count, rcond=None)[0]
    return np.sqrt((whole**2) @ own.measured.sigma[own.used] ** 2)


def _composition(
    own: _Problem, found: np.ndarray, n_iterations: int, change: np.ndarray
) -> Composition:
    measured, used = own.measured, own.used
    every, total = own.fill(found)
    # Of the whole sample: a rest makes it 1, and without one it is as much as was found.
    whole = 1.0 if own.rest and total < 1 else total
    full = own.yields(found)
    per_count = _inverse(full.total * own.photons)
    scale = 1.0
    if own.matrix.kind == "normalise":
        found_in_all = np.maximum(own.counts * per_count[used], 0).sum()
        scale = 1 / found_in_all if found_in_all > 0 else math.nan
        total = found_in_all if own.is_absolute else math.nan
    per_count = per_count * scale
    each = measured.counts * per_count
    sigma = measured.sigma * per_count
    sigma[used] = _uncertainty(own, found)
    is_converged = bool(np.abs(change).max() <= _CONVERGED)
    notes = _compare(own.groups, used, each, sigma)
    if not is_converged:
        pairs = zip(own.elements, np.abs(change), strict=True)
        names = ", ".join(name for name, moved in pairs if moved > _CONVERGED)
        notes.append(f"Not converged after {n_iterations} steps: {names}.")
    if not np.isfinite(scale):
        notes.append("No element was found that could make up the whole.")
    if own.matrix.kind == "none" and total < LEAST_SUM:
        notes.append(
            f"The elements add up to {100 * total:.1f} %, and absorb as if there was nothing "
            "else: say what the rest is (matrix='SiO2', 'oxides', ...)."
        )
    if total > MOST_SUM:
        notes.append(
            f"The elements add up to {100 * total:.1f} %: the geometry factor, the thickness "
            "or the matrix is wrong."
        )
    return Composition(
        own.elements,
        tuple(measured.names[i] for i in used),
        each[used],
        sigma[used],
        (measured.limits * per_count)[used],
        per_count[used],
        total,
        n_iterations,
        is_converged,
        full.enhanced[used] / full.total[used],
        {name: w * whole for name, w in every.items() if name not in own.elements},
        (*own.notes, *notes),
    )


def _groups(measured: Measured, setup: Setup) -> tuple[Group, ...]:
    return tuple(group_of(name, setup) for name in measured.names)


def group_of(name: str, setup: Setup) -> Group:
    """Return the lines of a group, or of one subshell (``"Pb_L3"``), by its name.

    It has no lines if the radiation of the set-up does not excite it.
    """
    element, shell = name.split("_")
    whole = group(element, shell[0], setup.excitation)
    if whole is not None and shell == whole.shell:
        return whole
    if whole is not None and shell in whole.families:
        return whole.part(shell)
    return Group(element, shell, np.zeros(0), np.zeros(0), (), math.inf)


def _choose(
    measured: Measured, setup: Setup, groups: tuple[Group, ...]
) -> tuple[np.ndarray, list[str]]:
    """Return the group of each element that tells most, and why others tell nothing."""
    seen, notes = np.zeros(len(groups)), []
    for i, one in enumerate(groups):
        if not len(one.energies):
            notes.append(f"{one.name} is not excited by {setup.excitation}: left out.")
            continue
        seen[i] = efficiency(setup, np.array([one.energy]))[0]
        if seen[i] < _LEAST_SEEN:
            notes.append(f"Nothing of {one.name} gets through to the detector: left out.")
    # The hardest of those that are sure enough: what a sample absorbs of it is known best.
    relative = measured.sigma / np.maximum(measured.counts, measured.sigma)
    film = measured.sigma * _inverse(sensitivities(setup, groups))
    used = []
    for element in dict.fromkeys(one.element for one in groups):
        own = [i for i, g in enumerate(groups) if g.element == element]
        most = max(seen[i] for i in own)
        if most >= _LEAST_SEEN:
            own = [i for i in own if seen[i] >= _HARD * most]
            is_seen = min(relative[i] for i in own) < 1 / _SIGMAS
            doubt, times = (relative, _SURE) if is_seen else (film, _SURE_OF_NONE)
            least = min(doubt[i] for i in own)
            sure = [i for i in own if doubt[i] <= times * least]
            used.append(max(sure, key=lambda i: groups[i].energy))
    if not used:
        raise ValueError("No group tells anything. " + " ".join(notes))
    return np.array(used), notes


def _compare(
    groups: tuple[Group, ...], used: np.ndarray, each: np.ndarray, sigma: np.ndarray
) -> list[str]:
    """Return in words which group of an element was used, and what the others give."""
    notes = []
    for one in used:
        for other, own in enumerate(groups):
            if other == one or own.element != groups[one].element:
                continue
            ratio = each[other] / each[one] if each[one] > 0 else np.nan
            if not np.isfinite(ratio):
                continue
            apart = _SIGMAS * math.hypot(sigma[one] / each[one], sigma[other] / each[one])
            text = f"{own.element} was taken from {groups[one].name}; {own.name} "
            if abs(ratio - 1) > max(apart, _APART):
                notes.append(f"{text}would give {ratio:.3g} times as much.")
            else:
                notes.append(f"{text}agrees.")
    return notes


def _inverse(counts: np.ndarray) -> np.ndarray:
    """Return one over counts; nan where nothing is to be had."""
    return 1 / np.where(counts > _NOTHING, counts, np.nan)


def _photons(measured: Measured, factor: float | GroupFactors) -> np.ndarray:
    """Return the photons of the source that count, for each group."""
    each = [
        float(factor) if isinstance(factor, float | int) else factor.of(name)
        for name in measured.names
    ]
    factors = np.array(each)
    if not ((factors > 0) & np.isfinite(factors)).all():
        raise ValueError(f"The geometry factor is {factor!r}, expected one above 0.")
    # Without a live time only the ratios of amounts matter, which it does not change.
    return factors * (1.0 if measured.live_time is None else measured.live_time)


def _assumptions(own: _Problem) -> list[str]:
    """Return in words what a matrix assumes."""
    notes, matrix = [], own.matrix
    if matrix.kind == "normalise":
        notes.append("The elements that were measured are taken for all there is.")
    if matrix.kind == "oxides":
        notes.append("The elements are taken for their usual oxides.")
        none = [name for name in own.elements if name != "O" and not oxygen_of(name)]
        if none:
            notes.append(f"{', '.join(none)} without: no usual oxide is known.")
    if matrix.formula and own.rest:
        notes.append(f"What is not seen is taken for {matrix.formula}.")
    elif matrix.formula:
        notes.append(f"All of {matrix.formula} is measured: nothing else is assumed.")
    return notes
