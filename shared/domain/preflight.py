"""What will break, said before consumers fail one by one: a look ahead at the vault and the key.

Sources (docs): each service's "customer-managed keys" page (soft-delete, purge protection, wrap and
unwrap), "Virtual network service endpoints for Azure Key Vault" (trusted services), "Provide access
to Key Vault keys with Azure RBAC", "Configure key auto-rotation in Azure Managed HSM" (no events).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.errors import GoneError, NotFoundError, PermanentError
from shared.domain.findings import Finding, Severity
from shared.domain.keys import VersionState
from shared.domain.kinds import Kind
from shared.domain.plans import unfit
from shared.domain.vault_settings import RotationPolicy, VaultSettings

NEAR_EXPIRY = timedelta(days=30)
"""When Key Vault itself says that a version is near its expiry."""

_NEEDED = ("get", "wrapKey", "unwrapKey")
"""What a service must be allowed with its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was read, each part or why it could not be.

    Attributes:
        target: The version to which consumers are to move.
        current_problem: Why the vault's current version is unusable; empty: it is not.
        vault: ``None``: a managed HSM, of which there is nothing to read.
    """

    target: VersionState | PermanentError
    policy: RotationPolicy | PermanentError
    vault: VaultSettings | PermanentError | None
    current_problem: str


def foresee(seen: Seen, kinds: Sequence[Kind], now: datetime) -> tuple[Finding, ...]:
    """Return what is known of how the rotation will go, the worst first.

    What could not be looked at is a finding too.

    Args:
        seen: What was read.
        kinds: The kinds of resources that may use the key.
        now: When it was read.
    """
    found = [*_of_vault(seen), *_of_deletion(seen), *_of_policy(seen.policy)]
    if seen.current_problem:
        text = f"{seen.current_problem}: resources that name no version follow it all the same"
        advice = "enable that version, or make a new one; then look at what has lost its key"
        found.append(_blocker("current_version_unusable", text, advice))
    if isinstance(seen.target, VersionState):
        found += [*_of_target(seen.target, now), *_of_kinds(seen.target, kinds)]
    elif isinstance(seen.target, NotFoundError):
        advice = "recover the key, or rotate it once more"
        found.append(_blocker("target_gone", f"there is no such version: {seen.target}", advice))
    else:
        found.append(_unseen("the version, its key and its operations", seen.target))
    order = list(Severity)
    return tuple(sorted(found, key=lambda finding: order.index(finding.severity)))


# -- the vault -----------------------------------------------------------------------------------


def _of_vault(seen: Seen) -> Iterator[Finding]:
    vault = seen.vault
    if vault is None:
        text = "a managed HSM sends no events: a new version is found by the sweep"
        yield _note("managed_hsm", text)
        text = "not looked at: the managed HSM's firewall and its local roles"
        advice = "see that its consumers hold 'Managed HSM Crypto Service Encryption User'"
        yield _warning("not_looked_at", text, advice)
    elif isinstance(vault, GoneError):
        text = f"the vault was deleted: {vault}"
        yield _blocker("vault_gone", text, "recover the vault while that can be done")
    elif isinstance(vault, PermanentError):
        yield _unseen("the vault's firewall, and who may use its keys", vault)
    else:
        yield from _of_network(vault)
        yield from _of_access(vault)
        if vault.home_tenant and vault.tenant != vault.home_tenant:
            text = (
                f"the vault accepts tokens of tenant {vault.tenant} only,"
                f" and its subscription belongs to {vault.home_tenant}"
            )
            advice = "see that its consumers' identities belong to the vault's tenant"
            yield _warning("other_tenant", text, advice)


def _of_network(vault: VaultSettings) -> Iterator[Finding]:
    if vault.is_perimeter:
        text = "not looked at: the network security perimeter that decides who reaches the vault"
        advice = "see that its rules let in every service that uses the key"
        yield _warning("network_perimeter", text, advice)
    elif vault.is_private and vault.trusts_services:
        text = "the vault lets in Microsoft's trusted services and private endpoints, and no rule"
        advice = "a service that is not on the list of trusted ones needs a private endpoint"
        yield _note("public_access_off", text, advice)
    elif vault.is_private:
        text = (
            "the vault lets in private endpoints only, and keeps Microsoft's trusted services out"
        )
        advice = (
            "allow them (az keyvault update --bypass AzureServices), or see that every service that"
            " uses the key has a private endpoint: no rule is honoured"
        )
        yield _blocker("trusted_services_shut_out", text, advice)
    elif vault.is_shut and vault.trusts_services:
        text = "the vault's firewall lets in Microsoft's trusted services, and what a rule names"
        advice = "a service that is not on the list of trusted ones needs a rule of its own"
        yield _note("firewall_shut", text, advice)
    elif vault.is_shut:
        text = "the vault's firewall keeps Microsoft's trusted services out"
        advice = (
            "allow them (az keyvault update --bypass AzureServices), or see that a rule lets in"
            " every service that uses the key"
        )
        yield _blocker("trusted_services_shut_out", text, advice)


def _of_access(vault: VaultSettings) -> Iterator[Finding]:
    if vault.rbac:
        text = "Azure RBAC says who may use keys; not looked at: each consumer's role assignment"
        advice = "a consumer needs 'Key Vault Crypto Service Encryption User' on key or vault"
        yield _note("rbac", text, advice)
        return
    needed = {permission.lower() for permission in _NEEDED}
    held = [needed if "all" in each else each & needed for each in vault.permissions.values()]
    lacking = [name for name in _NEEDED if not any(name.lower() in each for each in held)]
    whole = sum(each == needed for each in held)
    advice = f"give each consumer's identity {', '.join(_NEEDED)}"
    if lacking:
        text = f"no access policy of the vault allows {' or '.join(lacking)}"
        yield _blocker("access_policies_lack", text, advice)
    elif not whole:
        text = f"no principal is allowed all of {', '.join(_NEEDED)} by the vault's access policies"
        yield _warning("access_policies_lack", text, advice)
    else:
        text = f"the vault's access policies allow {whole} principals {', '.join(_NEEDED)}"
        yield _note("access_policies", text)


def _of_deletion(seen: Seen) -> Iterator[Finding]:
    """Say whether the key is safe from being deleted: services refuse one that is not."""
    if isinstance(seen.vault, VaultSettings):
        soft_delete, purge_protection = seen.vault.soft_delete, seen.vault.purge_protection
    elif isinstance(seen.target, VersionState) and seen.target.recovery:
        level = seen.target.recovery.lower()
        soft_delete = "recoverable" in level
        purge_protection = soft_delete and "purgeable" not in level
    else:
        text = "not looked at: soft-delete and purge protection"
        yield _warning("not_looked_at", text, "see that both are on")
        return
    if not soft_delete:
        text = "soft-delete is off: services refuse the key, and a deleted one is lost"
        yield _blocker("soft_delete_off", text, "switch soft-delete and purge protection on")
    elif not purge_protection:
        text = (
            "purge protection is off: services refuse the key, and a deleted one can be destroyed"
        )
        yield _blocker("purge_protection_off", text, "switch purge protection on")


# -- the key -------------------------------------------------------------------------------------


def _of_target(target: VersionState, now: datetime) -> Iterator[Finding]:
    if why := target.why_unusable(now):
        text, advice = f"the version to move to is {why}", "make a usable version and rotate again"
        yield _blocker("target_unusable", text, advice)
    elif target.expires is None:
        yield _note("never_expires", "the version to move to never expires")
    else:
        text = f"the version to move to expires on {target.expires:%Y-%m-%d %H:%M} UTC"
        if target.expires - now <= NEAR_EXPIRY:
            yield _warning("expires_soon", text, "rotate to one that lasts longer")
        else:
            advice = "Azure Database for MySQL takes no key that expires"
            yield _note("expires", text, advice)
    if target.operations is None:
        text = "not looked at: what the key may be used for; the vault did not say"
        yield _warning("not_looked_at", text)
        return
    lacking = [name for name in _NEEDED[1:] if name.lower() not in target.operations]
    if lacking:
        text = f"the key is not made for {' and '.join(lacking)}"
        advice = "allow these operations on the version (az keyvault key set-attributes --ops)"
        yield _blocker("operations_lack", text, advice)


def _of_kinds(target: VersionState, kinds: Sequence[Kind]) -> Iterator[Finding]:
    refusals = [why for kind in kinds if (why := unfit(kind, target))]
    if refusals:
        severity = Severity.BLOCKER if len(refusals) == len(kinds) else Severity.WARNING
        advice = "such resources stay where they are: give them another key by hand"
        yield Finding(severity=severity, code="key_unfit", text="; ".join(refusals), advice=advice)


def _of_policy(policy: RotationPolicy | PermanentError) -> Iterator[Finding]:
    if isinstance(policy, PermanentError):
        yield _unseen("the key's rotation policy", policy)
        return
    if policy.rotates:
        text = f"the vault makes a new version {policy.rotates}: another rotation follows then"
        yield _note("rotates_itself", text)
    else:
        yield _note("never_rotates", "the key's rotation policy makes no new version")
    if policy.expires_after:
        text = f"a version that the vault makes expires after {policy.expires_after}"
        advice = "Azure Database for MySQL takes no key that expires"
        yield _note("new_versions_expire", text, advice)


# -- findings ------------------------------------------------------------------------------------


def _blocker(code: str, text: str, advice: str) -> Finding:
    return Finding(severity=Severity.BLOCKER, code=code, text=text, advice=advice)


def _warning(code: str, text: str, advice: str = "") -> Finding:
    return Finding(severity=Severity.WARNING, code=code, text=text, advice=advice)


def _note(code: str, text: str, advice: str = "") -> Finding:
    return Finding(severity=Severity.NOTE, code=code, text=text, advice=advice)


def _unseen(what: str, why: PermanentError) -> Finding:
    advice = "give the app the right to read it, or look at it by hand"
    return _warning("not_looked_at", f"not looked at: {what}: {why}", advice)
