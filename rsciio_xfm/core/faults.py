"""Faults in files, said alike everywhere."""

from pathlib import Path

from rsciio_xfm.exceptions import CorruptFileError

# What RosettaSciIO's readers raise of files that are not as they expect.
UPSTREAM = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def ends_early(name: str | Path, at: int, missing: int) -> CorruptFileError:
    """Return the error of a file that ends before what is known to be in it.

    Parameters
    ----------
    name
        Of the file.
    at
        Byte at which it ends.
    missing
        How many bytes more were expected.
    """
    return CorruptFileError(
        f"{name}: the file ends here, expected {missing} bytes more (byte {at}). It was cut "
        "since it was opened; load it again."
    )


def changed(
    name: str | Path, now: tuple[int, ...], expected: tuple[int, ...]
) -> CorruptFileError:
    """Return the error of a file that is not the one that was opened before.

    Parameters
    ----------
    name
        Of the file.
    now, expected
        Its size in bytes and modification time in ns, see
        :func:`rsciio_xfm.core.source.identify`.
    """
    return CorruptFileError(
        f"{name}: the file was changed since it was opened: size {now[0]} bytes and "
        f"modification time {now[1]} ns, expected {expected[0]} and {expected[1]} (byte 0). "
        "Load it again."
    )
