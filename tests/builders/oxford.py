"""``.h5oina`` files with h5py alone, by Oxford Instruments' specification of them.

Nothing here imports the package: names are those of the specification, and
:func:`read_spectra` reads what is written as anybody would with h5py.
"""

from pathlib import Path

import h5py
import numpy as np

FLOAT, TEXT = "<f4", h5py.string_dtype()
HEADER = {
    "Beam Voltage": 20.0,
    "Magnification": 500.0,
    "Working Distance": 10.5,
    "Tilt Angle": 0.0,
    "Channel Width": 10.0,
    "Start Channel": -200.0,
    "Energy Range": 20.0,
    "Process Time": 4,
    "Number Frames": 3,
    "Detector Elevation": 0.610865238,  # 35 degrees
    "Detector Azimuth": 0.785398163,  # 45 degrees
    "Strobe FWHM": 54.0,
    "Acquisition Date": "2026-03-30T14:05:06",
    "Project Label": "A project",
    "Specimen Label": "A basalt",
    "Site Label": "Site 1",
    "Analysis Label": "Map data 2",
    "Stage Position": {
        "X": 1.5,
        "Y": -2.5,
        "Z": 12.0,
        "Tilt": 0.0,
        "Rotation": 1.57079633,
    },
}
LINES = {"Al K series": 13, "Fe K series": 26}


def make_counts(shape, seed=0):
    """Counts of which no two pixels are alike."""
    rng = np.random.default_rng(seed)
    return (rng.poisson(3, shape) + np.arange(shape[0])[:, np.newaxis] % 7).astype("<i4")


def make_times(n, seed=0):
    """Live and real times of pixels in s; the first was not measured."""
    rng = np.random.default_rng(seed)
    real = np.full(n, 0.032, FLOAT)
    live = (real * rng.uniform(0.6, 0.95, n)).astype(FLOAT)
    if n > 1:
        live[0] = real[0] = np.nan
    return live, real


def put(group, name, value, is_column=True):
    """Write a number or a text of the shape (1, 1), or (1,); a group of them."""
    if isinstance(value, dict):
        for key, item in value.items():
            put(group.require_group(name), key, item, is_column)
        return
    shape = (1, 1) if is_column else (1,)
    if isinstance(value, str):
        group.create_dataset(name, (1,), TEXT, [value])
        return
    dtype = "<i4" if isinstance(value, int) else FLOAT
    group.create_dataset(name, data=np.full(shape, value, dtype))
    if name.endswith(("X Step", "Y Step")):
        group[name].attrs["Unit"] = "um"


def values(array, is_column):
    return array.reshape(-1, 1) if is_column else array


def write_eds(group, shape, counts, options, number=0):
    """Write what one detector measured."""
    n_rows, n_columns, n_channels = shape
    n, is_column = n_rows * n_columns, options["is_column"]
    header = {
        **HEADER, "X Cells": n_columns, "Y Cells": n_rows, "X Step": 0.5, "Y Step": 0.25,
        "Number Channels": n_channels, "Detector Serial Number": f"D{number}",
    }  # fmt: skip
    for name, value in (header | options["header"]).items():
        if value is not None:
            put(group, f"Header/{name}", value, is_column)
    kind = group["Header"].create_dataset("Detector Type Id", data=np.array([7], "<i4"))
    kind.attrs["Name"] = "Ultim Max 100"
    data = group.create_group("Data")
    if options["has_spectra"]:
        data.create_dataset("Spectrum", data=counts, **options["storage"])
    y, x = (axis.ravel().astype(FLOAT) for axis in np.indices((n_rows, n_columns)))
    live, real = options["times"] or make_times(n, number)
    maps = {"Live Time": live, "Real Time": real, "X": 0.5 * x, "Y": 0.25 * y}
    for key, array in (maps | options["maps"]).items():
        if array is not None:
            data[key] = values(np.asarray(array), is_column)
    for kind_of, scale in (("Window Integral", 10), ("Peak Area", 5), ("Composition", 1)):
        for line, z in LINES.items():
            name = line if kind_of != "Composition" else line.split()[0]
            table = (scale * z + np.arange(n)).astype(FLOAT)
            item = data.create_dataset(f"{kind_of}/{name}", data=values(table, is_column))
            item.attrs["Atomic Number"] = np.array([z], "<i4")


def write_images(group, is_column):
    """Write an SE and a BSE image of 3 x 4 pixels."""
    for name, value in {"X Cells": 4, "Y Cells": 3, "X Step": 2.0, "Y Step": 3.0}.items():
        put(group, f"Header/{name}", value, is_column)
    se = np.arange(12, dtype="<u1")
    group["Data/SE/SE Image 1"] = values(se, is_column)
    group["Data/BSE/BSE Image 1"] = values(1000 * se.astype("<u2"), is_column)


def write_map(path, shape=(4, 5, 48), n_detectors=1, names=None, version="8.0",
              counts=None, is_column=True, slices=("1",), ebsd=None, **options):  # fmt: skip
    """Write a map of each detector and return its path.

    `names` are those of the groups of the detectors; ``storage`` how spectra are stored,
    ``header`` and ``maps`` what is other than usual, None to leave it out; `ebsd` writes into
    the group of EBSD.
    """
    path = Path(path)
    n_rows, n_columns, n_channels = shape
    defaults = {
        "is_column": is_column, "header": {}, "maps": {}, "times": None, "has_spectra": True,
        "storage": {"compression": "lzf", "chunks": (min(6, n_rows * n_columns), n_channels)},
    }  # fmt: skip
    options = defaults | options
    if names is None:
        one = n_detectors == 1
        names = ["EDS"] if one else [f"EDS{i + 1}" for i in range(n_detectors)]
    with h5py.File(path, "w") as file:
        put(file, "Manufacturer", "Oxford Instruments")
        put(file, "Software Version", "6.3.0.1")
        put(file, "Format Version", version)
        file.create_dataset("Index", data=[s.encode() for s in slices])
        for j, one_slice in enumerate(slices):
            for i, name in enumerate(names):
                own = make_counts((n_rows * n_columns, n_channels), i + 10 * j)
                own = own if counts is None else counts[i]
                write_eds(
                    file.create_group(f"{one_slice}/{name}"), shape, own, options, i
                )
            write_images(file.create_group(f"{one_slice}/Electron Image"), is_column)
            if ebsd is not None:
                ebsd(file.create_group(f"{one_slice}/EBSD"))
    return path


def read_spectra(path, name="EDS", one_slice="1"):
    """Read spectra as the scripts that are public do."""
    with h5py.File(path, "r") as file:
        eds = file[one_slice][name]
        n_rows, n_columns = (
            int(eds["Header"][f"{axis} Cells"][()].item()) for axis in "YX"
        )
        return eds["Data/Spectrum"][()].reshape(n_rows, n_columns, -1)
