"""Files of models of elements: YAML that is written whole and read with suspicion."""

import dataclasses
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from rsciio_xfm.analysis.fit.model import Model
from rsciio_xfm.analysis.fit.parameters import prior, values_of
from rsciio_xfm.analysis.fit.saving import KIND, check_version, from_dict
from rsciio_xfm.core.atomic import replacing
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.signals.excitation import check_geometry

MODEL_EXTENSIONS = (".yaml", ".yml")
_MOST_BYTES = 16 * 2**20  # of a file: some 100 kB are usual
_SAME_SIGMA, _SAME = 0.5, 0.01  # by which counts may differ: tables have versions
_DEEPEST = 20  # lists in lists; a model has 4
_MOST_CHANNELS = 2**20
# The same as yaml.safe_load and safe_dump, in C where that is there: 20 times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_OF_LINES = ("energies", "shares", "weights", "families")
_WRONG = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def checked_path(filename: str | Path, extensions: tuple[str, ...]) -> Path:
    """Return a path, if it has one of some extensions."""
    if not str(filename).strip():
        raise ValueError(
            f"The name of the file is {str(filename)!r}, expected one that ends in "
            f"{' or '.join(extensions)}."
        )
    path = Path(filename)
    if path.suffix.lower() not in extensions:
        raise ValueError(
            f"{path}: the extension is {path.suffix!r}, expected {' or '.join(extensions)}."
        )
    return path


def to_yaml(held: Mapping[str, Any]) -> str:
    """Return plain values as YAML."""
    return yaml.dump(
        dict(held), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100
    )


def write_text(path: Path, text: str, overwrite: bool) -> None:
    """Write a file, whole or not at all."""
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; use overwrite=True to replace it.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write(text.encode())


@dataclasses.dataclass(frozen=True)
class Others:
    """What is kept with a model: attributes of an ElementModel."""

    title: str
    doubts: dict[str, str]
    live_time: float | None
    geometry: dict[str, Any]


def read_model(path: Path) -> tuple[Model, tuple[float, float], Others]:
    """Read a model, its energy axis, and what is kept with it.

    Raises
    ------
    FileFormatError
        The file is no such model, is damaged, or of another version.
    """
    held = read_yaml(path)
    try:
        check_version(held.get("version"))
    except ValueError as error:
        raise FileFormatError(f"{path}: {error}") from error
    axis: Any = held.get("axis")
    try:
        # Before anything is made of it: whether all is of its kind.
        bare = from_dict({key: value for key, value in held.items() if key != "fit"})
        check_kinds(bare, "model")
        _check_values(bare)
        _check_sizes(held)
        with np.errstate(divide="raise", invalid="raise", over="raise"):
            model = from_dict(dict(held))
        _check_counts(model, held)
        ends = float(axis["zero_keV"]), float(axis["gain_keV"])
        if not (all(map(math.isfinite, ends)) and ends[1] > 0):
            raise ValueError(f"axis is {axis!r:.80}, expected numbers, the gain above 0.")
        geometry = check_geometry(held.get("geometry", {}))
    except _WRONG as error:
        raise FileFormatError(
            f"{path}: the model is damaged: {type(error).__name__}: {error} "
            "Expected what model.save(...) has written."
        ) from error
    doubts, live_time = _doubts(held.get("doubts")), held.get("live_time_s")
    if not isinstance(live_time, int | float) or not math.isfinite(live_time):
        live_time = None
    return model, ends, Others(str(held.get("title", "")), doubts, live_time, geometry)


def _doubts(held: Any) -> dict[str, str]:
    """Return what is said of elements that are not sure, by name; text, and nothing else."""
    found = held.items() if isinstance(held, Mapping) else ()
    return {
        name: words
        for name, words in found
        if isinstance(name, str) and isinstance(words, str)
    }


def read_yaml(
    path: Path,
    kind: str = KIND,
    what: str = "an element model, as model.save(...) writes",
) -> Mapping[str, Any]:
    """Read what should be of a kind; what is not is said so, and damage where it is."""
    wanted = f"expected {what}, kind: {kind}"
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise FileFormatError(
            f"{path}: more than {_MOST_BYTES} bytes, {wanted} (byte 0)."
        )
    try:
        text = content.decode("utf-8")
        _check_events(text)
        held = yaml.load(text, _Loader)  # noqa: S506 (a safe one)
    except (UnicodeDecodeError, RecursionError, ValueError, yaml.YAMLError) as error:
        place = " ".join(str(error).split())
        raise FileFormatError(f"{path}: no YAML ({place:.200}), {wanted}.") from error
    if not isinstance(held, Mapping) or held.get("kind") != kind:
        own = held.get("kind") if isinstance(held, Mapping) else type(held).__name__
        raise FileFormatError(f"{path}: its kind is {own!r:.40}, {wanted} (byte 0).")
    return held


def _check_events(text: str) -> None:
    """Refuse YAML that few bytes make endless: aliases of aliases, lists in lists."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent):
            raise ValueError(f"an alias in line {line}")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} levels in line {line}")


def _check_sizes(held: Mapping[str, Any]) -> None:
    """Refuse numbers of channels that no spectrum has, and spectra of other ones."""
    n_channels, fit = held["n_channels"], held.get("fit")
    if type(n_channels) is not int or not 0 < n_channels <= _MOST_CHANNELS:
        raise ValueError(f"n_channels is {n_channels!r:.40}, expected a whole number.")
    if fit is None:
        return
    n_counts, n_pixels = len(fit["spectrum"]), fit["n_pixels"]
    if n_counts != n_channels or type(n_pixels) is not int or n_pixels < 1:
        raise ValueError(
            f"the fit is of {n_counts} channels and {n_pixels!r:.40} pixels, expected "
            f"{n_channels} channels and a whole number of pixels."
        )


def _check_values(model: Model) -> None:
    """Refuse parameters that no calibration ends at."""
    gain = model.response.gain
    if not (gain > 0 and math.isfinite(gain)):
        raise ValueError(f"gain is {gain!r:.40}, expected a number above 0.")
    for name, value in values_of(model).items():
        low, high = prior(name, gain).low, prior(name, gain).high
        if name != "gain" and not low <= value <= high:
            raise ValueError(f"{name} is {value!r:.40}, expected {low:g} to {high:g}.")


def _check_counts(model: Model, held: Mapping[str, Any]) -> None:
    """Refuse a fit that gives other counts than were saved: something was changed."""
    if model.fit is None:
        return
    saved = held["fit"]["counts"]
    for name, (counts, _) in model.fit.areas.items():
        expected, sigma = (float(number) for number in saved[name])
        if not abs(counts - expected) <= _SAME_SIGMA * sigma + _SAME * abs(expected):
            raise ValueError(
                f"{name} has {expected:.6g} counts in the file, and {counts:.6g} by what "
                "else is in it: something was changed."
            )


def check_kinds(value: Any, name: str) -> None:
    """Refuse a dataclass in which something is of another kind than it says.

    Raises
    ------
    TypeError
        It names the field.
    """
    hints = typing.get_type_hints(type(value))
    fields = dataclasses.fields(value)
    for field in fields:
        held, where = getattr(value, field.name), f"{name}.{field.name}"
        if not _is_kind(held, hints[field.name]):
            raise TypeError(f"{where} is {held!r:.40}, expected {hints[field.name]}.")
        for part in held if isinstance(held, tuple) else (held,):
            if dataclasses.is_dataclass(part):
                check_kinds(part, where)
    sizes = {len(getattr(value, f.name)) for f in fields if f.name in _OF_LINES}
    if len(sizes) > 1:
        raise TypeError(
            f"{name} has lists of {sorted(sizes)} lines, expected one length."
        )


def _is_kind(value: Any, hint: Any) -> bool:
    """Tell whether a value is what a type hint of a model's dataclasses says."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        is_tuple = isinstance(value, tuple)
        hints = [inner[0]] * len(value) if is_tuple and inner[-1] is ... else [*inner]
        return is_tuple and len(value) == len(hints) and all(map(_is_kind, value, hints))
    if origin is dict:
        is_dict = isinstance(value, dict)
        return is_dict and all(_is_kind(v, inner[1]) for v in value.values())
    if inner:  # one or another
        return any(_is_kind(value, one) for one in inner)
    if hint is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return is_number and not math.isnan(value)
    if hint is np.ndarray:
        return isinstance(value, np.ndarray) and bool(np.isfinite(value).all())
    return isinstance(value, hint)
