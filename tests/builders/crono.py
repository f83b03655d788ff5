"""``.HDF5`` files of CRONO with h5py alone, after what cronomaxrf prints of one.

Nothing here imports the package. :func:`read_map` reads what cronomaxrf's ``gridify`` reads.
"""

from pathlib import Path

import h5py
import numpy as np

LETTERS = h5py.vlen_dtype(np.dtype("S1"))
BLOB = h5py.vlen_dtype(np.dtype("V1"))
WINDOWS = {"SiKa": (1.6, 1.9), "PbLa": (10.4, 10.7)}
STEP, FIRST = 0.02, -1.17  # keV
# What .NET's BinaryFormatter writes begins so.
SETTINGS = b"\x00\x01\x00\x00\x00\xff\xff\xff\xff\x01\x00\x00\x00" + bytes(20)


def make_spectra(n, n_channels, seed=0):
    """Spectra of which no two are alike."""
    rng = np.random.default_rng(seed)
    spectra = rng.poisson(2, (n, n_channels))
    spectra[:, 0] = np.arange(n) % 60_000
    return spectra.astype("<u2")


def make_index(shape, n, seed=0):
    """A spectrum for each pixel, nearly in their order, back and forth, some left out."""
    rng = np.random.default_rng(seed)
    n_rows, n_columns = shape
    chosen = np.sort(rng.choice(n, n_rows * n_columns, replace=False)).reshape(shape)
    chosen[1::2] = chosen[1::2, ::-1].copy()
    return chosen.astype("<u8")


def letters(value):
    return np.frombuffer(value.encode(), "S1")


def write_map(path, shape=(4, 5, 64), n=None, spectra=None, index=None, chunks=True,
              energies=True, left_out=(), **changes):  # fmt: skip
    """Write a map and return its path.

    `n`: how many spectra were measured; `changes`: datasets by their path, in place of others.
    """
    n_rows, n_columns, n_channels = shape
    n = n or n_rows * n_columns * 5 // 4 + 3
    spectra = make_spectra(n, n_channels) if spectra is None else spectra
    n = len(spectra)
    index = make_index(shape[:2], n) if index is None else index
    real, live = make_times(n)
    y, x = np.indices((n_rows, n_columns)).astype("<f8")
    x, y = 10 + 0.5 * x, 20 + 0.25 * y
    x[0, 0] = y[0, 0] = np.nan
    images = np.arange(n_rows * n_columns * len(WINDOWS), dtype="<f8")
    found = {
        "XRF/SpectraSelectedIndex": index[..., np.newaxis],
        "XRF/EnergyVector": (FIRST + STEP * np.arange(n_channels)).astype("<f4"),
        "XRF/CalibrationPoints": np.array([[0, FIRST], [100, FIRST + 100 * STEP]], "<f4"),
        "XRF/LiveTimes": live,
        "XRF/RealTimes": real,
        "XRF/OutputCountRates": np.linspace(1, 2, n),
        "XRF/Detected": np.arange(n, dtype="<u4") + 7,
        "XRF/ResetCounterValue": np.arange(n, dtype="<u4") % 3,
        "XRF/MotorsPositions": np.arange(3 * n, dtype="<u4").reshape(n, 3),
        "XRF/XComputedMapsCoordinate": x[..., np.newaxis],
        "XRF/YComputedMapsCoordinate": y[..., np.newaxis],
        "XRF/Maps/ComputedMaps": images.reshape(n_rows, n_columns, len(WINDOWS)),
        "XRF/ROIs/ROIsEnergies": np.array(list(WINDOWS.values()), "<f4"),
        "CreatedDateTime": letters("2021-02-15T14:20:00"),
        "CreatedWithSoftwareVersion": letters("1.2.3.4"),
        "FileStructureVersion": letters("5"),
    } | changes  # fmt: skip
    if energies is not True:
        found["XRF/EnergyVector"] = energies
    with h5py.File(path, "w") as file:
        options = (
            {"chunks": chunks} if chunks is not True else {"chunks": (3, n_channels)}
        )
        options |= {"compression": "gzip"} if options["chunks"] else {}
        file.create_dataset("XRF/Spectra", data=spectra, **options)
        for name, value in found.items():
            if name not in left_out and value is not None:
                file[name] = value
        names = file.create_dataset("XRF/ROIs/ROIsNames", (len(WINDOWS),), LETTERS)
        for i, name in enumerate(WINDOWS):
            names[i] = letters(name)
        for name in ("Settings", "InitialSystemStatus", "FinalSystemStatus"):
            item = file.create_dataset(f"Configuration/{name}", (1,), BLOB)
            item[0] = np.frombuffer(SETTINGS, "V1")
            item.attrs["TubeTemperature"] = np.array([31.5])
            for key, value, kind in (
                ("DateTime", letters("2021-02-15T14:20:02"), LETTERS),
                ("MapSetup", np.frombuffer(SETTINGS, "V1"), BLOB),
            ):
                held = np.empty(1, object)
                held[0] = value
                item.attrs.create(key, held, (1,), kind)
        photographs = file.create_dataset("Images/Static", (2,), BLOB)
        photographs[0] = photographs[1] = np.frombuffer(b"\xff\xd8\xff" + bytes(9), "V1")
    return Path(path)


def make_times(n, seed=0):
    """Real and live times in µs."""
    rng = np.random.default_rng(seed)
    real = np.full(n, 60_000, "<u8")
    return real, (real * rng.uniform(0.7, 0.99, n)).astype("<u8")


def read_map(path):
    """Read the map as anybody would with h5py."""
    with open(path, "rb") as raw, h5py.File(raw, "r") as file:
        return file["XRF/Spectra"][()][file["XRF/SpectraSelectedIndex"][:, :, 0]]
