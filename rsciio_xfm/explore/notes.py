"""What a fit has to say, in words for people who do not program."""

import re
from collections.abc import Iterable, Mapping

_EXCITATION = (
    "Write it into the field Excitation, as Rh 50 kV, 17.44 keV or electrons 20 kV."
)
_ALL_RIGHT = (
    "See whether all elements are there, and whether energies and excitation are right."
)
# What the analyses warn of, by how it begins, and what is said instead of all or of a part.
_SAID: tuple[tuple[str, str, str], ...] = (
    (
        r"The metadata do not say what excites the sample.*",
        "hint",
        "The file does not say what excited the sample. All lines up to the end of the "
        f"spectra are taken for possible. {_EXCITATION}",
    ),
    (
        r"The model does not describe the spectra of the map.*",
        "warning",
        "In many pixels the spectra are not what the fit expects, so that their counts may be "
        f"wrong. {_ALL_RIGHT}",
    ),
    (
        r"The model does not describe the spectrum: (?:.*differ by some (?P<off>[\d.]+) %)?"
        r"(?:.*most is left at (?P<left>.*?)(?=\. Are|\.$|$))?.*",
        "warning",
        "The fit does not describe the spectrum{off}, so that counts may be wrong.{left} "
        f"{_ALL_RIGHT}",
    ),
    (
        r"The spectra were smoothed.*",
        "warning",
        "The spectra were smoothed before they were saved. Elements may be found that are not "
        "there, and uncertainties are too small: open the map as it was measured.",
    ),
    (
        r"The spectrum, of up to .* in a channel, has .*",
        "warning",
        "The spectra scatter less than counts do, as if they were scaled or smoothed: "
        "uncertainties are wrong.",
    ),
    (
        r"Spectra have numbers below 0.*|The spectrum has negative counts.*"
        r"|The sum of the spectra is negative.*",
        "warning",
        "Some counts are below 0, as if something was subtracted from the spectra: images are "
        "right, uncertainties are not.",
    ),
    (
        r"There are no counts in channels (?P<where>.*?)(?: of the map)?, where there are .*",
        "warning",
        "Channels {where} have no counts although those beside them have: they are left out.",
    ),
    (
        r"A channel is (?P<width>\d+) eV wide.*",
        "warning",
        "A channel is {width} eV wide, as wide as peaks are: counts of elements are less sure "
        "than they seem.",
    ),
    (
        r"(?P<whole>The spectrum has a peak at .*)",
        "warning",
        "{whole} See whether the excitation is right.",
    ),
    (
        r"Spectra of (?P<n>\d+) of \d+ pixels have NaN.*",
        "warning",
        "{n} pixels have numbers that are no counts: they are left out.",
    ),
    (
        r"There are (?P<n>\d+) classes, expected (?P<of>\d+).*",
        "hint",
        "Only {n} of {of} classes were found: the spectra differ too little for more.",
    ),
)
# A sentence that names functions, options or attributes.
_CODE = re.compile(
    r"\w\.\w+\(|\w\([^)]*\)|\b[a-z]\w*_\w+|\b(?:s|maps|model)\.\w|=[\"'\w]"
)
_SENTENCES = re.compile(r"(?<=[.!?:])\s+")


def to_notes(texts: Iterable[str]) -> list[dict[str, str]]:
    """Return warnings of the analyses as the page shows them, each once.

    Returns
    -------
    list of dict
        ``text``, and ``kind``: ``"warning"`` of what may be wrong, ``"hint"`` of what could
        be better.

    Examples
    --------
    >>> to_notes(["A channel is 200 eV wide, expected at most 150: peaks are narrower."])
    [{'text': 'A channel is 200 eV wide, as wide as peaks are: counts of elements are less \
sure than they seem.', 'kind': 'warning'}]
    """
    found = [_note(text) for text in texts]
    return [
        note for k, note in enumerate(found) if note["text"] and note not in found[:k]
    ]


def _note(text: str) -> dict[str, str]:
    for pattern, kind, said in _SAID:
        match = re.fullmatch(pattern, text, re.DOTALL)
        if match is not None:
            return {"text": said.format(**_parts(match.groupdict())), "kind": kind}
    plain = [part for part in _SENTENCES.split(text) if not _CODE.search(part)]
    return {"text": re.sub(r":$", ".", " ".join(plain)), "kind": "warning"}


def _parts(groups: Mapping[str, str | None]) -> dict[str, str]:
    """Return what was found, as it stands in the sentences."""
    off, left = groups.get("off"), groups.get("left")
    found = {name: value or "" for name, value in groups.items()}
    found["off"] = f": they differ by about {off} %" if off else ""
    found["left"] = f" Most is left at {left}." if left else ""
    return found
