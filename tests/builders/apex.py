"""``.edaxh5`` files with h5py alone, by the names that SciFiReaders and pynxtools-em look for.

Nothing here imports the package.
"""

from pathlib import Path

import h5py
import numpy as np

AREA = "Project/Sample 1/Area 1"
RECORD = {
    "eVOffset": ("<f4", -200.0),
    "evPch": ("<f4", 10.0),
    "evPerChannel": ("<f4", 10.0),
    "NumberOfPoints": ("<i4", None),
    "LiveTime": ("<f4", 20.0),
    "KV": ("<f4", 20.0),
    "TakeOffAngle": ("<f4", 35.0),
    "AzimuthAngle": ("<f4", 45.0),
    "DetectorResoultion": ("<f4", 128.5),
    "AtomicNumberOfPeakIds": ("<i4", (0, 26, 14)),
}


def make_counts(shape, dtype="<i2", seed=0):
    """Counts of which no two pixels are alike."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(3, shape) + np.arange(np.prod(shape[:-1])).reshape(
        *shape[:-1], 1
    )
    return counts.astype(dtype)


def write_record(group, total, changes):
    """Write SPC, a record of one element."""
    fields = RECORD | {"NumberOfPoints": ("<i4", total.size)}
    fields |= {name: (fields[name][0], value) for name, value in changes.items()}
    fields = {name: field for name, field in fields.items() if field[1] is not None}
    dtype = [
        (name, kind, np.shape(value)) if np.shape(value) else (name, kind)
        for name, (kind, value) in fields.items()
    ]
    record = np.zeros(1, np.dtype([*dtype, ("SpectrumCounts", "<u4", (total.size,))]))
    for name, (_, value) in fields.items():
        record[name] = value
    record["SpectrumCounts"] = total
    group["SPC"] = record


def write_spectra(group, name, counts, is_array, storage):
    """Write spectra as elements that are arrays of the channels, or as a further axis."""
    if not is_array:
        group.create_dataset(name, data=counts, **storage)
        return
    dtype = np.dtype((counts.dtype, counts.shape[-1:]))
    item = group.create_dataset(name, counts.shape[:-1], dtype, **storage)
    item[...] = counts


def write_image(group, name, image, record):
    """Write an image and its record."""
    group[name] = image
    for key, size in zip(("PixelHeight", "PixelWidth"), image.shape, strict=True):
        group[name].attrs[key] = np.array([size], "<i4")
    steps = [("MicronsPerPixelX", "<f4"), ("MicronsPerPixelY", "<f4")]
    group[record] = np.array([(0.5, 0.25)], steps)
    group[f"{name}COLLECTIONPARAMS"] = np.array([(1,)], [("Frames", "<i4")])


def write_map(path, shape=(4, 5, 48), counts=None, is_array=True, storage=None,
              attributes=None, record=None, total=None, image=True, company="EDAX, LLC",
              names=("Live Map 1",), lines=0, spots=0):  # fmt: skip
    """Write maps, lines and spectra, and return the path.

    `attributes` and `record` are what is other than usual, None to leave it out; `image` False
    leaves images out, or is the shape of that of the map.
    """
    path = Path(path)
    storage = {"chunks": (2, 3), "compression": "gzip"} if storage is None else storage
    with h5py.File(path, "w") as file:
        file.create_group("Project").attrs["Company"] = company
        file["Project"].attrs["PRODUCT_VERSION"] = np.array(["2.5"], h5py.string_dtype())
        area = file.create_group(AREA)
        for i, name in enumerate(names):
            own = make_counts(shape, seed=i) if counts is None else counts
            group = area.create_group(name)
            write_spectra(group, "SPD", own, is_array, storage)
            n_rows, n_columns, n_channels = own.shape
            said = {
                "MicronPerPixelX": 0.5, "MicronPerPixelY": 0.25, "NumberOfLines": n_rows,
                "NumberOfPoints": n_columns, "NumberofChannels": n_channels,
            } | (attributes or {})  # fmt: skip
            for key, value in said.items():
                if value is not None:
                    group["SPD"].attrs[key] = np.array([value])
            spectrum = own.sum((0, 1), dtype=np.uint32) if total is None else total
            write_record(group, spectrum, record or {})
            if image is not False:
                size = own.shape[:2] if image is True else image
                picture = np.arange(np.prod(size), dtype="<u2").reshape(size)
                write_image(group, "MAPIMAGE", picture, "MAPIMAGEIPR")
                for k, line in enumerate(("Fe K", "Si K")):
                    window = own[..., 10 * k : 10 * k + 5].sum(-1, dtype="<u4")
                    group[f"ROIs/{line}.dat"] = window
                    group[f"ROIs/{line}.dat"].attrs["RoiStartChan"] = np.array([10 * k])
                    group[f"ROIs/{line}.ipr"] = np.array(
                        [(0.5, 0.25)],
                        [("MicronsPerPixelX", "<f4"), ("MicronsPerPixelY", "<f4")],
                    )
        if image is not False:
            picture = np.arange(12, dtype="<u1").reshape(3, 4)
            write_image(area, "FOVIMAGE", picture, "FOVIPR")
        for i in range(lines):
            group = area.create_group(f"LineScan {i + 1}")
            own = make_counts((1, shape[1], shape[2]), seed=10 + i)
            write_spectra(group, "LSD", own, is_array, {})
            group["LSD"].attrs["NumberOfSpectra"] = np.array([shape[1]])
            group["LSD"].attrs["NumberofChannels"] = np.array([shape[2]])
            write_record(group, own.sum((0, 1), dtype=np.uint32), {})
        for i in range(spots):
            total_of = make_counts((1, shape[2]), seed=20 + i)[0].astype("<u4")
            write_record(area.create_group(f"EDS Spot {i + 1}"), total_of, {})
    return path


def read_counts(path, name="Live Map 1"):
    """Read spectra as anybody would with h5py."""
    with h5py.File(path, "r") as file:
        return file[f"{AREA}/{name}/SPD"][:]
