"""``file_reader`` for MSA files."""

from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.eds import put
from rsciio_xfm.core.to_dask import in_memory
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.msa import layout
from rsciio_xfm.formats.msa.describe import build_axis, build_metadata
from rsciio_xfm.formats.msa.parse import Spectrum, parse

_MOST_PROBLEMS = 20
_DTYPES = {np.dtype(code).name: np.dtype(code) for code in "?bBhHiIlLqQefd"}


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    encoding: str | None = None,
) -> list[dict[str, Any]]:
    """Read a spectrum of an MSA file (EMSA/MAS, ISO 22029).

    Parameters
    ----------
    filename
        Path of the file.
    lazy
        If True, ``data`` is a dask array; the file is read all the same, it is small.
    chunks
        Of the dask array: anything that :func:`dask.array.core.normalize_chunks` takes.
    encoding
        Of its text. None: UTF-8 if it is that, or has its mark, else Latin-1.

    Returns
    -------
    list of dict
        One signal. ``data``: shape ``(E,)``, float64, or of the type that was saved here.
        ``axes``: the energies in the units of the file; where they are given with the counts,
        and not evenly, as they are. ``original_metadata``: all keywords.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The file is no MSA file.
    rsciio_xfm.exceptions.CorruptFileError
        Something else stands in place of a number, or of a pair of numbers.
    rsciio_xfm.exceptions.TruncatedFileError
        The file ends before its first number.

    Warns
    -----
    UserWarning
        The data are other than the keywords say: more or fewer, cut, of another type, with
        other energies; or a keyword is not understood. What is whole is read.

    Notes
    -----
    Metadata, and the type of signal, are as RosettaSciIO has them, see
    :doc:`/formats/msa`.

    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.msa import file_reader
    >>> s.sum().save("total.msa")
    >>> (spectrum,) = file_reader("total.msa")
    >>> spectrum["data"].shape
    (4096,)
    """
    path = Path(filename)
    spectrum = parse(path, encoding)
    metadata = build_metadata(spectrum)
    put(metadata, "General.original_filename", path.name)
    axis = build_axis(spectrum)
    if spectrum.problems:
        warn(f"{path}: {_join(spectrum.problems)}.")
    data = _to_array(spectrum)
    return [
        {
            "data": in_memory(data, chunks) if lazy else data,
            "axes": [axis],
            "metadata": metadata,
            # So that it is written back as what it is.
            "original_metadata": spectrum.keywords | {"FORMAT": layout.FORMAT},
        }
    ]


def _join(problems: list[str]) -> str:
    """Return what is wrong with a file, as far as anybody reads."""
    n_more = len(problems) - _MOST_PROBLEMS
    return "; ".join(
        problems[:_MOST_PROBLEMS] + ([f"{n_more} more"] if n_more > 0 else [])
    )


def _to_array(spectrum: Spectrum) -> np.ndarray:
    """Return the counts, of the type that they were saved with if they still are of it."""
    tokens = spectrum.tokens
    dtype = _DTYPES.get(spectrum.own.get(layout.OWN_DTYPE, ""), np.dtype(float))
    try:
        if dtype.kind in "biu":
            integers = [int(token) for token in tokens]
            if dtype.kind != "b" or set(integers) <= {0, 1}:
                return np.array(integers, dtype=dtype)
    except (OverflowError, ValueError):  # changed by another program
        pass
    data = np.array([float(token) for token in tokens])
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            own = data.astype(dtype)
        return own if np.array_equal(own, data, equal_nan=True) else data
    return data
