"""Images and spectra that are made of a signal in one pass over its file."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal1D, Signal2D

from rsciio_xfm.analysis.colour import channel_colours, mix_colours, to_rgb8
from rsciio_xfm.analysis.maps import region_spectra, summarise, window_images
from rsciio_xfm.core.eds import PER_KEV
from rsciio_xfm.core.sums import can_sum, sum_spectrum
from rsciio_xfm.core.to_dask import take
from rsciio_xfm.signals.checks import check_axes, check_uniform, progress
from rsciio_xfm.signals.lines import is_line, scattered_line
from rsciio_xfm.signals.made import image_of, spectrum_of, title_of
from rsciio_xfm.signals.operations import times_of_regions, times_of_sum
from rsciio_xfm.signals.selections import resolve_regions, resolve_windows
from rsciio_xfm.signals.timekeeping import give
from rsciio_xfm.signals.times import Times


def get_window_images(
    signal: BaseSignal,
    windows: Any = None,
    integration_windows: float = 2.0,
    show_progressbar: bool | None = None,
) -> dict[str, BaseSignal]:
    """Sum the counts in energy windows for each pixel, all in one pass over the file.

    Parameters
    ----------
    signal
        Spectra with axes to navigate, lazy or not, of any type.
    windows
        X-ray lines (``"Fe_Ka"``), elements (``"Fe"``: the line that exspy chooses), pairs
        ``(start, stop)`` as ``isig`` takes them (two numbers with a point are energies,
        two whole numbers channels), in a list; or in a dictionary that gives them names.
        None: the lines, or else elements, of the metadata.
    integration_windows
        Width of the window of a line, in multiples of its full width at half maximum.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal.

    Returns
    -------
    dict of str to hyperspy.api.signals.BaseSignal
        An image for each window, counts as uint32 or uint64, in memory, with x and y as
        signal axes: it can be plotted as it is, saved as TIFF with its counts, or with
        ``save("image.png", scalebar=True, output_size=800)`` as a picture.

    Raises
    ------
    ValueError
        A window is no line, element or pair, or is not within the spectra; or a pair is
        a whole number and one with a point.

    Warns
    -----
    UserWarning
        Windows of lines overlap each other, or a strong line of another element of the
        metadata: the pairs, and by how much.

    Examples
    --------
    >>> s = hs.load("map.spd", lazy=True)
    >>> images = s.get_window_images(["Fe_Ka", "Ca", (6.3, 6.5)])
    >>> images["Fe_Ka"].plot()
    """
    check_axes(signal)
    resolved = resolve_windows(signal, windows, integration_windows)
    with progress(signal, show_progressbar):
        images = window_images(signal.data, list(resolved.values()))
    return {
        name: _make_image(signal, image, name)
        for name, image in zip(resolved, images, strict=True)
    }


def get_region_spectra(
    signal: BaseSignal, regions: Any, show_progressbar: bool | None = None
) -> dict[str, BaseSignal]:
    """Sum the spectra of regions, all in one pass over the file.

    Parameters
    ----------
    signal
        Spectra with axes to navigate, lazy or not, of any type.
    regions
        Boolean maps (arrays, rows first, or signals), lists of pixels ``(x, y)``, or
        HyperSpy's ROIs; in a list, or in a dictionary that gives them names. They may
        overlap. Or a label image, an array or a signal of whole numbers of the size of
        the map: each number above 0 is a region; 0 and negative numbers are outside, as
        scikit-image and scipy have it. In the map of classes that
        :func:`rsciio_xfm.classify` returns as a signal only negative numbers are.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal.

    Returns
    -------
    dict of str to EDSXFMSpectrum
        The sum of each region, in memory, with its own live and dead time. Without
        names they are ``"0"``, ``"1"``, ...; of a label image the labels: ``"17"``.

    Raises
    ------
    ValueError
        A region is none of these, or has no pixel.
    IndexError
        A pixel is not in the map.

    Notes
    -----
    A label image and lists of pixels cost memory of their own size, the result one
    spectrum for each region. Each signal takes 5 to 10 ms to make: for tens of thousands
    of grains :func:`rsciio_xfm.analysis.maps.region_spectra` gives an array at once.

    Examples
    --------
    >>> images = s.get_window_images(["Fe_Ka"])
    >>> iron = images["Fe_Ka"].data > 100
    >>> spectra = s.get_region_spectra(
    ...     {"iron": iron, "rest": ~iron, "spot": [(10, 20), (11, 20)]}
    ... )
    >>> spectra["iron"].save("iron.msa")
    """
    check_axes(signal)
    named = resolve_regions(signal, regions)
    with progress(signal, show_progressbar):
        totals = region_spectra(signal.data, list(named.values()))
    return sums_of(signal, totals, named)


def get_summary(
    signal: BaseSignal, show_progressbar: bool | None = None
) -> dict[str, BaseSignal]:
    """Return sum, mean and maximum of all spectra and the map of all counts.

    They are made in one pass over the file.

    Parameters
    ----------
    signal
        Spectra with axes to navigate, lazy or not, of any type.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal.

    Returns
    -------
    dict of str to hyperspy.api.signals.BaseSignal
        ``"sum"``, ``"mean"`` and ``"max"``, spectra; the first two with their live
        times. ``"counts"``, an image. In memory.

    Examples
    --------
    >>> summary = s.get_summary()
    >>> summary["max"].plot()
    """
    check_axes(signal)
    with progress(signal, show_progressbar):
        found = summarise(signal.data)
    n_spectra = signal.axes_manager.navigation_size
    data = {
        "sum": found["sum"],
        "mean": found["sum"] / n_spectra,
        "max": found["max"],
    }
    result = {name: spectrum_of(signal, d, name) for name, d in data.items()}
    # No time is that of a maximum, whose channels come from different pixels.
    give(result["max"], Times())
    give(result["sum"], times_of_sum(signal, None))
    give(result["mean"], times_of_sum(signal, None, is_mean=True))
    return result | {"counts": _make_image(signal, found["counts"], "counts")}


def get_colour_map(
    signal: BaseSignal,
    scale: str = "linear",
    energy_range: tuple[float, float] | None = None,
    percentile: float = 99.5,
    show_progressbar: bool | None = None,
) -> Signal2D:
    """Return a picture in which each energy has a hue, in one pass over the file.

    Parameters
    ----------
    signal
        Spectra with axes to navigate, lazy or not, of any type.
    scale
        ``"linear"``: counts are the weight of the hue of their energy; ``"log"``: the
        logarithm of 1 + counts, which shows weak lines too.
    energy_range
        Energies from red to magenta, in the units of the axis; counts beyond them are left
        out. None: from the first channel to the tube's line that the sample scatters (Ka
        of its anode), or, if that is not known, to the last channel that has counts.
    percentile
        Of the pixels: how bright is as bright as can be.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal.

    Returns
    -------
    hyperspy.api.signals.Signal2D
        8-bit RGB, in memory. ``metadata.Signal.energy_range`` has the energies. Save it as
        ``.png`` or ``.tif``.

    Raises
    ------
    ValueError
        The scale is none of these, the range is not within the spectra, the energy axis
        is not uniform, or the signal is no map of x and y.

    Examples
    --------
    >>> picture = s.get_colour_map("log")
    >>> picture.plot()
    >>> picture.save("colours.png")
    """
    check_axes(signal)
    check_uniform(signal.axes_manager.signal_axes)
    if signal.axes_manager.navigation_dimension != 2:
        raise ValueError(f"The signal is {signal}, expected a map of x and y.")
    start, stop = _colour_channels(signal, energy_range, show_progressbar)
    data = take(signal.data, (..., slice(start, None)))
    with progress(signal, show_progressbar):
        mixed = mix_colours(data, channel_colours(stop - start), scale)
    axes = [axis.get_axis_dictionary() for axis in signal.axes_manager._axes[:-1]]
    for axis in axes:
        axis["navigate"] = True
    axes.append({"size": 3, "navigate": False, "name": "RGB"})
    picture = Signal1D(to_rgb8(mixed, percentile), axes=axes)
    picture.change_dtype("rgb8")
    energy = signal.axes_manager.signal_axes[0]
    picture.metadata.General.title = title_of(signal, "colours of energies")
    ends = [float(energy.axis[i]) for i in (start, stop - 1)]
    picture.metadata.set_item("Signal.energy_range", ends)
    return picture


def sums_of(
    signal: BaseSignal, totals: Sequence[np.ndarray], regions: Mapping[str, np.ndarray]
) -> dict[str, BaseSignal]:
    """Return sums of regions of :func:`resolve_regions` as signals, with their times."""
    # Axes and metadata are made once; copies of small ones are fast.
    blank = spectrum_of(signal, np.zeros(signal.data.shape[-1]), "")
    own = times_of_regions(signal, list(regions.values()))
    title, sums = title_of(signal, ""), {}
    for name, total, times in zip(regions, totals, own, strict=True):
        spectrum = blank._deepcopy_with_new_data(total)
        spectrum._metadata.General.title = f"{title}{name}"
        give(spectrum, times)
        sums[name] = spectrum
    return sums


def _colour_channels(
    signal: BaseSignal,
    energy_range: tuple[float, float] | None,
    show_progressbar: bool | None,
) -> tuple[int, int]:
    """Return the first channel that has a colour and the one after the last."""
    energy = signal.axes_manager.signal_axes[0]
    if energy_range is not None:
        ends = tuple(float(end) for end in energy_range)
        ((start, stop),) = resolve_windows(signal, [ends], 1.0).values()
        return start, stop
    line = scattered_line(signal.metadata)
    if line is not None and energy.units in PER_KEV:
        line *= PER_KEV[energy.units]
        stop = int(np.ceil((line - energy.offset) / energy.scale)) + 1
        if 1 < stop <= energy.size:
            return 0, stop
    with progress(signal, show_progressbar):
        total = np.asarray(
            sum_spectrum(signal.data)
            if can_sum(signal.data)
            else signal.data.sum(axis=tuple(range(signal.data.ndim - 1)))
        )
    filled = np.flatnonzero(total)
    return 0, int(filled[-1]) + 1 if filled.size else energy.size


def _make_image(signal: BaseSignal, data: np.ndarray, name: str) -> BaseSignal:
    image = image_of(signal, data, name)
    image.metadata.Signal.quantity = "X-rays (Counts)"
    if is_line(name):
        element, _ = name.split("_", 1)
        image.metadata.set_item("Sample.elements", [element])
        image.metadata.set_item("Sample.xray_lines", [name])
    return image
