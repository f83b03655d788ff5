"""Maps that are large when dense, of which most rows are empty, in each of the formats."""

from pathlib import Path

import h5py
import hyperspy.api as hs
import numpy as np

from rsciio_xfm import data, datastack
from tests.builders import datastack as datastack_builder
from tests.builders import edax as edax_builder
from tests.builders import emd as emd_builder
from tests.builders import esrf as esrf_builder

KINDS = ("GeoPIXE", "spd", "emd", "saved.emd", "datastack", "h5", "xia")
N_CHANNELS = 4096
# Of Velox files, which hold more than the map.
VELOX = {"lazy": True, "select_type": "spectrum_image", "signal_type": "EDS_XFM"}


def load(path):
    """Load a map lazily."""
    if path.suffix == ".h5":
        return hs.load(path, lazy=True, file_format="ESRF")
    return hs.load(path, **(VELOX if path.suffix == ".emd" else {"lazy": True}))


def write(folder, kind, n_columns=256, n_rows=400):
    """Write a map of uint16, by default 800 MiB, and return its path."""
    path = Path(folder) / f"map.{kind}"
    if kind == "GeoPIXE":
        data.thin_section(path, (n_rows, n_columns))
        return path
    if kind == "saved.emd":
        source = write_velox(path.with_stem("velox"), n_columns, n_rows)
        hs.load(source, **VELOX).save(path)
        return path
    writers = {
        "spd": write_spd,
        "emd": write_velox,
        "datastack": write_stack,
        "h5": write_bliss,
        "xia": write_xia,
    }
    return writers[kind](path, n_columns, n_rows)


def write_velox(path, n_columns, n_rows):
    rng = np.random.default_rng(0)
    n_pixels, n_frames = n_rows * n_columns, 3
    streams = []
    for _ in range(2):
        ends = np.cumsum(rng.poisson(3, n_frames * n_pixels) + 1) - 1
        stream = rng.normal(390, 40, ends[-1] + 1).astype(np.uint16)
        stream[ends] = emd_builder.MARK
        streams.append(stream)
    counts = np.broadcast_to(np.uint16(0), (2, n_frames, n_rows, n_columns, N_CHANNELS))
    return emd_builder.write_velox(
        path, counts, streams, chunk=8192, has_table=False, has_spectra=False
    )


def write_stack(path, n_columns, n_rows):
    """Write a stack of integers, calibrated, of a raw file that is empty but for some rows."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 99, (1, n_columns, N_CHANNELS), dtype=np.uint16)
    raw, rpl = datastack_builder.write_raw(
        path.parent, rows, more="\nev-per-chan\t10", name=path.stem
    )
    rpl.write_text(rpl.read_text().replace("height\t1", f"height\t{n_rows}"))
    with raw.open("r+b") as file:
        for row in range(0, n_rows, 7):
            file.seek(row * rows.nbytes)
            file.write(np.roll(rows, row).astype("<u2").tobytes())
        file.truncate(n_rows * rows.nbytes)
    kwds = {"sigma": 0, "keep_integers": True, "show_progressbar": False}
    datastack.convert(raw, rpl, path, **kwds)
    raw.unlink()
    return path


def write_bliss(path, n_columns, n_rows):
    """Write a scan of compressed spectra, of which some rows are not empty."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["1.1/title"] = f"amesh sy 0 1 {n_columns - 1} sz 0 1 {n_rows - 1} 0.1"
        detector = file.create_group("1.1/instrument/mca0")
        detector["calibration"] = [0.0, 0.01, 0.0]
        spectra = detector.create_dataset(
            "data",
            shape=(n_rows * n_columns, N_CHANNELS),
            dtype="u2",
            chunks=(64, N_CHANNELS),
            compression="gzip",
            compression_opts=1,
        )
        for row in range(0, n_rows, 40):
            counts = rng.integers(0, 99, (n_columns, N_CHANNELS), dtype=np.uint16)
            spectra[row * n_columns : (row + 1) * n_columns] = counts
        file["1.1/measurement/mca0"] = h5py.SoftLink("/1.1/instrument/mca0/data")
    return path


def write_xia(path, n_columns, n_rows):
    """Write a file a row and detector, of which some are not empty."""
    rng = np.random.default_rng(0)
    path.mkdir()
    header = {"MCA a": 0, "MCA b": 0.01, "MCA c": 0, "time": 0.1}
    empty = np.zeros((n_columns, N_CHANNELS), np.uint16)
    for row in range(n_rows):
        counts = empty
        if row % 20 == 0:
            counts = rng.integers(0, 99, empty.shape, dtype=np.uint16)
        name = f"map_xia00_0001_0000_{row:04d}.edf"
        esrf_builder.write_edf(path / name, counts, header)
    return path / "map_xia00_0001_0000_0000.edf"


def write_spd(path, n_columns, n_rows):
    shape = (n_rows, n_columns, N_CHANNELS)
    rng = np.random.default_rng(0)
    edax_builder.write_map(path, (1, 1, N_CHANNELS))  # for what lies beside it
    with path.open("wb") as file:
        file.write(edax_builder.spd_header(shape, 2))
        file.truncate(1068 + 2 * n_rows * n_columns * N_CHANNELS)
        for row in range(0, n_rows, 10):
            file.seek(1068 + 2 * row * n_columns * N_CHANNELS)
            counts = rng.integers(0, 99, shape[1:], dtype=np.uint16)
            file.write(counts.astype("<u2").tobytes())
    return path
