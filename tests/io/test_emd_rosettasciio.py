"""RosettaSciIO's own tests of EMD files, run against our reader and writer.

Most of its files are a download. Velox maps that its tests describe are made from what
they expect; those of ../shared/data are used where they are.
"""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rsciio.emd

from tests.builders import emd as builder
from tests.conftest import DATA

UPSTREAM_TESTS = Path(rsciio.emd.__file__).parents[1] / "tests"
# Names of the maps that its tests describe: frames, eV in a channel.
MAPS = {
    "fei_SI_SuperX-HAADF_10frames_10x50.emd": (10, 5),
    "fei_SI_SuperX-HAADF_20frames_10x50.emd": (20, 5),
    "fei_SI_SuperX-HAADF_20frames_10x50_2ev.emd": (20, 2),
}
NEEDS_NO_FILE = [
    "test_emd_ncem.py::TestDatasetName",
    "test_emd_ncem.py::test_minimal_save",
    "test_emd_ncem.py::test_load_file",
    "test_emd_ncem.py::test_save_and_read",
    "test_emd_ncem.py::test_chunking_saving_lazy",
    "test_emd_ncem.py::test_file_writer_reader_filename_types",
    "test_de5.py::test_de5_write_load_cycle",
]


def run(folder, *names):
    """Run some of its tests on copies, with HyperSpy and so with our reader."""
    pytest.importorskip("requests")
    for name in ("test_emd_ncem.py", "test_emd_velox.py", "test_de5.py"):
        source = UPSTREAM_TESTS / name
        if not source.is_file():
            pytest.skip(f"{source} is not installed")
        text = source.read_text(encoding="utf-8")
        changed = text.replace(
            "from rsciio.emd import", "from rsciio_xfm.formats.emd import"
        )
        (folder / name).write_text(changed, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *names],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    last = done.stdout.splitlines()[-1]
    assert "passed" in last and "skipped" not in last, last
    return int(last.split(" passed")[0].split()[-1])


def test_ncem_and_de5(tmp_path):
    assert run(tmp_path, *NEEDS_NO_FILE) == 11


def test_velox_maps_as_described(tmp_path):
    folder = tmp_path / "data" / "emd"
    folder.mkdir(parents=True)
    size = {"width": "1.234009e-09", "height": "1.234009e-09"}
    with zipfile.ZipFile(folder / "fei_emd_files.zip", "w") as zipped:
        for name, (n_frames, ev) in MAPS.items():
            counts = np.zeros((1, n_frames, 50, 10, 4096), np.uint16)
            counts[..., 100:140] = builder.make_counts((1, n_frames, 50, 10, 40))
            tree = builder.metadata("SuperX1", 1, 1, (50, 10))
            tree["BinaryResult"]["PixelSize"] = size
            tree["Detectors"]["Detector-1"]["Dispersion"] = str(ev)
            tree["Scan"]["FrameTime"] = "0.768"
            changes = {k: tree[k] for k in ("Detectors", "Scan", "BinaryResult")}
            path = tmp_path / name
            # its tests look for the map after one image
            builder.write_velox(path, counts, changes=changes, has_spectra=False)
            zipped.write(path, name)
            path.unlink()
    assert run(tmp_path, "test_emd_velox.py", "-k", "non_square") == 6


def test_velox_files(tmp_path):
    """All pass: images, spectra, the map, and the pruned file."""
    archive = DATA / "emd" / "velox_emd_version11.zip"
    if not archive.is_file():
        pytest.skip(f"{archive} is not there")
    folder = tmp_path / "data" / "emd"
    folder.mkdir(parents=True)
    shutil.copy(archive, folder)
    assert run(tmp_path, "test_emd_velox.py", "-k", "TestVeloxEMDv11 and not Empty") == 3
