"""The prompt of `fmsh jobs inspect --interactive`: lines of the language on the values of a moment of a job.

A line is compiled like one at the shell's prompt and run by a machine of its own, whose effects go nowhere: every
request, and every question about the machine that it runs on, is answered with an error that says so. So nothing can
happen in the world, and the job is not touched. What a line defines stays for the lines after it.
"""

from __future__ import annotations

import sys

from fmsh.assembly import make_line
from fmsh.builtins.display import plain_display
from fmsh.engine.sessions import NOT_OF_A_SESSION, is_kept
from fmsh.errors import FmshError, SourceError
from fmsh.jobs import inspecting
from fmsh.jobs.finding import NotPossible
from fmsh.jobs.moments import variables_of
from fmsh.lang.lines import COMMAND, definitions_of
from fmsh.lang.parser import is_complete, parse
from fmsh.machine.code import UNSET
from fmsh.machine.effects import CancelRequest, Display, End, Observe, Request
from fmsh.machine.events import Observed, RequestCompleted
from fmsh.machine.facts import Facts
from fmsh.machine.machine import Machine
from fmsh.render.diagnostics import render
from fmsh.render.errors import render_error
from fmsh.render.jobs import request_label
from fmsh.render.values import display_text
from fmsh.spans import Source
from fmsh.values import error_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from fmsh.jobs.desk import Desk
    from fmsh.jobs.moments import Moment
    from fmsh.machine.code import Program
    from fmsh.machine.effects import Effect
    from fmsh.values import ErrorValue, Value

SOURCE = "inspect"
SLICE_INSTRUCTIONS = 10_000  # between two looks at the keyboard
HELP = """A line is run on the values of this moment; nothing is done in the world.
  at SEQ       go to another event of the job      next, back    to the one after, before
  stack        where it stands, and its variables  exit, Ctrl-D  leave
"""


def run(desk: Desk, moment: Moment) -> int:
    """Reads lines until the end of standard input or `exit`. Status 1 if the last line failed."""
    prompt = Prompt(desk, moment)
    inspecting.show(desk, moment)
    for text in _lines(desk, prompt):
        if text.strip() == "exit":
            break
        prompt.enter(text)
        desk.stdout.flush()
    return prompt.status


def _lines(desk: Desk, prompt: Prompt) -> Iterator[str]:
    """Yields whole statements. A terminal is asked for them by Python's plain line editor."""
    is_asked = sys.stdin.isatty() and desk.stdout.isatty()
    if is_asked:
        import readline  # noqa: F401 - gives input() a line editor and its history

        desk.say("  (`help` says what can be typed here)\n")
        desk.stdout.flush()
    text = ""
    while True:
        try:
            line = input("…  " if text else prompt.mark) if is_asked else sys.stdin.readline()
        except EOFError:
            desk.say("\n")
            return
        except KeyboardInterrupt:
            desk.say("\n")
            text = ""
            continue
        if not is_asked and not line:
            if text.strip():
                yield text
            return
        text += line.rstrip("\n") + "\n"
        if not text.strip() or is_complete(text):
            yield text
            text = ""


class Prompt:
    """The moment that is looked at, and what the lines so far have defined."""

    def __init__(self, desk: Desk, moment: Moment) -> None:
        self._desk = desk
        self.status = 0
        self._go_to(moment)

    @property
    def mark(self) -> str:
        return f"job {self._moment.job.id} at {self._moment.event.seq} > "

    def _go_to(self, moment: Moment) -> None:
        self._moment = moment
        own = variables_of(moment.machine)
        self._variables = {
            name: value for name, value in own.items() if name not in NOT_OF_A_SESSION and is_kept(value)
        }
        self._unusable = [name for name, value in own.items() if not is_kept(value)]
        self._definitions = _definitions(moment.program)

    def enter(self, text: str) -> None:
        """Does what a line says: shows another moment, or runs it. What goes wrong is said."""
        self.status = 1
        words = text.split()
        try:
            if not words or not self._obey(words):
                self._run(text.strip())
            self.status = 0
        except SourceError as error:
            self._desk.stderr.write(render(error.diagnostics, color=self._desk.color))
            self._tell_unusable(text)
        except FmshError as error:
            self._desk.note(error.message + (f"\n  {error.hint}" if error.hint else ""))
        except KeyboardInterrupt:
            self._desk.note("stopped")
        except Failed as failure:
            sources = {unit.source.name: unit.source for unit in failure.program.units}
            self._desk.stderr.write(render_error(failure.error, sources, color=self._desk.color))
        self._desk.stderr.flush()

    def _obey(self, words: list[str]) -> bool:
        """Whether a line is one of the few that are about the prompt itself."""
        seq = self._moment.event.seq
        steps = {"next": seq + 1, "back": seq - 1}
        if words == ["help"]:
            self._desk.say(HELP)
        elif words == ["stack"]:
            inspecting.show(self._desk, self._moment)
        elif len(words) == 1 and words[0] in steps:
            self._show(steps[words[0]])
        elif len(words) == 2 and words[0] == "at" and words[1].isascii() and words[1].isdigit():
            self._show(int(words[1]))
        else:
            return False
        return True

    def _show(self, seq: int) -> None:
        job = self._desk.store.job(self._moment.job.id) or self._moment.job
        self._go_to(inspecting.look(self._desk, job, seq))
        inspecting.show(self._desk, self._moment)

    def _tell_unusable(self, text: str) -> None:
        for name in self._unusable:
            if f"${name}" in text or f"${{{name}" in text:
                self._desk.note(f"${name} holds a block, a task or a channel: it is nothing outside of its job")

    # -- running a line

    def _run(self, text: str) -> None:
        if not text:
            return
        _, program, defined = make_line(Source(SOURCE, text), self._definitions, list(self._variables))
        names = program.codes[program.main].variables
        facts = self._moment.machine.facts
        seen = {name: value for name, value in self._variables.items() if name in names}
        task = self._moment.machine.tasks.get("0")
        directory = facts.directory if task is None else task.directory
        environment = (
            self._moment.machine.base_environment if task is None else self._moment.machine.environment_of(task)
        )
        own = Facts(facts.job_id, facts.key, facts.name, facts.arguments, directory, facts.time_zone, seen, facts.input)
        machine = Machine(program, own, environment)
        end = self._run_to_end(machine)
        if end.error is not None:
            raise Failed(end.error, program)
        self._definitions |= defined
        self._keep(machine)

    def _run_to_end(self, machine: Machine) -> End:
        last = None
        while True:
            is_quiescent = machine.run(SLICE_INSTRUCTIONS)
            effects = machine.take_effects()
            for effect in effects:
                if isinstance(effect, Display):
                    self._display(last)
                    last = effect
                elif isinstance(effect, End):
                    self._display(last, effect.value)
                    return effect
                else:
                    self._answer(machine, effect)
            if is_quiescent and not effects:
                raise NotPossible("this line would wait there, and nothing that happens reaches this prompt")

    def _answer(self, machine: Machine, effect: Effect) -> None:
        if isinstance(effect, Request):
            data = {"connector": effect.connector, "operation": effect.operation, "arguments": effect.arguments}
            machine.feed(RequestCompleted(effect.step, error=self._refusal(request_label(data))))
        elif isinstance(effect, Observe):
            machine.feed(Observed(effect.number, self._refusal(effect.operation)))
        elif isinstance(effect, CancelRequest) and effect.step in machine.pending:
            machine.feed(RequestCompleted(effect.step, is_cancelled=True))

    def _display(self, effect: Display | None, value: Value = None) -> None:
        """Shows what a line displayed. Its value is drawn for people where somebody looks."""
        if effect is not None and self._desk.stdout.isatty() and effect.text == plain_display(value):
            self._desk.say(display_text(value, is_terminal=True, width=self._desk.width))
        elif effect is not None:
            self._desk.pass_on(effect.stream, effect.text)

    def _refusal(self, what: str) -> ErrorValue:
        number, seq = self._moment.job.id, self._moment.event.seq
        hint = "only what is pure can be run here; what the job did there is recorded: `fmsh jobs log`"
        message = f"`{what}` is an effect, and this prompt only looks at job {number} as it was after event {seq}"
        return error_value("refused", message, hint=hint)

    def _keep(self, machine: Machine) -> None:
        if machine.left is None:
            return
        scope, _ = machine.left
        for name, slot in scope.code.variables.items():
            value = scope.slots[slot]
            if name not in NOT_OF_A_SESSION and value is not UNSET and is_kept(value):
                self._variables[name] = value


class Failed(Exception):
    """A line ended with an error of the language."""

    def __init__(self, error: ErrorValue, program: Program) -> None:
        super().__init__(error.message)
        self.error = error
        self.program = program


def _definitions(program: Program) -> dict[str, str]:
    """The functions and aliases of the job's own source. Those of its modules are not: their files may have changed."""
    source = program.units[0].source
    try:
        found = definitions_of(source, parse(source), lambda path: path)
    except SourceError:  # another version's
        return {}
    return {name: text for name, text in found.items() if name.startswith(COMMAND)}
