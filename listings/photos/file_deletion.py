"""A deleted photo's files go with it, once the deletion is committed."""

from __future__ import annotations

import logging
from functools import partial

from django.core.files.storage import Storage
from django.db import transaction
from django.db.models.signals import pre_delete

from listings.models import ListingImage

logger = logging.getLogger(__name__)

FIELDS = ("original", "clean_file", "thumb_file")


def connect_signals() -> None:
    pre_delete.connect(delete_files_after_commit, sender=ListingImage, dispatch_uid="listings.photos.file_deletion")


def delete_files_after_commit(instance: ListingImage, **kwargs: object) -> None:
    """Read the names under the row's lock: a worker may have added derivatives since the instance was loaded."""
    row = ListingImage.objects.select_for_update().filter(pk=instance.pk).values(*FIELDS).first()
    if row is None:
        return
    files = [(getattr(instance, name).storage, row[name]) for name in FIELDS if row[name]]
    # Not before the commit: a deletion that is rolled back must find its files where they were.
    # `robust`, because the photo is gone by then: trouble with its files must not turn the answer into an error.
    transaction.on_commit(partial(delete_files, files), robust=True)


def delete_files(files: list[tuple[Storage, str]]) -> None:
    for storage, name in files:
        try:
            storage.delete(name)
        except OSError as exc:
            logger.warning("%s could not be deleted (%s); it is collected later.", name, exc)
