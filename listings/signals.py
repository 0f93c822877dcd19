"""What this room tells the others. Nobody here knows who listens."""

from django.dispatch import Signal

# Without arguments: photo rows were committed by a bulk call, for which Django sends no post_save.
photos_added = Signal()
