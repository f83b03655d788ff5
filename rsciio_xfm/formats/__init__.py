"""The file formats, each a table or an index of what is where, and a decoder."""
