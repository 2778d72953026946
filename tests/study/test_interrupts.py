"""When Ctrl-C is raised."""

from __future__ import annotations

import signal
import threading

import pytest

from luthier.study import interrupts


def press():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture(autouse=True)
def usual_handler():
    # A shell that runs the tests in the background has its children ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def test_it_waits_until_the_outermost_block_is_left():
    seen = []

    def work():
        with interrupts.heard(), interrupts.held():
            with interrupts.held():
                press()
                seen.append("inner")
            seen.append("outer")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert seen == ["inner", "outer"]
    interrupts.check()


def test_the_second_one_does_not_wait():
    with interrupts.heard(), interrupts.held():
        press()
        with pytest.raises(KeyboardInterrupt):
            press()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_it_is_raised_at_once_where_the_users_code_runs():
    with interrupts.heard(), interrupts.held():
        with interrupts.through(), pytest.raises(KeyboardInterrupt):
            press()
        press()  # held again
        with pytest.raises(KeyboardInterrupt), interrupts.through():
            pytest.fail("it had waited, so nothing begins")
        press()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()


def test_the_users_own_handler_is_called_in_its_time():
    called = []
    signal.signal(signal.SIGINT, lambda *_: called.append("own"))
    with interrupts.heard():
        press()
        assert called == ["own"]
        with interrupts.held():
            press()
            assert called == ["own"]
        assert called == ["own", "own"]
    with interrupts.heard():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    with interrupts.heard(), interrupts.held():
        press()
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_other_threads_hold_nothing_back():
    inside, done = threading.Event(), threading.Event()

    def holds():
        with interrupts.heard(), interrupts.held():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=holds)
    thread.start()
    inside.wait(10)
    with interrupts.heard(), pytest.raises(KeyboardInterrupt):
        press()
    done.set()
    thread.join()
