"""Pairs of ``.rpl`` and ``.raw`` files, with ``struct`` and text alone.

Nothing here imports the package: keys are those of the format's description.
"""

import random
import struct
from pathlib import Path

CODES = {
    "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
    "i1": "b", "i2": "h", "i4": "i", "i8": "q",
    "f4": "f", "f8": "d",
}  # fmt: skip
KINDS = {"u": "unsigned", "i": "signed", "f": "float"}
ORDERS = {"little-endian": "<", "big-endian": ">", "dont-care": "<"}
# What a Bruker M6 Jetstream writes behind the keys of the format: blanks and no tabs.
BRUKER = """depthbinsize             1
depth1                  200
depth2                 3000
depthscaleorigin          -0.956
depthscaleincrement    0.010002
depthscaleunits         keV
"""
KEYS = ("width", "height", "depth", "offset", "data-Length")


def make_numbers(n, kind="u2", seed=0):
    """Numbers that differ, in the order of the file; the first and the last are extreme."""
    rng = random.Random(seed)
    bits = 8 * int(kind[1])
    if kind[0] == "f":
        return [rng.randint(-500, 500) / 4 for _ in range(n)]
    least = 0 if kind[0] == "u" else -(2 ** (bits - 1))
    most = least + 2**bits - 1
    numbers = [rng.randint(max(least, -300), min(most, 300)) for _ in range(n)]
    numbers[:1], numbers[-1:] = [least], [most]
    return numbers


def describe(shape, kind="u2", record="vector", order="little-endian", offset=0, more=""):
    """The text of a pair: ``shape`` is (height, width, depth)."""
    height, width, depth = shape
    values = (width, height, depth, offset, kind[1])
    lines = [f"{key}\t{value}" for key, value in zip(KEYS, values, strict=True)]
    lines += [
        f"data-type\t{KINDS[kind[0]]}",
        f"byte-order\t{order}",
        f"record-by\t{record}",
    ]
    return "\n".join(["key\tvalue", *lines, more])


def write_pair(path, shape=(5, 7, 16), kind="u2", record="vector", order="little-endian",
               offset=0, more="", numbers=None, text=None):  # fmt: skip
    """Write a pair, and return the path of the ``.rpl`` file."""
    path = Path(path)
    n = shape[0] * shape[1] * shape[2]
    numbers = make_numbers(n, kind) if numbers is None else numbers
    path.write_text(text or describe(shape, kind, record, order, offset, more))
    content = struct.pack(f"{ORDERS[order]}{n}{CODES[kind]}", *numbers)
    path.with_suffix(".raw").write_bytes(b"\x07" * offset + content)
    return path


def write_map(path, shape=(5, 7, 16), **kwds):
    """Write a map of a Bruker M6, and return the path of the ``.rpl`` file."""
    return write_pair(path, shape, more=BRUKER, **kwds)
