"""The scripts of the gallery, run as they stand."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert "4 classes" in result.stdout
    assert (tmp_path / f"{script.stem}.png").stat().st_size > 10_000
    assert len(list((tmp_path / script.stem).glob("class_*.msa"))) == 4


def test_there_are_scripts():
    assert list(GALLERY.glob("*.py"))
