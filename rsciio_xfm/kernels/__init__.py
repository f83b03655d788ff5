"""Loops that numba compiles, on plain arrays: they know nothing else of this package."""
