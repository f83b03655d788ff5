"""Damaged files of JEOL, and headers that lie."""

import struct

import numpy as np
import pytest

from rsciio_xfm.exceptions import FileFormatError, TruncatedFileError
from rsciio_xfm.formats.jeol.header_tree import read_tree
from tests.builders import jeol as builder
from tests.io.jeol_common import counts, frames, read, read_all


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.pts")


# Damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "value", "match"),
    [
        (0, 305, r"magic is 305, expected 304 to 304 \(byte 0\)"),
        (4, 0, r"name is .*, expected b'PTTDFILE' \(byte 4\)"),
        (20, 10, "header begins at byte 22"),
        (28, 300, "and the stream at byte 300"),
        (28, 2**31, "stream at byte 2147483648, expected 1 to"),
        (28, 2**24, r"stream begins at byte 16777216, expected \d+ or less \(byte 28\)"),
    ],
)
def test_damaged_head(path, at, value, match):
    content = bytearray(path.read_bytes())
    content[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(content)
    with pytest.raises(FileFormatError, match=match):
        read(path, lazy=True)


@pytest.mark.parametrize(
    "value", ["", "0x0", "16", "16x", "5000x5", "-1x4", "16x8x2", None, 5]
)
def test_size_of_no_map(tmp_path, value):
    path = builder.write_map(tmp_path / "map.pts", Pixels=value)
    with pytest.raises(FileFormatError, match=r"Pixels of the map is .*\(byte 317\)"):
        read(path, lazy=True)


@pytest.mark.parametrize("n_bytes", [0, 2, 10**6, -1])
def test_length_that_lies(tmp_path, n_bytes):
    size = builder.write_map(tmp_path / "map.pts").stat().st_size
    n_bytes = size + 1 if n_bytes < 0 else n_bytes
    path = builder.write_map(tmp_path / "map.pts", data_bytes=n_bytes)
    with pytest.warns(UserWarning, match=f"has {n_bytes} bytes; from byte 16384 on"):
        np.testing.assert_array_equal(read(path)["data"], counts())
    path = builder.write_map(tmp_path / "map.pts", data_bytes=size)
    read(path, lazy=True)  # that of the file, as some programs write it


def test_header_that_ends_elsewhere(tmp_path):
    path = builder.write_map(tmp_path / "map.pts", head_bytes=500)
    with pytest.warns(UserWarning, match=r"tree ends at byte \d+, expected byte 805"):
        np.testing.assert_array_equal(read(path)["data"], counts())


@pytest.mark.parametrize("n_bytes", [0, 3, 100, 303, 350, 800])
def test_cut_in_the_header(path, n_bytes):
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(TruncatedFileError, match=r"\(byte \d+\)") as caught:
        read(path, lazy=True)
    assert str(path) in str(caught.value)


def test_cut_in_the_stream(path):
    """An odd byte at the end is left away; whole frames are read."""
    whole = path.read_bytes()
    n_frame = len(builder.stream(n_frames=1))
    path.write_bytes(whole[: builder.DATA + n_frame + 101])
    with pytest.warns(UserWarning) as caught:
        found = read(path, lazy=True, sum_frames=False)
    said = [str(w.message) for w in caught]
    assert "They are read as far as they go" in said[0] and "not whole" in said[1]
    np.testing.assert_array_equal(found["data"], frames(numbers=[0]))


def entry(name=b"a\0", kind=0, n_bytes=0, mark=1, n_name=None):
    n_name = len(name) if n_name is None else n_name
    return struct.pack("<bi", mark, n_name) + name + struct.pack("<ii", kind, n_bytes)


@pytest.mark.parametrize(
    ("raw", "match"),
    [
        (entry() * 1000, "33 groups are open in the header, expected at most 32"),
        ((entry() + b"\xff") * 200_000, "more than 100000 entries"),
        (entry(kind=99), "the type of 'a' is 99"),
        (entry(kind=3, n_bytes=-1), "'a' has -1 bytes"),
        (entry(kind=3, n_bytes=2**31 - 1), "2147483647 bytes of the header are expected"),
        (entry(n_name=-1), "a name has -1 bytes"),
        (entry(n_name=2**30), "a name has 1073741824 bytes"),
        (entry(kind=3) + entry(kind=3), "'a' is within a number or text"),
        (b"", "1 bytes of the header are expected"),
    ],
)
def test_trees_without_end(raw, match):
    with pytest.raises(FileFormatError, match=match):
        read_tree("map.pts", raw, 317, len(raw))


def test_tree():
    raw = builder.tree(
        {"a": {"b": 1, "c": "x"}, "PAGE1": ("EM", {"d": 2.5}), "DeadTime": (4, {"n": 3}),
         "e": (1.0, {"Limits": b"12"}), b"\xce\xdf\xb0\xc4": [1, 2], b"ScanSize\xde": True}
    )  # fmt: skip
    found = read_tree("map.pts", raw, 0, len(raw))
    np.testing.assert_array_equal(found.pop("Port"), [1, 2])
    assert found == {
        "a": {"b": 1, "c": "x"}, "PAGE1_EM": {"d": 2.5}, "DeadTime": {"value": 4, "n": 3},
        "e": 1.0, "ScanSize": True,
    }  # fmt: skip


def test_more_frames_than_rows(tmp_path):
    """Words that each begin a frame: of 4096 rows each, there would be millions of rows."""
    words = np.full(8192, 0x9000, "<u2") | np.arange(8191, -1, -1, dtype="<u2") % 4096
    path = builder.write_map(tmp_path / "map.pts", raw=words.tobytes(), Pixels="1x4096")
    found = read_all(path, lazy=True)
    assert not found["data"].sum(dtype=int).compute()
    with pytest.raises(
        FileFormatError, match=r"frames would have \d+ rows, and 8192 are"
    ):
        read_all(path, sum_frames=False, lazy=True)
