"""What tests of runs share: one thread, a few decoded pictures, and a run over them."""

import dataclasses

import pytest
import torch

from ml.folders.photo_set import read_photo_set
from ml.training.data.photo_pixels import decode_photos
from ml.training.loop import Run
from tests.ml.shapes import draw_shapes, tiny_network
from tests.ml.training.runs import PLAN


@pytest.fixture(scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    pictures = dataclasses.replace(read_photo_set(draw_shapes(folder)), groups=None)
    return decode_photos(pictures, 32, folder / "cache")


@pytest.fixture
def begin(tmp_path, photos):
    """Makes a run over the same pictures, from the same network."""

    def make(plan=PLAN, folder="run", validation=photos, network=None, **options):
        network = network or tiny_network()
        return Run(tmp_path / folder, plan, network, 8, photos, validation, **options)

    return make
