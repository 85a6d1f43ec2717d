"""What is tried on the proof rule of most kinds, made from the kind's own sample."""

from collections.abc import Callable

from shared.domain.errors import UnreadableError
from shared.domain.json_paths import Json, drop, look_up, put, text_at
from shared.domain.keys import Key
from shared.domain.kinds import Kind
from shared.domain.proofs import FieldIs, IsEmpty, NoComplaint, Rule, Unprovable
from shared.domain.resources import Reference
from shared.domain.shapes import (
    OneReference,
    ReferenceList,
    References,
    SplitReference,
    UrlReference,
)
from tests.catalog.references import parts, refer
from tests.catalog.samples import sample
from tests.catalog.trials import (
    ELSEWHERE,
    NEWER,
    OLD,
    OTHER_KEY,
    TARGET,
    Trial,
    Wrong,
    compared_otherwise,
    holds,
    less,
    one_is_enough,
    reported_otherwise,
    rules_of,
)
from tests.domain.values import KEY

_WRITTEN = "the written reference instead of the reported one"


def usual_trial(kind: Kind) -> Trial:
    """Return what is tried on a kind that reports a version in use, or only echoes one."""
    if isinstance(kind.proof, Unprovable):
        return _of_nothing(kind)
    return _of_a_report(kind) if kind.in_use else _of_an_echo(kind)


def _of_nothing(kind: Kind) -> Trial:
    """Nothing that such a resource shows is a proof."""
    named, elsewhere = _written(kind, None), _written(kind, None, ELSEWHERE.key)
    failed = _written(kind, None)
    put(failed, "properties.provisioningState", "Failed")
    return Trial(
        proven={},
        unproven={"the key": named, "another": elsewhere, "failed": failed, "an empty body": {}},
        wrong={
            "the key is enough": lambda body: any(r.key == KEY for r in _read(kind, body)),
            "any key is enough": lambda body: bool(_read(kind, body)),
            "the state is enough": lambda body: (
                text_at(body, "properties.provisioningState") == "Succeeded"
            ),
            "a body is enough": bool,
            "nothing is enough": lambda _body: True,
        },
    )


def _written(kind: Kind, version: str | None = TARGET.version, key: Key = KEY) -> Json:
    body = sample(kind.id)
    refer(kind.shape, body, key, version)
    return body


def _one(kind: Kind) -> OneReference:
    """Return the kind's first reference, or that of an entry of its list."""
    first = parts(kind.shape)[0]
    return first.each if isinstance(first, ReferenceList) else first


def _path(kind: Kind) -> str:
    one = _one(kind)
    return one.version if isinstance(one, SplitReference) else one.url


def _holder(kind: Kind, body: Json) -> Json:
    """Return where the path of the first reference begins."""
    first = parts(kind.shape)[0]
    if not isinstance(first, ReferenceList):
        return body
    entries = look_up(body, first.entries)
    return entries[0] if entries else {}


def _of_a_report(kind: Kind) -> Trial:
    def reporting(text: str) -> Json:
        body = _written(kind)
        put(body, kind.in_use, text)
        return body

    proven = {"pinned": reporting(str(TARGET)), "in capitals": reporting(str(TARGET).upper())}
    wrong = compared_otherwise(kind)
    if kind.in_use == _path(kind):
        del wrong[_WRITTEN]
    else:
        proven["versionless"] = _written(kind, None)
        put(proven["versionless"], kind.in_use, str(TARGET))
    nothing = reporting("")
    drop(nothing, kind.in_use)
    unproven = {**reported_otherwise(reporting), "nothing reported": nothing, "an empty body": {}}
    return _with_conditions(kind, Trial(proven, unproven, wrong), lambda: reporting(str(TARGET)))


def _of_an_echo(kind: Kind) -> Trial:
    path = _path(kind)
    is_url = isinstance(_one(kind), UrlReference)
    text = str(TARGET) if is_url else TARGET.version

    def written_as(value: str) -> Json:
        body = _written(kind)
        put(_holder(kind, body), path, value)
        return body

    def tells(fits: Callable[[str], bool]) -> Wrong:
        rest = less(kind, 0) if len(rules_of(kind)) > 1 else (lambda _body: True)
        return lambda body: fits(text_at(_holder(kind, body), path)) and rest(body)

    def reads(fits: Callable[[Reference], bool]) -> Wrong:
        rest = less(kind, 0) if len(rules_of(kind)) > 1 else (lambda _body: True)
        return lambda body: any(fits(found) for found in _read(kind, body)) and rest(body)

    proven = {"the target": _written(kind), "in capitals": written_as(text.upper())}
    unproven = {
        "the old version": _written(kind, OLD.version),
        "a newer version": _written(kind, NEWER.version),
        "no version": _written(kind, None),
        "a version of another form": written_as(f"{text}0"),
        "another vault": _written(kind, key=ELSEWHERE.key),
        "another key": _written(kind, key=Key(KEY.vault, "other")),
        "an empty body": {},
    }
    wrong = {
        "the beginning of the text": tells(lambda found: found.startswith(text)),
        "the very same text": tells(lambda found: found == text),
        "the end of the text": tells(lambda found: found.lower().endswith(TARGET.version)),
        "vault and name ignored": reads(
            lambda found: found.pinned is not None and found.pinned.version == TARGET.version
        ),
        "version ignored": reads(lambda found: found.key == KEY),
        "no version will do": reads(
            lambda found: found.key == KEY and found.pinned in (None, TARGET)
        ),
    }
    if isinstance(kind.shape, ReferenceList | References):
        _of_several(kind, proven, unproven)
        wrong["one reference is enough"] = reads(lambda found: found.pinned == TARGET)
    return _with_conditions(kind, Trial(proven, unproven, wrong), lambda: _written(kind))


def _of_several(kind: Kind, proven: dict[str, Json], unproven: dict[str, Json]) -> None:
    """Add bodies in which one reference is as it must be, and another is not or of another key."""
    lists = isinstance(kind.shape, ReferenceList)
    last = parts(kind.shape)[-1]
    for told, found, version in (
        (unproven, "one on the old version", OLD),
        (proven, "one of another key", OTHER_KEY),
    ):
        body = _written(kind)
        if lists:
            assert isinstance(last, ReferenceList)
            other = _written(kind, version.version, version.key)
            look_up(body, last.entries).extend(look_up(other, last.entries))
        else:
            refer(last, body, version.key, version.version)
        told[found] = body


def _with_conditions(kind: Kind, trial: Trial, right: Callable[[], Json]) -> Trial:
    """Add what each further condition of the rule tells apart."""
    proven, unproven, wrong = dict(trial.proven), dict(trial.unproven), dict(trial.wrong)
    for index, rule in enumerate(rules_of(kind)):
        if index == 0:
            continue
        path = _condition(rule)
        broken = right()
        if isinstance(rule, FieldIs):
            lower = right()
            put(lower, path, rule.value.lower())
            proven[f"{path} in lower case"] = lower
            put(broken, path, "Updating")
            absent = right()
            drop(absent, path)
            unproven[f"{path} absent"] = absent
        elif isinstance(rule, NoComplaint):
            put(broken, path, "Invalid")
            fine = right()
            put(fine, path, rule.well.lower())
            proven[f"{path} in lower case"] = fine
        else:
            put(broken, path, [{"keyUrl": str(OLD)}])
        unproven[f"{path} otherwise"] = broken
        wrong[f"{path} ignored"] = less(kind, index)
    if len(rules_of(kind)) > 1:
        wrong["one condition is enough"] = one_is_enough(kind)
        wrong["the version ignored"] = less(kind, 0)
    wrong["anything at all"] = lambda body: bool(body) or holds(kind.proof)(body)
    return Trial(proven, unproven, wrong)


def _condition(rule: Rule) -> str:
    assert isinstance(rule, FieldIs | IsEmpty | NoComplaint)
    return rule.path


def _read(kind: Kind, body: Json) -> list[Reference]:
    try:
        return list(kind.shape.read(body))
    except UnreadableError:
        return []
