"""What a report says of results, as plain text: verdicts, classes, what was assumed."""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

from rsciio_xfm.analysis.dead_time import summarise_dead_time
from rsciio_xfm.core.eds import XRF
from rsciio_xfm.report.content import Content, Fitted, class_key
from rsciio_xfm.report.facts import Fact, get_item, who_says
from rsciio_xfm.report.texts import TIMES, length, spelt
from rsciio_xfm.signals.areas import IN_PART, NO_NUMBER, NOT_DETECTED, POSSIBLE, Areas
from rsciio_xfm.signals.excitation import layers_of
from rsciio_xfm.signals.fit_checks import fair_chi2, is_bad

DETECTED, OTHER = "detected", ""
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
    numbers = get_item(content, f"{XRF}.detectors")
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
    yield f"The sample is excited by {model.excitation}, {who_says(content)}."
    yield f"Elements: {_who_chose(content)}."
    yield (
        "Lines of an element have the relative strengths of xraylib's tables, as the source "
        "excites them; the peaks have the shape of a silicon or germanium detector."
    )
    own = model.model.response
    thick = f"{10 * own.thickness:.3g} mm of " if math.isfinite(own.thickness) else ""
    layers = ", ".join(
        f"{layer.formula} {length(10 * layer.thickness)}"
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
