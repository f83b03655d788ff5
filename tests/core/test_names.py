"""Names of files that have numbers in them."""

import pytest

from rsciio_xfm.core.names import find_matching, natural
from rsciio_xfm.exceptions import FileFormatError


def test_names_are_sorted_by_their_numbers():
    names = ["2.1", "10.1", "entry", "entry_1", "row_1b", "row_02", "row_10"]
    others = names[::-1]
    assert sorted(others, key=natural) == names


def test_numbers_may_have_any_number_of_digits():
    """Python refuses to read more than 4300 of them."""
    names = ["9" * 5000, "1" + "0" * 5000]
    others = names[::-1]
    assert sorted(others, key=natural) == names


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
