"""``.edaxh5`` files of a builder after names that others look for, read next to plain h5py."""

import pickle
import warnings

import dask
import dask.array as da
import h5py
import hyperspy.api as hs
import numpy as np
import pytest
from click.testing import CliRunner

from rsciio_xfm.cli import main
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats import apex
from tests.builders import apex as builder

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*experimental. Hold.*authors.*published.$"
)
EDS = ("Acquisition_instrument", "SEM", "Detector", "EDS")


def read(path, **options):
    (signal,) = apex.file_reader(path, **options)
    return signal


def eds_of(signal):
    node = signal["metadata"]
    for name in EDS:
        node = node[name]
    return node


@pytest.fixture
def path(tmp_path):
    return builder.write_map(tmp_path / "map.edaxh5")


@pytest.mark.parametrize("is_array", [False, True])
@pytest.mark.parametrize(
    "storage",
    [
        {},
        {"chunks": (3, 2)},
        {"chunks": (3, 2), "compression": "gzip", "shuffle": True},
        {"chunks": (1, 5), "compression": "lzf", "shuffle": True},
        {"chunks": (4, 5), "fletcher32": True},
    ],
    ids=str,
)
def test_counts(tmp_path, storage, is_array):
    if not is_array and "chunks" in storage:
        storage = storage | {"chunks": (*storage["chunks"], 7)}
    path = builder.write_map(tmp_path / "a.edaxh5", is_array=is_array, storage=storage)
    expected = builder.read_counts(path)
    for chunks in ("auto", (3, 2, 11)):
        lazy = read(path, lazy=True, chunks=chunks)["data"]
        assert isinstance(lazy, da.Array) and lazy.dtype == np.uint16
        np.testing.assert_array_equal(lazy.compute(), expected)
    np.testing.assert_array_equal(read(path)["data"], expected)


def test_warning(path):
    with pytest.warns(UserWarning, match="experimental") as caught:
        read(path)
    (warning,) = caught  # and nothing is assumed, where all is consistent
    assert "send the authors a file" in str(warning.message)
    assert "Assumed" not in str(warning.message)


def test_metadata(path):
    signal = read(path)
    axes = [(a["name"], a["offset"], a["scale"], a["units"]) for a in signal["axes"]]
    assert axes == [
        ("y", 0, 0.25, "µm"), ("x", 0, 0.5, "µm"),
        ("Energy", -0.2, pytest.approx(0.01), "keV"),
    ]  # fmt: skip
    metadata = signal["metadata"]
    assert metadata["Signal"]["signal_type"] == "EDS_XFM"
    assert metadata["Acquisition_instrument"]["SEM"]["beam_energy"] == 20.0
    assert metadata["Sample"]["elements"] == ["Si", "Fe"]
    eds = eds_of(signal)
    assert eds["live_time"] == 20.0 and eds["n_spectra_of_map"] == 20
    assert eds["elevation_angle"] == 35.0 and eds["azimuth_angle"] == 45.0
    assert eds["energy_resolution_MnKa"] == 128.5


def test_hyperspy(path):
    counts = builder.read_counts(path)
    for is_lazy in (False, True):
        s = hs.load(path, lazy=is_lazy)
        assert s._lazy is is_lazy and s.axes_manager.navigation_shape == (5, 4)
        np.testing.assert_array_equal(s.sum().data, counts.sum((0, 1)))
        part = s.inav[1:3, 2]
        np.testing.assert_array_equal(np.asarray(part.data), counts[2, 1:3])
    one = s.inav[0, 0]
    assert one.metadata.get_item(".".join(EDS) + ".live_time") == pytest.approx(1.0)


def test_pickled_to_processes(path):
    counts = builder.read_counts(path)
    data = pickle.loads(pickle.dumps(read(path, lazy=True)["data"]))
    with dask.config.set(scheduler="processes"):
        np.testing.assert_array_equal(data[1:3].compute(num_workers=1), counts[1:3])


def test_info(path):
    result = CliRunner().invoke(main, ["info", str(path)])
    assert result.exit_code == 0, result.output
    assert "uint16" in result.output and "beam_energy 20 keV" in result.output
    assert "of all 20 spectra together" in result.output


class TestOrder:
    """Which axis is y: sizes that are written beside, the image, else a guess that is told."""

    def test_said(self, tmp_path):
        path = builder.write_map(
            tmp_path / "a.edaxh5",
            attributes={"NumberOfLines": 5, "NumberOfPoints": 4},
            image=False,
        )
        np.testing.assert_array_equal(
            read(path)["data"], builder.read_counts(path).transpose(1, 0, 2)
        )
        lazy = read(path, lazy=True)["data"]
        np.testing.assert_array_equal(
            lazy[1:3].compute(), builder.read_counts(path).transpose(1, 0, 2)[1:3]
        )

    @pytest.mark.parametrize("is_turned", [False, True])
    def test_image(self, tmp_path, is_turned):
        nothing = {"NumberOfLines": None, "NumberOfPoints": None}
        image = (5, 4) if is_turned else (4, 5)
        path = builder.write_map(tmp_path / "a.edaxh5", attributes=nothing, image=image)
        with pytest.warns(UserWarning, match="experimental") as caught:
            signal = read(path)
        expected = builder.read_counts(path)
        expected = expected.transpose(1, 0, 2) if is_turned else expected
        np.testing.assert_array_equal(signal["data"], expected)
        assert "first axis" not in str(caught[0].message)

    @pytest.mark.parametrize("shape", [(4, 5, 48), (4, 4, 48)])
    def test_assumed(self, tmp_path, shape):
        nothing = {"NumberOfLines": None, "NumberOfPoints": None}
        path = builder.write_map(
            tmp_path / "a.edaxh5", shape, attributes=nothing, image=False
        )
        with pytest.warns(
            UserWarning, match=r"Assumed: .* first axis of .* is y .nothing"
        ):
            signal = read(path)
        np.testing.assert_array_equal(signal["data"], builder.read_counts(path))


class TestSum:
    def test_other(self, tmp_path):
        path = builder.write_map(
            tmp_path / "a.edaxh5", total=np.arange(48, dtype=np.uint32)
        )
        with pytest.warns(
            UserWarning, match="the live time, 20 s, is that of all spectra"
        ):
            read(path)

    def test_not_looked_at(self, path, monkeypatch):
        monkeypatch.setattr("rsciio_xfm.formats.apex.api._CHEAP_BYTES", 0)
        with pytest.warns(UserWarning, match="the sum spectrum was not looked at"):
            read(path, lazy=True)

    def test_other_channels(self, tmp_path):
        """As in a file that pynxtools-em's authors have seen: 1000 of 4096 channels."""
        path = builder.write_map(
            tmp_path / "a.edaxh5", total=np.arange(64, dtype=np.uint32)
        )
        with pytest.warns(UserWarning, match="energies are not known, since SPC has 64"):
            axis = read(path)["axes"][-1]
        assert axis["units"] is None and axis["scale"] == 1.0

    @pytest.mark.parametrize(
        "record", [{"eVOffset": np.nan}, {"evPerChannel": -10.0}, {"eVOffset": 1e30}]
    )
    def test_energies_that_cannot_be(self, tmp_path, record):
        path = builder.write_map(tmp_path / "a.edaxh5", record=record)
        with pytest.warns(UserWarning, match="energies are not known, since evPer"):
            axis = read(path)["axes"][-1]
        assert axis["units"] is None and axis["offset"] == 0.0

    def test_more_channels_of_the_same(self, tmp_path):
        counts = builder.make_counts((4, 5, 48))
        total = np.pad(counts.sum((0, 1), dtype=np.uint32), (0, 16))
        path = builder.write_map(tmp_path / "a.edaxh5", counts=counts, total=total)
        with pytest.warns(UserWarning, match="experimental") as caught:
            axis = read(path)["axes"][-1]
        assert axis["scale"] == pytest.approx(0.01)
        assert "Assumed" not in str(caught[0].message)


class TestOthers:
    @pytest.fixture
    def path(self, tmp_path):
        return builder.write_map(
            tmp_path / "all.edaxh5", names=("Live Map 1", "Live Map 2"), lines=1, spots=2
        )

    def test_all_maps(self, path):
        first, second, line = apex.file_reader(path)
        for i, signal in enumerate((first, second), 1):
            expected = builder.read_counts(path, f"Live Map {i}")
            np.testing.assert_array_equal(signal["data"], expected)
        assert first["metadata"]["General"]["title"] == "all Sample 1 Area 1 Live Map 1"
        expected = builder.make_counts((5, 48), seed=10)
        np.testing.assert_array_equal(line["data"], expected)
        assert [a["name"] for a in line["axes"]] == ["x", "Energy"]
        lazy = read(path, lazy=True, dataset_path="LineScan 1", chunks=(2, 48))["data"]
        assert lazy.chunks == ((2, 2, 1), (48,))
        np.testing.assert_array_equal(lazy.compute(), expected)

    def test_chosen(self, path):
        for name in ("Live Map 2", f"/{builder.AREA}/Live Map 2"):
            data = read(path, dataset_path=name)["data"]
            np.testing.assert_array_equal(data, builder.read_counts(path, "Live Map 2"))
        with pytest.raises(
            FileNotFoundError, match="no 'Live Map 3' in it, expected of Project"
        ):
            apex.file_reader(path, dataset_path="Live Map 3")

    def test_spectra(self, path):
        signals = apex.file_reader(path, select_type="spectrum")
        assert len(signals) == 2
        np.testing.assert_array_equal(
            signals[1]["data"], builder.make_counts((1, 48), seed=21)[0]
        )
        assert eds_of(signals[0])["live_time"] == 20.0

    def test_images(self, path):
        images = apex.file_reader(path, select_type="image", dataset_path="Live Map 1")
        assert [s["data"].shape for s in images] == [(4, 5), (3, 4)]
        np.testing.assert_array_equal(images[0]["data"].ravel(), np.arange(20))
        assert [a["scale"] for a in images[0]["axes"]] == [0.25, 0.5]
        (stack, _) = apex.file_reader(path, select_type="window_integral")
        assert stack["metadata"]["General"]["counters"] == ["Fe K", "Si K"]
        expected = builder.read_counts(path)[..., :5].sum(-1)
        np.testing.assert_array_equal(stack["data"][0], expected)
        with pytest.raises(ValueError, match="select_type is 'images', expected None"):
            apex.file_reader(path, select_type="images")


class TestDamaged:
    def test_another_company(self, tmp_path):
        path = builder.write_map(tmp_path / "a.edaxh5", company="Somebody")
        with pytest.raises(FileFormatError, match="no group has the attribute Company"):
            read(path)

    @pytest.mark.parametrize(
        ("attributes", "message"),
        [({"NumberofChannels": 4096}, "numberofchannels is 4096, expected 48")],
    )
    def test_lies(self, tmp_path, attributes, message):
        path = builder.write_map(tmp_path / "a.edaxh5", attributes=attributes)
        with pytest.raises(FileFormatError, match=message):
            read(path)

    @pytest.mark.parametrize(
        "counts",
        [np.zeros((3, 4)), np.zeros((3, 4, 0), "<i2"), np.zeros((3, 4, 5), "<f4")],
    )
    def test_what_cannot_be(self, path, counts):
        with h5py.File(path, "r+") as file:
            group = file[f"{builder.AREA}/Live Map 1"]
            del group["SPD"]
            group["SPD"] = counts
        with pytest.raises(FileFormatError, match=r"SPD is \(3, 4.*expected integers"):
            read(path)

    def test_negative(self, tmp_path):
        counts = builder.make_counts((4, 5, 48))
        counts[1, 2, 3] = -7
        path = builder.write_map(tmp_path / "a.edaxh5", counts=counts)
        with pytest.raises(CorruptFileError, match="holds -7, expected counts"):
            read(path)

    def test_truncated(self, path):
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(FileFormatError, match="byte"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(path)

    def test_empty(self, tmp_path):
        path = builder.write_map(tmp_path / "a.edaxh5", names=())
        with pytest.raises(FileFormatError, match="holds no maps, line scans or spectra"):
            read(path)

    def test_one_pixel(self, tmp_path):
        path = builder.write_map(tmp_path / "a.edaxh5", (1, 1, 16), storage={})
        assert read(path)["data"].shape == (1, 1, 16)
