"""All vaults of the sandbox, by name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import RLock
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from sandbox.clock import SandboxClock
from sandbox.identity import TokenService
from sandbox.key_vault.errors import KeyVaultError
from sandbox.key_vault.routes import routes
from sandbox.key_vault.vault import HSM_DOMAIN, VAULT_DOMAIN, Backups, OnEvent, Vault

SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
"""Where a vault is that was made without saying where."""
_ALGORITHM = "RSA-OAEP-256"


class KeyUnusable(Exception):  # noqa: N818 - what a consumer of the key meets, not a fault of ours
    """A key did not do what a consumer asked of it.

    Attributes:
        code: Why: ``KeyDisabled``, ``KeyNotYetValid``, ``KeyExpired``, ``KeyOperationForbidden``,
            ``ForbiddenByRbac``, ``ForbiddenByFirewall``, ``KeyNotFound``, ``VaultNotFound``, or
            ``BadParameter`` for a blob that another key wrapped.
        message: The vault's own text.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class KeyVaults:
    """The Key Vault service: makes vaults and managed HSMs, finds them, serves them over HTTP.

    Whatever takes the name of a vault takes a host too, which is how a managed HSM is named.
    """

    def __init__(self, clock: SandboxClock, tokens: TokenService, on_event: OnEvent) -> None:
        self._clock = clock
        self._tokens = tokens
        self._on_event = on_event
        self._lock = RLock()
        self._vaults: dict[str, Vault] = {}
        self._backups: Backups = {}
        self._watchers: list[Callable[[Vault], None]] = []
        self.app: ASGIApp = routes(self._vaults.get, tokens)
        """Serves every vault and managed HSM at its own host, present and to come."""

    def create(  # noqa: PLR0913 - a vault has these properties, all with a usual value
        self,
        name: str,
        *,
        subscription_id: str = SUBSCRIPTION,
        resource_group: str = "rg-keys",
        location: str = "westeurope",
        purge_protection: bool = True,
        retention_days: int = 90,
    ) -> Vault:
        """Make a vault.

        Raises:
            ValueError: There is one of that name.
        """
        return self._add(
            Vault(
                name=name,
                location=location,
                resource_id=_resource_id(subscription_id, resource_group, "vaults", name),
                tenant_id=self._tokens.tenant_id,
                purge_protection=purge_protection,
                retention_days=retention_days,
                clock=self._clock,
                on_event=self._on_event,
                backups=self._backups,
            )
        )

    def create_managed_hsm(
        self,
        name: str,
        *,
        subscription_id: str = SUBSCRIPTION,
        resource_group: str = "rg-keys",
        location: str = "westeurope",
    ) -> Vault:
        """Make a managed HSM, which sends no events (docs: managed HSM, key rotation).

        Raises:
            ValueError: There is one of that name.
        """
        return self._add(
            Vault(
                name=name,
                location=location,
                resource_id=_resource_id(subscription_id, resource_group, "managedHSMs", name),
                tenant_id=self._tokens.tenant_id,
                purge_protection=True,
                retention_days=90,
                clock=self._clock,
                on_event=lambda _topic, _event: None,
                backups=self._backups,
                domain=HSM_DOMAIN,
            )
        )

    def _add(self, vault: Vault) -> Vault:
        with self._lock:
            if vault.host.lower() in self._vaults:
                raise ValueError(f"there is a vault named {vault.name!r} already")
            self._vaults[vault.host.lower()] = vault
        for watcher in self._watchers:
            watcher(vault)
        return vault

    def watch(self, watcher: Callable[[Vault], None]) -> None:
        """Call ``watcher`` with every vault and managed HSM, present and to come."""
        with self._lock:
            self._watchers.append(watcher)
            present = list(self._vaults.values())
        for vault in present:
            watcher(vault)

    def tell_of_expiries(self) -> None:
        """Have every vault publish what the clock has passed; see ``Vault.tell_of_expiries``."""
        for vault in list(self._vaults.values()):
            vault.tell_of_expiries()

    def vault(self, name: str) -> Vault:
        """Return the vault of that name or host.

        Raises:
            KeyError: There is none.
        """
        return self._vaults[_host(name)]

    def delete(self, name: str) -> None:
        """Delete a vault: nothing answers at its host any more."""
        with self._lock:
            del self._vaults[_host(name)]

    def newest(self, vault: str, key: str) -> str:
        """Return the ``kid`` of a key's current version, even if it is disabled.

        Raises:
            KeyUnusable: There is no such vault or key.
        """
        found, name, _ = self._locate(f"https://{_host(vault)}/keys/{key}")
        with _as_met_by_consumers():
            return found.find(name).kid

    def wrap(self, kid: str, dek: bytes, principal: str) -> bytes:
        """Wrap a data-encryption key for a consumer, by the vault's own rules (RSA-OAEP-256).

        To the vault's firewall a consumer is a trusted service: those that encrypt with a key of
        their customer's are (docs: Key Vault, virtual network service endpoints).

        Args:
            kid: URL of a key version, or of a key: then its current version is used.
            dek: What to wrap.
            principal: Object id of the consumer's identity.

        Raises:
            KeyUnusable: The vault refuses.
        """
        vault, name, version = self._locate(kid)
        with _as_met_by_consumers():
            vault.admit(principal, trusted=True)
            return vault.wrap(name, version, dek, principal=principal, algorithm=_ALGORITHM)[1]

    def unwrap(self, kid: str, blob: bytes, principal: str) -> bytes:
        """Unwrap what ``wrap`` gave; see there.

        Raises:
            KeyUnusable: The vault refuses, or ``blob`` was wrapped with another version.
        """
        vault, name, version = self._locate(kid)
        with _as_met_by_consumers():
            vault.admit(principal, trusted=True)
            return vault.unwrap(name, version, blob, principal=principal, algorithm=_ALGORITHM)[1]

    def _locate(self, kid: str) -> tuple[Vault, str, str | None]:
        parts = urlsplit(kid)
        vault = self._vaults.get((parts.hostname or "").lower())
        path = parts.path.strip("/").split("/")
        if vault is None:
            raise KeyUnusable("VaultNotFound", f"No vault answers at '{parts.hostname}'.")
        if path[0] != "keys" or len(path) not in {2, 3}:
            raise KeyUnusable("BadParameter", f"Not the URL of a key: '{kid}'.")
        return vault, path[1], path[2] if len(path) == 3 else None  # noqa: PLR2004 - keys, name, version


def _host(name: str) -> str:
    return name.lower() if "." in name else f"{name}.{VAULT_DOMAIN}".lower()


def _resource_id(subscription: str, group: str, kind: str, name: str) -> str:
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}"
        f"/providers/Microsoft.KeyVault/{kind}/{name}"
    )


@contextmanager
def _as_met_by_consumers() -> Iterator[None]:
    try:
        yield
    except KeyVaultError as error:
        raise KeyUnusable(error.inner or error.code, error.message) from error
