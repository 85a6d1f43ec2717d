"""The document about a concluded rotation, for auditors: what stands in it and what that means.

``docs/evidence.schema.json`` is made from these classes. A field is never renamed or given another
meaning: a document that would need that gets another ``SCHEMA_ID``.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from shared.domain.findings import Severity
from shared.domain.policy import Rules
from shared.domain.proofs import Level
from shared.domain.records import Action
from shared.domain.rows import Owing
from shared.domain.verdicts import Outcome, Verdict

type SchemaId = Literal["urn:keyturn:evidence:1"]
SCHEMA_ID: SchemaId = "urn:keyturn:evidence:1"

STATEMENT = (
    "A rotation of a customer-managed key re-wraps data-encryption keys with the key's new version."
    " The data itself was not re-encrypted. Of each consumer, what was proven is what its verdict"
    " and its level say, by the reason given, on a read after the write; that a write was accepted"
    " proves nothing."
)
"""Auditors object to "re-encrypted": Azure re-wraps."""

LEVELS: Mapping[Level, str] = {
    Level.ACCEPTED: "the service took the write; never enough for a verdict",
    Level.CONFIGURED: "a fresh read shows the reference as it was written; whether the service has"
    " re-wrapped with it, it does not show",
    Level.REPORTED: "a field that the service computes, and nobody can write, names the version",
    Level.OBSERVED: "the vault's audit log shows the consumer using the version; not looked at yet",
}


Moment = Annotated[datetime, Meta(tz=True)]
"""In UTC, as ISO 8601: ``2026-11-27T11:48:50.123456Z``."""


class _Part(Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Part of the document."""


class Tool(_Part, frozen=True, kw_only=True):
    """What wrote the document."""

    name: Annotated[str, Meta(description="`keyturn`.")]
    version: Annotated[str, Meta(description="Its version, by Semantic Versioning.")]


class Who(_Part, frozen=True, kw_only=True):
    """A caller of the HTTP API."""

    id: Annotated[
        str | None,
        Meta(
            description="`TENANT/OBJECT`, both GUIDs, as Entra ID names a user or an application."
            " Null: a function key let the call in, which names nobody."
        ),
    ]
    name: Annotated[
        str | None, Meta(description="What people call it. For people: names can be changed.")
    ]


class Trigger(_Part, frozen=True, kw_only=True):
    """Why the rotation was opened."""

    kind: Annotated[
        Literal["event", "sweep", "operator"],
        Meta(description="`event`: Event Grid; `sweep`: the timer; `operator`: the HTTP API."),
    ]
    id: Annotated[str, Meta(description="Of the event or the request, or the time of the sweep.")]
    reason: Annotated[str | None, Meta(description="The words of whoever asked, or of the watch.")]
    by: Annotated[Who | None, Meta(description="Who asked; null: nobody did.")]


class Act(_Part, frozen=True, kw_only=True):
    """What somebody did about the rotation, or about the request that it was opened for."""

    at: Annotated[Moment, Meta(description="When.")]
    action: Annotated[Action, Meta(description="What.")]
    by: Annotated[Who, Meta(description="Who.")]
    reason: Annotated[str, Meta(description="In whose words, why.")]
    until: Annotated[Moment | None, Meta(description="Until when an approval lasts.")]


class Version(_Part, frozen=True, kw_only=True):
    """A version of the key, as the vault described it when the document was written."""

    id: Annotated[str, Meta(description="Its URL.")]
    created: Annotated[Moment, Meta(description="When it was made, by the vault.")]
    enabled: Annotated[bool, Meta(description="Whether it was enabled.")]
    not_before: Annotated[Moment | None, Meta(description="From when on it is valid.")]
    expires: Annotated[Moment | None, Meta(description="When it expires; null: never.")]


class RotatedKey(_Part, frozen=True, kw_only=True):
    """The key and its versions."""

    id: Annotated[str, Meta(description="URL of the key, without a version.")]
    vault: Annotated[str, Meta(description="The vault's host.")]
    name: Annotated[str, Meta(description="The key's name.")]
    type: Annotated[str | None, Meta(description="`RSA`, `RSA-HSM`, `EC` …; null: not known.")]
    bits: Annotated[int | None, Meta(description="Size of an RSA key.")]
    target: Annotated[str, Meta(description="URL of the version that consumers were moved to.")]
    target_created: Annotated[Moment, Meta(description="When the vault made that version.")]
    current_version_problem: Annotated[
        str | None,
        Meta(
            description="Why the version that the vault named as current could not be used when"
            " the rotation was opened: consumers that name no version follow it all the same."
        ),
    ]
    versions: Annotated[
        tuple[Version, ...] | None,
        Meta(
            description="Every version that the vault listed, the oldest first. Null: it did not"
            " let us."
        ),
    ]
    versions_problem: Annotated[
        str | None, Meta(description="Why the versions could not be listed.")
    ]


class SearchedScope(_Part, frozen=True, kw_only=True):
    """Where consumers were looked for. Azure Resource Graph omits in silence what is hidden."""

    statement: Annotated[str, Meta(description="In words.")]
    declared: Annotated[
        tuple[str, ...],
        Meta(
            description="Ids of the subscriptions that the policy says must be searched. Empty:"
            " all that our identity sees."
        ),
    ]
    readable: Annotated[
        int, Meta(description="How many subscriptions could be read in whole, and were searched.")
    ]
    unreadable: Annotated[
        int, Meta(description="How many had to be searched and could not be, or only in part.")
    ]
    unreadable_ids: Annotated[tuple[str, ...], Meta(description="Their ids; the first hundred.")]
    files: Annotated[int, Meta(description="How many files of the registered sources were read.")]


class Foreseen(_Part, frozen=True, kw_only=True):
    """Something that the look ahead has found about the vault or the key."""

    severity: Annotated[Severity, Meta(description="How bad it is.")]
    code: Annotated[str, Meta(description="What it is, for programs.")]
    text: Annotated[str, Meta(description="What it is, for people.")]
    advice: Annotated[str | None, Meta(description="What to do about it.")]


class AppliedPolicy(_Part, frozen=True, kw_only=True):
    """Under which policy the rotation was last supervised."""

    digest: Annotated[
        str | None,
        Meta(description="SHA-256 of the policy's settings, in hex. Null: no policy was set."),
    ]
    rules: Annotated[Rules, Meta(description="What it said for this key, every setting resolved.")]


class AllowedTime(_Part, frozen=True, kw_only=True):
    """How long the consumer might take to show the target."""

    starts_at: Annotated[
        Moment,
        Meta(
            description="From the write on; without a write from the first read, or, of a consumer"
            " that names no version, from the creation of the target."
        ),
    ]
    seconds: Annotated[int, Meta(description="How long.")]
    assumed: Annotated[
        bool, Meta(description="Whether this is our assumption, since Microsoft documents none.")
    ]
    source: Annotated[str | None, Meta(description="The page that documents it.")]


class Write(_Part, frozen=True, kw_only=True):
    """What was sent to move the consumer."""

    intended_at: Annotated[
        Moment, Meta(description="When the last write was about to be sent; saved before it was.")
    ]
    accepted_at: Annotated[
        Moment | None,
        Meta(description="When the service accepted it; null: it was refused, or never answered."),
    ]
    client_request_id: Annotated[
        str, Meta(description="Sent as `x-ms-client-request-id`; finds it in the activity log.")
    ]
    correlation_id: Annotated[
        str | None, Meta(description="The answer's `x-ms-correlation-request-id`.")
    ]
    policy: Annotated[
        str | None, Meta(description="Digest of the policy under which it was decided.")
    ]
    count: Annotated[
        int,
        Meta(
            description="How many writes were sent to the resource in all: with those that were"
            " refused, got no answer, or gave something back."
        ),
    ]
    rounds: Annotated[
        int,
        Meta(description="How often it was moved again since a late write of ours had undone it."),
    ]


class OwedBack(_Part, frozen=True, kw_only=True):
    """What a write had taken away from the resource, to be given back."""

    what: Annotated[
        Owing,
        Meta(
            description="`restore`: the form that names no version; `recreate`: the resource"
            " itself, which had to be deleted."
        ),
    ]
    settled: Annotated[
        bool,
        Meta(
            description="Whether a fresh read has shown that it was given back, or that there is"
            " nothing any more that it could be given back to."
        ),
    ]


class TriedOut(_Part, frozen=True, kw_only=True):
    """Whether the resource worked after the move. It is no proof of a version."""

    healthy: Annotated[bool | None, Meta(description="Whether it did; null: it could not be told.")]
    said: Annotated[str, Meta(description="What was tried, and what came of it.")]


class SettledBy(_Part, frozen=True, kw_only=True):
    """Who says that the consumer was moved by hand. It was not proven."""

    by: Annotated[Who, Meta(description="Who says so.")]
    at: Annotated[Moment, Meta(description="When they said so.")]
    reason: Annotated[str, Meta(description="In their words, what was done.")]


class Replaced(_Part, frozen=True, kw_only=True):
    """A document about the same rotation that was kept before; it is not changed."""

    name: Annotated[str, Meta(description="Of the blob.")]
    sha256: Annotated[str, Meta(description="Of its bytes, in hex.")]


class MovedConsumer(_Part, frozen=True, kw_only=True):
    """One reference to the key, in one resource."""

    resource: Annotated[
        str, Meta(description="Id of the resource in Azure Resource Manager, or URL of a file.")
    ]
    kind: Annotated[str, Meta(description="What it is, for programs.")]
    kind_title: Annotated[str, Meta(description="What it is, for people.")]
    location: Annotated[str | None, Meta(description="Its region.")]
    place: Annotated[str, Meta(description="Where in the resource the reference lies.")]
    form: Annotated[
        Literal["pinned", "versionless"] | None,
        Meta(
            description="Whether the reference named a version (`pinned`) or followed the vault,"
            " when it was first read. Null: it was never read."
        ),
    ]
    reference_before: Annotated[
        str | None, Meta(description="What it named when it was first read.")
    ]
    reference_after: Annotated[
        str | None,
        Meta(description="What it named at the last look; null: not this key, or never read."),
    ]
    version_before: Annotated[
        str | None,
        Meta(
            description="URL of the version that the service said it used when it was first read."
            " Null: it did not say."
        ),
    ]
    version_after: Annotated[
        str | None, Meta(description="The same at the last look; null: it did not say.")
    ]
    verdict: Annotated[
        Verdict | None,
        Meta(
            description="How it ended. `verified`: moved, then proven; `already`: proven before"
            " anything was written; `late`: proven after its window; `stuck`: not proven in its"
            " window; `failed`: could not be moved; `unknown`: could not be read; `manual`: a"
            " person must act; `skipped`: refers to the key no longer; `superseded`: on a newer"
            " version, or to be moved to one; `cancelled`; `gone`: nothing has its id any more;"
            " `reverted`: somebody changed it afterwards; `not_applicable`. Null: none was given."
        ),
    ]
    level: Annotated[
        Level | None, Meta(description="What the proof is worth, see `levels`; null: no proof.")
    ]
    reason: Annotated[
        str | None, Meta(description="What was seen: what proved it, or why it ended otherwise.")
    ]
    advice: Annotated[str | None, Meta(description="What a person has to do.")]
    settled: Annotated[
        SettledBy | None,
        Meta(
            description="Who answers for a `manual` by their word; it is not proven. Null: nobody,"
            " or nobody has to."
        ),
    ]
    confirmed: Annotated[
        bool,
        Meta(description="Whether the verdict was seen to stand at a last read before the end."),
    ]
    window: Annotated[
        AllowedTime | None, Meta(description="How long it had; null: its kind is not known.")
    ]
    found_at: Annotated[Moment, Meta(description="When the search found it.")]
    read_at: Annotated[
        Moment | None, Meta(description="When it was first read since it was last taken up.")
    ]
    closed_at: Annotated[Moment | None, Meta(description="When it got its verdict.")]
    write: Annotated[Write | None, Meta(description="What was sent to it; null: nothing was.")]
    note: Annotated[str | None, Meta(description="What the write did beside re-pointing.")]
    owed: Annotated[OwedBack | None, Meta(description="What was to be given back; null: nothing.")]
    health: Annotated[
        TriedOut | None, Meta(description="What came of trying it out; null: it was not tried.")
    ]


class Document(_Part, frozen=True, kw_only=True):
    """What became of one rotation: one run that moved the consumers of a key to one version."""

    schema: Annotated[SchemaId, Meta(description="Id and version of this schema.")]
    statement: Annotated[str, Meta(description="What a rotation is, and what it proves.")]
    levels: Annotated[
        dict[Level, str], Meta(description="What each level of proof means, the weakest first.")
    ]
    tool: Annotated[Tool, Meta(description="What wrote this document.")]
    cloud: Annotated[str, Meta(description="`AzureCloud`, or the sovereign cloud.")]
    tenant: Annotated[
        str | None,
        Meta(description="Id of the vault's tenant; null: not read, or it is a managed HSM."),
    ]
    rotation: Annotated[str, Meta(description="Id of the rotation.")]
    run: Annotated[int, Meta(description="How many rotations to this version there were, with it.")]
    recheck: Annotated[
        bool, Meta(description="Whether it only looked after what the run before it had moved.")
    ]
    took_over_from: Annotated[
        str | None, Meta(description="Id of the unfinished rotation in whose place it was opened.")
    ]
    outcome: Annotated[
        Outcome,
        Meta(
            description="`completed`: every consumer found is settled, or answered for by a person"
            " (`settledByHand`), and everything that had to be searched was; `nothing_found`: there"
            " is none; `failed`: anything else; `superseded`: a newer version took over;"
            " `cancelled`: a person stopped it."
        ),
    ]
    problem: Annotated[
        str | None, Meta(description="Why it could not succeed whatever its consumers did.")
    ]
    counts: Annotated[
        dict[Verdict, int], Meta(description="How many consumers ended with each verdict.")
    ]
    settled_by_hand: Annotated[
        int,
        Meta(
            description="How many of the `manual` ones a person answers for. They are not proven."
        ),
    ]
    replaces: Annotated[
        Replaced | None,
        Meta(
            description="The document before this one, if somebody has settled something since."
            " Null: there was none."
        ),
    ]
    trigger: Annotated[Trigger, Meta(description="Why it was opened.")]
    acts: Annotated[
        tuple[Act, ...], Meta(description="What people did about it, the earliest first.")
    ]
    key: Annotated[RotatedKey, Meta(description="The key.")]
    opened_at: Annotated[Moment, Meta(description="When it was opened.")]
    discovered_at: Annotated[
        Moment | None, Meta(description="When the first search had come to its end.")
    ]
    ended_at: Annotated[Moment, Meta(description="When it ended.")]
    scope: Annotated[
        SearchedScope | None,
        Meta(description="Where consumers were looked for; null: the search was broken off."),
    ]
    preflight: Annotated[
        tuple[Foreseen, ...] | None,
        Meta(description="What was foreseen, the worst first; null: nobody looked."),
    ]
    policy: Annotated[AppliedPolicy, Meta(description="What was allowed.")]
    consumers: Annotated[
        tuple[MovedConsumer, ...],
        Meta(
            description="Every consumer that was found, in an order that stays the same. The"
            " last property, and one consumer a line, so that a document of any size can be read"
            " piece by piece."
        ),
    ]


def schema() -> dict[str, Any]:
    """Return the schema of the document, of JSON Schema 2020-12."""
    (root,), parts = msgspec.json.schema_components([Document], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **root,
        "title": "Evidence of a key rotation",
        "$defs": parts,
    }
