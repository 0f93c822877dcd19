"""Which class is taken for which: the class of a query beside the class of the first picture it found."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .metrics import Judged


@dataclass(frozen=True)
class Confusion:
    """How many queries of a class found which class first: `counts[class, class of the first result]`."""

    counts: Counter[tuple[str, str]]

    def as_dict(self) -> dict[str, dict[str, int]]:
        """`{class: {class of the first result: queries}}`, without zeros."""
        nested: dict[str, dict[str, int]] = defaultdict(dict)
        for (name, found), count in sorted(self.counts.items()):
            nested[name][found] = count
        return dict(nested)

    def list_most_frequent_mistakes(self, most: int) -> list[tuple[str, str, int]]:
        """The most frequent confusions: class, what it is taken for, how often."""
        wrong = [(name, found, count) for (name, found), count in self.counts.items() if name != found]
        return sorted(wrong, key=lambda mistake: (-mistake[2], *mistake[:2]))[:most]

    def most_confused_classes(self, most: int) -> list[str]:
        """The classes with the most mistakes made from or towards them, sorted by name."""
        mistakes = Counter({name: 0 for pair in self.counts for name in pair})
        for (name, found), count in self.counts.items():
            if name != found:
                mistakes[name] += count
                mistakes[found] += count
        return sorted(sorted(mistakes, key=lambda name: (-mistakes[name], name))[:most])


def count_confusions(judged: Judged, gallery_targets: npt.NDArray[np.int64], classes: Sequence[str]) -> Confusion:
    """Count the first results of queries that had something to find."""
    counted = judged.relevant > 0
    asked, found = judged.targets[counted].tolist(), gallery_targets[judged.found[counted, 0]].tolist()
    return Confusion(Counter((classes[i], classes[j]) for i, j in zip(asked, found, strict=True)))
