"""The layout of a newformat file: structured types with named fields, no functions.

Source: FILL IN: the vendor's document and page, or the file and the program's version in
which it was observed. Byte orders are explicit.
"""

import numpy as np

from rsciio_xfm.core.fields import Bounds

# FILL IN: how a file begins, what its fields are, and what each of them may be.
MARK = b"NEWFORMAT"
HEADER = np.dtype([("mark", f"S{len(MARK)}"), ("n_rows", "<u4")])
BOUNDS: Bounds = {"mark": MARK, "n_rows": (1, 2**16)}
COUNTS = np.dtype("<u2")
