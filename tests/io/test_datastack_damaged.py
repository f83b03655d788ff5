"""Stacks that are damaged, cut or lie: a clear error, or what is whole with a warning."""

import contextlib
import json
import os
import struct
import tracemalloc
import warnings
import zipfile

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from rsciio_xfm import datastack
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.datastack import file_reader
from tests.builders import datastack as builder

ZSTD = {"id": "zstd", "level": 1}
BLOSC = {"id": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1, "blocksize": 0}


@pytest.fixture(params=[(2, None), (2, BLOSC), (3, None), (3, ZSTD)])
def path(request, tmp_path):
    zarr_format, codec = request.param
    return builder.write_stack(
        tmp_path / "map.datastack", zarr_format=zarr_format, codec=codec
    )


@contextlib.contextmanager
def little_memory(n_bytes=2**23):
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < n_bytes
    finally:
        tracemalloc.stop()


def rewrite(path, changes):
    """Replace files in a zip; None leaves one out."""
    with zipfile.ZipFile(path) as source:
        members = {name: source.read(name) for name in source.namelist()}
    members |= changes
    with zipfile.ZipFile(path, "w") as target:
        for name, data in members.items():
            if data is not None:
                target.writestr(name, data)


def described_as(path, name, **changes):
    """Change the description of an array."""
    with zipfile.ZipFile(path) as source:
        (text,) = {f"{name}/.zarray", f"{name}/zarr.json"} & set(source.namelist())
        tree = json.loads(source.read(text))
    for keys, value in changes.items():
        node = tree
        *first, last = keys.split("__")
        for key in first:
            node = node[key]
        node[last] = value
    rewrite(path, {text: json.dumps(tree).encode()})
    return text


def mended(path, text="damaged"):
    """What cannot be opened becomes a sound file of what is whole."""
    with pytest.raises(CorruptFileError, match=r"datastack\.repack") as caught:
        file_reader(path)
    assert str(path) in str(caught.value) and "byte" in str(caught.value)
    other = path.with_name("mended.datastack")
    with pytest.warns(UserWarning, match=text):
        datastack.repack(path, None, other, show_progressbar=False, overwrite=True)
    return other


def test_every_truncation(path):
    """Whole chunks are right when the file is mended; what is missing is said, and is zero."""
    whole = path.read_bytes()
    counts = builder.make_counts()
    other = path.with_name("mended.datastack")
    n_read = 0
    for size in range(0, len(whole), max(1, len(whole) // 150)):
        path.write_bytes(whole[:size])
        with pytest.raises(FileFormatError, match="byte") as caught:
            file_reader(path)
        assert str(path) in str(caught.value)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                datastack.repack(
                    path, None, other, show_progressbar=False, overwrite=True
                )
                (signal,) = file_reader(other)
            except FileFormatError as error:
                assert "byte" in str(error) or "zip" in str(error)
                continue
        n_read += 1
        data = signal["data"]
        assert ((data == counts) | (data == 0)).all()
        assert "damaged" in str(caught[0].message)
        is_said = "chunks of 'maxrf_cube' are missing" in str(caught[0].message)
        assert is_said == ("were missing when" in str(caught[-1].message))
        assert is_said or np.array_equal(data, counts)
    assert n_read > 50


@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=300)
def test_flipped_bytes(path, data):
    whole = getattr(test_flipped_bytes, "whole", {}).setdefault(path, path.read_bytes())
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        damaged[at] ^= data.draw(st.integers(1, 255))
    other = path.with_name("damaged.datastack")
    other.write_bytes(bytes(damaged))
    counts = builder.make_counts()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            (signal,) = file_reader(other)
        except (FileFormatError, FileNotFoundError) as error:
            assert str(other) in str(error)
            return
    found = signal["data"]
    # Its checksum protects a chunk; a description is JSON, in which a digit can change.
    if found.shape == counts.shape and found.dtype == counts.dtype:
        assert ((found == counts) | (found == 0)).all() or _is_description_changed(
            path, other
        )


test_flipped_bytes.whole = {}


def _is_description_changed(path, other):
    texts = []
    for one in (path, other):
        with zipfile.ZipFile(one) as archive:
            texts.append(
                [archive.read(n) for n in archive.namelist() if "/c" not in n[-9:]]
            )
    return texts[0] != texts[1]


@pytest.mark.parametrize("size", ["chunk", "header"])
def test_a_damaged_chunk_is_named(path, size):
    with zipfile.ZipFile(path) as archive:
        (entry,) = [
            e
            for e in archive.infolist()
            if e.filename in ("maxrf_cube/1.1.0", "maxrf_cube/c/1/1/0")
        ]
    at = entry.header_offset + (0 if size == "header" else 40 + len(entry.filename))
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xa5\xa5")
    lazy = file_reader(path, lazy=True, chunks=(2, 3, 40))[0]["data"]
    assert lazy[4:, :3].compute().shape == (1, 3, 64)
    with pytest.raises(CorruptFileError) as caught:
        file_reader(path)
    assert entry.filename in str(caught.value) or size == "header"
    assert str(path) in str(caught.value)
    assert f"byte {entry.header_offset}" in str(caught.value)


def test_no_zip(tmp_path):
    path = tmp_path / "map.datastack"
    for content in (b"", b"PK", b"\0" * 100, b"PK\3\4" + b"\0" * 100, os.urandom(999)):
        path.write_bytes(content)
        for function in (file_reader, datastack.tree, datastack.repack):
            with pytest.raises(FileFormatError, match="no zip") as caught:
                function(path)
            assert str(path) in str(caught.value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("letter.txt", "hello")
    with pytest.raises(FileFormatError, match=r"no zarr store.*letter\.txt"):
        file_reader(path)
    with pytest.raises(FileFormatError, match="folder"):
        file_reader(tmp_path)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"shape": [5, 7]}, "cannot be read|shape"),
        ({"shape": [5, -7, 64]}, "cannot be read"),
        ({"shape": [5, 7.5, 64]}, "cannot be read"),
        ({"shape": "5"}, "cannot be read"),
        ({"shape": [10**9, 10**9, 4096]}, "chunks of 'maxrf_cube'|cannot be read"),
        ({"shape": [100_000, 100_000, 64]}, "15 of the .* chunks|are there"),
        ({"zarr_format": 4}, "cannot be read"),
        ({"fill_value": "much"}, "cannot be read"),
    ],
)
def test_lying_descriptions(tmp_path, version, changes, text):
    path = builder.write_stack(tmp_path / "map.datastack", zarr_format=version)
    described_as(path, "maxrf_cube", **changes)
    for lazy in (True, False):
        with little_memory(), pytest.raises(FileFormatError, match=text) as caught:
            file_reader(path, lazy=lazy)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("version", "changes", "text"),
    [
        (2, {"chunks": [0, 3, 40]}, "cannot be read"),
        (2, {"chunks": [2**12, 2**12, 2**12]}, "a chunk of more than"),
        (2, {"dtype": "|O"}, "expected numbers"),
        (2, {"dtype": [["a", "<i4"]]}, "expected numbers"),
        (2, {"dtype": "<q9"}, "cannot be read"),
        (2, {"order": "Z"}, "cannot be read"),
        (2, {"filters": [{"id": "delta"}]}, "filters"),
        (2, {"compressor": {"id": "lzma"}}, "'lzma', expected one of blosc"),
        (3, {"data_type": "string"}, "expected numbers"),
        (3, {"node_type": "door"}, "cannot be read"),
        (3, {"chunk_grid": {"name": "rectangular"}}, "expected a regular one"),
        (3, {"codecs": []}, "cannot be read"),
        (3, {"codecs": [{"name": "sharding_indexed"}]}, "'sharding_indexed'"),
        (3, {"storage_transformers": [{"name": "x"}]}, "storage transformers"),
    ],
)
def test_kinds_that_are_not_read(tmp_path, version, changes, text):
    path = builder.write_stack(tmp_path / "map.datastack", zarr_format=version)
    described_as(path, "maxrf_cube", **changes)
    with pytest.raises(FileFormatError, match=text) as caught:
        file_reader(path)
    assert "maxrf_cube" in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[" * 100_000, b"\xff", b"null"])
def test_descriptions_that_are_none(tmp_path, content):
    path = builder.write_stack(tmp_path / "map.datastack")
    rewrite(path, {"maxrf_cube/zarr.json": content})
    with pytest.raises(CorruptFileError, match="'maxrf_cube' cannot be read"):
        file_reader(path)


def test_wrong_rank(tmp_path):
    arrays = builder.make_arrays() | {"maxrf_cube": np.zeros((3, 64), dtype=np.uint16)}
    path = builder.write_stack(tmp_path / "map.datastack", arrays, chunks=(3, 64))
    with pytest.raises(CorruptFileError, match=r"\(3, 64\), expected .*\(y, x, E\)"):
        file_reader(path)
    arrays["maxrf_cube"] = np.zeros((0, 3, 64), dtype=np.uint16)
    path = builder.write_stack(tmp_path / "empty.datastack", arrays, chunks=(1, 3, 64))
    with pytest.raises(CorruptFileError, match="none of them 0"):
        file_reader(path)


def test_chunks_of_another_size(tmp_path):
    numcodecs = pytest.importorskip("numcodecs")
    for codec in (None, ZSTD, BLOSC, {"id": "gzip", "level": 1}):
        path = builder.write_stack(tmp_path / "map.datastack", codec=codec)
        for n_bytes in (0, 1, 479, 481, 10_000_000):
            chunk = bytes(n_bytes)
            if codec is not None:
                chunk = bytes(numcodecs.get_codec(codec).encode(chunk or b"x"))
            rewrite(path, {"maxrf_cube/c/0/0/0": chunk})
            with pytest.raises(CorruptFileError, match="maxrf_cube/c/0/0/0"):
                file_reader(path)


@pytest.mark.parametrize("codec", [ZSTD, BLOSC, {"id": "gzip", "level": 1}])
def test_chunks_that_claim_much(tmp_path, codec):
    """What a chunk says of itself takes no memory, nor does what it expands to."""
    numcodecs = pytest.importorskip("numcodecs")
    bomb = bytes(numcodecs.get_codec(codec).encode(bytes(2**27)))
    path = builder.write_stack(tmp_path / "map.datastack", codec=codec)
    lies = [bomb, b"\x28\xb5\x2f\xfd\xe0" + b"\xff" * 30]
    if codec is BLOSC:
        lies.append(struct.pack("<BBBBIII", 2, 1, 1, 2, 480, 480, 2**31 - 1) + b"\0" * 99)
        lies.append(struct.pack("<BBBBIII", 2, 1, 1, 2, 2**31 - 1, 480, 115) + b"\0" * 99)
    for lie in lies:
        rewrite(path, {"maxrf_cube/c/0/0/0": lie})
        with little_memory(), pytest.raises(CorruptFileError, match="maxrf_cube/c/0/0/0"):
            file_reader(path)


def test_deflated_bomb(tmp_path):
    path = builder.write_stack(tmp_path / "map.datastack")
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        archive.writestr("maxrf_cube/c/0/0/0", bytes(2**27))
    with pytest.raises(CorruptFileError, match="has 134217728 bytes"):
        file_reader(path)
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        archive.writestr("maxrf_cube/zarr.json", bytes(2**27))
    with pytest.raises(CorruptFileError, match="expected a description"):
        file_reader(path)


def test_missing_chunks(tmp_path):
    """Of a sound zip they are zeros: zarr leaves out those that are."""
    path = builder.write_stack(tmp_path / "map.datastack")
    rewrite(path, {"maxrf_cube/c/0/0/0": None, "maxrf_cube/c/1/1/1": None})
    counts = builder.make_counts()
    counts[:2, :3, :40] = 0
    counts[2:4, 3:6, 40:] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (signal,) = file_reader(path)
    np.testing.assert_array_equal(signal["data"], counts)


def test_interrupted_append_of_others(tmp_path):
    """Other programs write over the directory; the newest version may be half there."""
    arrays = builder.make_arrays()
    path = builder.write_stack(tmp_path / "map.datastack", arrays)
    with zipfile.ZipFile(path, "a") as archive:
        builder.write_array(archive, "maxrf_cube_", arrays["maxrf_cube"], (2, 3, 40))
        end = archive.getinfo("maxrf_cube_/c/1/0/0").header_offset
    os.truncate(path, end + 20)
    other = mended(path, "chunks of 'maxrf_cube_' are missing")
    (signal,) = file_reader(other)
    np.testing.assert_array_equal(signal["data"], arrays["maxrf_cube"])
    assert datastack.latest(other, "maxrf_cube") == "maxrf_cube"


def test_groups_and_odd_names(tmp_path):
    path = builder.write_stack(tmp_path / "map.datastack")
    group = b'{"zarr_format": 3, "node_type": "group", "attributes": {}}'
    name = "maxrf_cube/c/" + "9" * 5000 + "/0/0"
    rewrite(path, {"more/zarr.json": group, "more/inner/zarr.json": group, name: b""})
    described_as(path, "maxrf_cube", attributes={"text": "group"})
    (signal,) = file_reader(path)
    np.testing.assert_array_equal(signal["data"], builder.make_counts())
    assert set(datastack.tree(path)) == set(builder.make_arrays())


def test_names_that_escape(tmp_path):
    path = builder.write_stack(tmp_path / "map.datastack")
    with zipfile.ZipFile(path, "a") as archive:
        builder.write_array(archive, "..", np.arange(3))
        archive.writestr("../../escaped", "x")
        archive.writestr("/etc/escaped", "x")
    assert len(file_reader(path, select_type="all")) == 5
    datastack.repack(path, show_progressbar=False)
    assert [p.name for p in tmp_path.iterdir()] == ["map.datastack"]


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs permissions")
def test_read_only(tmp_path):
    path = builder.write_stack(tmp_path / "map.datastack")
    path.chmod(0o400)
    if os.geteuid() == 0:
        pytest.skip("root may write everything")
    with pytest.raises(PermissionError, match=r"map\.datastack"):
        datastack.append(np.arange(3), "mine", path)
    assert file_reader(path)


def test_a_damaged_name_in_the_directory(tmp_path):
    """The chunk is found by the header before it."""
    path = builder.write_stack(tmp_path / "map.datastack")
    data = bytearray(path.read_bytes())
    at = data.rfind(b"maxrf_cube/c/1/1/0")
    data[at + 11] = ord("b")
    path.write_bytes(bytes(data))
    (signal,) = file_reader(mended(path, "its directory has 'maxrf_cube/b/1/1/0'"))
    np.testing.assert_array_equal(signal["data"], builder.make_counts())


@pytest.mark.parametrize("field", [28, 30, 32], ids=["name", "extra", "comment"])
def test_a_length_in_the_directory_that_swallows_entries(tmp_path, field):
    path = builder.write_stack(tmp_path / "map.datastack")
    data = bytearray(path.read_bytes())
    at = data.rfind(b"maxrf_cube/c/1/1/0") - 46
    after = data.find(b"PK\1\2", at + 4)
    n_more = data.find(b"PK\1\2", after + 4) - after
    length = int.from_bytes(data[at + field : at + field + 2], "little") + n_more
    data[at + field : at + field + 2] = length.to_bytes(2, "little")
    path.write_bytes(bytes(data))
    (signal,) = file_reader(mended(path))
    np.testing.assert_array_equal(signal["data"], builder.make_counts())


def test_a_damaged_description_in_the_directory(tmp_path):
    arrays = builder.make_arrays() | {"image": np.arange(35).reshape(5, 7)}
    path = builder.write_stack(tmp_path / "map.datastack", arrays)
    data = bytearray(path.read_bytes())
    data[data.rfind(b"image/zarr.json") + 1] = ord("x")
    path.write_bytes(bytes(data))
    np.testing.assert_array_equal(datastack.read(mended(path), "image"), arrays["image"])


def test_headers_that_are_damaged_are_passed_by(tmp_path):
    """What lies behind one is found."""
    path = builder.write_stack(tmp_path / "map.datastack")
    with zipfile.ZipFile(path) as archive:
        at = archive.getinfo("maxrf_cube/c/1/1/0").header_offset
    data = bytearray(path.read_bytes()[:-40])
    data[at] = 0
    path.write_bytes(bytes(data))
    other = mended(path, "1 of 18 chunks of 'maxrf_cube' are missing")
    with pytest.warns(UserWarning, match="1 of the 18 chunks .* were missing when"):
        (signal,) = file_reader(other)
    expected = builder.make_counts()
    expected[2:4, 3:6, :40] = 0
    np.testing.assert_array_equal(signal["data"], expected)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_mended_with_a_part_missing(tmp_path, zarr_format):
    """It is said each time that the array is read, not only before it was mended."""
    path = builder.write_stack(tmp_path / "map.datastack", zarr_format=zarr_format)
    with zipfile.ZipFile(path) as archive:
        names = {"maxrf_cube/2.2.1", "maxrf_cube/c/2/2/1"}
        (name,) = names & set(archive.namelist())
        at = archive.getinfo(name).header_offset
    os.truncate(path, at + 9)
    with pytest.warns(UserWarning, match="damaged"):
        assert datastack.repack(path, show_progressbar=False) == ["maxrf_cube"]
    expected = builder.make_counts()
    expected[4:, 6:, 40:] = 0
    for _ in range(2):
        with pytest.warns(UserWarning, match="1 of the 18 chunks .* were missing when"):
            (signal,) = file_reader(path)
        np.testing.assert_array_equal(signal["data"], expected)
        datastack.repack(path, show_progressbar=False)


def test_chunks_that_are_exchanged(tmp_path):
    path = builder.write_stack(tmp_path / "map.datastack")
    data = path.read_bytes()
    at = data.rfind(b"maxrf_cube/c/1/1/0")
    path.write_bytes(data[:at] + b"maxrf_cube/c/1/0/0" + data[at + 18 :])
    (signal,) = file_reader(mended(path))
    np.testing.assert_array_equal(signal["data"], builder.make_counts())


@pytest.mark.parametrize("separator", [None, "-", ["/"], ""])
def test_separators(tmp_path, separator):
    path = builder.write_stack(tmp_path / "map.datastack")
    key = {"name": "default", "configuration": {"separator": separator}}
    described_as(path, "maxrf_cube", chunk_key_encoding=key)
    with pytest.raises(CorruptFileError, match=r"separator|cannot be read"):
        file_reader(path)
    path = builder.write_stack(tmp_path / "two.datastack", zarr_format=2)
    described_as(path, "maxrf_cube", dimension_separator=separator)
    with pytest.raises(CorruptFileError, match=r"separator|cannot be read"):
        file_reader(path)


def test_arrays_that_cannot_be_read_beside_others(tmp_path):
    arrays = builder.make_arrays() | {"words": np.arange(3), "words_": np.arange(4)}
    path = builder.write_stack(tmp_path / "map.datastack", arrays)
    described_as(path, "words_", data_type="string")
    (signal,) = file_reader(path)
    np.testing.assert_array_equal(signal["data"], arrays["maxrf_cube"])
    for read in (datastack.read, lambda *a: file_reader(a[0], dataset_path=a[1])):
        with pytest.raises(FileFormatError, match="'words_' has data of type 'string'"):
            read(path, "words")
    np.testing.assert_array_equal(datastack.read(path, "words", False), np.arange(3))
    with pytest.warns(UserWarning, match="'words_' has data.*left out"):
        assert len(file_reader(path, select_type="all")) == 4
    assert "expected numbers" in datastack.tree(path)["words_"]["fault"]
    assert datastack.append(np.arange(5), "words", path) == "words__"
    datastack.repack(path, ["maxrf_cube", "words"], show_progressbar=False)
    assert list(datastack.tree(path)) == ["maxrf_cube", "words"]
    np.testing.assert_array_equal(datastack.read(path, "words"), np.arange(5))


@pytest.mark.parametrize("codec", [None, ZSTD, BLOSC, {"id": "gzip", "level": 1}])
def test_chunks_too_small_for_what_they_claim(tmp_path, codec):
    path = builder.write_stack(tmp_path / "map.datastack", codec=codec)
    grid = {"name": "regular", "configuration": {"chunk_shape": [1000, 100, 4096]}}
    described_as(path, "maxrf_cube", shape=[1000, 1000, 4096], chunk_grid=grid)
    for lazy in (True, False):
        with little_memory(), pytest.raises(CorruptFileError, match="expected more for"):
            file_reader(path, lazy=lazy)
