"""The signals: exspy's EDS spectra that carry a dead-time map and sum fast.

What a method computes is in :mod:`rsciio_xfm.analysis`; here it is applied to a signal.
"""

import rsciio_xfm.core.exspy  # noqa: F401  (before all else that imports exspy)
from rsciio_xfm.signals.spectrum import EDSXFMSpectrum, LazyEDSXFMSpectrum

__all__ = ["EDSXFMSpectrum", "LazyEDSXFMSpectrum"]


def __dir__() -> list[str]:
    return sorted(__all__)
