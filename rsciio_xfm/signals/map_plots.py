"""Maps of signals, drawn for print: side by side, or as red, green and blue."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rsciio_xfm.drawing.composites import Composite, draw_rgb
from rsciio_xfm.drawing.lengths import parse_pixel_size
from rsciio_xfm.drawing.maps import draw_maps
from rsciio_xfm.drawing.panels import CLASSES, COUNTS, PERCENTILE, Panel, Style
from rsciio_xfm.signals.checks import check_labels, steps_of_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 100  # maps of one figure
_UNIT = re.compile(r"(.*?)\s*\(([^()]*)\)\s*")
_UNITS = {"Counts": "counts", "ug/cm2": "µg/cm²"}


def plot_maps(
    images: Any,
    *,
    cmap: str | None = None,
    percentile: float = PERCENTILE,
    per_row: int | None = None,
    scalebar: bool = True,
    colorbar: bool = True,
    pixel_size: str | None = None,
    labels: str | Sequence[str] | None = None,
) -> np.ndarray:
    """Draw maps side by side for print, with names, colour bars and a scale bar.

    Parameters
    ----------
    images
        A mapping of names to images, such as ``s.get_window_images(...)``, element maps or
        ``concentrations.maps``; or a signal, or several. An image is a signal of x and y, or
        of a line; a signal of several images is drawn as those. Arrays of numpy are taken,
        too.
    cmap
        A colour map of matplotlib. None: inferno, which is told apart whatever the eyes, and
        can be printed in grey; images with negative values, such as differences, have blue
        and red around 0. A diverging one, like ``"PuOr"``, is always drawn around 0.
    percentile
        Of the pixels: what is there is as bright as can be, so that a few pixels do not make
        the rest dark.
    per_row
        How many maps are beside each other; None: as many as fill a page best.
    scalebar
        Draw a scale bar into the first map, and into each that has another size. Maps whose
        axes have different units, or that are more than 20 times as long as wide, have
        ticks instead.
    colorbar
        Draw a colour bar beside each map.
    pixel_size
        Size of a pixel with its unit, ``"50um"``, or one for x and one for y,
        ``"50um,40um"``, instead of that of the images' axes, which stay as they are.
    labels
        Names to be drawn instead of those of `images`, in their order.

    Returns
    -------
    numpy.ndarray
        matplotlib's axes, one for each map. Their figure is 180 mm wide at most, with text
        of 7 to 9 points: ``axes[0].figure.savefig("maps.png", dpi=300)``, or ``"maps.pdf"``.

    Raises
    ------
    TypeError
        There is something that is no image.
    ValueError
        An image has other axes than x and y; there is none; or an option is none that is
        known.

    Examples
    --------
    >>> import rsciio_xfm
    >>> images = s.get_window_images(["Fe_Ka", "Ca_Ka"])
    >>> axes = rsciio_xfm.plot_maps(images, pixel_size="50um")
    >>> axes[0].figure.savefig("maps.pdf", dpi=300)
    """
    style = Style(cmap, percentile, per_row, scalebar, colorbar)
    panels = _relabelled(panels_of(images), labels)
    return draw_maps(_resized(panels, pixel_size), style)


def plot_rgb(
    red: Any = None,
    green: Any = None,
    blue: Any = None,
    *,
    percentile: float = PERCENTILE,
    scalebar: bool = True,
    pixel_size: str | None = None,
    labels: Sequence[str] | None = None,
) -> "Axes":
    """Draw up to three maps in one picture, as red, green and blue, with a legend.

    Parameters
    ----------
    red, green, blue
        Images, as of :func:`plot_maps`, of one size; None leaves a colour out.
    percentile, scalebar, pixel_size
        As of :func:`plot_maps`. Each map is dark at 0, and as bright as can be at the
        percentile, which the legend tells.
    labels
        Names of the maps that are given; None: those of the lines, or the titles.

    Returns
    -------
    matplotlib.axes.Axes
        Those of the picture.

    Raises
    ------
    TypeError
        There is something that is no image.
    ValueError
        No image is given, or they are not of one size.

    Examples
    --------
    >>> import rsciio_xfm
    >>> images = s.get_window_images(["Fe_Ka", "Ca_Ka", "Ti_Ka"])
    >>> ax = rsciio_xfm.plot_rgb(*images.values(), labels=list(images))
    >>> ax.figure.savefig("minerals.png", dpi=300)
    """
    given = [one for one in (red, green, blue) if one is not None]
    own = _resized(_relabelled(panels_of(given) if given else [], labels), pixel_size)
    if len(own) != len(given):
        raise ValueError(f"There are {len(own)} maps, expected one for each colour.")
    left = iter(own)
    each = [None if one is None else next(left) for one in (red, green, blue)]
    return draw_rgb(Composite(each, percentile), scalebar)


def panels_of(images: Any) -> list[Panel]:
    """Return the maps that images are.

    Raises
    ------
    TypeError, ValueError
        As of :func:`plot_maps`.
    """
    if hasattr(images, "as_panels"):  # they know what was not found
        return images.as_panels()
    if isinstance(images, Mapping):
        named = [_panels(image, str(name)) for name, image in images.items()]
        return _few([panel for panels in named for panel in panels])
    if isinstance(images, np.ndarray) or hasattr(images, "axes_manager"):
        return _few(_panels(images))
    if not isinstance(images, Iterable) or isinstance(images, str | bytes):
        raise TypeError(
            f"The images are {images!r:.60}, expected a signal, several, or a mapping."
        )
    return _without_prefix(_few([panel for image in images for panel in _panels(image)]))


def _few(panels: list[Panel]) -> list[Panel]:
    if len(panels) > _MOST:
        raise ValueError(f"There are {len(panels)} maps, expected at most {_MOST}.")
    return panels


def _panels(image: Any, name: str | None = None) -> list[Panel]:
    """Return the maps of a signal, most often one."""
    if isinstance(image, Panel):
        return [image]
    if isinstance(image, np.ndarray):
        return [Panel(name or "", _checked(image, name or "array", (1, 2)))]
    if not hasattr(image, "axes_manager"):
        raise TypeError(
            f"This is a {type(image).__name__}, expected a signal that is an image."
        )
    manager = image.axes_manager
    data = np.asarray(image.data)
    name = _name_of(image) if name is None else name
    if data.dtype.names:  # of colours
        data = np.stack([data[one] for one in ("R", "G", "B")], axis=-1)
        steps = steps_of_axes(manager.navigation_axes or manager.signal_axes)
        return [Panel(name, data, steps)]
    axes, n_more = manager.signal_axes, manager.navigation_dimension
    if not axes:
        axes, n_more = manager.navigation_axes, 0
    if len(axes) not in (1, 2) or n_more > 1 or (len(axes) == 1 and n_more):
        raise ValueError(
            f"The signal is {image}, expected an image of x and y, or a line: "
            "get_window_images and get_element_maps make images of spectra."
        )
    unit, kind = _unit_of(image)
    blank = Panel(name, data, steps_of_axes(axes), unit, kind)
    if not n_more:
        return [replace(blank, image=_checked(data, name, (1, 2)))]
    return [
        replace(blank, name=f"{name} {k}".strip(), image=_checked(one, name, (2,)))
        for k, one in enumerate(data[: _MOST + 1])
    ]


def _checked(data: np.ndarray, name: str, dimensions: tuple[int, ...]) -> np.ndarray:
    if data.dtype.kind not in "biuf" or data.ndim not in dimensions or not data.size:
        raise ValueError(
            f"The image {name!r} is {data.dtype} of shape {data.shape}, expected real "
            "numbers over x and y."
        )
    return data.astype(np.uint8) if data.dtype == bool else data


def _name_of(image: Any) -> str:
    component = image.metadata.get_item("Signal.component")
    return str(component or image.metadata.get_item("General.title", ""))


def _unit_of(image: Any) -> tuple[str, str]:
    """Return the unit of the values of an image, and what kind they are."""
    if image.metadata.has_item("Signal.first_label"):
        return "", CLASSES
    quantity = str(image.metadata.get_item("Signal.quantity", "") or "")
    match = _UNIT.fullmatch(quantity)
    unit = quantity if match is None else match[2]
    unit = "mass %" if quantity == "Mass fraction (%)" else _UNITS.get(unit, unit)
    return unit, COUNTS if image.metadata.has_item("Signal.component") else ""


def _without_prefix(panels: list[Panel]) -> list[Panel]:
    """Return maps without the title of the file, if all have the same: "map: Fe_Ka"."""
    heads = {panel.name.rpartition(": ")[0] for panel in panels}
    if len(panels) < 2 or len(heads) > 1 or "" in heads:
        return panels
    return [replace(panel, name=panel.name.rpartition(": ")[2]) for panel in panels]


def _relabelled(panels: list[Panel], labels: str | Sequence[str] | None) -> list[Panel]:
    if labels is None:
        return panels
    names = check_labels(labels, len(panels))
    return [replace(p, name=name) for p, name in zip(panels, names, strict=True)]


def _resized(panels: list[Panel], pixel_size: str | None) -> list[Panel]:
    if pixel_size is None:
        return panels
    steps = parse_pixel_size(pixel_size)
    return [replace(panel, steps=steps[: len(panel.steps)]) for panel in panels]
