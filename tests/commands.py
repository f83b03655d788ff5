"""The commands, which are imported one by one."""

import click

from rsciio_xfm.cli import main


def all_commands() -> dict[str, click.Command]:
    """Return the commands by their names."""
    context = click.Context(main)
    return {name: main.get_command(context, name) for name in main.list_commands(context)}
