"""MSA files as spectra of a folder, read by the format's own parser."""

from pathlib import Path

import numpy as np

from rsciio_xfm.core.xrf import nearest_line
from rsciio_xfm.formats.msa.describe import build_axis, find_moment, number_of
from rsciio_xfm.formats.msa.parse import Spectrum as Msa
from rsciio_xfm.formats.msa.parse import parse_text
from rsciio_xfm.formats.text_spectra.spectrum import Calibration, Spectrum, sound_times

_KEV = {"ev": 1e-3, "kev": 1.0}
_MOST_BENT = 1.0  # channels by which energies may be off a straight line


def parse(path: Path, content: bytes) -> Spectrum:
    """Read what a folder's map needs of an MSA file.

    Parameters
    ----------
    path
        Of the file.
    content
        All of it, from :func:`rsciio_xfm.formats.text_spectra.parse.read_text`.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        See :func:`rsciio_xfm.formats.msa.parse.parse`.
    """
    found = parse_text(path, content, None)
    live, real = (number_of(found, name) for name in ("LIVETIME", "REALTIME"))
    planned = number_of(found, "NPOINTS")
    return Spectrum(
        "MSA",
        np.array(found.tokens, dtype=float).reshape(-1, 1),
        sound_times([] if live is None else [live]),
        sound_times([] if real is None else [real]),
        _calibration(found),
        keywords=lambda: dict(found.keywords),
        date=" ".join(find_moment(found).values()),
        beam_energy=number_of(found, "BEAMKV"),
        problems=found.problems,
        is_cut=planned is not None and planned > len(found.tokens),
    )


def _calibration(found: Msa) -> list[Calibration]:
    """Return the line through the energies, those of the header or of the data."""
    terms = [number_of(found, name) for name in ("XPERCHAN", "OFFSET")]
    axis = build_axis(found)
    unit = _KEV.get(str(axis["units"]).lower())
    if unit is None or (None in terms and found.energies is None):
        return []
    if "axis" not in axis:
        return [(axis["offset"] * unit, axis["scale"] * unit)]
    offset, scale, bent = nearest_line(axis["axis"])
    if bent > _MOST_BENT:
        found.problems.append(f"the energies are {bent:.2g} channels off a straight line")
    return [(offset * unit, scale * unit)]
