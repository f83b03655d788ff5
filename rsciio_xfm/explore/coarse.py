"""Images that take few bytes: in the smallest type, or coarse while something is dragged."""

import math

import numpy as np

MOST_STEP = 64  # pixels
MOST_BYTES = 145_000  # of an image, compressed as it is sent
_LOOKED_AT = 2**13  # numbers, when it is estimated how well an image compresses


def coarsen(image: np.ndarray, step: int, is_summed: bool) -> tuple[np.ndarray, int]:
    """Return a coarse image that is small enough to be sent, and its step.

    Parameters
    ----------
    image
        Shape (rows, columns).
    step
        Pixels along a side of a block, at least.
    is_summed
        Whether blocks are added up, as counts are. Of anything else every so many pixels are
        taken.
    """
    return shrink(_step(image, step, is_summed), step, is_summed)


def shrink(first: np.ndarray, step: int, is_summed: bool) -> tuple[np.ndarray, int]:
    """Return an image that is coarse already, coarser if it has to be; see `coarsen`."""
    more, sent = 1, smallest(first)
    while (excess := sent_bytes(sent) / MOST_BYTES) > 1 and more < MOST_STEP // step:
        wanted = max(more + 1, math.ceil(more * math.sqrt(excess)))
        more = min(wanted, MOST_STEP // step)
        sent = smallest(_step(first, more, is_summed))
    return sent, step * more


def _step(image: np.ndarray, step: int, is_summed: bool) -> np.ndarray:
    if step == 1:
        return image
    if not is_summed:
        return image[::step, ::step]
    return _sums(_sums(image, step, 0), step, 1)


def _sums(image: np.ndarray, step: int, axis: int) -> np.ndarray:
    """Return sums of so many rows or columns each; the last one may have fewer."""
    shape = [
        -(-size // step) if k == axis else size for k, size in enumerate(image.shape)
    ]
    total = np.zeros(shape, dtype=_dtype_of_sums(image, step))
    for k in range(step):
        part = image[k::step] if axis == 0 else image[:, k::step]
        own = total[: len(part)] if axis == 0 else total[:, : part.shape[1]]
        np.add(own, part, out=own, casting="unsafe")
    return total


def _dtype_of_sums(image: np.ndarray, step: int) -> np.dtype:
    if image.dtype.kind != "u":
        return np.dtype(float)
    most = np.iinfo(image.dtype).max * step
    return np.dtype(next(t for t in (np.uint16, np.uint32, np.uint64) if _holds(t, most)))


def _holds(dtype: type, most: int) -> bool:
    return dtype is np.uint64 or most <= int(np.iinfo(dtype).max)


def sent_bytes(image: np.ndarray) -> float:
    """Return about how many bytes an image has when it is sent, compressed.

    Huffman codes are as long as the entropy of the bytes says, and at least a bit.
    """
    every = max(1, image.size // _LOOKED_AT)
    looked_at = np.ascontiguousarray(image.reshape(-1)[::every]).view(np.uint8)
    counts = np.bincount(looked_at, minlength=256)
    shares = counts[counts > 0] / max(1, looked_at.size)
    bits = max(1.0, float(-(shares * np.log2(shares)).sum()))
    return image.nbytes * bits / 8


def smallest(image: np.ndarray) -> np.ndarray:
    """Return an image in the smallest type that holds it: uint8 to uint32, or float32.

    Whole numbers that are negative or beyond these become real numbers that hold them.
    """
    if image.dtype.kind == "b":
        return image.astype(np.uint8)
    if image.dtype.kind == "f":
        return image.astype(np.float32, copy=False)
    low, high = (int(image.min()), int(image.max())) if image.size else (0, 0)
    for dtype in (np.uint8, np.uint16, np.uint32):
        if low >= 0 and high <= np.iinfo(dtype).max:
            return image.astype(dtype, copy=False)
    is_small = max(abs(low), abs(high)) < 2**24
    return image.astype(np.float32 if is_small else np.float64)
