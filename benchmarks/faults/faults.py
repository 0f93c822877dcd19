"""What is lost, doubled or late when processes, disks, databases and clocks fail while clients save photos.

A site as `make run` starts it. Two clients save listings with a photo each over REST and one with the page's form,
each one after another; visitors look at it all the time. One fault happens at a random moment; afterwards every save
that was acknowledged is looked for in rows, files and answers.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import Any

from .episode import Episode
from .fault import Fault
from .kinds import list_faults
from .outcome import Outcome
from .scene import Scene, open_scene
from .table import HEAD, describe_outcome, format_table, make_rows

TOLD = ("lost", "doubled", "refused", "stale", "late")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=1, help="of every fault (default: %(default)s)")
    parser.add_argument("--photos", type=int, default=300, help="to save in each fault (default: %(default)s)")
    parser.add_argument("--faults", default="", metavar="WORD,…", help="only those whose name holds one of the words")
    parser.add_argument("--seed", type=int, default=1, help="of pictures and moments (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="name the faults and end")
    parser.add_argument("--postgres", action="store_true", help="a private PostgreSQL, which can crash, not SQLite")
    parser.add_argument("--database-url", default="", help="an empty PostgreSQL to use, which is left running")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    # Whoever ends it early leaves no disks mounted and no server running.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("faults: ended by SIGTERM."))
    with open_scene(arguments.seed, arguments.database_url, private_postgres=arguments.postgres) as scene:
        faults = _choose_faults(list_faults(scene), arguments.faults)
        for fault in faults:
            if fault.impossible:
                print(f"{fault.name}: left out, {fault.impossible}", flush=True)
        possible = [fault for fault in faults if not fault.impossible]
        if arguments.list:
            print(*(fault.name for fault in possible), sep="\n", flush=True)
        outcomes = [] if arguments.list else _run_rounds(scene, possible, arguments)
        database = "sqlite" if scene.is_sqlite else "postgresql"
    print(format_table(outcomes), flush=True)
    return {
        "database": database,
        "rounds": arguments.rounds,
        "faults": len(possible),
        **{name: sum(len(getattr(one, name)) for one in outcomes) for name in TOLD},
        "broken": sum(len(one.broken) for one in outcomes),
        "table": [dict(zip(HEAD, row, strict=True)) for row in make_rows(outcomes)],
        "explained": [one.as_dict() for one in outcomes if one.broken],
    }


def _choose_faults(faults: list[Fault], words: str) -> list[Fault]:
    chosen = [word.strip() for word in words.split(",") if word.strip()]
    return [fault for fault in faults if not chosen or any(word in fault.name for word in chosen)]


def _run_rounds(scene: Scene, faults: list[Fault], arguments: argparse.Namespace) -> list[Outcome]:
    outcomes: list[Outcome] = []
    total, began = arguments.rounds * len(faults), time.monotonic()
    for round_number in range(arguments.rounds):
        # In another order each time, because a fault may also meet what the one before has left.
        for fault in scene.random.sample(faults, len(faults)) if round_number else faults:
            outcome = Episode(scene, fault, arguments.photos).run()
            outcomes.append(outcome)
            left = (time.monotonic() - began) / len(outcomes) * (total - len(outcomes))
            print(f"[{len(outcomes)}/{total}, {left / 60:.0f} min left] {describe_outcome(outcome)}", flush=True)
            for line in outcome.broken[:10]:
                print(f"    {line}", flush=True)
    return outcomes
