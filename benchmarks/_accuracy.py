"""How right element maps are, on phantoms whose truth is known."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
LIMIT = 3.29  # sigma: once in 2000
MAJOR = 0.03  # share of the counts that makes a group a major one
TRACES = ("As_K", "Mn_K", "Zn_K")  # a twentieth of what lies over them
BLOCK = 8  # pixels along y and x of the regions
COUNTS = (50, 200, 600, 5000)
SEED = 20  # of grains and noise: not one that anything was tuned with
# Phases and detectors of their own, as tests.builders.xrf.PHASES. The background's parts and
# the priors of M lines were chosen on the first of them, nothing on the second.
OTHER = {
    "glass": ({"Si": 0.6, "K": 0.3, "Ca": 0.4, "Mn": 0.02, "Fe": 0.05}, 0.9, 0.35),
    "gold": ({"Au": 2.0, "Cu": 0.4}, 1.3, 0.15),
    "apatite": ({"P": 0.1, "Ca": 1.5, "Sr": 0.1}, 1.0, 0.2),
    "chromite": ({"Cr": 1.2, "Fe": 0.6, "Ti": 0.05}, 1.1, 0.2),
    "cinnabar": ({"Hg": 1.6, "S": 0.3, "Zn": 0.05}, 1.2, 0.1),
}
OTHER_DETECTOR = {"zero": 0.009, "gain": 0.01002, "fwhm": 0.146, "tail": 0.02,
                  "shelf": 0.003, "escape": 1.1}  # fmt: skip
FRESH = {
    "bronze": ({"Cu": 1.5, "Pb": 0.2}, 1.2, 0.25),
    "feldspar": ({"Si": 0.5, "K": 0.8, "Ca": 0.1, "Fe": 0.05}, 0.9, 0.35),
    "bismuthinite": ({"Bi": 1.5, "S": 0.3}, 1.3, 0.15),
    "ilmenite": ({"Ti": 1.0, "Fe": 1.2, "Mn": 0.06}, 1.0, 0.25),
}
FRESH_DETECTOR = {"zero": -0.007, "gain": 0.00997, "fwhm": 0.133, "tail": 0.04,
                  "shelf": 0.004, "escape": 0.9}  # fmt: skip
SETS = {
    "independent": None,
    "other phases": (OTHER, OTHER_DETECTOR),
    "fresh phases": (FRESH, FRESH_DETECTOR),
}
PYMCA = {
    "PyMca, its default": ("DEFAULT", True, 0),
    "PyMca, polynomial, no refit": ("POLYNOMIAL", False, 1),
}


@dataclass(frozen=True)
class Case:
    """A map, and what should come out. `expected` are spectra of phases, shape (y, x) their
    labels and brightness; `truth` maps a group to its map of expected counts."""

    name: str
    counts: np.ndarray
    labels: np.ndarray
    bright: np.ndarray
    expected: np.ndarray
    truth: Callable[[str], np.ndarray]
    present: list[str]
    absent: list[str]
    excitation: object
    start: dict = field(default_factory=lambda: {"zero": 0.0, "gain": 0.01})


def independent(counts, excitation=("Mo", 50.0), size=64, what="independent"):
    """The phantom that shares no code with the fit; the start is 12 eV and 0.3 % off."""
    from tests.builders import xrf

    own = {}
    if SETS[what] is not None:
        phases, detector = SETS[what]
        own = {"phases": phases, "detector": xrf.Detector(**detector)}
    p = xrf.make((size, size), counts, excitation=excitation, seed=SEED, **own)
    is_tube = isinstance(excitation, tuple)
    given = f"{excitation[0]} {excitation[1]:g} kV" if is_tube else excitation
    name = f"{what}, {given if is_tube else f'{given} keV'}, {counts} counts"
    absent = [f"{element}_K" for element in p.absent]
    return Case(
        name, p.counts, p.labels, p.bright, p.expected, p.map, [*p.areas], absent, given
    )


def of_package(name):
    """One of the maps of rsciio_xfm.data, as large as the others."""
    import hyperspy.api as hs

    import rsciio_xfm.signals  # noqa: F401
    from rsciio_xfm import data, datastack

    shape = (64, 64)
    with tempfile.TemporaryDirectory() as folder:
        start = {"zero": 0.0, "gain": 0.01}
        if name == "thin_section":
            made, given = data.thin_section(Path(folder) / "a.GeoPIXE", shape), "Mo 50 kV"
            counts = hs.load(made.path).data
        elif name == "sem_map":
            made, given = data.sem_map(Path(folder) / "a.spd", shape), "electrons 20 kV"
            counts = hs.load(made.path).data
        else:
            made, given = data.painting(Path(folder) / "a.raw", shape), "Rh 50 kV"
            start = {"zero": -0.5, "gain": 0.025}
            rpl = made.path.with_suffix(".rpl")
            options = {"sigma": 0, "flip_vertical": True}
            stack = datastack.convert(made.path, rpl, **options)
            counts = hs.load(stack, lazy=True).data.compute()
    present = [*made.areas]
    absent = [f"{e}_K" for e in ("V", "Co", "Ga", "Se") if f"{e}_K" not in present]
    label = f"data.{name}, {counts.sum() / made.labels.size:.0f} counts"
    return Case(
        label,
        counts,
        made.labels,
        made.brightness,
        made.spectra,
        made.counts,
        present,
        absent,
        given,
        start,
    )


def ours(case):
    """Return (names, maps, sigma maps, sums of regions and their sigma, model)."""
    from rsciio_xfm.analysis.fit.calibrate import calibrate
    from rsciio_xfm.analysis.fit.matrix import make_projection
    from rsciio_xfm.analysis.fit.model import make_model
    from rsciio_xfm.analysis.fit.project import project
    from rsciio_xfm.analysis.fit.response import Response
    from rsciio_xfm.analysis.fit.sources import parse_excitation

    model = make_model(
        [*case.present, *case.absent],
        parse_excitation(case.excitation),
        Response(**case.start),
        case.counts.shape[-1],
    )
    total = case.counts.sum(axis=(0, 1), dtype=float)
    model = calibrate(model, total, case.labels.size)
    found = project(case.counts, make_projection(model.fit.basis))
    areas, sigma = found.sum_regions(blocks(case.labels.shape))
    spread = np.sqrt(found.variance)
    return found.names, found.maps, spread, areas, sigma, model


def blocks(shape):
    """Return the regions: the whole, then squares."""
    regions = [np.ones(shape, bool)]
    for y in range(0, shape[0], BLOCK):
        for x in range(0, shape[1], BLOCK):
            region = np.zeros(shape, bool)
            region[y : y + BLOCK, x : x + BLOCK] = True
            regions.append(region)
    return regions


def pymca(case, python, background, refit, weight):
    """Return the same of PyMca."""
    given = str(case.excitation).split()
    meta = {
        **case.start,
        "range": (1.2, 20.4),
        "elements": [*case.present, *case.absent],
        "excitation": given if len(given) > 1 else float(given[0]),
        "options": [background, refit, weight],
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        np.save(path / "map.npy", case.counts)
        (path / "map.json").write_text(json.dumps(meta))
        script = str(Path(__file__).parent / "_pymca.py")
        subprocess.run([python, script, folder], check=True, capture_output=True)
        found = np.load(path / "found.npz")
        names = [str(n).replace(" ", "_") for n in found["names"]]
        maps, sigma = found["maps"], found["sigma"]
    regions = blocks(case.labels.shape)
    areas = np.array([maps[:, r].sum(axis=1) for r in regions])
    spread = np.array([np.sqrt((sigma[:, r] ** 2).sum(axis=1)) for r in regions])
    return names, maps, sigma, areas, spread, None


def judge(case, found):
    """Return what there is to say of maps, by name."""
    names, _, _, areas, spread, model = found
    index = {name: i for i, name in enumerate(names)}
    absent = [index[n] for n in case.absent if n in index]
    truth = {n: case.truth(n) for n in case.present if n in index}
    total = case.counts.sum(dtype=float)
    told = {
        "mean of absent (1e-4 of counts)": 1e4 * areas[0, absent].mean() / total,
        "worst absent (1e-4)": 1e4 * np.abs(areas[0, absent]).max() / total,
        "worst absent (sigma)": np.abs(areas[0, absent] / spread[0, absent]).max(),
        "false regions": f"{(areas[1:, absent] > LIMIT * spread[1:, absent]).sum()} of "
        f"{areas[1:, absent].size}",
    }
    majors = [n for n, t in truth.items() if t.sum() > MAJOR * total]
    off = {n: areas[0, index[n]] - t.sum() for n, t in truth.items()}
    relative = {n: 100 * off[n] / truth[n].sum() for n in off}
    in_sigma = {n: off[n] / spread[0, index[n]] for n in off}
    worst = max(majors, key=lambda n: abs(relative[n]))
    told["worst major"] = (
        f"{worst} {relative[worst]:+.1f} % ({in_sigma[worst]:+.1f} sigma)"
    )
    told["traces"] = ", ".join(
        f"{n[:2]} {relative[n]:+.1f} % ({in_sigma[n]:+.1f})" for n in TRACES if n in off
    )
    told["all in sigma"] = f"{np.std([*in_sigma.values()]):.2f}"
    if model is not None:
        told |= noise_of(case, found, truth, index)
        told["chi2/n"] = f"{model.fit.chi2:.2f}"
    return told


def noise_of(case, found, truth, index):
    """Return RMSE over the bound of Cramer and Rao, and pulls, of groups.

    The bound is that of the columns that are fitted, the parts of the background among them.
    """
    names, maps, sigma, _, _, model = found
    basis = model.fit.basis
    kinds = dict(zip(basis.names, basis.kinds, strict=True))
    bounds = np.zeros((len(case.expected), len(names)))
    for k, expected in enumerate(case.expected):
        weighted = basis.resolved / np.sqrt(
            expected[basis.first : basis.stop, None].clip(1e-6)
        )
        scale = np.sqrt((weighted**2).sum(axis=0))
        gram = (weighted / scale).T @ (weighted / scale)
        adding = basis.adding / scale[:, None]
        bounds[k] = np.diag(adding.T @ np.linalg.pinv(gram) @ adding)
    by_class = maps_by_class(case, basis)
    ratios, of_classes, pulls = [], [], []
    for name, i in index.items():
        if kinds[name] != "element":
            continue
        expected = truth.get(name, np.zeros(case.labels.shape))
        bound = (bounds[case.labels, i] * case.bright).mean()
        # The mean is another matter: of the calibration, not of the noise.
        off = by_class[i] - expected
        of_classes.append(np.sqrt(off.var() / bound))
        off = maps[i] - expected
        off = off - off.mean()
        ratios.append(np.sqrt(off.var() / bound))
        pulls.append((off / sigma[i]).std())
    return {
        "RMSE / bound": f"{np.median(ratios):.3f}, worst {max(ratios):.2f}",
        "RMSE / bound, classes": f"{np.median(of_classes):.3f}, worst "
        f"{max(of_classes):.2f}",
        "pull": f"{np.median(pulls):.3f}, {min(pulls):.2f} to {max(pulls):.2f}",
    }


def maps_by_class(case, basis):
    """Return the maps with weights of each phase."""
    from rsciio_xfm.analysis.fit.matrix import make_projection
    from rsciio_xfm.analysis.fit.project import project

    phases = range(len(case.expected))
    sums = np.array([case.counts[case.labels == k].sum(0, dtype=float) for k in phases])
    projection = make_projection(basis, np.maximum(sums, 1e-6))
    return project(case.counts, projection, labels=case.labels).maps


def search(case):
    """Return which elements find_elements misses and which it makes up."""
    import time

    from rsciio_xfm.analysis.fit.find import find_elements
    from rsciio_xfm.analysis.fit.response import Response
    from rsciio_xfm.analysis.fit.sources import parse_excitation

    total = case.counts.sum(axis=(0, 1), dtype=float)
    regions = blocks(case.labels.shape)[1:]
    parts = np.array([case.counts[r].sum(axis=0, dtype=float) for r in regions])
    start = time.process_time()
    found, _ = find_elements(
        total, parse_excitation(case.excitation), Response(**case.start), parts
    )
    seconds = time.process_time() - start
    names = {one.element for one in found}
    present = {name.split("_")[0] for name in case.present}
    missed = [
        f"{e} ({max(case.truth(n).sum() for n in case.present if n.startswith(f'{e}_')):.0f})"
        for e in sorted(present - names)
    ]
    return {
        "found": f"{len(names & present)} of {len(present)}",
        "missed (counts)": ", ".join(missed) or "none",
        "false": ", ".join(sorted(names - present)) or "none",
        "seconds of find_elements": f"{seconds:.1f}",
    }


def cases():
    for counts in COUNTS:
        yield independent(counts)
    for counts in COUNTS[::2]:
        yield independent(counts, 17.44)
    for counts in COUNTS[1:]:
        yield independent(counts, ("Rh", 40.0), what="other phases")
    for counts in COUNTS[2:]:
        yield independent(counts, ("Mo", 45.0), what="fresh phases")
    for name in ("thin_section", "painting", "sem_map"):
        yield of_package(name)


def report(python=None, only=None):
    """Print what there is to say of each phantom, ours and PyMca's beside each other."""
    sys.path.insert(0, str(ROOT))
    for case in cases():
        if only is not None and only not in case.name:
            continue
        columns = {"ours": judge(case, ours(case)) | search(case)}
        if python is not None and "electrons" not in str(case.excitation):
            for label, options in PYMCA.items():
                columns[label] = judge(case, pymca(case, python, *options))
        print(f"\n{case.name}\n")
        print("\t".join(["", *columns]))
        for what in columns["ours"]:
            said = [told.get(what, "") for told in columns.values()]
            said = [one if isinstance(one, str) else f"{one:.2f}" for one in said]
            print("\t".join([what, *said]))
        sys.stdout.flush()


if __name__ == "__main__":
    report(only=sys.argv[1] if len(sys.argv) > 1 else None)
