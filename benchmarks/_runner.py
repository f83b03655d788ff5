"""Run cases in turn in fresh processes; print time, memory and the ratio to the first."""

import gc
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable


def main(cases: dict[str, Callable[[str], Callable[[], object]]], path: str) -> bool:
    """If this process was started to run a case, run it and say so.

    A case is a function that imports what it needs, warms up on nothing, and returns the
    function to be measured; what it returns is printed, so that results can be compared.
    """
    if len(sys.argv) < 3 or sys.argv[1] != "--case":
        return False
    action = cases[sys.argv[2]](path)
    gc.collect()  # of what the imports left: not within one case or another, by chance
    before = peak_bytes(reset=True)
    start, cpu = time.perf_counter(), time.process_time()
    result = action()
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    found = {"seconds": seconds, "cpu": cpu, "result": str(result)}
    found["peak"] = max(0, peak_bytes(reset=False) - before)
    print(json.dumps(found))
    return True


def compare(
    script: str,
    names: list[str],
    path: str,
    repeats: int,
    slow: tuple[str, ...] = (),
    is_cached: bool = True,
    interpreters: dict[str, str] | None = None,
) -> None:
    """Run the cases in turn, several times, and print a Markdown table.

    The file is read into the page cache first if `is_cached`. Slow cases run once. Ratios
    are medians of the ratios to the first case of one turn. `interpreters` are those of
    cases that have an environment of their own.
    """
    interpreters = interpreters or {}
    if is_cached:
        read(path)
    runs = {name: [] for name in names}
    for turn in range(repeats):
        for name in names:
            if name not in slow or turn == 0:
                runs[name].append(run(script, name, path, interpreters.get(name)))
    print("| what | time (s) | ratio | peak memory (MiB) | result |")
    print("|---|---|---|---|---|")
    first = [run["seconds"] for run in runs[names[0]]]
    for name in names:
        seconds = [run["seconds"] for run in runs[name]]
        ratios = [s / f for s, f in zip(seconds, first, strict=False)]
        peak = max(run["peak"] for run in runs[name]) / 2**20
        print(
            f"| {name} | {statistics.median(seconds):.3f} | "
            f"{statistics.median(ratios):.2f} | {peak:.0f} | {runs[name][0]['result']} |"
        )


def run(script: str, name: str, path: str, interpreter: str | None = None) -> dict:
    result = subprocess.run(
        [interpreter or sys.executable, "-W", "ignore", script, "--case", name, path],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(result.stdout.splitlines()[-1])


def read(path: str) -> None:
    """Bring the file into the page cache."""
    with open(path, "rb", buffering=0) as file:
        while file.read(2**24):
            pass


def peak_bytes(reset: bool) -> int:
    """Return the peak of resident memory, after setting it to what is resident now."""
    if reset:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    with open(f"/proc/{os.getpid()}/status") as file:
        (line,) = [line for line in file if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
