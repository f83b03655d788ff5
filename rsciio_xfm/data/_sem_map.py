"""A solder joint in an electron microscope, as EDAX's ``.spd`` with what lies beside it."""

from pathlib import Path

import numpy as np

from rsciio_xfm.core.atomic import replacing
from rsciio_xfm.data._phantom import Phantom, claim, tabulate
from rsciio_xfm.data._spectra import Source, expect, pile_up
from rsciio_xfm.formats.edax.layout import (
    IPR_334,
    SPC_COUNTS,
    SPC_HEADER,
    SPC_WHOLE_070,
    SPD_HEADER,
    SPD_TAG,
)

_N_CHANNELS = 2048
_KEV_PER_CHANNEL = 0.01
_BEAM_KV = 20.0
_BEAM = "electrons 20 kV"
_PILE_UP = 0.003  # share of the counts that are two photons
_PIXEL_UM = 0.25
_LIVE_TIME_S = 0.02  # of a pixel
# Relative counts of each phase's lines, counts of a pixel, brightness of the image.
_PHASES = (
    ("resin", {"C": 2.5, "O": 0.7}, 150, 25),
    ("silica", {"Si": 3.0, "O": 2.0}, 420, 70),
    ("copper", {"Cu": 1.6}, 520, 150),
    ("nickel", {"Ni": 1.7, "P": 0.15}, 500, 140),
    ("Cu6Sn5", {"Cu": 0.8, "Sn": 1.5}, 580, 185),
    ("tin", {"Sn": 2.6}, 640, 215),
    ("Ag3Sn", {"Ag": 1.9, "Sn": 0.8}, 620, 235),
)
_XML = """<ExtendedSpectrumData>
  <SpectrumLabel Label="Solder joint" />
  <Geometry WorkingDistance="10.00" />
</ExtendedSpectrumData>
"""
_RESIN, _SILICA, _COPPER, _NICKEL, _CU6SN5, _TIN, _AG3SN = range(len(_PHASES))


def sem_map(
    filename: str | Path, shape: tuple[int, int] = (120, 160), *, overwrite: bool = False
) -> Phantom:
    """Write an EDS map of a polished solder joint: tin on copper, cast in resin.

    Parameters
    ----------
    filename
        Path of the ``.spd`` file; 1 byte a pixel and channel, 39 MB by default. The ``.spc``
        (spectrum and energies), ``.ipr`` (pixel size), ``.bmp`` (image) and ``.xml`` (working
        distance) files are written beside it.
    shape
        Pixels along y and x; the same joint at any size.
    overwrite
        Whether files of these names that are there are replaced.

    Returns
    -------
    Phantom
        Phases; the map has no dead times for each pixel.

    Raises
    ------
    ValueError
        The extension is another one, or the shape is none of a map.
    FileExistsError
        A file is there, and `overwrite` is False.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from rsciio_xfm import data
    >>> joint = data.sem_map("joint.spd")
    >>> hs.load(joint.path, lazy=True)
    <LazyEDSXFMSpectrum, title: joint, dimensions: (160, 120|2048)>
    """
    path = claim(filename, (".spd", ".spc", ".ipr", ".bmp", ".xml"), shape, overwrite)
    rng = np.random.default_rng(0)
    energies = _KEV_PER_CHANNEL * np.arange(_N_CHANNELS)
    # Kramers' law, and what the sample and the detector's window absorb.
    continuum = np.clip(_BEAM_KV - energies, 0, None) / np.maximum(energies, 0.1)
    continuum *= np.exp(-((0.9 / np.maximum(energies, 0.1)) ** 2))
    expected = [
        expect(energies, p, continuum, _BEAM).times(total) for _, p, total, _ in _PHASES
    ]
    spectra, areas = tabulate([pile_up(mixture, _PILE_UP) for mixture in expected])
    source = Source(spectra, rng)
    labels = _assemble(shape)
    total = np.zeros(_N_CHANNELS, dtype=np.int64)
    with replacing(path) as file:
        file.write(_make_header(path, shape))
        for row in labels:
            counts = source.draw(row).astype(np.uint8)
            total += counts.sum(axis=0, dtype=np.int64)
            file.write(counts.tobytes())
    _write_spectrum(path.with_suffix(".spc"), total, labels.size * _LIVE_TIME_S)
    _write_image(path, labels, rng)
    path.with_suffix(".xml").write_text(_XML, encoding="utf-8")
    return Phantom(
        path,
        tuple(name for name, *_ in _PHASES),
        tuple(parts for _, parts, *_ in _PHASES),
        labels,
        spectra,
        areas,
        np.ones(shape),
    )


def _assemble(shape: tuple[int, int]) -> np.ndarray:
    """Return which phase is where: board below, joint, resin with spheres of silica."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: shape[0], : shape[1]] / np.array(shape)[:, None, None]
    x = x * shape[1] / shape[0]
    middle = shape[1] / shape[0] / 2
    labels = np.full(shape, _RESIN)
    for _ in range(45):
        radius = 0.015 + 0.05 * rng.random() ** 2
        centre = rng.random(2) * (1, 2 * middle)
        labels[np.hypot(y - centre[0], x - centre[1]) < radius] = _SILICA
    joint = ((x - middle) / 0.52) ** 2 + ((y - 0.78) / 0.6) ** 2 < 1
    labels[joint] = _TIN
    for _ in range(14):
        angle, length = rng.uniform(0, np.pi), rng.uniform(0.04, 0.11)
        centre = rng.uniform((0.28, middle - 0.35), (0.62, middle + 0.35))
        along = (y - centre[0]) * np.sin(angle) + (x - centre[1]) * np.cos(angle)
        across = (x - centre[1]) * np.sin(angle) - (y - centre[0]) * np.cos(angle)
        labels[joint & (np.abs(along) < length) & (np.abs(across) < 0.008)] = _AG3SN
    scallops = 0.70 - 0.035 * np.abs(np.sin(26 * x + 2 * np.sin(7 * x)))
    pad = np.abs(x - middle) < 0.54
    labels[joint & (y > scallops)] = _CU6SN5
    labels[pad & (y > 0.73)] = _COPPER
    labels[pad & (y > 0.93)] = _NICKEL
    labels[y > 0.96] = _SILICA
    return labels


def _make_header(path: Path, shape: tuple[int, int]) -> bytes:
    header = np.zeros(1, dtype=SPD_HEADER)
    header["tag"], header["version"] = SPD_TAG, 1001
    header["nSpectra"] = shape[0] * shape[1]
    header["nLines"], header["nPoints"] = shape
    header["nChannels"], header["countBytes"] = _N_CHANNELS, 1
    header["dataOffset"], header["nFrames"] = SPD_HEADER.itemsize, 1
    header["fName"] = path.with_suffix(".bmp").name.encode()[:120]
    return header.tobytes()


def _write_spectrum(path: Path, counts: np.ndarray, live_time: float) -> None:
    """Write the sum spectrum, which tells the energies."""
    header = np.zeros(1, dtype=SPC_HEADER)
    header["fVersion"], header["dataStart"] = 0.7, SPC_HEADER.itemsize
    header["collectDateYear"], header["collectDateMon"], header["collectDateDay"] = (
        2026,
        1,
        31,
    )
    header["collectTimeHour"], header["collectTimeMin"] = 9, 30
    header["numPts"], header["evPerChan"] = counts.size, round(1000 * _KEV_PER_CHANNEL)
    header["endEnergy"] = counts.size * _KEV_PER_CHANNEL
    header["liveTime"], header["kV"] = live_time, _BEAM_KV
    header["detReso"], header["elevation"] = 139.0, 35.0
    raw = header.tobytes() + counts.astype(SPC_COUNTS).tobytes()
    path.write_bytes(raw.ljust(SPC_WHOLE_070, b"\0"))


def _write_image(path: Path, labels: np.ndarray, rng: np.random.Generator) -> None:
    """Write an image as of backscattered electrons, and the size of its pixels."""
    from PIL import Image

    grey = np.array([brightness for *_, brightness in _PHASES])[labels]
    noisy = rng.normal(grey, 6).clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(path.with_suffix(".bmp"))
    header = np.zeros(1, dtype=IPR_334)
    header["version"], header["label"] = 334, b"BSE"
    header["mppX"], header["mppY"] = _PIXEL_UM, _PIXEL_UM
    header["accV"] = round(10 * _BEAM_KV)
    path.with_suffix(".ipr").write_bytes(header.tobytes())
