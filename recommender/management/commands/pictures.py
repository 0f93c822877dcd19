from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from listings.photos.lost_pictures import Found, look_at_page, restore_thumbs
from recommender.embedding.doorbell import doorbell
from recommender.embedding.queue import requeue_embedded_photos


class Command(BaseCommand):
    help = "Look for the files of every photo; with --repair, have pictures that are gone made from the originals."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--repair", action="store_true", help="also where every picture is gone")

    def handle(self, *, repair: bool, **_options: object) -> None:
        total, last = Found(), 0
        while True:
            last, page = look_at_page(last, are_deleted=True)
            total.add(page)
            if repair:
                requeue_embedded_photos(restore_thumbs(page.lost)[0])
            if not last:
                break
        if repair and total.lost:
            doorbell.ring()
        self.stdout.write(f"{total.looked:,} photos: {total.describe(are_repaired=repair) or 'no file is missing'}.")
