from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError
from django.utils import timezone

from listings.importing.progress import FileProgress
from listings.importing.report_file import open_report
from listings.importing.run import Importer, Tally, photo_importer, product_importer
from ml.catalogue.findings import FileFindings, Report
from ml.catalogue.records import CatalogueError


class Command(BaseCommand):
    help = "Import a catalogue. Safe to repeat: what is there already stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("products", type=Path, help="CSV with one product a row")
        parser.add_argument("images", type=Path, help="CSV with one photo a row")
        parser.add_argument("--images", type=Path, required=True, metavar="DIR", dest="folder", help="the photo files")
        parser.add_argument(
            "--report",
            type=Path,
            default=settings.VAR_DIR / "import-report.csv",
            help="where findings go (%(default)s)",
        )

    def handle(self, products: Path, images: Path, folder: Path, report: Path, **_options: object) -> None:
        if not folder.is_dir():
            raise CommandError(f"{folder} is not a folder; give the one that holds the photos with --images.")
        now = timezone.now()
        try:
            with open_report(report) as opened:
                self._import_file_and_print_summary(product_importer(now), products, "listings", opened)
                self._import_file_and_print_summary(photo_importer(folder, now), images, "photos", opened)
        except CatalogueError as exc:
            raise CommandError(str(exc)) from exc
        except IntegrityError as exc:
            raise CommandError("Something else wrote the same rows at the same time. Run the import again.") from exc
        except KeyboardInterrupt as exc:
            raise CommandError("Stopped. Run the same command again to go on.") from exc
        self.stdout.write(f"{opened.total_findings:,} findings in {report}")

    def _import_file_and_print_summary(self, importer: Importer, path: Path, noun: str, report: Report) -> None:
        size = path.stat().st_size if path.is_file() else 0
        with FileProgress(path.name, size, sys.stderr, self.stdout.write) as progress:
            findings = report.begin_file(path.name)
            tally = importer.import_file(path, findings, progress)
        self.stdout.write(format_summary(noun, tally, findings))


def format_summary(noun: str, tally: Tally, findings: FileFindings) -> str:
    found = [kind.describe_count(count) for kind, count in findings.counts.items()]
    there = f", {tally.there:,} there already" if tally.there else ""
    return "; ".join([f"{findings.name}: {tally.rows:,} rows, {tally.made:,} {noun} made{there}", *found])
