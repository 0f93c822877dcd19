"""Embedding models in the admin: their progress, their evaluations, and buttons for the steps of their life."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, re_path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from listings.permissions import may_take_model_steps
from recommender import registry
from recommender.errors import RegistryError
from recommender.models import LONGEST_ID, Calibration, Embedding, EmbeddingModel
from recommender.registry import BackfillProgress
from recommender.registry.evaluation import REPORT_NAME, Evaluation, list_evaluations, reports_folder

from .model_steps import STEP_BY_NAME, ModelStep, list_offered_steps
from .read_only import ReadOnlyAdmin

NOTHING = "-"
PK = rf"(?P<pk>[0-9]{{1,{LONGEST_ID}}})"
# A report holds its pictures and styles itself and needs no script, so a browser may load and run nothing else.
REPORT_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@admin.register(EmbeddingModel)
class EmbeddingModelAdmin(ReadOnlyAdmin):
    """Staff change a model by steps alone, each of which is confirmed on a page of its own."""

    list_display = ("version", "state", "network", "embedded_share", "headline_figure", "report_link", "activated_at")
    ordering = ("-pk",)
    fields = (
        "version",
        "state",
        "network",
        "weights",
        "probabilities",
        "checkpoint",
        "sha256",
        "created_at",
        "activated_at",
        "recipe",
    )
    readonly_fields = ("network", "weights", "probabilities")

    def get_urls(self) -> list[URLPattern]:
        def admin_path(address: str, view: Callable[..., HttpResponseBase], name: str) -> URLPattern:
            return re_path(address, self.admin_site.admin_view(view), name=f"recommender_embeddingmodel_{name}")

        return [
            admin_path(rf"^{PK}/(?P<name>{'|'.join(STEP_BY_NAME)})/$", self.step_view, "step"),
            admin_path(rf"^{PK}/reports/(?P<name>{REPORT_NAME})$", self.report_view, "report"),
            *super().get_urls(),
        ]

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Count for all rows of the page in one query, because the table of embeddings may have millions of rows."""
        changelist = super().get_changelist_instance(request)
        add_photo_counts(changelist.result_list)
        return changelist

    @admin.display(ordering="arch")
    def network(self, model: EmbeddingModel) -> str:
        return f"{model.arch}, {model.dim}-d"

    @admin.display
    def weights(self, model: EmbeddingModel) -> str:
        return model.recipe.get("weights", NOTHING)

    @admin.display
    def probabilities(self, model: EmbeddingModel) -> str:
        row = Calibration.objects.defer("data").filter(model=model).first()
        return registry.describe_calibration(row) if row else NOTHING

    @admin.display(description="photos embedded")
    def embedded_share(self, model: Any) -> str | SafeString:
        if model.photos is None:
            return NOTHING
        share = f"{model.embedded_photos:,} of {model.photos:,}"
        return format_html("{}<br>{}", render_bar(model.embedded_photos, model.photos), share)

    @admin.display(description="mAP@R")
    def headline_figure(self, model: EmbeddingModel) -> str | SafeString:
        known = list_evaluations(model)
        if not known:
            return NOTHING
        return format_html('{} <span class="quiet">on {}</span>', known[0].headline, known[0].data)

    @admin.display(description="report")
    def report_link(self, model: EmbeddingModel) -> str | SafeString:
        known = list_evaluations(model)
        if not known:
            return NOTHING
        return format_html('<a href="{}">Show</a>', report_address(model, known[0]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        model = self.get_object(request, object_id)
        facts = self._collect_page_facts(request, model) if model else {}
        return super().change_view(request, object_id, form_url, {**facts, **(extra_context or {})})

    def _collect_page_facts(self, request: HttpRequest, model: EmbeddingModel) -> dict[str, object]:
        """What the page shows besides the row."""
        facts: dict[str, object] = {
            "evaluations": [(evaluation, report_address(model, evaluation)) for evaluation in list_evaluations(model)],
            "steps": list_offered_steps(model) if may_take_model_steps(request.user) else [],
        }
        if not model.is_live:
            return facts
        progress, embeddings = registry.measure_progress(model), reverse("admin:recommender_embedding_changelist")
        return facts | {
            "progress": progress,
            "bar": render_bar(progress.done, progress.photos),
            "counts": describe_counts(progress),
            "blockers": () if model.is_active else progress.blockers,
            "failures": f"{embeddings}?model__id__exact={model.pk}&state__exact=failed",
        }

    def step_view(self, request: HttpRequest, pk: str, name: str) -> HttpResponse:
        """Say what a step does and what stands in its way; do it when that was confirmed."""
        if not may_take_model_steps(request.user):
            raise PermissionDenied
        model, step = get_object_or_404(EmbeddingModel, pk=pk), STEP_BY_NAME[name]
        if request.method == "POST":
            self._take_step_and_report(request, model, step)
            return HttpResponseRedirect(reverse("admin:recommender_embeddingmodel_change", args=[model.pk]))
        progress = registry.measure_progress(model)
        context = {
            **self.admin_site.each_context(request),
            "title": f"{step.title} {model.version}?",
            "opts": self.opts,
            "model": model,
            "step": step,
            "consequences": step.consequences(model, progress),
            "blockers": step.blockers(model, progress),
        }
        return TemplateResponse(request, "admin/recommender/embeddingmodel/step.html", context)

    def _take_step_and_report(self, request: HttpRequest, model: EmbeddingModel, step: ModelStep) -> None:
        try:
            step.do(model)
        except RegistryError as exc:
            self.message_user(request, f"Nothing was changed. {exc}", messages.ERROR)
        else:
            sentence = step.done.format(version=model.version)
            self.log_change(request, model, sentence)
            self.message_user(request, sentence, messages.SUCCESS)

    def report_view(self, request: HttpRequest, pk: str, name: str) -> FileResponse:
        """The report of an evaluation. Strangers wrote its labels, so its page may run no script and load nothing."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        model = get_object_or_404(EmbeddingModel, pk=pk)
        try:
            file = (reports_folder(model) / name).open("rb")
        except OSError as exc:
            raise Http404("This report is gone; evaluate the model again.") from exc
        response = FileResponse(file, content_type="text/html; charset=utf-8")
        response["Content-Security-Policy"] = REPORT_POLICY
        return response


def report_address(model: EmbeddingModel, evaluation: Evaluation) -> str:
    return reverse("admin:recommender_embeddingmodel_report", args=[model.pk, evaluation.report])


def render_bar(done: int, total: int) -> SafeString:
    return format_html('<progress value="{}" max="{}" aria-label="embedded"></progress>', done, max(total, 1))


def describe_counts(progress: BackfillProgress) -> str:
    indexed = "no index yet" if progress.snapshot_rows is None else f"{progress.snapshot_rows:,} in its newest index"
    return (
        f"{progress.done:,} of {progress.photos:,} embedded, {progress.waiting:,} waiting, "
        f"{progress.failed:,} given up, {progress.rejected:,} rejected; {indexed}"
    )


def add_photo_counts(models: Iterable[Any]) -> None:
    """Give each model its `embedded_photos` and `photos`, None where no photo is embedded by it.

    The most complete model stands for the number of photos: the sweep gives every live one a row for each.
    """
    embedded, queued = Q(vector__isnull=False), ~Q(state=Embedding.State.REJECTED)
    counts = {
        row["model"]: row
        for row in Embedding.objects.filter(model__state__in=EmbeddingModel.LIVE)
        .order_by()
        .values("model")
        .annotate(embedded=Count("pk", filter=embedded), queued=Count("pk", filter=queued))
    }
    photos = max((row["queued"] for row in counts.values()), default=0)
    for model in models:
        model.embedded_photos = counts[model.pk]["embedded"] if model.pk in counts else 0
        model.photos = photos if model.is_live else None
