from django.contrib import admin
from django.urls import include, path

from listings.limits.log_ins import count_password_checks

from .docs import DocsView, SchemaView
from .observing import health, metrics

urlpatterns = [
    # Before the admin's own, which would look at any number of passwords.
    path("admin/password_change/", admin.site.admin_view(count_password_checks(admin.site.password_change))),
    path("admin/", admin.site.urls),
    path("api/v1/", include("listings.api.urls")),
    path("api/v1/", include("recommender.api.urls")),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", DocsView.as_view(url_name="schema"), name="docs"),
    path("health/live", health.report_liveness, name="health-live"),
    path("health/ready", health.report_readiness, name="health-ready"),
    path("metrics", metrics.report_metrics, name="metrics"),
    path("", include("listings.photos.serving")),
    path("", include("listings.web.urls")),
]

handler400 = "marketplace.errors.bad_request"
handler404 = "marketplace.errors.page_not_found"
handler500 = "marketplace.errors.server_error"
