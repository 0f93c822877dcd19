from __future__ import annotations

from typing import ClassVar

from django import forms
from django.core.exceptions import ValidationError

from listings.api.numbers import FloatInput, PriceInput
from listings.models import Listing
from listings.photos.no_room import CannotStore
from listings.photos.uploads import CheckedPhoto
from listings.services import explain_too_many_photos, leave_out_known_photos, room_for_photos
from listings.web.forms import PhotosField
from listings.web.uploading import check_and_split_photos, explain_lost_photos


class ListingAdminForm(forms.ModelForm):
    photos = PhotosField(
        required=False, label="Add photos", help_text="Choose one or several. They are prepared within a second or so."
    )

    class Meta:
        model = Listing
        fields = "__all__"  # noqa: DJ007 - `ListingAdmin.fieldsets` chooses among them
        field_classes: ClassVar = {"price": PriceInput, "latitude": FloatInput, "longitude": FloatInput}
        # Not of type number, which sends an empty text in place of what it cannot read, and that means none.
        widgets: ClassVar = {
            name: forms.TextInput(attrs={"inputmode": "decimal", "size": 16}) for name in field_classes
        }
        error_messages: ClassVar = {
            name: {"invalid": "Write degrees as a number, such as 51.5."} for name in ("latitude", "longitude")
        }

    def clean_photos(self) -> list[CheckedPhoto]:
        """Unlike a seller's form this one is sent again: nothing is saved while one of the files is refused."""
        try:
            photos, refusals = check_and_split_photos(self.cleaned_data["photos"])
        except CannotStore as exc:
            raise ValidationError(explain_lost_photos(exc)) from exc
        if refusals:
            raise ValidationError([f"{refusal.name}: {refusal.reason}" for refusal in refusals])
        listing_id = self.instance.pk or 0
        new, room = leave_out_known_photos(listing_id, photos), room_for_photos(listing_id)
        if len(new) > room:
            raise ValidationError(explain_too_many_photos(room))
        return new

    def clean(self) -> dict[str, object] | None:
        data = super().clean()
        if self.cleaned_data.get("photos") and self.cleaned_data.get("status") == Listing.Status.REMOVED:
            self.add_error("photos", "A removed listing takes no photos. Choose another status, or leave them out.")
        return data
