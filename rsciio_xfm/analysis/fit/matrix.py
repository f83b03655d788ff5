"""The matrix that makes areas of spectra, and how sure they are (Dynamic Analysis).

With the columns C of a model and weights W the areas of a spectrum y are ``y G`` with
``G = W C (C' W C)^-1``: of all sums of its channels with fixed weights that give each
component its own counts and none of any other, the least noisy one if W is 1 / expected
counts. Counting noise gives them the variance ``y G^2``. The background is several of the
columns, as it is not the same everywhere, and its area is the sum of theirs. Channels that are
narrow beside the peaks are added up to bins first, :mod:`rsciio_xfm.analysis.fit.bins`, and G
is the same in all channels of a bin: y, W and C are those of the bins then, and nothing else
changes. C. G. Ryan and D. N. Jamieson, Nucl. Instrum. Methods B 77 (1993) 203; C. G. Ryan,
Int. J. Imaging Syst. Technol. 11 (2000) 219.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rsciio_xfm.analysis.fit.basis import Basis
from rsciio_xfm.analysis.fit.bins import Bins, best_bins
from rsciio_xfm.analysis.fit.problem import find_dead

# Of columns of length 1: the shortest sum of them that can be told from 0.
_SINGULAR = 1e-6


@dataclass(frozen=True, eq=False)
class Projection:
    """The matrix that makes areas of spectra, from a calibrated model.

    Along the first axis of arrays of "classes" are the weights of the whole, [0], and then
    those of each class, if there are any.

    Attributes
    ----------
    names, kinds, first, columns
        As of :class:`rsciio_xfm.analysis.fit.basis.Basis`.
    gammas
        float64, shape (classes, channels, components): the areas of a spectrum are
        ``spectrum[first:stop] @ gammas[0]``.
    bins
        Which channels are added up, from `first` on.
    resolved
        float64, shape (classes, bins, all columns): makes the areas of all columns, parts of
        the background apart, from the counts of bins.
    adding
        float64, shape (all columns, components): ``resolved @ adding`` is `gammas`.
    weights
        float64, shape (classes, bins): what the bins are weighted with; 0 for those that are
        left out.
    grams
        float64, shape (classes, all columns, all columns): products of the weighted columns.
    leverages
        float64, shape (classes, bins): weighted squares of the residual that one count
        is expected to leave.
    tilts
        float64, shape (classes, parameters, components, components): by how much a count of
        the last axis' component changes the area of the other one's, for each parameter.
    covariance
        Of the parameters of the calibration, see
        :class:`~rsciio_xfm.analysis.fit.basis.Basis`.
    areas
        float64, shape (components,): counts of each in the spectrum of the calibration.
    expected
        float64, shape (classes, channels): spectra that the weights are made of.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    first: int
    columns: np.ndarray
    gammas: np.ndarray
    bins: Bins
    resolved: np.ndarray
    adding: np.ndarray
    weights: np.ndarray
    grams: np.ndarray
    leverages: np.ndarray
    tilts: np.ndarray
    covariance: np.ndarray
    areas: np.ndarray
    expected: np.ndarray

    @property
    def gamma(self) -> np.ndarray:
        """The matrix of the weights of the whole, shape (channels, components)."""
        return self.gammas[0]

    @property
    def stop(self) -> int:
        """The channel after the last one that is fitted."""
        return self.first + self.gammas.shape[1]

    @property
    def n_classes(self) -> int:
        """How many classes have weights of their own."""
        return len(self.gammas) - 1

    def calibration_covariance(self, areas: np.ndarray) -> np.ndarray:
        """Return what the uncertainty of the calibration adds to the covariance of areas.

        Parameters
        ----------
        areas
            Of sums of spectra, shape (..., classes, components): the part of each that was
            made with each set of weights; of fewer sets only the first ones.

        Returns
        -------
        numpy.ndarray
            float64, shape (..., components, components).
        """
        tilts = self.tilts[: areas.shape[-2]]
        with np.errstate(invalid="ignore"):  # of areas that are NaN or infinite
            changes = np.einsum("cpkj,...cj->...pk", tilts, areas, optimize=True)
            return np.swapaxes(changes, -1, -2) @ (self.covariance @ changes)


def make_projection(
    basis: Basis,
    weights: np.ndarray | Sequence[np.ndarray] | None = None,
    used: np.ndarray | None = None,
) -> Projection:
    """Make the matrix of a calibrated model.

    Parameters
    ----------
    basis
        Of the model.
    weights
        Sums of the spectra of classes, shape (classes, channels), all channels of the
        spectra: each class gets weights of its own. None: one set of weights, that of the
        spectrum of the calibration.
    used
        bool, shape (channels,), of all channels of the spectra or those that are fitted:
        False for channels that are left out, such as those that :func:`dead_channels` finds.

    Returns
    -------
    Projection
        The matrix.

    Raises
    ------
    ValueError
        There are fewer channels than components, a component has no counts in the channels,
        components cannot be told apart at all, or an array does not suit the basis.

    Examples
    --------
    >>> import numpy as np
    >>> columns = np.array([[1.0, 0.25], [0.0, 0.25], [0.0, 0.25], [0.0, 0.25]])
    >>> basis = Basis(("Fe_K", "background"), ("element", "background"), 0, columns,
    ...               np.array([10.0, 40.0]))
    >>> projection = make_projection(basis)
    >>> (np.array([17, 10, 11, 9]) @ projection.gamma).round(6).tolist()
    [7.0, 40.0]
    """
    columns = np.asarray(basis.columns, dtype=np.float64)
    inside = _in_range(used, basis, "used").astype(bool)
    _check_columns(basis, columns, inside)
    basis = replace(basis, parts=basis.parts[:, basis.parts[inside].any(axis=0)])
    bins = best_bins(basis, inside)
    every = bins.add(basis.resolved)
    whole = _solve(basis, every, basis.expected, bins)
    solved = [(basis.expected, *whole)]
    for spectrum in () if weights is None else np.atleast_2d(np.asarray(weights)):
        own = _in_range(spectrum, basis, "The spectrum of a class").astype(np.float64)
        areas = np.maximum(bins.add(own) @ whole[0], 0)
        expected = basis.resolved @ areas
        solved.append((expected, *_solve(basis, every, expected, bins)))
    expected, resolved, own_weights, grams, leverages = map(
        np.stack, zip(*solved, strict=True)
    )
    gammas = bins.spread(resolved @ basis.adding)
    n_parameters, n_components = len(basis.covariance), len(basis.names)
    slopes = np.reshape(basis.slopes, (n_parameters, len(columns), n_components))
    return Projection(
        names=tuple(basis.names),
        kinds=tuple(basis.kinds),
        first=int(basis.first),
        columns=columns,
        gammas=gammas,
        bins=bins,
        resolved=resolved,
        adding=basis.adding,
        weights=own_weights,
        grams=grams,
        leverages=leverages,
        tilts=-np.einsum("cnk,pnj->cpkj", gammas, slopes, optimize=True),
        covariance=np.asarray(basis.covariance, dtype=np.float64),
        areas=np.asarray(basis.areas, dtype=np.float64),
        expected=expected,
    )


def dead_channels(basis: Basis, spectrum: np.ndarray) -> np.ndarray:
    """Find channels without counts where a model expects some.

    Parameters
    ----------
    basis
        Of the model.
    spectrum
        The sum of all spectra, shape (channels,).

    Returns
    -------
    numpy.ndarray
        bool, shape (channels,): True where nothing was counted but more than 30 counts were
        expected, which chance does not do, and in gaps that a calibration leaves out.
        ``~dead_channels(...)`` is what :func:`make_projection` takes as `used`.
    """
    spectrum = np.asarray(spectrum)
    dead: np.ndarray = np.zeros(len(spectrum), dtype=bool)
    inside = slice(basis.first, basis.stop)
    dead[inside] = find_dead(spectrum[inside], basis.expected)
    return dead


def region_areas(
    projection: Projection | Sequence[Projection], spectra: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Fit sums of spectra, such as those of regions.

    Parameters
    ----------
    projection
        The matrix; or one for each detector.
    spectra
        Shape (..., channels), all channels; of detectors (detectors, ..., channels).

    Returns
    -------
    areas : numpy.ndarray
        float64, shape (..., components): counts. Those of detectors are added up.
    sigma : numpy.ndarray
        float64, of the same shape: the standard deviation by counting noise and by the
        uncertainty of the calibration.

    Raises
    ------
    ValueError
        The spectra have fewer channels than the model, or are of another number of detectors.

    Notes
    -----
    The areas are those of the sum of the maps over the region, if it was made with the
    weights of the whole.
    """
    spectra = np.asarray(spectra)
    if not isinstance(projection, Projection):
        if len(projection) != len(spectra):
            raise ValueError(
                f"There are spectra of {len(spectra)} detectors, expected "
                f"{len(projection)}, as many as calibrations."
            )
        each = [_fit(own, s) for own, s in zip(projection, spectra, strict=True)]
    else:
        each = [_fit(projection, spectra)]
    areas, variances = zip(*each, strict=True)
    return np.sum(areas, axis=0), np.sqrt(np.sum(variances, axis=0))


def _fit(projection: Projection, spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return areas and their variance."""
    check_channels(projection, spectra.shape[-1])
    own = spectra[..., projection.first : projection.stop].astype(np.float64)
    areas = own @ projection.gamma
    noise = np.maximum(own @ projection.gamma**2, 0)
    tilted = projection.calibration_covariance(areas[..., np.newaxis, :])
    return areas, noise + np.diagonal(tilted, axis1=-2, axis2=-1)


def shares_of(projections: Sequence[Projection]) -> np.ndarray:
    """Return the part of each component's counts that each detector has.

    Of several detectors only the sum of the areas is known: each is taken to have the part of
    it that it has in the spectra of the calibrations.

    Parameters
    ----------
    projections
        One for each detector.

    Returns
    -------
    numpy.ndarray
        float64, shape (detectors, components).
    """
    each = np.array([own.areas for own in projections])
    if len(each) == 1:
        return np.ones_like(each)
    whole = each.sum(axis=0)
    return np.divide(each, whole, out=np.zeros_like(each), where=whole > 0)


def check_channels(projection: Projection, n_channels: int) -> None:
    """Refuse spectra that have fewer channels than a model."""
    if n_channels < projection.stop:
        raise ValueError(
            f"The spectra have {n_channels} channels, expected at least {projection.stop}: "
            f"the model is of channels {projection.first} to {projection.stop - 1}."
        )


def _in_range(given: np.ndarray | None, basis: Basis, what: str) -> np.ndarray:
    """Return the channels that are fitted of an array of these, or of all channels."""
    n_fitted = len(basis.columns)
    if given is None:
        return np.ones(n_fitted)
    given = np.asarray(given)
    if given.shape == (n_fitted,):
        return given
    if given.ndim != 1 or len(given) < basis.stop:
        raise ValueError(
            f"{what} has the shape {given.shape}, expected ({n_fitted},) or at least "
            f"{basis.stop} channels."
        )
    return given[basis.first : basis.stop]


def _check_columns(basis: Basis, columns: np.ndarray, inside: np.ndarray) -> None:
    n_components, n_columns = len(basis.names), basis.resolved.shape[1]
    if columns.ndim != 2 or columns.shape[1] != n_components:
        raise ValueError(
            f"The columns have the shape {columns.shape}, expected one for each of "
            f"{n_components} components."
        )
    n_used = int(np.count_nonzero(inside))
    if n_used < n_columns or not n_components:
        raise ValueError(
            f"There are {n_used} channels and {n_columns} components, expected at least "
            "one component and no fewer channels."
        )
    if not np.isfinite(columns).all() or not np.isfinite(basis.areas).all():
        raise ValueError("The model has NaN or infinity in it, expected numbers.")
    is_empty = ~columns[inside].any(axis=0)
    if is_empty.any():
        names = ", ".join(np.array(basis.names)[is_empty])
        raise ValueError(
            f"{names}: nothing of it is within channels {basis.first} to {basis.stop - 1}. "
            "Leave it out, or fit more channels."
        )


def _solve(
    basis: Basis, columns: np.ndarray, expected: np.ndarray, bins: Bins
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the matrix, the weights, the products of the columns, and the leverages."""
    weights = bins.weights(expected)
    root = np.sqrt(weights)[:, np.newaxis]
    scaled = root * columns
    lengths = np.sqrt((scaled**2).sum(axis=0))
    q, r = np.linalg.qr(scaled / lengths)
    _, sizes, directions = np.linalg.svd(r)
    if sizes[-1] < _SINGULAR:
        alike = (np.abs(directions[-1]) > 0.1) @ basis.adding > 0
        names = " and ".join(np.array(basis.names)[alike])
        raise ValueError(
            f"{names} cannot be told apart: their spectra are the same within channels "
            f"{basis.first} to {basis.stop - 1}. Leave all but one of them out."
        )
    gamma = root * q @ np.linalg.inv(r).T / lengths
    leverages = weights * (1 - (q**2).sum(axis=1))
    return gamma, weights, scaled.T @ scaled, leverages
