"""``rsciio-xfm compile``."""

from typing import Any

import click


@click.command("compile")
def compile_kernels() -> None:
    """Compile all that the first results of a map need, once after an installation.

    Without it, this is done while a file is opened and looked at.
    """
    import numba

    from rsciio_xfm.kernels import ahead
    from rsciio_xfm.kernels.kept import not_kept

    settings: Any = numba.config
    if settings.DISABLE_JIT:
        raise click.ClickException("NUMBA_DISABLE_JIT is set: nothing is compiled")
    if ahead.cache_folder() is None:
        raise click.ClickException(
            "there is no folder to keep compiled kernels in: set NUMBA_CACHE_DIR to a folder "
            "of yours"
        )
    n_all = n_new = 0
    with click.progressbar(list(ahead.parts()), label="Compiling") as names:
        for name in names:
            found = [is_new for _, is_new in ahead.compile_now([name])]
            n_all, n_new = n_all + len(found), n_new + sum(found)
            if not_kept:
                break
    if not_kept:
        raise click.ClickException(
            f"{ahead.cache_folder()}: compiled kernels cannot be kept there: "
            f"{not_kept[0].strerror or not_kept[0]}. Make room, or set NUMBA_CACHE_DIR to "
            "another folder"
        )
    click.echo(f"{n_new} kernels compiled, {n_all - n_new} were there")
