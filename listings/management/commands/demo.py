from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from listings.demo.plan import LISTINGS
from listings.demo.publish import publish_catalogue
from listings.demo.sheet import write_contact_sheet
from ml.catalogue.counts import describe_count


class Command(BaseCommand):
    help = "Draw and publish a catalogue to look around in. Safe to repeat: only what is missing is made."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--listings", type=int, default=LISTINGS, metavar="N", help="how many (%(default)s)")
        parser.add_argument(
            "--drawings", type=Path, metavar="DIR", help="only write a contact sheet of the drawings into this folder"
        )

    def handle(self, listings: int, drawings: Path | None, **_options: object) -> None:
        if listings < 1:
            raise CommandError("--listings takes a number from 1.")
        if drawings is not None:
            try:
                self.stdout.write(f"Drawn: {write_contact_sheet(drawings, listings)}")
            except OSError as exc:
                raise CommandError(f"{drawings} cannot be written to: {exc.strerror}.") from exc
            return
        with tqdm(
            total=listings, desc="Drawing", unit=" listings", leave=False, disable=not sys.stderr.isatty()
        ) as bar:
            made, photos = publish_catalogue(listings, progress=bar.update)
        new = f"{describe_count(made, 'listing')} and {describe_count(photos, 'photo')}"
        self.stdout.write(f"Demo catalogue: {new} made, the rest was there.")
