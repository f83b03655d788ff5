"""A question about a map, and what answers are made of: images, regions, spectra."""

import functools
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rsciio_xfm.analysis.maps import Wanted, make_maps
from rsciio_xfm.core.eds import PER_KEV
from rsciio_xfm.core.reduce import Images, Piece, run
from rsciio_xfm.explore import lines, prepare, regions
from rsciio_xfm.explore.coarse import smallest
from rsciio_xfm.explore.cube import CacheLostError, Cube
from rsciio_xfm.explore.explorer import Explorer, OpenMap
from rsciio_xfm.explore.lines import Axis
from rsciio_xfm.explore.messages import QuestionError
from rsciio_xfm.explore.opened import Opened
from rsciio_xfm.explore.turns import Client
from rsciio_xfm.explore.wishes import (
    ClassWish,
    FitWish,
    parse_classes,
    parse_elements,
    parse_excitation_text,
)

MOST_IMAGES = 16  # of a question
_IMAGES = "counts, max, dead, class, w:FIRST:STOP, e:LINE or fit:NAME"


@dataclass(frozen=True)
class Asked:
    """A question about a map, while it is answered.

    Attributes
    ----------
    explorer
        Whose question it is.
    map
        The map and what was made of it.
    query
        All values of each key.
    cancel
        Is set when nobody waits any more.
    client
        Who asks.
    """

    explorer: Explorer
    map: OpenMap
    query: Mapping[str, Sequence[str]]
    cancel: threading.Event = field(default_factory=threading.Event)
    client: Client = field(default_factory=Client)

    @property
    def opened(self) -> Opened:
        """The map."""
        return self.map.opened

    def one(self, name: str, default: str = "") -> str:
        """Return the value of a key."""
        values = self.query.get(name) or [default]
        return values[-1]

    def all(self, name: str) -> list[str]:
        """Return all values of a key."""
        return list(self.query.get(name, ()))

    def given_energy(self) -> tuple[float, float] | None:
        """Return offset and scale that the page has, keV."""
        text = self.one("energy")
        if not text:
            return None
        offset, scale = numbers(text, 2, "energy")
        if not scale > 0:
            raise QuestionError(400, f"The scale of the energies is {scale:g}.")
        return offset, scale

    def axis(self) -> Axis:
        """Return the energies of the channels."""
        axis = self.opened.energies(self.given_energy())
        if axis is None or axis.units not in PER_KEV or not axis.scale > 0:
            raise QuestionError(
                400,
                "The energy axis of this map is not calibrated.",
                "Click two peaks that you know to calibrate it.",
            )
        return axis

    def fit_wish(self) -> FitWish:
        """Return which fit the question is about."""
        return FitWish(
            parse_elements(self.one("elements")),
            parse_excitation_text(self.one("excitation")),
            self.given_energy(),
        )

    def class_wish(self) -> ClassWish:
        """Return which classes the question is about."""
        (n_classes,) = numbers(self.one("n", "6"), 1, "n")
        return parse_classes(n_classes, self.one("method", "kmeans"))

    def key_of(self, kind: str) -> tuple[Any, str, FitWish | ClassWish]:
        """Return the key of the task that the question is about."""
        wish = self.class_wish() if kind == "classify" else self.fit_wish()
        return self.map.key, kind, wish

    def fitted(self, name: str) -> np.ndarray:
        """Return the counts of an element by a fit."""
        maps = self.explorer.tasks.made(self.key_of("fit"))
        if maps is None:
            raise QuestionError(
                404,
                f"There is no fitted map of {name[:20]!r} yet.",
                "Fit the elements first.",
                again="fit",
            )
        if name not in maps:
            raise QuestionError(
                404,
                f"There is no fitted map of {name[:20]!r}: there are {', '.join(maps)}.",
                "Fit this element too.",
            )
        return maps[name]

    def classes(self) -> np.ndarray:
        """Return the class of each pixel, -1 where there is none."""
        found = self.explorer.tasks.made(self.key_of("classify"))
        if found is None:
            raise QuestionError(
                404,
                "The pixels have not been sorted into classes yet.",
                "Find classes first.",
                again="classify",
            )
        return found["labels"]


def numbers(text: str, n: int, name: str) -> tuple[float, ...]:
    """Return the numbers of a value, as many as are expected.

    Raises
    ------
    QuestionError
        It is something else.
    """
    try:
        found = tuple(float(part) for part in text.split(",", n))
    except ValueError:
        found = ()
    if len(found) != n or not all(map(math.isfinite, found)):
        raise QuestionError(
            400, f"{name} is {text[:40]!r}, expected {n} number{'s' * (n > 1)}."
        )
    return found


# Images.


@dataclass(frozen=True)
class Image:
    """An image and what is said of it.

    Attributes
    ----------
    data
        Shape (rows, columns).
    label, unit, extra
        What is said.
    step
        Pixels along a side of a block, of which each number is the sum.
    """

    data: np.ndarray
    label: str
    unit: str = "counts"
    extra: Mapping[str, Any] = field(default_factory=dict)
    step: int = 1


def make_image(asked: Asked, of: str, step: int = 1) -> Image:
    """Return an image by its name in the API.

    Parameters
    ----------
    asked
        The question.
    of
        The name.
    step
        Of the blocks of pixels that are wanted; the image may have all pixels nevertheless.

    Raises
    ------
    QuestionError
        There is none of this name.
    """
    kind, _, rest = of.partition(":")
    if of == "counts":
        seen = asked.opened.overview
        now = seen.wait_for_something()
        return Image(now.counts, "All counts", extra={"rows_done": now.rows_done})
    if of == "max":
        return Image(_kept(asked, of, functools.partial(_brightest, asked)), "Maximum")
    if of == "dead":
        dead = asked.opened.dead_time()
        if dead is None:
            raise QuestionError(404, "The dead times of this map are not known.")
        return Image(dead, "Dead time", "%")
    if of == "class":
        return Image(asked.classes(), "Classes", "class")
    if kind == "fit":
        return Image(asked.fitted(rest), rest)
    if kind == "e":
        axis = asked.axis()
        window = lines.window_of(rest, axis, asked.opened.resolution)
        said = {"line": rest, "energies": [axis.kev(c - 0.5) for c in window]}
        image = _window_image(asked, window, rest.replace("_", " "), step)
        return replace(image, extra={**said, **image.extra})
    if kind == "w":
        first, _, stop = rest.partition(":")
        if not (first.isdecimal() and stop.isdecimal() and len(rest) < 20):
            raise QuestionError(400, f"A window is {rest[:40]!r}, expected FIRST:STOP.")
        window = int(first), int(stop)
        return _window_image(asked, window, f"Channels {first}-{stop}", step)
    raise QuestionError(400, f"An image is {of[:40]!r}, expected {_IMAGES}.")


def _kept(asked: Asked, name: str, make: Callable[[], np.ndarray]) -> np.ndarray:
    key = (asked.map.key, name)
    return asked.explorer.store.get_or_make(key, make)


def _window_image(asked: Asked, window: tuple[int, int], label: str, step: int) -> Image:
    first, stop = window
    n_channels = asked.opened.shape[2]
    if not 0 <= first < stop <= n_channels:
        raise QuestionError(
            400,
            f"A window is {first} to {stop}, expected some of the channels 0 to "
            f"{n_channels}.",
        )

    def make() -> np.ndarray:
        found = _from_cube(asked, lambda cube: cube.image(first, stop, asked.cancel))
        if found is None:
            wanted = Wanted(windows=[window])
            found = make_maps(asked.opened.data, wanted, cancel=asked.cancel)["windows"]
        return smallest(np.asarray(found).reshape(asked.opened.image_shape))

    name, extra = f"w:{first}:{stop}", {"channels": [first, stop]}
    if step > 1 and asked.explorer.store.get((asked.map.key, name)) is None:
        # While a window is dragged no image of it is wanted twice.
        coarse = _from_cube(asked, lambda cube: _coarse_window(asked, cube, window, step))
        if coarse is not None:
            return Image(coarse, label, extra=extra, step=step)
    return Image(_kept(asked, name, make), label, extra=extra)


def _coarse_window(
    asked: Asked, cube: Cube, window: tuple[int, int], step: int
) -> np.ndarray:
    """Return the image of a window that is dragged, made of the one that differs least."""
    kept, own = asked.explorer.windows, (asked.map.key, step)
    windows = [key[2] for key in kept if key[:2] == own]
    near = None
    if windows:
        nearest = min(
            windows, key=lambda w: abs(w[0] - window[0]) + abs(w[1] - window[1])
        )
        image = kept.get((*own, nearest))
        if image is not None and nearest == window:
            return image
        near = None if image is None else (nearest, image)
    image = smallest(cube.image(*window, asked.cancel, step, near))
    if image.dtype.kind == "u":  # others may be rounded
        kept.put((*own, window), image, image.nbytes)
    return image


def _from_cube(asked: Asked, use: Callable[[Cube], np.ndarray]) -> np.ndarray | None:
    """Return what the cache answers; None if there is none, or it was lost just now."""
    cache = asked.map.cache
    found = cache.cube  # looked at once: another thread may find it lost meanwhile
    if found is None:
        return None
    try:
        return use(found)
    except CacheLostError:
        prepare.start_again(asked.opened, cache, found)
        return None


@dataclass(frozen=True)
class _Brightest(Images):
    """The highest channel of each spectrum."""

    def kind(self, dtype: np.dtype) -> tuple[int, np.dtype]:
        """Return how many images there are, and their type."""
        return 1, dtype.newbyteorder("=")

    def make(self, piece: Piece) -> np.ndarray:
        """Return the numbers of each spectrum."""
        return piece.spectra.max(axis=1)[np.newaxis]

    def finish(self, state: Any, whole: Any) -> np.ndarray:
        """Return the result."""
        return super().finish(state, whole)[0]


def _brightest(asked: Asked) -> np.ndarray:
    (found,) = run(asked.opened.data, _Brightest(), cancel=asked.cancel)
    return smallest(found.reshape(asked.opened.image_shape))


# Regions.


def make_masks(asked: Asked, texts: Sequence[str]) -> list[np.ndarray]:
    """Return the pixels of regions.

    Raises
    ------
    ValueError
        One is no region, or there are too many.
    """
    found = []
    for terms in regions.parse_all(texts):
        names = regions.images_of(terms)
        if len(names) > MOST_IMAGES:
            raise QuestionError(400, f"A region has more than {MOST_IMAGES} images.")
        images = {name: make_image(asked, name).data for name in names}
        found.append(regions.to_mask(terms, asked.opened.image_shape, images.__getitem__))
    return found


@dataclass(frozen=True)
class Spectrum:
    """The spectrum of a region.

    Attributes
    ----------
    data
        Shape (channels,).
    n_pixels
        Of the region.
    mask
        Its pixels; None is all.
    rows_done
        That were read for it.
    is_exact
        Whether it is no estimate.
    """

    data: np.ndarray
    n_pixels: int
    mask: np.ndarray | None
    rows_done: int
    is_exact: bool = True


def make_spectrum(asked: Asked, text: str, is_exact: bool) -> Spectrum:
    """Return the sum of the spectra of a region; the whole map without one.

    Parameters
    ----------
    asked
        The question.
    text
        The region.
    is_exact
        Whether an estimate at its border is not enough.
    """
    seen = asked.opened.overview
    if not text:
        now, n_all = seen.wait_for_something(), math.prod(asked.opened.image_shape)
        return Spectrum(now.total, n_all, None, now.rows_done)
    rows_done = seen.rows_done
    (mask,) = make_masks(asked, [text])
    n_pixels = int(mask.sum())
    source = asked.opened.source
    if not n_pixels:
        return Spectrum(np.zeros(asked.opened.shape[2], np.uint64), 0, mask, seen.rows)
    if not is_exact:
        estimate = _from_cube(
            asked, lambda cube: cube.spectrum(mask, source, False, asked.cancel)
        )
        if estimate is not None:
            return Spectrum(estimate, n_pixels, mask, seen.rows, False)

    def make() -> np.ndarray:
        found = _from_cube(
            asked, lambda cube: cube.spectrum(mask, source, True, asked.cancel)
        )
        if found is not None:
            return found
        wanted = Wanted(regions=[mask.reshape(asked.opened.nav_shape)])
        return make_maps(asked.opened.data, wanted, cancel=asked.cancel)["regions"][0]

    # Regions that are made with images follow the energies, fits and classes, and the image
    # of all counts as far as it was read.
    made = ""
    if {"@", "c"} & {*text}:
        made = f"{asked.fit_wish()} {asked.class_wish()} {rows_done}"
    found = _kept(asked, f"spectrum {text} {made}", make)
    return Spectrum(found, n_pixels, mask, seen.rows)
