"""Kernels compiled before they are needed, by another process or by ``rsciio-xfm compile``.

numba compiles a kernel when it is first called, one at a time in a process: after an
installation, the first sums of a map wait for the compiler. ``ahead.json`` lists what they
call, and with which types. A second process compiles that while a file is opened and looked
at; what it has made comes from numba's cache on disk, where the first process looks before
it compiles.
"""

import contextlib
import functools
import hashlib
import importlib
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.kernels import sums

SWITCH = "RSCIIO_XFM_COMPILE"
OFF = ("0", "false", "no", "off")
_PACKAGE = Path(__file__).parents[1]
_LIST = Path(__file__).with_suffix(".json")
_EXPLORER = _LIST.with_name("ahead_explorer.json")
# Seconds after which a process that compiles is taken for one that was killed.
_STALE = 300
_NICE = 15
_LOCK = "ahead.lock"  # beside the kernels
_wanted: set[str] = set()
_waiting: list[str] = []  # that no process compiles yet
_is_running = threading.Event()
_changing = threading.Lock()


def compile_ahead(*names: str) -> bool:
    """Start a process that compiles kernels into numba's cache, if they are not there.

    Nothing waits for it. It has a low priority, and ends after the kernel at hand if this
    process ends. There is one at a time: what is wanted meanwhile comes next, and what another
    program's process compiles is left to that. It is never started by a process that
    :mod:`multiprocessing` began, as workers are, on a single processor, without a folder to
    keep kernels in, or if the environment variable ``RSCIIO_XFM_COMPILE`` is 0.

    Parameters
    ----------
    *names
        Of the parts of the list, in the order in which they are wanted; others are ignored.

    Returns
    -------
    bool
        Whether something is left to compile, by a process of this one.

    Examples
    --------
    >>> import os
    >>> os.environ["RSCIIO_XFM_COMPILE"] = "0"
    >>> compile_ahead("core.chunks uint16")
    False
    """
    wanted = [name for name in names if name in parts() and name not in _wanted]
    if not wanted or not _may_start():
        return False
    with _changing:  # another thread may have wanted some of them meanwhile
        wanted = [name for name in wanted if name not in _wanted]
        _wanted.update(wanted)
    missing = [name for name in wanted if not is_compiled(name)]
    if not missing or cache_folder() is None:
        return False
    with _changing:
        _waiting.extend(missing)
        is_first = not _is_running.is_set()
        _is_running.set()
    if is_first:
        with contextlib.suppress(RuntimeError):  # the interpreter ends
            threading.Thread(target=_compile_all, name="ahead", daemon=True).start()
    return True


def of_source(source: Any) -> str:
    """Return the part of the list for maps of the kind of an array-like over a file."""
    module = type(source).__module__.removeprefix(f"{_PACKAGE.name}.")
    return f"{module} {source.dtype}"


def is_off() -> bool:
    """Tell whether the user does not want a process to compile ahead."""
    return os.environ.get(SWITCH, "").strip().lower() in OFF


def cache_folder() -> Path | None:
    """Return where numba keeps the kernels of this folder; None if it keeps none."""
    place = getattr(getattr(sums.add_rows.compiled, "stats", None), "cache_path", None)
    return None if place is None else Path(place)


def is_compiled(name: str) -> bool:
    """Tell whether a part of the list was compiled here, and its kernels are as they were."""
    folder = cache_folder()
    return folder is not None and _stamp(folder, name).exists()


def is_compiling() -> bool:
    """Tell whether a process compiles ahead now."""
    folder = cache_folder()
    is_other = folder is not None and _is_held(folder / _LOCK)
    return is_other or _is_running.is_set()


# The list ---------------------------------------------------------------------------------


@functools.cache
def parts() -> dict[str, list[list[Any]]]:
    """Return the parts of the list: of each its kernels and the types they are called with."""
    found = {}
    for path in (_LIST, _EXPLORER):
        found.update(json.loads(path.read_text(encoding="utf-8")))
    return found


def to_type(one: Any) -> Any:
    """Return numba's type for what the list has.

    Parameters
    ----------
    one
        ``"int64"``; ``"uint16 2C"``, an array of two axes, C-contiguous; ``"uint8 1C
        readonly"``; a list of such, a tuple; ``{"core.stream.Block": [...]}``, a named one.
    """
    import numba
    from numba import types

    if isinstance(one, list):
        return types.BaseTuple.from_types(tuple(map(to_type, one)))
    if isinstance(one, dict):
        ((name, fields),) = one.items()
        return types.BaseTuple.from_types(tuple(map(to_type, fields)), _find(name))
    dtype, *rest = one.split()
    number = numba.from_dtype(np.dtype(dtype))
    if not rest:
        return number
    return types.Array(number, int(rest[0][:-1]), rest[0][-1], "readonly" in rest)


def _find(name: str) -> Any:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(f"{_PACKAGE.name}.{module}"), attribute)


# Compiling --------------------------------------------------------------------------------


def compile_now(names: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Compile the kernels of parts of the list, those that are not kept yet.

    Parameters
    ----------
    names
        Of :func:`parts`.

    Yields
    ------
    name : str
        Of a kernel that is there now.
    is_new : bool
        Whether it was compiled, and not kept before.
    """
    from rsciio_xfm.kernels.kept import not_kept

    folder = cache_folder()
    for name in names:
        n_before = len(not_kept)
        for kernel_name, *kinds in parts()[name]:
            kernel = _find(kernel_name).compiled
            before = sum(kernel.stats.cache_misses.values())
            kernel.compile(tuple(map(to_type, kinds)))
            yield kernel_name, sum(kernel.stats.cache_misses.values()) > before
        if folder is not None and len(not_kept) == n_before:
            with contextlib.suppress(OSError):
                _stamp(folder, name).touch()


def _stamp(folder: Path, name: str) -> Path:
    """Return the name of an empty file that is there once a part is compiled."""
    import numba
    from llvmlite import binding

    lines = parts()[name]
    files = set().union(*(_find(line[0]).files() for line in lines))
    changed = [Path(file).stat().st_mtime_ns for file in sorted(files)]
    made_by = numba.__version__, sys.version, binding.get_host_cpu_name()
    text = repr((lines, changed, made_by))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return folder / f"ahead-{digest[:16]}.done"


# The process ------------------------------------------------------------------------------


def _may_start() -> bool:
    if is_off() or multiprocessing.parent_process():
        return False
    program = Path(sys.executable or "").name.lower()
    if getattr(sys, "frozen", False) or not program.startswith("python"):
        return False  # it would start another program
    return _count_processors() > 1


def _count_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on Windows and macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_held(lock: Path) -> bool:
    """Tell whether the file of a process that compiles is there, and no killed one left it."""
    try:
        return time.time() - lock.stat().st_mtime <= _STALE
    except OSError:
        return False


def _is_first(lock: Path) -> bool:
    """Make the file that tells others that a process compiles; False if there is one."""
    if not _is_held(lock):
        lock.unlink(missing_ok=True)
    try:
        lock.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _compile_all() -> None:
    """Start one process after the other, and wait for each, as the system wants."""
    while True:
        with _changing:
            names = _waiting.copy()
            _waiting.clear()
            if not names:
                _is_running.clear()
                return
        lock = (cache_folder() or Path()) / _LOCK
        with contextlib.suppress(OSError):  # it cannot be written to, or nothing started
            lock.parent.mkdir(parents=True, exist_ok=True)
            if _is_first(lock):
                _run(names, lock)
            else:  # another program compiles: the next file that is opened asks again
                with _changing:
                    _wanted.difference_update(names)


def _run(names: list[str], lock: Path) -> None:
    """Wait for a process; one that did not come as far as to unlock leaves no lock."""
    failed = True
    try:
        failed = _start(names).wait() != 0
    finally:
        if failed:
            lock.unlink(missing_ok=True)


def _start(names: list[str]) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(_PACKAGE.parent), *filter(None, map(str, sys.path))])
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.BELOW_NORMAL_PRIORITY_CLASS | subprocess.CREATE_NO_WINDOW
    return subprocess.Popen(
        [sys.executable, "-P", "-m", __name__, str(os.getpid()), *names],
        env=os.environ | {SWITCH: "0", "PYTHONPATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for this process
        creationflags=flags,
    )


def main(parent: int, names: list[str]) -> None:
    """Compile in the process that was started, until it has all or its parent is gone."""
    from rsciio_xfm.kernels.kept import not_kept

    lock = (cache_folder() or Path()) / _LOCK
    is_posix = os.name == "posix"
    try:
        if is_posix:
            os.nice(_NICE)
        for _ in compile_now(names):
            if not_kept or (is_posix and os.getppid() != parent):
                return
            lock.touch()
    finally:
        lock.unlink(missing_ok=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
