"""Which of the layouts in the table spectra have."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h5py

from rsciio_xfm.core.hdf5.links import get
from rsciio_xfm.formats.hdf5_maps.layouts import LAYOUTS, Layout

if TYPE_CHECKING:
    from rsciio_xfm.formats.hdf5_maps.find import Found

_LEAST_CHANNELS, _MOST_DETECTORS = 64, 32
_MOST_DIGITS = 9  # of the number of a detector


@dataclass(frozen=True)
class Match:
    """Spectra whose layout is known.

    Attributes
    ----------
    layout
        Which it is.
    groups
        What the groups of its expression matched.
    roles
        What the axes are.
    """

    layout: Layout
    groups: dict[str, str]
    roles: tuple[str, ...]

    def fill(self, path: str, **more: Any) -> str:
        """Return a path of the layout with what its groups matched."""
        return path.format(**self.groups, **more)

    @property
    def detector(self) -> int | None:
        """The number of the detector that the dataset is of; None if it tells none."""
        text = self.groups.get("detector")
        if text is None or len(text) > _MOST_DIGITS:
            return None
        if text.isdecimal():
            return int(text)
        return ord(text) - ord("a") if len(text) == 1 and "a" <= text <= "z" else None


def match(found: "Found") -> Match | None:
    """Find the layout that spectra have.

    Parameters
    ----------
    found
        See :class:`rsciio_xfm.formats.hdf5_maps.find.Found`.
    """
    if found.root is None:
        return None
    name, dataset = found.name, found.dataset
    own = name.rsplit("/", 1)[-1]
    inside = () if found.entry is not None else found.parents
    # In a file that is linked to, also as this file calls it.
    names = [*dict.fromkeys([name, *(f"{g.name.strip('/')}/{own}" for g in inside)])]
    for layout in LAYOUTS:
        roles = layout.roles(dataset.ndim)
        if roles is None or not _is_likely(dataset.shape, roles):
            continue
        for one in names:
            matched = re.fullmatch(layout.spectra, one)
            if matched is not None:
                groups = {k: v for k, v in matched.groupdict().items() if v is not None}
                result = Match(layout, groups, roles)
                if not layout.beside or _is_beside(result, found):
                    return result
    return None


def _is_likely(shape: tuple[int, ...], roles: tuple[str, ...]) -> bool:
    """Tell whether there are no more detectors than there may be: others are images."""
    if "detector" not in roles:
        return True
    n_detectors = shape[roles.index("detector")]
    return (
        n_detectors <= _MOST_DETECTORS < _LEAST_CHANNELS <= shape[roles.index("channel")]
    )


def _is_beside(matched: Match, found: "Found") -> bool:
    """Tell whether what has to lie beside spectra does."""
    for path in matched.layout.beside:
        place, own = matched.fill(path).rsplit("/", 1)
        group = group_at(found, place)
        if child(group, own) is not None:
            return True
    return False


def child(group: Any, name: str) -> Any:
    """Return what has a name in a group, whatever its letters are."""
    if not isinstance(group, h5py.Group):
        return None
    item = get(group, name)
    if item is not None:
        return item
    same = [k for k in group if isinstance(k, str) and k.lower() == name.lower()]
    return get(group, same[0]) if same else None


def group_at(found: "Found", place: str) -> Any:
    """Return what lies at a place of a layout: see :class:`Layout`."""
    root = found.dataset.place.root if place.startswith("/") else found.root
    return None if root is None else get(root, place.strip("/"))
