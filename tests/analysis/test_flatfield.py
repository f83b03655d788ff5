"""Flat-field correction against the formula, written out."""

import warnings

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from rsciio_xfm.analysis.flatfield import correct
from tests.conftest import DATA

RNG = np.random.default_rng(0)
SHAPE = (7, 5, 6)
DARK = RNG.integers(90, 110, SHAPE[1:]).astype(np.uint16)
FLATS = RNG.integers(30_000, 60_000, (3, *SHAPE[1:])).astype(np.uint16)
RAW = RNG.integers(0, 60_000, SHAPE).astype(np.uint16)


def reference(raw, flats, dark, taken, numbers, value=np.nan):
    """Correct pixel by pixel, in float64."""
    raw, flats, dark = (np.asarray(a, dtype=np.float64) for a in (raw, flats, dark))
    result = np.empty(raw.shape)
    for f, y, x in np.ndindex(*raw.shape):
        flat = np.interp(numbers[f], taken, flats[:, y, x])
        beam = flat - dark[y, x]
        result[f, y, x] = (raw[f, y, x] - dark[y, x]) / beam if beam else value
    return result


def test_one_image():
    result = correct(RAW[0], FLATS[0], DARK)
    assert result.dtype == np.float32 and result.shape == SHAPE[1:]
    expected = (RAW[0].astype(float) - DARK) / (FLATS[0].astype(float) - DARK)
    np.testing.assert_array_equal(result, expected.astype(np.float32))
    np.testing.assert_array_equal(correct(RAW[:1], FLATS[:1], DARK), result[None])


def test_below_the_dark_does_not_wrap():
    dark = np.full((1, 2), 5, dtype=np.uint8)
    raw = np.array([[0, 255]], dtype=np.uint8)
    flat = np.array([[3, 15]], dtype=np.uint8)
    np.testing.assert_array_equal(correct(raw, flat, dark), [[2.5, 25]])


@pytest.mark.parametrize("dtype", [np.uint32, ">u4", np.int64, np.uint64])
def test_large_counts_stay_exact(dtype):
    dark = np.array([[2**31 + 1, 2**31 + 7]], dtype=dtype)
    raw, flat = dark + np.array([1, 3], dtype=dtype), dark + np.array([2, 4], dtype=dtype)
    np.testing.assert_array_equal(correct(raw, flat, dark), [[0.5, 0.75]])
    np.testing.assert_array_equal(correct(da.from_array(raw), flat, dark), [[0.5, 0.75]])


def test_darks_are_averaged():
    darks = np.stack([DARK, DARK + 3, DARK]).astype(np.uint16)
    result = correct(RAW, FLATS[0], darks)
    np.testing.assert_array_equal(result, correct(RAW, FLATS[0], DARK + 1.0))


def test_large_darks_are_averaged():
    darks = np.full((3, 1, 1), 2**31 + 1, dtype=np.uint32)
    result = correct(darks[0] + np.uint32(1), darks[0] + np.uint32(2), darks)
    np.testing.assert_array_equal(result, [[0.5]])


@pytest.mark.parametrize(
    ("taken", "numbers"),
    [
        (None, None),
        ([0, 3, 6], None),
        ([-1, 2.5, 7], None),
        ([-9, -5, -2], None),
        ([10, 20, 30], None),
        ([2, 3, 4], None),
        ([0, 50, 100], [0, 10, 50, 55, 99.5, 100, 120]),
        ([0, 50, 100], [120, 100, 99, 50, 0, -1, 3]),
    ],
)
def test_several_flats(taken, numbers):
    expected = reference(
        RAW, FLATS, DARK, taken or [0, 3, 6], range(7) if numbers is None else numbers
    )
    result = correct(RAW, FLATS, DARK, flat_frames=taken, frames=numbers)
    np.testing.assert_allclose(result, expected, rtol=2e-7)


def test_more_flats_than_frames():
    expected = reference(RAW[:2], FLATS, DARK, [0, 0.5, 1], [0, 1])
    np.testing.assert_allclose(correct(RAW[:2], FLATS, DARK), expected, rtol=2e-7)


def test_frames_of_a_part():
    whole = correct(RAW, FLATS, DARK, flat_frames=[-1, 3, 8])
    part = correct(RAW[2:5], FLATS, DARK, flat_frames=[-1, 3, 8], frames=range(2, 5))
    np.testing.assert_array_equal(part, whole[2:5])
    image = correct(RAW[4], FLATS, DARK, flat_frames=[-1, 3, 8], frames=[4])
    np.testing.assert_array_equal(image, whole[4])
    # With a single flat it does not matter.
    part = correct(RAW[2:5], FLATS[0], DARK, frames=range(2, 5))
    np.testing.assert_array_equal(part, correct(RAW, FLATS[0], DARK)[2:5])


CHUNKS = [(1, 5, 6), (7, 1, 1), ((3, 4), (2, 2, 1), (5, 1)), (2, 3, 4), -1]


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
@pytest.mark.parametrize("chunks", CHUNKS, ids=str)
@pytest.mark.parametrize("flats", [FLATS[0], FLATS], ids=["one", "several"])
def test_lazy_is_the_same(chunks, scheduler, flats):
    raw = da.from_array(RAW, chunks=chunks)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = correct(raw, flats, DARK)
    assert isinstance(result, da.Array) and result.dtype == np.float32
    assert result.chunks == raw.chunks
    computed = result.compute(scheduler=scheduler)
    assert type(computed) is np.ndarray
    np.testing.assert_array_equal(computed, correct(RAW, flats, DARK))


def test_processes():
    raw = da.from_array(RAW, chunks=(4, 3, 6))
    computed = correct(raw, FLATS, DARK).compute(scheduler="processes", num_workers=2)
    np.testing.assert_array_equal(computed, correct(RAW, FLATS, DARK))


def test_lazy_image():
    raw = da.from_array(RAW[0], chunks=(2, 4))
    result = correct(raw, FLATS[0], DARK)
    assert result.chunks == raw.chunks
    np.testing.assert_array_equal(result, correct(RAW[0], FLATS[0], DARK))


def test_raw_is_not_read_before():
    def fail(block):
        raise AssertionError

    raw = da.from_array(RAW, chunks=2).map_blocks(
        fail, dtype=np.uint16, meta=np.empty((0, 0, 0), dtype=np.uint16)
    )
    with pytest.warns(UserWarning, match="7 of 210 pixels"):
        result = correct(raw, _with(FLATS[0], (2, 3), DARK[2, 3]), DARK)
    with pytest.raises(AssertionError):
        result.compute()


def test_blocks_are_read_one_by_one():
    """A large scan costs the blocks that are asked for."""
    raw = da.zeros((100_000, 500, 600), chunks=(10, 500, 600), dtype=np.uint16)
    flats = np.full((2, 500, 600), 200.0)
    flats[1, 3, 4] = 0
    with pytest.warns(UserWarning, match=r" at 1 of 30000000000 pixels"):
        result = correct(raw, flats, np.full((500, 600), 100.0), flat_frames=[0, 80_000])
    assert result[50_000, :2, :2].compute().tolist() == [[-1, -1], [-1, -1]]


def test_lazy_flats_are_computed():
    result = correct(RAW, da.from_array(FLATS), da.from_array(DARK))
    assert type(result) is np.ndarray
    np.testing.assert_array_equal(result, correct(RAW, FLATS, DARK))


@pytest.mark.parametrize("index", [slice(None), 0], ids=["stack", "image"])
def test_signals(index):
    raw = hs.signals.Signal2D(RAW[index])
    raw.metadata.General.title = "diatom"
    axis = raw.axes_manager[-1]
    axis.name, axis.scale, axis.units = "x", 0.5, "µm"
    flat, dark = hs.signals.Signal2D(FLATS[0]), hs.signals.Signal2D(DARK)
    expected = correct(RAW[index], FLATS[0], DARK)
    for signal in (raw, raw.as_lazy()):
        result = correct(signal, flat, dark.as_lazy())
        assert type(result) is type(signal) and result._lazy == signal._lazy
        np.testing.assert_array_equal(np.asarray(result.data), expected)
        assert result.data.dtype == np.float32
        assert result.metadata.General.title == "diatom"
        assert result.axes_manager.as_dictionary() == raw.axes_manager.as_dictionary()
        np.testing.assert_array_equal(np.asarray(signal.data), RAW[index])


def test_cropped_signal():
    raw = hs.signals.Signal2D(RAW)
    flats = hs.signals.Signal2D(FLATS)
    whole = correct(raw, flats, DARK)
    part = correct(
        raw.inav[2:5], flats, DARK, flat_frames=[0, 3, 6], frames=np.arange(2, 5)
    )
    np.testing.assert_array_equal(part.data, whole.inav[2:5].data)


def test_averaged_signals():
    """What signals of darks give when they are averaged is taken, too."""
    darks = hs.signals.Signal2D(np.stack([DARK, DARK + 2]).astype(np.uint16))
    result = correct(RAW, FLATS[0], darks)
    np.testing.assert_array_equal(result, correct(RAW, FLATS[0], darks.mean()))


def _with(image, where, number):
    image = image.copy()
    image[where] = number
    return image


@pytest.mark.parametrize("value", [np.nan, 0, -1.5, np.float32(2)])
def test_dead_pixels(value):
    flat = _with(FLATS[0], ([1, 4], [2, 0]), DARK[[1, 4], [2, 0]])
    text = rf"at 14 of 210 pixels of all frames: they are {float(value)} in the result"
    with pytest.warns(UserWarning, match=text) as found:
        result = correct(RAW, flat, DARK, value=value)
    assert found[0].filename == __file__ and len(found) == 1
    expected = reference(RAW, flat[None], DARK, [0], range(7), value)
    np.testing.assert_allclose(result, expected, rtol=2e-7)
    with pytest.warns(UserWarning, match=text):
        lazy = correct(da.from_array(RAW, chunks=2), flat, DARK, value=value)
    np.testing.assert_array_equal(lazy, result)


def test_dead_at_a_single_frame():
    # d from -1 to 2 in three frames, and from 3 to -3 in six: zero at frames 1 and 3, in
    # steps that floats do not hold.
    dark = np.full((1, 3), 100, dtype=np.uint16)
    raw = np.full((7, 1, 3), 101, dtype=np.uint16)
    flats = np.array([[[99, 103, 200]], [[102, 100, 200]], [[105, 97, 200]]], np.uint16)
    with pytest.warns(UserWarning, match=r"at 2 of 21 pixels"):
        result = correct(raw, flats, dark)
    assert np.argwhere(np.isnan(result)).tolist() == [[1, 0, 0], [3, 0, 1]]
    # Not at frames that do not hit it.
    correct(
        raw, flats, dark, flat_frames=[0.25, 3.25, 6.25], frames=[0, 1, 2, 3, 4, 5, 6]
    )


def test_dead_where_fractions_are_rounded():
    """Zero is found after a 49th of the way, and 49 x (1 / 49) is not 1 for floats."""
    raw, dark = np.full((1, 1), 7.0), np.zeros((1, 1))
    flats = np.array([[[-1.0]], [[48.0]]])
    with pytest.warns(UserWarning, match="at 1 of 1 pixels"):
        assert np.isnan(correct(raw, flats, dark, flat_frames=[0, 49], frames=[1]))


def test_flats_too_large_to_interpolate():
    raw, dark = np.ones((5, 1, 1)), np.zeros((1, 1))
    flats = np.full((2, 1, 1), 1.5e308)
    with pytest.warns(UserWarning, match="at 3 of 5 pixels"):
        assert np.isnan(correct(raw, flats, dark)[1:4]).all()


small = st.integers(-3, 3).map(float)
odd = st.sampled_from([0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 5e-324, 1e300, -1e300])


@settings(deadline=None, max_examples=200)
@given(
    raw=arrays(np.float64, (5, 2, 2), elements=odd | small),
    flats=arrays(np.float64, (3, 2, 2), elements=odd | small) | arrays(int, (3, 2, 2)),
    dark=arrays(np.float64, (2, 2), elements=small),
    taken=st.lists(st.integers(-2, 7), min_size=3, max_size=3, unique=True).map(sorted),
)
def test_never_infinite_and_all_counted(raw, flats, dark, taken):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        result = correct(raw, flats, dark, flat_frames=taken, value=-7.25)
        lazy = correct(
            da.from_array(raw, chunks=(2, 1, 2)), flats, dark, taken, value=-7.25
        )
        computed = lazy.compute(scheduler="synchronous")
    assert not np.isinf(result).any()
    np.testing.assert_array_equal(computed, result)
    assert {w.category for w in found} <= {UserWarning}
    texts = [str(w.message) for w in found]
    dead = [t for t in texts if t.startswith("flat - dark is")]
    others = [t for t in texts if t.startswith("raw - dark over")]
    n_dead = int(dead[0].split(" at ")[1].split()[0]) if dead else 0
    n_others = int(others[0].split(" at ")[1].split()[0]) if others else 0
    assert len(dead) in (0, 2) and len(set(dead)) <= 1
    assert np.count_nonzero(result == -7.25) == n_dead + n_others
    # Dead is what does not depend on raw.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of_nothing = correct(np.zeros(raw.shape), flats, np.zeros((2, 2)), taken, value=9)
        shifted = correct(
            np.zeros(raw.shape), flats - dark, np.zeros((2, 2)), taken, value=9
        )
    assert not np.isinf(of_nothing).any()
    assert np.count_nonzero(shifted == 9) == n_dead


def test_infinite_flats_do_not_give_zero():
    flats = FLATS[:2].astype(float)
    flats[1, 0, 0] = np.inf
    flats[0, 1, 1] = np.nan
    with pytest.warns(UserWarning, match=r"at 6 of 210 pixels"):
        result = correct(RAW, flats, DARK, value=-1)
    assert (result[1:, 0, 0] == -1).all() and result[0, 0, 0] != -1
    assert np.isnan(result[:6, 1, 1]).all() and np.isfinite(result[6, 1, 1])


def test_flats_after_this_one_do_not_matter():
    flats = np.stack([FLATS[0], FLATS[1], np.full(SHAPE[1:], np.nan)])
    result = correct(RAW, flats, DARK, flat_frames=[0, 3, 6])
    assert np.isfinite(result[:4]).all() and np.isnan(result[4:]).all()
    flats[2] = np.inf
    with pytest.warns(UserWarning, match="at 90 of 210 pixels"):
        infinite = correct(RAW, flats, DARK, flat_frames=[0, 3, 6])
    np.testing.assert_array_equal(infinite, result)


def test_infinite_results():
    raw = RAW.astype(float)
    raw[1, 2, 3], raw[2, 0, 0], raw[3, 0, 0], raw[4, 4, 4] = (
        np.inf,
        -np.inf,
        np.nan,
        1e300,
    )
    with pytest.warns(
        UserWarning, match=r"infinite or too large for float32 at 3 pixels"
    ):
        result = correct(raw, FLATS, DARK, value=-1)
    assert np.argwhere(result == -1).tolist() == [[1, 2, 3], [2, 0, 0], [4, 4, 4]]
    assert np.argwhere(np.isnan(result)).tolist() == [[3, 0, 0]]
    lazy = correct(da.from_array(raw, chunks=3), FLATS, DARK, value=-1)
    with pytest.warns(UserWarning, match=r"float32 at some pixels: they are -1.0"):
        computed = lazy.compute()
    np.testing.assert_array_equal(computed, result)


WRONG = {
    "shape of the flat": (
        {"flat": FLATS[0].T},
        r"flat has images of shape \(6, 5\), expected \(5, 6\)",
    ),
    "shape of the dark": (
        {"dark": DARK[:4]},
        r"dark has images of shape \(4, 6\), expected \(5, 6\)",
    ),
    "1-D": ({"raw": RAW[0, 0]}, r"raw is of shape \(6,\), expected \(y, x\)"),
    "4-D": ({"raw": RAW[None]}, r"raw is of shape \(1, 7, 5, 6\), expected \(y, x\)"),
    "number": ({"dark": 100}, r"dark is of shape \(\), expected \(y, x\)"),
    "4-D flats": ({"flat": FLATS[None]}, r"flat is of shape \(1, 3, 5, 6\)"),
    "no frames": ({"raw": RAW[:0]}, r"raw is of shape \(0, 5, 6\), expected known"),
    "no flats": ({"flat": FLATS[:0]}, r"flat is of shape \(0, 5, 6\), expected known"),
    "unknown length": (
        {"raw": da.from_array(RAW)[da.from_array(RAW[:, 0, 0]) >= 0]},
        r"raw is of shape \(nan, 5, 6\), expected known",
    ),
    "spectra": (
        {"raw": hs.signals.Signal1D(RAW)},
        r"raw is a signal of 1 dimensions, expected images",
    ),
    "descending": ({"flat_frames": [0, 6, 3]}, r"flat_frames are \[0.0, 6.0, 3.0\]"),
    "equal": ({"flat_frames": [0, 3, 3]}, r"flat_frames are .* expected ascending"),
    "two": ({"flat_frames": [0, 6]}, r"flat_frames is of shape \(2,\), expected 3 num"),
    "2-D numbers": ({"flat_frames": [[0, 3, 6]]}, r"flat_frames is of shape \(1, 3\)"),
    "NaN": ({"flat_frames": [0, 1, np.nan]}, r"flat_frames are .* expected finite"),
    "frames": (
        {"frames": range(6), "flat_frames": [0, 3, 6]},
        r"frames is of shape \(6,\), expected 7 number",
    ),
    "frames alone": ({"frames": range(7)}, r"3 flats for 7 frame.*pass flat_frames"),
    "an image": ({"raw": RAW[0]}, r"There are 3 flats for 1 frame.*pass flat_frames"),
    "infinite value": ({"value": np.inf}, r"value is inf, expected NaN or a number"),
    "large value": ({"value": 1e39}, r"value is 1e\+39, expected NaN or a number"),
}


@pytest.mark.parametrize(("wrong", "text"), WRONG.values(), ids=WRONG)
def test_values_that_do_not_fit(wrong, text):
    with pytest.raises(ValueError, match=text):
        correct(**{"raw": RAW, "flat": FLATS, "dark": DARK} | wrong)


MASKED = np.ma.masked_less(RAW, 100)
WRONG_TYPES = {
    "complex": ({"raw": RAW * 1j}, "raw is of complex128, expected integers or floats"),
    "complex dark": ({"dark": DARK * 1j}, "dark is of complex128"),
    "bool": ({"flat": FLATS > 0}, "flat is of bool"),
    "text": ({"dark": [["a"]]}, "dark is of <U1"),
    "masked": ({"raw": MASKED}, "raw is a masked array"),
    "masked flats": ({"flat": MASKED[:3]}, "flat is a masked array"),
    "lazily masked": (
        {"raw": da.ma.masked_less(da.from_array(RAW), 100)},
        "raw is a masked array",
    ),
    "frames": ({"flat_frames": ["a", "b", "c"]}, "flat_frames is of <U1"),
    "no value": ({"value": None}, "value is None, expected a real number"),
    "complex value": ({"value": 1j}, "value is 1j, expected a real number"),
}


@pytest.mark.parametrize(("wrong", "text"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_types_that_do_not_fit(wrong, text):
    with pytest.raises(TypeError, match=text):
        correct(**{"raw": RAW, "flat": FLATS, "dark": DARK} | wrong)


def test_diatom():
    fabio = pytest.importorskip("fabio")
    images = []
    for name in ("data", "flat", "dark"):
        path = DATA / "esrf" / "diatom" / f"{name}.edf"
        if not path.is_file():
            pytest.skip(f"{path} is not there")
        with fabio.open(path) as file:
            images.append(file.data)
    raw, flat, dark = (image.astype(np.float64) for image in images)
    result = correct(*images)
    np.testing.assert_allclose(result, (raw - dark) / (flat - dark), rtol=1e-7)
    with dask.config.set(scheduler="threads"):
        lazy = correct(da.from_array(images[0], chunks=200), *images[1:])
        np.testing.assert_array_equal(lazy, result)
