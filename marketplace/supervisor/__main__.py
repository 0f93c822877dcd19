import os
import sys
from argparse import ArgumentParser

from .console import Console
from .development import DevelopmentSupervisor, development_environment
from .errors import CannotStart
from .site import Site
from .supervisor import Supervisor


def main() -> int:
    parser = ArgumentParser(prog="python -m marketplace.supervisor")
    parser.add_argument("--development", action="store_true", help="DEBUG, and processes that load saved code anew")
    development = parser.parse_args().development
    environ = development_environment(os.environ) if development else os.environ
    supervisor = DevelopmentSupervisor if development else Supervisor
    try:
        return supervisor(Site.from_environment(environ), Console(sys.stdout)).run()
    except CannotStart as exc:
        print(f"Cannot start: {exc}", file=sys.stderr)
        return 1


sys.exit(main())
