"""The command line: ``rsciio-xfm``."""

import contextlib
import os
from collections.abc import Iterator

import click

import rsciio_xfm
from rsciio_xfm.cli._analyse import analyse
from rsciio_xfm.cli._classify import classify
from rsciio_xfm.cli._compile import compile_kernels
from rsciio_xfm.cli._datastack import convert, preview, repack, tree
from rsciio_xfm.cli._demo import demo
from rsciio_xfm.cli._doctor import doctor
from rsciio_xfm.cli._elements import calibrate, elements
from rsciio_xfm.cli._explore import explore, serve
from rsciio_xfm.cli._export import export
from rsciio_xfm.cli._geopixe import crop, fill_dead_time, index
from rsciio_xfm.cli._image import image
from rsciio_xfm.cli._info import info
from rsciio_xfm.cli._maps import maps
from rsciio_xfm.cli._quantify import quantify, standard
from rsciio_xfm.cli._report import report
from rsciio_xfm.cli._spectra import spectrum
from rsciio_xfm.cli._values import FiniteRange

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rsciio_xfm.__version__)
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="Threads that compute; as many as there are processors by default.",
)
@click.option(
    "--chunk-size",
    type=FiniteRange(min=0, min_open=True),
    metavar="MIB",
    help="Size in MiB of the chunks in which a map is read to be exported; 22 by default.",
)
@click.option(
    "--no-cache",
    is_flag=True,
    help="Neither use nor keep the index of a large file in the user's cache.",
)
@click.pass_context
def main(
    context: click.Context, workers: int | None, chunk_size: float | None, no_cache: bool
) -> None:
    """Read maps of X-ray spectra that are larger than memory."""
    context.obj = {}
    if chunk_size is not None:
        context.obj["chunk_bytes"] = max(1, round(chunk_size * 2**20))
    if workers is not None:
        import dask

        context.with_resource(dask.config.set(scheduler="threads", num_workers=workers))
    if no_cache:
        context.with_resource(_no_cache())


@contextlib.contextmanager
def _no_cache() -> Iterator[None]:
    from rsciio_xfm.core.cache import SWITCH

    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = "0"
    try:
        yield
    finally:
        del os.environ[SWITCH]
        if before is not None:
            os.environ[SWITCH] = before


for command in (
    info,
    index,
    spectrum,
    image,
    elements,
    maps,
    report,
    standard,
    quantify,
    calibrate,
    analyse,
    classify,
    crop,
    fill_dead_time,
    export,
    convert,
    preview,
    tree,
    repack,
    demo,
    doctor,
    compile_kernels,
    explore,
    serve,
):
    main.add_command(command)
