"""Which kernels the explorer calls, and with which types.

``python -m tests.explore.kernels_used`` writes its part of the list of
:mod:`rsciio_xfm.kernels.ahead`: run it when kernels of the explorer change.
"""

import json
import os
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np

from rsciio_xfm.core.source import LocalFile
from rsciio_xfm.explore import (
    cube,
    cube_identity,
    cube_layout,
    cube_making,
    cube_pixels,
    cube_store,
    ready,
)
from rsciio_xfm.kernels import ahead
from tests.explore.asking import Asking, explore_file
from tests.explore.test_cube import PieceByRow
from tests.kernels_used import forget, recorded

DTYPES = ("uint8", "uint16", "uint32")
# Pixels that fill words of 64, and channels that fill words of 8 bytes; and not.
SHAPES = (40, 192, 704), (36, 100, 700)
REGIONS = ("r:2,3,30,35", "o:16,20,9,12|-r:10,10,14,14", "r:0,0,36,100", "r:8,8,16,16")
WINDOWS = ("w:5:9", "w:7:11", "w:3:40", "w:3:650", "w:0:700", "w:200:320")


def make_counts(dtype, shape):
    """Counts of a type, some of which need it."""
    counts = np.random.default_rng(0).poisson(1.0, shape).astype(dtype)
    counts[3, 4, 100:140] = min(np.iinfo(dtype).max, 70_000)
    counts[:, :, 210:300] += 90
    return counts


def write_map(folder, counts):
    """A map as a Ripple file."""
    path = Path(folder, f"{counts.dtype}-{counts.shape[1]}.rpl")
    counts.tofile(path.with_suffix(".raw"))
    height, width, depth = counts.shape
    path.write_text(
        f"key\tvalue\nwidth\t{width}\nheight\t{height}\ndepth\t{depth}\noffset\t0\n"
        f"data-length\t{counts.itemsize}\ndata-type\tunsigned\n"
        "byte-order\tlittle-endian\nrecord-by\tvector\n"
    )
    return path


def make(path, is_cached):
    """Open a map, and wait until all is made of it."""
    ask = Asking(explore_file(path, is_cached=is_cached, most_waiting=9))
    ask.explorer.open(ask.number).wait()
    assert ask.json("info")["cache"]["state"] == ("ready" if is_cached else "off")
    return ask


def use(ask):
    """Ask what the page asks while something is dragged, and after it."""
    for region in REGIONS:
        for exact in ("0", "1"):
            ask.arrays("spectrum", region=region, exact=exact)
    for window in WINDOWS:
        for step in ("1", "2", "5"):
            ask.arrays("image", of=window, step=step)


def use_pixels(counts, path):
    """Make a cache that keeps pixels, and ask for a region that cuts through blocks."""
    source = PieceByRow(counts, LocalFile.of(path))
    mask = np.zeros(counts.shape[:2], dtype=bool)
    mask[3:21, 5:32] = True
    with (
        mock.patch.object(cube_making, "_LEAST_PIXELS", 0),
        mock.patch.object(cube_pixels, "MOST_SHARE", 1000),
        recorded() as made,
    ):
        cube_ = cube.make(source)
    forget()
    with recorded() as asked:
        cube_.spectrum(mask, source)
    return made, asked


def record(dtype, shape):
    """Return what is called for a cache of maps of a type, and for answers from it."""
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(cube_store, "CUBE_MAP_BYTES", 0),
        mock.patch.object(cube_identity, "SETTLED_S", 0),
        mock.patch.object(cube_layout, "STRIP_BYTES", 2**22),
        mock.patch.dict(os.environ, {"RSCIIO_XFM_CACHE_DIR": folder}),
    ):
        counts = make_counts(dtype, shape)
        path = write_map(folder, counts)
        forget()
        with recorded() as made:
            make(path, False).explorer.close()
        forget()
        with recorded() as also:
            ask = make(path, True)
        forget()
        with recorded() as asked:
            use(ask)
        ask.explorer.close()
        forget()
        kept, asked_of_kept = use_pixels(counts, path)
    return [*made, *also, *kept], [*asked, *asked_of_kept]


def used():
    """Return the parts of the list."""
    found = {ready.QUESTIONS: []}
    for dtype in DTYPES:
        own = found.setdefault(f"explorer {dtype}", [])
        for shape in SHAPES:
            record(dtype, shape)  # what is compiled calls others, what is loaded does not
            made, asked = record(dtype, shape)
            own += [line for k, line in enumerate(made) if line not in [*own, *made[:k]]]
            known = found[ready.QUESTIONS]
            known += [
                line for k, line in enumerate(asked) if line not in [*known, *asked[:k]]
            ]
    return found


def main():
    rows = ",\n".join(
        f"{json.dumps(name)}: [\n"
        + ",\n".join(f"  {json.dumps(line)}" for line in lines)
        + "\n]"
        for name, lines in used().items()
    )
    ahead._EXPLORER.write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
