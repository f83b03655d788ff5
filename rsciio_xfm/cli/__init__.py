"""The command line: ``rsciio-xfm``."""

import contextlib
import importlib
import os
from collections.abc import Iterator
from typing import Any

import click

import rsciio_xfm
from rsciio_xfm.cli._values import FiniteRange, WholeRange

__all__ = ["main"]

# In which modules of this folder they are; what one of them imports, the others do without.
_COMMANDS = {
    "analyse": "_analyse",
    "calibrate": "_elements",
    "classify": "_classify",
    "compile": "_compile",
    "convert": "_datastack",
    "crop": "_geopixe",
    "demo": "_demo",
    "doctor": "_doctor",
    "elements": "_elements",
    "explore": "_explore",
    "export": "_export",
    "fill-dead-time": "_geopixe",
    "image": "_image",
    "index": "_geopixe",
    "info": "_info",
    "maps": "_maps",
    "preview": "_datastack",
    "quantify": "_quantify",
    "repack": "_datastack",
    "report": "_report",
    "serve": "_explore",
    "spectrum": "_spectra",
    "standard": "_quantify",
    "tree": "_datastack",
}


class _Commands(click.Group):
    """A group whose commands are imported when one is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return their names."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one of them, or None."""
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"{__name__}.{_COMMANDS[cmd_name]}")
        return next(
            one
            for one in vars(module).values()
            if isinstance(one, click.Command) and one.name == cmd_name
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, each of which may be the first to import HyperSpy."""
        try:
            return super().invoke(ctx)
        except RuntimeError as error:
            # numba's, of HyperSpy's kernels: neither its folder nor the user's can be written.
            if "no locator available" not in str(error):
                raise
            raise click.ClickException(
                "HyperSpy cannot be imported: there is no folder to keep compiled kernels in: "
                "set NUMBA_CACHE_DIR to a folder of yours"
            ) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rsciio_xfm.__version__)
@click.option(
    "--workers",
    type=WholeRange(min=1),
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
