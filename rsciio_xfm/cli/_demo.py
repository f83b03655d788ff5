"""``rsciio-xfm demo``."""

import math
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.lib.recfunctions import structured_to_unstructured

from rsciio_xfm.cli._common import (
    FILE,
    compute,
    errors_as_messages,
    find_peaks_of,
    load_map,
    peak_memory,
    refuse_existing,
    show_size,
    timed,
)
from rsciio_xfm.core.atomic import replacing_in
from rsciio_xfm.core.progress import progress


@click.command()
@click.argument("file", type=FILE, required=False)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder for results."
)
@click.option("--element", help="Element to map; the strongest peak's by default.")
@click.option("--overwrite", is_flag=True, help="Replace results that are there.")
def demo(
    file: Path | None, output: Path | None, element: str | None, overwrite: bool
) -> None:
    """Open FILE (without one, a map made for this) and write a spectrum and a picture.

    The results go to a new temporary folder unless --output names one.
    """
    with errors_as_messages(), tempfile.TemporaryDirectory(prefix="rsciio-xfm-") as made:
        _check_element(element)
        if file is None:
            file = Path(made) / "demo.GeoPIXE"
            _make_map(file)
        names = [f"{file.stem}_spectrum.msa", f"{file.stem}.png"]
        if output is not None:
            refuse_existing([output / name for name in names], overwrite)
        total, figure = _run_demo(file, element)
        if output is None:
            output = Path(tempfile.mkdtemp(prefix="rsciio-xfm-results-"))
        output.mkdir(parents=True, exist_ok=True)
        msa, png = (output / name for name in names)
        with replacing_in(output) as temporary:
            total.save(temporary / msa.name)
            figure.savefig(temporary / png.name, dpi=150)
        click.echo(f"Wrote     {msa}")
        click.echo(f"Wrote     {png}")


def _make_map(file: Path) -> None:
    from rsciio_xfm import data

    with timed() as took:
        made = data.thin_section(file)
    size = show_size(file.stat().st_size)
    click.echo(
        f"Made      {file.name}, {size} of {', '.join(made.phases)}, in {took[0]:.1f} s"
    )


def _load_kernels() -> None:
    """Do on a small map what is done to the file: compiled code takes memory of its own."""
    from rsciio_xfm import data

    with tempfile.TemporaryDirectory(prefix="rsciio-xfm-") as folder:
        small = data.thin_section(Path(folder) / "small.GeoPIXE", (4, 4))
        signal = load_map(small.path, None)
        for lazy in (signal.sum(), signal.sum("Energy"), signal.isig[:9].sum("Energy")):
            lazy.compute(show_progressbar=False)
        signal.get_colour_map(show_progressbar=False)


def _check_element(element: str | None) -> None:
    from rsciio_xfm.signals.lines import check_element

    if element is not None:
        check_element(element)


def _run_demo(file: Path, element: str | None) -> tuple[Any, Any]:
    """Open a map and return its total spectrum and a picture."""
    import hyperspy.api as hs  # noqa: F401 (imported before memory and time are counted)

    import rsciio_xfm.signals  # noqa: F401
    from rsciio_xfm.signals.spectrum_drawing import name_peaks

    with progress(doing="compiling what is not yet"):
        _load_kernels()
    before = peak_memory()
    with timed() as took:
        signal = load_map(file, None)
    dense = math.prod(signal.data.shape) * signal.data.dtype.itemsize
    click.echo(f"Opened    {signal} in {took[0]:.2f} s; dense it is {show_size(dense)}")
    with timed() as took:
        total = compute(signal.sum(), "adding up the spectra")
    click.echo(f"Spectrum  {total.data.sum()} counts summed in {took[0]:.2f} s")
    total.set_elements([element or _strongest_element(total)])
    with timed() as took:
        counts = compute(signal.sum("Energy"), "counting each pixel")
        line, window = _line_window(total)
        image = compute(
            signal.isig[window[0] : window[1]].sum("Energy"),
            f"making the image of {line}",
        )
        colours = signal.get_colour_map()
    click.echo(f"Images    total counts, {line} and colours in {took[0]:.2f} s")
    memory = peak_memory() - before
    click.echo(
        f"Memory    {show_size(memory)} at most for this, beyond imports and compiled kernels"
    )
    with timed() as took:
        labels = find_peaks_of(total)
    if labels:
        names = ", ".join(dict.fromkeys(name.partition("_")[0] for name, _ in labels))
        click.echo(f"Elements  {names}, found in {took[0]:.1f} s")
    figure = _draw(total, counts, image, colours, line, window)
    name_peaks(figure.axes[0], labels)
    return total, figure


def _strongest_element(total: Any) -> str:
    """Name the element whose line is nearest to the highest peak of a spectrum.

    Only lines that the beam can excite count, and none of the scattered tube lines, which
    lie in the upper half of the spectrum.
    """
    from exspy.utils.eds import get_xray_lines_near_energy

    energy = total.axes_manager[-1].axis
    beam = total.metadata.get_item("Acquisition_instrument.SEM.beam_energy", energy[-1])
    is_line = (energy > 1) & (energy < 0.3 * beam)
    if not is_line.any() or not total.data[is_line].any():
        raise click.ClickException("no peak found in the spectrum; use --element")
    peak = energy[is_line][np.argmax(total.data[is_line])]
    lines = get_xray_lines_near_energy(peak, width=0.5, only_lines=("Ka",))
    if not len(lines):
        raise click.ClickException(f"no K line near {peak:.2f} keV; use --element")
    return str(lines[0]).split("_")[0]


def _line_window(total: Any) -> tuple[str, list[float]]:
    total.add_lines()
    lines = total.metadata.get_item("Sample.xray_lines", [])
    if not len(lines):
        elements = total.metadata.Sample.elements
        raise click.ClickException(f"no line of {', '.join(elements)} in the spectrum")
    (window,) = total.estimate_integration_windows(xray_lines=lines[:1])
    return str(lines[0]), [float(edge) for edge in window]


def _draw(
    total: Any, counts: Any, image: Any, colours: Any, line: str, window: list[float]
) -> Any:
    """Draw spectrum, total-counts map, one element's map and the colours of all energies."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7), layout="constrained")
    axes = figure.subplot_mosaic(
        [["spectrum"] * 3, ["counts", "image", "colours"]], height_ratios=[3, 2]
    )
    energy = total.axes_manager[-1]
    axes["spectrum"].semilogy(energy.axis, np.maximum(total.data, 0.5), lw=0.8)
    axes["spectrum"].axvspan(
        *window, color="tab:orange", alpha=0.4, label=f"{line} window"
    )
    axes["spectrum"].set(
        xlabel=f"Energy ({energy.units})",
        ylabel="Counts per channel",
        title=total.metadata.General.title,
        xlim=(
            0,
            energy.axis[np.flatnonzero(total.data)[-1]] if total.data.any() else None,
        ),
        ylim=(0.5, None),
    )
    axes["spectrum"].legend()
    x, y = counts.axes_manager.navigation_axes
    extent = (0, x.size * x.scale, y.size * y.scale, 0)
    for name, pixels, title in (
        ("counts", counts.data, "counting each pixel"),
        ("image", image.data, f"{line} counts"),
        ("colours", structured_to_unstructured(colours.data), "Colours of energies"),
    ):
        drawn = axes[name].imshow(pixels, extent=extent, cmap="viridis")
        axes[name].set(xlabel=f"x ({x.units})", ylabel=f"y ({y.units})", title=title)
        if name != "colours":
            beside = axes[name].inset_axes((1.03, 0, 0.04, 1))
            figure.colorbar(drawn, cax=beside, label="Counts")
    return figure
