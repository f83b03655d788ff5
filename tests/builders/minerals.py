"""What a detector counts of the minerals of rsciio_xfm.data.thin_section.

    python -m tests.builders.minerals

prints, for each mineral, the counts of its elements relative to those of the continuum, as
rsciio_xfm/data/_thin_section.py has them. They follow from the mass fractions there: a section
of 30 µm, 70° incidence, 20° takeoff, 25 µm of beryllium and 1 cm of air before 0.45 mm of
silicon, and a tube as the table of lines has it, which is not that of the package.
"""

import itertools
import math
import sys

from rsciio_xfm.analysis.fit.excitation import Excitation, Layer, air
from rsciio_xfm.analysis.fit.lines import group
from rsciio_xfm.analysis.quantify.enhancement import yields
from rsciio_xfm.analysis.quantify.primary import Sample
from rsciio_xfm.analysis.quantify.setup import Setup
from rsciio_xfm.data import _thin_section as rock
from tests.builders import lines

# Counts/s of all lines of chalcopyrite; those of the others are in proportion.
CHALCOPYRITE = 22e3


def tube():
    """The photons of the table of lines, as the package has excitations."""
    anode, voltage = "Mo", 50.0
    steps = [
        lines.LEAST_BEAM * (voltage / lines.LEAST_BEAM) ** (i / lines.N_ENERGIES)
        for i in range(lines.N_ENERGIES + 1)
    ]
    photons = []
    for low, high in itertools.pairwise(steps):
        energy = math.sqrt(low * high)
        number = (voltage - energy) / energy * (high - low)
        photons.append((energy, number * math.exp(-((1.8 / energy) ** 3))))
    total = sum(number for _, number in photons)
    photons = [(energy, 0.7 * number / total) for energy, number in photons]
    own = [(e, 0.3 * lines.rate(anode, n)) for e, n in lines.lines_of(anode, "K")]
    energies, shares = zip(*photons, *[one for one in own if one[1] > 0], strict=True)
    return Excitation("tube", voltage, energies, shares, anode)


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
