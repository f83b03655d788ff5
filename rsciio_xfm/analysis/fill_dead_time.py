"""Dead times that an instrument did not record, from the spectra.

Below saturation the dead time rises with the counts. Above, counts fall again while it rises,
so that counts alone cannot tell: the shape of a spectrum can, as pulses that pile up are
counted at higher energies. The fit learns from the spectra whose dead time is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rsciio_xfm.core.dead_time import is_recorded
from rsciio_xfm.core.later import da
from rsciio_xfm.core.reduce import Images, Piece, by_type, run
from rsciio_xfm.core.warning import warn
from rsciio_xfm.kernels.windows import sum_windows

MODELS = ("fit", "constant", "polynomial")

# Published for detectors with a time constant of 0.5 us: dead time / 100 against counts per ms
# of dwell, and the part of it where it was measured.
_CUBIC = np.polynomial.Polynomial(
    [0.23438781, 0.21464015, 0.05402071, 0.02689396],
    domain=[4.08008563, 99.727441],
    window=[-1, 1],
)
PRESETS = {
    "cubic": tuple((100 * _CUBIC).convert().coef.tolist()),
    "linear": (0.0, 0.8333),
}
_LINEAR_LIMIT = 95.0  # percent, where the published line is cut off

# What a spectrum is reduced to: one window below 1/80 of the channels, then 15 whose edges
# have equal ratios, of which each 5 are one band, then perhaps one above the tube's voltage.
_LOWEST = 1 / 80
_N_BANDS, _N_IN_BAND = 3, 5
# Spectra that a fit learns from, at most, spread over the range of dead times: its time rises
# with the third power.
_MOST_KNOWN = 600
_N_BINS = 20
_LEAST_KNOWN = 25
# Weight of smoothness against closeness, found on a measured map; 1 to 10 do as well.
_SMOOTHING = 3.0
_N_FOLDS = 5
_N_ROBUST = 2  # times that outliers are found and given less weight
_HUBER = 2.5  # standard deviations beyond which a value is an outlier
_PREDICTED_AT_ONCE = 2**14
# What is filled in is above 0, which would be missing again, and below 100 %.
_LEAST, _HIGHEST = 1e-6, float(np.nextafter(np.float32(100), np.float32(0)))


def fill_dead_time(
    data: np.ndarray | da.Array,
    dead_time: np.ndarray,
    missing: np.ndarray,
    model: str = "fit",
    *,
    has_detectors: bool = False,
    value: float | None = None,
    coefficients: str | Sequence[float] = "cubic",
    dwell_ms: float | None = None,
    tube_channel: int | None = None,
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Fill in dead times that are missing.

    Parameters
    ----------
    data
        Spectra, channels along the last axis. It is not looked at for a constant.
    dead_time
        Percent, shape of the navigation axes of `data`; or one axis more, the first, for
        the detectors of whose spectra `data` is the sum.
    missing
        Which to fill, shape of `dead_time`.
    model
        ``"fit"``, ``"constant"`` or ``"polynomial"``.
    has_detectors
        Whether the first axis of `dead_time` are detectors, each of which has a fit of its
        own.
    value
        The constant, percent.
    coefficients
        Of the polynomial that gives the dead time in percent for the counts of a spectrum
        per ms of dwell, that of power 0 first; or the name of a published one, ``"cubic"``
        or ``"linear"`` (which is cut off at 95 %).
    dwell_ms
        Real time of a spectrum of `data`, for a polynomial.
    tube_channel
        The first channel above the tube's voltage, if there is one: what is counted
        there is pile-up.

    Returns
    -------
    filled : numpy.ndarray
        Of the type of `dead_time`; what is filled in is above 0 and below 100, what is not
        missing is bit for bit as it was.
    report : list of dict
        For each detector: ``model`` that was used, ``n_filled``, ``n_known``; and for a
        fit, of some of the spectra, ``measured`` and ``predicted`` dead times, the latter by
        fits that had not seen them (cross-validation), and the median absolute ``error`` of
        these in percent points.

    Raises
    ------
    ValueError
        The model is none of these, its parameter is missing or absurd, or nothing is
        known to fit to.

    Warns
    -----
    UserWarning
        Too few dead times are known for a fit: says what is used instead.

    Examples
    --------
    >>> import numpy as np
    >>> counts = np.array([[[400, 600]], [[900, 100]]], dtype=np.uint16)
    >>> dead_time = np.array([[10.0], [0.0]], dtype=np.float32)
    >>> filled, report = fill_dead_time(
    ...     counts, dead_time, dead_time == 0, "constant", value=33.0
    ... )
    >>> filled.tolist(), report[0]["n_filled"]
    ([[10.0], [33.0]], 1)
    """
    if dead_time.shape != missing.shape:
        raise ValueError(
            f"missing has the shape {missing.shape}, expected {dead_time.shape}, that of the "
            "dead times."
        )
    check_model(model, value, coefficients)
    is_float = dead_time.dtype.kind == "f"
    filled = np.array(dead_time, dtype=dead_time.dtype if is_float else np.float32)
    values = filled if has_detectors else filled[np.newaxis]
    masks = missing.reshape(values.shape)
    known = is_recorded(values) & ~masks
    report: list[dict[str, Any]] = [
        {
            "model": model,
            "n_filled": int(np.count_nonzero(mask)),
            "n_known": int(np.count_nonzero(k)),
        }
        for mask, k in zip(masks, known, strict=True)
    ]
    if model == "constant":
        values[masks] = value
        return filled, report
    if not masks.any():
        return filled, report
    is_fit = model == "fit"
    if model == "polynomial" or known.sum() < _LEAST_KNOWN:
        _check_dwell(dwell_ms, model)
    learnt = _choose_known(values, known) if is_fit else np.zeros_like(known)
    is_sum = has_detectors and dead_time.ndim == data.ndim
    features = _features_of(data, masks | learnt, is_sum, tube_channel)
    for d, entry in enumerate(report):
        own = features[d]
        is_learnt = learnt[d][masks[d] | learnt[d]]
        if not entry["n_filled"]:
            continue
        unknown = own[~is_learnt]
        if is_fit:
            pool = range(len(report)) if entry["n_known"] < _LEAST_KNOWN else (d,)
            train = np.concatenate(
                [features[i][learnt[i][masks[i] | learnt[i]]] for i in pool]
            )
            targets = np.concatenate([values[i][learnt[i]] for i in pool]).astype(float)
            predicted = _fit_or_fall_back(
                train, targets, unknown, dwell_ms, entry, d, len(pool) > 1
            )
        else:
            predicted = evaluate_polynomial(unknown[:, 0] / dwell_ms, coefficients)
        values[d][masks[d]] = np.clip(predicted, _LEAST, _HIGHEST)
    return filled, report


def evaluate_polynomial(
    rate: np.ndarray, coefficients: str | Sequence[float] = "cubic"
) -> np.ndarray:
    """Evaluate a polynomial of the counts per ms of dwell.

    Parameters
    ----------
    rate
        Counts of a spectrum per ms of dwell, any shape.
    coefficients
        As of :func:`fill_dead_time`.

    Returns
    -------
    numpy.ndarray
        Dead time in percent, within 0 and 100, 100 excluded.

    Examples
    --------
    >>> import numpy as np
    >>> evaluate_polynomial(np.array([10.0, 30.0, 300.0]), "linear").round(2)
    array([ 8.33, 25.  , 95.  ])
    """
    limit = _HIGHEST
    if isinstance(coefficients, str):
        limit = _LINEAR_LIMIT if coefficients == "linear" else _HIGHEST
        coefficients = PRESETS[coefficients]
    numbers = np.array([*coefficients])
    percent = np.polynomial.polynomial.polyval(np.asarray(rate, dtype=float), numbers)
    return np.clip(percent, 0.0, limit)


def check_model(
    model: str, value: float | None, coefficients: str | Sequence[float]
) -> None:
    """Refuse a model that is none, or whose parameter is missing or absurd.

    Parameters
    ----------
    model, value, coefficients
        As of :func:`fill_dead_time`.
    """
    if model not in MODELS:
        raise ValueError(f"model is {model!r}, expected one of {', '.join(MODELS)}.")
    if model == "constant" and not (
        isinstance(value, int | float | np.number) and _LEAST <= value <= _HIGHEST
    ):
        raise ValueError(
            f"value is {value!r}, expected the constant dead time in percent, above 0 and "
            "less than 100."
        )
    if model != "constant" and value is not None:
        raise ValueError(f"value is {value!r}, and model is {model!r}, not 'constant'.")
    if isinstance(coefficients, str):
        if coefficients not in PRESETS:
            raise ValueError(
                f"coefficients is {coefficients!r}, expected numbers or one of "
                f"{', '.join(PRESETS)}."
            )
    elif not _are_numbers(coefficients):
        raise ValueError(f"coefficients is {coefficients!r}, expected finite numbers.")


def _are_numbers(coefficients: Any) -> bool:
    try:
        numbers = np.asarray(coefficients, dtype=float)
    except (TypeError, ValueError):
        return False
    return numbers.ndim == 1 and numbers.size > 0 and bool(np.isfinite(numbers).all())


def _check_dwell(dwell_ms: float | None, model: str) -> None:
    if dwell_ms is None or not dwell_ms > 0:
        raise ValueError(
            f"The real time of the spectra is {dwell_ms!r} ms, expected to be known for "
            "a polynomial of the counts per ms"
            + (
                f"; for a fit, fewer than {_LEAST_KNOWN} dead times are known."
                if model == "fit"
                else "."
            )
            + " Use model='constant'."
        )


def _choose_known(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Choose the spectra that each detector's fit learns from, over all dead times."""
    rng = np.random.default_rng(0)
    chosen = np.zeros_like(known)
    for d in range(len(values)):
        places = np.flatnonzero(known[d])
        if places.size > _MOST_KNOWN:
            dead_time = values[d].ravel()[places]
            edges = np.linspace(dead_time.min(), dead_time.max(), _N_BINS + 1)[1:-1]
            bins = np.digitize(dead_time, edges)
            order = rng.permutation(places.size)
            # The n-th of each bin comes before the (n + 1)-th of any.
            turn = np.empty(places.size, dtype=np.int64)
            for b in range(_N_BINS):
                own = order[bins[order] == b]
                turn[own] = np.arange(own.size)
            places = places[np.argsort(turn, kind="stable")[:_MOST_KNOWN]]
        chosen[d].ravel()[places] = True
    return chosen


def _fit_or_fall_back(
    train: np.ndarray,
    targets: np.ndarray,
    unknown: np.ndarray,
    dwell_ms: float | None,
    entry: dict[str, Any],
    detector: int,
    is_pooled: bool,
) -> np.ndarray:
    """Predict dead times by a fit, or by less where too few are known."""
    what = f"Detector {detector}: {entry['n_known']} dead times are known, fewer than "
    what += f"the {_LEAST_KNOWN} that a fit needs: "
    if len(targets) >= _LEAST_KNOWN:
        if is_pooled:
            warn(f"{what}it is made with those of the other detectors too.")
            entry["model"] = "fit of all detectors"
        left_out = _cross_validate(train, targets)
        entry["error"] = float(np.median(np.abs(left_out - targets)))
        entry |= {"measured": targets, "predicted": left_out}
        return _predict(train, targets, unknown)
    published = evaluate_polynomial(unknown[:, 0] / dwell_ms)
    if not len(targets):
        warn(f"{what}the published cubic is used as it is.")
        entry["model"] = "published cubic"
        return published
    of_known = evaluate_polynomial(train[:, 0] / dwell_ms)
    factor = float(np.median(targets) / max(np.median(of_known), 1e-3))
    warn(f"{what}the published cubic is used, times {factor:.2f} to agree with them.")
    entry["model"] = f"published cubic x {factor:.2f}"
    return published * factor


def _cross_validate(train: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Predict the dead time of each spectrum by a fit that it was left out of."""
    fold = np.random.default_rng(0).permutation(len(targets)) % _N_FOLDS
    predicted = np.empty(len(targets))
    for k in range(_N_FOLDS):
        known = fold != k
        predicted[~known] = _predict(train[known], targets[known], train[~known])
    return predicted


def _predict(train: np.ndarray, targets: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Fit a smooth function of the features to known dead times, and evaluate it.

    A thin-plate spline with a linear trend, of the logit of the dead time, which keeps it
    within 0 and 100 %. Outliers get less weight (Huber), found from the spline's residuals.
    """
    from scipy.interpolate import RBFInterpolator

    scale = max(float(train[:, 0].mean()), 1.0)
    columns = _columns(train, scale)
    centre, width = columns.mean(axis=0), columns.std(axis=0)
    kept = _independent((columns - centre) / np.where(width > 0, width, 1.0), width)
    known = (columns[:, kept] - centre[kept]) / width[kept]
    fraction = np.clip(targets / 100, 1e-6, 1 - 1e-6)
    logit = np.log(fraction / (1 - fraction))
    if not kept:  # all spectra are the same
        return np.full(len(unknown), np.median(targets))
    weights = np.ones(len(targets))
    for turn in range(_N_ROBUST + 1):
        spline = RBFInterpolator(
            known,
            logit,
            kernel="thin_plate_spline",
            smoothing=_SMOOTHING / weights,
            degree=1,
        )
        if turn < _N_ROBUST:
            residual = np.abs(spline(known) - logit)
            sigma = 1.4826 * np.median(residual) + 1e-9
            weights = np.minimum(1.0, _HUBER * sigma / np.maximum(residual, 1e-12))
    predicted = np.empty(len(unknown))
    for start in range(0, len(unknown), _PREDICTED_AT_ONCE):
        part = slice(start, start + _PREDICTED_AT_ONCE)
        at = (_columns(unknown[part], scale)[:, kept] - centre[kept]) / width[kept]
        predicted[part] = 100 / (1 + np.exp(-np.clip(spline(at), -30, 30)))
    return predicted


def _independent(columns: np.ndarray, width: np.ndarray) -> list[int]:
    """Return the columns that are no linear function of those before them."""
    kept: list[int] = []
    basis = np.empty((len(columns), 0))
    for j in range(columns.shape[1]):
        rest = columns[:, j] - basis @ (basis.T @ columns[:, j])
        norm = np.linalg.norm(rest)
        if width[j] > 1e-9 and norm > 1e-4 * np.sqrt(len(columns)):
            basis = np.column_stack([basis, rest / norm])
            kept.append(j)
    return kept


def _columns(features: np.ndarray, scale: float) -> np.ndarray:
    """Turn totals, mean channels and counts of bands into what a spline can learn from."""
    features = features.astype(np.float64)
    total = np.maximum(features[:, 0], 1.0)[:, np.newaxis]
    shares = np.log((features[:, 2:] + 2) / total)
    return np.hstack([np.log(total), total / scale, np.log(features[:, 1:2] + 1), shares])


# The features: total counts, mean channel, counts in the bands.


def _windows(n_channels: int, tube_channel: int | None) -> np.ndarray:
    """Return the windows that a spectrum is reduced to, shape (windows, 2)."""
    top = n_channels
    if tube_channel is not None and 0 < tube_channel < n_channels:
        top = tube_channel
    edges = top * np.geomspace(_LOWEST, 1, _N_BANDS * _N_IN_BAND + 1)
    edges = np.concatenate(([0], np.round(edges).astype(np.int64)))
    if top < n_channels:
        edges = np.append(edges, n_channels)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def _features_of(
    data: np.ndarray | da.Array,
    wanted: np.ndarray,
    is_sum: bool,
    tube_channel: int | None,
) -> list[np.ndarray]:
    """Return the features of wanted spectra of each detector, in the order of the map.

    Parameters
    ----------
    data
        Spectra, of each detector or their sum.
    wanted
        The detectors first, even if there is one.
    is_sum
        Whether `data` is the sum of the detectors.
    """
    by_any = np.logical_or.reduce
    needed = by_any(wanted, axis=0) if is_sum else wanted.reshape(data.shape[:-1])
    windows = _windows(data.shape[-1], tube_channel)
    (images,) = run(data, _Shapes(needed, windows))
    if is_sum:
        return [images[:, mask].T for mask in wanted]
    features = images[:, needed].T
    return np.split(features, np.cumsum([np.count_nonzero(mask) for mask in wanted])[:-1])


@dataclass(frozen=True)
class _Shapes(Images):
    """The features of wanted spectra, zeros of all others."""

    wanted: np.ndarray
    windows: np.ndarray

    def kind(self, dtype: np.dtype) -> tuple[int, np.dtype]:
        return 2 + len(_band_starts(len(self.windows))), np.dtype(np.float32)

    def make(self, piece: Piece) -> np.ndarray | None:
        inside = self.wanted[piece.place].ravel()
        if not inside.any():
            return None
        rows = piece.rows if inside.all() else piece.rows[inside]
        features = np.zeros((self.kind(rows.dtype)[0], inside.size), dtype=np.float32)
        features[:, inside] = _reduce_spectra(rows, self.windows + piece.first)
        return features


def _band_starts(n_windows: int) -> list[int]:
    """Return the first window of each band."""
    starts = [0, *range(1, _N_BANDS * _N_IN_BAND + 1, _N_IN_BAND)]
    return starts + ([n_windows - 1] if n_windows > _N_BANDS * _N_IN_BAND + 1 else [])


def _reduce_spectra(spectra: np.ndarray, windows: np.ndarray) -> np.ndarray:
    sums = _sum_windows(spectra, windows)
    total = sums.sum(axis=0)
    middle = windows.mean(axis=1) - windows[0, 0]
    mean = (middle @ sums) / np.maximum(total, 1.0)
    bands = np.add.reduceat(sums, _band_starts(len(windows)), axis=0)
    return np.vstack([total, mean, bands])


def _sums_of_counts(spectra: np.ndarray, windows: np.ndarray) -> np.ndarray:
    sums = np.empty((len(windows), len(spectra)), dtype=np.uint64)
    sum_windows(spectra, windows, sums)
    return sums.astype(np.float64)


def _sums_of_others(spectra: np.ndarray, windows: np.ndarray) -> np.ndarray:
    return np.stack([spectra[:, a:b].sum(axis=1, dtype=float) for a, b in windows])


_sum_windows = by_type(_sums_of_counts, _sums_of_others)
