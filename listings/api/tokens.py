"""API tokens: given for a name and a password, shown once, kept as hashes, ended by whoever holds one."""

from __future__ import annotations

import secrets
from typing import ClassVar

from django.contrib.auth import authenticate, user_logged_in
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.db.models.signals import post_save
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import Throttled, ValidationError
from rest_framework.permissions import AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from listings.limits.log_ins import find_lock, say_when
from listings.models import AccessToken
from listings.permissions import TokenAuthentication

from . import schema
from .parsers import BoundedJSONParser
from .serializers import StrictSerializer

# A client that asks for a token each time it starts must not fill the table: the one unused for longest goes.
MOST_TOKENS = 100


def issue_token(user: User) -> str:
    """A new token for this person, which nobody can read again."""
    newest = AccessToken.objects.filter(user=user).order_by("-used_at", "-pk").values_list("pk", flat=True)
    AccessToken.objects.filter(pk__in=list(newest[MOST_TOKENS - 1 :])).delete()
    token = secrets.token_hex(32)
    AccessToken.objects.create(user=user, digest=AccessToken.hash_token(token), beginning=token[:8])
    return token


def forget_expired_tokens() -> None:
    AccessToken.objects.exclude(pk__in=AccessToken.usable().values("pk")).delete()


class EndTokens:
    """Told by Django of every changed password, as a password validator; sessions it ends itself."""

    def validate(self, password: str, user: User | None = None) -> None:
        """Any password will do here."""

    def get_help_text(self) -> str:
        return "A new password ends your tokens for the API, and signs you out everywhere else."

    def password_changed(self, password: str, user: User) -> None:
        AccessToken.objects.filter(user=user).delete()


def end_tokens_of_closed_account(instance: User, **kwargs: object) -> None:
    if not instance.is_active:
        AccessToken.objects.filter(user=instance).delete()


def connect_signals() -> None:
    post_save.connect(end_tokens_of_closed_account, sender=User, dispatch_uid="listings.api.tokens")


class CredentialsSerializer(StrictSerializer):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=128, trim_whitespace=False, style={"input_type": "password"})


class NewTokenSerializer(serializers.Serializer):
    token = serializers.CharField(help_text="Send it as `Authorization: Token …`. It is shown this once.")


class TokenSerializer(serializers.ModelSerializer):
    """A token without what opens the account."""

    expires_at = serializers.DateTimeField(read_only=True, help_text="Unless it is used before.")
    is_current = serializers.SerializerMethodField(help_text="Whether this request came with it.")

    class Meta:
        model = AccessToken
        fields = ["id", "beginning", "created_at", "used_at", "expires_at", "is_current"]
        read_only_fields = fields

    def get_is_current(self, token: AccessToken) -> bool:
        return bool(self.context["request"].auth == token)


class TokenView(APIView):
    """The way in: no permission is asked, and no other credential is looked at. Only ending a token takes one."""

    query_parameters: ClassVar[dict[str, tuple[str, ...]]] = {}
    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (BoundedJSONParser,)

    def get_authenticators(self) -> list[BaseAuthentication]:
        return [TokenAuthentication()] if self.request and self.request.method == "DELETE" else []

    def get_permissions(self) -> list[IsAuthenticated | AllowAny]:
        return [IsAuthenticated() if self.request and self.request.method == "DELETE" else AllowAny()]

    @extend_schema(
        summary="Get a token",
        description="Exchange a name and a password for a token that the other calls take. It is new each time, "
        "is shown this once, and expires when it was not used for 90 days.",
        tags=["token"],
        auth=[],
        request=CredentialsSerializer,
        responses={200: NewTokenSerializer, **{code: schema.WRITE[code] for code in (400, 429, 503, 507)}},
    )
    def post(self, request: Request) -> Response:
        credentials = CredentialsSerializer(data=request.data)
        credentials.is_valid(raise_exception=True)
        user = authenticate(request, **credentials.validated_data)
        if seconds := find_lock(request):
            refusal = Throttled(detail=say_when(seconds))
            # Given at once, it would be said a second time: "Expected available in …".
            refusal.wait = seconds  # type: ignore[attr-defined]
            raise refusal
        # The same answer for a wrong password and an unknown name, so that nobody can find out who has an account.
        if not isinstance(user, User):
            raise ValidationError({"detail": "No active account has this name and password."}, "wrong_credentials")
        user_logged_in.send(sender=User, request=request, user=user)
        return Response({"token": issue_token(user)})

    @extend_schema(
        summary="End a token",
        description="The one that this request comes with. From then on it opens nothing.",
        tags=["token"],
        auth=[{"tokenAuth": []}],  # type: ignore[list-item]
        request=None,
        responses={204: None, **{code: schema.WRITE[code] for code in (401, 429, 503, 507)}},
    )
    def delete(self, request: Request) -> Response:
        if isinstance(request.auth, AccessToken):
            request.auth.delete()
        return Response(status=status.HTTP_204_NO_CONTENT)


class OwnTokensView(generics.GenericAPIView):
    query_parameters: ClassVar[dict[str, tuple[str, ...]]] = {}
    serializer_class = TokenSerializer
    permission_classes = (IsAuthenticated,)
    filter_backends = ()
    pagination_class = None
    queryset = AccessToken.objects.none()

    def get_queryset(self) -> QuerySet[AccessToken]:
        return AccessToken.usable().filter(user=self.request.user.pk).order_by("-used_at", "-pk")


class TokensView(OwnTokensView, generics.ListAPIView):
    @extend_schema(
        summary="List your tokens",
        description="Those that have not expired, by last use: at most 100.",
        tags=["token"],
        responses={
            200: TokenSerializer(many=True),
            401: schema.UNAUTHENTICATED,
            429: schema.THROTTLED,
            503: schema.UNAVAILABLE,
        },
    )
    def get(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().get(request, *args, **kwargs)


class OneTokenView(OwnTokensView, generics.DestroyAPIView):
    lookup_url_kwarg = "token_id"

    @extend_schema(
        summary="End one of your tokens",
        tags=["token"],
        responses={204: None, **{code: schema.WRITE[code] for code in (401, 404, 429, 503, 507)}},
    )
    def delete(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().delete(request, *args, **kwargs)
