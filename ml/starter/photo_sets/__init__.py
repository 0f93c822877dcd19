"""The public photos that the starter weights learn from: where they lie, what is left out, the table of the rest."""
