"""Each option of ``rsciio-xfm classify``, through the installed command."""

import csv

import hyperspy.api as hs
import numpy as np
import pytest

from tests.builders import edax as edax_builder
from tests.builders import geopixe as builder
from tests.signals.test_classify import path, phases  # noqa: F401 (fixtures)
from tests.test_cli_geopixe import run


def labels_of(folder):
    return hs.load(folder / "labels.tif").data


@pytest.mark.parametrize("n_classes", [[], ["--n-classes", "auto"]])
def test_as_many_as_there_are(path, tmp_path, n_classes):  # noqa: F811
    said = run("classify", path, "--reducer", "pca", *n_classes, "-o", tmp_path / "r")
    assert "6 classes of 50 x 40 pixels" in said
    s = hs.load(path, lazy=True)
    expected = s.classify("pca", show_progressbar=False).labels.data
    np.testing.assert_array_equal(labels_of(tmp_path / "r"), expected)
    with (tmp_path / "r" / "classes.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["pixels"]) for row in rows) == 2000
    assert all(float(row["live_time_s"]) > 0 for row in rows)
    said = run("classify", path, "--reducer", "pca", "-o", tmp_path / "r", code=1)
    assert "use --overwrite" in said


def test_options(path, tmp_path):  # noqa: F811
    folder = tmp_path / "r"
    run(
        "--workers", 1, "classify", path, "--reducer", "pca", "--n-classes", 3, "--x", 5, 30,
        "--y", 2, 22, "--detector", 1, "--n-pca", 5, "--scaling", "sqrt", "--energy", 2, 12,
        "--min-counts", 20, "--seed", 4, "--on", "embedding", "-o", folder,
    )  # fmt: skip
    s = hs.load(path, lazy=True, detector=1).inav[5:30, 2:22]
    expected = s.classify(
        "pca",
        n_classes=3,
        random_state=4,
        n_pca=5,
        classify_on="embedding",
        scaling="sqrt",
        energy_range=(2.0, 12.0),
        min_counts=20,
        show_progressbar=False,
    )
    np.testing.assert_array_equal(labels_of(folder), expected.labels.data)
    run(
        "classify",
        path,
        "--reducer",
        "pca",
        "--classifier",
        "hdbscan",
        "-o",
        folder,
        "--overwrite",
    )
    assert labels_of(folder).shape == (40, 50)


def test_of_another_format(tmp_path):
    spd = edax_builder.write_map(tmp_path / "map.spd", (12, 14, 64), 2)
    run("classify", spd, "--reducer", "pca", "--n-classes", 2, "-o", tmp_path / "r")
    assert labels_of(tmp_path / "r").shape == (12, 14)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (["--n-classes", 99], "n_classes is 99"),
        (["--classifier", "hdbscan", "--n-classes", 3], "not for hdbscan"),
        (["--min-counts", 1e9], "All 35 spectra"),
        (["--energy", 50, 60], "where the spectra are"),
        (["--x", 3, 1], "--x is 3 1"),
    ],
)
def test_wrong(tmp_path, arguments, match):
    small = builder.write_map(tmp_path / "map.GeoPIXE")
    said = run(
        "classify", small, "--reducer", "pca", *arguments, "-o", tmp_path / "r", code=1
    )
    assert match in said
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("n_classes", ["six", "0", "Auto", "2.5"])
def test_number_of_classes_that_is_none(tmp_path, n_classes):
    small = builder.write_map(tmp_path / "map.GeoPIXE")
    arguments = ["--n-classes", n_classes, "-o", tmp_path / "r"]
    said = run("classify", small, *arguments, code=2)
    assert "'--n-classes'" in said
    assert (
        n_classes == "0" or f"{n_classes!r} is neither a whole number nor 'auto'" in said
    )
