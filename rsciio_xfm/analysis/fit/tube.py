"""The spectrum of an X-ray tube, by Ebel's formulas.

Electrons are slowed down within a depth of the anode that Love and Scott's model gives; what
they make there is absorbed on its way out. H. Ebel, X-Ray Spectrom. 28 (1999) 255 (continuum
and K lines) and 32 (2003) 46 (L lines): for anodes from Ti to Au, 5 to 50 kV. The constants of
L subshells go with the mean yield of the L shell, that of J. H. Hubbell et al., J. Phys. Chem.
Ref. Data 23 (1994) 339.
"""

import math

import numpy as np

from rsciio_xfm.analysis.fit.excitation import Layer, one_energy, transmission, xraylib
from rsciio_xfm.analysis.fit.lines import atomic_number, edge_of, group, symbols

TAKEOFF = 15.0  # degrees, of the anode of a tube with a window at its side
_LEAST_KEV = 1.0  # of the continuum that is looked at
_CONTINUUM, _K_LINES = 1.35e9, 5e13  # photons per s, sr, mA (and keV)
_L_LINES = {"L1": 0.71e13, "L2": 2.70e13, "L3": 4.94e13}
# The yield w of the L shell is c Z^n up to Z = 36; of heavier elements (w / (1 - w))^(1/4) is
# a polynomial in Z.
_LIGHT_Z, _LIGHT = 36, (1.939e-8, 3.8874)
_MEAN_YIELD = (0.17765, 0.00298937, 8.91297e-5, -2.67184e-7)
_ALIKE_Z = 80  # from where on L1 and L2 need no correction
_SHELLS = {"K": (2, 0.35), "L": (8, 0.25)}  # electrons, and Bethe's factor b
_CLOSE = 0.005  # L edges that are closer to each other bound one piece of the continuum
_FIRST_Z = 11  # of the elements whose edges bound pieces
_PER_PIECE = 8  # energies of a piece whose mean is taken
_COARSE = 16  # pieces if there was no edge


def radiation(
    anode: str, voltage: float, filters: tuple[Layer, ...], takeoff: float = TAKEOFF
) -> tuple[np.ndarray, np.ndarray]:
    """Return energies and numbers of the photons of a tube.

    Parameters
    ----------
    anode
        Symbol.
    voltage
        kV.
    filters
        That are in the way, the window included.
    takeoff
        Degrees between the surface of the anode and the radiation that is used, which is at
        a right angle to the electrons.

    Returns
    -------
    energies, photons
        float64: of pieces of the continuum, and of the lines of the anode; keV, and photons
        per s, sr and mA. The absorption edges of the elements from Na on bound the pieces, so
        that each piece excites an element with all of its photons or with none.
    """
    bounds = _bounds(voltage)
    steps = (np.arange(_PER_PIECE) + 0.5) / _PER_PIECE
    fine = bounds[:-1, np.newaxis] + np.diff(bounds)[:, np.newaxis] * steps
    photons = continuum(anode, voltage, fine.ravel(), takeoff)
    photons = (photons * transmission(filters, fine.ravel())).reshape(fine.shape)
    counts = photons.mean(axis=1) * np.diff(bounds)
    total = photons.sum(axis=1)
    mean = (photons * fine).sum(axis=1) / np.where(total > 0, total, 1)
    lines, of_lines = characteristic(anode, voltage, takeoff)
    of_lines = of_lines * transmission(filters, lines)
    is_there = total > 0
    return (
        np.concatenate([mean[is_there], lines]),
        np.concatenate([counts[is_there], of_lines]),
    )


def continuum(
    anode: str, voltage: float, energies: np.ndarray, takeoff: float = TAKEOFF
) -> np.ndarray:
    """Return the continuum of a tube: photons per s, sr, mA and keV.

    Parameters
    ----------
    anode, voltage, takeoff
        See :func:`radiation`.
    energies
        keV, below the voltage.
    """
    z = atomic_number(anode)
    power = 1.109 - 0.00435 * z + 0.00175 * voltage
    made = _CONTINUUM * z * (voltage / energies - 1) ** power
    return made * _escaping(z, voltage, energies, energies, takeoff)


def characteristic(
    anode: str, voltage: float, takeoff: float = TAKEOFF
) -> tuple[np.ndarray, np.ndarray]:
    """Return the lines of the anode: keV, and photons per s, sr and mA.

    Parameters
    ----------
    anode, voltage, takeoff
        See :func:`radiation`.
    """
    z = atomic_number(anode)
    found: list[tuple[np.ndarray, np.ndarray]] = [(np.zeros(0), np.zeros(0))]
    for shell in _SHELLS:
        own = group(anode, shell, one_energy("electrons", voltage))
        if own is None:
            continue
        names = own.families if shell == "L" else ("K",) * len(own.energies)
        edges = np.array([edge_of(anode, name) for name in names])
        made = np.array([_strength(z, name) for name in names])
        if shell == "L":
            parts = [own.weights[own.is_of(name)].sum() for name in names]
            made = made * own.weights / parts
        else:
            made = made * own.weights
        made = made * _produced(z, voltage, edges, shell)
        made = made * _escaping(z, voltage, edges, own.energies, takeoff)
        found.append((own.energies, made))
    energies, photons = (np.concatenate(values) for values in zip(*found, strict=True))
    return energies, photons


def _strength(z: int, subshell: str) -> float:
    """Return Ebel's constant of a subshell, times the fluorescence yield."""
    own = xraylib()
    if subshell == "K":
        return _K_LINES * own.FluorYield(z, own.K_SHELL)
    correction = 1.0
    if subshell != "L3" and z < _ALIKE_Z:
        correction = -0.4814 + 0.03781 * z - 2.413e-4 * z**2
    return _L_LINES[subshell] * correction * mean_l_yield(z)


def mean_l_yield(z: int) -> float:
    """Return the mean fluorescence yield of the L shell of an element.

    Examples
    --------
    >>> round(mean_l_yield(24), 4), round(mean_l_yield(45), 4), round(mean_l_yield(74), 3)
    (0.0045, 0.0459, 0.269)
    """
    if z <= _LIGHT_Z:
        return _LIGHT[0] * z ** _LIGHT[1]
    fourth: float = sum(c * z**i for i, c in enumerate(_MEAN_YIELD)) ** 4
    return fourth / (1 + fourth)


def _produced(z: int, voltage: float, edges: np.ndarray, shell: str) -> np.ndarray:
    """Return the factors of stopping power and backscattering."""
    n_electrons, b = _SHELLS[shell]
    u = voltage / edges
    core = u * np.log(u) + 1 - u
    root = np.sqrt(u)
    loss = (root * np.log(u) + 2 * (1 - root)) / core
    stopping = 1 + 16.05 * np.sqrt(0.0135 * z / edges) * loss
    scattered = 1 - 0.0081517 * z + 3.613e-5 * z**2 + 0.001141 * voltage
    returned = scattered + 0.009583 * z * np.exp(-u)
    return n_electrons * b / z * core * stopping * returned


def _escaping(
    z: int, voltage: float, edges: np.ndarray, energies: np.ndarray, takeoff: float
) -> np.ndarray:
    """Return the share of photons that leave the anode.

    They are made evenly down to twice the mean depth of photons that need the energies
    ``edges``.
    """
    own, log_z = xraylib(), math.log(z)
    back = 0.1904 - 0.2236 * log_z + 0.1292 * log_z**2 - 0.0149 * log_z**3
    back = back * voltage ** (0.1382 - 0.9211 / math.sqrt(z))
    deepest = 0.787e-5 * math.sqrt(0.0135 * z) * voltage**1.5 + 0.735e-6 * voltage**2
    deepest = deepest * own.AtomicWeight(z) / z
    log_u = np.log(voltage / edges)
    above = log_u * (0.49269 - 1.0987 * back + 0.78557 * back**2)
    depth = deepest * above / (0.70256 - 1.09865 * back + 1.0046 * back**2 + log_u)
    tau = np.array([own.CS_Photo(z, float(energy)) for energy in energies])
    path = 2 * tau * depth / math.tan(math.radians(takeoff))
    return -np.expm1(-path) / np.maximum(path, 1e-12)


def _bounds(voltage: float) -> np.ndarray:
    """Return the energies between which the continuum is taken together, keV."""
    low = min(_LEAST_KEV, 0.5 * voltage)
    elements = symbols()[_FIRST_Z - 4 :]
    found = [edge_of(element, "K") for element in elements]
    edges = sorted(edge_of(e, name) for e in elements for name in ("L1", "L2", "L3"))
    together: list[float] = []
    for edge in edges:
        if together and edge > together[0] * (1 + _CLOSE):
            found.append(math.sqrt(together[0] * together[-1]))
            together = []
        together.append(edge)
    found += [*np.geomspace(low, voltage, _COARSE + 1)]
    return np.unique([edge for edge in found if low <= edge <= voltage])
