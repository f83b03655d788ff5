"""Read damaged files, each in a process that may crash or hang, and say what became of it."""

import argparse
import gc
import multiprocessing
import os
import resource
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from tests.robustness.damage import damaged, truncations
from tests.robustness.samples import DATA, SAMPLES, Sample, make

TIME_LIMIT = 60.0  # seconds; a read of a sample takes milliseconds
START_LIMIT = 300.0  # kernels may have to be compiled
MEMORY_FACTOR, MEMORY_SPARE = 4, 64 * 2**20
ADDRESS_SPACE = 8 * 2**30  # what asks for more gets a MemoryError, not the whole machine
GOOD = ("rejected", "salvaged", "same", "altered")
BAD = (
    "wrong counts",
    "other error",
    "other warning",
    "hang",
    "crash",
    "memory",
    "left open",
)


@dataclass(frozen=True)
class Outcome:
    """What became of one damaged file.

    Attributes
    ----------
    case
        What was done to the file.
    kind
        One of `GOOD` or `BAD`: ``rejected`` with an error of ours; ``salvaged``, a warning and
        counts that are right or missing; the ``same`` counts as before; ``altered``, which
        nothing in the file tells from what was measured.
    text
        Error, or warnings.
    """

    case: str
    kind: str
    text: str = ""


def count_damage(sample: Sample, folder: Path, n_random: int) -> int:
    """Return how many damaged files :func:`run` makes."""
    return sum(1 for _ in make_damage(sample, make(sample, folder), n_random))


def make_damage(sample: Sample, path: Path, n_random: int) -> Iterator[tuple[str, bytes]]:
    """Make all damaged versions of a file."""
    target = sample.damaged_path(path)
    content = target.read_bytes()
    regions, boundaries = sample.find_parts(target)
    yield from truncations(content, boundaries)
    for i in range(n_random):
        yield damaged(content, regions, f"{sample.name}, {i}")


# In the process that reads ----------------------------------------------------------------


def _memory(name: str) -> int:
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith(name)]
    return int(line.split()[1]) * 1024


def _read(
    sample: Sample, path: Path
) -> tuple[list[np.ndarray], list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        arrays = [np.asarray(s["data"]) for s in sample.read(path)]
    return arrays, caught


def _same(found: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(found) == len(other) and all(map(np.array_equal, found, other))


def _is_part(found: list[np.ndarray], truth: list[np.ndarray]) -> bool:
    """Tell whether each count is as it was, or zero, or not there."""

    def is_part(a: np.ndarray, b: np.ndarray) -> bool:
        a = a.reshape((1,) * (b.ndim - a.ndim) + a.shape)
        if a.ndim != b.ndim:
            return False
        common = tuple(map(slice, map(min, a.shape, b.shape)))
        is_wrong = (a[common] != b[common]) & (a[common] != 0)
        return not is_wrong.any() and np.count_nonzero(a) == np.count_nonzero(a[common])

    return all(any(is_part(a, b) for b in truth) for a in found)


def _is_as_others_read_it(sample: Sample, path: Path, found: list[np.ndarray]) -> bool:
    if sample.decode is None:
        return False
    try:
        decoded = sample.decode(path)
    except Exception:
        return False
    # Spectra in a line, and those of a map, are the same; rows may be there for more.
    return all(
        any(
            a.size <= b.size and np.allclose(a.ravel(), b.ravel()[: a.size], 0, 0, True)
            for b in decoded
        )
        for a in found
    )


def _judge(
    sample: Sample, path: Path, truth: list[np.ndarray], case: str
) -> tuple[str, str]:
    from rsciio_xfm.exceptions import FileFormatError

    try:
        found, caught = _read(sample, path)
    except (FileFormatError, OverflowError) as exc:  # of counts too many for their type
        return (
            ("rejected", str(exc))
            if str(path.parent) in str(exc)
            else ("other error", str(exc))
        )
    except Exception as exc:
        return "other error", f"{type(exc).__name__}: {exc}"
    text = "; ".join(str(w.message) for w in caught)
    if any(w.category is not UserWarning for w in caught):
        return "other warning", text
    if _same(found, truth):
        return ("salvaged" if caught else "same"), text
    if len(found) == len(truth) and all(
        np.array_equal(a.ravel(), b.ravel()) for a, b in zip(found, truth, strict=True)
    ):
        return "altered", f"other shapes: {[a.shape for a in found]}. {text}"
    # Counters of a scan, in place of spectra that are not there, are not counts of those.
    kinds = {b.dtype.kind for b in truth}
    if caught and _is_part([a for a in found if a.dtype.kind in kinds], truth):
        return "salvaged", text
    if _is_as_others_read_it(sample, path, found):
        return "altered", f"as others read it. {text}"
    # What was measured cannot be told from other values that a disk made of it. A cut alters
    # nothing, and numbers that are not themselves damaged are not altered unsaid.
    is_cut = case.startswith("cut")
    is_said = caught or f" in {DATA} " in case
    return ("altered" if is_said and not is_cut else "wrong counts"), (
        f"{[a.shape for a in found]}. {text}"
    )


def _serve(name: str, folder: str, n_random: int, first: int, pipe: Connection) -> None:
    """Read damaged files from the given one on, and send what became of each."""
    import dask

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ["RSCIIO_XFM_CACHE"] = "off"
    dask.config.set(scheduler="synchronous")
    with open(os.devnull, "w") as nowhere:  # what libraries of others print
        for stream in (1, 2):
            os.dup2(nowhere.fileno(), stream)
    sample = SAMPLES[name]
    path = make(sample, Path(folder))
    truth, _ = _read(sample, path)
    target = sample.damaged_path(path)
    for content in (b"", b"x"):  # what is imported for errors
        target.write_bytes(content)
        _judge(sample, path, truth, "")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    gc.freeze()
    pipe.send(None)
    for i, (case, content) in enumerate(
        make_damage(sample, make(sample, Path(folder)), n_random)
    ):
        if i < first:
            continue
        target.write_bytes(content)
        pipe.send(case)
        files = len(os.listdir("/proc/self/fd"))
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        before = _memory("VmRSS")
        kind, text = _judge(sample, path, truth, case)
        used = _memory("VmHWM") - before
        gc.collect()
        if used > MEMORY_FACTOR * len(content) + MEMORY_SPARE:
            kind, text = "memory", f"{used >> 20} MiB. {text}"
        elif len(os.listdir("/proc/self/fd")) > files:
            kind = "left open"
        pipe.send(Outcome(case, kind, text))
    pipe.send(None)


# In the process that asks -----------------------------------------------------------------


def run(name: str, n_random: int) -> list[Outcome]:
    """Read all damaged versions of a sample, in processes of their own.

    Parameters
    ----------
    name
        Of the sample.
    n_random
        How many random damages, besides the truncations.
    """
    outcomes: list[Outcome] = []
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        is_done = False
        while not is_done:
            ours, theirs = context.Pipe()
            arguments = (
                name,
                f"{folder}/{len(outcomes)}",
                n_random,
                len(outcomes),
                theirs,
            )
            process = context.Process(target=_serve, args=arguments, daemon=True)
            process.start()
            theirs.close()
            is_done = _listen(process, ours, outcomes)
            process.kill()
            process.join()
    return outcomes


def _listen(
    process: multiprocessing.Process, pipe: Connection, outcomes: list[Outcome]
) -> bool:
    """Gather outcomes until the process is done, or has ended before."""
    case, is_ready = None, False
    while True:
        try:
            if not pipe.poll(TIME_LIMIT if is_ready else START_LIMIT):
                outcomes.append(
                    Outcome(case or "start", "hang", f"longer than {TIME_LIMIT} s")
                )
                return case is None
            message = pipe.recv()
        except EOFError:
            process.join()
            text = f"exit code {process.exitcode}"
            outcomes.append(Outcome(case or "start", "crash", text))
            return case is None
        if message is None:
            if is_ready:
                return True
            is_ready = True
        elif isinstance(message, str):
            case = message
        else:
            outcomes.append(message)


def table(results: dict[str, list[Outcome]]) -> str:
    """Return a table of counts, in Markdown."""
    columns = ["tried", *GOOD, "defects"]
    lines = [
        f"| file | {' | '.join(columns)} |",
        f"|{' --- |' + ' ---: |' * len(columns)}",
    ]
    for name, outcomes in results.items():
        counts = Counter(o.kind for o in outcomes)
        numbers = [
            len(outcomes),
            *(counts[kind] for kind in GOOD),
            sum(counts[kind] for kind in BAD),
        ]
        lines.append(f"| {name} | {' | '.join(map(str, numbers))} |")
    return "\n".join(lines)


def main() -> None:
    """Run the battery as a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--random", type=int, default=2000, help="random damages a file")
    parser.add_argument("--only", default="", help="names of files that contain this")
    parser.add_argument("--show", default="", help="print all outcomes of this kind")
    arguments = parser.parse_args()
    names = [n for n, s in SAMPLES.items() if s.is_here and arguments.only in n]
    start = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = dict(
            zip(names, pool.map(lambda n: run(n, arguments.random), names), strict=True)
        )
    print(table(results))
    print(
        f"\n{sum(map(len, results.values()))} files in {time.monotonic() - start:.0f} s"
    )
    failed = False
    for name, outcomes in results.items():
        for outcome in outcomes:
            failed |= outcome.kind in BAD
            if outcome.kind in (*BAD, arguments.show):
                print(f"{name}: {outcome.kind}: {outcome.case}: {outcome.text[:600]}")
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
