"""What of the package works here: versions, extras, caches, kernels, registration.

``rsciio-xfm doctor`` prints it, and ``python -m rsciio_xfm.doctor`` where not even the command
line starts: numpy, dask, numba and others are imported when they are looked at, and what
cannot be imported is part of the report.
"""

import contextlib
import importlib.util
import io
import os
import platform
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

import rsciio_xfm
from rsciio_xfm._register import read_specifications, takes_over

NAME = "rsciio_xfm"
# What the extras that users install are for.
PURPOSES = {
    "datastack": "maxrf4u's .datastack files",
    "distributed": "clusters of dask",
    "esrf": "EDF and SPEC files, images, compressed HDF5 of synchrotrons",
    "explore": "the explorer, in the browser and in notebooks",
    "fit": "element maps, concentrations",
    "learning": "classes, UMAP's embedding",
    "notebook": "Jupyter, with pictures to click in",
}
# What may be set in the environment; these are the package's own.
VARIABLES = (
    "RSCIIO_XFM_CACHE",
    "RSCIIO_XFM_CACHE_DIR",
    "RSCIIO_XFM_COMPILE",
    "RSCIIO_XFM_CUBES",
    "RSCIIO_XFM_CUBE_BYTES",
    "RSCIIO_XFM_TAKE_OVER",
)
_FOR_TESTS = "RSCIIO_XFM_DATA"
_OF_OTHERS = ("HDF5_PLUGIN_PATH", "NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT")
# Of distributions whose modules are called otherwise.
_MODULES = {
    "hyperspy": "hyperspy.signals",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "rosettasciio": "rsciio",
    "scikit-learn": "sklearn",
    "umap-learn": "umap",
}
# What importing a package raises that is not whole, or does not suit the others.
_BROKEN = (
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    SystemError,
    TypeError,
    ValueError,
    yaml.YAMLError,
)


@dataclass(frozen=True)
class Finding:
    """A line of the report.

    Attributes
    ----------
    section
        What it belongs to: ``"Extras"``.
    name
        What was looked at: ``"fit"``.
    found
        What it is like.
    remedy
        What to do about it, if something is broken.
    """

    section: str
    name: str
    found: str
    remedy: str = ""


def examine(imports: bool = False) -> Iterator[Finding]:
    """Look at all that the package needs.

    Parameters
    ----------
    imports
        Whether each installed package is imported as well, HyperSpy among them. That takes
        some seconds, and finds those that are installed and broken.

    Yields
    ------
    Finding
        In the order of the report.

    Examples
    --------
    >>> from rsciio_xfm.doctor import examine
    >>> next(examine()).name
    'rsciio_xfm'
    """
    sections: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("Versions", _versions),
        ("Extras", _extras),
        ("Formats", _formats),
        ("Caches", _caches),
        ("Kernels", _kernels),
        ("Machine", _machine),
        ("Environment", _environment),
    ]
    if imports:
        sections.insert(2, ("Imports", _imports))
    for title, look in sections:
        try:
            yield from look()
        except _BROKEN as exc:
            yield Finding(title, "not seen", _said(exc), "Repair what it names.")


def report(findings: Iterable[Finding]) -> Iterator[str]:
    """Yield the lines of the report; the last ones say what is wrong.

    Parameters
    ----------
    findings
        What :func:`examine` gives.
    """
    section = ""
    wrong = []
    for one in findings:
        if one.section != section:
            section = one.section
            yield section
        yield f"  {one.name:<22} {one.found}"
        if one.remedy:
            wrong.append(one)
    yield ""
    for one in wrong:
        yield f"Wrong: {one.name}: {one.found}. {one.remedy}"
    if not wrong:
        yield "Nothing is wrong."


# Packages ---------------------------------------------------------------------------------


def _versions() -> Iterator[Finding]:
    version, place = rsciio_xfm.__version__, Path(rsciio_xfm.__file__).parent
    try:
        installed = metadata.version(NAME)
    except metadata.PackageNotFoundError:
        remedy = f"HyperSpy does not find it by itself: pip install {NAME}"
        yield Finding("Versions", NAME, f"{version} in {place}, not installed", remedy)
        return
    differs = f"Installed is {installed}: install it again." * (version != installed)
    yield Finding("Versions", NAME, f"{version} in {place}", differs)
    system = platform.platform(terse=True)
    yield Finding("Versions", "Python", f"{platform.python_version()}, {system}")
    for package, bounds in _requirements(""):
        yield _package("Versions", package, bounds)


def _requirements(extra: str) -> list[tuple[str, str]]:
    """Return names and versions of what an extra needs, or with "" the package itself."""
    from packaging.requirements import Requirement

    found = {}
    for line in metadata.requires(NAME) or []:
        one = Requirement(line)
        is_of_extra = one.marker is not None and "extra" in str(one.marker)
        suits = one.marker is None or one.marker.evaluate({"extra": extra})
        if suits and is_of_extra == bool(extra):
            found[one.name] = str(one.specifier)
    return sorted(found.items())


def _package(section: str, name: str, bounds: str) -> Finding:
    from packaging.specifiers import SpecifierSet

    wanted = f'pip install "{name}{bounds}"'
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(section, name, "missing", wanted)
    if SpecifierSet(bounds).contains(version, prereleases=True):
        return Finding(section, name, version)
    return Finding(section, name, f"{version}, expected {bounds}", wanted)


def _extras() -> Iterator[Finding]:
    for extra, purpose in PURPOSES.items():
        found = [_package("Extras", *one) for one in _requirements(extra)]
        missing = ", ".join(one.name for one in found if one.found == "missing")
        if missing:
            how = f'missing {missing}: pip install "{NAME}[{extra}]": {purpose}'
            yield Finding("Extras", extra, how)
            continue
        text = ", ".join(f"{one.name} {one.found}" for one in found)
        remedies = " and ".join(one.remedy for one in found if one.remedy)
        if not found:
            text, remedies = "not in what is installed", f"Install {NAME} again."
        yield Finding("Extras", extra, text, remedies)


def _imports() -> Iterator[Finding]:
    """Import what is installed, and last the signals, which need HyperSpy and exspy whole."""
    needed = [one for extra in ("", *PURPOSES) for one, _ in _requirements(extra)]
    modules = {one: _MODULES.get(one, one.replace("-", "_")) for one in needed}
    modules[NAME] = f"{NAME}.signals"
    installed = {name: module for name, module in modules.items() if _is_there(module)}
    for name, module in installed.items():
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            try:
                importlib.import_module(module)
            except _BROKEN as exc:
                found = f"cannot be imported: {_said(exc)}"
                remedy = f"Install it again: pip install --force-reinstall {name}"
                yield Finding("Imports", name, found, remedy)
    yield Finding("Imports", "tried", f"{len(installed)} packages")


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module.partition(".")[0]) is not None


# What is registered -----------------------------------------------------------------------


def _formats() -> Iterator[Finding]:
    from rsciio import IO_PLUGINS

    ours = read_specifications()
    known = {plugin["api"] for plugin in IO_PLUGINS}
    replacing = [one["name"] for one in ours if "replaces" in one]
    left = set() if takes_over() else {*replacing}
    lost = [one["name"] for one in ours if one["api"] not in known]
    lost = [name for name in lost if name not in left]
    if lost:
        how = f"Install {NAME} again; the warning on importing it says more."
        yield Finding("Formats", "RosettaSciIO", f"lacks {', '.join(lost)}", how)
    else:
        yield Finding("Formats", "RosettaSciIO", f"has {len(ours) - len(left)} of ours")
    entries = [e.name for e in metadata.entry_points(group="hyperspy.extensions")]
    if f"{NAME}._register" in entries:
        yield Finding("Formats", "HyperSpy", "finds them by itself")
    else:
        how = f"Until it is installed again, import {NAME} before hs.load."
        yield Finding("Formats", "HyperSpy", "does not find them by itself", how)
    whose = "RosettaSciIO's: RSCIIO_XFM_TAKE_OVER is off" if left else "ours"
    yield Finding("Formats", "read by both", f"{', '.join(replacing)}; used are {whose}")
    shared = ", ".join(f".{one}" for one in _shared(IO_PLUGINS))
    how = f"{shared}: say which one, hs.load(..., file_format=...)" if shared else "none"
    yield Finding("Formats", "of several readers", how)


def _shared(plugins: list[dict]) -> list[str]:
    """Return extensions of ours that another reader has as well: HyperSpy asks which."""
    extensions = {p["api"]: {e.lower() for e in p["file_extensions"]} for p in plugins}
    counts = Counter(one for found in extensions.values() for one in found)
    ours = [found for api, found in extensions.items() if api.startswith(f"{NAME}.")]
    return sorted(one for one in set().union(*ours) if counts[one] > 1)


# Caches, kernels, machine -----------------------------------------------------------------


def _caches() -> Iterator[Finding]:
    from rsciio_xfm.core import cache
    from rsciio_xfm.core.config import CACHE_BYTES
    from rsciio_xfm.explore import cube_store

    is_off = os.environ.get(cache.SWITCH, "").lower() in cache.OFF
    indices = cache.folder()
    yield _cache("indices", indices, sorted(indices.glob("*.npz")), CACHE_BYTES, is_off)
    cubes = cube_store.folder()
    files = [path for path in sorted(cubes.rglob("*")) if path.is_file()]
    try:
        most = cube_store.budget()
    except cube_store.CubeError as exc:
        yield Finding("Caches", "explorer", str(exc), "Set it to a size, or unset it.")
        return
    yield _cache("explorer", cubes, files, most, cube_store.is_off())


def _cache(
    name: str, folder: Path, files: list[Path], most: int, is_off: bool
) -> Finding:
    if is_off:
        return Finding("Caches", name, "turned off")
    sizes = []
    for path in files:
        with contextlib.suppress(OSError):  # deleted meanwhile
            sizes.append(path.stat().st_size)
    found = f"{folder}, {sum(sizes) / 1e9:.2f} of at most {most / 1e9:.1f} GB"
    why = _why_unwritable(folder)
    if not why:
        return Finding("Caches", name, found)
    remedy = (
        "Files are indexed anew each time: set RSCIIO_XFM_CACHE_DIR to a folder of yours."
    )
    return Finding("Caches", name, f"{found}, cannot be written ({why})", remedy)


def _why_unwritable(folder: Path) -> str:
    """Return why nothing can be written to a folder, which need not be there yet."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            return ""
    except OSError as exc:
        return exc.strerror or str(exc)


def _kernels() -> Iterator[Finding]:
    import numba

    from rsciio_xfm.kernels import ahead, sums

    settings: Any = numba.config
    if settings.DISABLE_JIT:
        how = "Unset NUMBA_DISABLE_JIT: without kernels all is a hundred times slower."
        yield Finding("Kernels", "numba", "is told not to compile", how)
        return
    place = sums.add_rows.compiled.stats.cache_path
    why = "no folder was found" if place is None else _why_unwritable(Path(place))
    if why:
        how = (
            "Each process compiles for itself: set NUMBA_CACHE_DIR to a folder of yours."
        )
        yield Finding("Kernels", "kept in", f"{place}, cannot be written ({why})", how)
        return
    yield Finding("Kernels", "kept in", str(place))
    names = ahead.parts()
    n_compiled = sum(map(ahead.is_compiled, names))
    found = f"for {n_compiled} of {len(names)} kinds of map"
    if n_compiled < len(names):
        found += ": rsciio-xfm compile makes the rest now, in a minute or two"
        found += "" if ahead.is_off() else "; otherwise each is made when one is opened"
    yield Finding("Kernels", "compiled", found)


def _machine() -> Iterator[Finding]:
    import psutil
    from dask.system import CPU_COUNT

    yield Finding("Machine", "threads", f"{CPU_COUNT} of {os.cpu_count()} processors")
    memory = psutil.virtual_memory()
    free, total = memory.available / 2**30, memory.total / 2**30
    yield Finding("Machine", "memory", f"{free:.1f} of {total:.1f} GiB are available")


def _environment() -> Iterator[Finding]:
    names = [name for name in sorted(os.environ) if name.startswith("RSCIIO_XFM_")]
    for name in (*names, *(one for one in _OF_OTHERS if one in os.environ)):
        is_known = name in (*VARIABLES, _FOR_TESTS, *_OF_OTHERS)
        remedy = (
            "" if is_known else f"Nothing has this name: {', '.join(VARIABLES)} have."
        )
        yield Finding("Environment", name, os.environ[name], remedy)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def main() -> int:
    """Print the report, with imports; return 1 if something is wrong."""
    findings = list(examine(imports=True))
    sys.stdout.write("\n".join([*report(findings), ""]))
    return int(any(one.remedy for one in findings))


if __name__ == "__main__":
    sys.exit(main())
