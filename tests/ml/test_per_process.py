import os
import select
import threading
import time

import pytest

from ml.per_process import PerProcess


def in_child(work):
    """What `work` returns in a forked child, as words."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        try:
            os.write(writer, str(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        said = answer.read().decode()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def made():
    return []


@pytest.fixture
def own(made):
    def make():
        made.append(os.getpid())
        return len(made)

    return PerProcess(make)


def test_a_value_is_made_once_on_first_use(own, made):
    assert own.get_if_made() is None
    assert (own.get(), own.get(), own.get_if_made()) == (1, 1, 1)
    assert made == [os.getpid()]


def test_many_threads_that_ask_at_once_get_the_same_value(made):
    def make():
        time.sleep(0.01)
        made.append(object())
        return made[-1]

    own, got, together = PerProcess(make), [], threading.Barrier(8)

    def ask():
        together.wait()
        got.append(own.get())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert set(got) == set(made)


def test_what_could_not_be_made_is_tried_again():
    answers = iter([ValueError("not yet"), 5])

    def make():
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    own = PerProcess(make)
    with pytest.raises(ValueError, match="not yet"):
        own.get()
    assert own.get() == 5


def test_a_value_can_be_set_and_forgotten(own):
    own.set(7)
    assert own.get() == 7
    own.forget()
    assert own.get() == 1


def test_a_forked_child_makes_its_own_value_and_leaves_the_parents_alone(own):
    own.get()
    assert in_child(own.get_if_made) == "None"
    assert in_child(own.get) == "2"
    assert own.get() == 1


def test_a_child_forked_while_a_thread_makes_the_value_does_not_wait_for_it():
    making, finish = threading.Event(), threading.Event()
    parent = os.getpid()

    def make():
        if os.getpid() == parent:
            making.set()
            finish.wait(30)
        return os.getpid() == parent

    own = PerProcess(make)
    thread = threading.Thread(target=own.get)
    thread.start()
    try:
        assert making.wait(30)
        assert in_child(own.get) == "False"
    finally:
        finish.set()
        thread.join()
    assert own.get() is True


class Threaded:
    """A value that tells when it is destroyed."""

    def __init__(self, told):
        self.told = told

    def __del__(self):
        os.write(self.told, b"destroyed")


def test_a_child_does_not_destroy_what_it_inherited():
    reader, writer = os.pipe()
    own = PerProcess(lambda: Threaded(writer))
    own.get()
    assert in_child(lambda: own.get_if_made() is None) == "True"
    assert select.select([reader], [], [], 0)[0] == []  # nothing was written
