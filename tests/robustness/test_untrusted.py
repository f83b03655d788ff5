"""What a file that somebody sent must not be able to do, in the code and in deed."""

import ast
import json
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from rsciio_xfm import datastack, edax, emd, esrf, geopixe
from rsciio_xfm.exceptions import FileFormatError
from tests.builders import datastack as datastack_builder
from tests.builders import edax as edax_builder
from tests.builders import emd as emd_builder
from tests.builders import geopixe as geopixe_builder
from tests.robustness.battery import MEMORY_FACTOR, MEMORY_SPARE

PACKAGE = Path(geopixe.__file__).parents[2]
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = {"cPickle", "cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}
MODULES |= {"commands", "popen2", "pty", "subprocess"}
MODULES |= {"xml.dom", "xml.etree", "xml.sax", "lxml", "xmltodict"}
CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "system",
    "popen",
    "spawn",
    "extractall",
}
CALLS |= {"unsafe_load", "full_load"}
# Of xml.etree.ElementTree: they make XML and parse none.
MAKE_XML = {"Element", "SubElement", "indent", "tostring"}


def find_dangers(source):
    """Return what is imported or called that could run, or unpack, what is in a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{a.name}" for a in node.names)]
            if node.module == "xml.etree.ElementTree":
                names = [f"{node.module}.{a.name}" for a in node.names]
                names = [n for n in names if n.rsplit(".", 1)[-1] not in MAKE_XML]
        found += [
            n for n in names if any(n == m or n.startswith(f"{m}.") for m in MODULES)
        ]
        if not isinstance(node, ast.Call):
            continue
        function = node.func
        name = getattr(function, "id", getattr(function, "attr", ""))
        owner = getattr(getattr(function, "value", None), "id", "")
        keywords = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        if name in CALLS and (owner or name) not in ("re", "self"):
            found.append(f"{owner}.{name}")
        if owner == "np" and name == "load" and keywords.get("allow_pickle") is not False:
            found.append("np.load with pickle")
        if owner == "yaml" and name == "load":
            found.append("yaml.load")
        if keywords.get("shell"):
            found.append("shell")
    return found


# Text that declares anything, and text of too many tags, is refused before it is parsed; see
# the tests of Bruker's files and of HMSA. The loader of YAML is the safe one, written in C.
ALLOWED = {
    "core/xml.py": {"xml.etree", "xml.etree.ElementTree"},
    # Python itself, and what compiles kernels: by this package's own list of its own kernels.
    "kernels/ahead.py": {"subprocess", "kernel.compile"},
    "signals/model_files.py": {"yaml.load"},
}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_nothing_that_runs_what_is_in_a_file(path):
    found = set(find_dangers(path.read_text(encoding="utf-8")))
    assert found == ALLOWED.get(path.relative_to(PACKAGE).as_posix(), set())


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "from xml.etree import ElementTree",
        "import xml.dom.minidom",
        "eval('1')",
        "builtins.exec(text)",
        "os.system('ls')",
        "subprocess.run('ls', shell=True)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "archive.extractall()",
    ],
)
def test_dangers_are_found(source):
    assert find_dangers(source)


def peak_of(read, path):
    """Return the peak of memory while a file is read, or refused, in bytes."""

    def status(name):
        with open("/proc/self/status") as file:
            (line,) = [line for line in file if line.startswith(name)]
        return int(line.split()[1]) * 1024

    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = status("VmRSS")
    with pytest.raises(FileFormatError):
        for signal in read(path):
            np.asarray(signal["data"])
    return status("VmHWM") - before


def write_deep_geopixe(path):
    text = b'{"a":' * 12_000 + b"1" + b"}" * 12_000
    return geopixe_builder.write(
        path.with_suffix(".GeoPIXE"), None, [], text=text[:65000]
    )


def write_deep_zarr(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zarr.json", '{"zarr_format": 3, "node_type": "group"}')
        archive.writestr("maxrf_cube/zarr.json", "[" * 500_000)
    return path


def write_long_zarr(path):
    """A description that is a bomb: 60 kB in the file, 60 MB as text, gigabytes as lists."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zarr.json", '{"zarr_format": 3, "node_type": "group"}')
        archive.writestr("maxrf_cube/zarr.json", "[" + "[]," * 20_000_000 + "[]]")
    return path


def write_large_chunk(path):
    """A chunk whose header claims 4 GiB."""
    codec = {"id": "zstd", "level": 1}
    arrays = {"maxrf_cube": datastack_builder.make_counts((4, 6, 48))}
    datastack_builder.write_stack(path, arrays, (4, 6, 48), codec=codec)
    with zipfile.ZipFile(path) as archive:
        items = [(item.filename, archive.read(item)) for item in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in items:
            large = data[:4] + bytes([0xA0]) + b"\xff" * 4 + data[6:]
            archive.writestr(name, large if "/c/" in name else data)
    return path


def write_large_velox(path):
    with h5py.File(emd_builder.write_velox(path), "a") as file:
        (stream,) = list(file["Data/SpectrumStream"].values())[:1]
        settings = json.loads(stream["AcquisitionSettings"][0])
        del stream["AcquisitionSettings"]
        emd_builder.put_text(
            stream, "AcquisitionSettings", settings | {"bincount": str(2**40)}
        )
    return path


CASES = {
    "deep JSON, GeoPIXE": (geopixe.file_reader, write_deep_geopixe),
    "deep JSON, zarr": (datastack.file_reader, write_deep_zarr),
    "long JSON, zarr": (datastack.file_reader, write_long_zarr),
    "large chunk, zarr": (datastack.file_reader, write_large_chunk),
    "many channels, Velox": (emd.file_reader, write_large_velox),
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_bombs(name, tmp_path):
    """Refused, in memory that the size of the file allows."""
    read, write = CASES[name]
    path = write(tmp_path / f"map.{'emd' if 'Velox' in name else 'datastack'}")
    peak_of(read, path)  # what is imported
    assert peak_of(read, path) < MEMORY_FACTOR * path.stat().st_size + MEMORY_SPARE


BOMB = """<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY a "{}"><!ENTITY b "{}"><!ENTITY c "{}">]>
<ExtendedSpectrumData><SpectrumLabel Label="&c;"/></ExtendedSpectrumData>
"""
OUTSIDE = """<?xml version="1.0"?>
<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>
<ExtendedSpectrumData><SpectrumLabel>&a;</SpectrumLabel></ExtendedSpectrumData>
"""


@pytest.mark.parametrize(
    "text",
    [
        BOMB.format("x" * 1000, "&a;" * 1000, "&b;" * 1000),
        OUTSIDE,
        "<a>" * 100_000,
        f"<a>{'<b/>' * 10_000_000}</a>",
    ],
    ids=["entities", "another file", "deep", "long"],
)
def test_xml(text, tmp_path):
    """The map is read, what is beside it is not."""
    path = edax_builder.write_map(tmp_path / "map.spd")
    path.with_suffix(".xml").write_text(text)
    with pytest.warns(UserWarning, match=r"map\.xml: the file"):
        (signal,) = edax.file_reader(path)
    assert signal["data"].any()
    assert "xml" not in signal["original_metadata"]


def test_zip_members_stay_in_memory(tmp_path, monkeypatch):
    """Their names are keys, not paths: nothing is written but what is asked for."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "in" / "map.datastack"
    path.parent.mkdir()
    datastack_builder.write_stack(path)
    with zipfile.ZipFile(path, "a") as archive:
        for name in (
            "../escaped",
            str(tmp_path / "absolute"),
            "..\\escaped",
            "c:\\escaped",
        ):
            archive.writestr(f"{name}/zarr.json", '{"zarr_format": 3}')
            archive.writestr(f"maxrf_cube/{name}", b"text")
    datastack.file_reader(path)
    datastack.repack(path, None, path.with_stem("packed"), show_progressbar=False)
    found = {p.name for p in tmp_path.rglob("*")}
    assert found == {"in", "map.datastack", "packed.datastack"}


def test_hdf5_filters_are_not_loaded_from_the_folder_of_the_file(tmp_path, monkeypatch):
    """A filter that is not known is an error; HDF5 loads filters from its own path only."""
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path / "nowhere"))
    path = tmp_path / "map.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "entry/mca", data=np.ones((3, 4, 64), "u2"), chunks=(3, 4, 64), compression=1
        )
        data.attrs["interpretation"] = "spectrum"
    raw = path.read_bytes()
    at = raw.index(b"deflate\0") - 8  # its number is before its name
    path.write_bytes(raw[:at] + (31234).to_bytes(2, "little") + raw[at + 2 :])
    with pytest.raises(FileFormatError, match="31234"):
        np.asarray(esrf.file_reader(path)[0]["data"])
