"""Ripple maps: loading, summing and saving, next to RosettaSciIO, our ``.h5`` and cat.

python benchmarks/ripple.py [--repeats 5] [--folder /tmp]
"""

import argparse
import sys
import tempfile
from pathlib import Path

import _runner
import numpy as np

SHAPE = (512, 512, 2048)  # 1 GiB of uint16
TINY = (4, 4, 2048)
RPL = """width\t{width}
height\t{height}
depth\t{depth}
offset\t0
data-length\t2
data-type\tunsigned
byte-order\tlittle-endian
record-by\t{record}
signal\tXRF
ev-per-chan\t10
"""


def load(path):
    import hyperspy.api as hs

    file_format = "ESRF" if path.endswith(".h5") else None
    return hs.load(path, lazy=True, file_format=file_format)


def load_upstream(path):
    import hyperspy.api as hs
    import rsciio.ripple

    return hs.load(path, lazy=True, file_format=rsciio.ripple, signal_type="EDS_SEM")


def beside(path, name):
    return str(Path(path).with_name(name))


def cat(path):
    return lambda: _runner.read(beside(path, "map.raw"))


def total(loader, name="map.rpl", axis=None):
    def case(path):
        warm_up(loader, name)

        def run():
            result = loader(beside(path, name)).sum(axis)
            result.compute(show_progressbar=False)
            return f"{result.data.sum(dtype=np.uint64)} counts"

        return run

    return case


def save(path):
    warm_up(load, "map.rpl")
    target = beside(path, "saved.rpl")

    def run():
        load(path).save(target, overwrite=True)
        return f"{Path(target).with_suffix('.raw').stat().st_size} bytes"

    return run


def warm_up(loader, name):
    """Load the compiled kernels: nothing is compiled in the time measured."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), TINY)
        for axis in (None, -1):
            s = loader(str(Path(folder, name)))
            s.sum(axis).compute(show_progressbar=False)
        load(str(Path(folder, "map.rpl"))).save(Path(folder, "saved.rpl"))


CASES = {
    "cat FILE > /dev/null": cat,
    "RosettaSciIO lazy, s.sum()": total(load_upstream),
    "ours: s.sum()": total(load),
    "ours, recorded by images: s.sum()": total(load, "images.rpl"),
    "ours, the same as .h5: s.sum()": total(load, "map.h5"),
    "RosettaSciIO lazy, all channels as an image": total(load_upstream, axis=-1),
    "ours: all channels as an image": total(load, axis=-1),
    "ours, the same as .h5: all channels as an image": total(load, "map.h5", -1),
    "ours: lazy map saved as .rpl": save,
}


def write(folder, shape):
    """Write a map by spectra, the same by images, and as HDF5."""
    height, width, depth = shape
    rng = np.random.default_rng(0)
    rows = rng.poisson(0.5, (min(8, height), width, depth)).astype("<u2")
    with open(folder / "map.raw", "wb") as file:
        for y in range(height):
            file.write(np.roll(rows[y % len(rows)], y, axis=0).tobytes())
    counts = np.memmap(folder / "map.raw", "<u2", "r", shape=shape)
    images = np.memmap(folder / "images.raw", "<u2", "w+", shape=(depth, height, width))
    for y in range(0, height, 16):
        images[:, y : y + 16] = counts[y : y + 16].transpose(2, 0, 1)
    images.flush()
    for name, record in (("map", "vector"), ("images", "image")):
        text = RPL.format(width=width, height=height, depth=depth, record=record)
        (folder / f"{name}.rpl").write_text(text)
    load(str(folder / "map.rpl")).save(
        folder / "map.h5", file_format="ESRF", overwrite=True
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        write(Path(folder), SHAPE)
        print(f"{SHAPE} of uint16, {Path(folder, 'map.raw').stat().st_size} bytes\n")
        path = Path(folder, "map.rpl")
        for name in ("map.raw", "images.raw", "map.h5"):
            _runner.read(path.with_name(name))
        _runner.compare(__file__, list(CASES), str(path), arguments.repeats)


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
