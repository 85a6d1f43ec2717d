"""What leaves a local Azure's clients: where they connect to, and which tokens they get."""

from dataclasses import dataclass, field
from urllib.parse import urlsplit

from sandbox.azure import LocalAzure

AUDIENCES = {
    "https://management.azure.com",
    "https://vault.azure.net",
    "https://managedhsm.azure.net",
    "https://storage.azure.com",
    "https://eventgrid.azure.net",
}
"""Of the services that the app calls; no token is for anybody else."""


@dataclass
class Departures:
    """What has left since this was made.

    A host that the sandbox serves may be called, and one that it does not serve fails its TLS
    check: that nobody *connects* to a stranger is more than that no stranger gets a token.

    Attributes:
        azure: The local Azure whose proxy and managed-identity endpoint are asked.
        ours: The hosts that may be called.
    """

    azure: LocalAzure
    ours: frozenset[str]
    _attempts: int = field(init=False)
    _calls: int = field(init=False)
    _tokens: int = field(init=False)

    def __post_init__(self) -> None:
        self._attempts = len(self.azure.serving.proxy.attempts())
        self._calls = len(self.azure.front_door.traffic())
        self._tokens = len(self.azure.tokens.asked)

    def hosts(self) -> set[str]:
        """Return every host that was connected to or called, with a port that is not 443."""
        attempts = self.azure.serving.proxy.attempts()[self._attempts :]
        calls = self.azure.front_door.traffic()[self._calls :]
        connected = {urlsplit(each).netloc if "://" in each else each for each in attempts}
        return {each.removesuffix(":443") for each in connected} | {call.host for call in calls}

    def audiences(self) -> set[str]:
        """Return for whom the managed-identity endpoint was asked for tokens."""
        return {audience.rstrip("/") for audience in self.azure.tokens.asked[self._tokens :]}

    def assert_none_for_strangers(self) -> None:
        """Fail if anybody but ``ours`` was called, or a token was asked for anybody else."""
        assert self.hosts() <= self.ours
        assert self.audiences() <= AUDIENCES

    def assert_none(self) -> None:
        """Fail if anything left at all."""
        assert self.hosts() == set()
        assert self.audiences() == set()
