"""Starting a job for somebody who asks over HTTP: it is compiled here, and created by the engine's own thread."""

from __future__ import annotations

import asyncio
import os
import time
from concurrent.futures import Future

from fmsh import wire
from fmsh.assembly import make_program
from fmsh.engine.starting import NewRun
from fmsh.errors import UsageError
from fmsh.lang.arguments import bind_texts
from fmsh.shell.script import read_source
from fmsh.shell.terminal import time_zone
from fmsh.spans import Source
from fmsh.store.base import NewJob

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from fmsh.assembly import Assembly
    from fmsh.machine.code import Program
    from fmsh.store.base import Job, NewProgram
    from fmsh.values import Value


class Starting:
    """`assembly` is the daemon's. `umask` is for the processes of the jobs."""

    def __init__(self, assembly: Assembly, umask: int) -> None:
        self._assembly = assembly
        self._umask = umask

    async def start(self, body: dict[str, Any]) -> tuple[Job, bool]:
        """Starts what `POST /v1/jobs` describes. False: a job with its key exists.

        Raises: SourceError, UsageError, StoreError.
        """
        loop = asyncio.get_running_loop()
        stored, program, command = await loop.run_in_executor(None, _compile, body)
        variables, arguments = bind_texts(program.parameters.signature, _texts(body.get("args")))
        started: Future[tuple[Job, bool]] = Future()

        def create() -> None:
            try:
                started.set_result(self._create(body, stored, program, command, variables, arguments))
            except Exception as fault:
                started.set_exception(fault)

        self._assembly.loop.submit(create)
        return await asyncio.wrap_future(started)

    def _create(
        self,
        body: dict[str, Any],
        stored: NewProgram,
        program: Program,
        command: str,
        variables: dict[str, Value],
        arguments: list[str],
    ) -> tuple[Job, bool]:
        home = os.path.expanduser("~")
        job = NewJob(
            os.urandom(16).hex(),
            stored.name,
            command,
            time.time_ns() // 10**6,
            stored,
            key=_key(body),
            name=_text(body, "name"),
            tags_json=wire.encode_plain(_tags(body.get("tags"))),
            is_detached=True,
        )
        options: dict[str, Value] = {"umask": self._umask} | ({"variables": variables} if variables else {})
        environment = self._assembly.secrets.job_environment(os.environ)
        directory = _text(body, "directory") or home
        run = NewRun(job, program, arguments, environment, directory, time_zone(), options)
        created = self._assembly.engine.submit_elsewhere(run)
        self._assembly.engine.has_released = True
        return created


def _compile(body: dict[str, Any]) -> tuple[NewProgram, Program, str]:
    text, file = _text(body, "source"), _text(body, "file")
    if (text is None) == (file is None):
        raise UsageError("a job needs `source`, the text of a script, or `file`, the path of one")
    if file is not None and not os.path.isabs(file):
        raise UsageError("`file` must be an absolute path")
    directory = _text(body, "directory")
    if directory is not None and not (os.path.isabs(directory) and os.path.isdir(directory)):
        raise UsageError("`directory` must be the absolute path of one that exists")
    source = Source("-c", text) if text is not None else read_source(str(file))
    stored, program = make_program(source)
    words = _texts(body.get("args"))
    return stored, program, text if text is not None else " ".join([str(file), *words])


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"`{name}` must be a text")
    return value or None


def _key(body: dict[str, Any]) -> str | None:
    """Reads the key; an empty one is refused, since without a key each call starts a job of its own."""
    if body.get("key") == "":
        raise UsageError("`key` must be a text that is not empty")
    return _text(body, "key")


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise UsageError("`args` must be a list of texts")
    return value


def _tags(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise UsageError("`tags` must be an object of texts")
    return value
