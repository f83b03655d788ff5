"""RosettaSciIO's own tests of the formats that are read here too, on our readers and writers.

``nox -s upstream`` runs those of the RosettaSciIO that is installed. Its files are in HyperSpy
1.7.6, from before the two were divided, as far as they are as old; other tests are skipped.
``nox -s upstream -- --data FOLDER`` takes them from ``rsciio/tests/data`` of its repository.
What else is given goes to pytest.
"""

import argparse
import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rsciio

from rsciio_xfm._register import read_specifications

THEIRS = Path(rsciio.__file__).parent / "tests"
# What its tests are called after.
FORMATS = ("bruker", "edax", "emd", "jeol", "msa", "ripple")
# What is other here on purpose: docs/compared.rst says why. Texts of its tests are replaced,
REPLACED = {
    # (of the module that they call by name: it has to be ours)
    "from rsciio import __version__, msa": "from rsciio import __version__; "
    "from rsciio_xfm import msa",
    '"EDS_SEM" == signal_dict': '"EDS_XFM" == signal_dict',
    # (a function that only RosettaSciIO has)
    "from rsciio.bruker import export_metadata, file_reader": "from rsciio.bruker._utils "
    "import export_metadata; from rsciio_xfm.formats.bruker import file_reader",
    "from rsciio.bruker import _api": "import rsciio.bruker._api as _api",
    # (a table of their writer, from which the tests make their files)
    "from rsciio.ripple import _api as ripple": "from rsciio.ripple._api import dtype2keys; "
    "from rsciio_xfm.formats.ripple import api as ripple",
    "ripple.dtype2keys": "dtype2keys",
}
# and tests are left out.
LEFT_OUT = (
    "test_bruker.py::test_bruker_XRF",
    "test_bruker.py::test_hyperspy_wrap",
    "test_bruker.py::test_wrong_file",
    "test_emd_velox.py::TestVeloxEELSEDS::test_velox_load_EELS_EDS",
    "test_jeol.py::test_broken_files",
    "test_msa.py::test_parsed_version",
)


def main() -> None:
    """Copy tests and files into a folder, and run them there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheel", type=Path, help="hyperspy-1.7.6-*.whl")
    parser.add_argument("--data", type=Path, help="rsciio/tests/data of RosettaSciIO")
    given, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_tests(folder)
        missing = copy_files(folder / "data", given.wheel, given.data)
        sys.exit(run(folder, missing, rest))


def copy_tests(folder: Path) -> None:
    """Copy its tests; modules that they call by name are ours where these take the place."""
    replaced = dict(REPLACED)
    for specification in read_specifications():
        theirs, ours = specification.get("replaces"), specification["api"]
        replaced |= {
            f"from {theirs} import": f"from {ours} import",
            f'"io_plugin": "{theirs}"': f'"io_plugin": "{ours}"',
        }
    for path in sorted(THEIRS.glob("test_*.py")):
        if path.stem.split("_")[1] not in FORMATS:
            continue
        text = path.read_text(encoding="utf-8")
        for theirs, ours in replaced.items():
            text = text.replace(theirs, ours)
        (folder / path.name).write_text(text, encoding="utf-8")


def copy_files(folder: Path, wheel: Path | None, data: Path | None) -> list[str]:
    """Copy its files, each as its registry has it, and return the names of those missing."""
    wanted = read_registry()
    for content in read_sources(wheel, data, wanted):
        digest = hashlib.sha256(content).hexdigest()
        for name in [name for name in wanted if wanted[name] == digest]:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return [name for name in wanted if not (folder / name).is_file()]


def read_registry() -> dict[str, str]:
    """Return names of its files, and their SHA-256."""
    lines = (THEIRS / "registry.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.rsplit(maxsplit=1) for line in lines if line.strip()]
    names = {name.strip("'"): digest for name, digest in pairs}
    return {name: names[name] for name in names if name.split("/")[0] in FORMATS}


def read_sources(
    wheel: Path | None, data: Path | None, wanted: dict[str, str]
) -> Iterator[bytes]:
    """Give the content of each file that may be one of them."""
    if wheel is not None:
        with zipfile.ZipFile(wheel) as archive:
            names = [n for n in archive.namelist() if n.startswith("hyperspy/tests/io/")]
            for content in map(archive.read, names):
                yield content
                # Texts were packed on Windows.
                yield content.replace(b"\r\n", b"\n")
    if data is not None:
        for name in wanted:
            if (data / name).is_file():
                yield (data / name).read_bytes()


class SkipWithoutFile:
    """Skip a test that fails because it names a file that cannot be had."""

    def __init__(self, missing: list[str]) -> None:
        self.missing = {Path(name).name: name for name in missing}

    def _run(self) -> Iterator[Any]:
        try:
            return (yield)
        except Exception as exc:
            name = next((n for n in self.missing if n in str(exc)), None)
            if name is None:
                raise
            pytest.skip(f"{self.missing[name]} of RosettaSciIO is not at hand")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self) -> Iterator[Any]:
        return (yield from self._run())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Iterator[Any]:
        return (yield from self._run())


def run(folder: Path, missing: list[str], options: list[str]) -> int:
    """Run the tests, but those of `LEFT_OUT`."""
    (folder / "pytest.ini").write_text("[pytest]\n")
    deselected = [f"--deselect={name}" for name in LEFT_OUT]
    arguments = [
        "-c",
        f"{folder / 'pytest.ini'}",
        "-p",
        "no:cacheprovider",
        "-q",
        "-rfEs",
    ]
    return pytest.main(
        [*arguments, *deselected, *options, str(folder)],
        plugins=[SkipWithoutFile(missing)],
    )


if __name__ == "__main__":
    main()
