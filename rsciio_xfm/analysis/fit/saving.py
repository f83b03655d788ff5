"""Models as plain values, to be written as YAML and read again."""

import dataclasses
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.calibrate import finish
from rsciio_xfm.analysis.fit.excitation import Excitation, Layer
from rsciio_xfm.analysis.fit.lines import Group
from rsciio_xfm.analysis.fit.model import Model, SumPeaks
from rsciio_xfm.analysis.fit.response import Response
from rsciio_xfm.analysis.fit.scatter import Scatter

KIND = "rsciio_xfm element model"
VERSION = 1


def to_dict(model: Model) -> dict[str, Any]:
    """Return a model as plain values: text, numbers, lists and dictionaries.

    Parameters
    ----------
    model
        Calibrated or not. Its lines are kept, so that the same columns are made with other
        tables of lines; absorption is looked up anew.

    Returns
    -------
    dict
        With ``"kind"`` and ``"version"``; for :func:`from_dict`.
    """
    excitation = model.excitation
    found: dict[str, Any] = {
        "kind": KIND,
        "version": VERSION,
        "n_channels": int(model.n_channels),
        "energy_range": [float(energy) for energy in model.energy_range],
        "excitation": None if excitation is None else plain(excitation),
        "response": plain(model.response),
        "groups": [plain(group) for group in model.groups],
        "scatter": plain(model.scatter),
        "sum_peaks": plain(model.sum_peaks),
        "ratios": plain(model.ratios),
    }
    if model.fit is not None:
        fit = model.fit
        found["fit"] = {
            "spectrum": plain(fit.spectrum),
            "n_pixels": int(fit.n_pixels),
            "parameters": list(fit.parameters),
            # For those who read the file; they are computed anew when it is loaded.
            "chi2": float(fit.chi2),
            "counts": {name: list(pair) for name, pair in fit.areas.items()},
        }
    return found


def from_dict(values: dict[str, Any]) -> Model:
    """Return a model from what :func:`to_dict` made of it.

    Parameters
    ----------
    values
        Such a dictionary.

    Raises
    ------
    ValueError
        It is none, or of another version, or something is missing in it.
    """
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise ValueError(f"This is no model of elements, expected one of kind {KIND!r}.")
    check_version(values.get("version"))
    try:
        return _model(values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"The model is damaged: {error!r}.") from error


def check_version(version: Any) -> None:
    """Refuse models of another version; the error says what to do."""
    if version == VERSION:
        return
    advice = "no version of rsciio-xfm wrote it"
    if isinstance(version, int) and version > VERSION:
        advice = "a newer rsciio-xfm wrote it, which can read it: update rsciio-xfm"
    elif isinstance(version, int):
        advice = "an older rsciio-xfm wrote it: make the model anew"
    raise ValueError(f"The model's version is {version!r}, expected {VERSION}: {advice}.")


def _model(values: dict[str, Any]) -> Model:
    low, high = values["energy_range"]
    model = Model(
        excitation_from(values["excitation"]),
        _response(values["response"]),
        _groups(values["groups"]),
        (float(low), float(high)),
        int(values["n_channels"]),
        _scatter(values["scatter"]),
        _sum_peaks(values["sum_peaks"]),
        {str(name): float(factor) for name, factor in values["ratios"].items()},
    )
    fit = values.get("fit")
    if fit is None:
        return model
    counts = np.array(fit["spectrum"], float)
    return finish(model, counts, int(fit["n_pixels"]), list(fit["parameters"]))


def plain(value: Any) -> Any:
    """Return a dataclass, array, tuple or dictionary as YAML can write it."""
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    return value


def excitation_from(values: dict[str, Any] | None) -> Excitation | None:
    """Return an excitation from what :func:`plain` made of it."""
    if values is None:
        return None
    lines = {name: tuple(map(float, values[name])) for name in ("energies", "shares")}
    return Excitation(**(values | lines))


def _response(values: dict[str, Any]) -> Response:
    layers = tuple(Layer(**layer) for layer in values["layers"])
    return Response(**(values | {"layers": layers}))


def _groups(values: list[dict[str, Any]]) -> tuple[Group, ...]:
    return tuple(_group(one) for one in values)


def _group(values: dict[str, Any]) -> Group:
    arrays = {name: np.array(values[name], float) for name in ("energies", "weights")}
    return Group(**(values | arrays | {"families": tuple(values["families"])}))


def _scatter(values: dict[str, Any]) -> Scatter:
    groups = {name: _groups(values[name]) for name in ("rayleigh", "compton")}
    return Scatter(**(values | groups))


def _sum_peaks(values: dict[str, Any]) -> SumPeaks:
    return SumPeaks(**(values | {"peaks": _groups(values["peaks"])}))
