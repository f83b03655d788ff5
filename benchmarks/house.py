"""The structure of the package in numbers: modules on the way of the data, lines, functions.

    python benchmarks/house.py

prints a table with the bars that the package is held to. Of another checkout:

    PYTHONPATH=/path/to/it python benchmarks/house.py

A way is what a user does, from the file to the result. Counted are the modules of the package
whose functions are called, and how often a call is of another module than the one before it
(``sys.setprofile``; dask computes in one thread, so that the numbers are the same each time).
Imports do not count, nor what runs only once in a process: each way is gone once before.
Complexity is McCabe's, counted by ruff (C901); parameters are all but ``self`` and ``cls``.
"""

import ast
import itertools
import json
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from edax import write_map

MOST_PARAMETERS, MOST_COMPLEXITY = 5, 10
BARS = {
    ".spd -> inav -> sum -> msa: modules": 14,
    ".spd -> inav -> sum -> msa: changes of module": 60,
    "Bliss map -> classify: modules": 20,
    "Bliss map -> classify: changes of module": 250,
    "lines of the package": 26_000,
    f"functions with more than {MOST_PARAMETERS} parameters (%)": 4,
    f"functions of complexity above {MOST_COMPLEXITY} (%)": 4,
}


def main() -> None:
    """Count, and print the table; with ``--json`` the numbers, for a program."""
    found = count_ways() | count_package()
    if "--json" in sys.argv:
        print(json.dumps(found))
        return
    print("| what | found | bar |\n|---|---|---|")
    for name, number in found.items():
        print(f"| {name} | {number:g} | {BARS[name]} |")


# The ways of the data.


def count_ways() -> dict[str, int]:
    """Return modules and changes of module of each way."""
    import dask

    import rsciio_xfm.signals  # noqa: F401

    found = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        dask.config.set(scheduler="synchronous"),
        warnings.catch_warnings(action="ignore"),
    ):
        ways = {
            ".spd -> inav -> sum -> msa": (sum_edax, Path(folder, "map.spd")),
            "Bliss map -> classify": (classify_bliss, Path(folder, "bliss.h5")),
        }
        write_map(ways[".spd -> inav -> sum -> msa"][1], (8, 8, 256))
        write_bliss(ways["Bliss map -> classify"][1])
        for name, (go, path) in ways.items():
            go(path)
            with recorded() as calls:
                go(path)
            changes = sum(a != b for a, b in itertools.pairwise(calls))
            found[f"{name}: modules"] = len(set(calls))
            found[f"{name}: changes of module"] = changes
    return found


def sum_edax(path: Path) -> None:
    """Open a map, cut a part of it, sum its spectra and save the sum."""
    import hyperspy.api as hs

    s = hs.load(path, lazy=True)
    total = s.inav[1:7, 1:7].sum()
    total.compute(show_progressbar=False)
    total.save(path.with_suffix(".msa"), overwrite=True)


def classify_bliss(path: Path) -> None:
    """Open a map and sort its pixels into classes."""
    import hyperspy.api as hs

    s = hs.load(path, lazy=True, file_format="ESRF")
    s.classify(reducer="pca", n_classes=3, show_progressbar=False)


def write_bliss(path: Path, shape: tuple[int, int, int] = (12, 16, 256)) -> None:
    """Write a map of three phases as Bliss does, with one detector and its times."""
    import h5py

    rng = np.random.default_rng(0)
    y, x, n_channels = shape
    expected = np.full((3, n_channels), 0.2)
    for phase, line in zip(expected, (60, 120, 180), strict=True):
        phase[line : line + 5] += 30
    which = np.arange(y * x) * 3 // (y * x)
    with h5py.File(path, "w") as file:
        file["1.1/title"] = f"amesh sy 0 1 {x - 1} sz 0 1 {y - 1} 0.1"
        detector = file.create_group("1.1/instrument/mca0")
        detector["calibration"] = [0.0, 0.01, 0.0]
        detector.create_dataset(
            "data",
            data=rng.poisson(expected[which]).astype("u4"),
            chunks=(x, n_channels),
            compression="gzip",
            shuffle=True,
        )
        file["1.1/measurement/mca0"] = h5py.SoftLink("/1.1/instrument/mca0/data")


@contextmanager
def recorded() -> Iterator[list[str]]:
    """Record the module of each call of a function of the package."""
    calls: list[str] = []

    def note(frame, event, argument):
        name = frame.f_globals.get("__name__", "")
        # Comprehensions are calls in some versions of Python and not in others.
        is_named = not frame.f_code.co_name.startswith("<")
        if event == "call" and is_named and name.split(".")[0] == "rsciio_xfm":
            calls.append(name)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


# The package.


def count_package() -> dict[str, float]:
    """Return lines, and which share of the functions is longer to learn than it should be."""
    import rsciio_xfm

    folder = Path(rsciio_xfm.__file__).parent
    texts = [path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.py"))]
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    functions = [
        node
        for text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, kinds)
    ]
    n_long = sum(count_parameters(f) > MOST_PARAMETERS for f in functions)
    shares = n_long / len(functions), count_complex(folder) / len(functions)
    numbers = sum(len(text.splitlines()) for text in texts), *shares
    names = list(BARS)[-3:]
    return {
        name: n if isinstance(n, int) else round(100 * n, 1)
        for name, n in zip(names, numbers, strict=True)
    }


def count_parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many parameters there are, of a method without the object."""
    own = function.args
    names = [a.arg for a in (*own.posonlyargs, *own.args, *own.kwonlyargs)]
    names += [a.arg for a in (own.vararg, own.kwarg) if a is not None]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def count_complex(folder: Path) -> int:
    """Return how many functions ruff finds to be too complex."""
    most = f"lint.mccabe.max-complexity={MOST_COMPLEXITY}"
    options = ["--isolated", "--no-cache", "--select", "C901", "--config", most]
    command = ["ruff", "check", *options, "--ignore-noqa", "--output-format", "json"]
    result = subprocess.run(
        [sys.executable, "-m", *command, str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if result.returncode not in (0, 1):
        raise RuntimeError(f"ruff did not run: {result.stderr}")
    return len(json.loads(result.stdout))


if __name__ == "__main__":
    main()
