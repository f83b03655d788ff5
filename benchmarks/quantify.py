"""Concentrations of a steel of NIST, SRM 1155: how right, how fast, beside PyMca.

    python benchmarks/quantify.py FOLDER [--pymca PYTHON] [--repeats 5]

FOLDER holds Steel.spe and Steel.cfg, which come with PyMca. From flux, solid angle and the
counts of a fit, each program's own, to mass %; the composition is iterated, and the elements
that are seen are all there is. Seconds are of the processor; those of the first fit are apart,
and PyMca fits again in each step. Its last column takes copper from K-beta alone, which lies
free; K-alpha of copper is in the wing of nickel's K-beta and of that line's satellites, which
PyMca does not know.
PYTHON is that of an environment with PyMca:

    python -m venv pymca && pymca/bin/pip install PyMca5==5.9.7 fisx numpy h5py
"""

import argparse
import contextlib
import io
import json
import statistics
import subprocess
import sys
import time
import warnings
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
GROUPS = ("V_K", "Cr_K", "Mn_K", "Fe_K", "Ni_K", "Cu_K", "As_K", "W_L")
ORDERS = {"primary": 0, "with secondary": 1, "with tertiary": 2}


def measure(run, repeats):
    """Return what a function returns, and the CPU seconds it takes."""
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        found = run()
        seconds.append(time.process_time() - start)
    return found, statistics.median(seconds)


def ours(folder, repeats):
    """Return names, mass % and seconds by what is taken into account, and those of the fit."""
    import numpy as np

    from rsciio_xfm.analysis.fit.calibrate import calibrate
    from rsciio_xfm.analysis.fit.excitation import Layer, transmission
    from rsciio_xfm.analysis.fit.model import make_model
    from rsciio_xfm.analysis.fit.response import Response
    from rsciio_xfm.analysis.fit.sources import parse_excitation
    from rsciio_xfm.analysis.quantify import primary
    from rsciio_xfm.analysis.quantify.compose import Measured, solve
    from rsciio_xfm.analysis.quantify.setup import Setup, solid_angle
    from rsciio_xfm.analysis.quantify.standards import absolute
    from tests.builders.standards import read_steel

    known = read_steel(folder)
    path = tuple(Layer(*one) for one in known.path)
    beam = parse_excitation(known.energy)
    response = Response(**known.scale, thickness=known.detector[2], layers=path)
    elements = [*(name.removesuffix("_K") for name in GROUPS), "Mo_L", "Ar"]
    model = make_model(elements, beam, response, len(known.counts), (2.0, 17.0))
    fit, seconds = measure(lambda: calibrate(model, known.counts).fit, 1)
    filters = tuple(Layer(*one) for one in known.filters)
    flux = known.flux * transmission(filters, np.array([known.energy]))[0]
    angle = solid_angle(known.area, known.distance)
    setup = Setup(beam, *known.angles, path, Layer(*known.detector), flux, angle)
    areas = np.array([fit.areas[name] for name in GROUPS])
    limits = np.array([fit.detection_limits[name] for name in GROUPS])
    measured = Measured(GROUPS, areas[:, 0], areas[:, 1], limits, known.time)

    def compose():
        primary._tables.cache_clear()
        return solve(measured, setup, absolute(setup))

    found, spent = measure(compose, repeats)
    names = [name.partition("_")[0] for name in GROUPS]
    parts = dict(zip(names, (100 * found.fractions).tolist(), strict=True))
    return {"all orders": (parts, spent)}, seconds


def pymca(folder, repeats):
    """Return the same of PyMca, whose fit iterates the composition itself."""
    import numpy as np
    from PyMca5.PyMcaIO.ConfigDict import ConfigDict
    from PyMca5.PyMcaIO.specfilewrapper import Specfile
    from PyMca5.PyMcaPhysics.xrf.ClassMcaTheory import McaTheory
    from PyMca5.PyMcaPhysics.xrf.ConcentrationsTool import ConcentrationsTool

    counts = Specfile(str(folder / "Steel.spe"))[0].mca(1)

    def fit(order, is_apart=False):
        config = ConfigDict()
        config.read(str(folder / "Steel.cfg"))
        if is_apart:
            config["peaks"]["Cu"] = ["Ka", "Kb"]
        config["concentrations"]["usemultilayersecondary"] = order or 0
        # With a strategy it fits, computes the composition, and fits again.
        config["fit"]["strategyflag"] = int(order is not None)
        config["SingleLayerStrategy"] = {
            "layer": "Auto",
            "iterations": 6,
            "completer": "-",
            "flags": [1] * 4 + [0] * 6,
            "peaks": ["Cr K", "Mn K", "Fe Ka", "Ni K", *["-"] * 6],
            "materials": ["-"] * 10,
        }
        theory = McaTheory()
        theory.setConfiguration(config)
        theory.configure(config)
        limits = {"xmin": config["fit"]["xmin"], "xmax": config["fit"]["xmax"]}
        theory.setData(np.arange(len(counts), dtype=float), counts, **limits)
        theory.estimate()
        return config["concentrations"], theory.startfit(digest=1)[1]

    def compose(order, is_apart=False):
        options, result = fit(order, is_apart)
        tool = ConcentrationsTool()
        tool.configure(dict(options))
        given = {"elementsfrommatrix": False, "fluorates": None}
        return tool.processFitResult(config=None, fitresult={"result": result}, **given)

    _, alone = measure(lambda: fit(None), 1)
    found, ways = {}, [(label, order, False) for label, order in ORDERS.items()]
    for label, order, is_apart in [*ways, ("Cu by K-beta", 2, True)]:
        run = partial(compose, order, is_apart)
        result, seconds = measure(run, min(repeats, 2))
        left_out = "Cu Ka" if is_apart else "Cu Kb"
        percent = {}
        for group, fraction in result["mass fraction"].items():
            if not group.endswith(("Fe Kb", left_out, "L1", "L2", "Pb L", "Pb M")):
                percent[group.split()[0]] = 100 * float(fraction)
        found[label] = percent, seconds - alone
    return found, alone


def report(columns, truth):
    """Print a table: elements, what is known, what was found and how far off that is."""
    out = sys.stdout.write
    out("| element | certificate | " + " | ".join(columns) + " |\n")
    out("|---" * (2 + len(columns)) + "|\n")
    for name, known in truth.items():
        cells = []
        for parts, _ in columns.values():
            value = parts.get(name)
            if value is None:
                cells.append("")
            else:
                cells.append(f"{value:.3f} ({100 * (value / known - 1):+.0f} %)")
        if any(cells):
            out(f"| {name} | {known} | " + " | ".join(cells) + " |\n")
    spent = [f"{seconds:.2f} s" for _, seconds in columns.values()]
    out("| CPU, composition | | " + " | ".join(spent) + " |\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pymca", help="a Python that has PyMca")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.worker:
        with contextlib.redirect_stdout(io.StringIO()):
            found = pymca(given.folder, given.repeats)
        sys.stdout.write(json.dumps(found))
        return
    sys.path.insert(0, str(ROOT))
    from tests.builders.standards import SRM_1155

    found, seconds = ours(given.folder, given.repeats)
    columns = {f"ours, {name}": one for name, one in found.items()}
    told = [f"ours {seconds:.1f} s"]
    if given.pymca:
        command = [given.pymca, __file__, str(given.folder), "--worker"]
        command += ["--repeats", str(given.repeats)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found, seconds = json.loads(said)
        columns |= {f"PyMca, {name}": one for name, one in found.items()}
        told.append(f"PyMca {seconds:.1f} s")
    report(columns, SRM_1155)
    sys.stdout.write(f"\nCPU of the fits: {', '.join(told)}\n")


if __name__ == "__main__":
    main()
