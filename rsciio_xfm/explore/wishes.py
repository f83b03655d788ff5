"""What is asked of fits and classes: a part of each question about what they have made.

So two people who look at one map with other elements do not get each other's images.
"""

from dataclasses import dataclass
from typing import Any

from rsciio_xfm.core.eds import ELEMENTS

_MOST_ELEMENTS = 100
_MOST_TEXT = 1000  # characters of all elements
_MOST_EXCITATION = 40  # characters
_MOST_CLASSES = 64
_SHELLS = ("K", "L", "M")
METHODS = ("kmeans", "hdbscan")


@dataclass(frozen=True)
class FitWish:
    """What is asked of a fit, or of finding elements.

    Attributes
    ----------
    elements
        Names; none finds them.
    excitation
        As users say it; None: as the file says it.
    energy
        Offset and scale of the page, keV; None: those of the file.
    """

    elements: tuple[str, ...] = ()
    excitation: str | None = None
    energy: tuple[float, float] | None = None


@dataclass(frozen=True)
class ClassWish:
    """What is asked of classes.

    Attributes
    ----------
    n_classes, method
        How many, and how they are found.
    """

    n_classes: int = 6
    method: str = "kmeans"


def parse_elements(text: str) -> tuple[str, ...]:
    """Return elements, or groups of their lines, each once: ``"Fe,Pb_L"``, or ``"auto"``.

    Raises
    ------
    ValueError
        One is none, or there are too many.
    """
    names = text[: _MOST_TEXT + 1].split(",")
    found = tuple(dict.fromkeys(name for name in names if name and name != "auto"))
    if len(text) > _MOST_TEXT or len(found) > _MOST_ELEMENTS:
        raise ValueError(
            f"There are too many elements: choose at most {_MOST_ELEMENTS} of them."
        )
    for name in found:
        element, bar, lines = name.partition("_")
        if element not in ELEMENTS[1:] or (bar and lines[:1] not in _SHELLS):
            raise ValueError(
                f"{name[:20]!r} is no element: write symbols such as Fe and Ca, or Pb_L for "
                "some of its lines only."
            )
    return found


def parse_excitation_text(text: str) -> str | None:
    """Return what excites the sample as somebody has said it; None if nothing is said.

    Raises
    ------
    ValueError
        It is none.
    """
    if not text.strip():
        return None
    if len(text) > _MOST_EXCITATION:
        raise ValueError(
            f"The excitation has {len(text)} characters: write one such as Rh 50 kV."
        )
    return " ".join(text.split())


def check_excitation(text: str | None) -> None:
    """Refuse an excitation that is none, before anything is done with it.

    Raises
    ------
    ImportError
        What knows excitations is not installed.
    ValueError
        It is none; says how one is written.
    """
    from rsciio_xfm.analysis.fit.sources import parse_excitation

    if text is None:
        return
    try:
        parse_excitation(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is no excitation: write the tube, as Rh 50 kV, the energy of the beam, "
            "as 17.44 keV, or electrons 20 kV."
        ) from error


def parse_classes(n_classes: Any, method: Any) -> ClassWish:
    """Return what is asked of classes.

    Raises
    ------
    ValueError
        There are too few or too many, or the method is none.
    """
    if method not in METHODS:
        raise ValueError(
            f"{method!r:.20} is no way to find classes: choose {' or '.join(METHODS)}."
        )
    number = float(n_classes)
    if not 2 <= number <= _MOST_CLASSES or number != int(number):
        raise ValueError(
            f"{n_classes!s:.20} classes cannot be made: choose 2 to {_MOST_CLASSES}."
        )
    # How many there are it finds itself.
    return ClassWish(int(number), method) if method == "kmeans" else ClassWish(6, method)
