"""Measured samples whose composition is known: their spectra, and how they were measured.

SRM 1155 is a steel of NIST (16 keV, PyMca's training data); the AXO film lies on silicon
nitride (10 keV, Advanced Photon Source 2-ID-E); the pure metals and a steel under a Rh tube
are NIST's. Of the package only the reader of the spectra is used here.
"""

import configparser
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsciio_xfm import text_spectra

# Certified and, of As, W and Pb, informative values, mass %.
SRM_1155 = {"V": 0.05, "Cr": 18.37, "Mn": 1.619, "Fe": 64.3, "Ni": 12.35, "Cu": 0.175,
            "As": 0.0107, "Mo": 2.26, "W": 0.11, "Pb": 0.001}  # fmt: skip
_OFF = "-"


@dataclass(frozen=True)
class Steel:
    """A spectrum, and PyMca's configuration of it.

    `counts` (channel,); `energy` keV; `flux` photons/s before `filters`; `time` s; `area` cm2;
    `distance` cm; `angles` degrees, of the beam and the detector to the surface; `path`,
    `filters` and `detector`: (formula, g/cm3, cm); `zero`, `gain`, `noise` keV, `fano`.
    """

    counts: np.ndarray
    energy: float
    flux: float
    time: float
    area: float
    distance: float
    angles: tuple[float, float]
    path: tuple[tuple[str, float, float], ...]
    filters: tuple[tuple[str, float, float], ...]
    detector: tuple[str, float, float]
    scale: dict[str, float]


def read_steel(folder: Path) -> Steel:
    """Read Steel.spe and Steel.cfg."""
    ini = configparser.ConfigParser(interpolation=None, strict=False)
    ini.optionxform = str
    ini.read(folder / "Steel.cfg")
    layers = {name: _split(text) for name, text in ini["attenuators"].items()}
    used = {name: own for name, own in layers.items() if own[0] == "1"}
    thick = {name: _layer(own) for name, own in used.items() if name != "Matrix"}
    detector = thick.pop("Detector")
    known, scale = ini["concentrations"], ini["detector"]
    return Steel(
        counts=text_spectra.file_reader(folder / "Steel.spe")[0]["data"].astype(float),
        energy=float(_split(ini["fit"]["energy"])[0]),
        flux=float(known["flux"]),
        time=float(known["time"]),
        area=float(known["area"]),
        distance=float(known["distance"]),
        angles=tuple(float(angle) for angle in layers["Matrix"][4:6]),
        path=tuple(own for name, own in thick.items() if "BeamFilter" not in name),
        filters=tuple(own for name, own in thick.items() if "BeamFilter" in name),
        detector=detector,
        scale={name: float(scale[name]) for name in ("zero", "gain", "noise", "fano")},
    )


def _split(text):
    return [word.strip() for word in text.split(",")]


def _layer(words):
    """Return formula, density and thickness; PyMca writes Al1 for aluminium."""
    formula = words[1].removesuffix("1")
    return {"Air": "air"}.get(formula, formula), float(words[2]), float(words[3])


@dataclass(frozen=True)
class Film:
    """Spectra of a thin film, and what is known of it.

    `counts` (detector, channel), summed over the pixels; `live`, `real` (detector,) seconds of
    each pixel, `pixels`; `known` ug/cm2; `zero`, `gain`, `energy` keV.
    """

    counts: np.ndarray
    known: dict[str, float]
    zero: float
    gain: float
    energy: float
    n_pixels: int
    rates: dict[str, np.ndarray]


def read_film(folder: Path) -> Film:
    """Read axo_std.mda and what MAPS wants to know of it."""
    spectra, scalers = read_mda(folder / "axo_std.mda")
    facts = _facts(folder / "maps_fit_parameters_override.txt")
    standard = _facts(folder / "maps_standardinfo.txt")
    names = _split(standard["ELEMENTS_IN_STANDARD"])
    weights = [float(word) for word in _split(standard["WEIGHT"])]
    return Film(
        counts=spectra.sum(axis=(0, 1)),
        known=dict(zip(names, weights, strict=True)),
        zero=float(facts["CAL_OFFSET_[E_OFFSET]"]),
        gain=float(facts["CAL_SLOPE_[E_LINEAR]"]),
        energy=float(facts["COHERENT_SCT_ENERGY"]),
        n_pixels=spectra.shape[0] * spectra.shape[1],
        rates=scalers,
    )


def _facts(path):
    """Return what a text of the form NAME: VALUE says, the first of each name."""
    found = {}
    for line in path.read_text(encoding="latin-1").splitlines():
        name, colon, value = line.partition(":")
        if colon and name == name.strip() and name.upper() == name:
            found.setdefault(name, value.strip())
    return found


def read_mda(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the spectra of a map, (y, x, detector, channel), and its scalers, (y, x)."""
    reader = _Reader(path.read_bytes())
    reader.take("fi")
    (rank,) = reader.take("i")
    reader.take(f"{rank}ii")  # dimensions, whether regular
    assert rank == 3
    reader.take("i")
    rows, _, _ = reader.scan()
    spectra, scalers = [], {}
    for at in rows:
        pixels, names, values = reader.scan(at)
        for name, value in zip(names, values, strict=True):
            scalers.setdefault(name, []).append(value)
        spectra.append([reader.scan(one)[2] for one in pixels])
    return np.array(spectra), {name: np.array(one) for name, one in scalers.items()}


class _Reader:
    """Takes numbers and texts of XDR, one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, form):
        found = struct.unpack_from(f">{form}", self.data, self.at)
        self.at += struct.calcsize(f">{form}")
        return found

    def text(self):
        if self.take("i") == (0,):
            return ""
        (n,) = self.take("i")
        found = self.data[self.at : self.at + n].decode("latin-1")
        self.at += n + -n % 4
        return found

    def scan(self, at=None):
        """Return positions of the inner scans, names and values of the detectors."""
        if at is not None:
            self.at = at
        rank, n, _ = self.take("iii")
        inner = self.take(f"{n}i") if rank > 1 else ()
        self.text(), self.text()
        n_positioners, n_detectors, n_triggers = self.take("iii")
        for _ in range(n_positioners):
            self.take("i")
            [self.text() for _ in range(7)]
        names = []
        for _ in range(n_detectors):
            self.take("i")
            names.append(self.text())
            self.text(), self.text()
        for _ in range(n_triggers):
            self.take("i"), self.text(), self.take("f")
        self.at += 8 * n * n_positioners
        values = np.frombuffer(self.data, ">f4", n * n_detectors, self.at)
        return inner, names, values.reshape(n_detectors, n).astype(float)
