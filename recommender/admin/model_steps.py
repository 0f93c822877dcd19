"""What staff may do with a model, and what the page that asks "are you sure?" says about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ml.catalogue.counts import describe_count
from recommender import registry
from recommender.models import EmbeddingModel
from recommender.registry import BackfillProgress

State = EmbeddingModel.State


@dataclass(frozen=True, kw_only=True)
class ModelStep:
    """One button of a model's page.

    `name` ends the step's address, and the button is `shown_in` models of these states; whether the step may be done,
    the registry decides. `done` is what the page says afterwards, with a place for the version.
    """

    name: str
    title: str
    shown_in: tuple[State, ...]
    do: Callable[[EmbeddingModel], object]
    consequences: Callable[[EmbeddingModel, BackfillProgress], Sequence[str]]
    blockers: Callable[[EmbeddingModel, BackfillProgress], Sequence[str]] = lambda model, progress: ()
    done: str


def _describe_backfill(model: EmbeddingModel, progress: BackfillProgress) -> list[str]:
    photos = describe_count(progress.photos, "photo")
    return [
        f"Workers embed {photos} by {model.version}, after everything that is more urgent.",
        "New photos are embedded by it as well.",
        "Answers stay as they are.",
    ]


def _describe_activation(model: EmbeddingModel, progress: BackfillProgress) -> list[str]:
    before = EmbeddingModel.objects.find_active()
    lines = [f"Every answer comes from {model.version} from now on; no visitor notices the switch."]
    if before and before != model:
        lines.append(f"{before.version} goes to standby: it stays embedded, so that you can roll back to it.")
    return lines


def _describe_rollback(model: EmbeddingModel, progress: BackfillProgress) -> list[str]:
    before = registry.find_previous_model()
    if before is None:
        return []
    return [
        f"Every answer comes from {before.version} again.",
        f"{model.version} goes to standby: it stays embedded, and can be activated again.",
    ]


def _find_rollback_blockers(model: EmbeddingModel, progress: BackfillProgress) -> list[str]:
    if not model.is_active:
        return [f"{model.version} is not active, so there is nothing to take back."]
    if registry.find_previous_model() is None:
        return ["No model is on standby, so there is none to roll back to."]
    return []


def _describe_retirement(model: EmbeddingModel, progress: BackfillProgress) -> list[str]:
    return [
        f"No photo is embedded by {model.version} any more, so it cannot be rolled back to.",
        "The vectors it made are deleted within the hour; its weights, figures and reports stay.",
        "To answer with it again it would have to embed every photo anew.",
    ]


STEPS = (
    ModelStep(
        name="backfill",
        title="Backfill",
        shown_in=(State.CANDIDATE, State.RETIRED),
        do=registry.start_backfill,
        consequences=_describe_backfill,
        done="Model {version} is being backfilled.",
    ),
    ModelStep(
        name="activate",
        title="Activate",
        shown_in=(State.CANDIDATE, State.BACKFILLING, State.STANDBY),
        do=registry.activate,
        consequences=_describe_activation,
        blockers=lambda model, progress: progress.blockers,
        done="Model {version} answers now.",
    ),
    ModelStep(
        name="rollback",
        title="Roll back",
        shown_in=(State.ACTIVE,),
        do=registry.roll_back,
        consequences=_describe_rollback,
        blockers=_find_rollback_blockers,
        done="Rolled back from {version}.",
    ),
    ModelStep(
        name="retire",
        title="Retire",
        shown_in=(State.CANDIDATE, State.BACKFILLING, State.STANDBY),
        do=registry.retire,
        consequences=_describe_retirement,
        done="Model {version} is retired.",
    ),
)
STEP_BY_NAME = {step.name: step for step in STEPS}


def list_offered_steps(model: EmbeddingModel) -> list[ModelStep]:
    return [step for step in STEPS if model.state in step.shown_in]
