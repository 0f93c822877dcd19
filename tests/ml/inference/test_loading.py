"""What a web or worker process may load, and what an import may do, each proved in a process of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def output_of(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


HEAVY = {"torch", "torchvision", "openvino", "faiss", "django", "pillow_heif"}
LOADED = f"import sys; print(sorted(set({sorted(HEAVY)}) & sys.modules.keys()))"


def test_importing_decoder_and_embedder_loads_no_heavy_library():
    assert output_of(f"import ml.images, ml.inference.embedder, ml.recipe, ml.__main__; {LOADED}") == "[]"


def test_embedding_loads_openvino_but_not_torch(model_dir):
    code = f"from ml.inference.embedder import Embedder; Embedder.load({str(model_dir)!r}); {LOADED}"
    assert output_of(code) == "['openvino']"


def test_heic_support_is_never_loaded_here_but_in_the_process_that_decodes_it():
    code = f"from ml.images import decode; decode(open('tests/ml/fixtures/quarters.heic', 'rb').read()); {LOADED}"
    assert output_of(code) == "[]"


def test_openvino_reports_no_usage():
    code = (
        "from ml.inference.openvino_runtime import import_openvino; import_openvino()\n"
        "import sys, threading; from openvino.tools.ovc import telemetry_utils\n"
        "print(telemetry_utils.tm.__name__, threading.active_count())"
    )
    assert output_of(code) == "openvino.tools.ovc.telemetry_stub 1"
