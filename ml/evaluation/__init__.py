"""How good a model's vectors are at finding pictures of the same class."""
