"""What goes wrong with a file, by kind, and a pass over it that was cancelled.

A path that does not exist stays :class:`FileNotFoundError`, a wrong argument
:class:`ValueError` or :class:`TypeError`. Each class takes one message, so that it
can be pickled and reach the user from a worker of a cluster as it was raised.
"""

__all__ = [
    "CorruptFileError",
    "FileFormatError",
    "PassCancelledError",
    "TruncatedFileError",
]


def __dir__() -> list[str]:
    return sorted(__all__)


class FileFormatError(ValueError):
    """The file is not what its extension promises, or its header cannot be true."""


class TruncatedFileError(FileFormatError):
    """The file ends before what its header needs, and nothing can be salvaged."""


class CorruptFileError(FileFormatError):
    """The data contradict the header, the format or themselves."""


class PassCancelledError(RuntimeError):
    """A pass over a map was stopped by whoever began it.

    It is not :class:`concurrent.futures.CancelledError`, which asyncio takes for the end of
    the task that waits for the pass.
    """
