"""The commands of `python -m ml`, a module each: `add_arguments(parser)` and `run(options)`, imported when called."""
