"""Elements in parts of a map that are not seen in its sum."""

import math
from dataclasses import replace

import numpy as np

from rsciio_xfm.analysis.fit.doubt import (
    FINE,
    Doubted,
    fit_doubted,
)
from rsciio_xfm.analysis.fit.lines import SHELLS
from rsciio_xfm.analysis.fit.model import Model
from rsciio_xfm.analysis.fit.pool import Pool

_LEAST_BLOCK = 3000.0  # counts
_MARGIN = 3.0  # sigma by which a part may have more of an element than the whole
# Lines of an outer shell in a part, relative to those of an inner one and to the whole, that
# nothing but the sample's absorption can make; and how clear it has to be, roots of counts.
_MOST_OUTER, _LEAST_OUTER = 2.0, 10.0
_ALIKE = 0.3  # cosine of columns of which the clearest is taken in a part


def make_parts(blocks: np.ndarray | None, n_channels: int) -> np.ndarray:
    """Return spectra of blocks of enough counts; poor ones are added to the next."""
    if blocks is None or not len(blocks):
        return np.zeros((0, n_channels))
    kept, rest = [], np.zeros(n_channels)
    for one in np.asarray(blocks, dtype=np.float64):
        rest = rest + one
        if rest.sum() >= _LEAST_BLOCK:
            kept.append(rest)
            rest = np.zeros(n_channels)
    return np.array(kept) if len(kept) > 1 else np.zeros((0, n_channels))


def find_in_parts(
    model: Model, counts: np.ndarray, parts: np.ndarray, pool: Pool
) -> dict[int, tuple[int, float]]:
    """Return candidates that are in a part only, in which, and the evidence."""
    if not len(parts):
        return {}
    whole = fit_doubted(model, counts, FINE)
    own = pool.columns(whole)
    # So many tries, so much more by chance.
    tries = len(parts) * len(pool.candidates)
    needed = np.sqrt(pool.needed_for(model) ** 2 + 2 * math.log(tries))
    needed[~pool.is_new(model)] = np.inf
    # A part has no more of an element than the whole.
    gains, sigmas = whole.gains(own)
    most = np.where(np.isfinite(sigmas), (gains + _MARGIN) * sigmas, np.inf)
    screened = whole.screen(parts, own)
    suspects = set(screened.argmax(axis=0)[screened.max(axis=0) > needed].tolist())
    found: dict[int, int] = {}
    clearest = np.zeros(len(pool.candidates))
    pairs = _outer_shells(model)
    for number in sorted(suspects):
        fitted = _without_excess(whole.of_part(parts[number]), whole, pairs)
        gains, sigmas = fitted.gains(own)
        areas = gains * np.where(np.isfinite(sigmas), sigmas, 0.0)
        is_enough = (gains > needed) & (areas < most)
        is_enough &= ~pool.is_contradicted(areas, sigmas)
        score = np.where(is_enough, gains * pool.factors, 0.0)
        for k in np.flatnonzero(score > clearest):
            clearest[k], found[int(k)] = score[k], number
    alone = _clearest_of_alike(found, clearest, own)
    return {k: (number, float(clearest[k])) for k, number in alone.items()}


def _outer_shells(model: Model) -> list[tuple[int, int]]:
    """Return the numbers of groups of an outer shell, and of an inner one of the element."""
    groups = list(enumerate(model.groups))
    return [
        (k, other)
        for k, one in groups
        for other, inner in groups
        if inner.element == one.element
        and SHELLS.index(inner.shell) < SHELLS.index(one.shell)
    ]


def _without_excess(
    fitted: Doubted, whole: Doubted, pairs: list[tuple[int, int]]
) -> Doubted:
    """Return the fit of a part with no more of outer shells than the inner ones allow.

    Where there is no Pb L, what looks like Pb M is S: a blend of both has been taken for the
    one in the sum, and its lines have the shape of the blend since.
    """
    most: dict[int, float] = {}
    for k, inner in pairs:
        if whole.areas[inner] > 0 and whole.areas[k] > 0:
            ratio = whole.areas[k] / whole.areas[inner]
            allowed = _MOST_OUTER * ratio * max(fitted.areas[inner], 0.0)
            if fitted.areas[k] > allowed + _LEAST_OUTER * math.sqrt(fitted.areas[k]):
                most[k] = max(most.get(k, 0.0), allowed)
    if not most:
        return fitted
    held = np.array(list(most))
    rest = fitted.spectrum - np.array(list(most.values())) @ fitted.columns[held]
    return replace(fitted, spectrum=rest).without(*most)


def _clearest_of_alike(
    found: dict[int, int], clearest: np.ndarray, own: np.ndarray
) -> dict[int, int]:
    """Return one of candidates whose columns are much the same."""
    sizes = np.sqrt(np.einsum("ij,ij->i", own, own))
    kept: dict[int, int] = {}
    for k in sorted(found, key=lambda k: -clearest[k]):
        alike = [own[k] @ own[j] / (sizes[k] * sizes[j]) for j in kept]
        if max(alike, default=0.0) < _ALIKE:
            kept[k] = found[k]
    return kept
