"""``rsciio-xfm doctor``."""

import click

from rsciio_xfm.doctor import examine, report


@click.command()
@click.option(
    "--imports",
    is_flag=True,
    help="Import each package that is installed, too, HyperSpy among them; some seconds.",
)
@click.pass_context
def doctor(context: click.Context, imports: bool) -> None:
    """Tell what works here: versions, extras, formats, caches, kernels; and what to do.

    The exit code is 1 if something is wrong. A missing extra is not.
    """
    findings = list(examine(imports))
    for line in report(findings):
        click.echo(line)
    if any(one.remedy for one in findings):
        context.exit(1)
