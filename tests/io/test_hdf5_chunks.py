"""Chunks that are read past HDF5, compared with what h5py reads."""

import zlib

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsciio_xfm.core.hdf5.stored import find_chunks
from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.exceptions import CorruptFileError

FILTERS = (
    {},
    {"compression": "gzip"},
    {"shuffle": True},
    {"compression": "gzip", "shuffle": True},
    {"compression": "lzf"},
    {"compression": "lzf", "shuffle": True},
)


def write(path, data, chunks, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=data, chunks=chunks, **options)
    return path


def find(path):
    with h5py.File(path) as file:
        return find_chunks(LocalFile.of(path), file["data"])


def make(shape, dtype, seed=0):
    return np.random.default_rng(seed).integers(0, 120, shape).astype(dtype)


@pytest.mark.parametrize("options", FILTERS, ids=str)
@pytest.mark.parametrize("dtype", ["u1", "i2", ">u2", "u4", ">i4", "u8", "f4", ">f8"])
@pytest.mark.parametrize("chunks", [(2, 3, 5), (5, 7, 16), (1, 1, 1), (4, 7, 9)])
def test_equal_to_h5py(tmp_path, options, dtype, chunks):
    data = make((5, 7, 16), dtype)
    found = find(write(tmp_path / "a.h5", data, chunks, **options))
    for key in (np.s_[0:5, 0:7, 0:16], np.s_[1:4, 2:3, 5:11], np.s_[4:5, 6:7, 15:16]):
        block = found[key]
        np.testing.assert_array_equal(block, data[key])
        assert block.dtype == np.dtype(dtype).newbyteorder("=")
    assert found[0:0, 0:7, 0:16].shape == (0, 7, 16)


@given(st.data())
def test_any_block(tmp_path_factory, data):
    shape = data.draw(st.tuples(*[st.integers(1, 9)] * 2))
    chunks = data.draw(st.tuples(*(st.integers(1, n) for n in shape)))
    options = data.draw(st.sampled_from(FILTERS))
    numbers = make(shape, "u2", data.draw(st.integers(0, 9)))
    path = tmp_path_factory.mktemp("chunks") / "a.h5"
    found = find(write(path, numbers, chunks, **options))
    key = tuple(
        slice(*sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))))
        for n in shape
    )
    np.testing.assert_array_equal(found[key], numbers[key])


@pytest.mark.parametrize("fill", [0, 7, -3])
def test_chunks_that_were_never_written(tmp_path, fill):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        options = {"shape": (9, 9), "dtype": "i4", "chunks": (4, 4), "fillvalue": fill}
        dataset = file.create_dataset("data", compression="gzip", **options)
        dataset[5:, 5:] = 1
        expected = dataset[()]
    np.testing.assert_array_equal(find(tmp_path / "a.h5")[0:9, 0:9], expected)


@pytest.mark.parametrize("options", [{"fletcher32": True}, {"scaleoffset": 0}], ids=str)
def test_other_filters_are_left_to_hdf5(tmp_path, options):
    assert find(write(tmp_path / "a.h5", make((5, 6), "u4"), (2, 3), **options)) is None


def test_numbers_without_chunks(tmp_path):
    data = make((5, 6), "u4")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = data
    np.testing.assert_array_equal(find(tmp_path / "a.h5")[1:5, 2:6], data[1:, 2:])


@pytest.mark.parametrize("options", [{}, {"track_times": True, "dtype": "u4"}])
def test_other_layouts_are_left_to_hdf5(tmp_path, options):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        if options:
            file.create_dataset("data", (5, 6), **options)  # nothing is stored of it
        else:
            creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            creation.set_layout(h5py.h5d.COMPACT)
            space = h5py.h5s.create_simple((5, 6))
            h5py.h5d.create(file.id, b"data", h5py.h5t.NATIVE_UINT32, space, creation)
    assert find(tmp_path / "a.h5") is None


def test_filters_that_were_left_out(tmp_path):
    data = make((4, 6), "u2")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        options = {"shape": (4, 6), "dtype": "u2", "chunks": (2, 6)}
        dataset = file.create_dataset("data", compression="gzip", **options)
        for row in (0, 2):
            dataset.id.write_direct_chunk((row, 0), data[row : row + 2].tobytes(), 1)
        np.testing.assert_array_equal(dataset[()], data)
    assert find(tmp_path / "a.h5") is None


def test_sizes_that_changed(tmp_path):
    data = make((8, 6), "u2")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        options = {"chunks": (3, 4), "maxshape": (None, None), "compression": "gzip"}
        dataset = file.create_dataset("data", data=data, **options)
        dataset.resize((5, 5))
        dataset.resize((7, 6))
        expected = dataset[()]
    np.testing.assert_array_equal(find(tmp_path / "a.h5")[0:7, 0:6], expected)


@pytest.mark.parametrize("damage", [b"\0\0\0\0", b"\xff\xff\xff\xff"])
def test_damaged_chunk(tmp_path, damage):
    """HDF5 is asked, and says what is wrong."""
    path = write(tmp_path / "a.h5", make((8, 64), "u4"), (4, 64), compression="gzip")
    with h5py.File(path) as file:
        at = file["data"].id.get_chunk_info(1).byte_offset
    raw = bytearray(path.read_bytes())
    raw[at + 10 : at + 14] = damage
    path.write_bytes(raw)
    found = find(path)
    np.testing.assert_array_equal(found[0:4, 0:64], make((8, 64), "u4")[:4])
    with pytest.raises(CorruptFileError, match="HDF5 cannot read it"):
        found[0:8, 0:64]


@pytest.mark.parametrize("n_bytes", [10, 46, 50, 5000])
def test_streams_of_another_length(tmp_path, n_bytes):
    """HDF5 would give what was in memory before."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        options = {"shape": (4, 6), "dtype": "u2", "chunks": (4, 6)}
        dataset = file.create_dataset("data", compression="gzip", **options)
        dataset.id.write_direct_chunk((0, 0), zlib.compress(b"a" * n_bytes))
    with pytest.raises(CorruptFileError, match=r"expected 48 .*\(byte"):
        find(tmp_path / "a.h5")[0:4, 0:6]


def test_wrong_checksum(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        options = {"shape": (4, 6), "dtype": "u2", "chunks": (4, 6)}
        dataset = file.create_dataset("data", compression="gzip", **options)
        raw = bytearray(zlib.compress(b"a" * 48))
        raw[-1] ^= 1
        dataset.id.write_direct_chunk((0, 0), bytes(raw))
    with pytest.raises(CorruptFileError, match="HDF5 cannot read it"):
        find(tmp_path / "a.h5")[0:4, 0:6]


def test_replaced_file(tmp_path):
    path = write(tmp_path / "a.h5", make((8, 6), "u2"), (4, 6), compression="gzip")
    found = find(path)
    write(path, make((8, 6), "u2", 1), (4, 6), compression="gzip")
    with pytest.raises(CorruptFileError, match="the file was changed"):
        found[0:8, 0:6]
