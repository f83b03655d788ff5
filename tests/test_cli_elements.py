"""``rsciio-xfm elements`` and ``calibrate``; ``--calibrate`` of others; labels."""

import hyperspy.api as hs
import numpy as np
import pytest

pytest.importorskip("xraylib")
from rsciio_xfm import data, datastack
from rsciio_xfm.cli import _analyse
from rsciio_xfm.formats.ripple.energies import write_energies
from tests.builders import datastack as builder
from tests.builders import xrf

LINES = "Fe_Ka=639,Ca_Ka=369"
GAIN = 0.01003


@pytest.fixture(scope="module")
def counts():
    return xrf.make((8, 12), counts=1500).counts.astype(np.uint16)


@pytest.fixture
def pair(tmp_path, counts):
    return builder.write_raw(tmp_path, counts)


def axis_of(path):
    (axis,) = hs.load(path).axes_manager.signal_axes
    return axis.offset, axis.scale, axis.units


def check(path):
    offset, scale, units = axis_of(path)
    assert units == "keV"
    assert abs(scale - GAIN) < 3e-5
    assert abs(offset + 0.012) < 0.02


def test_calibrate_a_pair(run, pair):
    raw, rpl = pair
    before, numbers = rpl.read_text(), raw.read_bytes()
    assert "energies" not in run("calibrate", rpl, LINES, "--dry-run")
    assert rpl.read_text() == before
    text = run("calibrate", raw, LINES)
    assert "numbers taken as channels" in text
    assert f"{rpl}: depth-scale" in text
    assert raw.read_bytes() == numbers
    assert rpl.read_text().startswith(before.rstrip())
    check(rpl)
    assert "has energies" in run("calibrate", rpl, LINES, code=1)
    run("calibrate", rpl, "Fe,Ca,Cu", "--overwrite")
    assert rpl.read_text().count("depth-scale") == 1
    check(rpl)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_other_lines_of_a_text_stay(pair, newline):
    _, rpl = pair
    lines = [
        *rpl.read_text().splitlines(),
        "ev-per-chan\t3",
        "; a note",
        "Depth-Scale 7",
        "",
    ]
    rpl.write_bytes(newline.join(lines).encode())
    write_energies(rpl, -0.5, 0.01)
    text = rpl.read_bytes().decode()
    assert text.split(newline)[-5:-1] == [
        "; a note",
        "depth-scale\t0.01",
        "depth-origin\t-0.5",
        "depth-units\tkeV",
    ]
    assert "ev-per-chan" not in text
    assert axis_of(rpl) == (-0.5, 0.01, "keV")


def test_calibrate_a_stack(run, pair):
    raw, _ = pair
    run("convert", raw, "--sigma", 0)
    path = raw.with_suffix(".datastack")
    assert f"{path}: maxrf_energies" in run("calibrate", path, LINES)
    check(path)
    energies = datastack.read(path, "maxrf_energies")
    assert energies.shape == (2048,)
    assert "maxrf_energies_" in run("calibrate", path, "Fe,Ca,Cu", "--overwrite")
    check(path)


def test_convert_with_calibration(run, pair):
    raw, _ = pair
    assert "2 lines" in run("convert", raw, "--calibrate", LINES)
    check(raw.with_suffix(".datastack"))
    both = ("--calibrate", LINES, "--kev-per-channel", 0.01, "--overwrite")
    assert "are given" in run("convert", raw, *both, code=1)
    wrong = ("--calibrate", "Fe_Ka=1350", "--overwrite")
    text = run("convert", raw, *wrong, code=1)
    assert "is written, without energies: There is no peak at channel 1350" in text


def test_export_with_calibration(run, pair, tmp_path):
    _, rpl = pair
    path = tmp_path / "new.hspy"
    assert "2 lines" in run("export", rpl, "--calibrate", LINES, "-o", path)
    check(path)
    assert axis_of(rpl)[2] != "keV"
    text = run("export", rpl, "--calibrate", LINES, "-o", tmp_path / "x.npy", code=1)
    assert "has no energies" in text


def test_others_are_refused(run, tmp_path, counts):
    path = tmp_path / "map.hspy"
    hs.signals.Signal1D(counts).save(path)
    text = run("calibrate", path, LINES, code=1)
    assert "cannot be put into a .hspy file" in text
    assert f"rsciio-xfm export {path} --calibrate {LINES} -o map_keV.h5" in text
    text = run("calibrate", path, "Fe,Ca", code=1)
    assert "--calibrate Fe,Ca -o map_keV.h5" in text


def test_the_suggestion_has_what_was_given(run, tmp_path, counts):
    """Without them it would be of one row of a series, or refused."""
    path = tmp_path / "map 1.h5"
    hs.signals.Signal1D(counts).save(path, file_format="HSPY")
    given = ("--series", "--dataset", "/a b", "--navigation-shape", "4x3")
    text = run("calibrate", path, LINES, "--detector", "sum", *given, code=1)
    said = (
        f"export '{path}' --dataset '/a b' --series --navigation-shape 4x3 --detector sum "
        f"--calibrate {LINES} -o 'map 1'_keV.h5"
    )
    assert said in text


@pytest.mark.parametrize(
    "lines", ["Fe_Ka=640,Ca", "Fe_Ka=x", "Fe_Ka=nan", "", ",", "Fe,Fe", "Fe_Ka=1,Fe_Ka=2"]
)
def test_no_lines(run, pair, lines):
    assert "is not lines with channels" in run("calibrate", pair[1], lines, code=2)


@pytest.mark.parametrize(
    ("lines", "said"),
    [("Fe_Ka=1350", "no peak at channel 1350"), ("Xx_Ka=639", "no element")],
)
def test_lines_that_are_not_there(run, pair, lines, said):
    before = pair[1].read_bytes()
    assert said in run("calibrate", pair[1], lines, code=1)
    assert pair[1].read_bytes() == before


def test_elements(run, pair, tmp_path):
    _, rpl = pair
    run("calibrate", rpl, LINES)
    text = run("elements", rpl, "--excitation", "Mo 50 kV")
    assert "elements found" in text
    assert "Fe_K" in text
    text = run(
        "elements", rpl, "--element", "Fe", "--element", "Ca", "--excitation", "Mo 50 kV"
    )
    assert "2 elements found" in text
    text = run("elements", rpl, "--element", "Xx", "--excitation", "Mo 50 kV", code=1)
    assert "'Xx' is no element" in text
    path = tmp_path / "sum.msa"
    run("spectrum", rpl, "-o", path)
    named = ("--element", "Fe", "--excitation", "Mo 50 kV")
    assert "1 element found" in run("elements", path, *named)
    assert "are for maps" in run("elements", path, *named, "--x", 0, 1, code=1)


def test_elements_without_calibration(run, pair):
    assert "calibrate_energy" in run("elements", pair[1], code=1)


def test_labels_of_demo_and_analyse(run, tmp_path):
    path = data.thin_section(tmp_path / "rock.GeoPIXE", (10, 14)).path
    text = run("demo", path, "-o", tmp_path / "a")
    (line,) = (line for line in text.splitlines() if line.startswith("Elements"))
    assert {"Fe,", "Ca,"} <= set(line.split())
    run("analyse", path, "-o", tmp_path / "b")
    assert (tmp_path / "b" / "spectra.png").stat().st_size
    wrong = ("--excitation", "Mo", "-o", tmp_path / "c")
    assert "The excitation is 'Mo', expected" in run("analyse", path, *wrong, code=1)
    assert not (tmp_path / "c").exists()


def test_no_labels_without_the_extra(monkeypatch):
    from rsciio_xfm.signals import elements

    def missing(*_):
        raise ImportError("xraylib is needed")

    monkeypatch.setattr(elements, "labels_of", missing)
    assert _analyse._find_peaks(None, None) == []
