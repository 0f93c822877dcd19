"""Names that a framework prescribes: methods that it calls, on classes that inherit from its own.

The keys say where the classes are imported from. A test checks that each of these classes has each of these methods, or
asks for it by convention. A pattern such as `clean_*` stands for the methods that a framework looks up by a field's
name. Dunders are left out elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase

VIEW = "get post put patch delete head options dispatch"
API_VIEW = (
    f"{VIEW} initial initialize_request handle_exception permission_denied throttled get_throttles get_permissions"
)
GENERIC_VIEW = f"{API_VIEW} get_queryset get_object get_serializer get_serializer_class get_serializer_context"
FORM_FIELD = "clean validate to_python run_validators prepare_value has_changed bound_data widget_attrs"
SERIALIZER_FIELD = "to_internal_value to_representation get_attribute get_value run_validation run_validators bind"
SERIALIZER = f"{SERIALIZER_FIELD} validate create update save validate_* get_*"
FORM = "clean save full_clean is_valid add_error clean_*"
MODEL_ADMIN = (
    "get_queryset get_urls get_form get_fields get_fieldsets get_readonly_fields get_search_results get_actions "
    "get_changelist get_changelist_instance get_changeform_initial_data get_object get_ordering get_list_display "
    "save_model save_formset save_related delete_model delete_queryset log_change message_user "
    "changeform_view change_view changelist_view add_view delete_view history_view render_change_form "
    "response_add response_change has_add_permission has_change_permission has_delete_permission has_view_permission"
)

HOOKS = {
    "django.apps.AppConfig": "ready",
    "django.contrib.admin.ModelAdmin": MODEL_ADMIN,
    "django.contrib.admin.SimpleListFilter": "lookups queryset choices has_output value expected_parameters",
    "django.contrib.admin.TabularInline": "get_queryset get_formset get_extra get_max_num has_add_permission "
    "has_change_permission has_delete_permission has_view_permission",
    "django.contrib.auth.forms.AuthenticationForm": "clean full_clean is_valid clean_* confirm_login_allowed get_user",
    "django.contrib.auth.views.LoginView": f"{VIEW} form_valid form_invalid get_form get_success_url get_context_data",
    "django.core.files.uploadedfile.TemporaryUploadedFile": "temporary_file_path close",
    "django.core.files.uploadhandler.FileUploadHandler": "handle_raw_input new_file receive_data_chunk file_complete "
    "upload_complete upload_interrupted",
    "django.core.management.base.BaseCommand": "add_arguments handle execute create_parser check",
    "django.core.paginator.Paginator": "count num_pages page get_page validate_number",
    "django.db.models.Model": "save delete clean full_clean clean_fields validate_unique validate_constraints "
    "refresh_from_db from_db get_absolute_url",
    "django.forms.CharField": FORM_FIELD,
    "django.forms.DecimalField": FORM_FIELD,
    "django.forms.Field": FORM_FIELD,
    "django.forms.FileInput": "value_from_datadict value_omitted_from_data get_context render",
    "django.forms.FloatField": FORM_FIELD,
    "django.forms.Form": "clean full_clean is_valid add_error clean_*",
    "django.forms.IntegerField": FORM_FIELD,
    "django.forms.ModelForm": FORM,
    "django.http.HttpRequest": "get_host build_absolute_uri",
    "django_filters.rest_framework.CharFilter": "filter get_method",
    "django_filters.rest_framework.Filter": "filter get_method",
    "django_filters.rest_framework.FilterSet": "filter_queryset get_form_class is_valid",
    "drf_spectacular.views.SpectacularSwaggerSplitView": API_VIEW,
    "logging.Filter": "filter",
    "logging.Formatter": "format formatTime formatException",
    "logging.Handler": "emit handle flush close",
    "prometheus_client.registry.Collector": "collect",
    "psycopg.adapt.Dumper": "dump quote get_key upgrade",
    "rest_framework.generics.GenericAPIView": GENERIC_VIEW,
    "rest_framework.generics.ListCreateAPIView": f"{GENERIC_VIEW} perform_create list create",
    "rest_framework.generics.RetrieveUpdateDestroyAPIView": f"{GENERIC_VIEW} perform_update perform_destroy retrieve "
    "update destroy",
    "rest_framework.pagination.BasePagination": "paginate_queryset get_paginated_response "
    "get_paginated_response_schema get_results to_html get_schema_operation_parameters",
    "rest_framework.parsers.BaseParser": "parse",
    "rest_framework.permissions.BasePermission": "has_permission has_object_permission",
    "rest_framework.serializers.CharField": SERIALIZER_FIELD,
    "rest_framework.serializers.DecimalField": SERIALIZER_FIELD,
    "rest_framework.serializers.Field": SERIALIZER_FIELD,
    "rest_framework.serializers.FloatField": SERIALIZER_FIELD,
    "rest_framework.serializers.ModelSerializer": SERIALIZER,
    "rest_framework.serializers.Serializer": SERIALIZER,
    "rest_framework.throttling.BaseThrottle": "allow_request wait get_ident",
    "rest_framework.views.APIView": API_VIEW,
    "threading.Thread": "run start join",
    "torch.nn.Module": "forward train eval extra_repr state_dict load_state_dict",
}

# A program calls these functions of its configuration file by their names; the keys are the names of the modules.
FILE_HOOKS = {
    "gunicorn": "on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int worker_abort pre_exec "
    "pre_request post_request child_exit worker_exit nworkers_changed on_exit",
}


def is_hook(method: str, bases: Iterable[str]) -> bool:
    return any(_matches(method, HOOKS.get(base, "")) for base in bases)


def is_file_hook(function: str, module: str) -> bool:
    return _matches(function, FILE_HOOKS.get(module.rpartition(".")[2], ""))


def _matches(name: str, prescribed: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in prescribed.split())
