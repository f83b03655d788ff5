"""Arrays that are added to a stack, and left out: what was there stays."""

import os
import subprocess
import sys
import warnings
import zipfile

import dask.array as da
import numpy as np
import pytest

from rsciio_xfm import datastack
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from tests.builders import datastack as builder
from tests.io.test_datastack import FORMATS, make_signal, zarr_arrays


@pytest.fixture(params=[2, 3])
def path(request, tmp_path):
    return builder.write_stack(tmp_path / "map.datastack", zarr_format=request.param)


def check_all(path, expected):
    """All arrays are as expected, for zarr too."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    for name, array in expected.items():
        np.testing.assert_array_equal(datastack.read(path, name, latest=False), array)
    assert set(datastack.tree(path)) == set(expected)
    with zipfile.ZipFile(path) as archive:
        zarr_format = 2 if ".zgroup" in archive.namelist() else 3
    if zarr_format in FORMATS:
        found = zarr_arrays(path)
        assert set(found) == set(expected)
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(3, 4),
        np.array(5),
        np.zeros((0, 3)),
        np.array([True, False]),
        np.arange(4, dtype=">i2"),
        np.array([1 + 2j, 3], dtype=np.complex64),
        da.arange(1000, chunks=300),
        da.ones((70, 30, 9), chunks=(11, 30, 4), dtype="f4").cumsum(0),
        [[1, 2], [3, 4]],
    ],
    ids=lambda a: str(getattr(a, "shape", "list")),
)
def test_append(path, array):
    expected = builder.make_arrays() | {"mine": np.asarray(array)}
    assert datastack.append(array, "mine", path) == "mine"
    check_all(path, expected)
    assert datastack.append(np.arange(3), "mine", path, compressor=None) == "mine_"
    assert datastack.append(np.arange(4), "mine", path, compressor="zstd") == "mine__"
    expected |= {"mine_": np.arange(3), "mine__": np.arange(4)}
    check_all(path, expected)
    assert datastack.latest(path, "mine") == "mine__"
    np.testing.assert_array_equal(datastack.read(path, "mine"), np.arange(4))
    tree = datastack.tree(path)
    assert [tree[n]["is_latest"] for n in ("mine", "mine_", "mine__")] == [0, 0, 1]
    assert tree["mine__"] == {
        "shape": (4,),
        "dtype": "int64",
        "chunks": (4,),
        "n_bytes": 32,
        "n_bytes_stored": tree["mine__"]["n_bytes_stored"],
        "compression": tree["mine__"]["compression"],
        "is_latest": True,
    }
    assert tree["mine__"]["compression"].startswith("zstd")
    assert tree["mine_"]["compression"] == "none"


def test_lists(path):
    ragged = [[3, 1, 2], [], [7], (5, 6)]
    assert datastack.append_list(ragged, "peaks", path) == "peaks"
    assert datastack.read_list(path, "peaks") == [[3, 1, 2], [], [7], [5, 6]]
    padded = datastack.read(path, "peaks")
    assert padded.dtype == np.int64
    np.testing.assert_array_equal(padded[1], [-9999] * 3)
    assert datastack.append_list([[]], "peaks", path) == "peaks_"
    assert datastack.read_list(path, "peaks") == [[]]
    assert datastack.read_list(path, "peaks", latest=False)[0] == [3, 1, 2]


@pytest.mark.parametrize(
    ("ragged", "error", "text"),
    [
        ([], ValueError, "empty"),
        ([[1, -9999]], ValueError, "-9999"),
        ([[1.5]], TypeError, "float64"),
        ([["a"]], TypeError, "expected lists of integers"),
        ([[2**63]], TypeError, "expected lists of integers"),
        ([1, 2], TypeError, "expected lists of integers"),
    ],
)
def test_what_is_no_list_of_lists(path, ragged, error, text):
    before = path.read_bytes()
    with pytest.raises(error, match=text):
        datastack.append_list(ragged, "peaks", path)
    assert path.read_bytes() == before


def test_read_list_of_something_else(path):
    with pytest.raises(FileFormatError, match="expected integers"):
        datastack.read_list(path, "maxrf_energies")
    for function in (datastack.read, datastack.read_list, datastack.latest):
        with pytest.raises(FileNotFoundError, match="'nothing'"):
            function(path, "nothing")


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", ".zarray", "__x", "a\nb", "x" * 201, 5, "é"]
)
def test_names(path, name):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="name of the array"):
        datastack.append(np.arange(3), name, path)
    assert path.read_bytes() == before


def test_what_cannot_be_stored(path):
    before = path.read_bytes()
    unknown = da.arange(9, chunks=3)
    for array, error in (
        (np.array(["text"]), TypeError),
        (np.array([object()]), TypeError),
        (np.ma.masked_array([1, 2], [0, 1]), TypeError),
        (unknown[unknown > 3], ValueError),
        (np.zeros(2, dtype=np.longdouble), None),
    ):
        if error is not None:
            with pytest.raises(error):
                datastack.append(array, "mine", path)
    with pytest.raises(ValueError, match="compressor"):
        datastack.append(np.arange(3), "mine", path, compressor="best")
    assert path.read_bytes() == before


def test_an_error_on_the_way_leaves_the_file(path):
    before = path.read_bytes()

    def fail(block, block_info=None):
        if block_info[0]["chunk-location"] == (7,):
            raise ZeroDivisionError
        return block

    array = da.arange(1000, chunks=100).map_blocks(fail, dtype=int)
    with pytest.raises(ZeroDivisionError):
        datastack.append(array, "mine", path)
    assert path.read_bytes() == before


def test_disk_full(path):
    before = path.read_bytes()
    code = """
import resource, signal, sys, numpy as np
from rsciio_xfm import datastack
import numcodecs.blosc
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
datastack.tree(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    datastack.append(np.random.default_rng(0).random(9000), "mine", sys.argv[1])
except OSError as error:
    print(error.errno, error.filename)
"""
    for room in (100, 5000, 60_000):
        result = subprocess.run(
            [sys.executable, "-c", code, path, str(len(before) + room)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert str(path) in result.stdout
        assert path.read_bytes() == before


def test_killed_while_appending(path):
    """Whatever has been written behind the file, all that was there is found."""
    arrays = builder.make_arrays()
    before = path.read_bytes()
    datastack.append(np.random.default_rng(0).random((300, 300)), "mine", path)
    whole = path.read_bytes()
    assert whole.startswith(before)
    for size in np.linspace(len(before) + 1, len(whole) - 1, 12).astype(int):
        path.write_bytes(whole[:size])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            (signal,) = datastack.file_reader(path)
        # As long as little was written, the old directory is found as it is.
        assert caught or size - len(before) < 70_000
        assert all("repack" in str(warning.message) for warning in caught)
        np.testing.assert_array_equal(signal["data"], arrays["maxrf_cube"])


def test_append_to_a_damaged_file(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with (
        pytest.raises(CorruptFileError, match="repack"),
        pytest.warns(UserWarning, match="damaged"),
    ):
        datastack.append(np.arange(3), "mine", path)
    assert path.read_bytes() == whole[:-30]
    with pytest.warns(UserWarning, match="damaged"):
        datastack.repack(path, show_progressbar=False)
    check_all(path, builder.make_arrays())
    datastack.append(np.arange(3), "mine", path)


def test_two_at_a_time(path):
    pytest.importorskip("fcntl")
    import fcntl

    before = path.read_bytes()
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BlockingIOError, match="another process"):
            datastack.append(np.arange(3), "mine", path)
    assert path.read_bytes() == before


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        datastack.append(np.arange(3), "mine", tmp_path / "no.datastack")
    assert list(tmp_path.iterdir()) == []


# Repacking.


def test_repack(path):
    expected = builder.make_arrays()
    for number in range(3):
        datastack.append(np.arange(20_000) + number, "mine", path, compressor=None)
    before = path.stat().st_size
    names = datastack.repack(path, show_progressbar=False)
    assert names == sorted([*expected, "mine"])
    check_all(path, expected | {"mine": np.arange(20_000) + 2})
    assert path.stat().st_size < before - 2 * 160_000
    other = path.with_name("part.datastack")
    datastack.repack(path, ["mine", "maxrf_energies"], other, show_progressbar=False)
    check_all(
        other,
        {"mine": np.arange(20_000) + 2, "maxrf_energies": expected["maxrf_energies"]},
    )
    check_all(path, expected | {"mine": np.arange(20_000) + 2})


def test_repack_keeps_what_was_saved_with_the_map(tmp_path):
    signal, counts = make_signal()
    path = tmp_path / "saved.datastack"
    signal.save(path)
    datastack.repack(path, ["maxrf_cube"], show_progressbar=False)
    (again,) = datastack.file_reader(path)
    np.testing.assert_array_equal(again["data"], counts)
    np.testing.assert_array_equal(
        again["metadata"]["Sample"]["mask"], signal.metadata.Sample.mask
    )


@pytest.mark.parametrize(
    ("select", "error"), [(["nothing"], FileNotFoundError), ([], ValueError)]
)
def test_repack_of_nothing(path, select, error):
    before = path.read_bytes()
    with pytest.raises(error):
        datastack.repack(path, select, show_progressbar=False)
    assert path.read_bytes() == before


def test_repack_of_a_damaged_chunk(path):
    name = "maxrf_cube/0.0.0"
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        name = name if name in names else "maxrf_cube/c/0/0/0"
        offset = archive.getinfo(name).header_offset + 30 + len(name)
    with path.open("r+b") as file:
        file.seek(offset + 10)
        file.write(b"\xff\xff")
    before = path.read_bytes()
    with pytest.raises(CorruptFileError, match=f"checksum of {name}"):
        datastack.repack(path, show_progressbar=False)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    rest = ["maxrf_energies", "maxrf_maxspectrum"]
    datastack.repack(path, rest, show_progressbar=False)
    check_all(path, {n: a for n, a in builder.make_arrays().items() if n in rest})


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_links_stay(path):
    link = path.with_name("link.datastack")
    link.symlink_to(path)
    datastack.append(np.arange(3), "mine", link)
    datastack.repack(link, show_progressbar=False)
    assert link.is_symlink()
    check_all(path, builder.make_arrays() | {"mine": np.arange(3)})
