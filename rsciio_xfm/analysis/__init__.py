"""Algorithms: plain functions on arrays that know nothing of formats or HyperSpy."""
