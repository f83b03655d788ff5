"""What the explorer makes for other programs: spectra, images, regions, pictures."""

import csv
import io
import json
import math
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import rsciio_xfm
from rsciio_xfm.core.beam import find
from rsciio_xfm.core.eds import DETECTOR_NODES, PER_KEV, TIME_MAPS, TIMES, put
from rsciio_xfm.explore.lines import Axis
from rsciio_xfm.explore.opened import Opened

_THUMBNAIL = 160  # pixels along the longer side
_DARK, _BRIGHT = 1.0, 99.5  # percentiles
_INNER_FORMULA = re.compile(r"([;\t\r\n]\s*\"?)(?=[=@]|[+-](?![\d.]))")
_PER_CM = {"µm": 1e4, "um": 1e4, "μm": 1e4, "mm": 10.0, "nm": 1e7, "cm": 1.0, "m": 0.01}


def spectrum_signal(
    opened: Opened,
    spectrum: np.ndarray,
    times: tuple[float | None, float | None],
    energy: tuple[float, float] | None,
    name: str,
) -> dict[str, Any]:
    """Return the spectrum of a region as readers and writers have signals.

    Parameters
    ----------
    opened
        The map.
    spectrum
        Of the region.
    times
        Real and live time of its pixels, s.
    energy
        Offset and scale of the page, keV.
    name
        Of the region.
    """
    metadata = _without_times(opened.metadata)
    node = next((n for n in DETECTOR_NODES if find(metadata, n)), DETECTOR_NODES[0])
    for kind, seconds in zip(("real_time", "live_time"), times, strict=True):
        if seconds is not None:
            put(metadata, f"{node}.{kind}", float(seconds))
    title = find(metadata, "General.title") or opened.name
    put(metadata, "General.title", f"{title} {name}".strip())
    axis = dict(opened.signal["axes"][-1])
    if energy is not None:
        axis = {"size": spectrum.size, "navigate": False}
        axis |= {"offset": energy[0], "scale": energy[1], "units": "keV"}
    if axis.get("units") in PER_KEV:  # whatever the file calls it: "depth", say
        axis["name"] = "Energy"
    axis["index_in_array"] = 0
    return {
        "data": spectrum,
        "axes": [axis],
        "metadata": metadata,
        "original_metadata": {},
        "learning_results": {},
        "attributes": {"_lazy": False},
        "package": "rsciio_xfm",
        "package_version": rsciio_xfm.__version__,
    }


def _without_times(tree: Any) -> Any:
    """Return metadata without the times and their maps, which are those of all pixels."""
    if not isinstance(tree, Mapping):
        return tree
    left_out = {*TIMES, *TIME_MAPS, *(f"_sig_{name}" for name in TIME_MAPS)}
    return {k: _without_times(v) for k, v in tree.items() if k not in left_out}


def to_msa(signal: dict[str, Any]) -> bytes:
    """Return a spectrum as an MSA file, by this package's writer."""
    from rsciio_xfm.formats.msa.write import file_writer

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "spectrum.msa")
        file_writer(path, signal)
        return path.read_bytes()


def to_csv(
    spectra: Mapping[str, np.ndarray], axis: Axis | None, energies: Sequence[float] | None
) -> bytes:
    """Return spectra as a table: channel, energy, and a column for each.

    Parameters
    ----------
    spectra
        By name.
    axis
        Energies of the channels.
    energies
        Where they are not even: of each channel.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    (size,) = {len(spectrum) for spectrum in spectra.values()}
    first: list[list[Any]] = [list(range(size))]
    names = ["channel"]
    if axis is not None:
        names.append(f"energy ({axis.units})" if axis.units else "energy")
        first.append([f"{axis.offset + axis.scale * i:.10g}" for i in range(size)])
    elif energies is not None:
        names.append("energy")
        first.append([f"{energy:.10g}" for energy in energies])
    # A formula that a spreadsheet would run is a text in it.
    writer.writerow([*names, *(_harmless(name) for name in spectra)])
    columns = [spectrum.tolist() for spectrum in spectra.values()]
    writer.writerows(zip(*first, *columns, strict=True))
    return text.getvalue().encode("utf-8-sig")


def _harmless(name: str) -> str:
    """Return a name in which no cell begins as a formula, whatever separates cells.

    Spreadsheets of many countries separate them by semicolons. Numbers are left as they are.
    """
    name = _INNER_FORMULA.sub(r"\1'", name)
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name


def to_tiff(image: np.ndarray, opened: Opened, label: str, unit: str) -> bytes:
    """Return an image as TIFF, numbers as they are, with the size of its pixels."""
    import tifffile

    options: dict[str, Any] = {}
    pixel = opened.pixel
    if pixel is not None and pixel["units"] in _PER_CM:
        per_cm = _PER_CM[pixel["units"]]
        options["resolution"] = (per_cm / pixel["size_x"], per_cm / pixel["size_y"])
        options["resolutionunit"] = "CENTIMETER"
    said: dict[str, Any] = {"label": label, "unit": unit, "map": opened.name}
    if pixel is not None:
        said["pixel"] = pixel
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        np.ascontiguousarray(image),
        photometric="minisblack",
        description=json.dumps(said),
        metadata=None,
        software=f"rsciio_xfm {rsciio_xfm.__version__}",
        **options,
    )
    return file.getvalue()


def to_thumbnail(counts: np.ndarray) -> bytes:
    """Return the map of all counts as a small picture."""
    from PIL import Image

    height, width = counts.shape
    step = max(1, math.ceil(max(height, width) / _THUMBNAIL))
    # Means of blocks; what is left at the end has blocks of its own.
    sums = np.add.reduceat(counts.astype(float), np.arange(0, height, step), axis=0)
    sums = np.add.reduceat(sums, np.arange(0, width, step), axis=1)
    n_rows = np.diff([*range(0, height, step), height])
    n_columns = np.diff([*range(0, width, step), width])
    means = np.nan_to_num(sums / np.outer(n_rows, n_columns))
    low, high = np.percentile(means, (_DARK, _BRIGHT))
    shown = np.clip((means - low) / ((high - low) or 1.0), 0, 1) ** 0.7
    file = io.BytesIO()
    Image.fromarray(np.round(255 * shown).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def file_name(opened: Opened, what: str, extension: str) -> str:
    """Return the name of what is downloaded: ASCII letters, digits and few others."""
    stem = Path(opened.name).stem
    text = f"{stem}_{what}" if what else stem
    kept = [c if c.isascii() and (c.isalnum() or c in "._-+") else "_" for c in text]
    return f"{''.join(kept)[:100].strip('._') or 'map'}.{extension}"
