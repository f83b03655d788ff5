"""A simulated MA-XRF scan of a painting whose pigments are known, as ``.raw`` and ``.rpl``.

It is made for the gallery and the benchmarks: lines where exspy knows them, no claim to more
physics than that.
"""

from pathlib import Path

import numpy as np
from exspy.material import elements

N_CHANNELS = 1024
KEV_PER_CHANNEL = 0.025
KEV_OF_CHANNEL_0 = -0.5
SHAPE = (120, 160)

# Relative counts of the lines of each element, and how bright the pigment is.
PIGMENTS = (
    ("lead white", {"Pb": 1.0, "Ca": 0.2}, 500),
    ("azurite", {"Cu": 1.4, "Pb": 0.25}, 420),
    ("lead-tin yellow", {"Pb": 1.2, "Sn": 0.25}, 560),
    ("earth", {"Fe": 1.1, "Mn": 0.12, "Pb": 0.2, "Ca": 0.15}, 380),
    ("vermilion", {"Hg": 1.5, "Pb": 0.15}, 480),
    ("malachite", {"Cu": 0.8, "Fe": 0.25, "Pb": 0.15}, 360),
    ("bone black", {"Ca": 1.0, "Pb": 0.2}, 260),
)
_RPL = """key\tvalue
width\t{width}
height\t{height}
depth\t{depth}
offset\t0
data-Length\t2
data-type\tunsigned
byte-order\tlittle-endian
record-by\tvector"""
_M_SHARE = 0.08  # of the lines of a shell whose energy is low
_LOW_KEV = 3.0


def write_demo_scan(
    raw: str | Path, shape: tuple[int, int] = SHAPE, n_channels: int = N_CHANNELS
) -> tuple[Path, Path]:
    """Write a scan of a painting, which lay upside down in the scanner.

    Parameters
    ----------
    raw
        Path of the ``.raw`` file; the ``.rpl`` file is written beside it.
    shape
        Pixels along y and x.
    n_channels
        Of each spectrum.

    Returns
    -------
    tuple of pathlib.Path
        The two files.
    """
    raw = Path(raw)
    rpl = raw.with_suffix(".rpl")
    rng = np.random.default_rng(0)
    expected = np.array([total * _spectrum(p, n_channels) for _, p, total in PIGMENTS])
    pigments = paint(shape)[::-1]
    with raw.open("wb") as file:
        for row in pigments:
            thickness = rng.normal(1, 0.06, (len(row), 1)).clip(0.7)
            file.write(rng.poisson(thickness * expected[row]).astype("<u2").tobytes())
    rpl.write_text(_RPL.format(width=shape[1], height=shape[0], depth=n_channels))
    return raw, rpl


def paint(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Return which pigment is where: numbers in :data:`PIGMENTS`, the right way up."""
    y, x = np.mgrid[: shape[0], : shape[1]] / np.array(shape)[:, None, None]
    found = np.zeros(shape, dtype=np.intp)
    found[y < 0.66] = 1  # sky
    cloud = ((x - 0.22) / 0.13) ** 2 + ((y - 0.2) / 0.06) ** 2 < 1
    cloud |= ((x - 0.31) / 0.09) ** 2 + ((y - 0.16) / 0.07) ** 2 < 1
    found[cloud] = 0
    found[np.hypot(x - 0.78, (y - 0.2) * shape[0] / shape[1]) < 0.09] = 2  # sun
    found[y > 0.58 + 0.07 * np.sin(9 * x)] = 5  # meadow
    found[y > 0.76 + 0.05 * np.sin(6 * x + 2)] = 3  # field
    house = (np.abs(x - 0.55) < 0.1) & (y > 0.5) & (y < 0.72)
    roof = (np.abs(x - 0.55) < (y - 0.34) * 0.9) & (y > 0.34) & (y <= 0.5)
    found[house], found[roof] = 0, 4
    found[(np.abs(x - 0.55) < 0.022) & (y > 0.6) & (y < 0.72)] = 6  # door
    found[(np.abs(x - 0.2) < 0.012) & (y > 0.45) & (y < 0.8)] = 6  # trunk
    found[np.hypot(x - 0.2, (y - 0.42) * shape[0] / shape[1]) < 0.07] = 5  # crown
    edge = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))
    found[edge < 0.02] = 0
    return found


def _spectrum(pigment: dict[str, float], n_channels: int) -> np.ndarray:
    """Return the expected spectrum of a pigment, normalised: lines, scatter, background."""
    energy = KEV_OF_CHANNEL_0 + KEV_PER_CHANNEL * np.arange(n_channels)
    background = np.exp(-(((energy - 14) / 8) ** 2)) * (energy > 0.5)
    spectrum = 0.35 * background / background.sum()
    # Rh lines of the tube, scattered elastically and, less sharp, by electrons.
    for center, share, width in ((20.2, 0.12, 0.11), (19.4, 0.12, 0.25)):
        spectrum += share * _peak(energy, center, width)
    for name, share in pigment.items():
        for _, line in elements[name].Atomic_properties.Xray_lines:
            center = line["energy (keV)"]
            share_of_line = share * line["weight"]
            if center < _LOW_KEV:
                share_of_line *= _M_SHARE
            if center < energy[-1]:
                width = np.sqrt(0.03**2 + 0.0035 * center / 8)
                spectrum += share_of_line * _peak(energy, center, width)
    return spectrum / spectrum.sum()


def _peak(energy: np.ndarray, center: float, sigma: float) -> np.ndarray:
    profile = np.exp(-(((energy - center) / sigma) ** 2) / 2)
    return profile * KEV_PER_CHANNEL / (sigma * np.sqrt(2 * np.pi))
