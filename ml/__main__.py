"""`python -m ml`: what can be done with models on folders, without Django."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from .errors import MlError

COMMANDS = ("clean-images", "clean-tabular", "train", "extract", "search", "evaluate", "export")


def main(argv: list[str] | None = None) -> int:
    """Run one command; the exit status is 1 after a refusal, told in one sentence."""
    parser = argparse.ArgumentParser(prog="python -m ml", description="Photos in, vectors out.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    modules = {name: import_module(f".commands.{name.replace('-', '_')}", __package__) for name in COMMANDS}
    for name, module in modules.items():
        module.add_arguments(commands.add_parser(name, help=module.HELP, description=module.__doc__))
    options = parser.parse_args(argv)
    try:
        modules[options.command].run(options)
    except (MlError, OSError) as exc:
        print(f"{options.command}: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{options.command}: stopped.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
