"""For tests of what lies below ARM: an estate alone, and the unmodified Azure client at it.

``LocalAzure`` is the whole of Azure; this is the part that starts in a tenth of a second.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

from azure.core import PipelineClient
from azure.core.pipeline.policies import RetryPolicy
from azure.core.rest import HttpRequest, HttpResponse
from azure.identity import ManagedIdentityCredential
from azure.mgmt.core import ARMPipelineClient
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from sandbox.clock import SandboxClock
from sandbox.estate import Account, Estate
from sandbox.faults import Faults
from sandbox.front_door import FrontDoor
from sandbox.identity import APP_PRINCIPAL, TokenService
from sandbox.key_vault import KeyVaults
from sandbox.serving import Serving

ARM = "https://management.azure.com"
_STORAGE = "2024-01-01"


@dataclass(frozen=True)
class HandClock(SandboxClock):
    """Stands still but for what it is moved: no load of the machine makes anything late."""

    moved: list[timedelta] = field(default_factory=list)

    def now(self) -> datetime:
        """See ``SandboxClock.now``."""
        return self.anchor + sum(self.moved, timedelta(0))

    def move(self, **span: float) -> None:
        """Let time pass: hours, minutes, seconds as ``timedelta`` has them."""
        self.moved.append(timedelta(**span))


@dataclass(frozen=True, slots=True)
class Answer:
    """What ARM answered."""

    status: int
    body: Any
    """The JSON of the body; ``None`` if it was empty."""
    headers: Mapping[str, str]
    """By name in lower case."""

    @property
    def code(self) -> str:
        """The code of an error."""
        return str(self.body["error"]["code"])

    @property
    def message(self) -> str:
        """The message of an error."""
        return str(self.body["error"]["message"])


@dataclass(frozen=True, slots=True)
class Rig:
    """An estate that is served at production host names."""

    clock: SandboxClock
    tokens: TokenService
    estate: Estate
    faults: Faults
    front_door: FrontDoor
    client: PipelineClient[HttpRequest, HttpResponse]
    """Calls ARM as the app, by its managed identity; repeats nothing on its own."""

    def allow_all(self, subscription: str) -> None:
        """Let the app do everything in a subscription."""
        self.estate.arm.rbac.allow(APP_PRINCIPAL, {"*"}, f"/subscriptions/{subscription}")

    def send(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        version: str = _STORAGE,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Call ARM at ``path``."""
        query = {"api-version": version}
        request = HttpRequest(method, ARM + path, params=query, json=body, headers=headers)
        answer = self.client.send_request(request)
        content = answer.json() if answer.content else None
        named = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, content, named)

    def query(self, text: str, *, version: str = "2024-04-01", **more: object) -> Answer:
        """Ask Resource Graph; ``more`` goes into the request's body."""
        path = "/providers/Microsoft.ResourceGraph/resources"
        return self.send("POST", path, {"query": text, **more}, version=version)

    def repoint(self, account: Account, kid: str, **more: object) -> Answer:
        """Ask a storage account to use ``kid``; ``more`` goes into the ``encryption`` sent."""
        vault, _, rest = kid.partition("/keys/")
        name, _, version = rest.partition("/")
        reference = {"keyname": name, "keyversion": version, "keyvaulturi": f"{vault}/"}
        encryption = {"keySource": "Microsoft.Keyvault", "keyvaultproperties": reference, **more}
        return self.send("PATCH", account.id, {"properties": {"encryption": encryption}})

    def key_properties(self, account: Account) -> dict[str, Any]:
        """Return the ``keyvaultproperties`` that a fresh GET of a storage account shows."""
        encryption = self.send("GET", account.id).body["properties"]["encryption"]
        properties: dict[str, Any] = encryption["keyvaultproperties"]
        return properties


@contextmanager
def rig(rate: float = 60, clock: SandboxClock | None = None) -> Iterator[Rig]:
    """Serve an empty estate, and lead the SDK clients of this process into it.

    Args:
        rate: How fast its clock runs: sandbox seconds in a real one.
        clock: One to be used in its place.
    """
    clock, tokens = clock or SandboxClock.start(rate), TokenService()
    estate = Estate(clock, tokens, KeyVaults(clock, tokens, lambda _topic, _event: None))
    faults = Faults(clock)
    front_door = FrontDoor(faults, clock)
    front_door.mount("management.azure.com", estate.arm.app)
    with Serving(front_door) as serving:
        environment = {
            **serving.environment(),
            "IDENTITY_ENDPOINT": f"{serving.serve_plain(tokens.msi_app())}/msi/token",
            "IDENTITY_HEADER": tokens.identity_header,
        }
        with patch.dict(os.environ, environment), ManagedIdentityCredential() as credential:
            client: ARMPipelineClient[HttpRequest, HttpResponse] = ARMPipelineClient(
                ARM,
                policies=[
                    RetryPolicy.no_retries(),
                    ARMChallengeAuthenticationPolicy(credential, f"{ARM}/.default"),
                ],
            )
            with client:
                yield Rig(clock, tokens, estate, faults, front_door, client)
