"""Regions as text, and the pixels that belong to them.

``r:2,3,10,12|-o:5,5,2,2`` is a rectangle less an ellipse. A pixel belongs to a shape if its
centre, ``(y + 0.5, x + 0.5)``, lies inside.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

MOST_REGIONS = 8  # of a question
MOST_VERTICES = 2000
MOST_TERMS = 64
MOST_TEXT = 65536  # characters of all regions of a question
_EXPECTED = (
    "expected r:y0,x0,y1,x1, o:cy,cx,ry,rx, p:y,x;y,x;y,x, t:IMAGE@LOW,HIGH, "
    "b:IMAGE@LOW,HIGH@IMAGE@LOW,HIGH or c:CLASS"
)


@dataclass(frozen=True)
class Term:
    """A part of a region.

    Attributes
    ----------
    kind
        ``"r"``, ``"o"``, ``"p"``, ``"t"``, ``"b"`` or ``"c"``.
    numbers
        Of a shape; of a polygon ``y, x, y, x, ...``; of a class its number.
    ranges
        Of ``"t"`` and ``"b"``: image, lowest and highest value that belong.
    is_taken_off
        Whether its pixels are taken off the region.
    """

    kind: str
    numbers: tuple[float, ...] = ()
    ranges: tuple[tuple[str, float, float], ...] = ()
    is_taken_off: bool = False


def parse(text: str) -> tuple[Term, ...]:
    """Return the terms of a region; none is the whole map.

    Raises
    ------
    ValueError
        The text is no region; says what is wrong with it.
    """
    if len(text) > MOST_TEXT:
        raise ValueError(
            f"A region has {len(text)} characters, expected at most {MOST_TEXT}."
        )
    parts = text.split("|", MOST_TERMS) if text else []
    if len(parts) > MOST_TERMS:
        raise ValueError(f"A region has more than {MOST_TERMS} parts.")
    terms = tuple(_parse_term(part) for part in parts)
    if sum(map(_n_vertices, terms)) > MOST_VERTICES:
        raise ValueError(f"A region has more than {MOST_VERTICES} vertices.")
    return terms


def parse_all(texts: Sequence[str]) -> list[tuple[Term, ...]]:
    """Return the terms of all regions of a question.

    Raises
    ------
    ValueError
        One is no region, or there are too many.
    """
    if len(texts) > MOST_REGIONS:
        raise ValueError(
            f"There are {len(texts)} regions, expected at most {MOST_REGIONS}."
        )
    if sum(map(len, texts)) > MOST_TEXT:
        raise ValueError(f"The regions have more than {MOST_TEXT} characters.")
    found = [parse(text) for text in texts]
    if sum(_n_vertices(term) for terms in found for term in terms) > MOST_VERTICES:
        raise ValueError(f"The regions have more than {MOST_VERTICES} vertices.")
    return found


def _n_vertices(term: Term) -> int:
    return len(term.numbers) // 2 if term.kind == "p" else 0


def _parse_term(text: str) -> Term:
    is_taken_off = text.startswith("-")
    kind, _, rest = text[is_taken_off:].partition(":")
    if kind == "p":
        points = rest.split(";", MOST_VERTICES)
        if not 3 <= len(points) <= MOST_VERTICES:
            raise ValueError(
                f"A polygon has {'more than ' * (len(points) > MOST_VERTICES)}"
                f"{min(len(points), MOST_VERTICES)} vertices, expected 3 to {MOST_VERTICES}."
            )
        pairs = [_numbers(point, 2, text) for point in points]
        return Term("p", tuple(v for pair in pairs for v in pair), (), is_taken_off)
    if kind in ("r", "o"):
        numbers = _numbers(rest, 4, text)
        if kind == "o" and not min(numbers[2:]) > 0:
            raise ValueError("An ellipse has a radius of 0 or less, expected more.")
        return Term(kind, numbers, (), is_taken_off)
    if kind == "c":
        (number,) = _numbers(rest, 1, text)
        if number != int(number):
            raise ValueError(f"A class is {rest:.20}, expected a whole number.")
        return Term("c", (number,), (), is_taken_off)
    parts = rest.split("@")
    if (kind, len(parts)) not in (("t", 2), ("b", 4)):
        raise ValueError(f"A region is {text!r:.60}, {_EXPECTED}.")
    found: list[tuple[str, float, float]] = []
    for image, ends in zip(parts[::2], parts[1::2], strict=True):
        low, high = _numbers(ends, 2, text)
        found.append((image, low, high))
    return Term(kind, (), tuple(found), is_taken_off)


def _numbers(text: str, n: int, whole: str) -> tuple[float, ...]:
    parts = text.split(",", n)
    try:
        found = tuple(float(part) for part in parts)
    except ValueError:
        found = ()
    if len(found) != n or not all(math.isfinite(v) and abs(v) < 1e15 for v in found):
        raise ValueError(f"A region is {whole!r:.60}, {_EXPECTED}.")
    return found


def images_of(terms: Sequence[Term]) -> list[str]:
    """Return the images that a region is made with, each once."""
    found = [image for term in terms for image, *_ in term.ranges]
    found += ["class" for term in terms if term.kind == "c"]
    return list(dict.fromkeys(found))


def to_mask(
    region: str | Sequence[Term],
    shape: tuple[int, int],
    image_of: Callable[[str], Any] | None = None,
) -> np.ndarray:
    """Return the pixels of a region, bool, of the shape of the map.

    Parameters
    ----------
    region
        Its text or terms; none is the whole map.
    shape
        Rows and columns of the map.
    image_of
        Returns an image by its name, for regions that are made with images.

    Raises
    ------
    ValueError
        It is no region, or is made with an image that is not there.

    Examples
    --------
    >>> to_mask("r:0,0,1,2", (2, 3)).tolist()
    [[True, True, False], [False, False, False]]
    >>> int(to_mask("o:2,2,2,2|-r:0,0,2,4", (4, 4)).sum())
    6
    """
    terms = parse(region) if isinstance(region, str) else region
    if not terms:
        return np.ones(shape, dtype=bool)
    mask = np.zeros(shape, dtype=bool)
    for term in terms:
        rows, part = _pixels_of(term, shape, image_of)
        if term.is_taken_off:
            mask[rows] &= ~part
        else:
            mask[rows] |= part
    return mask


def _pixels_of(
    term: Term, shape: tuple[int, int], image_of: Callable[[str], Any] | None
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return a box, and which pixels in it belong to a term."""
    everything = (slice(0, shape[0]), slice(0, shape[1]))
    if term.kind == "r":
        y0, x0, y1, x1 = term.numbers
        box = (_within(y0, y1, shape[0]), _within(x0, x1, shape[1]))
        return box, np.ones([s.stop - s.start for s in box], dtype=bool)
    if term.kind == "o":
        return _ellipse(term.numbers, shape)
    if term.kind == "p":
        vertices = np.array(term.numbers).reshape(-1, 2)
        return everything, polygon_mask(vertices, shape)
    if image_of is None:
        raise ValueError("A region is made with images, and there are none here.")
    if term.kind == "c":
        return everything, np.asarray(image_of("class")) == int(term.numbers[0])
    inside = np.ones(shape, dtype=bool)
    for name, low, high in term.ranges:
        image = np.asarray(image_of(name))
        with np.errstate(invalid="ignore"):
            inside &= (image >= low) & (image <= high)
    return everything, inside


def _within(first: float, last: float, size: int) -> slice:
    """Return the pixels whose centres are from a place up to another."""
    start = min(max(math.ceil(first - 0.5), 0), size)
    return slice(start, max(start, min(max(math.ceil(last - 0.5), 0), size)))


def _ellipse(
    numbers: tuple[float, ...], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], np.ndarray]:
    cy, cx, ry, rx = numbers
    box = (
        _within(cy - ry, cy + ry + 1, shape[0]),
        _within(cx - rx, cx + rx + 1, shape[1]),
    )
    y, x = (np.arange(s.start, s.stop) + 0.5 for s in box)
    return box, ((y[:, np.newaxis] - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 <= 1


def polygon_mask(vertices: Any, shape: tuple[int, int]) -> np.ndarray:
    """Return the pixels whose centres are inside of a polygon, by the even-odd rule.

    Parameters
    ----------
    vertices
        Pairs ``(y, x)``, in pixels; the last is joined to the first.
    shape
        Rows and columns of the map.

    Examples
    --------
    >>> polygon_mask([(0, 0), (0, 2), (2, 2), (2, 0)], (2, 3)).tolist()
    [[True, True, False], [True, True, False]]
    """
    points = np.asarray(vertices, dtype=float)
    flips = np.zeros((shape[0], shape[1] + 1), dtype=bool)
    for (ya, xa), (yb, xb) in zip(points, np.roll(points, -1, axis=0), strict=True):
        (y0, x0), (y1, x1) = ((ya, xa), (yb, xb)) if ya < yb else ((yb, xb), (ya, xa))
        rows = _within(y0, y1, shape[0])
        if rows.start == rows.stop:
            continue
        y = np.arange(rows.start, rows.stop) + 0.5
        crossing = x0 + (y - y0) * ((x1 - x0) / (y1 - y0))
        first = np.clip(np.ceil(crossing - 0.5), 0, shape[1]).astype(int)
        flips[np.arange(rows.start, rows.stop), first] ^= True
    return np.logical_xor.accumulate(flips, axis=1)[:, : shape[1]]
