"""``rsciio-xfm analyse``."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from rsciio_xfm._register import extension, find_reader
from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import load_map
from rsciio_xfm.cli._info import describe
from rsciio_xfm.cli._options import excitation_option, output_options
from rsciio_xfm.cli._outputs import check_folder
from rsciio_xfm.cli._reader_options import (
    detector_option,
    detector_options,
    reader_options,
)
from rsciio_xfm.cli._values import FILE, FiniteRange
from rsciio_xfm.core.atomic import replacing_in
from rsciio_xfm.core.warning import warn


@click.command()
@click.argument("file", type=FILE)
@detector_option
@reader_options
@excitation_option
@click.option(
    "--saturation",
    type=FiniteRange(0, 100),
    default=65.0,
    show_default=True,
    help="Dead time in percent from which a spectrum counts as saturated.",
)
@click.option(
    "--table", is_flag=True, help="Of a .GeoPIXE map a table of all records too."
)
@click.option(
    "--colours",
    type=click.Choice(["hue", "safe"]),
    default="hue",
    show_default=True,
    help="Of energies: from red to magenta, or from yellow to blue, which the colour-blind "
    "tell apart.",
)
@output_options("Folder.")
def analyse(
    file: Path,
    detector: int | str | None,
    excitation: str | None,
    saturation: float,
    table: bool,
    colours: str,
    output: Path,
    overwrite: bool,
) -> None:
    """Write pictures and tables of the map in FILE to a folder.

    They are: the header, the sum and the highest of all spectra, with the names of elements
    over its peaks if it is known what excites the sample, the map of all counts, and the
    colours of energies; of maps with dead times also their statistics, maps, histogram,
    dead times against counts, what detectors differ by, and how well missing dead times can
    be filled in.
    """
    with errors_as_messages():
        if table and extension(file) != "geopixe":
            raise click.ClickException(f"{file}: --table is for .GeoPIXE")
        from rsciio_xfm.analysis.fit.sources import parse_excitation

        signal = load_map(file, detector, n_axes=(2,))
        source = None if excitation is None else parse_excitation(excitation)
        results = _results(file, signal, saturation, detector, source)
        for scale in ("linear", "log"):
            draw = partial(signal.plot_colour_map, scale, colours=colours)
            results[f"colours_{scale}.png"] = partial(_save_drawn, draw)
        if table:
            results["records.csv"] = lambda path: _write_table(file, path)
        check_folder(output, [output / name for name in results], overwrite)
        output.mkdir(parents=True, exist_ok=True)
        for name, write in results.items():
            with replacing_in(output, output / name) as temporary:
                write(temporary / name)
            if (output / name).exists():
                click.echo(f"Wrote  {output / name}")


def _results(
    file: Path,
    signal: Any,
    saturation: float,
    detector: int | str | None,
    excitation: Any,
) -> dict[str, Callable[[Path], None]]:
    """Return what writes each result, by its name."""
    summary: dict[str, Any] = {}

    def summarise() -> dict[str, Any]:
        if not summary:  # one pass for three results
            summary.update(signal.get_summary())
        return summary

    results: dict[str, Callable[[Path], None]] = {
        "info.txt": lambda path: _write_info(file, path, detector),
        "sum.msa": lambda path: summarise()["sum"].save(path, overwrite=True),
        "spectra.csv": lambda path: _write_spectra(summarise(), path),
        "spectra.png": lambda path: _save(_draw_spectra(summarise(), excitation), path),
        "counts.png": lambda path: _save(_draw_counts(summarise()), path),
    }
    if signal.axes_manager.signal_size == 1:
        del results["sum.msa"]  # one channel is no spectrum to HyperSpy
    try:
        dead_time = signal.get_dead_time()
    except ValueError:  # the format has none
        return results
    statistics = signal.get_dead_time_statistics(saturation)
    results |= {
        "dead_time.csv": lambda path: _write_statistics(statistics, path),
        "dead_time_map.png": lambda path: _save(signal.plot_dead_time(), path),
        "dead_time_histogram.png": lambda path: _save(
            signal.plot_dead_time_histogram(), path
        ),
        "dead_time_against_counts.png": lambda path: _save(
            signal.plot_dead_time_against_counts(), path
        ),
    }
    if len(statistics) > 1:
        results["detector_difference.png"] = lambda path: _save(
            signal.plot_detector_difference(), path
        )
    values = np.asarray(dead_time.data)
    n_recorded = sum(entry["n_recorded"] for entry in statistics.values())
    if 0 < n_recorded < np.count_nonzero(~np.isnan(values)):
        results["filled_against_measured.png"] = lambda path: _fill(signal, path)
    return results


def _fill(signal: Any, path: Path) -> None:
    try:
        axes = signal.fill_dead_time().plot_filled_dead_time()
    except ValueError as error:  # too few are known for a fit
        warn(f"{path.name} is not written: {error}")
        return
    _save(axes, path)


def _save_drawn(draw: Callable[..., Any], path: Path) -> None:
    _save(draw(), path)


def _save(axes: Any, path: Path) -> None:
    from rsciio_xfm.signals.folders import save_figure

    save_figure(axes, path)


def _write_info(file: Path, path: Path, detector: int | str | None) -> None:
    lines = describe(file, detector_options(file, find_reader(file), detector))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_table(file: Path, path: Path) -> None:
    from rsciio_xfm import geopixe

    geopixe.write_table(file, path, overwrite=True)


def _write_statistics(statistics: dict[str, dict[str, Any]], path: Path) -> None:
    names = list(next(iter(statistics.values())))
    lines = [",".join(["detector", *names])]
    for detector, entry in statistics.items():
        values = [f"{entry[name]:.6g}" for name in names]
        lines.append(",".join([detector.rsplit(" ", 1)[-1], *values]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _write_spectra(summary: dict[str, Any], path: Path) -> None:
    energy = summary["sum"].axes_manager[-1]
    units = energy.units if isinstance(energy.units, str) else "keV"
    rows = zip(
        energy.axis.tolist(),
        summary["sum"].data.tolist(),
        summary["max"].data.tolist(),
        strict=True,
    )
    text = "".join(f"{e:.10g},{total},{highest}\n" for e, total, highest in rows)
    path.write_text(f"energy_{units},sum,max\n{text}", encoding="utf-8")


def _draw_spectra(summary: dict[str, Any], excitation: Any) -> Any:
    from rsciio_xfm import plot_spectra
    from rsciio_xfm.core.eds import PER_KEV

    spectra = {
        "Sum of all spectra": summary["sum"],
        "Highest counts of a spectrum": summary["max"],
    }
    factor = PER_KEV.get(summary["sum"].axes_manager[-1].units, 1)
    found = _find_peaks(summary["sum"], excitation)
    return plot_spectra(spectra, lines={name: factor * kev for name, kev in found})


def _find_peaks(total: Any, excitation: Any) -> list[tuple[str, float]]:
    """Return names and energies, keV, of the elements' peaks in a spectrum.

    There are none where the extra for it is not installed, where nothing says what excites
    the sample, or where no element is found.
    """
    from rsciio_xfm.signals.elements import labels_of

    try:
        return labels_of(total, excitation)
    except ImportError:
        return []


def _draw_counts(summary: dict[str, Any]) -> Any:
    from rsciio_xfm.signals.map_plots import plot_maps

    return plot_maps({"Counts of all channels": summary["counts"]})
