"""Tests in environments of their own, checks, releases, and the skeleton of a format.

``nox`` runs the tests, ``nox -s maxrf4u`` one of them; ``nox -s lint types docs`` what else
has to pass; ``nox -s wheel`` tries what is built of the package, and ``nox -s release`` goes
through a release up to the upload; ``nox -s javascript``, with npm, lints the explorer's page;
``nox -s new-format -- NAME`` begins a format.
"""

import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.tags = ["tests"]

# Of what pyproject.toml allows; h5py and others have no older wheels for numpy 2, and nnls of
# an older scipy does not always end.
OLDEST = """
    anywidget==0.9.0 click==8.1.0 dask[array]==2025.1.0 distributed==2025.1.0 exspy==0.3.2
    fabio==2024.9.0 h5py==3.11.0 hdf5plugin==4.4.0 hyperspy==2.5.0 hypothesis==6.100.0
    imageio==2.27.0 ipykernel==6.29.0 matplotlib-scalebar==0.8.0 matplotlib==3.9.0
    nbclient==0.10.0 numba==0.61.0 numcodecs==0.13.0 numpy==2.0.2
    packaging==22.0 pandas==2.2.2 pillow==10.0.0
    pint==0.24.4 pooch==1.8.0 psutil==5.9.0 pytest-xdist==3.6.1 pytest==8.2.0
    pyyaml==6.0 rosettasciio==0.15.0 scikit-learn==1.5.0 scipy==1.15.0 silx==2.1.0
    sparse==0.15.4 starlette==0.40.0 threadpoolctl==3.1.0 tifffile==2023.4.12 tqdm==4.66.0
    umap-learn==0.5.7 uvicorn==0.30.0 xraylib==4.1.5 zarr==2.18.3
"""
# The thorough tests too.
ALL = ("-m", "")
# Packages as old as these warn of Python and numpy as new as these.
LENIENT = ("-o", "filterwarnings=default", "-p", "no:cacheprovider")


@nox.session(python=["3.11", "3.12", "3.13"], tags=["tests"])
def newest(session: nox.Session) -> None:
    """Test with the newest packages, on each Python."""
    session.install(".[tests]")
    session.run("pytest", "-n", "2", *ALL, *session.posargs)


@nox.session(python="3.11", tags=["tests"])
def oldest(session: nox.Session) -> None:
    """Test with the oldest packages that pyproject.toml allows."""
    session.install(".[tests]", *OLDEST.split())
    session.run("pytest", "-n", "2", *ALL, *LENIENT, *session.posargs)


@nox.session(tags=["tests"])
def maxrf4u(session: nox.Session) -> None:
    """Exchange .datastack files with maxrf4u, with the versions under which it converts."""
    session.install(
        ".[datastack]",
        "maxrf4u==0.1.27",
        "zarr==3.0.5",
        "dask[array]==2025.2.0",
        "hypothesis",
        "psutil",
        "pytest",
    )
    tests = "tests/io/test_datastack_maxrf4u.py"
    session.run("pytest", *ALL, "-p", "no:cacheprovider", tests)


@nox.session(tags=["tests"])
@nox.parametrize("zarr", ["zarr<3", "zarr>=3"])
def zarr(session: nox.Session, zarr: str) -> None:
    """Compare with zarr 2, which knows its format 2 only, and with zarr 3."""
    session.install(".[tests]", zarr)
    session.run("pytest", "-n", "2", *ALL, "tests/io", "-k", "datastack")


@nox.session(tags=["tests"])
def pymca(session: nox.Session) -> None:
    """Open maps that were saved as HDF5, and models of elements, in PyMca."""
    session.install(".[esrf,fit]", "PyMca5", "hypothesis", "psutil", "pytest")
    tests = ("tests/io/test_esrf_write.py", "tests/signals/test_pymca.py")
    session.run("pytest", *ALL, "-p", "no:cacheprovider", *tests)


@nox.session(tags=["tests"])
def pyhmsa(session: nox.Session) -> None:
    """Exchange HMSA files with pyhmsa, which needs an older setuptools."""
    session.install(
        ".", "pyhmsa==0.2.0", "setuptools<81", "hypothesis", "psutil", "pytest"
    )
    tests = "tests/io/test_hmsa_pyhmsa.py"
    session.run("pytest", *ALL, "-p", "no:cacheprovider", tests)


@nox.session(tags=["tests"])
def scifireaders(session: nox.Session) -> None:
    """Read EDAX APEX files next to SciFiReaders, which needs more than a GiB."""
    session.install(".", "SciFiReaders==0.12.7", "hypothesis", "psutil", "pytest")
    tests = "tests/io/test_apex_scifireaders.py"
    session.run("pytest", *ALL, "-p", "no:cacheprovider", tests)


@nox.session(tags=["tests"])
def fisx(session: nox.Session) -> None:
    """Compare yields with those of fisx, which has no wheels for Linux: needs a compiler."""
    session.install(
        ".[fit]", "numpy", "cython", "setuptools", "hypothesis", "psutil", "pytest"
    )
    session.install("fisx>=1.3")
    tests = "tests/analysis/test_quantify_fisx.py"
    session.run("pytest", *ALL, "-p", "no:cacheprovider", tests)


@nox.session(tags=["tests"])
def upstream(session: nox.Session) -> None:
    """Run RosettaSciIO's own tests of EDAX, EMD, MSA and Ripple files on what is here.

    Its files are in HyperSpy's wheel of before they were RosettaSciIO's, the later ones in
    its repository only: ``nox -s upstream -- --data rosettasciio/rsciio/tests/data``.
    """
    session.install(".[tests]", "requests")
    folder = session.create_tmp()
    # The wheel is unpacked, not installed: any Python's will do.
    session.run(
        *("python", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"),
        *("--python-version=3.9", "--platform=manylinux2014_x86_64"),
        *("--dest", folder, "hyperspy==1.7.6"),
    )
    (wheel,) = Path(folder).glob("hyperspy-1.7.6-*.whl")
    session.run("python", "-m", "tests.upstream", "--wheel", str(wheel), *session.posargs)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Style, spelling, notebooks in step with the examples; in nox's own environment."""
    _python(session, "-m", "ruff", "check", ".")
    _python(session, "-m", "ruff", "format", "--check", ".")
    files = session.run("git", "ls-files", external=True, silent=True).split()
    _python(session, "-m", "codespell_lib", *files)
    _python(session, "docs/notebooks.py", "--check")


@nox.session(venv_backend="none")
def javascript(session: nox.Session) -> None:
    """Lint the explorer's page; needs npm, which brings ESLint for this once."""
    config = "tests/explore/page/eslint.config.mjs"
    folders = ("rsciio_xfm/explore/page", "tests/explore/page")
    session.run("npx", "--yes", "eslint@9", "--config", config, *folders, external=True)


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Check the types; in nox's own environment."""
    _python(session, "-m", "mypy")


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """Build the documentation; in nox's own environment."""
    options = ("-W", "--keep-going", "-q", "-b", "html")
    _python(session, "-m", "sphinx", *options, "docs", "docs/_build/html")


@nox.session(name="new-format", venv_backend="none")
def new_format(session: nox.Session) -> None:
    """Make the skeleton of a format and of its tests: ``nox -s new-format -- NAME``."""
    _python(session, "docs/new_format/make.py", *session.posargs)


@nox.session(venv_backend="none")
def wheel(session: nox.Session) -> None:
    """Build the package, and test what was built, where this folder is not at hand.

    ``nox -s wheel -- oldest`` does so with the oldest packages that pyproject.toml allows.
    """
    with tempfile.TemporaryDirectory() as folder:
        dist = _build(session, Path(folder, "dist"))
        _try_wheel(session, dist, OLDEST.split() if "oldest" in session.posargs else [])


@nox.session(venv_backend="none")
def release(session: nox.Session) -> None:
    """Check that this commit is a release, build and try it; uploading it is left to you."""
    _python(session, "docs/release/check.py")
    shutil.rmtree("dist", ignore_errors=True)
    dist = _build(session, Path("dist").resolve())
    _try_wheel(session, dist, [])
    for path in sorted(dist.iterdir()):
        session.log(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}")
    session.log("To upload it: python -m twine upload dist/*")


def _build(session: nox.Session, dist: Path) -> Path:
    """Build an sdist, and a wheel of the sdist, into a folder; check what is in them."""
    _python(session, "-m", "build", "--outdir", str(dist))
    _python(session, "-m", "twine", "check", "--strict", *map(str, dist.iterdir()))
    _python(session, "docs/release/check.py", str(dist))
    return dist


def _try_wheel(session: nox.Session, dist: Path, pins: list[str]) -> None:
    """Test a wheel in an environment of its own, with the tests but without this folder."""
    (built,) = dist.glob("*.whl")
    with tempfile.TemporaryDirectory() as folder:
        _python(session, "-m", "venv", f"{folder}/venv")
        scripts = "Scripts" if sys.platform == "win32" else "bin"
        python = str(Path(folder, "venv", scripts, "python"))
        tools = ("hypothesis", "psutil", "pytest")
        install = ("-m", "pip", "install", "--quiet", "--no-compile")
        needed = (f"{built}[explore,fit]", *tools, *pins)
        session.run(python, *install, *needed, external=True)
        shutil.copytree("tests", f"{folder}/tests")
        shutil.copy("pyproject.toml", folder)
        options = LENIENT if pins else LENIENT[2:]
        with session.chdir(folder):
            tests = ("-m", "pytest", *ALL, *options, "tests/test_installed.py")
            session.run(python, *tests, external=True, env={"PYTHONPATH": ""})


def _python(session: nox.Session, *arguments: str) -> None:
    """Run Python where nox itself is installed, by ``pip install -e ".[dev]"``."""
    session.run(sys.executable, *arguments, external=True)
