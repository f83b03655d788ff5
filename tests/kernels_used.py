"""Which kernels the first results of maps call, and with which types.

``python -m tests.kernels_used`` writes the list of :mod:`rsciio_xfm.kernels.ahead`: run it
when kernels change.
"""

import contextlib
import gc
import json
import os
import tempfile
import warnings
from pathlib import Path

import numpy as np

from rsciio_xfm._register import find_reader
from rsciio_xfm.kernels import ahead
from rsciio_xfm.kernels.kept import CheckedCache

_FEWEST_CHANNELS = 16
_LEAST_CHANNELS = 256  # that elements are fitted in


@contextlib.contextmanager
def recorded():
    """Give the list of kernels that are called from Python, in their order."""
    found = []
    real = CheckedCache.load_overload

    def load_overload(cache, sig, context):
        function = cache._py_func
        name = f"{function.__module__}.{function.__name__}".removeprefix("rsciio_xfm.")
        line = [name, *map(from_type, sig)]
        if line not in found:
            found.append(line)
        return real(cache, sig, context)

    CheckedCache.load_overload = load_overload
    try:
        yield found
    finally:
        CheckedCache.load_overload = real


def from_type(kind):
    """Return what the list has for a type of numba's, the opposite of `ahead.to_type`."""
    from numba import types

    if isinstance(kind, types.BaseTuple):
        fields = [from_type(one) for one in kind]
        if not hasattr(kind, "instance_class") or kind.instance_class is tuple:
            return fields
        of = kind.instance_class
        return {f"{of.__module__}.{of.__name__}".removeprefix("rsciio_xfm."): fields}
    if isinstance(kind, types.Array):
        text = f"{kind.dtype} {kind.ndim}{kind.layout}"
        return text if kind.mutable else f"{text} readonly"
    return str(kind)


def forget():
    """Make this process look for each kernel in numba's cache again."""
    from numba.core.dispatcher import Dispatcher

    for one in gc.get_objects():
        if isinstance(one, Dispatcher) and one.py_func.__module__.startswith(
            "rsciio_xfm"
        ):
            one._reset_overloads()
            one.overloads.clear()


def use(read):
    """Do with a map what users do first; return the part of the list that it is of.

    Parameters
    ----------
    read
        Function that opens a file and returns its signals, as dictionaries.
    """
    from hyperspy._signals.signal1d import LazySignal1D

    from rsciio_xfm import signals
    from rsciio_xfm.core.to_dask import source_of

    for held in read():
        source = source_of(held["data"])
        roles = [axis["navigate"] for axis in held["axes"]]
        if (
            source is None
            or len(roles) < 2
            or roles != [True] * (len(roles) - 1) + [False]
        ):
            continue
        map_ = LazySignal1D(data=held["data"], axes=held["axes"])
        map_.set_signal_type("EDS_XFM")
        assert signals
        axes = tuple(range(len(roles) - 1))
        n = map_.axes_manager.signal_size
        if n < _FEWEST_CHANNELS:
            continue
        compute(map_.sum(axes))
        map_.get_window_images({"a": (1, n // 4)})
        map_.get_window_images({"a": (1, n // 4), "b": (n // 2, n), "c": (n // 3, n - 1)})
        map_.get_window_images({"a": (1, 2), "b": (n // 2, n // 2 + 1)})
        compute(map_.sum(-1))
        compute(map_.max(axes))
        part = map_.inav[:2, 1:3] if len(roles) > 2 else map_.inav[1:3]
        compute(part.deepcopy())
        compute(part.sum(axes))
        mask = np.zeros(held["data"].shape[:-1], dtype=bool)
        mask[..., 1:] = True
        map_.get_region_spectra({"rest": mask})
        map_.axes_manager[-1].offset, map_.axes_manager[-1].scale = 0.0, 20 / n
        map_.axes_manager[-1].units = "keV"
        fit(map_, n)
        yield ahead.of_source(source)


def fit(map_, n):
    import rsciio_xfm

    if n < _LEAST_CHANNELS:
        return
    with contextlib.suppress(ValueError, LookupError, RuntimeError):
        model = rsciio_xfm.create_element_model(
            map_, ["Ca", "Fe"], "Mo 50 kV", (2.0, 9.0)
        )
        map_.get_element_maps(model.fit())


def compute(signal):
    if signal._lazy:
        signal.compute(show_progressbar=False)


def record(reads):
    """Return the list for some files, each opened by a function."""
    parts = {}
    for read in reads:
        forget()
        with recorded() as lines:
            for name in use(read):
                known = parts.setdefault(name, [])
                known += [line for line in lines if line not in known]
    return parts


def files(folder):
    """Yield functions that open samples of all formats, then measured files."""
    from tests.conftest import DATA
    from tests.robustness.samples import SAMPLES, make

    for sample in SAMPLES.values():
        if sample.is_here and sample.damage is None:
            path = make(sample, Path(folder) / "sample")
            yield lambda sample=sample, path=path: sample.read(path)
    for path in sorted(DATA.rglob("*")):
        reader = find_reader(path) if path.is_file() else None
        if reader is not None:
            yield lambda reader=reader, path=path: reader.file_reader(
                str(path), lazy=True
            )


def opened(read):
    try:
        return read()
    except (ValueError, OSError, ImportError):  # files without which there is no map
        return []


def main():
    os.environ["RSCIIO_XFM_CACHE"] = "0"
    warnings.simplefilter("ignore")
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for read in files(folder):
            for _ in range(2):  # what is compiled calls others, what is loaded does not
                parts = record([lambda read=read: opened(read)])
            for name, lines in parts.items():
                found.setdefault(name, [])
                found[name] += [line for line in lines if line not in found[name]]
    rows = ",\n".join(
        f"{json.dumps(name)}: [\n"
        + ",\n".join(f"  {json.dumps(line)}" for line in found[name])
        + "\n]"
        for name in sorted(found)
        if found[name]
    )
    ahead._LIST.write_text(f"{{\n{rows}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
