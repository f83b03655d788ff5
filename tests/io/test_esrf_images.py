"""EDF images, series of them, and other images that fabio reads."""

import gzip
import logging
import pickle
from concurrent.futures import ThreadPoolExecutor

import dask
import fabio
import numpy as np
import pytest

from rsciio_xfm import esrf
from rsciio_xfm.exceptions import (
    CorruptFileError,
    FileFormatError,
    TruncatedFileError,
)
from tests.builders import esrf as build
from tests.conftest import DATA
from tests.io.esrf_common import axis, read, read_one, values

FRAMES = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)


@pytest.fixture
def stack(tmp_path):
    build.write_edf_images(tmp_path / "a.edf", FRAMES)
    return tmp_path / "a.edf"


class TestRealFiles:
    @pytest.fixture(params=["dark", "flat", "data"])
    def path(self, request):
        path = DATA / "esrf" / "diatom" / f"{request.param}.edf"
        if not path.is_file():
            pytest.skip(f"{path} is not there")
        return path

    @pytest.mark.parametrize("lazy", [False, True])
    def test_equal_to_fabio(self, path, lazy):
        signal = read_one(path, lazy=lazy)
        with fabio.open(str(path)) as image:
            np.testing.assert_array_equal(values(signal), image.data)
            assert signal["data"].dtype == image.data.dtype
            assert signal["original_metadata"]["header"] == dict(image.header)
        assert [a["navigate"] for a in signal["axes"]] == [False, False]

    def test_equal_to_silx(self, path):
        import silx.io

        with silx.io.open(str(path)) as file:
            expected = np.squeeze(file["scan_0/image/data"][()])
        np.testing.assert_array_equal(values(read_one(path)), expected)


class TestImages:
    @pytest.mark.parametrize(
        "dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"]
    )
    def test_types(self, tmp_path, dtype):
        image = np.arange(-6, 6).astype(dtype).reshape(3, 4)
        build.write_edf(tmp_path / "a.edf", image)
        for lazy in (False, True):
            signal = read_one(tmp_path / "a.edf", lazy=lazy)
            np.testing.assert_array_equal(values(signal), image)
            assert signal["data"].dtype == np.dtype(dtype)

    def test_byte_order(self, tmp_path):
        path = tmp_path / "a.edf"
        build.write_edf(path, FRAMES[0])
        raw = path.read_bytes()
        raw = raw.replace(b"LowByteFirst ", b"HighByteFirst")
        start = len(raw) - FRAMES[0].nbytes
        path.write_bytes(raw[:start] + FRAMES[0].astype(">u2").tobytes())
        with fabio.open(str(path)) as image:
            np.testing.assert_array_equal(image.data, FRAMES[0])
        np.testing.assert_array_equal(values(read_one(path)), FRAMES[0])

    @pytest.mark.parametrize("chunks", ["auto", (2, 4, 3), (1, 6, 7), -1])
    def test_frames(self, stack, chunks):
        signal = read_one(stack, lazy=True, chunks=chunks)
        np.testing.assert_array_equal(values(signal), FRAMES)
        assert [a["navigate"] for a in signal["axes"]] == [True, False, False]
        data = pickle.loads(pickle.dumps(signal["data"]))
        part = np.s_[4:1:-2, 1:5, 6]
        np.testing.assert_array_equal(data[part].compute(), FRAMES[part])
        np.testing.assert_array_equal(data.compute(), FRAMES)

    def test_in_processes(self, stack):
        data = read_one(stack, lazy=True, chunks=(2, 4, 3))["data"]
        with dask.config.set(scheduler="processes", num_workers=2):
            np.testing.assert_array_equal(data.compute(), FRAMES)

    def test_one_pixel(self, tmp_path):
        build.write_edf(tmp_path / "a.edf", np.array([[7]], np.uint8))
        assert values(read_one(tmp_path / "a.edf", lazy=True)).tolist() == [[7]]

    def test_motors_and_counters(self, tmp_path):
        path = tmp_path / "a.edf"
        own = [{"motor_pos": f"{i} -3 12.5"} for i in range(5)]
        build.write_edf_images(path, FRAMES, {"PSize_1": "1e-6", "PSize_2": "2e-6"}, own)
        signal = read_one(path)
        found = signal["metadata"]["Acquisition_instrument"]["ESRF"]
        assert found["motors"]["sampy"].tolist() == [0, 1, 2, 3, 4]
        assert found["motors"]["energy"] == 12.5
        assert found["counters"] == {"sec": 0.1, "I0": 123456.0}
        frames = signal["original_metadata"]["frames"]
        assert frames["motor_pos"] == [h["motor_pos"] for h in own]
        assert axis(signal, 1) == ("y", 0.0, pytest.approx(2.0), "µm")
        assert axis(signal, 2) == ("x", 0.0, pytest.approx(1.0), "µm")

    def test_frames_of_several_sizes(self, tmp_path):
        path = tmp_path / "a.edf"
        frames = [FRAMES[0], FRAMES[1, :3], FRAMES[2], FRAMES[3].astype(np.float32)]
        build.write_edf_images(path, frames)
        signals = read(path, lazy=True)
        assert [s["data"].shape for s in signals] == [(2, 6, 7), (3, 7), (6, 7)]
        np.testing.assert_array_equal(values(signals[0]), FRAMES[[0, 2]])
        np.testing.assert_array_equal(values(signals[1]), FRAMES[1, :3])

    def test_fabio_logs_again(self, stack):
        """Also if several threads have read at the same time."""
        logger = logging.getLogger("fabio")
        before = logger.level
        logger.setLevel(logging.ERROR)
        try:
            with ThreadPoolExecutor(4) as pool:
                for signals in pool.map(lambda _: esrf.file_reader(stack), range(40)):
                    np.testing.assert_array_equal(values(signals[0]), FRAMES)
            assert logger.level == logging.ERROR
        finally:
            logger.setLevel(before)

    def test_packed(self, stack, tmp_path):
        packed = tmp_path / "b.edf.gz"
        packed.write_bytes(gzip.compress(stack.read_bytes()))
        signal = read_one(packed, lazy=True)
        np.testing.assert_array_equal(values(signal), FRAMES)

    @pytest.mark.parametrize("key", ["mca", "McaCalib"])
    def test_spectra(self, tmp_path, key):
        """An image whose header has a calibration holds spectra."""
        counts = build.make_counts((7, 64))
        header = {"McaCalib": "[-0.5, 0.02, 0]"}
        if key == "mca":
            header = {"MCA a": -0.5, "MCA b": 0.02, "MCA c": 0, "MCA start ch": 3}
        build.write_edf(tmp_path / "a.edf", counts, header)
        signal = read_one(tmp_path / "a.edf", lazy=True)
        np.testing.assert_array_equal(values(signal), counts)
        first = 3 if key == "mca" else 0
        offset = pytest.approx(-0.5 + 0.02 * first)
        assert axis(signal, 1) == ("Energy", offset, 0.02, "keV")
        assert signal["metadata"]["Signal"]["signal_type"] == "EDS_XFM"
        image = read_one(tmp_path / "a.edf", select_type="image")
        assert image["metadata"]["Signal"]["signal_type"] == ""


class TestSeries:
    @pytest.fixture
    def folder(self, tmp_path):
        for i, frame in enumerate(FRAMES):
            build.write_edf(tmp_path / f"img_{i + 7}.edf", frame, {"i": i})
        build.write_edf(tmp_path / "img2_8.edf", FRAMES[0])
        build.write_edf(tmp_path / "other.edf", FRAMES[0])
        return tmp_path

    @pytest.mark.parametrize("series", [True, "img_*.edf"])
    def test_order(self, folder, series):
        """Of numbers, not of text: 9 before 10."""
        signal = read_one(folder / "img_9.edf", series=series, lazy=True)
        np.testing.assert_array_equal(values(signal), FRAMES)
        assert signal["original_metadata"]["frames"]["i"] == list("01234")

    def test_gaps(self, folder):
        (folder / "img_9.edf").unlink()
        with pytest.warns(UserWarning, match="1 of the files numbered 7 to 11"):
            (signal,) = esrf.file_reader(folder / "img_7.edf", series=True)
        np.testing.assert_array_equal(values(signal), FRAMES[[0, 1, 3, 4]])

    @pytest.mark.parametrize("own", ["img_9.edf", "img_009.edf"])
    def test_one_number_twice(self, folder, own):
        """The file that was asked for is among those that are read."""
        build.write_edf(folder / "img_009.edf", FRAMES[0])
        with pytest.warns(UserWarning, match=f"the same number.*: {own} is taken"):
            (signal,) = esrf.file_reader(folder / own, series=True)
        third = FRAMES[2 if own == "img_9.edf" else 0]
        np.testing.assert_array_equal(values(signal)[2], third)
        assert len(values(signal)) == 5

    def test_through_hyperspy(self, folder):
        import hyperspy.api as hs

        signal = hs.load(folder / "img_7.edf", series=True, lazy=True)
        assert type(signal).__name__ == "LazySignal2D"
        assert signal.axes_manager.shape == (5, 7, 6)
        stacked = hs.load(str(folder / "img_*.edf"), stack=True)
        assert stacked.axes_manager.shape == (5, 7, 6)

    def test_one_file(self, tmp_path):
        build.write_edf(tmp_path / "a_1.edf", FRAMES[0])
        assert values(read_one(tmp_path / "a_1.edf", series=True)).shape == (1, 6, 7)

    def test_of_images_that_were_saved_here(self, tmp_path):
        """Each holds the axes of itself: that these are not of all of them is no news."""
        import hyperspy.api as hs

        for i, frame in enumerate(FRAMES[:3]):
            hs.signals.Signal2D(frame).save(tmp_path / f"a_{i}.edf")
        found = hs.load(tmp_path / "a_0.edf", series=True)
        np.testing.assert_array_equal(found.data, FRAMES[:3])

    def test_no_series(self, folder):
        with pytest.raises(FileFormatError, match="has no number"):
            read(folder / "other.edf", series=True)
        with pytest.raises(FileFormatError, match="matches the pattern"):
            read(folder / "other.edf", series="x*.edf")

    def test_replaced(self, folder):
        data = read_one(folder / "img_7.edf", series=True, lazy=True)["data"]
        build.write_edf(folder / "img_9.edf", FRAMES[0], {"a": 1})
        with pytest.raises(CorruptFileError, match=r"img_9.edf: the file was changed"):
            data.compute()


class TestOthers:
    def test_cbf_and_tif(self, tmp_path):
        import fabio.cbfimage
        import fabio.tifimage
        import hyperspy.api as hs

        image = FRAMES[0].astype(np.int32)
        fabio.cbfimage.CbfImage(data=image).write(str(tmp_path / "a.cbf"))
        fabio.tifimage.TifImage(data=FRAMES[0]).write(str(tmp_path / "a.tif"))
        signal = hs.load(tmp_path / "a.cbf", file_format="ESRF", lazy=True)
        np.testing.assert_array_equal(signal.data.compute(), image)
        signal = hs.load(tmp_path / "a.tif", file_format="fabio")
        np.testing.assert_array_equal(signal.data, FRAMES[0])

    def test_mask_of_fit2d(self, tmp_path):
        import fabio.fit2dmaskimage

        mask = np.random.default_rng(0).integers(0, 2, (64, 96)).astype(np.uint8)
        fabio.fit2dmaskimage.Fit2dMaskImage(data=mask).write(str(tmp_path / "a.msk"))
        np.testing.assert_array_equal(values(read_one(tmp_path / "a.msk")), mask)


class TestBadInput:
    def test_cut_image(self, tmp_path):
        path = tmp_path / "a.edf"
        build.write_edf(path, FRAMES[0])
        raw = path.read_bytes()
        path.write_bytes(raw[: -2 * 14 - 3])  # two rows and a little
        with pytest.warns(UserWarning, match=r"3 of 6 rows of frame 0 .*byte"):
            (signal,) = esrf.file_reader(path)
        np.testing.assert_array_equal(signal["data"][:3], FRAMES[0, :3])
        assert not signal["data"][3:].any()
        path.write_bytes(raw[: len(raw) - FRAMES[0].nbytes + 3])
        with pytest.raises(TruncatedFileError, match="has 3 of the 84 bytes"):
            read(path)
        path.write_bytes(raw[:100])
        with pytest.raises(FileFormatError, match="fabio cannot read it"):
            read(path)

    def test_cut_stack(self, stack):
        raw = stack.read_bytes()
        stack.write_bytes(raw[: -FRAMES[0].nbytes - 100])
        found = read_one(stack, n_warnings=0)
        np.testing.assert_array_equal(values(found), FRAMES[:4])

    @pytest.mark.parametrize("key", ["Dim_1", "Dim_2"])
    def test_lying_size(self, tmp_path, key):
        path = tmp_path / "a.edf"
        build.write_edf(path, FRAMES[0])
        old = b"Dim_1 = 7" if key == "Dim_1" else b"Dim_2 = 6"
        raw = path.read_bytes()
        path.write_bytes(raw.replace(old, old[:-1] + b"999999999"))
        with pytest.raises(CorruptFileError, match="the header of frame 0 says 84 bytes"):
            read(path, lazy=True)
        raw = path.read_bytes().replace(b"Size = 84", b"Xize = 84")
        raw = raw.replace(b"EDF_BinarySize", b"EDF_BinaryXize")
        path.write_bytes(raw)
        with pytest.raises(TruncatedFileError, match="of its first"):
            read(path, lazy=True)

    @pytest.mark.parametrize(
        ("old", "new", "text"),
        [
            (b"Dim_2 = 6", b"Dim_2 = -6", "expected an image of numbers"),
            (b"Dim_1 = 7", b"Dim_1 = 0", "expected an image of numbers"),
            (b"EDF_BinarySize = 84", b"EDF_BinarySize = 10", "says 10 bytes"),
            (
                b"Size = 84 ;\n",
                b"Size = 84 ;\nCompression = x ;\n",
                "compression of frame 0",
            ),
        ],
    )
    def test_headers_that_lie(self, tmp_path, old, new, text):
        path = tmp_path / "a.edf"
        build.write_edf(path, FRAMES[0])
        raw = path.read_bytes()
        at = raw.rindex(old)
        path.write_bytes(raw[:at] + new + raw[at + len(old) :])
        with pytest.raises(FileFormatError, match=text):
            read(path, lazy=True)

    def test_byte_order_that_is_none(self, tmp_path):
        path = tmp_path / "a.edf"
        build.write_edf(path, FRAMES[0])
        raw = path.read_bytes()
        path.write_bytes(raw.replace(b"LowByteFirst", b"x           "))
        with pytest.warns(UserWarning, match="the byte order of frame 0 is 'x'"):
            (signal,) = esrf.file_reader(path)
        np.testing.assert_array_equal(signal["data"], FRAMES[0])

    @pytest.mark.parametrize("series", [5, None, "/*.edf"])
    def test_wrong_series(self, stack, series):
        with pytest.raises(ValueError, match="series is"):
            read(stack, series=series)

    @pytest.mark.parametrize("content", [b"no image", b"{\n", b"\0" * 2000])
    def test_none_of_them(self, tmp_path, content):
        (tmp_path / "a.edf").write_bytes(content)
        with pytest.raises(FileFormatError, match=r"a.edf: "):
            read(tmp_path / "a.edf")

    def test_empty(self, tmp_path):
        (tmp_path / "a.edf").write_bytes(b"")
        with pytest.raises(FileFormatError, match="the file is empty"):
            read(tmp_path / "a.edf")

    def test_without_fabio(self, stack, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "fabio", None)
        with pytest.raises(ImportError, match=r"rsciio-xfm\[esrf\]"):
            read(stack)
