"""Files of Bruker, with ``struct`` alone: the second opinion, so nothing is imported."""

import base64
import struct
import zlib
from pathlib import Path

HEAD = 0x118
FIRST_LINE = 0x1A0
BLOCK = 3000  # bytes that are compressed together
SHAPE = (5, 7, 512)
FREQUENCY = 1000  # of the pulses, Hz
DWELL = 200_000  # µs of a pixel each time that its row is scanned: 200 pulses
ZERO = 48  # channel of 0 keV


def counts_of_pixel(y, x, n_channels=512, scale=1):
    """Counts of a pixel: its zero peak, fewer where it counts more, and two lines."""
    counts = [0] * n_channels
    counts[ZERO] = (100 + 2 * x + 3 * y) * scale
    counts[100 + x] = 1 + x
    counts[200 + y] = (2 + y) * scale
    counts[n_channels - 1 - x] = 1
    return counts


def packing_of(y, x):
    """Return how a pixel is packed: all ways occur."""
    return (x + 2 * y) % 4


def write_map(path, shape=SHAPE, n_maps=1, compressed=False, **changes):
    """Write a map, of which no two pixels are alike, and return its path.

    Of `changes` are what :func:`header` and :func:`stream` take, ``chunk`` the bytes of a
    chunk, ``raw_streams`` and ``raw_header`` what is written instead.
    """
    chunk, cut_streams = changes.pop("chunk", 2048), changes.pop("raw_streams", None)
    raw_header = changes.pop("raw_header", None)
    own = {
        key: changes.pop(key)
        for key in ("left_out", "not_stored", "packing", "scale")
        if key in changes
    }
    streams = cut_streams or [stream(shape, number=i, **own) for i in range(n_maps)]
    text = raw_header or header(shape, n_maps, **changes)
    files = {"HeaderData": text}
    files |= {f"SpectrumData{i}": raw for i, raw in enumerate(streams)}
    if compressed:
        files = {name: compress(raw) for name, raw in files.items()}
    Path(path).write_bytes(container(files, chunk))
    return Path(path)


def all_counts(shape=SHAPE, left_out=(), not_stored=(), scale=1, number=0):
    """Return the counts of a map as nested lists."""
    n_rows, n_columns, n_channels = shape
    nothing = [0] * n_channels
    return [
        [
            nothing
            if y in left_out or (y, x) in not_stored
            else counts_of_pixel(y, x + number, n_channels, scale)
            for x in range(n_columns)
        ]
        for y in range(n_rows)
    ]


def stream(shape=SHAPE, left_out=(), not_stored=(), packing=None, scale=1, number=0):
    """Pack the pixels of a map."""
    counts = all_counts(shape, left_out, not_stored, scale, number)
    head = struct.pack("<iiII", shape[0], shape[1], shape[2], 1)
    parts = [head.ljust(FIRST_LINE, b"\xaa")]
    for y, row in enumerate(counts):
        stored = [
            record(x, spectrum, packing_of(y, x) if packing is None else packing)
            for x, spectrum in enumerate(row)
            if any(spectrum)
        ]
        parts += [struct.pack("<i", len(stored)), *stored]
    return b"".join(parts)


def record(x, counts, packing, **changes):
    """Pack a pixel."""
    added, n_packed = b"", 0
    filled = [channel for channel, n in enumerate(counts) if n]
    highest = max(filled) + 1 if filled else 0
    events = filled[-1:]  # those that come behind instructions
    if packing < 2:
        events = [channel for channel in filled for _ in range(counts[channel])]
    if packing == 0:
        body = struct.pack(f"<{len(events)}H", *events)
    elif packing == 1:
        body = events_of_12_bits(events)
    else:
        n_packed = highest - 1
        body = instructions(counts[:n_packed]) + struct.pack("<I", 2 * len(events))
        added = struct.pack(f"<{len(events)}H", *events)
    fields = {
        "x": x,
        "highest": highest,
        "n_packed": n_packed,
        "constant": 786432,
        "flag": packing,
        "about": len(body) & 0xFFFF,
        "n_events": len(events),
        "size": len(body),
    } | changes
    return struct.pack("<IHHIHHHI", *fields.values()) + body + added


def events_of_12_bits(events):
    """Pack numbers of 12 bits, and swap the bytes of each pair."""
    bits = "".join(f"{event:012b}" for event in events)
    bits += "0" * (-len(bits) % 16)
    pairs = (bits[i : i + 16] for i in range(0, len(bits), 16))
    return b"".join(struct.pack("<H", int(pair, 2)) for pair in pairs)


def instructions(counts):
    """Pack counts as runs of zeros, of four bits, of 8, 16 and 32."""
    packed = b""
    i = 0
    while i < len(counts):
        if counts[i] == 0:
            n = next((k for k, c in enumerate(counts[i:]) if c), len(counts) - i)
            n = min(n, 255)
            packed += bytes([0, n])
        else:
            part = counts[i : i + 3]
            n, gain = len(part), min(part)
            most = max(part) - gain
            if most < 16 and gain < 256:
                rest = [c - gain for c in part] + [0] * (n % 2)
                pairs = (a | b << 4 for a, b in zip(rest[::2], rest[1::2], strict=True))
                packed += bytes([1, n, gain, *pairs])
            elif most < 256 and gain < 2**16:
                rest = [c - gain for c in part]
                packed += struct.pack(f"<BBH{n}B", 2, n, gain, *rest)
            elif most < 2**16:
                rest = [c - gain for c in part]
                packed += struct.pack(f"<BBI{n}H", 4, n, gain, *rest)
            else:
                rest = [c - gain for c in part]
                packed += struct.pack(f"<BBQ{n}I", 8, n, gain, *rest)
        i += n
    return packed


def image(name, values, width, height, size=4):
    """Write an image of the header."""
    code = {1: "B", 2: "H", 4: "I"}[size]
    raw = base64.b64encode(struct.pack(f"<{len(values)}{code}", *values)).decode()
    named = f' Name="{name}"' if name else ""
    return (
        f'<ClassInstance Type="TRTImageData"{named}><ItemSize>{size}</ItemSize><Width>{width}'
        f"</Width><Height>{height}</Height><PlaneCount>1</PlaneCount><Plane0><Description>"
        f"BSE</Description><Data>{raw}</Data></Plane0></ClassInstance>"
    )


TUBE = """<ClassInstance Type="TRTXrfHeader"><Voltage>50</Voltage><Current>599</Current>
<Anode>45</Anode><TubeType>ixtube-Rh</TubeType><SpotSize>2E1</SpotSize>
<ExcitationAngle>5E1</ExcitationAngle><DetectionAngle>51</DetectionAngle>
<Atmosphere>Air</Atmosphere><ExcitationFilter><FilterId>Al100</FilterId></ExcitationFilter>
</ClassInstance>"""

# As Esprit 1.9 wrote it: what absorbs, mm to the detector, degrees of the anode.
FULL_TUBE = """<ClassInstance Type="TRTXrfHeader"><Voltage>50</Voltage><Current>199</Current>
<Anode>45</Anode><TubeTakeOffAngle>1.2E1</TubeTakeOffAngle><TubeWindow>
<FilterId>Tube window</FilterId><NofLayer>1</NofLayer><AtomicNumber>4</AtomicNumber>
<Thickness>1E2</Thickness><RelativeArea>1</RelativeArea></TubeWindow><Optic>Lens</Optic>
<ExcitationFilter><FilterId>Al 100</FilterId><NofLayer>1</NofLayer>
<AtomicNumber>13</AtomicNumber><Thickness>1E2</Thickness></ExcitationFilter>
<ExcitationAngle>9E1</ExcitationAngle><DetectionAngle>6E1</DetectionAngle>
<DetectionPathLength>1.6E1</DetectionPathLength><ChamberPressure>1E3</ChamberPressure>
<Atmosphere>Helium</Atmosphere></ClassInstance>"""
BERYLLIUM = (
    "<DetectorThickness>0.45</DetectorThickness><WindowType>Beryllium</WindowType>"
    '<WindowLayers><Layer0 Atom="4" Thickness="1.25E1"/></WindowLayers>'
)


def spectrum(n_channels=512, total=None, beam="20", scale="0.01", tube="", channels=None):
    """Write the sum spectrum of a detector."""
    total = total or [0] * n_channels
    text = ",".join(map(str, total))
    layers = base64.b64encode(
        zlib.compress(b'<DetLayers><Layer0 Atom="4" Thickness="1"/></DetLayers>')
    )
    beam = f"<PrimaryEnergy>{beam}</PrimaryEnergy><ElevationAngle>35</ElevationAngle>"
    analysis = f'<ClassInstance Type="TRTESMAHeader">{beam}</ClassInstance>'
    window = BERYLLIUM if tube == FULL_TUBE else ""
    return f"""<ClassInstance Type="TRTSpectrum" Name="sum"><TRTHeaderedClass>
<ClassInstance Type="TRTSpectrumHardwareHeader"><ZeroPeakPosition>{ZERO}</ZeroPeakPosition>
<ZeroPeakFrequency>{FREQUENCY}</ZeroPeakFrequency><Amplification>40000</Amplification>
<RealTime>1000</RealTime><LifeTime>900</LifeTime></ClassInstance>
<ClassInstance Type="TRTDetectorHeader"><Type>XFlash 6|30</Type><DetLayers>{layers.decode()}
</DetLayers>{window}</ClassInstance>{tube or analysis}</TRTHeaderedClass>
<ClassInstance Type="TRTSpectrumHeader"><Date>1.2.2024</Date><Time>10:11:12</Time>
<ChannelCount>{channels or n_channels}</ChannelCount><CalibAbs>-0,48</CalibAbs>
<CalibLin>{scale}</CalibLin></ClassInstance><Channels>{text}</Channels></ClassInstance>"""


def header(
    shape=SHAPE,
    n_maps=1,
    n_detectors=None,
    counter=None,
    pixel_times=None,
    images="",
    microscope="<HV>20</HV><Mag>500</Mag><DX>0,5</DX><DY>0.25</DY>",
    frequency=FREQUENCY,
    start="",
    **of_spectrum,
):
    """Write the header; commas stand in some of its numbers, as of a German Windows."""
    n_rows, n_columns, n_channels = shape
    counter = [2] * n_rows if counter is None else counter
    if pixel_times is not None:
        images += image("PixelTimes", pixel_times, n_columns, n_rows)
    spectra = "".join(
        f"<SpectrumData{i}>{spectrum(n_channels, **of_spectrum)}</SpectrumData{i}>"
        for i in range(n_maps)
    ).replace(f"<ZeroPeakFrequency>{FREQUENCY}<", f"<ZeroPeakFrequency>{frequency}<")
    region = (
        '<ClassInstance Type="TRTSpectrumRegion" Name="Fe"><Line>KA</Line>'
        "<Energy>6,398</Energy></ClassInstance>"
    )
    text = f"""<?xml version="1.0" encoding="WINDOWS-1252" standalone="yes"?>{start}
<TRTSpectrumDatabase><ClassInstance Type="TRTSpectrumDatabase" Name="Map 1">
<Header><Date>1.2.2024</Date><Time>10:11:12</Time><FileVersion>1</FileVersion></Header>
<ClassInstance Type="TRTSEMData">{microscope}</ClassInstance>
<ClassInstance Type="TRTSEMStageData"><X>1.5</X><Tilt>0</Tilt></ClassInstance>
<ClassInstance Type="TRTDSPConfiguration"><PixelAverage>4</PixelAverage>
<LineAverage>1</LineAverage><PixelTime>{DWELL // 8}</PixelTime></ClassInstance>
{images}<ClassInstance Type="TRTContainerClass"><ChildClassInstances>
<ClassInstance Type="TRTElementInformationList"><ClassInstance Type="TRTSpectrumRegionList">
<ChildClassInstances>{region}</ChildClassInstances></ClassInstance></ClassInstance>
</ChildClassInstances></ClassInstance><LineCounter>{",".join(map(str, counter))}</LineCounter>
<ChCount>4096</ChCount><DetectorCount>{n_detectors or n_maps}</DetectorCount>
{spectra}</ClassInstance></TRTSpectrumDatabase>"""
    return text.encode("cp1252")


def compress(raw, block=BLOCK):
    """Compress a file of the container, block by block."""
    blocks = [zlib.compress(raw[i : i + block]) for i in range(0, len(raw), block)]
    head = struct.pack("<4sIII", b"AACS", block, 0, len(blocks)).ljust(0x80, b"\0")
    heads = (struct.pack("<IIII", len(b), block, 0, len(b) + 16) for b in blocks)
    return head + b"".join(h + b for h, b in zip(heads, blocks, strict=True))


def container(files, chunk=2048, folder="EDSDatabase", parents=None):
    """Put files into a container, in a folder; chunks are from 1 on, in reversed order."""
    payload = chunk - 32
    at_once = payload // 512
    n_items = len(files) + 1
    n_table = -(-n_items // at_once)
    chunks = {}  # number: (next, payload)
    following = 1 + n_table
    items = [(0, 0, -1, True, folder)]
    for name, raw in files.items():
        parts = [raw[i : i + payload] for i in range(0, len(raw), payload)]
        n_pointers = max(1, -(-4 * len(parts) // payload))
        tables = list(range(following, following + n_pointers))
        following += n_pointers
        numbers = list(range(following, following + len(parts)))[::-1]
        following += len(parts)
        chunks |= {n: (0, part) for n, part in zip(numbers, parts, strict=True)}
        raw_table = struct.pack(f"<{len(numbers)}I", *numbers)
        chunks |= _chain(tables, raw_table, payload)
        items.append((tables[0], len(raw), 0, False, name))
    if parents is not None:
        items = [
            (*item[:2], p, *item[3:]) for item, p in zip(items, parents, strict=True)
        ]
    packed = [
        struct.pack(
            "<iQQQQIi176s?3s256s32s", t, size, 0, 0, 0, 0, parent, b"", is_folder, b"",
            name.encode(), b"",
        )
        for t, size, parent, is_folder, name in items
    ]  # fmt: skip
    groups = [b"".join(packed[i : i + at_once]) for i in range(0, n_items, at_once)]
    for i, group in enumerate(groups):
        chunks[1 + i] = (2 + i, group)
    content = bytearray(following * chunk + HEAD)
    content[:8] = b"AAMVHFSS"
    struct.pack_into("<fI", content, 0x124, 2.6, chunk)
    struct.pack_into("<III", content, 0x140, 1, n_items, following)
    for number, (after, part) in chunks.items():
        start = number * chunk + HEAD
        struct.pack_into("<I", content, start, after)
        content[start + 32 : start + 32 + len(part)] = part
    return bytes(content)


def _chain(tables, raw, payload):
    parts = [raw[i : i + payload] for i in range(0, max(1, len(raw)), payload)]
    after = [*tables[1:], 0]
    return {n: (a, part) for n, a, part in zip(tables, after, parts, strict=True)}


def write_spectrum(path, tube=TUBE, beam="20"):
    """Write a single spectrum, of a tube of 50 kV, and return its path."""
    total = counts_of_pixel(0, 0)
    node = spectrum(512, total, beam=beam, scale="1E-2", tube=tube)
    text = (
        f'<?xml version="1.0" encoding="WINDOWS-1252"?><TRTSpectrum>{node}</TRTSpectrum>'
    )
    Path(path).write_bytes(text.replace("-0,48", "-0.48").encode("cp1252"))
    return Path(path)


def files_of(content):
    """Return where each file of a container is: (name, its chunks as start and stop)."""
    chunk = struct.unpack_from("<I", content, 0x128)[0]
    number, n_items = struct.unpack_from("<II", content, 0x140)
    payload, found = chunk - 32, []
    for i in range(n_items):
        if i and i % (payload // 512) == 0:
            number = struct.unpack_from("<I", content, number * chunk + HEAD)[0]
        at = number * chunk + HEAD + 32 + i % (payload // 512) * 512
        table, size = struct.unpack_from("<iQ", content, at)
        name = content[at + 224 : at + 480].rstrip(b"\0").decode()
        pieces, left, k = [], size, 0
        while left > 0:
            if k and k % (payload // 4) == 0:
                table = struct.unpack_from("<I", content, table * chunk + HEAD)[0]
            where = table * chunk + HEAD + 32 + 4 * (k % (payload // 4))
            start = struct.unpack_from("<I", content, where)[0] * chunk + HEAD + 32
            pieces.append((start, start + min(left, payload)))
            left, k = left - payload, k + 1
        found.append((name, at, where if pieces else at, pieces))
    return found


def find_parts(path):
    """Tell where the parts of such a file are, and where something begins: for the battery."""
    content = Path(path).read_bytes()
    files = files_of(content)
    parts = {"container": [(0, 0x14C)]}
    parts["items"] = [(at, at + 512) for _, at, _, _ in files]
    parts["pointers"] = [(w // 4 * 4, w + 4) for _, _, w, pieces in files if pieces]
    parts["header"] = next(p for name, _, _, p in files if name == "HeaderData")
    parts["data"] = [
        piece for name, _, _, p in files if name.startswith("Spectrum") for piece in p
    ]
    edges = sorted({edge for spans in parts.values() for span in spans for edge in span})
    return parts, edges


def spread_record(seed, n_channels=4096):
    """Pack a pixel of some hundred counts, here and there, as Esprit does; and its counts."""
    state, counts = seed, [0] * n_channels
    for channel in range(30, 1500):
        state = (1103515245 * state + 12345) % 2**31
        counts[channel] = max(0, state // 2**16 % 8 - 5)
    counts[95] = 50
    body = b""
    for i in range(0, 1500, 250):
        part = counts[i : i + 250]
        pairs = (a | b << 4 for a, b in zip(part[::2], part[1::2], strict=True))
        body += bytes([1, 250, 0, *pairs]) if max(part) < 16 else instructions(part)
    body += struct.pack("<I", 0)
    head = struct.pack("<IHHIHHHI", 0, 1500, 1500, 786432, 2, 0, 0, len(body))
    return head + body, sum(counts)


def write_large(path, n_rows, n_columns):
    """Write a map of 4096 channels whose records are those of a few spectra, over and over.

    Chunks of 1 MiB, not compressed; returns the path and the counts of all of it.
    """
    kinds, counts = zip(*(spread_record(seed) for seed in range(8)), strict=True)
    chunk = 2**20
    payload = chunk - 32
    head = struct.pack("<iiII", n_rows, n_columns, 4096, 1).ljust(FIRST_LINE, b"\0")
    line_bytes = [b"".join(_at(kinds[y], x) for x in range(n_columns)) for y in range(8)]
    size = len(head) + sum(4 + len(line_bytes[y % 8]) for y in range(n_rows))
    picture = image("", [1] * (n_rows * n_columns), n_columns, n_rows, 1)
    text = header((n_rows, n_columns, 4096), images=picture)
    n_chunks = -(-size // payload)
    first = 5 + -(-len(text) // payload)
    with Path(path).open("wb") as file:
        prefix = container_head(chunk, first, size, n_chunks, text)
        file.write(prefix)
        pending, number = bytearray(head), first
        for y in range(n_rows + 1):
            if y < n_rows:
                pending += struct.pack("<i", n_columns) + line_bytes[y % 8]
            while len(pending) >= payload or (y == n_rows and pending):
                file.seek(number * chunk + HEAD + 32)
                file.write(pending[:payload])
                del pending[:payload]
                number += 1
        file.truncate(number * chunk + HEAD)
    return Path(path), n_columns * sum(counts[y % 8] for y in range(n_rows))


def _at(raw, x):
    return struct.pack("<I", x) + raw[4:]


def container_head(chunk, first, size, n_chunks, text):
    """Write all of a container but the stream of spectra, whose chunks are from `first` on."""
    content = bytearray(first * chunk + HEAD)
    content[:8] = b"AAMVHFSS"
    struct.pack_into("<fI", content, 0x124, 2.6, chunk)
    struct.pack_into("<III", content, 0x140, 1, 3, first + n_chunks)
    items = [
        (0, 0, -1, True, "EDSDatabase"),
        (2, len(text), 0, False, "HeaderData"),
        (3, size, 0, False, "SpectrumData0"),
    ]
    for i, (table, n, parent, is_folder, name) in enumerate(items):
        struct.pack_into(
            "<iQQQQIi176s?3s256s32s", content, chunk + HEAD + 32 + 512 * i,
            table, n, 0, 0, 0, 0, parent, b"", is_folder, b"", name.encode(), b"",
        )  # fmt: skip
    payload = chunk - 32
    n_text = range(4, 4 + -(-len(text) // payload))
    struct.pack_into(f"<{len(n_text)}I", content, 2 * chunk + HEAD + 32, *n_text)
    pointers = range(first, first + n_chunks)
    struct.pack_into(f"<{n_chunks}I", content, 3 * chunk + HEAD + 32, *pointers)
    for i, number in enumerate(n_text):
        start, part = number * chunk + HEAD + 32, text[i * payload : (i + 1) * payload]
        content[start : start + len(part)] = part
    return content
