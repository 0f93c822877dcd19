"""What searches compare: a text as its words, the same on every database, and kept beside it in a column.

Databases fold case as their version and locale tell them to: SQLite that of ASCII alone. Here case, accents and width
do not count. A query finds words that begin with it: `chair` finds "chairs", and `art` does not find "smart". Scripts
that put no space between words, such as Han and Thai, are cut into characters, so there a query is found anywhere.
"""

from __future__ import annotations

import unicodedata

from django.db import models

# Thai and Lao, Tibetan, Myanmar, Khmer, kana and bopomofo, Han.
UNSPACED = (
    *((0x0E00, 0x0FFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3040, 0x312F), (0x31F0, 0x31FF)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0x20000, 0x3FFFF)),
)
# Accents of Latin, Greek and Cyrillic letters; points of Hebrew and vowels of Arabic, which people seldom write. The
# marks of other scripts are letters to those who read them.
ACCENTS = ((0x0300, 0x036F), (0x0591, 0x05C7), (0x0610, 0x061A), (0x064B, 0x065F), (0x0670, 0x0670))
# Letters that Unicode does not take apart into another one and an accent.
SIMPLE = {"\u0131": "i", "ø": "o", "ł": "l", "đ": "d", "ħ": "h", "æ": "ae", "œ": "oe"}
# Stretches an Arabic word, and is no letter of it.
TATWEEL = 0x0640


def is_within(ranges: tuple[tuple[int, int], ...], code: int) -> bool:
    return any(first <= code <= last for first, last in ranges)


class _Letters(dict[int, str]):
    """For `str.translate`: what stands for a character, worked out once for each."""

    def __missing__(self, code: int) -> str:
        self[code] = self._simplify(code)
        return self[code]

    def _simplify(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        # Invisible characters, such as soft hyphens, stand inside of words.
        if category == "Cf" or code == TATWEEL or (category == "Mn" and is_within(ACCENTS, code)):
            return ""
        if category[0] == "M":
            return character
        if category[0] == "S" or is_within(UNSPACED, code):
            return f" {character}"
        return SIMPLE.get(character, character) if category[0] in "LN" else " "


_letters = _Letters()


def fold_words(text: str) -> str:
    """The words of a text, each after a space; "" where it has none."""
    folded = unicodedata.normalize("NFKD", text).casefold().translate(_letters)
    words = unicodedata.normalize("NFC", folded).split()
    return "".join(f" {word}" for word in words)


def is_visible(text: str) -> bool:
    """Whether there is anything to read: not in spaces, zero-width characters and the like."""
    return any(unicodedata.category(character)[0] in "LNPS" for character in text)


class WordsField(models.TextField):
    """The words of another field, written whenever that one is."""

    def __init__(self, source: str) -> None:
        self.source = source
        # In the database too, so that a program of an older version can still publish while this one starts.
        super().__init__(editable=False, default="", db_default=models.Value(""))

    def deconstruct(self) -> tuple[str, str, list[str], dict[str, object]]:
        name, path, _, _ = super().deconstruct()
        return name, path, [self.source], {}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        words = fold_words(getattr(model_instance, self.source) or "")
        setattr(model_instance, self.attname, words)
        return words
