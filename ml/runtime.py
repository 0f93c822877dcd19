"""The one place that imports OpenVINO.

Its package starts a thread at import that reports usage to an outside server and writes into the home directory; with
that module hidden it falls back to its own silent stub.
"""

from __future__ import annotations

import sys
from types import ModuleType


def import_openvino() -> ModuleType:
    """Return the `openvino` module, imported on first call, with its usage reports switched off."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None makes the import fail
    import openvino

    return openvino
