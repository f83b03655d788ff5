"""Arrays that are added to a stack, and left out: what was there stays."""

import io
import os
import subprocess
import sys
import warnings
import zipfile

import dask.array as da
import hyperspy.api as hs
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
    "name", ["", "a/b", "..", ".zarray", "__x", "a\nb", "x" * 201, "é"]
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
        try:
            datastack.tree(path)
            # As long as little was written, the old directory is found as it is.
            assert size - len(before) < 70_000
        except CorruptFileError as error:
            assert "repack" in str(error)
            with pytest.warns(UserWarning, match="damaged"):
                datastack.repack(path, show_progressbar=False)
        (signal,) = datastack.file_reader(path)
        np.testing.assert_array_equal(signal["data"], arrays["maxrf_cube"])


def test_append_to_a_damaged_file(path):
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(CorruptFileError, match="repack"):
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


# What others leave behind.


def torn(path, name, size):
    """The file as zipfile leaves it when it is killed while it writes a chunk."""
    with zipfile.ZipFile(path) as archive:
        (entry,) = [e for e in archive.infolist() if e.filename.startswith(f"{name}/c/")]
    data = bytearray(path.read_bytes()[: entry.header_offset + size])
    # Sizes and checksum are written when the chunk is whole.
    data[entry.header_offset + 14 : entry.header_offset + 22] = bytes(8)
    path.write_bytes(bytes(data))


@pytest.fixture
def stack(tmp_path):
    return builder.write_stack(tmp_path / "map.datastack")


def test_killed_in_a_chunk_of_a_new_version(stack):
    datastack.append(np.arange(9.0), "mine", stack)
    datastack.append(np.random.default_rng(0).random(50_000), "mine", stack, None)
    torn(stack, "mine_", 200_000)
    with pytest.warns(UserWarning, match="1 of 1 chunks of 'mine_' are missing"):
        datastack.repack(stack, show_progressbar=False)
    check_all(stack, builder.make_arrays() | {"mine": np.arange(9.0)})


def test_killed_appended_killed(stack):
    """What was appended behind the rest of a killed append survives the next kill."""
    datastack.append(np.arange(5000.0), "first", stack, None)
    torn(stack, "first", 20_000)
    assert datastack.append(np.arange(7.0), "second", stack) == "second"
    check_all(stack, builder.make_arrays() | {"second": np.arange(7.0)})
    datastack.append(np.random.default_rng(0).random(50_000), "third", stack, None)
    torn(stack, "third", 100_000)
    with pytest.warns(UserWarning, match="damaged"):
        datastack.repack(stack, show_progressbar=False)
    np.testing.assert_array_equal(datastack.read(stack, "second"), np.arange(7.0))


def test_real_kill(stack):
    """In a process of its own, in the middle of a chunk."""
    datastack.append(np.arange(9.0), "mine", stack)
    before = stack.read_bytes()
    code = """
import os, signal, sys, zipfile
import numpy as np
from rsciio_xfm import datastack
class Killing(zipfile.ZipFile):
    def writestr(self, name, data, **kwds):
        if "mine_/c" in name:
            with self.open(zipfile.ZipInfo(name), "w") as file:
                file.write(data[: len(data) // 2])
                self.fp.flush()
                os.kill(os.getpid(), signal.SIGKILL)
        super().writestr(name, data, **kwds)
zipfile.ZipFile = Killing
datastack.append(np.random.default_rng(0).random(50_000), "mine", sys.argv[1])
"""
    result = subprocess.run([sys.executable, "-c", code, stack], check=False)
    assert result.returncode != 0
    after = stack.read_bytes()
    assert after.startswith(before) and len(after) > len(before) + 100_000
    with pytest.raises(CorruptFileError, match="repack"):
        datastack.read(stack, "mine")
    with pytest.warns(UserWarning, match="damaged"):
        datastack.repack(stack, show_progressbar=False)
    np.testing.assert_array_equal(datastack.read(stack, "mine"), np.arange(9.0))


def test_a_file_that_takes_the_place_of_another_is_not_cut(stack, tmp_path):
    other = builder.write_stack(tmp_path / "other.datastack", chunks=(5, 7, 64))
    content = other.read_bytes()

    def replace(block):
        if block.size:
            os.replace(other, stack)
            raise ZeroDivisionError
        return block

    array = da.zeros(10).map_blocks(replace, meta=np.empty(0), dtype=float)
    with pytest.raises(ZeroDivisionError):
        datastack.append(array, "mine", stack)
    assert stack.read_bytes() == content


def test_repack_keeps_appends_out(stack, monkeypatch):
    pytest.importorskip("fcntl")
    from rsciio_xfm.formats.datastack import copy

    def append(*arguments, original=copy.read_member):
        with pytest.raises(BlockingIOError, match="another process is writing"):
            datastack.append(np.arange(3), "late", stack)
        return original(*arguments)

    monkeypatch.setattr(copy, "read_member", append)
    datastack.repack(stack, show_progressbar=False)
    check_all(stack, builder.make_arrays())


def test_a_version_without_the_first(stack):
    datastack.append([1], "mine_", stack)
    assert datastack.append([2], "mine", stack) == "mine__"
    assert datastack.read(stack, "mine").tolist() == [2]
    datastack.repack(stack, show_progressbar=False)
    assert datastack.read(stack, "mine").tolist() == [2]


def test_what_is_no_array_is_kept(stack):
    """Groups and attributes of other programs."""
    with zipfile.ZipFile(stack, "a") as archive:
        group = '{"zarr_format": 3, "node_type": "group", "attributes": {}}'
        archive.writestr("more/zarr.json", group)
        builder.write_array(archive, "more/inner", np.arange(4))
    datastack.repack(stack, show_progressbar=False)
    with zipfile.ZipFile(stack) as archive:
        assert {"more/zarr.json", "more/inner/zarr.json", "more/inner/c/0"} <= set(
            archive.namelist()
        )
    datastack.repack(stack, ["maxrf_cube"], show_progressbar=False)
    with zipfile.ZipFile(stack) as archive:
        assert not any(name.startswith("more") for name in archive.namelist())


@pytest.mark.parametrize("text", [b"{", b"[1]", b"null", b"[" * 100_000])
def test_damaged_root(stack, text):
    with (
        zipfile.ZipFile(stack, "a") as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        archive.writestr("zarr.json", text)
    datastack.repack(stack, show_progressbar=False)
    check_all(stack, builder.make_arrays())


def test_formats_beside_each_other(tmp_path):
    """A program with zarr 3 that appends to a file of format 2 hides what was there."""
    codec = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}
    path = builder.write_stack(tmp_path / "map.datastack", zarr_format=2, codec=codec)
    new = np.arange(6.0)
    with zipfile.ZipFile(path, "a") as archive:
        root = '{"zarr_format": 3, "node_type": "group", "attributes": {"a": 1}}'
        archive.writestr("zarr.json", root)
        builder.write_array(archive, "extra", new)
    expected = builder.make_arrays() | {"extra": new}
    assert datastack.append(new, "extra", path) == "extra_"
    (signal,) = datastack.file_reader(path)
    np.testing.assert_array_equal(signal["data"], expected["maxrf_cube"])
    datastack.repack(path, show_progressbar=False)
    check_all(path, expected)
    with zipfile.ZipFile(path) as archive:
        assert not any(".z" in name for name in archive.namelist())
        assert b'"a": 1' in archive.read("zarr.json")


@pytest.mark.skipif(FORMATS == (2,), reason="of zarr 3")
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_gathered_descriptions_are_made_anew(tmp_path, zarr_format):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "map.datastack"
    with zarr.storage.ZipStore(path, mode="w") as store, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        group = zarr.open_group(store, mode="w", zarr_format=zarr_format)
        group.create_array("maxrf_cube", data=builder.make_counts())
        zarr.consolidate_metadata(store)
    datastack.append(np.arange(5), "new", path)
    check_all(path, {"maxrf_cube": builder.make_counts(), "new": np.arange(5)})


@pytest.mark.parametrize(
    ("array", "name", "error"),
    [
        (np.zeros(2, dtype=np.longdouble), "mine", TypeError),
        (np.zeros(2), "rsciio_xfm_metadata_0", ValueError),
        (np.zeros(2), "_", ValueError),
        (np.zeros(2), "zarr.json", ValueError),
        ("maxrf_energies", np.zeros(2), TypeError),
    ],
)
def test_refused(stack, array, name, error):
    before = stack.read_bytes()
    with pytest.raises(error):
        datastack.append(array, name, stack)
    assert stack.read_bytes() == before


def test_repack_to_another_file(stack, tmp_path):
    other = tmp_path / "other.datastack"
    other.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        datastack.repack(stack, destination=other, show_progressbar=False)
    with pytest.raises(ValueError, match="the file that is read"):
        datastack.repack(stack, destination=stack, overwrite=True, show_progressbar=False)
    datastack.repack(stack, destination=other, overwrite=True, show_progressbar=False)
    check_all(other, builder.make_arrays())


def test_saving_keeps_appends_out(stack):
    """Neither a save over the file nor an append is lost without a word."""
    pytest.importorskip("fcntl")
    signal = hs.load(stack, lazy=True)

    def save(block):
        if block.size:
            signal.save(stack, overwrite=True)
        return block

    array = da.zeros(10).map_blocks(save, meta=np.empty(0), dtype=float)
    with pytest.raises(BlockingIOError, match="another process is writing"):
        datastack.append(array, "mine", stack)
    check_all(stack, builder.make_arrays())


def test_replaced_while_appending(stack, tmp_path):
    other = builder.write_stack(tmp_path / "other.datastack")

    def replace(block):
        if block.size:
            os.replace(other, stack)
        return block

    array = da.zeros(10).map_blocks(replace, meta=np.empty(0), dtype=float)
    with pytest.raises(CorruptFileError, match=r"replaced by another.*Append it again"):
        datastack.append(array, "mine", stack)
    check_all(stack, builder.make_arrays())


def rewritten(path, descriptors=False, first=b"", empty=False):
    """The same zip as other programs would write it."""

    class Unseekable(io.RawIOBase):
        def __init__(self, file):
            self.file = file

        def writable(self):
            return True

        def write(self, data):
            return self.file.write(data)

    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    with path.open("wb") as file:
        file.write(first)
        stream = Unseekable(file) if descriptors else file
        with zipfile.ZipFile(stream, "w") as target:
            for i, (name, data) in enumerate(members.items()):
                if empty and i == 1:
                    target.writestr("notes.txt", b"")
                target.writestr(name, data)


@pytest.mark.parametrize(
    "kind", [{"descriptors": True}, {"first": b"#!/bin/sh\n"}, {"empty": True}]
)
def test_killed_in_zips_of_other_programs(stack, kind):
    rewritten(stack, **kind)
    datastack.append(np.random.default_rng(0).random(50_000), "mine", stack, None)
    torn(stack, "mine", 200_000)
    with pytest.raises(CorruptFileError, match="repack"):
        datastack.file_reader(stack)
    with pytest.warns(UserWarning, match="damaged"):
        datastack.repack(stack, [*builder.make_arrays()], show_progressbar=False)
    check_all(stack, builder.make_arrays())


def test_little_is_found(stack):
    """A file that may be mended by others is not replaced by next to nothing."""
    data = bytearray(stack.read_bytes())
    for at in range(0, len(data) - 4):
        if data[at : at + 4] == b"PK\x03\x04" and at > 400:
            data[at] = 0
    data[-60:] = bytes(60)
    stack.write_bytes(bytes(data))
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(CorruptFileError, match="Expected at least half"),
    ):
        datastack.repack(stack, show_progressbar=False)
    assert stack.read_bytes() == bytes(data)


def test_newer_arrays_of_format_3(tmp_path):
    """zarr 3 does not see what is of format 2, and begins with the first version again."""
    arrays = builder.make_arrays() | {"mine": np.arange(3), "mine_": np.arange(4)}
    path = builder.write_stack(tmp_path / "map.datastack", arrays, zarr_format=2)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(".zattrs", '{"of": "two"}')
        archive.writestr("zarr.json", '{"zarr_format": 3, "node_type": "group"}')
        builder.write_array(archive, "mine", np.arange(5))
    assert datastack.read(path, "mine").tolist() == [0, 1, 2, 3, 4]
    assert datastack.append(np.arange(6), "mine", path) == "mine__"
    assert datastack.read(path, "mine").tolist() == [0, 1, 2, 3, 4, 5]
    datastack.repack(path, show_progressbar=False)
    check_all(path, builder.make_arrays() | {"mine": np.arange(6)})
    with zipfile.ZipFile(path) as archive:
        assert b'"two"' in archive.read("zarr.json")
        assert ".zattrs" not in archive.namelist()


def test_format_3_below_a_root_of_format_2(tmp_path):
    path = tmp_path / "map.datastack"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(".zgroup", '{"zarr_format": 2}')
        builder.write_array(archive, "mine", np.arange(3))
    datastack.repack(path, show_progressbar=False)
    check_all(path, {"mine": np.arange(3)})


def test_saved_over_with_all_that_is_there(stack):
    energies = np.linspace(-500, 5800, 64)  # in eV: ignored, and kept
    datastack.append(energies, "maxrf_energies", stack)
    datastack.append(np.zeros((3, 0)), "empty", stack)
    with zipfile.ZipFile(stack, "a") as archive:
        archive.writestr("notes.txt", "mine")
        builder.write_array(archive, "words", np.arange(3), data_type="string")
        builder.write_array(archive, "named", np.arange(3), attributes={"a": 1})
    with pytest.warns(UserWarning, match="Is it in eV"):
        signal = hs.load(stack, lazy=True)
    signal.save(stack, overwrite=True)
    np.testing.assert_array_equal(datastack.read(stack, "maxrf_energies"), energies)
    tree = datastack.tree(stack)
    assert tree["empty"]["shape"] == (3, 0) and "fault" in tree["words"]
    with zipfile.ZipFile(stack) as archive:
        assert archive.read("notes.txt") == b"mine"
        assert b'"a": 1' in archive.read("named/zarr.json")
    for shape in ((0,), (0, 5), (3, 0, 2)):
        datastack.append(np.zeros(shape), "empty", stack)
        (found,) = datastack.file_reader(stack, dataset_path="empty")
        assert found["data"].shape == shape
