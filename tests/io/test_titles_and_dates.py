"""Titles in any alphabet, and dates in any style, come back from what is written here."""

import hyperspy.api as hs
import numpy as np
import pytest

FORMATS = (".datastack", ".emd", ".h5", ".edf", ".msa")
SHAPES = {".edf": (12, 10), ".msa": (120,)}
GENERAL = [
    *(
        ("title", text)
        for text in ("Χαλκός", "日本の土", "Brünhilde", "a: b; c = {d}", "x" * 300)
    ),
    *(
        ("date", text)
        for text in ("2022-10-26", "12-mar-2009", "12.03.2009", "in spring")
    ),
    *(("time", text) for text in ("10:55:00", "10:55:23.25", "1:05 PM", "noon")),
]


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(("name", "text"), GENERAL)
def test_they_come_back(tmp_path, suffix, name, text):
    data = np.arange(120, dtype=np.uint16).reshape(SHAPES.get(suffix, (3, 4, 10)))
    s = (hs.signals.Signal2D if suffix == ".edf" else hs.signals.Signal1D)(data)
    s.metadata.General.add_dictionary({"title": "t", name: text})
    path = tmp_path / f"a{suffix}"
    options = {"file_format": "ESRF"} if suffix == ".h5" else {}
    s.save(path, **options)
    assert hs.load(path, **options).metadata.General.get_item(name) == text
