"""EDAX maps beside ``cat`` and RosettaSciIO's reader, for one user and for twenty.

    python benchmarks/edax.py [--repeats 7] [--folder /tmp] [--only one|maps|many|regions|open]

makes a map of 800 x 1024 pixels and 3000 channels of a byte (2.46 GB) and prints a table
for one user, one for twenty at once, one for regions, and one for opening a map of 40 GB (a
sparse file). The regions are those of a map of 4000 x 4000 pixels too, a sparse file.
Linux only: peak memory is read from /proc.
"""

import argparse
import multiprocessing
import struct
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import _runner
import numpy as np

SHAPE = (800, 1024, 3000)
LARGE = (4000, 3400, 3000)
SQUARE = (4000, 4000, 1024)
WINDOWS = [(600 + 100 * i, 610 + 100 * i) for i in range(8)]
COLOURS = {"scale": "log", "energy_range": (1.0, 20.0)}
USERS = 20


def cat(path):
    def run():
        with open("/dev/null", "w") as null:
            subprocess.run(["cat", path], stdout=null, check=True)

    return run


def load(path):
    import hyperspy.api as hs

    return hs.load(path, lazy=True)


def load_upstream(path):
    import hyperspy.api as hs
    import rsciio.edax

    return hs.load(path, lazy=True, file_format=rsciio.edax)


def sums(loader):
    def case(path):
        warm_up()

        def run():
            total = loader(path).sum()
            total.compute(show_progressbar=False)
            return f"{total.data.sum(dtype=np.uint64)} counts"

        return run

    return case


def sum_in_dask_alone(path):
    import rsciio.edax

    def run():
        data = rsciio.edax.file_reader(path, lazy=True)[0]["data"]
        return f"{data.sum(axis=(0, 1)).compute().sum(dtype=np.uint64)} counts"

    return run


def window(loader):
    def case(path):
        warm_up()

        def run():
            start, stop = WINDOWS[0]
            image = loader(path).isig[start:stop].sum(-1)
            image.compute(show_progressbar=False)
            return f"{image.data.sum(dtype=np.uint64)} counts"

        return run

    return case


def windows(n):
    def case(path):
        warm_up()

        def run():
            images = load(path).get_window_images(WINDOWS[:n], show_progressbar=False)
            return f"{sum(int(image.data.sum()) for image in images.values())} counts"

        return run

    return case


def eight_windows_one_by_one(path):
    warm_up()

    def run():
        s, total = load(path), 0
        for w in WINDOWS:
            (image,) = s.get_window_images(w, show_progressbar=False).values()
            total += int(image.data.sum())
        return f"{total} counts"

    return run


def summary(path):
    warm_up()

    def run():
        found = load(path).get_summary(show_progressbar=False)
        return f"{found['counts'].data.sum()} counts"

    return run


def all_in_one_pass(path):
    """Eight windows, ten boolean maps, a summary and a picture."""
    warm_up()

    def run():
        s = load(path)
        masks = ten_regions(s.data.shape[:-1])
        found = s.get_maps(WINDOWS, masks, True, COLOURS, show_progressbar=False)
        counts = found["summary"]["counts"].data.sum()
        return f"{counts} counts, {len(found['regions'])} signals"

    return run


def all_one_by_one(path):
    warm_up()

    def run():
        s, quiet = load(path), {"show_progressbar": False}
        s.get_window_images(WINDOWS, **quiet)
        regions = s.get_region_spectra(ten_regions(s.data.shape[:-1]), **quiet)
        counts = s.get_summary(**quiet)["counts"].data.sum()
        s.get_colour_map(**COLOURS, **quiet)
        return f"{counts} counts, {len(regions)} signals"

    return run


def label(shape):
    """Return a label image of 100 x 100 grains."""
    rows, columns = (np.arange(size) * 100 // size for size in shape)
    return rows[:, np.newaxis] * 100 + columns + 1


def grains(path):
    """The spectra of 10 000 grains, as an array."""
    from rsciio_xfm.analysis.maps import region_spectra

    warm_up()
    data = load(path).data
    labels = label(data.shape[:-1])

    def run():
        found = region_spectra(data, labels)
        return f"{found.shape}, {found.sum()} counts"

    return run


def grains_as_signals(path):
    warm_up()
    s = load(path)
    labels = label(s.data.shape[:-1])

    def run():
        found = s.get_region_spectra(labels, show_progressbar=False)
        return f"{len(found)} signals, {sum(int(g.data.sum()) for g in found.values())} counts"

    return run


def ten_regions(shape):
    labels = label(shape) % 10
    return [labels == k for k in range(10)]


def ten_masks(path):
    """Ten boolean maps, each of a tenth of the pixels."""
    warm_up()
    s = load(path)
    masks = ten_regions(s.data.shape[:-1])

    def run():
        found = s.get_region_spectra(masks, show_progressbar=False)
        return f"{len(found)} signals, {sum(int(g.data.sum()) for g in found.values())} counts"

    return run


def open_only(loader):
    def case(path):
        warm_up()
        return lambda: loader(path).data.shape

    return case


# Twenty users, each with a region and a window of their own.


def request(path, user):
    """The spectrum of a region and the image of a window; return a number of each."""
    s = load(path)
    row, column = 30 * user, 40 * user
    spectrum = s.inav[column : column + 200, row : row + 200].sum()
    spectrum.compute(show_progressbar=False)
    image = s.isig[500 + 50 * user : 510 + 50 * user].sum(-1)
    image.compute(show_progressbar=False)
    return int(spectrum.data.sum()) + int(image.data.sum())


def one_after_the_other(path):
    warm_up()
    return lambda: sum(request(path, user) for user in range(USERS))


def in_threads(path):
    warm_up()

    def run():
        with ThreadPoolExecutor(USERS) as executor:
            return sum(executor.map(lambda user: request(path, user), range(USERS)))

    return run


def in_processes(is_at_once):
    """Processes that have imported all they need and wait to be told to begin."""

    def case(path):
        context = multiprocessing.get_context("spawn")
        pipes = []
        for user in range(USERS):
            ours, theirs = context.Pipe()
            arguments = (path, user, theirs)
            context.Process(target=serve, args=arguments, daemon=True).start()
            pipes.append(ours)
        for pipe in pipes:
            assert pipe.recv() == "ready"

        def run():
            answers = []
            if is_at_once:
                for pipe in pipes:
                    pipe.send("go")
                answers = [pipe.recv() for pipe in pipes]
            else:
                for pipe in pipes:
                    pipe.send("go")
                    answers.append(pipe.recv())
            total = sum(number for number, _ in answers)
            peak = sum(peak for _, peak in answers) / 2**20
            return f"{total} ({peak:.0f} MiB in all processes)"

        return run

    return case


def serve(path, user, pipe):
    import warnings

    warnings.simplefilter("ignore")
    warm_up()
    before = _runner.peak_bytes(reset=True)
    pipe.send("ready")
    pipe.recv()
    number = request(path, user)
    pipe.send((number, max(0, _runner.peak_bytes(reset=False) - before)))


ONE = {
    "cat FILE > /dev/null": cat,
    "RosettaSciIO lazy, total spectrum in dask alone": sum_in_dask_alone,
    "RosettaSciIO lazy in HyperSpy, s.sum()": sums(load_upstream),
    "ours: hs.load(lazy=True), s.sum()": sums(load),
    "RosettaSciIO lazy in HyperSpy, 10 channels as an image": window(load_upstream),
    "ours: 10 channels as an image": window(load),
    "ours: get_window_images, 1 window": windows(1),
    "ours: get_window_images, 8 windows in one pass": windows(8),
    "ours: 8 windows, one after the other": eight_windows_one_by_one,
    "ours: get_summary (sum, mean, max, counts)": summary,
}
MAPS = {
    "ours: get_window_images, 1 window": windows(1),
    "ours: get_window_images, 8 windows in one pass": windows(8),
    "ours: 8 windows, 10 regions, summary, colours: get_maps": all_in_one_pass,
    "ours: the same, one after the other": all_one_by_one,
}
MANY = {
    "20 requests, one after the other": one_after_the_other,
    "20 threads at once": in_threads,
    "20 processes, one after the other": in_processes(is_at_once=False),
    "20 processes at once": in_processes(is_at_once=True),
}
OPEN = {
    "RosettaSciIO, 40 GB opened lazily": open_only(load_upstream),
    "ours, 40 GB opened lazily": open_only(load),
}
REGIONS = {
    "ours: hs.load(lazy=True), s.sum()": sums(load),
    "ours: get_region_spectra, 10 boolean maps": ten_masks,
    "ours: region_spectra, a label image of 10 000 grains": grains,
    "ours: get_region_spectra, the same as signals": grains_as_signals,
}
CASES = ONE | MANY | OPEN | REGIONS | MAPS


def warm_up():
    """Import what is needed and load the compiled kernels, on a small map."""
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small.spd"
        write_map(small, (4, 4, 3000))
        s = load(str(small))
        for signal in (s.sum(), s.sum(-1), s.inav[:2, :2].sum(), s):
            signal.compute(show_progressbar=False)
        s = load(str(small))
        s.get_window_images((1, 5), show_progressbar=False)
        s.get_summary(show_progressbar=False)
        s.get_region_spectra(np.arange(1, 17).reshape(4, 4), show_progressbar=False)


def write_header(file, shape):
    n_lines, n_points, n_channels = shape
    header = struct.pack(
        "<16siiiIIIII120s900s",
        b"MAPSPECTRA_DATA",
        1001,
        n_lines * n_points,
        n_points,
        n_lines,
        n_channels,
        1,
        1068,
        20,
        b"map_Img.bmp",
        b"",
    )
    file.write(header)


def write_map(path, shape):
    """Write a map of few counts a channel, as short dwell times give."""
    rng = np.random.default_rng(0)
    rows = rng.poisson(0.15, (min(8, shape[0]), *shape[1:])).astype(np.uint8)
    with open(path, "wb") as file:
        write_header(file, shape)
        for y in range(shape[0]):
            file.write(np.roll(rows[y % len(rows)], y, axis=0).tobytes())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parts = ["one", "maps", "many", "regions", "open"]
    parser.add_argument("--only", choices=parts)
    arguments = parser.parse_args()
    wanted = {arguments.only} if arguments.only else {*parts}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        path = Path(folder) / "map.spd"
        if wanted != {"open"}:
            write_map(path, SHAPE)
            print(f"{SHAPE} of uint8, {path.stat().st_size} bytes\n")
        for name, cases in (
            ("one", ONE),
            ("maps", MAPS),
            ("many", MANY),
            ("regions", REGIONS),
        ):
            if name not in wanted:
                continue
            _runner.compare(__file__, list(cases), str(path), arguments.repeats)
            print()
        path.unlink(missing_ok=True)
        names = list(REGIONS)[2:3]
        for part, shape, cases in (("regions", SQUARE, names), ("open", LARGE, [*OPEN])):
            if part in wanted:
                path = write_sparse(Path(folder) / f"{part}.spd", shape)
                _runner.compare(
                    __file__, cases, str(path), arguments.repeats, is_cached=False
                )
                path.unlink()


def write_sparse(path, shape):
    """Write the header of a map whose counts are all zero, and no bytes on the disk."""
    with open(path, "wb") as file:
        write_header(file, shape)
        file.truncate(1068 + shape[0] * shape[1] * shape[2])
    print(f"{shape} of uint8, {path.stat().st_size} bytes, sparse\n")
    return path


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
