"""RQ: adds the job's id, function and queue to the records logged in it, and logs how each run of a job ended.

    rq worker --worker-class logcollector_handler.integrations.rq.Worker

`SimpleWorker` and `SpawnWorker` are there, too. For a worker class of your own, name `LogJobs` first among its bases.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import rq
from rq.job import Job, JobStatus
from rq.worker import BaseWorker

from logcollector_handler.context import log_context
from logcollector_handler.delivery import children
from logcollector_handler.delivery import exit as ending
from logcollector_handler.delivery.clock import SystemClock
from logcollector_handler.entry.frameworks import told_by_us

from .ended import ended

__all__ = ["LogJobs", "SimpleWorker", "SpawnWorker", "Worker"]

_log: Final = logging.getLogger("logcollector.job")


class LogJobs(BaseWorker):
    """Binds `job_id`, `job_name` and `queue` while a job runs, and logs how it ended, to the logger `logcollector.job`.

    That record has `duration_ms`. It is at ERROR with the stack trace for a failure, at WARNING for a job that is to
    be tried again, else at INFO. A work horse sends its records before it ends, also when SIGTERM ends it.
    """

    #: What the job that runs now has raised.
    _error: BaseException | None = None

    def perform_job(self, job: Job, *more: Any) -> bool:
        """Run a job; RQ's own says in its result, and in the job's status, how that ended."""
        # RQ logs it, too, as text: so in 2, and so in 3.
        told_by_us(_log, "rq.worker", "[Job %s]: exception raised while", "Worker %s: job %s: exception raised while")
        self._error = None
        start = SystemClock.monotonic()
        with log_context(**_fields(job)):
            good: bool = super().perform_job(job, *more)
            self._tell(job, good, (SystemClock.monotonic() - start) * 1000)
        if self.is_horse:
            # The process ends next, in `os._exit`.
            ending.drain()
        return good

    def handle_exception(self, job: Job, *exc_info: Any) -> None:
        """RQ calls this for what a job has raised."""
        self._error = exc_info[1]
        super().handle_exception(job, *exc_info)

    def handle_work_horse_killed(self, job: Job, retpid: Any, ret_val: Any, rusage: Any) -> None:
        """RQ calls this in the worker when a work horse died in the middle of a job."""
        message = "job %s failed: its work horse died with status %s"
        ended(_log, logging.ERROR, message, (_name(job), ret_val), fields=_fields(job))
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]

    def setup_work_horse_signals(self) -> None:
        """RQ calls this in a new work horse, and gives SIGTERM its default action back."""
        super().setup_work_horse_signals()  # type: ignore[no-untyped-call]
        children.watch_sigterm()

    def _tell(self, job: Job, good: bool, took: float) -> None:
        error, self._error = self._error, None
        level, how = (logging.INFO, "succeeded") if good else (logging.ERROR, "failed")
        if job.get_status(refresh=False) in (JobStatus.QUEUED, JobStatus.SCHEDULED):
            level, how = logging.WARNING, "is to be tried again"
        fields = {"duration_ms": took}
        args = (_name(job), how, took)
        ended(_log, level, "job %s %s after %.1f ms", args, function=_function(job), fields=fields, error=error)


class Worker(LogJobs, rq.Worker):
    """RQ's usual worker: each job runs in a work horse, a process that is forked for it."""


class SimpleWorker(LogJobs, rq.SimpleWorker):
    """RQ's worker that runs jobs in its own process."""


class SpawnWorker(LogJobs, rq.SpawnWorker):
    """RQ's worker whose work horses are new interpreters."""


def _fields(job: Job) -> dict[str, Any]:
    return {"job_id": job.id, "job_name": _name(job), "queue": job.origin}


def _function(job: Job) -> object:
    try:
        return job.func
    except Exception:  # noqa: BLE001 - it cannot be imported, which is why the job failed
        return None


def _name(job: Job) -> str:
    try:
        return str(job.func_name)
    except Exception:  # noqa: BLE001 - the job cannot be read: its serializer, or the application's, raises
        return "?"
