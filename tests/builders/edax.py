"""EDAX files byte by byte, with ``struct`` alone.

Nothing here imports the package: offsets are those of EDAX's descriptions of the formats.
"""

import random
import struct
from array import array
from pathlib import Path

SPD_HEADER = "16siiiIIIII120s900s"
CODES = {1: "B", 2: "H", 4: "I"}
XML = """<ExtendedSpectrumData>
  <SpectrumLabel Label="{label}" />
  <Geometry WorkingDistance="{distance}" />
  <Processing ICCShelfFactor="0.20" ICCTailFactor="0.20" ICCShiftFactor="0.50" />
</ExtendedSpectrumData>
"""


def spd_header(shape=(5, 7, 32), count_bytes=1, endianness="<", **fields):
    """The header of a map of (lines, points, channels); keywords replace fields."""
    n_lines, n_points, n_channels = shape
    values = {
        "tag": b"MAPSPECTRA_DATA",
        "version": 1001,
        "nSpectra": n_lines * n_points,
        "nPoints": n_points,
        "nLines": n_lines,
        "nChannels": n_channels,
        "countBytes": count_bytes,
        "dataOffset": 1068,
        "nFrames": 20,
        "fName": b"map_Img.bmp",
        "filler": b"",
    }
    assert set(fields) <= set(values)
    return struct.pack(endianness + SPD_HEADER, *(values | fields).values())


def make_counts(n, count_bytes=1, seed=0):
    """Counts that are different everywhere, the largest number among them."""
    counts = array(CODES[count_bytes])
    counts.frombytes(random.Random(seed).randbytes(n * counts.itemsize))
    if counts:
        counts[-1] = 256**count_bytes - 1
    return counts.tolist()


def pack_counts(counts, count_bytes=1, endianness="<"):
    return struct.pack(f"{endianness}{len(counts)}{CODES[count_bytes]}", *counts)


def write_map(
    path, shape=(5, 7, 32), count_bytes=1, endianness="<", sidecars=True, seed=0, **fields
):
    """Write a map, by default with all that lies beside it, and return its path."""
    path = Path(path)
    n = shape[0] * shape[1] * shape[2]
    header = spd_header(shape, count_bytes, endianness, **fields)
    padding = bytes(fields.get("dataOffset", len(header)) - len(header))
    counts = make_counts(n, count_bytes, seed)
    path.write_bytes(header + padding + pack_counts(counts, count_bytes, endianness))
    if sidecars:
        write_spc(path.with_suffix(".spc"), shape[2], endianness=endianness)
        write_ipr(path.with_suffix(".ipr"), endianness=endianness)
        write_xml(path.with_suffix(".xml"))
        write_bmp(path.with_suffix(".bmp"), shape[1], shape[0])
    return path


def write_spc(path, n_channels=32, endianness="<", version=0.7, size=None, **fields):
    """Write a spectrum file; `fields` are ``name=(offset, format, value)`` or known names."""
    known = {
        "fVersion": (0, "f", version),
        "fileName": (8, "8s", b"Garnet1."),
        "collectDateYear": (16, "h", 2016),
        "collectDateDay": (18, "b", 19),
        "collectDateMon": (19, "b", 4),
        "collectTimeMin": (20, "b", 38),
        "collectTimeHour": (21, "b", 15),
        "collectTimeHund": (22, "b", 7),
        "collectTimeSec": (23, "b", 51),
        "dataStart": (28, "i", 3840),
        "numPts": (32, "h", n_channels),
        "evPerChan": (384, "i", 10),
        "analysisType": (390, "h", 4),
        "xRayTubeZ": (404, "h", 45),
        "analyzerType": (444, "I", 5),
        "startEnergy": (448, "f", 0.0),
        "endEnergy": (452, "f", n_channels / 100),
        "liveTime": (456, "f", 70.0),
        "tilt": (460, "f", 1.5),
        "detReso": (472, "f", 129.31299),
        "azimuth": (508, "f", 45.0),
        "elevation": (512, "f", 35.0),
        "kV": (532, "f", 22.0),
        "numElem": (638, "h", 3),
        "at": (640, "48H", (26, 8, 13, *[60000] * 45)),
        "longFileName": (20224, "256s", b"C:\\EDAX\\map.spc"),
    }
    assert set(fields) <= set(known), set(fields) - set(known)
    raw = bytearray(20994 if version >= 0.7 else 20736)
    counts = make_counts(min(n_channels, 4096), 2, seed=1)
    struct.pack_into(f"{endianness}{len(counts)}I", raw, 3840, *counts)
    for name, (offset, code, usual) in known.items():
        value = fields.get(name, usual)
        values = value if isinstance(value, tuple) else (value,)
        struct.pack_into(endianness + code, raw, offset, *values)
    Path(path).write_bytes(bytes(raw[:size]))
    return Path(path)


def write_ipr(path, x_um=0.5, y_um=0.25, version=334, endianness="<", size=None):
    """Write the description of an image: 252 bytes, from version 334 on 264."""
    raw = bytearray(252 + (12 if version >= 334 else 0))
    for offset, code, value in (
        (0, "H", version),
        (4, "8s", b"SE1"),
        (52, "H", 220),
        (58, "I", 500),
        (62, "H", 1500),
        (64, "f", x_um),
        (68, "f", y_um),
        (74, "32s", b"a comment"),
    ):
        struct.pack_into(endianness + code, raw, offset, value)
    Path(path).write_bytes(bytes(raw[:size]))
    return Path(path)


def write_xml(path, distance="15.00", label=""):
    Path(path).write_text(XML.format(distance=distance, label=label), encoding="utf-8")
    return Path(path)


def write_bmp(path, width=7, height=5, grey=True):
    """Write an uncompressed bitmap of 24 bits: rows from the bottom, padded to 4 bytes."""
    rows = []
    for y in reversed(range(height)):
        row = b"".join(
            bytes([(y * width + x) % 256] * 3 if grey else [x % 256, y % 256, 200])
            for x in range(width)
        )
        rows.append(row + bytes(-len(row) % 4))
    pixels = b"".join(rows)
    header = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    header += struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, 24, 0, len(pixels), *[0] * 4
    )
    Path(path).write_bytes(header + pixels)
    return Path(path)


def write_line(path, n_spectra=3, n_channels=32, step=212.0, units="nm", **fields):
    """Write a line scan with its spectrum and table."""
    path = Path(path)
    shape = (1, n_spectra, n_channels)
    header = spd_header(shape, 4, **fields)
    path.write_bytes(header + pack_counts(make_counts(n_spectra * n_channels, 4), 4))
    write_spc(path.with_suffix(".spc"), n_channels)
    write_csv(path.with_suffix(".csv"), [step * i for i in range(n_spectra)], units)
    return path


def write_csv(path, distances, units="nm", n_header=12):
    lines = ["Amp Time,7.68", "Mag,40000"] + [f"Label {i},{i}" for i in range(n_header)]
    lines += [f"Point,Distance ({units}),Fe K"]
    lines += [f"{i + 1}, {d}, {i * 3}" for i, d in enumerate(distances)]
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return Path(path)
