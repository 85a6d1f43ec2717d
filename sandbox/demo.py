"""The main job, shown: a key is rotated, exactly its consumers move, and each is proven."""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from subprocess import Popen

from azure.core.credentials import AccessToken
from azure.keyvault.keys import KeyClient
from rich.console import Console

from sandbox.azure import LocalAzure
from sandbox.azurite import Azurite
from sandbox.clock import SandboxClock
from sandbox.demo_drawing import draw
from sandbox.demo_estate import LEDGER_AGE, VAULT, DemoEstate, demo_estate
from sandbox.demo_files import CANARY, SOURCE, put_files
from sandbox.demo_judge import Judge, Turn, definitions_of
from sandbox.demo_members import LEDGER, PAYMENTS
from sandbox.demo_report import print_reports, print_truth, print_verdict
from sandbox.demo_view import WIDE, Report, services_table

_APP = Path(__file__).parents[1]
POLICY = Path(__file__).with_name("demo_policy.yaml")
_RATE = 120
_OPERATOR = "0b6c5f1e-7a3d-4d0a-9f41-5e2c8a7d9b33"
"""Object id of the person who rotates the key; the app's identity is another."""
_GIVE_UP_AFTER = 240  # real seconds; the scenario takes about 70
_POLL_SECONDS = 0.25
_ENDED = (0, 3)
"""What ``keyturn watch`` ends with: all is well, or somebody is needed."""
_LOG_TAIL = 4000
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class _SignIn:
    """The operator's credential, as ``az login`` would give one."""

    azure: LocalAzure

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        resource = scopes[0].removesuffix("/.default")
        token = self.azure.tokens.issue(resource, principal=_OPERATOR)
        return AccessToken(token, int(time.time()) + 3600)


def run(console: Console, *, keep: bool, picture: Path | None = None) -> int:
    """Run the demo; return 0 if what happened is what the scenario says must happen.

    Args:
        console: Where it is shown: live on a terminal, line by line elsewhere.
        keep: Leave the sandbox running afterwards, until it is interrupted.
        picture: Where to draw its end, as an SVG, too.
    """
    console.print("[bold]Keyturn demo[/]: a local Azure on this machine; nothing leaves it.\n")
    with ExitStack() as stack:
        with _stage(console, "Starting Azurite (blobs, queues, tables)"):
            azurite = stack.enter_context(Azurite.start())
        with _stage(
            console, "Starting Key Vault, ARM, Resource Graph, Event Grid, managed identity"
        ):
            azure = stack.enter_context(LocalAzure(SandboxClock.start(_RATE), azurite, "keyturn"))
        with _stage(
            console, "Building an estate: three subscriptions with resources of every kind"
        ):
            estate = demo_estate(azure.estate)
            before, ledger_before, archive = (
                _newest(azure, key)
                for key in (estate.payments_key, estate.ledger_key, estate.archive_key)
            )
            files = put_files(azure.blobs, estate, before, archive)
            definitions = definitions_of(azure, estate)
        with _stage(console, "Starting Keyturn on the real azure-functions-runtime"):
            azure.start_app(_APP, _settings(estate), freeze_timers=False)
        # Before Keyturn gets events: nobody has told it.
        vault = azure.estate.vaults.vault(estate.vault)
        ledger = Turn(ledger_before, estate.begin(vault, azure.faults))
        with _stage(console, f"Subscribing it to {estate.vault}'s events (Event Grid handshake)"):
            azure.subscribe(estate.vault)
        with _stage(console, f"Rotating {PAYMENTS} with the ordinary azure-keyvault-keys client"):
            target = _rotate(azure, estate)
        judge = Judge(
            azure=azure,
            estate=estate,
            files=files,
            turns={PAYMENTS: Turn(before, target), LEDGER: ledger},
            definitions=definitions,
        )
        problems = _play(console, judge, picture)
        if keep:
            _keep(console, azure, estate)
    return 1 if problems else 0


def _settings(estate: DemoEstate) -> dict[str, str]:
    account = estate.files_account.id.rpartition("/")[2]
    return {
        "KEYTURN_VAULTS": estate.vault,
        "KEYTURN_POLICY": str(POLICY),
        "KEYTURN_CONFIG_SOURCES": f"https://{account}.blob.core.windows.net/{SOURCE}",
        "KEYTURN_BLOB_CANARY": CANARY,
    }


def _play(console: Console, judge: Judge, picture: Path | None) -> list[str]:
    told = {
        PAYMENTS: "rotated now; the vault's event starts it",
        LEDGER: f"rotated {LEDGER_AGE / timedelta(hours=1):g} hours ago, and nobody was told:"
        " the timer finds it",
    }
    for key, turn in judge.turns.items():
        versions = f"{_short(turn.before)} → [bold]{_short(turn.target)}[/]"
        console.print(f"  {key:<12}  {versions}  {told[key]}")
    console.print(f"  Times are the sandbox's: {_RATE} s there are a second here.")
    if console.width >= WIDE:
        console.print(
            "  What “the last took” is counted from the write, or where there was none from when it"
            " was\n  found, to its verdict."
        )
    console.print()
    reports = _watch(console, judge)
    print_reports(console, reports)
    problems = list(judge.problems(reports))
    print_truth(console, judge)
    print_verdict(console, problems)
    if picture:
        draw(picture, judge, reports, problems, judge.azure.clock.now())
    return problems


def _rotate(azure: LocalAzure, estate: DemoEstate) -> str:
    vault = azure.estate.vaults.vault(estate.vault)
    vault.grant(_OPERATOR, {"get", "rotate"})
    os.environ.update(azure.serving.environment())
    with KeyClient(vault.uri, _SignIn(azure)) as client:
        estate.follow_from(azure.clock.now())
        return str(client.rotate_key(PAYMENTS).id)


def _watch(console: Console, judge: Judge) -> Mapping[str, Report]:
    """Have the rotations watched by the command ``keyturn``, one after the other, to their ends.

    Raises:
        RuntimeError: One was paused, which is none of the scenario; or could not be watched.
        TimeoutError: One did not start, or did not end.
    """
    until = time.monotonic() + _GIVE_UP_AFTER
    for key, turn in judge.turns.items():
        while not (rotation := _rotation_to(judge.azure, turn.target)):
            _check_time(judge.azure, until)
        console.print(f"[dim]$[/] keyturn watch {rotation}   [dim]({key})[/]")
        _have_watched(judge, rotation, until)
        console.print()
    reports = _reports(judge)
    now, wide = judge.azure.clock.now(), console.width >= WIDE
    console.print(services_table(reports, now, wide=wide))
    return reports


def _have_watched(judge: Judge, rotation: str, until: float) -> None:
    """Run ``keyturn watch`` until it ends: a process of its own, on this terminal."""
    command = (sys.executable, "-m", "cli", "watch", rotation, "--interval", str(_POLL_SECONDS))
    env = {**os.environ, **_for_keyturn(judge.azure)}
    with Popen(command, cwd=_APP, env=env) as child:  # noqa: S603 - no part of it comes from outside
        try:
            while child.poll() is None:
                _check_time(judge.azure, until)
                _reports(judge)
        except BaseException:
            child.terminate()
            raise
    if child.returncode not in _ENDED:
        raise RuntimeError(f"keyturn watch ended with {child.returncode}")


def _check_time(azure: LocalAzure, until: float) -> None:
    """Wait for a moment.

    Raises:
        TimeoutError: There has been time enough.
    """
    if time.monotonic() >= until:
        log = azure.log.read_text(errors="replace")[-_LOG_TAIL:]
        raise TimeoutError(f"no end came in {_GIVE_UP_AFTER} s; the log ends:\n{log}")
    time.sleep(1)


def _for_keyturn(azure: LocalAzure) -> dict[str, str]:
    """Return the variables by which the command finds the app."""
    host = azure.host
    return {
        "KEYTURN_APP": host.url if host else "",
        "KEYTURN_FUNCTION_KEY": host.keys["function"] if host else "",
        "KEYTURN_SANDBOX_CLOCK": azure.clock.setting,
    }


def _reports(judge: Judge) -> dict[str, Report]:
    """Return what the app says of the rotations that have begun, by the names of their keys.

    Raises:
        RuntimeError: One is paused.
    """
    reports: dict[str, Report] = {}
    for key, turn in judge.turns.items():
        if rotation := _rotation_to(judge.azure, turn.target):
            _, _, reports[key] = judge.azure.call_app("GET", f"/api/rotations/{rotation}")
            if why := reports[key]["pausedBecause"]:
                raise RuntimeError(f"the rotation of {key} is paused: {why}")
    return reports


def _rotation_to(azure: LocalAzure, target: str) -> str:
    """Return the rotation that Keyturn has announced for a version; empty as long as there is none.

    Its own CloudEvents tell, on the topic that it was given.
    """
    started = (e["data"] for e in azure.topics.published(azure.topic.name))
    return next((data["rotation"] for data in started if data["target"] == target), "")


def _keep(console: Console, azure: LocalAzure, estate: DemoEstate) -> None:
    variables = {
        **azure.environment(),
        **_for_keyturn(azure),
        "KEYTURN_URL": azure.host.url if azure.host else "",
        "KEYTURN_KEY": azure.host.keys["function"] if azure.host else "",
    }
    exports = "".join(f"export {name}='{value}'\n" for name, value in variables.items())
    file = azure.log.with_name("env.sh")
    file.write_text(exports)
    asked = f"$KEYTURN_URL/api/keys/{estate.vault}/{PAYMENTS}/rotate"
    console.print(
        "\n[bold]The sandbox goes on running.[/] Lead another terminal into it:\n\n"
        f". {file}\n\nwhich says:\n\n{exports}\n"
        "Then, for example, have the vault make another version and look what becomes of it:\n\n"
        f'curl -si -H "x-functions-key: $KEYTURN_KEY" "{asked}"'
        ' -d \'{"reason": "trying it out"}\'\n'
        f"{sys.executable} -m cli status\n"
        "az login --identity && az storage account list -o table\n"
        f"\nThe app's log: {azure.log}\nCtrl-C stops everything.",
        soft_wrap=True,
    )
    try:
        while True:
            time.sleep(_HOUR)
    except KeyboardInterrupt:
        console.print("Stopping.")


@contextmanager
def _stage(console: Console, what: str) -> Iterator[None]:
    started = time.monotonic()
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        yield
    console.print(f"[green]✓[/] {what} [dim]{time.monotonic() - started:.1f} s[/]")


def _newest(azure: LocalAzure, key: str) -> str:
    return azure.estate.vaults.newest(VAULT, key.rpartition("/")[2])


def _short(kid: str) -> str:
    return kid.rpartition("/")[2][:8]
