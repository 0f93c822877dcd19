"""What this room tells the others. Nobody here knows who listens."""

from django.dispatch import Signal

photos_added = Signal()  # photo rows were committed by a bulk call, which sends no post_save; no arguments
