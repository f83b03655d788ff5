"""Writers that are killed, run out of room, or replace what others read: briefly.

In full: ``python -m tests.robustness``.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("silx")
pytest.importorskip("xraylib")

NAMES = (
    "GeoPIXE",
    "GeoPIXE, crop",
    "GeoPIXE, fill",
    "datastack",
    "datastack, convert",
    "datastack, repack",
    "datastack, append",
    "EMD",
    "EDF",
    "HDF5",
    "HDF5, convert",
    "MSA",
    "Ripple",
    "Element model",
)
FOLDERS = ("Element maps",)  # of files that are moved in place one by one


def do(fault, name, times, folder):
    """Return what the process says."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.robustness.writers",
            fault,
            name,
            str(times),
            folder,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300 + 60 * times,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="writers are forked")


@pytest.mark.parametrize("name", [*NAMES, *FOLDERS])
def test_killed(name, tmp_path):
    """The old file is there, or the new one; some are killed before the new one is."""
    said = do("kill", name, 5, tmp_path)
    assert "killed 5 times" in said


@pytest.mark.parametrize("name", NAMES)
def test_disk_full(name, tmp_path):
    """An error that names the file; the old one is as it was, and nothing is left."""
    assert "stopped at 4 sizes" in do("full", name, 4, tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_replaced_while_read(name, tmp_path):
    """One version or the other, never a mix; or an error that says what happened."""
    found = re.search(r"read \[(\d+), (\d+)\]", do("replace", name, 12, tmp_path))
    assert int(found[1]) and int(found[2])


@pytest.mark.parametrize("fault", ["kill", "full", "replace"])
def test_a_writer_with_a_fault_is_found(fault, tmp_path):
    """One that writes over the file itself."""
    (tmp_path / "faulty.py").write_text(
        """
import sys
import numpy as np
from tests.robustness import writers

def write(path, version):
    with open(path, "wb") as file:
        for part in range(50):
            file.write(bytes([version]) * 100_000)
            file.flush()

def read(path):
    return np.fromfile(path, np.uint8)

writers.make_writers = lambda folder: {"faulty": (".bin", write, read)}
writers.main()
"""
    )
    arguments = [fault, "faulty", "20", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, tmp_path / "faulty.py", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 1
    assert "AssertionError" in done.stderr
