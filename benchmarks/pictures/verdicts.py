"""Decides who is the odd one out over one picture: this project, a reference, or nobody."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import combinations

from .differences import measure_difference
from .kinds import Kind
from .views import Refusal, Seen, View

# BT.2100's curves in PNG (cICP), in AVIF and HEIC (nclx): 16 is PQ, 18 is HLG. Each decoder shows them to its taste.
_HDR = re.compile(rb"cICP.[\x10\x12]|colrnclx..\0[\x10\x12]", re.DOTALL)


def is_high_dynamic_range(data: bytes) -> bool:
    return _HDR.search(data) is not None


def judge(ours: Seen, references: Mapping[str, Seen], *, exact: bool) -> tuple[Kind, str]:
    """The kind of one picture and its detail; `exact` where the format leaves a decoder no freedom."""
    if not references:
        return Kind.ALONE, ""
    refusals = {name: seen.reason for name, seen in references.items() if isinstance(seen, Refusal)}
    views = {name: seen for name, seen in references.items() if isinstance(seen, View)}
    if isinstance(ours, Refusal):
        return _judge_refusal(ours, refusals, views)
    if not views:
        return Kind.TAKEN, _list_reasons(refusals)
    return _judge_views(ours, views, exact=exact)


def _judge_refusal(ours: Refusal, refusals: Mapping[str, str], views: Mapping[str, View]) -> tuple[Kind, str]:
    if not views:
        return Kind.AGREE, ""
    if ours.by_rule:
        return Kind.RULE, ours.reason
    doubts = {**refusals, **{name: view.warning for name, view in views.items() if view.warning}}
    return (Kind.DOUBTFUL if doubts else Kind.REFUSED), _list_reasons({"ours": ours.reason, **doubts})


def _judge_views(ours: View, views: Mapping[str, View], *, exact: bool) -> tuple[Kind, str]:
    found = {name: measure_difference(ours, view, exact=exact) for name, view in views.items()}
    differing = {name: difference for name, difference in found.items() if difference is not None}
    detail = ", ".join(f"{name}: {difference}" for name, difference in differing.items())
    if not differing:
        return Kind.AGREE, ""
    if len(differing) < len(views):
        return Kind.WITH_ONE, detail
    pairs = combinations(views.values(), 2)
    if any(measure_difference(first, second, exact=exact) for first, second in pairs):
        return Kind.WITH_NONE, detail
    return next(iter(differing.values())).kind, detail


def _list_reasons(reasons: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
