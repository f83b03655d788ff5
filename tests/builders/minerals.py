"""What a detector counts of the minerals of rsciio_xfm.data.thin_section.

    python -m tests.builders.minerals

prints, for each mineral, the counts of its elements relative to those of the continuum, as
rsciio_xfm/data/_thin_section.py has them. They follow from the mass fractions there: a section
of 30 µm, 70° incidence, 20° takeoff, 25 µm of beryllium and 1 cm of air before 0.45 mm of
silicon, and a tube's spectrum that is written here once more.
"""

import math
import sys

import numpy as np
import xraylib

from rsciio_xfm.analysis.fit.excitation import Excitation, Layer, air
from rsciio_xfm.analysis.fit.lines import group
from rsciio_xfm.analysis.quantify.enhancement import yields
from rsciio_xfm.analysis.quantify.primary import Sample
from rsciio_xfm.analysis.quantify.setup import Setup
from rsciio_xfm.data import _thin_section as rock
from tests.builders import lines

# Counts/s of all lines of chalcopyrite; those of the others are in proportion.
CHALCOPYRITE = 20e3


def tube(anode="Mo", voltage=50.0, n_steps=200, window=0.0125, takeoff=15.0):
    """Photons of a tube by H. Ebel, X-Ray Spectrom. 28 (1999) 255: continuum and K lines.

    Behind a window of beryllium (cm); `takeoff` in degrees, electrons at a right angle.
    """
    z = xraylib.SymbolToAtomicNumber(anode)
    bounds = np.geomspace(1.5, voltage, n_steps + 1)
    energies = np.sqrt(bounds[1:] * bounds[:-1])
    photons = (
        1.35e9 * z * (voltage / energies - 1) ** (1.109 - 0.00435 * z + 0.00175 * voltage)
    )
    photons = photons * np.diff(bounds) * leaving(z, voltage, energies, energies, takeoff)
    edge = xraylib.EdgeEnergy(z, xraylib.K_SHELL)
    u = voltage / edge
    core = u * np.log(u) + 1 - u
    loss = (np.sqrt(u) * np.log(u) + 2 * (1 - np.sqrt(u))) / core
    made = 5e13 * 2 * 0.35 / z * core * (1 + 16.05 * np.sqrt(0.0135 * z / edge) * loss)
    made *= (
        1
        - 0.0081517 * z
        + 3.613e-5 * z**2
        + 0.009583 * z * np.exp(-u)
        + 0.001141 * voltage
    )
    made *= xraylib.FluorYield(z, xraylib.K_SHELL)
    own = np.array([(e, lines.rate(anode, n)) for e, n in lines.lines_of(anode, "K")])
    own = own[own[:, 1] > 0]
    of_lines = made * own[:, 1] * leaving(z, voltage, edge, own[:, 0], takeoff)
    energies = np.concatenate([energies, own[:, 0]])
    photons = np.concatenate([photons, of_lines])
    passed = [np.exp(-xraylib.CS_Total(4, e) * 1.848 * window) for e in energies]
    photons = photons * passed / (photons @ passed)
    return Excitation("tube", voltage, tuple(energies), tuple(photons), anode)


def leaving(z, voltage, least, energies, takeoff):
    """Return the share of photons that leave the anode; those of `least` keV make them."""
    log_z = math.log(z)
    back = 0.1904 - 0.2236 * log_z + 0.1292 * log_z**2 - 0.0149 * log_z**3
    back *= voltage ** (0.1382 - 0.9211 / math.sqrt(z))
    deepest = 0.787e-5 * math.sqrt(0.0135 * z) * voltage**1.5 + 0.735e-6 * voltage**2
    deepest *= xraylib.AtomicWeight(z) / z
    log_u = np.log(voltage / least)
    depth = deepest * log_u * (0.49269 - 1.0987 * back + 0.78557 * back**2)
    depth = depth / (0.70256 - 1.09865 * back + 1.0046 * back**2 + log_u)
    absorption = np.array([xraylib.CS_Photo(z, e) for e in energies])
    path = 2 * absorption * depth / math.tan(math.radians(takeoff))
    return (1 - np.exp(-path)) / path


def counts():
    """Return for each mineral the counts of K lines, of any unit, by element."""
    path = (Layer("Be", 1.848, 0.0025), air(1.0))
    setup = Setup(tube(), 70.0, 20.0, path, Layer("Si", 2.33, 0.045))
    found = {}
    for mineral in rock.MINERALS:
        seen = [name for name in mineral.fractions if name in mineral.counts]
        groups = [group(name, "K", setup.excitation) for name in seen]
        sample = Sample(mineral.fractions, mineral.density * rock.THICKNESS)
        made = yields(sample, setup, groups).total.tolist()
        found[mineral.name] = dict(zip(seen, made, strict=True))
    return found


def shares():
    """Return for each mineral the counts of its elements relative to the continuum."""
    made = counts()
    scale = CHALCOPYRITE / sum(made["chalcopyrite"].values())
    found = {}
    for mineral in rock.MINERALS:
        own = {name: scale * n for name, n in made[mineral.name].items()}
        # The rate is that of lines, continuum and the scattered lines of the tube.
        continuum = (mineral.rate - sum(own.values())) / (1 + sum(rock.SCATTER))
        found[mineral.name] = {name: n / continuum for name, n in own.items()}
    return found


if __name__ == "__main__":
    for own, parts in shares().items():
        rounded = ", ".join(f'"{element}": {n:.4f}' for element, n in parts.items())
        sys.stdout.write(f"{own}: {{{rounded}}}\n")
