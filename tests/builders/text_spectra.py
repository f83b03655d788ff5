"""Spectra as text in each dialect, and folders of them; nothing here imports the package."""

from pathlib import Path

import numpy as np

AMPTEK = """<<PMCA SPECTRUM>>
TAG - live_data
DESCRIPTION -{blank}
GAIN - 2
LIVE_MODE - 0
PRESET_TIME - 0
LIVE_TIME - {live}
REAL_TIME - {real}
START_TIME - 11/10/2020 11:47:50
SERIAL_NUMBER - 1234
{calibration}<<ROI>>
10 20
30 45
<<DATA>>
{counts}
<<END>>
<<DP5 CONFIGURATION>>
RESC=Y;    Reset Configuration
MCAC=2048;    MCA/MCS Channels
<<DP5 CONFIGURATION END>>
<<DPP STATUS>>
Device Type: DP5
Serial Number: 1234
<<DPP STATUS END>>
"""
PAIRS = ((0, 0.0), (600, 10.549), (1200, 21.2))
EPICS = """VERSION:    3.1
ELEMENTS:   {n}
DATE:       Feb 07, 2005 03:35:31.649
CHANNELS:   {channels}
ROIS:       1
REAL_TIME:  {real}
LIVE_TIME:  {live}
CAL_OFFSET: {offset}
CAL_SLOPE:  {slope}
CAL_QUAD:   {quad}
TWO_THETA:   10.0000000
ROI_0_LEFT:   {left}
ROI_0_RIGHT:  {right}
ROI_0_LABEL: {label}
ENVIRONMENT: S:SRcurrentAI.VAL="84.0018" (Storage Ring Current (from APS))
ENVIRONMENT: 13IDA:E:Energy.VAL="11800.00000" (Mono Energy request)
DATA:
{counts}
"""
AXIL = """$SPEC_ID:
steel 4
$DATE_MEA:
11/10/2020 11:47:50
$MEAS_TIM:
90 100
$MCA_CAL:
3
-0.05 0.01 0 keV
$DATA:
{first} {last}
{counts}
"""


def make_counts(n=64, seed=0):
    return np.random.default_rng(seed).integers(0, 1000, n)


def encode(text, newline="\r\n"):
    return text.replace("\n", newline).encode("latin-1")


def amptek(counts, live="0.9", real="1.0", pairs=PAIRS, newline="\r\n"):
    """An Amptek file, as bytes."""
    lines = "".join(f"{channel} {energy}\n" for channel, energy in pairs)
    calibration = f"<<CALIBRATION>>\nLABEL - Channel\n{lines}" if pairs else ""
    text = AMPTEK.format(
        live=live,
        real=real,
        calibration=calibration,
        counts="\n".join(map(str, counts)),
        blank=" ",
    )
    return encode(text, newline)


def epics(counts, live=(1.8,), real=(2.0,), offset=(0.02,), slope=(0.0139,), quad=(0.0,)):
    """An EPICS file, as bytes; counts are (channels, detectors)."""
    counts = np.reshape(counts, (len(counts), -1))
    n = counts.shape[1]

    def each(values):
        return " ".join(
            f"{value:.7e}" for value in (*values, *values * (n - len(values)))
        )

    text = EPICS.format(
        n=n,
        channels=len(counts),
        real=each(real),
        live=each(live),
        offset=each(offset),
        slope=each(slope),
        quad=each(quad),
        left=" ".join(["258"] * n),
        right=" ".join(["281"] * n),
        label="Ca Ka & " * n,
        counts="\n".join(" ".join(map(str, row)) for row in counts),
    )
    return encode(text, "\n")


def axil(counts, first=0, last=None):
    """An AXIL file, as bytes; eight counts a line."""
    rows = [counts[i : i + 8] for i in range(0, len(counts), 8)]
    text = AXIL.format(
        first=first,
        last=first + len(counts) - 1 if last is None else last,
        counts="\n".join("".join(f"{c:9d}." for c in row) for row in rows),
    )
    return encode(text)


def write_map(path, n=64):
    """Write an Amptek spectrum, and return its path."""
    Path(path).write_bytes(amptek(make_counts(n)))
    return Path(path)


def write_epics(path, n=64):
    """Write the spectra of three detectors, and return the path."""
    counts = make_counts(3 * n).reshape(n, 3)
    Path(path).write_bytes(epics(counts, live=(1.8, 1.7, 1.6), real=(2.0, 2.0, 2.0)))
    return Path(path)


def write_axil(path, n=64):
    """Write an AXIL spectrum, and return its path."""
    Path(path).write_bytes(axil(make_counts(n)))
    return Path(path)


def write_folder(folder, shape=(4, 6), n=32, name="scan_{}.mca", first=1, write=amptek):
    """Write a folder of spectra, row by row, and return their counts, (y, x, E)."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    counts = np.random.default_rng(1).poisson(3, (*shape, n))
    for i, own in enumerate(counts.reshape(-1, n)):
        (folder / name.format(i + first)).write_bytes(write(own))
    return counts


def find_parts(path):
    """Tell where keywords and counts are, and where each line begins: for the battery."""
    content = Path(path).read_bytes()
    header, data, starts, at, is_data = [], [], [], 0, False
    for line in content.splitlines(keepends=True):
        is_number = not line.strip(b" \r\n.0123456789")
        mark = line.strip().upper()
        is_data = is_data if is_number else mark in (b"<<DATA>>", b"DATA:", b"$DATA:")
        (data if is_data and is_number else header).append((at, at + len(line)))
        starts.append(at)
        at += len(line)
    return {"header": header, "data": data}, starts
