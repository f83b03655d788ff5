"""The file formats, each a table or an index of what is where, and a decoder."""

import sys

if "hyperspy.io" in sys.modules:  # which imports exspy for the signals of a reader
    import rsciio_xfm.core.exspy  # noqa: F401
