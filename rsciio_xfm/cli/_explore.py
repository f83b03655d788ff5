"""``rsciio-xfm explore`` and ``rsciio-xfm serve``."""

from pathlib import Path

import click

import rsciio_xfm
from rsciio_xfm._register import find_reader
from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import own_extensions, wrong_extension
from rsciio_xfm.cli._reader_options import (
    chosen_options,
    detector_option,
    detector_options,
    reader_options,
)
from rsciio_xfm.cli._values import FILE, FiniteRange, WholeRange
from rsciio_xfm.core.config import EXPLORER_MIB

_port_option = click.option(
    "--port",
    type=WholeRange(0, 65535),
    default=0,
    help="One that is free by default.",
)
_memory_option = click.option(
    "--memory",
    type=FiniteRange(min=16),
    default=EXPLORER_MIB,
    show_default=True,
    metavar="MIB",
    help="What answers and open maps may take, besides the program.",
)
_cache_option = click.option(
    "--no-map-cache",
    is_flag=True,
    help="Answer from the files alone; do not keep the caches that make large maps fast.",
)


@click.command()
@click.argument("file", type=FILE)
@reader_options
@detector_option
@click.option("--no-browser", is_flag=True, help="Print the address only.")
@_port_option
@_memory_option
@_cache_option
def explore(
    file: Path,
    detector: int | str | None,
    no_browser: bool,
    port: int,
    memory: float,
    no_map_cache: bool,
) -> None:
    """Explore the map in FILE in the browser, until Ctrl-C.

    Drag a region and watch its spectrum, drag a window of energies and watch its image;
    nothing leaves this machine.
    """
    with errors_as_messages():
        reader = find_reader(file)
        if reader is None:
            raise wrong_extension(file, own_extensions())
        options = chosen_options(file, reader) | detector_options(file, reader, detector)
        server = rsciio_xfm.explore(
            file,
            browser=not no_browser,
            wait=False,
            port=port,
            memory=memory,
            cache=not no_map_cache,
            **options,
        )
        click.echo(server.address)
        click.echo("Ctrl-C ends the explorer.")
        server.wait()
        server.close()


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at; 0.0.0.0 lets other machines in.",
)
@_port_option
@_memory_option
@click.option(
    "--token",
    help="That lets people in, at least 22 characters; a new one whenever the server starts "
    "by default.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    help="Another name by which browsers reach this server: of a proxy, say.",
)
@_cache_option
def serve(
    folder: Path,
    host: str,
    port: int,
    memory: float,
    token: str | None,
    names: tuple[str, ...],
    no_map_cache: bool,
) -> None:
    """Let a class explore the maps in FOLDER in their browsers, until Ctrl-C."""
    with errors_as_messages():
        server = rsciio_xfm.explore.serve(
            folder,
            host=host,
            port=port,
            memory=memory,
            token=token,
            names=names,
            cache=not no_map_cache,
        )
        n_maps = len(server.explorer.list_maps())
        click.echo(f"{n_maps} map{'s' * (n_maps != 1)} in {folder}")
        click.echo(server.address)
        if not server.place.is_local:
            click.echo(
                "Warning: HTTP is not encrypted: whoever can listen in the network sees the "
                "token and the maps. Use it in a network that you trust, or through ssh -L or "
                "a proxy with TLS.",
                err=True,
            )
        click.echo("Ctrl-C ends the explorer.")
        server.wait()
        server.close()
