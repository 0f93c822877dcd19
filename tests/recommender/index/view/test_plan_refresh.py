"""Every decision of a refresh, without database, threads and clock."""

import itertools

import pytest

from recommender.index.view.plan_refresh import REOPEN_SECONDS, Attempt, Outcome, Successor, Target, plan_refresh

OURS, OTHER, THIRD = 1, 2, 3  # models
SERVED = Target(10, OURS)
NEWER = Target(11, OURS)
FLIPPED = Target(20, OTHER)
ONWARD = Target(30, THIRD)
NOW = 1_000.0
OPENING = Successor(has_ended=False)
FAILED = Successor(has_ended=True)


def opened(model):
    return Successor(has_ended=True, model_id=model)


def plan(wanted, *, served=SERVED, **facts):
    given = {"can_advance": True, "follows_head": True, "successor": None, "attempt": None, "now": NOW}
    return plan_refresh(served, wanted, **given | facts)


def test_what_is_wanted_and_served_advances():
    assert plan(SERVED) is Outcome.ADVANCE


@pytest.mark.parametrize("successor", [OPENING, FAILED, opened(OTHER), opened(OURS)])
def test_a_head_that_came_back_to_what_is_served_drops_the_successor(successor):
    assert plan(SERVED, successor=successor, attempt=Attempt(FLIPPED.snapshot_id, NOW)) is Outcome.ADVANCE


def test_a_newer_snapshot_of_the_same_model_is_opened_at_once():
    assert plan(NEWER) is Outcome.RELOAD


def test_another_model_is_opened_while_this_one_goes_on():
    assert plan(FLIPPED) is Outcome.OPEN_SUCCESSOR
    assert plan(FLIPPED, successor=OPENING) is Outcome.WAIT
    assert plan(FLIPPED, successor=opened(OTHER)) is Outcome.TAKE_SUCCESSOR


def test_a_later_snapshot_of_the_successors_model_does_not_stop_its_taking():
    assert plan(Target(21, OTHER), successor=opened(OTHER)) is Outcome.TAKE_SUCCESSOR


def test_a_successor_that_failed_is_taken_so_that_its_fault_is_told():
    assert plan(FLIPPED, successor=FAILED) is Outcome.TAKE_SUCCESSOR
    assert plan(ONWARD, successor=FAILED) is Outcome.TAKE_SUCCESSOR


def test_a_head_that_went_on_to_a_third_model_opens_that():
    assert plan(ONWARD, successor=OPENING) is Outcome.WAIT
    assert plan(ONWARD, successor=opened(OTHER)) is Outcome.OPEN_SUCCESSOR


def test_a_head_that_came_back_to_a_newer_snapshot_of_ours_reloads_it():
    assert plan(NEWER, successor=OPENING) is Outcome.WAIT
    assert plan(NEWER, successor=opened(OTHER)) is Outcome.RELOAD
    assert plan(NEWER, successor=FAILED) is Outcome.RELOAD


@pytest.mark.parametrize("wanted", [NEWER, FLIPPED, Target(None, None)])
@pytest.mark.parametrize(
    ("seconds", "tries"), [(0, False), (REOPEN_SECONDS - 0.1, False), (REOPEN_SECONDS, True), (3_600, True)]
)
def test_what_could_not_be_opened_is_tried_again_later(wanted, seconds, tries):
    outcome = plan(wanted, attempt=Attempt(wanted.snapshot_id, NOW - seconds))
    assert (outcome is not Outcome.WAIT) is tries


@pytest.mark.parametrize(("wanted", "outcome"), [(NEWER, Outcome.RELOAD), (FLIPPED, Outcome.OPEN_SUCCESSOR)])
def test_another_snapshot_than_the_one_that_failed_is_opened_at_once(wanted, outcome):
    assert plan(wanted, attempt=Attempt(99, NOW)) is outcome
    assert plan(wanted, attempt=Attempt(None, NOW)) is outcome


@pytest.mark.parametrize("snapshot", [None, 20, 21])
@pytest.mark.parametrize("successor", [None, OPENING, opened(OTHER)])
def test_a_snapshot_whose_row_is_gone_is_no_other_models(snapshot, successor):
    """The head is read again when it is opened, and tells what is wanted by then."""
    outcome = plan(Target(snapshot, None), successor=successor)
    assert outcome is (Outcome.WAIT if successor is OPENING else Outcome.RELOAD)


class TestAnEmptyHead:
    """It stands before the first snapshot of all, and again where somebody emptied it."""

    EMPTY = Target(None, OURS)

    def test_of_the_same_model_advances(self):
        assert plan(self.EMPTY, served=self.EMPTY) is Outcome.ADVANCE

    def test_of_another_active_model_reloads(self):
        assert plan(Target(None, None), served=self.EMPTY) is Outcome.RELOAD

    def test_gets_its_first_snapshot(self):
        assert plan(SERVED, served=self.EMPTY) is Outcome.RELOAD
        assert plan(FLIPPED, served=self.EMPTY) is Outcome.OPEN_SUCCESSOR

    def test_that_had_a_snapshot_reloads(self):
        assert plan(Target(None, None)) is Outcome.RELOAD
        assert plan(self.EMPTY) is Outcome.RELOAD


ANY = {
    "wanted": [SERVED, NEWER, FLIPPED, ONWARD, Target(None, OURS), Target(None, None), Target(40, None)],
    "successor": [None, OPENING, FAILED, opened(OURS), opened(OTHER), opened(THIRD)],
    "attempt": [None, Attempt(None, NOW), Attempt(11, NOW), Attempt(20, NOW), Attempt(20, 0.0)],
    "follows_head": [True, False],
    "can_advance": [True, False],
}
MATRIX = [dict(zip(ANY, values, strict=True)) for values in itertools.product(*ANY.values())]


def test_a_state_of_another_history_or_behind_the_pruned_feed_is_always_replaced_at_once():
    """A foreign epoch, a position ahead of the database's and a pruned feed look alike from here."""
    assert {plan(**facts) for facts in MATRIX if not facts["can_advance"]} == {Outcome.RELOAD}


def test_a_lineage_is_followed_at_once_whatever_was_tried():
    for facts in MATRIX:
        if facts["can_advance"] and not facts["follows_head"]:
            assert plan(**facts) is (Outcome.ADVANCE if facts["wanted"] == SERVED else Outcome.RELOAD)


def test_an_outcome_is_right_whatever_else_is_true():
    for facts in MATRIX:
        outcome, wanted, successor = plan(**facts), facts["wanted"], facts["successor"]
        is_of_another = wanted.snapshot_id is not None and wanted.model_id not in (None, OURS)
        if outcome is Outcome.ADVANCE:
            assert wanted == SERVED
        if outcome is Outcome.WAIT:
            assert wanted != SERVED
            assert facts["can_advance"]
            assert facts["follows_head"]
        if outcome in (Outcome.OPEN_SUCCESSOR, Outcome.TAKE_SUCCESSOR):
            assert is_of_another
            assert facts["can_advance"]
        if outcome is Outcome.TAKE_SUCCESSOR:
            assert successor.has_ended
            assert successor.model_id in (None, wanted.model_id)
        if successor is OPENING and facts["can_advance"] and facts["follows_head"]:
            assert outcome in (Outcome.ADVANCE, Outcome.WAIT)


def test_time_alone_never_takes_an_outcome_back():
    """A refresh that has something to do does it at any later moment as well."""
    for facts in MATRIX:
        if (outcome := plan(**facts)) is not Outcome.WAIT:
            assert plan(**facts, now=NOW + 100) is outcome
