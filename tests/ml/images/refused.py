"""What tests of refusals ask of a refusal."""

import io

import pytest

from ml.images import PhotoRefused, decode, sniff_header


def refusal(function, *args) -> PhotoRefused:
    with pytest.raises(PhotoRefused) as caught:
        function(*args)
    assert str(caught.value) == caught.value.reason
    assert caught.value.reason.endswith(".")
    return caught.value


def both(data: bytes) -> set[str]:
    return {refusal(decode, data).code, refusal(sniff_header, io.BytesIO(data)).code}
