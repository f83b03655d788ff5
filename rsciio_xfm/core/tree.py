"""Nested dictionaries: an item of them, and all of them as JSON with the arrays beside it."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from rsciio_xfm.core.warning import warn

# Marks what JSON has no type for: {"!": type, "value": ...}.
_MARK = "!"
_ARRAY_KINDS = "biufcS"
_KEPT_OF_AXES = ("name", "size", "offset", "scale", "units", "navigate", "is_binned")
_KEPT_OF_SIGNALS = ("axes", "metadata", "original_metadata", "learning_results")


def encode_signal(
    path: str | Path, signal: dict[str, Any], axes: list[dict[str, Any]]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Turn all of a signal but its data into JSON.

    Parameters
    ----------
    path
        Of the file that it goes to, for the warning.
    signal
        Dictionary of a signal, as HyperSpy passes it to a writer.
    axes
        Of it, in the order of the array's axes.

    Returns
    -------
    text : numpy.ndarray
        uint8, JSON in UTF-8.
    arrays : list of numpy.ndarray
        See :func:`encode`.

    Warns
    -----
    UserWarning
        Something in the metadata cannot be written.
    """
    tree = {
        "axes": [
            {key: _plain_units(axis[key]) for key in _KEPT_OF_AXES if key in axis}
            | {"index_in_array": i}
            for i, axis in enumerate(axes)
        ],
        "metadata": signal["metadata"],
        "original_metadata": signal.get("original_metadata", {}),
    }
    results = signal.get("learning_results") or {}
    if any(value is not None for value in results.values()):
        tree["learning_results"] = results
    text, arrays, left_out = encode(tree)
    if left_out:
        warn(
            f"{path}: {', '.join(left_out)} cannot be written, expected numbers, text, "
            "arrays, or dictionaries and lists of these: left out."
        )
    return np.frombuffer(text.encode("utf-8"), np.uint8), arrays


def decode_signal(
    text: np.ndarray, arrays: list[np.ndarray], sha256: str, shape: tuple[int, ...]
) -> dict[str, Any]:
    """Turn what :func:`encode_signal` made into the parts of a signal.

    Parameters
    ----------
    text, arrays
        From :func:`encode_signal`.
    sha256
        Of them, from :func:`digest`.
    shape
        Of the data.

    Raises
    ------
    ValueError
        They were changed, or are not of this shape.
    """
    if sha256 != digest(text, arrays):
        raise ValueError("its checksum is another: it was changed")
    signal = decode(text.tobytes().decode("utf-8"), arrays)
    sizes = tuple(axis["size"] for axis in signal["axes"])
    if sizes != shape:
        raise ValueError(f"its axes have {sizes} elements")
    return {name: signal[name] for name in _KEPT_OF_SIGNALS if name in signal}


def _plain_units(value: Any) -> Any:
    """Turn the value of what was never set into None."""
    return None if type(value).__name__ == "_Undefined" else value


def encode(tree: Any) -> tuple[str, list[np.ndarray], list[str]]:
    """Turn nested dictionaries and lists into JSON.

    Parameters
    ----------
    tree
        Numbers, text, bytes, arrays, None, and dictionaries, lists and tuples of these.

    Returns
    -------
    text : str
        JSON; numbers that are NaN or infinite are written as Python does.
    arrays : list of numpy.ndarray
        What the text refers to by number.
    left_out : list of str
        Names of what is nothing of all that; it is not in the text.
    """
    arrays: list[np.ndarray] = []
    left_out: list[str] = []
    encoded = _encode(tree, "", arrays, left_out)
    return json.dumps(encoded), arrays, left_out


def decode(text: str, arrays: list[np.ndarray]) -> Any:
    """Turn what :func:`encode` made into what it was.

    Parameters
    ----------
    text, arrays
        From :func:`encode`.

    Raises
    ------
    ValueError
        The text is no JSON, or not of this kind.
    """
    return json.loads(text, object_hook=lambda node: _decode(node, arrays))


def digest(text: np.ndarray, arrays: list[np.ndarray]) -> str:
    """Return a checksum of a text, as bytes, and its arrays."""
    sha = hashlib.sha256(text.tobytes())
    for array in arrays:
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def get(tree: Any, *names: str) -> Any:
    """Return an item of nested dictionaries, None if it is not there.

    Parameters
    ----------
    tree
        Dictionaries within dictionaries; anything else has no items.
    *names
        Keys, from the outermost one on.

    Examples
    --------
    >>> get({"TEM": {"beam_energy": 200.0}}, "TEM", "beam_energy")
    200.0
    >>> get({"TEM": None}, "TEM", "beam_energy") is None
    True
    """
    for name in names:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(name)
    return tree


class _UnknownTypeError(TypeError):
    pass


def _encode(value: Any, name: str, arrays: list, left_out: list[str]) -> Any:
    if isinstance(value, np.generic) and not isinstance(value, np.void):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, dict):
        return _encode_dict(value, name, arrays, left_out)
    if isinstance(value, list | tuple):
        return _encode_list(value, name, arrays, left_out)
    if isinstance(value, bytes):
        return _node("bytes", base64.b64encode(value).decode("ascii"))
    if isinstance(value, complex):
        return _node("complex", [value.real, value.imag])
    if hasattr(value, "__array__") and hasattr(value, "dtype"):
        # An array, dask's too: they are maps at most.
        array = np.asarray(value)
        if array.dtype.kind == "U":
            return _node("text", [array.tolist(), array.dtype.str])
        if array.dtype.kind in _ARRAY_KINDS:
            arrays.append(array)
            return _node("array", len(arrays) - 1)
    raise _UnknownTypeError(name)


def _encode_dict(value: dict, name: str, arrays: list, left_out: list[str]) -> Any:
    items = {}
    for key, item in value.items():
        where = f"{name}.{key}" if name else str(key)
        try:
            items[key] = _encode(item, where, arrays, left_out)
        except _UnknownTypeError:
            left_out.append(where)
    if _MARK in items or not all(isinstance(key, str) for key in items):
        pairs = [[_encode(k, name, arrays, left_out), v] for k, v in items.items()]
        return _node("dict", pairs)
    return items


def _encode_list(
    value: list | tuple, name: str, arrays: list, left_out: list[str]
) -> Any:
    items = []
    for i, item in enumerate(value):
        try:
            items.append(_encode(item, f"{name}[{i}]", arrays, left_out))
        except _UnknownTypeError:
            left_out.append(f"{name}[{i}]")
            items.append(None)  # those after it keep their places
    return items if isinstance(value, list) else _node("tuple", items)


def _node(kind: str, value: Any) -> dict[str, Any]:
    return {_MARK: kind, "value": value}


def _decode(node: dict[str, Any], arrays: list[np.ndarray]) -> Any:
    if _MARK not in node:
        return node
    kind: str = node[_MARK]
    value: Any = node.get("value")
    try:
        return {
            "array": lambda: arrays[value],
            "bytes": lambda: base64.b64decode(value),
            "complex": lambda: complex(*value),
            "dict": lambda: {_hashable(k): v for k, v in value},
            "text": lambda: np.array(value[0], dtype=value[1]),
            "tuple": lambda: tuple(value),
        }[kind]()
    except (IndexError, KeyError, TypeError) as exc:
        raise ValueError(f"a node of kind {kind!r:.20} holds {value!r:.40}") from exc


def _hashable(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key
