"""What the daemon counts, in the text format of Prometheus. The names are documented in docs/api.md, and stay.

Source: prometheus.io/docs/instrumenting/exposition_formats (text format 0.0.4).
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    Labels = tuple[tuple[str, str], ...]

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
# name → kind and help
FAMILIES = {
    "fmsh_info": ("gauge", "1, with the version."),
    "fmsh_up_seconds": ("gauge", "For how long the daemon runs."),
    "fmsh_jobs": ("gauge", "Jobs in the store, by state."),
    "fmsh_http_requests_total": ("counter", "Requests that were answered, by side (public or control) and status."),
    "fmsh_http_request_seconds_total": ("counter", "Time from a request to the end of its answer, by side."),
    "fmsh_resident_bytes": ("gauge", "Memory of the daemon's process."),
}


class Metrics:
    """Counts in the thread of the event loop."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._begun_s = time.monotonic()
        self._counts: dict[tuple[str, Labels], float] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        key = (name, tuple(sorted(labels.items())))
        self._counts[key] = self._counts.get(key, 0) + amount

    def watch(self, app: ASGIApp, side: str) -> ASGIApp:
        """Gives an application that is counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            begun_s, status = time.monotonic(), "none"

            async def tell(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            try:
                await app(scope, receive, tell)
            finally:
                if scope["type"] == "http":
                    self.count("fmsh_http_requests_total", side=side, status=status)
                    self.count("fmsh_http_request_seconds_total", time.monotonic() - begun_s, side=side)

        return counted

    def text(self, jobs: Mapping[str, int]) -> str:
        """Writes everything, with the numbers of jobs by state."""
        values: dict[tuple[str, Labels], float] = {
            ("fmsh_info", (("version", self._version),)): 1,
            ("fmsh_up_seconds", ()): time.monotonic() - self._begun_s,
            ("fmsh_resident_bytes", ()): _resident_bytes(),
        }
        values |= {("fmsh_jobs", (("state", state),)): count for state, count in jobs.items()}
        values |= self._counts
        lines = []
        for family, (kind, help) in FAMILIES.items():
            lines += [f"# HELP {family} {help}", f"# TYPE {family} {kind}"]
            lines += [
                f"{family}{_labels(labels)} {value:g}" for (name, labels), value in values.items() if name == family
            ]
        return "\n".join(lines) + "\n"


def _labels(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""


def _resident_bytes() -> int:
    import os

    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
