"""Drawing for print: arrays in, matplotlib's axes out."""
