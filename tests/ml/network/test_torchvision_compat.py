"""The import works with any build of torch, and a build that works by itself is left alone."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

THROUGH_THE_MODULE = "from ml.network import torchvision_compat as compat; torchvision = compat.import_torchvision()\n"
AS_A_WORKING_BUILD = (
    "import torch; ops = torch.library.Library('torchvision', 'DEF')\n"
    "for name in ('nms', 'qnms'): ops.define(name + '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')\n"
)


def run(code: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def plain_import():
    return run("import torchvision")


def test_torchvision_imports_beside_a_cpu_build_of_torch(plain_import):
    if plain_import.returncode == 0:
        pytest.skip("this build of torch needs no help")
    assert "operator torchvision::nms does not exist" in plain_import.stderr
    done = run(
        THROUGH_THE_MODULE + "import gc, torch; gc.collect()\n"
        "from torchvision import models, transforms; from torchvision.transforms import v2\n"
        "torch.ops.torchvision.nms; assert models.ResNet50_Weights.DEFAULT.url\n"
        "assert models.resnet18().eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)\n"
        "assert torchvision is compat.import_torchvision() and len(compat._fragments) == 1"
    )
    assert done.returncode == 0, done.stderr


def test_nothing_is_registered_where_the_operators_exist(plain_import):
    working_build = "" if plain_import.returncode == 0 else AS_A_WORKING_BUILD
    done = run(working_build + THROUGH_THE_MODULE + "assert torchvision.models.resnet18 and not compat._fragments")
    assert done.returncode == 0, done.stderr


def test_other_failures_of_the_import_are_not_hidden(tmp_path):
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('a different fault')")
    done = run(
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from ml.network import torchvision_compat as compat\n"
        "try: compat.import_torchvision()\n"
        "except RuntimeError as exc: print(exc, len(compat._fragments))"
    )
    assert done.stdout.strip() == "a different fault 0"
