"""A format that is made as docs/new_format.rst says, in a copy of the repository."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "new_format"
TESTS = ("tests/test_contract.py", "tests/io/test_toymap.py")
BATTERY = "tests/robustness/test_battery.py"
NAME = "toymap"


def load(path):
    spec = importlib.util.spec_from_file_location("new_format_make", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


maker = load(DOCS / "make.py")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of what is imported, with kernels that are compiled already."""
    folder = tmp_path_factory.mktemp("repository")
    # Other processes write these at the same time.
    ignore = shutil.ignore_patterns("*.pyc*", "*.tmp.*")
    for name in ("rsciio_xfm", "tests", "docs/new_format"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def run(folder, *arguments):
    result = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        check=False,
        capture_output=True,
        text=True,
    )
    return result.returncode, result.stdout + result.stderr


def test_skeleton_then_format(copy):
    """The skeleton fails its contract and says what to do; filled in, it is a format."""
    code, said = run(copy, "docs/new_format/make.py", NAME)
    assert code == 0, said
    assert "fails until nothing is left" in said
    pytest_of_format = (
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-k",
        NAME,
        "-m",
        "",
    )
    code, said = run(copy, *pytest_of_format, *TESTS)
    assert code == 1, said
    assert "there is something left to fill in" in said
    assert re.search(r"formats/toymap/parse\.py:\d+: # FILL IN: LocalFile\.of", said)
    assert re.search(r"builders/toymap\.py:\d+: # FILL IN: struct\.pack", said)
    assert "NotImplementedError: tests/builders/toymap.py: write a small file" in said
    code, said = run(copy, "docs/new_format/make.py", NAME)
    assert code == 1 and "specifications.yaml exists" in said

    maker.make(NAME, copy, DOCS / NAME)
    code, said = run(copy, *pytest_of_format, *TESTS, BATTERY)
    assert code == 0, said
    n_passed = int(re.search(r"(\d+) passed", said)[1])
    assert n_passed > 25 and "skipped" not in said
    assert '"toymap"' in (copy / "rsciio_xfm" / "__init__.py").read_text(encoding="utf-8")


def test_size():
    """All that an author writes of the format itself."""
    names = [n for n, place in maker.FILES.items() if place.startswith("rsciio_xfm")]
    lines = [
        line
        for name in names
        for line in (DOCS / NAME / name).read_text(encoding="utf-8").splitlines()
        if line.strip()
    ]
    assert len(lines) < 150


def test_the_example_has_the_files_of_the_skeleton():
    for folder in (maker.SKELETON, DOCS / NAME):
        assert {path.name for path in folder.iterdir()} - {"__pycache__"} == set(
            maker.FILES
        )
    assert not any("FILL IN" in (DOCS / NAME / n).read_text("utf-8") for n in maker.FILES)


@pytest.mark.parametrize("arguments", [[], ["Toy map"], ["../toy"], ["a", "b"], ["edax"]])
def test_names(arguments):
    code, said = run(ROOT, DOCS / "make.py", *arguments)
    assert code == 1
    assert "expected" in said or "exists" in said


@pytest.mark.parametrize(
    "before",
    [
        '("edax", "zeiss")',
        '(\n    "edax",\n    "zeiss",\n)',
        '("toymap", "edax", "zeiss")',
    ],
)
def test_short_name(before):
    text = f"_FORMATS = {before}\n_MODULES = ()\n"
    after = '_FORMATS = ("edax", "toymap", "zeiss")\n_MODULES = ()\n'
    assert maker._with_name(text, NAME) == after
