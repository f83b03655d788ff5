"""What is said of the elements that were found."""

from dataclasses import dataclass, replace

import numpy as np

from rsciio_xfm.analysis.fit.candidates import USUAL_EVIDENCE
from rsciio_xfm.analysis.fit.doubt import (
    FINE,
    fit_doubted,
)
from rsciio_xfm.analysis.fit.lines import Group
from rsciio_xfm.analysis.fit.matrix import make_projection, region_areas
from rsciio_xfm.analysis.fit.model import Model, calibrated
from rsciio_xfm.analysis.fit.pool import Pool

_ALIKE = 0.75  # evidence, relative, of what it could be as well
_N_ALIKE = 3
_NEAR = 0.5  # cosine of columns of which one may explain what the other does
SURE = 30.0  # sigma
# Maps that are compared: least blocks; chi2 of the share of another element, relative to that
# of an element that is everywhere, and by how much it is less.
_LEAST_PARTS, _LIKE, _BETTER_MAP = 8, 0.6, 9.0
_ONE_LINE = 0.05  # keV
_TELLING = 0.2  # weight of lines, relative to the strongest, that are named


@dataclass(frozen=True)
class Found:
    """An element that was found, by one shell.

    Attributes
    ----------
    element, shell
        ``"Pb"`` and ``"L"``.
    lines
        Energies of those that tell, keV.
    evidence
        In sigma: the root of the loss of chi2 without it, with what the model may have wrong;
        in the part if it was found there.
    counts, sigma
        Of the group in the sum, and the standard deviation with the calibration's; in the
        part if it was found there.
    alternatives
        Names of other groups that explain at least three quarters of it.
    in_part
        Number of the block in which it was found, if it is not seen in the sum; else None.
    same_map
        Name of a strong group whose map explains much of how it varies from block to block, if
        it is weak: it goes with that element, or is a wrong shape of its lines. Else ``""``.
    """

    element: str
    shell: str
    lines: tuple[float, ...]
    evidence: float
    counts: float
    sigma: float
    alternatives: tuple[str, ...] = ()
    in_part: int | None = None
    same_map: str = ""

    @property
    def name(self) -> str:
        """``"Pb_L"``."""
        return f"{self.element}_{self.shell}"


def describe(
    model: Model,
    counts: np.ndarray,
    pool: Pool,
    in_parts: dict[str, tuple[int | None, float]],
) -> list[Found]:
    """Return what is said of each group of a calibrated model.

    Parameters
    ----------
    model
        With a fit.
    counts
        The spectrum, all channels.
    pool
        All groups that may be there.
    in_parts
        By name the part in which a group was found, and the evidence there; no part if the
        evidence is that of the spectrum.
    """
    doubted = fit_doubted(model, counts, FINE)
    evidence = doubted.evidence(len(model.groups))
    columns = pool.columns(doubted)
    anyway = np.maximum(doubted.gains(columns)[0], 0.0)
    sizes, sizes_of = (np.linalg.norm(a, axis=1) for a in (columns, doubted.columns))
    areas = calibrated(model).areas
    found = []
    for k, group in enumerate(model.groups):
        area, sigma = areas[group.name]
        part, in_part = in_parts.get(group.name, (None, 0.0))
        if evidence[k] >= USUAL_EVIDENCE:  # it is seen in the sum, all else being there
            part = None
        near = np.flatnonzero(columns @ doubted.columns[k] > _NEAR * sizes * sizes_of[k])
        gains = np.zeros(len(columns))
        gains[near] = doubted.without(k).gains(columns[near])[0]
        # Not what another one explains elsewhere, with the group as without it.
        instead = np.sqrt(np.maximum(gains.clip(0) ** 2 - anyway**2, 0.0))
        alike = _alternatives(k, model, instead, pool)
        found.append(
            Found(
                group.element,
                group.shell,
                telling(group),
                max(float(evidence[k]), in_part),
                area,
                sigma,
                alike,
                part,
            )
        )
    return sorted(found, key=lambda one: -one.evidence)


def count_in_parts(found: list[Found], model: Model, parts: np.ndarray) -> list[Found]:
    """Give what was found in a part the counts that it has there."""
    if all(one.in_part is None for one in found):
        return found
    projection = make_projection(calibrated(model).basis)
    areas, sigma = region_areas(projection, parts)
    places = {one.name: (one.in_part, projection.names.index(one.name)) for one in found}
    return [
        one
        if one.in_part is None
        else replace(
            one,
            counts=float(areas[places[one.name]]),
            sigma=float(sigma[places[one.name]]),
        )
        for one in found
    ]


def compare_maps(found: list[Found], model: Model, parts: np.ndarray) -> list[Found]:
    """Say of weak elements whether they vary over the map as a strong one does."""
    strong = [one.name for one in found if one.evidence > SURE]
    if len(parts) < _LEAST_PARTS or not strong:
        return found
    projection = make_projection(calibrated(model).basis)
    spectra = parts[:, projection.first : projection.stop]
    areas, noise = spectra @ projection.gamma, spectra @ projection.gamma**2
    # Were it everywhere; were it a share of one of the strong ones.
    shapes = [spectra.sum(axis=1)]
    shapes += [areas[:, projection.names.index(name)] for name in strong]
    told = []
    for one in found:
        k = projection.names.index(one.name)
        chi2 = np.array([_misfit(areas[:, k], noise[:, k], shape) for shape in shapes])
        best = int(np.argmin(chi2[1:]))
        is_same = chi2[1 + best] < min(_LIKE * chi2[0], chi2[0] - _BETTER_MAP)
        is_weak = one.evidence <= SURE
        same = strong[best] if is_weak and is_same else ""
        told.append(replace(one, same_map=same))
    return told


def _misfit(areas: np.ndarray, noise: np.ndarray, shape: np.ndarray) -> float:
    """Return chi2 of areas of parts as a constant share of those of another component."""
    weights = 1 / np.maximum(noise, 1.0)
    share = (weights * areas) @ shape / max((weights * shape) @ shape, 1e-300)
    return float(weights @ (areas - share * shape) ** 2)


def telling(group: Group) -> tuple[float, ...]:
    """Return the energies of the stronger lines, those within 0.05 keV of another as one."""
    strong = group.weights > _TELLING * group.weights.max()
    energies, weights = group.energies[strong], group.weights[strong]
    told: list[float] = []
    for energy, _ in sorted(
        zip(energies, weights, strict=True), key=lambda pair: -pair[1]
    ):
        if all(abs(energy - other) > _ONE_LINE for other in told):
            told.append(float(energy))
    return tuple(told)


def _alternatives(k: int, model: Model, gains: np.ndarray, pool: Pool) -> tuple[str, ...]:
    """Return groups that explain most of what one group does, were it not there."""
    names = [one.group.name for one in pool.candidates]
    own = gains[names.index(model.groups[k].name)]
    taken = {group.element for group in model.groups}
    alike = [
        names[j]
        for j in np.argsort(-gains)
        if gains[j] * pool.factors[j] > _ALIKE * own > 0
        and pool.candidates[j].group.element not in taken
    ]
    return tuple(alike[:_N_ALIKE])
