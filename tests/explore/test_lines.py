"""Which lines a peak may be."""

import numpy as np
import pytest

from rsciio_xfm.explore.lines import Axis, calibrate, candidates, table


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


@pytest.mark.parametrize("width", [3.0, 5.5, 14.0])
def test_places_of_peaks(width):
    """Wherever in a channel a peak is, its place is found, and with it the energies."""
    channels = np.arange(4096)
    for part in np.linspace(0, 1, 11):
        places = {"Fe_Ka": 639.0 + part, "Cu_Ka": 803.3}
        peaks = [
            np.exp(-4 * np.log(2) * ((channels - at) / width) ** 2)
            for at in places.values()
        ]
        pointed = [(line, round(at)) for line, at in places.items()]
        found = calibrate(pointed, None, 1e5 * sum(peaks))
        for line, at in places.items():
            assert found["channels"][line] == pytest.approx(at, abs=0.11)
