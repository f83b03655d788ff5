"""Maps of X-ray fluorescence whose truth is known, to test a fit of whole spectra.

It shares no code with the fit: lines, their widths, tail, shelf and escape peaks, pile-up,
scatter and continuum are written here once more, and other ways where there are others:
channels integrate the profiles, pile-up is the spectrum convolved with itself, escape is an
integral over the depth of the crystal, the continuum is no spline. Only xraylib's tables are
the same.
"""

import functools
import re
from dataclasses import dataclass, field

import numpy as np
import xraylib
from scipy.special import erfc, erfcx, expn, ndtr

FWHM = 2.3548200450309493
MN_KA = 5.8951
LEAST_KEV = 0.6  # of lines
TUBE_LINES = 0.3  # of the photons of a tube; the others are its continuum
SUBSHELLS = {"K": ["K"], "L": ["L1", "L2", "L3"], "M": [f"M{i}" for i in range(1, 6)]}
# Spectra of phases: counts of the strongest group of each element relative to those of the
# continuum; brightness; share of the grains. Zn is a twentieth of Cu, Mn of Fe, As of Pb.
PHASES = {
    "silicate": ({"Si": 0.3, "K": 0.15, "Ca": 0.6, "Fe": 0.4, "Sr": 0.2}, 0.8, 0.35),
    "oxide": ({"Ti": 0.9, "Fe": 0.7, "Cr": 0.05}, 1.0, 0.25),
    "sulphide": ({"S": 0.4, "Fe": 0.8, "Cu": 1.2, "Zn": 0.06}, 1.2, 0.15),
    "lead": ({"Pb": 2.0, "As": 0.1, "Ca": 0.1}, 1.4, 0.15),
    "steel": ({"Fe": 2.0, "Mn": 0.1, "Cr": 0.5}, 1.3, 0.10),
    "zircon": ({"Zr": 1.0, "Si": 0.2, "Fe": 0.05}, 0.9, 0.0),  # a few small grains
}
EVERYWHERE = {"Ar": 0.03}  # air
ABSENT = ("V", "Co", "Ni", "Ga", "Se", "Rb")
_L_ELEMENTS = ("Pb",)  # whose strongest group is L


@dataclass(frozen=True)
class Detector:
    """Energies in keV; `fwhm` is that at Mn Ka, `escape` a factor on what is expected."""

    zero: float = -0.012
    gain: float = 0.01003
    n_channels: int = 2048
    fwhm: float = 0.138
    fano: float = 0.121
    tail: float = 0.03
    tail_length: float = 0.17
    shelf: float = 0.006
    escape: float = 0.85
    thickness: float = 0.045  # cm of silicon
    window: float = 0.0025  # cm of beryllium
    air: float = 1.0  # cm

    def sigma(self, energy):
        """Standard deviation of a line."""
        pairs = 0.00366 * self.fano
        noise = (self.fwhm / FWHM) ** 2 - pairs * MN_KA
        return np.sqrt(noise + pairs * np.maximum(energy, 0))

    @property
    def edges(self):
        """Of the channels, whose middles are at zero + gain * channel."""
        return self.zero + self.gain * (np.arange(self.n_channels + 1) - 0.5)


@dataclass(frozen=True)
class Phantom:
    """A map and its truth.

    `counts` (y, x, channel); `labels` (y, x) which phase, `bright` (y, x) the factor on its
    spectrum; `expected` (phase, channel); `areas`: for each group its counts in each phase
    (Gaussian, tail and shelf of all lines, without escape peaks and without the photons that
    piled up).
    """

    counts: np.ndarray
    labels: np.ndarray
    bright: np.ndarray
    expected: np.ndarray
    areas: dict[str, np.ndarray]
    phases: tuple[str, ...]
    excitation: float | tuple[str, float]
    detector: Detector
    seed: int
    absent: tuple[str, ...] = field(default=ABSENT)

    def map(self, group):
        """The expected counts of a group, shape (y, x)."""
        known = self.areas.get(group, np.zeros(len(self.phases)))
        return known[self.labels] * self.bright

    @property
    def elements(self):
        """Which are in the map."""
        return sorted({name.partition("_")[0] for name in self.areas})


def make(
    shape=(64, 64),
    counts=600,
    detector=Detector(),
    excitation=("Mo", 50.0),
    phases=PHASES,
    pile_up=0.004,
    scatter=0.5,
    sample=2.5,
    seed=0,
):
    """Make a phantom.

    Parameters
    ----------
    shape
        Pixels along y and x.
    counts
        In a pixel, mean of the map.
    detector
        :class:`Detector`.
    excitation
        Anode and voltage (kV) of a tube, or energy of photons (keV).
    phases
        As :data:`PHASES`.
    pile_up
        Share of the counts of a pixel of brightness 1 that are two photons.
    scatter
        Counts of scattered lines of the tube relative to the continuum.
    sample
        Energy below which the sample absorbs more than half of its own lines, keV.
    seed
        Of grains and noise.
    """
    rng = np.random.default_rng(seed)
    labels = place_grains(rng, shape, phases)
    bright = rng.lognormal(0, 0.05, shape)
    expected, areas = expect_phases(
        detector, excitation, phases, pile_up, scatter, sample
    )
    scale = counts / (expected.sum(axis=1)[labels] * bright).mean()
    expected, areas = expected * scale, {k: v * scale for k, v in areas.items()}
    data = np.empty((*shape, detector.n_channels), dtype=np.uint16)
    for y in range(shape[0]):
        data[y] = rng.poisson(expected[labels[y]] * bright[y][:, None])
    if data.size and data.max() < 256:
        data = data.astype(np.uint8)
    return Phantom(
        data,
        labels,
        bright,
        expected,
        areas,
        tuple(phases),
        excitation,
        detector,
        seed,
    )


def place_grains(rng, shape, phases):
    """Return which phase is where; one without a share is in three small round grains."""
    names = list(phases)
    shares = np.array([phases[name][2] for name in names])
    y, x = np.mgrid[: shape[0], : shape[1]]
    n_grains = max(12, min(200, shape[0] * shape[1] // 40))
    centres = rng.uniform(0, 1, (n_grains, 2)) * shape
    kinds = rng.choice(len(names), n_grains, p=shares / shares.sum())
    kinds[: len(names)] = np.where(shares > 0, np.arange(len(names)), 0)[:n_grains]
    distance = [np.hypot(y - centre[0], x - centre[1]) for centre in centres]
    labels = kinds[np.argmin(distance, axis=0)]
    for phase in np.flatnonzero(shares == 0):
        for centre in rng.uniform(0.1, 0.9, (3, 2)) * shape:
            radius = max(1.0, 0.03 * max(shape))
            labels[np.hypot(y - centre[0], x - centre[1]) < radius] = phase
    return labels


def expect_phases(detector, excitation, phases, pile_up, scatter, sample):
    """Return the spectrum of each phase, and the counts of each group in it."""
    spectra, areas = [], {}
    for k, (parts, brightness, _) in enumerate(phases.values()):
        spectrum = continuum(detector, k)
        spectrum = spectrum / spectrum.sum()
        spectrum = spectrum + scatter * scattered(detector, excitation)
        here = {}
        for element, share in (parts | EVERYWHERE).items():
            for name, (relative, column) in groups(
                detector, excitation, element, sample
            ).items():
                spectrum = spectrum + share * relative * column
                here[name] = share * relative
        total = brightness / spectrum.sum()
        doubles = pile_up * brightness
        for name, area in here.items():
            own = areas.setdefault(name, np.zeros(len(phases)))
            own[k] = area * total * (1 - doubles)
        single = spectrum * total
        spectra.append((1 - doubles) * single + doubles * piled_up(detector, single))
    return np.array(spectra), areas


def piled_up(detector, spectrum):
    """Return the spectrum of pairs of photons whose energies are added, as many counts."""
    n = detector.n_channels
    both = np.convolve(spectrum, spectrum) / spectrum.sum()
    # Channels i and j add up to the energy of channel i + j + zero / gain.
    return np.interp(
        np.arange(n) - detector.zero / detector.gain, np.arange(2 * n - 1), both
    )


def continuum(detector, k):
    """Return a smooth background, a little different for each phase."""
    energy = np.maximum(
        detector.zero + detector.gain * np.arange(detector.n_channels), 0.05
    )
    hump = (energy / 9) ** (1.8 + 0.1 * k) * np.exp(-((energy / (13 + 0.4 * k)) ** 2.2))
    low = 0.12 * np.exp(-energy / 1.7)
    return (hump + low + 0.004) * np.exp(-((0.9 / energy) ** 3))


def scattered(detector, excitation):
    """Return Rayleigh and Compton of the excitation's lines; the sum is 1."""
    lines = characteristic(excitation)
    seen = [share * efficiency(detector, energy) for energy, share in lines]
    lines = [(energy, s / sum(seen)) for (energy, _), s in zip(lines, seen, strict=True)]
    spectrum = np.zeros(detector.n_channels)
    for energy, share in lines:
        spectrum += 0.35 * share * profile(detector, energy, detector.sigma(energy))
        shifted = energy / (1 + energy / 510.99895)  # at 90 degrees
        sigma = np.hypot(detector.sigma(energy), 0.011 * energy)
        own = {"tail": 0.35, "length": 0.02 * energy, "shelf": detector.shelf}
        spectrum += 0.65 * share * profile(detector, shifted, sigma, **own)
    return spectrum


def groups(detector, excitation, element, sample):
    """Return for each excited shell its name, counts relative to the main one, spectrum."""
    found = {}
    for shell in "KLM":
        lines = emitted(detector, excitation, element, shell, sample)
        total = sum(seen for _, seen in lines)
        if total > 0:
            column = np.zeros(detector.n_channels)
            for energy, seen in lines:
                sigma = detector.sigma(energy)
                column += seen / total * profile(detector, energy, sigma)
                for peak, ratio in escaped(detector, energy):
                    width = detector.sigma(peak)
                    own = {"tail": 0, "length": 1, "shelf": 0}
                    column += seen / total * ratio * profile(detector, peak, width, **own)
            found[shell] = (total, column)
    order = "LKM" if element in _L_ELEMENTS else "KLM"
    main = next((shell for shell in order if shell in found), None)
    return {
        f"{element}_{shell}": (total / found[main][0], column)
        for shell, (total, column) in found.items()
        if total > 1e-3 * found[main][0]
    }


def emitted(detector, excitation, element, shell, sample):
    """Return energy and detected photons of each line of a shell."""
    found = []
    for energy, number in lines_of(element, shell):
        if energy < LEAST_KEV:
            continue
        rate = sum(
            share * cross_section(element, number, beam)
            for beam, share in beams(excitation)
        )
        absorbed = 1 / (1 + (sample / energy) ** 3)
        seen = rate * absorbed * efficiency(detector, energy)
        if seen > 0:
            found.append((energy, seen))
    return found


@functools.cache
def lines_of(element, shell):
    """Return energies and xraylib's numbers of the lines of a shell or subshell."""
    z, found = xraylib.SymbolToAtomicNumber(element), []
    inner = "|".join(SUBSHELLS.get(shell, [shell]))
    for name in dir(xraylib):
        # KL3, L3O45; those like KO are sums of others.
        match = re.fullmatch(rf"(?:{inner})([LMNOP])\d+_LINE", name)
        if match and match[1] > shell[0]:
            try:
                found.append(
                    (
                        xraylib.LineEnergy(z, getattr(xraylib, name)),
                        getattr(xraylib, name),
                    )
                )
            except ValueError:
                continue
    return tuple(found)


@functools.cache
def cross_section(element, number, beam):
    """Return that of a line; 0 if it is not excited."""
    z = xraylib.SymbolToAtomicNumber(element)
    try:
        return xraylib.CS_FluorLine_Kissel_Cascade(z, number, beam)
    except ValueError:
        return 0.0


@functools.cache
def beams(excitation):
    """Return energies and shares of what excites."""
    if not isinstance(excitation, tuple):
        return ((excitation, 1.0),)
    # Kramers' continuum behind a window, in steps that are fine beside the edges.
    _, voltage = excitation
    edges = np.geomspace(1.5, voltage, 201)
    energies = np.sqrt(edges[1:] * edges[:-1])
    kramers = (voltage - energies) / energies * np.diff(edges)
    kramers *= np.exp(-((1.8 / energies) ** 3))
    kramers *= (1 - TUBE_LINES) / kramers.sum()
    own = [(energy, TUBE_LINES * share) for energy, share in characteristic(excitation)]
    return (*zip(energies.tolist(), kramers.tolist(), strict=True), *own)


@functools.cache
def characteristic(excitation):
    """Return the sharp lines of what excites, with shares that add up to 1."""
    if not isinstance(excitation, tuple):
        return ((excitation, 1.0),)
    z = xraylib.SymbolToAtomicNumber(excitation[0])
    names = ("KL3", "KL2", "KM3", "KM2", "KN3", "KN2")
    numbers = [getattr(xraylib, f"{name}_LINE") for name in names]
    rates = [xraylib.RadRate(z, number) for number in numbers]
    energies = [xraylib.LineEnergy(z, number) for number in numbers]
    return tuple(zip(energies, (np.array(rates) / sum(rates)).tolist(), strict=True))


def efficiency(detector, energy):
    """Return the share of photons that pass window and air and stop in the crystal."""
    layers = ((4, 1.848, detector.window), (7, 0.0012, detector.air))
    seen = 1.0
    for z, density, length in layers:
        seen *= np.exp(-xraylib.CS_Total(z, energy) * density * length)
    return seen * (1 - np.exp(-xraylib.CS_Total(14, energy) * 2.329 * detector.thickness))


def escaped(detector, energy):
    """Return energy and counts, relative to the peak, of the escape peaks of a line.

    The photon of silicon leaves through the front or the back: the exponential integral E2 of
    the depth, over all depths at which the incoming photon stops.
    """
    if energy < xraylib.EdgeEnergy(14, xraylib.K_SHELL):
        return []
    found = []
    incoming = xraylib.CS_Total(14, energy) * 2.329
    k_share = xraylib.CS_Photo_Partial(14, xraylib.K_SHELL, energy) * 2.329 / incoming
    depth = (np.geomspace(1e-7, 1, 4000)) * min(detector.thickness, 20 / incoming)
    stops = incoming * np.exp(-incoming * depth)
    for number in (xraylib.KL3_LINE, xraylib.KL2_LINE, xraylib.KM3_LINE):
        line = xraylib.LineEnergy(14, number)
        own = xraylib.CS_Total(14, line) * 2.329
        leaves = expn(2, own * depth) + expn(
            2, own * (detector.thickness - depth).clip(0)
        )
        share = 0.5 * np.trapezoid(stops * leaves, depth) / np.trapezoid(stops, depth)
        share *= xraylib.FluorYield(14, xraylib.K_SHELL) * k_share
        share *= xraylib.RadRate(14, number) * detector.escape
        found.append((energy - line, share / (1 - share)))
    return found


def profile(detector, energy, sigma, tail=None, length=None, shelf=None):
    """Return a line of one count as the channels see it, by integrals of its parts."""
    tail = detector.tail if tail is None else tail
    length = detector.tail_length if length is None else length
    shelf = detector.shelf if shelf is None else shelf
    z = (detector.edges - energy) / sigma
    normal = ndtr(z)
    u = (z + sigma / length) / np.sqrt(2)
    low = np.exp(np.minimum(z * sigma / length + 0.5 * (sigma / length) ** 2, 0))
    # exp(...) erfc(u), whose first factor is large where the second one is tiny.
    exponential = np.where(
        u > 0, np.exp(-z * z / 2) * erfcx(np.maximum(u, 0)), low * erfc(np.minimum(u, 0))
    )
    skewed = normal + exponential / 2
    density = np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    flat = sigma / energy * (z * ndtr(-z) - density)
    flat = np.where(detector.edges > 0, flat, np.interp(0, detector.edges, flat))
    whole = (1 - tail - shelf) * normal + tail * skewed + shelf * flat
    return np.diff(whole)
