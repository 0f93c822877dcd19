"""A catalogue the project draws itself, so that the first page a person sees is alive."""
