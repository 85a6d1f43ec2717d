"""What the command says of itself; the texts are pinned in ``golden/help.txt``."""

import re

import pytest

from cli.exits import MEANINGS
from cli.main import app
from tests.cli.desk import CHECKOUT, Desk
from tests.generated import HELP
from tests.help_texts import COMMANDS


def test_the_help_of_every_command_is_pinned() -> None:
    named = {command.name for command in app.registered_commands}
    assert {command[0] for command in COMMANDS if command} == named | {"policy"}


def test_the_help_has_every_exit_code() -> None:
    text = HELP.read_text()
    page = (CHECKOUT / "docs" / "cli.md").read_text()
    for code, meaning in MEANINGS.items():
        assert re.search(rf"• ?{code.value} {meaning}|{code.value} {re.escape(meaning)}", text)
        assert f"| {code.value} | {meaning} |" in page


def test_no_option_takes_a_secret() -> None:
    options = set(re.findall(r"--[a-z-]+", HELP.read_text()))
    assert "--function-key-stdin" in options
    assert not {
        each for each in options if re.search(r"secret|password|token|[a-z]-key$", each)
    } - {"--idempotency-key"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_completes_commands(desk: Desk, shell: str) -> None:
    script = desk.run_apart("--show-completion", env={"SHELL": f"/bin/{shell}"})
    env = {
        "bash": {"COMP_WORDS": "keyturn inv", "COMP_CWORD": "1"},
        "zsh": {"_TYPER_COMPLETE_ARGS": "keyturn inv"},
        "fish": {"_TYPER_COMPLETE_ARGS": "keyturn inv", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }[shell]
    completed = desk.run_apart(env={**env, "_KEYTURN_COMPLETE": f"complete_{shell}"})
    assert "inventory" in completed.out
    assert script.code in (0, 1)
    assert "Traceback" not in script.err
