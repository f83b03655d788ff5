"""How much of each element there is: from counts, by fundamental parameters and standards."""
