"""Files whose names differ in a number: rows, or parts, of one map."""

from pathlib import Path

from rsciio_xfm.core.series import find_matching, list_numbered, no_number
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import FileFormatError

_MOST_GAPS = 100  # files that are missing for each one that is there
_SHOWN = 8


def list_series(path: Path, series: bool | str) -> set[Path]:
    """Return the files of a series, whatever their order: see :func:`find_rows`."""
    found = (
        path.parent.glob(series)
        if isinstance(series, str)
        else list_numbered(path).values()
    )
    return set(found)


def find_rows(path: Path, series: bool | str) -> list[Path | None]:
    """Return the files of a series; None for those whose numbers are missing.

    Parameters
    ----------
    path, series
        See :func:`rsciio_xfm.esrf.file_reader`.

    Raises
    ------
    FileFormatError
        The name has no number, numbers are far apart, or no file matches a pattern.

    Warns
    -----
    UserWarning
        Numbers are missing.
    """
    if isinstance(series, str):
        return [*find_matching(path, series)]
    numbered = list_numbered(path)
    if not numbered:
        raise no_number(path, "row_0001.h5")
    first, last = min(numbered), max(numbered)
    if last - first > _MOST_GAPS * len(numbered):
        raise FileFormatError(
            f"{path}: {len(numbered)} files are numbered {first} to {last}, expected at least "
            f"one of {_MOST_GAPS} of these (names of the files in {path.parent})."
        )
    gone = [n for n in range(first, last + 1) if n not in numbered]
    if gone:
        warn(
            f"{path}: of the files numbered {first} to {last}, {len(gone)} are not there: "
            f"{', '.join(map(str, gone[:_SHOWN]))}{' ...' if len(gone) > _SHOWN else ''}. "
            "Their rows are zeros without dead times."
        )
    return [numbered.get(n) for n in range(first, last + 1)]
