"""Pile-up: peaks where two photons were counted as one of the sum of their energies."""

from dataclasses import dataclass

import numpy as np

from rsciio_xfm.analysis.fit.lines import Group


@dataclass(frozen=True, eq=False)
class SumPeaks:
    """Sum peaks of a model.

    Attributes
    ----------
    peaks
        Groups with the sums of the lines of two clusters.
    width
        Factor on the standard deviation that a line of that energy has.
    shift
        Of all of them, keV.
    """

    peaks: tuple[Group, ...] = ()
    width: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True, eq=False)
class Cluster:
    """Lines that lie together, and their counts in the spectrum.

    Attributes
    ----------
    name
        ``"Ca_Ka"``.
    energies, counts
        Of the lines, keV.
    """

    name: str
    energies: np.ndarray
    counts: np.ndarray


def add_clusters(one: Cluster, other: Cluster) -> Group:
    """Return the lines of the sum peak of two clusters.

    Examples
    --------
    >>> import numpy as np
    >>> ca = Cluster("Ca_Ka", np.array([3.69]), np.array([100.0]))
    >>> peak = add_clusters(ca, ca)
    >>> peak.name, peak.energies.tolist()
    ('Ca_Ka+Ca_Ka', [7.38])
    """
    energies = np.add.outer(one.energies, other.energies).ravel()
    weights = np.multiply.outer(one.counts, other.counts).ravel()
    weights = weights / weights.sum()
    names = f"{one.name}+{other.name}".rpartition("_")
    families = ("",) * len(energies)
    return Group(names[0], names[2], energies, weights, families, 0.0)
