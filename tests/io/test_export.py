"""Arrays as .npy files."""

import dask.array as da
import numpy as np
import pytest

from rsciio_xfm.core import export
from rsciio_xfm.core.export import write_npy


@pytest.mark.parametrize("dtype", ["uint8", ">u2", "float32"])
@pytest.mark.parametrize("chunks", [None, (2, 3, 4), (1, 5, 2)])
def test_round_trip(tmp_path, dtype, chunks):
    data = np.random.default_rng(0).integers(0, 200, (3, 5, 7)).astype(dtype)
    write_npy(data if chunks is None else da.from_array(data, chunks), tmp_path / "a.npy")
    found = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert found.dtype == data.dtype
    np.testing.assert_array_equal(found, data)


def test_empty(tmp_path):
    write_npy(np.zeros((0, 3), np.uint8), tmp_path / "a.npy")
    assert np.load(tmp_path / "a.npy").shape == (0, 3)


def test_failure_leaves_the_old_file(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"old")

    def fail(block):
        raise ValueError("damaged")

    data = da.ones((4, 4), chunks=2).map_blocks(fail, dtype=float)
    with pytest.raises(ValueError, match="damaged"):
        write_npy(data, tmp_path / "a.npy")
    assert (tmp_path / "a.npy").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("has_fallocate", [True, False])
def test_no_space(tmp_path, monkeypatch, has_fallocate):
    """Found out before anything is written."""
    if not has_fallocate:
        monkeypatch.delattr(export.os, "posix_fallocate")
    huge = da.zeros((2**20, 2**20, 2**6), chunks=(2**10, 2**10, 2**6), dtype=np.uint8)
    with pytest.raises(OSError, match=r"a\.npy"):
        write_npy(huge, tmp_path / "a.npy")
    assert list(tmp_path.iterdir()) == []


def test_without_fallocate(tmp_path, monkeypatch):
    monkeypatch.delattr(export.os, "posix_fallocate")
    write_npy(np.arange(6), tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.arange(6))
