"""What ``rsciio-xfm doctor`` finds, and that it finds it where things are broken."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml

import rsciio_xfm
from rsciio_xfm import doctor

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(autouse=True)
def as_in_pyproject(monkeypatch):
    """Take what is needed from pyproject.toml: what is installed here may be older."""
    lines = list(PROJECT["dependencies"])
    for extra, needed in PROJECT["optional-dependencies"].items():
        lines += [f'{one}; extra == "{extra}"' for one in needed]
    monkeypatch.setattr(metadata, "requires", lambda name: lines)


@pytest.fixture
def versions(monkeypatch):
    """Let packages have the versions that a test says; None is missing."""
    said = {}
    real = metadata.version

    def version(name):
        if name in said and said[name] is None:
            raise metadata.PackageNotFoundError(name)
        return said.get(name) or real(name)

    monkeypatch.setattr(metadata, "version", version)
    return said


def find(section, name, imports=False):
    found = list(doctor.examine(imports))
    (one,) = [f for f in found if (f.section, f.name) == (section, name)]
    return one


def test_nothing_is_wrong(run):
    said = run("doctor")
    assert f"{rsciio_xfm.__version__} in {Path(rsciio_xfm.__file__).parent}" in said
    assert re.search(rf"^  numpy +{re.escape(metadata.version('numpy'))}$", said, re.M)
    assert re.search(r"^  HyperSpy +finds them by itself$", said, re.M)
    assert said.endswith("\nNothing is wrong.\n")


def test_missing_extra(versions, run):
    """It is told, with what it is for, and it is not wrong to have none."""
    versions["xraylib"] = None
    line = 'missing xraylib: pip install "rsciio_xfm[fit]": element maps, concentrations'
    assert find("Extras", "fit") == doctor.Finding("Extras", "fit", line)
    assert line in run("doctor")


@pytest.mark.parametrize("name", ["numpy", "hyperspy"])
def test_too_old(versions, run, name):
    versions[name] = "1.0"
    said = run("doctor", code=1)
    (bounds,) = [p.removeprefix(name) for p in PROJECT["dependencies"] if name in p]
    expected = f'Wrong: {name}: 1.0, expected {bounds}. pip install "{name}{bounds}"'
    assert said.splitlines()[-1] == expected


def test_too_old_for_an_extra(versions):
    versions["fabio"] = "0.1"
    one = find("Extras", "esrf")
    assert "fabio 0.1, expected >=2024.9" in one.found
    assert one.remedy == 'pip install "fabio>=2024.9"'


def test_missing(versions, run):
    versions["exspy"] = None
    assert "Wrong: exspy: missing. pip install" in run("doctor", code=1)


def test_not_installed(versions, run):
    versions["rsciio_xfm"] = None
    said = run("doctor", code=1)
    assert "not installed. HyperSpy does not find it by itself" in said


def test_installed_is_older(versions):
    versions["rsciio_xfm"] = "0.0.1"
    remedy = "Installed is 0.0.1: install it again."
    assert find("Versions", "rsciio_xfm").remedy == remedy


def test_no_entry_point(monkeypatch):
    monkeypatch.setattr(metadata, "entry_points", lambda group: [])
    assert "import rsciio_xfm before hs.load" in find("Formats", "HyperSpy").remedy


def test_formats_that_are_not_registered(monkeypatch):
    import rsciio

    others = [p for p in rsciio.IO_PLUGINS if p["name"] not in ("GeoPIXE", "EDAX")]
    monkeypatch.setattr(rsciio, "IO_PLUGINS", others)
    one = find("Formats", "RosettaSciIO")
    assert one.found == "lacks EDAX, GeoPIXE" and one.remedy
    monkeypatch.setenv("RSCIIO_XFM_TAKE_OVER", "0")
    assert find("Formats", "RosettaSciIO").found == "lacks GeoPIXE"
    assert "RosettaSciIO's" in find("Formats", "read by both").found


def test_extensions_of_several_readers(monkeypatch):
    import rsciio

    one = find("Formats", "of several readers")
    assert ".hdf5" in one.found and ".spd" not in one.found and not one.remedy
    another = {"api": "another", "name": "Another", "file_extensions": ["SPD"]}
    monkeypatch.setattr(rsciio, "IO_PLUGINS", [*rsciio.IO_PLUGINS, another])
    assert ".spd" in find("Formats", "of several readers").found


def test_cache_that_cannot_be_written(tmp_path, monkeypatch, run):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("RSCIIO_XFM_CACHE_DIR", str(tmp_path / "file"))
    said = run("doctor", code=1)
    assert "cannot be written (Not a directory)" in said
    assert "set RSCIIO_XFM_CACHE_DIR to a folder of yours" in said
    monkeypatch.setenv("RSCIIO_XFM_CACHE", "off")
    assert find("Caches", "indices").found == "turned off"
    assert "turned off" in run("doctor")


def test_size_of_caches(tmp_path, monkeypatch):
    monkeypatch.setenv("RSCIIO_XFM_CACHE_DIR", str(tmp_path))
    (tmp_path / "cubes" / "one").mkdir(parents=True)
    (tmp_path / "cubes" / "one" / "data").write_bytes(bytes(30_000_000))
    (tmp_path / "geopixe-1.npz").write_bytes(bytes(10_000_000))
    monkeypatch.setenv("RSCIIO_XFM_CUBE_BYTES", "50 GB")
    expected = f"{tmp_path}, 0.01 of at most 4.3 GB"
    assert find("Caches", "indices").found == expected
    expected = f"{tmp_path / 'cubes'}, 0.03 of at most 50.0 GB"
    assert find("Caches", "explorer").found == expected
    monkeypatch.setenv("RSCIIO_XFM_CUBE_BYTES", "plenty")
    assert "'plenty', expected a size" in find("Caches", "explorer").found


def test_kernels(monkeypatch):
    import numba

    assert "kernels" in find("Kernels", "kept in").found
    assert re.match(r"for \d+ of \d+ kinds of map", find("Kernels", "compiled").found)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert "NUMBA_DISABLE_JIT" in find("Kernels", "numba").remedy


def test_environment(monkeypatch):
    monkeypatch.setenv("RSCIIO_XFM_CUBES", "0")
    monkeypatch.setenv("RSCIIO_XFM_CASHE", "0")
    assert find("Environment", "RSCIIO_XFM_CUBES").remedy == ""
    assert "RSCIIO_XFM_CACHE" in find("Environment", "RSCIIO_XFM_CASHE").remedy


def test_variables_are_those_of_the_package():
    package = Path(rsciio_xfm.__file__).parent
    own = Path(doctor.__file__)
    texts = [p.read_text(encoding="utf-8") for p in package.rglob("*.py") if p != own]
    found = set(re.findall(r"RSCIIO_XFM_[A-Z_]+[A-Z]", "\n".join(texts)))
    assert found == set(doctor.VARIABLES)


def test_purposes_are_those_of_the_extras():
    extras = PROJECT["optional-dependencies"]
    assert set(doctor.PURPOSES) == set(extras) - {"all", "tests", "doc", "dev"}


def test_broken_specification(monkeypatch):
    def read():
        yaml.safe_load("not: [yaml")

    monkeypatch.setattr(doctor, "read_specifications", read)
    assert find("Formats", "not seen").found.startswith("ParserError: while parsing")


def test_broken_section(monkeypatch):
    """A package that cannot even be looked at is told, and the rest is looked at."""
    monkeypatch.setitem(sys.modules, "psutil", None)
    one = find("Machine", "not seen")
    assert one.found.startswith("ModuleNotFoundError: import of psutil halted")
    assert [f for f in doctor.examine() if f.section == "Kernels"]


BROKEN = """
import sys
from rsciio_xfm.cli import main
main(["doctor", *sys.argv[1:]])
"""


@pytest.mark.parametrize("name", ["hyperspy", "fabio"])
def test_broken_imports(tmp_path, name):
    """Packages that are there and cannot be imported, in a process of its own."""
    (tmp_path / name).mkdir()
    text = "print('noise')\nraise AttributeError('no such symbol')\n"
    (tmp_path / name / "__init__.py").write_text(text)
    start = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", start + BROKEN, "--imports"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "noise" not in done.stdout
    said = "cannot be imported: AttributeError: no such symbol"
    assert re.search(rf"^  {name} +{said}$", done.stdout, re.M)
    assert f"pip install --force-reinstall {name}" in done.stdout


def test_without_imports_of_hyperspy():
    code = "import sys\nfrom rsciio_xfm.doctor import examine\nfor _ in examine(): pass\n"
    code += "print({'hyperspy', 'exspy', 'xraylib', 'sklearn'} & {*sys.modules})"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"


def test_as_a_module_with_imports():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "rsciio_xfm.doctor"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Imports\n" in done.stdout and not done.stderr
