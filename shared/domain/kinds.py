"""What a catalog entry says about one kind of resource that holds key references."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from shared.domain.json_paths import Json, every, look_up, text_at, told
from shared.domain.keys import KeyVersion
from shared.domain.pacing import Budget
from shared.domain.proofs import Level, Rule, version_at
from shared.domain.resources import Shape
from shared.domain.shapes import is_so


class Completion(StrEnum):
    """How the end of a write shows. It is never taken for a proof."""

    SYNC = "sync"
    """The answer is the end of it."""
    STATE = "state"
    """It goes on, and the resource's ``provisioningState`` says how it ends."""
    OPERATION = "operation"
    """It goes on; the resource looks well all the time, only its operation tells of a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class First:
    """What must be there before a reference can name a version, and is made where it is not.

    It takes nothing away, and made again it is the same: so it may be sent twice.

    Attributes:
        title: For people: ``server key``.
        path: Its id, below the parent of the resource, with the fields of ``shapes.by_version``.
        body: What makes it: paths, and texts with these fields.
    """

    title: str
    path: str
    body: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """How a kind's references are changed.

    Attributes:
        verb: ``PATCH`` or ``PUT``; empty: Keyturn never writes it (see ``ByHand``).
        send: Paths of the fresh body that are sent back, with the references changed.
        never: Paths below them that are left out: the service computes them, or refuses them.
            ``*`` stands for every name or item.
        guard: Path whose text must be there and reach the service unchanged: without it the
            write would switch the customer-managed key off. Empty: nothing could do that.
        completion: How its end shows.
        first: What is made before; ``None``: nothing.
    """

    verb: str
    send: tuple[str, ...]
    never: tuple[str, ...]
    guard: str
    completion: Completion
    first: First | None = None


NO_WRITE = Write(verb="", send=(), never=(), guard="", completion=Completion.SYNC)
"""Of a kind that is only read and reported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHand:
    """Why Keyturn reads and reports a kind but never writes it, and what a person does.

    Attributes:
        why: What stands in the way, to go on "Keyturn does not change it: ".
        steps: What to do, with ``{resource}``, its id, ``{group}`` and ``{name}`` in that, and
            ``{target}``, the version's URL.
        following: What to do where it names no version and follows the vault by itself; empty:
            the same as for any kind, to see that it does.
    """

    why: str
    steps: str
    following: str = ""


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
        only: Of which resources of the kind it holds, for people; empty: of all.
    """

    length: timedelta
    looks: Looks
    source: str
    only: str = ""


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
        path: The field that shows it; ``*`` stands for every name or item.
        says: What its text contains then, in any casing; of a flag ``true`` or ``false``. Empty:
            that there is something is enough.
        advice: What to do, in which order.
    """

    path: str
    says: str
    advice: str

    def shows(self, body: Json) -> bool:
        """Return whether ``body``, a fresh GET, shows it."""
        return bool(self.seen(body))

    def seen(self, body: Json) -> str:
        """Return what shows it; empty: nothing does."""
        texts = (told(found) for found in every(body, self.path))
        return next((text for text in texts if text and self.says.lower() in text.lower()), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Through:
    """How a resource that names no key itself depends on one: it names a resource that does.

    Attributes:
        kind: Id of the kind of that other resource.
        names: Path, in the one without a key, of the other's id.
        by: Path, in the other, of the ids by which it may be named; empty: by its own.
        says: For people: what it has to do with the key, such as "its disks are encrypted
            through".
        keeps_old: What shows, in one of its parts, that this keeps the old version by itself, and
            what to do then; ``None``: none ever does.
        parts: Path of its parts: objects with a ``name``, which are child resources too.
        part_type: Type of these children, below that of the resource itself.
    """

    kind: str
    names: str
    by: str
    says: str
    keeps_old: Symptom | None = None
    parts: str = ""
    part_type: str = ""

    def keeping(self, body: Json) -> list[Json]:
        """Return the parts of ``body`` that keep the old version by themselves."""
        if self.keeps_old is None:
            return []
        return [part for part in every(body, self.parts) if self.keeps_old.shows(part)]

    def id_of_part(self, resource: str, part: Json) -> str:
        """Return the id of a part of a resource, which is given by its own."""
        return f"{resource}/{self.part_type}/{text_at(part, 'name')}"

    def whole_of(self, resource: str) -> tuple[str, str]:
        """Return the id of the resource that has a part, given by its id, and the part's name.

        Of a resource itself: its own id, and no name.
        """
        whole, found, name = resource.rpartition(f"/{self.part_type}/")
        is_part = self.part_type and found and name and "/" not in name
        return (whole, name) if is_part else (resource, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBy:
    """A reference that follows the vault, and whose version only another resource shows.

    Attributes:
        place: Of the reference.
        part: Path of the object that holds it.
        names: Path of the other resource's id.
        kind: Id of that one's kind: its proof rule decides.
        says: For people: what the other one is to this one, such as "its disk encryption set".
    """

    place: str
    part: str
    names: str
    kind: str
    says: str


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
            is_so(holder, self.when)
            and all(look_up(holder, path) in (None, "") for path in self.unless)
            for holder in every(body, self.each)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A right that a write takes on other resources, which its body names.

    Attributes:
        names: Path of their ids; ``*`` stands for every name or item. Of an object, its names are
            the ids.
        action: What it takes on each.
    """

    names: str
    action: str

    def ids(self, body: Json) -> Iterator[str]:
        """Yield the ids that ``body`` names."""
        for found in every(body, self.names):
            if isinstance(found, dict):
                yield from found
            elif isinstance(found, str) and found:
                yield found


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
        actions: What deleting it and making it again takes on the resource itself.
        linked: What making it again takes on others.
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
    actions: tuple[str, ...]
    linked: tuple[Linked, ...]
    consequences: str
    commands: str

    def takes(self, resource: str, body: Json) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return the actions that it takes, with the id of the resource on which: each id once.

        Args:
            resource: Id of the one that is made again.
            body: The definition that is sent.
        """
        spelt, taken = {resource.lower(): resource}, {resource.lower(): self.actions}
        for link in self.linked:
            for each in link.ids(body):
                key = each.lower()
                spelt.setdefault(key, each)
                taken[key] = tuple(dict.fromkeys((*taken.get(key, ()), link.action)))
        return tuple((spelt[key], actions) for key, actions in taken.items())


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
        in_use_bare: Path of the field with the bare version, where ``in_use`` may name a key alone.
        pinned, versionless: The windows of the two forms of reference; ``versionless`` is
            ``None`` where the service needs a version, or is not known to follow the vault.
        key_types, key_bits: Which keys the service takes.
        operations: What a key must be allowed to do, in lower case.
        takes_expiry: Whether it takes a version that has an expiry date.
        limits: What else the service asks for, for people; a version of the same key meets it.
        budget: What its provider grants per subscription and region, beside Resource Manager.
        actions: Azure RBAC actions that reading and writing need.
        advice: What a person does about an error code of the service.
        sources: Where the facts of this entry come from.
        plane: Where it is read and written.
        graph_type: The type by which Resource Graph knows it, where that is another one.
        listed_under: Resource type of the parent under which ARM lists it, where Resource Graph
            does not hold it; else empty.
        symptoms: States in which a person must act first.
        may_nudge: Whether a versionless reference takes up the target when the version is written,
            and then its versionless form again.
        recreation: Where no write changes the key; ``None``: one does.
        by_hand: Where it is only read and reported; ``None``: it is written.
        through: By which other resources one without a reference of its own comes to depend on a
            key.
        identities: Paths of the ids of the user-assigned identities under which it uses keys, where
            it names them by their ids; ``*`` stands for every item.
        shown_by: What shows the version of a reference that the resource does not show itself.
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
    graph_type: str = ""
    listed_under: str = ""
    symptoms: tuple[Symptom, ...] = ()
    may_nudge: bool = False
    recreation: Recreation | None = None
    by_hand: ByHand | None = None
    through: tuple[Through, ...] = ()
    identities: tuple[str, ...] = ()
    shown_by: ShownBy | None = None
    operations: frozenset[str] = frozenset({"wrapkey", "unwrapkey"})
    takes_expiry: bool = True
    limits: tuple[str, ...] = ()
    has_blobs: bool = False
    refuses_while_expired: bool = False
    in_use_key: str = ""
    in_use_bare: str = ""
    if_stuck: str = (
        "keep the old version enabled; check that the resource's identity can reach the vault,"
        " unwrap with the old version and wrap with the new; then rotate again"
    )

    @property
    def one(self) -> str:
        """Its title with the article: ``a container registry``, ``an Automation account``."""
        return f"{'an' if self.title[0].lower() in 'aeiou' else 'a'} {self.title}"

    @property
    def read_action(self) -> str:
        """The Azure RBAC action that a GET of it needs (ARM's rule: GET is ``read``)."""
        return f"{self.resource_type}/read"

    @property
    def search_actions(self) -> tuple[str, ...]:
        """What it takes to find one: without the right to its parent, that is left out silently."""
        above = (f"{self.listed_under}/read",) if self.listed_under else ()
        return (self.read_action, *above)

    def version_in_use(self, body: Json) -> KeyVersion | None:
        """Return the version that the service itself says it uses; ``None`` if it does not say."""
        if not self.in_use:
            return None
        found = version_at(body, self.in_use, self.in_use_key)
        if found is None and self.in_use_bare:
            return version_at(body, self.in_use_bare, self.in_use)
        return found
