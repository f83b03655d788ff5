"""The explorer's cache of a map: how it is made, and answers with it and from the file.

    python benchmarks/explore.py [--repeats 7] [--folder /tmp] [--only spd|GeoPIXE|large]

makes a map of 800 x 1024 pixels and 2048 channels of a byte (1.68 GB) as ``.spd``, and one of
400 x 500 pixels, two detectors and 4096 channels (1.44 GB) as ``.GeoPIXE``, and prints a table
of each. ``--only large`` repeats the rows of a small ``.spd`` to 20 GB, without a file of
that size; its cache takes 2.5 GB. Each row is a fresh process with one thread that asks. Linux
only: peak memory is read from /proc.
"""

import argparse
import json
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import _runner
import numpy as np

SQUARES = (20, 60, 200, 400)  # pixels along a side
WINDOWS = (14, 30, 300)  # channels
USERS, UPDATES = 20, 20
LARGE_ROWS = 9600


def open_map(path):
    """Return a map as it lies in the file."""
    from rsciio_xfm.core.to_dask import source_of
    from rsciio_xfm.explore import cube_store
    from rsciio_xfm.formats import edax, geopixe

    reader = geopixe if path.endswith("GeoPIXE") else edax
    source = source_of(reader.file_reader(path, lazy=True)[0]["data"])
    if Path(path).stem != "large":
        return source
    # It has the cache of the .spd that it repeats.
    cube_store.plain_of = lambda own: (own, (0, 0))
    return repeat(source)


def repeat(source):
    """Return a map whose rows come again and again."""
    from rsciio_xfm.core.array import CountedArray, FileArray

    @dataclass(frozen=True, eq=False)
    class Repeated(CountedArray):
        source: FileArray

        @property
        def shape(self):
            return (LARGE_ROWS, *self.source.shape[1:])

        @property
        def dtype(self):
            return self.source.dtype

        def read(self, ranges):
            n = self.source.shape[0]
            parts, row = [], ranges[0][0]
            while row < ranges[0][1]:
                stop = min(ranges[0][1], row - row % n + n)
                own = (row % n, row % n + stop - row)
                parts.append(self.source.read((own, *ranges[1:])))
                row = stop
            return parts[0] if len(parts) == 1 else np.concatenate(parts)

        def row_axis(self):
            return 0

        def file_bytes(self):
            return math.prod(self.shape) * self.dtype.itemsize

    return Repeated(source)


def square(shape, side):
    """Return a region that begins within a block of pixels."""
    mask = np.zeros(shape[:2], dtype=bool)
    y, x = (min(n // 3 + 3, n - side) for n in shape[:2])
    mask[y : y + side, x : x + side] = True
    return mask


def disc(shape, side):
    """Return a region whose border goes through blocks at all angles."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    distance = (y - shape[0] / 2) ** 2 + (x - shape[1] / 2) ** 2
    return distance < (side / 2) ** 2


def questions(shape):
    """Return what is asked: a name, and a region or a window."""
    found = {f"region {n} x {n}": square(shape, n) for n in SQUARES if n <= shape[0]}
    found["disc of 400 pixels"] = disc(shape, 400)
    found["whole map"] = np.ones(shape[:2], dtype=bool)
    for n in WINDOWS:
        first = shape[2] // 5 + 3
        found[f"window of {n} channels"] = (first, first + n)
    return found


def from_file(source, asked):
    from rsciio_xfm.analysis.maps import region_spectra, window_images
    from rsciio_xfm.core.to_dask import from_source

    data = from_source(source)
    if isinstance(asked, tuple):
        return lambda: window_images(data, [asked])[0]
    return lambda: region_spectra(data, [asked])[0]


def from_cache(source, asked, exact):
    from rsciio_xfm.explore.cube import find

    cube = find(source)
    if isinstance(asked, tuple):
        return lambda: cube.image(*asked)
    return lambda: cube.spectrum(asked, source, exact)


def in_thread(action):
    """Run in a thread, as the server does: Blosc has threads of its own in the main one."""
    found = []
    thread = threading.Thread(target=lambda: found.append(action()))
    thread.start()
    thread.join()
    return found[0]


def time_of(action, repeats):
    """Return the median of the CPU time of an answer, in ms, and the answer."""
    answer, times = action(), []
    for _ in range(repeats):
        start = time.process_time()
        answer = action()
        times.append(time.process_time() - start)
    return 1e3 * statistics.median(times), answer


def make_cache(path):
    """Make it once more; what is printed is a share of the file and of the counts."""
    from rsciio_xfm.explore.cube import find, make
    from rsciio_xfm.explore.cube_store import discard

    source = open_map(path)
    cube = find(source)
    if cube is not None:
        discard(cube.folder)

    def run():
        return in_thread(lambda: make(source)).n_bytes

    return run


def ask_case(name, kind, repeats):
    """Return the case of a question; what it prints is the time and what was answered."""

    def case(path):
        source = open_map(path)
        asked = questions(source.shape)[name]
        if kind == "file":
            action = from_file(source, asked)
        else:
            action = from_cache(source, asked, kind == "exact")
        in_thread(action)

        def run():
            milliseconds, answer = in_thread(lambda: time_of(action, repeats))
            return json.dumps([milliseconds, int(answer.sum())])

        return run

    return case


def users_case(kind):
    """Return the case of twenty that drag regions of their own; the time of an update."""

    def case(path):
        source = open_map(path)
        shape = source.shape

        def drag(user):
            for k in range(UPDATES):
                mask = np.roll(square(shape, 100), (7 * user + 3 * k, 5 * k), (0, 1))
                if kind == "file":
                    from_file(source, mask)()
                else:
                    from_cache(source, mask, kind == "exact")()

        in_thread(lambda: drag(0))

        def run():
            start = time.process_time()
            with ThreadPoolExecutor(USERS) as pool:
                list(pool.map(drag, range(USERS)))
            took = time.process_time() - start
            return json.dumps([1e3 * took / (USERS * UPDATES), 0])

        return run

    return case


def cases(path, repeats):
    """Return all cases of a map by name."""
    found = {"make": make_cache}
    for kind in ("file", "preview", "exact"):
        for name in questions(open_map(path).shape):
            found[f"{name}|{kind}"] = ask_case(name, kind, repeats)
        found[f"{USERS} users, 100 x 100 each|{kind}"] = users_case(kind)
    return found


def write_map(folder, kind):
    from rsciio_xfm import data

    if kind == "GeoPIXE":
        return str(data.thin_section(Path(folder, "map.GeoPIXE"), (400, 500)).path)
    name, rows = ("large", 400) if kind == "large" else ("map", 800)
    return str(data.sem_map(Path(folder, f"{name}.spd"), (rows, 1024)).path)


def compare(path, repeats):
    """Print the table of a map."""
    source = open_map(path)
    n_counts, n_file = (
        math.prod(source.shape) * source.dtype.itemsize,
        os.stat(path).st_size,
    )
    n_file = n_counts if Path(path).stem == "large" else n_file
    print(f"\n{source.shape} {source.dtype}, {n_file / 1e9:.2f} GB, {Path(path).suffix}")
    is_large = Path(path).stem == "large"
    if not is_large:
        _runner.run(__file__, "make", path)  # the kernels are compiled
    made = _runner.run(__file__, "make", path)
    size = int(made["result"])
    print(
        f"made at {n_counts / 1e9 / made['cpu']:.2f} GB of counts for each CPU second "
        f"({made['cpu']:.1f} s), {size / 1e6:.0f} MB, {size / n_file:.1%} of the file, "
        f"{made['peak'] / 2**20:.0f} MiB of memory\n"
    )
    print("| CPU time (ms) | file | preview | exact | peak memory (MiB) |")
    print("|---|---:|---:|---:|---:|")
    names = dict.fromkeys(name.split("|")[0] for name in cases(path, 1) if "|" in name)
    for name in names:
        runs = {}
        for kind in ("file", "preview", "exact"):
            if kind == "exact" and name.startswith("window"):
                continue  # windows always are
            if kind == "file" and is_large:
                continue  # it would take as long as it takes
            runs[kind] = _runner.run(__file__, f"{name}|{kind}", path)
        found = {kind: json.loads(run["result"]) for kind, run in runs.items()}
        last = list(found)[-1]  # which is exact
        assert is_large or found[last][1] == found["file"][1], (name, found)
        times = [f"{found[kind][0]:.2f}" if kind in found else "" for kind in
                 ("file", "preview", "exact")]  # fmt: skip
        peaks = "/".join(f"{run['peak'] / 2**20:.0f}" for run in runs.values())
        print(f"| {name} | {' | '.join(times)} | {peaks} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", help="for the maps and caches, with 5 GB of room")
    parser.add_argument("--only", choices=["spd", "GeoPIXE", "large"])
    arguments = parser.parse_args()
    kinds = [arguments.only] if arguments.only else ["spd", "GeoPIXE"]
    for kind in kinds:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            os.environ["RSCIIO_XFM_CACHE_DIR"] = str(Path(folder, "cache"))
            path = write_map(folder, kind)
            _runner.read(path)
            compare(path, arguments.repeats)


if __name__ == "__main__":
    is_case = len(sys.argv) > 3 and sys.argv[1] == "--case"
    if not is_case or not _runner.main(cases(sys.argv[3], 7), sys.argv[3]):
        main()
