"""Accounts whose bodies Azure itself wrote."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from sandbox.estate import Account
from sandbox.identity import APP_PRINCIPAL
from tests.e2e.stage import CHECKOUT, VAULT, Stage, verdicts
from tests.rights import TO_READ_AND_WRITE

_RECORDINGS = CHECKOUT.parent / "shared" / "data" / "recordings" / "storage-accounts"
_FILES = sorted(_RECORDINGS.glob("*.json"))


@pytest.mark.skipif(not _FILES, reason="the recordings are not part of this checkout")
@pytest.mark.parametrize("recording", _FILES, ids=lambda path: path.stem)
def test_recorded_accounts_are_verified_if_they_use_the_key_and_untouched_if_not(
    fast_stage: Stage, recording: Path
) -> None:
    estate = fast_stage.azure.estate
    accounts = estate.load_recording(recording)
    if not accounts:
        pytest.skip("it holds no storage account")
    for account in accounts:
        estate.arm.rbac.allow(APP_PRINCIPAL, TO_READ_AND_WRITE, account.id)
    before = {account.id: fast_stage.in_use(account) for account in accounts}
    keys = {kid.rpartition("/")[0] for kid in before.values() if kid} or {fast_stage.key()}
    vaults = {key.removeprefix("https://").partition(".")[0] for key in keys}
    for vault in vaults:
        fast_stage.managed_vault(vault)
    fast_stage.start({"KEYTURN_VAULTS": ",".join({VAULT, *vaults})})
    for vault in vaults - {VAULT}:
        fast_stage.azure.subscribe(vault)

    targets = {key: fast_stage.rotate(key) for key in keys}
    for account in (a for a in accounts if before[a.id]):
        _await_first_look(fast_stage, account)
        account.pace.next_poll_at = fast_stage.azure.clock.now() + timedelta(minutes=5)
    reports = [fast_stage.ended(target) for target in targets.values()]

    expected = {id_.rpartition("/")[2]: "verified" for id_, kid in before.items() if kid}
    assert {n: v for report in reports for n, v in verdicts(report).items()} == expected
    for account in accounts:
        used = before[account.id]
        assert fast_stage.in_use(account) == (targets[used.rpartition("/")[0]] if used else None)
        if not used:
            assert fast_stage.writes(account) == 0


def _await_first_look(stage: Stage, account: Account) -> None:
    """An account that polled its vault before then would count as moved already."""
    stage.until(lambda: stage.reads(account), 20, "the first look")


@pytest.mark.skipif(not _FILES, reason="the recordings are not part of this checkout")
def test_a_recording_of_a_vault_key_is_among_them() -> None:
    texts = [json.dumps(json.loads(path.read_text())) for path in _FILES]

    assert any("currentVersionedKeyIdentifier" in text for text in texts)
