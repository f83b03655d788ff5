"""How HyperSpy and RosettaSciIO find the package, in processes of their own."""

import os
import subprocess
import sys
import textwrap
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import rsciio_xfm
from tests.builders import edax as edax_builder
from tests.builders import geopixe as builder

PACKAGE = Path(rsciio_xfm.__file__).parent


def python(code, *arguments, **kwds):
    """Run code in a new process and return what it prints."""
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        check=False,
        **kwds,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_load_needs_no_other_import(tmp_path):
    path = builder.write_map(tmp_path / "map.GeoPIXE")
    for name in ("map.GeoPIXE", "map.geopixe", "MAP.GEOPIXE"):
        target = path.with_name(name)
        if not target.exists():
            target.write_bytes(path.read_bytes())
        printed = python(
            """
            import sys
            import hyperspy.api as hs
            print(hs.load(sys.argv[1], lazy=True))
            """,
            str(target),
        )
        assert "LazyEDSXFMSpectrum" in printed


def test_known_signal_types():
    printed = python("import hyperspy.api as hs; hs.print_known_signal_types()")
    (line,) = [line for line in printed.splitlines() if "EDS_XFM" in line]
    assert "EDSXFMSpectrum" in line and "rsciio_xfm" in line


def test_reader_does_not_import_hyperspy(tmp_path):
    path = builder.write_map(tmp_path / "map.GeoPIXE")
    printed = python(
        """
        import sys
        import rsciio_xfm
        print(sorted({"numpy", "dask", "numba", "hyperspy", "exspy"} & set(sys.modules)))
        (map_,) = rsciio_xfm.geopixe.file_reader(sys.argv[1])
        print(map_["data"].shape, "hyperspy" in sys.modules, "exspy" in sys.modules)
        """,
        str(path),
    )
    assert printed.splitlines() == ["[]", "(5, 7, 32) False False"]


def test_registering_twice_is_harmless():
    printed = python(
        """
        import rsciio_xfm
        from rsciio import IO_PLUGINS
        from rsciio_xfm._register import register
        register()
        register()
        print([p["api"] for p in IO_PLUGINS if "geopixe" in p["file_extensions"]])
        """
    )
    assert printed.strip() == "['rsciio_xfm.formats.geopixe']"


# By RosettaSciIO itself: JEOL's images, and Hamamatsu's; HDF5 of three readers, to which CRONO
# comes. HyperSpy asks for the reader, and names those that there are.
CLAIMED_TWICE = {"hdf5", "img"}


def test_no_extension_is_claimed_twice():
    from rsciio import IO_PLUGINS

    ours = [p for p in IO_PLUGINS if p["api"].startswith("rsciio_xfm")]
    others = [p for p in IO_PLUGINS if not p["api"].startswith("rsciio_xfm")]
    assert ours
    for plugin in ours:
        for other in others:
            both = set(plugin["file_extensions"]) & set(other["file_extensions"])
            assert {extension.lower() for extension in both} <= CLAIMED_TWICE


@pytest.mark.parametrize("text", [b"not: [yaml", b"- a\n- list", b"", b'name: "\xff"'])
def test_a_broken_specification_does_not_break_hyperspy(tmp_path, text):
    """A copy of the package with a broken file in it: a warning, and HyperSpy works."""
    import shutil

    shutil.copytree(
        PACKAGE, tmp_path / "rsciio_xfm", ignore=shutil.ignore_patterns("__pycache__")
    )
    (tmp_path / "rsciio_xfm" / "formats" / "geopixe" / "specifications.yaml").write_bytes(
        text
    )
    printed = python(
        """
        import sys, warnings
        sys.path.insert(0, sys.argv[1])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import hyperspy.api as hs
        import rsciio_xfm
        assert rsciio_xfm.__file__.startswith(sys.argv[1]), rsciio_xfm.__file__
        print([str(w.message) for w in caught if "rsciio_xfm" in str(w.message)])
        print(hs.signals.Signal1D([1, 2]))
        """,
        str(tmp_path),
        cwd=tmp_path,
    )
    assert "could not register its file formats" in printed
    assert "<Signal1D" in printed


def test_entry_point():
    (entry,) = [e for e in entry_points(group="hyperspy.extensions") if "xfm" in e.name]
    assert entry.name == entry.value == "rsciio_xfm._register"
    assert (PACKAGE / "hyperspy_extension.yaml").is_file()


def test_top_level_description_is_the_packages():
    top = PACKAGE.parent / "hyperspy_extension.yaml"
    if not top.exists():
        pytest.skip("not a checkout of the project")
    assert top.resolve() == PACKAGE / "hyperspy_extension.yaml"


LOAD = """
    import sys
    import hyperspy.api as hs
    import rsciio.edax
    from rsciio import IO_PLUGINS
    print(hs.load(sys.argv[1], lazy=True)._signal_type)
    print(hs.load(sys.argv[1], lazy=True, file_format="EDAX")._signal_type)
    print(hs.load(sys.argv[1], lazy=True, file_format=rsciio.edax)._signal_type)
    print([p["api"] for p in IO_PLUGINS if "spd" in p["file_extensions"]])
    """


def test_take_over(tmp_path):
    path = edax_builder.write_map(tmp_path / "map.spd", fName=b"map.bmp")
    ours, named, upstream, plugins = python(LOAD, str(path)).splitlines()
    assert (ours, named, upstream) == ("EDS_XFM", "EDS_XFM", "EDS_SEM")
    assert plugins == "['rsciio_xfm.formats.edax']"


@pytest.mark.parametrize("value", ["0", "off", "False", "no"])
def test_take_over_is_turned_off(tmp_path, value):
    path = edax_builder.write_map(tmp_path / "map.spd", fName=b"map.bmp")
    code = LOAD + "print(hs.load(sys.argv[1], file_format=rsciio_xfm.edax)._signal_type)"
    code = code.replace("import rsciio.edax", "import rsciio.edax, rsciio_xfm")
    environment = os.environ | {"RSCIIO_XFM_TAKE_OVER": value}
    *theirs, plugins, ours = python(code, str(path), env=environment).splitlines()
    assert theirs == ["EDS_SEM"] * 3
    assert plugins == "['rsciio.edax']"
    assert ours == "EDS_XFM"  # still within reach


def test_submodules():
    assert "geopixe" in dir(rsciio_xfm)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = rsciio_xfm.nothing
