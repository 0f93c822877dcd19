"""Counts how the code is laid out, and says where it has grown past the limits: `make shape`."""
