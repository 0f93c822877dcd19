from __future__ import annotations

from django.core.management import call_command

from recommender.models import EmbeddingModel

UNTRAINED = (
    "the model is UNTRAINED (EMBEDDER_WEIGHTS=untrained): every path works, but 'similar' means little more than "
    "similar colours and edges until trained weights are registered."
)
NOT_ALLOWED = (
    "the active model is untrained and EMBEDDER_WEIGHTS is not: no photo is embedded or searched with. Set "
    "EMBEDDER_WEIGHTS=untrained, or register and activate another model with `manage.py models`."
)
NONE = "no model is active: set EMBEDDER_WEIGHTS, or run `manage.py models register`; until then nothing is searchable."


def ensure_model(weights: str) -> str | None:
    """Register and activate a model where none is active; a sentence if answers will not be what a visitor expects."""
    active = EmbeddingModel.objects.filter(state=EmbeddingModel.State.ACTIVE)
    if weights and not active.exists():
        call_command("models", "register", "--weights", weights, "--activate")
    model = active.first()
    if model is None:
        return NONE
    if model.version != "untrained":
        return None
    return UNTRAINED if weights == "untrained" else NOT_ALLOWED
