"""A thin section of a rock, measured with two detectors, as a ``.GeoPIXE`` file."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.atomic import replacing
from rsciio_xfm.core.checks import check_whole
from rsciio_xfm.data._phantom import Phantom, claim, tabulate
from rsciio_xfm.data._spectra import Source, expect, pile_up
from rsciio_xfm.formats.geopixe.layout import ENTRY, HEADER_LENGTH, RECORD, RECORD_MARK
from rsciio_xfm.kernels.draw import count_channels, pack_spectra

_N_CHANNELS = 4096
_KEV_PER_CHANNEL = 0.01
_TUBE_KV = 50.0
_DWELL_S = 0.1
_PIXEL_UM = 30.0
THICKNESS = 30e-4  # cm


@dataclass(frozen=True)
class _Mineral:
    """What a mineral is; `rate` photons per second of all, `share` of the grains.

    The `density` is in g/cm3, `counts` are those of lines relative to the continuum's.
    """

    name: str
    fractions: dict[str, float]
    density: float
    counts: dict[str, float]
    rate: float
    share: float


# The counts follow from the fractions: tests/builders/minerals.py computes them. Lines below
# 3 keV are not seen.
MINERALS = (
    _Mineral(
        "plagioclase",
        {"O": 0.465, "Na": 0.013, "Al": 0.177, "Si": 0.209, "K": 0.009, "Ca": 0.119,
         "Fe": 0.005, "Sr": 0.003},
        2.7,
        {"K": 0.0037, "Ca": 0.0807, "Fe": 0.0201, "Sr": 0.0196},
        16e3,
        0.42,
    ),
    _Mineral(
        "clinopyroxene",
        {"O": 0.427, "Mg": 0.078, "Al": 0.014, "Si": 0.224, "Ca": 0.146, "Ti": 0.008,
         "Cr": 0.016, "Mn": 0.003, "Fe": 0.084},
        3.4,
        {"Ca": 0.0927, "Ti": 0.0076, "Cr": 0.0312, "Mn": 0.0074, "Fe": 0.2618},
        22e3,
        0.26,
    ),
    _Mineral(
        "olivine",
        {"O": 0.402, "Mg": 0.214, "Si": 0.176, "Mn": 0.004, "Fe": 0.196, "Ni": 0.008},
        3.5,
        {"Mn": 0.0145, "Fe": 0.8802, "Ni": 0.0294},
        28e3,
        0.18,
    ),
    _Mineral(
        "ilmenite",
        {"O": 0.318, "Mg": 0.012, "Ti": 0.306, "Mn": 0.011, "Fe": 0.353},
        4.7,
        {"Ti": 0.4988, "Mn": 0.0173, "Fe": 0.7111},
        34e3,
        0.08,
    ),
    _Mineral(
        "chalcopyrite",
        {"S": 0.348, "Fe": 0.302, "Cu": 0.343, "Zn": 0.007},
        4.2,
        {"Fe": 0.7101, "Cu": 0.6830, "Zn": 0.0160},
        42e3,
        0.06,
    ),
    _Mineral(
        "zircon",
        {"O": 0.347, "Si": 0.151, "Fe": 0.005, "Y": 0.012, "Zr": 0.485},
        4.6,
        {"Fe": 0.0196, "Y": 0.1288, "Zr": 1.9118},
        26e3,
        0.0,
    ),
)  # fmt: skip
_N_GRAINS = 200
_N_ZIRCONS, _ZIRCON_SIZE = 4, 0.012  # radius, of the longer side
_BEAM = "Mo 50 kV"
SCATTER = (0.25, 0.3)  # counts of the tube's lines: elastically, by electrons
# A detector is blind after each photon, and adds up two that come even closer together.
_BLIND_S, _PILE_UP_S = 9e-6, 0.7e-6
_DETECTORS = (1.0, 0.85)  # photons that they see, relative to the first one


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
        Path of the ``.GeoPIXE`` file; about 3.6 kB a pixel and detector, 110 MB by default.
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
        Minerals, their mass fractions and true dead times. The counts of elements are what a
        section of 30 µm of such a composition gives: 70° incidence and 20° takeoff, as the
        header says, through 1 cm of air and 25 µm of beryllium. A photon makes a detector
        blind for 9 µs, further ones within that time prolong it (a paralysable detector), and
        two within 0.7 µs are counted as one of their added energies.

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
    # The sample is not as thick everywhere: the more photons, the less live time.
    thickness = rng.uniform(0.9, 1.1, shape)
    detectors = [
        _Detector(rng, _DETECTORS[detector % len(_DETECTORS)])
        for detector in range(n_detectors)
    ]
    live = np.array([d.live[labels] ** thickness for d in detectors])
    bright = np.array(
        [thickness * now / d.live[labels] for d, now in zip(detectors, live, strict=True)]
    )
    dead_time = (100 * (1 - live)).astype(np.float32)
    text = json.dumps(make_header(*shape, n_detectors), indent="\t").encode()
    with replacing(path) as file:
        file.write(np.array(len(text), dtype=HEADER_LENGTH).tobytes() + text)
        for y, row in enumerate(labels):
            recorded = dead_time[:, y] * (
                rng.random((n_detectors, row.size)) >= unrecorded
            )
            drawn = [d.source.draw(row, bright[i, y]) for i, d in enumerate(detectors)]
            file.write(_pack_row(y, np.stack(drawn, axis=1), recorded.T))
    areas = {
        n: np.sum([d.areas[n] for d in detectors], axis=0) for n in detectors[0].areas
    }
    totals = np.array([d.spectra.sum(axis=1)[labels] for d in detectors])
    return Phantom(
        path,
        tuple(mineral.name for mineral in MINERALS),
        tuple(mineral.counts for mineral in MINERALS),
        labels,
        np.sum([d.spectra for d in detectors], axis=0),
        areas,
        (totals * bright).sum(axis=0) / totals.sum(axis=0),
        dead_time,
        tuple(mineral.fractions for mineral in MINERALS),
        tuple(mineral.density * THICKNESS for mineral in MINERALS),
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
            "Scat (°)": 90.0,
            "STD (mm)": 10.0,
        },
        "Detector": {
            "Idx": 1,
            "Type": 5,
            "Elt": 14,
            "Area (mm²)": 150.0,
            "Thick (mm)": 0.45,
            "Win": 4,
            "WThick (µm)": 25.0,
        },
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
    shares = np.array([mineral.share for mineral in MINERALS])
    minerals = rng.choice(len(MINERALS), _N_GRAINS, p=shares)
    labels = minerals[KDTree(centres).query(curved)[1]]
    for centre in rng.uniform(0.1, 0.5, (_N_ZIRCONS, 2)) * (1.6, 1):
        distance = np.hypot(curved[..., 0] - centre[0], curved[..., 1] - centre[1])
        labels[distance < _ZIRCON_SIZE] = len(MINERALS) - 1
    return labels


class _Detector:
    """What one detector sees of each mineral, `sees` as many photons as the first one.

    `live` are the shares of the time in which it is not blind; shape (mineral,).
    """

    def __init__(self, rng: np.random.Generator, sees: float) -> None:
        energies = np.arange(_N_CHANNELS) * _KEV_PER_CHANNEL
        continuum = np.exp(-(((energies - 14) / 9) ** 2)) * (energies > 0.5)
        rates = np.array([sees * mineral.rate for mineral in MINERALS])
        self.live = np.exp(-rates * _BLIND_S)
        expected = []
        for mineral, rate, live in zip(MINERALS, rates, self.live, strict=True):
            mixture = expect(energies, mineral.counts, continuum, _BEAM, SCATTER)
            mixture = pile_up(mixture, 1 - np.exp(-rate * _PILE_UP_S))
            expected.append(mixture.times(rate * live * _DWELL_S))
        self.spectra, self.areas = tabulate(expected)
        self.source = Source(self.spectra, rng)


def _pack_row(y: int, spectra: np.ndarray, dead_time: np.ndarray) -> bytes:
    """Return the records of a row; `spectra` have the shape (x, detector, channel)."""
    n_columns, n_detectors, n_channels = spectra.shape
    spectra = spectra.reshape(-1, n_channels)
    lengths = count_channels(spectra)
    records = np.zeros(lengths.size, dtype=RECORD)
    records["mark"], records["y"] = RECORD_MARK, y
    records["length"] = RECORD.itemsize + ENTRY.itemsize * lengths
    records["x"] = np.repeat(np.arange(n_columns), n_detectors)
    records["detector"] = np.tile(np.arange(n_detectors), n_columns)
    records["dead_time"] = dead_time.ravel()
    heads = records.view("<u4").reshape(lengths.size, -1)
    words = np.empty(heads.size + lengths.sum() + 1, dtype="<u4")
    pack_spectra(spectra, heads, words)
    return words[:-1].tobytes()
