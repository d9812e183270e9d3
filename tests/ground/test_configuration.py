"""The settings in `config.toml`: what holds, what is refused, and how the file is changed."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from fmsh import configuration
from fmsh.connectors.cutting import OUTPUT_BYTES_MAX
from fmsh.errors import UsageError
from fmsh.settings import read_settings

DAY_MS = 86_400_000


def settings_of(directory: Path, **environment: str) -> dict[str, tuple[str | None, str]]:
    found = configuration.choices(str(directory / "config.toml"), environment)
    return {choice.name: (choice.written, choice.origin) for choice in found}


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    found = read_settings({"FMSH_CONFIG_DIR": str(tmp_path), "FMSH_STATE_DIR": "/s"})
    assert found.value("retention.output") == 7 * DAY_MS and found.value("retention.history") == 30 * DAY_MS
    assert found.value("limits.output") == OUTPUT_BYTES_MAX
    assert found.value("retention.events") == 30 * DAY_MS and (found.listen, found.public_url) == (None, None)
    assert settings_of(tmp_path)["retention.output"] == ("7d", "default")


def test_the_file_goes_before_defaults_and_variables_before_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        'listen = "127.0.0.1:1"\npublic_url = "https://a"\n[retention]\noutput = "forever"\nevents = "1h30m"\n'
        '[limits]\noutput = "3KiB"\n'
    )
    environment = {"FMSH_CONFIG_DIR": str(tmp_path), "FMSH_STATE_DIR": "/s", "FMSH_LISTEN": "127.0.0.1:2"}
    found = read_settings(environment)
    assert (found.listen, found.public_url) == ("127.0.0.1:2", "https://a")
    assert (found.value("retention.output"), found.value("retention.events")) == (None, 5_400_000)
    assert found.value("limits.output") == 3 * 1024
    shown = settings_of(tmp_path, FMSH_LISTEN="127.0.0.1:2")
    assert shown["listen"] == ("127.0.0.1:2", "FMSH_LISTEN") and shown["public_url"] == ("https://a", str(file))
    assert shown["retention.output"] == ("forever", str(file)) and shown["retention.history"] == ("30d", "default")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("retention = 7", "there is no setting retention"),
        ('[retention]\nouput = "7d"', "there is no setting retention.ouput"),
        ('[nothing]\nx = "7d"', "there is no setting nothing"),
        ("[retention]\noutput = 7", 'retention.output must be a duration such as "7d" or "12h", or "forever", this is'),
        ('[retention]\noutput = "soon"', "this is 'soon'"),
        ('[retention]\noutput = "-1d"', "this is '-1d'"),
        ('listen = ""', "listen must be HOST:PORT, such as"),
        ("listen = 5", "listen must be HOST:PORT, such as 127.0.0.1:8099, this is int 5"),
        ('listen = "127.0.0.1:99999"', "listen must be HOST:PORT"),
        ('public_url = "ci.local"', "public_url must be an address of http or https"),
        ('public_url = "ftp://ci.local"', "this is 'ftp://ci.local'"),
        ('public_url = "https://[x"', "public_url must be an address"),
        ('[limits]\noutput = "64"', 'limits.output must be a size such as "64MiB"'),
        ("[limits]\noutput = 64", "limits.output must be a size"),
        ('[limits]\noutput = "0MiB"', "this is '0MiB'"),
        ("[retention", "is not TOML"),
        ("\xff", "is not TOML"),
    ],
)
def test_what_cannot_be_is_one_clear_error_that_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "config.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as caught:
        read_settings({"FMSH_CONFIG_DIR": str(tmp_path), "FMSH_STATE_DIR": "/s"})
    assert message in caught.value.message and str(tmp_path / "config.toml") in caught.value.message


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(UsageError, match="cannot be read: is a directory"):
        read_settings({"FMSH_CONFIG_DIR": str(tmp_path), "FMSH_STATE_DIR": "/s"})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '[retention]\noutput = "2d"\n'),
        ('listen = "a"\n', 'listen = "a"\n\n[retention]\noutput = "2d"\n'),
        ('[retention]\noutput = "7d"  # a week\n', '[retention]\noutput = "2d"  # a week\n'),
        (
            '# mine\n[retention]\n# why\nhistory = "9d"\n\n# end\n',
            '# mine\n[retention]\n# why\nhistory = "9d"\noutput = "2d"\n\n# end\n',
        ),
        ("retention.output = '1d'\n", 'retention.output = "2d"\n'),
        ('[ retention ]\n  output="7d"', '[ retention ]\noutput = "2d"\n'),
    ],
)
def test_setting_changes_one_line_and_leaves_the_others(tmp_path: Path, before: str, after: str) -> None:
    file = tmp_path / "new" / "config.toml"
    if before:
        file.parent.mkdir()
        file.write_text(before)
        file.chmod(0o640)
    configuration.change(str(file), "retention.output", "2d")
    assert file.read_text() == after and configuration.read(str(file))["retention.output"] == "2d"
    assert stat.S_IMODE(file.stat().st_mode) == (0o640 if before else 0o600)
    assert os.listdir(file.parent) == ["config.toml"]


def test_a_setting_without_a_table_goes_before_the_tables(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[retention]\noutput = "7d"\n')
    configuration.change(str(file), "listen", "127.0.0.1:80")
    assert configuration.read(str(file)) == {"listen": "127.0.0.1:80", "retention.output": "7d"}


@pytest.mark.parametrize("text", ['retention = {output = "7d"}\n', 'listen = """\n[retention]\noutput = "1d"\n"""\n'])
def test_a_file_that_we_cannot_change_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match="not written so that fmsh can change it"):
        configuration.change(str(file), "retention.output", "2d")
    assert file.read_text() == text


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    os.symlink("dotfiles/fmsh.toml", tmp_path / "config.toml")
    configuration.change(str(tmp_path / "config.toml"), "listen", "a")
    assert (tmp_path / "config.toml").is_symlink() and "listen" in (tmp_path / "dotfiles" / "fmsh.toml").read_text()
