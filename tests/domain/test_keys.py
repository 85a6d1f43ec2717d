"""Keys and versions: what their URLs may look like, and which version is older."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.errors import InvalidKeyUrlError
from shared.domain.keys import Key, KeyVersion, VersionState, is_older, parse_key_url
from tests.domain.values import KEY, NEWER, NOW, OLD, TARGET, any_casing, keys, state, versions

URL = str(TARGET)


@given(versions)
def test_a_version_reads_back_from_its_own_text(version: KeyVersion) -> None:
    assert KeyVersion.parse(str(version)) == version


@given(keys)
def test_a_key_reads_back_from_its_own_text(key: Key) -> None:
    assert Key.parse(str(key)) == key


@st.composite
def ways_of_writing(draw: st.DrawFn) -> tuple[KeyVersion, str]:
    version = draw(versions)
    text = str(version)
    if draw(st.booleans()):
        text = text.replace("/keys/", ":443/keys/", 1)
    blanks, slash = draw(st.sampled_from(["", " ", "  "])), draw(st.sampled_from(["", "/"]))
    return version, f"{blanks}{draw(any_casing(text))}{slash}{blanks}"


@given(ways_of_writing())
def test_every_way_that_services_write_a_url_means_the_same(
    written: tuple[KeyVersion, str],
) -> None:
    version, text = written
    assert KeyVersion.parse(text) == version


HOSTILE = {
    "userinfo": URL.replace("https://", "https://me@"),
    "a host after userinfo": "https://kv1.vault.azure.net@evil.example/keys/cmk",
    "another port": URL.replace(".net/", ".net:8443/"),
    "an empty port": URL.replace(".net/", ".net:/"),
    "a query": f"{URL}?x=1",
    "an empty query": f"{URL}?",
    "a fragment": f"{URL}#x",
    "an escape in the name": "https://kv1.vault.azure.net/keys/cm%6b",
    "an escaped slash": "https://kv1.vault.azure.net/keys/cmk%2f" + "0" * 32,
    "plain http": URL.replace("https", "http"),
    "no scheme": URL.removeprefix("https:"),
    "an IDN host": "https://kvé.vault.azure.net/keys/cmk",
    "a single label host": "https://localhost/keys/cmk",
    "an empty label": "https://kv1..azure.net/keys/cmk",
    "an underscore in the name": "https://kv1.vault.azure.net/keys/c_k",
    "no name": "https://kv1.vault.azure.net/keys/",
    "a name of 128": "https://kv1.vault.azure.net/keys/" + "a" * 128,
    "31 hexadecimal digits": f"{KEY}/{'a' * 31}",
    "33 hexadecimal digits": f"{KEY}/{'a' * 33}",
    "no hexadecimal digit": f"{KEY}/{'g' * 32}",
    "digits of another script": f"{KEY}/{'٣' * 32}",
    "a Kelvin sign that folds to k": "https://kv1.vault.azure.net/keys/cm\u212a",
    "a long s that folds to s": "https://kv1.vault.azure.net/key\u017f/cmk",
    "another collection": URL.replace("/keys/", "/secrets/"),
    "a segment too many": f"{URL}/x",
    "two slashes at the end": f"{URL}//",
    "two slashes inside": URL.replace("/keys/", "//keys/"),
    "dots": "https://kv1.vault.azure.net/keys/../cmk",
    "a newline at the end": f"{URL}\n",
    "a newline inside": URL.replace("/keys", "\n/keys"),
    "a tab at the end": f"{URL}\t",
    "a no-break space at the end": f"{URL}\u00a0",
    "a blank inside": URL.replace("/keys/", "/keys/ "),
    "a backslash": "https://kv1.vault.azure.net\\@evil.example/keys/cmk",
    "nothing": "",
}


@pytest.mark.parametrize("url", HOSTILE.values(), ids=HOSTILE)
def test_a_url_of_another_form_is_refused(url: str) -> None:
    with pytest.raises(InvalidKeyUrlError, match="not the URL of a key"):
        parse_key_url(url)


def test_a_refused_url_is_quoted_no_further_than_200_characters() -> None:
    with pytest.raises(InvalidKeyUrlError) as refused:
        parse_key_url("x" * 10_000)
    assert len(str(refused.value)) < 300


def test_a_key_is_no_version_and_a_version_no_key() -> None:
    with pytest.raises(InvalidKeyUrlError, match="names a version"):
        Key.parse(str(TARGET))
    with pytest.raises(InvalidKeyUrlError, match="no version"):
        KeyVersion.parse(str(KEY))


def test_the_same_version_id_in_another_vault_is_another_version() -> None:
    restored = KeyVersion(Key("kv2.vault.azure.net", KEY.name), TARGET.version)
    assert restored != TARGET
    assert KeyVersion.parse(str(restored)) == restored


@pytest.mark.parametrize(
    ("one", "other", "current", "older"),
    [
        pytest.param(NOW, NOW + timedelta(seconds=1), OLD, True, id="made a second before"),
        pytest.param(NOW + timedelta(seconds=1), NOW, TARGET, False, id="made a second after"),
        pytest.param(NOW, NOW, TARGET, True, id="a tie: the vault calls the other current"),
        pytest.param(NOW, NOW, OLD, False, id="a tie: the vault calls this one current"),
        pytest.param(NOW, NOW, NEWER, False, id="a tie: neither is current"),
    ],
)
def test_which_of_two_versions_is_surely_older(
    one: datetime,
    other: datetime,
    current: KeyVersion,
    older: bool,  # noqa: FBT001 - a table
) -> None:
    assert is_older(state(OLD, created=one), state(TARGET, created=other), current) is older


def test_no_version_is_older_than_itself() -> None:
    assert not is_older(state(TARGET), state(TARGET), TARGET)


@given(st.integers(-2, 2), st.sampled_from([OLD, TARGET, NEWER]))
def test_of_two_versions_at_most_one_is_older(seconds: int, current: KeyVersion) -> None:
    one, other = state(OLD, created=NOW + timedelta(seconds=seconds)), state(TARGET)
    assert not (is_older(one, other, current) and is_older(other, one, current))


@pytest.mark.parametrize(
    ("version", "why"),
    [
        pytest.param(state(), None, id="no limits"),
        pytest.param(state(enabled=False), "disabled", id="disabled"),
        pytest.param(state(expires=NOW), "expired on 2026-11-23 18:00 UTC", id="expires now"),
        pytest.param(state(expires=NOW + timedelta(seconds=1)), None, id="expires in a second"),
        pytest.param(state(not_before=NOW), None, id="valid from now on"),
        pytest.param(
            state(not_before=NOW + timedelta(seconds=1)),
            "not valid before 2026-11-23 18:00 UTC",
            id="valid in a second",
        ),
    ],
)
def test_why_a_version_cannot_be_used(version: VersionState, why: str | None) -> None:
    assert version.why_unusable(NOW) == why
