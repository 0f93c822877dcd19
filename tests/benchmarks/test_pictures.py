"""This project's decoder agrees with libvips, Chromium and heif-convert, and the comparison names each disagreement."""

import zlib
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFilter
from pillow_heif import register_heif_opener

from benchmarks import pictures
from benchmarks.pictures.chromium import CHROMIUM
from benchmarks.pictures.comparing import compare_pictures, find_pictures
from benchmarks.pictures.kinds import Kind
from benchmarks.pictures.libraries import HEIF_CONVERT
from benchmarks.pictures.limit_files import KINDS, Largest
from benchmarks.pictures.verdicts import judge
from benchmarks.pictures.views import SHOWN_SIDE, Refusal, make_view
from ml.images import decode
from tests.ml.images.made import write_made_pictures
from tests.ml.pictures import FIXTURES, encode, quarters, scene


def spot(image: Image.Image) -> Image.Image:
    """With a black bar, which is too small to change the mean."""
    ImageDraw.Draw(image).rectangle((0, 0, 47, 7), 0)
    return image


QUARTERS = make_view(quarters(320, 240))
TINTED = make_view(quarters(320, 240).point(lambda level: level * 9 // 10))
SPOTTED = make_view(spot(quarters(320, 240)))
NO = Refusal("broken")
# What made pictures are named by which a reference cannot show, or shows by a rule of its own.
NOT_KNOWN_TO = {
    # It cuts out an aperture only where that begins at the top left, leaves out the last rows of a JPEG that lacks its
    # end, shows inks by nine levels otherwise than libvips, and turns no PNG whose orientation follows its pixels.
    "Chromium": ("aperture", "cmyk-profile", "half-end", "late-orientation", "no-end.jpg"),
    # It reads colours from ICC profiles alone, converts CMYK by its own, heeds chunks of wrong checksums, refuses
    # apertures that it cannot cut and JPEG files that lack their end, and paints the canvas of a GIF.
    "libvips": (
        "aperture-outside",
        "aperture-turned",
        "broken-",
        "cicp-",
        "cmyk-",
        "gamma-",
        "half-end",
        "key-long-palette",
        "late-orientation",
        "no-end",
        "numbers-",
        "outside.gif",
        "small-",
    ),
    "heif-convert": ("numbers-",),
}
REFUSALS = {Kind.REFUSED, Kind.TAKEN, Kind.DOUBTFUL}


def compare(folder: Path, **options):
    return pictures.run(
        Namespace(folder=folder, **{"sheet": None, "all": False, "no_browser": True, "limits": None} | options)
    )


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    """A picture of each format that every decoder must show alike."""
    folder = tmp_path_factory.mktemp("plain")
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, data in {
        "plain.jpg": encode(scene(1), "JPEG"),
        "large.jpg": encode(scene(2, (1500, 1100)), "JPEG", progressive=True, subsampling=2),
        "turned.jpg": encode(scene(3), "JPEG", exif=exif),
        "grey.png": encode(scene(4).convert("LA"), "PNG"),
        "palette.gif": encode(scene(5).quantize(8), "GIF", transparency=2),
        "lossy.webp": encode(scene(6), "WEBP"),
        "turned.avif": encode(scene(7), "AVIF", exif=exif),
    }.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def made(plain, tmp_path_factory) -> list[Path]:
    """The plain pictures, and those of odd kinds but for the largest, which would only take time."""
    folder = tmp_path_factory.mktemp("made")
    write_made_pictures(folder)
    return [path for path in find_pictures(folder) if path.stat().st_size < 1_000_000] + find_pictures(plain)


def list_departures(pictures: list[Path], reference: str) -> list[str]:
    """The names of the pictures that a reference shows otherwise, and how, but for what it does not know."""
    findings = compare_pictures(pictures, browser=reference == "Chromium")
    differing = [found for found in findings if reference in found.detail or found.kind in REFUSALS]
    return [
        f"{found.path.name}: {found.kind}, {found.detail}"
        for found in differing
        if not found.path.name.startswith(NOT_KNOWN_TO[reference])
    ]


@pytest.mark.browser
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed: `apt-get install chromium`")
def test_made_pictures_look_as_chromium_shows_them(made):
    assert list_departures([path for path in made if path.suffix != ".heic"], "Chromium") == []


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_made_pictures_look_as_libvips_shows_them(made):
    assert list_departures([path for path in made if path.suffix != ".heic"], "libvips") == []


@pytest.mark.skipif(HEIF_CONVERT is None, reason="heif-convert is not installed: `apt-get install libheif-examples`")
def test_heic_looks_as_heif_convert_shows_it(made):
    found = [path for path in made if path.suffix == ".heic"]
    assert list_departures(found + find_pictures(FIXTURES), "heif-convert") == []


@pytest.mark.skipif(HEIF_CONVERT is None, reason="heif-convert is not installed: `apt-get install libheif-examples`")
def test_of_several_pictures_in_a_heic_the_primary_one_is_compared(tmp_path):
    register_heif_opener()
    others = {"save_all": True, "append_images": [scene(3)], "quality": 90}
    for primary in (0, 1):
        (tmp_path / f"{primary}.heic").write_bytes(encode(quarters(320, 240), "HEIF", primary_index=primary, **others))
    assert list_departures(find_pictures(tmp_path), "heif-convert") == []


def test_formats_that_nobody_else_decodes_here_are_named(monkeypatch):
    monkeypatch.setattr("benchmarks.pictures.comparing.HEIF_CONVERT", None)
    found = compare(FIXTURES)
    assert found["formats_without_second_opinion"] == ["HEIF"]
    assert found["references"] == ["libvips"]


def test_what_only_we_refuse_is_listed_and_drawn_with_what_others_show(plain, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.pictures.comparing.view_ours", lambda data: Refusal("broken"))
    sheet = tmp_path / "sheet.png"
    found = compare(plain, sheet=sheet)
    assert (found["disagreements"], found["kinds"]) == (7, {"only we refuse it": 7})
    assert "only we refuse it: turned.jpg (JPEG) ours: broken" in capsys.readouterr().out.splitlines()
    with Image.open(sheet) as drawn:
        assert drawn.height > 3 * SHOWN_SIDE
        assert drawn.width > 6 * SHOWN_SIDE


def test_a_crash_of_ours_is_listed_as_a_refusal(plain, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.pictures.views.decode", lambda data: 1 // 0)
    assert compare(plain)["kinds"] == {"only we refuse it": 7}
    assert "ours: crashed: ZeroDivisionError" in capsys.readouterr().out


def test_a_header_that_says_another_size_than_the_picture_is_listed(plain, capsys, monkeypatch):
    monkeypatch.setattr("benchmarks.pictures.views.decode", lambda data: scene(1, (300, 401)))
    assert compare(plain)["kinds"] == {"only we refuse it": 7}
    assert "plain.jpg (JPEG) ours: the header says 300 x 400, the picture is (300, 401)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("ours", "references", "kind"),
    [
        (QUARTERS, [QUARTERS, QUARTERS], Kind.AGREE),
        (QUARTERS, [NO, QUARTERS], Kind.AGREE),
        (NO, [NO, NO], Kind.AGREE),
        (QUARTERS, [], Kind.ALONE),
        (NO, [], Kind.ALONE),
        (NO, [QUARTERS, QUARTERS], Kind.REFUSED),
        (NO, [NO, QUARTERS], Kind.DOUBTFUL),
        (NO, [QUARTERS, replace(QUARTERS, warning="bad code")], Kind.DOUBTFUL),
        (Refusal("too large", by_rule=True), [QUARTERS, QUARTERS], Kind.RULE),
        (QUARTERS, [NO, NO], Kind.TAKEN),
        (QUARTERS, [NO, make_view(scene(1))], Kind.SIZE),
        (QUARTERS, [make_view(quarters(320, 239))] * 2, Kind.SIZE),
        (QUARTERS, [make_view(quarters(320, 240).rotate(180))] * 2, Kind.ORIENTATION),
        (make_view(quarters(320, 240).rotate(90, expand=True)), [QUARTERS, QUARTERS], Kind.ORIENTATION),
        (QUARTERS, [TINTED, TINTED], Kind.COLOUR),
        (QUARTERS, [SPOTTED, SPOTTED], Kind.PLACES),
        (QUARTERS, [QUARTERS, TINTED], Kind.WITH_ONE),
        (QUARTERS, [SPOTTED, TINTED], Kind.WITH_NONE),
    ],
)
@pytest.mark.parametrize("exact", [False, True])
def test_the_odd_one_out_is_told(ours, references, kind, exact):
    assert judge(ours, dict(zip("ab", references, strict=False)), exact=exact)[0] == kind


def test_lossy_edges_may_differ_and_lossless_ones_may_not():
    drawn = scene(8)
    sharp, soft = make_view(drawn), make_view(drawn.filter(ImageFilter.GaussianBlur(0.5)))
    assert judge(sharp, {"a": soft}, exact=True)[0] == Kind.PLACES
    assert judge(sharp, {"a": soft}, exact=False)[0] == Kind.AGREE


def test_high_dynamic_range_is_reported_apart(tmp_path, monkeypatch):
    png = encode(quarters(320, 240), "PNG")
    chunk = b"cICP\x09\x10\0\x01"
    (tmp_path / "pq.png").write_bytes(png[:33] + b"\0\0\0\x04" + chunk + zlib.crc32(chunk).to_bytes(4) + png[33:])
    monkeypatch.setattr("benchmarks.pictures.comparing.view_ours", lambda data: TINTED)
    assert compare(tmp_path)["kinds"] == {"high dynamic range": 1}


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.name not in ("JPEG of one scan", "JPEG of many scans")]
)
def test_kinds_of_files_at_the_limits_are_taken(kind):
    assert decode(kind.make(96)).size == (96, 96)


def test_what_a_file_costs_is_measured_with_and_without_a_crop(monkeypatch, capsys):
    small = Largest("AVIF", 10, lambda side: encode(scene(1), "AVIF"))
    monkeypatch.setattr("benchmarks.pictures.limits.KINDS", [small])
    figures = compare(None, limits="avif", no_site=True)["files"]
    assert list(figures) == ["AVIF", "AVIF, crop"]
    for row in figures.values():
        assert row["seconds"] > 0
        assert row["decoder_mb"] > 20
        assert row["asking_mb"] > 20
        assert "refused" not in row
    assert "decoder_pss_mb" in capsys.readouterr().out


def test_what_cannot_be_compared_or_drawn_is_refused_before_work_begins(tmp_path, capsys):
    with pytest.raises(SystemExit, match=r"no file in .* is named like a picture"):
        compare(tmp_path)
    parser = ArgumentParser()
    pictures.add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([str(tmp_path), "--sheet", str(tmp_path / "none" / "sheet.png")])
    assert "give a .jpg or .png in a folder that exists" in capsys.readouterr().err
