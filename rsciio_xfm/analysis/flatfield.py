"""Flat-field correction of images: the beam's profile and the dark current taken out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from numbers import Real
from typing import Any

import numpy as np

from rsciio_xfm.core.later import da
from rsciio_xfm.core.warning import warn

# Between flats that are both this far from zero and from overflow, and of the same sign,
# no interpolated one is zero or infinite.
_TINY, _HUGE = 1e-100, 1e100


def correct(
    raw: Any,
    flat: Any,
    dark: Any,
    flat_frames: Sequence[float] | np.ndarray | None = None,
    frames: Sequence[float] | np.ndarray | None = None,
    value: float = np.nan,
) -> Any:
    """Correct images for the beam's profile and the dark current.

    Parameters
    ----------
    raw
        One image, shape (y, x), or frames, shape (frame, y, x): integers or floats; an array,
        a dask array or a HyperSpy signal.
    flat
        What the beam alone gives: one image, shape (y, x), for all frames, or several, shape
        (flat, y, x), that are interpolated. Array or signal; a lazy one is computed.
    dark
        What is measured without beam: shape (y, x), or (dark, y, x), which are averaged.
        Array or signal; a lazy one is computed.
    flat_frames
        Numbers of the frames at which the flats were taken, ascending, one for each flat.
        They may lie between frames, before the first (-1) and after the last. None: flats
        are evenly spread, the first at the first frame and the last at the last frame.
    frames
        Numbers of the frames of `raw`, in any order; None for 0, 1, 2, ... For `raw` that
        was cropped, such as ``s.inav[5:8]`` with ``frames=range(5, 8)``.
    value
        That pixels get which cannot be corrected; NaN or finite.

    Returns
    -------
    numpy.ndarray, dask.array.Array or signal
        float32, what `raw` is and in its shape, never infinite. It is lazy if `raw` is, with
        its chunks; a signal keeps its axes and metadata.

    Raises
    ------
    TypeError
        An image is masked, or not of integers or floats; `value` is not a real number.
    ValueError
        Shapes do not fit, an image is empty, `flat_frames` do not ascend, there are not as
        many of them as flats, or of `frames` as frames of `raw`; `value` is infinite. There
        are several flats without `flat_frames` for a single frame, or with `frames`: where
        they were taken is not known.

    Warns
    -----
    UserWarning
        Pixels get `value`: where the flat equals the dark, or is infinite, how many of all
        frames, at once; where a result is infinite or too large for float32 (`raw` is
        infinite, say), when it is computed.

    Notes
    -----
    ``(raw - dark) / (flat - dark)``, in float64: counts up to 2**53 are subtracted exactly,
    and results are the same in whatever chunks. Between flats ``a`` and ``b``, taken at
    frames ``f`` and ``g``, the flat of frame ``i`` is ``((g - i) a + (i - f) b) / (g - f)``;
    before the first flat and after the last one it stays as it is. NaN in an image gives NaN
    where the pixel does not get `value` anyway.

    Besides `raw` and the result, a few images in float64 are held, of the size of one frame of
    a chunk.

    Examples
    --------
    A beam that fades from 200 to 100 counts during three frames, on 10 dark counts:

    >>> import numpy as np
    >>> raw = np.array([[[110, 210]], [[85, 160]], [[60, 110]]], dtype=np.uint16)
    >>> flat = np.array([[[210, 210]], [[110, 110]]], dtype=np.uint16)
    >>> dark = np.array([[10, 10]], dtype=np.uint16)
    >>> correct(raw, flat, dark)[:, 0]
    array([[0.5, 1. ],
           [0.5, 1. ],
           [0.5, 1. ]], dtype=float32)
    """
    _check_value(value)
    data = _data_of("raw", raw)
    stack = data if data.ndim == 3 else data[None]
    n_frames, shape = stack.shape[0], stack.shape[1:]
    dark_image = np.asarray(_data_of("dark", dark, shape))
    flats = np.asarray(_data_of("flat", flat, shape)).reshape(-1, *shape)
    with np.errstate(all="ignore"):  # of infinite ones
        if dark_image.ndim == 3:
            dark_image = dark_image.mean(axis=0, dtype=np.float64)
        # As floats, so that integers do not wrap.
        beams = np.subtract(flats, dark_image, dtype=np.float64)
    taken, numbers = _frame_numbers(flat_frames, frames, len(flats), n_frames)

    n_dead = _count_dead(beams, taken, numbers)
    if n_dead:
        n_pixels = n_frames * shape[0] * shape[1]
        warn(
            f"flat - dark is 0 or infinite at {n_dead} of {n_pixels} pixels of all frames: "
            f"they are {float(value)} in the result."
        )
    result: np.ndarray | da.Array
    if isinstance(data, da.Array):
        result = _correct_lazily(stack, beams, dark_image, taken, numbers, value)
    else:
        result, n_infinite = _correct_frames(
            stack, beams, dark_image, numbers, taken=taken, value=value
        )
        if n_infinite:
            _warn_of_infinite(str(n_infinite), value)
    if data.ndim == 2:
        result = result[0]
    is_signal = hasattr(raw, "_deepcopy_with_new_data")
    return raw._deepcopy_with_new_data(result) if is_signal else result


def _check_value(value: Any) -> None:
    if not isinstance(value, Real):
        raise TypeError(f"value is {value!r}, expected a real number.")
    try:
        with np.errstate(over="ignore"):
            is_infinite = np.isinf(np.float64(value).astype(np.float32))
    except OverflowError:
        is_infinite = True
    if is_infinite:
        raise ValueError(
            f"value is {value!r:.40}, expected NaN or a number that float32 holds."
        )


def _data_of(name: str, images: Any, shape: tuple[int, ...] | None = None) -> Any:
    """Return the checked array or dask array of one image or several."""
    is_signal = hasattr(images, "_deepcopy_with_new_data")
    data = images.data if is_signal else images
    if isinstance(getattr(data, "_meta", data), np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, expected a plain one: "
            "pass name.filled(...) with a number for what is masked."
        )
    if not isinstance(data, da.Array):
        data = np.asarray(data)
    if data.dtype.kind not in "iuf":
        raise TypeError(f"{name} is of {data.dtype}, expected integers or floats.")
    if data.ndim not in (2, 3):
        raise ValueError(
            f"{name} is of shape {data.shape}, expected (y, x) or (number, y, x)."
        )
    if not all(n > 0 for n in data.shape):  # NaN is a length dask does not know
        raise ValueError(
            f"{name} is of shape {data.shape}, expected known lengths above 0."
        )
    if is_signal and data.ndim == 3 and images.axes_manager.signal_dimension != 2:
        raise ValueError(
            f"{name} is a signal of {images.axes_manager.signal_dimension} dimensions, "
            "expected images along one navigation axis, such as Signal2D."
        )
    if shape is not None and data.shape[-2:] != shape:
        raise ValueError(
            f"{name} has images of shape {data.shape[-2:]}, expected {shape}, that of raw."
        )
    return data


def _frame_numbers(
    flat_frames: Any, frames: Any, n_flats: int, n_frames: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return where the flats and the frames are, both in frame numbers."""
    if flat_frames is not None:
        taken = _numbers("flat_frames", flat_frames, n_flats)
        if not (taken[1:] > taken[:-1]).all():
            raise ValueError(
                f"flat_frames are {taken.tolist()}, expected ascending ones."
            )
    elif n_flats > 1 and (n_frames == 1 or frames is not None):
        raise ValueError(
            f"There are {n_flats} flats for {n_frames} frame(s) of a scan: "
            "pass flat_frames, the numbers of the frames at which they were taken, "
            "or average them."
        )
    else:
        taken = np.linspace(0, n_frames - 1, n_flats)
    if frames is None:
        return taken, np.arange(n_frames, dtype=np.float64)
    return taken, _numbers("frames", frames, n_frames)


def _numbers(name: str, values: Any, n_expected: int) -> np.ndarray:
    numbers = np.atleast_1d(np.asarray(values))
    if numbers.shape != (n_expected,):
        raise ValueError(
            f"{name} is of shape {numbers.shape}, expected {n_expected} number(s)."
        )
    if numbers.dtype.kind not in "iuf":
        raise TypeError(f"{name} is of {numbers.dtype}, expected integers or floats.")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{name} are {numbers.tolist()}, expected finite numbers.")
    return numbers.astype(np.float64)


def _neighbours(taken: np.ndarray, number: float) -> tuple[int, bool]:
    """Return the flat before a frame, and whether the frame lies between two flats."""
    if number < taken[0]:
        return 0, False
    i = int(np.searchsorted(taken, number, side="right")) - 1
    return i, i + 1 < taken.size and number > taken[i]


def _between(
    before: np.ndarray, after: np.ndarray, start: float, stop: float, number: float
) -> np.ndarray:
    """Interpolate; whole numbers of counts that cancel give zero, and not almost zero."""
    return ((stop - number) * before + (number - start) * after) / (stop - start)


def _beam(beams: np.ndarray, taken: np.ndarray, number: float) -> np.ndarray:
    """Return flat - dark of one frame."""
    i, is_between = _neighbours(taken, number)
    if not is_between:
        return beams[i]
    return _between(beams[i], beams[i + 1], taken[i], taken[i + 1], number)


def _is_dead(beam: np.ndarray) -> np.ndarray:
    return (beam == 0) | np.isinf(beam)


@np.errstate(over="ignore", under="ignore", invalid="ignore")
def _count_dead(beams: np.ndarray, taken: np.ndarray, numbers: np.ndarray) -> int:
    """Count the pixels of all frames at which flat - dark is zero or infinite."""
    at_flat = np.zeros(taken.size, dtype=int)  # how many frames have this very flat
    # The frames between it and the next one.
    after_flat: list[list[float]] = [[] for _ in taken]
    for number in numbers:
        i, is_between = _neighbours(taken, number)
        if is_between:
            after_flat[i].append(number)
        else:
            at_flat[i] += 1
    count = 0
    for i, inner in enumerate(after_flat):
        if at_flat[i]:
            count += int(at_flat[i]) * int(np.count_nonzero(_is_dead(beams[i])))
        if inner:
            low, high = np.minimum(*beams[i : i + 2]), np.maximum(*beams[i : i + 2])
            is_safe = (low > _TINY) & (high < _HUGE) | (high < -_TINY) & (low > -_HUGE)
            is_safe |= np.isnan(low)  # NaN is not counted
            before, after = beams[i : i + 2, ~is_safe]
            start, stop = taken[i : i + 2]
            between = (_between(before, after, start, stop, number) for number in inner)
            count += sum(int(np.count_nonzero(_is_dead(beam))) for beam in between)
    return count


@np.errstate(all="ignore")
def _correct_frames(
    raw: np.ndarray,
    beams: np.ndarray,
    dark: np.ndarray,
    numbers: np.ndarray,
    *,
    taken: np.ndarray,
    value: float,
) -> tuple[np.ndarray, int]:
    """Correct frame by frame; return also how many other pixels would be infinite."""
    result = np.empty(raw.shape, dtype=np.float32)
    n_infinite = 0
    for frame, number, corrected in zip(raw, numbers, result, strict=True):
        beam = _beam(beams, taken, number)
        counts = np.subtract(frame, dark, dtype=np.float64)
        corrected[:] = np.divide(counts, beam, out=counts)
        is_dead = _is_dead(beam)
        is_infinite = np.isinf(corrected) & ~is_dead
        n_infinite += int(np.count_nonzero(is_infinite))
        corrected[is_dead | is_infinite] = value
    return result, n_infinite


def _correct_block(*args: np.ndarray, taken: np.ndarray, value: float) -> np.ndarray:
    result, n_infinite = _correct_frames(*args, taken=taken, value=value)
    if n_infinite:
        # No number, so that Python shows it once and not for each block.
        _warn_of_infinite("some", value)
    return result


def _correct_lazily(
    raw: da.Array,
    beams: np.ndarray,
    dark: np.ndarray,
    taken: np.ndarray,
    numbers: np.ndarray,
    value: float,
) -> da.Array:
    """Correct block by block; each gets its part of the flats, the dark and the numbers."""
    of_frames, *of_images = raw.chunks
    return da.blockwise(
        partial(_correct_block, taken=taken, value=value),
        "fyx",
        raw,
        "fyx",
        da.from_array(beams, chunks=(-1, *of_images)),
        "nyx",
        da.from_array(dark, chunks=tuple(of_images)),
        "yx",
        da.from_array(numbers, chunks=(of_frames,)),
        "f",
        concatenate=True,
        meta=np.empty((0, 0, 0), dtype=np.float32),
    )


def _warn_of_infinite(count: str, value: float) -> None:
    warn(
        f"raw - dark over flat - dark is infinite or too large for float32 at {count} pixels: "
        f"they are {float(value)} in the result."
    )
