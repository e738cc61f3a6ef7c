"""Tasks over worker processes: bounded, kill-proof, results as they come.

Why not `concurrent.futures`: when one of its workers dies, every task in flight is lost and nobody knows
which one was the cause. Here each worker holds one task and its own pipe, so a dead worker names its task.

* Workers are spawned, never forked (threads of OpenCV and numba do not survive a fork), do not import the
  caller's ``__main__``, run one thread each, ignore Ctrl-C, and end when the parent dies.
* A task's exception is data (`TaskError`). A task whose worker died runs once more in a fresh worker and is
  then an error too. A disk that refuses (`equime.records.disk_error`) is marked ``fatal``: the caller stops.
* At most ``window`` tasks are taken from the iterator ahead of the results, so memory is flat.
* A worker is given tasks of the key it had last where there are any, so what it cached for a face is reused.
"""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, Final

from equime.errors import EquimeError, InputError, WorkError
from equime.records import disk_error, disk_message
from equime.registry import load

WORKERS: Final = "EQUIME_WORKERS"
"""Environment variable: processes where a command or call names none."""

THREAD_LIMITS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
    "VECLIB_MAXIMUM_THREADS",
)
MAX_ATTEMPTS: Final = 2
"""How often a task may take its worker down before it is an error."""

MAX_BAD_STARTS: Final = 3
"""Workers in a row that may die before their first task."""

WORKER_DIED: Final = "WorkerDied"
"""`TaskError.error` of a task that took its worker down every time."""

Handler = Callable[[Any], Any]


@dataclass(frozen=True)
class Task:
    """One piece of work.

    Attributes:
        key: tasks of the same key prefer the same worker (a face).
        payload: picklable argument of the handler.
    """

    key: str
    payload: Any


@dataclass(frozen=True)
class TaskError:
    """Why a task gave no value.

    Attributes:
        error: name of the exception's class, or `WORKER_DIED`.
        message: one line.
        fatal: True where the disk refused: no other task could do better.
        trace: traceback of the worker, for a developer.
    """

    error: str
    message: str
    fatal: bool = False
    trace: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a task: ``value`` where ``error`` is None."""

    task: Task
    value: Any = None
    error: TaskError | None = None


def n_workers(asked: int | None) -> int:
    """How many processes to use; 0 works in this process.

    Args:
        asked: the number; None is what the environment variable ``EQUIME_WORKERS`` says, else one per processor.

    Raises:
        InputError: below 0, or a variable that is no number.
    """
    if asked is None and (text := os.environ.get(WORKERS, "")):
        try:
            asked = int(text)
        except ValueError:
            raise InputError(f"{WORKERS}={text}: no whole number; unset it or give one such as 4") from None
    if asked is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if asked < 0:
        raise InputError(f"workers {asked} is below 0; use the number of processes, or 0 for this process")
    return asked


def run(
    factory: str,
    config: Any,
    tasks: Iterable[Task],
    *,
    workers: int,
    window: int | None = None,
) -> Iterator[Outcome]:
    """Run tasks and yield their outcomes as they complete.

    Args:
        factory: ``module:attribute`` of a function that takes ``config`` and returns the handler, called once
            in every worker.
        config: picklable.
        tasks: taken one by one, never all at once.
        workers: processes; 0 works in this process.
        window: tasks looked at ahead; by default 8 per worker.

    Raises:
        WorkError: where workers die before they take a task.
    """
    if workers <= 0:
        yield from _run_here(load(factory)(config), tasks)
        return
    with contextlib.closing(_Pool(factory, config, workers)) as pool:
        yield from _schedule(pool, iter(tasks), window or 8 * workers)


def _run_here(handler: Handler, tasks: Iterable[Task]) -> Iterator[Outcome]:
    for task in tasks:
        value, error = _attempt(handler, task.payload)
        yield Outcome(task, value, error)


def _schedule(pool: _Pool, tasks: Iterator[Task], window: int) -> Iterator[Outcome]:
    """Feed workers from a look-ahead window; a task is retried where its worker died."""
    waiting: collections.deque[Task] = collections.deque()
    attempts: collections.Counter[int] = collections.Counter()
    exhausted = False
    while True:
        while not exhausted and len(waiting) < window:
            task = next(tasks, None)
            exhausted = task is None
            if task is not None:
                waiting.append(task)
        pool.assign(waiting)
        if not pool.busy:
            return
        for task, reply in pool.replies():
            if reply is not None:
                attempts.pop(id(task), None)
                yield Outcome(task, *reply)
                continue
            attempts[id(task)] += 1
            if attempts[id(task)] < MAX_ATTEMPTS:
                waiting.appendleft(task)
            else:
                del attempts[id(task)]
                yield Outcome(task, None, _died())


def _died() -> TaskError:
    return TaskError(
        WORKER_DIED,
        f"its worker process died {MAX_ATTEMPTS} times (killed, or out of memory); "
        "try fewer --workers and run the same command again",
    )


@dataclass
class _Worker:
    """One process, its pipe and what it is working on."""

    process: SpawnProcess
    pipe: Connection
    task: Task | None = None
    last_key: str = ""
    n_done: int = 0


class _Pool:
    """Worker processes; started when there is something to do, replaced when they die."""

    def __init__(self, factory: str, config: Any, size: int) -> None:
        self._factory, self._config, self._size = factory, config, size
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []
        self._bad_starts = 0

    @property
    def busy(self) -> bool:
        return any(worker.task for worker in self._workers)

    def assign(self, waiting: collections.deque[Task]) -> None:
        """Give every idle worker a task: one of its last key, else of a key no other worker has, else any."""
        while waiting:
            worker = next((w for w in self._workers if w.task is None), None)
            if worker is None and len(self._workers) < self._size:
                worker = self._start()
            if worker is None:
                return
            task = self._choose(worker, waiting)
            waiting.remove(task)
            worker.task, worker.last_key = task, task.key
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # Its death shows in `replies`.
                worker.pipe.send(task.payload)

    def _choose(self, worker: _Worker, waiting: collections.deque[Task]) -> Task:
        taken = {w.last_key for w in self._workers if w is not worker}
        same = (task for task in waiting if task.key == worker.last_key)
        free = (task for task in waiting if task.key not in taken)
        return next(same, None) or next(free, None) or waiting[0]

    def replies(self) -> list[tuple[Task, tuple[Any, TaskError | None] | None]]:
        """Wait for workers; a task with its reply, or with None where the worker died on it."""
        by_pipe = {worker.pipe: worker for worker in self._workers if worker.task}
        found = []
        for pipe in multiprocessing.connection.wait(list(by_pipe)):
            worker = by_pipe[pipe]  # type: ignore[index]
            task = worker.task
            assert task is not None
            try:
                reply = worker.pipe.recv()
            except (EOFError, OSError):
                reply = None
                self._bury(worker)
            else:
                worker.task = None
                worker.n_done += 1
                self._bad_starts = 0
            found.append((task, reply))
        return found

    def _start(self) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_work, args=(theirs, self._factory, self._config, sys.path), daemon=True
        )
        with _one_thread(), _main_hidden():
            process.start()
        theirs.close()
        worker = _Worker(process, ours)
        self._workers.append(worker)
        return worker

    def _bury(self, worker: _Worker) -> None:
        worker.pipe.close()
        worker.process.join()
        self._workers.remove(worker)
        self._bad_starts += 0 if worker.n_done else 1
        if self._bad_starts >= MAX_BAD_STARTS * self._size:
            raise WorkError(
                f"worker processes die at once (exit code {worker.process.exitcode}); "
                "see the messages above, or run with --workers 0 to work in this process"
            )

    def close(self) -> None:
        """End all workers; what they were doing is lost, which a task must be able to bear."""
        for worker in self._workers:
            worker.pipe.close()
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()


@contextlib.contextmanager
def _one_thread() -> Generator[None]:
    """Start processes in an environment that limits their libraries to one thread.

    It must be there from the first instruction: OpenBLAS reads it when numpy is imported.
    """
    before = {name: os.environ.get(name) for name in THREAD_LIMITS}
    os.environ.update(dict.fromkeys(THREAD_LIMITS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _main_hidden() -> Generator[None]:
    """Keep multiprocessing from importing the caller's main module in the worker.

    The import is of no use here (handlers are named) and would run a user's script again where it has no
    ``if __name__ == "__main__"``.
    """
    main = sys.modules["__main__"]
    hidden: dict[str, Any] = {
        name: main.__dict__.pop(name) for name in ("__file__", "__spec__") if name in main.__dict__
    }
    try:
        main.__spec__ = None
        yield
    finally:
        main.__dict__.update(hidden)


def _work(pipe: Connection, factory: str, config: Any, path: list[str]) -> None:
    """Main function of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.path[:] = path
    threading.Thread(target=_end_with_parent, daemon=True).start()
    handler: Handler | None = None
    while True:
        try:
            payload = pipe.recv()
        except (EOFError, OSError):
            return
        if handler is None:
            handler, error = _attempt(lambda _: load(factory)(config), None)
            if error:
                pipe.send((None, error))
                continue
        assert handler is not None
        pipe.send(_attempt(handler, payload))


def _end_with_parent() -> None:
    """Leave at once when the parent is gone, whatever the main thread is doing."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _attempt(handler: Handler, payload: Any) -> tuple[Any, TaskError | None]:
    """Value or error of a call; only what ends a process passes."""
    try:
        return handler(payload), None
    except Exception as error:
        return None, _task_error(error)


def _task_error(error: Exception) -> TaskError:
    refused = disk_error(error)
    message = " ".join(str(error).split()) or type(error).__name__
    if refused is not None:
        message = disk_message(_subject(error, refused), refused)
    return TaskError(type(error).__name__, message, refused is not None, traceback.format_exc())


def _subject(error: Exception, refused: BaseException) -> str:
    """The file that the disk refused, as far as the exceptions name it."""
    name = getattr(refused, "filename", None)
    if name:
        return os.fsdecode(name)
    return str(error).split(": ", 1)[0] if isinstance(error, EquimeError) else "the disk"
