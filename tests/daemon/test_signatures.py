"""Which calls count as signed. The examples of github, slack and standard are those of their documentation."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode

import pytest

from fmsh.daemon.http_api import HttpServer
from fmsh.daemon.signatures import SCHEMES, is_signed
from fmsh.store.base import EventStore
from fmsh.values import Secret, raised

from .conftest import World, ask

SIGNED_AT = 1_531_420_618
BODY = b"Hello, World!"


def hex_of(secret: str, signed: bytes) -> str:
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


# scheme → secret, body, signed at, headers
EXAMPLES: dict[str, tuple[str, bytes, int, dict[str, str]]] = {
    "github": (
        "It's a Secret to Everybody",
        BODY,
        SIGNED_AT,
        {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
    ),
    "slack": (
        "8f742231b10e8888abcd99yyyzzz85a5",
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
        b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
        SIGNED_AT,
        {
            "x-slack-request-timestamp": "1531420618",
            "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        },
    ),
    "stripe": (
        "whsec_test",
        BODY,
        SIGNED_AT,
        {"stripe-signature": f"t={SIGNED_AT},v0=00,v1=00,v1={hex_of('whsec_test', b'1531420618.' + BODY)}"},
    ),
    "standard": (
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        b'{"test": 2432232314}',
        1_614_265_330,
        {
            "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp": "1614265330",
            "webhook-signature": "v1a,00 v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
    ),
}


def test_every_scheme_has_an_example() -> None:
    assert set(EXAMPLES) == set(SCHEMES)


@pytest.mark.parametrize("scheme", EXAMPLES)
def test_a_signature_holds_for_its_secret_body_and_time_alone(scheme: str) -> None:
    secret, body, signed_at, headers = EXAMPLES[scheme]
    assert is_signed(scheme, secret, headers, body, now_s=signed_at + 300)
    assert not is_signed(scheme, "A" + secret, headers, body, now_s=signed_at)
    assert not is_signed(scheme, secret, headers, body + b" ", now_s=signed_at)
    assert not is_signed(scheme, secret, {}, body, now_s=signed_at)
    has_time = scheme != "github"
    for late in (-301, 301):
        assert is_signed(scheme, secret, headers, body, now_s=signed_at + late) is not has_time
    for name in headers:
        spoilt = headers | {name: "é" + headers[name][::-1]}
        assert not is_signed(scheme, secret, spoilt, body, now_s=signed_at), name


def test_a_standard_secret_need_not_be_base64() -> None:
    signature = b64encode(hmac.new(b"not base64!", b"a.5.x", hashlib.sha256).digest()).decode()
    headers = {"webhook-id": "a", "webhook-timestamp": "5", "webhook-signature": f"v1,{signature}"}
    assert is_signed("standard", "not base64!", headers, b"x", now_s=5)


def test_what_is_not_signed_is_refused_and_leaves_the_address_open(world: World) -> None:
    texts = ["s3cret"]

    def reveal(store: EventStore, secret: Secret) -> str:
        if not texts:
            raise raised("secret", "there is no such secret")
        return texts[0]

    server = world.start(reveal=reveal)
    job_id = world.open_callback("T", options_json='{"verify": "github", "secret": "any"}')
    for headers in ({}, {"X_Hub_Signature_256": "sha256=" + hex_of("other", b"x")}):
        answer = ask(server, "POST", "/cb/T", "x", **headers)
        assert answer.status == 401 and answer.json["detail"].startswith("not signed as github signs")
    signed = {"X_Hub_Signature_256": "sha256=" + hex_of("s3cret", b"x")}
    texts.clear()
    assert ask(server, "POST", "/cb/T", "x", **signed).status == 503
    texts.append("s3cret")
    assert world.received(job_id) == []
    assert [ask(server, "POST", "/cb/T", "x", **signed).status for _ in range(2)] == [202, 202]
    assert len(world.received(job_id)) == 1


REPLIES = {
    "record": '{"status": null, "value": {"ok": true}}',
    "text": '{"status": 201, "value": "grün"}',
    "nothing": '{"status": null, "value": null}',
    "refused": '{"status": 403, "value": null}',
}
ANSWERS = {
    "record": (200, "application/json", b'{"ok":true}'),
    "text": (201, "text/plain; charset=utf-8", "grün".encode()),
    "nothing": (204, None, b""),
    "refused": (403, None, b""),
}


def test_a_caller_gets_what_the_job_replies_and_a_repeat_gets_it_again(world: World, server: HttpServer) -> None:
    """The reply is there before the call comes, since the id of a request says which request it is."""
    job_id = world.open_callback("T", options_json='{"reply": true}', is_many=True)
    token_hash = hashlib.sha256(b"T").digest()
    ids = {name: hashlib.sha256(token_hash + f"key:{name}".encode()).hexdigest()[:32] for name in REPLIES}
    for name, reply in REPLIES.items():
        world.store.reply(job_id, ids[name], reply)
    for name, expected in ANSWERS.items():
        for _ in range(2):
            answer = ask(server, "POST", "/cb/T", "x", Idempotency_Key=name)
            assert (answer.status, answer.headers.get("content-type"), answer.body) == expected, name
    assert [data["id"] for data in world.received(job_id)] == list(ids.values())
