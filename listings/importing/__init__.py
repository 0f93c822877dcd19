"""A catalogue of two CSV files becomes listings and photos: streamed, in batches, and safe to repeat or interrupt."""
