"""Every writer, writing one of two versions of a map over and over; and what may stop it.

Run as ``python -m tests.robustness.writers FAULT NAME TIMES FOLDER``: a process of its own,
with one thread, so that what writes can be forked from it, and killed.
"""

import os
import pickle
import random
import resource
import shutil
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hyperspy.api as hs
import numpy as np

from rsciio_xfm import (
    datastack,
    emd,
    esrf,
    geopixe,
    get_element_maps,
    load_element_model,
    msa,
    ripple,
)
from rsciio_xfm.exceptions import CorruptFileError
from tests.builders import datastack as datastack_builder
from tests.builders import esrf as esrf_builder
from tests.builders import geopixe as geopixe_builder
from tests.builders import xrf

SIZE = {"n_columns": 25, "n_rows": 40, "n_channels": 256}
_ADDED_BYTES = 400_000  # cannot be compressed
Write = Callable[[Path, int], Any]
Read = Callable[[Path], np.ndarray]


def _counts(reader: Any, **options: Any) -> Read:
    return lambda path: np.asarray(reader(path, **options)[0]["data"])


def _read_grown(path: Path) -> np.ndarray:
    """Read a stack; one whose append was killed, or is at work, as repack finds it."""
    stack = _counts(datastack.file_reader)
    try:
        return stack(path)
    except CorruptFileError as exc:
        if "repack makes a sound file" not in str(exc):
            raise
    sound = path.with_name("sound.datastack")
    datastack.repack(path, None, sound, show_progressbar=False, overwrite=True)
    return stack(sound)


def _prepare(folder: Path) -> None:
    """Write what is read, in two versions, and keep them as signals.

    This starts threads, which a fork of this process would wait for in vain.
    """
    signals = []
    for version in range(2):
        path = folder / f"source{version}.GeoPIXE"
        geopixe_builder.write_map(path, seed=version, **SIZE)
        signals += geopixe.file_reader(path)
        counts = datastack_builder.make_counts((40, 25, 256), seed=version)
        datastack_builder.write_raw(folder, counts, name=f"source{version}")
        stack = folder / f"source{version}.datastack"
        datastack_builder.write_stack(stack, {"maxrf_cube": counts}, chunks=(8, 8, 256))
        scans = [{"kind": "mesh", "shape": (12, 10)}]
        esrf_builder.write_spec(folder / f"source{version}.dat", scans, seed=version)
    (folder / "signals.pickle").write_bytes(pickle.dumps(signals))


def make_writers(folder: Path) -> dict[str, tuple[str, Write, Read]]:
    """Return extension, writer and reader of each kind of file.

    Parameters
    ----------
    folder
        For what is read by those that copy.
    """
    assert _ends_well(in_a_child(_prepare, folder))
    signals = pickle.loads((folder / "signals.pickle").read_bytes())
    spectra = [
        s | {"data": s["data"].sum((0, 1)), "axes": [s["axes"][2]]} for s in signals
    ]
    for spectrum in spectra:
        spectrum["axes"][0] = spectrum["axes"][0] | {"index_in_array": 0}
    images = [s | {"data": s["data"].sum(-1), "axes": s["axes"][:2]} for s in signals]
    for image in images:
        image["axes"] = [axis | {"navigate": False} for axis in image["axes"]]

    def source(version: int, suffix: str) -> Path:
        return folder / f"source{version}{suffix}"

    def repack(path: Path, version: int) -> None:
        datastack.repack(
            source(version, ".datastack"),
            None,
            path,
            show_progressbar=False,
            overwrite=True,
        )

    def convert(path: Path, version: int) -> None:
        pair = source(version, ".raw"), source(version, ".rpl")
        options = {"sigma": 0, "keep_integers": True, "show_progressbar": False}
        datastack.convert(*pair, path, overwrite=True, **options)

    def append(path: Path, version: int) -> None:
        """Add to the file itself: what was in it stays."""
        if not path.exists():
            repack(path, 0)
        added = np.random.default_rng(version).integers(0, 2**62, _ADDED_BYTES // 8)
        datastack.append(added, "added", path)

    def save_pair(path: Path, version: int) -> None:
        # RosettaSciIO's writer takes no counts of 32 bits without sign.
        signal = signals[version]
        ripple.file_writer(path, signal | {"data": signal["data"].astype(np.uint16)})

    stack = _counts(datastack.file_reader)
    return {
        "GeoPIXE": (
            ".GeoPIXE",
            lambda path, version: geopixe.file_writer(path, signals[version]),
            _counts(geopixe.file_reader, cache=False),
        ),
        "GeoPIXE, crop": (
            ".GeoPIXE",
            lambda path, version: geopixe.crop(
                source(version, ".GeoPIXE"), path, x=(1, 20), overwrite=True
            ),
            _counts(geopixe.file_reader, cache=False),
        ),
        "GeoPIXE, fill": (
            ".GeoPIXE",
            lambda path, version: geopixe.fill_dead_time(
                source(version, ".GeoPIXE"), path, "constant", value=3.0, overwrite=True
            ),
            _counts(geopixe.file_reader, cache=False),
        ),
        "datastack": (
            ".datastack",
            lambda path, version: datastack.file_writer(
                path, signals[version], keep_integers=True
            ),
            stack,
        ),
        "datastack, convert": (".datastack", convert, stack),
        "datastack, repack": (".datastack", repack, stack),
        "datastack, append": (".datastack", append, _read_grown),
        "EMD": (
            ".emd",
            lambda path, version: emd.file_writer(path, signals[version]),
            _counts(emd.file_reader),
        ),
        "EDF": (
            ".edf",
            lambda path, version: esrf.file_writer(path, images[version]),
            _counts(esrf.file_reader),
        ),
        "HDF5": (
            ".h5",
            lambda path, version: esrf.file_writer(path, signals[version]),
            _counts(esrf.file_reader),
        ),
        "HDF5, convert": (
            ".h5",
            lambda path, version: esrf.convert(
                source(version, ".dat"), path, overwrite=True
            ),
            _counts(esrf.file_reader),
        ),
        "MSA": (
            ".msa",
            lambda path, version: msa.file_writer(path, spectra[version]),
            _counts(msa.file_reader),
        ),
        "Ripple": (".raw", save_pair, _counts(ripple.file_reader)),
    }


def _prepare_maps(folder: Path) -> None:
    """Make element maps of two versions of a phantom; fits start threads, too."""
    made = []
    for version in range(2):
        signal = hs.signals.Signal1D(xrf.make((6, 8), counts=900, seed=version).counts)
        (axis,) = signal.axes_manager.signal_axes
        axis.scale, axis.units = 0.01, "keV"
        made.append(get_element_maps(signal, ["Fe", "Cr", "Mn"], excitation=17.44,
                                     energy_range=(5.0, 7.5)))  # fmt: skip
    (folder / "maps.pickle").write_bytes(pickle.dumps(made))


def make_map_writers(folder: Path) -> dict[str, tuple[str, Write, Read]]:
    """Return the same of the writers of element maps, which take a fit to prepare."""
    assert _ends_well(in_a_child(_prepare_maps, folder))
    maps = pickle.loads((folder / "maps.pickle").read_bytes())

    def read_folder(path: Path) -> np.ndarray:
        """Return a map, if no file of the folder is cut off."""
        load_element_model(path / "model.yaml")
        assert (path / "elements.csv").read_text().count("\n") == 1 + len(maps[0].names)
        pictures = [path / "maps.png", path / "fit.png"]
        assert all(b"IEND" in picture.read_bytes()[-12:] for picture in pictures)
        found = [hs.load(path / f"{name}.tif").data for name in maps[0].names]
        return found[0]

    return {
        "Element model": (
            ".yaml",
            lambda path, version: maps[version].model.save(path, overwrite=True),
            lambda path: load_element_model(path).basis.areas,
        ),
        "Element maps": (
            "",
            lambda path, version: maps[version].save(path, overwrite=True),
            read_folder,
        ),
    }


def in_a_child(function: Callable, *arguments: Any) -> int:
    """Do something in a fork of this process; return its number."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        warnings.simplefilter("ignore")
        code = int(function(*arguments) is True)
    except BaseException as exc:
        print(f"{type(exc).__name__}: {exc}", flush=True)
    os._exit(code)


def _ends_well(child: int) -> bool:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _parts(path: Path) -> list[Path]:
    folder = path if path.is_dir() else path.parent
    return list(folder.glob(".*.part"))


def _write_for_ever(path: Path, write: Write, pipe: int | None = None) -> None:
    """Write one version after the other; say how long that takes when all is compiled."""
    write(path, 0)
    start = time.monotonic()
    write(path, 1)
    if pipe is not None:
        os.write(pipe, f"{time.monotonic() - start}\n".encode())
    version = 0
    while True:
        write(path, version)
        version = 1 - version
        if pipe is None:  # readers, on a busy machine, have time in which nothing changes
            time.sleep(1.0 if "append" in str(path) else 0.2)


def _write_versions(path: Path, write: Write, read: Read) -> Path:
    """Write both versions, and return where their counts are kept."""
    versions = path.with_name("versions.npy")

    def prepare() -> None:
        arrays = []
        for version in (1, 0):
            write(path, version)
            arrays.append(read(path))
        # What is appended is beside the map.
        assert not np.array_equal(*arrays) or "append" in str(path)
        np.save(versions, arrays)

    assert _ends_well(in_a_child(prepare)), "it cannot be written"
    return versions


def kill(path: Path, write: Write, read: Read, times: int) -> None:
    """Kill what writes at random moments; the file is one of the two versions, whole."""
    rng = random.Random(path.name)
    versions = _write_versions(path, write, read)

    def check() -> bool:
        found = read(path)
        return not any(np.array_equal(found, known) for known in np.load(versions))

    is_appended = "append" in str(path)
    n_hit, fresh = 0, path.read_bytes() if is_appended else b""
    for i in range(times):
        if is_appended:  # it wants a stack that was killed to be repacked first
            path.write_bytes(fresh)
        ours, theirs = os.pipe()
        child = in_a_child(_write_for_ever, path, write, theirs)
        os.close(theirs)
        with open(ours) as pipe:
            took = float(pipe.readline())
        time.sleep(rng.uniform(0, 2 * took))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        assert _ends_well(in_a_child(check)), f"time {i}: neither version"
        n_hit += bool(_parts(path))
        for part in _parts(path):
            shutil.rmtree(part) if part.is_dir() else part.unlink()
    print(f"killed {times} times, {n_hit} of them before a file was whole")


def fill_disk(path: Path, write: Write, read: Read, times: int) -> None:
    """Let no file grow beyond a size; the error names the file, and the old one stays."""
    assert _ends_well(in_a_child(write, path, 0)), "it cannot be written"
    before = path.read_bytes()

    def check(most: int) -> bool:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        try:
            write(path, 1)
        except OSError as exc:
            return str(path) not in str(exc)
        return True

    is_appended = "append" in str(path)
    for i in range(times):
        most = len(before) * i // times
        if is_appended:
            most = len(before) + _ADDED_BYTES * i // times
        assert _ends_well(in_a_child(check, most)), f"at {most} bytes"
        now = path.read_bytes()
        assert now == before, f"at {most} bytes: another file of {len(now)} bytes"
        assert not _parts(path), f"at {most} bytes: {_parts(path)} is left"
    print(f"stopped at {times} sizes")


def replace(path: Path, write: Write, read: Read, times: int) -> None:
    """Read while the file is replaced: one version or the other, or a clear error."""
    versions = _write_versions(path, write, read)

    def check() -> bool:
        known, found = np.load(versions), [0, 0, 0]
        deadline = time.monotonic() + 300
        while sum(found) < times or not all(found[:2]):
            if time.monotonic() > deadline:
                break
            try:
                counts = read(path)
            except CorruptFileError as exc:
                if "changed since" not in str(exc) and "replaced" not in str(exc):
                    raise
                found[2] += 1
                continue
            same = [np.array_equal(counts, one) for one in known]
            if not any(same):
                print("neither version")
                return True
            found[same.index(True)] += 1
            if all(same):  # what is added is beside the map
                found[1] = found[0]
        print(f"read {found[:2]}, replaced meanwhile {found[2]} times")
        return not all(found[:2])

    child = in_a_child(_write_for_ever, path, write)
    try:
        assert _ends_well(in_a_child(check))
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


FAULTS = {"kill": kill, "full": fill_disk, "replace": replace}


def main() -> None:
    """Do one fault to one writer."""
    fault, name, times, folder = sys.argv[1:]
    make = make_map_writers if name.startswith("Element") else make_writers
    extension, write, read = make(Path(folder))[name]
    place = Path(folder) / name.replace(", ", "_").replace(" ", "_")
    place.mkdir()
    path = place / f"map{extension}"
    FAULTS[fault](path, write, read, int(times))


if __name__ == "__main__":
    main()
