"""Keys and their versions, as values."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from shared.domain.errors import InvalidKeyUrlError

_URL = re.compile(
    r"https://(?P<vault>[a-z0-9-]+(?:\.[a-z0-9-]+)+)(?::443)?"
    r"/keys/(?P<name>[a-z0-9-]{1,127})(?:/(?P<version>[0-9a-f]{32}))?/?",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Key:
    """A key by vault and name, whichever version is current.

    Attributes:
        vault: The vault's host in lower case, such as ``kv1.vault.azure.net``.
        name: In lower case; Key Vault does not tell cases apart.
    """

    vault: str
    name: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL that must name a key without a version.

        Raises:
            InvalidKeyUrlError: It names a version, or no key.
        """
        found = parse_key_url(url)
        if not isinstance(found, cls):
            raise InvalidKeyUrlError(f"names a version, not a key as such: {url!r}")
        return found

    @property
    def is_managed_hsm(self) -> bool:
        """Whether the vault is a managed HSM (in every cloud: ``NAME.managedhsm.…``)."""
        return self.vault.partition(".")[2].startswith("managedhsm.")

    def __str__(self) -> str:
        return f"https://{self.vault}/keys/{self.name}"


@dataclass(frozen=True, slots=True)
class KeyVersion:
    """One version of a key.

    Equal only if vault, name and version all are: a key restored into another vault keeps its
    version ids. The text gives no order (Key Vault makes it at random): ask ``is_older``.
    """

    key: Key
    version: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL that must name a version.

        Raises:
            InvalidKeyUrlError: It names a key only, or nothing.
        """
        found = parse_key_url(url)
        if not isinstance(found, cls):
            raise InvalidKeyUrlError(f"names a key but no version: {url!r}")
        return found

    def __str__(self) -> str:
        return f"{self.key}/{self.version}"


def parse_key_url(url: str) -> Key | KeyVersion:
    """Read the URL by which Key Vault names a key or one version of it.

    Tolerates what services are seen to write: any casing, ``:443``, a trailing slash, blanks
    around it. Refuses userinfo, other ports, queries and escapes.

    Raises:
        InvalidKeyUrlError: It is not such a URL.
    """
    found = _URL.fullmatch(url.strip(" "))
    if found is None:
        raise InvalidKeyUrlError(f"not the URL of a key: {url[:200]!r}")
    key = Key(found["vault"].lower(), found["name"].lower())
    return KeyVersion(key, found["version"].lower()) if found["version"] else key


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionState:
    """What the vault says about one version.

    Attributes:
        created: In whole seconds, as Key Vault keeps it.
        not_before: Not usable before; ``None``: from the start.
        expires: Not usable from then on; ``None``: never expires.
        key_type: ``RSA``, ``RSA-HSM``, ``EC`` …; ``None`` where the vault's listing omits it.
        bits: Size of an RSA key; ``None`` for others and in listings.
        operations: What the key may be used for, in lower case: ``wrapkey``; ``None`` in listings.
        recovery: What a deletion would leave, as Key Vault names it: ``Recoverable+Purgeable``;
            empty: it does not say.
    """

    id: KeyVersion
    created: datetime
    enabled: bool
    not_before: datetime | None = None
    expires: datetime | None = None
    key_type: str | None = None
    bits: int | None = None
    operations: frozenset[str] | None = None
    recovery: str = ""

    def why_unusable(self, now: datetime) -> str | None:
        """Return why the version cannot be used at ``now``; ``None`` if it can."""
        if not self.enabled:
            return "disabled"
        if self.expires is not None and self.expires <= now:
            return f"expired on {self.expires:%Y-%m-%d %H:%M} UTC"
        if self.not_before is not None and self.not_before > now:
            return f"not valid before {self.not_before:%Y-%m-%d %H:%M} UTC"
        return None


def is_older(one: VersionState, other: VersionState, current: KeyVersion) -> bool:
    """Return whether ``one`` was surely made before ``other``.

    Versions made within one second cannot be told apart by ``created``: the one that the vault
    calls current is then the newer, and between two others neither is surely older.
    """
    if one.created != other.created:
        return one.created < other.created
    return other.id == current and one.id != current
