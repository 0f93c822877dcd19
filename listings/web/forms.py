from __future__ import annotations

from django import forms
from django.core.files.uploadedfile import UploadedFile

from listings.api.numbers import PriceInput
from listings.models import Category, Listing

PHOTO_TYPES = "image/*,.heic,.heif,.avif"


class PhotosInput(forms.FileInput):
    allow_multiple_selected = True


class PhotosField(forms.Field):
    """Files as they were sent; whether each is a photo is judged one by one, where it is stored."""

    widget = PhotosInput(attrs={"accept": PHOTO_TYPES})

    def clean(self, value: list[UploadedFile] | None) -> list[UploadedFile]:
        return super().clean([file for file in value or [] if file])


class ListingForm(forms.ModelForm):
    category = forms.ModelChoiceField(
        Category.objects.order_by("path"), required=False, empty_label="No category", help_text="Helps people find it."
    )

    class Meta:
        model = Listing
        fields = ["title", "price", "category", "location", "description"]
        help_texts = {
            "title": "What it is, in a few words.",
            "price": "Leave empty for “Price on request”; 0 means free.",
            "location": "A town or district. Do not give your address: everybody sees this.",
            "description": "Condition, size, what comes with it.",
        }
        field_classes = {"price": PriceInput}
        widgets = {
            # By the patterns a browser without the script asks before it sends: after a refusal it forgets the photos.
            "title": forms.TextInput(
                attrs={"autocomplete": "off", "enterkeyhint": "next", "pattern": r".*\S.*", "title": "A few words"}
            ),
            # Not of type number, which sends an empty text in place of what it cannot read, and that means no price.
            "price": forms.TextInput(
                attrs={
                    "autocomplete": "off",
                    "inputmode": "decimal",
                    "pattern": r"\s*\d{1,10}([.]\d{1,2})?\s*",
                    "title": "A number such as 12.50",
                }
            ),
            "location": forms.TextInput(attrs={"autocomplete": "address-level2"}),
            "description": forms.Textarea(attrs={"rows": 6}),
        }
        error_messages = {
            "title": {"required": "Give it a title, so that people know what it is."},
        }


class SellForm(ListingForm):
    """A new listing. The key makes a form that is sent twice publish once."""

    key = forms.UUIDField(widget=forms.HiddenInput)

    def fields_of_listing(self) -> dict[str, object]:
        return {name: self.cleaned_data[name] for name in self.Meta.fields}
