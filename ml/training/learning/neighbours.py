"""What teachers say of a picture's neighbours: which of the pictures shown before are most like it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

LENGTH = 8192  # pictures that are remembered: among so many there are some of the same kind
TEMPERATURE = 0.05  # cosines are divided by it: only the nearest of the pictures count


class NeighbourLoss(nn.Module):
    """How a picture's likeness is shared among those shown before it (CompRess, Koohpayegani et al., NeurIPS 2020).

    A batch seldom holds two pictures of a kind, so it mostly says what is unlike. What teachers said of earlier
    pictures, and what the network gave for them then, is in the module's state, so that a resumed run remembers it.
    """

    own: Tensor
    taught: Tensor
    shown: Tensor

    def __init__(self, dim: int, taught_dim: int) -> None:
        super().__init__()
        self.register_buffer("own", torch.zeros(LENGTH, dim, dtype=torch.float16))
        self.register_buffer("taught", torch.zeros(LENGTH, taught_dim, dtype=torch.float16))
        self.register_buffer("shown", torch.zeros((), dtype=torch.int64))

    def forward(self, vectors: Tensor, taught: Tensor) -> Tensor:
        """Return the divergence, float32[], of float32[N, dim] from float32[N, taught_dim], rows of length 1."""
        own = normalize(vectors)
        known = min(int(self.shown), LENGTH)
        loss = vectors.new_zeros(())
        if known:
            wanted = torch.log_softmax(taught @ self.taught[:known].float().T / TEMPERATURE, dim=1)
            given = torch.log_softmax(own @ self.own[:known].float().T / TEMPERATURE, dim=1)
            loss = nn.functional.kl_div(given, wanted, reduction="batchmean", log_target=True)
        if self.training:
            self._remember(own, taught)
        return loss

    @torch.no_grad()
    def _remember(self, own: Tensor, taught: Tensor) -> None:
        places = (self.shown + torch.arange(len(own), device=own.device)) % LENGTH
        self.own[places] = own.half()
        self.taught[places] = taught.half()
        self.shown += len(own)
