"""Tests in environments of their own: ``nox`` runs all, ``nox -s maxrf4u`` one of them."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True


@nox.session
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
    session.run("pytest", "-p", "no:cacheprovider", "tests/io/test_datastack_maxrf4u.py")


@nox.session
@nox.parametrize("zarr", ["zarr<3", "zarr>=3"])
def zarr(session: nox.Session, zarr: str) -> None:
    """Compare with zarr 2, which knows its format 2 only, and with zarr 3."""
    session.install(".[tests]", zarr)
    session.run("pytest", "-n", "2", "tests/io", "-k", "datastack")


@nox.session
def pymca(session: nox.Session) -> None:
    """Open maps that were saved as HDF5 in PyMca."""
    session.install(".[esrf]", "PyMca5", "hypothesis", "psutil", "pytest")
    session.run("pytest", "-p", "no:cacheprovider", "tests/io/test_esrf_write.py")
