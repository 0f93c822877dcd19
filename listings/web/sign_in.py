from __future__ import annotations

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse

from listings.limits.rates import throttle_request


class SignInForm(AuthenticationForm):
    error_messages = {
        "invalid_login": "This username and password do not belong together. Both are case-sensitive.",
        "inactive": "This account was closed.",
    }


class SignInView(LoginView):
    form_class = SignInForm
    template_name = "listings/sign_in.html"
    redirect_authenticated_user = True

    def post(self, request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        """Passwords are not guessed faster here than over the API."""
        if throttle_request(request, "token"):
            context = self.get_context_data(form=SignInForm(request), too_often=True)
            return self.render_to_response(context, status=429)
        return super().post(request, *args, **kwargs)
