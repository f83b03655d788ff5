"""Faults in files, said alike everywhere."""

# What RosettaSciIO's readers raise of files that are not as they expect.
UPSTREAM = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
