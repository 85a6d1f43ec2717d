"""What an operator wants done: ``keyturn.yaml``, read and resolved for one key."""

import fnmatch
import hashlib
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import FieldInfo, asdict, fields, replace

from shared.domain.errors import NotAllowedError
from shared.domain.keys import Key


class Mode(StrEnum):
    """How far Keyturn may go by itself."""

    OBSERVE = "observe"
    """Nothing is written: what would have to be is left to a person."""
    APPROVE = "approve"
    """Nothing is written before an approver has agreed."""
    AUTO = "auto"
    """Consumers are moved at once."""


class Reaction(StrEnum):
    """What is done about a key that runs out, or is too old."""

    IGNORE = "ignore"
    ALARM = "alarm"
    """It is announced, and shows on the key and in health."""
    ASK = "ask"
    """A request for a new version is kept; it waits for an approver."""
    ROTATE = "rotate"
    """The vault is asked for a new version, which starts a rotation."""


Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# Written so that they mean the same in Python, whose ``$`` lets a line's end pass and whose ``\d``
# takes the digits of every script, and in the ECMAScript of JSON Schema.
_CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)"
_GUID = r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$(?!\n)"
_KEYS = r"^[A-Za-z0-9*?-]+/[A-Za-z0-9*?-]+$(?!\n)"

Pattern = Annotated[str, Meta(pattern=_KEYS, max_length=300)]
"""``VAULT/KEY``, where ``*`` stands for any text and ``?`` for one character."""


class Window(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """When writes may begin."""

    days: Annotated[tuple[Day, ...], Meta(description="On which days it opens.", min_length=1)] = (
        WEEK
    )
    opens: Annotated[str, Meta(pattern=_CLOCK, description="When, as `HH:MM` in its zone.")]
    closes: Annotated[
        str,
        Meta(
            pattern=_CLOCK,
            description="When it closes; a time that is not later is one of the next day.",
        ),
    ]
    zone: Annotated[
        str, Meta(description="An IANA time zone, such as `Europe/Berlin`.", max_length=60)
    ] = "UTC"


class Rules(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What holds for one key, every setting resolved. Kept on each rotation."""

    subscriptions: Annotated[
        tuple[Annotated[str, Meta(pattern=_GUID)], ...],
        Meta(
            description="Ids of the subscriptions in which consumers must be searched. One that"
            " cannot be read fails the rotation. None: every subscription that our identity sees."
        ),
    ] = ()
    mode: Annotated[
        Mode,
        Meta(
            description="How far Keyturn may go: `observe` writes nothing and reports what would"
            " have to be moved; `approve` writes once an approver has agreed; `auto` at once. The"
            " tag `keyturn-mode` on a resource makes it stricter there."
        ),
    ] = Mode.AUTO
    approval_hours: Annotated[
        int,
        Meta(ge=1, le=720, description="How long an approval lasts: no write begins after it."),
    ] = 24
    windows: Annotated[
        tuple[Window, ...],
        Meta(
            description="When writes may begin. None: at any time. What was written is proven, and"
            " what is owed to a resource is paid, at any time; and a version that an operator asks"
            " for is made at once: who asks has chosen the moment."
        ),
    ] = ()
    failure_limit: Annotated[
        int,
        Meta(
            ge=1,
            le=100_000,
            description="How many resources may fail before a rotation pauses for a person. Of the"
            " canaries none may.",
        ),
    ] = 5
    recheck_hours: Annotated[
        int,
        Meta(
            ge=0,
            le=720,
            description="How long after a rotation its key is looked at again. 0: never.",
        ),
    ] = 24
    versionless: Annotated[
        Literal["verify", "nudge"],
        Meta(
            description="What is done about storage accounts and encryption scopes that follow the"
            " vault by themselves: `verify` waits for them, up to a day; `nudge` has them name the"
            " version for a moment."
        ),
    ] = "verify"
    recreate_container_groups: Annotated[
        bool,
        Meta(
            description="Whether a container group may be deleted and made again, where nothing"
            " else changes its key."
        ),
    ] = False
    near_expiry_days: Annotated[
        int, Meta(ge=1, le=365, description="How long before its expiry a key counts as near it.")
    ] = 30
    near_expiry: Annotated[
        Reaction,
        Meta(
            description="What is done when the newest version nears its expiry: `ignore`; `alarm`;"
            " `ask` for a new version, which an approver lets be made; `rotate` at once."
        ),
    ] = Reaction.ALARM
    expired: Annotated[
        Reaction, Meta(description="What is done when the newest version has expired.")
    ] = Reaction.ALARM
    unexpire_days: Annotated[
        int,
        Meta(
            ge=0,
            le=90,
            description="For how long an expired version that consumers use is made valid again,"
            " so that they can take up another. 0: it is left expired.",
        ),
    ] = 0
    max_age_days: Annotated[
        int,
        Meta(
            ge=0,
            le=3650,
            description="The cryptoperiod: how old the newest version may become. 0: any age.",
        ),
    ] = 0
    overage: Annotated[
        Reaction, Meta(description="What is done when the newest version is older than that.")
    ] = Reaction.ALARM


def _optional(field: FieldInfo) -> tuple[str, Any, Any]:
    kind: Any = field.type
    return field.name, kind | UnsetType, UNSET


Settings = msgspec.defstruct(
    "Settings",
    [_optional(field) for field in fields(Rules)],
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
)
"""Any of the settings of ``Rules``; what it does not have stays as it was."""
Settings.__doc__ = "Settings; what is not named stays as it was."

Rule = msgspec.defstruct(
    "Rule",
    [
        (
            "keys",
            Annotated[
                tuple[Pattern, ...],
                Meta(
                    min_length=1,
                    description="Which keys, as `VAULT/KEY` with `*` and `?`: `kv-prod/cmk-*`.",
                ),
            ],
        )
    ],
    bases=(Settings,),
    frozen=True,
    kw_only=True,
    rename="camel",
    forbid_unknown_fields=True,
)
Rule.__doc__ = "Settings for some keys."


class Policy(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The whole document."""

    version: Annotated[Literal[1], Meta(description="Of the form of this document.")] = 1
    manage: Annotated[
        tuple[Pattern, ...],
        Meta(
            description="The keys that Keyturn may manage, as `VAULT/KEY` with `*` and `?`, within"
            " the vaults of `KEYTURN_VAULTS`. An event for another key is refused and counted."
        ),
    ] = ("*/*",)
    defaults: Annotated[
        Settings,  # type: ignore[valid-type] # made from the fields of Rules
        Meta(description="Settings for every key."),
    ] = Settings()
    rules: Annotated[
        tuple[Rule, ...],  # type: ignore[valid-type] # made from the fields of Rules
        Meta(
            description="Settings for some keys: of each setting, the last rule that matches the"
            " key and has it wins."
        ),
    ] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of what the document says, in hex: the same for the same settings."""
        return hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()

    @property
    def declared(self) -> frozenset[str]:
        """Ids of every subscription that must be searched for some key; empty: all visible ones.

        Where the defaults name none, some keys are searched for in all that are visible.
        """
        if self.defaults.subscriptions in (UNSET, ()):  # type: ignore[attr-defined] # see below
            return frozenset()
        named = (rules.subscriptions for rules in (self.defaults, *self.rules))
        return frozenset(each for some in named if some is not UNSET for each in some)

    def manages(self, key: Key) -> bool:
        """Return whether Keyturn may do anything about a key."""
        return any(_matches(pattern, key) for pattern in self.manage)

    def check_manages(self, key: Key) -> None:
        """Raise unless Keyturn may do something about a key.

        Raises:
            NotAllowedError: It may not.
        """
        if not self.manages(key):
            raise NotAllowedError(f"the policy does not let Keyturn manage {key}: see its `manage`")

    def rules_for(self, key: Key) -> Rules:
        """Return what holds for a key."""
        found = _over(Rules(), self.defaults)
        for rule in self.rules:
            if any(_matches(pattern, key) for pattern in rule.keys):  # type: ignore[attr-defined] # see above
                found = _over(found, rule)
        return found


def _over(rules: Rules, settings: Struct) -> Rules:
    names = {field.name for field in fields(Rules)}
    said = {name: value for name, value in asdict(settings).items() if name in names}
    return replace(rules, **{name: value for name, value in said.items() if value is not UNSET})


def _matches(pattern: str, key: Key) -> bool:
    vault = key.vault.partition(".")[0]
    return fnmatch.fnmatchcase(f"{vault}/{key.name}", pattern.lower())
