"""Maps in HDF5 files of Bliss, PyXRF, xraylarch, XRF-Maps, NeXus and beamlines."""
