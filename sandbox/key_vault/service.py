"""All vaults of the sandbox, by name."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from sandbox.clock import SandboxClock
from sandbox.identity import TokenService
from sandbox.key_vault.errors import KeyVaultError
from sandbox.key_vault.routes import routes
from sandbox.key_vault.vault import Backups, OnEvent, Vault

_SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
_ALGORITHM = "RSA-OAEP-256"


class KeyUnusable(Exception):  # noqa: N818 - what a consumer of the key meets, not a fault of ours
    """A key did not do what a consumer asked of it.

    Attributes:
        code: Why: ``KeyDisabled``, ``KeyNotYetValid``, ``KeyExpired``, ``KeyOperationForbidden``,
            ``ForbiddenByRbac``, ``KeyNotFound``, ``VaultNotFound``, or ``BadParameter`` for a blob
            that another key wrapped.
        message: The vault's own text.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class KeyVaults:
    """The Key Vault service: makes vaults, finds them, and serves them over HTTP."""

    def __init__(self, clock: SandboxClock, tokens: TokenService, on_event: OnEvent) -> None:
        self._clock = clock
        self._tokens = tokens
        self._on_event = on_event
        self._lock = RLock()
        self._vaults: dict[str, Vault] = {}
        self._backups: Backups = {}
        self.app: ASGIApp = routes(self._vaults.get, tokens)
        """Serves ``<name>.vault.azure.net`` for every vault, present and to come."""

    def create(  # noqa: PLR0913 - a vault has these properties, all with a usual value
        self,
        name: str,
        *,
        subscription_id: str = _SUBSCRIPTION,
        resource_group: str = "rg-keys",
        location: str = "westeurope",
        purge_protection: bool = True,
        retention_days: int = 90,
    ) -> Vault:
        """Make a vault.

        Raises:
            ValueError: There is one of that name.
        """
        vault = Vault(
            name=name,
            location=location,
            resource_id=(
                f"/subscriptions/{subscription_id}/resourceGroups/{resource_group}"
                f"/providers/Microsoft.KeyVault/vaults/{name}"
            ),
            tenant_id=self._tokens.tenant_id,
            purge_protection=purge_protection,
            retention_days=retention_days,
            clock=self._clock,
            on_event=self._on_event,
            backups=self._backups,
        )
        with self._lock:
            if name.lower() in self._vaults:
                raise ValueError(f"there is a vault named {name!r} already")
            self._vaults[name.lower()] = vault
        return vault

    def vault(self, name: str) -> Vault:
        """Return the vault of that name.

        Raises:
            KeyError: There is none.
        """
        return self._vaults[name.lower()]

    def newest(self, vault: str, key: str) -> str:
        """Return the ``kid`` of a key's current version, even if it is disabled.

        Raises:
            KeyUnusable: There is no such vault or key.
        """
        found, name, _ = self._locate(f"https://{vault}.vault.azure.net/keys/{key}")
        with _as_met_by_consumers():
            return found.find(name).kid

    def wrap(self, kid: str, dek: bytes, principal: str) -> bytes:
        """Wrap a data-encryption key for a consumer, by the vault's own rules (RSA-OAEP-256).

        Args:
            kid: URL of a key version, or of a key: then its current version is used.
            dek: What to wrap.
            principal: Object id of the consumer's identity.

        Raises:
            KeyUnusable: The vault refuses.
        """
        vault, name, version = self._locate(kid)
        with _as_met_by_consumers():
            return vault.wrap(name, version, dek, principal=principal, algorithm=_ALGORITHM)[1]

    def unwrap(self, kid: str, blob: bytes, principal: str) -> bytes:
        """Unwrap what ``wrap`` gave; see there.

        Raises:
            KeyUnusable: The vault refuses, or ``blob`` was wrapped with another version.
        """
        vault, name, version = self._locate(kid)
        with _as_met_by_consumers():
            return vault.unwrap(name, version, blob, principal=principal, algorithm=_ALGORITHM)[1]

    def _locate(self, kid: str) -> tuple[Vault, str, str | None]:
        parts = urlsplit(kid)
        host, _, domain = (parts.hostname or "").partition(".")
        path = parts.path.strip("/").split("/")
        if domain != "vault.azure.net" or host not in self._vaults:
            raise KeyUnusable("VaultNotFound", f"No vault answers at '{parts.hostname}'.")
        if path[0] != "keys" or len(path) not in {2, 3}:
            raise KeyUnusable("BadParameter", f"Not the URL of a key: '{kid}'.")
        return self._vaults[host], path[1], path[2] if len(path) == 3 else None  # noqa: PLR2004 - keys, name, version


@contextmanager
def _as_met_by_consumers() -> Iterator[None]:
    try:
        yield
    except KeyVaultError as error:
        raise KeyUnusable(error.inner or error.code, error.message) from error
