"""Classes of pictures that a mean colour tells apart, and embedders for them."""

import numpy as np
from PIL import Image

from ml.folders.photo_set import PhotoSet


class MeanColour:
    """An embedder that knows classes drawn in one colour."""

    version = "mean colour"
    dim = 3

    def prepare(self, image):
        return np.asarray(image, np.float32).mean(axis=(0, 1)) - 127.5

    def embed(self, batch):
        return batch / np.linalg.norm(batch, axis=1, keepdims=True)


class Brightness(MeanColour):
    """An embedder that cannot tell colours apart."""

    version = "brightness"

    def prepare(self, image):
        return super().prepare(image.convert("L").convert("RGB"))


COLOURS = {"red": (250, 20, 20), "green": (20, 250, 20), "blue": (20, 20, 250)}


def drawn(folder, *, each=12, groups=None):
    """`each` pictures of every colour, no two with the same shade."""
    folder.mkdir(exist_ok=True)
    rng, images, labels = np.random.default_rng(0), [], []
    for name, colour in COLOURS.items():
        for i in range(each):
            shade = tuple(np.clip(np.array(colour) + rng.integers(-19, 20, 3), 0, 255).tolist())
            images.append(folder / f"{name}-{i}.png")
            Image.new("RGB", (16, 16), shade).save(images[-1])
            labels.append(name)
    return PhotoSet(tuple(images), tuple(labels), groups)
