"""What turns photons per second into amounts: from samples that are known, or from the set-up.

The geometry factor is flux x solid angle / 4 pi, photons/s: counts = factor x live time x
photons that are detected of each that arrives. Of a group of lines that a standard has, its
own factor takes what is wrong with the tables out of the result; of others, and where few
counts tell it, it is the mean.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rsciio_xfm.analysis.fit.lines import Group
from rsciio_xfm.analysis.quantify.compose import Measured, element_of, group_of
from rsciio_xfm.analysis.quantify.enhancement import yields
from rsciio_xfm.analysis.quantify.primary import Sample, sensitivities
from rsciio_xfm.analysis.quantify.setup import Setup

# By which tables of one line differ from those of another, however many counts it has.
_OF_TABLES = 0.02


@dataclass(frozen=True)
class Factor:
    """The geometry factor of a set-up: flux x solid angle / 4 pi.

    Attributes
    ----------
    value
        Photons/s, the mean of what the lines tell.
    sigma
        Its standard deviation by counting noise.
    spread
        Standard deviation between lines and standards, relative: what tables, absorption and
        certificates are wrong by. NaN of a single line.
    per_group
        What each group of lines tells, photons/s: ``{"Fe_K": 1.2e5}``.
    sigmas
        Their standard deviations by counting noise.
    source
        Where it is from, in words.
    """

    value: float
    sigma: float = 0.0
    spread: float = math.nan
    per_group: dict[str, float] = field(default_factory=dict)
    sigmas: dict[str, float] = field(default_factory=dict)
    source: str = ""

    def has_own(self, name: str) -> bool:
        """Tell whether a group has a factor that is surer than the mean is right."""
        if name not in self.per_group:
            return False
        noise = self.sigmas.get(name, 0.0) / self.per_group[name]
        return not noise > max(
            _OF_TABLES, 0.0 if math.isnan(self.spread) else self.spread
        )

    def of(self, name: str) -> float:
        """Return the factor of a group of lines: its own, or the mean.

        Examples
        --------
        >>> factor = Factor(2.0, per_group={"Fe_K": 1.9})
        >>> factor.of("Fe_K"), factor.of("Ni_K")
        (1.9, 2.0)
        """
        return self.per_group[name] if self.has_own(name) else self.value

    def relative_sigma(self, name: str) -> float:
        """Return the standard deviation by counting noise of :meth:`of`, relative to it."""
        sigma = self.sigmas.get(name, 0.0) if self.has_own(name) else self.sigma
        return sigma / self.of(name)


def factor_of(
    measured: Measured,
    setup: Setup,
    known: Mapping[str, float],
    thickness: float | None = math.inf,
    source: str = "",
) -> Factor:
    """Return the geometry factor that a standard tells.

    Parameters
    ----------
    measured
        Counts of its groups of lines. Those of elements that are not known, or that were not
        detected, are left out.
    setup
        It was measured with.
    known
        Mass fractions of its elements; of a thin film g/cm2.
    thickness
        g/cm2; infinite: thick. None: a film so thin that it absorbs nothing.
    source
        What it is called.

    Raises
    ------
    ValueError
        None of its elements has lines that were measured, or its live time is not known.
    """
    used = [
        k
        for k, name in enumerate(measured.names)
        if known.get(element_of(name), 0) > 0 and measured.counts[k] > measured.limits[k]
    ]
    if not used:
        raise ValueError(
            f"The standard has {', '.join(known)}, and what was measured of these elements is "
            f"below its detection limit or was not fitted: {', '.join(measured.names)}. "
            "Expected a fit with the lines of the standard: name its elements in the model."
        )
    if measured.live_time is None:
        raise ValueError("The live time of the standard is not known, expected seconds.")
    names = [measured.names[k] for k in used]
    groups = [_excited_group(name, setup) for name in names]
    expected = _expected(groups, setup, known, thickness) * measured.live_time
    factors = measured.counts[used] / expected
    return _mean_of(names, factors, measured.sigma[used] / expected, source)


def _expected(
    groups: Sequence[Group],
    setup: Setup,
    known: Mapping[str, float],
    thickness: float | None,
) -> np.ndarray:
    """Return the photons that are detected of groups, for each that arrives."""
    if thickness is None:
        densities = np.array([known[one.element] for one in groups])
        return densities * sensitivities(setup, groups)
    total = sum(known.values())
    sample = Sample({name: part / total for name, part in known.items()}, thickness)
    # What is not known absorbs as the others do, and emits nothing.
    return yields(sample, setup, groups).total * total


def combine(factors: Sequence[Factor]) -> Factor:
    """Return the geometry factor that several standards tell together.

    Parameters
    ----------
    factors
        From :func:`factor_of`. The same one twice counts once.

    Examples
    --------
    >>> both = combine(
    ...     [Factor(2.0, per_group={"Fe_K": 2.0}), Factor(4.0, per_group={"Cu_K": 4.0})]
    ... )
    >>> both.value, round(both.spread, 2), both.of("Cu_K")
    (3.0, 0.47, 4.0)
    """
    if not factors:
        raise ValueError("There is no standard, expected at least one.")
    factors = [one for k, one in enumerate(factors) if one not in factors[:k]]
    if len(factors) == 1:
        return factors[0]
    every = [(name, k) for k, one in enumerate(factors) for name in one.per_group]
    all_of_them = _mean_of(
        [f"{name} {k}" for name, k in every],
        np.array([factors[k].per_group[name] for name, k in every]),
        np.array([factors[k].sigmas.get(name, 0.0) for name, k in every]),
        "; ".join(one.source for one in factors if one.source),
    )
    found = {name: _of_one(name, factors) for name, _ in every}
    return Factor(
        all_of_them.value,
        all_of_them.sigma,
        all_of_them.spread,
        {name: own.value for name, own in found.items()},
        {name: own.sigma for name, own in found.items()},
        all_of_them.source,
    )


def _of_one(name: str, factors: Iterable[Factor]) -> Factor:
    """Return the mean factor of one group of lines."""
    own = [one for one in factors if name in one.per_group]
    return _mean_of(
        [str(k) for k in range(len(own))],
        np.array([one.per_group[name] for one in own]),
        np.array([one.sigmas.get(name, 0.0) for one in own]),
    )


def _mean_of(
    names: Sequence[str], factors: np.ndarray, sigmas: np.ndarray, source: str = ""
) -> Factor:
    """Return the mean of factors; lines of many counts weigh no more than tables are good."""
    weights = 1 / ((sigmas / factors) ** 2 + _OF_TABLES**2)
    weights = weights / weights.sum()
    mean = float(weights @ factors)
    spread = math.nan
    if len(factors) > 1:
        n = len(factors)
        variance = weights @ (factors / mean - 1) ** 2 * n / (n - 1)
        spread = math.sqrt(float(variance))
    return Factor(
        mean,
        float(np.sqrt(weights**2 @ sigmas**2)),
        spread,
        dict(zip(names, factors.tolist(), strict=True)),
        dict(zip(names, sigmas.tolist(), strict=True)),
        source,
    )


def absolute(setup: Setup) -> Factor:
    """Return the geometry factor of a set-up whose flux and solid angle are known.

    Raises
    ------
    ValueError
        They are not.
    """
    missing = [
        name
        for name, value in (("flux", setup.flux), ("solid_angle", setup.solid_angle))
        if value is None
    ]
    if setup.flux is None or setup.solid_angle is None:
        raise ValueError(
            f"The set-up has no {' and no '.join(missing)}, and there is no standard: "
            "expected one or the other. Give standard=model.as_standard({...}) of a sample "
            "that is known, or make_setup(..., flux=photons/s, solid_angle=sr)."
        )
    value = setup.flux * setup.solid_angle / (4 * math.pi)
    return Factor(value, source="flux and solid angle")


def _excited_group(name: str, setup: Setup) -> Group:
    """Return a group of lines by its name."""
    found = group_of(name, setup)
    if not len(found.energies):
        raise ValueError(
            f"{name} is not excited by {setup.excitation}, and was measured with it: expected "
            "the excitation of the fit."
        )
    return found
