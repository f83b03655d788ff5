"""How programs and beamlines lay maps out in HDF5 files, as a table that one reader reads.

A layout is known by the path of its spectra, the number of their axes, and what lies beside
them. Sources: xraylarch ``larch/io/xsp3_hdf5.py`` (areaDetector); XRF-Maps
``src/io/file/hdf5_io.h`` (areaDetector, masters of APS-U, MAPS); nanomax-analysis-utils and
xsocs (NanoMAX); NexDATAS nxstools and P61A-Viewer (PETRA III); orange-spectroscopy
``io/cls.py`` (SGM). Of SOLEIL's flyscans public sources name ``channel00`` and ``deadtime00``;
the other counters are from memory. ``deadtimeticks``, ``totalticks`` and ``sequence_number``
of PETRA III are those of GeoPIXE's device for P06.
"""

import re
from dataclasses import dataclass, replace

from rsciio_xfm.core.xrf import (
    ALL_EVENTS,
    DEAD_TICKS,
    ELAPSED,
    EVENT_WIDTH,
    FACTOR,
    INPUT_RATE,
    LIVE,
    OUTPUT_RATE,
    PERCENT,
    RESET_TICKS,
    TICKS,
)

CLOCK = 12.5e-9  # s, of Xspress3: 80 MHz
_ORDER = ("factor", "percent", "ticks", "rates", "times")
FILES, LINKS, PARTS = "files", "links", "parts"


@dataclass(frozen=True)
class Counter:
    """What is kept of each spectrum beside it.

    Attributes
    ----------
    meaning
        One of the keys of :mod:`rsciio_xfm.core.xrf`.
    name
        Of the dataset, in one of the places of the layout: ``{detector}`` as in the path of
        the spectra, ``{number}`` of the detector from 1 on.
    scale
        To seconds, counts per second, or as it is.
    is_of_all
        Whether the first axis is that of the detectors.
    """

    meaning: tuple[str, ...]
    name: str
    scale: float = 1.0
    is_of_all: bool = False


@dataclass(frozen=True)
class Layout:
    """How maps are laid out in a file.

    Paths are relative to the file that was opened; those that begin with ``/`` to the file
    that the spectra are in. ``{entry}`` and the like are what a group of `spectra` matched.

    Attributes
    ----------
    name
        As the documentation calls it, and ``found.layout``.
    spectra
        Regular expression for the path of the spectra. Groups: ``detector``, its number or
        letter where each is a dataset of its own; ``row``, what tells the parts of a map
        apart.
    axes
        What the axes of the spectra are, one text for each number of axes.
    beside
        Paths of which one has to be there, the last part in any letters. None if the path of
        the spectra is enough.
    places
        Groups in which counters, energies and calibrations are looked for; ``""`` are those
        that the spectra are in.
    counters
        What is kept of each spectrum.
    ways
        How dead times are found, in this order, of :data:`rsciio_xfm.core.xrf.WAYS`.
    positions
        Of x and y, where they may be: of each point, or along each axis. ``*`` is any one
        name, ``group@axes`` the names that an NXdata gives, of x and y.
    command
        Where the command of the scan is; ``path@name`` is an attribute.
    energies, calibration
        Names of the energies of the channels, and of a, b, c.
    rows
        Where a map is in parts: ``"files"``, of which each is a row; ``"links"``, rows in the
        files that a master links to; ``"parts"``, points in files.
    sequence
        Numbers of the points of a part, from 1 on, which tell that files are of one scan.
    is_unsigned
        Whether signed integers are counts beyond the largest of them.
    label
        What the title says of the spectra.
    """

    name: str
    spectra: str
    axes: tuple[str, ...]
    beside: tuple[str, ...] = ()
    places: tuple[str, ...] = ("",)
    counters: tuple[Counter, ...] = ()
    ways: tuple[str, ...] = _ORDER
    positions: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    command: tuple[str, ...] = ()
    energies: tuple[str, ...] = ()
    calibration: tuple[str, ...] = ()
    rows: str = ""
    sequence: str = ""
    is_unsigned: bool = False
    label: str = ""

    def roles(self, n_axes: int) -> tuple[str, ...] | None:
        """Return what the axes are; None if the layout has no such spectra."""
        every = {len(roles): roles for roles in map(str.split, self.axes)}
        return tuple(every[n_axes]) if n_axes in every else None


_ATTRIBUTES = (
    "/entry/instrument/detector/NDAttributes",
    "/entry/instrument/NDAttributes",
)
_SURE = ("CHAN1SCA0", "CHAN1DTFactor", "CHAN1DTPercent")
_DATA = r"(entry/(data|instrument/(detector|xspress3))|data)/data"
_XSPRESS3 = Layout(
    "areaDetector",
    spectra=_DATA,
    axes=("point detector channel", "y x detector channel"),
    beside=tuple(f"{place}/{name}" for place in _ATTRIBUTES for name in _SURE),
    places=_ATTRIBUTES,
    counters=(
        Counter(FACTOR, "CHAN{number}DTFactor"),
        Counter(PERCENT, "CHAN{number}DTPercent"),
        Counter(TICKS, "CHAN{number}SCA0"),
        Counter(RESET_TICKS, "CHAN{number}SCA1"),
        Counter(ALL_EVENTS, "CHAN{number}SCA3"),
        Counter(EVENT_WIDTH, "CHAN{number}EventWidth"),
        Counter(ELAPSED, "CHAN{number}SCA0", CLOCK),
    ),
    ways=("factor", "percent", "ticks"),
    rows=FILES,
)
_MAPS = Layout(
    "MAPS",
    spectra=r"MAPS/(Spectra/)?mca_arr",
    axes=("channel y x",),
    counters=(
        Counter(LIVE, "Elapsed_Livetime"),
        Counter(ELAPSED, "Elapsed_Realtime"),
        Counter(INPUT_RATE, "Input_Counts"),
        Counter(OUTPUT_RATE, "Output_Counts"),
    ),
    ways=("times", "rates"),
    positions=(
        ("/MAPS/Scan/x_axis", "/MAPS/x_axis"),
        ("/MAPS/Scan/y_axis", "/MAPS/y_axis"),
    ),
    energies=("Energy", "energy"),
    calibration=("Energy_Calibration", "energy_calib"),
)
_P06 = Layout(
    "PETRA III",
    spectra=r"(?P<entry>[^/]+)/instrument/xspress3/channel(?P<detector>\d+)/histogram",
    axes=("point channel",),
    counters=(Counter(TICKS, "totalticks"), Counter(DEAD_TICKS, "deadtimeticks")),
    ways=("ticks",),
    rows=PARTS,
    sequence="/entry/instrument/detector/sequence_number",
    label="channel{detector}",
)

# Groups of a master of which each link is a row of a map.
MASTER_ROWS = re.compile(r"detectors/[^/]+")

# The first one that fits is taken.
LAYOUTS = (
    _MAPS,
    Layout(
        "MAPS_RAW",
        spectra=r"MAPS_RAW/data_(?P<detector>[a-z])",
        axes=("channel y x",),
        counters=(
            Counter(LIVE, "livetime", is_of_all=True),
            Counter(ELAPSED, "realtime", is_of_all=True),
            Counter(INPUT_RATE, "inputcounts", is_of_all=True),
            Counter(OUTPUT_RATE, "ouputcounts", is_of_all=True),  # as MAPS spells it
        ),
        ways=("times", "rates"),
        rows=FILES,
        is_unsigned=True,
        label="data_{detector}",
    ),
    replace(
        _XSPRESS3,
        name="APS-U master",
        spectra=rf"detectors/(?P<name>[^/]+)/(?P<row>[^/]+)/{_DATA}",
        positions=(
            ("positions/*/stream/Encoder1", "positions/stream/Encoder1"),
            ("positions/*/stream/Encoder2", "positions/stream/Encoder2"),
        ),
        rows=LINKS,
        label="{name}",
    ),
    Layout(
        "NanoMAX",
        spectra=r"(?P<entry>entry\d*)/measurement/(?P<name>xspress3|x3mini)/(data|frames)",
        axes=("point detector channel",),
        beside=("{entry}/description",),
        positions=(
            ("{entry}/measurement/pseudo/x",),
            ("{entry}/measurement/pseudo/y",),
        ),
        command=("{entry}/description",),
        label="{name}",
    ),
    replace(
        _P06,
        name="PETRA III master",
        spectra=(
            r"(?P<entry>[^/]+)/instrument/[^/]+/collection/"
            r"channel(?P<detector>\d+)_f(?P<row>\d+)"
        ),
        positions=(("{entry}/data/*",), ()),
        command=("{entry}/program_name@scan_command", "{entry}/title"),
    ),
    _P06,
    Layout(
        "SOLEIL flyscan",
        spectra=r"(?P<entry>[^/]+)/scan_data/channel(?P<detector>\d+)",
        axes=("point channel", "y x channel"),
        counters=(
            Counter(PERCENT, "deadtime{detector}"),
            Counter(INPUT_RATE, "icr{detector}"),
            Counter(OUTPUT_RATE, "ocr{detector}"),
            Counter(ELAPSED, "realtime{detector}"),
            Counter(LIVE, "livetime{detector}"),
        ),
        ways=("percent", "rates", "times"),
        label="channel{detector}",
    ),
    Layout(
        "CLS SGM",
        spectra=r"(?P<entry>[^/]+)/(?P<group>[^/]+)/(?P<detector>[^/]+)",
        axes=("x y channel",),
        beside=("{entry}/{group}/emission",),
        positions=(("{entry}/{group}@axes",), ("{entry}/{group}@axes",)),
        energies=("emission",),
        label="{detector}",
    ),
    replace(
        _XSPRESS3,
        name="Xspress3",
        spectra=r"entry/instrument/xspress3/data",
        beside=(),
    ),
    _XSPRESS3,
)


def shown(expression: str) -> str:
    r"""Return the path of spectra as the documentation shows it.

    Examples
    --------
    >>> shown(r"(?P<entry>[^/]+)/scan_data/channel(?P<detector>\d+)")
    '<entry>/scan_data/channel<detector>'
    """
    text = re.sub(r"\(\?P<(\w+)>((?:[^()]|\([^()]*\))*)\)", _shown_group, expression)
    return text.replace("[^/]+", "*")


def _shown_group(found: re.Match) -> str:
    name, inner = found.groups()
    return f"({inner})" if re.fullmatch(r"[\w|]+", inner) else f"<{name}>"
