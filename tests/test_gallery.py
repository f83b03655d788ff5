"""The scripts of the gallery, run as they stand."""

import os
import subprocess
import sys
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm._demo_scan import KEV_OF_CHANNEL_0, KEV_PER_CHANNEL, PIGMENTS, paint

GALLERY = Path(__file__).parents[1] / "docs" / "gallery"


@pytest.mark.parametrize("script", sorted(GALLERY.glob("*.py")), ids=lambda p: p.stem)
def test_script(script, tmp_path):
    result = subprocess.run(
        [sys.executable, "-W", "ignore", script],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": "agg"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / f"{script.stem}.png").stat().st_size > 10_000
    CHECKS[script.stem](tmp_path, result.stdout)


def check_painting(folder, printed):
    """Images show the pigments that hold the element, the right way up."""
    assert (
        "LazyEDSXFMSpectrum, title: scan (smoothed), dimensions: (160, 120|1024)"
        in printed
    )
    signal = hs.load(folder / "scan.datastack", lazy=True)
    assert signal.axes_manager[-1].scale == pytest.approx(KEV_PER_CHANNEL, rel=4e-3)
    assert signal.axes_manager[-1].offset == pytest.approx(KEV_OF_CHANNEL_0, abs=0.05)
    names = [name for name, _, _ in PIGMENTS]
    pigments = paint()
    lines = {"Hg_La": "vermilion", "Fe_Ka": "earth", "Cu_Ka": "azurite"}
    images = signal.get_window_images(list(lines), show_progressbar=False)
    for line, name in lines.items():
        brightest = images[line].data > np.percentile(images[line].data, 99)
        assert (pigments[brightest] == names.index(name)).mean() > 0.95


def check_phases(folder, printed):
    assert "4 classes" in printed
    assert len(list((folder / "phases").glob("class_*.msa"))) == 4


def check_flatfield(folder, printed):
    """Interpolated flats leave the noise of the photons; one flat leaves the drift."""
    spread = {
        line.split(":")[0]: float(line.split(" %")[0].split()[-1])
        for line in printed.splitlines()
        if "background varies" in line
    }
    assert list(spread) == ["one image", "one flat", "two flats"]
    assert spread["one image"] < 1.1 and spread["two flats"] < 1.1
    assert spread["one flat"] > 20 * spread["two flats"]
    assert hs.load(folder / "data.edf", lazy=True).data.shape == (11, 270, 320)


CHECKS = {
    "flatfield": check_flatfield,
    "painting": check_painting,
    "phases": check_phases,
}


def test_there_are_scripts():
    assert {script.stem for script in GALLERY.glob("*.py")} == set(CHECKS)
