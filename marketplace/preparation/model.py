"""The model of a new site: the starter model that comes with the code, unless somebody chose another by name."""

from __future__ import annotations

from django.core.management import call_command

from ml.errors import MlError
from recommender import registry
from recommender.errors import ModelNotReady, RegistryError
from recommender.models import UNTRAINED, Embedding, EmbeddingModel

IS_UNTRAINED = (
    "the model is UNTRAINED (EMBEDDER_WEIGHTS=untrained): every path works, but 'similar' means little more than "
    "similar colours and edges until trained weights are registered."
)
NO_SUCCESSOR = "the active model {old} is UNTRAINED: register and activate another one with `manage.py models`."
NOT_CALIBRATED = "{model} answers without probabilities: {reason} Then run `manage.py models calibrate {model}`."
READY = "{new} has embedded every photo: `manage.py models activate {new}` answers with it instead of {old}."
WAITING = (
    "{old} is UNTRAINED and answers while {new} embeds the photos ({done:,} of {photos:,} so far); "
    "then `manage.py models activate {new}` replaces it."
)


def ensure_active_model(weights: str) -> str | None:
    """Register and activate a model if none answers. Returns a sentence if answers will not be what visitors expect."""
    active = EmbeddingModel.objects.find_active()
    if active is None:
        call_command("models", "register", "--weights", weights, "--activate")
        active = EmbeddingModel.objects.find_active()
    if trouble := calibrate_live_models():
        return trouble
    if active is None or not active.is_untrained:
        return None
    return IS_UNTRAINED if weights == UNTRAINED else prepare_or_activate_successor(active, weights)


def calibrate_live_models() -> str | None:
    """Give every live model that has none a curve from cosines to probabilities; models before 0.2.0 have none.

    Returns a sentence if one cannot be had: the site answers all the same, without probabilities.
    """
    for model in EmbeddingModel.objects.live().in_indexing_order():
        if registry.needs_calibration(model):
            try:
                registry.calibrate(model)
            except (MlError, ModelNotReady) as exc:
                return NOT_CALIBRATED.format(model=model.version, reason=exc)
    return None


def prepare_or_activate_successor(old: EmbeddingModel, weights: str) -> str | None:
    """Let trained weights embed every photo while an untrained model answers. Whoever runs the site switches."""
    try:
        new = registry.register(weights, weights)
    except RegistryError as exc:
        return f"{NO_SUCCESSOR.format(old=old.version)} {exc}"
    if new.state == EmbeddingModel.State.RETIRED:
        return NO_SUCCESSOR.format(old=old.version)
    if new.state == EmbeddingModel.State.CANDIDATE:
        registry.start_backfill(new)
        new.refresh_from_db()
    progress = registry.measure_progress(new)
    # An old model that has embedded no photo finds nothing, so nobody loses an answer when it is replaced unasked.
    if progress.ready and not Embedding.objects.filter(model=old, vector__isnull=False).exists():
        registry.activate(new)
        return None
    sentence = READY if progress.ready else WAITING
    return sentence.format(old=old.version, new=new.version, done=progress.done, photos=progress.photos)
