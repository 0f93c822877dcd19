"""What staff may do with a model, and what the page that asks "are you sure?" says about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from recommender import registry
from recommender.models import EmbeddingModel
from recommender.registry import Progress

State = EmbeddingModel.State


@dataclass(frozen=True)
class Step:
    """One button. `name` ends its address; the registry, not `states`, decides whether it may be done."""

    name: str
    title: str
    states: tuple[State, ...]  # where the button is shown
    do: Callable[[EmbeddingModel], object]
    consequences: Callable[[EmbeddingModel, Progress], Sequence[str]]
    done: str  # {version}
    blockers: Callable[[EmbeddingModel, Progress], Sequence[str]] = lambda model, progress: ()


def _backfilling(model: EmbeddingModel, progress: Progress) -> list[str]:
    return [
        f"Workers embed {progress.photos:,} photos by {model.version}, after everything that is more urgent.",
        "New photos are embedded by it as well.",
        "Answers stay as they are.",
    ]


def _activation(model: EmbeddingModel, progress: Progress) -> list[str]:
    before = EmbeddingModel.objects.find_active()
    lines = [f"Every answer comes from {model.version} from now on; no visitor notices the switch."]
    if before and before != model:
        lines.append(f"{before.version} goes to standby: it stays embedded, so that you can roll back to it.")
    return lines


def _rollback(model: EmbeddingModel, progress: Progress) -> list[str]:
    before = registry.previous_model()
    if before is None:
        return []
    return [
        f"Every answer comes from {before.version} again.",
        f"{model.version} goes to standby: it stays embedded, and can be activated again.",
    ]


def _no_way_back(model: EmbeddingModel, progress: Progress) -> list[str]:
    if not model.is_active:
        return [f"{model.version} is not active, so there is nothing to take back."]
    if registry.previous_model() is None:
        return ["No model is on standby, so there is none to roll back to."]
    return []


def _retirement(model: EmbeddingModel, progress: Progress) -> list[str]:
    return [
        f"No photo is embedded by {model.version} any more, so it cannot be rolled back to.",
        "The vectors it made are deleted within the hour; its weights, figures and reports stay.",
        "To answer with it again it would have to embed every photo anew.",
    ]


STEPS = (
    Step(
        "backfill",
        "Backfill",
        (State.CANDIDATE, State.RETIRED),
        registry.backfill,
        _backfilling,
        "Model {version} is being backfilled.",
    ),
    Step(
        "activate",
        "Activate",
        (State.CANDIDATE, State.BACKFILLING, State.STANDBY),
        registry.activate,
        _activation,
        "Model {version} answers now.",
        lambda model, progress: progress.blockers,
    ),
    Step(
        "rollback",
        "Roll back",
        (State.ACTIVE,),
        registry.rollback,
        _rollback,
        "Rolled back from {version}.",
        _no_way_back,
    ),
    Step(
        "retire",
        "Retire",
        (State.CANDIDATE, State.BACKFILLING, State.STANDBY),
        registry.withdraw,
        _retirement,
        "Model {version} is retired.",
    ),
)
BY_NAME = {step.name: step for step in STEPS}


def offered(model: EmbeddingModel) -> list[Step]:
    return [step for step in STEPS if model.state in step.states]
