"""What is known of a synthetic map."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rsciio_xfm.core.checks import is_whole
from rsciio_xfm.data._spectra import Mixture
from rsciio_xfm.formats.geopixe.layout import MAX_INDEX


@dataclass(frozen=True)
class Phantom:
    """A synthetic map, and what is where in it.

    Attributes
    ----------
    path
        The file to open.
    phases
        Their names.
    compositions
        For each phase, the elements in it with the counts of the lines of their innermost
        shell that is excited and has lines below 25 keV, relative to those of the continuum.
    labels
        Shape (y, x), integers: which phase is where.
    spectra
        Shape (phase, channel), floats: the counts that are expected in a pixel of each
        phase, all detectors together.
    areas
        For each group of lines, like ``"Fe_K"``, floats of shape (phase,): its counts in
        `spectra`. All its lines, their tails and shelves are counted, also what lies beyond
        the channels; escape peaks and photons that piled up are not.
    brightness
        Shape (y, x), floats: the counts that are expected of a pixel, relative to those of its
        phase.
    dead_time
        Shape (detector, y, x), float32, as ``s.get_dead_time().data``: percent, also where the
        file lacks it. None of maps without dead times.
    fractions
        For each phase, the mass fraction of its elements, also of those that are not seen:
        what concentrations should come out as. None where only counts are known.
    thickness
        Mass per area of each phase, g/cm2. None where it is not known.
    """

    path: Path
    phases: tuple[str, ...]
    compositions: tuple[dict[str, float], ...]
    labels: np.ndarray
    spectra: np.ndarray
    areas: dict[str, np.ndarray]
    brightness: np.ndarray
    dead_time: np.ndarray | None = None
    fractions: tuple[dict[str, float], ...] | None = None
    thickness: tuple[float, ...] | None = None

    def share(self, element: str) -> np.ndarray:
        """Return where an element is.

        Parameters
        ----------
        element
            A symbol, like ``"Fe"``.

        Returns
        -------
        numpy.ndarray
            Shape (y, x), floats: the counts of its lines relative to those of the
            continuum; 0 where it is not.

        Raises
        ------
        ValueError
            It is no symbol of an element.

        Examples
        --------
        >>> from rsciio_xfm import data
        >>> rock = data.thin_section("section.GeoPIXE")
        >>> float(rock.share("Zr").max())
        1.9118
        """
        from rsciio_xfm.core.exspy import elements

        if element not in elements:
            raise ValueError(f"element is {element!r}, expected a symbol like 'Fe'.")
        shares = np.array([parts.get(element, 0.0) for parts in self.compositions])
        return shares[self.labels]

    def counts(self, group: str) -> np.ndarray:
        """Return the counts of a group of lines that are expected of each pixel.

        Parameters
        ----------
        group
            A symbol and a shell, like ``"Fe_K"``.

        Returns
        -------
        numpy.ndarray
            Shape (y, x), floats: what a fit should find, see `areas`; 0 where the element is
            not.

        Raises
        ------
        ValueError
            It is no group.

        Examples
        --------
        >>> from rsciio_xfm import data
        >>> rock = data.thin_section("section.GeoPIXE")
        >>> zircon = rock.labels == rock.phases.index("zircon")
        >>> int(rock.counts("Zr_K")[zircon].mean()), int(rock.counts("Zr_K").min())
        (2014, 0)
        """
        element, _, shell = group.partition("_")
        self.share(element)  # refuses what is no symbol
        if shell not in ("K", "L", "M"):
            raise ValueError(f"group is {group!r}, expected one like 'Fe_K'.")
        known = self.areas.get(group, np.zeros(len(self.phases)))
        return known[self.labels] * self.brightness


def tabulate(mixtures: Sequence[Mixture]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return spectra and areas of the phases, as :class:`Phantom` has them."""
    names = sorted({name for mixture in mixtures for name in mixture.areas})
    areas = {n: np.array([m.areas.get(n, 0.0) for m in mixtures]) for n in names}
    return np.array([mixture.spectrum for mixture in mixtures]), areas


def claim(
    filename: str | Path,
    suffixes: tuple[str, ...],
    shape: tuple[int, int],
    overwrite: bool,
) -> Path:
    """Return the path of a map that can be made, and whose files may be written.

    Parameters
    ----------
    filename
        Of the map.
    suffixes
        Of its files, that of the map first.
    shape
        Pixels along y and x.
    overwrite
        Whether they may be there.

    Raises
    ------
    ValueError
        The name has another extension or is that of a folder, or the shape is that of no
        map.
    FileExistsError
        One of the files is there, and `overwrite` is False.
    """
    path = Path(filename)
    if len(shape) != 2 or not all(is_whole(n) and 0 < n <= MAX_INDEX for n in shape):
        raise ValueError(
            f"shape is {shape!r}, expected two whole numbers, 1 to {MAX_INDEX}: pixels along "
            "y and x."
        )
    if path.suffix.lower() != suffixes[0].lower():
        raise ValueError(
            f"{path}: the extension is {path.suffix!r}, expected {suffixes[0]!r}."
        )
    for suffix in suffixes:
        beside = path.with_suffix(suffix)
        if beside.is_dir():
            raise ValueError(
                f"{beside}: a folder has this name, expected a file or none."
            )
        if not overwrite and beside.exists():
            raise FileExistsError(f"{beside} exists; use overwrite=True to replace it.")
    return path
