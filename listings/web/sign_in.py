from __future__ import annotations

from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView
from django.http import HttpResponse

from listings.limits.log_ins import find_lock, say_when
from listings.limits.rates import mark_too_often


class SignInForm(AuthenticationForm):
    error_messages = {
        "invalid_login": "This username and password do not belong together. Both are case-sensitive.",
        "inactive": "This account was closed.",
    }


class SignInView(LoginView):
    form_class = SignInForm
    template_name = "listings/sign_in.html"
    redirect_authenticated_user = True

    def form_invalid(self, form: AuthenticationForm) -> HttpResponse:
        """The name stays in the form, also where the password was not looked at."""
        seconds = find_lock(self.request)
        if not seconds:
            return super().form_invalid(form)
        context = self.get_context_data(form=form, too_often=say_when(seconds))
        return mark_too_often(self.render_to_response(context), seconds)
