"""Who asks. Django REST framework loads this before there are models, so they are imported where they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from listings.models import AccessToken

INVALID = "Invalid token: it expired, was ended, or never was one. POST your name and password to token/ to get one."


class TokenAuthentication(authentication.TokenAuthentication):
    """`Authorization: Token …`, by the hash of the token."""

    def authenticate_credentials(self, key: str) -> tuple[User, AccessToken]:
        from listings.models import AccessToken

        token = AccessToken.usable().select_related("user").filter(digest=AccessToken.hash_token(key)).first()
        if token is None or not token.user.is_active:
            raise AuthenticationFailed(INVALID)
        token.note_use()
        return token.user, token
