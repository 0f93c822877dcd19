"""What learns in a run, at which rate, and what it must not forget."""
