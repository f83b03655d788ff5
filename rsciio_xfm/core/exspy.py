"""exspy, without what it says of names in HyperSpy that will move: its authors know.

Whoever is first to import exspy hears it, as many times as it imports such a name.
"""

from hyperspy.exceptions import VisibleDeprecationWarning

from rsciio_xfm.core.warning import left_out

with left_out("Importing `Lazy", VisibleDeprecationWarning, "hyperspy"):
    import exspy.signals  # noqa: F401
    from exspy.material import elements

__all__ = ["elements"]
