"""``.datastack`` files: what zarr and maxrf4u write is read, and what is saved comes back."""

import pickle
import warnings
import zipfile

import dask
import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
import zarr

from rsciio_xfm import datastack
from rsciio_xfm.core.to_dask import source_of
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.datastack import file_reader
from tests.builders import datastack as builder
from tests.conftest import DATA

ZARR = int(zarr.__version__.split(".")[0])
FORMATS = (2, 3) if ZARR > 2 else (2,)
CODECS = (
    None,
    {"id": "zstd", "level": 1},
    {"id": "gzip", "level": 1},
    {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 1, "blocksize": 0},
)


def read(path, **kwds):
    (signal,) = file_reader(path, **kwds)
    return signal


def open_with_zarr(path):
    store = zarr.ZipStore if ZARR == 2 else zarr.storage.ZipStore
    return store(str(path), mode="r")


def zarr_arrays(path):
    """All arrays, read by zarr itself."""
    store = open_with_zarr(path)
    root = zarr.open_group(store, mode="r")
    arrays = {name: np.asarray(root[name][...]) for name in sorted(root)}
    store.close()
    return arrays


@pytest.fixture
def path(tmp_path):
    return builder.write_stack(tmp_path / "map.datastack")


# Reading.


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_real_file(zarr_format):
    path = DATA / "datastack" / f"painting_12x9_zarr{zarr_format}.datastack"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    raw = np.fromfile(path.with_name("painting_12x9.raw"), "<u2").reshape(12, 9, 1024)
    if zarr_format in FORMATS:
        expected = zarr_arrays(path)["maxrf_cube"]
    for lazy in (False, True):
        signal = hs.load(path, lazy=lazy)
        assert signal.metadata.Signal.signal_type == "EDS_XFM"
        assert signal.metadata.General.title == f"{path.stem} (smoothed)"
        assert signal.metadata.Signal.smoothed is True
        data = np.asarray(signal.data)
        assert data.shape == (12, 9, 1024) and data.dtype == np.float32
        if zarr_format in FORMATS:
            np.testing.assert_array_equal(data, expected)
        assert data.sum(dtype=float) == pytest.approx(raw.sum(), rel=1e-5)
    energy = signal.axes_manager[-1]
    if zarr_format == 3:
        energies = datastack.read(path, "maxrf_energies")
        assert energy.units == "keV"
        np.testing.assert_allclose(energy.axis, energies, atol=1e-9)
        assert datastack.latest(path, "hotmax_pixels") == "hotmax_pixels_"
        lists = datastack.read_list(path, "hotmax_pixels")
        padded = datastack.read(path, "hotmax_pixels")
        assert [len(row) for row in lists] == [(row != -9999).sum() for row in padded]
    else:
        assert (energy.scale, energy.offset) == (1, 0)


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("codec", CODECS, ids=lambda c: c and c["id"])
@pytest.mark.parametrize("chunks", [(2, 3, 40), (5, 7, 64), (1, 1, 1), (9, 9, 99)])
def test_builder(tmp_path, zarr_format, codec, chunks):
    """The builder's files are zarr's, and are read."""
    arrays = builder.make_arrays()
    path = builder.write_stack(
        tmp_path / "map.datastack", arrays, chunks, zarr_format, codec
    )
    if zarr_format in FORMATS:
        for name, array in zarr_arrays(path).items():
            np.testing.assert_array_equal(array, arrays[name])
    counts = arrays["maxrf_cube"]
    assert read(path)["data"].dtype == np.uint16
    np.testing.assert_array_equal(read(path)["data"], counts)
    lazy = read(path, lazy=True)["data"]
    np.testing.assert_array_equal(lazy.compute(), counts)
    np.testing.assert_array_equal(lazy[1:4, 2:3, 5:50].compute(), counts[1:4, 2:3, 5:50])


@pytest.mark.parametrize("zarr_format", FORMATS)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i4", ">f4", "f8", "u1", "<c8", "?"])
def test_written_by_zarr(tmp_path, zarr_format, order, dtype):
    """Any numbers that zarr writes, in its own way."""
    path = tmp_path / "map.datastack"
    array = builder.make_counts().astype(dtype)
    array[0] = 0  # zarr leaves out chunks of zeros
    mode = {"mode": "w"}
    store = zarr.ZipStore(str(path), **mode) if ZARR == 2 else None
    store = store or zarr.storage.ZipStore(str(path), **mode)
    keys = {} if ZARR == 2 else {"zarr_format": zarr_format}
    root = zarr.open_group(store, mode="w", **keys)
    if ZARR == 2:
        root.create_dataset("maxrf_cube", data=array, chunks=(1, 3, 40), order=order)
    elif zarr_format == 2:
        made = root.create_array(
            "maxrf_cube", shape=array.shape, dtype=dtype, chunks=(1, 3, 40), order=order
        )
        made[...] = array
    else:
        filters = [zarr.codecs.TransposeCodec(order=(2, 1, 0))] if order == "F" else None
        endian = "big" if dtype.startswith(">") else "little"
        made = root.create_array(
            "maxrf_cube",
            shape=array.shape,
            dtype=array.dtype.newbyteorder("="),
            chunks=(1, 3, 40),
            filters=filters,
            serializer=zarr.codecs.BytesCodec(endian=endian),
        )
        made[...] = array
    store.close()
    found = datastack.read(path, "maxrf_cube")
    assert found.dtype == array.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, array)


def test_lz4_zlib_and_deflated(tmp_path):
    counts = builder.make_counts()
    for number, codec in enumerate(({"id": "lz4", "acceleration": 1}, {"id": "zlib"})):
        path = tmp_path / f"{number}.datastack"
        builder.write_stack(path, zarr_format=2, codec=codec)
        np.testing.assert_array_equal(read(path)["data"], counts)
    plain = builder.write_stack(tmp_path / "plain.datastack")
    packed = tmp_path / "packed.datastack"
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            target.writestr(name, source.read(name))
    np.testing.assert_array_equal(read(packed)["data"], counts)


def test_chunks_and_sums(path):
    counts = builder.make_counts()
    for chunks in ("auto", -1, (1, 2, 3), (5, 7, 64), ((2, 3), (7,), (60, 4))):
        data = read(path, lazy=True, chunks=chunks)["data"]
        np.testing.assert_array_equal(data.compute(), counts)
    signal = hs.load(path, lazy=True)
    assert source_of(signal.data) is not None
    np.testing.assert_array_equal(signal.sum().data.compute(), counts.sum((0, 1)))
    np.testing.assert_array_equal(signal.sum(-1).data.compute(), counts.sum(-1))
    part = signal.inav[1:6, 2:].isig[5:50]
    np.testing.assert_array_equal(
        part.sum().data.compute(), counts[2:, 1:6, 5:50].sum((0, 1))
    )
    summary = signal.get_summary(show_progressbar=False)
    np.testing.assert_array_equal(summary["max"].data, counts.max((0, 1)))


def test_smoothed_maps_have_the_same_methods(tmp_path):
    arrays = builder.make_arrays()
    smooth = arrays["maxrf_cube"].astype(np.float32) * np.float32(0.3)
    arrays |= {"maxrf_cube": smooth, "maxrf_maxspectrum": smooth.max((0, 1))}
    path = builder.write_stack(tmp_path / "map.datastack", arrays)
    signal = hs.load(path, lazy=True)
    window = signal.get_window_images((0.0, 2.0), show_progressbar=False)
    (image,) = window.values()
    energies = arrays["maxrf_energies"]
    inside = (energies >= -0.05) & (energies < 1.95)
    np.testing.assert_allclose(image.data, smooth[..., inside].sum(-1), rtol=1e-5)
    summary = signal.get_summary(show_progressbar=False)
    np.testing.assert_allclose(summary["sum"].data, smooth.sum((0, 1)), rtol=1e-5)


def test_pickle_and_tokens(path):
    signal = read(path, lazy=True)["data"]
    again = pickle.loads(pickle.dumps(signal))
    np.testing.assert_array_equal(again.compute(), builder.make_counts())
    assert signal.name == read(path, lazy=True)["data"].name


def test_in_processes(path):
    data = read(path, lazy=True)["data"]
    with dask.config.set(scheduler="processes", num_workers=2):
        np.testing.assert_array_equal(data.compute(), builder.make_counts())


@pytest.mark.parametrize("shape", [(1, 1, 64), (1, 9, 3), (4, 1, 1)])
def test_one_pixel(tmp_path, shape):
    arrays = {"maxrf_cube": builder.make_counts(shape)}
    path = builder.write_stack(tmp_path / "map.datastack", arrays)
    signal = hs.load(path, lazy=True)
    np.testing.assert_array_equal(
        signal.data.compute().ravel(), arrays["maxrf_cube"].ravel()
    )


def test_selection(tmp_path):
    height, width, depth = builder.SHAPE
    arrays = builder.make_arrays() | {
        "hotmax_spectra": np.ones((3, depth)),
        "hotmax_pixels": np.ones((3, 3), dtype=np.int64),
        "hotmax_pixels_": np.zeros((2, 3), dtype=np.int64),
        "maps_imvis": np.ones((4, height, width), dtype=np.float32),
        "mask": np.ones((height, width), dtype=bool),
        "number": np.array(7.5),
    }
    path = builder.write_stack(tmp_path / "map.datastack", arrays)
    assert [s["data"].shape for s in file_reader(path)] == [builder.SHAPE]
    found = {
        kind: [
            s["metadata"]["General"]["title"] for s in file_reader(path, select_type=kind)
        ]
        for kind in ("spectrum_image", "single_spectrum", "image")
    }
    assert found == {
        "spectrum_image": ["map"],
        "single_spectrum": [
            "map hotmax_spectra",
            "map maxrf_maxspectrum",
            "map maxrf_sumspectrum",
        ],
        "image": ["map maps_imvis", "map mask"],
    }
    signals = hs.load(path, select_type="all")
    assert len(signals) == len(arrays) - 1
    by_title = {s.metadata.General.title: s for s in signals}
    assert by_title["map maps_imvis"].axes_manager.signal_shape == (width, height)
    assert by_title["map hotmax_spectra"].axes_manager[-1].units == "keV"
    assert by_title["map number"].data.tolist() == [7.5]
    newest = read(path, dataset_path="hotmax_pixels")
    np.testing.assert_array_equal(newest["data"], arrays["hotmax_pixels_"])
    oldest = read(path, dataset_path=["/hotmax_pixels/"], latest=False)
    np.testing.assert_array_equal(oldest["data"], arrays["hotmax_pixels"])
    with pytest.raises(FileNotFoundError, match=r"'nothing'.*maxrf_cube"):
        file_reader(path, dataset_path=["nothing"])
    with pytest.raises(ValueError, match="select_type is 'maps'"):
        file_reader(path, select_type="maps")
    with pytest.raises(ValueError, match="both given"):
        file_reader(path, select_type="all", dataset_path="mask")


def test_newest_cube_and_energies(tmp_path):
    arrays = builder.make_arrays()
    arrays["maxrf_cube_"] = arrays["maxrf_cube"] + np.uint16(1)
    arrays["maxrf_energies__"] = np.linspace(0, 6.3, 64)
    path = builder.write_stack(tmp_path / "map.datastack", arrays)
    signal = read(path)
    np.testing.assert_array_equal(signal["data"], arrays["maxrf_cube_"])
    assert signal["axes"][-1]["offset"] == 0
    assert signal["axes"][-1]["scale"] == pytest.approx(0.1)
    assert signal["axes"][-1]["units"] == "keV"


@pytest.mark.parametrize(
    ("energies", "text"),
    [
        (np.linspace(5, 1, 64), "does not ascend"),
        (np.full(64, np.nan), "does not ascend"),
        (np.linspace(0, 1, 63), "one energy for each of 64 channels"),
        (np.linspace(0, 1, 64) ** 2 + np.linspace(0, 1, 64), "ignored"),
        (np.linspace(0, 63, 64) + np.sin(np.arange(64) / 20) / 10, "taken for one"),
    ],
)
def test_odd_energies(tmp_path, energies, text):
    arrays = builder.make_arrays() | {"maxrf_energies": energies}
    path = builder.write_stack(tmp_path / "map.datastack", arrays)
    with pytest.warns(UserWarning, match=text):
        axis = read(path)["axes"][-1]
    assert axis["units"] == ("keV" if "taken" in text else None)


def test_whether_counts_were_smoothed(tmp_path):
    """maxrf4u does not write it: maxima of counts are integers."""
    arrays = builder.make_arrays()
    for dtype, factor, expected in (
        ("f4", 0.3, True),
        ("f4", 1, False),
        ("u2", 1, False),
    ):
        cube = (arrays["maxrf_cube"] * factor).astype(dtype)
        some = {"maxrf_cube": cube, "maxrf_maxspectrum": cube.max((0, 1)).astype("f4")}
        path = builder.write_stack(tmp_path / "map.datastack", some)
        metadata = read(path)["metadata"]
        assert metadata["Signal"].get("smoothed", False) is expected
        assert ("smoothed" in metadata["General"]["title"]) is expected


# Writing.


def make_signal(dtype=np.uint16, lazy=False, chunks=(2, 7, 64), shape=builder.SHAPE):
    counts = builder.make_counts(shape, dtype)
    signal = hs.signals.Signal1D(counts)
    signal.set_signal_type("EDS_XFM")
    signal.axes_manager[-1].scale, signal.axes_manager[-1].units = 0.01, "keV"
    signal.axes_manager[-1].offset = -0.3
    signal.axes_manager[0].scale, signal.axes_manager[0].units = 50.0, "µm"
    signal.metadata.General.title = "Saint Jérôme"
    signal.metadata.set_item("Sample.elements", ["Ca", "Pb"])
    signal.metadata.set_item("Sample.mask", counts[..., 0] > 3)
    signal.metadata.set_item("Sample.names", np.array([b"a", b"bc"]))
    signal.original_metadata.set_item("Tube.kV", 50)
    if lazy:
        signal = signal.as_lazy()
        signal.data = da.from_array(counts, chunks=chunks)
    return signal, counts


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("compressor", ["blosc", "zstd", "gzip", None])
def test_round_trip(tmp_path, lazy, zarr_format, compressor):
    signal, counts = make_signal(lazy=lazy)
    path = tmp_path / "saved.datastack"
    signal.save(path, compressor=compressor, zarr_format=zarr_format)
    again = hs.load(path, lazy=lazy)
    assert type(again) is type(signal)
    np.testing.assert_array_equal(np.asarray(again.data), counts)
    assert again.data.dtype == np.float32
    for old, new in zip(signal.axes_manager._axes, again.axes_manager._axes, strict=True):
        assert (old.name, old.scale, old.offset, old.units) == (
            new.name, new.scale, pytest.approx(new.offset), new.units
        )  # fmt: skip
    assert again.metadata.General.title == "Saint Jérôme"
    assert again.metadata.Sample.elements == ["Ca", "Pb"]
    np.testing.assert_array_equal(again.metadata.Sample.mask, signal.metadata.Sample.mask)
    assert again.metadata.Sample.names.tolist() == [b"a", b"bc"]
    assert again.original_metadata.Tube.kV == 50
    assert not again.metadata.has_item("Signal.smoothed")
    if zarr_format in FORMATS:
        arrays = zarr_arrays(path)
        np.testing.assert_array_equal(arrays["maxrf_cube"], counts)
        assert {a.dtype.name for n, a in arrays.items() if n.endswith("spectrum")} == {
            "float32"
        }
        np.testing.assert_array_equal(arrays["maxrf_maxspectrum"], counts.max((0, 1)))
        np.testing.assert_allclose(
            arrays["maxrf_sumspectrum"], counts.mean((0, 1)), rtol=1e-6
        )
        np.testing.assert_allclose(
            arrays["maxrf_energies"], -0.3 + 0.01 * np.arange(64), atol=1e-12
        )


@pytest.mark.parametrize(
    "chunks", [(5, 7, 64), (1, 1, 64), (2, 3, 10), ((3, 1, 1), (6, 1), (64,)), (4, 7, 64)]
)
@pytest.mark.parametrize("stored", ["auto", (1, 1, 1), (3, 5, 17), (99, 99, 99)])
def test_chunks_of_dask_and_of_the_file(tmp_path, chunks, stored):
    signal, counts = make_signal(lazy=True, chunks=chunks)
    path = tmp_path / "saved.datastack"
    signal.save(path, chunks=stored, keep_integers=True)
    again = datastack.read(path, "maxrf_cube")
    assert again.dtype == np.uint16
    np.testing.assert_array_equal(again, counts)
    np.testing.assert_array_equal(
        datastack.read(path, "maxrf_maxspectrum"), counts.max((0, 1))
    )


def test_many_batches(tmp_path, monkeypatch):
    from rsciio_xfm.formats.datastack import write

    monkeypatch.setattr(write, "_BATCH_BYTES", 20_000)
    monkeypatch.setattr(write, "_GROUP_BYTES", 5_000)
    monkeypatch.setattr(write, "_CHUNK_BYTES", 3_000)
    n_computed = []

    def count(block, block_info=None):
        n_computed.append(block_info[0]["array-location"])
        return block

    shape = (23, 17, 64)
    counts = builder.make_counts(shape)
    for rows in (4, 8, 23, 5):
        signal, _ = make_signal(shape=shape)
        signal = signal.as_lazy()
        lazy = da.from_array(counts, chunks=(rows, 17, 64))
        signal.data = lazy.map_blocks(count, dtype=counts.dtype)
        n_computed.clear()
        path = tmp_path / "saved.datastack"
        signal.save(path, overwrite=True)
        np.testing.assert_array_equal(datastack.read(path, "maxrf_cube"), counts)
        # each chunk is computed once
        assert len(n_computed) == lazy.numblocks[0]
    signal = hs.load(path, lazy=True)
    signal.save(tmp_path / "again.datastack")
    np.testing.assert_array_equal(
        datastack.read(tmp_path / "again.datastack", "maxrf_cube"), counts
    )


def test_counts_that_float32_cannot_hold(tmp_path):
    signal, _ = make_signal(np.uint32)
    signal.data[1, 2, 3] = 2**24 + 1
    path = tmp_path / "saved.datastack"
    with pytest.raises(OverflowError, match=r"16777217.*keep_integers=True"):
        signal.save(path)
    assert list(tmp_path.iterdir()) == []
    signal.save(path, keep_integers=True)
    assert hs.load(path).data[1, 2, 3] == 2**24 + 1


@pytest.mark.parametrize(
    ("kwds", "text"),
    [
        ({"chunks": (1, 2)}, "expected 'auto' or 3 sizes"),
        ({"chunks": (1, 2, 0)}, "expected 'auto' or 3 sizes"),
        ({"compressor": "lzma"}, "compressor is .*expected 'blosc'"),
        ({"zarr_format": 4}, "zarr_format is 4, expected 2 or 3"),
    ],
)
def test_wrong_arguments(tmp_path, kwds, text):
    signal, _ = make_signal()
    path = tmp_path / "saved.datastack"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=text):
        signal.save(path, overwrite=True, **kwds)
    assert path.read_bytes() == b"old"


def test_compressor_of_numcodecs(tmp_path):
    import numcodecs

    signal, counts = make_signal()
    path = tmp_path / "saved.datastack"
    codec = numcodecs.Blosc("zstd", clevel=3, shuffle=2)
    signal.save(path, compressor=codec)
    assert "zstd" in datastack.tree(path)["maxrf_cube"]["compression"]
    np.testing.assert_array_equal(datastack.read(path, "maxrf_cube"), counts)


def test_signals_that_are_no_maps(tmp_path):
    path = tmp_path / "saved.datastack"
    signal, _ = make_signal()
    # HyperSpy refuses other numbers of axes
    for other in (signal.sum(0), signal.isig[5]):
        with pytest.raises(TypeError, match="does not support this data"):
            other.save(path)
    dictionary = signal._to_dictionary()
    dictionary["data"] = np.ma.masked_array(dictionary["data"])
    with pytest.raises(TypeError, match="masked"):
        datastack.file_writer(path, dictionary)
    dictionary["data"] = np.zeros((0, 7, 64), dtype=np.uint16)
    with pytest.raises(ValueError, match=r"\(0, 7, 64\)"):
        datastack.file_writer(path, dictionary)
    dictionary["data"] = np.zeros(builder.SHAPE, dtype=complex)
    with pytest.raises(TypeError, match="complex128"):
        datastack.file_writer(path, dictionary)
    assert list(tmp_path.iterdir()) == []


def test_changed_attributes(tmp_path):
    """What was saved is not trusted if it was changed."""
    signal, counts = make_signal()
    path, other = tmp_path / "saved.datastack", tmp_path / "other.datastack"
    signal.save(path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(other, "w") as target:
        for name in source.namelist():
            text = source.read(name)
            if name == "maxrf_cube/zarr.json":
                text = text.replace(b"Ca", b"Au")
            target.writestr(name, text)
    with pytest.warns(UserWarning, match="checksum is another"):
        again = read(other)
    np.testing.assert_array_equal(again["data"], counts)
    assert again["metadata"]["General"]["title"] == "other"


def test_calibrated_after_saving(tmp_path):
    """maxrf4u's calibration is appended as a new version."""
    signal, _ = make_signal()
    path = tmp_path / "saved.datastack"
    signal.save(path)
    datastack.append(np.linspace(0, 6.3, 64), "maxrf_energies", path)
    again = hs.load(path)
    assert again.axes_manager[-1].scale == pytest.approx(0.1)
    assert again.axes_manager[0].scale == 50
    assert again.metadata.General.title == "Saint Jérôme"


def test_dead_times_are_kept(tmp_path):
    from tests.builders import geopixe

    source = hs.load(geopixe.write_map(tmp_path / "map.GeoPIXE"), lazy=True)
    path = tmp_path / "saved.datastack"
    source.save(path)
    again = hs.load(path, lazy=True)
    node = "Acquisition_instrument.SEM.Detector.EDS.dead_time"
    np.testing.assert_array_equal(
        again.metadata.get_item(node).data, source.metadata.get_item(node).data
    )
    np.testing.assert_array_equal(again.data.compute(), source.data.compute())
    again.inav[1:3].get_dead_time_statistics()


def test_arrays_may_be_appended_while_a_map_is_open(path):
    counts = builder.make_counts()
    signal = hs.load(path, lazy=True)
    datastack.append(np.arange(9), "mine", path)
    np.testing.assert_array_equal(signal.data.compute(), counts)
    datastack.repack(path, show_progressbar=False)
    with pytest.raises(CorruptFileError, match="Was the file replaced"):
        signal.data.compute()


def test_first_version_of_the_map(path):
    datastack.append(np.ones((3, 4, 64), dtype=np.uint16), "maxrf_cube", path)
    assert read(path)["data"].shape == (3, 4, 64)
    np.testing.assert_array_equal(read(path, latest=False)["data"], builder.make_counts())
    datastack.append(np.ones((3, 4)), "maxrf_cube", path)
    with pytest.raises(CorruptFileError, match="'maxrf_cube__' is float64"):
        read(path)
    assert read(path, latest=False)["data"].shape == builder.SHAPE


def test_lines_are_as_wide_as_smoothing_makes_them(tmp_path):
    """exspy's windows are multiples of the resolution, which smoothing adds to."""
    energies = np.linspace(0, 12.6, 64)
    arrays = builder.make_arrays() | {"maxrf_energies": energies}
    plain = builder.write_stack(tmp_path / "plain.datastack", arrays)
    node = "Acquisition_instrument.SEM.Detector.EDS.energy_resolution_MnKa"
    assert hs.load(plain).metadata.get_item(node) == 130
    smooth = arrays["maxrf_cube"] * np.float32(0.3)
    arrays |= {"maxrf_cube": smooth, "maxrf_maxspectrum": smooth.max((0, 1))}
    theirs = builder.write_stack(tmp_path / "theirs.datastack", arrays)
    expected = np.hypot(130, 2.3548 * 7 * 200)
    assert hs.load(theirs).metadata.get_item(node) == pytest.approx(expected, rel=1e-4)
    raw, rpl = builder.write_raw(tmp_path, more="\nev-per-chan\t20")
    ours = datastack.convert(raw, rpl, sigma=2, show_progressbar=False)
    signal = hs.load(ours, lazy=True)
    expected = np.hypot(130, 2.3548 * 2 * 20)
    assert signal.metadata.get_item(node) == pytest.approx(expected, rel=1e-4)
    signal.save(tmp_path / "saved.datastack")
    again = hs.load(tmp_path / "saved.datastack")
    assert again.metadata.get_item(node) == pytest.approx(expected, rel=1e-4)
    assert again.metadata.Signal.smoothing_sigma == 2


def test_lines_of_a_map_that_is_calibrated_later(tmp_path):
    node = "Acquisition_instrument.SEM.Detector.EDS.energy_resolution_MnKa"
    path = datastack.convert(
        *builder.write_raw(tmp_path), sigma=3, show_progressbar=False
    )
    hs.load(path).save(path, overwrite=True)
    for ev in (20, 40):
        datastack.append(np.arange(64) * ev / 1000, "maxrf_energies", path)
        signal = hs.load(path)
        expected = np.hypot(130, 2.3548 * 3 * ev)
        found = signal.metadata.get_item(node)
        assert found == pytest.approx(expected, rel=1e-4)
        signal.save(path, overwrite=True)
    spectra = hs.load(path, select_type="single_spectrum")
    assert len(spectra) == 2


def test_spectra_of_a_smoothed_map(tmp_path):
    raw, rpl = builder.write_raw(tmp_path, more="\nev-per-chan\t20")
    path = datastack.convert(raw, rpl, sigma=3, show_progressbar=False)
    spectra = hs.load(path, select_type="single_spectrum")
    assert len(spectra) == 2
    for spectrum in spectra:
        assert spectrum.metadata.Signal.smoothing_sigma == 3
        assert "(smoothed)" in spectrum.metadata.General.title
        eds = spectrum.metadata.Acquisition_instrument.SEM.Detector.EDS
        assert eds.energy_resolution_MnKa > 180


def test_energies_in_ev(tmp_path):
    arrays = builder.make_arrays() | {"maxrf_energies": np.linspace(-500, 40_000, 64)}
    path = builder.write_stack(tmp_path / "map.datastack", arrays)
    with pytest.warns(UserWarning, match="Is it in eV"):
        assert read(path)["axes"][-1]["units"] is None


@pytest.mark.parametrize(
    ("scale", "offset", "units"),
    [(10, -100, "eV"), (0.01, -0.3, "keV"), (-0.1, 9, "keV")],
)
def test_axes_come_back_as_they_were(tmp_path, scale, offset, units):
    signal, _ = make_signal()
    axis = signal.axes_manager[-1]
    axis.scale, axis.offset, axis.units = scale, offset, units
    path = tmp_path / "saved.datastack"
    signal.save(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (again,) = file_reader(path)
    found = again["axes"][-1]
    assert (found["scale"], found["offset"], found["units"]) == (scale, offset, units)


def test_saved_over_a_stack(tmp_path):
    """What was computed of a map is kept when the map is saved again."""
    arrays = builder.make_arrays() | {
        "hotmax_pixels": np.arange(6).reshape(2, 3),
        "hotmax_pixels_": np.arange(9).reshape(3, 3),
        "number": np.array(7.5),
    }
    path = builder.write_stack(tmp_path / "map.datastack", arrays)
    signal = hs.load(path, lazy=True)
    signal.axes_manager[-1].offset += 0.02
    signal.save(path, overwrite=True)
    assert datastack.tree(path)["hotmax_pixels"]["shape"] == (3, 3)
    np.testing.assert_array_equal(
        datastack.read(path, "hotmax_pixels"), arrays["hotmax_pixels_"]
    )
    assert datastack.read(path, "number") == 7.5
    again = hs.load(path)
    assert again.axes_manager[-1].offset == pytest.approx(-0.48)
    np.testing.assert_array_equal(again.data, arrays["maxrf_cube"])
    # not with another map
    again.inav[1:].save(path, overwrite=True)
    assert "hotmax_pixels" not in datastack.tree(path)


def test_numbers_that_float32_cannot_hold(tmp_path):
    signal, _ = make_signal(np.float64)
    signal.data[0, 0, 0] = 1e300
    with pytest.raises(OverflowError, match=r"1e\+300"):
        signal.save(tmp_path / "saved.datastack")
    signal.data[0, 0, 0] = np.inf
    signal.save(tmp_path / "saved.datastack")
    assert np.isinf(datastack.read(tmp_path / "saved.datastack", "maxrf_cube")[0, 0, 0])


@pytest.mark.parametrize("lazy", [False, True])
def test_rounded_numbers_are_said(tmp_path, lazy):
    signal, counts = make_signal(np.float64, lazy)
    signal.save(tmp_path / "counts.datastack")  # which float32 holds
    (signal * np.nan).save(tmp_path / "counts.datastack", overwrite=True)
    thirds = signal / 3
    with pytest.warns(UserWarning, match="float64 are rounded to float32") as caught:
        thirds.save(tmp_path / "thirds.datastack")
    assert len(caught) == 1
    found = datastack.read(tmp_path / "thirds.datastack", "maxrf_cube")
    np.testing.assert_allclose(found, counts / 3, rtol=1e-7)


def test_mean_of_large_integers(tmp_path):
    signal, _ = make_signal(np.int64)
    signal.data[...] = 2**62
    path = tmp_path / "saved.datastack"
    signal.save(path, keep_integers=True)
    np.testing.assert_allclose(datastack.read(path, "maxrf_sumspectrum"), 2.0**62)


def test_smoothed_counts_are_not_saved_as_counts(tmp_path):
    raw, rpl = builder.write_raw(tmp_path, more="\nev-per-chan\t20")
    signal = hs.load(datastack.convert(raw, rpl, show_progressbar=False))
    with pytest.raises(TypeError, match=r"These were smoothed.*sigma=0"):
        signal.save(tmp_path / "map.GeoPIXE")


def test_lines_of_a_map_without_calibration(tmp_path):
    path = builder.write_stack(
        tmp_path / "a.datastack", {"maxrf_cube": builder.make_counts()}
    )
    signal = hs.load(path, lazy=True)
    with pytest.raises(ValueError, match=r"units of the energy axis are .*Calibrate it"):
        signal.get_window_images(["Fe_Ka"], show_progressbar=False)
    with pytest.raises(ValueError, match="not calibrated"):
        signal.get_window_images([(0.2, 0.4)], show_progressbar=False)


def test_no_cube(tmp_path):
    path = builder.write_stack(tmp_path / "map.datastack", {"mine": np.arange(4.0)})
    with pytest.raises(FileFormatError, match=r"no 'maxrf_cube'.*'mine'.*dataset_path"):
        file_reader(path)
    np.testing.assert_array_equal(read(path, dataset_path="mine")["data"], np.arange(4.0))


def test_numcodecs_is_optional(tmp_path, monkeypatch):
    codec = {"id": "zstd", "level": 1}
    path = builder.write_stack(tmp_path / "map.datastack", codec=codec)
    plain = builder.write_stack(tmp_path / "plain.datastack")
    monkeypatch.setitem(__import__("sys").modules, "numcodecs", None)
    with pytest.raises(ImportError, match=r"rsciio-xfm\[datastack\]"):
        read(path)
    np.testing.assert_array_equal(read(plain)["data"], builder.make_counts())


def test_no_warnings(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file_reader(path, select_type="all")
