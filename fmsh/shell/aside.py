"""Jobs of this prompt whose program at the terminal was stopped (Ctrl-Z), or goes on without it (`bg`).

They stay with this process, as a program at a terminal must, and are looked after while the prompt waits for a key
(`look`). While a job is aside it takes no terminal and leaves nothing to the session: other lines have run since.
"""

from __future__ import annotations

from fmsh.render.cells import visible
from fmsh.shell.notices import COMMAND_CHARACTERS
from fmsh.store.base import OVER_STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fmsh.assembly import Assembly
    from fmsh.connectors.base import AttemptId
    from fmsh.machine.code import Program

END_MAX_S = 2.0  # of what is stopped when the prompt ends; what takes longer is left to the daemon


class Aside:
    """`stopped` and `running`: the attempts of what was put aside, by job, the last one last."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self.stopped: dict[int, AttemptId] = {}
        self.running: dict[int, AttemptId] = {}

    def put(self, id: AttemptId) -> None:
        """A program was stopped at the terminal, or wanted it in the background."""
        self.running.pop(id.job_id, None)
        self.stopped.pop(id.job_id, None)
        worker = self._assembly.engine.workers.get(id.job_id)
        if worker is not None:
            self.stopped[id.job_id] = id
            worker.is_foreground = False
            worker.session_line = None

    def bring_back(self, job_id: int) -> None:
        """Makes a job that is aside the one of the foreground."""
        id = self.stopped.pop(job_id, None) or self.running.pop(job_id)
        self._assembly.engine.workers[job_id].is_foreground = True
        self._assembly.resume_process(id, in_foreground=True)

    def let_go_on(self, job_id: int) -> None:
        """Lets a stopped program go on in the background. It keeps its output, and stops if it wants the keyboard."""
        id = self.stopped.pop(job_id)
        self.running[job_id] = id
        self._assembly.resume_process(id, in_foreground=False)

    def holds(self, job_id: int) -> bool:
        return job_id in self._assembly.engine.workers and (job_id in self.stopped or job_id in self.running)

    def newest(self) -> int | None:
        """The job that `fg` without a number means."""
        held = [job_id for job_id in (*self.running, *self.stopped) if self.holds(job_id)]
        return held[-1] if held else None

    def look(self) -> list[str]:
        """Lets the jobs that are aside do what is due; says which ended or stopped. Raises: StoreError."""
        if not self.stopped and not self.running:
            return []
        before = set(self.stopped)
        self._assembly.engine.step(0)
        said = [self.about(job_id) for job_id in self.stopped if job_id not in before]
        for held in (self.stopped, self.running):
            for job_id in [job_id for job_id in held if not self.holds(job_id)]:
                del held[job_id]
                job = self._assembly.store.job(job_id)
                if job is not None:
                    said.append(
                        f"[{job_id}] {job.state if job.state in OVER_STATES else 'left'}: {self.command(job_id)}"
                    )
        return said

    def end(self) -> None:
        """Cancels what is stopped; what goes on in the background is left to the daemon, and its program goes on."""
        engine = self._assembly.engine
        for job_id in self.stopped:
            engine.cancel(job_id)
        give_up_at_s = engine.loop.now_s() + END_MAX_S
        while any(job_id in engine.workers for job_id in self.stopped) and engine.loop.now_s() < give_up_at_s:
            engine.step(give_up_at_s - engine.loop.now_s())

    def about(self, job_id: int) -> str:
        return f"[{job_id}] stopped: {self.command(job_id)}"

    def command(self, job_id: int) -> str:
        job = self._assembly.store.job(job_id)
        return "" if job is None else visible(job.command.partition("\n")[0])[:COMMAND_CHARACTERS]

    def program(self, job_id: int) -> Program:
        return self._assembly.engine.workers[job_id].machine.program
