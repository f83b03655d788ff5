"""A thin section of a rock, measured with two detectors, as a ``.GeoPIXE`` file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.atomic import replacing
from rsciio_xfm.core.checks import check_whole
from rsciio_xfm.data._phantom import Phantom, claim
from rsciio_xfm.data._spectra import expect
from rsciio_xfm.formats.geopixe.layout import ENTRY, HEADER_LENGTH, RECORD, RECORD_MARK

_N_CHANNELS = 4096
_KEV_PER_CHANNEL = 0.01
_TUBE_KV = 50.0
_DWELL_S = 0.1
_PIXEL_UM = 30.0
# Relative counts of each mineral's lines, photons per second, share of the grains.
_MINERALS = (
    ("plagioclase", {"Ca": 0.33, "K": 0.03, "Fe": 0.035, "Sr": 0.07}, 16e3, 0.42),
    (
        "clinopyroxene",
        {"Ca": 0.4, "Fe": 0.33, "Ti": 0.04, "Cr": 0.07, "Mn": 0.015},
        22e3,
        0.26,
    ),
    ("olivine", {"Fe": 0.85, "Mn": 0.03, "Ni": 0.055}, 28e3, 0.18),
    ("ilmenite", {"Ti": 0.6, "Fe": 0.45, "Mn": 0.035}, 34e3, 0.08),
    ("chalcopyrite", {"Cu": 0.85, "Fe": 0.6, "Zn": 0.035}, 42e3, 0.06),
    ("zircon", {"Zr": 0.8, "Y": 0.07, "Fe": 0.02}, 26e3, 0.0),
)
_N_GRAINS = 200
_N_ZIRCONS, _ZIRCON_SIZE = 4, 0.012  # radius, of the longer side
# The tube's molybdenum lines, scattered elastically and, less sharp, by electrons.
_SCATTER = ((17.48, 0.2, 0.1), (16.7, 0.3, 0.25), (19.6, 0.05, 0.11))
# A detector is blind after each photon, and adds up two that come even closer together.
_BLIND_S, _PILE_UP_S = 9e-6, 0.7e-6
_DETECTORS = (1.0, 0.85)  # photons that they see, relative to the first one
_VARIANTS = 64  # different records of each mineral and detector


def thin_section(
    filename: str | Path,
    shape: tuple[int, int] = (96, 160),
    *,
    n_detectors: int = 2,
    unrecorded: float = 0.0,
    overwrite: bool = False,
) -> Phantom:
    """Write an XFM map of a thin section: a gabbro with sulphides and a few zircons.

    Parameters
    ----------
    filename
        Path of the ``.GeoPIXE`` file; about 3.3 kB a pixel and detector, 101 MB by default.
    shape
        Pixels along y and x; the same grains at any size.
    n_detectors
        Number of detectors; every other one sees fewer photons.
    unrecorded
        Share of the records, taken at random, whose dead time the file has as 0: not
        recorded, as instruments leave it.
    overwrite
        Whether files of these names that are there are replaced.

    Returns
    -------
    Phantom
        Minerals and true dead times. A photon makes a detector blind for 9 µs, further ones
        within that time prolong it (a paralysable detector), and two within 0.7 µs are
        counted as one of their added energies.

    Raises
    ------
    ValueError
        The extension is another one, or an argument makes no map.
    FileExistsError
        A file is there, and `overwrite` is False.

    Examples
    --------
    >>> from rsciio_xfm import data
    >>> rock = data.thin_section("section.GeoPIXE", (24, 40))
    >>> rock.phases
    ('plagioclase', 'clinopyroxene', 'olivine', 'ilmenite', 'chalcopyrite', 'zircon')
    >>> rock.labels.shape, rock.dead_time.shape
    ((24, 40), (2, 24, 40))
    """
    path = claim(filename, (".GeoPIXE",), shape, overwrite)
    check_whole("n_detectors", n_detectors)
    if not 0 <= unrecorded <= 1:
        raise ValueError(f"unrecorded is {unrecorded!r}, expected a share, 0 to 1.")
    rng = np.random.default_rng(0)
    labels = _place_minerals(rng, shape)
    spectra = np.zeros((len(_MINERALS), _N_CHANNELS))
    pools = []
    for detector in range(n_detectors):
        expected, live = _expect_minerals(_DETECTORS[detector % len(_DETECTORS)])
        spectra += expected
        pools.append([_make_records(rng, *of) for of in zip(expected, live, strict=True)])
    dead_time = np.empty((n_detectors, *shape), dtype=np.float32)
    text = json.dumps(make_header(*shape, n_detectors), indent="\t").encode()
    with replacing(path) as file:
        file.write(np.array(len(text), dtype=HEADER_LENGTH).tobytes() + text)
        for y, row in enumerate(labels):
            variants = rng.integers(0, _VARIANTS, (row.size, n_detectors))
            missing = rng.random((row.size, n_detectors)) < unrecorded
            file.write(
                b"".join(_make_row(y, row, pools, variants, missing, dead_time[:, y]))
            )
    return Phantom(
        path,
        tuple(name for name, *_ in _MINERALS),
        tuple(parts for _, parts, *_ in _MINERALS),
        labels,
        spectra,
        dead_time,
    )


def make_header(n_rows: int, n_columns: int, n_detectors: int) -> dict[str, Any]:
    """Return the header of a map."""
    return {
        "File Header": {
            "Timestamp": "01/31/2026 at 09:30 am",
            "Dwell (mS)": _DWELL_S * 1000,
            "Xres": n_columns,
            "Yres": n_rows,
            "Width (mm)": n_columns * _PIXEL_UM / 1000,
            "Height (mm)": n_rows * _PIXEL_UM / 1000,
            "Dets": n_detectors,
            "Chan": _N_CHANNELS,
            "Gain (eV)": _KEV_PER_CHANNEL * 1000,
            "Deadtime (%)": 0,
        },
        "X-ray Source": {
            "KV": _TUBE_KV,
            "UA (µA)": 200.0,
            "Elt": "Mo",
            "Filter": "None",
            "Incid (°)": 70.0,
            "Take (°)": 20.0,
        },
        "Detector": {"Idx": 1, "Type": 5, "Elt": 14, "Area (mm²)": 150.0},
    }


def _place_minerals(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Return which mineral is where: grains with curved borders, and zircons in them."""
    from scipy.spatial import KDTree

    longer = max(*shape, 1)
    y, x = np.mgrid[: shape[0], : shape[1]] / longer
    curved = np.stack(
        [
            x + 0.012 * np.sin(40 * y + 3 * np.sin(17 * x)),
            y + 0.012 * np.sin(36 * x + 3 * np.sin(19 * y)),
        ],
        axis=-1,
    )
    centres = rng.random((_N_GRAINS, 2))
    shares = np.array([share for *_, share in _MINERALS])
    minerals = rng.choice(len(_MINERALS), _N_GRAINS, p=shares)
    labels = minerals[KDTree(centres).query(curved)[1]]
    for centre in rng.uniform(0.1, 0.5, (_N_ZIRCONS, 2)) * (1.6, 1):
        distance = np.hypot(curved[..., 0] - centre[0], curved[..., 1] - centre[1])
        labels[distance < _ZIRCON_SIZE] = len(_MINERALS) - 1
    return labels


def _expect_minerals(sees: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the counts of a record that are expected of each mineral, and live fractions."""
    energies = np.arange(_N_CHANNELS) * _KEV_PER_CHANNEL
    continuum = np.exp(-(((energies - 14) / 9) ** 2)) * (energies > 0.5)
    expected, live = [], []
    for _, parts, rate, _ in _MINERALS:
        spectrum = expect(energies, parts, continuum, _SCATTER)
        piled_up = 1 - np.exp(-sees * rate * _PILE_UP_S)
        both = np.convolve(spectrum, spectrum)[:_N_CHANNELS]
        live.append(np.exp(-sees * rate * _BLIND_S))
        counts = sees * rate * live[-1] * _DWELL_S
        expected.append(counts * ((1 - piled_up) * spectrum + piled_up * both))
    return np.array(expected), np.array(live)


def _make_records(
    rng: np.random.Generator, expected: np.ndarray, live: float
) -> list[tuple[np.ndarray, bytes]]:
    """Return records of a mineral, and their entries as bytes.

    The sample is not as thick everywhere: the more photons, the less live time.
    """
    records = []
    for thickness in rng.uniform(0.9, 1.1, _VARIANTS):
        live_here = live**thickness
        counts = rng.poisson(thickness * live_here / live * expected)
        channels = np.flatnonzero(counts)
        entries = np.empty(channels.size, dtype=ENTRY)
        entries["channel"], entries["counts"] = channels, counts[channels]
        record = np.zeros(1, dtype=RECORD)[0]
        record["mark"] = RECORD_MARK
        record["length"] = RECORD.itemsize + entries.nbytes
        record["dead_time"] = 100 * (1 - live_here)
        records.append((record, entries.tobytes()))
    return records


def _make_row(
    y: int,
    row: np.ndarray,
    pools: list[list[list[tuple[np.ndarray, bytes]]]],
    variants: np.ndarray,
    missing: np.ndarray,
    dead_time: np.ndarray,
) -> Iterator[bytes]:
    """Yield the records of a row, and note their dead times."""
    for x, mineral in enumerate(row):
        for detector, pool in enumerate(pools):
            known, entries = pool[mineral][variants[x, detector]]
            record = known.copy()
            record["x"], record["y"], record["detector"] = x, y, detector
            dead_time[detector, x] = record["dead_time"]
            if missing[x, detector]:
                record["dead_time"] = 0
            yield record.tobytes()
            yield entries
