"""All groups that may be there, as columns of a fit, and how much each has to show."""

import math
from dataclasses import dataclass, field

import numpy as np

from rsciio_xfm.analysis.fit.candidates import (
    Candidate,
    contradicted,
)
from rsciio_xfm.analysis.fit.columns import Lines, gather_lines, make_spectra
from rsciio_xfm.analysis.fit.doubt import (
    Doubted,
)
from rsciio_xfm.analysis.fit.lines import SHELLS, Group
from rsciio_xfm.analysis.fit.model import Model
from rsciio_xfm.analysis.fit.response import FWHM
from rsciio_xfm.analysis.fit.scale import BEYOND
from rsciio_xfm.analysis.fit.scatter import Scatter

# Times the evidence that an outer shell needs whose element has an inner one to show.
_ALONE = 3.0
_NEAR_LAST = 0.1  # keV above the last line of the source, in which lines may be


@dataclass(frozen=True, eq=False)
class Pool:
    """Candidates and their lines, which do not change with the calibration.

    `outside` has areas and sigmas of those beyond the range that is fitted; else NaN.
    """

    candidates: list[Candidate]
    lines: Lines
    factors: np.ndarray
    needed: np.ndarray
    outside: np.ndarray
    # The last columns: while elements are added the calibration stays for a while.
    _made: dict[tuple, np.ndarray] = field(default_factory=dict)

    @classmethod
    def of(cls, candidates: list[Candidate], model: Model, counts: np.ndarray) -> "Pool":
        """Make the columns of candidates."""
        groups = [one.group for one in candidates]
        lines = gather_lines(groups, model.response, Scatter(), ())
        factors = np.array([one.factor for one in candidates])
        outside = np.array([_net(one, model, counts) for one in groups]).T
        needed = np.array([one.needed for one in candidates])
        needed = np.where(np.isnan(outside[0]), needed, np.inf)
        return cls(candidates, lines, factors, needed, outside)

    def needed_for(self, model: Model) -> np.ndarray:
        """Return the evidence that is needed: more where an inner shell is not seen."""
        there = {one.name for one in model.groups}
        inner = {
            (one.group.element, outer)
            for one in self.candidates
            if one.is_excited and one.group.name not in there
            for outer in SHELLS[SHELLS.index(one.group.shell) + 1 :]
        }
        alone = [(c.group.element, c.group.shell) in inner for c in self.candidates]
        return self.needed * np.where(alone, _ALONE, 1.0)

    def is_contradicted(self, areas: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
        """Tell which cannot be: another group of the element is missing."""
        is_inside = np.isnan(self.outside[0])
        areas = np.where(is_inside, areas, self.outside[0])
        sigmas = np.where(is_inside, sigmas, self.outside[1])
        return contradicted(self.candidates, areas, sigmas)

    def columns(self, fitted: Doubted) -> np.ndarray:
        """Return the spectra of all candidates in the channels of a fit."""
        values = fitted.values | {"shelf": 0.0, "escape": 0.0}
        key = (*values.items(), fitted.channels)
        if key not in self._made:
            self._made.clear()
            self._made[key] = make_spectra(self.lines, values, fitted.channels)
        return self._made[key]

    def is_new(self, model: Model) -> np.ndarray:
        """Tell which are not in a model, bool."""
        known = {one.name for one in model.groups}
        return np.array([one.group.name not in known for one in self.candidates])


def _net(group: Group, model: Model, counts: np.ndarray) -> tuple[float, float]:
    """Return counts above the background of a line beyond what is fitted, and their sigma."""
    if group.energy < model.energy_range[1] - BEYOND + _NEAR_LAST:
        return math.nan, math.nan
    own = model.response
    place = round((group.energy - own.zero) / own.gain)
    reach = max(
        1, round(1.2 * FWHM * float(own.sigma(np.array([group.energy]))[0]) / own.gain)
    )
    inner = counts[place - reach : place + reach + 1].clip(0)
    sides = [
        counts[place - 2 * reach : place - reach],
        counts[place + reach + 1 : place + 2 * reach + 1],
    ]
    outer = np.concatenate(sides).clip(0)
    if not len(inner) or not len(outer):
        return math.nan, math.inf
    scale = len(inner) / len(outer)
    return (
        float(inner.sum() - scale * outer.sum()),
        float(np.sqrt(inner.sum() + scale**2 * outer.sum() + 1)),
    )
