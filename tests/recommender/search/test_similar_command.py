import pytest
from django.core.management import CommandError, call_command

from tests.factories import draw_photo, draw_plain_photo, make_image, make_listing, make_ready_image
from tests.recommender.shop import embed, sell


def similar(capsys, *args) -> list[str]:
    call_command("similar", *args)
    return capsys.readouterr().out.splitlines()


def test_a_listing_prints_a_table_of_what_looks_like_it(fresh_index, model, capsys):
    listing = sell(model, 1.0, category="Home / Mugs")
    mug = sell(model, 0.9, title="Blue mug", category="Home / Mugs")
    sell(model, 0.2, title="Green vase")
    fresh_index.refresh()
    versions, heading, first, second = similar(capsys, str(listing.pk))
    assert versions == "model m1, ranker linear-1, 3 photos searched"
    assert heading.split() == ["listing", "score", "cosine", "title", "why"]
    assert first.split()[:1] == [str(mug.pk)]
    assert "0.900  Blue mug" in first
    assert "same category: Mugs" in first
    assert "Green vase" in second
    assert len(similar(capsys, str(listing.pk), "--limit", "1")) == 3


def test_a_file_is_searched_with_as_a_photo(fresh_index, untrained, capsys, tmp_path):
    for seed in (1, 2):
        listing = make_listing(title=f"picture {seed}")
        make_ready_image(listing, seed)
        embed(listing, untrained)
    fresh_index.refresh()
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(draw_photo(2))
    lines = similar(capsys, str(photo))
    assert any("1.000  picture 2" in line for line in lines)
    photo.write_bytes(draw_plain_photo())
    assert similar(capsys, str(photo))[1:] == ["The photo shows one colour only, so nothing can be found by it."]


def test_a_lonely_listing_says_so(fresh_index, model, capsys):
    listing = sell(model, 1.0)
    fresh_index.refresh()
    first, *_, last = similar(capsys, str(listing.pk))
    assert first.endswith(", 1 photo searched")
    assert last == "No other active listing is in the index yet."


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["424242"], "There is no listing 424242"),
        (["nowhere.jpg"], "'nowhere.jpg' is no listing's id, and no file that can be read: No such file"),
        (["x" * 300], "File name too long"),
        (["/"], "Is a directory"),
        (["1", "--limit", "0"], "--limit is 0"),
    ],
)
def test_a_wrong_argument_is_named(fresh_index, model, args, says):
    fresh_index.refresh()
    with pytest.raises(CommandError, match=says):
        call_command("similar", *args)


def test_what_stands_in_the_way_is_said_in_words(fresh_index, model, tmp_path):
    fresh_index.refresh()
    waiting, bare = make_listing(), make_listing()
    make_image(waiting)
    for listing, says in ((waiting, "is being looked at"), (bare, "has no photo")):
        with pytest.raises(CommandError, match=says):
            call_command("similar", str(listing.pk))
    text = tmp_path / "notes.jpg"
    text.write_text("not a photo")
    with pytest.raises(CommandError, match="is not a photo"):
        call_command("similar", str(text))


def test_without_a_model_the_operator_reads_what_to_run(fresh_index):
    listing = make_listing()
    with pytest.raises(CommandError, match="models register"):
        call_command("similar", str(listing.pk))
