"""Names of the files of XIA maps, and what is in a row of statistics.

Source: PyMca 5.9, and files of the ESRF.
"""

import re

# One EDF file a row and detector, as in zap_xia00_0001_0000_0003.edf: number of the detector
# or "st" for statistics, scan, a number that is 0 in maps, row.
XIA = re.compile(
    r"(?P<prefix>.*)_xia(?P<kind>\d\d|st|ct|s\d|sn)_(?P<scan>\d{4,})_(?P<part>\d{4,})"
    r"_(?P<row>\d{4,})\.edf(?P<packed>\.gz|\.bz2)?",
    re.IGNORECASE,
)
# A single acquisition: channel numbers, then the spectrum of each detector.
XIA_SINGLE = re.compile(r".*_xiact_.*\.edf(\.gz|\.bz2)?", re.IGNORECASE)
# For each detector in a row of statistics; rates in 1/s.
XIA_STATISTICS = (
    "detector",
    "events",
    "input_rate",
    "output_rate",
    "trigger_live_time",  # ms, of the fast channel
    "dead_time",  # %
)
XIA_CORRECTED = 3  # bits of xcorr: dead time is corrected for, live time is
