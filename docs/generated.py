"""Parts of pages that are made from what the package itself uses.

The table of formats, that of HDF5 layouts, commands with their options, and the lines of the
elements: each is a file whose name begins with ``_``, which a page includes.
"""

# ruff: noqa: RUF001

import inspect
import re
from pathlib import Path

import click
import exspy
import layouts

from rsciio_xfm._register import read_specifications
from rsciio_xfm.cli import main

# What exspy calls them, where British spelling differs.
_BRITISH = {"aluminum": "aluminium", "cesium": "caesium", "sulfur": "sulphur"}
# Not looked for beside the line of another element: no sample has them.
_NEVER = {"Tc", "Pm", "Po", "At", "Rn", "Fr", "Ra", "Ac", "Pa"}
_URANIUM = 92
_LIGHT = {"H", "He", "Li"}  # no detector sees their lines
_NEAR = 0.1  # keV: to a detector, whose peaks are 130 eV wide, one peak or a shoulder
_LINES = ("Ka", "Kb", "La", "Lb1", "Ma")


def write(folder: Path) -> None:
    """Write all of them into the folder of the documentation."""
    parts = {
        "formats/_table.txt": formats(),
        "formats/_layouts.txt": layouts.table(),
        "_commands.txt": commands(),
        "_lines.txt": lines(),
    }
    for name, text in parts.items():
        path = folder / name
        # An unchanged file is left, so that its page is not built again.
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def formats() -> str:
    """Return the table of formats, from what RosettaSciIO is told about each."""
    titles = ("Format", "Files", "What they hold", "Writes", "Lazy", "Cluster", "Source")
    rows = []
    for s in read_specifications():
        extensions = dict.fromkeys(e.lower() for e in s["file_extensions"])
        yes_no = ["yes" if s[key] else "no" for key in ("writes", "lazy", "distributed")]
        rows.append(
            (
                f":doc:`{s['name']} </formats/{s['api'].rsplit('.', 1)[-1]}>`",
                ", ".join(f"``.{extension}``" for extension in extensions),
                s["description"],
                *yes_no,
                s["source"],
            )
        )
    return _table(titles, rows, (11, 12, 30, 6, 6, 7, 28))


def commands() -> str:
    """Return each command of the command line with its options, in reStructuredText."""
    context = click.Context(main, info_name="rsciio-xfm")
    parts = [_command(main, context, "Before any command")]
    for name in sorted(main.list_commands(context)):
        command = main.get_command(context, name)
        assert command is not None
        parts.append(_command(command, click.Context(command, context, name), name))
    return "\n".join(parts)


def _command(command: click.Command, context: click.Context, title: str) -> str:
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f".. program:: {context.command_path}",
        "",
        title,
        "-" * len(title),
        "",
        f"``{context.command_path} {usage}``",
        "",
        _plain(command.help or ""),
        "",
    ]
    options = [p for p in command.get_params(context) if isinstance(p, click.Option)]
    for option in options:
        names, text = option.get_help_record(context) or ("--help", "")
        if "--help" not in names:
            names = re.sub("WHOLE NUMBER|INTEGER", "NUMBER", names)
            lines += [f".. option:: {names}", "", f"   {_plain(text)}", ""]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Return a text of the command line as reStructuredText."""
    text = inspect.cleandoc(text.replace("\b", "").replace("\f", ""))
    text = re.sub(r"([*|]|_(?=\W|$))", r"\\\1", text)
    return re.sub(r"`([^`]+)`", r"``\1``", text)


def lines() -> str:
    """Return the table of elements and their lines, with an entry in the index for each."""
    known = sorted(exspy.material.elements, key=lambda pair: pair[1].General_properties.Z)
    every = {
        symbol: element.Atomic_properties.Xray_lines.as_dictionary()
        for symbol, element in known
        if "Xray_lines" in element.Atomic_properties
        and element.General_properties.Z <= _URANIUM
    }
    rows = [_element(symbol, every) for symbol in every if symbol not in _LIGHT]
    titles = ("Element", "Kα", "Kβ", "Lα", "Lβ1", "Mα", "Within 100 eV of it")
    return _table(titles, rows, (22, 9, 9, 9, 9, 9, 33))


def _element(symbol: str, every: dict[str, dict]) -> tuple[str, ...]:
    name = exspy.material.elements[symbol].General_properties.name
    names = [name, _BRITISH.get(name, ""), symbol]
    energies = {line: d["energy (keV)"] for line, d in every[symbol].items()}
    shown = [f"{energies[line]:.3f}" if line in energies else "" for line in _LINES]
    index = ", ".join(f"! {name}" for name in names if name)
    cell = f".. index:: {index}\n\n       **{symbol}**, {name}"
    return (cell, *shown, _neighbours(symbol, every))


def _neighbours(symbol: str, every: dict[str, dict]) -> str:
    """Return which strong lines of other elements lie beside its own."""
    found = []
    for line in ("Ka", "La"):
        if line not in every[symbol]:
            continue
        energy = every[symbol][line]["energy (keV)"]
        near = [
            f"{other}_{name}"
            for other in every.keys() - _NEVER - {symbol}
            for name, d in every[other].items()
            if name in _LINES and abs(d["energy (keV)"] - energy) < _NEAR
        ]
        if near and energy > 1:
            found.append(f"{line}: {', '.join(sorted(near))}")
    return "; ".join(found)


def _table(titles: tuple[str, ...], rows: list[tuple[str, ...]], widths: tuple) -> str:
    out = [
        ".. This file is made by generated.py.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        f"   :widths: {' '.join(map(str, widths))}",
        "   :class: cards",
        "",
    ]
    for cells in [titles, *rows]:
        out += [f"   {'  ' if i else '* '}- {c}".rstrip() for i, c in enumerate(cells)]
    return "\n".join(out) + "\n"
