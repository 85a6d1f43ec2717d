"""Each part of each proof rule matters: without it, some body would be told otherwise.

For every kind there are bodies that prove the target and bodies that do not (lies among them), and
rules that each get one thing wrong. The right rule tells all bodies rightly; no wrong one does.
"""

import pytest

from shared.catalog.container_instances import CONTAINER_GROUP
from shared.catalog.cosmosdb import COSMOSDB_ACCOUNT
from shared.catalog.deployment_configs import DEPLOYMENT_CONFIG
from shared.catalog.storage import STORAGE_ACCOUNT, STORAGE_ENCRYPTION_SCOPE
from shared.domain.errors import UnreadableError
from shared.domain.json_paths import Json, look_up, put, text_at
from shared.domain.keys import Key
from shared.domain.kinds import Kind
from shared.domain.proofs import NamesTarget
from shared.domain.resources import Reference
from tests.catalog.bodies import WELL, config, cosmos, group, scope
from tests.catalog.entries import REFERRING, every_referring_kind
from tests.catalog.samples import SAMPLES
from tests.catalog.trials import (
    ELSEWHERE,
    NEWER,
    OLD,
    OTHER_KEY,
    TARGET,
    Trial,
    by_text,
    compared_otherwise,
    holds,
    less,
    one_is_enough,
    reported_otherwise,
)
from tests.catalog.usual_trials import usual_trial
from tests.domain.values import KEY, account

_TIMESTAMP = "properties.encryption.keyvaultproperties.lastKeyRotationTimestamp"
_STATUS = "properties.customerManagedKeyStatus"
_REVOKED = (
    "Access to your account is currently revoked because the correspondent Azure Key Vault was not"
    " found; for more details …"
)


def changed(body: Json, path: str, value: object) -> Json:
    put(body, path, value)
    return body


def account_in_use(text: str) -> Json:
    return changed(account(TARGET.version, in_use=OLD), STORAGE_ACCOUNT.in_use, text)


def of_accounts() -> Trial:
    kind = STORAGE_ACCOUNT
    return Trial(
        proven={
            "pinned": account(TARGET.version, in_use=TARGET),
            "versionless": account(None, in_use=TARGET),
            "in capitals": account_in_use(str(TARGET).upper()),
        },
        unproven={
            **reported_otherwise(account_in_use),
            "nothing reported": account(TARGET.version, in_use=None),
            "the timestamp moved": changed(account_in_use(str(OLD)), _TIMESTAMP, "2099-01-01"),
            "still updating": account(TARGET.version, in_use=TARGET, provisioning="Updating"),
            "an empty body": {},
        },
        wrong={
            **compared_otherwise(kind),
            "provisioningState ignored": less(kind, 1),
            "the timestamp": lambda body: text_at(body, _TIMESTAMP) > "2026-11-23",
        },
    )


def of_scopes() -> Trial:
    kind = STORAGE_ENCRYPTION_SCOPE
    return Trial(
        proven={
            "pinned": scope(TARGET, in_use=str(TARGET)),
            "versionless": scope(KEY, in_use=str(TARGET)),
            "in capitals": scope(TARGET, in_use=str(TARGET).upper()),
        },
        unproven={
            **reported_otherwise(lambda text: scope(TARGET, in_use=text)),
            "nothing reported": scope(TARGET, in_use=None),
            "the platform's own key by now": scope(
                TARGET, in_use=str(TARGET), source="Microsoft.Storage"
            ),
            "an empty body": {},
        },
        wrong={**compared_otherwise(kind), "source ignored": less(kind, 1)},
    )


def of_cosmos_db() -> Trial:
    kind = COSMOSDB_ACCOUNT
    bare = NamesTarget(kind.in_use)
    return Trial(
        proven={
            "a bare version": cosmos(in_use=TARGET.version),
            "a bare version in capitals": cosmos(in_use=TARGET.version.upper()),
            "a URL": cosmos(in_use=str(TARGET)),
            "a URL in capitals": cosmos(in_use=str(TARGET).upper()),
            "pinned": cosmos(str(TARGET), in_use=TARGET.version),
            "no status": cosmos(in_use=TARGET.version, status=None),
            "the status in capitals": cosmos(in_use=TARGET.version, status=WELL.upper()),
        },
        unproven={
            **reported_otherwise(lambda text: cosmos(str(TARGET), in_use=text)),
            "the bare old version in use": cosmos(str(TARGET), in_use=OLD.version),
            "a bare newer version in use": cosmos(str(TARGET), in_use=NEWER.version),
            "a text that ends so": cosmos(in_use=f"x{TARGET.version}"),
            "a text that begins so": cosmos(in_use=f"{TARGET.version}0"),
            "the version, the URI of another vault": cosmos(
                str(ELSEWHERE.key), in_use=TARGET.version
            ),
            "the URL, the URI of another vault": cosmos(str(ELSEWHERE.key), in_use=str(TARGET)),
            "the version, the URI of another key": cosmos(
                str(OTHER_KEY.key), in_use=TARGET.version
            ),
            "no URI": cosmos(None, in_use=str(TARGET)),
            "nothing reported": cosmos(str(TARGET), in_use=None),
            "no text reported": cosmos(in_use=[TARGET.version]),
            "still updating": cosmos(in_use=TARGET.version, provisioning="Updating"),
            "revoked": cosmos(in_use=TARGET.version, status=_REVOKED),
            "a status unheard of": cosmos(in_use=TARGET.version, status="Something is odd."),
            "a status that is no text": cosmos(in_use=TARGET.version, status={"code": 4002}),
            "an empty body": {},
        },
        wrong={
            **compared_otherwise(kind),
            "only a bare version": by_text(kind, lambda t: t.lower() == TARGET.version),
            "only a URL, and the URI ignored": lambda body: (
                holds(bare)(body) and less(kind, 0)(body)
            ),
            "the end, the URI ignored": by_text(
                kind, lambda text: text.lower().rpartition("/")[2] == TARGET.version
            ),
            "provisioningState ignored": less(kind, 1),
            "status ignored": less(kind, 2),
            "only the known complaints count": lambda body: (
                less(kind, 2)(body) and "revoked" not in str(look_up(body, _STATUS))
            ),
            "a status must be there": lambda body: (
                holds(kind.proof)(body) and bool(text_at(body, _STATUS))
            ),
        },
    )


def of_groups() -> Trial:
    kind = CONTAINER_GROUP
    version = "properties.encryptionProperties.keyVersion"
    return Trial(
        proven={
            "the target": group(TARGET.version),
            "in capitals": group(TARGET.version.upper()),
            "the state in lower case": group(TARGET.version, provisioning="succeeded"),
        },
        unproven={
            "the old version": group(OLD.version),
            "a newer version": group(NEWER.version),
            "no version": group(None),
            "a version of another form": group(f"{TARGET.version}0"),
            "the URL for a version": group(str(TARGET)),
            "another vault": group(TARGET.version, key=ELSEWHERE.key),
            "another key": group(TARGET.version, key=Key(KEY.vault, "other")),
            "being made": group(TARGET.version, provisioning="Creating"),
            "not made": group(TARGET.version, provisioning="Failed"),
            "an empty body": {},
        },
        wrong={
            "the beginning of the text": lambda body: (
                text_at(body, version).startswith(TARGET.version) and less(kind, 0)(body)
            ),
            "the very same text": lambda body: (
                text_at(body, version) == TARGET.version and holds(kind.proof)(body)
            ),
            "vault and name ignored": lambda body: (
                text_at(body, version).lower() == TARGET.version and less(kind, 0)(body)
            ),
            "version ignored": lambda body: (
                any(r.key == KEY for r in _read(kind, body)) and less(kind, 0)(body)
            ),
            "no version will do": lambda body: (
                all(r.pinned in (None, TARGET) for r in _read(kind, body)) and less(kind, 0)(body)
            ),
            "the state ignored": less(kind, 1),
            "the version ignored": less(kind, 0),
            "one condition is enough": one_is_enough(kind),
        },
    )


def of_configs() -> Trial:
    kind = DEPLOYMENT_CONFIG
    return Trial(
        proven={
            "one document": config(TARGET),
            "two documents": config(TARGET, TARGET),
            "one beside another key": config(TARGET, OTHER_KEY),
        },
        unproven={
            "the old version": config(OLD),
            "one of two": config(TARGET, OLD),
            "the other of two": config(OLD, TARGET),
            "a newer version": config(NEWER),
            "another vault": config(ELSEWHERE),
            "another key": config(OTHER_KEY),
            "no reference": {"name": "deploy.yaml", "text": "computeType: ACI\n"},
            "a comment that names it": {"name": "deploy.yaml", "text": f"# {TARGET}\na: 1\n"},
            "not readable": {"name": "deploy.yaml", "text": f"a: [{TARGET.version}"},
            "an empty file": {"name": "deploy.yaml", "text": ""},
        },
        wrong={
            "the version anywhere in the file": lambda body: (
                TARGET.version in text_at(body, "text")
            ),
            "the first reference is enough": lambda body: (
                [r.pinned for r in _read(kind, body)][:1] == [TARGET]
            ),
            "one reference is enough": lambda body: TARGET in {r.pinned for r in _read(kind, body)},
            "other keys count": lambda body: {r.pinned for r in _read(kind, body)} == {TARGET},
            "none left on the old version": lambda body: (
                OLD not in {r.pinned for r in _read(kind, body)}
            ),
            "a file without references is done": lambda body: all(
                r.pinned == TARGET for r in _read(kind, body) if r.key == KEY
            ),
        },
    )


def _read(kind: Kind, body: Json) -> list[Reference]:
    try:
        return list(kind.shape.read(body))
    except UnreadableError:
        return []


TRIALS = {
    STORAGE_ACCOUNT: of_accounts(),
    STORAGE_ENCRYPTION_SCOPE: of_scopes(),
    COSMOSDB_ACCOUNT: of_cosmos_db(),
    CONTAINER_GROUP: of_groups(),
    DEPLOYMENT_CONFIG: of_configs(),
    **{kind: usual_trial(kind) for kind in REFERRING if kind.id in SAMPLES},
}


def each(what: str) -> list[object]:
    """Return a case for each thing of each trial."""
    return [
        pytest.param(kind, name, id=f"{kind.id}: {name}")
        for kind, trial in TRIALS.items()
        for name in getattr(trial, what)
    ]


FEWEST = 5
"""Wrong rules, without which a kind is hardly tried."""


@every_referring_kind
def test_every_kind_is_tried(kind: Kind) -> None:
    assert set(TRIALS) == set(REFERRING)
    assert len(TRIALS[kind].wrong) >= FEWEST


@pytest.mark.parametrize(("kind", "name"), each("proven"))
def test_the_target_is_proven(kind: Kind, name: str) -> None:
    assert kind.proof.check(TRIALS[kind].proven[name], TARGET).holds


@pytest.mark.parametrize(("kind", "name"), each("unproven"))
def test_nothing_less_is_proof_nor_a_lie(kind: Kind, name: str) -> None:
    finding = kind.proof.check(TRIALS[kind].unproven[name], TARGET)
    assert not finding.holds
    assert finding.seen


@pytest.mark.parametrize(("kind", "name"), each("wrong"))
def test_a_wrong_rule_is_told_apart_from_the_right_one(kind: Kind, name: str) -> None:
    trial = TRIALS[kind]
    wrong = trial.wrong[name]
    assert [body for body, proves in trial.bodies().values() if wrong(body) is not proves]
