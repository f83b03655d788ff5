"""Fuzzing guided by coverage: inputs that reach new code are kept and changed further.

``python -m tests.robustness.fuzz "EDAX .spc" --seconds 300`` reads changed versions of a
sample for five minutes. It needs ``pip install atheris``, for CPython 3.11 to 3.13.

A finding is an error that is no `FileFormatError`, a warning that is no `UserWarning`, an
input that takes more than 10 s or 2 GiB, or a crash. Errors and warnings are saved, printed
and passed over from then on; after a crash, a hang or too much memory the run is at its end.
Kernels are compiled with checks of their indices, and are not themselves seen by the fuzzer.
"""

import argparse
import contextlib
import faulthandler
import hashlib
import importlib.util
import io
import logging
import os
import random
import re
import sys
import tempfile
import traceback
import types
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

TIME_LIMIT = 10  # seconds
MEMORY_LIMIT = 2048  # MiB
N_DAMAGED = 200  # inputs to start from, besides cut ones
PACKAGE = "rsciio_xfm"
_INSTALL = "atheris is not installed: pip install atheris (CPython 3.11 to 3.13)"

_NUMBERS = *b"0 -1 1 1e308 1e999 1e-320 -0.0 nan".split(), b"9" * 400
Mutate = Callable[[bytes, int], bytes]


class Fuzzer:
    """Reads inputs in place of a sample's file, and saves what must not happen.

    Parameters
    ----------
    name
        Of the sample.
    folder
        Where the sample, the inputs and the findings are.

    Attributes
    ----------
    seeds
        Inputs to start from: the file itself, and damaged versions of it.
    """

    def __init__(self, name: str, folder: Path) -> None:
        from rsciio_xfm.exceptions import FileFormatError
        from tests.robustness import battery, samples

        self._sample = sample = samples.SAMPLES[name]
        self._path = path = samples.make(sample, folder / "sample")
        self._accepted = FileFormatError
        self._read = battery._read
        self._target = sample.damaged_path(path)
        self._findings = folder / "findings"
        self._findings.mkdir(exist_ok=True)
        self._seen: set[str] = set()
        content = self._target.read_bytes()
        damages = battery.make_damage(sample, path, N_DAMAGED)
        self.seeds = [content, *(damaged for _, damaged in damages)]

    def test(self, content: bytes) -> None:
        """Read an input."""
        self._target.write_bytes(content)
        try:
            _, caught = self._read(self._sample, self._path)
            others = {w.category for w in caught} - {UserWarning}
            if others:  # once more, to see where they come from
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    for category in others:
                        warnings.simplefilter("error", category)
                    for signal in self._sample.read(self._path):
                        np.asarray(signal["data"])
        except self._accepted:
            return
        except OverflowError as exc:  # counts too many for their type
            if str(self._path) not in str(exc):
                self._save(content, exc)
        except Exception as exc:
            self._save(content, exc)

    def test_timed(self, content: bytes) -> None:
        """Read an input, and say where the program is before it is ended for its time."""
        faulthandler.dump_traceback_later(TIME_LIMIT - 1)
        self.test(content)
        faulthandler.cancel_dump_traceback_later()

    def _save(self, content: bytes, exc: Exception) -> None:
        """Keep an input, if none before gave the same error at the same place."""
        frames = traceback.extract_tb(exc.__traceback__)
        ours = [f for f in frames if _is_ours(f.filename)]
        places = [f"{f.filename}:{f.lineno}" for f in (*ours[-1:], frames[-1])]
        what = f"{type(exc).__name__} at {' in '.join(dict.fromkeys(places))}"
        if what in self._seen:
            return
        self._seen.add(what)
        path = self._findings / f"error-{hashlib.sha256(content).hexdigest()[:12]}"
        path.write_bytes(content)
        text = "".join(traceback.format_exception(exc)[-8:])
        print(f"\nFinding: {what}\nInput: {path}\n{text}", flush=True)


def _is_ours(filename: str | Path) -> bool:
    (folder,) = importlib.util.find_spec(PACKAGE).submodule_search_locations
    return Path(filename).is_relative_to(folder)


# Changes that leave checksums and lengths true ------------------------------------------


def mutate_zip(content: bytes, largest: int, mutate: Mutate) -> bytes:
    """Change one item of a zip file, and write the zip file anew."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        items = [(item, archive.read(item)) for item in archive.infolist()]
    changed = random.randrange(len(items))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for i, (item, data) in enumerate(items):
            new = mutate(data, len(data) + 64) if i == changed else data
            archive.writestr(item, new)
    raw = target.getvalue()
    return raw if len(raw) <= largest else content


def mutate_header(content: bytes, largest: int, mutate: Mutate) -> bytes:
    """Change the header of a GeoPIXE map, and its length before it."""
    stop = 2 + int.from_bytes(content[:2], "little")
    room = min(2**16 - 1, largest - 2 - len(content[stop:]))
    header = mutate(content[2:stop], room)
    return len(header).to_bytes(2, "little") + header + content[stop:]


def mutate_number(content: bytes, _: int, __: Mutate) -> bytes:
    """Put another number in place of one that stands in the file as text."""
    numbers = list(re.finditer(rb"-?\d+(\.\d+)?", content))
    place = random.choice(numbers)
    near_power = b"%d" % (2 ** random.randrange(70) + random.randrange(-1, 2))
    number = random.choice([*_NUMBERS, near_power, random.choice(numbers)[0]])
    return content[: place.start()] + number + content[place.end() :]


def make_mutator(name: str) -> Callable[[bytes, int, int], bytes]:
    """Return what changes inputs of a sample: the fuzzer's own way, or one that fits it."""
    import atheris

    fitting = [mutate_number]
    if name == "GeoPIXE":
        fitting.append(mutate_header)
    elif name.startswith("datastack"):
        fitting = [mutate_zip, mutate_zip]

    def change(content: bytes, largest: int, seed: int) -> bytes:
        mutate = atheris.Mutate  # another one before the fuzzer has started
        random.seed(seed)
        if random.random() < 0.5:
            # Otherwise the input is no longer a file of this kind.
            with contextlib.suppress(Exception):
                return random.choice(fitting)(content, largest, mutate)[:largest]
        return mutate(content, largest)

    return change


# ------------------------------------------------------------------------------------------


def leave_kernels_alone() -> None:
    """Give numba the functions as they were before the fuzzer put its calls into them."""
    import numba

    njit = numba.njit

    def plain_njit(*functions: types.FunctionType, **options: bool) -> Callable:
        for function in functions:
            function.__code__ = _plain_code(function.__code__)
        return (
            njit(*functions, **options) if functions else partial(plain_njit, **options)
        )

    numba.njit = plain_njit


def _plain_code(code: types.CodeType) -> types.CodeType:
    """Compile a function of the package from its source."""
    path = Path(code.co_filename)
    if _is_ours(path):
        codes = [compile(path.read_text("utf-8"), str(path), "exec")]
        for found in codes:  # which grows
            if found.co_qualname == code.co_qualname:
                return found
            codes += [c for c in found.co_consts if isinstance(c, types.CodeType)]
    return code


def main() -> None:
    """Fuzz a sample as a command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", help="of a sample in tests/robustness/samples.py")
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--corpus", type=Path, help="folder of inputs and findings")
    arguments = parser.parse_args()
    try:
        import atheris
    except ImportError:
        parser.error(_INSTALL)
    default = Path(tempfile.gettempdir(), f"{PACKAGE}_fuzz", arguments.name)
    folder = (arguments.corpus or default).resolve()
    # Indices are checked in kernels of their own cache, which do not read past an array.
    os.environ |= {
        "RSCIIO_XFM_CACHE": "off",
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_CACHE_DIR": str(folder.parent / "kernels"),
    }
    logging.disable()
    leave_kernels_alone()
    import dask

    dask.config.set(scheduler="synchronous")
    with atheris.instrument_imports(include=[PACKAGE]):
        from tests.robustness.samples import SAMPLES

        if arguments.name not in SAMPLES:
            parser.error(
                f"no such sample, expected one of {', '.join(map(repr, SAMPLES))}"
            )
        fuzzer = Fuzzer(arguments.name, folder)
        inputs = folder / "inputs"
        inputs.mkdir(exist_ok=True)
        for seed in fuzzer.seeds:  # kernels are compiled, and all is imported
            fuzzer.test(seed)
            (inputs / hashlib.sha256(seed).hexdigest()[:40]).write_bytes(seed)
    options = [
        f"-max_total_time={arguments.seconds}",
        f"-timeout={TIME_LIMIT}",
        f"-rss_limit_mb={MEMORY_LIMIT}",
        f"-artifact_prefix={folder / 'findings'}/",
        f"-max_len={2 * max(map(len, fuzzer.seeds))}",
        "-print_final_stats=1",
    ]
    atheris.Setup(
        [sys.argv[0], *options, str(inputs)],
        fuzzer.test_timed,
        custom_mutator=make_mutator(arguments.name),
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main()
