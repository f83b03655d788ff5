"""Kernels compiled ahead, and what is imported when."""

import importlib
import json
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import numba
import pytest

import rsciio_xfm
from rsciio_xfm import doctor
from rsciio_xfm.cli import main
from rsciio_xfm.kernels import ahead, compiled, kept, sums
from tests import kernels_used
from tests.builders import ripple as ripple_builder
from tests.commands import all_commands

NAME = "core.chunks uint8"


def run_python(code, *arguments, **environment):
    """Run Python, with kernels kept in a folder of its own; return what it prints as JSON."""
    result = subprocess.run(
        [
            sys.executable,
            "-W",
            "error::ResourceWarning",
            "-c",
            code,
            *map(str, arguments),
        ],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "ResourceWarning" not in result.stderr
    return json.loads(result.stdout)


# The list ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ahead.parts())
def test_kernels_of_the_list_are_there(name):
    """Their types are numba's, and written as they are read."""
    for kernel_name, *kinds in ahead.parts()[name]:
        kernel = ahead._find(kernel_name)
        assert kernel.function.__code__.co_argcount == len(kinds)
        assert [kernels_used.from_type(ahead.to_type(kind)) for kind in kinds] == kinds


def test_part_of_a_source(tmp_path):
    path = ripple_builder.write_map(tmp_path / "map.rpl", shape=(2, 3, 32))
    (signal,) = rsciio_xfm.ripple.file_reader(path, lazy=True)
    from rsciio_xfm.core.to_dask import source_of

    assert ahead.of_source(source_of(signal["data"])) in ahead.parts()


# Where it is not started ------------------------------------------------------------------


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Let nothing be compiled, and give the names of what would be."""
    found = []

    class Process:
        def wait(self):
            return 0

    def start(names):
        found.extend(names)
        return Process()

    monkeypatch.delenv(ahead.SWITCH)
    monkeypatch.setattr(ahead, "_start", start)
    monkeypatch.setattr(ahead, "_wanted", set())
    monkeypatch.setattr(ahead, "_count_processors", lambda: 2)
    monkeypatch.setattr(ahead, "cache_folder", lambda: tmp_path / "kernels")
    yield found
    wait_until_done()


def wait_until_done():
    """Wait for the thread that starts processes: it may begin late on a busy machine."""
    deadline = time.monotonic() + 60
    while ahead._is_running.is_set() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not ahead._is_running.is_set()


def test_started_once(started, tmp_path):
    assert ahead.compile_ahead("no such part", NAME)
    wait_until_done()
    assert started == [NAME]
    assert not ahead.compile_ahead(NAME)
    assert (tmp_path / "kernels" / ahead._LOCK).exists()


def test_another_program_compiles(started, tmp_path):
    (tmp_path / "kernels").mkdir()
    lock = tmp_path / "kernels" / ahead._LOCK
    lock.touch()
    assert ahead.is_compiling()
    ahead.compile_ahead(NAME)
    wait_until_done()
    assert not started
    old = time.time() - 2 * ahead._STALE
    os.utime(lock, (old, old))  # of a process that was killed
    assert not ahead.is_compiling()
    assert ahead.compile_ahead(NAME)
    wait_until_done()
    assert started == [NAME]


@pytest.mark.parametrize("problem", ["it ends at once", "it cannot be started"])
def test_process_that_fails_leaves_no_lock(started, monkeypatch, tmp_path, problem):
    class Process:
        def wait(self):
            return 1

    def start(names):
        if problem == "it cannot be started":
            raise OSError(problem)
        started.extend(names)
        return Process()

    monkeypatch.setattr(ahead, "_start", start)
    assert ahead.compile_ahead(NAME)
    wait_until_done()
    assert not (tmp_path / "kernels" / ahead._LOCK).exists()
    assert not ahead.is_compiling()


def test_path_that_is_no_text(monkeypatch):
    """Python ignores it; the process is started nevertheless."""
    commands = []
    monkeypatch.setattr(
        ahead.subprocess, "Popen", lambda *args, **kwds: commands.append(kwds["env"])
    )
    monkeypatch.setattr(ahead.sys, "path", [Path("somewhere"), *sys.path])
    ahead._start([NAME])
    assert "somewhere" in commands[0]["PYTHONPATH"]


@pytest.mark.parametrize(
    ("owner", "name", "value"),
    [
        (ahead, "cache_folder", lambda: None),
        (ahead, "_count_processors", lambda: 1),
        (ahead.multiprocessing, "parent_process", lambda: "pool"),
        (ahead.sys, "executable", "/usr/bin/uwsgi"),
        (ahead.sys, "frozen", True),
    ],
)
def test_not_started(started, monkeypatch, owner, name, value):
    monkeypatch.setattr(owner, name, value, raising=False)
    assert not ahead.compile_ahead(NAME)
    assert not started


@pytest.mark.parametrize("value", ["0", "off", " No "])
def test_turned_off(started, monkeypatch, value):
    monkeypatch.setenv(ahead.SWITCH, value)
    assert not ahead.compile_ahead(NAME)
    assert not started


def test_folder_that_cannot_be_made(started, tmp_path):
    (tmp_path / "kernels").touch()
    assert ahead.compile_ahead(NAME)
    wait_until_done()
    assert not started


# What it makes ----------------------------------------------------------------------------

USE = """
import json, sys, threading
import rsciio_xfm
from rsciio_xfm.core.sums import sum_spectrum
from rsciio_xfm.kernels import ahead
path, wait = sys.argv[1:]
(signal,) = rsciio_xfm.ripple.file_reader(path, lazy=True)
thread = {t.name: t for t in threading.enumerate()}.get("ahead")
if wait == "wait":
    thread.join(120)
total = sum_spectrum(signal["data"]).compute()
from rsciio_xfm.kernels import sums
print(json.dumps({
    "started": thread is not None,
    "misses": sum(sums.stream_spectra.compiled.stats.cache_misses.values()),
    "hits": sum(sums.stream_spectra.compiled.stats.cache_hits.values()),
    "compiled": ahead.is_compiled("core.chunks uint8"),
    "total": int(total.sum()),
}))
"""


def test_process_compiles_for_another(tmp_path):
    """The first process waits, so that nothing is left to compile; the next starts none."""
    path = ripple_builder.write_map(tmp_path / "map.rpl", shape=(4, 5, 32), kind="u1")
    place = {"NUMBA_CACHE_DIR": str(tmp_path / "numba"), ahead.SWITCH: "1"}
    first = run_python(USE, path, "wait", **place)
    again = run_python(USE, path, "no", **place)
    assert first["started"]
    assert not again["started"]
    for found in (first, again):
        assert (found["misses"], found["hits"], found["compiled"]) == (0, 1, True)
    assert first["total"] == again["total"]
    left = [p.name for p in tmp_path.rglob("*") if p.name == ahead._LOCK]
    assert not left


def test_process_ends_without_its_parent(tmp_path, monkeypatch):
    monkeypatch.setattr(ahead, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(os, "nice", lambda more: None, raising=False)
    compiled = []

    def compile_now(names):
        for name in names:
            compiled.append(name)
            yield name, True

    monkeypatch.setattr(ahead, "compile_now", compile_now)
    ahead.main(os.getppid(), ["a", "b"])
    if os.name == "posix":
        assert compiled == ["a", "b"]
        ahead.main(os.getppid() + 1, ["c", "d"])
        assert compiled == ["a", "b", "c"]
    assert not (tmp_path / ahead._LOCK).exists()


READ = """
import json, os, sys
import numpy as np
from rsciio_xfm.kernels.sums import pread_ranges
descriptor = os.open(sys.argv[1], os.O_RDONLY)
out = np.zeros(8, np.uint8)
offsets, sizes = np.array([4, -1, 0, 7]), np.array([3, 1, 2, 2])
n = pread_ranges(descriptor, offsets, sizes, out)
os.close(descriptor)
print(json.dumps([int(n), out.tolist(), int(pread_ranges(descriptor, offsets, sizes, out))]))
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no pread on Windows")
def test_ranges_are_read_without_a_compiler(tmp_path):
    """The last one ends behind the file; then the file is closed."""
    (tmp_path / "file").write_bytes(bytes(range(10, 18)))
    expected = [3, [14, 15, 16, 0, 10, 11, 17, 0], 0]
    found = run_python(READ, tmp_path / "file", NUMBA_DISABLE_JIT="1")
    assert found == expected


def test_kernel_in_another_process():
    """Another process imports it."""
    assert pickle.loads(pickle.dumps(sums.add_rows)) is sums.add_rows


def test_kernel_is_compiled_once(monkeypatch):
    """Of two threads that call it at the same time, both take the same."""
    made = []

    def compile_kept(kernel):
        made.append(object())
        if len(made) == 1:
            assert one.compiled is made[1]  # of the other thread
        return made[-1]

    monkeypatch.setattr(kept, "compile_kept", compile_kept)
    one = compiled.kernel(len)
    assert one.compiled is made[1]


def test_kernel_of_other_types_is_not_taken(monkeypatch):
    """As numba's index has it after two processes wrote to it at the same time."""
    types = numba.types

    class Found:
        class signature:  # noqa: N801
            args = (types.int64,)

    monkeypatch.setattr(kept.FunctionCache, "load_overload", lambda *a: Found)
    cache = sums.add_rows.compiled._cache
    assert cache.load_overload((types.int64,), None) is Found
    assert cache.load_overload((types.int32,), None) is None


def test_compile(run, monkeypatch, tmp_path):
    parts = {NAME: ahead.parts()[NAME][:1]}
    monkeypatch.setattr(ahead, "parts", lambda: parts)
    monkeypatch.setattr(ahead, "cache_folder", lambda: tmp_path)
    (_, found) = doctor._kernels()
    assert found.found.startswith("for 0 of 1 kinds of map: rsciio-xfm compile")
    assert re.search(r"1 kernels compiled, 0 were there|0 .*, 1 were", run("compile"))
    (_, found) = doctor._kernels()
    assert found.found == "for 1 of 1 kinds of map"


FULL_DISK = OSError(28, "No space left on device")


def test_disk_is_full(run, monkeypatch, tmp_path):
    """Kernels are used without being kept, and who wants them kept is told."""

    def save_overload(*arguments):
        raise FULL_DISK

    monkeypatch.setattr(kept, "not_kept", errors := [])
    monkeypatch.setattr(kept.FunctionCache, "save_overload", save_overload)
    sums.add_rows.compiled._cache.save_overload((), None)
    assert errors == [FULL_DISK]

    def compile_now(names):
        for name in names:
            sums.add_rows.compiled._cache.save_overload((), None)
            yield name, True

    monkeypatch.setattr(ahead, "parts", lambda: {NAME: []})
    monkeypatch.setattr(ahead, "compile_now", compile_now)
    monkeypatch.setattr(ahead, "cache_folder", lambda: tmp_path)
    text = run("compile", code=1)
    assert f"{tmp_path}: compiled kernels cannot be kept there: No space left" in text


SCRIPT = """
import json, sys
import numpy as np
from helping import more
from rsciio_xfm.kernels.compiled import kernel

@kernel
def twice(n):
    return more(2 * n)

found = twice(20)
hits = sum(twice.compiled.stats.cache_hits.values())
print(json.dumps([found, hits, twice.compiled.stats.cache_path]))
"""
HELPING = """
from rsciio_xfm.kernels.compiled import kernel

@kernel
def more(n):
    return n + {}
"""


@pytest.fixture
def call_kept(tmp_path):
    """Return a function that calls a kernel in a new process.

    It returns its result, whether it was there, and where it is kept.
    """
    script, helping = tmp_path / "script.py", tmp_path / "helping.py"
    script.write_text(SCRIPT)
    helping.write_text(HELPING.format(2))
    code = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); "
    code += f"runpy.run_path({str(script)!r}, run_name='script')"
    folder = {
        "NUMBA_CACHE_DIR": str(tmp_path / "kernels"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return lambda: run_python(code, **folder)


def flip(content):
    """Change a bit in the middle: unpickling it would give other machine code."""
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
@pytest.mark.parametrize("damage", [lambda content: content[:20], flip, lambda _: b""])
def test_kept_kernel_is_not_whole(call_kept, damage, ending):
    """As after a computer lost its power: it is compiled and kept anew."""
    assert call_kept()[:2] == [42, 0]
    found, n_hits, kept_in = call_kept()
    assert (found, n_hits) == (42, 1)
    (path,) = Path(kept_in).glob(f"script.twice*.{ending}")
    path.write_bytes(damage(path.read_bytes()))
    assert call_kept()[:2] == [42, 0]
    assert call_kept()[:2] == [42, 1]


def test_kernel_that_is_called_was_changed(call_kept, tmp_path):
    """What calls it has its machine code, and is compiled anew."""
    assert call_kept()[:2] == [42, 0]
    (tmp_path / "helping.py").write_text(HELPING.format(30))
    assert call_kept()[:2] == [70, 0]
    assert call_kept()[:2] == [70, 1]


@pytest.mark.parametrize("error", [AttributeError, ImportError])
def test_classes_of_a_kept_kernel_were_moved(tmp_path, monkeypatch, error):
    """It was kept by another version of this package."""
    file = kept.CheckedFile(str(tmp_path), "name", "stamp")
    file.save("key", "data")
    assert file.load("key") == "data"

    def unpickle(*arguments):
        raise error("moved")

    with monkeypatch.context() as patched:
        patched.setattr(kept.IndexDataCacheFile, "_load_data", unpickle)
        assert file.load("key") is None
        patched.setattr(kept.IndexDataCacheFile, "_load_index", unpickle)
        assert file.load("key") is None
        file.save("key", "other")
    assert file.load("key") == "other"


def test_compile_without_a_folder(run, monkeypatch):
    monkeypatch.setattr(ahead, "cache_folder", lambda: None)
    assert "set NUMBA_CACHE_DIR" in run("compile", code=1)
    monkeypatch.setattr(numba.config, "DISABLE_JIT", 1)
    assert "NUMBA_DISABLE_JIT is set" in run("compile", code=1)


def test_hyperspy_has_no_folder_either(run, monkeypatch):
    """It keeps kernels when it is imported, and cannot be without a folder."""

    def command():
        raise RuntimeError(said)

    one = click.Command("info", callback=command)
    monkeypatch.setattr(main, "get_command", lambda context, name: one)
    said = "cannot cache function 'loop': no locator available for file 'tools.py'"
    assert "set NUMBA_CACHE_DIR to a folder" in run("info", code=1)
    said = "another"
    with pytest.raises(RuntimeError, match="another"):
        main(["info"], standalone_mode=False)


# What is imported -------------------------------------------------------------------------

INFO = """
import json, sys
from rsciio_xfm.cli import main
heavy = ("dask.array", "exspy", "hyperspy.signal", "matplotlib", "numba", "scipy.ndimage")
held = [name for name in heavy if name in sys.modules]
out, sys.stdout = sys.stdout, open(sys.argv[1], "w")
found = {}
for path in sys.argv[2:]:
    main(["info", path], standalone_mode=False)
    found[path] = [name for name in heavy if name in sys.modules]
sys.stdout.close()
print(json.dumps([held, found]), file=out)
"""
# Kernels go through all of these, however small they are.
OF_KERNELS = ("EMD, Velox", "JEOL", "SPEC", "bruker", "text_spectra")
# RosettaSciIO reads these, and imports more.
OF_OTHERS = ("EMD, NCEM", "EMD, saved here")


def test_what_info_imports(tmp_path):
    """One process for all formats."""
    from tests.robustness.samples import SAMPLES, make

    samples = {}
    # What one of them imports, the next ones have too.
    order = sorted(
        SAMPLES.values(),
        key=lambda one: (one.name in OF_OTHERS, one.name.startswith(OF_KERNELS)),
    )
    for number, one in enumerate(order):
        if one.is_here and one.damage is None:
            samples[str(make(one, tmp_path / str(number)))] = one.name
    held, found = run_python(INFO, tmp_path / "said", *samples)
    assert held == []
    assert len(found) > 30
    for path, names in found.items():
        if samples[path] not in OF_OTHERS:
            may_be = {"numba"} if samples[path].startswith(OF_KERNELS) else set()
            assert {*names} <= may_be, samples[path]
    assert (tmp_path / "said").read_text(encoding="utf-8").count("Counts ") == len(found)


def test_what_a_kernel_calls_was_changed(monkeypatch, tmp_path):
    """Then it is compiled ahead once more."""
    called = tmp_path / "called.py"
    called.touch()
    monkeypatch.setattr(compiled.Kernel, "files", lambda kernel: {str(called)})
    stamps = set()
    for time_ns in (1, 2, 2):
        os.utime(called, ns=(time_ns, time_ns))
        stamps.add(ahead._stamp(tmp_path, next(iter(ahead.parts()))))
    assert len(stamps) == 2


def test_a_command_imports_no_other():
    code = (
        "import json, sys, click; from rsciio_xfm.cli import main;"
        "main.get_command(click.Context(main), 'info');"
        "print(json.dumps([m for m in sys.modules if m.startswith('rsciio_xfm.cli.')]))"
    )
    assert not {f"rsciio_xfm.cli._{name}" for name in ("demo", "maps")} & {
        *run_python(code)
    }


def test_all_commands_are_listed():
    folder = Path(rsciio_xfm.__file__).parent / "cli"
    found = set()
    for path in folder.glob("_[a-z]*.py"):
        module = importlib.import_module(f"rsciio_xfm.cli.{path.stem}")
        commands = (c for c in vars(module).values() if isinstance(c, click.Command))
        found |= {c for c in commands if c.callback.__module__ == module.__name__}
    commands = all_commands()
    assert found == {*commands.values()}
    assert all(command.name == name for name, command in commands.items())


def test_importing_the_package_imports_little():
    code = "import json, sys, rsciio_xfm; print(json.dumps(sorted(sys.modules)))"
    names = {name.partition(".")[0] for name in run_python(code)}
    assert not names & {
        "dask",
        "exspy",
        "h5py",
        "hyperspy",
        "matplotlib",
        "numba",
        "numpy",
    }
