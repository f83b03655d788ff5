"""``file_writer`` for MSA files."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.atomic import replacing
from rsciio_xfm.core.dates import format_date, parse_date, parse_time
from rsciio_xfm.core.eds import as_measured
from rsciio_xfm.core.warning import warn
from rsciio_xfm.formats.msa import layout
from rsciio_xfm.formats.msa.describe import find_moment, find_signal_type
from rsciio_xfm.formats.msa.parse import Spectrum, split_names

_FORMATS = ("Y", "XY")
_YUNITS = {"EDS": "Counts", "ELS": "Counts"}
_END_OF_LINE = "\r\n"
# HyperSpy's types of signals, and the standard's.
_SIGNAL_TYPES = {"EELS": "ELS"} | dict.fromkeys(("CL", "CL_SEM", "CL_STEM"), "CLS")


def file_writer(
    filename: str | Path,
    signal: dict[str, Any],
    format: str | None = None,
    separator: str = ", ",
    encoding: str | None = None,
) -> None:
    """Write a spectrum as MSA file.

    Parameters
    ----------
    filename
        Path of the file. It is replaced when the new one is whole; until then it is as it was.
    signal
        Dictionary of a signal, as :meth:`hyperspy.api.signals.BaseSignal.save` passes it. A
        dask array is computed once.
    format
        ``"Y"``: counts; ``"XY"``: with the energies as first column. None: counts, with the
        energies if these are not even.
    separator
        Of the columns. With another one the file does not comply with the standard.
    encoding
        Of the text. None: Latin-1, or UTF-8 if there are letters that Latin-1 does not have.

    Raises
    ------
    ValueError
        The format is neither, or is ``"Y"`` and the energies are not even; the data have
        more digits than float64.
    TypeError
        The data are complex, or no numbers.
    OSError
        The file cannot be written; what was there is as it was.

    Warns
    -----
    UserWarning
        An encoding was asked for that does not have all letters.

    Notes
    -----
    EDS spectra of any type are written as such, with beam energy, angles, live and real time.
    Every digit of real numbers is written. Of a file that was loaded, keywords that HyperSpy's
    metadata do not have are kept. What the standard has no place for, type of signal and of
    numbers, seconds, uneven energies, is in keywords of our own that begin with ``##XFM_``.

    Examples
    --------
    >>> s.sum().save("sum.msa")
    """
    if format not in (None, *_FORMATS):
        raise ValueError(f"{filename}: format is {format!r}, expected 'Y' or 'XY'.")
    (axis,) = signal["axes"]
    if "expression" in axis:
        raise ValueError(
            f"{filename}: the energies are a function, expected numbers. Use "
            "s.axes_manager[0].convert_to_non_uniform_axis() first."
        )
    if format == "Y" and "axis" in axis:
        raise ValueError(
            f"{filename}: the energies are not even, expected format='XY', which has them."
        )
    format = format or ("XY" if "axis" in axis else "Y")
    data = np.asarray(signal["data"])
    counts = _to_numbers(filename, data)
    keywords = _build_keywords(signal, axis, format, data)
    lines = [
        *_format_keywords(keywords),
        f"#{layout.SPECTRUM:12s}: Spectral Data Starts Here",
    ]
    if format == "XY":
        energies = _energies(axis, data.size)
        lines += [f"{x}{separator}{y}" for x, y in zip(energies, counts, strict=True)]
    else:
        lines += [f"{y}{separator}" for y in counts]
    lines.append(f"#{layout.END:12s}: End Of Data and File")
    content = _encode(filename, _END_OF_LINE.join(lines), encoding)
    with replacing(filename) as file:
        file.write(content)


# Numbers --------------------------------------------------------------------------------


def _to_numbers(filename: str | Path, data: np.ndarray) -> list[int | float]:
    """Return numbers of which Python writes every digit."""
    if data.dtype.kind not in "biuf":
        advice = " Save real part, imaginary part or absolute value."
        raise TypeError(
            f"{filename}: the data are {data.dtype}, expected real numbers."
            f"{advice if data.dtype.kind == 'c' else ''}"
        )
    if data.dtype.kind == "f" and data.dtype.itemsize > 8:
        given, data = data, data.astype(float)
        if not np.array_equal(given, data, equal_nan=True):
            raise ValueError(
                f"{filename}: the data are {given.dtype} and have more digits than "
                'float64, expected that. Use s.change_dtype("float64") first.'
            )
    return data.astype(np.uint8).tolist() if data.dtype.kind == "b" else data.tolist()


def _energies(axis: dict[str, Any], size: int) -> list[str]:
    if "axis" in axis:
        return [repr(float(x)) for x in axis["axis"]]
    x = axis["offset"] + axis["scale"] * np.arange(size)
    return [f"{value:.10g}" for value in x]


# Keywords -------------------------------------------------------------------------------


def _build_keywords(
    signal: dict[str, Any], axis: dict[str, Any], format: str, data: np.ndarray
) -> dict[str, Any]:
    """Return keywords in the standard's order, then those of the metadata, then others."""
    metadata = as_measured(signal["metadata"])
    original = signal.get("original_metadata") or {}
    is_msa = original.get("FORMAT") == layout.FORMAT
    held = _held_keywords(metadata, original) if is_msa else {}
    general = metadata.get("General", {})
    keywords = dict.fromkeys(layout.REQUIRED, "") | held
    signal_type = _standard_type(metadata, str(held.get("SIGNALTYPE", "")))
    keywords |= {
        "FORMAT": layout.FORMAT,
        "VERSION": keywords["VERSION"] or "1.0",
        "TITLE": _one_line(general.get("title") or keywords["TITLE"]),
        "DATE": _format_date(general.get("date"), keywords["DATE"]),
        "TIME": _format_time(general.get("time"), keywords["TIME"]),
        "NPOINTS": data.size,
        "NCOLUMNS": 1,
        "XUNITS": _text(axis.get("units")),
        "YUNITS": keywords["YUNITS"] or _YUNITS.get(signal_type, ""),
        "DATATYPE": format,
        **_calibration(axis),
        "SIGNALTYPE": signal_type,
        "XLABEL": _text(axis.get("name")),
    }
    known = _of_metadata(metadata)
    names = split_names(known | keywords)
    there = {names[k][0] for k in keywords}
    keywords |= {k: value for k, value in known.items() if names[k][0] not in there}
    keywords.setdefault("COMMENT", _comment())
    return keywords | _own_keywords(keywords, metadata, data, "axis" in axis)


def _text(value: Any) -> str:
    """Return a text; HyperSpy's name or units of an axis that has none is not."""
    return value if isinstance(value, str) else ""


def _one_line(value: Any) -> str:
    """Return a text as a line: others of its lines would be read as keywords."""
    return " ".join(str(value).splitlines()).strip()


def _comment() -> str:
    from rsciio_xfm import __version__

    return f"File created by rsciio_xfm version {__version__}"


def _calibration(axis: dict[str, Any]) -> dict[str, float]:
    if "axis" not in axis:
        return {"XPERCHAN": axis["scale"], "OFFSET": axis["offset"]}
    x = np.asarray(axis["axis"])
    scale = (x[-1] - x[0]) / (x.size - 1) if x.size > 1 else 1.0
    return {"XPERCHAN": float(scale), "OFFSET": float(x[0])}


def _signal_type(metadata: dict[str, Any]) -> str:
    return str(metadata.get("Signal", {}).get("signal_type") or "")


def _standard_type(metadata: dict[str, Any], held: str) -> str:
    """Return the standard's type; that of the file if HyperSpy has none for it."""
    name = _signal_type(metadata)
    if name.startswith("EDS"):
        return "EDS"
    if not name and held not in ("EDS", *layout.SIGNAL_TYPES):
        return held
    return name if name in layout.KNOWN_SIGNAL_TYPES else _SIGNAL_TYPES.get(name, "")


def _find(tree: Any, path: str) -> Any:
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def _items(metadata: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Give keywords, what metadata have of them, and the units that they have beside it."""
    # The instrument is a TEM or a SEM, whatever the type of the signal was before.
    is_sem = _signal_type(metadata) in ("EDS_SEM", "EDS_XFM")
    nodes = ("SEM", "TEM") if is_sem else ("TEM", "SEM")
    instruments = [_find(metadata, f"Acquisition_instrument.{node}") for node in nodes]
    for keyword, path in layout.OF_INSTRUMENT.items():
        for instrument in instruments:
            value = _find(instrument, path)
            if value is not None:
                yield keyword, value, _find(instrument, f"{path}_units")
                break
    thickness = _find(metadata, layout.THICKNESS_PATH)
    if thickness is not None:
        yield (
            layout.THICKNESS,
            thickness,
            _find(metadata, f"{layout.THICKNESS_PATH}_units"),
        )


def _of_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for keyword, value, units in _items(metadata):
        name = (
            f"{keyword:<{11 - len(units)}}-{units}" if isinstance(units, str) else keyword
        )
        found[name] = value
    return found


def _held_keywords(metadata: dict[str, Any], original: dict[str, Any]) -> dict[str, Any]:
    """Return those of the file that was loaded that metadata do not say otherwise by now."""
    now = {keyword: value for keyword, value, _ in _items(metadata)}
    paths = {*layout.OF_INSTRUMENT, layout.THICKNESS}
    left_out = {layout.SPECTRUM, layout.END}
    held, names = {}, split_names(original)
    for name, value in original.items():
        clean = names[name][0]
        is_old = clean in paths and not _is_same(now.get(clean), value)
        if not is_old and clean not in left_out and not name.startswith(layout.OWN):
            held[name] = value
    return held


def _is_same(value: Any, other: Any) -> bool:
    return bool(np.array_equal(value, other))


def _format_date(text: Any, held: Any) -> str:
    """Return a date as the standard has it, or in its own words if it has no one reading."""
    if not text:
        return str(held)
    day = parse_date(str(text))
    return _one_line(text) if day is None else format_date(day)


def _format_time(text: Any, held: Any) -> str:
    """Return a time as the standard has it, unless that of the file says the same."""
    if not text:
        return str(held)
    moment = parse_time(str(text))
    if moment is None:
        return _one_line(text)
    return str(held) if moment == parse_time(str(held)) else moment.strftime("%H:%M")


def _own_keywords(
    keywords: dict[str, Any], metadata: dict[str, Any], data: np.ndarray, is_uneven: bool
) -> dict[str, str]:
    """Return keywords of ours, for what a reader would not find in those of the standard."""
    numbers = {
        k: float(v) for k, v in keywords.items() if isinstance(v, (int, np.number))
    }
    spectrum = Spectrum(keywords | numbers, {}, {}, [], None, [])
    read = find_moment(spectrum)
    general = metadata.get("General", {})
    own = {}
    for name, value, found in (
        (layout.OWN_SIGNAL, _signal_type(metadata), find_signal_type(spectrum)),
        (layout.OWN_DATE, general.get("date"), read.get("date")),
        (layout.OWN_TIME, general.get("time"), read.get("time")),
    ):
        if value and value != found:
            own[f"##{name}"] = _one_line(value)
    if is_uneven:
        own[f"##{layout.OWN_AXIS}"] = layout.UNEVEN
    if data.dtype != float:
        own[f"##{layout.OWN_DTYPE}"] = data.dtype.name
    return own


def _format_keywords(keywords: dict[str, Any]) -> Iterator[str]:
    names = split_names(keywords)
    for name, value in keywords.items():
        clean = names[name][0]
        is_users = clean not in layout.KNOWN and not name.startswith("#")
        mark = "##" if is_users else "" if name.startswith("#") else "#"
        for text in _split_value(clean, value):
            yield f"{mark + name:13s}: {text}" if text is not None else f"#{name}"


def _split_value(name: str, value: Any) -> list[str | None]:
    """Return what is written of a keyword, in one line or in several."""
    if value is None:
        return [None]
    if isinstance(value, list):
        return [part for item in value for part in _split_value(name, item)]
    text = _one_line(value)
    if name not in layout.IN_SEVERAL_LINES or not text:
        return [text]
    return [*_wrap(text)]


def _wrap(text: str) -> list[str]:
    """Divide a text into lines; none ends with a blank, which readers take away."""
    lines = []
    while len(text) > layout.LINE_LENGTH:
        length = len(text[: layout.LINE_LENGTH].rstrip()) or layout.LINE_LENGTH
        lines.append(text[:length])
        text = text[length:]
    return [*lines, text]


# Text -----------------------------------------------------------------------------------


def _encode(filename: str | Path, text: str, encoding: str | None) -> bytes:
    if encoding is None:
        return _encode_readably(text)
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as exc:
        lost = sorted(set(text) - set(text.encode(encoding, "ignore").decode(encoding)))
        warn(
            f"{filename}: {encoding} does not have {''.join(lost)!r} ({exc.reason}), written "
            "as question marks. Leave `encoding` out, and the file is UTF-8."
        )
        return text.encode(encoding, "replace")


def _encode_readably(text: str) -> bytes:
    """Return Latin-1, as other programs read it, or UTF-8 where that says something else."""
    try:
        content = text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8")
    if content.isascii():
        return content
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return content
    return text.encode("utf-8")
