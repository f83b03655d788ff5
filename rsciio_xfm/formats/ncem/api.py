"""EMD files of NCEM's specification and its kin."""

import traceback
from errno import ENOENT
from pathlib import Path
from typing import Any

import h5py

from rsciio_xfm.core.faults import UPSTREAM
from rsciio_xfm.core.hdf5.links import Group
from rsciio_xfm.exceptions import CorruptFileError
from rsciio_xfm.formats.ncem.data import find_signals, read_signal


def is_ncem(file: Group) -> bool:
    """Tell whether a file is an EMD file of NCEM's specification, or one of its kin."""
    # Of others than the root only if it does not say so: it may hold thousands.
    return _has_version(file) or any(
        isinstance(item, h5py.Group) and _has_version(item) for item in file.values()
    )


def _has_version(group: h5py.Group) -> bool:
    return {"version_major", "version_minor"} <= set(group.attrs)


def read_ncem(
    path: Path, file: Group, names: list[str] | None, lazy: bool, chunks: Any
) -> tuple[list[dict[str, Any]], list[str] | bool]:
    """Read signals of an EMD file of NCEM's; and say what RosettaSciIO has to read.

    Parameters
    ----------
    path, file
        The file, from :func:`rsciio_xfm.core.hdf5.links.open_checked`.
    names
        Paths of data; None is all.
    lazy, chunks
        See :func:`rsciio_xfm.emd.file_reader`.

    Returns
    -------
    signals : list of dict
    others : list of str or bool
        Paths of data; True is what RosettaSciIO finds itself.
    """
    if names is not None:
        missing = [name for name in names if name not in file]
        if missing:
            own, others = find_signals(file)
            raise FileNotFoundError(
                ENOENT,
                f"The file has no {', '.join(map(repr, missing))}, expected as dataset_path "
                f"of {', '.join([*own, *others][:8])}",
                str(path),
            )
        names = [name.strip("/") for name in names]
    own, others = find_signals(file, names)
    signals = []
    for name, group in own.items():
        signal = read_signal(path, group, lazy, chunks)
        if signal is None:
            others.append(name)
        else:
            signals.append(signal)
    # As it finds them: it stacks some, and knows of data of other names.
    return signals, others if own else True


def read_others(
    path: Path,
    lazy: bool,
    others: list[str] | bool,
    names: list[str] | None,
    stack_group: bool | None,
) -> list[dict[str, Any]]:
    """Read what is not read here with RosettaSciIO."""
    from rsciio.emd import file_reader as read_others

    try:
        return read_others(
            str(path),
            lazy=lazy,
            dataset_path=names if others is True else others,
            stack_group=stack_group,
        )
    except UPSTREAM as exc:
        if getattr(exc, "errno", None) is not None:
            raise
        # Lazily, it leaves the file open in these.
        traceback.clear_frames(exc.__traceback__)
        raise CorruptFileError(
            f"{path}: RosettaSciIO cannot read it: {exc!r}. Expected an EMD file of NCEM's "
            "specification or one of its kin (byte 0, the whole file)."
        ) from exc
