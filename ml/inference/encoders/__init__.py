"""Pre-trained networks of others, read as they are: what pictures they take, and the features they give."""
