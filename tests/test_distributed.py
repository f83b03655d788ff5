"""Maps on a cluster of processes whose memory is below that of the dense map."""

import os

import dask
import h5py
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import datastack
from rsciio_xfm._demo import write_demo_map
from tests.builders import datastack as datastack_builder
from tests.builders import edax as edax_builder
from tests.builders import emd as emd_builder
from tests.builders import esrf as esrf_builder

distributed = pytest.importorskip("distributed")

# A worker needs about 250 MiB for itself and the package.
WORKER_MEMORY = 700 * 2**20
COLUMNS, ROWS = 256, 400  # 800 MiB of uint16


# Of Velox files, which hold more than the map.
OPTIONS = {"lazy": True, "select_type": "spectrum_image", "signal_type": "EDS_XFM"}


def load(path):
    if path.suffix == ".h5":
        return hs.load(path, lazy=True, file_format="ESRF")
    return hs.load(path, **(OPTIONS if path.suffix == ".emd" else {"lazy": True}))


def write_velox(path):
    rng = np.random.default_rng(0)
    n_pixels, n_frames = ROWS * COLUMNS, 3
    streams = []
    for _ in range(2):
        ends = np.cumsum(rng.poisson(3, n_frames * n_pixels) + 1) - 1
        stream = rng.normal(390, 40, ends[-1] + 1).astype(np.uint16)
        stream[ends] = emd_builder.MARK
        streams.append(stream)
    counts = np.broadcast_to(np.uint16(0), (2, n_frames, ROWS, COLUMNS, 4096))
    return emd_builder.write_velox(
        path, counts, streams, chunk=8192, has_table=False, has_spectra=False
    )


def write_stack(path):
    """A stack of integers, calibrated, of a raw file that is empty but for some rows."""
    rows = np.random.default_rng(0).integers(0, 99, (1, COLUMNS, 4096), dtype=np.uint16)
    raw, rpl = datastack_builder.write_raw(
        path.parent, rows, more="\nev-per-chan\t10", name=path.stem
    )
    rpl.write_text(rpl.read_text().replace("height\t1", f"height\t{ROWS}"))
    with raw.open("r+b") as file:
        for row in range(0, ROWS, 7):
            file.seek(row * rows.nbytes)
            file.write(np.roll(rows, row).astype("<u2").tobytes())
        file.truncate(ROWS * rows.nbytes)
    kwds = {"sigma": 0, "keep_integers": True, "show_progressbar": False}
    return datastack.convert(raw, rpl, path, **kwds)


def write_bliss(path):
    """A scan of compressed spectra, of which some rows are not empty."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["1.1/title"] = f"amesh sy 0 1 {COLUMNS - 1} sz 0 1 {ROWS - 1} 0.1"
        detector = file.create_group("1.1/instrument/mca0")
        detector["calibration"] = [0.0, 0.01, 0.0]
        spectra = detector.create_dataset(
            "data",
            shape=(ROWS * COLUMNS, 4096),
            dtype="u2",
            chunks=(64, 4096),
            compression="gzip",
            compression_opts=1,
        )
        for row in range(0, ROWS, 40):
            counts = rng.integers(0, 99, (COLUMNS, 4096), dtype=np.uint16)
            spectra[row * COLUMNS : (row + 1) * COLUMNS] = counts
        file["1.1/measurement/mca0"] = h5py.SoftLink("/1.1/instrument/mca0/data")
    return path


def write_xia(path):
    """A file a row and detector, of which some are not empty."""
    rng = np.random.default_rng(0)
    path.mkdir()
    header = {"MCA a": 0, "MCA b": 0.01, "MCA c": 0, "time": 0.1}
    empty = np.zeros((COLUMNS, 4096), np.uint16)
    for row in range(ROWS):
        counts = empty
        if row % 20 == 0:
            counts = rng.integers(0, 99, empty.shape, dtype=np.uint16)
        name = f"map_xia00_0001_0000_{row:04d}.edf"
        esrf_builder.write_edf(path / name, counts, header)
    return path / "map_xia00_0001_0000_0000.edf"


WRITERS = {
    "emd": write_velox,
    "datastack": write_stack,
    "h5": write_bliss,
    "xia": write_xia,
}


@pytest.fixture(
    scope="module",
    params=["GeoPIXE", "spd", "emd", "saved.emd", "datastack", "h5", "xia"],
)
def path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("distributed") / f"map.{request.param}"
    if request.param in WRITERS:
        return WRITERS[request.param](path)
    if request.param == "saved.emd":
        hs.load(write_velox(path.with_stem("velox")), **OPTIONS).save(path)
        return path
    if request.param == "GeoPIXE":
        write_demo_map(path, COLUMNS, ROWS)
        return path
    shape = (ROWS, COLUMNS, 4096)
    rng = np.random.default_rng(0)
    edax_builder.write_map(path, (1, 1, 4096))  # for what lies beside it
    with path.open("wb") as file:
        file.write(edax_builder.spd_header(shape, 2))
        file.truncate(1068 + 2 * ROWS * COLUMNS * 4096)
        for row in range(0, ROWS, 10):
            file.seek(1068 + 2 * row * COLUMNS * 4096)
            counts = rng.integers(0, 99, shape[1:], dtype=np.uint16)
            file.write(counts.astype("<u2").tobytes())
    return path


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            memory_limit=WORKER_MEMORY,
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_local_cluster(path, client):
    s = load(path)
    assert s.data.nbytes > WORKER_MEMORY
    plain = s.data.max(axis=(0, 1)).compute()  # every chunk is decoded by a worker
    spectrum, image = s.sum(), s.isig[3.6:3.8].sum(-1)
    for signal in (spectrum, image):
        signal.compute(show_progressbar=False)
    region = s.inav[10:30, 380:].deepcopy()
    region.compute(show_progressbar=False)

    window = s.get_window_images((3.6, 3.8), show_progressbar=False)["3.6-3.8 keV"]
    np.testing.assert_array_equal(window.data, image.data)
    summary = s.get_summary(show_progressbar=False)
    np.testing.assert_array_equal(summary["sum"].data, spectrum.data)
    np.testing.assert_array_equal(summary["max"].data, plain)

    workers = client.run(os.getpid)
    assert len(set(workers.values())) == 2

    with dask.config.set(scheduler="threads"):
        expected = load(path)
        np.testing.assert_array_equal(plain, expected.data.max(axis=(0, 1)).compute())
        np.testing.assert_array_equal(spectrum.data, expected.sum().data.compute())
        window = expected.isig[3.6:3.8].data.sum(axis=-1).compute()
        np.testing.assert_array_equal(image.data, window)
        block = expected.data[380:, 10:30].compute()
        np.testing.assert_array_equal(region.data, block)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_small_maps_of_esrf(tmp_path, client):
    """Rows that are turned, text, images, columns of channels: each block is read apart."""
    snake = esrf_builder.write_bliss(tmp_path / "snake.h5", is_snake=True)
    spec = esrf_builder.write_spec(tmp_path / "mesh.dat", ({"kind": "mesh"},))
    maps = esrf_builder.write_maps(tmp_path / "maps.h5")
    frames = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
    esrf_builder.write_edf_images(tmp_path / "images.edf", frames)
    for name, expected in (
        ("snake.h5", snake["counts"][0]),
        ("mesh.dat", spec[0]["counts"][0]),
        ("maps.h5", maps["counts"][0]),
        ("images.edf", frames),
    ):
        s = hs.load(tmp_path / name, lazy=True, file_format="ESRF", chunks=(2, 3, -1))
        s = s[0] if isinstance(s, list) else s
        np.testing.assert_array_equal(s.data.compute(), expected)
