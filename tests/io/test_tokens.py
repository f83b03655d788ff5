"""Names that dask gives arrays: one for those equal in each field, in any process."""

import dataclasses
import functools
import hashlib
import importlib
import inspect
import json
import os
import pickle
import pkgutil
import subprocess
import sys
import types
import typing
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest

import rsciio_xfm
from rsciio_xfm.core.array import ArrayLike
from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.codecs import Decoder, Plain
from rsciio_xfm.core.source import LocalFile, Source
from tests.builders import esrf as builder
from tests.io.esrf_common import read_one

ROOT = Path(__file__).parents[2]
for module in pkgutil.walk_packages(rsciio_xfm.__path__, "rsciio_xfm."):
    importlib.import_module(module.name)


def all_kinds(kind=ArrayLike):
    """All classes of array-likes that are not abstract."""
    found = [] if inspect.isabstract(kind) else [kind]
    for inner in kind.__subclasses__():
        found += all_kinds(inner)
    return sorted(
        {k for k in found if k.__module__.startswith("rsciio_xfm.")},
        key=lambda k: (k.__module__, k.__qualname__),
    )


KINDS = all_kinds()
NAMES = [f"{k.__module__.removeprefix('rsciio_xfm.')}.{k.__qualname__}" for k in KINDS]


def make(hint):
    """Make something of a type: an array-like with a value in each field."""
    if hint in SIMPLE:
        return SIMPLE[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return make(next(a for a in arguments if a is not type(None)))
    if origin is tuple:
        return tuple(make(a) for a in arguments if a is not Ellipsis)
    if origin is list:
        return [make(arguments[0])]
    if origin is dict:
        return {make(arguments[0]): make(arguments[1])}
    if inspect.isabstract(hint):
        return make({Source: LocalFile, Decoder: Plain}.get(hint, ChunkedArray))
    hints = typing.get_type_hints(hint)
    if dataclasses.is_dataclass(hint):
        return hint(**{f.name: make(hints[f.name]) for f in dataclasses.fields(hint)})
    assert issubclass(hint, tuple), hint
    return hint(*(make(hints[name]) for name in hint._fields))


SIMPLE = {
    int: 7,
    float: 0.5,
    str: "a",
    bool: False,
    typing.Any: 3,
    np.dtype: np.dtype("<u2"),
    np.ndarray: np.arange(12).reshape(3, 4),
}


@functools.singledispatch
def changes(value):
    """Yield what differs from a value in as little as possible."""
    for field in dataclasses.fields(value):
        for other in changes(getattr(value, field.name)):
            yield dataclasses.replace(value, **{field.name: other})


@changes.register(int | float)
def _(value):
    yield value + 1
    yield None


@changes.register
def _(value: bool):
    yield not value


@changes.register
def _(value: str):
    yield value + "b"


@changes.register
def _(value: np.dtype):
    yield value.newbyteorder()
    yield np.dtype([("a", "u1"), ("b", "u1")])
    yield np.dtype([("b", "u1"), ("a", "u1")])


@changes.register
def _(value: np.ndarray):
    changed = value.copy()
    changed.flat[-1] += 1
    yield changed
    yield value.reshape(-1)
    yield value.astype(np.uint64)
    # the same bytes in memory, other numbers at each place
    yield value.reshape(-1).reshape(value.shape, order="F")


@changes.register
def _(value: dict):
    yield {}
    ((key, item),) = value.items()
    yield from ({other: item} for other in changes(key))
    yield from ({key: other} for other in changes(item))


@changes.register(tuple | list)
def _(value):
    kind = getattr(type(value), "_make", type(value))
    if not hasattr(value, "_make"):
        yield kind([*value, *value])
    for i, item in enumerate(value):
        for other in changes(item):
            yield kind([*value[:i], other, *value[i + 1 :]])


def tokens():
    """Of one array of each kind, by its name."""
    return dict(zip(NAMES, (dask.base.tokenize(make(k)) for k in KINDS), strict=True))


def test_there_is_one_implementation():
    assert len(KINDS) >= 8
    assert len(set(tokens().values())) == len(KINDS)
    for kind in KINDS:
        owners = [k for k in kind.__mro__ if "__dask_tokenize__" in vars(k)]
        assert owners == [ArrayLike], kind
        assert dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_each_field_tells(kind):
    array = make(kind)
    found = {dask.base.tokenize(array)}
    for field in dataclasses.fields(array):
        for n, other in enumerate(changes(getattr(array, field.name))):
            changed = dataclasses.replace(array, **{field.name: other})
            token = dask.base.tokenize(changed)
            assert token not in found, (field.name, n, other)
            found.add(token)
    assert len(found) > len(dataclasses.fields(array))


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_equal_ones_have_one_token(kind):
    array = make(kind)
    before = pickle.loads(pickle.dumps(array))
    token = dask.base.tokenize(array)
    assert dask.base.tokenize(make(kind)) == token
    assert dask.base.tokenize(before) == token
    assert dask.base.tokenize(pickle.loads(pickle.dumps(array))) == token


def test_another_process_agrees():
    code = "import json; from tests.io.test_tokens import tokens; print(json.dumps(tokens()))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == tokens()


def test_nothing_beside_the_fields():
    other = make(ChunkedArray)
    vars(other)["extra"] = 1
    with pytest.raises(TypeError, match=r"holds what is no field of it: \['extra'\]"):
        dask.base.tokenize(other)


def test_what_has_no_value():
    other = dataclasses.replace(make(ChunkedArray), order=object())
    with pytest.raises(TypeError, match="is a object, expected numbers"):
        dask.base.tokenize(other)


def test_large_indices_are_hashed_once(monkeypatch):
    array = make(next(k for k in KINDS if k.__name__ == "VeloxArray"))
    token = dask.base.tokenize(array)
    monkeypatch.setattr(hashlib, "blake2b", None)
    assert dask.base.tokenize(array) == token


def test_two_shapes_of_one_scan(tmp_path):
    """They had one name: computed together, both were the first one's."""
    scan = {"kind": "ascan", "shape": (35,), "n_channels": 16}
    (truth,) = builder.write_spec(tmp_path / "a.dat", [scan])
    spectra = truth["counts"][0, 0]
    shapes = (5, 7), (7, 5)
    maps = [
        read_one(tmp_path / "a.dat", lazy=True, chunks=-1, navigation_shape=shape)["data"]
        for shape in shapes
    ]
    assert maps[0].name != maps[1].name
    for found, (n_columns, n_rows) in zip(da.compute(*maps), shapes, strict=True):
        np.testing.assert_array_equal(found, spectra.reshape(n_rows, n_columns, 16))
