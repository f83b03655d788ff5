"""The geometry of a measurement: angles, what absorbs on the way, the detector."""

import math
from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.fit.excitation import Excitation, Layer, transmission
from rsciio_xfm.analysis.fit.response import CRYSTAL_CM, DENSITY, PAIR_KEV, escape_peaks

SILICON = Layer("Si", DENSITY["Si"], CRYSTAL_CM)


@dataclass(frozen=True)
class Setup:
    """How a sample is excited and seen.

    Attributes
    ----------
    excitation
        Photons that reach the sample: energies, and their shares of all.
    incidence, takeoff
        Degrees between the surface and the beam, and the surface and the direction of the
        detector.
    path
        What absorbs between sample and crystal: air, helium, windows, filters.
    detector
        The crystal.
    flux
        Photons per second that reach the sample, if known.
    solid_angle
        Of the detector, sr, if known.
    assumed
        What nobody said, in words.

    Raises
    ------
    ValueError
        An angle is outside 0 to 90 degrees, a layer has no thickness or density above 0, the
        flux or the solid angle cannot be one, or electrons excite.
    """

    excitation: Excitation
    incidence: float = 45.0
    takeoff: float = 45.0
    path: tuple[Layer, ...] = ()
    detector: Layer = SILICON
    flux: float | None = None
    solid_angle: float | None = None
    assumed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, angle in (("incidence", self.incidence), ("takeoff", self.takeoff)):
            if not 0 < angle <= 90:
                raise ValueError(
                    f"The angle of {name} is {angle:g} degrees, expected one between the "
                    "surface and the ray, above 0 and up to 90."
                )
        for layer in (*self.path, self.detector):
            # Nothing passes an infinite one, as of a detector that absorbs all.
            if not (layer.thickness > 0 and 0 < layer.density < math.inf):
                raise ValueError(
                    f"A layer of {layer.formula} has {layer.density:g} g/cm3 and "
                    f"{layer.thickness:g} cm, expected numbers above 0."
                )
        if self.flux is not None and not 0 < self.flux < math.inf:
            raise ValueError(f"flux is {self.flux:g}, expected photons/s, above 0.")
        if self.solid_angle is not None and not 0 < self.solid_angle <= 4 * math.pi:
            raise ValueError(
                f"solid_angle is {self.solid_angle:g}, expected sr, above 0 and at most 4 pi, "
                "12.57."
            )
        if self.excitation.kind == "electrons":
            raise ValueError(
                "Electrons excite the sample: this is for X-rays. For TEM take exspy's "
                "quantification with the fitted intensities, for SEM DTSA-II or NeXL."
            )

    @property
    def sines(self) -> tuple[float, float]:
        """Of the angles of incidence and takeoff."""
        return (
            math.sin(math.radians(self.incidence)),
            math.sin(math.radians(self.takeoff)),
        )


def efficiency(setup: Setup, energies: np.ndarray) -> np.ndarray:
    """Return which share of photons that leave towards the detector are in their peak.

    Parameters
    ----------
    setup
        Its path and detector.
    energies
        keV.

    Returns
    -------
    numpy.ndarray
        float64: what passes the path, stops in the crystal, and does not go to an escape
        peak.

    Examples
    --------
    >>> from rsciio_xfm.analysis.fit.sources import parse_excitation
    >>> efficiency(Setup(parse_excitation(17.44)), np.array([6.4, 20.0])).round(3)
    array([0.997, 0.405])
    """
    energies = np.asarray(energies, float)
    crystal = setup.detector
    seen = transmission(setup.path, energies) * (1 - transmission((crystal,), energies))
    if crystal.formula not in PAIR_KEV:
        return seen
    # The shares of escape peaks are relative to the peak that they are taken from.
    return seen / (1 + sum(s for _, s in escape_peaks(energies, crystal.formula)))


def solid_angle(area: float, distance: float) -> float:
    """Return the solid angle of a round detector on the axis.

    Parameters
    ----------
    area
        cm2.
    distance
        cm.

    Returns
    -------
    float
        sr.

    Examples
    --------
    >>> round(solid_angle(0.3, 5.0), 5)
    0.01197
    """
    if not (area > 0 and distance > 0):
        raise ValueError(
            f"Area {area:g} cm2 and distance {distance:g} cm: expected both above 0."
        )
    cosine = distance / math.sqrt(distance**2 + area / math.pi)
    return 2 * math.pi * (1 - cosine)
