"""Samples that are known: what they tell of an instrument, and files of them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.analysis.fit.excitation import Layer
from rsciio_xfm.analysis.fit.lines import group
from rsciio_xfm.analysis.fit.model import Model
from rsciio_xfm.analysis.fit.saving import excitation_from, plain
from rsciio_xfm.analysis.quantify.compose import Measured
from rsciio_xfm.analysis.quantify.materials import check_element, parse_formula
from rsciio_xfm.analysis.quantify.setup import Setup
from rsciio_xfm.analysis.quantify.standards import Factor, factor_of
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.signals.areas import as_table
from rsciio_xfm.signals.layers import parse_layer
from rsciio_xfm.signals.model_files import (
    MODEL_EXTENSIONS,
    check_kinds,
    checked_path,
    read_yaml,
    to_yaml,
    write_text,
)
from rsciio_xfm.signals.setups import describe

KIND, VERSION = "rsciio_xfm standard", 1
_WHAT = "a standard, as standard.save(...) writes"
THICK, THIN = "thick", "thin"
MASS_PERCENT, MICROGRAMS = 100.0, 1e6  # of fractions, and of g/cm2
# Of the mass of a standard that is not thin: what its elements may add up to.
_LEAST, _USUAL, _MOST = 0.9, 0.98, 1.02
_ROUNDED = 1e-6
# µg/cm2 of a film: less is not seen, more is not thin.
_THINNEST, _THICKEST = 1e-4, 1e6
_MOST_BARE, _OF_ROCK = 1.0, 2.7  # g/cm2: what is more may be µm; g/cm3
_FACTOR = "Geometry factor, flux x solid angle / 4 pi"
MOST_SPREAD = 0.15  # between its lines, relative
_NOTED = 0.01  # mass fraction of an element that should be fitted
_WRONG = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, eq=False)
class Standard:
    """A sample that is known, as it was measured; ``model.as_standard({...})`` makes one.

    Attributes
    ----------
    measured
        Counts of its groups of lines, and live time.
    setup
        It was measured with.
    known
        Mass fractions of its elements; of a thin film g/cm2.
    thickness
        g/cm2; infinite: thick. None: a thin film.
    title
        What it is called.
    """

    measured: Measured
    setup: Setup
    known: dict[str, float]
    thickness: float | None
    title: str = ""

    @cached_property
    def factor(self) -> Factor:
        """The geometry factor that it tells, of the whole and of each group of lines."""
        return factor_of(
            self.measured, self.setup, self.known, self.thickness, self.title
        )

    def __repr__(self) -> str:
        own = self.factor
        rows = [["", "", "photons/s", "sigma", ""]]
        factor, unit = _scale_of(self.thickness)
        for name, value in own.per_group.items():
            amount = f"{factor * self.known[name.partition('_')[0]]:.4g} {unit}"
            rows.append([name, amount, f"{value:.4g}", f"{own.sigmas[name]:.2g}", ""])
        spread = "" if math.isnan(own.spread) else f", {own.spread:.1%} between lines"
        return "\n".join(
            [
                f"Standard {self.title}: {describe(self.setup)}".replace("  ", " "),
                f"{_FACTOR}: {own.value:.4g} +- {own.sigma:.2g} photons/s{spread}",
                as_table(rows),
                *(f"Assumed: {words}" for words in self.setup.assumed),
            ]
        )

    def save(self, filename: str | Path, overwrite: bool = False) -> None:
        """Write the standard as YAML, for :func:`rsciio_xfm.load_standard`.

        Parameters
        ----------
        filename
            Path, ending in ``.yaml`` or ``.yml``.
        overwrite
            Whether it may be there, if it is a standard.

        Raises
        ------
        FileExistsError
            It is there, and `overwrite` is False.
        ValueError
            The extension is another one, or what is there is no standard.
        """
        path = checked_path(filename, MODEL_EXTENSIONS)
        if overwrite and path.exists():
            read_yaml(path, KIND, _WHAT)  # another's file is not replaced
        write_text(path, to_yaml(self._to_dict()), overwrite)

    def _to_dict(self) -> dict[str, Any]:
        scale, unit = _scale_of(self.thickness)
        own, seconds = self.measured, self.measured.live_time
        columns = zip(own.counts, own.sigma, own.limits, strict=True)
        return {
            "kind": KIND,
            "version": VERSION,
            "title": self.title,
            "sample": name_of(self.thickness),
            "unit": unit,
            "known": {name: float(scale * part) for name, part in self.known.items()},
            "live_time_s": None if seconds is None else float(seconds),
            # Of each group of lines: counts, sigma, detection limit.
            "counts": {
                name: [float(number) for number in numbers]
                for name, numbers in zip(own.names, columns, strict=True)
            },
            "setup": plain(self.setup),
        }


def load_standard(filename: str | Path) -> Standard:
    """Read a standard that :meth:`Standard.save` has written.

    Parameters
    ----------
    filename
        Path.

    Returns
    -------
    Standard
        For ``model.quantify(standard)`` of other samples in the same set-up.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no standard, is damaged, or of a later version.

    Examples
    --------
    >>> model = s.create_element_model(["Ca", "Ti", "Cr", "Mn", "Fe"], "Mo 50 kV", (3.4, 7.4))
    >>> standard = model.fit().as_standard({"Fe": 12.0, "Ca": 3.9}, "thin", live_time=0.01)
    >>> standard.save("film.yaml")
    >>> load_standard("film.yaml").known
    {'Fe': 1.2e-05, 'Ca': 3.9e-06}
    """
    path = Path(filename)
    held = read_yaml(path, KIND, _WHAT)
    try:
        if held["version"] != VERSION:
            raise ValueError(f"version is {held['version']!r:.40}, expected {VERSION}.")
        found = _from_dict(held)
        check_kinds(found.setup, "setup")
        _ = found.factor
    except _WRONG as error:
        raise FileFormatError(
            f"{path}: the standard is damaged, or of another version: "
            f"{type(error).__name__}: {error} Expected what standard.save(...) has written."
        ) from error
    return found


def _from_dict(held: Mapping[str, Any]) -> Standard:
    thickness = thickness_of(held["sample"])
    scale, unit = _scale_of(thickness)
    counts = np.array([held["counts"][name] for name in held["counts"]], float)
    if counts.ndim != 2 or counts.shape[1] != 3 or not np.isfinite(counts).all():
        raise ValueError("counts are no lists of three numbers.")
    names, live_time = tuple(held["counts"]), float(held["live_time_s"])
    measured = Measured(names, counts[:, 0], counts[:, 1], counts[:, 2], live_time)
    own = dict(held["setup"])
    setup = Setup(
        **own
        | {
            "excitation": excitation_from(own["excitation"]),
            "path": tuple(Layer(**layer) for layer in own["path"]),
            "detector": Layer(**own["detector"]),
            "assumed": tuple(map(str, own["assumed"])),
        }
    )
    known = {str(name): float(part) / scale for name, part in held["known"].items()}
    _check_known(known, thickness)
    if held.get("unit", unit) != unit:
        raise ValueError(f"unit is {held['unit']!r:.40}, expected {unit}.")
    return Standard(measured, setup, known, thickness, str(held.get("title", "")))


def _check_known(known: Mapping[str, float], thickness: float | None) -> None:
    """Refuse amounts of elements that :func:`_parse_known` does not return."""
    for name, part in known.items():
        check_element(name)
        if not 0 <= part < math.inf:
            raise ValueError(f"{name} of the standard is {part:g}, expected 0 or more.")
    total = sum(known.values())
    if thickness is not None and not _LEAST - _ROUNDED <= total <= _MOST + _ROUNDED:
        raise ValueError(
            f"The amounts of the standard add up to {100 * total:.4g} mass %, expected 100."
        )


def make_standard(
    model: Model, measured: Measured, setup: Setup, known: Any, sample: Any, title: str
) -> Standard:
    """Return a standard, and tell what is wrong with it.

    Raises
    ------
    ValueError
        As of :func:`rsciio_xfm.analysis.quantify.standards.factor_of`; or what is known of it
        cannot be.

    Warns
    -----
    UserWarning
        An element of it has lines that were not fitted, or the amounts add up to little.
    """
    thickness = checked_thickness(sample)
    parts = _parse_known(known, thickness)
    _warn_of_missing(model, measured, parts, thickness)
    found = Standard(measured, setup, parts, thickness, title)
    if found.factor.spread > MOST_SPREAD:
        each = found.factor.per_group
        low, high = min(each, key=each.__getitem__), max(each, key=each.__getitem__)
        warn(
            f"The lines of the standard do not agree: the geometry factor is "
            f"{each[low]:.3g} by {low} and {each[high]:.3g} photons/s by {high}. Look at "
            "what is known of it, whether it is thick, thin or between, angles, air, window "
            "and crystal."
        )
    return found


def thickness_of(sample: Any) -> float | None:
    """Return the thickness of a sample as a user says it, g/cm2; None: a thin film.

    Examples
    --------
    >>> thickness_of("thick"), thickness_of("thin"), thickness_of(0.005)
    (inf, None, 0.005)
    >>> round(thickness_of("Mg2SiO4 3.3 g/cm3 30 um"), 6)
    0.0099
    """
    if isinstance(sample, str) and sample in (THIN, THICK):
        return None if sample == THIN else math.inf
    if isinstance(sample, Layer) or (isinstance(sample, str) and " " in sample.strip()):
        layer = parse_layer(sample)
        return layer.density * layer.thickness
    try:
        number = math.nan if isinstance(sample, bool) else float(sample)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(
            f"sample is {sample!r:.40}, expected 'thick', 'thin' or a thickness: mass per "
            "area in g/cm2, that is density x thickness in cm, or 'SiO2 2.2 g/cm3 30 um'."
        )
    return number


def checked_thickness(sample: Any) -> float | None:
    """Return what :func:`thickness_of` does, and warn of one that can hardly be g/cm2."""
    thickness = thickness_of(sample)
    is_bare = not isinstance(sample, Layer) and " " not in str(sample).strip()
    if is_bare and thickness is not None and _MOST_BARE < thickness < math.inf:
        warn(
            f"sample is {thickness:g} g/cm2, as {thickness / _OF_ROCK:.2g} cm of rock have, "
            "which is thick. If that is µm, say so with the density, as in "
            f"sample='SiO2 2.2 g/cm3 {thickness:g} um', or give density x thickness in cm."
        )
    return thickness


def name_of(thickness: float | None) -> str | float:
    """Return what :func:`thickness_of` takes."""
    if thickness is None:
        return THIN
    return thickness if math.isfinite(thickness) else THICK


def _scale_of(thickness: float | None) -> tuple[float, str]:
    """Return unit and number of units of what is known of a standard."""
    if thickness is None:
        return MICROGRAMS, "µg/cm2"
    return MASS_PERCENT, "mass %"


def _parse_known(known: Any, thickness: float | None) -> dict[str, float]:
    """Return fractions, or g/cm2, of elements, from what a user says of compounds."""
    scale, unit = _scale_of(thickness)
    expected = f'expected amounts in {unit}, like {{"Fe": 64.3, "SiO2": 2.1}}'
    if not isinstance(known, Mapping) or not known:
        raise ValueError(f"The standard is {known!r:.60}, {expected}.")
    found: dict[str, float] = {}
    for name, amount in known.items():
        is_number = isinstance(amount, int | float | np.number)
        if not is_number or isinstance(amount, bool) or not 0 <= amount < math.inf:
            raise ValueError(f"{name} of the standard is {amount!r:.40}, {expected}.")
        for element, share in parse_formula(name).items():
            found[element] = found.get(element, 0.0) + share * float(amount) / scale
    total = sum(found.values())
    if thickness is not None:
        _check_sum(total)
    elif not _THINNEST <= scale * total <= _THICKEST and total > 0:
        warn(
            f"The amounts of the standard add up to {scale * total:.3g} µg/cm2, expected "
            f"{_THINNEST:g} to {_THICKEST:g} of a film: are they of another unit?"
        )
    return found


def _check_sum(total: float) -> None:
    said = f"The amounts of the standard add up to {100 * total:.4g} mass %"
    if total > _MOST:
        raise ValueError(f"{said}, expected 100.")
    if total < _LEAST:
        raise ValueError(
            f"{said}, expected 100: name what the rest is, elements without lines too, as it "
            'absorbs: {"SiO2": 60, ...}. If these are µg/cm2 of a film, sample="thin".'
        )
    if total < _USUAL:
        warn(
            f"{said}: the rest is taken to absorb as what is known. Name it if it is another "
            "element."
        )


def _warn_of_missing(
    model: Model, measured: Measured, known: dict[str, float], thickness: float | None
) -> None:
    """Warn of elements of a standard whose lines are among the fitted ones, but are not."""
    fitted = {name.partition("_")[0] for name in measured.names}
    low, high = model.energy_range
    scale, unit = _scale_of(thickness)
    least = _NOTED * (1 if thickness is not None else max(known.values()))
    missing = []
    for element, part in known.items():
        excitation = model.excitation
        if element in fitted or part < least or excitation is None:
            continue
        lines = [group(element, shell, excitation) for shell in "KL"]
        if any(one is not None and low < one.energy < high for one in lines):
            missing.append(f"{element} ({scale * part:.3g} {unit})")
    if missing:
        warn(
            f"The standard has {', '.join(missing)}, with lines in the energies that were "
            "fitted, which the model does not have: their counts are taken for those of "
            "others. Make the model with them."
        )
