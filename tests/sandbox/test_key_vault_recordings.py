"""Key Vault replayed: our answers beside those that were recorded from the real service.

The requests of a recording are sent again, in order. What the service makes up (versions, times,
numbers of keys) is its own; all else must be equal, and every answer must have the same shape.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from sandbox.clock import SandboxClock
from sandbox.faults import Faults
from sandbox.front_door import FrontDoor
from sandbox.identity import APP_PRINCIPAL, TokenService
from sandbox.key_vault import KeyVaults, NewKey
from sandbox.serving import Serving

RECORDINGS = Path(__file__).parents[3] / "shared" / "data" / "recordings" / "key-vault"
# Not emulated: no consumer of a key needs them. Exchanges of other vaults carry an expiry that
# those vaults' own policy had set.
NOT_EMULATED = re.compile(r"/(decrypt|encrypt|sign|verify|import)\b|/keys/import-|-000003\.vault")
MADE_UP = {"kid", "created", "updated", "n", "x", "y", "exp", "value", "nextLink"}
DATES_OF_DELETION = {"deletedDate", "scheduledPurgeDate"}

pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the recordings of the real service are not here"
)


def exchanges(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RECORDINGS / name).read_text())["exchanges"]
    return found


class Replay:
    """Sends recorded requests to the sandbox, with our versions in place of the recorded ones."""

    def __init__(self, serving: Serving, tokens: TokenService) -> None:
        self._authorization = f"Bearer {tokens.issue('https://vault.azure.net')}"
        self._ours: dict[str, str] = {}
        self._http = requests.Session()
        self._http.trust_env = False
        self._http.proxies["https"] = serving.proxy.url
        self._http.verify = str(serving.ca_file)

    def close(self) -> None:
        self._http.close()

    def send(self, exchange: dict[str, Any]) -> requests.Response:
        request, response = exchange["request"], exchange["response"]
        with_token = response["status"] != 401
        answer = self._http.request(
            request["method"],
            self._translated(request["url"]),
            json=self._body(request["body"]),
            headers={"Authorization": self._authorization} if with_token else {},
            timeout=10,
        )
        if answer.content:
            self._learn(response["body"], answer.json())
        return answer

    def _body(self, recorded: Any) -> Any:  # noqa: ANN401 - any JSON
        if recorded is None:
            return None
        return json.loads(self._translated(json.dumps(recorded)))

    def _translated(self, text: str) -> str:
        for recorded, ours in self._ours.items():
            text = text.replace(recorded, ours)
        return text

    def _learn(self, recorded: Any, ours: Any) -> None:  # noqa: ANN401 - any JSON
        if isinstance(recorded, dict) and isinstance(ours, dict):
            for name in recorded.keys() & ours.keys():
                self._learn(recorded[name], ours[name])
            if "kid" in recorded and recorded["kid"].count("/") == 5:
                self._ours[recorded["kid"][-32:]] = ours["kid"][-32:]
            if isinstance(recorded.get("value"), str):
                self._ours[recorded["value"]] = ours["value"]
            if recorded.get("nextLink"):
                self._ours[token(recorded["nextLink"])] = token(ours["nextLink"])


def token(next_link: str) -> str:
    found = re.search(r"\$skiptoken=([^&]+)", next_link)
    assert found
    return found[1]


def shape(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Keep names and types, and the values that a request determines."""
    match value:
        case dict():
            return {k: type(v) if _made_up(k, v) else shape(v) for k, v in value.items()}
        case list():
            return sorted((shape(item) for item in value), key=repr)
        case _:
            return value


def _made_up(name: str, value: Any) -> bool:  # noqa: ANN401 - any JSON
    return name in MADE_UP | DATES_OF_DELETION and not isinstance(value, dict | list)


@pytest.fixture
def vaults() -> Iterator[tuple[KeyVaults, Replay]]:
    clock = SandboxClock.start()
    tokens = TokenService()
    service = KeyVaults(clock, tokens, lambda *_: None)
    front_door = FrontDoor(Faults(clock), clock)
    front_door.mount("*.vault.azure.net", service.app)
    with Serving(front_door) as serving:
        replay = Replay(serving, tokens)
        yield service, replay
        replay.close()


def vault_for_recording(service: KeyVaults, name: str) -> None:
    vault = service.create(name, purge_protection=False, retention_days=7)
    vault.grant(
        APP_PRINCIPAL,
        {
            "get",
            "list",
            "create",
            "update",
            "delete",
            "purge",
            "rotate",
            "getRotationPolicy",
            "setRotationPolicy",
            "backup",
            "restore",
        },
    )


@pytest.mark.parametrize(
    ("name", "emulated"), [("keyvault_key_rotation.json", 4), ("keyvault_key.json", 27)]
)
def test_a_recording_replayed_gives_the_recorded_answers(
    vaults: tuple[KeyVaults, Replay], name: str, emulated: int
) -> None:
    service, replay = vaults
    vault_for_recording(service, "cli-test-kv-key-000002")
    replayed = [e for e in exchanges(name) if not NOT_EMULATED.search(e["request"]["url"])]

    # Ids are made by chance, and so is which version comes on the first of several pages.
    ours_on_pages: list[Any] = []
    theirs_on_pages: list[Any] = []

    for exchange in replayed:
        answer = replay.send(exchange)

        theirs = exchange["response"]["body"]
        ours: Any = answer.json() if answer.content else None
        where = f"{name} #{exchange['index']}: {answer.text}"
        assert answer.status_code == exchange["response"]["status"], where
        if re.search(r"/versions.*&maxresults", exchange["request"]["url"]):
            ours_on_pages += ours.pop("value")
            theirs_on_pages += theirs.pop("value")
        assert shape(ours) == shape(theirs), where
    assert shape(ours_on_pages) == shape(theirs_on_pages)
    assert len(replayed) == emulated


def test_the_challenge_is_as_recorded(vaults: tuple[KeyVaults, Replay]) -> None:
    service, replay = vaults
    vault_for_recording(service, "cli-test-kv-key-000002")
    first = exchanges("keyvault_key.json")[0]

    answer = replay.send(first)

    recorded = first["response"]["headers"]["www-authenticate"]
    assert answer.headers["www-authenticate"] == recorded
    assert answer.json() == first["response"]["body"]


def test_a_refusal_by_rbac_has_the_recorded_lines(vaults: tuple[KeyVaults, Replay]) -> None:
    service, replay = vaults
    service.create("cli-test-kv-key-000002")
    [recorded, *_] = exchanges("error_forbidden_by_rbac.json")
    [_, create, *_] = exchanges("keyvault_key.json")

    answer = replay.send(create)

    assert answer.status_code == recorded["response"]["status"]
    ours, real = answer.json()["error"], recorded["response"]["body"]["error"]
    assert (ours["code"], ours["innererror"]) == (real["code"], real["innererror"])
    assert lines(ours["message"]) == lines(real["message"])


def lines(message: str) -> list[str]:
    """Keep what each line begins with, and the whole of those that name nothing."""
    return [line.partition(": ")[0] for line in message.split("\r\n")]


def test_a_policy_that_was_never_edited_is_as_recorded(
    vaults: tuple[KeyVaults, Replay],
) -> None:
    """The file is not among the recordings; the facts quote it (c7n_keys_rotation)."""
    service, _ = vaults
    vault = service.create("kv1")
    vault.create_key("cmk", NewKey(kty="EC"))

    assert vault.rotation_policy("cmk") == {
        "lifetimeActions": [
            {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}
        ],
        "attributes": None,
    }
