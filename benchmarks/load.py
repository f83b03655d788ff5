"""Many users of one large map: in threads, in processes, on a cluster of little memory.

Each user loads the map (2.5 GiB of uint16 when dense), sums the spectra of a region of their
own, and makes an image of a window of channels. All answers are compared with those of one
user alone. Prints, for each format, wall times, the peak of memory and the number of open
files afterwards; then the growth of one process that does the same a hundred times.
"""

import argparse
import gc
import multiprocessing
import os
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the builders of the tests

USERS = 20
WORKERS, WORKER_MEMORY = 4, 512 * 2**20
N_COLUMNS, N_ROWS = 640, 512  # 2.5 GiB with 4096 channels
TIMES = 100


def status(name: str) -> float:
    """Return memory of this process in MiB."""
    with open("/proc/self/status") as file:
        (line,) = [line for line in file if line.startswith(name)]
    return int(line.split()[1]) / 1024


def n_open() -> int:
    return len(os.listdir("/proc/self/fd"))


def ask(path: Path, user: int) -> tuple[np.ndarray, np.ndarray]:
    """Do what one user does."""
    import hyperspy.api as hs

    from tests.builders.large import load

    hs.preferences.General.show_progressbar = False
    s = load(path)
    x, y = 20 * user, 15 * user
    spectrum = s.inav[x : x + 100, y : y + 100].sum()
    spectrum.compute(show_progressbar=False)
    first = 300 + 10 * user
    region = s.isig[first : first + 20]
    image = region.inav[:, y : y + 100].sum(-1)
    image.compute(show_progressbar=False)
    return np.asarray(spectrum.data), np.asarray(image.data)


def ask_and_tell(path: Path, user: int) -> tuple[np.ndarray, np.ndarray, float, int]:
    """Do what one user does in a process of their own; tell memory and open files."""
    import dask

    import rsciio_xfm.signals  # noqa: F401
    from tests.builders import large  # noqa: F401

    dask.config.set(scheduler="threads", num_workers=1)  # of twenty on one machine
    before, files = status("VmRSS"), n_open()
    answer = ask(path, user)
    gc.collect()
    return *answer, status("VmHWM") - before, n_open() - files


def same(answers: list, expected: list) -> bool:
    return all(
        np.array_equal(a, b)
        for answer, known in zip(answers, expected, strict=True)
        for a, b in zip(answer[:2], known, strict=True)
    )


def in_threads(path: Path, expected: list) -> str:
    """Ask for all users at once."""
    files, before = n_open(), status("VmRSS")
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    start = time.perf_counter()
    with ThreadPoolExecutor(USERS) as pool:
        answers = list(pool.map(lambda user: ask(path, user), range(USERS)))
    took = time.perf_counter() - start
    assert same(answers, expected), "threads: other counts"
    gc.collect()
    assert n_open() <= files, f"threads: {n_open() - files} files left open"
    return f"{took:.1f} s, {status('VmHWM') - before:.0f} MiB"


def in_processes(path: Path, expected: list) -> str:
    """Ask in a process for each user; memory is that of the one which took most."""
    context = multiprocessing.get_context("spawn")
    start = time.perf_counter()
    with ProcessPoolExecutor(USERS, mp_context=context) as pool:
        answers = list(pool.map(ask_and_tell, [path] * USERS, range(USERS)))
    took = time.perf_counter() - start
    assert same(answers, expected), "processes: other counts"
    assert max(a[3] for a in answers) <= 0, "processes: files left open"
    return f"{took:.1f} s, {max(a[2] for a in answers):.0f} MiB each"


def on_a_cluster(path: Path, expected: list) -> str:
    """Ask from this process; workers are killed by their nanny at 95 % of their memory."""
    import dask
    import distributed

    from tests.builders.large import load

    with (
        dask.config.set({"distributed.logging.distributed": "error"}),
        distributed.LocalCluster(
            n_workers=WORKERS,
            threads_per_worker=1,
            memory_limit=WORKER_MEMORY,
            dashboard_address=None,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        first = set(client.run(os.getpid).values())
        start = time.perf_counter()
        answers = [ask(path, user) for user in range(USERS)]
        largest = load(path).data.max(axis=(0, 1)).compute()  # each chunk is decoded
        took = time.perf_counter() - start
        assert same(answers, expected), "cluster: other counts"
        assert largest.any()
        peaks = client.run(lambda: status("VmHWM"))
        assert set(client.run(os.getpid).values()) == first, "cluster: a worker died"
        return f"{took:.1f} s, {max(peaks.values()):.0f} MiB each"


def again_and_again(path: Path) -> str:
    """Ask a hundred times; memory after each quarter is compared."""
    sizes = []
    files = n_open()
    for i in range(TIMES):
        ask(path, i % USERS)
        gc.collect()
        if i % (TIMES // 4) == TIMES // 4 - 1:
            sizes.append(status("VmRSS"))
    assert n_open() <= files, f"again: {n_open() - files} files left open"
    return " ".join(f"{size:.0f}" for size in sizes) + " MiB"


def do(kind: str, folder: str) -> None:
    """Write a map, and print a line of the table."""
    import dask
    import psutil

    from tests.builders.large import write

    Path(folder, kind).mkdir()
    path = write(Path(folder, kind), kind, N_COLUMNS, N_ROWS)
    own = psutil.Process()
    expected = [ask(path, user) for user in range(USERS)]
    assert all(image.shape == (100, N_COLUMNS) for _, image in expected)
    assert any(spectrum.any() for spectrum, _ in expected)
    cells = [in_threads(path, expected), in_processes(path, expected)]
    cells.append(on_a_cluster(path, expected))
    with dask.config.set(scheduler="threads"):
        cells.append(again_and_again(path))
    left = [f.path for f in own.open_files() if f.path.startswith(folder)]
    assert not left, left
    print(f"| {kind} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Run for each format in a process of its own."""
    from tests.builders.large import KINDS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kinds", nargs="*", default=KINDS, help="of maps; default: all")
    parser.add_argument("--folder", help="for the maps, with 3 GiB of room")
    arguments = parser.parse_args()
    print(f"| map | {USERS} threads | {USERS} processes | cluster | {TIMES} times |")
    print("| --- | ---: | ---: | ---: | ---: |", flush=True)
    context = multiprocessing.get_context("spawn")
    failed = False
    for kind in arguments.kinds:
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            process = context.Process(target=do, args=(kind, folder))
            process.start()
            process.join()
            failed |= process.exitcode != 0
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
