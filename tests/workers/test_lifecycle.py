"""Real worker processes: what they refuse, and that they embed what was saved."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

from ml.recipe import Recipe
from recommender.models import Embedding, EmbeddingModel, Heartbeat
from tests.built_models import untrained_model_dir
from tests.factories import make_image, make_listing
from tests.recommender.queue_rows import ROOT, environment

pytestmark = pytest.mark.django_db(transaction=True)


def start(queue: str, *options: str, **environ: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "celery", "-A", "marketplace", "worker", f"--queues={queue}", *options]
    return subprocess.Popen(
        command, cwd=ROOT, env=environment(**environ), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for(check, worker: subprocess.Popen[str], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not check():
        assert worker.poll() is None, worker.communicate()[0]
        assert time.monotonic() < until, "It did not happen in time."
        time.sleep(0.05)


def stop(worker: subprocess.Popen[str]) -> str:
    worker.send_signal(signal.SIGTERM)
    try:
        return worker.communicate(timeout=15)[0]
    except subprocess.TimeoutExpired:
        worker.kill()
        raise


@pytest.mark.parametrize("queue", ["embedding", "indexing"])
def test_a_forking_pool_is_refused_where_models_and_indexes_are_loaded(queue):
    worker = start(queue, "--pool=prefork", "--concurrency=1")
    output, _ = worker.communicate(timeout=30)
    assert worker.returncode != 0
    assert "--pool=solo" in output


def test_a_worker_embeds_what_was_saved_and_beats(settings):
    settings.MODELS_ROOT, settings.EMBEDDER_WEIGHTS = untrained_model_dir().parent, "untrained"
    recipe = Recipe.read(untrained_model_dir())
    EmbeddingModel.objects.create(
        version="untrained",
        arch=recipe.arch,
        dim=recipe.dim,
        recipe=recipe.as_dict(),
        checkpoint=untrained_model_dir().name,
        sha256=recipe.sha256,
        state="active",
    )
    worker = start(
        "embedding",
        "--pool=solo",
        MODELS_ROOT=str(settings.MODELS_ROOT),
        EMBEDDER_WEIGHTS="untrained",
        EMBEDDER_CACHE=str(settings.MODELS_ROOT / "openvino"),
    )
    try:
        wait_for(Heartbeat.objects.filter(kind="embedding").exists, worker)
        make_image(make_listing())
        wait_for(Embedding.objects.filter(state="done").exists, worker)
        assert Heartbeat.objects.get().detail["pid"] == worker.pid
    finally:
        stop(worker)
    assert worker.returncode == 0
    assert not Heartbeat.objects.exists()
