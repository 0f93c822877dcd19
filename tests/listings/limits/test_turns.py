"""However many requests one caller has, each other caller gets a place at once, or next."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from listings.limits.turns import NoTurn, Turns
from tests.servers.waiting import wait_for


def ask_in_threads(turns: Turns, pool: ThreadPoolExecutor, caller: str, entered: list[str], leave: threading.Event):
    def work() -> bool:
        try:
            with turns.take_turn(caller):
                entered.append(caller)
                return leave.wait(5)
        except NoTurn:
            return False

    return pool.submit(work)


def test_of_many_requests_of_one_caller_one_works_one_waits_and_the_rest_are_told_at_once():
    entered: list[str] = []
    turns, leave = Turns(2), threading.Event()
    with ThreadPoolExecutor(8) as pool:
        asked = [ask_in_threads(turns, pool, "greedy", entered, leave) for _ in range(6)]
        wait_for(lambda: sum(one.done() for one in asked) == 4)
        assert entered == ["greedy"]
        with turns.take_turn("other"):
            entered.append("other")
        leave.set()
        assert sorted(one.result() for one in asked) == [False] * 4 + [True] * 2
    assert entered == ["greedy", "other", "greedy"]


def test_places_go_to_other_callers_in_the_order_of_coming():
    entered: list[str] = []
    turns = Turns(2)
    leaves = {name: threading.Event() for name in "abcd"}
    with ThreadPoolExecutor(8) as pool:
        first = [ask_in_threads(turns, pool, name, entered, leaves[name]) for name in "ab"]
        wait_for(lambda: len(entered) == 2)
        second = [ask_in_threads(turns, pool, "a", entered, leaves["a"])]
        for name in "cd":
            second.append(ask_in_threads(turns, pool, name, entered, leaves[name]))
            wait_for(lambda: name in turns.waiting)  # noqa: B023 - asked at once
        leaves["b"].set()
        wait_for(lambda: len(entered) == 3)
        assert entered[2] == "c"  # a came before, but holds a place
        for leave in leaves.values():
            leave.set()
        assert all(one.result() for one in first + second)


def test_whoever_waits_in_vain_is_told_and_leaves_no_trace():
    turns = Turns(1, most_wait=0.01)
    with turns.take_turn("a"):
        for _ in range(2):
            with pytest.raises(NoTurn), turns.take_turn("b"):
                pass
    with turns.take_turn("b"):
        pass


def test_a_place_is_given_back_whatever_fails_in_it():
    turns = Turns(1)
    for _ in range(3):
        with pytest.raises(ValueError, match="inside"), turns.take_turn("a"):
            raise ValueError("inside")
