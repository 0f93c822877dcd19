"""A worker embeds with torch where there is a GPU or it is asked for, else with OpenVINO."""

import subprocess
import sys

import pytest
import torch

from ml.inference.embedder import Embedder
from ml.recipe import ModelFilesError
from tests.built_models import ROOT, small_model_dir
from workers import runtime


@pytest.fixture
def directory():
    return small_model_dir(96)


def test_without_a_gpu_openvino_is_used_and_torch_not_loaded(directory):
    code = (
        "import os, sys; os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'marketplace.settings')\n"
        "import django; django.setup(); from pathlib import Path; from workers import runtime\n"
        "runtime.has_gpu_driver = lambda: False\n"
        f"print(type(runtime.open_embedder(Path({str(directory)!r}))).__name__, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Embedder", "False"]


def test_torch_that_is_asked_for_by_name_is_used(directory, settings):
    settings.EMBED_RUNTIME = "torch"
    assert type(runtime.open_embedder(directory)).__name__ == "TorchEmbedder"


def test_openvino_that_is_asked_for_by_name_is_used_beside_a_gpu(directory, settings, monkeypatch):
    settings.EMBED_RUNTIME = "openvino"
    monkeypatch.setattr(runtime, "has_gpu_driver", lambda: True)
    monkeypatch.setattr(runtime, "_open_torch_embedder", lambda *arguments: pytest.fail("torch was loaded"))
    assert isinstance(runtime.open_embedder(directory), Embedder)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_torch_cannot_use_leaves_openvino_and_a_warning(directory, monkeypatch, caplog):
    monkeypatch.setattr(runtime, "has_gpu_driver", lambda: True)
    assert isinstance(runtime.open_embedder(directory), Embedder)
    assert "Photos are embedded on the processor. This build of torch finds no GPU" in caplog.text


def test_a_model_that_torch_cannot_load_fails_where_torch_was_asked_for(directory, settings, tmp_path):
    settings.EMBED_RUNTIME = "torch"
    with pytest.raises(ModelFilesError, match="holds no model"):
        runtime.open_embedder(tmp_path)
