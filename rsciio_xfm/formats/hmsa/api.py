"""``file_reader`` for pairs of ``.hmsa`` and ``.xml`` files."""

import hashlib
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from rsciio_xfm.core.chunks import ChunkedArray
from rsciio_xfm.core.config import BLOCK_BYTES
from rsciio_xfm.core.packed import restore
from rsciio_xfm.core.table import Table
from rsciio_xfm.core.to_dask import check_worth_reading, in_memory, load, read_all
from rsciio_xfm.core.warning import warn
from rsciio_xfm.exceptions import CorruptFileError, FileFormatError, TruncatedFileError
from rsciio_xfm.formats.hmsa.describe import describe
from rsciio_xfm.formats.hmsa.parse import (
    DataSet,
    Document,
    is_spectral,
    parse_data_set,
    read_document,
)

# Of a map of which less is there, that is no map; of one that is read eagerly.
_LEAST, _LEAST_SHARE = 0.001, 0.25
_CHEAP_BYTES = 2**24  # whose checksum costs nothing that is noticed
_ALGORITHM = "SHA-1"


def file_reader(
    filename: str | Path,
    lazy: bool = False,
    chunks: Any = "auto",
    dataset_path: str | list[str] | None = None,
    verify_checksum: bool | None = None,
) -> list[dict[str, Any]]:
    """Read a ``.hmsa`` file that an ``.xml`` file beside it describes.

    Parameters
    ----------
    filename
        Path of one of the two; the other has the same name.
    lazy
        If True, ``data`` are dask arrays; now only the text is read.
    chunks
        Of the dask arrays. ``"auto"`` makes chunks of whole rows with all channels, at
        most 128 MiB. Anything else goes to :func:`dask.array.core.normalize_chunks`.
    dataset_path
        Name of a set of data, or of several; None reads all.
    verify_checksum
        Hold the SHA-1 of the numbers against that of the text: None does so if they are at
        most 16 MiB, True always, which reads all of them, False never.

    Returns
    -------
    list of dict
        One signal for each set of data, maps of spectra first. ``data`` of a map: numbers of
        the type of the file, ``(y, x, E)``; of a line scan, or a list of spectra,
        ``(x, E)``; of an image ``(y, x)``. ``axes``: x and y in µm, Energy in keV.
        ``metadata``: signal type EDS_XFM for X-rays, EDS_TEM above 30 kV; what was saved here
        is as it was.

    Raises
    ------
    rsciio_xfm.exceptions.FileFormatError
        The two do not belong to each other; the text is no such XML, declares entities, or
        contradicts itself.
    rsciio_xfm.exceptions.CorruptFileError
        The checksum is another.
    rsciio_xfm.exceptions.TruncatedFileError
        Too little is there.
    FileNotFoundError
        The other file is not there, or it has no such set of data.
    MemoryError
        The map is larger than the available memory and `lazy` is False.
    ValueError
        The extension is another.

    Warns
    -----
    UserWarning
        The numbers end early: whole rows are read, the rest are zeros; energies bend, and are
        straightened; a calibration or a unit cannot be used.

    Notes
    -----
    Source of the format: see ``layout.py``.

    Examples
    --------
    >>> from rsciio_xfm.formats.hmsa import file_reader
    >>> (map_,) = file_reader("map.hmsa", lazy=True)
    >>> map_["data"].shape
    (4, 5, 48)
    """
    path = Path(filename)
    document = read_document(path)
    elements = _choose(document, dataset_path)
    data_sets = [parse_data_set(document, *item) for item in elements.items()]
    data_sets.sort(key=lambda one: not (is_spectral(one) and one.collection))
    is_one = len(document.elements()) == 1
    sources = [_make_array(document, one) for one in data_sets]
    is_whole = all(source.table.n_present == source.shape[0] for source in sources)
    if is_whole:  # else it is told already, and could not be right
        _check_checksum(document, verify_checksum)
    signals = []
    for data_set, source in zip(data_sets, sources, strict=True):
        signal = describe(path, document, data_set, is_one)
        saved = None
        if is_one:
            saved = restore(document.xml, document.extra, data_set.shape)
        if saved is not None:
            signal = signal | saved
        signal["data"] = _load(path, source, data_set.shape, lazy, chunks)
        signals.append(signal)
    return signals


def _choose(document: Document, wanted: str | list[str] | None) -> dict[str, Element]:
    """Return the sets of data that are read, by name."""
    found = document.elements()
    if not found:
        raise FileFormatError(
            f"{document.xml}: the XML describes no maps, spectra or images, expected some in "
            "Data (byte 0, the whole XML)."
        )
    if wanted is None:
        return found
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    missing = [name for name in names if name not in found]
    if missing or not names:
        raise FileNotFoundError(
            f"{document.xml}: there is no {', '.join(missing) or 'dataset_path'!r:.80}, "
            f"expected of {', '.join(found):.200}."
        )
    return {name: found[name] for name in names}


def _make_array(document: Document, data_set: DataSet) -> ChunkedArray:
    """Make the array-like; numbers along one axis are rows of one number each."""
    source, shape = document.source, data_set.shape
    shape = shape if len(shape) > 1 else (*shape, 1)
    n_rows = shape[0]
    expected = data_set.offset + data_set.n_bytes
    present = max(0, source.size - data_set.offset)
    n_present = min(n_rows, present // (data_set.n_bytes // n_rows))
    if n_present < max(1, _LEAST * n_rows) or (
        n_present < n_rows and not data_set.collection
    ):
        raise TruncatedFileError(
            f"{source.name}: the file ends at byte {source.size}, expected {expected}: "
            f"{data_set.name} is {data_set.shape} of {data_set.dtype} from byte "
            f"{data_set.offset} on. Too little is there."
        )
    if n_present < n_rows:
        warn(
            f"{source.name}: the file has {source.size} bytes, expected {expected}: "
            f"{n_present} of {n_rows} rows of {data_set.name} are there, the others are zeros."
        )
    run = Table.of_run(source, data_set.offset, shape, data_set.dtype, n_present)
    return ChunkedArray(run)


def _load(
    path: Path, source: ChunkedArray, shape: tuple[int, ...], lazy: bool, chunks: Any
) -> Any:
    if lazy and len(shape) > 1:
        return load(source, path, lazy, chunks)
    n_present = source.table.n_present
    n_bytes = source.table.sources[0].size
    what = "rows"
    check_worth_reading(
        path, source, n_present, source.shape[0], what, _LEAST_SHARE, n_bytes
    )
    data = read_all(source, str(path)).reshape(shape)
    return in_memory(data, chunks) if lazy else data


def _check_checksum(document: Document, is_wanted: bool | None) -> None:
    """Refuse numbers whose SHA-1 is not that of the text."""
    node = document.root.find("./Header/Checksum")
    source = document.source
    if is_wanted is None:
        is_wanted = source.size <= _CHEAP_BYTES
    if not is_wanted or node is None or node.get("Algorithm", "").upper() != _ALGORITHM:
        return
    expected = (node.text or "").strip().upper()
    found = hashlib.sha1(usedforsecurity=False)
    buffer = np.empty(min(BLOCK_BYTES, source.size), dtype=np.uint8)
    with source.open() as reader:
        for start in range(0, source.size, BLOCK_BYTES):
            found.update(buffer[: reader.read_into(start, buffer)].data)
    if found.hexdigest().upper() != expected:
        raise CorruptFileError(
            f"{source.name}: the {_ALGORITHM} of the file is {found.hexdigest().upper()}, "
            f"expected {expected:.60} as in {document.xml.name} (byte 0, the whole file): one "
            "of them was changed. verify_checksum=False reads it nevertheless."
        )
