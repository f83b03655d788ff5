"""A map of phases whose spectra are known, with borders at which they mix."""

import numpy as np

N_CHANNELS = 512
KEV = 0.04
LINES = {  # energy in keV of K lines and their shares
    "S": [(2.31, 1.0)],
    "K": [(3.31, 0.9), (3.59, 0.1)],
    "Ca": [(3.69, 0.88), (4.01, 0.12)],
    "Ti": [(4.51, 0.87), (4.93, 0.13)],
    "Mn": [(5.9, 0.87), (6.49, 0.13)],
    "Fe": [(6.4, 0.87), (7.06, 0.13)],
    "Cu": [(8.05, 0.88), (8.9, 0.12)],
    "Zn": [(8.64, 0.88), (9.57, 0.12)],
    "Sr": [(14.16, 0.85), (15.84, 0.15)],
}
PHASES = [
    {"Ca": 0.5, "Fe": 0.05, "Sr": 0.02},
    {"Fe": 0.7, "Mn": 0.1, "Ti": 0.05},
    {"Fe": 0.35, "Cu": 0.3, "S": 0.05},
    {"Ti": 0.4, "Fe": 0.25},
    {"K": 0.3, "Ca": 0.2, "Fe": 0.1},
    {"Zn": 0.3, "Fe": 0.2, "S": 0.1},
]


def spectra():
    """The expected spectrum of each phase, normalised."""
    energy = np.arange(N_CHANNELS) * KEV

    def line(centre, sigma):
        return np.exp(-(((energy - centre) / sigma) ** 2) / 2) / sigma * KEV

    background = np.exp(-(((energy - 12) / 7) ** 2)) * (energy > 0.5)
    found = []
    for phase in PHASES:
        spectrum = 0.6 * background / background.sum()
        spectrum += 0.15 * line(17.48, 0.1) + 0.15 * line(16.8, 0.25)
        for element, share in phase.items():
            for centre, weight in LINES[element]:
                spectrum += share * weight * line(centre, 0.06)
        found.append(spectrum / spectrum.sum())
    return np.array(found)


def make(n_rows=80, n_columns=100, counts=300, seed=0, n_grains=30):
    """Counts (y, x, E) and the phase of each pixel; grains differ in brightness."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0, 1, (n_grains, 2)) * (n_columns, n_rows)
    phases = np.concatenate([np.arange(6), rng.integers(0, 6, n_grains - 6)])
    bright = np.exp(rng.normal(0, 0.2, n_grains))
    y, x = np.mgrid[:n_rows, :n_columns]
    distance = np.hypot(x[..., None] - centres[:, 0], y[..., None] - centres[:, 1])
    near = np.argsort(distance, axis=-1)[..., :2]
    first, second = near[..., 0], near[..., 1]
    apart = np.take_along_axis(distance, near, -1)
    # Half and half at a border, one phase a pixel away from it.
    share = np.clip(0.5 + (apart[..., 1] - apart[..., 0]) / 2, 0.5, 1)[..., None]
    known = spectra()
    mixed = share * known[phases[first]] + (1 - share) * known[phases[second]]
    data = rng.poisson(counts * bright[first][..., None] * mixed).astype(np.uint16)
    return data, phases[first]
