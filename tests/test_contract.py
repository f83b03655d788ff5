"""What RosettaSciIO and HyperSpy ask of every format, checked for each of ours."""

import importlib
import inspect
from pathlib import Path

import numpy as np
import pytest

import rsciio_xfm
from rsciio_xfm._register import read_specifications
from rsciio_xfm.exceptions import FileFormatError

# Formats that are experimental say so.
pytestmark = pytest.mark.filterwarnings("ignore:.*experimental. Hold:UserWarning")
ROOT = Path(__file__).parents[1]
# What writes a file of a format, where it is not tests.builders.<format>.write_map.
BUILDERS = {
    "datastack": "write_stack",
    "emd": "write_ncem",
    "esrf": "write_line",
    "msa": "write_spectrum",
}
# Of maps that are named as RosettaSciIO does, since there are images beside them.
TITLES = {"bruker": "EDX", "jeol": "EDS extracted from map.pts"}
SPECIFICATIONS = read_specifications()


@pytest.fixture(params=SPECIFICATIONS, ids=lambda s: s["name"])
def specification(request):
    return request.param


@pytest.fixture
def reader(specification):
    return importlib.import_module(specification["api"]).file_reader


@pytest.fixture
def path(specification, tmp_path):
    extension = specification["file_extensions"][specification["default_extension"]]
    name = short_name(specification)
    builder = importlib.import_module(f"tests.builders.{name}")
    return getattr(builder, BUILDERS.get(name, "write_map"))(
        tmp_path / f"map.{extension}"
    )


def short_name(specification):
    return specification["api"].rsplit(".", 1)[-1]


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=lambda s: s["name"])
def test_nothing_is_left_to_fill_in(specification):
    """As `nox -s new-format` marks it; what a format is made of is where it is expected."""
    name = short_name(specification)
    builder = ROOT / "tests" / "builders" / f"{name}.py"
    own = ROOT / "rsciio_xfm" / "formats" / name
    files = [*sorted(own.iterdir()), builder, *sorted((ROOT / "tests/io").glob("*.py"))]
    left = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        if path.is_file()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if "FILL IN" in line
    ]
    assert not left, "\n".join(["there is something left to fill in", *left])
    assert builder.is_file()
    assert getattr(rsciio_xfm, name).file_reader


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=lambda s: s["name"])
def test_specification(specification):
    kinds = {
        "name": str,
        "name_aliases": list,
        "description": str,
        "full_support": bool,
        "file_extensions": list,
        "default_extension": int,
        "writes": (bool, list),
        "non_uniform_axis": bool,
        "lazy": bool,
        "distributed": bool,
        "source": str,
    }
    for key, kind in kinds.items():
        assert isinstance(specification[key], kind), key
    extensions = specification["file_extensions"]
    # HyperSpy compares in lower case
    assert {e.lower() for e in extensions} <= set(extensions)


@pytest.mark.parametrize("specification", SPECIFICATIONS, ids=lambda s: s["name"])
def test_module(specification):
    module = importlib.import_module(specification["api"])
    expected = {"file_reader"} | ({"file_writer"} if specification["writes"] else set())
    assert expected <= set(dir(module))


def test_signature(reader):
    """A misspelt option fails: no ``**kwargs``; the common ones have their names."""
    parameters = inspect.signature(reader).parameters
    assert list(parameters)[:3] == ["filename", "lazy", "chunks"]
    assert parameters["lazy"].default is False
    kinds = {p.kind for p in parameters.values()}
    assert not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}
    text = inspect.getdoc(reader)
    for section in ("Parameters", "Returns", "Raises", "Examples"):
        assert f"{section}\n---" in text
    for name in parameters:
        assert f"\n{name}\n" in text


@pytest.mark.parametrize("chunks", [0, -5, 1.5, "many", (0, 0, 0)])
def test_chunks_that_are_none(reader, path, chunks):
    with pytest.raises(ValueError, match=r"chunks is .*normalize_chunks takes"):
        reader(path, lazy=True, chunks=chunks)


@pytest.mark.parametrize("is_lazy", [False, True])
def test_dictionaries(specification, reader, path, is_lazy):
    for file_dict in reader(path, lazy=is_lazy):
        assert {"data", "axes", "metadata", "original_metadata"} <= set(file_dict)
        data, axes = file_dict["data"], file_dict["axes"]
        assert np.issubdtype(data.dtype, np.integer)
        assert data.shape == tuple(axis["size"] for axis in axes)
        assert [axis["index_in_array"] for axis in axes] == list(range(data.ndim))
        for axis in axes:
            assert set(axis) == {
                "size", "index_in_array", "name", "scale", "offset", "units", "navigate"
            }  # fmt: skip
        assert axes[-1]["name"] == "Energy" and axes[-1]["units"] == "keV"
        assert [axis["navigate"] for axis in axes] == [True] * (len(axes) - 1) + [False]
        metadata = file_dict["metadata"]
        assert metadata["General"]["original_filename"] == path.name
        title = TITLES.get(short_name(specification), path.stem)
        assert metadata["General"]["title"] == title


def test_lazy_is_eager(reader, path):
    for eager, lazy in zip(reader(path), reader(path, lazy=True), strict=True):
        assert eager["data"].dtype == lazy["data"].dtype
        np.testing.assert_array_equal(eager["data"], lazy["data"].compute())


@pytest.mark.parametrize("content", [b"", b"\x00", b"DP", bytes(range(256)) * 64])
def test_other_content(reader, path, content):
    path.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        reader(path, lazy=True)
    assert str(path) in str(caught.value)
    assert "byte" in str(caught.value)


def test_missing_file(reader, path):
    with pytest.raises(FileNotFoundError):
        reader(path.with_stem("nowhere"))
