"""Keys at hostile hosts, in events, in our own API and in what Azure shows: nobody is called.

What a service's answers say of where to go on is in ``tests/adapters/test_hostile_hosts.py``.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import requests

from sandbox.arm.resource_ids import ResourceId
from sandbox.azure import LocalAzure
from sandbox.estate import Account
from shared.domain.verdicts import Outcome, Verdict
from tests.departures import Departures
from tests.e2e.stage import VAULT, Stage
from tests.usecases.bench import VAULT as BENCH_VAULT
from tests.usecases.bench import Bench
from tests.usecases.memory import in_memory
from tests.usecases.rotations import carry_out, verdicts

VERSION = "0123456789abcdef0123456789abcdef"
SUFFIX = "vault.azure.net"


def strange_hosts(vault: str) -> dict[str, str]:
    """Return hosts, with all that may stand in their place in a URL, that are not the vault's.

    By what is wrong with them.
    """
    host = f"{vault}.{SUFFIX}"
    return {
        "another host": "evil.example",
        "userinfo that looks like the vault": f"{host}@evil.example",
        "userinfo with a password": f"{host}:443@evil.example",
        "userinfo before the vault": f"me@{host}",
        "empty userinfo": f"@{host}",
        "an escaped at": f"{host}%40evil.example",
        "a suffix added": f"{host}.evil.example",
        "a prefix added": f"evil{host}",
        "a label before": f"evil.{host}",
        "a label between": f"{vault}.evil.{SUFFIX}",
        "a dot at the end": f"{host}.",
        "two dots": f"{vault}..{SUFFIX}",
        "a dot at the beginning": f".{host}",
        "no name": f".{SUFFIX}",
        "the suffix alone": SUFFIX,
        "a path before the suffix": f"evil.example/.{SUFFIX}",
        "an escaped slash": f"evil.example%2f.{SUFFIX}",
        "an escaped slash in capitals": f"evil.example%2F.{SUFFIX}",
        "an escaped backslash": f"evil.example%5c.{SUFFIX}",
        "a backslash": f"evil.example\\.{SUFFIX}",
        "a backslash and an at": f"evil.example\\@{host}",
        "an escaped dot": f"{vault}%2e{SUFFIX}",
        "dots and slashes": f"{host}/../../evil.example",
        "a query": f"evil.example?.{SUFFIX}",
        "a query after the vault": f"{host}?x=@evil.example",
        "a fragment": f"evil.example#.{SUFFIX}",
        "a fragment after the vault": f"{host}#@evil.example",
        "another port": f"{host}:8443",
        "port 80": f"{host}:80",
        "a port that is none": f"{host}:443x",
        "an empty port": f"{host}:",
        "a NUL": f"{host}\x00.evil.example",
        "an escaped NUL": f"{host}%00.evil.example",
        "a blank": f"{host} .evil.example",
        "a tab": f"{host}\t",
        "a line break": f"{host}\n",
        "a header": f"{host}\r\nHost: evil.example",
        "a non-breaking blank": f"{host}\u00a0",
        "a zero-width blank": f"{vault}\u200b.{SUFFIX}",
        "a Cyrillic letter": f"{vault}.vault.\u0430zure.net",
        "the Kelvin sign": f"\u212a{vault[1:]}.{SUFFIX}",
        "a long s": f"{vault.replace('s', chr(0x17F))}.\u017fuffix.{SUFFIX}",
        "a full-width dot": f"{vault}\uff0e{SUFFIX}",
        "an ideographic full stop": f"{vault}\u3002{SUFFIX}",
        "a full-width slash": f"evil.example\uff0f.{SUFFIX}",
        "right to left": f"\u202e{vault}.{SUFFIX}",
        "punycode": f"xn--{vault}-9za.{SUFFIX}",
        "an internationalized name": f"{vault}ü.{SUFFIX}",
        "the private link": f"{vault}.privatelink.vaultcore.azure.net",
        "an HSM of that name": f"{vault}.managedhsm.azure.net",
        "the cloud of the US government": f"{vault}.vault.usgovcloudapi.net",
        "the cloud of China": f"{vault}.vault.azure.cn",
        "the cloud of Germany": f"{vault}.vault.microsoftazure.de",
        "another service": f"{vault}.blob.core.windows.net",
        "Resource Manager": "management.azure.com",
        "the metadata service": "169.254.169.254",
        "this machine": "localhost",
        "an address of version 6": "[::1]",
        "an address in an address": "[::ffff:169.254.169.254]",
        "a number": "2130706433",
        "a hexadecimal number": "0x7f000001",
        "a very long name": f"{'a' * 5000}.{SUFFIX}",
        "very many labels": f"{'a.' * 500}{SUFFIX}",
        "nothing": "",
        "a vault off the list": f"kv-unlisted.{SUFFIX}",
    }


# -- events --------------------------------------------------------------------------------------

_STRANGE_IDS = {
    **{n: f"https://{h}/keys/k/{VERSION}" for n, h in strange_hosts(VAULT).items()},
    "http": f"http://{VAULT}.{SUFFIX}/keys/k/{VERSION}",
    "http in capitals": f"HTTP://{VAULT}.{SUFFIX}/keys/k/{VERSION}",
    "ftp": f"ftp://{VAULT}.{SUFFIX}/keys/k/{VERSION}",
    "no scheme": f"{VAULT}.{SUFFIX}/keys/k/{VERSION}",
    "no scheme but slashes": f"//{VAULT}.{SUFFIX}/keys/k/{VERSION}",
    "one slash": f"https:/{VAULT}.{SUFFIX}/keys/k/{VERSION}",
    "three slashes": f"https:///{VAULT}.{SUFFIX}/keys/k/{VERSION}",
    "a script": "javascript:alert(1)",
    "a file": "file:///etc/passwd",
    "a tab before the scheme": f"\thttps://{VAULT}.{SUFFIX}/keys/k/{VERSION}",
    "dots for a name": f"https://{VAULT}.{SUFFIX}/keys/../{VERSION}",
    "escaped dots for a name": f"https://{VAULT}.{SUFFIX}/keys/%2e%2e/{VERSION}",
    "an escaped slash in the name": f"https://{VAULT}.{SUFFIX}/keys/k%2f..%2fx/{VERSION}",
    "a backslash in the name": f"https://{VAULT}.{SUFFIX}/keys/k\\..\\x/{VERSION}",
    "a query for a version": f"https://{VAULT}.{SUFFIX}/keys/k/?{VERSION}",
    "a query after the version": f"https://{VAULT}.{SUFFIX}/keys/k/{VERSION}?to=evil.example",
    "a fragment after the version": f"https://{VAULT}.{SUFFIX}/keys/k/{VERSION}#x",
    "a version too long": f"https://{VAULT}.{SUFFIX}/keys/k/{VERSION}0",
    "a version of other digits": f"https://{VAULT}.{SUFFIX}/keys/k/{'\u0663' * 32}",
    "a version that is none": f"https://{VAULT}.{SUFFIX}/keys/k/{'g' * 32}",
    "more after the version": f"https://{VAULT}.{SUFFIX}/keys/k/{VERSION}/x",
    "a name too long": f"https://{VAULT}.{SUFFIX}/keys/{'k' * 128}/{VERSION}",
    "two slashes": f"https://{VAULT}.{SUFFIX}//keys/k/{VERSION}",
    "a secret": f"https://{VAULT}.{SUFFIX}/secrets/k/{VERSION}",
}


@dataclass(frozen=True)
class Delivered:
    """What became of events, one for each of ``_STRANGE_IDS``.

    Attributes:
        events: The id of each event, by what is wrong with the key's id.
        problems: What was kept of each, by the event's id.
        called: The hosts that were called meanwhile, and for whom tokens were asked.
        rotations: How many were opened.
        printed: What the app printed meanwhile.
    """

    stage: Stage
    events: Mapping[str, str]
    problems: Mapping[str, str]
    called: set[str]
    rotations: int
    printed: str


@pytest.fixture(scope="module", name="delivered")
def _delivered(_shared_stage: Stage) -> Delivered:
    stage = _shared_stage
    stage.quiet()
    seen, rotations = Departures(stage.azure, frozenset()), len(stage.rotations())
    before = len(stage.log())
    events = {
        name: stage.publish({"Id": url, "VaultName": VAULT, "ObjectType": "Key"})
        for name, url in _STRANGE_IDS.items()
    }
    for event in events.values():
        stage.handled(event)
    kept = {row["event_id"]: row["problem"] for row in stage.rows("keyturnrefusals")}
    opened = len(stage.rotations()) - rotations
    called = seen.hosts() | seen.audiences()
    return Delivered(stage, events, kept, called, opened, stage.log()[before:])


@pytest.mark.parametrize("name", _STRANGE_IDS)
def test_an_event_that_names_a_strange_key_is_acknowledged_and_kept_with_the_reason(
    running: Stage, delivered: Delivered, name: str
) -> None:
    event = delivered.events[name]

    assert running.deliveries(event) == [202]
    assert delivered.problems[event]
    assert f"event {event} refused: " in running.log()


def test_no_event_that_names_a_strange_key_makes_us_call_anybody(delivered: Delivered) -> None:
    assert delivered.called == set()
    assert delivered.rotations == 0
    assert "Traceback" not in delivered.printed


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda kid: kid.upper().replace("HTTPS", "https"), id="capitals"),
        pytest.param(lambda kid: kid.replace("https", "HTTPS"), id="the scheme in capitals"),
        pytest.param(lambda kid: kid.replace(".net/", ".net:443/"), id="port 443"),
        pytest.param(lambda kid: f" {kid} ", id="blanks around it"),
    ],
)
def test_after_all_that_a_key_of_ours_is_still_understood_in_every_spelling(
    running: Stage, delivered: Delivered, write: Callable[[str], str]
) -> None:
    assert delivered.problems
    key = running.key()
    running.azure.event_grid.lose_next()
    target = running.rotate(key)

    running.publish({"Id": write(target)})

    assert running.opened(target)


# -- our own API ---------------------------------------------------------------------------------

_NAMES = {
    "dots": "..",
    "escaped dots": "%2e%2e",
    "an escaped slash": "k%2f..%2fx",
    "an escaped backslash": "k%5cx",
    "a query": "k%3fx",
    "a fragment": "k%23x",
    "a NUL": "k%00",
    "a blank": "k%20x",
    "a line break": "k%0d%0aHost:%20evil.example",
    "another host": "%40evil.example",
    "a look-alike": "%d0%ba",
    "a name too long": "k" * 128,
    "a URL": quote(f"https://evil.example/keys/k/{VERSION}", safe=""),
    "escaped twice": "k%252f..%252fx",
    "broken escapes": "k%zz",
    "no UTF-8": "k%ff",
}
_PATHS = {
    **{
        f"vault: {name}": f"/api/keys/{quote(host, safe='%')}/k/rotate"
        for name, host in strange_hosts(VAULT).items()
        if name != "an escaped dot"  # which is a dot in a path
    },
    **{f"key: {name}": f"/api/keys/{VAULT}/{key}/rotate" for name, key in _NAMES.items()},
}


@pytest.mark.parametrize("path", _PATHS.values(), ids=list(_PATHS))
def test_a_wish_for_a_strange_key_is_refused_and_nobody_is_called(
    running: Stage, path: str
) -> None:
    running.quiet()
    seen = Departures(running.azure, frozenset())

    host = running.azure.host
    assert host is not None
    answer = requests.post(
        host.url + path,
        json={"reason": "a hostile name"},
        headers={"x-functions-key": host.keys["function"]},
        timeout=30,
    )

    assert answer.status_code in {400, 403, 404, 405}
    if answer.status_code in {400, 403}:  # else the host knows no such route
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    running.quiet()
    seen.assert_none()


# -- what Azure shows ----------------------------------------------------------------------------

type Hurt = Callable[[dict[str, Any], str], None]


def _in_account(body: dict[str, Any], uri: str) -> None:
    body["properties"]["encryption"]["keyvaultproperties"]["keyvaulturi"] = uri


def _in_scope(body: dict[str, Any], uri: str) -> None:
    key = body["properties"]["keyVaultProperties"]
    key["keyUri"] = uri.rstrip("/") + "/keys/" + key["keyUri"].partition("/keys/")[2]


def _in_cosmos(body: dict[str, Any], uri: str) -> None:
    key = body["properties"]["keyVaultKeyUri"]
    body["properties"]["keyVaultKeyUri"] = uri.rstrip("/") + "/keys/" + key.partition("/keys/")[2]


def _in_group(body: dict[str, Any], uri: str) -> None:
    body["properties"]["encryptionProperties"]["vaultBaseUrl"] = uri


_SHOWN = {name: f"https://{host}/" for name, host in strange_hosts(BENCH_VAULT).items() if host} | {
    "http": f"http://{BENCH_VAULT}.{SUFFIX}/",
    "no scheme": f"{BENCH_VAULT}.{SUFFIX}",
}
"""What a resource names as its vault."""
_EVERY_KIND = ("another host", "userinfo that looks like the vault", "a suffix added", "http")
"""Of these, one resource of every kind; of the others a storage account."""


@dataclass(frozen=True)
class Shown:
    """A rotation among resources that name strange vaults.

    Attributes:
        strange: They, by name, as they were before.
        ours: The one that names ours.
    """

    bench: Bench
    strange: Mapping[str, Any]
    ours: Account
    target: str
    outcome: Outcome | None
    verdicts: Mapping[str, Verdict | None]
    seen: Departures


@pytest.fixture(scope="module", name="shown")
def _shown(local_azure: Callable[[float], LocalAzure]) -> Iterator[Shown]:
    with local_azure(1) as azure, pytest.MonkeyPatch.context() as patch:
        for name, value in azure.environment().items():
            patch.setenv(name, value)
        bench = in_memory(Bench(azure))
        bench.policies.set_defaults(failure_limit=1000)
        key = bench.key()
        strange = _make_strange(bench, key)
        ours = bench.account("stours", key)
        hosts = {"management.azure.com", f"{BENCH_VAULT}.{SUFFIX}", azure.topic.endpoint}
        host = azure.topic.endpoint.split("/")[2]
        seen = Departures(azure, frozenset({*hosts, host}))
        target = bench.new_version(key)
        ended = carry_out(bench, bench.open(key))
        found = verdicts(bench, ended.id)
        yield Shown(bench, strange, ours, target, ended.outcome, found, seen)


def _make_strange(bench: Bench, key: str) -> dict[str, Any]:
    """Make resources that use a key, and then have each name another vault as its own."""
    made: dict[str, Any] = {}
    estate, subscription = bench.azure.estate, bench.subscription
    parent = bench.azure.estate.storage_account("stplain", subscription=subscription, key=None)
    for number, (name, uri) in enumerate(_SHOWN.items()):
        account = bench.account(f"st{number}", key)
        made[name] = account
        _hurt(bench, account.id, _in_account, uri)
        if name in _EVERY_KIND:
            scope = estate.encryption_scope(parent, f"scope{number}", key=key)
            cosmos = estate.cosmos_account(f"cosmos-{number}", subscription=subscription, key=key)
            group = estate.container_group(f"aci-{number}", subscription=subscription, key=key)
            others: list[tuple[str, Any, Hurt]] = [
                ("scope", scope, _in_scope),
                ("cosmos", cosmos, _in_cosmos),
                ("group", group, _in_group),
            ]
            for kind, each, hurt in others:
                made[f"{kind}: {name}"] = each
                _hurt(bench, each.id, hurt, uri)
    return made


def _hurt(bench: Bench, resource_id: str, hurt: Hurt, uri: str) -> None:
    resources = bench.azure.estate.arm.resources
    resource = resources.find(ResourceId.parse(resource_id))
    assert resource is not None
    hurt(resource.body, uri)
    resources.notify(resource)


_SHOWN_IDS = [*_SHOWN, *(f"{k}: {n}" for n in _EVERY_KIND for k in ("scope", "cosmos", "group"))]


@pytest.mark.parametrize("name", _SHOWN_IDS)
def test_a_resource_that_names_a_strange_vault_is_not_written_to_nor_said_to_be_moved(
    shown: Shown, name: str
) -> None:
    """It is none of this key's, or it cannot be told and a person must look."""
    resource = shown.strange[name]

    assert shown.bench.writes(resource) == 0
    assert shown.verdicts.get(resource.id.rpartition("/")[2]) in {None, Verdict.UNKNOWN}


def test_a_rotation_among_resources_that_name_strange_vaults_calls_nobody_else(
    shown: Shown,
) -> None:
    shown.seen.assert_none_for_strangers()
    assert shown.bench.in_use(shown.ours) == shown.target
    assert shown.verdicts["stours"] is Verdict.VERIFIED
    assert Verdict.UNKNOWN in shown.verdicts.values()
    assert shown.outcome is Outcome.FAILED, "what cannot be told is no success"
