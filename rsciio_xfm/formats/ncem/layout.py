"""Names in EMD files of NCEM's.

Sources: the EMD specification 0.2, https://emdatasets.com/format/, and the files that
RosettaSciIO writes.
"""

VERSION = ("0", "2")
SIGNALS = "signals"
UNNAMED = "__unnamed__"
GROUP_TYPE = "emd_group_type"
# Of the root, as the specification has them, with what belongs there as attributes.
ROOT_GROUPS = ("microscope", "sample", "user", "comments")
