"""Train a network on labelled pictures. Stopped or killed, the same command goes on where the last epoch ended.

RUN gets weights.safetensors (for `export`, `evaluate` and `manage.py models register`), history.jsonl, plan.json and
tensorboard/ (`tensorboard --logdir RUN/tensorboard`).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .training_options import add_training_options

HELP = "fine-tune a network on labelled pictures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command line."""
    parser.add_argument(
        "table",
        metavar="CSV",
        type=Path,
        help="image,label and, if you like, group (item or sender); for distil also image,label set,label",
    )
    parser.add_argument("--images", metavar="DIR", type=Path, help="where the pictures are (default: beside the CSV)")
    parser.add_argument("--validation", metavar="CSV", type=Path, help="pictures to judge by, in the same folder")
    add_training_options(parser)


def run(options: argparse.Namespace) -> None:
    """Train until the run is over, and say what came of it."""
    import torch

    from ml.training.files import has_finished_epoch
    from ml.training.job import run_training
    from ml.training.learning.head import train_head

    if options.threads:
        torch.set_num_threads(options.threads)
    if options.head:
        train_head(options)
        return
    try:
        run_training(options)
    except KeyboardInterrupt:
        kept = has_finished_epoch(Path(options.out))
        print(
            f"{options.out}: epochs that were finished are kept; the same command goes on."
            if kept
            else f"{options.out}: no epoch was finished; the same command begins again."
        )
        raise
