"""Write a report of a map to a file."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hyperspy.signal import BaseSignal

from rsciio_xfm._register import find_reader
from rsciio_xfm.core.atomic import check_replaceable, replacing
from rsciio_xfm.core.progress import progress
from rsciio_xfm.core.warning import collected, warn
from rsciio_xfm.core.watch import begin
from rsciio_xfm.report.content import AUTO, Asked, Content, Source, gather
from rsciio_xfm.report.page import page

EXTENSIONS = (".html", ".htm")


def write_report(
    signal: BaseSignal | str | Path,
    destination: str | Path,
    *,
    model: Any = None,
    excitation: Any = None,
    energy_range: tuple[float, float] | None = None,
    regions: Any = None,
    n_classes: int | str = AUTO,
    rgb: Sequence[str | None] | None = None,
    overwrite: bool = False,
    show_progressbar: bool | None = None,
) -> Path:
    """Write what is known of a map to one page, which can be handed on or printed.

    Parameters
    ----------
    signal
        A map of x and y, a line scan or a spectrum, lazy or not, of any type; or the path of
        a file that holds one.
    destination
        Path of the page, ``.html``. It needs nothing else: pictures are in it, and there are
        no scripts.
    model, excitation, energy_range
        As of :func:`rsciio_xfm.get_element_maps`: elements, a model or the path of one, what
        excites the sample, and what is fitted. Without them elements are found, and what the
        metadata say is taken.
    regions
        As of :func:`rsciio_xfm.signals.maps.get_region_spectra`: their counts of elements and
        spectra are shown as well.
    n_classes
        How many classes of spectra there are; ``"auto"``: as many as
        :func:`rsciio_xfm.estimate_n_classes` suggests; 0: none are looked for.
    rgb
        What is red, green and blue in the first picture, ``("Fe_Ka", "Ca_Ka", "Ti_Ka")``:
        lines, groups of lines or elements that are fitted, None where a colour is left out.
        Without it the picture shows those whose maps show most contrast.
    overwrite
        Replace a page that is there, when the new one is whole.
    show_progressbar
        Of lazy signals; None is HyperSpy's preference, on a terminal or in a notebook.

    Returns
    -------
    pathlib.Path
        Of the page.

    Raises
    ------
    FileExistsError
        The page is there, and `overwrite` is False.
    FileNotFoundError
        The folder of the page is not there.
    ValueError
        The extension is another one; the file holds no map of spectra, or several; or what is
        asked for does not suit it: elements of a map without energies, say. If nothing is
        asked for, that is no error: the page says why there are none.

    Warns
    -----
    UserWarning
        All that is said in the page as a warning.

    Notes
    -----
    One pass over the file adds up spectra and pixels, two are those of the element maps, and
    some more those of the classes. Maps of many pixels are shown as means of blocks.

    Examples
    --------
    >>> import rsciio_xfm
    >>> page = rsciio_xfm.write_report("map.GeoPIXE", "report.html", n_classes=0)
    >>> "Element maps" in page.read_text(encoding="utf-8")
    True
    """
    destination = Path(destination)
    check_page(destination, overwrite)
    asked = Asked(
        model, excitation, energy_range, regions, n_classes, rgb, show_progressbar
    )
    given = {
        "model": model,
        "excitation": excitation,
        "energy_range": energy_range,
        "regions": regions,
        "n_classes": None if n_classes == AUTO else n_classes,
        "rgb": rgb,
    }
    source = _source_of(signal, destination, given)
    for text in write_page(source, asked, destination).warnings:
        warn(text)
    return destination


def write_page(source: Source, asked: Asked, destination: Path) -> Content:
    """Write the report of a map that is open, and return what it tells."""
    with progress(asked.show_progressbar):
        content = gather(source, asked)
        begin("drawing the pictures")
        with _figures_apart():
            text = page(content)
    with replacing(destination) as file:
        file.write(text.encode("utf-8"))
    return content


def check_page(destination: Path, overwrite: bool) -> None:
    """Refuse to write a page where something else is, or under a name that is none of a page.

    Raises
    ------
    FileExistsError
        It is there.
    FileNotFoundError
        Its folder is not.
    ValueError
        The extension is another one, or what is there is no file.
    """
    if destination.suffix.lower() not in EXTENSIONS:
        raise ValueError(
            f"{destination}: the extension is {destination.suffix!r}, expected "
            f"{' or '.join(EXTENSIONS)}."
        )
    if not destination.parent.is_dir():
        raise FileNotFoundError(
            errno.ENOENT, "there is no such folder for the page", str(destination.parent)
        )
    check_replaceable(destination)
    if destination.exists() and not overwrite:
        raise FileExistsError(f"{destination} exists; use overwrite=True to replace it.")


@contextmanager
def _figures_apart() -> Iterator[None]:
    """Draw without windows, and with the usual style of matplotlib, whatever the user's is."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    # Not the backend: pyplot would close the figures that the user has.
    with plt.ioff(), mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams["font.size"] = 8.5  # points, as pictures are printed at their size
        yield


def _source_of(
    signal: BaseSignal | str | Path, destination: Path, given: dict[str, Any]
) -> Source:
    """Open a file if one is given, and keep how the report was asked for."""
    said = "".join(f", {name}={_shown(v)}" for name, v in given.items() if v is not None)
    if not isinstance(signal, str | Path):
        how = f"import rsciio_xfm\nrsciio_xfm.write_report(s, {str(destination)!r}{said})"
        return Source(signal, how=how)
    path = Path(signal)
    how = (
        "import rsciio_xfm\n"
        f"rsciio_xfm.write_report({str(path)!r}, {str(destination)!r}{said})"
    )
    with collected() as texts:
        opened = _open(path)
    return Source(opened, path, how, warnings=tuple(dict.fromkeys(texts)))


def _shown(value: Any) -> str:
    """Return an argument as it is written, if it is short; else what it is."""
    text = repr(value)
    is_short = len(text) <= 80 and "\n" not in text and not text.startswith("<")
    return text if is_short else "..."


def _open(path: Path) -> BaseSignal:
    """Load the one signal of spectra of a file, lazily."""
    import hyperspy.api as hs

    reader = find_reader(path)
    options = {} if reader is None else {"file_format": reader}
    found = hs.load(path, lazy=True, **options)
    signals = found if isinstance(found, list) else [found]
    spectra = [one for one in signals if one.axes_manager.signal_dimension == 1]
    maps = [one for one in spectra if one.axes_manager.navigation_dimension] or spectra
    kinds = [one.metadata.get_item("Signal.signal_type", "") for one in maps]
    of_xrays = [s for s, kind in zip(maps, kinds, strict=True) if kind.startswith("EDS")]
    chosen = of_xrays or maps
    if len(chosen) != 1:
        raise ValueError(
            f"{path}: it holds {len(signals)} signals, {len(chosen)} of them maps of X-ray "
            "spectra, expected one: load it with hs.load and give one of its signals."
        )
    return chosen[0]
