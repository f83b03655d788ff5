"""Tests of the engine that all formats share."""
