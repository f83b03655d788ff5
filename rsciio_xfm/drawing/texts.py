"""Text on figures: names of lines as they are printed, and how wide text is."""

import re

_GREEK = {"a": "α", "b": "β", "g": "γ", "l": "ℓ", "n": "η"}  # noqa: RUF001
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


def text_width(text: str, points: float) -> float:
    """Return the width of a line of text, inches."""
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0.0
    return (
        float(TextPath((0, 0), text.replace("$", ""), size=points).get_extents().x1) / 72
    )
