"""What compounds consist of."""

import functools

from rsciio_xfm.analysis.fit.excitation import composition, xraylib
from rsciio_xfm.analysis.fit.lines import atomic_number

LAST_Z = 92
# Oxygen atoms per atom in the oxides by which analyses of rocks and glass are given.
_OXIDES = {
    0.5: "Li Na K Rb Cs Ag",
    1.0: "Be Mg Ca Sr Ba Mn Co Ni Cu Zn Cd Hg Pb Pd",
    1.5: "B Al Sc Cr Fe Ga As Y In Sb La Ce Pr Nd Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Tl Bi",
    2.0: "C Si Ti Ge Se Zr Sn Te Hf Th",
    2.5: "P V Nb Ta",
    3.0: "S Mo W",
    8 / 3: "U",
}
_OXYGEN = {name: n for n, names in _OXIDES.items() for name in names.split()}


def check_element(element: str) -> str:
    """Return a symbol of H to U.

    Raises
    ------
    ValueError
        It is none.
    """
    if not 1 <= atomic_number(element) <= LAST_Z:
        raise ValueError(f"{element} has no cross sections, expected an element up to U.")
    return element


def parse_formula(formula: str) -> dict[str, float]:
    """Return the mass fractions of a compound or a named material.

    Parameters
    ----------
    formula
        ``"SiO2"``, ``"air"`` or a name of xraylib's list of NIST materials.

    Returns
    -------
    dict
        Symbols and fractions that add up to 1.

    Raises
    ------
    ValueError
        It is neither.

    Examples
    --------
    >>> {name: round(share, 3) for name, share in parse_formula("SiO2").items()}
    {'O': 0.533, 'Si': 0.467}
    """
    names = xraylib().AtomicNumberToSymbol
    return {check_element(names(z)): w for z, w in composition(formula).items()}


@functools.cache
def oxygen_of(element: str) -> float:
    """Return the mass of oxygen per mass of an element in its usual oxide; 0 if it has none.

    Examples
    --------
    >>> round(oxygen_of("Si"), 3), oxygen_of("Au")
    (1.139, 0.0)
    """
    own = xraylib()
    masses = [own.AtomicWeight(atomic_number(name)) for name in ("O", element)]
    return _OXYGEN.get(element, 0.0) * masses[0] / masses[1]
