"""Maps on a cluster of processes whose memory is below that of the dense map."""

import os

import dask
import hyperspy.api as hs
import numpy as np
import pytest

from rsciio_xfm import edax, geopixe, jeol
from rsciio_xfm.analysis.colour import Colours, channel_colours, mix_colours
from rsciio_xfm.analysis.fit.basis import Basis
from rsciio_xfm.analysis.fit.matrix import make_projection
from rsciio_xfm.analysis.fit.project import project
from rsciio_xfm.analysis.maps import Wanted, make_maps, region_spectra
from rsciio_xfm.core import to_dask
from rsciio_xfm.exceptions import PassCancelledError
from tests.builders import apex as apex_builder
from tests.builders import bruker as bruker_builder
from tests.builders import crono as crono_builder
from tests.builders import edax as edax_builder
from tests.builders import esrf as esrf_builder
from tests.builders import geopixe as geopixe_builder
from tests.builders import hmsa as hmsa_builder
from tests.builders import jeol as jeol_builder
from tests.builders import large, xrf
from tests.builders import mda as mda_builder
from tests.builders import oxford as oxford_builder
from tests.builders import ripple as ripple_builder
from tests.builders.large import load
from tests.io.test_hdf5_layouts import EVERY

distributed = pytest.importorskip("distributed")

# A worker needs about 250 MiB for itself and the package.
WORKER_MEMORY = 700 * 2**20


@pytest.fixture(scope="module", params=large.KINDS)
def path(request, tmp_path_factory):
    return large.write(tmp_path_factory.mktemp("distributed"), request.param)


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            memory_limit=WORKER_MEMORY,
            dashboard_address=":0",
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


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", EVERY)
def test_hdf5_layouts(tmp_path, client, name):
    """Each layout of the table: spectra, detectors added up, and their sums."""
    path, truth, options = EVERY[name](tmp_path)
    options = {"lazy": True, "file_format": "ESRF"} | options
    counts = truth["counts"]
    if len(counts) > 1 and counts.dtype.kind == "u":
        options["sum_detectors"], counts = True, counts.sum(0, keepdims=True)
    s = hs.load(path, chunks=(2, 3, -1), **options)
    for signal, expected in zip(s if isinstance(s, list) else [s], counts, strict=True):
        np.testing.assert_array_equal(signal.data.compute(), expected)
        total = signal.sum().data.compute()
        np.testing.assert_array_equal(total, expected.sum((0, 1)))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("record", ["vector", "image"])
def test_small_maps_of_raw_numbers(tmp_path, client, record):
    """By spectra and by images, of 64 bits too, whose sums are watched."""
    for kind in ("u2", "i4", "u8"):
        numbers = list(range(5 * 7 * 16))
        path = ripple_builder.write_map(
            tmp_path / "a.rpl", kind=kind, record=record, numbers=numbers
        )
        counts = np.reshape(numbers, (5, 7, 16))
        if record == "image":
            counts = np.reshape(numbers, (16, 5, 7)).transpose(1, 2, 0)
        s = hs.load(path, lazy=True, chunks=(2, 3, -1))
        np.testing.assert_array_equal(s.data.compute(), counts)
        np.testing.assert_array_equal(s.sum().data.compute(), counts.sum((0, 1)))
        np.testing.assert_array_equal(s.sum("Energy").data.compute(), counts.sum(-1))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_one_pass_that_is_watched(tmp_path, client, monkeypatch):
    """Progress, what is known so far, and cancelling, by the client of the cluster."""
    monkeypatch.setattr(to_dask, "SUM_FILE_BYTES", (1000, 1000))
    path = edax_builder.write_map(tmp_path / "a.spd", (12, 7, 32), 2)
    s = hs.load(path, lazy=True)
    counts = s.data.compute(scheduler="threads")
    labels = np.arange(84).reshape(12, 7) // 14
    calls, seen = [], []
    wanted = Wanted([(3, 9)], labels, True, Colours(0, channel_colours(32)))
    found = make_maps(
        s.data, wanted, progress=lambda *call: calls.append(call), partial=seen.append
    )
    assert calls == [(i + 1, 6) for i in range(6)] and len(seen) == 6
    for result in (found, seen[-1]):
        np.testing.assert_array_equal(result["windows"][0], counts[..., 3:9].sum(axis=-1))
        np.testing.assert_array_equal(result["summary"]["max"], counts.max(axis=(0, 1)))
        np.testing.assert_array_equal(result["regions"], region_spectra(counts, labels))
        expected = mix_colours(counts, channel_colours(32))
        np.testing.assert_array_equal(result["colours"], expected)
    known = [int(one["summary"]["sum"].sum()) for one in seen]
    assert known == sorted(set(known)) and known[-1] == counts.sum()

    calls.clear()
    watch = {
        "progress": lambda *call: calls.append(call),
        "cancel": lambda: len(calls) > 1,
    }
    with pytest.raises(PassCancelledError, match="2 of 6 parts"):
        make_maps(s.data, wanted, **watch)

    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_maps(s.data, wanted, progress=interrupt)
    with path.open("r+b") as file:
        file.truncate(3000)
    with pytest.raises(ValueError, match=r"a\.spd"):
        make_maps(s.data, wanted, **(watch | {"cancel": None}))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_element_maps(tmp_path, client):
    """The sum of the spectra and the maps are made by the workers."""
    pytest.importorskip("xraylib")
    phantom = xrf.make((24, 20), counts=600, excitation=17.44)
    counts = phantom.counts
    path = ripple_builder.write_map(
        tmp_path / "map.rpl", counts.shape, numbers=counts.ravel().tolist(), kind="u2"
    )
    s = hs.load(path, lazy=True, chunks=(7, 20, -1))
    energy = s.axes_manager[-1]
    energy.scale, energy.offset, energy.units = 0.01, 0.0, "keV"
    elements = ["Ti", "Cr", "Mn", "Fe", "Cu", "Zn"]
    options = {"excitation": 17.44, "energy_range": (4.2, 9.6)}
    maps = s.get_element_maps(elements, **options, show_progressbar=False)
    with dask.config.set(scheduler="threads"):
        again = s.get_element_maps(maps.model, show_progressbar=False)
    np.testing.assert_allclose(maps["Fe"].data, again["Fe"].data, atol=1e-3)
    assert maps.totals["Fe"][0] == pytest.approx(phantom.map("Fe_K").sum(), rel=0.02)
    found, expected = (
        one.quantify(matrix="normalise", live_time=0.01, per={"a": np.eye(24, 20) > 0})
        for one in (maps, again)
    )
    assert found["Fe"] == pytest.approx(expected["Fe"], rel=1e-4)
    np.testing.assert_allclose(found.maps["Fe"].data, expected.maps["Fe"].data, atol=0.01)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_detectors_of_h5oina(client, tmp_path):
    """Workers decompress LZF and add detectors up."""
    path = oxford_builder.write_map(tmp_path / "a.h5oina", (12, 7, 32), n_detectors=2)
    counts = sum(oxford_builder.read_spectra(path, name) for name in ("EDS1", "EDS2"))
    s = hs.load(path, lazy=True, chunks=(5, 7, -1))
    np.testing.assert_array_equal(s.data.compute(), counts)
    np.testing.assert_array_equal(s.sum().data.compute(), counts.sum((0, 1)))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_records_of_mda_and_chosen_spectra_of_crono(client, tmp_path):
    """Workers turn float32 into counts, and gather the spectra of pixels."""
    shape = (12, 7, 32)
    scan = mda_builder.write_map(tmp_path / "a.mda", shape)
    chosen = crono_builder.write_map(tmp_path / "a.HDF5", shape)
    for path, counts, options in (
        (scan, mda_builder.make_counts(shape, 2).sum(axis=2), {}),
        (chosen, crono_builder.read_map(chosen), {"file_format": "CRONO"}),
    ):
        s = hs.load(path, lazy=True, chunks=(5, 7, -1), **options)
        np.testing.assert_array_equal(s.data.compute(), counts)
        np.testing.assert_array_equal(s.sum().data.compute(), counts.sum((0, 1)))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*experimental. Hold:UserWarning")
def test_spectra_of_hmsa_and_edaxh5(client, tmp_path):
    """Workers read rows that lie in a file, and elements of HDF5 that are arrays."""
    shape = (12, 7, 32)
    path = hmsa_builder.write_map(tmp_path / "a.hmsa", shape)
    other = apex_builder.write_map(tmp_path / "a.edaxh5", shape)
    for file, counts in (
        (path, hmsa_builder.read_counts(path, shape)),
        (other, apex_builder.read_counts(other)),
    ):
        s = hs.load(file, lazy=True, chunks=(5, 7, -1))
        np.testing.assert_array_equal(s.data.compute(), counts)
        np.testing.assert_array_equal(s.sum().data.compute(), counts.sum((0, 1)))
    s.save(tmp_path / "b.hmsa")
    np.testing.assert_array_equal(hs.load(tmp_path / "b.hmsa").data, counts)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_frames_of_pts(client, tmp_path):
    """Workers count X-rays from the stream, moved and summed as they would be here."""
    path = jeol_builder.write_map(tmp_path / "a.pts")
    options = {"frame_shifts": [(0, 0), (1, -1), (0, 2)], "lazy": True}
    (expected,) = jeol.file_reader(path, **options | {"lazy": False})
    s = hs.load(path, chunks=(3, 5, 1000), **options)
    np.testing.assert_array_equal(s.data.compute(), expected["data"])
    total = expected["data"].sum(axis=(0, 1))
    np.testing.assert_array_equal(s.sum().data.compute(), total)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("compressed", [False, True])
def test_records_of_bruker(client, tmp_path, compressed):
    """Workers decompress blocks and decode records, of two detectors."""
    shape = (12, 7, 256)
    options = {"n_maps": 2, "compressed": compressed}
    path = bruker_builder.write_map(tmp_path / "a.bcf", shape, **options)
    counts = sum(np.array(bruker_builder.all_counts(shape, number=i)) for i in (0, 1))
    kind = {"select_type": "spectrum_image", "signal_type": "EDS_XFM"}
    s = hs.load(path, lazy=True, chunks=(5, 7, -1), **kind)
    np.testing.assert_array_equal(s.data.compute(), counts)
    np.testing.assert_array_equal(s.sum().data.compute(), counts.sum((0, 1)))
    part = s.inav[2:, 3:9]  # of which the index does not know the sum
    np.testing.assert_array_equal(part.sum().data.compute(), counts[3:9, 2:].sum((0, 1)))
    np.testing.assert_array_equal(s.sum("Energy").data.compute(), counts.sum(-1))


def test_projection(client, tmp_path):
    size = {"n_columns": 13, "n_rows": 11, "n_channels": 64}
    records = geopixe_builder.write_map(tmp_path / "b.GeoPIXE", **size)
    spectra = edax_builder.write_map(tmp_path / "a.spd", (11, 13, 64), 2)
    rng = np.random.default_rng(0)
    names = ("Ca_K", "Fe_K", "background")
    kinds = ("element", "element", "background")
    basis = Basis(names, kinds, 5, rng.random((50, 3)), np.array([1e3, 2e3, 1e4]))
    projection = make_projection(basis)
    for file in (
        edax.file_reader(spectra, lazy=True),
        geopixe.file_reader(records, True),
    ):
        data = file[0]["data"]
        partial = []
        found = project(data, projection, partial=partial.append)
        again = project(data, projection)
        with dask.config.set(scheduler="synchronous"):
            expected = project(data, projection)
        for other in (found, again, partial[-1]):
            scale = np.abs(expected.maps).max()
            np.testing.assert_allclose(other.maps, expected.maps, atol=1e-5 * scale)
            np.testing.assert_allclose(other.chi2, expected.chi2, rtol=1e-4)
