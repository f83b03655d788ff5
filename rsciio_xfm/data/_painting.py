"""A painting in an MA-XRF scanner, as ``.raw`` and ``.rpl``."""

from pathlib import Path

import numpy as np

from rsciio_xfm.core.atomic import replacing
from rsciio_xfm.core.checks import check_whole
from rsciio_xfm.data._phantom import Phantom, claim, tabulate
from rsciio_xfm.data._spectra import Source, expect, pile_up

_N_CHANNELS = 1024
_KEV_PER_CHANNEL = 0.025
_KEV_OF_CHANNEL_0 = -0.5
_LEAST_CHANNELS = 64  # up to 1 keV

# Relative counts of the lines of each element, and the counts of a pixel.
_PIGMENTS = (
    ("lead white", {"Pb": 2.9, "Ca": 0.6}, 500),
    ("azurite", {"Cu": 4.0, "Pb": 0.7}, 420),
    ("lead-tin yellow", {"Pb": 3.4, "Sn": 0.7}, 560),
    ("earth", {"Fe": 3.1, "Mn": 0.35, "Pb": 0.6, "Ca": 0.4}, 380),
    ("vermilion", {"Hg": 4.3, "Pb": 0.4}, 480),
    ("malachite", {"Cu": 2.3, "Fe": 0.7, "Pb": 0.4}, 360),
    ("bone black", {"Ca": 2.9, "Pb": 0.6}, 260),
)
_BEAM = "Rh 50 kV"
_SCATTER = (0.4, 0.4)  # counts of the tube's lines: elastically, by electrons
_PILE_UP = 0.004  # share of the counts that are two photons
_RPL = """key\tvalue
width\t{width}
height\t{height}
depth\t{depth}
offset\t0
data-Length\t2
data-type\tunsigned
byte-order\tlittle-endian
record-by\tvector"""


def painting(
    filename: str | Path,
    shape: tuple[int, int] = (120, 160),
    *,
    n_channels: int = _N_CHANNELS,
    overwrite: bool = False,
) -> Phantom:
    """Write a scan of a painting, which lay upside down in the scanner.

    Parameters
    ----------
    filename
        Path of the ``.raw`` file; the ``.rpl`` file is written beside it. 2 bytes a pixel and
        channel, 39 MB by default.
    shape
        Pixels along y and x; the same painting at any size.
    n_channels
        Of each spectrum, 64 or more: 25 eV each, the first one at -0.5 keV. The files do not
        say so.
    overwrite
        Whether files of these names that are there are replaced.

    Returns
    -------
    Phantom
        Pigments, where they are when the painting is the right way up:
        ``datastack.convert`` with ``flip_vertical=True``.

    Raises
    ------
    ValueError
        The extension is another one, or an argument makes no map.
    FileExistsError
        A file is there, and `overwrite` is False.

    Examples
    --------
    >>> from rsciio_xfm import data, datastack
    >>> picture = data.painting("new.raw")
    >>> picture.phases[:3]
    ('lead white', 'azurite', 'lead-tin yellow')
    >>> datastack.convert("new.raw", "new.rpl", flip_vertical=True)
    PosixPath('new.datastack')
    """
    path = claim(filename, (".raw", ".rpl"), shape, overwrite)
    check_whole("n_channels", n_channels, least=_LEAST_CHANNELS)
    rng = np.random.default_rng(0)
    energies = _KEV_OF_CHANNEL_0 + _KEV_PER_CHANNEL * np.arange(n_channels)
    continuum = np.exp(-(((energies - 14) / 8) ** 2)) * (energies > 0.5)
    expected = [
        expect(energies, p, continuum, _BEAM, _SCATTER).times(total)
        for _, p, total in _PIGMENTS
    ]
    channel_of_0 = round(-_KEV_OF_CHANNEL_0 / _KEV_PER_CHANNEL)
    expected = [pile_up(mixture, _PILE_UP, channel_of_0) for mixture in expected]
    spectra, areas = tabulate(expected)
    source = Source(spectra, rng)
    labels = _paint(shape)
    thickness = rng.normal(1, 0.06, shape).clip(0.7)
    with replacing(path) as file:
        for row, bright in zip(labels[::-1], thickness[::-1], strict=True):
            file.write(source.draw(row, bright).astype("<u2").tobytes())
    path.with_suffix(".rpl").write_text(
        _RPL.format(width=shape[1], height=shape[0], depth=n_channels), encoding="utf-8"
    )
    return Phantom(
        path,
        tuple(name for name, *_ in _PIGMENTS),
        tuple(parts for _, parts, _ in _PIGMENTS),
        labels,
        spectra,
        areas,
        thickness,
    )


def _paint(shape: tuple[int, int]) -> np.ndarray:
    """Return which pigment is where: numbers in ``_PIGMENTS``, the right way up."""
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
