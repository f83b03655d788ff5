"""Imports point one way, as docs/how_it_works.rst draws them."""

import ast
from pathlib import Path

import pytest

import rsciio_xfm

PACKAGE = Path(rsciio_xfm.__file__).parent
# Each may import those before it, and itself.
LAYERS = (
    "exceptions",
    "kernels",
    "core",
    "_register",
    "analysis",
    "formats",
    "drawing",
    "signals",
    "data",
    "report",
)
TOP = ("cli", "explore")  # over all of them, not over each other
# These say which of several formats a file is of, and import no more of them than that.
FAMILIES = {
    "emd": {"ncem", "velox"},
    "esrf": {"edf", "hdf5_maps", "spec", "xia"},
    "text_spectra": {"esrf", "msa", "spec"},
}
# What is made of files of another format.
MADE_OF = {"datastack": {"ripple"}, "xia": {"edf"}}

MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = [path.relative_to(PACKAGE).as_posix() for path in MODULES]


def imported_by(path):
    """The modules of the package that a module imports, in parts: formats, geopixe, index."""
    return _imported(ast.parse(path.read_text(encoding="utf-8")))


def _imported(tree):
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name for name in names if name.startswith("rsciio_xfm.")}
    return [name.split(".")[1:] for name in sorted(found)]


def allowed(layer):
    if layer in LAYERS:
        return set(LAYERS[: LAYERS.index(layer) + 1])
    return {*LAYERS, layer}


def may_import(own, other):
    """Tell whether one module of the package may import another, given in parts."""
    if other[0] not in (*LAYERS, *TOP):  # what the package itself gives: a short name
        return own[0] in TOP or other[0] == "__version__"
    if other[0] not in allowed(own[0]):
        return False
    if own[0] == other[0] == "formats" and own[1] != other[1]:
        return other[1] in (FAMILIES | MADE_OF).get(own[1], ())
    return True


def test_there_are_modules():
    assert {name.split("/")[0] for name in NAMES} >= {"core", "formats", "kernels"}


@pytest.mark.parametrize("name", [name for name in NAMES if "/" in name])
def test_arrows(name):
    own = name.removesuffix(".py").split("/")
    wrong = [o for o in imported_by(PACKAGE / name) if not may_import(own, o)]
    assert not wrong


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ("core.array", "kernels.sums", True),
        ("core.array", "analysis.maps", False),
        ("kernels.sums", "core.wide", False),
        ("formats.edax.api", "formats.edax.parse", True),
        ("formats.edax.api", "formats.geopixe.parse", False),
        ("formats.emd.api", "formats.velox", True),
        ("formats.velox.api", "formats.emd", False),
        ("formats.edax.api", "signals.maps", False),
        ("analysis.maps", "formats.edax", False),
        ("cli._info", "geopixe", True),
        ("formats.edax.api", "geopixe", False),
        ("cli._info", "explore", False),
    ],
)
def test_what_is_allowed(own, other, expected):
    assert may_import(own.split("."), other.split(".")) == expected


def test_modules_of_an_analysis_do_not_import_each_other():
    """Imports within functions count as well; those for types only do not."""
    found = {
        ".".join(["analysis", *path.relative_to(PACKAGE / "analysis").with_suffix("").parts]):
        {".".join(one[:k]) for one in _imported_when_run(path) for k in (2, 3)}
        for path in MODULES if path.is_relative_to(PACKAGE / "analysis")
    }  # fmt: skip
    pairs = [(own, other) for own in found for other in found[own] & {*found} - {own}]
    assert len(pairs) > 50
    assert not [pair for pair in pairs if pair[::-1] in pairs]


def _imported_when_run(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tree.body = [n for n in tree.body if not isinstance(n, ast.If)]  # TYPE_CHECKING
    return _imported(tree)
