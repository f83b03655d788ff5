"""A simulated map with known elements, written as a ``.GeoPIXE`` file.

It is made for ``rsciio-xfm demo`` and for the benchmarks: records as large as those of
real files, spectra with lines where exspy knows them, no claim to more physics than that.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from exspy.material import elements

from rsciio_xfm.geopixe._layout import ENTRY, HEADER_LENGTH, RECORD, RECORD_MARK

N_CHANNELS = 4096
KEV_PER_CHANNEL = 0.01
TUBE_KV = 50.0
DWELL_MS = 100.0

# What lies where, the matrix first: elements with the counts of their K lines, relative
# to those of the background, and the mean counts of a record.
_PHASES = (
    ({"Ca": 0.5, "Fe": 0.1, "Sr": 0.02}, 1850),
    ({"Fe": 0.8, "Mn": 0.1, "Cr": 0.05}, 2500),
    ({"Cu": 0.7, "Zn": 0.2}, 2200),
    ({"Ti": 0.5, "Ca": 0.2}, 1450),
)
ELEMENTS = tuple(sorted({name for phase, _ in _PHASES for name in phase}))
_VARIANTS = 64  # different spectra of each phase, detector and brightness


def write_demo_map(
    filename: str | Path, n_columns: int = 160, n_rows: int = 96, n_detectors: int = 2
) -> None:
    """Write a simulated map: about 3.4 kB for each pixel and detector.

    Parameters
    ----------
    filename
        Path of the ``.GeoPIXE`` file, written anew.
    n_columns, n_rows, n_detectors
        Size of the map.
    """
    rng = np.random.default_rng(0)
    pool = _record_pool(rng)
    phases = _phase_map(rng, n_columns, n_rows)
    header = json.dumps(_header(n_columns, n_rows, n_detectors), indent="\t").encode()
    with Path(filename).open("wb") as file:
        file.write(np.array(len(header), dtype=HEADER_LENGTH).tobytes() + header)
        for y in range(n_rows):
            variants = rng.integers(0, _VARIANTS, (n_columns, n_detectors))
            row = []
            for x in range(n_columns):
                for detector in range(n_detectors):
                    record, entries = pool[phases[y, x]][variants[x, detector]]
                    record["x"], record["y"], record["detector"] = x, y, detector
                    row += [record.tobytes(), entries]
            file.write(b"".join(row))


def _header(n_columns: int, n_rows: int, n_detectors: int) -> dict[str, Any]:
    return {
        "File Header": {
            "Timestamp": "01/31/2026 at 09:30 am",
            "Dwell (mS)": DWELL_MS,
            "Xres": n_columns,
            "Yres": n_rows,
            "Width (mm)": n_columns * 0.03,
            "Height (mm)": n_rows * 0.03,
            "Dets": n_detectors,
            "Chan": N_CHANNELS,
            "Gain (eV)": KEV_PER_CHANNEL * 1000,
            "Deadtime (%)": 0,
        },
        "X-ray Source": {
            "KV": TUBE_KV,
            "UA (µA)": 200.0,
            "Elt": "Mo",
            "Filter": "None",
            "Incid (°)": 70.0,
            "Take (°)": 20.0,
        },
        "Detector": {"Idx": 1, "Type": 5, "Elt": 14, "Area (mm²)": 150.0},
    }


def _phase_map(rng: np.random.Generator, n_columns: int, n_rows: int) -> np.ndarray:
    """Return the phase of each pixel: grains in a matrix."""
    y, x = np.mgrid[:n_rows, :n_columns]
    phases = np.zeros((n_rows, n_columns), dtype=np.intp)
    for _ in range(30):
        phase = rng.integers(1, len(_PHASES))
        center_x, center_y = rng.uniform(0, n_columns), rng.uniform(0, n_rows)
        radius = rng.uniform(0.03, 0.12) * max(n_rows, n_columns)
        phases[(x - center_x) ** 2 + (y - center_y) ** 2 < radius**2] = phase
    return phases


def _record_pool(rng: np.random.Generator) -> list[list[tuple[np.ndarray, bytes]]]:
    """Return records, and their entries as bytes, for each variant of each phase."""
    pool = []
    for phase, mean in _PHASES:
        spectrum = _spectrum(phase)
        pool.append([])
        for total in rng.uniform(0.9 * mean, 1.1 * mean, _VARIANTS):
            counts = rng.poisson(total * spectrum)
            channels = np.flatnonzero(counts)
            entries = np.empty(channels.size, dtype=ENTRY)
            entries["channel"], entries["counts"] = channels, counts[channels]
            record = np.zeros(1, dtype=RECORD)[0]
            record["mark"] = RECORD_MARK
            record["length"] = RECORD.itemsize + entries.nbytes
            record["dead_time"] = counts.sum() / DWELL_MS
            pool[-1].append((record, entries.tobytes()))
    return pool


def _spectrum(phase: dict[str, float]) -> np.ndarray:
    """Return the expected spectrum of a phase, normalised: lines, scatter, background."""
    energy = np.arange(N_CHANNELS) * KEV_PER_CHANNEL
    background = np.exp(-(((energy - 14) / 9) ** 2)) * (energy > 0.5) * (energy < TUBE_KV)
    spectrum = background / background.sum()
    # The tube's own lines, scattered elastically and, less sharp, by electrons.
    for line, share, width in ((17.48, 0.2, 0.1), (16.7, 0.3, 0.25), (19.6, 0.05, 0.11)):
        spectrum += share * _line(energy, line, width)
    for name, share in phase.items():
        for label, line in elements[name].Atomic_properties.Xray_lines:
            center = line["energy (keV)"]
            if label.startswith("K") and center < TUBE_KV:
                spectrum += share * line["weight"] * _line(energy, center, 0.06)
    return spectrum / spectrum.sum()


def _line(energy: np.ndarray, center: float, sigma: float) -> np.ndarray:
    profile = np.exp(-(((energy - center) / sigma) ** 2) / 2)
    return profile / profile.sum()
