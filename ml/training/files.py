"""What lies in the folder of a run; importing this loads nothing."""

CHECKPOINT = "checkpoint.pt"
HISTORY = "history.jsonl"
PLAN = "plan.json"
TENSORBOARD = "tensorboard"
CACHE = "cache"  # decoded pictures, gone when the run is over
