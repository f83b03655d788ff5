"""Which lines a peak may be."""

import numpy as np

from rsciio_xfm.explore.lines import Axis, candidates, table


def test_lines_that_nobody_sees():
    """Tables have lines of weight 0: a click at the energy of one finds others, or none."""
    axis = Axis(0.0, 0.01, "keV", 3000)
    spectrum = np.full(3000, 10**6, dtype=np.uint64)
    unseen = [
        (f"{element}_{name}", energy)
        for element, lines in table().items()
        for name, (energy, weight) in lines.items()
        if weight == 0
    ]
    assert unseen
    for line, energy in unseen[:40]:
        found = candidates(energy, axis, 130.0, spectrum)
        assert line not in [one["line"] for one in found]
