"""`manage.py train`: from the photos on sale to weights, in a process of its own."""

import csv

import pytest
from django.core.management import CommandError, call_command

from listings.models import ListingImage
from ml.training.files import CHECKPOINT
from recommender.registry.training_photos import list_training_photos
from tests.factories import make_image, make_listing, make_ready_image, make_user

pytestmark = pytest.mark.django_db

SMALL = {"weights": "untrained", "arch": "resnet18", "dim": 8, "size": 32, "batch": 4, "threads": 1, "epochs": 1}


def stock(*paths, photos=2, seller=None):
    """A listing in each category, with photos that are ready."""
    for path in paths:
        listing = make_listing(seller, category=path)
        for _ in range(photos):
            make_ready_image(listing)


def test_photos_on_sale_become_weights_and_refusals_end_the_command(empty_storage, tmp_path, capfd):
    stock("Home / Mugs", "Home / Vases", photos=4)
    run = tmp_path / "run"
    call_command("train", out=str(run), validation_share=0, **SMALL)
    said = capfd.readouterr().out
    assert f"{run}/photos.csv: 8 photos, 2 categories with two or more." in said
    assert "on 8 pictures of 2 classes" in said
    assert f"Next: manage.py models register --weights {run}/weights.safetensors --version NAME" in said
    assert (run / "weights.safetensors").exists()
    with (run / "photos.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    photo = ListingImage.objects.earliest("id")
    assert rows[0] == {
        "image": photo.clean_file.name,
        "label": "Home / Mugs",
        "group": f"listing {photo.listing_id}",
    }

    table = (run / "photos.csv").read_text()
    make_ready_image(make_listing(category="Home / Mugs"))
    with pytest.raises(CommandError, match="The training stopped with status 1") as stopped:
        call_command("train", out=str(run), validation_share=0, **SMALL | {"weights": "nowhere.safetensors"})
    assert stopped.value.returncode == 1
    said = capfd.readouterr()
    assert "Going on with the photos of the first start" in said.out
    assert "train: There are no weights 'nowhere.safetensors'" in said.err
    assert (run / "photos.csv").read_text() == table


@pytest.mark.parametrize("paths", [(), ("Home / Mugs",), ("Home / Mugs", "Home / Mugs")])
def test_too_few_categories_are_refused(paths, tmp_path):
    stock(*paths)
    stock("Home / Vases", photos=1)
    counted = "is 1 such category" if paths else "is none"
    with pytest.raises(CommandError, match=rf"two photos each; there {counted}\."):
        call_command("train", out=str(tmp_path / "run"))
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_a_run_goes_on_with_the_classes_it_began_with(tmp_path):
    for name in ("photos.csv", CHECKPOINT):
        (tmp_path / name).touch()
    with pytest.raises(CommandError, match="holds a run that began without --labels root; choose another folder"):
        call_command("train", out=str(tmp_path), labels="root")


def test_departments_can_be_the_classes(tmp_path):
    stock("Home / Mugs", "Home / Vases", "Garden / Pots")
    assert [label for _, label, _ in list_training_photos("root")] == ["Home"] * 4 + ["Garden"] * 2
    assert {label for _, label, _ in list_training_photos()} == {"Home / Mugs", "Home / Vases", "Garden / Pots"}


def test_only_clean_photos_of_active_listings_with_a_category_are_taken():
    stock("Home / Mugs", photos=1)
    make_ready_image(make_listing(category="Home / Mugs", status="sold"))
    make_ready_image(make_listing(category="Home / Mugs", status="draft"))
    make_ready_image(make_listing())
    make_image(make_listing(category="Home / Mugs"))
    rejected = make_ready_image(make_listing(category="Home / Mugs"))
    ListingImage.objects.filter(pk=rejected.pk).update(state="rejected")
    assert len(list_training_photos()) == 1


def test_photos_of_one_seller_belong_together_once_many_people_sell(django_assert_num_queries):
    sellers = [make_user() for _ in range(10)]
    for seller in sellers[:9]:
        stock("Home / Mugs", "Home / Vases", photos=1, seller=seller)
    assert len({group for *_, group in list_training_photos()}) == 18
    stock("Home / Mugs", photos=1, seller=sellers[9])
    with django_assert_num_queries(1):
        assert {group for *_, group in list_training_photos()} == {f"seller {seller.pk}" for seller in sellers}
