"""What a catalog entry says about one kind of resource that holds key references."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.errors import InvalidKeyUrlError, UnreadableError
from shared.domain.json_paths import Json, look_up, put, text_at
from shared.domain.keys import Key, KeyVersion, parse_key_url
from shared.domain.pacing import Budget
from shared.domain.proofs import Level, Rule
from shared.domain.resources import Reference


class Shape(Protocol):
    """How a resource's JSON refers to keys. A new kind needs a new shape only if none fits."""

    def read(self, body: Json) -> Sequence[Reference]:
        """Return every reference that ``body`` holds, to whichever key.

        Raises:
            UnreadableError: It refers to a key in a form that is none Azure documents.
        """
        ...

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:
        """Make ``reference``, which ``body`` holds, name ``target``; change nothing else."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReference:
    """One reference kept in three fields: the vault's URI, the key's name, the version.

    Attributes:
        place: Which consumer of the resource this is.
        when: Path and text that tell a customer-managed key from the platform's own.
        vault, name, version: Paths of the three fields. An absent or empty version is versionless.
    """

    place: str
    when: tuple[str, str]
    vault: str
    name: str
    version: str

    def read(self, body: Json) -> Sequence[Reference]:
        """See ``Shape.read``."""
        path, value = self.when
        if text_at(body, path).lower() != value.lower():
            return ()
        uri, name = text_at(body, self.vault).strip(" ").rstrip("/"), text_at(body, self.name)
        version = look_up(body, self.version)
        if not uri and not name:
            return ()
        try:
            key = Key.parse(f"{uri}/keys/{name}")
        except InvalidKeyUrlError as error:
            raise UnreadableError(
                f"{self.vault} is {uri!r:.200}: names no key of a vault"
            ) from error
        if version is None or version == "":
            return (Reference(self.place, key, None),)
        try:
            return (Reference(self.place, key, KeyVersion.parse(f"{key}/{version}")),)
        except InvalidKeyUrlError as error:
            raise UnreadableError(f"{self.version} is {version!r:.64}, no version") from error

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:
        """See ``Shape.point``. Vault and name stay as written: only the version changes."""
        if reference.key == target.key:
            put(body, self.version, target.version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """How a kind's references are changed.

    Attributes:
        verb: ``PATCH`` or ``PUT``.
        send: Paths of the fresh body that are sent back, with the references changed.
        never: Paths below them that are left out: the service computes them, or refuses them.
            ``*`` stands for every name.
        guard: Path whose text must be there and reach the service unchanged: without it the
            write would switch the customer-managed key off.
    """

    verb: str
    send: tuple[str, ...]
    never: tuple[str, ...]
    guard: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """When a resource is read again until the proof shows.

    ``first`` after the start of the window, then ``factor`` times later each, and a last time
    when the window closes.
    """

    first: timedelta
    factor: int = 3

    def after(self, now: datetime, *, start: datetime, window: timedelta) -> datetime | None:
        """Return when to look next; ``None`` once the window has closed."""
        end = start + window
        if now >= end:
            return None
        return next((moment for moment in self._from(start) if now < moment < end), end)

    def _from(self, start: datetime) -> Iterator[datetime]:
        offset = self.first
        while offset < timedelta(days=7):
            yield start + offset
            offset *= self.factor


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How long a kind may take to show the new version, and how often it is looked at.

    Attributes:
        length: Counted from the accepted write, or for a versionless reference from the
            version's creation.
        source: The page that says so; empty: an hour is *assumed*, and reports say that.
    """

    length: timedelta
    looks: Looks
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of resource that holds references to keys: a line of the catalog, not a class.

    Attributes:
        id: Our short name, such as ``storage_account``; stable, it stands in rows and reports.
        title: For people, in the singular.
        resource_type: As ARM writes it.
        api_version: The one we send; every path below is of this version.
        proof: What a fresh GET must show before the resource is ``verified``.
        level: What that proof is worth.
        in_use: Path of the field that names the version in use; empty where there is none.
        pinned, versionless: The windows of the two forms of reference; ``versionless`` is
            ``None`` where the service needs a version.
        key_types, key_bits: Which keys the service takes.
        budget: What its provider grants per subscription and region, beside Resource Manager.
        actions: Azure RBAC actions that reading and writing need.
        advice: What a person does about an error code of the service.
        sources: Where the facts of this entry come from.
    """

    id: str
    title: str
    resource_type: str
    api_version: str
    shape: Shape
    write: Write
    proof: Rule
    level: Level
    in_use: str
    pinned: Window
    versionless: Window | None
    key_types: frozenset[str]
    key_bits: frozenset[int]
    budget: Budget
    actions: tuple[str, ...]
    advice: Mapping[str, str] = field(hash=False)
    sources: tuple[str, ...]

    @property
    def read_action(self) -> str:
        """The Azure RBAC action that a GET of it needs (ARM's rule: GET is ``read``)."""
        return f"{self.resource_type}/read"

    def version_in_use(self, body: Json) -> KeyVersion | None:
        """Return the version that the service itself says it uses; ``None`` if it does not say."""
        try:
            named = parse_key_url(text_at(body, self.in_use))
        except InvalidKeyUrlError:
            return None
        return named if isinstance(named, KeyVersion) else None
