"""What the battery and the fuzzer found, each as it was found, or smaller."""

import bz2
import gzip
import struct
import warnings
import zipfile

import h5py
import numpy as np
import pytest

from rsciio_xfm import datastack, edax, emd, esrf, geopixe
from rsciio_xfm.core.hdf5.sizes import check_size
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from tests.builders import datastack as datastack_builder
from tests.builders import edax as edax_builder
from tests.builders import emd as emd_builder
from tests.builders import esrf as esrf_builder
from tests.builders import geopixe as geopixe_builder


def counts(signal):
    return np.asarray(signal["data"])


def change(path, at, new):
    raw = bytearray(path.read_bytes())
    raw[at : at + len(new)] = new
    path.write_bytes(bytes(raw))


def read_warned(read, path, *matches, **options):
    """Read; exactly these warnings are given."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        signals = read(path, **options)
    texts = [str(w.message) for w in caught]
    assert len(texts) == len(matches), texts
    for text, match in zip(texts, matches, strict=True):
        assert match in text
    return signals


def test_dead_time_that_signals(tmp_path):
    """A NaN of the kind that numpy warns of when it is converted."""
    records = geopixe_builder.random_records()
    nan = bytes.fromhex("0100a07f")
    records[3] = records[3][:12] + nan + records[3][16:]
    path = tmp_path / "map.GeoPIXE"
    geopixe_builder.write(path, geopixe_builder.header_tree(), records)
    (signal,) = read_warned(
        geopixe.file_reader, path, "1 of 70 dead times are not recorded"
    )
    assert counts(signal).any()


@pytest.mark.parametrize("field", [28, 30, 32])  # lengths of name, extra field, comment
def test_directory_that_swallows_entries(tmp_path, field):
    """Their chunks were zeros, without a warning."""
    path = datastack_builder.write_stack(tmp_path / "map.datastack")
    truth = counts(datastack.file_reader(path)[0])
    with zipfile.ZipFile(path) as archive:
        at = archive.start_dir
    raw = path.read_bytes()
    for _ in range(6):
        lengths = struct.unpack_from("<HHH", raw, at + 28)
        at += 46 + sum(lengths)
    (length,) = struct.unpack_from("<H", raw, at + field)
    sizes = 46 + sum(struct.unpack_from("<HHH", raw, at + 28))
    following = 46 + sum(struct.unpack_from("<HHH", raw, at + sizes + 28))
    change(path, at + field, struct.pack("<H", length + following))
    with pytest.raises(CorruptFileError, match=r"damaged.*datastack\.repack"):
        datastack.file_reader(path)
    with pytest.warns(UserWarning, match="the zip is damaged"):
        datastack.repack(path, show_progressbar=False)
    np.testing.assert_array_equal(counts(datastack.file_reader(path)[0]), truth)


def test_empty_chunk_of_zstd(tmp_path):
    path = tmp_path / "map.datastack"
    datastack_builder.write_stack(path, codec={"id": "zstd", "level": 1})
    with zipfile.ZipFile(path) as archive:
        items = [(item.filename, archive.read(item)) for item in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in items:
            archive.writestr(name, b"" if "maxrf_cube/c/" in name else data)
    with pytest.raises(CorruptFileError, match="does not say its size"):
        counts(datastack.file_reader(path)[0])


def test_edf_sizes_that_contradict(tmp_path):
    path = esrf_builder.write_line(tmp_path / "line.edf", (7, 64))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"Dim_2 = 7", b"Dim_2 = 5"))
    (signal,) = read_warned(
        esrf.file_reader, path, "says 1792 bytes, expected 1280 for (5, 64)"
    )
    assert counts(signal).shape == (5, 64)


@pytest.mark.parametrize(
    ("kind", "pack"), [("GZIP", gzip.compress), ("BZIP2", bz2.compress)]
)
def test_edf_that_unpacks_to_more(tmp_path, kind, pack):
    """fabio would unpack all of it."""

    def write(n_bytes):
        packed = pack(bytes(range(256)) * (n_bytes // 256))
        header = {"HeaderID": "EH:000001:000000:000000", "Image": 1}
        header |= {"ByteOrder": "LowByteFirst", "DataType": "UnsignedLong"}
        header |= {"Dim_1": 64, "Dim_2": 7, "COMPRESSION": kind, "Size": len(packed)}
        text = "{\n" + "".join(f"{k} = {v} ;\n" for k, v in header.items())
        (tmp_path / "a.edf").write_bytes((text.ljust(1022) + "}\n").encode() + packed)
        return tmp_path / "a.edf"

    (signal,) = esrf.file_reader(write(7 * 64 * 4))
    assert counts(signal).shape == (7, 64) and counts(signal).any()
    with pytest.raises(CorruptFileError, match="unpacks to more than the 1792 bytes"):
        esrf.file_reader(write(2**26))


def test_edf_that_is_padded(tmp_path):
    path = esrf_builder.write_line(tmp_path / "line.edf", (7, 64))
    raw = path.read_bytes()
    path.write_bytes(raw.replace(b"Size = 1792", b"Size = 2048") + bytes(256))
    (signal,) = read_warned(esrf.file_reader, path)
    assert counts(signal).shape == (7, 64)


def test_edf_of_many_axes(tmp_path):
    """fabio makes a list of as many."""
    path = tmp_path / "a.edf"
    path.write_bytes(b"{\nDim_99999999999 = 1 ;\n".ljust(510) + b"}\n")
    with pytest.raises(FileFormatError, match="a key Dim_99999999999, expected at most"):
        esrf.file_reader(path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: raw[:700] + b"\0\0\0" + raw[700:],
        lambda raw: raw[:700] + raw[704:],
        lambda raw: raw[:28] + struct.pack("<i", 3844) + raw[32:],
    ],
)
def test_spc_of_another_size(tmp_path, damage):
    path = edax_builder.write_spc(tmp_path / "point.spc")
    path.write_bytes(damage(path.read_bytes()))
    read_warned(edax.file_reader, path, "if it is damaged, the counts can be wrong")


@pytest.mark.parametrize("distance", ["1e308", "-1e308", "nan", "inf"])
def test_distances_beyond_all(tmp_path, distance):
    path = edax_builder.write_line(tmp_path / "line.lsd")
    edax_builder.write_csv(path.with_suffix(".csv"), [0, distance, 6])
    (signal,) = read_warned(edax.file_reader, path, "a distance is")
    assert signal["axes"][0]["units"] is None


class TestChunks:
    """Of HDF5, which reads on behind them."""

    @pytest.fixture
    def place(self, tmp_path):
        """A file with a chunked dataset, and the byte of the keys of its tree."""
        path = tmp_path / "map.h5"
        with h5py.File(path, "w") as file:
            data = np.arange(6 * 64, dtype="u2").reshape(6, 64)
            file.create_dataset("entry/mca", data=data, chunks=(2, 64))
            file["entry/mca"].attrs["interpretation"] = "spectrum"
        raw = path.read_bytes()
        # Of the tree of chunks, type 1: keys of size, mask, offsets; and addresses.
        at = next(
            i for i in range(len(raw)) if raw[i : i + 5] == b"TREE\1" and raw[i + 6] == 3
        )
        return path, at + 24

    def test_whole(self, place):
        assert counts(esrf.file_reader(place[0])[0]).shape == (6, 64)

    @pytest.mark.parametrize("size", [0, 128, 255])
    def test_size(self, place, size):
        path, at = place
        change(path, at, struct.pack("<I", size))
        with pytest.raises(CorruptFileError, match=f"has {size} bytes, stands twice"):
            esrf.file_reader(path)

    def test_twice(self, place):
        path, at = place
        raw = path.read_bytes()
        key = 8 + 3 * 8  # and its address
        change(path, at + key + 8, raw[at : at + key + 8])
        with pytest.raises(CorruptFileError, match="stands twice"):
            esrf.file_reader(path)

    @pytest.mark.parametrize(
        ("entry", "number"), [(16, 64), (16, 2**63), (16, 2**64 - 64), (32, 2**64 - 1)]
    )
    def test_outside(self, place, entry, number):
        """In the second axis, or in no place of the file: HDF5 itself has zeros there."""
        path, at = place
        change(path, at + entry, struct.pack("<Q", number))
        with pytest.raises(CorruptFileError, match="lies outside"):
            esrf.file_reader(path)

    def test_texts(self, tmp_path):
        """Their size in memory is another one than in the file."""
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file.create_dataset("text", data=["a", "bb", "c"], chunks=(2,))
            check_size(tmp_path / "a.h5", file["text"])


@pytest.mark.parametrize("read", [emd.file_reader, esrf.file_reader])
def test_address_beyond_the_file(tmp_path, read):
    """Where the system cannot go at all; it has no name of a file in its error."""
    path = emd_builder.write_ncem(tmp_path / "map.emd")
    change(path, 48, struct.pack("<Q", 1 << 62))
    with pytest.raises(CorruptFileError, match=r"beyond the end.*4611686018427387904"):
        read(path)


def test_detector_that_cannot_be_read(tmp_path):
    """The other one is read, and it is said."""
    path = tmp_path / "scan.h5"
    truth = esrf_builder.write_bliss(path)
    with h5py.File(path) as file:
        group = file["1.1/instrument/fx1_det1"]
        at = h5py.h5o.get_info(group["data"].id).addr
    change(path, at, b"\xff" * 8)
    signals = read_warned(esrf.file_reader, path, "HDF5 cannot read 1.1/")
    assert len(signals) == 1
    np.testing.assert_array_equal(counts(signals[0]), truth["counts"][0])


def test_axis_that_is_a_type(tmp_path):
    path = emd_builder.write_ncem(tmp_path / "map.emd")
    with h5py.File(path, "a") as file:
        del file["signals/map/dim1"]
        file["signals/map/dim1"] = np.dtype("f8")
    with pytest.raises(
        CorruptFileError, match="cannot read the axes of signals/map/data"
    ):
        emd.file_reader(path)


def test_signal_of_very_many_chunks(tmp_path):
    """A graph of tasks of as many as the file has took minutes."""
    path = tmp_path / "map.emd"
    signal = {
        "data": np.zeros((4, 5, 32), np.float32),
        "axes": [
            {
                "name": n,
                "size": s,
                "scale": 1,
                "offset": 0,
                "units": "",
                "navigate": i < 2,
            }
            for i, (n, s) in enumerate((("y", 4), ("x", 5), ("E", 32)))
        ],
        "metadata": {"General": {}, "Signal": {"signal_type": "EDS_TEM"}},
        "original_metadata": {},
    }
    emd.file_writer(path, signal, chunks=(4, 5, 1))
    with h5py.File(path, "a") as file:
        (group,) = file["signals"].values()
        del group["rsciio_xfm"], group["data"]
        group.create_dataset(
            "data",
            shape=(400_000, 5, 4),
            dtype="f4",
            chunks=(20, 5, 1),
            maxshape=(None,) * 3,
        )
        del group["dim1"]
        group["dim1"] = np.arange(400_000.0)
        group["dim1"].attrs.update({"name": "E", "units": ""})
    (signal,) = emd.file_reader(path, lazy=True)
    assert signal["data"].shape == (4, 5, 400_000)
    assert signal["data"].npartitions < 1000
