from __future__ import annotations

from django import forms
from django.core.exceptions import ValidationError

from listings.models import Listing
from listings.photos.uploads import CheckedPhoto
from listings.services import explain_too_many_photos, room_for_photos
from listings.web.forms import PhotosField
from listings.web.uploading import check_and_split_photos


class ListingAdminForm(forms.ModelForm):
    photos = PhotosField(
        required=False, label="Add photos", help_text="Choose one or several. They are prepared within a second or so."
    )

    class Meta:
        model = Listing
        fields = "__all__"  # noqa: DJ007 - `ListingAdmin.fieldsets` chooses among them

    def clean_photos(self) -> list[CheckedPhoto]:
        """Unlike a seller's form this one is sent again: nothing is saved while one of the files is refused."""
        photos, refusals = check_and_split_photos(self.cleaned_data["photos"])
        if refusals:
            raise ValidationError([f"{refusal.name}: {refusal.reason}" for refusal in refusals])
        room = room_for_photos(self.instance.pk or 0)
        if len(photos) > room:
            raise ValidationError(explain_too_many_photos(room))
        return photos

    def clean(self) -> dict[str, object] | None:
        data = super().clean()
        if self.cleaned_data.get("photos") and self.cleaned_data.get("status") == Listing.Status.REMOVED:
            self.add_error("photos", "A removed listing takes no photos. Choose another status, or leave them out.")
        return data
