"""The table of lines of the synthetic maps, made with xraylib: rsciio_xfm/data/lines.csv.

    python -m tests.builders.lines > rsciio_xfm/data/lines.csv

One group of lines a row: what excites it, element, shell, then energy (keV) and counts of each
line. The counts of the innermost shell that is excited, and whose lines lie below 25 keV, add
up to 1; those of the others are relative to them. They are what a detector of 0.45 mm of
silicon sees (behind 25 µm of beryllium and 1 cm of air if photons excite), of a sample that
absorbs half of its own lines at 1.8 keV (1 keV if electrons do); weaker lines than 1e-3 of a
group are left out, and so are those below 3 keV of a rock, which do not get out of it.
"""

import itertools
import math
import sys

import xraylib

from tests.builders.xrf import SUBSHELLS, lines_of

ELEMENTS = {
    "Mo 50 kV": ["K", "Ca", "Ti", "Cr", "Mn", "Fe", "Ni", "Cu", "Zn", "Sr", "Y", "Zr"],
    "Rh 50 kV": ["Ca", "Mn", "Fe", "Cu", "Sn", "Hg", "Pb"],
    "electrons 20 kV": ["C", "O", "Si", "P", "Ni", "Cu", "Ag", "Sn"],
}
LEAST_KEV, LEAST_SHARE = 0.2, 1e-3
LEAST_OF_ROCK = 3.0
MOST_KEV = 25.0
LEAST_BEAM, N_ENERGIES = 1.5, 200
ELECTRONS = {"K": 2, "L1": 2, "L2": 2, "L3": 4} | dict(
    zip(SUBSHELLS["M"], (2, 2, 4, 4, 6), strict=True)
)


def rows():
    """Yield the rows of the table."""
    for beam, elements in ELEMENTS.items():
        yield from anode(beam)
        for element in elements:
            main = None
            for shell in "KLM":
                lines = seen(beam, element, shell)
                total = sum(counts for _, counts in lines)
                if total == 0:
                    continue
                main = main or total
                kept = [(e, c / main) for e, c in lines if c > LEAST_SHARE * total]
                if total > LEAST_SHARE * main:
                    yield join(beam, element, shell, kept)


def join(beam, element, shell, lines):
    pairs = [f"{energy:.4f}:{counts:.4g}" for energy, counts in sorted(lines)]
    return ",".join([beam, element, shell, *pairs])


def anode(beam):
    """Yield the tube's own K lines, as many counts as they are photons."""
    if beam.startswith("electrons"):
        return
    symbol = beam.split()[0]
    lines = [(e, rate(symbol, number)) for e, number in lines_of(symbol, "K")]
    yield join(beam, "anode", "K", [line for line in lines if line[1] > 0.01])


def seen(beam, element, shell):
    """Return energies and counts, of any unit, of the lines of a shell."""
    found = []
    is_tube = not beam.startswith("electrons")
    soft = 1.8 if is_tube else 1.0
    least = LEAST_OF_ROCK if beam == "Mo 50 kV" else LEAST_KEV
    emitted = by_photons if is_tube else by_electrons
    for energy, photons in emitted(beam, element, shell):
        if least < energy < MOST_KEV:
            passed = 1 / (1 + (soft / energy) ** 3)
            passed *= -math.expm1(-xraylib.CS_Total(14, energy) * 2.33 * 0.045)
            if is_tube:
                passed *= math.exp(-xraylib.CS_Total(4, energy) * 1.85 * 0.0025)
                passed *= math.exp(-xraylib.CS_Total(7, energy) * 0.0012)
            found.append((energy, photons * passed))
    return found


def by_photons(beam, element, shell):
    """Yield energies and photons of the lines of a shell that a tube excites."""
    anode, voltage, _ = beam.split()
    # Kramers' continuum behind a window, and 0.3 of the photons in lines of the anode.
    steps = [
        LEAST_BEAM * (float(voltage) / LEAST_BEAM) ** (i / N_ENERGIES)
        for i in range(N_ENERGIES + 1)
    ]
    photons = []
    for low, high in itertools.pairwise(steps):
        energy = math.sqrt(low * high)
        number = (float(voltage) - energy) / energy * (high - low)
        photons.append((number * math.exp(-((1.8 / energy) ** 3)), energy))
    total = sum(n for n, _ in photons)
    photons = [(0.7 * n / total, e) for n, e in photons]
    photons += [(0.3 * rate(anode, number), e) for e, number in lines_of(anode, "K")]
    z, section = (
        xraylib.SymbolToAtomicNumber(element),
        xraylib.CS_FluorLine_Kissel_Cascade,
    )
    for energy, number in lines_of(element, shell):
        yield energy, sum(n * look_up(section, z, number, e) for n, e in photons)


def by_electrons(beam, element, shell):
    """Yield energies and photons of the lines of a shell that electrons excite.

    They ionise subshells as Bethe has it; Coster-Kronig transitions follow.
    """
    voltage, z = float(beam.split()[1]), xraylib.SymbolToAtomicNumber(element)
    vacancies = {}
    for name in SUBSHELLS[shell]:
        edge = look_up(xraylib.EdgeEnergy, z, getattr(xraylib, f"{name}_SHELL"))
        vacancies[name] = 0.0
        if 0 < edge < voltage:
            vacancies[name] = ELECTRONS[name] / edge * math.log(voltage / edge)
    for inner, outer in itertools.combinations(SUBSHELLS[shell], 2):
        kind = getattr(xraylib, f"F{shell}{inner[-1]}{outer[-1]}_TRANS", None)
        if kind is not None:
            share = look_up(xraylib.CosKronTransProb, z, kind)
            vacancies[outer] += vacancies[inner] * share
    for name, vacancy in vacancies.items():
        photons = look_up(xraylib.FluorYield, z, getattr(xraylib, f"{name}_SHELL"))
        for energy, number in lines_of(element, name):
            yield energy, vacancy * photons * rate(element, number)


def rate(element, number):
    z = xraylib.SymbolToAtomicNumber(element)
    return look_up(xraylib.RadRate, z, number)


def look_up(function, *arguments):
    try:
        return function(*arguments)
    except ValueError:
        return 0.0


if __name__ == "__main__":
    sys.stdout.writelines(f"{row}\n" for row in rows())
