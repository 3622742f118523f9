"""Many threads, tasks and processes: what is recorded in one is not disturbed by the others."""

import asyncio
import gc
import os
import signal
import threading
import time

import numpy as np
import pytest

import tinygrad_bp as bp
from tinygrad_bp import backward, common_memory
from tinygrad_bp.graph import _LOCKS, AMBIENT, held_at_fork

THREADS = 8
ROUNDS = 60


def leaf(x):
    return bp.Tensor(np.array(x, float), requires_grad=True)


def together(work):
    """work(i) for i < THREADS, each in a thread of its own, all let go at once; the results in order."""
    found, failed = [None] * THREADS, []
    start = threading.Barrier(THREADS)

    def run(i):
        try:
            start.wait(timeout=30)
            found[i] = work(i)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return found


@pytest.fixture(autouse=True)
def switch_often():
    """Threads take turns every 10 µs, so that whatever is not safe has its chances to fail."""
    import sys

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def model(w, x):
    h = np.tanh(w * x)
    return np.sum(np.concatenate([h, h[1:] * 2.0]) ** 2)


def test_separate_leaves():
    def work(i):
        w = leaf([0.1, 0.2, 0.3])
        for k in range(ROUNDS):
            model(w, float(i + k)).backward()
        return w.grad

    alone = [work(i) for i in range(THREADS)]
    np.testing.assert_array_equal(together(work), alone)


def test_shared_leaves_accumulate_every_share():
    w, b = leaf([1.0, 2.0, 3.0]), leaf(0.0)

    def work(i):
        for k in range(ROUNDS):
            np.sum(w * float(i * ROUNDS + k) + b).backward()  # integers: sums in any order are exact

    together(work)
    n = THREADS * ROUNDS
    np.testing.assert_array_equal(w.grad, np.full(3, n * (n - 1) / 2))
    assert b.grad == 3 * n


def test_one_retained_graph_swept_by_all():
    w = leaf([1.0, 2.0])
    h = w
    for _ in range(50):
        h = h + w
    y = np.sum(h * h)

    def work(_):
        for _ in range(10):
            y.backward(retain_graph=True)

    together(work)
    np.testing.assert_array_equal(w.grad, THREADS * 10 * 2 * 51**2 * w.data)


def test_transforms_and_checkpoints():
    x = np.array([0.3, -0.4])
    shared = leaf([1.0, 1.0])

    def work(i):
        f = bp.checkpoint(lambda v: np.sum(np.sin(v * (i + 1)) * v))
        found = [(bp.grad(f)(x), bp.hvp(f, x, x), bp.jvp(f, (x,), (x,))[1]) for _ in range(10)]
        for _ in range(10):
            np.sum(bp.checkpoint(lambda v: v * float(i))(shared)).backward()
        return np.array([np.hstack(row) for row in found])

    alone = [work(i) for i in range(THREADS)]
    shared.zero_grad()
    np.testing.assert_array_equal(together(work), alone)
    np.testing.assert_array_equal(shared.grad, np.full(2, 10.0 * sum(range(THREADS))))


def test_writes_into_separate_tensors():
    w = leaf(2.0)

    def work(i):
        rows = bp.zeros((ROUNDS, 2))
        view = rows[:, 1]
        for k in range(ROUNDS):
            rows[k] = w * float(i)
            view[k] *= 3.0
            rows += 1.0
        np.sum(rows).backward()
        return np.array(rows.data)

    alone = [work(i) for i in range(THREADS)]
    expected = w.grad
    w.zero_grad()
    np.testing.assert_array_equal(together(work), alone)
    assert w.grad == expected == ROUNDS * (1 + 3) * sum(range(THREADS))


def test_no_grad_and_observe_belong_to_their_thread():
    x = leaf([1.0, 2.0])

    def work(i):
        lengths = []
        for _ in range(ROUNDS):
            if i % 2:
                with bp.no_grad():
                    lengths.append(bool((x * 2).requires_grad))
            else:
                with bp.observe() as run:
                    lengths.append(bool((x * 2).requires_grad) and len(run))
        return lengths

    assert together(work) == [[not i % 2] * ROUNDS for i in range(THREADS)]


def test_no_grad_and_observe_belong_to_their_task():
    x = leaf(3.0)

    async def blocked(turn):
        with bp.no_grad():
            await turn()
            return (x * 2).requires_grad

    async def observed(turn):
        with bp.observe() as run:
            for _ in range(5):
                await turn()
                _ = x * 2
        return len(run)

    async def inside_a_transform(turn):
        await turn()
        y = bp.grad(lambda v: v**3)(2.0)
        return y, (x * 2).requires_grad

    async def all_of_them():
        turn = lambda: asyncio.sleep(0)
        return await asyncio.gather(*(f(turn) for f in (blocked, observed, inside_a_transform) * 4))

    assert asyncio.run(all_of_them()) == [False, 5, (12.0, True)] * 4
    assert (x * 2).requires_grad


def test_a_new_thread_starts_outside_of_no_grad():
    x, found = leaf(3.0), []
    with bp.no_grad():
        thread = threading.Thread(target=lambda: found.append((x * 2).requires_grad))
        thread.start()
        thread.join()
        assert not (x * 2).requires_grad
    assert found == [True]


@pytest.mark.skipif("not hasattr(os, 'fork')", reason="POSIX only")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_records_and_differentiates():
    w = leaf([1.0, 2.0, 3.0])
    y = np.sum(w**3)  # recorded by the parent, swept by both
    child = os.fork()
    if child == 0:  # no assertion here: a failing child must not go on as a second test run
        code = 1
        try:
            y.backward()
            np.sum(np.tanh(w) * 0.0 + w).backward()
            right = np.array_equal(w.grad, 3 * w.data**2 + 1) and bp.grad(np.sin)(0.0) == 1.0
            code = 0 if right else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert w.grad is None, "the child's gradients are its own"
    y.backward()
    np.testing.assert_array_equal(w.grad, 3 * w.data**2)


@pytest.mark.skipif("not hasattr(os, 'fork')", reason="POSIX only")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("lock", [backward._lock, common_memory._lock], ids=["gradients", "memory"])
def test_a_child_does_not_wait_for_a_thread_that_only_its_parent_has(lock):
    taken = threading.Event()

    def hold():
        with lock:
            taken.set()
            time.sleep(0.2)  # long enough for the fork to meet it

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # ends a child that waits
        array = np.ones(3)
        bp.Tensor(array)[0] = bp.Tensor(array).data[1]
        np.sum(leaf([1.0, 2.0]) * 2.0).backward()
        os._exit(0)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif("not hasattr(os, 'fork')", reason="POSIX only")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_child_does_not_wait_for_a_compiled_step_that_only_its_parent_runs():
    inside = threading.Event()
    w = leaf([1.0, 2.0])

    @bp.compile
    def step(x):
        inside.set()
        time.sleep(0.1)  # long enough for the fork to meet it
        return np.sum(w * x)

    thread = threading.Thread(target=step, args=(np.ones(2),))
    thread.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(10)  # ends a child that waits
        code = 1
        try:
            code = 0 if step(np.ones(2)).item() == 3.0 and type(w.data) is np.ndarray else 2
        finally:
            os._exit(code)
    thread.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert step(np.ones(2)).item() == 3.0, "the parent has its lock back"


@pytest.mark.skipif("not hasattr(os, 'fork')", reason="POSIX only")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("order", [1, -1])
def test_a_fork_takes_no_lock_from_a_thread_that_needs_it_to_give_another_back(order):
    first, second = [held_at_fork(threading.Lock()) for _ in range(2)][::order]
    taken = threading.Event()

    def hold():
        with first:
            taken.set()
            time.sleep(0.1)
            with second:
                pass

    def late(*_):
        raise TimeoutError("the fork and the thread wait for each other")

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    taken.wait()
    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(10)
    try:
        child = os.fork()
        if child == 0:
            os._exit(int(first.locked() or second.locked()))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        thread.join()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert not first.locked()
    assert not second.locked()


def test_locks_held_at_a_fork_live_no_longer_than_their_owners():
    before = len(_LOCKS)
    steps = [bp.compile(np.sin) for _ in range(5)]
    assert len(_LOCKS) == before + 5
    del steps
    gc.collect()
    assert len(_LOCKS) <= before


# ---- an exception leaves nothing behind ------------------------------------------------------------


@bp.primitive
def broken(x):
    return x * 1.0


class Interrupted(BaseException):
    """As KeyboardInterrupt is: not an Exception."""


def _raise(kind):
    raise kind("on purpose")


@pytest.mark.parametrize("kind", [ValueError, Interrupted])
@pytest.mark.parametrize(
    "work",
    [
        lambda x, fail: bp.grad(lambda v: fail() or v)(1.0),
        lambda x, fail: bp.hvp(lambda v: bp.grad(lambda u: fail() or u)(v), 1.0, 1.0),
        lambda x, fail: bp.checkpoint(lambda v: fail() or v)(x),
        lambda x, fail: np.sum(broken(x) * x).backward(),
        lambda x, fail: bp.grad(lambda v: np.sum(broken(v)))(x.data),
        lambda x, fail: np.sum(bp.checkpoint(broken)(x)).backward(),
    ],
    ids=["function", "nested", "checkpoint", "rule", "rule in a transform", "rule in a checkpoint"],
)
def test_an_exception_leaves_no_state_behind(work, kind):
    fail = lambda: _raise(kind)
    broken.defvjp(lambda g, _y, _x: fail())
    x = leaf([1.0, 2.0])
    ambient, errstate, call = AMBIENT.get(), np.geterr(), np.geterrcall()
    with pytest.raises(kind, match="on purpose"):
        work(x, fail)
    assert AMBIENT.get() is ambient
    assert (np.geterr(), np.geterrcall()) == (errstate, call)
    assert not backward._lock.locked()
    x.zero_grad()
    np.sum(x * x).backward()
    np.testing.assert_array_equal(x.grad, [2.0, 4.0])


def test_no_gradient_arrives_from_a_sweep_that_failed():
    broken.defvjp(lambda g, _y, _x: _raise(ValueError))
    x, w = leaf([1.0, 2.0]), leaf([1.0, 2.0])
    with pytest.raises(ValueError, match="on purpose"):
        np.sum(broken(x) * w).backward()  # w's gradient is known before the rule fails
    assert (x.grad, w.grad) == (None, None)
