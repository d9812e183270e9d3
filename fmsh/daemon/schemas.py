"""The schemas of the OpenAPI document: what INTERFACE promises of jobs, events and problems."""

from __future__ import annotations

from fmsh.store.base import ACTIVE_STATES, OVER_STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "integer"}
MOMENT: dict[str, Any] = {"type": "string", "format": "date-time"}
NO_TEXT: dict[str, Any] = {"type": ["string", "null"]}
NO_NUMBER: dict[str, Any] = {"type": ["integer", "null"]}
NO_OBJECT: dict[str, Any] = {"type": ["object", "null"]}
ANY: dict[str, Any] = {}


def _object(required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


SCHEMAS: dict[str, Any] = {
    "Problem": _object(["title", "status"], title=TEXT, status=NUMBER, detail=TEXT),
    "Job": _object(
        ["id", "uid", "state", "waiting_for", "steps", "events"],
        id=NUMBER,
        uid=TEXT,
        key=NO_TEXT,
        name=NO_TEXT,
        tags={"type": "object", "additionalProperties": TEXT},
        state={"type": "string", "enum": [*ACTIVE_STATES, *OVER_STATES]},
        source=TEXT,
        command=TEXT,
        created_at=MOMENT,
        started_at=NO_TEXT,
        ended_at=NO_TEXT,
        owner=NO_OBJECT,
        detached={"type": "boolean"},
        waiting_for={"type": "array", "items": {"type": "object"}},
        steps=NUMBER,
        events=NUMBER,
        value=ANY,
        error=NO_OBJECT,
        exit_status=NO_NUMBER,
    ),
    "Event": _object(
        ["job", "seq", "at", "type"],
        job=NUMBER,
        seq=NUMBER,
        at=MOMENT,
        type=TEXT,
        step=NO_NUMBER,
        where=NO_OBJECT,
        data=NO_OBJECT,
    ),
    "TopicEvent": _object(["seq", "topic", "at", "value"], seq=NUMBER, topic=TEXT, at=MOMENT, value=ANY),
    "Call": _object(
        ["id", "name", "value", "attempt", "deadline"],
        id=TEXT,
        name=TEXT,
        value=ANY,
        attempt=NUMBER,
        deadline=MOMENT,
    ),
}
