"""``rsciio-xfm demo``."""

import contextlib
import math
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured

from rsciio_xfm._register import find_reader
from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._explore import explore as explorer
from rsciio_xfm.cli._files import load_map, own_extensions, wrong_extension
from rsciio_xfm.cli._options import output_options
from rsciio_xfm.cli._outputs import refuse_existing
from rsciio_xfm.cli._says import compute, peak_memory, show_size, timed
from rsciio_xfm.cli._values import FILE
from rsciio_xfm.core.atomic import replacing_in
from rsciio_xfm.core.extras import require
from rsciio_xfm.core.progress import progress
from rsciio_xfm.doctor import PURPOSES

_MADE = "demo.GeoPIXE"
_MOST_MAPS = 5  # of elements in the picture
_COLUMNS = 3  # of maps
_SPECTRUM = 2.8, 0.6, 0.45, 0.3  # inches: height, and margins left, below and above
# What can be typed next: the extra that it needs, a module of that, command and options.
_NEXT = (
    ("explore", "starlette", "explore", ""),
    ("fit", "xraylib", "maps", "-o {}/elements"),
    ("fit", "xraylib", "report", "-o {}/report.html"),
    ("learning", "sklearn", "classify", "--reducer pca -o {}/classes"),
)


@click.command()
@click.argument("file", type=FILE, required=False)
@output_options("Folder for results.", is_required=False)
@click.option("--element", help="Element to map; those that tell most by default.")
@click.option(
    "--explore", is_flag=True, help="Open the explorer at the end, until Ctrl-C."
)
def demo(
    file: Path | None,
    output: Path | None,
    element: str | None,
    overwrite: bool,
    explore: bool,
) -> None:
    """Open FILE (without one, a map made for this); write a spectrum and a picture of it.

    The picture has the spectrum, the colours of the energies and maps of elements. The
    results, and the map that was made, go to a new temporary folder unless --output names
    one. The last lines say what to type next.
    """
    with errors_as_messages():
        _check_element(element)
        if explore:
            _check_explorer(file)
        source = Path(_MADE) if file is None else file
        names = [f"{source.stem}_spectrum.msa", f"{source.stem}.png"]
        if output is not None:
            made = [_MADE] if file is None else []
            refuse_existing([output / name for name in [*made, *names]], overwrite)
        with _results_in(output) as folder:
            if file is None:
                file = _make_map(folder)
            with progress(doing="compiling what is not yet"):
                _load_kernels(folder)
            total, figure, is_fitted = _run_demo(file, element)
            with replacing_in(folder) as temporary:
                total.save(temporary / names[0])
                figure.savefig(temporary / names[1], dpi=180)
        for name in names:
            click.echo(f"Wrote     {folder / name}")
        _say_next(file, folder, is_fitted)
    if explore:
        click.echo("\nThe explorer:")
        click.get_current_context().invoke(explorer, file=file)


def _check_element(element: str | None) -> None:
    from rsciio_xfm.signals.lines import check_element

    if element is not None:
        check_element(element)


def _check_explorer(file: Path | None) -> None:
    require("starlette", "explore")
    if file is not None and find_reader(file) is None:
        raise wrong_extension(file, own_extensions())


@contextlib.contextmanager
def _results_in(output: Path | None) -> Iterator[Path]:
    """Give the folder of the results, which goes again if nothing was put into it."""
    if output is None:
        folder = Path(tempfile.mkdtemp(prefix="rsciio-xfm-demo-"))
    else:
        folder = output
        folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        with contextlib.suppress(OSError):  # something is in it
            folder.rmdir()
        raise


def _make_map(folder: Path) -> Path:
    """Write the map of the demo, which stays for what is tried next."""
    from rsciio_xfm import data

    with timed() as took, replacing_in(folder) as temporary:
        made = data.thin_section(temporary / _MADE)
    file = folder / _MADE
    minerals = ", ".join(made.phases)
    click.echo(f"Made      {file}, {show_size(file.stat().st_size)}, in {took[0]:.1f} s")
    click.echo(f"          a thin section of {minerals}")
    return file


def _load_kernels(folder: Path) -> None:
    """Do on a small map what is done to the file: compiled code takes memory of its own."""
    import hyperspy.api as hs  # noqa: F401 (imported before memory and time are counted)

    import rsciio_xfm.signals  # noqa: F401
    from rsciio_xfm import data

    with tempfile.TemporaryDirectory(prefix=".rsciio-xfm-", dir=folder) as hidden:
        small = data.thin_section(Path(hidden) / "small.GeoPIXE", (4, 4))
        signal = load_map(small.path, None)
        for lazy in (signal.sum(), signal.sum("Energy"), signal.isig[:9].sum("Energy")):
            lazy.compute(show_progressbar=False)
        signal.get_colour_map(show_progressbar=False)


def _run_demo(file: Path, element: str | None) -> tuple[Any, Any, bool]:
    """Open a map; return its total spectrum, a picture, and whether elements were fitted."""
    before = peak_memory()
    with timed() as took:
        signal = load_map(file, None, (2,))
    dense = math.prod(signal.data.shape) * signal.data.dtype.itemsize
    click.echo(f"Opened    {signal} in {took[0]:.2f} s; dense it is {show_size(dense)}")
    with timed() as took:
        total = compute(signal.sum(), "adding up the spectra")
    click.echo(f"Spectrum  {total.data.sum()} counts summed in {took[0]:.2f} s")
    if not total.data.any():
        raise click.ClickException(f"{file}: the map has no counts, nothing can be shown")
    with timed() as took:
        counts = compute(
            signal.sum(signal.axes_manager.signal_axes), "counting each pixel"
        )
        colours = signal.get_colour_map()
    click.echo(f"Images    total counts and colours of energies in {took[0]:.2f} s")
    memory = peak_memory() - before
    click.echo(
        f"Memory    {show_size(memory)} at most for this, beyond imports and compiled kernels"
    )
    maps = _fit(signal)
    panels = _panels_of(signal, total, maps, element)
    coloured = structured_to_unstructured(colours.data)
    panels = [_panel(signal, "Colours of energies", coloured), *panels]
    if len(panels) < _COLUMNS:
        panels.insert(0, _panel(signal, "All energies", counts.data))
    labels = [] if maps is None else _labels_of(maps)
    return total, _draw(total, panels, labels), maps is not None


def _fit(signal: Any) -> Any:
    """Return maps of the elements, or None if that cannot be, and say which or why."""
    maps = None
    try:
        with timed() as took:
            maps = signal.get_element_maps()
        names = ", ".join(dict.fromkeys(name.split("_")[0] for name in maps))
        said = f"{names}, found and fitted in each pixel in {took[0]:.1f} s"
    except ImportError:
        said = 'maps by a fit need pip install "rsciio-xfm[fit]"'
    except ValueError as exc:
        said = f"no maps by a fit: {exc}"
    click.echo(f"Elements  {said}")
    return maps


def _panel(signal: Any, name: str, image: np.ndarray, sigma: float = 0.0) -> Any:
    """Return a map to be drawn, of counts or of colours."""
    from rsciio_xfm.signals.checks import steps_of_axes
    from rsciio_xfm.signals.map_drawing import COUNTS, Panel

    steps = steps_of_axes(signal.axes_manager.navigation_axes)
    unit = "counts" if image.ndim == 2 else ""
    return Panel(name, image, steps, unit, COUNTS, sigma)


def _panels_of(signal: Any, total: Any, maps: Any, element: str | None) -> list[Any]:
    """Return maps of a fit, or where there are none, of a window of energies."""
    if maps is None:
        element = element or _strongest_element(total)
        return [] if element is None else [_window_panel(signal, total, element)]
    panels = [
        _panel(signal, name, maps[name].data, _noise(maps, name))
        for name in _most_telling(maps, element)
    ]
    is_shown = element is None or any(p.name.startswith(f"{element}_") for p in panels)
    if not is_shown:
        panels = [_window_panel(signal, total, str(element)), *panels[: _MOST_MAPS - 1]]
    return panels


def _labels_of(maps: Any) -> list[tuple[str, float]]:
    """Return elements and energies, keV, of their strongest lines."""
    groups = {one.name: one for one in maps.model.model.groups}
    found: dict[str, Any] = {}
    for name in maps:
        if not maps.totals.note(name):  # sure, in the whole map
            found.setdefault(name.split("_")[0], groups[name])
    return [
        (element, float(group.energies[np.argmax(group.weights)]))
        for element, group in found.items()
    ]


def _most_telling(maps: Any, element: str | None) -> list[str]:
    """Return the names of the maps that differ most from pixel to pixel, beyond noise."""

    def tells(name: str) -> float:
        if name.startswith(f"{element}_"):
            return math.inf
        noise = _noise(maps, name)
        return float(np.nanstd(maps[name].data)) / noise if noise > 0 else 0.0

    chosen = sorted(maps, key=tells, reverse=True)[:_MOST_MAPS]
    return [name for name in maps if name in chosen]


def _noise(maps: Any, name: str) -> float:
    """Return the standard deviation of a pixel, of the whole map together."""
    return math.sqrt(float(np.nanmean(maps.sigma[name].data ** 2.0)))


def _strongest_element(total: Any) -> str | None:
    """Name the element whose line is nearest to the highest peak of a spectrum.

    Only lines that the beam can excite count, and none of the scattered tube lines, which
    lie in the upper half of the spectrum. Without energies, or such a peak, it is None.
    """
    from exspy.utils.eds import get_xray_lines_near_energy

    (axis,) = total.axes_manager.signal_axes
    energy = axis.axis
    beam = total.metadata.get_item("Acquisition_instrument.SEM.beam_energy", energy[-1])
    is_line = (energy > 1) & (energy < 0.3 * beam)
    if axis.units != "keV" or not is_line.any() or not total.data[is_line].any():
        return None
    peak = energy[is_line][np.argmax(total.data[is_line])]
    lines = get_xray_lines_near_energy(peak, width=0.5, only_lines=("Ka",))
    return str(lines[0]).split("_")[0] if len(lines) else None


def _window_panel(signal: Any, total: Any, element: str) -> Any:
    """Return the counts in a window about the first line of an element."""
    total.set_elements([element])
    total.add_lines()
    lines = total.metadata.get_item("Sample.xray_lines", [])
    if not len(lines):
        raise click.ClickException(f"no line of {element} in the spectrum")
    (window,) = total.estimate_integration_windows(xray_lines=lines[:1])
    start, stop = (float(edge) for edge in window)
    part = signal.isig[start:stop]
    counts = part.sum(part.axes_manager.signal_axes)  # of some files they have no name
    image = compute(counts, f"making the image of {lines[0]}")
    return _panel(signal, f"{lines[0]}, {start:.2f} to {stop:.2f} keV", image.data)


def _say_next(file: Path, folder: Path, is_fitted: bool) -> None:
    """Say what can be typed now, and which extras are not here for what."""
    program, missing = _program(), set()
    is_own = find_reader(file) is not None
    possible = {"explore": is_own, "maps": is_fitted, "report": is_fitted}
    click.echo("\nType next:")
    for extra, module, command, options in _NEXT:
        if find_spec(module) is None:
            missing.add(extra)
        elif possible.get(command, True):
            words = [program, command, shlex.quote(str(file))]
            results = options.format(shlex.quote(str(folder)))
            click.echo("  " + " ".join([*words, results]).rstrip())
    click.echo(f"  {program} info FILE    (a map of your own; then demo FILE)")
    for extra in sorted(missing):
        click.echo(f'Not installed: {PURPOSES[extra]}: pip install "rsciio-xfm[{extra}]"')


def _program() -> str:
    """Return how the command line was called, as it can be typed again."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m rsciio_xfm.cli"
    found = shutil.which("rsciio-xfm")
    is_in_path = found is not None and Path(found).parent == called.absolute().parent
    is_own = called.stem == "rsciio-xfm"
    return shlex.quote(str(called)) if is_own and not is_in_path else "rsciio-xfm"


def _draw(total: Any, panels: list[Any], labels: list[tuple[str, float]]) -> Any:
    """Draw the maps, and above them the spectrum."""
    from rsciio_xfm.signals.map_drawing import Style, draw_maps

    figure = draw_maps(panels, Style(per_row=_COLUMNS))[0].figure
    width, below = figure.get_size_inches()
    space, left, bottom, top = _SPECTRUM
    height = below + space
    figure.set_size_inches(width, height)
    for ax in figure.axes:
        box = ax.get_position(original=True)
        share = below / height
        ax.set_position((box.x0, box.y0 * share, box.width, box.height * share))
    place = (left, below + bottom, width - left - 0.15, space - bottom - top)
    shares = np.array(place) / (width, height, width, height)
    _draw_spectrum(figure.add_axes(tuple(shares)), total, labels)
    return figure


def _draw_spectrum(ax: Any, total: Any, labels: list[tuple[str, float]]) -> None:
    from rsciio_xfm.signals.spectrum_drawing import (
        Curve,
        Frame,
        draw_spectra,
        name_peaks,
    )

    (axis,) = total.axes_manager.signal_axes
    title = str(total.metadata.get_item("General.title", ""))
    name = ": ".join([*filter(None, [title]), "sum of all spectra"])
    units = axis.units if isinstance(axis.units, str) else None
    frame = Frame(units or None, "Counts per channel")
    draw_spectra(ax, [Curve(name, axis.axis, total.data)], frame)
    name_peaks(ax, labels)
