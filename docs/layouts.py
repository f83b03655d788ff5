"""The table of HDF5 layouts for the documentation, from the one that the reader uses."""

from rsciio_xfm.core import xrf
from rsciio_xfm.formats.hdf5_maps.layouts import FILES, LAYOUTS, LINKS, PARTS, shown

# What each way to a dead time is made of.
_WAYS = {
    "factor": (xrf.FACTOR,),
    "percent": (xrf.PERCENT,),
    "ticks": (
        xrf.TICKS,
        xrf.DEAD_TICKS,
        xrf.RESET_TICKS,
        xrf.ALL_EVENTS,
        xrf.EVENT_WIDTH,
    ),
    "rates": (xrf.INPUT_RATE, xrf.OUTPUT_RATE),
    "times": (xrf.LIVE, xrf.ELAPSED),
}
_ROWS = {
    FILES: "files are rows, with ``series=True``",
    LINKS: "what is linked to is a row each",
    PARTS: "files are parts, of which all are found",
    "": "",
}
_TITLES = ("Layout", "Spectra", "Axes", "What tells", "Positions", "Dead time", "Rows")


def table():
    """Return the table as reStructuredText."""
    lines = [
        ".. This file is made by conf.py from rsciio_xfm/formats/hdf5_maps/layouts.py.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "   :widths: 10 20 10 17 17 19 12",
        "   :class: cards fixed",
        "",
    ]
    for cells in [_TITLES, *map(_cells, LAYOUTS)]:
        lines += [f"   {'  ' if i else '* '}- {c}".rstrip() for i, c in enumerate(cells)]
    return "\n".join(lines) + "\n"


def _cells(layout):
    names = {}
    for counter in layout.counters:
        names.setdefault(counter.meaning, _name(counter.name))
    ways = []
    for way in layout.ways:
        own = [names[meaning] for meaning in _WAYS[way] if meaning in names]
        if own:
            ways.append(" and ".join(own))
    groups = dict.fromkeys(path.rsplit("/", 1)[0].strip("/") for path in layout.beside)
    own = dict.fromkeys(path.rsplit("/", 1)[1] for path in layout.beside)
    tells = " or ".join(map(_name, own)) + " in " + " or ".join(map(_name, groups))
    every = [_name(p.lstrip("/")) for axis in layout.positions or () for p in axis]
    places = [*dict.fromkeys(every)]
    command = [_name(place) for place in layout.command]
    return (
        layout.name,
        f"``{shown(layout.spectra)}``",
        "; or ".join(layout.axes),
        tells if layout.beside else "the path",
        ", ".join([*places, *command]) or "none in the file",
        "; else ".join(ways) or "none in the file",
        _ROWS[layout.rows],
    )


def _name(path):
    text = path.replace("{number}", "<n>").replace("{", "<").replace("}", ">")
    return f"``{text}``"
