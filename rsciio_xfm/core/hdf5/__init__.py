"""HDF5 for all formats that lie in it: opened with care, and read past the library."""
