"""Maps in HDF5 files of Bliss, PyXRF, xraylarch, XRF-Maps and NeXus."""
