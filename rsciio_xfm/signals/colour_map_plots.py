"""Colours of the energies of a signal, drawn."""

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.colour import channel_colours
from rsciio_xfm.drawing.colour_maps import draw_colour_map
from rsciio_xfm.signals.checks import check_uniform, steps_of
from rsciio_xfm.signals.made import title_of
from rsciio_xfm.signals.maps import get_colour_map


def plot_colour_map(
    signal: BaseSignal,
    scale: str = "linear",
    energy_range: tuple[float, float] | None = None,
    percentile: float = 99.5,
    show_progressbar: bool | None = None,
    *,
    colours: str = "hue",
) -> np.ndarray:
    """Draw the picture of :meth:`get_colour_map` above the colours of its energies.

    Parameters
    ----------
    signal
        Spectra with axes to navigate, lazy or not, of any type.
    scale, energy_range, percentile, show_progressbar, colours
        As of :meth:`get_colour_map`.

    Returns
    -------
    numpy.ndarray
        matplotlib's axes: of the picture, and of the colours.

    Examples
    --------
    >>> axes = s.plot_colour_map("log", colours="safe")
    """
    check_uniform(signal.axes_manager.signal_axes)
    steps = steps_of(signal)
    picture = get_colour_map(
        signal, scale, energy_range, percentile, show_progressbar, colours=colours
    )
    ends = picture.metadata.Signal.energy_range
    pixels = picture.data.view(np.uint8).reshape(*picture.data.shape, 3)
    energy = signal.axes_manager.signal_axes[0]
    n_channels = round((ends[1] - ends[0]) / energy.scale) + 1
    return draw_colour_map(
        pixels,
        steps,
        title_of(signal, scale),
        channel_colours(n_channels, colours),
        (ends[0], ends[1], energy.units),
    )
