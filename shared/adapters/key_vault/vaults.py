"""The vaults behind ``shared.ports.Vaults``."""

from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from azure.core.credentials import TokenCredential
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import RetryPolicy, SansIOHTTPPolicy
from azure.keyvault.keys import (
    KeyClient,
    KeyProperties,
    KeyRotationLifetimeAction,
    KeyRotationPolicyAction,
    KeyVaultKey,
)

from shared.adapters.audiences import ForAudience
from shared.adapters.http_errors import translated
from shared.domain.errors import (
    AccessDeniedError,
    KeyturnError,
    NotAllowedError,
    ThrottledError,
    UnavailableError,
    UnreadableError,
)
from shared.domain.keys import Key, KeyVersion, VersionState
from shared.domain.vault_settings import RotationPolicy


class AzureVaults:
    """Reads and rotates keys, in allow-listed vaults only: no other host is given a token."""

    def __init__(self, allowed: Container[str], credential: TokenCredential) -> None:
        self._allowed = allowed
        self._credential = credential
        self._clients: dict[str, KeyClient] = {}
        self._created: dict[KeyVersion, datetime] = {}

    def current(self, key: Key) -> VersionState:
        """See ``Vaults.current``."""
        client = self._client(key.vault)
        with _translated(f"read {key}"):
            return _of_key(key, client.get_key(key.name))

    def versions(self, key: Key) -> Sequence[VersionState]:
        """See ``Vaults.versions``."""
        client = self._client(key.vault)
        with _translated(f"list the versions of {key}"):
            return [
                _of_properties(key, properties)
                for properties in client.list_properties_of_key_versions(key.name)
            ]

    def version(self, version: KeyVersion) -> VersionState:
        """See ``Vaults.version``."""
        client = self._client(version.key.vault)
        with _translated(f"read {version}"):
            return _of_key(version.key, client.get_key(version.key.name, version.version))

    def created(self, version: KeyVersion) -> datetime:
        """See ``Vaults.created``."""
        if version not in self._created:
            self._created[version] = self.version(version).created
        return self._created[version]

    def keys(self, vault: str) -> Iterator[Key]:
        """See ``Vaults.keys``."""
        client = self._client(vault)
        with _translated(f"list the keys of {vault}"):
            for properties in client.list_properties_of_keys():
                yield Key(vault, (properties.name or "").lower())

    def rotates_itself(self, key: Key) -> bool:
        """See ``Vaults.rotates_itself``."""
        try:
            return bool(self.policy(key).rotates)
        except AccessDeniedError:
            return False

    def policy(self, key: Key) -> RotationPolicy:
        """See ``Vaults.policy``."""
        client = self._client(key.vault)
        with _translated(f"read the rotation policy of {key}"):
            found = client.get_key_rotation_policy(key.name)
        times = [_time_of(each) for each in found.lifetime_actions or [] if _rotates(each)]
        return RotationPolicy(rotates=" and ".join(times), expires_after=found.expires_in or "")

    def rotate(self, key: Key) -> VersionState:
        """See ``Vaults.rotate``."""
        client = self._client(key.vault)
        with _translated(f"rotate {key}"):
            return _of_key(key, client.rotate_key(key.name))

    def expire_at(self, version: KeyVersion, when: datetime) -> VersionState:
        """See ``Vaults.expire_at``."""
        client = self._client(version.key.vault)
        with _translated(f"change the expiry of {version}"):
            changed = client.update_key_properties(
                version.key.name, version.version, expires_on=when
            )
        return _of_key(version.key, changed)

    def _client(self, vault: str) -> KeyClient:
        if vault not in self._allowed:
            raise NotAllowedError(f"{vault} is not on the allow-list (KEYTURN_VAULTS)")
        if vault not in self._clients:
            # Retries nothing, as the ARM client, and for one more reason: rotate must not repeat.
            self._clients[vault] = KeyClient(
                f"https://{vault}",
                ForAudience(self._credential, f"https://{vault.partition('.')[2]}"),
                retry_policy=RetryPolicy.no_retries(),
                per_retry_policies=[_OneHost(vault)],
                connection_timeout=10,
                read_timeout=30,
            )
        return self._clients[vault]


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Raise the domain's errors; a vault's 429 is no reason to let a lane of ARM's rest.

    The SDK says with a ``ValueError`` that a challenge names a resource of another host.
    """
    try:
        with translated(doing):
            yield
    except KeyturnError:
        raise
    except ValueError as error:
        raise NotAllowedError(f"could not {doing}: {error}") from error
    except ThrottledError as error:
        raise UnavailableError(str(error), retry_after=error.retry_after) from error


class _OneHost(SansIOHTTPPolicy[Any, Any]):
    """Lets requests go to one host: the SDK follows ``nextLink`` and redirects wherever they lead.

    Stands before the policy that attaches the token.
    """

    def __init__(self, host: str) -> None:
        self._host = host

    def on_request(self, request: PipelineRequest[Any]) -> None:
        """See ``SansIOHTTPPolicy.on_request``.

        Raises:
            NotAllowedError: The request is for another host.
        """
        link = urlsplit(request.http_request.url)
        netloc = link.netloc.lower()
        if link.scheme != "https" or netloc not in (self._host, f"{self._host}:443"):
            named = f"{link.scheme}://{netloc}"
            raise NotAllowedError(f"{self._host} named a link of another host: {named!r:.100}")


def _rotates(action: KeyRotationLifetimeAction) -> bool:
    return action.action == KeyRotationPolicyAction.rotate


def _time_of(action: KeyRotationLifetimeAction) -> str:
    if action.time_after_create:
        return f"{action.time_after_create} after the one before"
    return f"{action.time_before_expiry} before the one before expires"


def _of_key(key: Key, found: KeyVaultKey) -> VersionState:
    state = _of_properties(key, found.properties)
    modulus: bytes | None = getattr(found.key, "n", None)  # RSA only
    operations: list[str] | None = found.key_operations
    return VersionState(
        id=state.id,
        created=state.created,
        enabled=state.enabled,
        not_before=state.not_before,
        expires=state.expires,
        key_type=str(getattr(found.key_type, "value", found.key_type)),
        bits=len(modulus) * 8 if modulus else None,
        operations=_folded(operations) if operations is not None else None,
        recovery=state.recovery,
    )


def _folded(operations: list[str]) -> frozenset[str]:
    return frozenset(str(getattr(each, "value", each)).lower() for each in operations)


def _of_properties(key: Key, found: KeyProperties) -> VersionState:
    named = KeyVersion.parse(found.id or "")
    if named.key != key or found.created_on is None:
        raise UnreadableError(f"asked for {key}, the vault answered with {found.id!r}")
    return VersionState(
        id=named,
        created=found.created_on,
        enabled=bool(found.enabled),
        not_before=found.not_before,
        expires=found.expires_on,
        recovery=found.recovery_level or "",
    )
