"""Maps of XIA electronics: an EDF file of spectra for each row and detector."""
