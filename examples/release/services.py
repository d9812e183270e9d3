"""Three small services to release against: a CI, a deploy service and a metrics service, in one process.

    ci       POST /builds {service, version, notify}    201 with the build; some seconds later it calls `notify`
    deploy   GET, PUT /services/NAME                    which version runs; the PUT rolls another one out
    metrics  GET /errors?service=NAME                   error rates of what runs
    all      GET /log                                   every request, build and callback so far, as JSON

They behave as services do. The first request of each kind is answered 503. A POST that repeats an `Idempotency-Key`
gets the build of the first, and no second callback. A callback that nobody takes is tried again for a while. A
version that contains `broken` fails its build; one that contains `leaky` shows errors once it runs.

The first line on standard output is JSON: the address of each service. Ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import copy
import json
import signal
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAMES = ("ci", "deploy", "metrics")
BODY_BYTES_MAX = 1 << 20


class World:
    """What the three services know. One lock: they are small."""

    def __init__(self, *, think_s: float, delay_s: float, patience_s: float) -> None:
        self.think_s = think_s
        self.delay_s = delay_s
        self.patience_s = patience_s
        self.lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        self.builds: list[dict[str, Any]] = []
        self.callbacks: list[dict[str, Any]] = []
        self.versions: dict[str, str] = {}
        self.builds_by_key: dict[str, dict[str, Any]] = {}
        self.seen: set[str] = set()

    def receive(self, entry: dict[str, Any]) -> None:
        """Logs a request as it arrives; its status is null until it is answered."""
        with self.lock:
            entry["number"] = len(self.requests) + 1
            self.requests.append(entry)

    def is_first_of_its_kind(self, entry: dict[str, Any]) -> bool:
        kind = f"{entry['to']} {entry['method']}"
        with self.lock:
            is_first = kind not in self.seen
            self.seen.add(kind)
        return is_first

    def start_build(self, *, key: str | None, wanted: dict[str, Any]) -> dict[str, Any]:
        """Makes a build, or finds the one that was made under the same key."""
        with self.lock:
            if key is not None and key in self.builds_by_key:
                return self.builds_by_key[key]
            build = {"id": len(self.builds) + 1, "service": wanted["service"], "version": wanted["version"]}
            self.builds.append(build)
            if key is not None:
                self.builds_by_key[key] = build
        threading.Thread(target=self._finish_build, args=(build, wanted["notify"]), daemon=True).start()
        return build

    def version_of(self, service: str) -> str:
        with self.lock:
            return self.versions.get(service, "1.0.0")

    def roll_out(self, service: str, version: str) -> None:
        with self.lock:
            self.versions[service] = version

    def error_series(self, service: str) -> list[dict[str, Any]]:
        rate = 0.07 if "leaky" in self.version_of(service) else 0.002
        return [{"route": "/", "rate": 0.001}, {"route": "/orders", "rate": rate}]

    def log(self) -> dict[str, Any]:
        with self.lock:
            return copy.deepcopy({"requests": self.requests, "builds": self.builds, "callbacks": self.callbacks})

    def _finish_build(self, build: dict[str, Any], notify: str) -> None:
        time.sleep(self.delay_s)
        is_broken = "broken" in build["version"]
        result = {"id": build["id"], "status": "failed" if is_broken else "passed"}
        result["reason"] = "2 of 310 tests failed" if is_broken else ""
        give_up_at = time.monotonic() + self.patience_s
        while not self._call_back(build["id"], notify, result) and time.monotonic() < give_up_at:
            time.sleep(0.5)

    def _call_back(self, build_id: int, notify: str, result: dict[str, Any]) -> bool:
        """Delivers a result once. True: it was taken or refused for good."""
        request = urllib.request.Request(
            notify,
            data=json.dumps(result).encode(),
            headers={"Content-Type": "application/json", "webhook-id": f"build-{build_id}"},
        )
        status: int | str
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                status = answer.status
        except urllib.error.HTTPError as error:
            status = error.code
        except OSError as error:
            status = str(error)
        with self.lock:
            self.callbacks.append({"build": build_id, "at": time.time(), "status": status})
        return isinstance(status, int) and status < 500


class Handler(BaseHTTPRequestHandler):
    """Answers for all three services; the server knows which one it is."""

    protocol_version = "HTTP/1.1"
    server: Service

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the log is at /log."""

    def _serve(self) -> None:
        world = self.server.world
        path, _, query = self.path.partition("?")
        if path == "/log":
            return self._answer(200, world.log())
        entry: dict[str, Any] = {
            "to": self.server.name,
            "method": self.command,
            "path": self.path,
            "key": self.headers.get("Idempotency-Key"),
            "at": time.time(),
            "body": self._body(),
            "status": None,
        }
        world.receive(entry)
        status, answer = self._decide(entry, path, urllib.parse.parse_qs(query))
        entry["status"] = status
        return self._answer(status, answer)

    def _decide(self, entry: dict[str, Any], path: str, query: dict[str, list[str]]) -> tuple[int, Any]:
        world = self.server.world
        if world.is_first_of_its_kind(entry):
            return 503, {"error": "warming up"}
        match (self.server.name, self.command, path.strip("/").split("/")):
            case ("ci", "POST", ["builds"]):
                time.sleep(world.think_s)
                return 201, world.start_build(key=entry["key"], wanted=entry["body"])
            case ("deploy", "GET", ["services", service]):
                return 200, {"name": service, "version": world.version_of(service)}
            case ("deploy", "PUT", ["services", service]):
                world.roll_out(service, entry["body"]["version"])
                return 200, {"name": service, "version": entry["body"]["version"]}
            case ("metrics", "GET", ["errors"]):
                return 200, {"series": world.error_series(query["service"][0])}
        return 404, {"error": f"no {self.command} {path} here"}

    def _body(self) -> Any:
        length = min(int(self.headers.get("Content-Length") or 0), BODY_BYTES_MAX)
        text = self.rfile.read(length)
        return json.loads(text) if text else None

    def _answer(self, status: int, value: Any) -> None:
        text = json.dumps(value).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            if status == 503:
                self.send_header("Retry-After", "1")
            self.end_headers()
            self.wfile.write(text)
        except OSError:  # whoever asked is gone; what was done is done
            self.close_connection = True


class Service(ThreadingHTTPServer):
    """One of the services, on a port of the loopback address."""

    daemon_threads = True

    def __init__(self, name: str, port: int, world: World) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.name = name
        self.world = world

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in mid-request is not an event here."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A CI, a deploy service and a metrics service to release against.")
    for name in NAMES:
        parser.add_argument(f"--{name}-port", type=int, default=0, help="0: any free one (the default)")
    parser.add_argument("--think", type=float, default=0.5, help="seconds until a POST /builds is answered")
    parser.add_argument("--delay", type=float, default=3.0, help="seconds that a build takes")
    parser.add_argument("--patience", type=float, default=60.0, help="seconds for which a callback is tried again")
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    world = World(think_s=options.think, delay_s=options.delay, patience_s=options.patience)
    services = [Service(name, getattr(options, f"{name}_port"), world) for name in NAMES]
    for service in services:
        threading.Thread(target=service.serve_forever, daemon=True).start()
    print(json.dumps({service.name: service.address for service in services}), flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})  # before any thread could take them
    main()
