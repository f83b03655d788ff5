"""Images and spectra that are made of a signal in one pass over its file."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from hyperspy.signal import BaseSignal
from hyperspy.signals import Signal2D

from rsciio_xfm.analysis.colour import Colours, channel_colours, to_rgb8
from rsciio_xfm.analysis.maps import Wanted, make_maps
from rsciio_xfm.core.eds import PER_KEV
from rsciio_xfm.core.sums import can_sum, sum_spectrum
from rsciio_xfm.signals.checks import check_axes, check_uniform, progress
from rsciio_xfm.signals.lines import is_line, scattered_line
from rsciio_xfm.signals.made import image_of, picture_of, spectrum_of, title_of
from rsciio_xfm.signals.operations import count_pixels, times_of_regions, times_of_sum
from rsciio_xfm.signals.selections import resolve_regions, resolve_windows
from rsciio_xfm.signals.timekeeping import give
from rsciio_xfm.signals.times import Times, shape_of


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
    wanted = {"windows": _windows(signal, windows, integration_windows)}
    return _make(signal, wanted, show_progressbar)["windows"]


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
    return _make(signal, {"regions": _regions(signal, regions)}, show_progressbar)[
        "regions"
    ]


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
    wanted = {"summary": _summary(signal)}
    return _make(signal, wanted, show_progressbar)["summary"]


def get_colour_map(
    signal: BaseSignal,
    scale: str = "linear",
    energy_range: tuple[float, float] | None = None,
    percentile: float = 99.5,
    show_progressbar: bool | None = None,
    *,
    colours: str = "hue",
) -> Signal2D:
    """Return a picture in which each energy has a colour, in one pass over the file.

    Parameters
    ----------
    signal
        Spectra with axes to navigate, lazy or not, of any type.
    scale
        ``"linear"``: counts are the weight of the colour of their energy; ``"log"``: the
        logarithm of 1 + counts, which shows weak lines too.
    energy_range
        Energies that have colours, in the units of the axis; counts beyond them are left
        out. None: from the first channel to the tube's line that the sample scatters (Ka
        of its anode), or, if that is not known, to the last channel that has counts.
    percentile
        Of the pixels: how bright is as bright as can be.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal.
    colours
        ``"hue"``: from red over green to magenta; ``"safe"``: from yellow over green to blue,
        which the colour-blind tell apart.

    Returns
    -------
    hyperspy.api.signals.Signal2D
        8-bit RGB, in memory. ``metadata.Signal.energy_range`` has the energies. Save it as
        ``.png`` or ``.tif``.

    Raises
    ------
    ValueError
        Scale or colours are none of these, the range is not within the spectra, the energy
        axis is not uniform, or the signal is no map of x and y.

    Examples
    --------
    >>> picture = s.get_colour_map("log")
    >>> picture.plot()
    >>> picture.save("colours.png")
    """
    check_axes(signal)
    channels = _colour_channels(signal, energy_range, show_progressbar)
    wanted = {"colours": _colours(signal, scale, channels, percentile, colours)}
    return _make(signal, wanted, show_progressbar)["colours"]


def get_maps(
    signal: BaseSignal,
    windows: Any = None,
    regions: Any = None,
    summary: bool = False,
    colours: str | Mapping[str, Any] | None = None,
    show_progressbar: bool | None = None,
    **watch: Any,
) -> dict[str, Any]:
    """Make images, spectra of regions, a summary and a picture, all in one pass over the file.

    Parameters
    ----------
    signal
        Spectra with axes to navigate, lazy or not, of any type.
    windows
        As of :meth:`get_window_images`; True takes the lines, or else elements, of the
        metadata.
    regions
        As of :meth:`get_region_spectra`.
    summary
        Whether there is one, as of :meth:`get_summary`.
    colours
        The scale of a picture, as of :meth:`get_colour_map`, or a dictionary of its
        arguments. If neither ``energy_range`` nor the tube's anode is known, the sum of all
        spectra is made first, which is a pass of its own.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal.
    **watch
        ``progress``, called as ``progress(done, total)`` when a part of the map is finished;
        ``cancel``, a callable that returns True, or an event, to stop; ``partial``, called
        with what this function returns, as far as it is known: zero where nothing has been
        measured yet. See :func:`rsciio_xfm.core.reduce.run`.

    Returns
    -------
    dict of str to object
        What was asked for: ``"windows"``, ``"regions"`` and ``"summary"``, dictionaries of
        signals, and ``"colours"``, a picture.

    Raises
    ------
    ValueError
        Nothing is asked for, or an argument does not suit the signal: see these methods.
    TypeError
        There is an argument by another name.
    rsciio_xfm.exceptions.PassCancelledError
        `cancel` said so.

    Examples
    --------
    >>> maps = s.get_maps(windows=["Fe_Ka", "Ca_Ka"], summary=True)
    >>> maps["windows"]["Fe_Ka"].plot()
    >>> maps["summary"]["max"].plot()
    """
    check_axes(signal)
    wanted: dict[str, _Product] = {}
    if windows is not None:
        wanted["windows"] = _windows(signal, None if windows is True else windows)
    if regions is not None:
        wanted["regions"] = _regions(signal, regions)
    if summary:
        wanted["summary"] = _summary(signal)
    if colours is not None:
        options: dict[str, Any]
        options = {"scale": colours} if isinstance(colours, str) else dict(colours)
        energy_range = options.pop("energy_range", None)
        channels = _colour_channels(signal, energy_range, show_progressbar)
        wanted["colours"] = _colours(signal, channels=channels, **options)
    return _make(signal, wanted, show_progressbar, **watch)


# What is made of the arrays, and how it becomes signals.

_Product = tuple[Any, Callable[[Any], Any]]


def _make(
    signal: BaseSignal,
    wanted: Mapping[str, _Product],
    show_progressbar: bool | None,
    **watch: Any,
) -> dict[str, Any]:
    """Make all that is wanted, in one pass, as signals."""

    def as_signals(found: Mapping[str, Any]) -> dict[str, Any]:
        return {name: wanted[name][1](arrays) for name, arrays in found.items()}

    partial = watch.get("partial")
    if partial is not None:
        watch["partial"] = lambda found: partial(as_signals(found))
    arrays = Wanted(**{name: what for name, (what, _) in wanted.items()})
    with progress(signal, show_progressbar):
        found = make_maps(signal.data, arrays, **watch)
    return as_signals(found)


def _windows(
    signal: BaseSignal, windows: Any, integration_windows: float = 2.0
) -> _Product:
    named = resolve_windows(signal, windows, integration_windows)

    def as_signals(images: np.ndarray) -> dict[str, BaseSignal]:
        each = zip(named, images, strict=True)
        return {name: _make_image(signal, image, name) for name, image in each}

    return list(named.values()), as_signals


def _regions(signal: BaseSignal, regions: Any) -> _Product:
    named = resolve_regions(signal, regions)
    return list(named.values()), lambda totals: sums_of(signal, totals, named)


def _summary(signal: BaseSignal) -> _Product:
    def as_signals(found: Mapping[str, np.ndarray]) -> dict[str, BaseSignal]:
        mean = found["sum"] / signal.axes_manager.navigation_size
        data = {"sum": found["sum"], "mean": mean, "max": found["max"]}
        result = {name: spectrum_of(signal, d, name) for name, d in data.items()}
        # No time is that of a maximum, whose channels come from different pixels.
        give(result["max"], Times())
        n_pixels = count_pixels(signal, np.broadcast_to(True, shape_of(signal)))
        of_sum, of_mean = times_of_sum(signal, None), times_of_sum(signal, None, True)
        give(result["sum"], replace(of_sum, n_pixels=n_pixels))
        give(result["mean"], replace(of_mean, n_pixels=1))
        return result | {"counts": _make_image(signal, found["counts"], "counts")}

    return True, as_signals


def _colours(
    signal: BaseSignal,
    scale: str = "linear",
    channels: tuple[int, int] = (0, 0),
    percentile: float = 99.5,
    colours: str = "hue",
) -> _Product:
    start, stop = channels
    energy = signal.axes_manager.signal_axes[0]

    def as_signal(mixed: np.ndarray) -> Signal2D:
        picture = picture_of(signal, to_rgb8(mixed, percentile), "colours of energies")
        ends = [float(energy.axis[i]) for i in (start, stop - 1)]
        picture.metadata.set_item("Signal.energy_range", ends)
        return picture

    return Colours(start, channel_colours(stop - start, colours), scale), as_signal


def sums_of(
    signal: BaseSignal, totals: Iterable[np.ndarray], regions: Mapping[str, np.ndarray]
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
    check_uniform(signal.axes_manager.signal_axes)
    if signal.axes_manager.navigation_dimension != 2:
        raise ValueError(f"The signal is {signal}, expected a map of x and y.")
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
