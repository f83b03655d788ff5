"""Two trees of the package in turn: what each read, sum, map and file written costs.

    python benchmarks/before_after.py --before PATH --after PATH [--repeats 5]
        [--folder /tmp] [--only edax geopixe ...]

PATH is a checkout. Each kind of file is made once, of at most 512 MiB; the trees take
turns, in a fresh process each, with a cache of indexes of its own, in which the kernels are
called on a small file before each measurement. The first turn compiles and is not counted.
Ratios are after / before, medians of those of each turn. Processor time is that of all
threads and of processes that were started; it is what counts on a busy machine. Results
(counts) of the two must be equal. Linux only.
"""

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _runner
import numpy as np

QUIET = {"show_progressbar": False}
SHORT = 0.1  # seconds of processor time, below which a case is measured three times
N_DATASETS = 3700
SUFFIXES = ("h5", "emd", "datastack", "rpl", "GeoPIXE")


# What is done with a map: functions of its path, and of the folder of the process.


def load(path, **options):
    import hyperspy.api as hs

    if path.name in ("scan.h5", "plain.h5", "packed.h5", "map.h5", "scan.dat"):
        options["file_format"] = "ESRF"
    if path.name == "velox.emd":
        options |= {"select_type": "spectrum_image", "cache": False}
        options.setdefault("signal_type", "EDS_XFM")
    return hs.load(path, lazy=True, **options)


def count(signal):
    """Return the counts of a signal, computed."""
    if signal._lazy:
        signal.compute(**QUIET)
    data = signal.data
    return float(data.sum(dtype=float)) if data.dtype.kind == "f" else int(data.sum())


def opened(s):
    return s.data.shape


def total(s):
    return count(s.sum())


def image(s):
    return count(s.sum(-1))


def window(width):
    def case(s):
        start = s.data.shape[-1] // 5
        return count(s.isig[start : start + width].sum(-1))

    return case


def windows(n):
    def case(s):
        size = s.axes_manager.signal_axes[0].size
        edges = [(size * i // 20, size * i // 20 + 10) for i in range(1, n + 1)]
        found = s.get_window_images(edges, **QUIET)
        return sum(count(image) for image in found.values())

    return case


def tenth(s):
    """The spectrum of a region of a tenth of the pixels."""
    rows, columns = s.data.shape[:2]
    return count(
        s.inav[columns // 4 : columns // 4 + columns // 3, : rows * 3 // 10].sum()
    )


def ten_regions(s):
    rows, columns = np.indices(s.data.shape[:2])
    masks = [(rows + 3 * columns) % 10 == k for k in range(10)]
    return sum(count(found) for found in s.get_region_spectra(masks, **QUIET).values())


def summary(s):
    return count(s.get_summary(**QUIET)["counts"])


def colours(s):
    energies = s.axes_manager.signal_axes[0]
    low, high = (
        energies.low_value + f * energies.size * energies.scale for f in (0.1, 0.8)
    )
    picture = s.get_colour_map(energy_range=(low, high), scale="log", **QUIET)
    return picture.data.shape


def decoded(s):
    """The sum by dask, which knows nothing of the file: all is decoded."""
    return int(s.data.sum(axis=(0, 1), dtype=np.uint64).compute().sum(dtype=np.uint64))


def classes(s):
    return np.bincount(s.kmeans(4, **QUIET).data.ravel()).tolist()


MAP = {
    "open": opened,
    "sum": total,
    "sum of energies": image,
    "window of 10 channels": window(10),
    "window of 500 channels": window(500),
    "8 windows in one pass": windows(8),
    "1 window": windows(1),
    "region of a tenth": tenth,
    "10 regions": ten_regions,
    "summary": summary,
    "colour map": colours,
    "all decoded by dask": decoded,
}
FEW = {
    name: MAP[name]
    for name in (
        "open",
        "sum",
        "sum of energies",
        "window of 10 channels",
        "8 windows in one pass",
        "1 window",
        "region of a tenth",
        "all decoded by dask",
    )
}
SUMS = {"open": opened, "sum": total, "sum of energies": image}


def reading(name, cases=FEW, **options):
    """Return the cases, each of which opens the file first."""

    def open_and(case):
        return lambda folder, _: case(load(folder / name, **options))

    return {case: open_and(function) for case, function in cases.items()}


def cat(name):
    return {"cat": lambda folder, _: _runner.read(folder / name)}


def copying(name):
    def case(folder, own):
        subprocess.run(["cp", folder / name, own / "copy"], check=True)
        (own / "copy").unlink()

    return {"cp": case}


def saving(suffix, name="map.spd", **options):
    """Save a lazy map in the folder of the process."""

    def case(folder, own):
        s = load(folder / name)
        target = own / f"map.{suffix}"
        if suffix == "h5":
            options["file_format"] = "ESRF"
        s.save(target, overwrite=True, **options)

    return {f"save as .{suffix}": case}


def saved(suffix, cases=FEW):
    """Read what the process saved."""

    def open_and(case):
        return lambda _, own: case(load(own / f"map.{suffix}"))

    return {f".{suffix}: {case}": open_and(cases[case]) for case in cases}


def converted(folder, own):
    from rsciio_xfm import datastack

    raw = folder / "map.raw"
    options = {"overwrite": True, **QUIET}
    datastack.convert(
        raw,
        raw.with_suffix(".rpl"),
        own / "converted.datastack",
        0,
        **options,
    )


def cropped(folder, own):
    from rsciio_xfm import geopixe

    geopixe.crop(
        folder / "map.GeoPIXE",
        own / "crop.GeoPIXE",
        x=(1, 7),
        cache=False,
        overwrite=True,
    )


def by_zarr(folder, _):
    import dask.array as da
    import zarr

    store = zarr.storage.ZipStore(folder / "zstd.datastack", mode="r")
    cube = da.from_array(zarr.open_group(store, mode="r")["maxrf_cube"])
    return int(cube.sum(axis=(0, 1), dtype=np.uint64).compute().sum())


def one_of_many(folder, _):
    s = load(folder / "many.h5", file_format="ESRF", dataset_path="1.1/measurement/mca0")
    return s.data.shape


def in_a_fresh_process(code):
    def case(folder, _):
        path = str(folder / "map.spd")
        subprocess.run([sys.executable, "-W", "ignore", "-c", code, path], check=True)

    return case


FRESH = {
    "import rsciio_xfm, in a fresh process": in_a_fresh_process("import rsciio_xfm"),
    "import hyperspy.api, the same": in_a_fresh_process("import hyperspy.api"),
    "hs.load, the same": in_a_fresh_process(
        "import sys, hyperspy.api as hs; hs.load(sys.argv[1], lazy=True)"
    ),
}

# Per kind: the files, by name, and the cases.
KINDS = {
    "edax": {**cat("map.spd"), **reading("map.spd", MAP)},
    "geopixe": {
        **cat("map.GeoPIXE"),
        **reading("map.GeoPIXE", MAP, cache=False),
        "crop": cropped,
    },
    "velox": {**cat("velox.emd"), **reading("velox.emd", MAP)},
    "saved": {
        **copying("map.spd"),
        **{k: v for suffix in SUFFIXES for k, v in saving(suffix).items()},
        **{k: v for suffix in SUFFIXES for k, v in saved(suffix).items()},
    },
    "datastack": {
        **reading("zstd.datastack"),
        "sum by zarr with dask": by_zarr,
        "convert": converted,
    },
    "ripple": {**cat("map.raw"), **reading("map.rpl", MAP)},
    "bliss": reading("scan.h5"),
    "bitshuffle": reading("packed.h5"),
    "xia": reading("xia/map_xia00_0001_0000_0000.edf"),
    "spec": reading("scan.dat", SUMS),
    "classes": reading("map.spd", {"kmeans": classes}),
    "fresh": {**FRESH, "a dataset of a file of 3700": one_of_many},
}


# The files: small ones to warm up, large ones to measure.


def make_spd(folder, shape):
    import edax

    edax.write_map(folder / "map.spd", shape)


def make_geopixe(folder, shape):
    from rsciio_xfm import data

    data.thin_section(folder / "map.GeoPIXE", shape[:2])


def make_velox(folder, shape):
    import emd

    emd.write_velox(folder / "velox.emd", (shape[2], 4, *shape[:2]), 1)


def make_scan(folder, shape):
    import datastack as module

    from rsciio_xfm import datastack

    module.SHAPE = shape[:2]
    raw = folder / "map.raw"
    module.write_scan(raw)
    options = {"sigma": 0, "compressor": "zstd", "keep_integers": True, **QUIET}
    datastack.convert(raw, raw.with_suffix(".rpl"), folder / "zstd.datastack", **options)
    text = raw.with_suffix(".rpl").read_text() + "\nsignal\tXRF\nev-per-chan\t10"
    raw.with_suffix(".rpl").write_text(text)


def make_bliss(folder, shape):
    import esrf

    esrf.write_bliss(folder / "scan.h5", shape)


def make_packed(folder, shape):
    import esrf
    import hdf5plugin

    n = min(128, shape[0] * shape[1])
    options = hdf5plugin.Bitshuffle(cname="lz4")
    esrf.write_hdf5(folder / "packed.h5", shape, chunks=(n, shape[2]), **options)


def make_xia(folder, shape):
    import esrf

    esrf.write_xia(folder / "xia", shape)


def make_spec(folder, shape):
    import esrf

    esrf.write_spec(folder / "scan.dat", shape)


def make_phases(folder, shape):
    import classify

    classify.write_phases(folder / "map.spd", shape[0])


def make_many(folder, shape):
    import edax
    import esrf
    import h5py

    edax.write_map(folder / "map.spd", shape)
    path = folder / "many.h5"
    esrf.write_hdf5(path, shape)
    with h5py.File(path, "a") as file:
        for i in range(N_DATASETS):
            file[f"{2 + i // 10}.1/measurement/counter{i % 10}"] = np.zeros(4)


FILES = {
    "edax": (make_spd, (8, 8, 3000), (320, 512, 3000)),
    "geopixe": (make_geopixe, (8, 8, 0), (256, 256, 0)),
    "velox": (make_velox, (8, 8, 2), (256, 256, 128)),
    "saved": (make_spd, (8, 8, 2048), (256, 512, 2048)),
    "datastack": (make_scan, (8, 8, 0), (128, 256, 0)),
    "ripple": (make_scan, (8, 8, 0), (192, 256, 0)),
    "bliss": (make_bliss, (8, 8, 4096), (128, 128, 4096)),
    "bitshuffle": (make_packed, (8, 8, 4096), (128, 256, 4096)),
    "xia": (make_xia, (8, 8, 2048), (128, 128, 2048)),
    "spec": (make_spec, (8, 8, 2048), (30, 40, 2048)),
    "classes": (make_phases, (30,), (200,)),
    "fresh": (make_many, (8, 8, 64), (8, 8, 64)),
}

# Bars: of one case in terms of another, both after.
BARS = (
    ("edax", "8 windows in one pass", "1 window", 1.5),
    ("geopixe", "all decoded by dask", "cat", 4),
    ("geopixe", "sum", "cat", 4),
    ("velox", "open", "cat", 5),
    ("velox", "all decoded by dask", "cat", 10),
    ("saved", ".emd: sum", ".h5: sum", 1.5),
    ("saved", ".emd: window of 10 channels", ".h5: window of 10 channels", 1.5),
    ("saved", ".emd: region of a tenth", ".h5: region of a tenth", 1.5),
    ("saved", ".rpl: sum", ".h5: sum", 1),
    ("saved", ".rpl: region of a tenth", ".h5: region of a tenth", 1),
    ("saved", ".rpl: window of 10 channels", ".h5: window of 10 channels", 1),
    ("saved", ".datastack: region of a tenth", ".datastack: sum", 0.25),
    ("saved", ".datastack: window of 10 channels", ".datastack: sum", 0.5),
    ("saved", "save as .emd", "cp", 1.5),
    ("datastack", "region of a tenth", "sum", 0.25),
    ("datastack", "window of 10 channels", "sum", 0.5),
    ("datastack", "sum", "sum by zarr with dask", 0.7),
)


# A process of one tree, and the table.


def used():
    """Return processor time in seconds, of children too."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def measure(case, folder, own):
    """Return processor and wall time, peak memory and the result of one case."""
    gc.collect()
    gc.freeze()  # A collection of what was imported would cost one case 0.15 s by chance.
    before = _runner.peak_bytes(reset=True)
    runs = []
    n_runs = 1
    while len(runs) < n_runs:
        cpu, wall = used(), time.perf_counter()
        result = case(folder, own)
        runs.append((used() - cpu, time.perf_counter() - wall))
        if len(runs) == 1:
            peak = _runner.peak_bytes(reset=False) - before
            n_runs = 3 if runs[0][0] < SHORT else 1
    cpu, wall = (statistics.median(times) for times in zip(*runs, strict=True))
    return {"cpu": cpu, "wall": wall, "peak": max(0, peak), "result": str(result)}


def run_kind(kind, folder, own):
    """Run all cases of a kind, each on the small files first, and print what was measured."""
    import hyperspy.api  # noqa: F401

    small = own / "small"
    small.mkdir(exist_ok=True)
    found = {}
    for name, case in KINDS[kind].items():
        try:
            case(folder / kind / "small", small)
            found[name] = measure(case, folder / kind / "large", own)
        except Exception as error:
            found[name] = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(found))


def start(tree, *arguments, **environment):
    """Run this script with the package of a tree; return what it printed last."""
    environment = os.environ | {"PYTHONPATH": str(tree)} | environment
    command = [sys.executable, "-W", "ignore", __file__, *map(str, arguments)]
    found = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=environment
    )
    return found.stdout.splitlines()[-1] if found.stdout else ""


def make(kind, folder):
    maker, *shapes = FILES[kind]
    for size, shape in zip(("small", "large"), shapes, strict=True):
        (folder / kind / size).mkdir(parents=True)
        maker(folder / kind / size, shape)


def compare(kind, folder, trees, repeats, seconds):
    """Return, for each case, the runs of each tree in order; no turn begins too late."""
    start(trees["after"], "--make", kind, folder)
    runs, began = {}, time.monotonic()
    for turn in range(-1, repeats):
        if turn > 0 and time.monotonic() - began > seconds:
            break
        for label, tree in trees.items():
            own = folder / f"own-{label}"
            own.mkdir(exist_ok=True)
            cache = {"RSCIIO_XFM_CACHE_DIR": str(folder / f"cache-{label}")}
            found = json.loads(start(tree, "--run", kind, folder, own, **cache))
            if turn >= 0:
                for name, run in found.items():
                    runs.setdefault(name, {}).setdefault(label, []).append(run)
    return runs


def ratio(first, second, what="cpu"):
    """Return the median of second / first of each turn."""
    pairs = zip(first, second, strict=True)
    return statistics.median(b[what] / a[what] for a, b in pairs)


def line(kind, name, of):
    """Return a line of the table."""
    wrong = [run["error"] for label in of.values() for run in label if "error" in run]
    if wrong:
        return f"| {kind} | {name} | {wrong[0][:90]} |"
    before, after = of["before"], of["after"]
    cells = [
        f"{statistics.median(run[what] for run in runs):.3f}"
        for what in ("cpu", "wall")
        for runs in (before, after)
    ]
    cells += [f"{ratio(before, after):.2f}", f"{ratio(before, after, 'wall'):.2f}"]
    cells += [
        f"{max(run['peak'] for run in runs) / 2**20:.0f}" for runs in (before, after)
    ]
    same = before[0]["result"] == after[0]["result"]
    cells.append("" if same else f"{before[0]['result']} != {after[0]['result']}")
    return f"| {kind} | {name} | {' | '.join(cells)} |"


def bars(found):
    """Print how the bars stand: processor time and wall time, before and after."""
    print("\n| what | of | bar | CPU before | CPU after | wall before | wall after |")
    print("|---|---|---|---|---|---|---|")
    for kind, name, of, bar in BARS:
        runs = found.get(kind, {})
        if name not in runs or any("error" in r for r in runs[name]["after"]):
            continue
        cells = [
            f"{ratio(runs[of][label], runs[name][label], what):.2f}"
            for what in ("cpu", "wall")
            for label in ("before", "after")
        ]
        print(f"| {kind}: {name} | {of} | {bar} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--after", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--seconds", type=float, default=1e9, help="of turns, for each file"
    )
    parser.add_argument("--folder", default=None)
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS))
    options = parser.parse_args()
    trees = {"before": options.before.resolve(), "after": options.after.resolve()}
    print("| file | what | CPU before (s) | after | wall before (s) | after ", end="")
    print("| CPU ratio | wall ratio | MiB before | after | other result |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    found = {}
    for kind in options.only:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            found[kind] = compare(
                kind, Path(folder), trees, options.repeats, options.seconds
            )
        n_turns = {len(runs) for of in found[kind].values() for runs in of.values()}
        print(f"{kind}: {max(n_turns)} turns", file=sys.stderr)
        for name, of in found[kind].items():
            print(line(kind, name, of), flush=True)
    bars(found)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--make"]:
        make(sys.argv[2], Path(sys.argv[3]))
    elif sys.argv[1:2] == ["--run"]:
        run_kind(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
    else:
        main()
