"""``rsciio-xfm info``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml

from rsciio_xfm._register import find_reader
from rsciio_xfm.cli._errors import errors_as_messages
from rsciio_xfm.cli._files import one_map, read_lazily
from rsciio_xfm.cli._reader_options import reader_options
from rsciio_xfm.cli._says import show_size
from rsciio_xfm.cli._values import FILE
from rsciio_xfm.core.eds import SIGNAL_TYPE

_MOST_SHOWN = 16  # numbers of an array in the header
_MOST_LINES = 200  # of the header


@click.command()
@click.argument("file", type=FILE)
@reader_options
@click.option("--all", "whole", is_flag=True, help="All lines of a long header.")
def info(file: Path, whole: bool) -> None:
    """Print header, size, detectors and dead times of FILE, without reading counts."""
    with errors_as_messages():
        *lines, header = describe(file)
        for line in lines:
            click.echo(line)
        shown = header.splitlines()
        for line in shown if whole else shown[:_MOST_LINES]:
            click.echo(line)
        if len(shown) > _MOST_LINES and not whole:
            click.echo(f"  ... and {len(shown) - _MOST_LINES} more lines: --all")


def describe(file: Path, options: dict[str, Any] | None = None) -> Iterator[str]:
    """Yield lines that say what a file holds; last the header, all of it as YAML."""
    from rsciio_xfm.core.to_dask import described

    with described():
        signals = read_lazily(file, **options or {})
    map_ = one_map(signals, is_map) or signals[0]
    data = map_["data"]
    instruments = map_["metadata"].get("Acquisition_instrument", {})
    instrument = instruments.get("SEM") or instruments.get("TEM") or {}
    eds = instrument.get("Detector", {}).get("EDS", {})
    yield f"File        {file} ({file.stat().st_size} bytes)"
    yield from _describe_others(signals, map_)
    yield f"Counts      {data.dtype}, {show_size(data.nbytes)} if dense"
    yield from map(_describe_axis, reversed(map_["axes"]))
    if "beam_energy" in instrument:
        yield f"beam_energy {instrument['beam_energy']:.6g} keV"
    elements = map_["metadata"].get("Sample", {}).get("elements")
    if elements:
        yield f"elements    {', '.join(elements)}"
    is_single = not any(axis["navigate"] for axis in map_["axes"])
    is_ours = is_single or find_reader(file) is not None or _is_own_type(map_)
    for name in ("real_time", "live_time"):
        if name in eds:
            of = "per spectrum" if is_ours else "as RosettaSciIO reads it"
            if "_sig_dead_time" in eds:
                of += ", detectors added, mean"
            if "n_spectra_of_map" in eds:
                of = f"of all {eds['n_spectra_of_map']} spectra together"
            yield f"{name:<11} {eds[name]:.6g} s {of}"
    if "_sig_dead_time" in eds:
        yield from _describe_dead_times(eds["_sig_dead_time"]["data"])
    yield "Header"
    tree = _plain(map_["original_metadata"])
    text = yaml.safe_dump(tree, allow_unicode=True, sort_keys=False)
    yield "\n".join(f"  {line}" for line in text.splitlines())


def _describe_axis(axis: dict[str, Any]) -> str:
    name, unit = axis.get("name"), axis.get("units")
    name = name if isinstance(name, str) and name else "axis"
    unit = unit if isinstance(unit, str) and unit else "(uncalibrated)"
    if "scale" in axis:
        first, step, size = axis["offset"], axis["scale"], axis["size"]
        last = first + step * (size - 1)
        rest = f"step {step:.6g} {unit}"
    else:
        from hyperspy.axes import create_axis

        values = create_axis(**axis).axis
        first, last, size = values[0], values[-1], values.size
        rest = f"{unit}, steps of several sizes"
    return f"{name:<11} {size} from {first:.6g} to {last:.6g}, {rest}"


def _describe_others(
    signals: list[dict[str, Any]], map_: dict[str, Any]
) -> Iterator[str]:
    for signal in signals:
        if signal is not map_:
            title = signal["metadata"]["General"]["title"]
            size = " x ".join(str(n) for n in signal["data"].shape[::-1])
            yield f"Beside it   {title}, {size}"


def _is_own_type(signal: dict[str, Any]) -> bool:
    return signal["metadata"]["Signal"].get("signal_type") == SIGNAL_TYPE


def is_map(signal: dict[str, Any]) -> bool:
    """Tell whether it is a map, or a line, of X-ray spectra."""
    roles = [axis["navigate"] for axis in signal["axes"]]
    is_eds = signal["metadata"]["Signal"].get("signal_type", "").startswith("EDS")
    return is_eds and len(roles) > 1 and roles == [True] * (len(roles) - 1) + [False]


def _plain(value: Any) -> Any:
    """Turn numpy's values into Python's, which YAML can show."""
    if isinstance(value, dict):
        # Names that begin with an underscore are not for people.
        named = ((str(key), v) for key, v in value.items())
        return {key: _plain(v) for key, v in named if not key.startswith("_")}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        shown = [str(v) for v in value.ravel()[:_MOST_SHOWN].tolist()]
        return ", ".join([*shown, *(["..."] if value.size > _MOST_SHOWN else [])])
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bytes):
        return value.rstrip(b"\0").decode("latin-1")
    return value


def _describe_dead_times(dead_time: np.ndarray) -> Iterator[str]:
    for number, values in enumerate(dead_time.reshape(-1, *dead_time.shape[-2:])):
        known = values[(values > 0) & (values <= 100)]
        missing = np.count_nonzero(np.isnan(values))
        unrecorded = values.size - known.size - missing
        text = f"Detector {number}  {values.size - missing} spectra"
        if known.size:
            low, median, high = np.percentile(known, [5, 50, 95])
            text += (
                f"; dead time {known.mean(dtype=float):.2f} % on average, median "
                f"{median:.2f} %, 5th to 95th percentile {low:.2f} to {high:.2f} %, "
                f"{known.min():.2f} to {known.max():.2f} % in all"
            )
        yield f"{text}; {unrecorded} dead times not recorded, {missing} spectra missing"
