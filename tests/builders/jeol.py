"""Files of JEOL's Analysis Station, with ``struct`` alone: the second opinion."""

import random
import struct
import sys
from array import array
from pathlib import Path

POSITIONS = 4096
N_CHANNELS = 4096
SHAPE = (8, 16)
N_FRAMES = 3
HEAD = 305  # byte of the header, as in all files seen
DATA = 16384  # byte of the stream
DWELL = 10.0  # ms of a pixel in a frame: one tick of the clock
ZERO = 96  # channel of 0 keV
CHANNEL = 0.01  # keV
SCAN_SIZE, MAGNIFICATION = 178.0, 40000  # mm
DAYS = 43500.5  # 2019-02-04, 12:00


def events_of(frame, y, x):
    """Return the channels of the X-rays of a pixel in a frame: no two pixels are alike."""
    return (
        [200 + x] * (1 + (x + frame) % 3) + [500 + y] * (frame + 1) * (y % 2) + [4095 - x]
    )


def is_dead(frame, y, x):
    """Tell whether the tick of live time of a pixel is missing."""
    return (x + 2 * y + frame) % 5 == 0


def image_of(frame, y, x):
    """Return the electron signal of a pixel."""
    return 10 * y + x + 1000 * frame


def write_map(path, shape=SHAPE, n_frames=N_FRAMES, **changes):
    """Write a map and return its path.

    Of `changes` are what :func:`stream` and :func:`header` take; ``raw`` is written instead of
    the stream, ``raw_header`` instead of the header; ``data_bytes`` is what the head says.
    """
    own = {
        key: changes.pop(key)
        for key in ("rows_of_last", "steps", "has_image", "has_clock", "columns_of_last")
        if key in changes
    }
    raw = changes.pop("raw", None)
    raw = stream(shape, n_frames, **own) if raw is None else raw
    n_bytes = changes.pop("data_bytes", len(raw))
    n_head = changes.pop("head_bytes", None)
    text = changes.pop("raw_header", None) or tree(header(shape, n_frames, **changes))
    n_head = len(text) + 12 if n_head is None else n_head
    head = struct.pack(
        "<I8s6I", 304, b"PTTDFILE", 0x20000, 1, HEAD, n_head, DATA, n_bytes
    )
    head += b"group".ljust(128, b"\0") + b"\x95\xaa\x90\xcd".ljust(
        132, b"\0"
    )  # shift-jis
    head += struct.pack("<d", DAYS)
    content = (head.ljust(HEAD + 12, b"\0") + text).ljust(DATA, b"\0") + raw
    Path(path).write_bytes(content)
    return Path(path)


def stream(
    shape=SHAPE,
    n_frames=N_FRAMES,
    rows_of_last=None,
    columns_of_last=None,
    steps=None,
    has_image=False,
    has_clock=True,
):
    """Return the words of frames, of which the last can be cut off in a row."""
    n_rows, n_columns = shape
    y_step, x_step = steps or (POSITIONS // n_rows, POSITIONS // n_columns)
    words = []
    for frame in range(n_frames):
        is_cut = rows_of_last is not None and frame == n_frames - 1
        for y in range(rows_of_last if is_cut else n_rows):
            words.append(0x9000 | int(y * y_step))
            is_end = is_cut and columns_of_last is not None and y == rows_of_last - 1
            for x in range(columns_of_last if is_end else n_columns):
                words.append(0x8000 | int(x * x_step))
                first, *others = (0xB000 | channel for channel in events_of(frame, y, x))
                words.append(first)
                words += [0xA000 | image_of(frame, y, x)] * has_image
                words += others
                words += [0x6000] * has_clock
                words += [0x7000] * (has_clock and not is_dead(frame, y, x))
    return struct.pack(f"<{len(words)}H", *words)


def n_ticks(shape=SHAPE, frames=range(N_FRAMES)):
    """Return the ticks of real and of live time of some frames."""
    n_rows, n_columns = shape
    live = sum(
        not is_dead(frame, y, x)
        for frame in frames
        for y in range(n_rows)
        for x in range(n_columns)
    )
    return len(frames) * n_rows * n_columns, live


def header(shape=SHAPE, n_frames=N_FRAMES, **changes):
    """Return what the header of a map says, with items that are changed, or None to leave out.

    Keys of `changes` are those of the innermost groups.
    """
    n_rows, n_columns = shape
    real, live = (0, 0) if "RealTime" in changes else n_ticks(shape, range(n_frames))
    doc = {
        "LiveTime": live / 100,
        "RealTime": real / 100,
        "CountRate": (561, {"n": 1363}),
        "DwellTime(msec)": DWELL,
        "Sweep": struct.pack("<H", n_frames),
        "CoefA": CHANNEL,
        "CoefB": -0.001,
    }
    conditions = {
        "Tpl": "T4",
        "Pixels": f"{n_columns}x{n_rows}",
        "LTDwellT": False,
        "Aim Area": struct.pack("<4H", 0, 0, n_columns - 1, n_rows - 1) * (n_rows > 1),
    }
    beam = {"AccKV": (20.0, {"Limits": b"\1" * 48}), "Mag": MAGNIFICATION}
    microscope = {
        "SEM": "JSM",
        "DetT": "EX1",
        b"\xce\xdf\xb0\xc4": "ED",
        "MnKaRES": 138.0,
        "DirAng": 90.0,
        "ElevAng": 22.5,
        b"ScanSize\xde": SCAN_SIZE,
    }
    setup = {"DigZ": struct.pack("<H", ZERO)}
    for group in (doc, conditions, beam, microscope, setup):
        for key in set(group) & set(changes):
            group[key] = changes[key]
    for group in (doc, conditions, beam, microscope, setup):
        for key in [key for key, value in group.items() if value is None]:
            del group[key]
    params = {
        "PARAMPAGE0": ("SEM", microscope),
        "PARAMPAGE1": ("EDXRF", {"NumCH": 4096, "Tpl": {"T4": setup}}),
    }
    data = {"Doc": doc, "Meas Cond": conditions, "MeasCond": beam}
    return {
        "PTTD Param": {"Params": params},
        "PTTD Data": {"AnalyzableMap MeasData": data},
    }


def tree(group):
    """Encode a tree: groups are dictionaries, a value with entries within it is a pair."""
    return b"".join(entry(key, value) for key, value in group.items()) + b"\xff"


def entry(key, value):
    """Encode an entry; bytes are 16-bit numbers, but of Bits and Limits, which are bytes."""
    name = (key if isinstance(key, bytes) else key.encode()) + b"\0"
    value, inner = value if isinstance(value, tuple) else (value, {})
    if isinstance(value, dict):
        kind, raw, inner = 0, b"", value
    elif isinstance(value, bool):
        kind, raw = 11, struct.pack("<?", value)
    elif isinstance(value, int):
        kind, raw = 3, struct.pack("<i", value)
    elif isinstance(value, float):
        kind, raw = 5, struct.pack("<d", value)
    elif isinstance(value, list):
        kind, raw = 8, struct.pack(f"<{len(value)}i", *value)
    elif isinstance(value, bytes):
        kind = {"Limits": 65553, "Bits": 6}.get(key, 2 if len(value) == 2 else 7)
        raw = value
    else:
        kind, raw = 12, value.encode("shift_jis") + b"\0"
    head = struct.pack("<bi", 1, len(name)) + name
    return head + struct.pack("<ii", kind, len(raw)) + raw + tree(inner)


def write_image(path, shape=(4, 6), magnification=MAGNIFICATION, **changes):
    """Write an image, ``.img`` or ``.map``, and return its path."""
    n_rows, n_columns = shape
    image = {
        "Size": [n_columns, n_rows],
        "Bits": bytes(range(n_rows * n_columns)),
        "Created": DAYS,
        "Title": "SEI",
    } | changes
    instrument = {"ScanSize": SCAN_SIZE, "Mag": magnification, "AccV": 20.0}
    text = tree({"Instrument": instrument, "Image": image})
    head = struct.pack("<I32s3I", 52, b"JEOL image", 48, 12, 48) + b"\0" * 12
    Path(path).write_bytes(head + text)
    return Path(path)


def write_spectrum(path, counts=range(32), n_channels=None):
    """Write a single spectrum, ``.eds``, and return its path."""
    counts = list(counts)
    n = len(counts) if n_channels is None else n_channels
    content = struct.pack("<I6sd80s32s", 1, b"", DAYS, b"point", b"user")
    content += struct.pack("<i10d", 1, *range(10)) + struct.pack("<i9d", 7, *[1.5] * 9)
    content += struct.pack("<i4d", 0, 0, 0, 0, 0) + struct.pack("<i4d", 0, 0, 0, 0, 0)
    content += struct.pack("<2d32sid32si", CHANNEL, -0.9, b"state", 0, 0, b"T4", n)
    content += struct.pack(f"<{len(counts)}i", *counts)
    content += struct.pack("<5i", 0, 0, 0, 0, 5)
    content += struct.pack("<16s16s16s2d38x", b"EX1", b"JSM", b"ED", 20.0, 0.5)
    content += struct.pack("<6di", 138.0, 10.0, 50.0, 0.0, 22.5, 90.0, 0)
    content += struct.pack("<d5H5d", 178.0, 1, 2, 3, 4, 5, 5.5, 90.0, 0.0, 22.5, 30.0)
    content += struct.pack("<4sHd16s6H6d", b"Al", 13, 0.02, b"", *[0] * 6, *[0.0] * 6)
    content += struct.pack("<d4sH3d", 1.1, b"Au", 79, 0.02, 0.1, 3.0)
    Path(path).write_bytes(content)
    return Path(path)


def write_project(path, **changes):
    """Write a project with an image, a map and a spectrum; return its path.

    `changes` are names of its files, by their number, or None to leave the file away.
    """
    path = Path(path)
    folder = path.parent / "Sample" / "00_View000"
    folder.mkdir(parents=True, exist_ok=True)
    writers = {"a.img": write_image, "b.pts": write_map, "c.eds": write_spectrum}
    files = {}
    for i, (name, write) in enumerate(writers.items()):
        said = changes.get(f"file_{i}", f"Sample\\00_View000\\{name}")
        if said is not None:
            write(folder / name)
        files[str(i)] = {
            "Filename": said or f"Sample\\00_View000\\{name}",
            "Memo": "試料",
        }
    files["3"] = {"Filename": "Sample\\00_View000\\d.apb", "Memo": ""}
    views = {"0": {"PositionMM": [0, 0], "ViewData": files}}
    samples = {"0": {"ViewInfo": views}}
    path.write_bytes(struct.pack("<3I", 0, 0, 0) + tree({"SampleInfo": samples}))
    return path


def decode(path):
    """Return (n_rows, n_columns), the number of frames, and X-rays: (frame, y, x, channel).

    Positions are those of a map whose sizes divide 4096.
    """
    content = Path(path).read_bytes()
    (start,) = struct.unpack_from("<I", content, 28)
    at = content.index(b"Pixels\0") + 15
    pixels = content[at : content.index(b"\0", at)]
    n_columns, n_rows = (int(n) for n in pixels.split(b"x"))
    n_words = (len(content) - start) // 2
    events, frame, y, x = [], -1, POSITIONS, None
    for word in struct.unpack_from(f"<{n_words}H", content, start):
        kind, value = word >> 12, word & 0xFFF
        if kind == 9:
            frame += value < y
            y, x = value, None
        elif kind == 8:
            x = value
        elif kind == 11 and x is not None and frame >= 0:
            place = y * n_rows // POSITIONS, x * n_columns // POSITIONS
            events.append((frame, *place, value))
    return (n_rows, n_columns), frame + 1, events


def write_large(path, shape=(512, 512), n_frames=14, n_repeats=1, rate=0.084):
    """Write a map as a microscope does: few X-rays in a pixel, of lines and a background.

    `rate` is how many there are in a pixel of a frame, as in RosettaSciIO's test file. Frames
    of 0.1 ms a pixel follow each other, and all of them again, `n_repeats` times. Returns the
    path and the number of X-rays.
    """
    draw = random.Random(0)
    n_rows, n_columns = shape
    words, n_events = array("H"), 0
    for _ in range(n_frames):
        for y in range(n_rows):
            words.append(0x9000 | y * POSITIONS // n_rows)
            n = sum(draw.random() < rate for _ in range(n_columns))
            columns = sorted(draw.randrange(n_columns) for _ in range(n))
            every = max(1, n * 10 // max(1, n_columns // 10))
            for i, x in enumerate(columns):
                if i == 0 or x != columns[i - 1]:
                    words.append(0x8000 | x * POSITIONS // n_columns)
                channel = draw.randrange(100, 2000)
                if draw.random() < 0.6:
                    channel = draw.choice((148, 270, 450, 740, 900)) + int(
                        draw.gauss(0, 4)
                    )
                words.append(0xB000 | channel)
                if i % every == 0:
                    words.extend((0x6000, 0x7000) if draw.random() < 0.9 else (0x6000,))
            n_events += n
    real, live = (words.count(word) * n_repeats / 100 for word in (0x6000, 0x7000))
    if sys.byteorder == "big":
        words.byteswap()
    options = {"RealTime": real, "LiveTime": live, "DwellTime(msec)": 0.1}
    raw = words.tobytes() * n_repeats
    write_map(path, shape, n_frames * n_repeats, raw=raw, **options)
    return Path(path), n_events * n_repeats
