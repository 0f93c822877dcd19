"""The curve that comes with weights, in a file beside them: `weights.calibration.npz` beside `weights.safetensors`."""

from __future__ import annotations

from pathlib import Path

from ml.atomic_files import open_atomic_file

from .calibration import Calibration, CalibrationError


def calibration_path(weights: Path) -> Path:
    """The file beside a weights file."""
    return weights.with_suffix(".calibration.npz")


def write_calibration(weights: Path, calibration: Calibration) -> None:
    """Write what `read_calibration` reads."""
    with open_atomic_file(calibration_path(weights)) as file:
        file.write(calibration.to_bytes())


def read_calibration(weights: Path) -> Calibration | None:
    """The curve that came with a weights file; None where none did.

    Raises:
        CalibrationError: the file is damaged or holds something else.
    """
    path = calibration_path(weights)
    try:
        return Calibration.from_bytes(path.read_bytes())
    except FileNotFoundError:
        return None
    except CalibrationError as exc:
        raise CalibrationError(f"{path}: {exc} Put the one back that came with the weights, or delete it.") from exc
