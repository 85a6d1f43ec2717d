"""What is made from the catalog: the page of supported services, the discovery query."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from textwrap import indent

from shared.adapters.resource_graph.inventory import query
from shared.catalog import KINDS
from shared.catalog.beside import BESIDE
from shared.domain.beside import Beside
from shared.domain.kinds import Kind, Plane, Window
from shared.domain.proofs import Unprovable

_MADE = "Made from the catalog by `make catalog`."
_VAULT = "<vault>.vault.azure.net"

_PAGE = """\
# Supported services

<!-- {made} -->

Every kind of resource that Keyturn knows, what it does about it, and what its proof is worth. A
rotation wraps the data-encryption keys anew; the data itself is not encrypted anew.

| proof | what it says |
|---|---|
| `reported` | a field that the service computes names the new version |
| `configured` | a fresh read echoes the new version; which one the service uses, it does not show |
| none | no field shows a version: see the vault's audit log |

Nothing is written to whose request is neither recorded from Azure, in an example of Microsoft's nor
in its reference. *Assumed* windows are an hour, where Microsoft gives no figure.

| service | what Keyturn does | proof | window after a write | without a version |
|---|---|---|---|---|
{table}
{sections}
## Told of, and never moved

{beside}"""


def _looked_at(beside: Beside) -> str:
    if beside.by_hand is None:
        return ""
    return (
        " The steps are told, to be done before a version is retired; those"
        f" {beside.marked} are named. No rotation waits or fails for them: their verdict is"
        " `not_applicable`, since nothing shows which of them use the key."
    )


def supported_services() -> str:
    """Return the page of supported services."""
    return _PAGE.format(
        made=_MADE,
        table="".join(_row(kind) for kind in KINDS),
        sections="\n".join(_section(kind) for kind in KINDS),
        beside="".join(
            f"- **{each.title}**: {each.why}. Counted per rotation, by type.{_looked_at(each)}"
            f" Sources: {_sources(each.sources)}.\n"
            for each in BESIDE
        ),
    )


def _row(kind: Kind) -> str:
    cells = (
        f"[{kind.title}](#{kind.id.replace('_', '-')})",
        _does(kind),
        _proof(kind),
        _window(kind.pinned) if kind.write.verb else "-",
        _versionless(kind),
    )
    return f"| {' | '.join(cells)} |\n"


def _does(kind: Kind) -> str:
    if kind.recreation:
        return "made again where the policy allows it, else reported"
    if kind.write.first:
        return f"re-pointed: {kind.write.first.title}, then {kind.write.verb}"
    if kind.plane is Plane.BLOB:
        return "rewritten in place"
    if kind.write.verb:
        return f"re-pointed ({kind.write.verb})"
    if any(each.id == kind.id for each in BESIDE):
        return "told of with the steps, `not_applicable`"
    return "reported with the steps" if kind.by_hand else "reported through what it depends on"


def _proof(kind: Kind) -> str:
    return "none" if isinstance(kind.proof, Unprovable) else f"`{kind.level}`"


def _window(window: Window) -> str:
    hours = window.length / timedelta(hours=1)
    length = f"{hours:g} h" if hours >= 1 else f"{window.length / timedelta(minutes=1):g} min"
    return f"[{length}]({window.source})" if window.source else f"{length}, assumed"


def _versionless(kind: Kind) -> str:
    if kind.versionless is None:
        return "not promised"
    window = kind.versionless
    follows = f"follows the vault, {_window(window)}"
    if shown := kind.shown_by:
        return f"{shown.place}: {follows}, proven by {shown.says}; else not promised"
    if not kind.in_use:
        follows = f"{follows}; never shown, so left to a person"
    return f"{window.only}: {follows}; else not promised" if window.only else follows


def _section(kind: Kind) -> str:
    return (
        f'<a id="{kind.id.replace("_", "-")}"></a>\n\n## {_capital(kind.title)}\n\n'
        + "".join(f"- {line}\n" for line in _facts(kind))
        + _steps(kind)
    )


def _facts(kind: Kind) -> Iterator[str]:
    yield f"Type: `{kind.resource_type}`, api-version `{kind.api_version}`"
    if kind.listed_under:
        yield f"Found by asking each `{kind.listed_under}`: Resource Graph does not hold it"
    yield from (
        f"Depends on a key where {link.says} one: {_title(link.kind)}" for link in kind.through
    )
    if kind.by_hand:
        yield f"Not changed: {kind.by_hand.why}"
    yield f"Keys: {_keys(kind)}"
    yield f"Rights: {_code(kind.actions)}"
    if kind.limits:
        yield f"Limits: {'; '.join(kind.limits)}"
    yield from (
        f"Where `{shown.path}`{_says(shown.says)}, a person acts first: {shown.advice}"
        for shown in kind.symptoms
    )
    yield f"If it stays unproven: {kind.if_stuck}"
    yield f"Error codes with advice: {_code(sorted(kind.advice))}"
    yield f"Sources: {_sources(kind.sources)}"


def _steps(kind: Kind) -> str:
    if kind.by_hand is None:
        return ""
    steps = kind.by_hand.steps.format(
        resource="<id>", group="<group>", name="<name>", target="<URL of the version>"
    )
    following = kind.by_hand.following
    told = f"\nWhere it follows the vault by itself: {following}.\n" if following else ""
    return f"\n```\n{steps}\n```\n{told}"


def _says(text: str) -> str:
    return f" says `{text}`" if text else " is there"


def _keys(kind: Kind) -> str:
    bits = ", ".join(str(each) for each in sorted(kind.key_bits))
    expiry = "" if kind.takes_expiry else "; without an expiry date"
    return (
        f"{', '.join(sorted(kind.key_types))}, {bits} bits, allowed to"
        f" {' and '.join(sorted(kind.operations))}{expiry}"
    )


def _title(kind_id: str) -> str:
    return next(kind.title for kind in KINDS if kind.id == kind_id)


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _code(texts: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in texts)


def _sources(sources: Iterable[str]) -> str:
    return "; ".join(f"<{each}>" if each.startswith("https://") else each for each in sources)


def discovery_query() -> str:
    """Return the query by which consumers are looked for, for a person to run."""
    held = ("kv-placeholder.vault.azure.net", _VAULT)
    text = query(held[0]).replace(*held)
    lines = text.replace(", '", ",\n    '").replace(" | ", "\n| ")
    return (
        f"// {_MADE}\n// Put in the host of a vault. Resource Graph does not hold these, which are"
        f" listed over ARM:\n{indent(_listed(), '// ')}{lines}\n"
    )


def _listed() -> str:
    kinds = [kind for kind in KINDS if kind.listed_under]
    return "".join(f"{kind.resource_type}, under each {kind.listed_under}\n" for kind in kinds)
