"""Classes of spectra: the features that they start from, and the methods that find them."""
