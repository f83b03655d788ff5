"""Text on figures: names of lines as they are printed, and how wide text is."""

import math
import re
import textwrap

_GREEK = {"a": "α", "b": "β", "g": "γ", "l": "ℓ", "n": "η"}  # noqa: RUF001
_HINTED = 1.05  # how much wider letters are that are drawn with few pixels
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_NAME_OF_LINE = re.compile(r"(\w+)_([KLMN])([abgln]?)(\d*)")


def show_name(name: str) -> str:
    """Return the name of a line as it is printed; other names stay.

    Examples
    --------
    >>> show_name("Fe_Ka"), show_name("Pb_Lb1"), show_name("Fe_K"), show_name("zircon")
    ('Fe Kα', 'Pb Lβ1', 'Fe K', 'zircon')
    """  # noqa: RUF002
    match = _NAME_OF_LINE.fullmatch(name)
    if match is None:
        return name
    element, shell, line, number = match.groups()
    return f"{element} {shell}{_GREEK.get(line, line)}{number}"


def verbatim(text: str) -> str:
    r"""Return text as matplotlib draws it letter by letter, whatever a file has as a name.

    Between two dollar signs it takes text for mathematics, which it may not be able to read,
    and what begins with an underscore it leaves out of a legend.

    Examples
    --------
    >>> print(verbatim("$5 and $6"), verbatim("zircon"), verbatim("_1"), sep="|")
    \$5 and \$6|zircon| _1
    """
    text = text.replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def power_of(highest: float) -> int:
    """Return the power of ten that numbers on a scale are written in.

    Examples
    --------
    >>> power_of(500.0), power_of(2.5e7), power_of(1e-12)
    (0, 6, -12)
    """
    if not highest or 0.01 <= highest < 10_000:
        return 0
    return 3 * math.floor(math.log10(highest) / 3)


def show_number(value: float, power: int) -> str:
    """Return a number on a scale that is written in a power of ten."""
    return f"{value / 10.0**power:.6g}".replace("-", "−")  # noqa: RUF001


def with_power(unit: str, power: int) -> str:
    """Return the unit of a scale that is written in a power of ten.

    Examples
    --------
    >>> with_power("counts", 6), with_power("counts", 0)
    ('10⁶ counts', 'counts')
    """
    factor = f"10{str(power).translate(_SUPERSCRIPTS)}" if power else ""
    return f"{factor} {unit}".strip()


def wrapped(text: str, width: float, points: float) -> str:
    """Return text in lines that are no wider than some inches, and have 8 letters or more."""
    width /= _HINTED
    needed = text_width(text, points)
    if needed <= width:
        return text
    for letters in range(int(1.2 * len(text) * width / needed), 8, -1):
        lines = textwrap.wrap(text, letters)
        if all(text_width(line, points) <= width for line in lines):
            return "\n".join(lines)
    return textwrap.fill(text, 8)


def text_width(text: str, points: float) -> float:
    """Return the width of a line of text, inches."""
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    plain = text.replace(r"\$", "$").replace("$", r"\$")
    return float(TextPath((0, 0), plain, size=points).get_extents().x1) / 72
