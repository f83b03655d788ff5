"""The files that README and documentation name, for their pages to be run."""

from pathlib import Path

import h5py
import hyperspy.api as hs
import numpy as np
from PIL import Image

from rsciio_xfm import data, datastack
from tests.builders import apex as apex_builder
from tests.builders import bruker as bruker_builder
from tests.builders import crono as crono_builder
from tests.builders import emd as emd_builder
from tests.builders import esrf as esrf_builder
from tests.builders import hdf5_layouts as layouts_builder
from tests.builders import hmsa as hmsa_builder
from tests.builders import jeol as jeol_builder
from tests.builders import mda as mda_builder
from tests.builders import oxford as oxford_builder
from tests.builders import text_spectra as text_builder

# What a page that is about something else takes for granted.
_LOADED = """
import hyperspy.api as hs
s = hs.load("map.GeoPIXE", lazy=True)
"""
PREAMBLES = {
    "docs/maps.rst": _LOADED,
    "docs/classify.rst": _LOADED,
    "docs/concentrations.rst": _LOADED,
    "docs/element_maps.rst": _LOADED,
    "docs/dead_time.rst": _LOADED,
    "docs/distributed.rst": _LOADED,
    "docs/lazy.rst": _LOADED,
    "docs/opening.rst": _LOADED,
    "docs/saving.rst": _LOADED + "region = s.inav[2:6, 1:3].sum()\n",
    "docs/formats/bruker.rst": _LOADED.replace("GeoPIXE", "bcf"),
    "docs/formats/crono.rst": "import hyperspy.api as hs\n",
    "docs/formats/datastack.rst": "import numpy as np\n",
    "docs/formats/edax.rst": _LOADED,
    "docs/formats/emd.rst": _LOADED,
    "docs/formats/esrf.rst": _LOADED + 'images = hs.load("images_before.edf")\n',
    "docs/formats/geopixe.rst": _LOADED,
    "docs/formats/hdf5_maps.rst": "import hyperspy.api as hs\n",
    "docs/formats/jeol.rst": "import hyperspy.api as hs\n",
    "docs/formats/mda.rst": "import hyperspy.api as hs\n",
    "docs/formats/msa.rst": _LOADED,
    "docs/formats/apex.rst": "import hyperspy.api as hs\n",
    "docs/formats/hmsa.rst": "import hyperspy.api as hs\n",
    "docs/formats/oxford.rst": "import hyperspy.api as hs\n",
    "docs/formats/ripple.rst": "import hyperspy.api as hs\n",
    "docs/robustness.rst": _LOADED,
}


def write_geopixe(folder):
    data.thin_section(folder / "map.GeoPIXE", unrecorded=0.1)


def write_bcf(folder):
    picture = bruker_builder.image("", [1] * 35, 7, 5)
    bruker_builder.write_map(folder / "map.bcf", images=picture)


def write_pts(folder):
    jeol_builder.write_map(folder / "map.pts", has_image=True)


def write_asw(folder):
    jeol_builder.write_project(folder / "project.asw")


def write_spd(folder):
    joint = data.sem_map(folder / "map.spd")
    iron = joint.share("Cu") > 0
    Image.fromarray(iron.astype(np.uint8) * 255).save(folder / "iron.png")
    np.save(folder / "rest.npy", ~iron)


def write_velox(folder):
    rng = np.random.default_rng(0)
    counts = rng.poisson(0.02, (2, 3, 16, 20, 4096)).astype(np.uint16)
    emd_builder.write_velox(folder / "map.emd", counts)


def write_master(folder):
    layouts_builder.write_aps_u(folder)


def write_xspress3(folder):
    layouts_builder.write_area_detector(folder / "xspress3_0042.h5", (101, 201), 1)


def write_rows(folder):
    layouts_builder.write_rows(folder)


def write_own(folder):
    with h5py.File(folder / "own.h5", "w") as file:
        file["a/b"] = layouts_builder.make_counts().transpose(1, 2, 0, 3)


def write_h5oina(folder):
    oxford_builder.write_map(folder / "map.h5oina", (20, 30, 1024), n_detectors=2)


def write_mda(folder):
    shape, terms = (20, 30, 1024), (0.0, 0.01, 0.0)
    mda_builder.write_map(folder / "scan_0001.mda", shape, terms=terms)
    mda_builder.write_override(folder, terms=terms, name="others.txt")


def write_crono(folder):
    crono_builder.write_map(folder / "painting.HDF5", (20, 30, 1024))


def write_hmsa(folder):
    hmsa_builder.write_map(folder / "map.hmsa")


def write_edaxh5(folder):
    apex_builder.write_map(folder / "map.edaxh5")


def write_raw(folder):
    data.painting(folder / "scan.raw")


def write_stack(folder, name="scan"):
    """Write a stack as maxrf4u leaves it, with images and lists."""
    picture = data.painting(folder / f"{name}.raw")
    path = folder / f"{name}.datastack"
    energies = -0.5 + 0.025 * np.arange(1024)
    datastack.convert(picture.path, picture.path.with_suffix(".rpl"), path)
    datastack.append(energies, "maxrf_energies", path)
    datastack.append(picture.labels.astype(np.float32)[None], "maps_imvis", path)
    datastack.append_list([[12, 15], [7]], "hotmax_peak_idxs_list", path)


def write_bliss(folder):
    """Write 30 x 20 points whose motors, command and detectors are those of the page."""
    esrf_builder.write_bliss(
        folder / "sample_0001.h5", shape=(20, 30), n_channels=1024, seconds=0.1
    )
    with h5py.File(folder / "sample_0001.h5", "r+") as file:
        del file["1.1/title"]
        file["1.1/title"] = "amesh sampy 10 68 29 sampz -3 6.5 19 0.1"


def write_points(folder):
    """Write 60 points, 4 detectors and 128 channels that nothing tells apart."""
    with h5py.File(folder / "points.h5", "w") as file:
        file["spectra"] = esrf_builder.make_counts((60, 4, 128))


def write_xia(folder):
    esrf_builder.write_xia(folder, calibration="mca", n_channels=1024)


def write_spec(folder):
    esrf_builder.write_spec(folder / "scans.dat")


def write_images(folder):
    rng = np.random.default_rng(0)
    names = ("image", "data", "flat", "image_0001", "image_0002", "images_before")
    for name in names:
        frame = rng.poisson(900, (40, 50)).astype(np.uint16)
        hs.signals.Signal2D(frame).save(folder / f"{name}.edf")
    hs.signals.Signal2D(np.full((40, 50), 90, np.uint16)).save(folder / "dark.edf")


def write_point(folder):
    """Write a spectrum in two of the ways that there are."""
    text_builder.write_map(folder / "point.mca", 2048)
    counts = text_builder.make_counts(256)
    (folder / "point.dat").write_text("".join(f"{count}\n" for count in counts))


def write_processed(folder):
    """Write a file that leads to a map in a folder beside its own."""
    raw = folder.with_name(f"{folder.name}_raw")
    raw.mkdir()
    esrf_builder.write_bliss(raw / "sample_0001.h5")
    with h5py.File(folder / "processed.h5", "w") as file:
        file["1.1"] = h5py.ExternalLink(f"../{raw.name}/sample_0001.h5", "/1.1")


_WRITERS = {
    "map.bcf": write_bcf,
    "map.pts": write_pts,
    "project.asw": write_asw,
    "map.GeoPIXE": write_geopixe,
    "map.spd": write_spd,
    "map.emd": write_velox,
    "map.edaxh5": write_edaxh5,
    "map.h5oina": write_h5oina,
    "scan_0007_master.h5": write_master,
    "xspress3_0042.h5": write_xspress3,
    "row_0001.h5": write_rows,
    "own.h5": write_own,
    "scan_0001.mda": write_mda,
    "painting.HDF5": write_crono,
    "map.hmsa": write_hmsa,
    "scan.raw": write_raw,
    "next.raw": lambda folder: data.painting(folder / "next.raw", (60, 80)),
    "scan.datastack": write_stack,
    "painting.datastack": lambda folder: write_stack(folder, "painting"),
    "sample_0001.h5": write_bliss,
    "points.h5": write_points,
    "zap_xia00_0001_0000_0000.edf": write_xia,
    "scans.dat": write_spec,
    "edf": write_images,
    "processed.h5": write_processed,
    "point.mca": write_point,
    "spectra": lambda folder: text_builder.write_folder(folder / "spectra"),
}
# The files that each page reads; those that it makes itself are not there before.
_READ = {
    "README.md": [],
    "docs/index.rst": ["map.GeoPIXE"],
    "docs/first_map.rst": [],
    "docs/pictures.rst": [],
    "docs/contributing.rst": [],
    "docs/coming_from.rst": ["map.GeoPIXE", "scan.datastack"],
    "docs/command_line.rst": [
        "map.GeoPIXE",
        "map.spd",
        "scan.raw",
        "next.raw",
        "painting.datastack",
        "sample_0001.h5",
        "zap_xia00_0001_0000_0000.edf",
        "scans.dat",
        "spectra",
        "point.mca",
        "edf",
    ],
    "docs/classify.rst": ["map.GeoPIXE", "map.emd"],
    "docs/element_maps.rst": ["map.GeoPIXE", "scan.raw"],
    "docs/report.rst": ["map.GeoPIXE", "map.spd", "scan.raw"],
    "docs/formats/bruker.rst": ["map.bcf"],
    "docs/formats/crono.rst": ["painting.HDF5"],
    "docs/formats/datastack.rst": ["scan.raw", "painting.datastack"],
    "docs/formats/edax.rst": ["map.GeoPIXE", "map.spd"],
    "docs/formats/emd.rst": ["map.GeoPIXE", "map.emd"],
    "docs/formats/esrf.rst": [
        "map.GeoPIXE",
        "sample_0001.h5",
        "points.h5",
        "zap_xia00_0001_0000_0000.edf",
        "scans.dat",
        "edf",
    ],
    "docs/formats/geopixe.rst": ["map.GeoPIXE", "map.spd"],
    "docs/formats/jeol.rst": ["map.pts", "project.asw"],
    "docs/formats/hdf5_maps.rst": [
        *("scan_0007_master.h5", "xspress3_0042.h5", "row_0001.h5", "own.h5"),
    ],
    "docs/formats/mda.rst": ["scan_0001.mda"],
    "docs/formats/apex.rst": ["map.edaxh5"],
    "docs/formats/hmsa.rst": ["map.GeoPIXE", "map.hmsa"],
    "docs/formats/oxford.rst": ["map.h5oina"],
    "docs/formats/ripple.rst": ["scan.raw"],
    "docs/formats/text_spectra.rst": ["point.mca", "spectra"],
    "docs/robustness.rst": ["map.GeoPIXE", "processed.h5"],
}


def write(name: str, folder: Path) -> None:
    """Write one of the files, and what belongs to it."""
    _WRITERS[name](folder)


def make(page: str, folder: Path) -> None:
    """Write the files that a page reads."""
    for name in _READ.get(page, ["map.GeoPIXE"]):
        write(name, folder)
