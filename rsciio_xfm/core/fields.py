"""Fields of headers: numbers that stand at known bytes, each checked before it is believed."""

from collections.abc import Mapping

import numpy as np

from rsciio_xfm.core.source import Source
from rsciio_xfm.exceptions import FileFormatError, TruncatedFileError

# By the name of a field: the least and the largest value, or the very bytes, as of a mark.
Bounds = Mapping[str, tuple[float, float] | bytes]


def read_fields(source: Source, offset: int, dtype: np.dtype, n: int = 1) -> np.ndarray:
    """Read records of a header.

    Parameters
    ----------
    source
        The file.
    offset
        Byte at which they begin.
    dtype
        Of a record, structured or not.
    n
        How many of them there are.

    Returns
    -------
    numpy.ndarray
        Shape (`n`,).

    Raises
    ------
    TruncatedFileError
        The file is too short for them; nothing was allocated then.

    Examples
    --------
    >>> from rsciio_xfm.core.source import Memory
    >>> read_fields(Memory.of(bytes(range(8))), 2, np.dtype("<u2"), 3)
    array([ 770, 1284, 1798], dtype=uint16)
    """
    expected = offset + n * dtype.itemsize
    if source.size < expected:
        raise TruncatedFileError(
            f"{source.name}: the file has {source.size} bytes, expected at least {expected} "
            f"(byte {source.size})."
        )
    raw = np.empty(n * dtype.itemsize, dtype=np.uint8)
    with source.open() as reader:
        reader.read(offset, raw)
    return raw.view(dtype)


def field_offset(dtype: np.dtype, name: str) -> int:
    """Return the byte at which a field begins in a record.

    Parameters
    ----------
    dtype, name
        Of the record, and of its field.

    Raises
    ------
    KeyError
        There is no such field.

    Examples
    --------
    >>> field_offset(np.dtype([("mark", "S2"), ("n_rows", "<u2")]), "n_rows")
    2
    """
    fields: Mapping[str, tuple] = dtype.fields or {}
    return fields[name][1]


def check_fields(
    source: Source, record: np.void, expected: Bounds, offset: int = 0
) -> None:
    """Refuse a record of which a field is not what it may be.

    Parameters
    ----------
    source
        The file.
    record
        A structured one.
    expected
        What each field may be.
    offset
        Byte at which the record begins.

    Raises
    ------
    FileFormatError
        One is not; NaN never is.

    Examples
    --------
    >>> from rsciio_xfm.core.source import Memory
    >>> dtype = np.dtype([("mark", "S2"), ("n_rows", "<u2")])
    >>> source = Memory.of(b"MA" + bytes(2))
    >>> (record,) = read_fields(source, 0, dtype)
    >>> check_fields(source, record, {"mark": b"MA", "n_rows": (1, 4096)})
    Traceback (most recent call last):
    ...
    rsciio_xfm.exceptions.FileFormatError: memory: n_rows is 0, expected 1 to 4096 (byte 2).
    """
    for name, bound in expected.items():
        value = record[name]
        if isinstance(bound, bytes):
            is_right, text = value == bound, repr(bound)
        else:
            least, most = bound
            is_right, text = least <= value <= most, f"{least} to {most}"
        if not is_right:
            raise FileFormatError(
                f"{source.name}: {name} is {value}, expected {text} (byte "
                f"{offset + field_offset(record.dtype, name)})."
            )
