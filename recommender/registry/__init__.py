"""What may be done with embedding models. Code outside this package changes a model only through these functions."""

from .backfill_progress import BackfillProgress, measure_progress
from .lifecycle import activate, find_previous_model, retire, retire_and_delete, roll_back, start_backfill
from .registration import register, register_source

__all__ = [
    "BackfillProgress",
    "activate",
    "find_previous_model",
    "measure_progress",
    "register",
    "register_source",
    "retire",
    "retire_and_delete",
    "roll_back",
    "start_backfill",
]
