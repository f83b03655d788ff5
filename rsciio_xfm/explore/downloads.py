"""What is downloaded from the explorer: spectra, images, regions, Python lines."""

import json
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from rsciio_xfm.analysis.maps import Counts
from rsciio_xfm.core.names import unique
from rsciio_xfm.core.reduce import run
from rsciio_xfm.explore import exports, regions, script
from rsciio_xfm.explore.asked import Asked, make_image, make_masks, make_spectrum
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.messages import Answer, QuestionError, to_json

_MOST_SHOWN = 64 * 2**20  # bytes of a map that is read for a small picture of it
_MOST_NAME = 60  # characters


def _download(
    asked: Asked, body: bytes, media_type: str, what: str, extension: str
) -> Answer:
    name = exports.file_name(asked.opened, what, extension)
    return Answer(media_type, body, filename=name)


def _msa(asked: Asked) -> Answer:
    text, name = asked.one("region"), asked.one("name")[:_MOST_NAME]
    _check_whole(asked, text)
    if text == "max":
        spectrum, name = asked.opened.overview.highest, name or "maximum"
        times: tuple[float | None, float | None] = (None, None)
    else:
        found = make_spectrum(asked, text, True)
        spectrum, times = found.data, asked.opened.times_of(found.mask)
    signal = exports.spectrum_signal(
        asked.opened, spectrum, times, asked.given_energy(), name
    )
    return _download(asked, exports.to_msa(signal), "text/plain", name, "msa")


def _check_whole(asked: Asked, text: str) -> None:
    """Refuse to export what is not complete yet."""
    seen = asked.opened.overview
    if text in ("", "max", "counts") and not seen.is_done:
        raise QuestionError(
            503, "The map is still being read.", "Ask again when it is complete."
        )


def _csv(asked: Asked) -> Answer:
    texts, given = asked.all("region") or [""], asked.all("name")
    regions.parse_all([text for text in texts if text != "max"])
    given += [text or "all" for text in texts[len(given) :]]
    names = unique([name[:_MOST_NAME] for name in given], " ")
    spectra: dict[str, np.ndarray] = {}
    for name, text in zip(names, texts, strict=False):
        _check_whole(asked, text)
        is_max = text == "max"
        highest = asked.opened.overview.highest
        spectra[name] = highest if is_max else make_spectrum(asked, text, True).data
    axis = asked.opened.energies(asked.given_energy())
    energies = asked.opened.signal["axes"][-1].get("axis")
    body = exports.to_csv(spectra, axis, energies)
    return _download(asked, body, "text/csv", "spectra", "csv")


def _tif(asked: Asked) -> Answer:
    of = asked.one("of", "counts")
    _check_whole(asked, of)
    image = make_image(asked, of)
    body = exports.to_tiff(image.data, asked.opened, image.label, image.unit)
    return _download(asked, body, "image/tiff", image.label, "tif")


def _region_tif(asked: Asked) -> Answer:
    (mask,) = make_masks(asked, [asked.one("region")])
    name = asked.one("name")[:_MOST_NAME] or "region"
    image = np.where(mask, np.uint8(255), np.uint8(0))
    body = exports.to_tiff(image, asked.opened, name, "255 inside")
    return _download(asked, body, "image/tiff", name, "tif")


def _state(asked: Asked) -> Any:
    try:
        return json.loads(asked.one("state", "{}"))
    except (ValueError, RecursionError) as error:
        raise QuestionError(400, "The state is no JSON.") from error


def _session(asked: Asked) -> Answer:
    state = _state(asked)
    if not isinstance(state, dict):
        raise QuestionError(400, "The state is no object.")
    body = to_json(state, 2)
    return _download(asked, body, "application/json", "session", "json")


def _script(asked: Asked) -> Answer:
    path = script.written_path(asked.opened.path, asked.explorer.is_served)
    state = script.parse_state(_state(asked))
    text = script.write_script(script.Seen(asked.opened, path), state)
    return _download(asked, text.encode(), "text/x-python; charset=utf-8", "", "py")


def thumbnail(explorer: Explorer, number: str, cancel: threading.Event) -> Answer:
    """Return a small picture of a map, if it is known or small enough to be made now."""
    opened = explorer.peek(number)
    key = ((number, opened.identity), "thumbnail")

    def make() -> np.ndarray:
        seen, counts = opened.overview, None
        if seen.is_done:
            counts = seen.counts
        else:
            entry = opened.overview_entry()
            kept = None if entry is None else entry.load()
            if kept is not None:
                counts = kept["counts"]
            elif opened.data.nbytes <= _MOST_SHOWN:
                (counts,) = run(opened.data, Counts(), cancel=cancel)
        if counts is None:
            raise QuestionError(404, "There is no picture of this map yet.", "Open it.")
        picture = exports.to_thumbnail(counts.reshape(opened.image_shape))
        return np.frombuffer(picture, dtype=np.uint8)

    return Answer("image/png", explorer.store.get_or_make(key, make).tobytes())


DOWNLOADS: dict[str, Callable[[Asked], Answer]] = {
    "export/spectrum.msa": _msa,
    "export/spectra.csv": _csv,
    "export/image.tif": _tif,
    "export/region.tif": _region_tif,
    "export/session.json": _session,
    "script.py": _script,
}
