"""Log-ins that were refused, and tokens. Both can be read and deleted, and nothing more."""

from __future__ import annotations

from axes.models import AccessAttempt
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from listings.models import AccessToken


class DeletableAdmin(admin.ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(AccessAttempt)
class AccessAttemptAdmin(DeletableAdmin):
    """To delete a row is to let its name be tried from its address again."""

    list_display = ("username", "ip_address", "failures_since_start", "attempt_time")
    fields = readonly_fields = list_display
    search_fields = ("username", "ip_address")
    search_help_text = "A name or an address, of IPv6 the network of 64 bits."
    ordering = ("-attempt_time",)
    show_full_result_count = False


@admin.register(AccessToken)
class AccessTokenAdmin(DeletableAdmin):
    """To delete a row is to end its token. Nobody can read the token itself."""

    list_display = ("beginning", "user", "created_at", "used_at", "expires_at")
    fields = readonly_fields = list_display
    list_select_related = ("user",)
    search_fields = ("beginning", "user__username")
    search_help_text = "The first characters of a token, or a user name."
    ordering = ("-used_at",)
    show_full_result_count = False
