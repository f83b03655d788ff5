"""How much of each element there is: tables, maps, files, and what was assumed."""

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.quantify.compose import Composition, Densities
from rsciio_xfm.analysis.quantify.setup import Setup
from rsciio_xfm.analysis.quantify.standards import Factor
from rsciio_xfm.signals.areas import NOT_DETECTED, as_table, index_of
from rsciio_xfm.signals.folders import save_files, save_image, save_lines
from rsciio_xfm.signals.made import Signals
from rsciio_xfm.signals.setups import describe

# Of each unit: how many make a fraction, or g/cm2; in names of columns; in words.
_UNITS = {"mass %": (100.0, "mass_percent"), "µg/cm2": (1e6, "ug_cm2")}
# What goes into TIFF files is ASCII.
_QUANTITIES = {"mass %": "Mass fraction (%)", "µg/cm2": "Areal density (ug/cm2)"}
_TABLE, _NOTES = "concentrations.csv", "notes.txt"
_MAPS = re.compile(r"[A-Z][a-z]?_[KLM]_(mass_percent|ug_cm2)\.tif")
_FIRST = ("region", "element", "lines")


@dataclass(frozen=True, eq=False)
class Amounts(Mapping[str, tuple[float, float]]):
    """How much of each element there is in a region: ``found["Fe"]`` is (amount, sigma).

    Attributes
    ----------
    names
        Groups of lines that tell: ``"Fe_K"``.
    parts, part_sigma
        float64: mass fractions, or g/cm2 of a film; standard deviations by counting noise of
        sample and standard.
    found
        What they were taken from: :class:`rsciio_xfm.analysis.quantify.compose.Composition`
        or, of a film, :class:`rsciio_xfm.analysis.quantify.compose.Densities`.
    unit
        In which they are shown: ``"mass %"`` or ``"µg/cm2"``.
    n_pixels, live_time
        Spectra that were added up, and their live time, s; NaN if it is not known.
    remarks
        What is to be said of groups of lines, of the fit: ``"possible"``.
    """

    names: tuple[str, ...]
    parts: np.ndarray
    part_sigma: np.ndarray
    found: Composition | Densities
    unit: str
    n_pixels: int
    live_time: float
    remarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def scale(self) -> float:
        """Number of units in a mass fraction of 1, or in 1 g/cm2."""
        return _UNITS[self.unit][0]

    @property
    def sum(self) -> float:
        """Of all that was measured, before anything was normalised, in `unit`."""
        own = self.found
        total = own.densities.sum() if isinstance(own, Densities) else own.sum
        return self.scale * float(total)

    @property
    def live_time_text(self) -> str:
        """The live time as a table's heading has it; empty if it is not known."""
        return "" if math.isnan(self.live_time) else f", {self.live_time:.3g} s live"

    @property
    def matrix(self) -> dict[str, float]:
        """Of what was not measured but assumed, mass %."""
        held = self.found.matrix if isinstance(self.found, Composition) else {}
        return {name: self.scale * part for name, part in held.items() if part > 0}

    def _remark(self, name: str, is_detected: bool) -> str:
        said = self.remarks.get(name, "")
        return "; ".join([NOT_DETECTED] * (not is_detected) + [said] * bool(said))

    @property
    def _sum_of(self) -> str:
        """What the sum is of, where it is not that of the rows above it."""
        if isinstance(self.found, Densities):
            return ""
        rows = self.scale * float(np.maximum(self.parts, 0).sum())
        rows += sum(self.matrix.values())
        if math.isclose(rows, self.sum, rel_tol=1e-3):
            return ""
        if self.matrix:
            return "without what is assumed"
        is_whole = math.isclose(rows, self.scale, rel_tol=1e-3)
        return "before it was normalised" if is_whole else ""

    def __getitem__(self, name: str) -> tuple[float, float]:
        k = index_of(name, self.names)
        return self.scale * float(self.parts[k]), self.scale * float(self.part_sigma[k])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, region: str) -> list[dict[str, Any]]:
        """Return a row of a table for each element."""
        column = _UNITS[self.unit][1]
        none = np.full(len(self.names), np.nan)
        own = zip(
            self.names,
            self.scale * self.parts,
            self.scale * self.part_sigma,
            self.scale * self.found.limits,
            100 * getattr(self.found, "enhancement", none),
            strict=True,
        )
        found = [
            {
                "region": region,
                "element": name.partition("_")[0],
                "lines": name,
                column: float(value),
                f"sigma_{column}": float(sigma),
                f"detection_limit_{column}": float(limit),
                "enhancement_percent": float(share),
                "remark": self._remark(name, bool(value > limit)),
            }
            for name, value, sigma, limit, share in own
        ]
        nothing = {"lines": "", f"sigma_{column}": math.nan, "enhancement_percent": math.nan,
                   f"detection_limit_{column}": math.nan}  # fmt: skip
        return found + [
            {"region": region, "element": name, column: float(value), **nothing,
             "remark": "assumed: matrix"}
            for name, value in self.matrix.items()
        ]  # fmt: skip

    def __repr__(self) -> str:
        shown = [["", self.unit, "sigma", "limit", "enhanced", ""]]
        column = _UNITS[self.unit][1]
        for row in self.rows(""):
            numbers = [row[column], row[f"sigma_{column}"]]
            numbers.append(row[f"detection_limit_{column}"])
            share = row["enhancement_percent"]
            enhanced = "" if math.isnan(share) else f"{share:.0f} %"
            first = row["lines"] or row["element"]
            shown.append([first, *_show(*numbers), enhanced, row["remark"]])
        if not math.isnan(self.sum):
            shown.append(["sum", *_show(self.sum), "", self._sum_of])
        if isinstance(self.found, Densities):  # nothing is enhanced
            shown = [[*row[:4], row[5]] for row in shown]
        return as_table(shown)


@dataclass(frozen=True, eq=False)
class Pixels:
    """What maps of amounts are made of.

    Attributes
    ----------
    counts
        Gives the map of counts of a group of lines.
    make_image
        Makes a signal of an array and a title.
    live_time
        Of each pixel, s.
    regions
        Pixels of each region, boolean maps or positions; where regions overlap, the last one
        counts.
    """

    counts: Callable[[str], np.ndarray]
    make_image: Callable[[np.ndarray, str], BaseSignal]
    live_time: np.ndarray
    regions: Mapping[str, np.ndarray]


class Concentrations:
    """How much of each element there is; ``quantify`` of a model or of element maps makes it.

    ``found["Fe"]`` is (amount, sigma) in mass %, or in µg/cm2 of a thin film, if there is one
    region; of several ``found["zircon"]["Zr"]``.

    Attributes
    ----------
    title
        Of the sample.
    regions
        :class:`Amounts` by the name of the region; ``""``: the whole.
    setup
        It was measured with.
    factor
        The geometry factor, photons/s, and where it is from; None: the elements were taken to
        add up to 100 %.
    """

    def __init__(
        self,
        title: str,
        setup: Setup,
        factor: Factor | None,
        said: Mapping[str, Any],
        regions: Mapping[str, Amounts],
        pixels: Pixels | None = None,
    ) -> None:
        self.title, self.setup, self.factor = title, setup, factor
        self.regions = dict(regions)
        self._said, self._pixels = dict(said), pixels

    @property
    def unit(self) -> str:
        """``"mass %"`` or ``"µg/cm2"``."""
        return next(iter(self.regions.values())).unit

    def __getitem__(self, name: str) -> Any:
        if name in self.regions:
            return self.regions[name]
        if len(self.regions) == 1:
            return next(iter(self.regions.values()))[name]
        raise KeyError(
            f"{name!r} is no region, expected one of {', '.join(self.regions)}."
        )

    @property
    def table(self) -> list[dict[str, Any]]:
        """One row for each region and element: what :meth:`save` writes, for pandas."""
        return [row for name, own in self.regions.items() for row in own.rows(name)]

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed and what is to be doubted, in words."""
        found = [self._geometry, *self._by_mean]
        found += [f"Assumed: {one}." for one in self.setup.assumed]
        if any(math.isnan(own.live_time) for own in self.regions.values()):
            found.append("The live time is not known: it changes no ratio of elements.")
        for name, own in self.regions.items():
            said = [one for one in own.found.notes if one not in self.setup.assumed]
            found += [f"{name}: {one}" if name else one for one in said]
        return (*dict.fromkeys(found), self._meaning)

    @property
    def _geometry(self) -> str:
        own = self.factor
        if own is None:
            return "Geometry: not known, the elements are taken to add up to 100 %."
        said = "Geometry factor, flux x solid angle / 4 pi: "
        said += f"{own.value:.4g} photons/s by {own.source or 'a standard'}"
        if own.sigma:
            said += f", +- {own.sigma / own.value:.2%} by counting noise"
        if not math.isnan(own.spread):
            said += f", {own.spread:.1%} between lines"
        return f"{said}."

    @property
    def _by_mean(self) -> list[str]:
        """What is said of lines that no standard has."""
        own = self.factor
        names = dict.fromkeys(n for one in self.regions.values() for n in one.names)
        others = [n for n in names if own is not None and not own.has_own(n)]
        if own is None or not own.per_group or not others:
            return []
        words = ", ".join(others)
        return [f"By the mean of the standard's lines, not by their own: {words}."]

    @property
    def _meaning(self) -> str:
        return (
            "Sigma is that of counting noise, of the sample and the standard; what tables, "
            "geometry and matrix may be wrong by is not in it."
        )

    @property
    def maps(self) -> Mapping[str, BaseSignal]:
        """Maps of mass % or µg/cm2 by element: the factor of each region x the element map.

        float32; NaN outside of all regions, and where there is no live time. Of a thick
        sample the factor of a pixel is that of its region: its own composition is not
        solved for.

        Raises
        ------
        ValueError
            It was made of a spectrum.
        """
        if self._pixels is None:
            raise ValueError(
                "These are the concentrations of a spectrum, expected those of maps: "
                "s.get_element_maps(model).quantify(...)."
            )
        names = dict.fromkeys(n for own in self.regions.values() for n in own.names)
        return Signals(tuple(names), self._map)

    def _map(self, name: str) -> BaseSignal:
        assert self._pixels is not None
        names = tuple(dict.fromkeys(n for o in self.regions.values() for n in o.names))
        name = names[index_of(name, names)]
        pixels = self._pixels
        counts, live = pixels.counts(name), pixels.live_time
        with np.errstate(divide="ignore", invalid="ignore"):
            rates = (counts / live).reshape(-1)
        rates[~np.isfinite(rates)] = np.nan
        data = np.full(counts.size, np.nan, np.float32)
        for region, own in self.regions.items():
            if name in own.names:
                where = pixels.regions[region]
                inside = np.flatnonzero(where) if where.dtype == bool else where
                per_count = own.found.per_count[own.names.index(name)]
                # Pixels have 1 s each if nothing is known of them.
                seconds = inside.size if math.isnan(own.live_time) else own.live_time
                data[inside] = rates[inside] * (own.scale * per_count * seconds)
        title = f"{name} {self.unit}".replace("µ", "u")
        image = pixels.make_image(data.reshape(counts.shape), title)
        image.metadata.set_item("Signal.quantity", _QUANTITIES[self.unit])
        image.metadata.set_item("Signal.component", name)
        image.metadata.set_item("Sample.elements", [name.partition("_")[0]])
        image.metadata.set_item("Quantification", self._metadata())
        return image

    def _metadata(self) -> dict[str, Any]:
        own = self.factor
        return {
            **self._said,
            "setup": describe(self.setup),
            "standard": "" if own is None else own.source,
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        title = f" of {self.title}" if self.title else ""
        sample = self._said["sample"]
        sample = sample if isinstance(sample, str) else f"{sample:g} g/cm2"
        matrix = f", matrix {self._said['matrix']}" if self._said["matrix"] else ""
        lines = [
            f"Concentrations{title}: {self.unit}, {sample} sample{matrix}",
            describe(self.setup),
        ]
        for name, own in self.regions.items():
            if name:
                lines += ["", f"{name}, {own.n_pixels} pixels{own.live_time_text}"]
            lines.append(repr(own))
        return "\n".join([*lines, "", *self.notes])

    def save(self, folder: str | Path, overwrite: bool = False) -> list[Path]:
        """Write tables, maps and notes to a folder.

        Parameters
        ----------
        folder
            Made if it is not there. Files: ``concentrations.csv`` (a row for each region and
            element, units in its header), ``notes.txt`` (what was assumed), and of maps
            ``Fe_K_mass_percent.tif`` or ``Fe_K_ug_cm2.tif``, ..., float32.
        overwrite
            Replace files that are there, when all the new ones are whole; and then remove
            maps that there were before and are not now.

        Returns
        -------
        list of pathlib.Path
            What was written.

        Raises
        ------
        FileExistsError
            A file is there, and `overwrite` is False.
        NotADirectoryError
            The folder is a file.
        ValueError
            A folder has the name of a file.
        """
        column = _UNITS[self.unit][1]
        writers: dict[str, Callable[[Path], None]] = {
            _TABLE: self._write_table,
            _NOTES: partial(save_lines, [repr(self)]),
        }
        if self._pixels is not None:
            for name, image in self.maps.items():
                writers[f"{name}_{column}.tif"] = partial(save_image, image)
        return save_files(folder, writers, results_in(folder), overwrite)

    def _write_table(self, path: Path) -> None:
        rows = self.table
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(rows[0])
            for row in rows:
                writer.writerow([_cell(row[name]) for name in rows[0]])


def results_in(folder: str | Path) -> list[Path]:
    """Return what :meth:`Concentrations.save` has written to a folder before."""
    folder = Path(folder)
    table = folder / _TABLE
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", errors="replace") as file:
        if not file.readline(200).startswith(",".join(_FIRST)):
            return []  # another's
    own = [path for path in sorted(folder.iterdir()) if _MAPS.fullmatch(path.name)]
    return [table, *(path for path in (folder / _NOTES,) if path.is_file()), *own]


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return str(value)


def _show(value: float, sigma: float = math.nan, limit: float = math.nan) -> list[str]:
    """Return an amount with as many digits as its standard deviation, and two of that.

    Examples
    --------
    >>> _show(18.3712, 0.0812, 0.03)
    ['18.371', '0.081', '0.03']
    """
    if not math.isfinite(sigma) or sigma <= 0:
        return [f"{value:.4g}"] + [
            "" if math.isnan(x) else f"{x:.2g}" for x in (sigma, limit)
        ]
    digits = max(0, 1 - math.floor(math.log10(sigma)))
    shown = "" if math.isnan(value) else f"{value:.{digits}f}"
    return [shown, f"{sigma:.{digits}f}", f"{limit:.2g}"]
