"""What no writer takes."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import dask.array as da


def check_plain(path: str | Path, data: "np.ndarray | da.Array") -> None:
    """Refuse arrays that no format here can hold.

    Parameters
    ----------
    path
        Of the file that is written, for messages.
    data
        Any array.

    Raises
    ------
    TypeError
        It is masked.
    ValueError
        The sizes of its chunks are unknown.
    """
    if isinstance(getattr(data, "_meta", data), np.ma.MaskedArray):
        raise TypeError(
            f"{path}: the array is masked, expected a plain one: what is masked would be "
            "valid when it is loaded. Fill it, as with numpy.ma.filled."
        )
    if any(np.isnan(size) for size in data.shape):
        raise ValueError(
            f"{path}: the sizes of the array's chunks are unknown, expected known ones: use "
            "its compute_chunk_sizes method."
        )
