"""Names that have numbers in them."""

from rsciio_xfm.core.names import natural


def test_names_are_sorted_by_their_numbers():
    names = ["2.1", "10.1", "entry", "entry_1", "row_1b", "row_02", "row_10"]
    others = names[::-1]
    assert sorted(others, key=natural) == names


def test_numbers_may_have_any_number_of_digits():
    """Python refuses to read more than 4300 of them."""
    names = ["9" * 5000, "1" + "0" * 5000]
    others = names[::-1]
    assert sorted(others, key=natural) == names
