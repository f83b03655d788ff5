"""No writer changes a number unsaid: it comes back, is refused, or a warning names it."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest

SHAPE = (3, 4, 10)
SHAPES = {".edf": (12, 10), ".msa": (120,)}
FORMATS = (".GeoPIXE", ".datastack", ".emd", ".h5", ".edf", ".msa")
CODES = "?bBhHiIlLqQefdgFDG"


def make(code):
    dtype = np.dtype(code)
    if dtype.kind in "fc":
        values = np.linspace(0, 1, 120).astype(dtype)
        values[:4] = [0.1, np.nan, np.inf, 1e4 + 0.5]
        return values + 1j if dtype.kind == "c" else values
    values = np.arange(120).astype(dtype)
    if dtype.kind != "b":
        values[:2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    return values


def numbers():
    yield from (pytest.param(make(code), id=np.dtype(code).name + code) for code in CODES)
    yield pytest.param(np.arange(120).astype(">u4"), id="other byte order")
    yield pytest.param(np.arange(120.0), id="counts as float64")
    yield pytest.param(np.array([1, "a"] * 60, dtype=object), id="object")
    yield pytest.param(np.array(["a", "b"] * 60), id="text")
    yield pytest.param(np.arange(120).astype("M8[s]"), id="times")


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("values", list(numbers()))
def test_same_or_said(tmp_path, suffix, values, lazy):
    if lazy and values.dtype.kind in "UM":
        pytest.skip("HyperSpy has no lazy signals of them")
    data = values.reshape(SHAPES.get(suffix, SHAPE))
    s = (hs.signals.Signal2D if suffix == ".edf" else hs.signals.Signal1D)(data)
    s = s.as_lazy() if lazy else s
    path = tmp_path / f"a{suffix}"
    options = {"file_format": "ESRF"} if suffix == ".h5" else {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            s.save(path, **options)
        except (TypeError, ValueError, OverflowError) as exc:
            assert str(path) in str(exc)
            assert not path.exists()
            return
    if any("rounded" in str(w.message) for w in caught):
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that others would have
        found = hs.load(path, **options).data
    is_number = values.dtype.kind in "fc"
    assert np.array_equal(found, data, **({"equal_nan": True} if is_number else {}))
