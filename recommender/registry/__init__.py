"""What may be done with embedding models. Code outside this package changes a model only through these functions."""

from .backfill_progress import BackfillProgress, measure_progress
from .calibration import calibrate, describe_calibration, needs_calibration
from .lifecycle import activate, find_previous_model, retire, retire_and_delete, roll_back, start_backfill
from .registration import register, register_source

__all__ = [
    "BackfillProgress",
    "activate",
    "calibrate",
    "describe_calibration",
    "find_previous_model",
    "measure_progress",
    "needs_calibration",
    "register",
    "register_source",
    "retire",
    "retire_and_delete",
    "roll_back",
    "start_backfill",
]
