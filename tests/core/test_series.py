"""Files of a series."""

import pytest

from rsciio_xfm.core.series import find_matching, list_numbered
from rsciio_xfm.exceptions import FileFormatError


def test_files_that_match_a_pattern(tmp_path):
    for name in ("row_10.h5", "row_9.h5", "other.h5"):
        (tmp_path / name).touch()
    (tmp_path / "row_8.h5").mkdir()
    own = tmp_path / "row_9.h5"
    found = find_matching(own, "row_*.h5")
    assert [path.name for path in found] == ["row_9.h5", "row_10.h5"]
    with pytest.raises(FileFormatError, match=r"no file beside it matches .*'line_\*'"):
        find_matching(own, "line_*")
    with pytest.raises(ValueError, match="expected a pattern for files beside it"):
        find_matching(own, str(tmp_path / "row_*.h5"))


def test_files_that_differ_in_a_number(tmp_path):
    names = ("a_9.edf", "a_010.edf", "a_2.edf", "b_3.edf", "a_4.h5", "a.h5", "x.0001")
    for name in (*names, "x.0003", "a_5_dark.edf", "a_7_dark.edf"):
        (tmp_path / name).touch()
    (tmp_path / "a_3.edf").mkdir()

    def found(name):
        return {n: p.name for n, p in list_numbered(tmp_path / name).items()}

    assert found("a_2.edf") == {2: "a_2.edf", 9: "a_9.edf", 10: "a_010.edf"}
    assert found("x.0001") == {1: "x.0001", 3: "x.0003"}
    assert found("a_5_dark.edf") == {5: "a_5_dark.edf", 7: "a_7_dark.edf"}
    assert found("a.h5") == {}
