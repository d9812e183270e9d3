"""What a job has heard of from others: handles among the variables that it started with, as at a prompt.

The end of a job is told to the job that started it, and what comes to an address to the line that opened it; who got
the handle from there asks to be told, too, whenever it is taken up: asking twice changes nothing. Of an address that
takes many calls a job asks for one at a time, while it waits for one, so that no call lies with a job that wants none.
"""

from __future__ import annotations

from fmsh import wire
from fmsh.engine.ending import value_of
from fmsh.errors import StoreMissing
from fmsh.store.base import MOVED
from fmsh.values import Handle, error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.engine.worker import Worker
    from fmsh.store.base import EventStore
    from fmsh.values import Value


def ask_for_news(store: EventStore, worker: Worker) -> None:
    """Sees to it that a job is told what becomes of the jobs and addresses that it was given. Raises: StoreError."""
    for handle in _handles_in(list(worker.machine.facts.variables.values())):
        if handle.kind == "callback" and "." in handle.id:
            if handle.fields_.get("many"):
                worker.addresses[handle.id] = f"callback:{handle.id}"
            else:
                store.hear_of_call(worker.job_id, handle.id)
        elif handle.kind == "job" and handle.id.isdigit():
            tell_of_end(store, worker.job_id, int(handle.id))


def ask_for_calls(store: EventStore, worker: Worker) -> None:
    """Asks for the next call of each address of its session for which a job waits. Raises: StoreError."""
    if not worker.is_quiescent or worker.end is not None or worker.is_held or worker.held:
        return
    waited_for = {task.waiting[1] for task in worker.machine.tasks.values() if task.waiting is not None}
    for handle_id, mailbox in worker.addresses.items():
        if mailbox in waited_for:
            store.hear_of_call(worker.job_id, handle_id)


def tell_of_end(store: EventStore, job_id: int, number: int) -> None:
    """Sees to it that a job is told of the end of another, once. Raises: StoreError."""
    if not store.hear_of_end(job_id, number):
        told = {"handle": str(number), "delivery": _end_of(store, number)}
        store.deliver(job_id, "job", wire.encode(told), dedupe_id=f"job {number}")


def _handles_in(waiting: list[Value]) -> Iterator[Handle]:
    while waiting:
        item = waiting.pop()
        if type(item) is Handle:
            yield item
        elif type(item) is dict:
            waiting += item.values()
        elif type(item) is list:
            waiting += item


def _end_of(store: EventStore, number: int) -> dict[str, Value]:
    job = store.job(number)
    if job is None:
        return {"value": None, "error": error_value("job", f"job {number} is not kept any more")}
    if job.state == MOVED:
        return {"value": None, "error": error_value("job", f"job {number} was moved to another store")}
    if job.error_json is not None:
        return {"value": None, "error": wire.decode(job.error_json)}
    try:
        return {"value": value_of(store, job), "error": None}
    except StoreMissing:  # it was large
        return {"value": None, "error": error_value("job", f"the value of job {number} is not kept any more")}
