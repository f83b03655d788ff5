"""What is wrong with a file or an argument, as messages."""

import contextlib
import warnings
from collections.abc import Iterator

import click

# What is wrong with a file, an argument or the machine, rather than with this program.
ERRORS = (
    EOFError,
    ImportError,
    MemoryError,
    NotImplementedError,
    OSError,
    OverflowError,
    TypeError,
    ValueError,
)


def _message(error: Exception) -> str:
    """Return what an error says, without the system's number."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@contextlib.contextmanager
def errors_as_messages() -> Iterator[None]:
    """Print this package's warnings and what is wrong with a file in a line each."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except BrokenPipeError:  # into head, say: click ends quietly
            raise
        except ERRORS as error:
            raise click.ClickException(_message(error)) from error
        finally:
            own = [w for w in caught if w.category is UserWarning]
            for text in dict.fromkeys(str(warning.message) for warning in own):
                click.echo(f"Warning: {text}", err=True)
