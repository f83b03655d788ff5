"""How a report writes numbers, lengths, times and names of lines."""

import re

from rsciio_xfm.drawing.lengths import show_length
from rsciio_xfm.drawing.texts import show_name
from rsciio_xfm.signals.areas import show as show_plain

TIMES = " \N{MULTIPLICATION SIGN} "
NONE = "\N{EN DASH}"  # of what is not known, in tables
_LINE = re.compile(r"\b[A-Z][a-z]*_[KLM][abgln]?\d?\b")


def show(number: float) -> str:
    """Return a number of counts as text, thousands apart by narrow spaces.

    Examples
    --------
    >>> len(show(1234567.8)), " " in show(1234567.8)
    (9, False)
    """
    return show_plain(number).replace(" ", "\N{NARROW NO-BREAK SPACE}")


def spelt(text: str) -> str:
    """Return a text with the names of lines as they are printed.

    Examples
    --------
    >>> spelt("Fe_K, Rayleigh_K, Pb_L3")
    'Fe K, Rayleigh K, Pb L3'
    """
    return _LINE.sub(lambda found: show_name(found[0]), text)


def length(mm: float) -> str:
    """Return a length in the unit that suits it, with four digits.

    Examples
    --------
    >>> length(0.0285), length(0.5), length(10.0)
    ('28.5 µm', '500 µm', '10 mm')
    """
    return show_length(float(f"{mm:.4g}"), "mm")


def seconds(time: float) -> str:
    """Return a time as text.

    Examples
    --------
    >>> seconds(0.1), seconds(0.000175), seconds(7200.0)
    ('100 ms', '175 µs', '7200 s')
    """
    for unit, per_second in (("µs", 1e6), ("ms", 1e3)):
        if time * per_second < 1000:
            return f"{time * per_second:.4g} {unit}"
    return f"{time:.4g} s" if time < 10_000 else f"{time:.0f} s"
