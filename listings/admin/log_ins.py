"""Wrong passwords that were counted. To delete a row is to let its name be tried from its address again."""

from __future__ import annotations

from axes.models import AccessAttempt
from django.contrib import admin
from django.http import HttpRequest


@admin.register(AccessAttempt)
class AccessAttemptAdmin(admin.ModelAdmin):
    list_display = ("username", "ip_address", "failures_since_start", "attempt_time")
    fields = readonly_fields = list_display
    search_fields = ("username", "ip_address")
    search_help_text = "A name or an address, of IPv6 the network of 64 bits."
    ordering = ("-attempt_time",)
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AccessAttempt | None = None) -> bool:
        return False
