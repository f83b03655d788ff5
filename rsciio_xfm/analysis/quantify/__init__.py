"""Concentrations from the counts of element maps, by fundamental parameters."""
