"""What is limited, and by what: the one place for it. `SECURITY.md` lists the limits and how each fails."""
