from django.contrib.auth.forms import AuthenticationForm
from django.contrib.auth.views import LoginView


class SignInForm(AuthenticationForm):
    error_messages = {
        "invalid_login": "This username and password do not belong together. Both are case-sensitive.",
        "inactive": "This account was closed.",
    }


class SignInView(LoginView):
    form_class = SignInForm
    template_name = "listings/sign_in.html"
    redirect_authenticated_user = True
