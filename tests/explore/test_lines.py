"""Which lines a peak may be."""

import numpy as np

from rsciio_xfm.explore.lines import Axis, candidates, table


def test_lines_that_nobody_sees():
    """Tables have lines of weight 0: where the others of the shell are seen, they are none."""
    axis = Axis(0.0, 0.01, "keV", 3000)
    unseen = [
        (element, name, energy)
        for element, lines in table().items()
        for name, (energy, weight) in lines.items()
        if weight == 0
    ]
    assert unseen
    for element, name, energy in unseen[:40]:
        spectrum = np.zeros(3000)
        for other, weight in table()[element].values():
            peak = np.exp(-(((axis.kev(np.arange(3000)) - other) / 0.05) ** 2))
            spectrum += 10**6 * weight * peak
        found = candidates(energy, axis, 130.0, spectrum.astype(np.uint64))
        assert f"{element}_{name}" not in [one["line"] for one in found]
