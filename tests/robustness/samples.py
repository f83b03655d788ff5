"""A small file of each kind that is read, where its parts are, and what is to be read."""

import contextlib
import importlib
import importlib.util
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from rsciio_xfm import (
    apex,
    bruker,
    crono,
    datastack,
    edax,
    emd,
    esrf,
    geopixe,
    hmsa,
    jeol,
    msa,
    oxford,
    ripple,
    text_spectra,
)
from rsciio_xfm._register import read_specifications
from rsciio_xfm.exceptions import CorruptFileError
from tests.builders import apex as apex_builder
from tests.builders import bruker as bruker_builder
from tests.builders import crono as crono_builder
from tests.builders import datastack as datastack_builder
from tests.builders import edax as edax_builder
from tests.builders import emd as emd_builder
from tests.builders import esrf as esrf_builder
from tests.builders import geopixe as geopixe_builder
from tests.builders import hdf5_layouts as layouts_builder
from tests.builders import hmsa as hmsa_builder
from tests.builders import jeol as jeol_builder
from tests.builders import msa as msa_builder
from tests.builders import oxford as oxford_builder
from tests.builders import ripple as ripple_builder
from tests.builders import text_spectra as text_builder

Regions = dict[str, list[tuple[int, int]]]
# Name of the region where there are counts, which are any numbers.
DATA = "data"


@dataclass(frozen=True)
class Sample:
    """A small file.

    Attributes
    ----------
    name
        What it is.
    write
        ``write(folder)`` makes the files in an empty folder, and returns the path to load.
    read
        ``read(path)`` returns signals as dictionaries, lazy.
    find_parts
        ``find_parts(path)`` returns the regions of the file that is damaged, and the bytes at
        which something begins in it.
    damage
        Suffix of the file that is damaged, if it is not the one to load.
    decode
        ``decode(path)`` returns the counts of each map as others read them, or raises.
    extra
        Package that has to be installed.
    """

    name: str
    write: Callable[[Path], Path]
    read: Callable[[Path], list[dict[str, Any]]]
    find_parts: Callable[[Path], tuple[Regions, list[int]]]
    damage: str | None = None
    decode: Callable[[Path], list[np.ndarray]] | None = None
    extra: str | None = None

    @property
    def is_here(self) -> bool:
        return self.extra is None or importlib.util.find_spec(self.extra) is not None

    def damaged_path(self, path: Path) -> Path:
        return path if self.damage is None else path.with_suffix(self.damage)


# Parts of files -------------------------------------------------------------------------


def parts_of_geopixe(path: Path) -> tuple[Regions, list[int]]:
    content = path.read_bytes()
    at = 2 + struct.unpack_from("<H", content)[0]
    regions: Regions = {"header": [(0, at)], "record headers": [], DATA: []}
    boundaries = [2, at]
    while at + 16 <= len(content):
        length = struct.unpack_from("<2sI", content, at)[1]
        regions["record headers"].append((at, at + 16))
        if length > 16:
            regions[DATA].append((at + 16, at + length))
        boundaries += [at + 16, at + length]
        at += length
    return regions, boundaries


def parts_of_spd(path: Path) -> tuple[Regions, list[int]]:
    size = path.stat().st_size
    fields = [16 + 4 * i for i in range(9)]
    spectra = list(range(1068, size, max(1, (size - 1068) // 35)))
    return {"header": [(0, 48)], DATA: [(1068, size)]}, [*fields, 948, *spectra]


def parts_of_all(path: Path, name: str = "file") -> tuple[Regions, list[int]]:
    """Of a small file in which nothing stands out."""
    size = path.stat().st_size
    return {name: [(0, size)]}, list(range(0, size, max(16, size // 200)))


def parts_of_spc(path: Path) -> tuple[Regions, list[int]]:
    header = [(0, 28), (34, 40), (384, 792)]
    # How many counts there are, nothing else tells.
    counts = [(28, 34), (3840, 3840 + 4 * 32)]
    return {"header": header, DATA: counts}, [28, 384, 640, 3840, 3968, 20224]


def parts_of_zip(path: Path) -> tuple[Regions, list[int]]:
    content = path.read_bytes()
    regions: Regions = {"local headers": [], "descriptions": [], DATA: []}
    boundaries = []
    with zipfile.ZipFile(path) as archive:
        directory = archive.start_dir
        for item in archive.infolist():
            at = item.header_offset
            name, more = struct.unpack_from("<HH", content, at + 26)
            data = at + 30 + name + more
            regions["local headers"].append((at, data))
            is_chunk = not item.filename.rpartition("/")[2].startswith((".z", "zarr"))
            place = (data, data + item.compress_size)
            if item.compress_size:
                regions[DATA if is_chunk else "descriptions"].append(place)
            boundaries += [at, data, data + item.compress_size]
    end = content.rindex(b"PK\5\6")
    regions |= {"directory": [(directory, end)], "end": [(end, len(content))]}
    return regions, [*boundaries, directory, end]


def parts_of_hdf5(path: Path) -> tuple[Regions, list[int]]:
    """All that is no data of a dataset is structure: trees, heaps, headers."""
    data, boundaries = [], []

    def visit(_: str, item: h5py.Group | h5py.Dataset) -> None:
        boundaries.append(h5py.h5o.get_info(item.id).addr)
        if isinstance(item, h5py.Dataset) and item.id.get_storage_size():
            if item.chunks is None:
                start = item.id.get_offset()
                if start is not None:  # small ones are within their header
                    data.append((start, start + item.id.get_storage_size()))
            else:
                infos = [
                    item.id.get_chunk_info(i) for i in range(item.id.get_num_chunks())
                ]
                data.extend((i.byte_offset, i.byte_offset + i.size) for i in infos)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    content = path.read_bytes()
    for mark in (b"TREE", b"SNOD", b"HEAP", b"GCOL", b"OHDR", b"OCHK", b"FRHP", b"BTHD"):
        at = content.find(mark)
        while at >= 0:
            boundaries.append(at)
            at = content.find(mark, at + 4)
    data.sort()
    starts = [0, *(stop for _, stop in data)]
    stops = [*(start for start, _ in data), len(content)]
    gaps = [(a, b) for a, b in zip(starts, stops, strict=True) if a < b]
    # Each part of the structure of up to 512 bytes is hit as often as another.
    structure = [
        (a, min(a + 512, stop)) for start, stop in gaps for a in range(start, stop, 512)
    ]
    regions = {"structure": structure, "structure ": structure, DATA: data or structure}
    return regions, [*boundaries, *(a for place in data for a in place)]


def parts_of_edf(path: Path) -> tuple[Regions, list[int]]:
    content = path.read_bytes()
    headers, at = [], 0
    while (start := content.find(b"{", at)) >= 0 and (
        stop := content.find(b"}\n", start)
    ) > 0:
        headers.append((start, stop + 2))
        size = int(content[start:stop].split(b"Size =")[-1].split(b";")[0])
        at = stop + 2 + size
    starts = [stop for _, stop in headers]
    stops = [*(start for start, _ in headers[1:]), len(content)]
    data = list(zip(starts, stops, strict=True))
    lines = [
        i for i in range(len(content)) if content[i : i + 1] == b"\n" and i < starts[-1]
    ]
    return {"header": headers, DATA: data}, [*lines, *starts, *stops]


def parts_of_spec(path: Path) -> tuple[Regions, list[int]]:
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    headers, data, starts, at = [], [], [], 0
    for line in lines:
        (headers if line.startswith(b"#") else data).append((at, at + len(line)))
        starts.append(at)
        at += len(line)
    return {"header": headers, DATA: data}, starts


def parts_of_msa(path: Path) -> tuple[Regions, list[int]]:
    content = path.read_bytes()
    places, at = [], 0
    for line in content.splitlines(keepends=True):
        places.append((at, at + len(line), line.startswith(b"#")))
        at += len(line)
    header = [(start, stop) for start, stop, is_keyword in places if is_keyword]
    data = [(start, stop) for start, stop, is_keyword in places if not is_keyword]
    return {"header": header, DATA: data}, [start for start, _, _ in places]


def parts_of_pts(path: Path) -> tuple[Regions, list[int]]:
    size, start = path.stat().st_size, jeol_builder.DATA
    head = jeol_builder.HEAD
    (n_bytes,) = struct.unpack_from("<I", path.read_bytes(), 24)
    regions: Regions = {
        "head": [(0, 36)],
        "header": [(head + 12, head + n_bytes)],
        DATA: [(start, size)],
    }
    tree = range(head + 12, head + n_bytes, 40)
    words = range(start, size, max(2, (size - start) // 70 * 2))
    return regions, [0, 12, 20, 28, 36, head, *tree, *words]


def parts_of_xml(path: Path) -> tuple[Regions, list[int]]:
    content = path.read_bytes()
    edges = [at for at, byte in enumerate(content) if byte in b"<>"]
    at = content.find(b"<Channels>")
    return {"header": [(0, at)], DATA: [(at, len(content))]}, edges


# What others read -----------------------------------------------------------------------


def decode_geopixe(path: Path, shape: tuple[int, int, int, int]) -> list[np.ndarray]:
    counts = np.zeros(shape, np.uint32)
    for (x, y, detector), (_, spectrum) in geopixe_builder.decode(path).items():
        for channel, n in spectrum.items():
            counts[detector, y, x, channel] += n
    return [counts.sum(0)]


def decode_pts(path: Path) -> list[np.ndarray]:
    """Return the frames, and the sum of those that come to their last row."""
    shape, n_frames, events = jeol_builder.decode(path)
    frames = np.zeros((n_frames, *shape, jeol_builder.N_CHANNELS), np.uint16)
    np.add.at(frames, tuple(np.array(events).T), 1)
    is_whole_frame = frames[:, -1].any(axis=(1, 2))
    return [frames, frames[is_whole_frame].sum(axis=0)]


def decode_jeol(path: Path) -> list[np.ndarray]:
    from rsciio.jeol import file_reader

    with warnings.catch_warnings():
        # It leaves the closing of a spectrum's file to Python.
        warnings.simplefilter("ignore", ResourceWarning)
        return [np.asarray(signal["data"]) for signal in file_reader(str(path))]


def decode_spd(path: Path) -> list[np.ndarray]:
    content = path.read_bytes()
    header = struct.unpack_from(edax_builder.SPD_HEADER, content)
    n_points, n_lines, n_channels, n_bytes, offset = header[3:8]
    counts = np.frombuffer(
        content, f"<u{n_bytes}", n_points * n_lines * n_channels, offset
    )
    return [counts.reshape(n_lines, n_points, n_channels)]


def decode_ripple(path: Path, shape: tuple[int, int, int]) -> list[np.ndarray]:
    """Return the numbers as they lie, and channels last of images."""
    numbers = np.fromfile(path.with_suffix(".raw"), "<u2")
    height, width, depth = shape
    if numbers.size != height * width * depth:
        return [numbers]
    images = numbers.reshape(depth, height, width)
    return [numbers, images.transpose(1, 2, 0)]


def decode_hdf5(path: Path) -> list[np.ndarray]:
    """Return all datasets that h5py can read, as they are and with channels last."""
    found: list[np.ndarray] = []

    def visit(group: h5py.Group, depth: int = 0) -> None:
        for name in group:
            with contextlib.suppress(Exception):
                item = group[name]
                if isinstance(item, h5py.Group) and depth < 6:
                    visit(item, depth + 1)
                elif (
                    item.dtype.base.kind in "iuf"
                    and item.ndim > 1
                    and item.nbytes < 2**24
                ):
                    array = item[()]
                    found.extend([array, np.moveaxis(array, 0, -1), array.T])

    # Heaps that HDF5 would go round in for ever are not needed.
    with open(path, "rb") as raw, h5py.File(raw, "r") as file:
        visit(file)
    return found


def decode_edf(path: Path) -> list[np.ndarray]:
    import fabio

    with fabio.open(str(path)) as image:
        if image.nframes == 1:
            return [image.data]
        frames = [image.getframe(i).data for i in range(image.nframes)]
    return [np.stack(frames)]


# Samples --------------------------------------------------------------------------------


def _write(
    builder: Callable, name: str, *args: Any, **kwds: Any
) -> Callable[[Path], Path]:
    """Return a writer of one file into a folder."""

    def write(folder: Path) -> Path:
        builder(folder / name, *args, **kwds)
        return folder / name

    return write


def _write_xia(folder: Path) -> Path:
    esrf_builder.write_xia(folder, shape=(3, 4), detectors=(0,), n_channels=32)
    return folder / "zap_xia00_0001_0000_0001.edf"


def _write_saved_emd(folder: Path) -> Path:
    source = emd_builder.write_velox(
        folder / "source.emd", emd_builder.make_counts((1, 2, 4, 5, 32))
    )
    options = {"lazy": True, "select_type": "spectrum_image", "cache": False}
    (signal,) = emd.file_reader(source, **options)
    emd.file_writer(folder / "map.emd", signal)
    source.unlink()
    return folder / "map.emd"


def _write_raw(folder: Path) -> Path:
    return datastack_builder.write_raw(folder, datastack_builder.make_counts((4, 5, 32)))[
        0
    ]


def _write_frames(folder: Path) -> Path:
    frames = esrf_builder.make_counts((3, 8, 9), dtype=np.uint16)
    esrf_builder.write_edf_images(folder / "frames.edf", frames)
    return folder / "frames.edf"


def _read_raw(path: Path) -> list[dict[str, Any]]:
    """Convert, for there is no lazy reader of a raw file; what is made is read."""
    stack = path.with_name("made.datastack")
    try:
        datastack.convert(
            path,
            path.with_suffix(".rpl"),
            stack,
            sigma=0,
            keep_integers=True,
            show_progressbar=False,
            overwrite=True,
        )
        return datastack.file_reader(stack)
    finally:
        stack.unlink(missing_ok=True)


def _read_stack(path: Path) -> list[dict[str, Any]]:
    """Read a stack; what cannot be opened is mended first."""
    try:
        return datastack.file_reader(path, lazy=True)
    except CorruptFileError as error:
        if "datastack.repack" not in str(error):
            raise
    mended = path.with_name("mended.datastack")
    datastack.repack(path, None, mended, show_progressbar=False, overwrite=True)
    return datastack.file_reader(mended, lazy=True)


def _read(reader: Callable, **options: Any) -> Callable[[Path], list[dict[str, Any]]]:
    return partial(reader, lazy=True, **options)


_GEOPIXE = (2, 5, 7, 32)
_CODECS = {
    "plain": None,
    "blosc": {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 1, "blocksize": 0},
    "gzip": {"id": "gzip", "level": 1},
    "zstd": {"id": "zstd", "level": 1},
}


def _zarr(version: int, codec: str) -> Callable[[Path], Path]:
    shape = (4, 6, 48)
    arrays = {"maxrf_cube": datastack_builder.make_counts(shape)}
    arrays["maxrf_energies"] = np.arange(48) / 100
    return _write(
        datastack_builder.write_stack,
        "map.datastack",
        arrays,
        (2, 3, 24),
        zarr_format=version,
        codec=_CODECS[codec],
    )


_PICTURE = bruker_builder.image("", list(range(35)), 7, 5)
SAMPLES = {
    sample.name: sample
    for sample in (
        Sample(
            "GeoPIXE",
            _write(geopixe_builder.write_map, "map.GeoPIXE"),
            _read(geopixe.file_reader),
            parts_of_geopixe,
            decode=partial(decode_geopixe, shape=_GEOPIXE),
        ),
        Sample(
            "JEOL .pts",
            _write(jeol_builder.write_map, "map.pts", (4, 4)),
            _read(jeol.file_reader),
            parts_of_pts,
            decode=decode_pts,
        ),
        Sample(
            "JEOL .pts, frames",
            _write(jeol_builder.write_map, "map.pts", (4, 4), has_image=True),
            _read(jeol.file_reader, sum_frames=False),
            parts_of_pts,
            decode=decode_pts,
        ),
        *(
            Sample(
                f"JEOL {suffix}",
                _write(write, f"a{suffix}"),
                _read(jeol.file_reader),
                parts_of_all,
                decode=decode_jeol,
            )
            for suffix, write in (
                (".img", jeol_builder.write_image),
                (".eds", jeol_builder.write_spectrum),
                (".asw", jeol_builder.write_project),
            )
        ),
        Sample(
            "EDAX .spd",
            _write(edax_builder.write_map, "map.spd"),
            _read(edax.file_reader),
            parts_of_spd,
            decode=decode_spd,
        ),
        *(
            Sample(
                f"EDAX {suffix} of a map",
                _write(edax_builder.write_map, "map.spd"),
                _read(edax.file_reader),
                parts_of_spc if suffix == ".spc" else parts_of_all,
                damage=suffix,
            )
            for suffix in (".spc", ".ipr", ".xml", ".bmp")
        ),
        Sample(
            "EDAX .spc",
            _write(edax_builder.write_spc, "point.spc"),
            _read(edax.file_reader),
            parts_of_spc,
        ),
        Sample(
            "EDAX .csv of a line",
            _write(edax_builder.write_line, "line.lsd"),
            _read(edax.file_reader),
            parts_of_all,
            damage=".csv",
        ),
        *(
            Sample(
                f"datastack, zarr {version}, {codec}",
                _zarr(version, codec),
                _read_stack,
                parts_of_zip,
                extra="numcodecs",
            )
            for version, codec in ((2, "blosc"), (2, "gzip"), (3, "zstd"), (3, "plain"))
        ),
        *(
            Sample(
                f"raw and rpl: {suffix}",
                _write_raw,
                _read_raw,
                partial(parts_of_all, name=DATA if suffix == ".raw" else "file"),
                damage=suffix,
                extra="numcodecs",
            )
            for suffix in (".raw", ".rpl")
        ),
        *(
            Sample(
                f"Ripple, {record}: {suffix}",
                _write(
                    ripple_builder.write_map, "map.rpl", shape=(4, 5, 32), record=record
                ),
                _read(ripple.file_reader),
                partial(parts_of_all, name=DATA if suffix == ".raw" else "file"),
                damage=suffix,
                decode=partial(decode_ripple, shape=(4, 5, 32)),
            )
            for record in ("vector", "image")
            for suffix in (".raw", ".rpl")
        ),
        Sample(
            "EMD, Velox",
            _write(emd_builder.write_velox, "map.emd"),
            _read(emd.file_reader, select_type="spectrum_image", cache=False),
            parts_of_hdf5,
        ),
        Sample(
            "EMD, NCEM",
            _write(emd_builder.write_ncem, "map.emd"),
            _read(emd.file_reader),
            parts_of_hdf5,
            decode=decode_hdf5,
        ),
        Sample(
            "EMD, saved here",
            _write_saved_emd,
            _read(emd.file_reader),
            parts_of_hdf5,
            decode=decode_hdf5,
        ),
        Sample(
            "EDF",
            _write(esrf_builder.write_line, "line.edf"),
            _read(esrf.file_reader),
            parts_of_edf,
            decode=decode_edf,
            extra="fabio",
        ),
        Sample(
            "EDF, frames",
            _write_frames,
            _read(esrf.file_reader),
            parts_of_edf,
            decode=decode_edf,
            extra="fabio",
        ),
        Sample(
            "EDF, XIA", _write_xia, _read(esrf.file_reader), parts_of_edf, extra="fabio"
        ),
        Sample(
            "SPEC",
            _write(esrf_builder.write_spec, "map.dat"),
            _read(esrf.file_reader),
            parts_of_spec,
            extra="silx",
        ),
        Sample(
            "MSA",
            _write(msa_builder.write_spectrum, "sum.msa"),
            _read(msa.file_reader),
            parts_of_msa,
        ),
        *(
            Sample(
                f"text_spectra, {name}",
                _write(write, f"point.{extension}"),
                _read(text_spectra.file_reader),
                text_builder.find_parts,
            )
            for name, write, extension in (
                ("EPICS", text_builder.write_epics, "mca"),
                ("AXIL", text_builder.write_axil, "spe"),
            )
        ),
        Sample(
            "bruker, compressed",
            _write(bruker_builder.write_map, "map.bcf", compressed=True),
            _read(bruker.file_reader),
            bruker_builder.find_parts,
        ),
        Sample(
            "bruker, with an image",
            _write(bruker_builder.write_map, "map.bcf", images=_PICTURE),
            _read(bruker.file_reader),
            bruker_builder.find_parts,
        ),
        Sample(
            "APEX",
            _write(apex_builder.write_map, "map.edaxh5"),
            _read(apex.file_reader),
            parts_of_hdf5,
            decode=decode_hdf5,
        ),
        Sample(
            "HMSA, text",
            _write(hmsa_builder.write_map, "map.hmsa"),
            _read(hmsa.file_reader),
            parts_of_all,
            damage=".xml",
        ),
        Sample(
            "bruker, .spx",
            _write(bruker_builder.write_spectrum, "spot.spx"),
            _read(bruker.file_reader),
            parts_of_xml,
        ),
        *(
            Sample(
                f"H5OINA, {name}",
                _write(oxford_builder.write_map, "map.h5oina", **kwds),
                _read(oxford.file_reader),
                parts_of_hdf5,
                decode=decode_hdf5,
            )
            for name, kwds in (
                ("LZF", {}),
                ("plain", {"storage": {}}),
            )
        ),
        Sample(
            "H5OINA, two detectors",
            _write(oxford_builder.write_map, "map.h5oina", n_detectors=2),
            _read(oxford.file_reader),
            parts_of_hdf5,
        ),
        Sample(
            "CRONO",
            _write(crono_builder.write_map, "map.HDF5"),
            _read(crono.file_reader),
            parts_of_hdf5,
            decode=lambda path: [crono_builder.read_map(path)],
        ),
        *(
            Sample(
                f"HDF5, {name}",
                _write(builder, "map.h5", **kwds),
                _read(esrf.file_reader),
                parts_of_hdf5,
                decode=decode_hdf5,
                extra="hdf5plugin",
            )
            for name, builder, kwds in (
                ("Bliss", esrf_builder.write_bliss, {"compression": "gzip"}),
                ("PyXRF", esrf_builder.write_pyxrf, {"n_detectors": 1}),
                (
                    "xraylarch",
                    esrf_builder.write_xrm,
                    {"n_detectors": 1, "n_allocated": 8},
                ),
                ("XRF-Maps", esrf_builder.write_maps, {}),
                ("NeXus", esrf_builder.write_nexus, {}),
                (
                    "areaDetector",
                    layouts_builder.write_area_detector,
                    {"n_detectors": 1, "compression": "gzip"},
                ),
                ("MAPS_RAW", layouts_builder.write_maps_raw, {}),
            )
        ),
    )
}


def _with_parts() -> dict[str, Sample]:
    """Make samples of the formats whose builder says itself where the parts of a file are."""
    found = {}
    for specification in read_specifications():
        reader = importlib.import_module(specification["api"])
        name = reader.__name__.rsplit(".", 1)[-1]
        builder = importlib.import_module(f"tests.builders.{name}")
        if hasattr(builder, "find_parts"):
            write = _write(
                builder.write_map, f"map.{specification['file_extensions'][0]}"
            )
            found[name] = Sample(
                name, write, _read(reader.file_reader), builder.find_parts
            )
    return found


SAMPLES |= _with_parts()


def make(sample: Sample, folder: Path) -> Path:
    """Write a sample into a folder, emptied before, and return the path to load."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return sample.write(folder)
