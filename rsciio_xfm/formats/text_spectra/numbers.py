"""The numbers behind the header of a spectrum as text."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsciio_xfm.exceptions import CorruptFileError, TruncatedFileError
from rsciio_xfm.formats.text_spectra.kernels import DECIMAL, DIVIDES, LONG, read_numbers

SHOWN = 24  # bytes of a file, in messages
BYTES_OF_NUMBER = re.compile(rb"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
LINE = re.compile(rb"[^\r\n]+")


@dataclass(frozen=True)
class Block:
    """Numbers of a part of a file.

    Attributes
    ----------
    values
        The numbers, float64.
    width, last
        How many the first line has, and the last one.
    ragged
        Byte of the first line that has another number of them; -1 if there is none.
    at
        Byte behind the last number.
    is_done
        Whether nothing else than numbers is in the part.
    """

    values: np.ndarray
    width: int
    ragged: int
    last: int
    at: int
    is_done: bool

    def without_cut(self, content: bytes, n: int = 1) -> list[str]:
        """Take the last numbers for 0 if the file may have been cut within them; say so."""
        if not self.is_done or self.at < len(content) or content[-1:].isspace():
            return []
        self.values[-n:] = 0
        return [
            "the file ends without the end of a line: its last number, which may have been "
            f"longer, is taken for 0 (byte {len(content)})"
        ]


def read_block(
    path: Path, content: bytes, start: int, stop: int, comma: int = DIVIDES
) -> Block:
    """Read the numbers of a range of bytes, up to what is none."""
    text = np.frombuffer(content, np.uint8)
    values = np.empty((stop - start) // 2 + 1)
    n, status, at, width, ragged, last = read_numbers(text, start, stop, comma, values)
    if status == LONG:
        return _read_long(path, content, start, stop, comma)
    return Block(values[:n], width, ragged, last, at, status == 0)


def _read_long(path: Path, content: bytes, start: int, stop: int, comma: int) -> Block:
    """Read numbers of more digits than the kernel does."""
    text = content[start:stop].replace(b"D", b"e").replace(b"d", b"e")
    text = text.replace(b";", b" ").replace(b",", b"." if comma == DECIMAL else b" ")
    values: list[float] = []
    width, ragged, last = 0, -1, 0
    for line in LINE.finditer(text):
        words = line[0].split()
        for word in words:
            if BYTES_OF_NUMBER.fullmatch(word) is None:
                at = start + line.start() + line[0].find(word)
                return Block(np.array(values), width, ragged, last, at, False)
            values.append(float(word))
        if words:
            width, last = width or len(words), len(words)
            if last != width and ragged < 0:
                ragged = start + line.start()
    found = np.array(values)
    if not np.isfinite(found).all():
        raise CorruptFileError(
            f"{path}: a count is infinite, expected a number (byte {start} or behind it)."
        )
    return Block(found, width, ragged, last, stop, True)


def strange(path: Path, content: bytes, at: int, what: str = "a number") -> Exception:
    """Make the error of a file that has something else at a byte than it should."""
    found = content[at : at + SHOWN].split(b"\n")[0].rstrip()
    return CorruptFileError(
        f"{path}: the data have {found!r}, expected {what} (byte {at}). Copy the file again, "
        "or correct it."
    )


def no_numbers(path: Path, content: bytes, mark: str) -> Exception:
    """Make the error of a file that ends behind what its numbers should follow."""
    return TruncatedFileError(
        f"{path}: the file has no numbers behind {mark} (byte {len(content)}). Copy it again."
    )
