"""`manage.py index status|compact|rebuild|verify [--repair]`."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from recommender.index import Difference, Index, Outcome, compact, rebuild, repair_differences, unusable_vectors, verify

SHOWN = 50
PATIENCE_SECONDS = 60.0  # with the worker's own compaction


class Command(BaseCommand):
    help = "Look after the shared index: its status, compaction, rebuilding, and comparison with the database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("status", help="Print what a reader on this host serves, as JSON.")
        actions.add_parser("compact", help="Flush every change into files now, and merge what is due.")
        rebuild = actions.add_parser("rebuild", help="Build the index from database rows alone.")
        rebuild.add_argument(
            "--new-epoch", action="store_true", help="After restoring a backup: files of the old history are refused."
        )
        check = actions.add_parser("verify", help="Compare files, rows, columns and vector bytes with the database.")
        check.add_argument("--repair", action="store_true", help="Mend what was found, then compare again.")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, action)(**options)

    def status(self, **options: Any) -> None:
        index = Index()
        health = index.health()
        segments = [part.summary() for part in index.state().base.parts] if health["usable"] else []
        self.stdout.write(json.dumps({**health, "segments": segments}, indent=2))

    def compact(self, **options: Any) -> None:
        self.report(_in_turn(lambda: compact(force=True)))

    def rebuild(self, new_epoch: bool, **options: Any) -> None:
        self.report(_in_turn(lambda: rebuild(new_epoch=new_epoch)))

    def verify(self, repair: bool, **options: Any) -> None:
        differences = self.compare()
        if differences and repair:
            self.stdout.write(repair_differences(differences, lambda: _in_turn(rebuild)))
            differences = self.compare()
        if differences:
            raise CommandError(f"{len(differences)} differences", returncode=1)

    def compare(self) -> list[Difference]:
        differences = [*verify(), *unusable_vectors()]
        for difference in differences[:SHOWN]:
            self.stdout.write(str(difference))
        if len(differences) > SHOWN:
            self.stdout.write(f"... and {len(differences) - SHOWN} more")
        self.stdout.write(f"{len(differences)} differences")
        return differences

    def report(self, outcome: Outcome) -> None:
        if "busy" in outcome.actions:
            raise CommandError("another compactor is still at work; try again in a minute")
        if "failed" in outcome.actions:
            done = ", ".join(action for action in outcome.actions if action != "failed") or "nothing"
            raise CommandError(f"not all could be done; the log says why. Done: {done}")
        self.stdout.write(f"{', '.join(outcome.actions)}; snapshot {outcome.snapshot}")


def _in_turn(act: Callable[[], Outcome]) -> Outcome:
    """Act when the compactor at work, if there is one, has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "busy" in (outcome := act()).actions and time.monotonic() < deadline:
        time.sleep(0.5)
    return outcome
