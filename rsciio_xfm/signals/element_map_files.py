"""Files of maps of elements: images, tables, pictures, and models in a folder."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hyperspy.signal import BaseSignal

from rsciio_xfm.signals.areas import Areas
from rsciio_xfm.signals.element_model import ElementModel
from rsciio_xfm.signals.folders import (
    Writers,
    save_figure,
    save_files,
    save_image,
    save_lines,
)

if TYPE_CHECKING:
    from rsciio_xfm.signals.element_maps import ElementMaps

FORMATS = ("png", "pdf", "svg")  # of pictures
_FILES = re.compile(
    r"(maps|rgb|fit(_\d+)?)\.(png|pdf|svg)|(elements|regions)\.csv|model(_\d+)?\.yaml"
)
_SIGMA = "_sigma.tif"
_TABLE = "component,kind,counts,sigma,detection_limit,remark"


@dataclass(frozen=True)
class Pictures:
    """How element maps are drawn into a folder.

    Attributes
    ----------
    format
        ``"png"``, ``"pdf"`` or ``"svg"``.
    cmap
        As of :func:`rsciio_xfm.plot_maps`.
    rgb
        Names of what is red, green and blue in a picture of its own; None: there is none.

    Raises
    ------
    ValueError
        The format is none of these.
    """

    format: str = "png"
    cmap: str | None = None
    rgb: Sequence[str | None] | None = None

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise ValueError(
                f"format is {self.format!r}, expected {' or '.join(FORMATS)}."
            )

    def writers(self, maps: "ElementMaps") -> Writers:
        """Return what writes each picture, by the name of its file."""
        own = {
            f"maps.{self.format}": lambda path: save_figure(
                maps.plot(cmap=self.cmap), path
            )
        }
        if self.rgb is not None:
            rgb = self.rgb
            own[f"rgb.{self.format}"] = lambda path: save_figure(
                maps.plot_rgb(*rgb), path
            )
        return own


def save_maps(
    maps: "ElementMaps",
    folder: str | Path,
    overwrite: bool,
    sigma: bool,
    pictures: Pictures,
) -> list[Path]:
    """Write maps to a folder: see :meth:`ElementMaps.save`."""
    # Without our table, what is there is another's, and stays.
    has_maps = _maps_in(Path(folder)) is not None
    old = results_in(folder) if has_maps else []
    return save_files(folder, _writers(maps, sigma, pictures), old, overwrite)


def _writers(maps: "ElementMaps", sigma: bool, pictures: Pictures) -> Writers:
    """Return what writes each file, by its name."""
    found: dict[str, Callable[[Path], None]] = {}
    for name in maps.names:
        found[f"{_file_name(name)}.tif"] = partial(_save_map, maps, name)
        if sigma:
            found[f"{_file_name(name)}{_SIGMA}"] = partial(_save_map, maps.sigma, name)
    if maps.chi2.data.ndim <= 2:
        found |= pictures.writers(maps)
    found["elements.csv"] = lambda path: save_lines(_rows(maps), path)
    if maps.regions:
        found["regions.csv"] = lambda path: save_lines(_region_rows(maps), path)
    for k, model in enumerate(maps.models):
        number = f"_{k}" * (len(maps.models) > 1)  # of the detector
        found[f"fit{number}.{pictures.format}"] = partial(_save_fit, model)
        found[f"model{number}.yaml"] = model.save
    return found


def _rows(maps: "ElementMaps") -> list[str]:
    return [_TABLE, *_rows_of(maps, maps.totals)]


def _region_rows(maps: "ElementMaps") -> list[str]:
    rows = [f"region,pixels,{_TABLE}"]
    for name, areas in maps.regions.items():
        quoted = '"' + name.replace('"', '""') + '"'
        rows += [f"{quoted},{areas.n_pixels},{row}" for row in _rows_of(maps, areas)]
    return rows


def _rows_of(maps: "ElementMaps", areas: Areas) -> list[str]:
    kinds = maps.kinds
    each = zip(areas.names, areas.counts, areas.sigma, areas.limits, strict=True)
    return [
        f'{name},{kinds[name]},{counts:.9g},{sigma:.6g},{limit:.6g},"{areas.note(name)}"'
        for name, counts, sigma, limit in each
    ]


def results_in(folder: str | Path) -> list[Path]:
    """Return what :meth:`ElementMaps.save` has written to a folder before."""
    folder = Path(folder)
    names = _maps_in(folder) or []
    found = [folder / name for name in names if (folder / name).is_file()]
    others = sorted(folder.iterdir()) if folder.is_dir() else []
    return found + [path for path in others if _FILES.fullmatch(path.name)]


def _maps_in(folder: Path) -> list[str] | None:
    """Return the files of the maps that a folder's table lists; None without a table."""
    table = folder / "elements.csv"
    if not table.is_file():
        return None
    with table.open(encoding="utf-8", errors="replace") as file:
        first, *rows = file.read(2**20).splitlines() or [""]
    if first != _TABLE:
        return None
    names = [_file_name(row.partition(",")[0]) for row in rows]
    return [f"{name}{end}" for name in names for end in (".tif", _SIGMA)]


def _file_name(name: str) -> str:
    """Return the name of a component as one of a file: ``"Ca+Ca"`` stays as it is."""
    return re.sub(r"[^\w+-]", "_", name)


def _save_map(maps: Mapping[str, BaseSignal], name: str, path: Path) -> None:
    save_image(maps[name], path)


def _save_fit(model: ElementModel, path: Path) -> None:
    save_figure(model.plot(), path)
