"""How the tests ask the explorer, and read what it answers."""

import json
import struct
from pathlib import Path

import numpy as np

from rsciio_xfm.explore.answers import answer
from rsciio_xfm.explore.explorer import Explorer
from rsciio_xfm.explore.listing import Listing

DTYPES = ("uint8", "uint16", "uint32", "float32", "float64")


def unpack(body):
    """Header and arrays of a binary answer, by what the interface says of its bytes."""
    (n_header,) = struct.unpack_from("<I", body)
    assert (4 + n_header) % 8 == 0
    header = json.loads(body[4 : 4 + n_header])
    at, arrays = 4 + n_header, {}
    for one in header["arrays"]:
        assert one["dtype"] in DTYPES
        dtype = np.dtype(one["dtype"]).newbyteorder("<")
        n_bytes = dtype.itemsize * int(np.prod(one["shape"]))
        held = np.frombuffer(body[at : at + n_bytes], dtype=dtype)
        arrays[one["name"]] = held.reshape(one["shape"])
        at += n_bytes + -n_bytes % 8
    assert at == len(body)
    return header, arrays


def explore_file(path, reader=None, **options):
    """An explorer of one file; `reader` are options of its reader."""
    return Explorer(Listing(Path(path), reader or {}), **options)


class Asking:
    """An explorer of one file, whose first pass is over, and questions about it."""

    def __init__(self, explorer, wait=True):
        self.explorer = explorer
        if isinstance(explorer, str | Path):
            self.explorer = explore_file(explorer, most_waiting=100)
        (self.number, *_) = [one["id"] for one in self.json_of("api/maps")]
        if wait:
            self.opened.overview.wait(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.explorer.close()

    @property
    def opened(self):
        return self.explorer.open(self.number).opened

    def raw(self, what, **query):
        return answer(self.explorer, f"api/map/{self.number}/{what}", query)

    def json_of(self, path, **query):
        found = answer(self.explorer, path, query)
        assert (found.status, found.media_type) == (200, "application/json"), found.body
        return json.loads(found.body)

    def json(self, what, **query):
        return self.json_of(f"api/map/{self.number}/{what}", **query)

    def arrays(self, what, **query):
        found = self.raw(what, **query)
        assert found.status == 200, found.body
        return unpack(found.body)

    def image(self, of, **query):
        return self.arrays("image", of=of, **query)[1]["image"]

    def spectrum(self, region, **query):
        return self.arrays("spectrum", region=region, **query)[1]["spectrum"]

    def error(self, what, **query):
        found = self.raw(what, **query)
        assert found.status >= 400, found.body
        said = json.loads(found.body)
        assert said["error"]
        assert "Traceback" not in said["error"]
        return found.status, said["error"]
