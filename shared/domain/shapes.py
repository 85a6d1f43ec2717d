"""How the JSON of a resource refers to keys: the forms that ``shared.domain.resources.Shape`` has.

A resource has one reference, as a URL or in three fields; or a list of such; or several, each at a
place of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.domain.errors import InvalidKeyUrlError, UnreadableError
from shared.domain.json_paths import Json, drop, look_up, put, text_at, told_at
from shared.domain.keys import Key, KeyVersion, parse_key_url
from shared.domain.resources import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitReference:
    """One reference kept in three fields: the vault's URI, the key's name, the version.

    Attributes:
        place: Which consumer of the resource this is.
        when: Path and text, or ``true`` for a flag, that tell a customer-managed key from the
            platform's own; ``None`` where the fields are there only for a customer-managed key.
        vault, name, version: Paths of the three fields. An absent or empty version is versionless;
            an empty path: there is no such field.
        follows: Path of a flag that, where it is true, has the service follow the vault although a
            version is named: the reference counts as versionless. Empty: there is none.
    """

    place: str
    when: tuple[str, str] | None
    vault: str
    name: str
    version: str
    follows: str = ""

    def read(self, body: Json) -> Sequence[Reference]:
        """See ``Shape.read``."""
        if not is_so(body, self.when):
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
            named = KeyVersion.parse(f"{key}/{version}")
        except InvalidKeyUrlError as error:
            raise UnreadableError(f"{self.version} is {version!r:.64}, no version") from error
        return (Reference(self.place, key, None if _is_set(body, self.follows) else named),)

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
        place, when, follows: See ``SplitReference``.
        url: Path of the field. Absent or empty, the resource refers to no key.
    """

    place: str
    when: tuple[str, str] | None
    url: str
    follows: str = ""

    def read(self, body: Json) -> Sequence[Reference]:
        """See ``Shape.read``."""
        url = text_at(body, self.url).strip(" ")
        if not url or not is_so(body, self.when):
            return ()
        try:
            named = parse_key_url(url)
        except InvalidKeyUrlError as error:
            raise UnreadableError(f"{self.url} is {url!r:.200}: names no key of a vault") from error
        if isinstance(named, Key):
            return (Reference(self.place, named, None),)
        return (Reference(self.place, named.key, None if _is_set(body, self.follows) else named),)

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:
        """See ``Shape.point``."""
        if reference.key == target.key:
            put(body, self.url, str(target))

    def restore(self, body: Json, original: Json, *, again: bool) -> None:  # noqa: ARG002 - one form
        """See ``Shape.restore``."""
        put(body, self.url, look_up(original, self.url))


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedReference:
    """One reference by the name of another resource, which is made of vault, key and version.

    Attributes:
        place, when, follows: See ``SplitReference``.
        url: Path of the field in which the service shows the URL behind the name. Never written.
        name: Path of the name.
        made_of: How it is made: ``{vault}_{key}_{version}``.
    """

    place: str
    when: tuple[str, str] | None
    url: str
    name: str
    made_of: str
    follows: str = ""

    def read(self, body: Json) -> Sequence[Reference]:
        """See ``Shape.read``."""
        return self._shown.read(body)

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:
        """See ``Shape.point``. The URL is put as the service will show it, and is not sent."""
        if reference.key == target.key:
            put(body, self.name, by_version(self.made_of, target))
            put(body, self.url, str(target))

    def restore(self, body: Json, original: Json, *, again: bool) -> None:  # noqa: ARG002 - one form
        """See ``Shape.restore``."""
        put(body, self.name, look_up(original, self.name))

    @property
    def _shown(self) -> UrlReference:
        return UrlReference(place=self.place, when=self.when, url=self.url, follows=self.follows)


OneReference = SplitReference | UrlReference | NamedReference


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceList:
    """A list of references, of which each is a consumer of its own.

    An entry's place is its key, so that it stays the same when others come, go or change places:
    ``key vault1/name1``, and ``key vault1/name1 (2)`` for a second one of the same key. A managed
    HSM may be called as a vault is, so that of one it is the whole host.

    Attributes:
        when: See ``SplitReference``.
        entries: Path of the list.
        each: The reference in an entry, with paths from there.
    """

    when: tuple[str, str] | None
    entries: str
    each: OneReference

    def read(self, body: Json) -> Sequence[Reference]:
        """See ``Shape.read``."""
        return tuple(reference for reference, _ in self._entries(body))

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:
        """See ``Shape.point``. All other entries stay as they are."""
        for found, entry in self._entries(body):
            if (found.place, found.key) == (reference.place, reference.key):
                self.each.point(entry, reference, target)

    def restore(self, body: Json, original: Json, *, again: bool) -> None:
        """See ``Shape.restore``. Only what is versionless in ``original`` is changed."""
        before = {found.place: (found, entry) for found, entry in self._entries(original)}
        for found, entry in self._entries(body):
            known = before.get(found.place)
            is_same = known is not None and known[0].key == found.key
            if known and is_same and known[0].pinned is None and found.pinned is not None:
                self.each.restore(entry, known[1], again=again)

    def _entries(self, body: Json) -> Iterator[tuple[Reference, Json]]:
        if not is_so(body, self.when):
            return
        held = look_up(body, self.entries)
        if held is not None and not isinstance(held, list):
            raise UnreadableError(f"{self.entries} is no list")
        seen: dict[Key, int] = {}
        for entry in held or ():
            for found in self.each.read(entry):
                seen[found.key] = nth = seen.get(found.key, 0) + 1
                holder = found.key.vault.partition(".vault.")[0]
                place = f"{self.each.place} {holder}/{found.key.name}"
                named = place if nth == 1 else f"{place} ({nth})"
                yield Reference(named, found.key, found.pinned), entry


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Several references in one body, each at a place of its own; one write carries them all."""

    parts: tuple[OneReference | ReferenceList, ...]

    def read(self, body: Json) -> Sequence[Reference]:
        """See ``Shape.read``."""
        return tuple(reference for part in self.parts for reference in part.read(body))

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:
        """See ``Shape.point``."""
        for part in self._holding(body, reference.place):
            part.point(body, reference, target)

    def restore(self, body: Json, original: Json, *, again: bool) -> None:
        """See ``Shape.restore``. Only what is versionless in ``original`` is changed."""
        for reference in self.read(original):
            if reference.pinned is None:
                for part in self._holding(body, reference.place):
                    part.restore(body, original, again=again)

    def _holding(self, body: Json, place: str) -> Iterator[OneReference | ReferenceList]:
        for part in self.parts:
            if any(found.place == place for found in part.read(body)):
                yield part


@dataclass(frozen=True, slots=True)
class NoReference:
    """The resource names no key itself: it is reached through another one, or holds none."""

    def read(self, body: Json) -> Sequence[Reference]:  # noqa: ARG002 - the shape's form
        """See ``Shape.read``."""
        return ()

    def point(self, body: Json, reference: Reference, target: KeyVersion) -> None:
        """See ``Shape.point``: there is nothing to point."""

    def restore(self, body: Json, original: Json, *, again: bool) -> None:
        """See ``Shape.restore``: there is nothing to restore."""


def by_version(text: str, version: KeyVersion) -> str:
    """Fill in ``{vault}`` (its name), ``{key}``, ``{version}`` and ``{target}`` (the whole URL)."""
    return text.format(
        vault=version.key.vault.partition(".")[0],
        key=version.key.name,
        version=version.version,
        target=version,
    )


def is_so(body: object, when: tuple[str, str] | None) -> bool:
    """Return whether a field has a text, in any casing, or a flag; ``None`` asks for nothing."""
    return when is None or told_at(body, when[0]).lower() == when[1].lower()


def _is_set(body: Json, flag: str) -> bool:
    return bool(flag) and look_up(body, flag) is True
