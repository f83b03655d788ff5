"""Synthetic maps whose truth is known: for examples, for teaching, to test an analysis.

Each function writes the files that an instrument writes, with the noise of counting, and
returns what is where in them. Lines are as strong as xraylib's tables make them, with tails,
shelves, escape peaks and pile-up of a silicon detector; the compositions are made up.

>>> import hyperspy.api as hs
>>> from rsciio_xfm import data
>>> rock = data.thin_section("section.GeoPIXE")
>>> s = hs.load(rock.path, lazy=True)
>>> s
<LazyEDSXFMSpectrum, title: section, dimensions: (160, 96|4096)>
>>> rock.phases[rock.labels[0, 0]]
'ilmenite'
"""

from rsciio_xfm.data._painting import painting
from rsciio_xfm.data._phantom import Phantom
from rsciio_xfm.data._sem_map import sem_map
from rsciio_xfm.data._thin_section import thin_section

__all__ = ["Phantom", "painting", "sem_map", "thin_section"]


def __dir__() -> list[str]:
    return sorted(__all__)
