"""`fmsh config`: what is set, from where, and what happens to what is wrong."""

from __future__ import annotations

import json

from tests.cli.shell import Shell


def test_settings_are_listed_with_their_origin_and_changed(shell: Shell) -> None:
    path = shell.run("config", "path").out.strip()
    assert path == str(shell.directory / "config" / "config.toml")
    assert shell.run("config", "get", "retention.output").out == "7d\n"
    assert shell.run("config", "set", "retention.output", "36h").status == 0
    assert shell.run("config", "get", "retention.output").out == "36h\n"
    listed = shell.run("config", FMSH_LISTEN="127.0.0.1:9").out.splitlines()
    assert (
        f"retention.output     36h        ({path})" in listed and "retention.history    30d        (default)" in listed
    )
    assert "listen               127.0.0.1:9 (FMSH_LISTEN)" in listed
    found = {entry["name"]: entry for entry in json.loads(shell.run("config", "--json").out)}
    assert found["retention.output"]["value"] == "36h" and found["retention.output"]["default"] == "7d"
    assert json.loads(shell.run("config", "get", "retention.events", "--json").out)["origin"] == "default"
    helped = shell.run("config", "--help").out
    assert all(name in helped for name in found)


def test_what_is_wrong_is_said_once_and_can_be_mended(shell: Shell) -> None:
    for arguments, message in [
        (("set", "retention.output", "soon"), "must be a duration"),
        (("get", "retention.ouput"), "did you mean retention.output?"),
        (("set", "nothing", "1"), "there is no setting nothing"),
        (("frobnicate",), "fmsh config does not take frobnicate"),
    ]:
        refused = shell.run("config", *arguments)
        assert refused.status == 2 and message in refused.err, refused
    assert not (shell.directory / "config" / "config.toml").exists()
    (shell.directory / "config").mkdir()
    (shell.directory / "config" / "config.toml").write_text("[retention]\noutput = 7\n")
    for command in (("-c", "true"), ("jobs",), ("daemon", "status"), ("config",)):
        refused = shell.run(*command)
        assert refused.status == 2 and refused.err.count("retention.output must be a duration") == 1, refused
    assert shell.run("config", "path").status == 0


def test_the_output_that_is_kept_of_a_program_has_a_limit_that_is_a_setting(shell: Shell) -> None:
    shell.ok("config", "set", "limits.output", "64KiB")
    refused = shell.run("-c", "let x = seq 100000")
    assert refused.status == 1 and "limits.output" in refused.err, refused
    shell.ok("-d", "-c", "seq 100000; echo done")
    shell.await_state(2, "succeeded")
    shown = shell.ok("jobs", "output", "2")
    assert shown.startswith("1\n2\n") and shown.endswith("99999\n100000\ndone\n")
    assert len(shown) < 65 * 1024 and shown.count("bytes are cut out here, see the setting limits.output") == 1
