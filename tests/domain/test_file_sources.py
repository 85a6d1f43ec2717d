"""Where deployment configs may lie, and which blobs are among them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.clouds import AZURE_PUBLIC, CLOUDS
from shared.domain.errors import NotAllowedError
from shared.domain.file_sources import BlobName, FileSource

CONTAINER = "https://stone.blob.core.windows.net/configs"


def source(text: str) -> FileSource:
    return FileSource.parse(text, AZURE_PUBLIC)


@pytest.mark.parametrize(
    ("text", "prefix", "tag"),
    [
        (CONTAINER, "", None),
        (f"{CONTAINER}/", "", None),
        (f"{CONTAINER}/prod", "prod", None),
        (f"{CONTAINER}/Prod/", "Prod/", None),
        (f"{CONTAINER}/a%20b/", "a b/", None),
        (f"{CONTAINER}?tag=env=prod", "", ("env", "prod")),
        (f"{CONTAINER}?tag=env=", "", ("env", "")),
        (f"{CONTAINER}/prod/?tag=team=a%20b", "prod/", ("team", "a b")),
        (f"{CONTAINER}?tag=env=a=b", "", ("env", "a=b")),
        (f"{CONTAINER}?tag=a+b=c+d", "", ("a+b", "c+d")),
        (f"{CONTAINER}?tag=a%2Bb%3Dc=d%2be", "", ("a+b=c", "d+e")),
    ],
)
def test_a_source_is_a_container_with_a_prefix_and_a_tag_if_need_be(
    text: str, prefix: str, tag: tuple[str, str] | None
) -> None:
    found = source(text)
    assert found.begin == BlobName("stone.blob.core.windows.net", "configs", prefix)
    assert found.tag == tag
    assert found.text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "configs",
        "https://stone.blob.core.windows.net",
        "https://stone.blob.core.windows.net/",
        "http://stone.blob.core.windows.net/configs",
        "https://stone.blob.core.windows.net:8443/configs",
        "https://user@stone.blob.core.windows.net/configs",
        "https://stone.blob.core.windows.net.evil.example/configs",
        "https://stone.queue.core.windows.net/configs",
        "https://stone.blob.core.usgovcloudapi.net/configs",
        "https://s.blob.core.windows.net/configs",
        "https://a.stone.blob.core.windows.net/configs",
        "https://stone.blob.core.windows.net/Configs",
        "https://stone.blob.core.windows.net/-configs",
        "https://[stone.blob.core.windows.net/configs",
        f"{CONTAINER}#part",
        f"{CONTAINER}?tag=env",
        f"{CONTAINER}?tag==prod",
        f"{CONTAINER}?tag=env='prod' or 1",
        f'{CONTAINER}?tag=e"nv=prod',
        f"{CONTAINER}?tag",
        f"{CONTAINER}?Tag=env=prod",
        f"{CONTAINER}?tag=env=a%26b",
        f"{CONTAINER}?tag=env=%27a",
        f"{CONTAINER}?tag=e%22nv=a",
        f"{CONTAINER}?tag=env=%E4",
        f"{CONTAINER}?tag=env=prod&tag=team=a",
        f"{CONTAINER}?tag=env=prod&sig=secret",
        f"{CONTAINER}?sv=2025&sig=secret",
    ],
)
def test_anything_else_is_refused_and_no_signature_is_repeated(text: str) -> None:
    with pytest.raises(NotAllowedError) as raised:
        source(text)
    assert "secret" not in str(raised.value)


def test_another_cloud_has_its_own_accounts() -> None:
    text = "https://stone.blob.core.usgovcloudapi.net/configs"
    assert FileSource.parse(text, CLOUDS["AzureUSGovernment"]).begin.url.startswith(text)


@pytest.mark.parametrize(
    ("url", "covered"),
    [
        (f"{CONTAINER}/prod/a.yaml", True),
        (f"{CONTAINER}/prod/deep/a%20b.yaml", True),
        (f"{CONTAINER}/Prod/a.yaml", False),
        (f"{CONTAINER}/test/a.yaml", False),
        (f"{CONTAINER}/prod/../test/a.yaml", False),
        (f"{CONTAINER}/prod/%2e%2e/%2E%2E/others/a.yaml", False),
        (f"{CONTAINER}/prod/./a.yaml", False),
        (f"{CONTAINER}/prod/..a.yaml", True),
        (f"{CONTAINER}2/prod/a.yaml", False),
        ("https://other.blob.core.windows.net/configs/prod/a.yaml", False),
    ],
)
def test_a_source_covers_its_own_blobs_case_and_all(url: str, covered: bool) -> None:  # noqa: FBT001 - a table
    assert source(f"{CONTAINER}/prod/").covers(BlobName.parse(url)) is covered


def test_a_container_is_no_file_of_itself() -> None:
    assert not source(CONTAINER).covers(BlobName.parse(CONTAINER))


@pytest.mark.parametrize(
    "query", ["?snapshot=2026-01-01", "?versionid=1", "?sig=secret", "?", "#a"]
)
def test_a_snapshot_a_version_or_a_signed_url_is_no_blob_of_ours(query: str) -> None:
    with pytest.raises(NotAllowedError) as raised:
        BlobName.parse(f"{CONTAINER}/a.json{query}")
    assert "secret" not in str(raised.value)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_every_name_survives_its_url(path: str) -> None:
    name = BlobName("stone.blob.core.windows.net", "configs", path)
    assert BlobName.parse(name.url) == name
