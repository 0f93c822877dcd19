from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, OperationalError
from django.utils import timezone

from listings.importing.log_lines import hold_back_log_lines
from listings.importing.progress import FileProgress
from listings.importing.report_file import open_report
from listings.importing.rows import PHOTO_COLUMNS, PRODUCT_COLUMNS
from listings.importing.run import Importer, Tally, photo_importer, product_importer
from listings.photos.no_room import CannotStore
from ml.catalogue.counts import describe_count
from ml.catalogue.encodings import CatalogueError, parse_encoding
from ml.catalogue.findings import FileFindings, Report
from ml.catalogue.picture_files import list_pictures
from ml.catalogue.records import CsvFile


class Command(BaseCommand):
    help = "Import a catalogue. Safe to repeat: what is there already stays as it is."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("products", type=Path, help="CSV with one product a row")
        parser.add_argument("images", type=Path, help="CSV with one photo a row")
        parser.add_argument("--images", type=Path, required=True, metavar="DIR", dest="folder", help="the photo files")
        parser.add_argument(
            "--encoding",
            type=parse_encoding,
            metavar="NAME",
            help="of both CSV files, such as windows-1252 (default: what a file's mark says, or UTF-8)",
        )
        parser.add_argument(
            "--report",
            type=Path,
            default=settings.VAR_DIR / "import-report.csv",
            help="where findings go (%(default)s)",
        )

    def handle(
        self, products: Path, images: Path, folder: Path, encoding: str | None, report: Path, **_options: object
    ) -> None:
        now = timezone.now()
        with explain_failures(), hold_back_log_lines(self.stderr.write):
            pictures = list_pictures(folder, "; give the one that holds the photos with --images")
            # Everything is opened before anything is written: who named a wrong file has half a catalogue otherwise.
            with (
                CsvFile(products, PRODUCT_COLUMNS.required, encoding) as product_file,
                CsvFile(images, PHOTO_COLUMNS.required, encoding) as image_file,
                open_report(report, inputs=(products, images)) as opened,
            ):
                self._import_file_and_print_summary(product_importer(now), product_file, "listing", opened)
                self._import_file_and_print_summary(photo_importer(pictures, now), image_file, "photo", opened)
        self.stdout.write(f"{describe_count(opened.total_findings, 'finding')} in {report}")

    def _import_file_and_print_summary(self, importer: Importer, file: CsvFile, noun: str, report: Report) -> None:
        with FileProgress(file.path.name, file.size, sys.stderr, self.stdout.write) as progress:
            findings = report.begin_file(file.path.name)
            tally = importer.import_file(file, findings, progress)
        self.stdout.write(format_summary(noun, tally, findings))


@contextmanager
def explain_failures() -> Iterator[None]:
    """Turn what a person can act on into the command's last sentence."""
    try:
        yield
    except CatalogueError as exc:
        raise CommandError(str(exc)) from exc
    except CannotStore as exc:
        reason = f"{exc.place.setting} {exc.trouble} ({exc.cause.strerror})"
        raise CommandError(f"{reason}. Make room, and run the same command again to go on.") from exc
    except OperationalError as exc:
        raise CommandError(f"The database: {exc}. Run the same command again to go on.") from exc
    except IntegrityError as exc:
        raise CommandError("Something else wrote the same rows at the same time. Run the import again.") from exc
    except KeyboardInterrupt as exc:
        raise CommandError("Stopped. Run the same command again to go on.") from exc


def format_summary(noun: str, tally: Tally, findings: FileFindings) -> str:
    found = [kind.describe_count(count) for kind, count in findings.counts.items()]
    there = f", {tally.there:,} there already" if tally.there else ""
    rows, made = describe_count(tally.rows, "row"), describe_count(tally.made, noun)
    return "; ".join([f"{findings.name}: {rows}, {made} made{there}", *found])
