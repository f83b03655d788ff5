"""Arrays made of chunks that lie anywhere in files, compared with numpy's."""

import math
import pickle
import zlib

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rsciio_xfm.core import chunks as _chunks
from rsciio_xfm.core import table as _table
from rsciio_xfm.core import to_dask
from rsciio_xfm.core.chunks import NO_CHUNK, ChunkedArray, Table
from rsciio_xfm.core.codecs import Deflate, Plain
from rsciio_xfm.core.source import LocalFile, Memory
from rsciio_xfm.exceptions import CorruptFileError

DTYPES = ("u1", "<u2", ">u2", "<u4", ">u4", "<u8", "<i2", ">f4", "<f8")
FILTERS = ("plain", "deflate", "shuffle", "both")


def decoder_of(filters, dtype):
    width = np.dtype(dtype).itemsize if filters in ("shuffle", "both") else 1
    return Plain() if filters == "plain" else Deflate(width, filters != "shuffle")


def encode(chunk, filters):
    raw = np.ascontiguousarray(chunk).tobytes()
    if filters in ("shuffle", "both"):
        width = chunk.dtype.itemsize
        raw = np.frombuffer(raw, np.uint8).reshape(-1, width).T.tobytes()
    return zlib.compress(raw, 1) if filters in ("deflate", "both") else raw


def store(numbers, chunks, filters="plain", missing=(), n_files=1, gap=3, fill=0):
    """Lay an array out in chunks: return the files, the table's columns and what it reads."""
    grid = tuple(-(-n // size) for n, size in zip(numbers.shape, chunks, strict=True))
    files = [bytearray(b"header") for _ in range(n_files)]
    offsets = np.full(grid, NO_CHUNK, dtype=np.int64)
    n_bytes, file = np.zeros(grid, np.int64), np.zeros(grid, np.int32)
    expected = numbers.astype(numbers.dtype.newbyteorder("="))
    for number, index in enumerate(np.ndindex(grid)):
        place = tuple(
            slice(i * n, (i + 1) * n) for i, n in zip(index, chunks, strict=True)
        )
        if number in missing:
            expected[place] = fill
            continue
        chunk = np.full(chunks, 77, dtype=numbers.dtype)  # beyond the edges
        there = numbers[place]
        chunk[tuple(slice(n) for n in there.shape)] = there
        raw, i = encode(chunk, filters), number % n_files
        offsets[index], n_bytes[index], file[index] = len(files[i]), len(raw), i
        files[i] += raw + b"-" * gap
    return files, (offsets, n_bytes, file if n_files > 1 else None), expected


def make(folder, numbers, chunks, order=(), filters="plain", **options):
    fill = options.get("fill", 0)
    files, columns, expected = store(numbers, chunks, filters, **options)
    sources = []
    for i, content in enumerate(files):
        if folder is None:
            sources.append(Memory.of(bytes(content), f"memory {i}"))
        else:
            (folder / f"{i}.bin").write_bytes(content)
            sources.append(LocalFile.of(folder / f"{i}.bin"))
    table = Table(tuple(sources), numbers.shape, chunks, numbers.dtype, *columns, fill)
    source = ChunkedArray(table, decoder_of(filters, numbers.dtype), order)
    return source, expected.transpose(order) if order else expected


def numbers_of(shape, dtype, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 100, shape).astype(dtype)


@st.composite
def layouts(draw, dtypes=DTYPES):
    shape = draw(st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple))
    chunks = tuple(draw(st.integers(1, n + 1)) for n in shape)
    n_chunks = math.prod(-(-n // size) for n, size in zip(shape, chunks, strict=True))
    return {
        "numbers": numbers_of(
            shape, draw(st.sampled_from(dtypes)), draw(st.integers(0, 9))
        ),
        "chunks": chunks,
        "order": tuple(draw(st.permutations(range(len(shape))))),
        "filters": draw(st.sampled_from(FILTERS)),
        "missing": draw(st.sets(st.integers(0, n_chunks - 1))),
        "n_files": draw(st.integers(1, 3)),
        "fill": draw(st.sampled_from((0, 0, 5))),
        "gap": draw(st.sampled_from((0, 3, 8))),
    }


@st.composite
def blocks(draw, shape):
    return tuple(
        draw(
            st.tuples(st.integers(0, n), st.integers(0, n)).map(sorted).map(tuple),
        )
        for n in shape
    )


@pytest.fixture(params=["small limits", "limits as they are"])
def limits(request, monkeypatch):
    """Pieces, calls and maps of a few bytes, so that small arrays take every way."""
    if request.param == "small limits":
        monkeypatch.setattr(_chunks, "PIECE_BYTES", 64)
        monkeypatch.setattr(_chunks, "BLOCK_BYTES", 96)
        monkeypatch.setattr(_table, "BLOCK_BYTES", 48)
        monkeypatch.setattr(_table, "GAP_BYTES", 8)
        monkeypatch.setattr(_table, "_FEW", 2)
        monkeypatch.setattr(_chunks, "_SMALL_BYTES", 0)
        monkeypatch.setattr(_table, "NARROW_BYTES", 4)
        monkeypatch.setattr(_table, "NARROW", 2)
        monkeypatch.setattr(_table, "MAP_BYTES", 40)


def check_all(source, expected, ranges):
    """Blocks, pieces and sums of an array are those of numpy's."""
    wanted = expected[tuple(slice(*r) for r in ranges)]
    block = source.read(ranges)
    np.testing.assert_array_equal(block, wanted)
    assert block.dtype == expected.dtype
    assert block.flags.c_contiguous
    found, seen = np.zeros_like(expected), np.zeros(expected.shape, int)
    for held, piece in source.pieces(ranges):
        assert piece.flags.c_contiguous
        assert held[-1][0] <= ranges[-1][0] <= ranges[-1][1] <= held[-1][1]
        found[tuple(slice(*r) for r in held)] = piece
        seen[tuple(slice(*r) for r in held)] += 1
    inside = tuple(slice(*r) for r in ranges)
    np.testing.assert_array_equal(found[inside], wanted)
    assert seen.max(initial=0) <= 1
    assert not wanted[seen[inside] == 0].any()
    if expected.dtype.kind == "u":
        axes = tuple(range(wanted.ndim - 1))
        np.testing.assert_array_equal(
            source.sum_navigation(ranges), wanted.sum(axes, dtype="u8")
        )
        np.testing.assert_array_equal(
            source.sum_signal(ranges), wanted.sum(-1, dtype="u8")
        )
    else:
        with pytest.raises(TypeError, match="expected unsigned integers"):
            source.sum_navigation(ranges)
        with pytest.raises(TypeError, match="expected unsigned integers"):
            source.sum_signal(ranges)


@pytest.mark.parametrize("place", ["files", "memory"])
@given(st.data())
@settings(max_examples=150)
def test_any_layout(tmp_path_factory, limits, place, data):
    folder = tmp_path_factory.mktemp("chunks") if place == "files" else None
    source, expected = make(folder, **data.draw(layouts()))
    check_all(source, expected, tuple((0, n) for n in expected.shape))
    check_all(source, expected, data.draw(blocks(expected.shape)))


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("order", [(), (1, 2, 0), (0, 2, 1), (2, 1, 0)], ids=str)
@pytest.mark.parametrize("chunks", [(40, 30, 50), (17, 8, 50), (40, 7, 1), (5, 30, 9)])
def test_larger_chunks(tmp_path, filters, order, chunks):
    numbers = numbers_of((40, 30, 50), "<u2")
    source, expected = make(tmp_path, numbers, chunks, order, filters, missing={1})
    check_all(source, expected, tuple((0, n) for n in expected.shape))
    check_all(source, expected, tuple((n // 3, n // 2) for n in expected.shape))


@pytest.mark.parametrize("n_present", [None, 0, 1, 3, 5])
@pytest.mark.parametrize("shape", [(5, 16), (5, 7, 16), (5, 3, 4, 6)], ids=len)
def test_run_of_numbers(tmp_path, n_present, shape):
    numbers = numbers_of(shape, ">u2")
    there = len(numbers) if n_present is None else n_present
    path = tmp_path / "a.raw"
    path.write_bytes(b"12345" + numbers[:there].tobytes())
    table = Table.of_run(LocalFile.of(path), 5, shape, numbers.dtype, n_present)
    expected = numbers.astype("u2")
    expected[there:] = 0
    assert table.stored_bytes == expected[:there].nbytes
    check_all(ChunkedArray(table), expected, tuple((0, n) for n in shape))
    check_all(ChunkedArray(table), expected, tuple((n // 2, n - 1) for n in shape))


def test_sum_that_does_not_fit(tmp_path):
    numbers = np.full((4, 2), 2**63, dtype="u8")
    source, _ = make(tmp_path, numbers, (1, 2))
    with pytest.raises(OverflowError, match="expected one that fits uint64"):
        source.sum_navigation(((0, 4), (0, 2)))


@pytest.mark.parametrize("filters", ["plain", "both"])
@pytest.mark.parametrize("how", ["read", "sum_navigation", "sum_signal", "pieces"])
def test_memory_that_is_cut(filters, how):
    numbers = numbers_of((6, 5, 8), "<u2")
    source, _ = make(None, numbers, (6, 5, 8), filters=filters)
    content = source.table.sources[0].content[:100]
    cut = Memory.of(content, "a.raw")
    table = source.table
    table = Table(
        (cut,), table.shape, table.chunks, table.dtype, table.offsets, table.n_bytes
    )
    whole = tuple((0, n) for n in numbers.shape)
    with pytest.raises(
        CorruptFileError, match=r"a\.raw: the file ends here, expected \d+ "
    ):
        list(getattr(ChunkedArray(table, source.decoder), how)(whole))


@pytest.mark.parametrize("window", [(0, 512), (5, 9)], ids=str)
@pytest.mark.parametrize("how", ["read", "sum_navigation", "sum_signal", "pieces"])
def test_offset_beyond_the_file(tmp_path, window, how):
    """Kernels and maps meet the end too, and say what reading says."""
    path = tmp_path / "a.raw"
    path.write_bytes(bytes(40 * 1024))
    table = Table.of_run(LocalFile.of(path), 0, (8, 10, 512), np.dtype("<u2"))
    ranges = ((0, 8), (0, 10), window)
    with pytest.raises(CorruptFileError, match=r"ends here, expected \d+ bytes more"):
        list(getattr(ChunkedArray(table), how)(ranges))


@pytest.mark.parametrize("how", ["read", "sum_navigation", "sum_signal", "pieces"])
def test_changed_file(tmp_path, how):
    source, _ = make(tmp_path, numbers_of((4, 5, 6), "<u2"), (2, 5, 6))
    with (tmp_path / "0.bin").open("ab") as file:
        file.write(b"more")
    with pytest.raises(CorruptFileError, match="was changed since it was opened"):
        list(getattr(source, how)(((0, 4), (0, 5), (0, 6))))


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (lambda raw: b"\0" + raw[1:], "cannot be decompressed"),
        (lambda raw: zlib.compress(bytes(500)), "480 bytes or more|481 bytes or more"),
        (lambda raw: zlib.compress(bytes(479)), "has 479 bytes, expected 480"),
    ],
    ids=["no stream", "too long", "too short"],
)
def test_damaged_chunk(damage, match):
    numbers = numbers_of((6, 5, 8), "<u2")
    source, _ = make(None, numbers, (6, 5, 8), filters="deflate")
    table = source.table
    raw = damage(table.sources[0].content[6:])
    table = Table(
        (Memory.of(raw, "a.h5"),),
        table.shape,
        table.chunks,
        table.dtype,
        np.zeros((1, 1, 1), np.int64),
        np.array(len(raw)),
    )
    with pytest.raises(CorruptFileError, match=match):
        ChunkedArray(table, source.decoder)[:]


def test_only_what_is_wanted_is_read(tmp_path, monkeypatch):
    """Of plain chunks: a region, a few channels, some images."""
    from rsciio_xfm.core import source as _source

    numbers = numbers_of((64, 64, 2048), "u1")
    spectra, _ = make(tmp_path, numbers, (64, 64, 2048))
    n_read = []

    def count(file, offset, buffer, n_bytes, original=_source.read_into):
        n_read.append(n_bytes)
        return original(file, offset, buffer, n_bytes)

    monkeypatch.setattr(_source, "read_into", count)
    spectra.read(((3, 7), (10, 20), (0, 2048)))
    assert sum(n_read) == 4 * 10 * 2048
    n_read.clear()
    spectra.read(((0, 64), (0, 64), (100, 110)))  # mapped
    assert sum(n_read) == 0
    images = ChunkedArray(spectra.table, order=(1, 2, 0))
    n_read.clear()
    images.read(((2, 4), (0, 2048), (0, 64)))
    assert sum(n_read) == 64 * 2 * 2048


def test_pickling_and_tokens(tmp_path):
    numbers = numbers_of((4, 5, 6), "<u2")
    source, expected = make(tmp_path, numbers, (2, 5, 6), n_files=2)
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[:], expected)
    tokens = {
        dask.base.tokenize(a)
        for a in (
            source,
            ChunkedArray(source.table, order=(0, 2, 1)),
            ChunkedArray(source.table, Deflate()),
        )
    }
    assert len(tokens) == 3
    assert dask.base.tokenize(again) == dask.base.tokenize(source)


@pytest.mark.parametrize("filters", ["plain", "both"])
def test_dask_array(tmp_path, filters):
    numbers = numbers_of((9, 5, 6), ">u2")
    source, expected = make(tmp_path, numbers, (2, 5, 6), filters=filters, n_files=3)
    array = to_dask.from_source(source, chunks=(2, 3, 6))
    np.testing.assert_array_equal(array.compute(scheduler="threads"), expected)
    assert source.row_step() == 2
    assert source.stored_chunks == (2, 5, 6)
    np.testing.assert_array_equal(
        to_dask.sum_navigation(source), expected.sum((0, 1), dtype="u8")
    )
    np.testing.assert_array_equal(to_dask.sum_signal(source), expected.sum(2, dtype="u8"))


@pytest.mark.parametrize(
    ("gap", "most", "n_reads"), [(3, 2**20, 1), (5000, 2**20, 16), (0, 1, 16)]
)
def test_chunks_that_follow_each_other_are_read_at_once(monkeypatch, gap, most, n_reads):
    numbers = numbers_of((64, 32), "<u2")
    source, expected = make(None, numbers, (4, 32), filters="deflate", gap=gap)
    reader, reads = type(source.table.sources[0].open().__enter__()), []

    def read_into(self, offset, buffer, real=reader.read_into):
        reads.append(offset)
        return real(self, offset, buffer)

    monkeypatch.setattr(reader, "read_into", read_into)
    monkeypatch.setattr(_chunks, "RAW_BYTES", most)
    np.testing.assert_array_equal(source[:], expected)
    assert len(reads) == n_reads
