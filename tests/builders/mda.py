"""``.mda`` files with ``struct`` alone, as EPICS' saveData writes them.

Nothing here imports the package. :func:`read_map` reads files as mdaviz does, byte after byte.
"""

import struct
from pathlib import Path

import numpy as np

CRATE = "dxpXMAP2xfm3"
TIME = "AUG 09, 2016 10:28:52.450043"
AXES = (("2xfm:m24.VAL", "samX", -1.5, 0.1), ("2xfm:m13.VAL", "Sample Y", 2.5, 0.2),
        ("2xfm:m12.VAL", "Sample Z", 0.0, 1.0))  # fmt: skip
CALIBRATION = (-0.1, 0.02, 0.0)
OVERRIDE = """   This file will override default fit settings
VERSION: 5.0
DETECTOR_ELEMENTS: {n}
CAL_OFFSET_[E_OFFSET]: {terms[0]}
CAL_OFFSET_[E_OFFSET]_MAX: 0.5
CAL_SLOPE_[E_LINEAR]: {terms[1]}
CAL_QUAD_[E_QUADRATIC]: {terms[2]}
COHERENT_SCT_ENERGY: 10.0
ELT1: other:elapsed
ERT1: other:real
"""


def make_counts(shape, n_detectors, seed=0):
    """Counts of which no two pixels are alike, (..., detector, channel)."""
    rng = np.random.default_rng(seed)
    *pixels, n_channels = shape
    counts = rng.poisson(3, (*pixels, n_detectors, n_channels))
    n = int(np.prod(pixels, dtype=int))
    counts[..., 0] += np.arange(n).reshape(*pixels, 1)
    return counts


def make_rates(shape, n_detectors, seed=1):
    """ICR and OCR of each pixel, (..., detector), float32."""
    rng = np.random.default_rng(seed)
    icr = rng.uniform(5000, 9000, (*shape[:-1], n_detectors)).astype("f4")
    ocr = (icr * rng.uniform(0.7, 0.95, icr.shape)).astype("f4")
    return icr, ocr


def text(value):
    raw = value.encode("latin-1")
    if not raw:
        return struct.pack(">i", 0)
    return struct.pack(">ii", len(raw), len(raw)) + raw + bytes(-len(raw) % 4)


def variable(number, name, description="", units="", is_positioner=False):
    rest = [name, description, *(["LINEAR"] if is_positioner else []), units]
    rest += ["", "", ""] if is_positioner else []
    return struct.pack(">i", number) + b"".join(map(text, rest))


def scan(at, rank, n, done, inner, name, items):
    """A scan without what comes after its values; `items`: positioners, detectors, values."""
    positioners, detectors, trigger = items
    raw = struct.pack(">iii", rank, n, done)
    if rank > 1:
        raw += struct.pack(f">{n}i", *inner)
    raw += text(name) + text(TIME)
    raw += struct.pack(">iii", len(positioners), len(detectors), 1)
    for i, (own, description, _) in enumerate(positioners):
        raw += variable(i, own, description, "mm", is_positioner=True)
    for i, (own, _) in enumerate(detectors):
        raw += variable(i, own)
    raw += struct.pack(">i", 0) + text(trigger) + struct.pack(">f", 1.0)
    for *_, values in positioners:
        raw += np.asarray(values, ">f8").tobytes()
    for _, values in detectors:
        raw += np.asarray(values, ">f4").tobytes()
    return raw


class Writer:
    """Lays scans one behind the other, the outer ones first, as saveData does."""

    def __init__(self, shape, counts, rates, options):
        self.shape, self.counts, self.rates, self.options = shape, counts, rates, options
        self.raw, self.left = bytearray(), options["done"]
        self.parts = {"header": [], "positions": [], "data": []}

    def write(self, place=()):
        """Write a scan, and those within it, and return where it begins."""
        at, rank = len(self.raw), len(self.shape) - len(place)
        if rank == 1:
            raw = self._spectra(place)
            self.raw += raw
            n_data = 4 * self.counts.shape[-1] * self.counts.shape[-2]
            self.parts["header"].append((at, len(self.raw) - n_data))
            self.parts["data"].append((len(self.raw) - n_data, len(self.raw)))
            return at
        n = self._length(place)
        reserved = len(self._points(at, rank, place, 0, [0] * n))
        self.raw += bytes(reserved)
        inner, done = [0] * n, 0
        for i in range(n):
            if self.left <= 0:
                break
            inner[i] = self.write((*place, i))
            if rank == 2:
                self.left -= 1
            done += self.left > 0 or rank == 2 or self._is_whole((*place, i))
        raw = self._points(at, rank, place, done, inner)
        self.raw[at : at + reserved] = raw
        self.parts["positions"].append((at + 12, at + 12 + 4 * n))
        self.parts["header"] += [(at, at + 12), (at + 12 + 4 * n, at + reserved)]
        return at

    def _length(self, place):
        lengths = self.options["lengths"]
        is_row = lengths is not None and len(place) == len(self.shape) - 2
        return lengths[place[-1]] if is_row else self.shape[len(place)]

    def _is_whole(self, place):
        pixels = np.zeros(self.shape[:-1], bool)
        pixels.ravel()[: self.options["done"]] = True
        return bool(pixels[place].all())

    def _spectra(self, place):
        names, counts = self.options["names"], self.counts[place]
        items = [], [*zip(names, counts, strict=True)], f"{CRATE}:EraseStart"
        n = counts.shape[-1]
        return scan(0, 1, n, n, (), "2xfm:scanH", items)

    def _points(self, at, rank, place, done, inner):
        axis = rank - 2
        name, description, first, step = AXES[axis]
        n = self._length(place)
        positions = first + step * np.arange(n)
        is_back = axis == 0 and self.options["is_snake"] and place and place[-1] % 2
        positions = positions[::-1].copy() if is_back else positions
        positions[done:] = 0
        detectors = []
        if rank == 2 and self.rates is not None:
            for i, own in enumerate(self.options["names"]):
                number = own.split("mca")[-1].removesuffix(".VAL")
                for kind, values in zip(("Input", "Output"), self.rates, strict=True):
                    row = np.where(np.arange(n) < done, values[place][:n, i], 0)
                    detectors.append((f"{CRATE}:dxp{number}:{kind}CountRate", row))
                detectors.append((f"{CRATE}:mca{number}.ERTM", np.full(n, 0.5)))
        if rank == len(self.shape) and self.options["terms"] is not None:
            for own in self.options["names"]:
                for key, term in zip("OSQ", self.options["terms"], strict=True):
                    pv = own.removesuffix(".VAL")
                    detectors.append((f"{pv}.CAL{key}", np.full(n, term)))
        positioners = [(name, description, positions)]
        items = positioners, detectors, f"2xfm:scan{rank}.EXSC"
        return scan(at, rank, n, done, inner, f"2xfm:scan{rank - 1}", items)


def write_map(path, shape=(4, 5, 64), n_detectors=2, counts=None, done=None, names=None,
              rates=True, terms=CALIBRATION, is_snake=False, has_extra=True,
              lengths=None):  # fmt: skip
    """Write a scan and return its path.

    `shape`: sizes of the axes, channels last; of one size, a point. `done`: how many pixels
    were measured, in the order of the scan. `counts`, `rates`: in that order. `lengths`: of
    each row, which may be shorter.
    """
    if counts is None:
        counts = make_counts(shape, n_detectors)
    n_detectors = counts.shape[-2]
    if rates is True:
        rates = make_rates(shape, n_detectors)
    n_pixels = int(np.prod(shape[:-1], dtype=int))
    names = names or [f"{CRATE}:mca{i + 1}.VAL" for i in range(n_detectors)]
    options = {"done": n_pixels if done is None else done, "names": names, "terms": terms,
               "is_snake": is_snake, "lengths": lengths}  # fmt: skip
    writer = Writer(shape, counts, rates or None, options)
    rank = len(shape)
    head = struct.pack(f">fii{rank}i", 1.4, 7, rank, *shape) + struct.pack(">ii", 1, 0)
    writer.raw += head
    writer.write()
    if has_extra:
        writer.raw[len(head) - 4 : len(head)] = struct.pack(">i", len(writer.raw))
        writer.raw += struct.pack(">i", 3)
        writer.raw += (
            text("ID02us:Energy.VAL") + text("Energy") + struct.pack(">ii", 34, 1)
        )
        writer.raw += text("keV") + struct.pack(">d", 13.5)
        writer.raw += (
            text("2xfm:comment") + text("") + struct.pack(">i", 0) + text("thin")
        )
        writer.raw += text("2xfm:word") + text("") + struct.pack(">ii", 32, 3) + text("")
        writer.raw += struct.pack(">iii", *b"abc")
    Path(path).write_bytes(writer.raw)
    return Path(path)


def write_override(
    folder, n=2, terms=CALIBRATION, name="maps_fit_parameters_override.txt"
):
    """Write the text file of MAPS."""
    path = Path(folder) / name
    path.write_text(OVERRIDE.format(n=n, terms=terms), encoding="latin-1")
    return path


def write_fly(path, shape=(3, 6)):
    """Write a scan without spectra: a multichannel scaler counts during each row."""
    n_rows, n = shape
    names = ["2xfm:mcs:mca1.VAL", "2xfm:mcs:ElapsedReal"]
    head = struct.pack(">fiiii", 1.3, 11, 2, *shape) + struct.pack(">ii", 1, 0)
    outer_name, row_name = ("2xfm:m13.VAL", "Sample Y"), ("2xfm:FLYuserCalc10.A", "drive")
    y, x = 3.25 + 0.05 * np.arange(n_rows), -1.5 + 0.05 * np.arange(n)

    def outer(inner):
        items = [(*outer_name, y)], [], "2xfm:FscanH.EXSC"
        return scan(0, 2, n_rows, n_rows, inner, "2xfm:Fscan1", items)

    start = len(head) + len(outer([0] * n_rows))
    rows = []
    for i in range(n_rows):
        values = [1000 * i + np.arange(n), np.full(n, 0.25)]
        items = (
            [(*row_name, x)],
            [*zip(names, values, strict=True)],
            "2xfm:mcs:EraseStart",
        )
        rows.append(scan(0, 1, n, n, (), "2xfm:FscanH", items))
    places = [start + i * len(rows[0]) for i in range(n_rows)]
    Path(path).write_bytes(head + outer(places) + b"".join(rows))
    return Path(path)


def find_parts(path):
    """Tell where the parts of a file of write_map are, and where something begins."""
    raw = Path(path).read_bytes()
    (rank,) = struct.unpack_from(">i", raw, 8)
    parts = {"header": [(0, 20 + 4 * rank)], "positions": [], "data": []}
    edges = [0]
    stack = [20 + 4 * rank]
    while stack:
        at = stack.pop()
        own = read_scan(raw, at)
        edges += [at, own["data"], own["end"]]
        parts["header"] += [(at, at + 12), (at + 12 + 4 * len(own["inner"]), own["data"])]
        if own["inner"]:
            parts["positions"].append((at + 12, at + 12 + 4 * len(own["inner"])))
        parts["data"].append((own["data"], own["end"]))
        stack += [inner for inner in own["inner"] if inner]
    return parts, sorted({*edges, len(raw)})


def read_scan(raw, at):
    """Read a scan byte by byte."""
    take = struct.unpack_from

    def read_text(at):
        (n,) = take(">i", raw, at)
        if n == 0:
            return "", at + 4
        (n,) = take(">i", raw, at + 4)
        return raw[at + 8 : at + 8 + n].decode("latin-1"), at + 8 + n + -n % 4

    rank, n, done = take(">iii", raw, at)
    at += 12
    inner = list(take(f">{n}i", raw, at)) if rank > 1 else []
    at += 4 * len(inner)
    for _ in range(2):
        _, at = read_text(at)
    counts = take(">iii", raw, at)
    at += 12
    names = []
    for count, n_texts, rest in zip(counts, (7, 3, 1), (0, 0, 4), strict=True):
        for _ in range(count):
            at += 4
            name, at = read_text(at)
            names.append(name)
            for _ in range(n_texts - 1):
                _, at = read_text(at)
            at += rest
    start = at + 8 * n * counts[0]
    values = np.frombuffer(raw, ">f4", n * counts[1], start).reshape(counts[1], n)
    return {
        "inner": inner, "done": done, "names": names[counts[0] : counts[0] + counts[1]],
        "positions": np.frombuffer(raw, ">f8", n * counts[0], at).reshape(counts[0], n),
        "values": values, "data": at, "end": start + 4 * values.size,
    }  # fmt: skip


def read_map(path):
    """Read all spectra, (y, x, detector, channel)."""
    raw = Path(path).read_bytes()
    (rank,) = struct.unpack_from(">i", raw, 8)

    def read(at):
        own = read_scan(raw, at)
        return (
            np.array([read(i) for i in own["inner"]]) if own["inner"] else own["values"]
        )

    return read(20 + 4 * rank)
