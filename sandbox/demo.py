"""The main job, shown: one key is rotated, exactly its consumers move, and each is proven."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.core.credentials import AccessToken
from azure.keyvault.keys import KeyClient
from rich.console import Console

from sandbox.azure import LocalAzure
from sandbox.azurite import Azurite
from sandbox.clock import SandboxClock
from sandbox.demo_estate import DemoEstate, demo_estate
from sandbox.demo_view import LiveView, print_report
from sandbox.estate import Account

_APP = Path(__file__).parents[1]
_RATE = 60
_OPERATOR = "0b6c5f1e-7a3d-4d0a-9f41-5e2c8a7d9b33"
"""Object id of the person who rotates the key; the app's identity is another."""
_GIVE_UP_AFTER = 240  # real seconds; the scenario takes about 70
_POLL_SECONDS = 0.25
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class _SignIn:
    """The operator's credential, as ``az login`` would give one."""

    azure: LocalAzure

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        resource = scopes[0].removesuffix("/.default")
        token = self.azure.tokens.issue(resource, principal=_OPERATOR)
        return AccessToken(token, int(time.time()) + 3600)


def run(console: Console, *, keep: bool) -> int:
    """Run the demo; return 0 if what happened is what the scenario says must happen.

    Args:
        console: Where it is shown: live on a terminal, line by line elsewhere.
        keep: Leave the sandbox running afterwards, until it is interrupted.
    """
    console.print("[bold]Keyturn demo[/]: a local Azure on this machine; nothing leaves it.\n")
    with ExitStack() as stack:
        with _stage(console, "Starting Azurite (blobs, queues, tables)"):
            azurite = stack.enter_context(Azurite.start())
        with _stage(
            console, "Starting Key Vault, ARM, Resource Graph, Event Grid, managed identity"
        ):
            azure = stack.enter_context(LocalAzure(SandboxClock.start(_RATE), azurite, "keyturn"))
        with _stage(console, "Building an estate: 23 storage accounts in two subscriptions"):
            estate = demo_estate(azure.estate, azure.clock)
        with _stage(console, "Starting Keyturn on the real azure-functions-runtime"):
            azure.start_app(_APP, {"KEYTURN_VAULTS": estate.vault}, freeze_timers=False)
        with _stage(console, f"Subscribing it to {estate.vault}'s events (Event Grid handshake)"):
            azure.subscribe(estate.vault)
        problems = _play(console, azure, estate)
        if keep:
            _keep(console, azure, estate)
    return 1 if problems else 0


def _play(console: Console, azure: LocalAzure, estate: DemoEstate) -> list[str]:
    before = _newest(azure, estate)
    name = estate.payments_key.rpartition("/")[2]
    with _stage(console, f"Rotating {name} with the ordinary azure-keyvault-keys client"):
        target = _rotate(azure, estate)
    console.print(
        f"  {name}: {_short(before)} → [bold]{_short(target)}[/]"
        f"   (the sandbox's clock: a second here is {_RATE} s there)\n"
    )
    report = _watch(console, azure, target, len(estate.payments))
    print_report(console, report)
    problems = list(_judge(azure, estate, before, target, report))
    _print_truth(console, azure, estate, target)
    for problem in problems:
        console.print(f"[red]✗ {problem}[/]")
    if not problems:
        console.print("[green]✓ Everything happened as the scenario says it must.[/]")
    return problems


def _rotate(azure: LocalAzure, estate: DemoEstate) -> str:
    vault = azure.estate.vaults.vault(estate.vault)
    vault.grant(_OPERATOR, {"get", "rotate"})
    os.environ.update(azure.serving.environment())
    with KeyClient(vault.uri, _SignIn(azure)) as client:
        return str(client.rotate_key(estate.payments_key.rpartition("/")[2]).id)


def _watch(console: Console, azure: LocalAzure, target: str, expected: int) -> dict[str, Any]:
    """Show the rotation, as its HTTP API tells it, until it has ended.

    Raises:
        TimeoutError: It did not start, or did not end.
    """
    until = time.monotonic() + _GIVE_UP_AFTER
    with LiveView(console, azure.clock, expected) as view:
        rotation = ""
        while time.monotonic() < until:
            time.sleep(_POLL_SECONDS)
            rotation = rotation or _rotation_to(azure, target)
            if not rotation:
                continue
            _, _, report = azure.call_app("GET", f"/api/rotations/{rotation}")
            view.show(report)
            if report["endedAt"]:
                return dict(report)
    raise TimeoutError(f"the rotation did not end within {_GIVE_UP_AFTER} s; see {azure.log}")


def _rotation_to(azure: LocalAzure, target: str) -> str:
    """Return the rotation that Keyturn has announced for a version; empty as long as there is none.

    Its own CloudEvents tell, on the topic that it was given.
    """
    started = (e["data"] for e in azure.topics.published(azure.topic.name))
    return next((data["rotation"] for data in started if data["target"] == target), "")


def _judge(
    azure: LocalAzure, estate: DemoEstate, before: str, target: str, report: dict[str, Any]
) -> Iterator[str]:
    """Yield what is not as the scenario says; the sandbox's ground truth judges, not the app."""
    truth = azure.estate.truth
    said = {c["resource"].lower(): c for c in report["consumers"]}
    for account in estate.payments:
        stuck, free = account == estate.stuck, account in estate.versionless
        consumer = said.pop(account.id.lower(), {"verdict": "missing", "inUse": None})
        if consumer["verdict"] != ("stuck" if stuck else "verified"):
            yield f"{_name(account)}: its verdict is {consumer['verdict']}"
        used = truth.version_in_use(account.id)
        if used != (before if stuck else target) or consumer["inUse"] != used:
            yield f"{_name(account)}: it uses {used}, and the report says {consumer['inUse']}"
        if truth.writes(account.id) != (0 if free else 1):
            yield f"{_name(account)}: it was written {truth.writes(account.id)} times"
    for account in (*estate.archive, *estate.platform):
        if truth.writes(account.id):
            yield f"{_name(account)}: it does not use the key, and was written"
    for resource in said:
        yield f"{resource}: it does not use the key, and is in the report"
    if report["state"] != "failed":
        yield f"the rotation ended as {report['state']}, although one account is stuck"


def _print_truth(console: Console, azure: LocalAzure, estate: DemoEstate, target: str) -> None:
    on_target = len(azure.estate.truth.users_of(target))
    others = sum(azure.estate.truth.writes(a.id) for a in (*estate.archive, *estate.platform))
    arm = [c for c in azure.front_door.traffic() if "/storageaccounts/" in c.path.lower()]
    writes = sum(c.method == "PATCH" for c in arm)
    console.print(
        "[bold]Ground truth[/] (the sandbox unwraps each account's data key to see which version"
        f" wrapped it)\n  {on_target} of {len(estate.payments)} accounts use {_short(target)};"
        f" {_name(estate.stuck)} was made to accept the write and never act on it."
        f"\n  {others} writes to the {len(estate.archive) + len(estate.platform)} accounts"
        f" on other keys; {writes} writes and {len(arm) - writes} reads of accounts in all.\n"
    )


def _keep(console: Console, azure: LocalAzure, estate: DemoEstate) -> None:
    variables = {
        **azure.environment(),
        "KEYTURN_URL": azure.host.url if azure.host else "",
        "KEYTURN_KEY": azure.host.keys["function"] if azure.host else "",
    }
    exports = "".join(f"export {name}='{value}'\n" for name, value in variables.items())
    file = azure.log.with_name("env.sh")
    file.write_text(exports)
    vault, key = estate.vault, estate.payments_key.rpartition("/")[2]
    console.print(
        "\n[bold]The sandbox goes on running.[/] Lead another terminal into it:\n\n"
        f". {file}\n\nwhich says:\n\n{exports}\n"
        "Then, for example, have the vault make another version and look what becomes of it:\n\n"
        f'curl -si -H "x-functions-key: $KEYTURN_KEY" "$KEYTURN_URL/api/keys/{vault}/{key}/rotate"'
        ' -d \'{"reason": "trying it out"}\'\n'
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


def _newest(azure: LocalAzure, estate: DemoEstate) -> str:
    return azure.estate.vaults.newest(estate.vault, estate.payments_key.rpartition("/")[2])


def _name(account: Account) -> str:
    return account.id.rpartition("/")[2]


def _short(kid: str) -> str:
    return kid.rpartition("/")[2][:8]
