"""Fields of headers are read and checked alike for all formats."""

import struct

import numpy as np
import pytest

from rsciio_xfm.core.fields import check_fields, field_offset, read_fields
from rsciio_xfm.core.source import LocalFile, Memory
from rsciio_xfm.exceptions import FileFormatError, TruncatedFileError

RECORD = np.dtype([("mark", "S4"), ("n", ">u2"), ("step", "<f4")])
CONTENT = b"\0\0" + struct.pack("4s", b"MARK") + struct.pack(">H", 7)
CONTENT += struct.pack("<f", 0.5) * 2


def test_read(tmp_path):
    (tmp_path / "a").write_bytes(CONTENT)
    for source in (Memory.of(CONTENT), LocalFile.of(tmp_path / "a")):
        (record,) = read_fields(source, 2, RECORD)
        assert record.tolist() == (b"MARK", 7, 0.5)
        assert read_fields(source, 8, np.dtype("<f4"), 2).tolist() == [0.5, 0.5]
        assert read_fields(source, 16, np.dtype("u1"), 0).size == 0


def test_offsets():
    assert [field_offset(RECORD, name) for name in RECORD.names] == [0, 4, 6]
    for dtype in (RECORD, np.dtype("u1")):
        with pytest.raises(KeyError):
            field_offset(dtype, "other")


def test_too_short():
    """Nothing is allocated for what is not there."""
    for n in (3, 2**60):
        with pytest.raises(
            TruncatedFileError, match=r"has 16 bytes, expected .* \(byte 16"
        ):
            read_fields(Memory.of(CONTENT), 8, np.dtype("<f4"), n)


@pytest.mark.parametrize(
    ("expected", "match"),
    [
        ({"mark": b"MARX"}, r"mark is b'MARK', expected b'MARX' \(byte 2\)"),
        ({"mark": b"MARK", "n": (8, 9)}, r"n is 7, expected 8 to 9 \(byte 6\)"),
        ({"n": (1, 6)}, r"n is 7, expected 1 to 6 \(byte 6\)"),
        ({"step": (0, 0.25)}, r"step is 0.5, expected 0 to 0.25 \(byte 8\)"),
    ],
)
def test_check(expected, match):
    source = Memory.of(CONTENT)
    (record,) = read_fields(source, 2, RECORD)
    check_fields(source, record, {"mark": b"MARK", "n": (7, 7), "step": (0.5, 1)}, 2)
    with pytest.raises(FileFormatError, match=match):
        check_fields(source, record, expected, 2)


def test_nan():
    source = Memory.of(struct.pack("<4sxxf", b"", float("nan")))
    (record,) = read_fields(source, 0, RECORD)
    with pytest.raises(FileFormatError, match=r"step is nan"):
        check_fields(source, record, {"step": (0, 1)})
