"""What a catalog entry says about one kind of resource that holds key references."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.errors import InvalidKeyUrlError, UnreadableError
from shared.domain.json_paths import Json, drop, every, look_up, put, text_at
from shared.domain.keys import Key, KeyVersion, parse_key_url
from shared.domain.pacing import Budget
from shared.domain.proofs import Level, Rule, version_at
from shared.domain.resources import Reference, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReference:
    """One reference kept in three fields: the vault's URI, the key's name, the version.

    Attributes:
        place: Which consumer of the resource this is.
        when: Path and text that tell a customer-managed key from the platform's own; ``None``
            where the fields are there only for a customer-managed key.
        vault, name, version: Paths of the three fields. An absent or empty version is versionless.
    """

    place: str
    when: tuple[str, str] | None
    vault: str
    name: str
    version: str

    def read(self, body: Json) -> Sequence[Reference]:
        """See ``Shape.read``."""
        if not _is_so(body, self.when):
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

    def restore(self, body: Json, original: Json, *, again: bool) -> None:
        """See ``Shape.restore``. To leave the version out is another form than an empty one."""
        version = "" if again else look_up(original, self.version)
        if version is None:
            drop(body, self.version)
        else:
            put(body, self.version, version)


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlReference:
    """One reference kept as the URL of a key, or of one version of it.

    Attributes:
        place, when: See ``SplitReference``.
        url: Path of the field. Absent or empty, the resource refers to no key.
    """

    place: str
    when: tuple[str, str] | None
    url: str

    def read(self, body: Json) -> Sequence[Reference]:
        """See ``Shape.read``."""
        url = text_at(body, self.url).strip(" ")
        if not url or not _is_so(body, self.when):
            return ()
        try:
            named = parse_key_url(url)
        except InvalidKeyUrlError as error:
            raise UnreadableError(f"{self.url} is {url!r:.200}: names no key of a vault") from error
        if isinstance(named, Key):
            return (Reference(self.place, named, None),)
        return (Reference(self.place, named.key, named),)

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:
        """See ``Shape.point``."""
        if reference.key == target.key:
            put(body, self.url, str(target))

    def restore(self, body: Json, original: Json, *, again: bool) -> None:  # noqa: ARG002 - one form
        """See ``Shape.restore``."""
        put(body, self.url, look_up(original, self.url))


def _is_so(body: object, when: tuple[str, str] | None) -> bool:
    return when is None or text_at(body, when[0]).lower() == when[1].lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """How a kind's references are changed.

    Attributes:
        verb: ``PATCH`` or ``PUT``.
        send: Paths of the fresh body that are sent back, with the references changed.
        never: Paths below them that are left out: the service computes them, or refuses them.
            ``*`` stands for every name or item.
        guard: Path whose text must be there and reach the service unchanged: without it the
            write would switch the customer-managed key off. Empty: nothing could do that.
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


class Plane(StrEnum):
    """Where a kind is read and written."""

    ARM = "arm"
    """Azure Resource Manager."""
    BLOB = "blob"
    """A blob of a registered source; the resource's id is its URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symptom:
    """A state of a resource in which it can take up no key version before a person has acted.

    Attributes:
        path: The field that shows it.
        says: What its text contains then, in any casing.
        advice: What to do, in which order.
    """

    path: str
    says: str
    advice: str

    def shows(self, body: Json) -> bool:
        """Return whether ``body``, a fresh GET, shows it."""
        return self.says.lower() in text_at(body, self.path).lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What a GET does not show, so that a resource cannot be made again from it.

    Attributes:
        each: Path of the objects that hold one; ``*`` stands for every name or item.
        unless: Paths in them of which one must have a value, for the object to hold none. Empty:
            each holds one.
        fields: Paths in them of what is not shown, as it is sent when the resource is made.
        title: For people, in the plural: ``registry passwords``.
        when: Path and text, in any casing, without which an object holds none; ``None``: any may.
    """

    each: str
    unless: tuple[str, ...]
    fields: tuple[str, ...]
    title: str
    when: tuple[str, str] | None = None

    def hides(self, body: Json) -> bool:
        """Return whether ``body``, a fresh GET, lacks such a secret."""
        return any(
            _is_so(holder, self.when)
            and all(look_up(holder, path) in (None, "") for path in self.unless)
            for holder in every(body, self.each)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recreation:
    """What it takes to delete a resource and make it again, where no write changes its key.

    ``Kind.write`` says what of the GET is the definition that is sent to make it again.

    Attributes:
        secrets: What must not be hidden.
        identity: Path of the text that must be there: a user-assigned identity, which outlives
            the resource and keeps its rights.
        state: Path of the text that is ``Running`` where making it again starts nothing that had
            stopped or come to its end.
        own_identity: Path of a text that must not contain ``SystemAssigned``: such an identity
            dies with the resource, and what it was allowed with it.
        made_from: Paths of which none may have a value: the resource then comes from a definition
            that lies elsewhere, and what a body that names it brings back is documented nowhere.
        at_source: For people: what to do then.
        consequences: For people: what the resource and its users will notice.
        commands: The way by hand, with ``{subscription}``, ``{group}``, ``{name}``; ``{url}`` of
            the resource, from ``/subscriptions`` on, at the kind's API version; ``{change}``, what
            to change in what a GET of it shows.
    """

    secrets: tuple[Secret, ...]
    identity: str
    state: str
    own_identity: str
    made_from: tuple[str, ...]
    at_source: str
    consequences: str
    commands: str


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
        in_use_key: Path of the field that names its key, where ``in_use`` may be a bare version.
        pinned, versionless: The windows of the two forms of reference; ``versionless`` is
            ``None`` where the service needs a version.
        key_types, key_bits: Which keys the service takes.
        budget: What its provider grants per subscription and region, beside Resource Manager.
        actions: Azure RBAC actions that reading and writing need.
        advice: What a person does about an error code of the service.
        sources: Where the facts of this entry come from.
        plane: Where it is read and written.
        listed_under: Resource type of the parent under which ARM lists it, where Resource Graph
            does not hold it; else empty.
        symptoms: States in which a person must act first.
        may_nudge: Whether a versionless reference takes up the target when the version is written,
            and then its versionless form again.
        recreation: Where no write changes the key; ``None``: one does.
        has_blobs: Whether a blob can be written and read in it, to see that it works.
        refuses_while_expired: Whether it takes no new version while the one it uses is expired.
        if_stuck: What a person does if the window closes before the proof shows.
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
    plane: Plane = Plane.ARM
    listed_under: str = ""
    symptoms: tuple[Symptom, ...] = ()
    may_nudge: bool = False
    recreation: Recreation | None = None
    has_blobs: bool = False
    refuses_while_expired: bool = False
    in_use_key: str = ""
    if_stuck: str = (
        "keep the old version enabled; check that the resource's identity can reach the vault,"
        " unwrap with the old version and wrap with the new; then rotate again"
    )

    @property
    def read_action(self) -> str:
        """The Azure RBAC action that a GET of it needs (ARM's rule: GET is ``read``)."""
        return f"{self.resource_type}/read"

    def version_in_use(self, body: Json) -> KeyVersion | None:
        """Return the version that the service itself says it uses; ``None`` if it does not say."""
        return version_at(body, self.in_use, self.in_use_key) if self.in_use else None
