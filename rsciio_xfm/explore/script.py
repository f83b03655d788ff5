"""The Python lines that make what the explorer shows.

All text of a state is written as a literal: an address that somebody passes on may say
anything, and what is written here will be run.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rsciio_xfm.core.beam import find
from rsciio_xfm.core.eds import DETECTOR_NODES
from rsciio_xfm.core.names import unique
from rsciio_xfm.explore import regions
from rsciio_xfm.explore.lines import energy_of
from rsciio_xfm.explore.opened import Opened
from rsciio_xfm.explore.regions import Term
from rsciio_xfm.explore.wishes import (
    ClassWish,
    FitWish,
    parse_classes,
    parse_elements,
    parse_excitation_text,
)

_MOST_NAME = 60  # characters
_COLOUR_MAPS = ("cividis", "gray", "inferno", "magma", "plasma", "viridis")
_PER = ("pixel", "s")
_MAPS_MODULE = "rsciio_xfm.signals.maps"


@dataclass(frozen=True)
class Seen:
    """What there is besides the state.

    Attributes
    ----------
    opened
        The map.
    path
        Of its file, as it is written; None if it is in memory.
    """

    opened: Opened
    path: str | None


@dataclass(frozen=True)
class Spectra:
    """Which spectra are shown, and how.

    Attributes
    ----------
    per
        ``"sum"``, ``"pixel"`` or ``"s"``.
    is_whole, is_max
        Whether the sum of all and the highest of each channel are shown.
    is_logarithmic
        The axis of the counts.
    """

    per: str = "sum"
    is_whole: bool = False
    is_max: bool = False
    is_logarithmic: bool = False


@dataclass(frozen=True)
class State:
    """What of the state of a page makes images and spectra, checked."""

    image: str = "counts"
    rgb: tuple[str, ...] = ()
    ratio: tuple[str, ...] = ()
    scatter: tuple[str, ...] = ()
    energy: tuple[float, float] | None = None
    window: tuple[int, int] | None = None
    contrast: tuple[float, float, float] = (0.0, 99.8, 1.0)
    rgb_contrast: tuple[tuple[float, float, float], ...] = ()
    cmap: str = "viridis"
    regions: tuple[tuple[str, tuple[Term, ...]], ...] = ()
    fit: FitWish = field(default_factory=FitWish)
    classes: ClassWish = field(default_factory=ClassWish)
    spectra: Spectra = field(default_factory=Spectra)

    def images(self) -> list[str]:
        """Return all images that are needed, each once."""
        names = [self.image, *self.rgb, *self.ratio, *self.scatter]
        if self.window is not None:
            names.append(f"w:{self.window[0]}:{self.window[1]}")
        for _, terms in self.regions:
            names += regions.images_of(terms)
        return list(dict.fromkeys(names))


def parse_state(state: Any) -> State:
    """Return what of a page's state makes images and spectra.

    Raises
    ------
    ValueError
        It is none; says what is wrong with it.
    """
    if not isinstance(state, Mapping):
        raise ValueError("The state is no object, expected one of the page.")
    try:
        return _parse_state(state)
    except (LookupError, OverflowError, TypeError, AttributeError) as error:
        raise ValueError(f"The state is not one of the page: {error!s:.80}.") from error


def _parse_state(state: Mapping[str, Any]) -> State:
    window = state.get("window")
    energy = state.get("energy")
    scatter = state.get("scatter")
    cmap = state.get("cmap")
    each = _contrasts(state.get("rgbContrast"))
    spectrum = state.get("spectrum") or {}
    shown = [one for one in state.get("regions") or () if one.get("on", True)]
    texts = [str(one["region"]) for one in shown]
    names = unique(
        [str(one.get("name") or one["region"])[:_MOST_NAME] for one in shown], " "
    )
    return State(
        image=_checked(str(state.get("image") or "counts")),
        rgb=tuple(_checked(str(one)) for one in state.get("rgb") or () if one),
        ratio=tuple(_checked(str(one)) for one in state.get("ratio") or ())[:2],
        scatter=()
        if not scatter
        else tuple(_checked(str(scatter[k])) for k in ("x", "y")),
        energy=None if not energy else (_finite(energy[0]), _finite(energy[1])),
        window=None if not window else (int(window[0]), int(window[1])),
        contrast=(_contrasts([state.get("contrast") or {}]) or each)[0],
        rgb_contrast=each,
        cmap=cmap if cmap in _COLOUR_MAPS else "viridis",
        regions=tuple(zip(names, regions.parse_all(texts), strict=True)),
        fit=_fit(state),
        classes=_classes(state.get("classes")),
        spectra=Spectra(
            next((per for per in _PER if per == spectrum.get("per")), "sum"),
            spectrum.get("whole") is True,
            spectrum.get("max") is True,
            spectrum.get("y") == "log",
        ),
    )


def _fit(state: Mapping[str, Any]) -> FitWish:
    names = parse_elements(",".join(map(str, state.get("fit") or ())))
    return FitWish(names, parse_excitation_text(str(state.get("excitation") or "")))


def _classes(given: Any) -> ClassWish:
    if given is None:
        return ClassWish()
    return parse_classes(given["n"], str(given.get("method") or "kmeans"))


def _contrasts(given: Any) -> tuple[tuple[float, float, float], ...]:
    found = []
    for one in given or ():
        low, high = _finite(one.get("low", 0)), _finite(one.get("high", 99.8))
        gamma = _finite(one.get("gamma", 1))
        if not (0 <= low < high <= 100 and 0 < gamma < 100):
            raise ValueError(
                "The contrast of the state is out of range: it is from 0 to 100 %, and gamma "
                "is above 0."
            )
        found.append((low, high, gamma))
    return tuple(found)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(
            f"The state has the number {value!s:.20}, expected a finite one."
        )
    return number


def _checked(of: str) -> str:
    """Return the name of an image, if it is one."""
    kind, _, rest = of.partition(":")
    if of in ("counts", "max", "dead", "class"):
        return of
    if kind == "e":
        energy_of(rest)
        return of
    first, _, stop = rest.partition(":")
    if kind == "w" and first.isdecimal() and stop.isdecimal():
        return of
    if kind == "fit" and rest.replace("_", "").isalnum() and rest.isascii():
        return of
    raise ValueError(f"An image is {of[:40]!r}, expected one of the page.")


def write_script(seen: Seen, state: State) -> str:
    """Return the lines.

    Parameters
    ----------
    seen
        The map, and what was made of it.
    state
        Of the page.
    """
    body = list(_body(seen, state))
    text = "\n".join(body)
    imports = [
        "import hyperspy.api as hs",
        "import matplotlib.pyplot as plt",
        "import numpy as np",
        "",
        "import rsciio_xfm",
    ]
    if "combine_dead_time(" in text:
        imports.append("from rsciio_xfm.core.dead_time import combine_dead_time")
    if "polygon_mask(" in text:
        imports.append("from rsciio_xfm.explore.regions import polygon_mask")
    names = ("get_region_spectra", "get_summary", "get_window_images")
    used = [name for name in names if f"{name}(" in text]
    if used:
        imports.append(f"from {_MAPS_MODULE} import {', '.join(used)}")
    head = "# What the explorer shows, made in Python.\n"
    return head + "\n".join([*imports, "", *body, ""])


def _body(seen: Seen, state: State) -> Iterator[str]:
    yield from _load(seen)
    if state.energy is not None:
        offset, scale = state.energy
        yield "axis = s.axes_manager.signal_axes[0]"
        yield f'axis.offset, axis.scale, axis.units = {offset!r}, {scale!r}, "keV"'
    is_single = seen.opened.signal["data"].ndim == 1
    if is_single:
        yield 'spectra = {"Whole map": np.asarray(s.data)}'
        yield from _plot_spectra("plt")
        return
    yield f"shape = {seen.opened.image_shape!r}  # rows and columns"
    yield ""
    yield from _images(seen, state)
    yield from _regions(seen, state)
    yield from _plot(state, min(seen.opened.image_shape) > 1)


def _load(seen: Seen) -> Iterator[str]:
    opened = seen.opened
    if seen.path is None:
        yield "# s is the signal that the explorer was opened with."
        return
    options = "".join(f", {k}={v!r}" for k, v in opened.options.items())
    reader = opened.reader_name
    reader = f", file_format=rsciio_xfm.{reader}" if reader else ""
    if "[" in seen.path:  # or it is a pattern of names
        options += ", escape_square_brackets=True"
    number = "" if opened.number is None else f"[{opened.number}]"
    yield f"s = hs.load({seen.path!r}, lazy=True{reader}{options}){number}"


def _images(seen: Seen, state: State) -> Iterator[str]:
    wanted = state.images()
    is_plain = len(seen.opened.nav_shape) == 2
    reshaped = "" if is_plain else ".reshape(shape)"
    yield "images = {}"
    windows = [of for of in wanted if of[:2] in ("w:", "e:")]
    if windows:
        yield "windows = {"
        for of in windows:
            yield f"    {of!r}: {_window(seen, state, of)},"
        yield "}"
        yield "for name, image in get_window_images(s, windows).items():"
        yield f"    images[name] = image.data{reshaped}"
    if "counts" in wanted:
        yield f'images["counts"] = get_summary(s)["counts"].data{reshaped}'
    if "max" in wanted:
        yield "brightest = s.max(axis=s.axes_manager.signal_axes)"
        yield f'images["max"] = np.asarray(brightest.data){reshaped}'
    if "dead" in wanted:
        yield "dead_time = np.asarray(s.get_dead_time().data)"
        yield f"if dead_time.ndim > {len(seen.opened.nav_shape)}:"
        yield "    dead_time = combine_dead_time(dead_time, (0,))"
        yield f'images["dead"] = dead_time{reshaped}'
    fitted = [of for of in wanted if of.startswith("fit:")]
    if fitted:
        arguments = _fit_arguments(state.fit)
        yield f"maps = rsciio_xfm.get_element_maps(s{arguments})"
        for of in fitted:
            yield f"images[{of!r}] = maps[{of[4:]!r}].data{reshaped}"
    if "class" in wanted:
        wish = state.classes
        yield (
            f'classes = rsciio_xfm.classify(s, reducer="pca", n_classes={wish.n_classes}, '
            f"classifier={wish.method!r})"
        )
        yield f'images["class"] = classes.labels.data{reshaped}'
    yield ""


def _fit_arguments(wish: FitWish) -> str:
    elements = f", {list(wish.elements)!r}" if wish.elements else ""
    excitation = f", excitation={wish.excitation!r}" if wish.excitation else ""
    return elements + excitation


def _window(seen: Seen, state: State, of: str) -> str:
    kind, _, rest = of.partition(":")
    if kind == "e" and seen.opened.is_eds:
        return repr(rest)
    if kind == "e":
        return repr(seen.opened.window_of(rest, state.energy))
    first, stop = rest.split(":")
    return f"({int(first)}, {int(stop)})"


def _regions(seen: Seen, state: State) -> Iterator[str]:
    if state.regions:
        yield "y, x = np.indices(shape) + 0.5  # centres of the pixels"
    yield "regions = {}"
    for name, terms in state.regions:
        yield "region = np.zeros(shape, dtype=bool)"
        if not terms:
            yield "region[:] = True"
        for term in terms:
            sign = "&= ~" if term.is_taken_off else "|= "
            yield f"region {sign}({_term(term)})"
        yield f"regions[{name!r}] = region"
    yield "spectra = {}"
    yield from _spectra(seen, state)
    yield ""


def _spectra(seen: Seen, state: State) -> Iterator[str]:
    """Write the spectra that are shown; what they are divided by is that of their pixels."""
    shown, opened = state.spectra, seen.opened
    live = _live_node(opened)
    per = "" if shown.per == "s" and live is None else shown.per
    if shown.per != per:
        yield "# The live time of the pixels is not known: spectra are sums."
    if per == "s":
        yield f"live_time = {live!r}  # in the metadata of a spectrum, s"
    # What a spectrum is divided by, of a region and of the whole map.
    of_region, of_whole = {
        "pixel": (" / regions[name].sum()", " / np.prod(shape)"),
        "s": (" / spectrum.metadata.get_item(live_time)",) * 2,
    }.get(per, ("", ""))
    if state.regions:
        is_plain = len(opened.nav_shape) == 2
        mask = "region" if is_plain else f"region.reshape({opened.nav_shape!r})"
        yield (
            f"filled = {{name: {mask} for name, region in regions.items() "
            "if region.any()}"
        )
        yield "if filled:"
        yield "    for name, spectrum in get_region_spectra(s, filled).items():"
        yield f"        spectra[name] = np.asarray(spectrum.data){of_region}"
    names = [name for name, _ in state.regions]
    is_whole = shown.is_whole or not names
    whole, highest = unique([*names, "Whole map", "Maximum"], " ")[-2:]
    is_max = shown.is_max and per != "s"
    if is_whole or is_max:
        yield "summary = get_summary(s)"
    if is_whole:
        yield 'spectrum = summary["sum"]'
        yield f"spectra[{whole!r}] = np.asarray(spectrum.data){of_whole}"
    if is_max:
        yield f'spectra[{highest!r}] = np.asarray(summary["max"].data)'


def _live_node(opened: Opened) -> str | None:
    """Return where the live time of a spectrum is; None if it is not known."""
    if opened.times_of(None)[1] is None:
        return None
    nodes = [node for node in DETECTOR_NODES if find(opened.metadata, node) is not None]
    return f"{(nodes or DETECTOR_NODES)[0]}.live_time"


def _term(term: Term) -> str:
    numbers = [_number(value) for value in term.numbers]
    if term.kind == "r":
        y0, x0, y1, x1 = numbers
        return f"({y0} <= y) & (y < {y1}) & ({x0} <= x) & (x < {x1})"
    if term.kind == "o":
        cy, cx, ry, rx = numbers
        return f"((y - {cy}) / {ry}) ** 2 + ((x - {cx}) / {rx}) ** 2 <= 1"
    if term.kind == "p":
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return f"polygon_mask([{', '.join(f'({a}, {b})' for a, b in pairs)}], shape)"
    if term.kind == "c":
        return f'images["class"] == {int(term.numbers[0])}'
    tests = [
        f"(images[{_checked(of)!r}] >= {_number(low)}) & "
        f"(images[{of!r}] <= {_number(high)})"
        for of, low, high in term.ranges
    ]
    return " & ".join(tests)


def _number(value: float) -> str:
    text = repr(int(value)) if value == int(value) else repr(float(value))
    return f"({text})" if value < 0 else text


def _plot(state: State, is_outlined: bool) -> Iterator[str]:
    yield "figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5))"
    if state.rgb:
        yield "rgb = np.zeros((*shape, 3))"
        contrasts = [*state.rgb_contrast, *[state.contrast] * 3]
        for k, of in enumerate(state.rgb[:3]):
            yield f"low, high = np.nanpercentile(images[{of!r}], {contrasts[k][:2]!r})"
            yield f"rgb[..., {k}] = (images[{of!r}] - low) / ((high - low) or 1)"
            yield f"rgb[..., {k}] = rgb[..., {k}].clip(0, 1) ** (1 / {contrasts[k][2]!r})"
        yield "left.imshow(rgb)"
    else:
        if len(state.ratio) == 2:
            first, second = state.ratio
            yield 'with np.errstate(divide="ignore", invalid="ignore"):'
            yield f"    shown = images[{first!r}] / images[{second!r}]"
            yield "shown[~np.isfinite(shown)] = 0"
            title = f"{first} / {second}"
        else:
            yield f"shown = images[{state.image!r}].astype(float)"
            title = state.image
        low, high, gamma = state.contrast
        yield f"low, high = np.nanpercentile(shown, ({low!r}, {high!r}))"
        yield "shown = ((shown - low) / ((high - low) or 1)).clip(0, 1)"
        yield f"left.imshow(shown ** (1 / {gamma!r}), cmap={state.cmap!r})"
        yield f"left.set_title({title!r})"
    if state.regions and is_outlined:
        yield "for region in regions.values():"
        yield "    if 0 < region.sum() < region.size:"
        yield '        left.contour(region, [0.5], colors="white")'
    if state.spectra.is_logarithmic:
        yield 'right.set_yscale("log")'
    yield from _plot_spectra("right")


def _plot_spectra(axes: str) -> Iterator[str]:
    yield "energies = s.axes_manager.signal_axes[0].axis"
    yield "for name, spectrum in spectra.items():"
    yield f"    {axes}.plot(energies, spectrum, label=name)"
    yield "if spectra:"
    yield f"    {axes}.legend()"
    yield "plt.show()"


def written_path(path: Path | None, is_served: bool) -> str | None:
    """Return the path as the lines have it: those of others' machines stay there."""
    if path is None:
        return None
    return path.name if is_served else str(path)
