"""Maps of newformat: what the contract (tests/test_contract.py) does not know of them."""

import numpy as np

from rsciio_xfm import newformat
from tests.builders import newformat as builder


def test_counts(tmp_path):
    path = builder.write_map(tmp_path / "map.newformat")
    (found,) = newformat.file_reader(path)
    # FILL IN: the counts that the builder wrote, or golden values of another reader.
    expected = np.zeros(0)
    np.testing.assert_array_equal(found["data"], expected)


# FILL IN: a file that is cut, a header that lies, one pixel, an empty map: type and text of
# the error or warning.
