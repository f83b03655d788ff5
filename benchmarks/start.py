"""What importing, looking at a file and its first sum take, in fresh processes.

``python benchmarks/start.py map.GeoPIXE map.bcf`` prints processor time and time of each,
medians of several turns, beside what importing HyperSpy takes. First results, of the first
map, are measured without compiled kernels, with a process that compiles them while the file is
looked at, and with all of them kept. ``NUMBA_CACHE_DIR`` is a folder of its own.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLI = "from rsciio_xfm.cli import main; main()"
SUM = """
import sys, time
import hyperspy.api as hs
start = time.perf_counter()
s = hs.load(sys.argv[1], lazy=True)
s = s if not isinstance(s, list) else next(m for m in s if m.data.ndim == 3)
opened = time.perf_counter()
time.sleep(float(sys.argv[2]))
begin = time.perf_counter()
s.sum((0, 1)).compute(show_progressbar=False)
print(opened - start, time.perf_counter() - begin)
"""
IMPORTS = {
    "python": "pass",
    "import numpy": "import numpy",
    "import rsciio_xfm": "import rsciio_xfm",
    "import hyperspy.api": "import hyperspy.api as hs; hs.signals.Signal1D",
    "import exspy": "import exspy; exspy.signals.EDSSEMSpectrum",
}


def run(code, *arguments, **environment):
    """Run Python; return processor time, time, and what was printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    took = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, took, said


def show(name, runs):
    cpu, took = (statistics.median(one) for one in zip(*runs, strict=True))
    print(f"| {name} | {cpu:.2f} | {took:.2f} |", flush=True)


def measure_imports(paths, turns, place):
    print("| what | CPU (s) | time (s) |\n|---|---|---|")
    commands = {"--version": ["--version"], "--help": ["--help"]}
    commands |= {f"info {Path(path).name}": ["info", path] for path in paths}
    for path in paths:
        run(CLI, "info", path, **place)
    runs = {name: [] for name in (*IMPORTS, *commands)}
    for _ in range(turns):
        for name, code in IMPORTS.items():
            runs[name].append(run(code)[:2])
        for name, arguments in commands.items():
            runs[name].append(run(CLI, *arguments, **place)[:2])
    for name, one in runs.items():
        show(f"rsciio-xfm {name}" if name in commands else name, one)


def measure_first(path, turns, wait):
    print("\n| kernels | hs.load (s) | first sum (s) | CPU (s) |\n|---|---|---|---|")
    cases = {
        "none": ("0", "0"),
        "compiled meanwhile": ("1", "0"),
        f"the same, {wait:g} s later": ("1", str(wait)),
        "kept": ("0", "0"),
    }
    runs = {name: [] for name in cases}
    with tempfile.TemporaryDirectory() as kept:
        run(SUM, path, "0", NUMBA_CACHE_DIR=kept, RSCIIO_XFM_COMPILE="0")
        for _ in range(turns):
            for name, (switch, seconds) in cases.items():
                with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as empty:
                    place = kept if name == "kept" else empty
                    more = {"NUMBA_CACHE_DIR": place, "RSCIIO_XFM_COMPILE": switch}
                    cpu, _, said = run(SUM, path, seconds, **more)
                    runs[name].append((*map(float, said.split()), cpu))
                    wait_for_others(Path(place))
    for name, one in runs.items():
        cells = " | ".join(f"{statistics.median(c):.2f}" for c in zip(*one, strict=True))
        print(f"| {name} | {cells} |")


def wait_for_others(place):
    """Wait for the process that compiles: it ends after the kernel at hand."""
    end = time.monotonic() + 120
    while list(place.rglob("ahead.lock")) and time.monotonic() < end:
        time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+", help="of maps")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--wait", type=float, default=5, help="seconds before the sum")
    options = parser.parse_args()
    os.environ["RSCIIO_XFM_CACHE"] = "0"  # of indices: each time, the file is opened anew
    with tempfile.TemporaryDirectory() as place:
        measure_imports(options.paths, options.turns, {"NUMBA_CACHE_DIR": place})
    measure_first(options.paths[0], options.turns, options.wait)


if __name__ == "__main__":
    main()
