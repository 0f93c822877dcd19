"""Named slots in pages and in the admin, which other rooms fill, so that this one need not know them.

| slot                 | where                       | context given to the filler                    |
|----------------------|-----------------------------|------------------------------------------------|
| `site_banner`        | top of every page           | `request` (None on error pages)                |
| `similar_strip`      | listing page                | `request`, `listing`                           |
| `photo_search`       | answer of search by photo   | `request`, `photo`: the file as it was sent   |
| `admin_similar_panel`| admin page of a listing     | `request`, `listing`                           |

A filler answers HTML and explains its own troubles in it ("not ready yet"). What it raises is a bug and is not hidden,
but for `photo_search`, which may raise `PhotoRefused`: the page shows that sentence beside the field.
"""

from collections.abc import Callable

from django.utils.safestring import SafeString

SLOTS = frozenset({"site_banner", "similar_strip", "photo_search", "admin_similar_panel"})

Filler = Callable[..., SafeString]

_fillers: dict[str, Filler] = {}


class UnknownSlot(LookupError):
    """No page has a slot of this name."""


def register_filler(name: str, function: Filler) -> None:
    """Fill a slot, in place of whoever filled it before."""
    _fillers[_require_known_slot(name)] = function


def render_slot(name: str, **context: object) -> SafeString:
    """What fills the slot; nothing where nobody does."""
    filler = _fillers.get(_require_known_slot(name))
    return filler(**context) if filler else SafeString("")


def _require_known_slot(name: str) -> str:
    if name not in SLOTS:
        raise UnknownSlot(f"There is no slot '{name}'; the slots are {', '.join(sorted(SLOTS))}.")
    return name
