"""``file_reader`` for spectra as text."""

from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core import xrf as meta
from rsciio_xfm.core.checks import check_number_of
from rsciio_xfm.core.eds import DETECTOR_AXIS, build_axis
from rsciio_xfm.core.to_dask import in_memory
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.esrf import file_reader as read_esrf
from rsciio_xfm.formats.msa import file_reader as read_msa
from rsciio_xfm.formats.spec.api import is_spec
from rsciio_xfm.formats.text_spectra.kernels import describe
from rsciio_xfm.formats.text_spectra.parse import find_dialect, read_text
from rsciio_xfm.formats.text_spectra.spectrum import Spectrum, parse_moment
from rsciio_xfm.formats.text_spectra.times import combine

_EXACT = 2**53


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    detector: int | None = None,
    sum_detectors: bool = True,
) -> list[dict[str, Any]]:
    """Read a spectrum as text, whose dialect its content tells.

    Parameters
    ----------
    filename
        Path of an Amptek ``.mca`` file (DPPMCA), an EPICS ``.mca`` file (GSECARS), an AXIL or
        QXAS ``.spe`` file, or one of columns of numbers as PyMca takes them. An MSA file is
        read by :func:`rsciio_xfm.msa.file_reader`, a SPEC file by
        :func:`rsciio_xfm.esrf.file_reader`.
    lazy
        If True, ``data`` is a dask array; the file is read all the same, it is small.
    chunks
        Of the dask array: anything that :func:`dask.array.core.normalize_chunks` takes.
    detector
        EPICS: read this detector only, 0 being the first.
    sum_detectors
        EPICS: add up all detectors; if False, they are the first axis.

    Returns
    -------
    list of dict
        One signal. ``data``: counts, shape ``(E,)``, or ``(detector, E)``; uint32 if they are
        whole, a larger type if they do not fit, float64 if they are not. ``axes``: Energy in
        keV if there is a calibration. ``metadata``: signal type EDS_XFM, live and real time in
        s, dead time in percent. ``original_metadata``: all keywords, as text.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no spectrum in a dialect that is known.
    rsciio_xfm.exceptions.CorruptFileError
        Something else stands in place of a number; its header contradicts the data.
    rsciio_xfm.exceptions.TruncatedFileError
        The file ends before its first count.
    ValueError
        There is no such detector.

    Warns
    -----
    UserWarning
        The file is cut, or has more or fewer channels than it says: what is there is read. The
        calibration bends, or differs between the detectors that are added up.

    Notes
    -----
    The energies are those of the straight line through the pairs of channel and energy
    (Amptek), by least squares if there are more than two, or of the terms in the file (EPICS,
    AXIL).

    Source of the formats: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.text_spectra import file_reader
    >>> (spectrum,) = file_reader("point.mca")
    >>> spectrum["data"].shape
    (2048,)
    """
    path = Path(filename)
    content = read_text(path)
    if is_spec(content[: 2**13]):
        options = {} if sum_detectors else {"sum_detectors": False}
        return read_esrf(path, lazy, chunks, detector=detector, **options)  # type: ignore[arg-type]
    dialect = find_dialect(path, content)
    if dialect.name == "MSA":
        return read_msa(path, lazy, chunks)
    with np.errstate(all="ignore"):
        spectrum = dialect.parse(path, content)
        if spectrum.problems:
            warn(f"{path}: {'; '.join(spectrum.problems)}.")
        _choose_detector(path, spectrum, detector)
        signal = build_signal(path, spectrum, sum_detectors)
    if lazy:
        signal["data"] = in_memory(signal["data"], chunks)
    return [signal]


def _choose_detector(path: Path, spectrum: Spectrum, detector: Any) -> None:
    """Leave out all detectors but one, if it is asked for."""
    if detector is None:
        return
    n = spectrum.counts.shape[1]
    more = f": the file has {n} detector{'s' if n > 1 else ''}"
    number = check_number_of(str(path), "detector", detector, n, more)
    own = slice(number, number + 1)
    spectrum.counts = spectrum.counts[:, own]
    spectrum.live, spectrum.real = spectrum.live[own], spectrum.real[own]
    spectrum.calibrations = spectrum.calibrations[own]


def build_signal(path: Path, spectrum: Spectrum, is_sum: bool) -> dict[str, Any]:
    """Describe a spectrum, or those of several detectors or their sum.

    Parameters
    ----------
    path
        Of the file.
    spectrum
        What it holds.
    is_sum
        Whether detectors are added up.
    """
    n_channels, n_detectors = spectrum.counts.shape
    is_sum = is_sum and n_detectors > 1
    counts = spectrum.counts.T
    counts = counts.sum(axis=0) if is_sum or n_detectors == 1 else counts
    axes = [energy_axis(path, spectrum, n_channels)]
    if counts.ndim > 1:
        axes.insert(0, build_axis(DETECTOR_AXIS, n_detectors, None, None))
    times = combine(
        *(_each(seconds, n_detectors) for seconds in (spectrum.live, spectrum.real))
    )
    signal = meta.build_map(
        path,
        path.stem,
        axes,
        times.dead[:, 0] if times.dead is not None and counts.ndim > 1 else None,
        times.real,
        n_detectors=n_detectors if is_sum else 0,
        instrument=_instrument(spectrum, times.dead),
        beam_energy=spectrum.beam_energy,
        date=parse_moment(spectrum.date),
        live_time=times.live,
    )
    return signal | {
        "data": to_counts(counts),
        "original_metadata": meta.clean(spectrum.keywords()),
    }


def _each(seconds: list[float], n: int) -> np.ndarray:
    """Return times of each detector, NaN where they are not known."""
    return np.array(seconds or [np.nan] * n, dtype=float).reshape(-1, 1)


def _instrument(spectrum: Spectrum, dead: np.ndarray | None) -> dict[str, Any]:
    found: dict[str, Any] = {"file": spectrum.dialect}
    if dead is not None:
        percent = dead[:, 0].round(6).tolist()
        found["dead_time"] = percent[0] if len(percent) == 1 else percent
    return found


def energy_axis(path: Path, spectrum: Spectrum, n_channels: int) -> dict[str, Any]:
    """Make the energy axis; that of the first detector where there are several."""
    found = spectrum.calibrations
    if len(found) > 1:
        meta.warn_of_calibrations(str(path), found, n_channels)
    return meta.energy_axis(
        str(path), n_channels, found[0] if found else None, spectrum.first
    )


def to_counts(values: np.ndarray) -> np.ndarray:
    """Return numbers in a type of integers if they are whole, as they are if not."""
    return values.astype(dtype_of(*describe(np.ascontiguousarray(values))))


def dtype_of(least: float, most: float, is_whole: bool) -> np.dtype:
    """Choose a type for numbers.

    Parameters
    ----------
    least, most
        Of them and 0.
    is_whole
        Whether all are.
    """
    if not is_whole or max(-least, most) > _EXACT:
        return np.dtype(np.float64)
    if least < 0:
        return np.dtype(np.int32 if max(-least, most) < 2**31 else np.int64)
    return np.dtype(np.uint32 if most < 2**32 else np.uint64)
