from pathlib import Path

import pytest
from django.core.management import call_command

from listings.models import Listing, ListingImage
from listings.photos.signals import photos_added

CLOTHING = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "clothing"

FINDINGS = """line,file,column,value,reason
36,Products.csv,price,N/A,is a placeholder
184,Products.csv,price,,is empty
406,Products.csv,product_name,,is empty; imported as a draft
668,Products.csv,category,N/A,is a placeholder; imported as a draft
810,Products.csv,price,£-3.00,is negative
1026,Products.csv,price,free to collector,is not a price
1302,Products.csv,latitude,123.0,is not between -90 and 90
1402,Products.csv,id,7f8d48b0-4070-5136-88a6-3e4c85574318,repeats line 8; row left out
5400,Images.csv,product_id,11111111-1111-4111-8111-111111111111,no listing has this id
5400,Images.csv,id,00000000-0000-4000-8000-000000000001,\
no file 00000000-0000-4000-8000-000000000001.jpg among the images
5401,Images.csv,id,00000000-0000-4000-8000-000000000002,\
no file 00000000-0000-4000-8000-000000000002.jpg among the images
"""


@pytest.mark.skipif(not CLOTHING.is_dir(), reason="the clothing catalogue lies outside the repository and is not here")
@pytest.mark.django_db
def test_the_clothing_catalogue_imports_exactly_twice(tmp_path):
    report = tmp_path / "report.csv"
    heard = []
    photos_added.connect(count := lambda sender, **_kwargs: heard.append(sender))
    for made in (11, 0):
        files = [str(CLOTHING / name) for name in ("Products.csv", "Images.csv")]
        call_command("import_catalogue", *files, "--images", str(CLOTHING / "images"), "--report", str(report))
        assert Listing.objects.count() == 4558
        assert ListingImage.objects.count() == 5398
        assert report.read_text().splitlines() == FINDINGS.splitlines()
        assert len(heard) == made
        heard.clear()
    photos_added.disconnect(count)
    assert Listing.objects.filter(status="draft").count() == 2
    assert Listing.objects.filter(price=None).count() == 4
    assert Listing.objects.filter(latitude=None, longitude=None).count() == 1
