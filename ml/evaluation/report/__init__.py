"""An evaluation as one page with pictures, in one file that asks nothing of the network."""
