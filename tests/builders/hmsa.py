"""Pairs of ``.hmsa`` and ``.xml`` files with struct and text alone, as pyhmsa writes them.

Nothing here imports the package.
"""

import hashlib
from pathlib import Path

import numpy as np

UID = "0123456789ABCDEF"
NAMES = {"u1": "byte", "i2": "int16", "u2": "uint16", "i4": "int32", "u4": "uint32",
         "i8": "int64", "f4": "float", "f8": "double"}  # fmt: skip
LINEAR = """<Calibration Class="Linear"><Quantity>Energy</Quantity><Unit>eV</Unit>
<Gain DataType="float">10.</Gain><Offset DataType="float">-100.</Offset></Calibration>"""
PROBE = """<Probe Class="EM" ID="Probe0"><BeamVoltage DataType="float" Unit="V">20000
</BeamVoltage><BeamCurrent DataType="float" Unit="uA">0.002</BeamCurrent></Probe>"""
RASTER = """<Acquisition Class="Raster/XY" ID="Acq0"><DwellTime DataType="float" Unit="ms">250
</DwellTime><DwellTime_Live DataType="float" Unit="s">0.2</DwellTime_Live>
<XStepCount DataType="uint32">{x}</XStepCount><YStepCount DataType="uint32">{y}</YStepCount>
<XStepSize DataType="float" Unit="nm">500</XStepSize>
<YStepSize DataType="float" Unit="um">0.25</YStepSize></Acquisition>"""


def detector(n, calibration=LINEAR, kind="Spectrometer/XEDS", signal="EDS"):
    """A detector of so many channels."""
    return (
        f'<Detector Class="{kind}" ID="Det{n}">'
        f'<ChannelCount DataType="uint32">{n}</ChannelCount>{calibration}'
        f"<SignalType>{signal}</SignalType>"
        '<Elevation DataType="float" Unit="°">40.</Elevation></Detector>'
    )


def element(tag, kind, array, offset, datum=(), collection=(), name="Map", **changes):
    """Describe a set of data; axes are (name, size), fastest first."""

    def dimensions(pairs):
        return "".join(
            f'<Dimension DataType="uint32" Name="{label}">{size}</Dimension>'
            for label, size in pairs
        )

    dtype = np.dtype(array.dtype)
    values = {
        "offset": offset,
        "length": array.nbytes,
        "type": NAMES[dtype.str[1:]],
        "size": dtype.itemsize,
        "include": "",
    } | changes
    return (
        f'<{tag} Class="{kind}" Name="{name}">'
        f'<DataOffset DataType="int64">{values["offset"]}</DataOffset>'
        f'<DataLength DataType="int64">{values["length"]}</DataLength>'
        f'<DatumType SizeInBytes="{values["size"]}">{values["type"]}</DatumType>'
        f"<DatumDimensions>{dimensions(datum)}</DatumDimensions>"
        f"<CollectionDimensions>{dimensions(collection)}</CollectionDimensions>"
        f"<IncludeConditions>{values['include']}</IncludeConditions></{tag}>"
    )


def write_pair(path, arrays, elements, conditions="", header="", uid=UID):
    """Write numbers and text; `header` may have {sha1}."""
    path = Path(path)
    body = b"".join(np.ascontiguousarray(a, a.dtype.newbyteorder("<")) for a in arrays)
    content = bytes.fromhex(UID) + body
    header = header.replace("{sha1}", hashlib.sha1(content).hexdigest().upper())
    text = (
        '\ufeff<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>\n'
        f'<MSAHyperDimensionalDataFile Version="1.0" UID="{uid}" xml:lang="en-US">\n'
        f"<Header>{header}</Header>\n<Conditions>{conditions}</Conditions>\n"
        f"<Data>{''.join(elements)}</Data>\n</MSAHyperDimensionalDataFile>\n"
    )
    hmsa = path.with_suffix(".hmsa")
    hmsa.write_bytes(content)
    hmsa.with_suffix(".xml").write_text(text, encoding="utf-8")
    return path


def make_counts(shape, dtype="<u2", seed=0):
    """Counts of which no two pixels are alike."""
    rng = np.random.default_rng(seed)
    return rng.poisson(3, shape).astype(dtype) + np.arange(
        np.prod(shape[:-1]), dtype=dtype
    ).reshape(*shape[:-1], 1) % np.array(97, dtype)


def write_map(path, shape=(4, 5, 48), dtype="<u2", calibration=LINEAR, header="",
              conditions=None, counts=None, **changes):  # fmt: skip
    """Write a map (y, x, E) and return its path."""
    counts = make_counts(shape, dtype) if counts is None else counts
    y, x, n = counts.shape
    if conditions is None:
        conditions = PROBE + detector(n, calibration) + RASTER.format(x=x, y=y)
    described = element(
        "ImageRaster", "2D/Spectral", counts, 8, [("Channel", n)],
        [("X", x), ("Y", y)], **changes,
    )  # fmt: skip
    return write_pair(path, [counts], [described], conditions, header)


def read_counts(path, shape, dtype="<u2"):
    """Read what was written as anybody would."""
    return np.fromfile(Path(path).with_suffix(".hmsa"), dtype, offset=8).reshape(shape)


def find_parts(path):
    """Return what is where in the numbers, and bytes at which something begins."""
    size = path.stat().st_size
    regions = {"header": [(0, 8)], "data": [(8, size)]}
    return regions, [0, 8, *range(8, size, 480)]
