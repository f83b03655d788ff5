"""The page of a report, as HTML: everything that comes from a file is escaped."""

import datetime
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import NamedTuple

import numpy as np
from hyperspy.signal import BaseSignal

from rsciio_xfm.analysis.dead_time import summarise_dead_time
from rsciio_xfm.core.dead_time import SATURATION
from rsciio_xfm.report import facts, pictures, texts, words
from rsciio_xfm.report.content import Content, Fitted, region_key
from rsciio_xfm.report.pictures import Picture
from rsciio_xfm.report.style import STYLE
from rsciio_xfm.signals.areas import IN_PART, NOT_DETECTED, POSSIBLE, Areas
from rsciio_xfm.signals.results import Classification, live_time_of

_MARKS = {
    words.DETECTED: "good", POSSIBLE: "doubt", IN_PART: "doubt", NOT_DETECTED: "absent",
}  # fmt: skip
_MOST_TOLD = 6  # places where the fit leaves something
_MOST_TOGETHER = 15  # rows of a table that are printed on one page


class Section(NamedTuple):
    """A part of the page: its anchor, its heading, and what is in it, as HTML."""

    anchor: str
    heading: str
    body: str


def page(content: Content) -> str:
    """Return a report as HTML.

    Parameters
    ----------
    content
        What it tells.

    Returns
    -------
    str
        A whole document of HTML 5, with its pictures in it: it needs neither scripts nor
        other files.
    """
    title = escape(facts.title_of(content))
    sections = list(_sections(content))
    links = " ".join(f'<a href="#{s.anchor}">{escape(s.heading)}</a>' for s in sections)
    body = "\n".join(
        f'<section id="{s.anchor}">\n<h2>{escape(s.heading)}</h2>\n{s.body}\n</section>'
        for s in sections
    )
    made = datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M")
    lead = "".join(_paragraph(one) for one in words.summary(content))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="generator" content="rsciio_xfm">
<title>{title}: report</title>
<style>{STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p class="soft">Report of a map of X-ray spectra, made {made}</p>
<nav aria-label="Sections">{links}</nav>
</header>
<main>
{_list_of_facts(facts.facts_of(content))}
{lead}
{_first_picture(content)}
{body}
</main>
<footer>{escape(facts.versions())}</footer>
</body>
</html>
"""


def _sections(content: Content) -> Iterator[Section]:
    yield Section("spectrum", "Sum spectrum", _spectrum(content))
    yield Section("elements", "Elements", _elements(content))
    yield Section("maps", "Element maps", _maps(content))
    yield Section("classes", "Classes", _classes(content))
    if content.regions:
        yield Section("regions", "Regions", _regions(content))
    yield Section("dead-times", "Dead times", _dead_times(content))
    yield Section("calibration", "Calibration", _calibration(content))
    yield Section("assumptions", "What was assumed", _assumptions(content))
    yield Section("warnings", "Warnings", _warnings(content))
    yield Section("again", "How to make it again", _again(content))


# Parts of HTML.


def _class(mark: str) -> str:
    return f' class="{mark}"' if mark else ""


def _paragraph(text: str, mark: str = "") -> str:
    return f"<p{_class(mark)}>{escape(text)}</p>\n"


def _list_of_facts(rows: Iterable[tuple[str, str]]) -> str:
    items = "\n".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in rows)
    return f"<dl>\n{items}\n</dl>"


def _bullets(texts: Iterable[str]) -> str:
    items = "\n".join(f"<li>{escape(text)}</li>" for text in texts)
    return f"<ul>\n{items}\n</ul>"


def _cell(text: str, mark: str = "") -> str:
    return f"<td{_class(mark)}>{escape(text)}</td>"


def _table(caption: str, head: Sequence[tuple[str, str]], rows: Sequence[str]) -> str:
    """Return a table: names and marks of its columns, and its rows, made of cells."""
    named = "".join(
        f'<th scope="col"{_class(mark)}>{escape(name)}</th>' for name, mark in head
    )
    lines = "\n".join(f"<tr>{row}</tr>" for row in rows)
    mark = "scroll" if len(rows) > _MOST_TOGETHER else "scroll short"
    return (
        f'<div class="{mark}"><table>\n<caption>{escape(caption)}</caption>\n'
        f"<thead><tr>{named}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table></div>"
    )


def _figure(picture: Picture, caption: str, mark: str = "") -> str:
    """Return a picture with what is said below it, which is HTML."""
    image = (
        f'<img src="{picture.uri}" alt="{escape(picture.alt)}" '
        f'width="{picture.width}" height="{picture.height}">'
    )
    if "wide" in mark:
        image = f'<div class="scroll">{image}</div>'
    return f"<figure{_class(mark)}>{image}\n<figcaption>{caption}</figcaption></figure>"


def _grid(figures: Iterable[str]) -> str:
    return '<div class="maps">\n' + "\n".join(figures) + "\n</div>"


# Sections.


def _first_picture(content: Content) -> str:
    if content.counts is None or content.counts.data.ndim != 2:
        return ""
    found = pictures.composite(content)
    if found is None:
        caption = "Counts of all channels of each pixel."
        return _figure(pictures.counts(content), caption, "first")
    picture, names = found
    why = "elements whose maps show most contrast, and different places"
    caption = (
        f"{texts.spelt(', '.join(names))} together: "
        f"{why if content.rgb is None else 'as was asked for'}. Each is as bright as can be "
        "at its 99.5th percentile."
    )
    return _figure(picture, escape(caption), "first")


def _spectrum(content: Content) -> str:
    fitted = content.fitted
    if isinstance(fitted, str):
        caption = "The sum of all spectra."
        return _figure(pictures.spectrum(content), caption, "wide")
    caption = (
        "The sum of all spectra, the fit, what it consists of, and below it what is left, in "
        "standard deviations."
    )
    parts = [_figure(pictures.spectrum(content), caption, "wide")]
    parts.append(_paragraph(words.quality(fitted)))
    left = words.unexplained(fitted)
    if left:
        more = f", and {len(left) - _MOST_TOLD} more" if len(left) > _MOST_TOLD else ""
        parts.append(_paragraph(f"Not explained: {'; '.join(left[:_MOST_TOLD])}{more}."))
    return "\n".join(parts)


def _elements(content: Content) -> str:
    fitted = content.fitted
    if isinstance(fitted, str):
        return _paragraph(fitted)
    energies = {group.name: group.energy for group in fitted.model.model.groups}
    kinds, totals = fitted.kinds, fitted.totals
    head = [("Lines", ""), ("Verdict", ""), ("Counts", "n"), ("Sigma", "n"),
            ("Detection limit", "n"), ("keV", "n"), ("Remark", "remark")]  # fmt: skip
    own = [name for name in totals if name in energies]
    rows = [_row_of_element(totals, name, f"{energies[name]:.3f}") for name in own]
    parts = [_table("Counts of the elements in all spectra.", head, rows)]
    others = [name for name in totals if name not in energies]
    if others:
        rows = [_row_of_other(totals, name, kinds.get(name, "")) for name in others]
        head = [("Component", ""), ("Kind", ""), ("Counts", "n"), ("Sigma", "n")]
        caption = (
            "What else makes peaks: lines of the source, scattered, and sums of photons."
        )
        parts.append(_table(caption, head, rows))
    return "\n".join(parts)


def _row_of_element(areas: Areas, name: str, energy: str) -> str:
    cells = [*_cells_of(areas, name), _cell(energy, "n")]
    return "".join([*cells, _cell(words.remark(areas, name), "remark")])


def _cells_of(areas: Areas, name: str) -> list[str]:
    """Return the cells of name, verdict, counts, sigma and detection limit."""
    counts, sigma = areas[name]
    limit = float(areas.limits[areas.names.index(name)])
    said = words.verdict(areas, name)
    numbers = [_cell(texts.show(number), "n") for number in (counts, sigma, limit)]
    return [_cell(texts.spelt(name)), _cell(said, _MARKS.get(said, "")), *numbers]


def _row_of_other(areas: Areas, name: str, kind: str) -> str:
    numbers = "".join(_cell(texts.show(number), "n") for number in areas[name])
    return f"{_cell(texts.spelt(name))}{_cell(kind)}{numbers}"


def _maps(content: Content) -> str:
    fitted = content.fitted
    if isinstance(fitted, str):
        return _paragraph("There are none, as no elements were fitted.")
    if fitted.maps is None:
        return _paragraph("There are none: this is one spectrum, not a map.")
    names = words.shown_elements(fitted)
    figures = [
        _figure(picture, _caption(fitted, name))
        for name, picture in pictures.elements(fitted, names)
    ]
    shape = fitted.maps.background.data.shape
    step = pictures.step_of(shape, pictures.side_of(len(names)))
    parts = [_paragraph(_how_maps_are_shown(step))] if figures else []
    if figures:
        parts.append(_grid(figures))
    absent = words.names_by_verdict(fitted).get(NOT_DETECTED, [])
    if absent:
        parts.append(
            _paragraph(f"Not detected, and not shown: {texts.spelt(', '.join(absent))}.")
        )
    return "\n".join(parts)


def _how_maps_are_shown(step: int) -> str:
    means = (
        f" Each pixel that is shown is the mean of {step}{texts.TIMES}{step}."
        if step > 1
        else ""
    )
    return (
        "Counts of each pixel by a fit of its spectrum. Where an element is not there, noise "
        f"makes some of them negative.{means}"
    )


def _caption(fitted: Fitted, name: str) -> str:
    counts, sigma = fitted.totals[name]
    said = words.verdict(fitted.totals, name)
    remark = "" if said == words.DETECTED else f", {said}"
    numbers = f"{texts.show(counts)} ± {texts.show(sigma)} counts"
    return (
        f"<strong>{escape(texts.spelt(name))}</strong> {escape(numbers)}{escape(remark)}"
    )


def _classes(content: Content) -> str:
    found = content.classes
    if isinstance(found, str):
        return _paragraph(found)
    caption = (
        "Pixels with similar spectra: where they are, how they lie in the first principal "
        "components, and the average spectra."
    )
    head = [("Class", "n"), ("Pixels", "n"), ("Share", "n"), ("Counts a pixel", "n"),
            ("Live time", "n"), ("Richer than the map on average in", "remark"),
            ("Poorer in", "remark")]  # fmt: skip
    rows = [_row_of_class(content, found, k) for k in range(len(found.sums))]
    said = f"Classes, the largest first;{texts.TIMES}2 is twice the map's counts a pixel."
    masked = int(found.parameters.get("pixels_masked", 0))
    parts = [_figure(pictures.classes(found), caption, "wide"), _table(said, head, rows)]
    if masked:
        parts.append(
            _paragraph(f"{masked} pixels have no counts and belong to no class.")
        )
    return "\n".join(parts)


def _row_of_class(content: Content, found: Classification, k: int) -> str:
    n_pixels = int(np.count_nonzero(found.labels.data == k))
    each = float(found.sums[k].data.sum()) / max(1, n_pixels)
    numbers = [str(k), texts.show(n_pixels), f"{100 * found.fractions[k]:.1f} %",
               texts.show(each), _live_time(found.sums[k])]  # fmt: skip
    cells = [_cell(number, "n") for number in numbers]
    cells += [_cell(text or texts.NONE, "remark") for text in words.enriched(content, k)]
    return "".join(cells)


def _live_time(spectrum: BaseSignal) -> str:
    live = live_time_of(spectrum)
    return texts.NONE if live is None else texts.seconds(live)


def _regions(content: Content) -> str:
    parts = [
        _figure(
            pictures.regions(content), "Spectra of the regions: counts a pixel.", "wide"
        )
    ]
    for name, spectrum in content.regions.items():
        areas = content.parts.get(region_key(name))
        total = texts.show(float(spectrum.data.sum()))
        live = live_time_of(spectrum)
        time = "not known" if live is None else texts.seconds(live)
        said = f"{total} counts, live time {time}"
        n_pixels = "" if areas is None else f"{texts.show(areas.n_pixels)} pixels, "
        parts.append(f"<h3>{escape(name)}</h3>\n{_paragraph(n_pixels + said + '.')}")
        if areas is not None:
            parts.append(_table_of_region(areas))
    return "\n".join(parts)


def _table_of_region(areas: Areas) -> str:
    head = [("Lines", ""), ("Verdict", ""), ("Counts", "n"), ("Sigma", "n"),
            ("Detection limit", "n"), ("Counts a pixel", "n")]  # fmt: skip
    rows = []
    for name in areas:
        if name not in areas.others:
            each = texts.show(areas[name][0] / areas.n_pixels)
            rows.append("".join([*_cells_of(areas, name), _cell(each, "n")]))
    return _table("Counts of the elements in this region.", head, rows)


def _dead_times(content: Content) -> str:
    if not content.dead_times:
        return _paragraph("The file records no dead time of each spectrum.")
    head = [("Detector", ""), ("Spectra", "n"), ("Not recorded", "n"), ("Median", "n"),
            ("5th to 95th percentile", "n"), ("Highest", "n"),
            (f"At {SATURATION:g} % and above", "n")]  # fmt: skip
    rows = [_row_of_detector(n, values) for n, values in content.dead_times.items()]
    figures = [
        _figure(picture, escape(name)) for name, picture in pictures.dead_times(content)
    ]
    return f"{_table('Dead times, in percent.', head, rows)}\n{_grid(figures)}"


def _row_of_detector(name: str, values: np.ndarray) -> str:
    own = summarise_dead_time(values)
    numbers = [
        texts.show(own["n_spectra"]),
        texts.show(own["n_spectra"] - own["n_recorded"]),
        _percent(own["median"]),
        f"{_percent(own['p5'])} to {_percent(own['p95'])}",
        _percent(own["max"]),
        texts.show(own["n_saturated"]),
    ]
    return _cell(name) + "".join(_cell(number, "n") for number in numbers)


def _percent(value: float) -> str:
    return f"{value:.1f} %" if np.isfinite(value) else texts.NONE


def _calibration(content: Content) -> str:
    rows = words.calibration(content)
    if isinstance(content.fitted, str) and not rows:
        return _paragraph(
            "No model was fitted: the energies are those that the file has."
        )
    return _list_of_facts(rows)


def _assumptions(content: Content) -> str:
    return _bullets(words.assumptions(content))


def _warnings(content: Content) -> str:
    if not content.warnings:
        return _paragraph("No warning was given.")
    return _bullets(content.warnings)


def _again(content: Content) -> str:
    return f"<pre>{escape(content.source.how)}</pre>" if content.source.how else ""
