"""EMD files of NCEM's specification, and what is saved here."""
