"""Maps on a cluster of processes whose memory is below that of the dense map."""

import os

import dask
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm._demo import write_demo_map
from tests.builders import edax as edax_builder

distributed = pytest.importorskip("distributed")

# A worker needs about 250 MiB for itself and the package.
WORKER_MEMORY = 700 * 2**20
COLUMNS, ROWS = 256, 400  # 800 MiB of uint16


@pytest.fixture(scope="module", params=["GeoPIXE", "spd"])
def path(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("distributed") / f"map.{request.param}"
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
    s = hs.load(path, lazy=True)
    assert s.data.nbytes > WORKER_MEMORY
    plain = s.data.max(axis=(0, 1)).compute()  # every chunk is decoded by a worker
    spectrum, image = s.sum(), s.isig[3.6:3.8].sum("Energy")
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
        expected = hs.load(path, lazy=True)
        np.testing.assert_array_equal(plain, expected.data.max(axis=(0, 1)).compute())
        np.testing.assert_array_equal(spectrum.data, expected.sum().data.compute())
        window = expected.isig[3.6:3.8].data.sum(axis=-1).compute()
        np.testing.assert_array_equal(image.data, window)
        block = expected.data[380:, 10:30].compute()
        np.testing.assert_array_equal(region.data, block)
