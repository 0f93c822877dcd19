import os
import sys

from .console import Console
from .errors import CannotStart
from .site import Site
from .supervisor import Supervisor


def main() -> int:
    try:
        return Supervisor(Site.from_environment(os.environ), Console(sys.stdout)).run()
    except CannotStart as exc:
        print(f"Cannot start: {exc}", file=sys.stderr)
        return 1


sys.exit(main())
