"""What options may be: files, numbers, and what is written with commas between."""

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

SUM = "sum"  # of detectors
AUTO = "auto"
_KNOWN = "lines with channels, like Fe_Ka=640,Ca_Ka=369, or elements, like Fe,Ca"


class _File(click.Path):
    """A file that is there; of a folder, the error says what makes a map of one."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if Path(value).is_dir():
            self.fail(
                f"{value} is a folder, expected a file. If its files are spectra as text, one "
                "a pixel, rsciio-xfm convert makes a map of them.",
                param,
                ctx,
            )
        return super().convert(value, param, ctx)


FILE = _File(exists=True, dir_okay=False, path_type=Path)


class Finite(click.types.FloatParamType):
    """A number: neither NaN nor an infinite one, which no option has a use for."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class FiniteRange(Finite, click.FloatRange):
    """Such a number in a range: NaN compares with no end of it."""

    name = "number"  # in messages and in --help, where click's own is "float range"


class WholeRange(click.IntRange):
    """A whole number in a range."""

    name = "whole number"


class NumberOrAuto(click.IntRange):
    """A whole number, or the word for as many as there seem to be."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if value == AUTO:
            return AUTO
        try:
            int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a whole number nor {AUTO!r}.", param, ctx)
        return super().convert(value, param, ctx)


class Parsed(click.ParamType):
    """A text that a function understands, or says in a ValueError what is wrong with it."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _parse_detector(text: str) -> int | str:
    """Return a number, or the word for all detectors added up."""
    if text == SUM:
        return SUM
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a number nor {SUM!r}.") from None


def _parse_shape(text: str) -> tuple[int, int]:
    """Return columns and rows of a map."""
    sizes = re.fullmatch(r"([1-9]\d{0,8})[xX,]([1-9]\d{0,8})", text, re.ASCII)
    if sizes is None:
        raise ValueError(f"{text!r} is no shape, expected columns and rows, 40x30")
    return int(sizes[1]), int(sizes[2])


def _parse_lines(text: str) -> list[str] | str:
    """Return names of lines and elements, or the word for those that are there."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ValueError(f"{text!r} is not lines or elements, like Fe_Ka,Ca, or {AUTO}")
    return AUTO if text == AUTO else names


def _parse_known(text: str) -> dict[str, float] | list[str]:
    """Return lines and where they are, or elements."""
    pairs = [part.partition("=") for part in text.split(",")]
    names = [name.strip() for name, _, _ in pairs]
    has_place = [bool(equals) for _, equals, _ in pairs]
    is_sound = all(names) and len(set(names)) == len(names)
    if not is_sound or any(has_place) != all(has_place):
        raise ValueError(f"{text!r} is not {_KNOWN}")
    if not any(has_place):
        return names
    try:
        places = [float(place) for _, _, place in pairs]
    except ValueError:
        places = [math.nan]
    if not all(map(math.isfinite, places)):
        raise ValueError(f"{text!r} is not {_KNOWN}")
    return dict(zip(names, places, strict=True))


def _parse_colours(text: str) -> tuple[str | None, ...]:
    """Return what is red, green and blue: up to three names."""
    names = [name.strip() for name in text.split(",")]
    if len(names) > 3 or not any(names):
        raise ValueError(
            f"{text!r} is not what is red, green and blue: expected up to three names, like "
            "Fe_Ka,Ca_Ka,Ti_Ka"
        )
    return tuple(name or None for name in (*names, "", ""))[:3]


DETECTOR = Parsed("detector", _parse_detector)
SHAPE = Parsed("shape", _parse_shape)
LINES = Parsed("lines", _parse_lines)
KNOWN = Parsed("lines", _parse_known)
COLOURS = Parsed("red,green,blue", _parse_colours)
