"""GeoPIXE files byte by byte, and a decoder, with ``struct`` and ``json`` alone.

Nothing here imports the package: what it writes and reads is an independent witness.
"""

import itertools
import json
import random
import struct
from pathlib import Path

RECORD = "<2sIHHHf"


def header_tree(n_columns=7, n_rows=5, n_detectors=2, n_channels=32, **fields):
    """The header of a map; further keywords replace fields of "File Header"."""
    file_header = {
        "Timestamp": "10/26/2022 at 10:55 am",
        "Dwell (mS)": 100.0,
        "Xres": n_columns,
        "Yres": n_rows,
        "Width (mm)": 0.7,
        "Height (mm)": 1.0,
        "Dets": n_detectors,
        "Chan": n_channels,
        "Gain (eV)": 10.0,
        "Deadtime (%)": 0,
    }
    source = {"KV": 50.0, "UA (µA)": 200.0, "Elt": "Mo", "Filter": "None"}
    source |= {"Incid (°)": 70.0, "Take (°)": 20.0}
    return {"File Header": file_header | fields, "X-ray Source": source}


def header_text(tree, n_detector_entries=2):
    """JSON in which the key "Detector" stands once for each detector."""
    text = json.dumps(tree, indent="\t")
    entries = [
        json.dumps({"Idx": i, "Elt": 14, "Azim (°)": 10.0 * i, "Alpha (°)": 2.35e30})
        for i in range(n_detector_entries)
    ]
    return (
        text[:-2] + "".join(f',\n\t"Detector": {e}' for e in entries) + "\n}"
    ).encode()


def record(x, y, detector, entries, dead_time=10.0, mark=b"DP", length=None):
    """One record; entries are (channel, counts)."""
    length = 16 + 4 * len(entries) if length is None else length
    flat = [number for entry in entries for number in entry]
    head = struct.pack(RECORD, mark, length, x, y, detector, dead_time)
    return head + struct.pack(f"<{len(flat)}H", *flat)


def random_records(n_columns=7, n_rows=5, n_detectors=2, n_channels=32, seed=0):
    """Records in raster order, each with counts and a dead time of its own."""
    rng = random.Random(seed)
    records = []
    for y in range(n_rows):
        for x in range(n_columns):
            for detector in range(n_detectors):
                n_entries = rng.randrange(min(n_channels, 12) + 1)
                channels = sorted(rng.sample(range(n_channels), n_entries))
                entries = [(c, rng.randrange(1, 300)) for c in channels]
                dead_time = rng.uniform(1, 90)
                records.append(record(x, y, detector, entries, dead_time))
    return records


def write(path, tree, records, n_detector_entries=2, text=None):
    """Write a file and return its path."""
    text = header_text(tree, n_detector_entries) if text is None else text
    Path(path).write_bytes(struct.pack("<H", len(text)) + text + b"".join(records))
    return Path(path)


def write_map(path, seed=0, order=None, **size):
    """Write a random map, its records in the order given by a function of the list."""
    records = random_records(seed=seed, **size)
    if order is not None:
        records = order(records)
    n_detectors = size.get("n_detectors", 2)
    return write(path, header_tree(**size), records, n_detector_entries=n_detectors)


def write_counts(path, each, gain=10.0):
    """Write counts of detectors, shape (rows, columns, channels), dead 10, 11, ... percent."""
    n_rows, n_columns, n_channels = each[0].shape
    records = []
    for y, x, d in itertools.product(range(n_rows), range(n_columns), range(len(each))):
        own = each[d][y, x]
        entries = [(int(c), int(own[c])) for c in own.nonzero()[0]]
        records.append(record(x, y, d, entries, 10.0 + d))
    tree = header_tree(n_columns, n_rows, len(each), n_channels)
    tree["File Header"]["Gain (eV)"] = gain
    return write(path, tree, records)


def unmark(header):
    """A header's text without the field that says who wrote it, which has to be the first."""
    mark = '"Written by": "rsciio_xfm"'
    start = header.index('"File Header"')
    at = header.index("{", start) + 1
    assert header[at:].lstrip().startswith(mark)
    rest = header[header.index(mark) + len(mark) :]
    return header[: header.index(mark)] + rest.removeprefix(",").lstrip()


def unmarked(path):
    """The bytes of a file that the package wrote, without that field."""
    raw = path.read_bytes()
    (length,) = struct.unpack_from("<H", raw)
    header = unmark(raw[2 : 2 + length].decode()).encode()
    return struct.pack("<H", len(header)) + header + raw[2 + length :]


def decode(path):
    """Decode a file: {(x, y, detector): (dead time's bytes, {channel: counts})}."""
    content = Path(path).read_bytes()
    at = 2 + struct.unpack_from("<H", content)[0]
    spectra = {}
    while at + 16 <= len(content):
        mark, length, x, y, detector, _ = struct.unpack_from(RECORD, content, at)
        assert mark == b"DP"
        if at + length > len(content):
            break  # cut off
        numbers = struct.unpack_from(f"<{(length - 16) // 2}H", content, at + 16)
        counts = dict(zip(numbers[::2], numbers[1::2], strict=True))
        spectra[x, y, detector] = (content[at + 12 : at + 16], counts)
        at += length
    return spectra
