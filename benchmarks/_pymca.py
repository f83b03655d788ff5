"""What PyMca makes of a map; run by a Python that has PyMca, nothing else of ours is needed.

It is given the zero and gain that its user would find with two peaks, and the elements. It
calibrates itself on the sum spectrum with a tail and a step, as its window does, and then fits
each pixel linearly.
"""

import contextlib
import io
import json
import sys
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")

# Of PyMca's fast linear fit: its default; the best that was found; the least work.
DEFAULT = {"stripflag": 1, "stripalgorithm": 1, "snipwidth": 20, "continuum": 0}
POLYNOMIAL = {"stripflag": 0, "continuum": 4, "linpolorder": 6}
NO_BACKGROUND = {"stripflag": 0, "continuum": 0}
_GAUSSIAN, _SHORT_TAIL, _STEP = 1, 2, 8
# Tube lines and shares of what excites: enough to have the ratios of subshells about right.
_TUBES = {"Mo": ((17.44, 0.8), (19.61, 0.2)), "Rh": ((20.17, 0.8), (22.72, 0.2))}


def configure(meta, background):
    """Return PyMca's configuration of a map.

    Parameters
    ----------
    meta
        ``zero``, ``gain``, ``fwhm`` and ``range`` in keV, ``elements`` (``["Fe_K"]``),
        ``excitation`` (anode and kV, or keV).
    background
        One of the three above.
    """
    from PyMca5.PyMcaPhysics.xrf.ClassMcaTheory import McaTheory

    config = McaTheory().configure()
    channels = [round((e - meta["zero"]) / meta["gain"]) for e in meta["range"]]
    beam = meta["excitation"]
    lines = _TUBES[beam[0]] if isinstance(beam, list | tuple) else ((beam, 1.0),)
    peaks = {}
    for name in meta["elements"]:
        element, shell = name.split("_")
        peaks.setdefault(element, []).append(shell)
    config["peaks"] = peaks
    config["detector"] |= {"zero": meta["zero"], "gain": meta["gain"], "noise": 0.08}
    config["detector"] |= {"sum": 1e-8, "fixedsum": 1, "deltazero": 0.03}
    # Several energies need a matrix: one so thin that it absorbs nothing.
    config["attenuators"]["Matrix"] = [1, "Ca1", 1.0, 1e-6, 45.0, 45.0, 0, 90.0]
    config["attenuators"]["Detector"] = [1, "Si1", 2.33, 0.045]
    config["fit"] |= {
        **background,
        "xmin": channels[0],
        "xmax": channels[1],
        "use_limit": 1,
        "energy": [energy for energy, _ in lines],
        "energyweight": [share for _, share in lines],
        "energyflag": [1] * len(lines),
        "energyscatter": [1] * len(lines),
        "scatterflag": 1,
        "hypermetflag": _GAUSSIAN + _SHORT_TAIL + _STEP,
        "linearfitflag": 0,
        "maxiter": 20,
        "escapeflag": 1,
        "sumflag": 0,
    }
    return config


def calibrate(config, spectrum):
    """Return the configuration with what a fit of the sum spectrum finds, and its areas."""
    from PyMca5.PyMcaPhysics.xrf.ClassMcaTheory import McaTheory

    with contextlib.redirect_stdout(io.StringIO()):
        theory = McaTheory()
        theory.setConfiguration(config)
        theory.configure(config)
        channels = np.arange(len(spectrum), dtype=float)
        theory.setData(
            channels, spectrum, xmin=config["fit"]["xmin"], xmax=config["fit"]["xmax"]
        )
        theory.estimate()
        _, result = theory.startfit(digest=1)
    names = result["parameters"]
    found = dict(zip(names, result["fittedpar"], strict=True))
    config = theory.configure()
    for name, key in (
        ("Zero", "zero"),
        ("Gain", "gain"),
        ("Noise", "noise"),
        ("Fano", "fano"),
    ):
        config["detector"][key] = float(found[name])
    shape = {
        "ST AreaR": "st_arearatio",
        "ST SlopeR": "st_sloperatio",
        "STEP HeightR": "step_heightratio",
    }
    for name, key in shape.items():
        if name in found:
            config["peakshape"][key] = float(found[name])
    areas = {g: float(result[g]["fitarea"]) for g in result["groups"]}
    return config, areas, float(result["chisq"])


def fit(config, counts, refit, weight=0):
    """Return names (``"Fe K"``), maps and uncertainties of the fast linear fit.

    `weight` 0 is its default, none; 1 that of the sum spectrum. `refit` sets negative areas
    to 0 and fits the rest again.
    """
    from PyMca5.PyMcaPhysics.xrf.FastXRFLinearFit import FastXRFLinearFit

    with contextlib.redirect_stdout(io.StringIO()):
        result = FastXRFLinearFit().fitMultipleSpectra(
            y=counts, configuration=config, refit=refit, weight=weight, save=False
        )
    names = list(result.labels("parameters"))
    return names, np.asarray(result["parameters"]), np.asarray(result["uncertainties"])


def main(folder):
    """Fit map.npy as map.json says; write found.npz."""
    counts = np.load(folder / "map.npy")
    meta = json.loads((folder / "map.json").read_text())
    background, refit, weight = meta["options"]
    config = configure(meta, globals()[background])
    config, _, chi2 = calibrate(config, counts.sum(axis=(0, 1), dtype=float))
    names, maps, sigma = fit(config, counts, refit, weight)
    np.savez(folder / "found.npz", names=names, maps=maps, sigma=sigma, chi2=chi2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
