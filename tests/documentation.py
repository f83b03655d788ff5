"""Run what README and documentation tell a reader to type, in the order of each page.

``python -m tests.documentation`` lists the pages. ``... PAGE FOLDER`` runs one of them
there, in a folder with the files that it names. ``... --setup`` prints the commands that
install things, which `.ci/run` runs after those of the README, and ``... --long`` runs
those that take long. ``... --pictures`` makes the pictures of the first map and of the
README anew.
"""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for path in sorted(
        [*ROOT.glob("*.md"), *ROOT.glob("docs/*.rst"), *ROOT.glob("docs/formats/*.rst")]
    )
}
PICTURES = {
    "docs/first_map": ("spectrum.png", "elements.png", "regions.png", "classes.png"),
    "docs/pictures": ("maps.png", "minerals.png", "difference.png", "regions.png"),
    "docs": ("demo.png",),
}
# Commands that install, which only make sense in an environment of their own.
SETUP = re.compile(r"-m venv|pip install")
# Commands that take minutes to hours, or want what is not installed for the tests.
LONG = re.compile(
    r"benchmarks/|tests\.robustness|^maxrf|-m venv maxrf|atheris|nox|\.ci/run|-m pytest"
    r"|sphinx-build|ruff|tests\.documentation|docs/notebooks|pre-commit|activate"
    r"|rsciio-xfm explore|rsciio-xfm serve|^ssh |^rm |^docker |^git tag|twine upload"
)
# Of these, what changes the clone, what fails on purpose, and what waits for Ctrl-C.
NEVER = re.compile(
    r"new-format|pre-commit install|test_toymap|rsciio-xfm explore|rsciio-xfm serve|^ssh |^rm "
    r"|^docker |^git tag|twine upload|nox -s release"
)
_RST = re.compile(
    r"^\.\. code-block:: (\w+)\n(?:    ?:.*\n)*\n((?:(?:    .*)?\n)+)", re.MULTILINE
)
_MARKDOWN = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    language: str
    text: str
    line: int


def find_blocks(page: str) -> list[Block]:
    """Return the blocks of a page that are run, in order."""
    text = PAGES[page].read_text(encoding="utf-8") + "\n"
    pattern = _MARKDOWN if page.endswith(".md") else _RST
    blocks = [
        Block(m[1], textwrap.dedent(m[2]), text.count("\n", 0, m.start(2)) + 1)
        for m in pattern.finditer(text)
    ]
    return [block for block in blocks if block.language in ("python", "sh", "console")]


def find_commands(block: Block) -> list[tuple[str, str]]:
    """Return the commands of a block, each with what is said to be printed."""
    if block.language == "sh":
        lines = [line.split("  #")[0].strip() for line in block.text.splitlines()]
        return [(line, "") for line in lines if line]
    commands = []
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        commands.append((command, printed.strip()))
    return commands


def all_commands() -> list[tuple[str, str]]:
    """Return page and command, of all pages."""
    return [
        (page, command)
        for page in PAGES
        for block in find_blocks(page)
        if block.language != "python"
        for command, _ in find_commands(block)
    ]


def is_run(command: str) -> bool:
    """Tell whether a command is run with its page."""
    return not SETUP.search(command) and not LONG.search(command)


def run_page(page: str, folder: Path) -> None:
    """Run all blocks of a page in a folder, in one session of Python."""
    from tests.builders import documentation as builder

    builder.make(page, folder)
    os.chdir(folder)
    (folder / ".venv").symlink_to(sys.prefix)
    names = {"__name__": "__main__"}
    exec(builder.PREAMBLES.get(page, ""), names)
    for block in find_blocks(page):
        where = f"{page}, line {block.line}"
        print(f"--- {where}", flush=True)
        if block.language == "python" and ">>>" in block.text:
            _run_doctest(block, names, where)
        elif block.language == "python":
            exec(compile(block.text, where, "exec"), names)
        else:
            for command, printed in find_commands(block):
                if is_run(command):
                    _run_command(command, printed, where)
        _close_figures()


def _run_doctest(block: Block, names: dict, where: str) -> None:
    test = doctest.DocTestParser().get_doctest(block.text, names, where, None, None)
    if doctest.DocTestRunner(optionflags=_OPTIONS).run(test, clear_globs=False).failed:
        raise AssertionError(f"{where}: not what is printed there")


def _run_command(command: str, expected: str, where: str) -> None:
    if command.startswith("rsciio-xfm "):
        return _run_here(command, expected, where)
    result = subprocess.run(
        ["bash", "-euc", command],
        env=_activated(),
        check=False,
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise AssertionError(f"{where}: {command}\n{result.stdout}{result.stderr}")
    return _check_printed(command, expected, result.stdout, where)


def _activated() -> dict[str, str]:
    """Return the environment in which the commands of this Python's environment are found."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return os.environ | {"PATH": path}


def _run_here(command: str, expected: str, where: str) -> None:
    """Run the package's own command in this process, which has imported everything."""
    from rsciio_xfm.cli import main as command_line

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        command_line(shlex.split(command)[1:], standalone_mode=False)
    _check_printed(command, expected, printed.getvalue(), where)


def _check_printed(command: str, expected: str, printed: str, where: str) -> None:
    same = doctest.OutputChecker().check_output(f"{expected}\n", printed, _OPTIONS)
    if expected and not same:
        raise AssertionError(f"{where}: {command}\nprints\n{printed}")


def _close_figures() -> None:
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


def make_pictures() -> None:
    """Write the pictures of the pages that show what they draw, and that of the README."""
    from PIL import Image

    for place, names in PICTURES.items():
        with tempfile.TemporaryDirectory() as folder:
            if place == "docs":
                os.chdir(folder)
                _run_here("rsciio-xfm demo -o .", "", "README.md")
            else:
                run_page(f"{place}.rst", Path(folder))
            os.chdir(ROOT)
            (ROOT / place).mkdir(exist_ok=True)
            for name in names:
                with Image.open(Path(folder) / name) as picture:
                    small = picture.convert("RGB")
                    small.thumbnail((1300, 1300))
                    small.quantize(256, Image.Quantize.MAXCOVERAGE, dither=0).save(
                        ROOT / place / name, optimize=True
                    )


def run_long() -> None:
    """Run the commands that take long, each in the top folder of a clone that is set up."""
    for page, command in all_commands():
        is_long = not is_run(command) and LONG.search(command)
        if is_long and not NEVER.search(command):
            print(f"--- {page}: {command}", flush=True)
            subprocess.run(
                ["bash", "-euc", command], cwd=ROOT, env=_activated(), check=True
            )


def main() -> None:
    """Do what the command line says."""
    os.environ.setdefault("MPLBACKEND", "agg")
    if sys.argv[1:] == ["--setup"]:
        setup = [
            command
            for page, command in all_commands()
            if SETUP.search(command) and not LONG.search(command) and page != "README.md"
        ]
        print("\n".join(dict.fromkeys(setup)))
    elif sys.argv[1:] == ["--long"]:
        run_long()
    elif sys.argv[1:] == ["--pictures"]:
        make_pictures()
    elif sys.argv[1:]:
        page, folder = sys.argv[1:]
        run_page(page, Path(folder).resolve())
    else:
        print("\n".join(page for page in PAGES if find_blocks(page)))


if __name__ == "__main__":
    main()
