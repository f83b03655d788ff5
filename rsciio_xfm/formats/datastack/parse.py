"""Descriptions of arrays in zarr's formats 2 and 3."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from rsciio_xfm.exceptions import CorruptFileError, FileFormatError
from rsciio_xfm.formats.datastack.layout import ARRAY, ATTRIBUTES_OF_2, ROOT

# numcodecs and Blosc count bytes of a chunk in 32 bits.
MAX_CHUNK_BYTES = 2**31 - 1
_MOST_AXES = 32
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")  # of a chunk, in its name
_KINDS = "biufc"
DTYPES = (
    "bool",
    *(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)),
    "float16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
DECODERS = ("blosc", "zstd", "lz4", "gzip", "zlib")
CODECS_OF_3 = ("blosc", "gzip", "zstd")
_BLOSC_SHUFFLES = ("noshuffle", "shuffle", "bitshuffle")


@dataclass(frozen=True)
class Definition:
    """What is written of an array beside its chunks.

    Attributes
    ----------
    zarr_format
        2 or 3.
    name
        Of the array.
    shape, chunks
        Of the array, and of each of its chunks; those at the edges are filled up.
    dtype
        As stored.
    order
        Of the numbers in a chunk: ``"C"``, or ``"F"`` for the first axis fastest.
    codec
        Configuration of the compressor as numcodecs has it, with its ``id``; None if there
        is none.
    fill_value
        Of chunks that are not there.
    separator
        Between the numbers of a chunk's name.
    prefix
        Of a chunk's name: ``"c"`` in format 3.
    attributes
        Of the array.
    """

    zarr_format: int
    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype
    order: str = "C"
    codec: dict[str, Any] | None = None
    fill_value: Any = 0
    separator: str = "/"
    prefix: str = "c"
    attributes: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        pairs = zip(self.shape, self.chunks, strict=True)
        return tuple(math.ceil(size / chunk) for size, chunk in pairs)

    @property
    def chunk_bytes(self) -> int:
        """Size of a chunk in memory."""
        return math.prod(self.chunks) * self.dtype.itemsize

    @property
    def n_bytes(self) -> int:
        """Size of the array in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def compression(self) -> str:
        """The compressor, for people."""
        if self.codec is None:
            return "none"
        rest = {k: v for k, v in self.codec.items() if k not in ("id", "blocksize")}
        shown = ", ".join(f"{key}={value}" for key, value in rest.items())
        return f"{self.codec['id']}({shown})"

    def key(self, index: tuple[int, ...]) -> str:
        """Return the name of a chunk in the zip."""
        numbers = [str(i) for i in index]
        parts = [self.prefix, *numbers] if self.prefix else numbers or ["0"]
        return f"{self.name}/{self.separator.join(parts)}"

    def index_of(self, key: str) -> tuple[int, ...] | None:
        """Return the number of a chunk by its name within the array, None if it is none."""
        if not self.shape:
            return () if f"{self.name}/{key}" == self.key(()) else None
        head = self.prefix + self.separator if self.prefix else ""
        numbers = key.removeprefix(head).split(self.separator)
        is_key = key.startswith(head) and len(numbers) == len(self.shape)
        if not is_key or not all(map(_NUMBER.fullmatch, numbers)):
            return None
        index = tuple(map(int, numbers))
        is_within = all(i < n for i, n in zip(index, self.grid, strict=True))
        return index if is_within else None

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Yield the number of each chunk along each axis, in the order of the array."""
        yield from np.ndindex(*self.grid)


# Reading descriptions.


def parse_array(
    path: str, name: str, text: bytes, attributes: bytes | None
) -> Definition | None:
    """Read the description of an array.

    Parameters
    ----------
    path, name
        Of the file, for messages, and of the array.
    text
        ``.zarray`` or ``zarr.json``.
    attributes
        ``.zattrs`` of format 2, if it is there.

    Returns
    -------
    Definition or None
        None if it describes a group.

    Raises
    ------
    CorruptFileError
        It is no description of an array, or cannot be true.
    FileFormatError
        It is of a kind that is not read here.
    """
    try:
        tree = json.loads(text)
        if tree.get("node_type") == "group":
            return None
        parse = {2: _parse_2, 3: _parse_3}[tree["zarr_format"]]
        found = parse(path, name, tree)
        if attributes is not None:
            found.attributes.update(json.loads(attributes))
        _check(found)
    except FileFormatError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as exc:
        raise CorruptFileError(
            f"{path}: the description of the array {name!r} cannot be read: {exc!r:.200}. "
            f"Expected {ARRAY[2]} or {ARRAY[3]} as zarr writes them (in the zip, "
            f"{name}/)."
        ) from exc
    return found


def _check(array: Definition) -> None:
    """Refuse sizes that are none."""
    if len(array.shape) != len(array.chunks) or len(array.shape) > _MOST_AXES:
        raise ValueError(f"shape {array.shape}, chunks {array.chunks}")
    for size, chunk in zip(array.shape, array.chunks, strict=True):
        if isinstance(size, bool) or isinstance(chunk, bool) or size < 0 or chunk < 1:
            raise ValueError(f"shape {array.shape}, chunks {array.chunks}")
    if array.n_bytes > 2**62 or array.chunk_bytes > MAX_CHUNK_BYTES:
        raise ValueError(
            f"shape {array.shape}, chunks {array.chunks} of {array.dtype}: a chunk of more "
            f"than {MAX_CHUNK_BYTES} bytes"
        )
    if array.separator not in (".", "/"):
        raise ValueError(f"separator {array.separator!r:.40}")
    if array.order not in ("C", "F"):
        raise ValueError(f"order {array.order!r}")


def _sizes(values: list[int]) -> tuple[int, ...]:
    if not all(type(value) is int for value in values):
        raise TypeError(f"{values!r:.80} are no sizes")
    return tuple(values)


def _parse_2(path: str, name: str, tree: dict[str, Any]) -> Definition:
    if tree.get("filters"):
        raise _unknown(path, name, f"filters {tree['filters']!r:.80}", "none")
    dtype = tree["dtype"]
    dtype = np.dtype(dtype) if isinstance(dtype, str) else None
    if dtype is None or dtype.kind not in _KINDS:
        raise _unknown(path, name, f"data of type {tree['dtype']!r:.80}", "numbers")
    codec = tree["compressor"]
    if codec is not None and codec["id"] not in DECODERS:
        raise _unknown_codec(path, name, codec["id"])
    return Definition(
        zarr_format=2,
        name=name,
        shape=_sizes(tree["shape"]),
        chunks=_sizes(tree["chunks"]),
        dtype=dtype,
        order=tree["order"],
        codec=codec,
        fill_value=_fill_value(tree["fill_value"], dtype),
        separator=tree.get("dimension_separator", "."),
        prefix="",
    )


def _parse_3(path: str, name: str, tree: dict[str, Any]) -> Definition:
    if tree["node_type"] != "array":
        raise ValueError(f"node_type is {tree['node_type']!r:.80}")
    if tree["data_type"] not in DTYPES:
        raise _unknown(path, name, f"data of type {tree['data_type']!r:.80}", "numbers")
    dtype = np.dtype(tree["data_type"])
    if tree["chunk_grid"]["name"] != "regular":
        raise _unknown(path, name, f"a grid {tree['chunk_grid']!r:.80}", "a regular one")
    if tree.get("storage_transformers"):
        raise _unknown(path, name, "storage transformers", "none")
    encoding = tree["chunk_key_encoding"]
    is_default = encoding["name"] == "default"
    separator = encoding.get("configuration", {}).get(
        "separator", "/" if is_default else "."
    )
    dtype, order, codec = _parse_codecs(path, name, dtype, len(tree["shape"]), tree)
    return Definition(
        zarr_format=3,
        name=name,
        shape=_sizes(tree["shape"]),
        chunks=_sizes(tree["chunk_grid"]["configuration"]["chunk_shape"]),
        dtype=dtype,
        order=order,
        codec=codec,
        fill_value=_fill_value(tree["fill_value"], dtype),
        separator=separator,
        prefix="c" if is_default else "",
        attributes=dict(tree.get("attributes") or {}),
    )


def _parse_codecs(
    path: str, name: str, dtype: np.dtype, n_axes: int, tree: dict[str, Any]
) -> tuple[np.dtype, str, dict[str, Any] | None]:
    """Return dtype as stored, order and compressor."""
    order, codec, is_serialized = "C", None, False
    for item in tree["codecs"]:
        kind, options = item["name"], item.get("configuration") or {}
        if kind == "transpose" and not is_serialized:
            if list(options["order"]) != list(range(n_axes))[::-1]:
                raise _unknown(path, name, f"axes in order {options['order']}", "C or F")
            order = "F"
        elif kind == "bytes" and not is_serialized:
            is_serialized = True
            if options.get("endian") == "big":
                dtype = dtype.newbyteorder(">")
            elif dtype.itemsize > 1:
                dtype = dtype.newbyteorder("<")
        elif kind in DECODERS and is_serialized and codec is None:
            codec = {"id": kind, **options}
        else:
            raise _unknown_codec(path, name, kind)
    if not is_serialized:
        raise ValueError("no codec makes bytes of numbers")
    return dtype, order, codec


def _unknown(path: str, name: str, found: str, expected: str) -> FileFormatError:
    return FileFormatError(
        f"{path}: the array {name!r} has {found}, expected {expected} (in the zip, {name}/)."
    )


def _unknown_codec(path: str, name: str, kind: Any) -> FileFormatError:
    return FileFormatError(
        f"{path}: the array {name!r} is stored with {kind!r:.80}, expected one of "
        f"{', '.join(DECODERS)} or none (in the zip, {name}/). Read it with zarr, and save "
        "it with one of them."
    )


def _fill_value(value: Any, dtype: np.dtype) -> Any:
    if value is None:
        value = 0
    if isinstance(value, list):
        value = complex(*(float(part) for part in value))
    if isinstance(value, str):  # "NaN", "-Infinity"; of bits, in hexadecimal
        if value.startswith("0x"):
            bits = bytes.fromhex(value[2:])
            return np.frombuffer(bits, dtype.newbyteorder(">"))[0]
        value = float(value)
    with np.errstate(all="raise"):
        return np.asarray(value).astype(dtype.newbyteorder("="))[()]


# Writing descriptions.


def group_text(zarr_format: int, attributes: Any = None) -> dict[str, bytes]:
    """Return the description of a root, by its names in the zip."""
    tree: dict[str, Any] = {"zarr_format": zarr_format}
    attributes = attributes if isinstance(attributes, dict) else {}
    if zarr_format != 2:
        tree |= {"attributes": attributes, "consolidated_metadata": None}
        tree["node_type"] = "group"
    texts = {ROOT[zarr_format]: _dump(tree)}
    if zarr_format == 2 and attributes:
        texts[ATTRIBUTES_OF_2] = _dump(attributes)
    return texts


def array_text(array: Definition) -> dict[str, bytes]:
    """Return the description of an array, by its names in the zip."""
    if array.zarr_format != 2:
        return {f"{array.name}/{ARRAY[3]}": _dump(_tree_3(array))}
    tree = {
        "chunks": array.chunks,
        "compressor": array.codec,
        "dimension_separator": array.separator,
        "dtype": array.dtype.str,
        # What stands for a complex number is not the same in all versions of zarr.
        "fill_value": None if array.dtype.kind == "c" else _plain(array.fill_value),
        "filters": None,
        "order": array.order,
        "shape": array.shape,
        "zarr_format": 2,
    }
    texts = {f"{array.name}/{ARRAY[2]}": _dump(tree)}
    if array.attributes:
        texts[f"{array.name}/{ATTRIBUTES_OF_2}"] = _dump(array.attributes)
    return texts


def _tree_3(array: Definition) -> dict[str, Any]:
    order = "big" if array.dtype.str.startswith(">") else "little"
    endian = {} if array.dtype.itemsize == 1 else {"endian": order}
    codecs: list[dict[str, Any]] = [{"name": "bytes", "configuration": endian}]
    if array.order == "F":
        axes = {"order": list(range(len(array.shape)))[::-1]}
        codecs.insert(0, {"name": "transpose", "configuration": axes})
    if array.codec is not None:
        options = {k: v for k, v in array.codec.items() if k != "id"}
        if array.codec["id"] == "blosc":
            if isinstance(options["shuffle"], int):
                options["shuffle"] = _BLOSC_SHUFFLES[options["shuffle"]]
            options["typesize"] = array.dtype.itemsize
        codecs.append({"name": array.codec["id"], "configuration": options})
    key = {"name": "default", "configuration": {"separator": array.separator}}
    grid = {"name": "regular", "configuration": {"chunk_shape": array.chunks}}
    return {
        "shape": array.shape,
        "data_type": array.dtype.name,
        "chunk_grid": grid,
        "chunk_key_encoding": key,
        "fill_value": _plain(array.fill_value),
        "codecs": codecs,
        "attributes": array.attributes,
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def to_format_3(path: str, array: Definition) -> Definition:
    """Describe an array in zarr's format 3; its chunks stay as they are.

    Raises
    ------
    FileFormatError
        Format 3 has no name for its compressor.
    """
    if array.codec is not None and array.codec["id"] not in CODECS_OF_3:
        raise FileFormatError(
            f"{path}: {array.name!r} is compressed with {array.codec['id']}, expected "
            f"{', '.join(CODECS_OF_3)} or nothing for zarr's format 3 (in the zip, "
            f"{array.name}/)."
        )
    return replace(array, zarr_format=3, separator="/", prefix="c")


def _plain(value: Any) -> Any:
    """Return a fill value as JSON has it."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, complex):
        return [_plain(value.real), _plain(value.imag)]
    if isinstance(value, float) and not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _dump(tree: dict[str, Any]) -> bytes:
    return json.dumps(tree, indent=2).encode("utf-8")


def read_json(text: bytes) -> dict[str, Any]:
    """Read a description of a root, of which nothing is needed."""
    try:
        tree = json.loads(text)
    except (RecursionError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}
