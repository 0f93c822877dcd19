"""The addresses of the site and, before them, those of the debug toolbar."""

from debug_toolbar.toolbar import debug_toolbar_urls

from marketplace.urls import handler400, handler404, handler500
from marketplace.urls import urlpatterns as of_the_site

__all__ = ["handler400", "handler404", "handler500", "urlpatterns"]

urlpatterns = [*debug_toolbar_urls(), *of_the_site]
