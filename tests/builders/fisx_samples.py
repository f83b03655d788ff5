"""Fluorescence of known samples, as fisx computes it (V. A. Sole, European Synchrotron).

    python tests/builders/fisx_samples.py > tests/builders/fisx_samples.csv

The package is compared with the numbers that fisx 1.3.2 gave, and by ``nox -s fisx`` with
fisx itself. Nothing absorbs between sample and detector, whose efficiency is 1.
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).with_suffix(".csv")
MONO = ((16.0, 1.0),)
MO_KA = ((17.44, 1.0),)
# Energies as a tube may have them, some between the edges of the samples.
TUBE = ((6.8, 0.15), (8.0, 0.15), (10.5, 0.2), (14.0, 0.2), (20.2, 0.2), (35.0, 0.1))
STEEL = {"Cr": 0.18, "Mn": 0.02, "Fe": 0.66, "Ni": 0.12, "Mo": 0.02}
BRASS = {"Cu": 0.6, "Zn": 0.37, "Pb": 0.03}
GLASS = {"O": 0.45, "Na": 0.10, "Si": 0.33, "K": 0.04, "Ca": 0.06, "Fe": 0.01, "Sr": 0.01}
HEMATITE = {"O": 0.3006, "Fe": 0.6994}
SULPHIDE = {"S": 0.35, "Fe": 0.30, "Cu": 0.345, "As": 0.005}


@dataclass(frozen=True)
class Sample:
    """`beam`: (keV, share); `thickness` g/cm2, 10: thick; `angles` degrees to the surface."""

    name: str
    fractions: dict[str, float]
    beam: tuple[tuple[float, float], ...]
    groups: tuple[str, ...]
    thickness: float = 10.0
    angles: tuple[float, float] = (45.0, 45.0)


OF_STEEL = ("Cr_K", "Mn_K", "Fe_K", "Ni_K")
OF_BRASS = ("Cu_K", "Zn_K", "Pb_L")
OF_GLASS = ("Si_K", "K_K", "Ca_K", "Fe_K")
SAMPLES = (
    Sample("steel", STEEL, MONO, OF_STEEL),
    Sample("steel, other angles", STEEL, MONO, OF_STEEL, angles=(70.0, 20.0)),
    Sample("steel, tube", STEEL, TUBE, OF_STEEL),
    Sample("steel foil", STEEL, MONO, OF_STEEL, 5e-3),
    Sample("steel film", STEEL, MONO, OF_STEEL, 1e-5),
    Sample("brass", BRASS, MO_KA, OF_BRASS),
    Sample("brass, tube", BRASS, TUBE, OF_BRASS),
    Sample("glass", GLASS, MO_KA, (*OF_GLASS, "Sr_K")),
    Sample("glass, thin section", GLASS, MO_KA, (*OF_GLASS, "Sr_K"), 7.5e-3),
    Sample("glass, tube", GLASS, TUBE, OF_GLASS),
    Sample("hematite", HEMATITE, MONO, ("Fe_K",)),
    Sample("sulphide", SULPHIDE, MO_KA, ("S_K", "Fe_K", "Cu_K", "As_K")),
)


def by_fisx(sample):
    """Return for each group its primary photons and all, for one that arrives.

    As if the detector saw all directions.
    """
    import fisx

    elements = fisx.Elements()
    elements.initializeAsPyMca()
    material = fisx.Material("sample", 1.0, 1.0, "")
    material.setComposition(sample.fractions)
    elements.addMaterial(material)
    xrf = fisx.XRF()
    xrf.setBeam([e for e, _ in sample.beam], weights=[share for _, share in sample.beam])
    xrf.setSample([["sample", 1.0, sample.thickness]])
    xrf.setGeometry(*sample.angles)
    names = [name.replace("_", " ") for name in sample.groups]
    rates = []
    for order in (0, 2):
        options = {"secondary": order, "useMassFractions": 1, "useGeometricEfficiency": 0}
        found = xrf.getMultilayerFluorescence(names, elements, **options)
        rates.append([sum(one["rate"] for one in found[n][0].values()) for n in names])
    return dict(zip(sample.groups, zip(*rates, strict=True), strict=True))


def read():
    """Return by name of the sample and group what fisx gave: primary, all."""
    found = {}
    with TABLE.open(newline="") as file:
        for name, group, first, every in csv.reader(file):
            found.setdefault(name, {})[group] = float(first), float(every)
    return found


if __name__ == "__main__":
    table = csv.writer(sys.stdout, lineterminator="\n")
    for one in SAMPLES:
        for own, (primary, total) in by_fisx(one).items():
            table.writerow([one.name, own, f"{primary:.6g}", f"{total:.6g}"])
