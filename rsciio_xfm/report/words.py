"""What a report says, as plain text: facts of a map, verdicts, what was assumed."""

import math
import platform
import re
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from rsciio_xfm._register import read_specifications
from rsciio_xfm.analysis.dead_time import summarise_dead_time
from rsciio_xfm.core.eds import DETECTOR_NODES, PER_KEV, XRF
from rsciio_xfm.drawing.lengths import METRES
from rsciio_xfm.drawing.texts import show_name
from rsciio_xfm.report.content import Content, Fitted, class_key
from rsciio_xfm.signals.areas import IN_PART, NO_NUMBER, NOT_DETECTED, POSSIBLE, Areas
from rsciio_xfm.signals.areas import show as show_plain
from rsciio_xfm.signals.excitation import has_excitation, layers_of
from rsciio_xfm.signals.fit_checks import fair_chi2, is_bad
from rsciio_xfm.signals.timekeeping import times_of

DETECTED, OTHER = "detected", ""
TIMES = " \N{MULTIPLICATION SIGN} "
NONE = "\N{EN DASH}"  # of what is not known, in tables
_NODES = ("Acquisition_instrument.SEM", "Acquisition_instrument.TEM", XRF)
_PACKAGES = (
    "rsciio_xfm", "hyperspy", "exspy", "rosettasciio", "numpy", "dask", "numba",
    "matplotlib", "xraylib", "scikit-learn",
)  # fmt: skip
_NOISE_ALONE = 1.05  # chi2 of a good fit, below which little but counting noise is in it
# Of a class: how much richer than the map it is in what is told, at least; in sigma; how many.
_RICHER, _POORER, _CLEAR, _MOST_TOLD = 1.3, 0.5, 5.0, 5
# Remarks of tables, which are short, and what they mean.
_REMARKS = (
    (r"\bmap like (\S+)'s", r"Its map is like that of \1: it goes with that element, or "
     r"makes up for a wrong shape of its lines."),
    (r"\bwith (.+)", r"It can hardly be told apart from \1."),
    (r"\bor ([A-Z].*)", r"It could be \1 as well."),
    (rf"\b{IN_PART}", r"It was found in a part of the map: see where."),
    (rf"\b{NO_NUMBER}", r"There are NaN in the spectra."),
)  # fmt: skip
_PART = re.compile(r";\s*|,\s+(?=map like |in a part |or [A-Z])")

_LINE = re.compile(r"\b[A-Z][a-z]*_[KLM][abgln]?\d?\b")

Fact = tuple[str, str]


def show(number: float) -> str:
    """Return a number of counts as text, thousands apart by narrow spaces.

    Examples
    --------
    >>> len(show(1234567.8)), " " in show(1234567.8)
    (9, False)
    """
    return show_plain(number).replace(" ", "\N{NARROW NO-BREAK SPACE}")


def spelt(text: str) -> str:
    """Return a text with the names of lines as they are printed.

    Examples
    --------
    >>> spelt("Fe_K, Rayleigh_K, Pb_L3")
    'Fe K, Rayleigh K, Pb L3'
    """
    return _LINE.sub(lambda found: show_name(found[0]), text)


def title_of(content: Content) -> str:
    """Return what the report is called."""
    said = str(content.source.signal.metadata.get_item("General.title", "")).strip()
    path = content.source.path
    if path is None:
        return said or "Map of X-ray spectra"
    if path.stem in said:
        return said
    # Programs give the same name, such as EDX, to each map that they save.
    return f"{path.stem}: {said}" if said else path.name


def facts(content: Content) -> list[Fact]:
    """Return what the file says of a map, and its counts: names and values."""
    rows = [
        ("File", _file(content)),
        ("Format", _format(content)),
        ("Measured", _date(content)),
        ("Instrument", _instrument(content)),
        ("Source", _source(content)),
        ("Size", _size(content)),
        ("Time per pixel", _times(content)),
        ("Detectors", _detectors(content)),
        ("Channels", _channels(content)),
        ("Counts", _counts(content)),
    ]
    return [(name, value) for name, value in rows if value]


def _get(content: Content, name: str) -> Any:
    return content.source.signal.metadata.get_item(name)


def _of_instrument(content: Content, *names: str) -> list[str]:
    """Return what the metadata say of some names, wherever an instrument has them."""
    found = [_get(content, f"{node}.{name}") for name in names for node in _NODES]
    texts = [str(value).strip() for value in found if value not in (None, "")]
    return list(dict.fromkeys(text for text in texts if text))


def _file(content: Content) -> str:
    path = content.source.path
    if path is None:
        return str(_get(content, "General.original_filename") or "none: of a signal")
    files = [path]
    if path.suffix.lower() == ".rpl":
        beside = (path.with_suffix(".raw"), path.with_suffix(".RAW"))
        files += [counts for counts in beside if counts.is_file()][:1]
    return " and ".join(f"{one.name}, {_bytes(one.stat().st_size)}" for one in files)


def _bytes(size: float) -> str:
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _format(content: Content) -> str:
    plugin = str(_get(content, "General.FileIO.0.io_plugin") or "")
    for one in read_specifications():
        if one["api"] == plugin:
            return str(one["name"])
    return plugin


def _date(content: Content) -> str:
    parts = [_get(content, f"General.{name}") for name in ("date", "time", "time_zone")]
    return " ".join(str(part) for part in parts if part) or "not recorded"


def _instrument(content: Content) -> str:
    names = "microscope", "instrument", "manufacturer", "model"
    found = _of_instrument(content, *names)
    for node in DETECTOR_NODES:
        found.append(str(_get(content, f"{node}.detector_type") or ""))
    return ", ".join(filter(None, found)) or "not recorded"


def _source(content: Content) -> str:
    """Return what excites the sample, and who says so."""
    if not isinstance(content.fitted, str):
        own = content.fitted.model.excitation
        if own is not None:
            return f"{own}, {_who_says(content)}"
    if content.asked.excitation is not None:
        return str(content.asked.excitation)
    energy = _of_instrument(content, "beam_energy")
    anode = _of_instrument(content, "tube_target")
    return " ".join([*anode[:1], *(f"{e} kV" for e in energy[:1])]) or "not recorded"


def _who_says(content: Content) -> str:
    if content.asked.excitation is not None:
        return "as it was given"
    if has_excitation(content.source.signal):
        return "as the file says"
    return "which was assumed: the file does not say it"


def _size(content: Content) -> str:
    axes = content.source.signal.axes_manager.navigation_axes
    if not axes:
        return "one spectrum"
    pixels = TIMES.join(str(axis.size) for axis in axes)
    text = f"{pixels} pixels"
    steps = [_mm(axis) for axis in axes]
    if any(step is None for step in steps):
        return f"{text}; how large a pixel is, the file does not say"
    lengths = [abs(s or 0) * a.size for s, a in zip(steps, axes, strict=True)]
    each = TIMES.join(dict.fromkeys(_length(abs(step or 0)) for step in steps))
    unit, per_mm = ("mm", 1.0) if max(lengths) >= 1 else ("µm", 1e3)
    whole = TIMES.join(f"{per_mm * one:.4g}" for one in lengths)
    return f"{text}, {whole} {unit}; a pixel is {each}"


def _mm(axis: Any) -> float | None:
    metres = METRES.get(axis.units) if isinstance(axis.units, str) else None
    return None if metres is None or not axis.is_uniform else 1000 * metres * axis.scale


def _length(mm: float) -> str:
    """Return a length in the unit that suits it.

    Examples
    --------
    >>> _length(0.0285), _length(0.5), _length(5.3e-6)
    ('28.5 µm', '0.5 mm', '5.3 nm')
    """
    for unit, per_mm in (("nm", 1e6), ("µm", 1e3)):
        if mm * per_mm < 200:
            return f"{mm * per_mm:.4g} {unit}"
    return f"{mm:.4g} mm"


def seconds(time: float) -> str:
    """Return a time as text.

    Examples
    --------
    >>> seconds(0.1), seconds(0.000175), seconds(7200.0)
    ('100 ms', '175 µs', '7200 s')
    """
    for unit, per_second in (("µs", 1e6), ("ms", 1e3)):
        if time * per_second < 1000:
            return f"{time * per_second:.4g} {unit}"
    return f"{time:.4g} s" if time < 10_000 else f"{time:.0f} s"


def _times(content: Content) -> str:
    own = times_of(content.source.signal)
    parts = []
    if own.real is not None:
        parts.append(f"{seconds(own.real)} real time")
    if own.live is not None:
        parts.append(f"{seconds(own.live)} live time")
    n_detectors = _get(content, f"{XRF}.n_detectors")
    several = isinstance(n_detectors, int) and n_detectors > 1
    of = f", on average, of {n_detectors} detectors together" if several else ""
    return " and ".join(parts) + of if parts else "not recorded"


def _detectors(content: Content) -> str:
    numbers = _get(content, f"{XRF}.detectors")
    n_detectors = _get(content, f"{XRF}.n_detectors")
    if isinstance(numbers, list) and numbers:
        listed = ", ".join(map(str, numbers))
        if len(numbers) > 1:
            return f"{len(numbers)}, added up (numbers {listed})"
        return f"number {listed}"
    return f"{n_detectors}" if n_detectors else ""


def _channels(content: Content) -> str:
    (axis,) = content.source.signal.axes_manager.signal_axes
    if axis.units not in PER_KEV:
        return f"{axis.size}, of unknown energies"
    if not axis.is_uniform:
        return f"{axis.size}, {axis.axis[0]:.4g} to {axis.axis[-1]:.4g} {axis.units}"
    ev = 1000 * axis.scale / PER_KEV[axis.units]
    ends = f"{axis.low_value:.4g} to {axis.high_value:.4g} {axis.units}"
    return f"{axis.size} of {ev:.4g} eV, {ends}"


def _counts(content: Content) -> str:
    whole = float(np.asarray(content.total.data, dtype=float).sum())
    if content.counts is None:
        return show(whole)
    image = np.asarray(content.counts.data)
    each = f"{show(image.mean(dtype=float))} a pixel on average"
    return f"{show(whole)} in all, {each}, {show(image.min())} to {show(image.max())}"


# Elements.


def verdict(areas: Areas, name: str) -> str:
    """Return in a word or two whether a component is there."""
    if name in areas.others:
        return OTHER
    note = areas.note(name)
    is_found = areas.is_detected(name)
    if not is_found and IN_PART not in note:
        return NOT_DETECTED
    if POSSIBLE in note:
        return POSSIBLE
    return DETECTED if is_found else IN_PART


def remark(areas: Areas, name: str) -> str:
    """Return what is to be said of a component, in sentences."""
    said = areas.notes.get(name, "")
    sentences = []
    if verdict(areas, name) == POSSIBLE:
        sentences.append("Weak: an error of the model can look like this.")
    for part in _PART.split(said):
        if part.strip() in ("", POSSIBLE):
            continue
        sentences.append(_in_words(part.strip()))
    return spelt(" ".join(dict.fromkeys(sentences)))


def _in_words(part: str) -> str:
    for pattern, words in _REMARKS:
        found = re.fullmatch(pattern, part)
        if found:
            return found.expand(words)
    return f"{part[:1].upper()}{part[1:]}."


def names_by_verdict(fitted: Fitted) -> dict[str, list[str]]:
    """Return the groups of lines of elements by what is said of them."""
    found: dict[str, list[str]] = {}
    for name in fitted.totals:
        if name not in fitted.totals.others:
            found.setdefault(verdict(fitted.totals, name), []).append(name)
    return found


def shown_elements(fitted: Fitted) -> list[str]:
    """Return the groups of lines whose maps are shown: all but what is not detected."""
    return [
        name
        for name in fitted.totals
        if verdict(fitted.totals, name) not in (NOT_DETECTED, OTHER)
    ]


def summary(content: Content) -> list[str]:
    """Return the result in a few sentences."""
    sentences = [*_summary_of_elements(content.fitted)]
    if not isinstance(content.classes, str):
        shares = ", ".join(f"{100 * share:.3g} %" for share in content.classes.fractions)
        n = len(content.classes.sums)
        sentences.append(f"Pixels fall into {n} class{'es' * (n > 1)} ({shares}).")
    if content.dead_times:
        sentences.append(f"{dead_times_in_words(content)}")
    if content.warnings:
        n = len(content.warnings)
        sentences.append(
            f"{n} warning{'s' * (n > 1)} {'were' if n > 1 else 'was'} given."
        )
    return sentences


def _summary_of_elements(fitted: Fitted | str) -> Iterator[str]:
    if isinstance(fitted, str):
        yield fitted
        return
    found, told = names_by_verdict(fitted), set()
    words = {
        DETECTED: "Detected",
        IN_PART: "In a part of the map only",
        POSSIBLE: "Possible",
        NOT_DETECTED: "Looked for and not detected",
    }
    for key, said in words.items():
        every = dict.fromkeys(name.partition("_")[0] for name in found.get(key, []))
        symbols = [one for one in every if one not in told]
        told.update(symbols)
        if symbols:
            yield f"{said}: {', '.join(symbols)}."


def quality(fitted: Fitted) -> str:
    """Return in words how well the model describes the spectrum."""
    fit = fitted.model.model.fit
    if fit is None:
        return ""
    fair = fair_chi2(fit)
    said = f"χ² per channel is {fit.chi2:.2f}"
    if is_bad(fit):
        return (
            f"{said}, and that of a good fit would be about {fair:.1f}: the model does not "
            "describe the spectrum, and counts may be wrong."
        )
    if fair < _NOISE_ALONE:
        return (
            f"{said}; a good fit of so few counts has about 1, which is counting noise."
        )
    return (
        f"{said}; a good fit of so many counts has up to about {fair:.1f}, and 1 would be "
        "counting noise alone."
    )


def unexplained(fitted: Fitted) -> list[str]:
    """Return where the spectrum differs from the fit, the clearest first."""
    return [
        f"{energy:.2f} keV, {sigma:+.0f} sigma{f' ({spelt(what)}?)' if what else ''}"
        for energy, sigma, what in fitted.model.unexplained
    ]


# Classes and regions.


def enriched(content: Content, number: int) -> tuple[str, str]:
    """Return which elements a class has more of than all classes together, and less of."""
    own, fitted = content.parts.get(class_key(number)), content.fitted
    if own is None or isinstance(fitted, str) or isinstance(content.classes, str):
        return "", ""
    every = [content.parts[class_key(k)] for k in range(len(content.classes.sums))]
    rich, poor = [], []
    for name in shown_elements(fitted):
        ratio, n_sigma = _ratio(own, every, name)
        if ratio > _RICHER and n_sigma > _CLEAR:
            rich.append((-ratio, f"{name}{TIMES}{_ratio_in_words(ratio)}"))
        elif ratio < _POORER and n_sigma < -_CLEAR:
            poor.append((ratio, name))
    told = [", ".join(text for _, text in sorted(e)[:_MOST_TOLD]) for e in (rich, poor)]
    return spelt(told[0]), spelt(told[1])


def _ratio_in_words(ratio: float) -> str:
    return f"{ratio:.1f}" if ratio < 10 else f"{ratio:.0f}"


def _ratio(part: Areas, every: Sequence[Areas], name: str) -> tuple[float, float]:
    """Return counts a pixel relative to those of all parts, and how many sigma they differ."""
    n_pixels = sum(one.n_pixels for one in every)
    mean = sum(one[name][0] for one in every) / max(1, n_pixels)
    own = math.hypot(*(one[name][1] for one in every)) / max(1, n_pixels)
    counts, sigma = (value / max(1, part.n_pixels) for value in part[name])
    width = math.hypot(sigma, own)
    ratio = counts / mean if mean > 0 else 1.0
    return ratio, (counts - mean) / width if width > 0 else 0.0


# Dead times.


def dead_times_in_words(content: Content) -> str:
    """Return the medians of the dead times of all detectors."""
    medians = [summarise_dead_time(v)["median"] for v in content.dead_times.values()]
    known = [f"{median:.1f} %" for median in medians if math.isfinite(median)]
    if not known:
        return "No dead time was recorded."
    several = "s" * (len(known) > 1)
    return f"Median dead time{several}: {', '.join(known)}."


# Calibration and what was assumed.


def calibration(content: Content) -> list[Fact]:
    """Return how channels became energies: names and values."""
    rows: list[Fact] = []
    if content.source.calibration:
        rows.append(("Energies of the channels", content.source.calibration))
    if isinstance(content.fitted, str):
        return rows
    model = content.fitted.model
    fit, own = model.model.fit, model.model.response
    zero, gain = model.axis
    before = "" if content.source.calibration else ", as the file has it"
    rows.append(("Before the fit", f"zero {1000 * zero:.4g} eV, {1000 * gain:.5g} eV a "
                 f"channel{before}"))  # fmt: skip
    for name, label, value in (
        ("zero", "Zero", own.zero),
        ("gain", "Gain", own.gain),
        ("noise", "Noise", own.noise),
    ):
        sigma = (fit.parameters.get(name, (0.0, 0.0)) if fit else (0.0, 0.0))[1]
        unit = "eV a channel" if name == "gain" else "eV"
        said = "" if sigma else ", not fitted"
        rows.append((label, f"{_with_sigma(1000 * value, 1000 * sigma)} {unit}{said}"))
    rows.append(("Width (FWHM) of Mn Ka", f"{1000 * own.fwhm:.1f} eV"))
    low, high = model.model.energy_range
    rows.append(("Energies that were fitted", f"{low:.4g} to {high:.4g} keV"))
    return rows


def _with_sigma(value: float, sigma: float) -> str:
    """Return a number with its standard deviation, both with the digits that it has.

    Examples
    --------
    >>> _with_sigma(9.99971, 0.000071), _with_sigma(9.99971, 0.0)
    ('9.99971 ± 0.00007', '9.9997')
    """
    if not sigma > 0:
        return f"{value:.5g}"
    digits = max(0, -math.floor(math.log10(sigma)))
    return f"{value:.{digits}f} ± {sigma:.{digits}f}"


def assumptions(content: Content) -> Iterator[str]:
    """Yield what was assumed, a sentence each."""
    if not isinstance(content.fitted, str):
        yield from _assumed_by_the_fit(content, content.fitted)
    numbers = _get(content, f"{XRF}.detectors")
    if isinstance(numbers, list) and len(numbers) > 1:
        yield f"The spectra of the {len(numbers)} detectors of a pixel were added up."
    yield "Counts are those that were recorded: they are not corrected for dead time."
    if not isinstance(content.classes, str):
        own = content.classes.parameters
        asked = content.asked.n_classes
        chosen = "as was asked for" if asked not in ("auto", None) else (
            "as many as the spectra of a sample of pixels suggest (highest silhouette)"
        )  # fmt: skip
        yield (
            f"Classes: K-means of {own['n_pca']} principal components of the spectra "
            f"(counts scaled: {own['scaling']}), {own['n_classes']} classes, {chosen}."
        )


def _assumed_by_the_fit(content: Content, fitted: Fitted) -> Iterator[str]:
    model = fitted.model
    yield f"The sample is excited by {model.excitation}, {_who_says(content)}."
    yield f"Elements: {_who_chose(content)}."
    yield (
        "Lines of an element have the relative strengths of xraylib's tables, as the source "
        "excites them; the peaks have the shape of a silicon or germanium detector."
    )
    own = model.model.response
    thick = f"{10 * own.thickness:.3g} mm of " if math.isfinite(own.thickness) else ""
    layers = ", ".join(
        f"{layer.formula} {_length(10 * layer.thickness)}"
        for layer in layers_of(content.source.signal)
    )
    yield (
        f"The crystal is {thick}{own.material}; before it "
        f"{'are ' + layers if layers else 'there is nothing that absorbs'}."
    )
    yield (
        "A detection limit is 3.29 times the standard deviation that the element would have "
        "were it absent. Sigma includes counting noise and the uncertainty of the calibration."
    )
    yield "Counts of elements are no concentrations: those need a standard."


def _who_chose(content: Content) -> str:
    given = content.asked.model
    if given is None:
        return "those that were found in the spectra"
    if hasattr(given, "model") or not isinstance(given, list | tuple):
        return f"those of a model that was given ({_name_of(given)})"
    return f"{', '.join(map(str, given))}, as they were given"


def _name_of(given: Any) -> str:
    return str(getattr(given, "title", "") or given)[:80]


def versions() -> str:
    """Return the versions of Python and of the packages that the results come from."""
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    return ", ".join(found)
