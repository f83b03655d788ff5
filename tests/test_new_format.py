"""The format that the documentation makes up is a sound example."""

import struct
import sys
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm.exceptions import FileFormatError, TruncatedFileError

HEADER = "<8sIIIff"


@pytest.fixture
def toymap(monkeypatch):
    docs = Path(__file__).parents[1] / "docs"
    monkeypatch.setattr(sys, "path", [str(docs / "new_format"), *sys.path])
    import toymap

    return toymap


def write(path, shape=(5, 7, 64), mark=b"TOYMAP01", ev=20.0, n_bytes=None, claims=None):
    counts = np.random.default_rng(0).integers(0, 999, shape, dtype="<u2")
    raw = struct.pack(HEADER, mark, *(claims or shape), ev, 15.0) + counts.tobytes()
    path.write_bytes(raw[:n_bytes])
    return counts


def test_lazy_and_eager(toymap, tmp_path):
    path = tmp_path / "a.toymap"
    counts = write(path)
    for lazy in (True, False):
        s = hs.load(path, file_format=toymap, lazy=lazy)
        np.testing.assert_array_equal(np.asarray(s.data), counts)
        assert s.axes_manager["Energy"].scale == pytest.approx(0.02)
    assert hs.load(path, file_format=toymap, lazy=True).sum().data.sum() == counts.sum()


def test_cut(toymap, tmp_path):
    path = tmp_path / "a.toymap"
    counts = write(path, n_bytes=28 + 3 * 7 * 64 * 2 + 5)
    with pytest.warns(UserWarning, match="2 rows are missing"):
        s = hs.load(path, file_format=toymap, lazy=True)
    np.testing.assert_array_equal(s.data[:3], counts[:3])
    assert not s.data[3:].any().compute()


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"n_bytes": 20}, TruncatedFileError, r"has 20 bytes, expected the 28 .*byte 20"),
        ({"n_bytes": 40}, TruncatedFileError, r"expected at least 924"),
        ({"mark": b"TOYMAP99"}, FileFormatError, r"begins with b'TOYMAP99', expected"),
        ({"ev": float("nan")}, FileFormatError, r"ev_per_channel is nan, .*byte 20"),
        ({"claims": (5, 0, 64)}, FileFormatError, r"n_columns is 0, .*byte 12"),
        ({"claims": (5, 7, 2**31)}, FileFormatError, r"n_channels is 2147483648, .*16\)"),
    ],
)
def test_damage(toymap, tmp_path, changes, error, match):
    write(tmp_path / "a.toymap", **changes)
    with pytest.raises(error, match=match):
        toymap.file_reader(tmp_path / "a.toymap", lazy=True)
