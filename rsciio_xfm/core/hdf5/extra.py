"""What is kept of a signal beside its data in HDF5 files: axes, metadata, learning results."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm.core.hdf5.sizes import check_size
from rsciio_xfm.core.tree import decode_signal, digest, encode_signal
from rsciio_xfm.core.warning import warn

# Ignored by other readers: other names begin with what RosettaSciIO takes for data.
EXTRA = "rsciio_xfm"
_VERSION = 1


def write_extra(
    group: h5py.Group, path: Path, signal: dict[str, Any], axes: list[dict[str, Any]]
) -> None:
    """Write all of a signal but its data.

    Parameters
    ----------
    group
        That of the data.
    path
        Of the file, for warnings.
    signal
        Dictionary of a signal, as HyperSpy passes it to a writer.
    axes
        Of it, in the order of the array's axes.

    Warns
    -----
    UserWarning
        Something in the metadata cannot be written.
    """
    raw, arrays = encode_signal(path, signal, axes)
    extra = group.create_group(EXTRA)
    extra.attrs["version"] = _VERSION
    extra.create_dataset("signal", data=raw)
    stored = extra.create_group("arrays")
    for i, array in enumerate(arrays):
        stored.create_dataset(str(i), data=array)
    # Of fixed length: HDF5 can loop for ever where text of any length was damaged.
    extra.attrs["sha256"] = np.bytes_(digest(raw, arrays))


def has_extra(group: h5py.Group) -> bool:
    """Tell whether :func:`write_extra` wrote to a group."""
    extra = group.get(EXTRA)
    return isinstance(extra, h5py.Group) and "signal" in extra


def read_extra(
    path: Path, group: h5py.Group, shape: tuple[int, ...]
) -> dict[str, Any] | None:
    """Read what :func:`write_extra` wrote.

    Returns
    -------
    dict or None
        All of a signal but its data; None, with a warning, if it is damaged or of other data.
    """
    extra = group[EXTRA]
    try:
        version = int(extra.attrs.get("version", -1))
        if version > _VERSION:
            raise ValueError(f"it is of version {version}, {_VERSION} is known")
        check_size(path, extra["signal"])
        text = extra["signal"][()]
        stored = extra["arrays"]
        arrays = []
        for i in range(len(stored)):
            check_size(path, stored[str(i)])
            arrays.append(stored[str(i)][()])
        sha256 = bytes(extra.attrs.get("sha256", b"")).decode("ascii", "replace")
        return decode_signal(text, arrays, sha256, shape)
    except (
        AttributeError,
        KeyError,
        OSError,
        RecursionError,
        TypeError,
        ValueError,
    ) as exc:
        warn(
            f"{path}: {group.name}/{EXTRA} cannot be read: {exc}. Expected what was saved "
            "with the data: signal type, axes and metadata are those of the file alone."
        )
        return None
