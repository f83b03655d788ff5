"""README and documentation: what they tell a reader to type works as it stands."""

import codeop
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsciio_xfm.cli import main as command_line
from tests import documentation

RUN = [
    page
    for page in documentation.PAGES
    if any(
        block.language == "python"
        or any(documentation.is_run(c) for c, _ in documentation.find_commands(block))
        for block in documentation.find_blocks(page)
    )
]


@pytest.mark.parametrize("page", RUN)
def test_page(page, tmp_path):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.documentation", page, tmp_path],
        cwd=documentation.ROOT,
        env=os.environ | {"MPLBACKEND": "agg", "PYTHONWARNINGS": "ignore"},
        check=False,
        capture_output=True,
        text=True,
    )
    said = f"{result.stdout[-3000:]}\n{result.stderr[-3000:]}"
    assert result.returncode == 0, said
    place = page.removesuffix(".rst")
    if place in documentation.PICTURES:
        check_pictures(place, tmp_path)


def test_picture_of_the_readme(tmp_path):
    command_line(["demo", "-o", str(tmp_path)], standalone_mode=False)
    check_pictures("docs", tmp_path)


def check_pictures(place, folder):
    """What a page draws is what it shows."""
    for name in documentation.PICTURES[place]:
        shown = thumbnail(documentation.ROOT / place / name)
        drawn = thumbnail(folder / name)
        # Fonts and margins of another matplotlib are let pass, other contents are not.
        assert np.abs(shown - drawn).mean() < 12, name
        assert np.corrcoef(shown.ravel(), drawn.ravel())[0, 1] > 0.8, name


def thumbnail(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L").resize((120, 80)), dtype=float)


@pytest.mark.parametrize("page", RUN)
def test_blocks_can_be_pasted(page):
    """Line by line, as into Python's own prompt: a loop ends with an empty line."""
    for block in documentation.find_blocks(page):
        if block.language != "python" or ">>>" in block.text:
            continue
        pasted = []
        for line in [*block.text.splitlines(), ""]:
            pasted.append(line)
            if codeop.compile_command("\n".join(pasted), symbol="single"):
                pasted = []
        assert not "".join(pasted).strip(), f"{page}, line {block.line}"


def test_pages_are_found():
    assert {"README.md", "docs/first_map.rst", "docs/formats/geopixe.rst"} < set(RUN)
    assert len(RUN) > 15


def test_nothing_else_is_shown_as_code():
    """Every block that looks like Python or a shell is one that is run."""
    for page, path in documentation.PAGES.items():
        text = path.read_text(encoding="utf-8")
        languages = set(re.findall(r"code-block:: (\w+)|^```(\w+)", text, re.MULTILINE))
        found = {a or b for a, b in languages}
        assert found <= {"python", "sh", "console", "text"}, page
        assert not re.search(r"::$\n\n    \S", text.replace("code-block::", "")), page


LONG = sorted(
    {
        command
        for _, command in documentation.all_commands()
        if not documentation.is_run(command) and "python" in command
    }
)


@pytest.mark.parametrize("command", LONG)
def test_long_commands_are_known(command):
    """What is not run here names files and options that are there."""
    for script in re.findall(r"(?:benchmarks|docs)/\w+\.py", command):
        text = (documentation.ROOT / script).read_text(encoding="utf-8")
        for option in re.findall(r" (--[\w-]+)", command.split(script)[1]):
            assert f'"{option}"' in text
    for module in re.findall(r"-m (tests[\w.]+)", command):
        path = documentation.ROOT.joinpath(*module.split("."))
        source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        text = source.read_text(encoding="utf-8")
        for option in re.findall(r" (--[\w-]+)", command.split(module)[1]):
            assert f'"{option}"' in text


def test_links_between_files():
    """What README and its companions point to is there."""
    for page, path in documentation.PAGES.items():
        if not page.endswith(".md"):
            continue
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert Path(path.parent, target).exists(), (page, target)
