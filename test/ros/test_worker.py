from __future__ import annotations

import threading

from social_perception.ros.support.worker import Worker

TIMEOUT_S = 10.0


def test_only_the_newest_item_waits_and_the_others_are_counted() -> None:
    started, go_on, done, taken = threading.Event(), threading.Event(), threading.Event(), []

    def work(item: int) -> None:
        taken.append(item)
        started.set()
        assert go_on.wait(TIMEOUT_S)
        if item == 9:
            done.set()

    worker = Worker(work, "test")
    worker.put(0)
    assert started.wait(TIMEOUT_S)
    for item in range(1, 10):
        worker.put(item)
    go_on.set()
    assert done.wait(TIMEOUT_S)
    worker.stop()
    assert taken == [0, 9]
    assert worker.dropped == 8


def test_put_does_not_wait_for_the_work() -> None:
    go_on = threading.Event()
    worker = Worker(lambda _: go_on.wait(TIMEOUT_S), "test")
    for item in range(3):
        worker.put(item)
    go_on.set()
    worker.stop()


def test_stop_lets_the_work_in_hand_finish_and_drops_the_rest() -> None:
    started, go_on, finished = threading.Event(), threading.Event(), []

    def work(item: str) -> None:
        started.set()
        assert go_on.wait(TIMEOUT_S)
        finished.append(item)

    worker = Worker(work, "test")
    worker.put("in hand")
    assert started.wait(TIMEOUT_S)
    worker.put("waiting")
    stopper = threading.Thread(target=worker.stop)
    stopper.start()
    go_on.set()
    stopper.join(TIMEOUT_S)
    assert not stopper.is_alive()
    assert finished in (["in hand"], ["in hand", "waiting"])
