"""EMD files as Velox writes them, with h5py alone: nothing here imports the package.

Layout as measured on files of Velox 3.10 (format version 11).
"""

import json
import random

import h5py
import numpy as np

MARK = 65535
METADATA_BYTES = 60000


def make_counts(shape, seed=0):
    """Counts (detector, frame, y, x, E) that are different everywhere."""
    rng = np.random.default_rng(seed)
    return rng.poisson(0.4, shape).astype(np.uint16)


def to_stream(frames, is_last_marked=False, seed=0):
    """Events of the frames (frame, y, x, E) of one detector, and where frames start."""
    rng = random.Random(seed)
    stream, table = [], []
    for frame in np.asarray(frames):
        table.append(len(stream))
        for row in frame:
            for spectrum in row:
                events = [e for e, n in enumerate(spectrum) for _ in range(int(n))]
                rng.shuffle(events)
                stream += [*events, MARK]
    if stream and not is_last_marked:
        stream.pop()
    return np.array(stream, dtype="<u2"), np.array(table, dtype="<u8")


def text(value):
    return np.array([json.dumps(value, indent=4).encode()], dtype=object)


def put_text(group, name, value):
    group.create_dataset(name, data=text(value), dtype=h5py.string_dtype())


def put_metadata(group, columns, **kwds):
    data = np.zeros((METADATA_BYTES, len(columns)), np.uint8)
    for i, tree in enumerate(columns):
        raw = np.frombuffer(json.dumps(tree).encode(), np.uint8)
        data[: len(raw), i] = raw
    group.create_dataset("Metadata", data=data, chunks=(METADATA_BYTES, 1), **kwds)


def metadata(detector, index, n_detectors, shape, frame=0, **changes):
    """What Velox says of one frame (rows, columns) of one detector."""
    n_rows, n_columns = shape
    seconds = (frame + 1) * n_rows * n_columns * 1e-3
    tree = {
        "Instrument": {"InstrumentClass": "Titan"},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1709189884"}},
        "Optics": {"AccelerationVoltage": "300000", "CameraLength": "0.1159"},
        "Stage": {
            "Position": {"x": "-0.0004161", "y": "0.0004002", "z": "-0.0001436"},
            "AlphaTilt": "0.1",
            "BetaTilt": "-0.2",
        },
        "Scan": {
            "ScanSize": {"width": str(8 * n_columns), "height": str(8 * n_rows)},
            "ScanArea": {
                "left": "0.25",
                "top": "0.5",
                "right": "0.375",
                "bottom": "0.625",
            },
            "FrameTime": "0.288",
        },
        "Detectors": {
            "Detector-0": {"DetectorName": "HAADF", "Gain": "38", "Offset": "-1"},
        }
        | {
            f"Detector-{i + 1}": {
                "DetectorName": f"SuperX{i + 1}",
                "ElevationAngle": "0.31415927",
                "AzimuthAngle": str(0.785398 * (1 + 2 * i)),
                "Dispersion": "10",
                "OffsetEnergy": "-250",
                "RealTime": str(seconds),
                "LiveTime": str(seconds * (0.9 - 0.1 * i)),
            }
            for i in range(n_detectors)
        },
        "BinaryResult": {
            "Detector": detector,
            "DetectorIndex": str(index),
            "PixelSize": {"width": "3.6e-09", "height": "3.6e-09"},
            "PixelUnitX": "m",
            "PixelUnitY": "m",
            "Offset": {"x": "-3.96e-08", "y": "-3.24e-08"},
        },
        "CustomProperties": {"StemMagnification": {"type": "double", "value": "225000"}},
    }
    return tree | changes


def uuid(i):
    return f"{i:032x}"


def put_links(file, has_feature):
    """Say which image was acquired with the map, and what was chosen."""
    shared = file.create_group("SharedProperties")
    reference = shared.create_group("ImageSeriesDataReference")
    put_text(reference, "a" * 32, {"dataPath": f"/Data/Image/{uuid(400)}"})
    link = f"/SharedProperties/ImageSeriesDataReference/{'a' * 32}"
    settings = {"elementSelection": [6, 8, 20, 29], "elementProperties": []}
    quantification = shared.create_group("EDSSpectrumQuantificationSettings")
    put_text(quantification, "b" * 32, settings)
    if has_feature:
        feature = {"stem": {"stemDetectors": [{"data": link}]}}
        put_text(file.create_group("Features/SIFeature"), "c" * 32, feature)
    display = {"id": "HAADF", "data": link, "title": "HAADF"}
    put_text(file.create_group("Displays/ImageDisplay"), "d" * 32, display)


def write_velox(
    path,
    counts=None,
    streams=None,
    bincount=None,
    chunk=16,
    is_last_marked=False,
    has_table=True,
    n_frames=None,
    image_shape=None,
    other_images=(),
    has_feature=True,
    has_spectra=True,
    n_metadata=None,
    changes=None,
    version="11",
    **kwds,
):
    """Write a map (detector, frame, y, x, E) as Velox does and return the path.

    `streams` replaces what is in the streams, `other_images` are shapes of images of other
    acquisitions, `changes` replaces parts of the metadata, keywords go to h5py.
    """
    counts = make_counts((2, 3, 4, 5, 32)) if counts is None else np.asarray(counts)
    n_detectors, frames, n_rows, n_columns, n_channels = counts.shape
    shape = (n_rows, n_columns)
    changes = changes or {}
    with h5py.File(path, "w") as file:
        put_text(file, "Version", {"version": version, "format": "Velox"})
        put_text(file, "Info", {"applicationVersion": "3.10.1.9-7e5f4afb1c"})
        data = file.create_group("Data")
        names = [f"SuperX{i + 1}" for i in range(n_detectors)]
        for i, name in enumerate(names):
            group = data.create_group(f"SpectrumStream/{uuid(100 - i)}")
            if streams is None or has_table:
                stream, table = to_stream(counts[i], is_last_marked, seed=i)
            if streams is not None:
                stream = np.asarray(streams[i], dtype="<u2")
            group.create_dataset(
                "Data",
                data=stream[:, None],
                chunks=(chunk, 1),
                maxshape=(None, 1),
                **kwds,
            )
            if has_table:
                group.create_dataset(
                    "FrameLocationTable",
                    data=table[:, None],
                    chunks=(8192, 1),
                    maxshape=(None, 1),
                    **kwds,
                )
            settings = {
                "encoding": "uint16",
                "bincount": str(bincount or n_channels),
                "StreamEncoding": "uint16",
                "Size": "2097152",
                "RasterScanDefinition": {"Width": "128", "Height": "128"},
            }
            put_text(group, "AcquisitionSettings", settings)
            columns = [
                metadata(name, i + 1, n_detectors, shape, frame, **changes)
                for frame in range(frames if n_metadata is None else n_metadata)
            ]
            put_metadata(group, columns, **kwds)
            if has_spectra:
                group = data.create_group(f"Spectrum/{uuid(200 + i)}")
                spectrum = counts[i].sum((0, 1, 2)).astype(np.uint32)
                group.create_dataset(
                    "Data", data=spectrum[:, None], chunks=(n_channels, 1), **kwds
                )
                last = metadata(name, i + 1, n_detectors, shape, frames - 1, **changes)
                put_metadata(group, [last], **kwds)
        group = data.create_group(f"SpectrumImage/{uuid(300)}")
        group.create_dataset("Data", data=np.zeros((64, 1), np.uint8))
        put_metadata(group, [metadata("SuperX", 1, n_detectors, shape, **changes)])
        number = str(frames if n_frames is None else n_frames)
        settings = {"startFramePosition": "1", "endFramePosition": number}
        put_text(group, "SpectrumImageSettings", settings)
        images = [image_shape or shape, *other_images]
        for i, (y, x) in enumerate(images):
            group = data.create_group(f"Image/{uuid(400 + i)}")
            pixels = np.arange(y * x * frames).reshape(y, x, frames).astype(np.uint16)
            group.create_dataset("Data", data=pixels, chunks=(y, x, 1))
            put_metadata(
                group, [metadata("HAADF", 0, n_detectors, shape, **changes)] * frames
            )
        put_links(file, has_feature)
    return path


def write_map(path):
    return write_velox(path)


def write_ncem(path, counts=None, signal_type="EDS_TEM", title="map"):
    """Write a map (y, x, E) as RosettaSciIO saves it."""
    counts = make_counts((4, 5, 32)) if counts is None else counts
    axes = [("E", "keV", 0.1, 0.01), ("x", "nm", 5.0, 2.0), ("y", "nm", 7.0, 3.0)]
    names = {"E": "Energy"}
    with h5py.File(path, "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = "0", "2"
        for name in ("microscope", "sample", "user", "comments"):
            file.create_group(name)
        file["microscope"].attrs["name"] = "Titan"
        file.create_group("signals").attrs["emd_group_type"] = 1
        group = file.create_group(f"signals/{title}")
        group.attrs["emd_group_type"] = 1
        group.attrs["signal_type"] = signal_type
        chunks = tuple(max(1, n // 2) for n in counts.shape[::-1])
        group.create_dataset("data", data=counts.T, chunks=chunks)
        for i, (name, units, offset, scale) in enumerate(axes):
            dim = group.create_dataset(f"dim{i + 1}", data=[offset, offset + scale])
            dim.attrs["name"] = names.get(name, name)
            dim.attrs["units"] = f"[{'_'.join(units)}]"
    return path
