"""Trying a resource out is a courtesy beside its verdict: it may not cost the verdict anything."""

from dataclasses import dataclass, field, replace

import pytest

from shared.catalog.storage import STORAGE_ACCOUNT
from shared.catalog.storage_errors import EXPLANATIONS
from shared.domain import errors
from shared.domain.health import Health
from shared.usecases.health import CheckHealth

RESOURCE = "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/stone"


@dataclass
class Bird:
    """A canary that meets ``error``, or nothing."""

    error: Exception | None = None
    seen: list[str] = field(default_factory=list)

    def try_out(self, resource: str) -> None:
        self.seen.append(resource)
        if self.error is not None:
            raise self.error


def found(error: Exception | None) -> Health:
    health = CheckHealth(canary=Bird(error)).of(STORAGE_ACCOUNT, RESOURCE)
    assert health is not None
    return health


def test_a_resource_that_works_is_well() -> None:
    assert found(None) == Health(ok=True, said="a blob was written, read back and deleted")


def test_without_a_container_or_without_blobs_nothing_is_tried() -> None:
    bird = Bird()
    assert CheckHealth(canary=None).of(STORAGE_ACCOUNT, RESOURCE) is None
    without = replace(STORAGE_ACCOUNT, has_blobs=False)
    assert CheckHealth(canary=bird).of(without, RESOURCE) is None
    assert bird.seen == []


@pytest.mark.parametrize(
    "error",
    [
        errors.ThrottledError("slow down"),
        errors.UnavailableError("slow down"),
        errors.BusyError("slow down"),
    ],
)
def test_what_passes_says_nothing_of_the_resource(error: Exception) -> None:
    assert found(error) == Health(ok=None, said="slow down")


@pytest.mark.parametrize("code", ["Unheard", ""])
def test_an_error_that_nobody_knows_is_told_as_it_is_and_is_no_sign_of_illness(code: str) -> None:
    assert found(errors.AccessDeniedError("no", code=code)) == Health(ok=None, said="no")


def test_what_reads_back_as_something_else_is_a_sign_of_illness() -> None:
    assert found(errors.UnreadableError("other bytes")) == Health(ok=False, said="other bytes")


@pytest.mark.parametrize("code", sorted(EXPLANATIONS))
def test_a_known_code_is_told_with_its_advice_and_its_source(code: str) -> None:
    known = EXPLANATIONS[code]
    health = found(errors.AccessDeniedError("could not write", code=code))
    assert health.said == f"could not write; {known.advice} ({known.source})"
    assert health.ok is (None if known.is_ours else False)


def test_the_codes_of_a_key_that_cannot_be_used_are_the_resources_trouble() -> None:
    ill = {code for code, known in EXPLANATIONS.items() if not known.is_ours}
    assert ill == {
        "AccountIsDisabled",
        "KeyVaultAccessTokenCannotBeAcquired",
        "KeyVaultEncryptionKeyNotFound",
        "KeyVaultVaultNotFound",
    }


def test_not_even_a_bug_reaches_the_step(caplog: pytest.LogCaptureFixture) -> None:
    health = found(RuntimeError("bug"))
    assert health.ok is None
    assert "see the log" in health.said
    assert "bug" in caplog.text
