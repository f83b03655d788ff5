"""The explorer: a map in the browser or in a notebook, with the spectra of its regions."""
