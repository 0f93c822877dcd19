"""`manage.py index status|compact|rebuild|verify [--repair]`."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict

from django.core.management.base import BaseCommand, CommandError

from ml.catalogue.counts import describe_count
from recommender import index
from recommender.index import Action, CompactionOutcome, Difference, Index

SHOWN = 50

# The worker compacts several times a minute, and a command that comes just then waits until it has ended. A build may
# hold the lease for many minutes, so the command does not wait longer than this.
PATIENCE_SECONDS = 60.0


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

    def handle(self, *args: object, action: str, **options: object) -> None:
        actions: dict[str, Callable[..., None]] = {
            "status": self._print_status,
            "compact": self._compact_index,
            "rebuild": self._rebuild_index,
            "verify": self._verify_and_repair_index,
        }
        actions[action](**options)

    def _print_status(self, **options: object) -> None:
        reader = Index()
        health = reader.health()
        segments = [part.describe_part() for part in reader.get_state().base.parts] if health.usable else []
        self.stdout.write(json.dumps({**asdict(health), "segments": segments}, indent=2))

    def _compact_index(self, **options: object) -> None:
        self._print_outcome_or_raise(_retry_while_busy(lambda: index.compact(force=True)))

    def _rebuild_index(self, new_epoch: bool, **options: object) -> None:
        self._print_outcome_or_raise(_retry_while_busy(lambda: index.rebuild(new_epoch=new_epoch)))

    def _verify_and_repair_index(self, repair: bool, **options: object) -> None:
        differences = self._verify_and_print_differences()
        if differences and repair:
            self.stdout.write(index.repair_differences(differences, lambda: _retry_while_busy(index.rebuild)))
            differences = self._verify_and_print_differences()
        if differences:
            raise CommandError(describe_count(len(differences), "difference"), returncode=1)

    def _verify_and_print_differences(self) -> list[Difference]:
        differences = index.verify()
        for difference in differences[:SHOWN]:
            self.stdout.write(str(difference))
        if len(differences) > SHOWN:
            self.stdout.write(f"... and {len(differences) - SHOWN} more")
        self.stdout.write(describe_count(len(differences), "difference"))
        return differences

    def _print_outcome_or_raise(self, outcome: CompactionOutcome) -> None:
        if Action.BUSY in outcome.actions:
            raise CommandError("another compactor is still at work; try again in a minute")
        if Action.FAILED in outcome.actions:
            done = ", ".join(action for action in outcome.actions if action != Action.FAILED) or "nothing"
            raise CommandError(f"not all could be done; the log says why. Done: {done}")
        self.stdout.write(f"{', '.join(outcome.actions)}; snapshot {outcome.snapshot}")


def _retry_while_busy(act: Callable[[], CompactionOutcome]) -> CompactionOutcome:
    """Act when the compactor at work, if there is one, has ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while Action.BUSY in (outcome := act()).actions and time.monotonic() < deadline:
        time.sleep(0.5)
    return outcome
