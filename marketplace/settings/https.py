"""What HTTPS=true changes: browsers are led to TLS and kept there, and cookies go no other way."""

from .environment import read_boolean, read_integer

# To be set only behind a proxy that speaks TLS and sets X-Forwarded-Proto: without one anybody could send that header.
HTTPS = read_boolean("HTTPS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SECURE_SSL_REDIRECT = HTTPS
# Probes speak to the site itself, past the proxy, and so without TLS.
SECURE_REDIRECT_EXEMPT = [r"^health/"]
# Browsers keep to HTTPS for so long, whatever becomes of the site's certificate: an hour at first, a year in the end.
SECURE_HSTS_SECONDS = read_integer("HSTS_SECONDS", 3600, least=0) if HTTPS else 0
# These two say that HSTS neither holds for every host below the site's own nor is on the browsers' list: whether all
# of these speak HTTPS only the owner of the domain knows, and says it at the proxy.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS else None
