"""Element maps by a fit of whole spectra: speed and accuracy, beside other programs.

    python benchmarks/fit.py [--pymca PYTHON] [--repeats 5] [--size 256] [--folder /tmp]
                             [--only memory|files|accuracy] [--accuracy]

"memory": a phantom of --size x --size pixels and 2048 channels, 600 counts each, 25 groups of
lines, through the functions of arrays; "files": maps as .GeoPIXE, .spd and Bliss files,
through HyperSpy. The calibration is not part of the time where it says "with a model". Seconds
are of the processor, all threads; ratios are of the time of a spectrum, to the first case of
the same turn, in the median. --accuracy prints how right maps are. PYTHON is that of an
environment with PyMca:

    python -m venv pymca && pymca/bin/pip install PyMca5==5.9.7 fisx numpy h5py

Linux only.
"""

import argparse
import json
import os
import pickle
import statistics
import sys
import tempfile
from pathlib import Path

import _runner
import numpy as np

ROOT = Path(__file__).parents[1]
COUNTS = 600
N_LINES = 12
# Pixels of the map that slow cases have.
NNLS, MULTIFIT, PYMCA = (32, 64), (32, 32), (128, 128)


# Cases: import, load and warm up; what is returned is measured.


def load(folder, crop=None):
    """Return the counts of the phantom, whole or a part, and what is known of it."""
    counts = np.load(Path(folder) / "map.npy")
    meta = json.loads((Path(folder) / "map.json").read_text())
    if crop is not None:
        counts = np.ascontiguousarray(counts[: crop[0], : crop[1]])
    return counts, meta


def projected(**options):
    def case(folder):
        from rsciio_xfm.analysis.fit.matrix import make_projection
        from rsciio_xfm.analysis.fit.project import project

        counts, _ = load(folder)
        basis = pickle.loads((Path(folder) / "basis.pickle").read_bytes())
        projection = make_projection(basis)
        project(counts[:2], projection, **options)
        return lambda: len(project(counts, projection, **options).maps)

    return case


def windows(folder):
    import hyperspy.api as hs

    from rsciio_xfm.signals import EDSXFMSpectrum

    counts, meta = load(folder)
    axes = [
        {"size": n, "name": name} for n, name in zip(counts.shape, "yxE", strict=True)
    ]
    axes[2] |= {"name": "Energy", "units": "keV"}
    axes[2] |= {"offset": meta["zero"], "scale": meta["gain"]}
    s = EDSXFMSpectrum(counts, axes=axes)
    wanted = named_windows()
    s.inav[:2, :2].get_window_images(wanted)
    del hs
    return lambda: len(s.get_window_images(wanted))


def named_windows():
    """Return windows of 12 lines, 0.2 keV each."""
    energies = (1.74, 2.31, 2.96, 3.69, 4.51, 5.41, 6.4, 8.05, 8.64, 10.55, 14.16, 15.77)
    return {f"{energy}": (energy - 0.1, energy + 0.1) for energy in energies[:N_LINES]}


def pymca(name, refit, weight):
    def case(folder):
        import _pymca

        counts, meta = load(folder, PYMCA)
        background = getattr(_pymca, name)
        config = _pymca.configure(
            meta, background if name != "NO_BACKGROUND" else _pymca.POLYNOMIAL
        )
        config, *_ = _pymca.calibrate(config, counts.sum(axis=(0, 1), dtype=float))
        config["fit"] |= background
        _pymca.fit(config, counts[:2, :8], refit, weight)
        return lambda: len(_pymca.fit(config, counts, refit, weight)[0])

    return case


def nnls(folder):
    from scipy.optimize import nnls

    counts, _ = load(folder, NNLS)
    basis = pickle.loads((Path(folder) / "basis.pickle").read_bytes())
    root = 1 / np.sqrt(np.maximum(basis.expected, 1))
    columns = basis.columns * root[:, None]
    spectra = counts[..., basis.first : basis.stop].reshape(-1, len(columns))

    def run():
        return len([nnls(columns, spectrum * root)[0] for spectrum in spectra])

    return run


def multifit(folder):
    """exspy's model of the same elements, whose energies, widths and ratios are given."""
    import exspy.signals
    import hyperspy.api as hs

    hs.preferences.General.show_progressbar = False
    counts, meta = load(folder, MULTIFIT)
    s = exspy.signals.EDSSEMSpectrum(counts)
    s.axes_manager[-1].name, s.axes_manager[-1].units = "Energy", "keV"
    s.axes_manager[-1].offset, s.axes_manager[-1].scale = meta["zero"], meta["gain"]
    s.set_microscope_parameters(beam_energy=30, energy_resolution_MnKa=138)
    s.set_elements(sorted({name.split("_")[0] for name in meta["elements"]}))
    s.add_lines()
    model = s.create_model(auto_background=True, auto_add_lines=True)
    model.set_signal_range(*meta["range"])
    options = {"optimizer": "lstsq", "show_progressbar": False}

    def run():
        model.multifit(**options)
        return len(model)

    return run


def from_file(what):
    def case(path):
        import hyperspy.api as hs

        import rsciio_xfm.signals  # noqa: F401

        known = json.loads(Path(path).with_suffix(".meta").read_text())
        options = known["options"]
        open_map = lambda name: hs.load(name, lazy=True, **options)  # noqa: E731
        small = known["small"]
        elements, excitation = known["elements"], known["excitation"]
        silent = {"show_progressbar": False}
        given = {"excitation": excitation, **silent}
        open_map(small).get_window_images(named_windows(), **silent)
        if what == "windows":
            return lambda: len(
                open_map(path).get_window_images(named_windows(), **silent)
            )
        model = open_map(small).create_element_model(elements, **given)
        model.fit()
        open_map(small).get_element_maps(model, **silent)
        if what == "all":
            return lambda: len(open_map(path).get_element_maps(elements, **given))
        model = open_map(path).create_element_model(elements, **given)
        model.fit()
        return lambda: len(open_map(path).get_element_maps(model, **silent))

    return case


OURS = "project()"
MEMORY = {
    OURS: projected(),
    "project(nonnegative=True)": projected(nonnegative=True),
    "get_window_images(), 12 lines, in memory": windows,
    "nnls of scipy, pixel by pixel": nnls,
    "HyperSpy, multifit(lstsq) of exspy's model": multifit,
}
OF_PYMCA = {
    "PyMca, fast linear fit, its default": pymca("DEFAULT", True, 0),
    "PyMca, polynomial, no refit": pymca("POLYNOMIAL", False, 1),
    "PyMca, without background or refit": pymca("NO_BACKGROUND", False, 0),
}
FILES = {
    "get_window_images(), 12 lines": from_file("windows"),
    "get_element_maps(), with a model": from_file("maps"),
    "get_element_maps(), calibration too": from_file("all"),
}
CASES = MEMORY | OF_PYMCA | FILES
PIXELS = {
    "nnls of scipy, pixel by pixel": NNLS,
    "HyperSpy, multifit(lstsq) of exspy's model": MULTIFIT,
} | dict.fromkeys(OF_PYMCA, PYMCA)


# What is measured, and the table.


def compare(cases, path, n_pixels, repeats, python=None):
    """Run the cases in turn and print a table: per CPU second, CPU, wall, memory, ratios."""
    runs = {name: [] for name in cases}
    for _ in range(repeats):
        for name in cases:
            interpreter = python if name in OF_PYMCA else None
            found = _runner.run(__file__, name, str(path), interpreter)
            height, width = PIXELS.get(name, (1, n_pixels))
            found["n"] = min(height * width, n_pixels)
            runs[name].append(found)
    print(
        "| what | spectra / CPU-s | ratio (CPU) | CPU (s) | time (s) | spectra "
        "| peak memory (MiB) |"
    )
    print("|---|---|---|---|---|---|---|")
    first = runs[next(iter(cases))]
    for name, found in runs.items():
        ratios = [
            (one["cpu"] / one["n"]) / (other["cpu"] / other["n"])
            for one, other in zip(found, first, strict=True)
        ]
        cpu = statistics.median(one["cpu"] for one in found)
        wall = statistics.median(one["seconds"] for one in found)
        peak = max(one["peak"] for one in found) / 2**20
        n = found[0]["n"]
        print(
            f"| {name} | {n / cpu:,.0f} | {statistics.median(ratios):.2f} | {cpu:.3f} | "
            f"{wall:.3f} | {n} | {peak:.0f} |"
        )
    print()
    sys.stdout.flush()


def write_phantom(folder, size):
    """Write the phantom and its calibrated basis."""
    from rsciio_xfm.analysis.fit.calibrate import calibrate
    from rsciio_xfm.analysis.fit.model import make_model
    from rsciio_xfm.analysis.fit.response import Response
    from rsciio_xfm.analysis.fit.sources import parse_excitation
    from tests.builders import xrf

    p = xrf.make((size, size), COUNTS)
    np.save(folder / "map.npy", p.counts.astype(np.uint16))
    elements = [*p.areas, *(f"{element}_K" for element in p.absent)]
    meta = {"zero": p.detector.zero, "gain": p.detector.gain, "elements": elements}
    meta |= {"range": (1.2, 20.4), "excitation": p.excitation}
    (folder / "map.json").write_text(json.dumps(meta))
    beam = parse_excitation(f"{p.excitation[0]} {p.excitation[1]:g} kV")
    model = make_model(elements, beam, Response(), p.counts.shape[-1])
    model = calibrate(model, p.counts.sum(axis=(0, 1), dtype=float), size * size)
    (folder / "basis.pickle").write_bytes(pickle.dumps(model.fit.basis))
    print(f"{p.counts.shape} of uint16, {len(model.fit.basis.names)} components\n")


def write_files(folder, size):
    """Yield a name, the path of a map, and its number of pixels."""
    from rsciio_xfm import data
    from tests.builders import xrf

    metal = ["K", "Ca", "Ti", "Cr", "Mn", "Fe", "Ni", "Cu", "Zn", "Sr", "Y", "Zr"]
    solder = ["C", "O", "Si", "P", "Ni", "Cu", "Ag", "Sn"]
    for name, make, elements, excitation in (
        ("map.GeoPIXE", data.thin_section, metal, None),
        ("map.spd", data.sem_map, solder, "electrons 20 kV"),
    ):
        make(folder / f"small{name[3:]}", (16, 16))
        made = make(folder / name, (size, size))
        yield name, describe(folder, name, elements, excitation), made.labels.size
        made.path.unlink()
    p = xrf.make((size, size), COUNTS)
    for name, counts in (("small.h5", p.counts[:16, :16]), ("map.h5", p.counts)):
        write_bliss(folder / name, counts)
    names = [*p.areas, *(f"{element}_K" for element in p.absent)]
    path = describe(folder, "map.h5", names, "Mo 50 kV", {"file_format": "ESRF"})
    yield "Bliss", path, size * size


def write_bliss(path, counts):
    """Write a map as Bliss does, with its calibration."""
    import h5py

    y, x, n_channels = counts.shape
    options = {"compression": "gzip", "compression_opts": 4, "shuffle": True}
    with h5py.File(path, "w") as file:
        file["1.1/title"] = f"amesh sy 0 1 {x - 1} sz 0 1 {y - 1} 0.1"
        detector = file.create_group("1.1/instrument/mca0")
        detector["calibration"] = [0.0, 0.01, 0.0]
        data = counts.reshape(-1, n_channels).astype("u4")
        chunks = (min(128, y * x), n_channels)
        detector.create_dataset("data", data=data, chunks=chunks, **options)
        file["1.1/measurement/mca0"] = h5py.SoftLink("/1.1/instrument/mca0/data")


def describe(folder, name, elements, excitation, options=None):
    path = folder / name
    known = {"elements": elements, "excitation": excitation, "options": options or {}}
    known["small"] = str(folder / f"small{path.suffix}")
    path.with_suffix(".meta").write_text(json.dumps(known))
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--folder", default=tempfile.gettempdir())
    parser.add_argument("--pymca", metavar="PYTHON")
    parser.add_argument("--only", choices=["memory", "files", "accuracy"])
    parser.add_argument("--accuracy", action="store_true")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    # Threads of BLAS burn time beside those that read; ours has one in any case.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    if arguments.accuracy or arguments.only == "accuracy":
        import _accuracy

        _accuracy.report(arguments.pymca)
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        os.environ["RSCIIO_XFM_CACHE_DIR"] = str(folder / "cache")
        if arguments.only != "files":
            write_phantom(folder, arguments.size)
            cases = MEMORY | (OF_PYMCA if arguments.pymca else {})
            n_pixels = arguments.size**2
            compare(cases, folder, n_pixels, arguments.repeats, arguments.pymca)
            (folder / "map.npy").unlink()
        if arguments.only != "memory":
            for label, path, n_pixels in write_files(folder, arguments.size):
                _runner.read(str(path))
                print(f"{label}, {path.stat().st_size} bytes\n")
                compare(FILES, path, n_pixels, arguments.repeats)


if __name__ == "__main__" and not _runner.main(CASES, sys.argv[-1]):
    main()
