"""What is learned of a picture's neighbours among those shown before it."""

import pytest
import torch
from torch.nn.functional import normalize

from ml.training.learning.neighbours import LENGTH, NeighbourLoss


def draw(count, dim, seed):
    return normalize(torch.randn(count, dim, generator=torch.Generator().manual_seed(seed)))


def test_vectors_with_the_neighbours_that_teachers_see_have_nothing_to_learn():
    loss = NeighbourLoss(8, 8)
    first, second = draw(64, 8, 1), draw(64, 8, 2)
    assert loss(first, first).item() == 0  # nothing was shown before
    assert loss(3 * second, second).item() == pytest.approx(0, abs=1e-3)
    assert loss(draw(64, 8, 3), draw(64, 8, 4)).item() > 1


def test_learning_brings_near_what_teachers_see_near():
    loss = NeighbourLoss(8, 16).train()
    loss(draw(256, 8, 1), draw(256, 16, 2))
    loss.eval()
    vectors, taught = torch.nn.Parameter(draw(4, 8, 3)), draw(256, 16, 2)[:4]
    optimiser = torch.optim.Adam([vectors], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        loss(vectors, taught).backward()
        optimiser.step()
    assert (normalize(vectors.detach()) @ draw(256, 8, 1).T).argmax(dim=1).tolist() == [0, 1, 2, 3]


def test_the_oldest_pictures_are_forgotten_and_a_copy_remembers_the_same():
    loss = NeighbourLoss(2, 2)
    for seed in range(3):
        loss(draw(LENGTH // 2, 2, seed), draw(LENGTH // 2, 2, seed))
    assert torch.equal(loss.own[: LENGTH // 2], draw(LENGTH // 2, 2, 2).half())
    copy = NeighbourLoss(2, 2)
    copy.load_state_dict(loss.state_dict())
    assert torch.equal(copy(draw(4, 2, 5), draw(4, 2, 6)), loss(draw(4, 2, 5), draw(4, 2, 6)))
