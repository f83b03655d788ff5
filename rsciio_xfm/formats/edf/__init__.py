"""EDF images, and all others that fabio reads."""
