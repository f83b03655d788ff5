"""The examples in docstrings do what they say, each in a folder with the files it names."""

import doctest
import importlib
import os
import pkgutil
import re
import shutil

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest

import rsciio_xfm
from tests.builders import documentation as builder

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FILES = (
    "map.GeoPIXE",
    "map.bcf",
    "map.pts",
    "map.spd",
    "map.edaxh5",
    "map.h5oina",
    "scan_0001.mda",
    "painting.HDF5",
    "map.hmsa",
    "map.emd",
    "scan.raw",
    "painting.datastack",
    "sample_0001.h5",
    "scans.dat",
    "point.mca",
    "spectra",
)


def find_examples():
    """The docstrings of the package that have examples."""
    modules = pkgutil.walk_packages(rsciio_xfm.__path__, "rsciio_xfm.")
    names = ["rsciio_xfm", *(module.name for module in modules)]
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = {}
    for name in names:
        for test in finder.find(importlib.import_module(name)):
            if test.examples:
                found[test.name] = test
    return found


EXAMPLES = find_examples()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for name in FILES:
        builder.write(name, folder)
    return folder


# What is said of the maps of the examples, and what is not said by us; anything else is in
# pytest's summary.
@pytest.mark.filterwarnings(
    "default",
    r"ignore:.*\d+ of \d+ dead times are not recorded:UserWarning",
    "ignore:.*EDAX APEX files are read by the names:UserWarning",
    "ignore::hyperspy.exceptions.VisibleDeprecationWarning",
)
@pytest.mark.parametrize("name", EXAMPLES)
def test_example(name, files, tmp_path, monkeypatch, capsys):
    for path in files.iterdir():
        # Stacks grow in place; all else is replaced when it is written.
        put = shutil.copy if path.suffix == ".datastack" else os.link
        put = shutil.copytree if path.is_dir() else put
        put(path, tmp_path / path.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hs.preferences.General, "show_progressbar", False)
    test = EXAMPLES[name]
    test.globs = test.globs | {"hs": hs, "np": np}
    sources = "".join(example.source for example in test.examples)
    if re.search(r"\bs\b", sources) and not re.search(r"^s = ", sources, re.MULTILINE):
        test.globs["s"] = hs.load("map.GeoPIXE", lazy=True)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    said = []
    result = runner.run(test, out=said.append)
    plt.close("all")
    assert not result.failed, "".join(said)


def test_examples_are_run():
    """None is skipped, and the public functions have one."""
    assert not any(
        doctest.SKIP in example.options
        for test in EXAMPLES.values()
        for example in test.examples
    )
    names = (
        "bruker",
        "crono",
        "geopixe",
        "edax",
        "emd",
        "datastack",
        "esrf",
        "jeol",
        "mda",
        "oxford",
        "text_spectra",
    )
    for name in names:
        assert f"rsciio_xfm.formats.{name}.api.file_reader" in EXAMPLES
