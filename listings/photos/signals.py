"""What this room tells the others. Nobody here knows who listens."""

from django.dispatch import Signal

# Sent without arguments after a bulk call has committed photo rows, for which Django sends no post_save.
photos_added = Signal()
