"""What the page asks, answered: the same for the server and for notebooks."""

import re
import threading
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from rsciio_xfm.core.eds import PER_KEV
from rsciio_xfm.exceptions import FileFormatError
from rsciio_xfm.explore import lines, tasks
from rsciio_xfm.explore.asked import (
    MOST_IMAGES,
    Asked,
    make_image,
    make_masks,
    make_spectrum,
    numbers,
)
from rsciio_xfm.explore.coarse import MOST_STEP, coarsen, shrink, smallest
from rsciio_xfm.explore.downloads import DOWNLOADS, thumbnail
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.lines import Axis
from rsciio_xfm.explore.messages import (
    Answer,
    QuestionError,
    as_binary,
    as_json,
    file_is_gone,
)
from rsciio_xfm.explore.opened import NoMapError, Opened
from rsciio_xfm.explore.questions import Ticket
from rsciio_xfm.explore.tasks import Task
from rsciio_xfm.explore.turns import Client
from rsciio_xfm.explore.wishes import check_excitation

# As errors of the system have it at their end.
_QUOTED_PATH = re.compile(r""":? (['"])[^'"]*[/\\].*\1""")
Query = Mapping[str, str | Sequence[str]]
_MOST_BINS = 1024
NOBODY = Client()  # of whom nothing is known: there are no others


def begin(
    explorer: Explorer, path: str, query: Query, client: Client = NOBODY
) -> Ticket | Answer:
    """Ask a question; return the answer, or a ticket for it.

    Parameters
    ----------
    explorer
        That answers.
    path
        ``"api/maps"`` or ``"api/map/<id>/image"``.
    query
        One value, or a list, of each key.
    client
        Who asks: each may have one question of a kind in the queue.
    """
    lists = {
        str(key): [value] if isinstance(value, str) else [str(v) for v in value]
        for key, value in query.items()
    }
    parts = path.strip("/").split("/", 3)
    try:
        if parts[:1] != ["api"]:
            raise _unknown(path)
        if parts[1:] == ["maps"]:
            return _maps(explorer)
        known = (*HANDLERS, THUMBNAIL)
        if len(parts) < 4 or parts[1] != "map" or parts[3] not in known:
            raise _unknown(path)
        kind = parts[3]
        # Each client has a part in a task of its own, which it may leave.
        own = client if kind in TASKS else None
        key = (parts[2], kind, own, tuple(sorted((k, *v) for k, v in lists.items())))
        questions = explorer.quick if kind in QUICK else explorer.questions

        def make(cancel: threading.Event) -> Answer:
            return _answer(explorer, parts[2], kind, lists, (cancel, client))

        return questions.ask(key, (client, kind), make)
    except QuestionError as error:
        return error.answer()


def answer(
    explorer: Explorer, path: str, query: Query, client: Client = NOBODY
) -> Answer:
    """Answer a question; wait for it. See :func:`begin`."""
    begun = begin(explorer, path, query, client)
    return begun.result() if isinstance(begun, Ticket) else begun


def _unknown(path: str) -> QuestionError:
    return QuestionError(404, f"There is nothing at {path[:80]!r}.")


def _answer(
    explorer: Explorer,
    number: str,
    kind: str,
    query: Mapping[str, Sequence[str]],
    asker: tuple[threading.Event, Client],
) -> Answer:
    """Make an answer; what is wrong with a file or a question is one too."""
    opened = None
    try:
        if kind == THUMBNAIL:
            return thumbnail(explorer, number, asker[0])
        is_fresh = kind == "info" and query.get("fresh", ["0"])[-1] == "1"
        held = explorer.open(number, is_fresh)
        opened = held.opened
        asked = Asked(explorer, held, query, *asker)
        if kind not in CALM and opened.is_changed():
            raise _changed(opened)
        # What the asker sees may be of a file that somebody else has opened anew.
        if asked.one("identity", opened.identity) != opened.identity:
            raise _changed(opened)
        return HANDLERS[kind](asked)
    except QuestionError as error:
        return error.answer()
    except (FileFormatError, OSError, MemoryError) as error:
        return _of_file(explorer, number, opened, error).answer()
    except (ValueError, ImportError) as error:
        if opened is not None and opened.is_changed():
            return _changed(opened).answer()
        return QuestionError(400, explorer.hide_paths(str(error))).answer()


def _changed(opened: Opened) -> QuestionError:
    if opened.is_gone():
        return file_is_gone(409, opened.name)
    return QuestionError(
        409,
        f"{opened.name} was written again or replaced since it was opened.",
        "Open it again.",
    )


def _of_file(
    explorer: Explorer, number: str, opened: Opened | None, error: Exception
) -> QuestionError:
    if opened is not None and opened.is_changed():
        return _changed(opened)
    if opened is not None and not isinstance(error, MemoryError):
        opened.is_broken = True
    if isinstance(error, NoMapError):
        hint = explorer.hide_paths(error.hint)
        return QuestionError(422, explorer.hide_paths(str(error)), hint)
    if isinstance(error, MemoryError) and not str(error):
        return QuestionError(500, "There is not enough memory for this.")
    if isinstance(error, OSError) and error.strerror:
        name = (opened.name if opened else explorer.name_of(number)) or "The file"
        return QuestionError(
            500,
            f"{name} cannot be read: {error.strerror}.",
            "See whether its disk or network drive is there, then open it again.",
        )
    return QuestionError(500, explorer.hide_paths(str(error)))


# Lists and descriptions.


def _maps(explorer: Explorer) -> Answer:
    return as_json(explorer.list_maps())


def _info(asked: Asked) -> Answer:
    check_excitation(asked.fit_wish().excitation)  # the page asks whether it is one
    info = asked.opened.info() | {
        "id": asked.map.number,
        "cache": asked.map.cache.said(),
    }
    hide = asked.explorer.hide_paths
    info["warnings"] = [hide(text) for text in info["warnings"]]
    if info["error"]:
        info["error"] = hide(info["error"])
    if asked.explorer.is_served:  # where the cache lies is nobody's business
        info["cache"]["why"] = _QUOTED_PATH.sub("", info["cache"]["why"])
    return as_json(info)


def _lines(asked: Asked) -> Answer:
    elements = [e for e in asked.one("elements").split(",") if e][:120]
    axis = asked.opened.energies(asked.given_energy())
    axis = axis if axis is not None and axis.units in PER_KEV else None
    return as_json({e: lines.lines_of(e, axis) for e in elements})


def _total(asked: Asked) -> np.ndarray:
    """Return the sum of all spectra, as far as it is known."""
    seen = asked.opened.overview
    return seen.wait_for_something().total.astype(float)


def _candidates(asked: Asked) -> Answer:
    (energy,) = numbers(asked.one("energy"), 1, "energy")
    given = asked.one("calibration")
    axis = asked.opened.axis
    if given:
        offset, scale = numbers(given, 2, "calibration")
        axis = Axis(offset, scale, "keV", asked.opened.shape[2])
    if axis is None or axis.units not in PER_KEV or not axis.scale > 0:
        raise QuestionError(400, "The energy axis of this map is not calibrated.")
    if not 0 < energy < 1000:
        raise QuestionError(400, f"The energy is {energy:g} keV, expected 0 to 1000.")
    found = lines.candidates(energy, axis, asked.opened.resolution, _total(asked))
    return as_json(found)


def _calibrate(asked: Asked) -> Answer:
    pairs = []
    for pair in asked.one("pairs").split(",")[:20]:
        line, _, channel = pair.partition(":")
        pairs.append((line, numbers(channel, 1, "pairs")[0]))
    n_channels = asked.opened.shape[2]
    for name, place in pairs:
        if not 0 <= place < n_channels:
            raise QuestionError(
                400, f"{name} is at channel {place:g}, expected 0 to {n_channels - 1}."
            )
    return as_json(lines.calibrate(pairs, asked.opened.axis, _total(asked)))


def _image(asked: Asked) -> Answer:
    (wanted,) = numbers(asked.one("step", "1"), 1, "step")
    if not 1 <= wanted <= MOST_STEP or wanted != int(wanted):
        raise QuestionError(400, f"step is {wanted:g}, expected 1 to {MOST_STEP}.")
    step = int(wanted)
    image = make_image(asked, asked.one("of", "counts"), step)
    if image.step > 1:
        sent, step = shrink(image.data, step, True)
    elif step > 1:
        sent, step = coarsen(image.data, step, image.unit == "counts")
    else:
        sent = smallest(image.data)
    finite = sent[np.isfinite(sent)] if sent.dtype.kind == "f" else sent
    is_exact = sent.dtype.kind == "u" or image.data.dtype == sent.dtype
    is_exact = is_exact and step == 1
    header = {
        "of": asked.one("of", "counts"),
        "max": finite.max(initial=0) if finite.size else None,
        "min": finite.min() if finite.size else None,
        "exact": bool(is_exact),
        "unit": image.unit,
        "label": image.label,
        "step": step,
        "rows_done": asked.opened.shape[0],
    }
    return as_binary({"image": sent}, header | dict(image.extra))


def _spectrum(asked: Asked) -> Answer:
    text, seen = asked.one("region"), asked.opened.overview
    if text == "max":
        now = seen.wait_for_something()
        header = {"of": "max", "exact": True, "unit": "counts"}
        said = {"rows_done": now.rows_done, "rows": seen.rows}
        return as_binary({"spectrum": _sent(now.highest)}, header | said)
    found = make_spectrum(asked, text, asked.one("exact") not in ("", "0"))
    real, live = asked.opened.times_of(found.mask)
    header = {
        "of": "sum",
        "region": text,
        "pixels": found.n_pixels,
        "exact": found.is_exact,
        "live_time": live,
        "real_time": real,
        "area": asked.opened.area(found.n_pixels),
        "unit": "counts",
        "rows_done": found.rows_done,
        "rows": seen.rows,
    }
    return as_binary({"spectrum": _sent(found.data)}, header)


def _sent(spectrum: np.ndarray) -> np.ndarray:
    """Return a spectrum in a type that the page has: uint32, or float64."""
    if spectrum.dtype.kind == "u" and int(spectrum.max(initial=0)) < 2**32:
        return spectrum.astype(np.uint32)
    return spectrum.astype(np.float64)


def _statistics(asked: Asked) -> Answer:
    texts, names = asked.all("region") or [""], asked.all("of") or ["counts"]
    if len(names) > MOST_IMAGES:
        raise QuestionError(400, f"There are more than {MOST_IMAGES} images.")
    masks = make_masks(asked, texts)
    images = {name: make_image(asked, name) for name in names}
    rows = []
    for text, mask in zip(texts, masks, strict=True):
        n_pixels = int(mask.sum())
        rows.append(
            {
                "region": text,
                "pixels": n_pixels,
                "area": asked.opened.area(n_pixels),
                "live_time": asked.opened.times_of(mask)[1],
                "of": {n: _statistics_of(i.data[mask]) for n, i in images.items()},
            }
        )
    return as_json({"regions": rows, "units": {n: i.unit for n, i in images.items()}})


def _statistics_of(values: np.ndarray) -> dict[str, float | int | None]:
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if not values.size:
        names = ("sum", "mean", "std", "min", "max", "median")
        return {"n": 0, **dict.fromkeys(names)}
    return {
        "n": int(values.size),
        "sum": values.sum(dtype=np.uint64 if values.dtype.kind == "u" else float).item(),
        "mean": float(values.mean(dtype=float)),
        "std": float(values.std(dtype=float)),
        "min": values.min().item(),
        "max": values.max().item(),
        "median": float(np.median(values)),
    }


def _scatter(asked: Asked) -> Answer:
    (n_bins,) = numbers(asked.one("bins", "128"), 1, "bins")
    if not 2 <= n_bins <= _MOST_BINS or n_bins != int(n_bins):
        raise QuestionError(400, f"bins is {n_bins:g}, expected 2 to {_MOST_BINS}.")
    pair = [make_image(asked, asked.one(name, "counts")) for name in ("x", "y")]
    x, y = (image.data.reshape(-1).astype(float) for image in pair)
    inside = np.isfinite(x) & np.isfinite(y)
    if asked.one("region"):
        inside &= make_masks(asked, [asked.one("region")])[0].reshape(-1)
    x, y = x[inside], y[inside]
    ends = [_ends(x), _ends(y)]
    counts, _, _ = np.histogram2d(y, x, bins=int(n_bins), range=[ends[1], ends[0]])
    header = {
        "x": ends[0],
        "y": ends[1],
        "labels": [image.label for image in pair],
        "units": [image.unit for image in pair],
        "pixels": int(x.size),
    }
    return as_binary({"histogram": counts.astype(np.uint32)}, header)


def _ends(values: np.ndarray) -> tuple[float, float]:
    low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
    return float(low), float(high if high > low else low + 1)


# What takes long.


def _task(asked: Asked, kind: str) -> Answer:
    seen = asked.opened.overview
    if kind in ("fit", "elements"):
        asked.axis()  # or there is nothing to be found
    key, opened = asked.key_of(kind), asked.opened

    def make(_: Task) -> tuple[tasks.Said, tasks.Arrays]:
        return tasks.MAKES[kind](opened, key[2])

    if asked.one("stop") not in ("", "0"):
        asked.explorer.tasks.stop(key, asked.client)
        return as_json(Task(asked.client, make, "stopped", "").said())
    if not seen.is_done and not seen.error:
        doing = "reading the map first"
        progress = seen.rows_done / seen.rows
        task = Task(asked.client, make, "waiting", doing, progress)
        return as_json(task.said())
    check_excitation(asked.fit_wish().excitation)
    task = asked.explorer.tasks.ask(key, asked.client, make)
    said = task.said()
    if said["error"]:
        said["error"] = asked.explorer.hide_paths(said["error"])
    return as_json(said)


TASKS = {f"task/{kind}" for kind in tasks.MAKES}


HANDLERS: dict[str, Callable[[Asked], Answer]] = {
    "info": _info,
    "image": _image,
    "spectrum": _spectrum,
    "statistics": _statistics,
    "scatter": _scatter,
    "lines": _lines,
    "candidates": _candidates,
    "calibrate": _calibrate,
    "task/fit": lambda asked: _task(asked, "fit"),
    "task/elements": lambda asked: _task(asked, "elements"),
    "task/classify": lambda asked: _task(asked, "classify"),
    **DOWNLOADS,
}
# What takes no time, once the map is open; and what asks nothing of the file.
QUICK = {
    "info",
    "lines",
    "candidates",
    "calibrate",
    *TASKS,
    "export/session.json",
    "script.py",
}
CALM = {"info", "lines", "export/session.json", "script.py"}
THUMBNAIL = "thumbnail.png"
