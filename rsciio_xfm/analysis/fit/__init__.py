"""Element maps by a linear fit of whole spectra."""
