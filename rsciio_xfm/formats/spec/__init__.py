"""SPEC files: scans with spectra."""
