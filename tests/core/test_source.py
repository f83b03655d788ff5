"""Sources: files and memory that are opened when they are read."""

import os
import pickle

import numpy as np
import pytest

from rsciio_xfm.core.source import LocalFile, Memory
from rsciio_xfm.core.workplace import scratch, workplace
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError

CONTENT = bytes(range(100))


@pytest.fixture(params=["file", "memory"])
def source(request, tmp_path):
    if request.param == "memory":
        return Memory.of(CONTENT, "a")
    (tmp_path / "a").write_bytes(CONTENT)
    return LocalFile.of(tmp_path / "a")


def test_ranges(source):
    again = pickle.loads(pickle.dumps(source))
    assert again == source
    assert again.size == 100
    with again.open() as reader:
        buffer = np.zeros(10, dtype=np.uint8)
        assert reader.read_into(95, buffer) == 5
        assert reader.read_into(200, buffer) == 0
        reader.read(20, buffer)
        assert buffer.tolist() == list(range(20, 30))
        assert (reader.descriptor is None) == isinstance(source, Memory)


def test_end(source):
    match = (
        r"a: the file ends here, expected 5 bytes more \(byte 100\)\. .* load it again"
    )
    with source.open() as reader, pytest.raises(CorruptFileError, match=match):
        reader.read(95, np.zeros(10, dtype=np.uint8))


def test_changed_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    source = LocalFile.of(path)
    os.utime(path, ns=(0, 10**18))
    match = r"a: the file was changed since it was opened: size 100 .* Load it again"
    with pytest.raises(CorruptFileError, match=match), source.open():
        pass


def test_file_that_grows(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(CONTENT)
    source = LocalFile(str(path), LocalFile.of(path).version, may_grow=True)
    path.write_bytes(CONTENT + b"more")
    with source.open() as reader:
        reader.read(0, np.zeros(100, dtype=np.uint8))
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(CorruptFileError, match="was changed"), source.open():
        pass


def test_path_is_absolute(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(CONTENT)
    monkeypatch.chdir(tmp_path)
    assert LocalFile.of("a").name == str(tmp_path / "a")


def test_folder(tmp_path):
    with pytest.raises(
        FileFormatError, match="path is that of a folder, expected a file"
    ):
        LocalFile.of(tmp_path)


def test_memory_of_a_workplace_is_used_again():
    with workplace():
        with scratch(100) as first, scratch(200) as second:
            places = {first.ctypes.data, second.ctypes.data}
        with scratch(300) as first, scratch(50) as second:
            assert {first.ctypes.data, second.ctypes.data} == places
