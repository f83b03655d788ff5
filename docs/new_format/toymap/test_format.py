"""Maps of toymap: what the contract (tests/test_contract.py) does not know of them."""

import pickle

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import toymap
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from tests.builders import toymap as builder

SHAPE = (5, 7, 64)


def counts(left_out=()):
    rows = [builder.counts_of_row(y, SHAPE) for y in range(SHAPE[0])]
    numbers = np.array(rows, dtype=np.uint16).reshape(SHAPE)
    numbers[list(left_out)] = 0
    return numbers


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.toymap")


@pytest.mark.parametrize("lazy", [False, True])
def test_counts(path, lazy):
    s = hs.load(path, lazy=lazy)
    np.testing.assert_array_equal(np.asarray(s.data), counts())
    assert s.axes_manager["Energy"].scale == pytest.approx(0.02)
    assert s.metadata.Signal.signal_type == "EDS_XFM"


def test_sums_windows_and_regions(path):
    s, expected = hs.load(path, lazy=True), counts().astype(np.int64)
    np.testing.assert_array_equal(s.sum(), expected.sum(axis=(0, 1)))
    np.testing.assert_array_equal(s.sum("Energy"), expected.sum(axis=2))
    part = s.inav[1:4, 2:].isig[10:20]
    np.testing.assert_array_equal(part.data, expected[2:, 1:4, 10:20])
    np.testing.assert_array_equal(part.sum(), expected[2:, 1:4, 10:20].sum(axis=(0, 1)))
    images = s.get_window_images([(0.4, 0.6)])
    np.testing.assert_array_equal(
        images["0.4-0.6 keV"].data, expected[..., 20:30].sum(axis=2)
    )
    mask = expected[..., 0] > 300
    spectra = s.get_region_spectra({"a": mask})
    np.testing.assert_array_equal(spectra["a"].data, expected[mask].sum(axis=0))


def test_other_processes(path):
    s = hs.load(path, lazy=True)
    again = pickle.loads(pickle.dumps(s.data))
    np.testing.assert_array_equal(again.compute(scheduler="processes"), counts())


def test_rows_that_were_not_measured(tmp_path):
    path = builder.write_map(tmp_path / "map.toymap", left_out=(0, 3))
    np.testing.assert_array_equal(hs.load(path, lazy=True).data, counts((0, 3)))


def test_cut(path):
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.warns(UserWarning, match=r"ends early: 1 rows are missing"):
        s = hs.load(path, lazy=True)
    np.testing.assert_array_equal(s.data, counts((4,)))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"mark": b"TOYMAP99"}, r"mark is b'TOYMAP99', expected .*\(byte 0\)"),
        ({"n_columns": 0}, r"n_columns is 0, expected 1 to 65536 \(byte 12\)"),
        ({"n_channels": 2**31}, r"n_channels is 2147483648, .*\(byte 16\)"),
        ({"n_columns": 2**16}, r"enough for 65536 x 64 counts"),
        ({"ev_per_channel": float("nan")}, r"ev_per_channel is nan, .*\(byte 20\)"),
    ],
)
def test_header(tmp_path, changes, match):
    path = builder.write_map(tmp_path / "map.toymap", **changes)
    with pytest.raises(FileFormatError, match=match):
        toymap.file_reader(path, lazy=True)


def test_short(path):
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(TruncatedFileError, match=r"has 30 bytes, expected at least 44"):
        toymap.file_reader(path, lazy=True)


def test_damage(path):
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    (found,) = toymap.file_reader(path, lazy=True)
    with pytest.raises(
        CorruptFileError, match=r"chunk \(4, 0, 0\) cannot be decompressed"
    ):
        found["data"].compute()
