"""Algorithms: plain functions on arrays that know nothing of files or HyperSpy."""
