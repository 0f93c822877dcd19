"""Who gets in, and how often: log-ins, sessions and rates. `listings/limits/` counts what is limited here."""

from datetime import timedelta

from .environment import read_integer, read_throttle_rate

LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "home"
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "listings.api.tokens.EndTokens"},
]

# After so long without a wrong password tries begin anew.
LOG_IN_LOCK = timedelta(minutes=read_integer("LOG_IN_LOCK_MINUTES", 15))
# How many wrong passwords are looked at before that: for one name from one address, from an address for any names, and
# for a name from all addresses together, but for those from where its owner logs in.
LOG_IN_TRIES = {
    "both": read_integer("LOG_IN_TRIES", 5),
    "address": read_integer("LOG_IN_TRIES_ADDRESS", 50),
    "name": read_integer("LOG_IN_TRIES_NAME", 25),
}
AXES_HANDLER = "listings.limits.log_ins.CountingHandler"
AXES_LOCKOUT_CALLABLE = "listings.limits.log_ins.answer_locked_out"
AXES_CLIENT_IP_CALLABLE = "listings.limits.rates.caller_address"
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

SESSION_COOKIE_AGE = read_integer("SESSION_HOURS", 12) * 3600
SESSION_COOKIE_HTTPONLY = True

# A token of the API that was not used for so long opens nothing any more.
TOKEN_DAYS = read_integer("TOKEN_DAYS", 90)

# Rates count in the cache, and let every request through while it is away.
THROTTLE_RATES = {
    "anon": read_throttle_rate("THROTTLE_ANON", "300/min"),
    "user": read_throttle_rate("THROTTLE_USER", "1200/min"),
    # Log-ins from one address, right ones too: a password takes the processor a third of a second.
    "token": read_throttle_rate("THROTTLE_TOKEN", "10/min"),
    "search": read_throttle_rate("THROTTLE_SEARCH", "60/min"),
    # Over REST and by forms together.
    "publish": read_throttle_rate("THROTTLE_PUBLISH", "120/min"),
    "upload": read_throttle_rate("THROTTLE_UPLOAD", "120/min"),
}
