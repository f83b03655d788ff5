"""Options of readers: those that commands have by a name, and any other as NAME=VALUE."""

import ast
import inspect
import keyword
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from rsciio_xfm.cli._values import DETECTOR, SHAPE, SUM, Parsed

Decorator = Callable[[Callable], Callable]

# What readers call them, options, and what these are for.
_CHOSEN = {
    "dataset_path": ("--dataset", "files of several maps"),
    "axes": ("--axes", "HDF5 files"),
    "allow_outside_links": ("--allow-outside-links", "HDF5 files"),
    "series": ("--series", "HDF5 files and images"),
    "navigation_shape": ("--navigation-shape", "HDF5 and SPEC files"),
}
_OTHER = "other options"  # where they are kept
_OF_COMMANDS = ("filename", "lazy")
_WORDS = {"true": True, "false": False, "none": None}  # however they are written


def together(*options: Decorator) -> Decorator:
    """Make one decorator of several, in the order in which --help shows them."""

    def add(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def _parse_option(text: str) -> tuple[str, Any]:
    """Return the name of an option, and its value as Python or else as it stands."""
    name, equals, value = text.partition("=")
    if not (equals and value and name.isidentifier() and not keyword.iskeyword(name)):
        raise ValueError(
            f"{text!r} is no option of a reader, expected NAME=VALUE, like "
            "calibration=fit.txt"
        )
    if name in _OF_COMMANDS:
        raise ValueError(f"{name} is not to be chosen: the commands give it")
    if value.lower() in _WORDS:
        return name, _WORDS[value.lower()]
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, TypeError, ValueError):
        return name, value


def _kept_option(name: str, option: str, text: str, **look: Any) -> Decorator:
    """Make an option whose value is kept for `chosen_options`."""

    def keep(context: click.Context, _: click.Parameter, value: Any) -> None:
        options = context.find_object(dict)
        if value not in (None, False, ()) and options is not None:
            options[name] = value

    return click.option(option, expose_value=False, callback=keep, help=text, **look)


# Let the user allow links out of the folder of a file: used by `load`.
outside_links_option = _kept_option(
    "allow_outside_links",
    "--allow-outside-links",
    "Follow links of HDF5 files out of the file's folder.",
    is_flag=True,
)


# Let the user choose a map of a file, and give its reader any option: used by `load`.
reader_options = together(
    outside_links_option,
    _kept_option(
        "series",
        "--series",
        "Files whose names differ in the last number are one map.",
        is_flag=True,
    ),
    _kept_option(
        "navigation_shape",
        "--navigation-shape",
        "Columns and rows of an HDF5 or SPEC map that does not say them: 201x101.",
        metavar="XxY",
        type=SHAPE,
    ),
    _kept_option(
        "dataset_path",
        "--dataset",
        "This map of a file that holds several, as `tree` lists them.",
        metavar="PATH",
    ),
    _kept_option(
        "axes",
        "--axes",
        'What the axes of HDF5 datasets are, where nothing tells: "y x detector channel".',
        metavar="NAMES",
    ),
    _kept_option(
        _OTHER,
        "--option",
        "Any other option of the reader of FILE, by the name that it has in Python and in "
        "messages: calibration=fit.txt. Repeat it for several.",
        metavar="NAME=VALUE",
        multiple=True,
        type=Parsed("option", _parse_option),
    ),
)
detector_option = click.option(
    "--detector",
    type=DETECTOR,
    metavar="N",
    help=f"This detector only, 0 being the first; {SUM}: all of them added up, which HDF5 "
    "maps are not without it.",
)


def chosen_options(file: Path, reader: Any) -> dict[str, Any]:
    """Return what the user chose as options of the reader; None is one of RosettaSciIO's."""
    settings = find_settings()
    chosen = {name: settings[name] for name in _CHOSEN if name in settings}
    for name in chosen:
        if not has_option(reader, name):
            option, of = _CHOSEN[name]
            raise click.ClickException(f"{file}: {option} is for {of}")
    others: dict[str, Any] = {}
    for name, value in settings.get(_OTHER, ()):
        if name in chosen | others:
            raise click.ClickException(f"{file}: {name} is given twice, expected it once")
        if reader is not None:
            _check_option(file, reader, name, value)
        others[name] = value
    return chosen | others


def _check_option(file: Path, reader: Any, name: str, value: Any) -> None:
    """Refuse an option that the reader has not, and words for one that is yes or no."""
    if not has_option(reader, name):
        known = [n for n in _options_of(reader) if n not in _OF_COMMANDS]
        raise click.ClickException(
            f"{file}: --option {name} is none of its reader, expected one of "
            f"{', '.join(known)}"
        )
    default = inspect.signature(reader.file_reader).parameters[name].default
    if isinstance(default, bool) and value not in (True, False):
        raise click.ClickException(
            f"{file}: --option {name} is {value!r}, expected True or False"
        )


def chosen_as_text(detector: int | str | None = None) -> str:
    """Return options of the reader as the user gave them, for a command that is suggested."""
    settings = find_settings()
    words = []
    for name, (option, _) in _CHOSEN.items():
        value = settings.get(name)
        if value is None:
            continue
        words.append(option)
        if value is not True:
            is_shape = isinstance(value, tuple)
            words.append("x".join(map(str, value)) if is_shape else str(value))
    for name, value in settings.get(_OTHER, ()):
        words += ["--option", f"{name}={value}"]
    if detector is not None:
        words += ["--detector", str(detector)]
    return "".join(f" {shlex.quote(word)}" for word in words)


def has_option(reader: Any, name: str) -> bool:
    """Tell whether a reader of ours has an option; None has none."""
    return reader is not None and name in _options_of(reader)


def _options_of(reader: Any) -> list[str]:
    return list(inspect.signature(reader.file_reader).parameters)


def find_settings() -> dict[str, Any]:
    """Return what belongs to the command line as a whole."""
    context = click.get_current_context(silent=True)
    return (context.find_object(dict) if context else None) or {}


def detector_options(
    file: Path, reader: Any, detector: int | str | None
) -> dict[str, int | str]:
    """Return the detector that the user chose as an option of the reader."""
    if detector is None:
        return {}
    option = "sum_detectors" if detector == SUM else "detector"
    if not has_option(reader, option):
        raise click.ClickException(f"{file}: --detector is for maps of several detectors")
    if option in dict(find_settings().get(_OTHER, ())):
        raise click.ClickException(
            f"{file}: --detector and --option {option} are given, expected one of them"
        )
    return {option: True if detector == SUM else detector}
