"""``.datastack`` files and raw scans, made by hand: nothing of the package is used."""

import itertools
import json
import math
import zipfile

import numpy as np

SHAPE = (5, 7, 64)
KEV = np.linspace(-0.5, 5.8, SHAPE[2])


def make_counts(shape=SHAPE, dtype=np.uint16, seed=0):
    rng = np.random.default_rng(seed)
    counts = rng.poisson(np.exp(-(((np.arange(shape[2]) - 20) / 8) ** 2)) * 9, shape)
    return counts.astype(dtype)


def make_arrays(shape=SHAPE, dtype=np.uint16):
    counts = make_counts(shape, dtype)
    return {
        "maxrf_cube": counts,
        "maxrf_maxspectrum": counts.max(axis=(0, 1)).astype(np.float32),
        "maxrf_sumspectrum": counts.mean(axis=(0, 1)).astype(np.float32),
        "maxrf_energies": np.linspace(-0.5, 5.8, shape[2]),
    }


def encode(codec, chunk):
    if codec is None:
        return chunk.tobytes()
    import numcodecs

    return bytes(numcodecs.get_codec(codec).encode(chunk))


def describe(array, chunks, zarr_format, codec, **changes):
    if zarr_format == 2:
        tree = {
            "chunks": chunks,
            "compressor": codec,
            "dtype": array.dtype.str,
            "fill_value": 0,
            "filters": None,
            "order": "C",
            "shape": array.shape,
            "zarr_format": 2,
        }
        return ".zarray", json.dumps(tree | changes)
    codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
    if codec is not None:
        options = {k: v for k, v in codec.items() if k != "id"}
        if codec["id"] == "blosc":
            options |= {"typesize": array.dtype.itemsize, "shuffle": "shuffle"}
        codecs.append({"name": codec["id"], "configuration": options})
    tree = {
        "shape": array.shape,
        "data_type": array.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": codecs,
        "attributes": {},
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }
    return "zarr.json", json.dumps(tree | changes)


def write_array(archive, name, array, chunks=None, zarr_format=3, codec=None, **changes):
    chunks = tuple(chunks or (max(1, n) for n in array.shape))
    text_name, text = describe(array, chunks, zarr_format, codec, **changes)
    archive.writestr(f"{name}/{text_name}", text)
    grid = [math.ceil(n / c) for n, c in zip(array.shape, chunks, strict=True)]
    for index in itertools.product(*map(range, grid)):
        whole = np.zeros(chunks, dtype=array.dtype.newbyteorder("<"))
        part = array[
            tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunks, strict=True))
        ]
        whole[tuple(map(slice, part.shape))] = part
        numbers = [str(i) for i in index]
        key = ".".join(numbers) if zarr_format == 2 else "/".join(["c", *numbers])
        archive.writestr(f"{name}/{key}", encode(codec, whole))


def write_stack(path, arrays=None, chunks=(2, 3, 40), zarr_format=3, codec=None):
    """Write a stack; `chunks` are the cube's."""
    with zipfile.ZipFile(path, "w") as archive:
        if zarr_format == 2:
            archive.writestr(".zgroup", '{"zarr_format": 2}')
        else:
            root = {"attributes": {}, "zarr_format": 3, "node_type": "group"}
            archive.writestr("zarr.json", json.dumps(root))
        for name, array in (arrays or make_arrays()).items():
            own = chunks if name.startswith("maxrf_cube") else None
            write_array(archive, name, array, own, zarr_format, codec)
    return path


RPL = """key\tvalue
width\t{width}
height\t{height}
depth\t{depth}
offset\t{offset}
data-Length\t{length}
data-type\t{kind}
byte-order\t{order}
record-by\t{record}"""


def write_raw(
    folder,
    counts=None,
    name="scan",
    offset=0,
    order="little-endian",
    record="vector",
    text=RPL,
    more="",
):
    """Write a pair of files, and return their paths."""
    counts = make_counts() if counts is None else counts
    kinds = {"u": "unsigned", "i": "signed", "f": "float"}
    height, width, depth = counts.shape
    rpl = text.format(
        width=width,
        height=height,
        depth=depth,
        offset=offset,
        length=counts.dtype.itemsize,
        kind=kinds[counts.dtype.kind],
        order=order,
        record=record,
    )
    raw_path, rpl_path = folder / f"{name}.raw", folder / f"{name}.rpl"
    rpl_path.write_text(rpl + more)
    stored = counts.astype(
        counts.dtype.newbyteorder(">" if order.startswith("big") else "<")
    )
    if record == "image":
        stored = stored.transpose(2, 0, 1)
    raw_path.write_bytes(b"\x07" * offset + stored.tobytes())
    return raw_path, rpl_path
