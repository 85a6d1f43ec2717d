"""A service that leads us elsewhere: no token, and no request, goes to a host that is not ours.

By poll URLs, by links to the next page, by challenges and by redirects; through unmodified SDKs.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from azure.eventgrid import EventGridPublisherClient
from azure.identity import ManagedIdentityCredential

from sandbox.azure import LocalAzure
from sandbox.azurite import Azurite
from sandbox.clock import SandboxClock
from sandbox.faults import Answer, Fault
from sandbox.identity import APP_PRINCIPAL
from shared.adapters.arm.client import ArmClient
from shared.adapters.arm.resources import ArmResources
from shared.adapters.clock import RealClock
from shared.adapters.event_grid.announcer import TopicAnnouncer
from shared.adapters.key_vault.vaults import AzureVaults
from shared.adapters.resource_graph.inventory import GraphInventory
from shared.adapters.storage.config_files import BlobConfigFiles
from shared.adapters.storage.containers import connect_as
from shared.catalog.storage import STORAGE_ACCOUNT, STORAGE_ENCRYPTION_SCOPE
from shared.domain import errors
from shared.domain.clouds import AZURE_PUBLIC
from shared.domain.keys import Key
from tests.departures import Departures
from tests.domain.values import ACCOUNT

ARM = "management.azure.com"
FILES = "sthostilefiles"
BLOBS = f"{FILES}.blob.core.windows.net"
SOURCE = f"https://{BLOBS}/configs"

STRANGE_LINKS = {
    "another host": "https://evil.example/x",
    "userinfo that looks like ARM": f"https://{ARM}@evil.example/x",
    "userinfo with a password": f"https://{ARM}:443@evil.example/x",
    "userinfo before ARM": f"https://me@{ARM}/x",
    "a suffix added": f"https://{ARM}.evil.example/x",
    "a prefix added": f"https://evil{ARM}/x",
    "a dot at the end": f"https://{ARM}./x",
    "another port": f"https://{ARM}:8443/x",
    "a port that is none": f"https://{ARM}:443x/x",
    "without TLS": f"http://{ARM}/x",
    "without TLS at a stranger": "http://evil.example/x",
    "another scheme": f"ftp://{ARM}/x",
    "a file": "file:///etc/passwd",
    "without a scheme": f"{ARM}/x",
    "a backslash before the host": f"https://evil.example\\@{ARM}/x",
    "a backslash after the host": f"https://{ARM}\\.evil.example/x",
    "a fragment as the host's end": f"https://evil.example#.{ARM}/x",
    "a query as the host's end": f"https://evil.example?.{ARM}/x",
    "an escaped slash in the host": f"https://evil.example%2f.{ARM}/x",
    "an escaped dot in the host": "https://management%2eazure.com/x",
    "a tab in the host": f"https://{ARM}\t.evil.example/x",
    "a line break in the host": f"https://{ARM}\n.evil.example/x",
    "a NUL in the host": f"https://{ARM}\x00.evil.example/x",
    "a blank in the host": f"https://{ARM} .evil.example/x",
    "a look-alike letter": "https://management.azur\u0435.com/x",
    "a full-width dot": "https://management\uff0eazure\uff0ecom/x",
    "punycode": "https://management.xn--azur-eva.com/x",
    "an address": "https://169.254.169.254/metadata/identity/oauth2/token",
    "an address of version 6": "https://[::1]/x",
    "a number": "https://2130706433/x",
    "another cloud": "https://management.usgovcloudapi.net/x",
    "a very long name": f"https://{'a' * 5000}.example/x",
}
"""Links that are of no host of ours, by what is wrong with them."""

ODD_LINKS = {
    "two slashes and a stranger": "//evil.example/x",
    "two slashes and userinfo": f"//evil.example@{ARM}/x",
    "a slash and an at": "/@evil.example/x",
    "a slash and a backslash": "/\\evil.example/x",
    "dots": "/../../evil.example",
    "an escaped slash": "/%2f%2fevil.example/x",
}
"""Links that are paths: whatever is in them, they are paths at the host that we built."""


@dataclass(frozen=True)
class Ours:
    """Our clients, at a local Azure."""

    azure: LocalAzure
    credential: ManagedIdentityCredential

    @property
    def arm(self) -> ArmClient:
        return ArmClient(AZURE_PUBLIC, self.credential)

    @property
    def resources(self) -> ArmResources:
        return ArmResources(self.arm)

    def answers(self, answer: Answer, host: str = ARM, method: str = "*") -> None:
        """Have the next request to a host answered so."""
        self.azure.faults.add(Fault(host=host, method=method, answer=answer))

    def departures(self, *more: str) -> Departures:
        """Watch what leaves; ``more``: hosts that may be called beside ARM."""
        return Departures(self.azure, frozenset({ARM, *more}))


@pytest.fixture(scope="module", name="served_once")
def _served_once(own_azurite: Azurite) -> Iterator[Ours]:
    with (
        LocalAzure(SandboxClock.start(), own_azurite, "adapter099") as azure,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in azure.environment().items():
            patch.setenv(name, value)
        subscription = azure.estate.subscription("Hostile")
        files = azure.estate.storage_account(FILES, subscription=subscription, key=None)
        azure.blobs.put(files, "configs", "deploy.yaml", b"a: 1\n")
        azure.blobs.allow(files, {"read", "write"}, container="configs")
        with ManagedIdentityCredential() as credential:
            yield Ours(azure, credential)


@pytest.fixture
def ours(served_once: Ours) -> Iterator[Ours]:
    yield served_once
    served_once.azure.faults.clear()


_numbers = itertools.count()


def new_key(ours: Ours) -> Key:
    """Make a key in a vault of its own: the SDK remembers what a vault once asked for."""
    name = f"kv-hostile-{next(_numbers)}"
    vault = ours.azure.estate.vault(name)
    vault.grant(APP_PRINCIPAL, {"get", "list", "rotate", "getRotationPolicy"})
    vault.create_key("cmk")
    return Key(f"{name}.vault.azure.net", "cmk")


def vaults(ours: Ours, key: Key) -> AzureVaults:
    return AzureVaults(frozenset({key.vault}), ours.credential)


def files(ours: Ours) -> BlobConfigFiles:
    return BlobConfigFiles([SOURCE], AZURE_PUBLIC, connect_as(ours.credential))


# -- where a write is to be seen -----------------------------------------------------------------


@pytest.mark.parametrize("header", ["Azure-AsyncOperation", "Location"])
@pytest.mark.parametrize("link", STRANGE_LINKS.values(), ids=list(STRANGE_LINKS))
def test_an_operation_at_a_strange_host_is_not_asked_and_the_failure_says_so(
    ours: Ours, header: str, link: str
) -> None:
    seen = ours.departures()
    try:
        ours.answers(Answer(202, b"", {header: link.encode().decode("latin-1")}))
        accepted = ours.resources.write(STORAGE_ACCOUNT, ACCOUNT, {}, request_id="r", etag="")
        operation = accepted.operation
    except errors.TransientError:  # no HTTP client takes such a header
        operation = ""

    for each in {operation, link} - {""}:
        failure = ours.resources.progress(each).failure
        assert isinstance(failure, errors.RejectedError)
        assert "ARM tells no more" in str(failure)
    seen.assert_none_for_strangers()
    assert {call.method for call in ours.azure.front_door.traffic()[-1:]} <= {"PATCH"}


# -- the next page -------------------------------------------------------------------------------


def _listings(ours: Ours) -> dict[str, Callable[[], object]]:
    resources = ours.resources
    return {
        "subscriptions": resources.subscriptions,
        "our rights": lambda: resources.lacking("s", [STORAGE_ACCOUNT]),
        "encryption scopes": lambda: list(resources.children(STORAGE_ENCRYPTION_SCOPE, ACCOUNT)),
    }


@pytest.mark.parametrize("listing", ["subscriptions", "our rights", "encryption scopes"])
@pytest.mark.parametrize("link", STRANGE_LINKS.values(), ids=list(STRANGE_LINKS))
def test_a_next_page_at_a_strange_host_is_not_fetched(ours: Ours, listing: str, link: str) -> None:
    seen = ours.departures()
    ours.answers(Answer(200, {"value": [], "nextLink": link}))

    with pytest.raises(errors.NotAllowedError, match="link of another host"):
        _listings(ours)[listing]()

    seen.assert_none_for_strangers()


@pytest.mark.parametrize("link", ODD_LINKS.values(), ids=list(ODD_LINKS))
def test_a_next_page_that_is_a_path_is_one_at_our_host(ours: Ours, link: str) -> None:
    seen = ours.departures()
    ours.answers(Answer(200, {"value": [], "nextLink": link}))

    with pytest.raises(errors.KeyturnError):
        ours.resources.subscriptions()

    seen.assert_none_for_strangers()
    assert seen.hosts() == {ARM}


@pytest.mark.parametrize("link", [7, True, {"href": "https://evil.example"}, ["https://evil"]])
def test_a_next_page_that_is_no_text_leads_nowhere(ours: Ours, link: object) -> None:
    seen = ours.departures()
    ours.answers(Answer(200, {"value": [], "nextLink": link}))

    assert ours.resources.subscriptions() == []
    seen.assert_none_for_strangers()


@pytest.mark.parametrize("name", ["another host", "a suffix added", "userinfo that looks like ARM"])
def test_a_page_of_the_inventory_is_asked_for_at_our_host_whatever_its_token(
    ours: Ours, name: str
) -> None:
    """Resource Graph's way on is an opaque text that goes back in the body."""
    seen, link = ours.departures(), STRANGE_LINKS[name]
    ours.answers(Answer(200, {"data": [], "$skipToken": link, "nextLink": link}))
    ours.answers(Answer(200, {"data": []}))
    inventory = GraphInventory(ours.arm)

    page = inventory.page(vault="kv-one.vault.azure.net", subscriptions=["s"], token="")
    inventory.page(vault="kv-one.vault.azure.net", subscriptions=["s"], token=page.token)

    seen.assert_none_for_strangers()
    assert seen.hosts() == {ARM}


_VAULT_LINKS = {
    "another host": "https://evil.example/keys",
    "another vault": "https://kv-other.vault.azure.net/keys",
    "a suffix added": "https://{host}.evil.example/keys",
    "userinfo": "https://{host}@evil.example/keys",
    "userinfo before the vault": "https://me@{host}/keys",
    "another port": "https://{host}:8443/keys",
    "without TLS": "http://{host}/keys",
    "a dot at the end": "https://{host}./keys",
    "an address": "https://127.0.0.1/keys",
    "a backslash": "https://evil.example\\.{host}/keys",
    "another cloud": "https://kv-hostile.vault.azure.cn/keys",
}


@pytest.mark.parametrize("link", _VAULT_LINKS.values(), ids=list(_VAULT_LINKS))
def test_a_next_page_of_keys_or_versions_at_a_strange_host_is_not_fetched(
    ours: Ours, link: str
) -> None:
    key = new_key(ours)
    ours_too = vaults(ours, key)
    assert ours_too.current(key).id.key == key
    calls: list[Callable[[], Any]] = [
        lambda: list(ours_too.keys(key.vault)),
        lambda: ours_too.versions(key),
    ]
    for call in calls:
        seen = ours.departures(key.vault)
        ours.answers(Answer(200, {"value": [], "nextLink": link.format(host=key.vault)}), key.vault)
        with pytest.raises(errors.KeyturnError):
            call()
        seen.assert_none_for_strangers()
        assert len(ours.azure.front_door.traffic()) > 0


@pytest.mark.parametrize("host", ["evil.example", "kv-other.vault.azure.net", ""])
def test_a_vault_off_the_list_is_not_called_whoever_asks_for_it(ours: Ours, host: str) -> None:
    """The last of several defences: the entry points and the key's head refuse it first."""
    seen, ours_too = ours.departures(), vaults(ours, new_key(ours))

    with pytest.raises(errors.NotAllowedError, match="not on the allow-list"):
        ours_too.current(Key(host, "cmk"))

    seen.assert_none()


# -- challenges ----------------------------------------------------------------------------------

_EVIL = "https://evil.example"
_CHALLENGES = {
    "all of it is strange": f'Bearer authorization="{_EVIL}/t", resource="{_EVIL}"',
    "the resource is strange": f'Bearer authorization="https://login.windows.net/t", '
    f'resource="{_EVIL}"',
    "the scope is strange": f'Bearer authorization="https://login.windows.net/t", '
    f'scope="{_EVIL}/.default"',
    "the resource is ARM": f'Bearer authorization="{_EVIL}/t", resource="https://{ARM}"',
    "the resource is a suffix": f'Bearer authorization="{_EVIL}/t", resource="https://net"',
    "the resource is a longer suffix": f'Bearer authorization="{_EVIL}/t", '
    'resource="https://azure.net"',
    "the resource is of userinfo": f'Bearer authorization="{_EVIL}/t", '
    'resource="https://vault.azure.net@evil.example"',
    "the resource has a suffix": f'Bearer authorization="{_EVIL}/t", '
    'resource="https://vault.azure.net.evil.example"',
    "the resource is storage": f'Bearer authorization="{_EVIL}/t", '
    'resource="https://storage.azure.com"',
    "another scheme": f'Basic realm="{_EVIL}"',
    "nothing after the scheme": "Bearer",
    "no resource": f'Bearer authorization="{_EVIL}/t"',
    "no authority": 'Bearer resource="https://vault.azure.net"',
    "garbage": 'Bearer ="",,,=',
}


@pytest.mark.parametrize("challenge", _CHALLENGES.values(), ids=list(_CHALLENGES))
def test_a_vault_that_asks_for_a_token_for_others_gets_none(ours: Ours, challenge: str) -> None:
    key = new_key(ours)
    seen = ours.departures(key.vault)
    ours.answers(Answer(401, {}, {"WWW-Authenticate": challenge}), key.vault)

    with pytest.raises(errors.PermanentError, match="could not read"):
        vaults(ours, key).current(key)

    seen.assert_none_for_strangers()
    assert seen.audiences() <= {"https://vault.azure.net"}
    assert not any(c.bearer for c in ours.azure.front_door.traffic() if c.host == key.vault)


def test_a_vault_that_names_a_strange_authority_gets_the_token_that_is_its_own(ours: Ours) -> None:
    """A managed identity's tokens come from its endpoint, whoever a challenge says gives them."""
    key = new_key(ours)
    seen = ours.departures(key.vault)
    challenge = f'Bearer authorization="{_EVIL}/t", resource="https://vault.azure.net"'
    ours.answers(Answer(401, {}, {"WWW-Authenticate": challenge}), key.vault)

    assert vaults(ours, key).current(key).id.key == key
    seen.assert_none_for_strangers()
    assert seen.hosts() == {key.vault}


_ARM_CHALLENGES = {
    **_CHALLENGES,
    "claims": f'Bearer authorization_uri="{_EVIL}", error="insufficient_claims", '
    'claims="eyJhY2Nlc3NfdG9rZW4iOiB7fX0="',
}


@pytest.mark.parametrize("challenge", _ARM_CHALLENGES.values(), ids=list(_ARM_CHALLENGES))
def test_resource_manager_gets_no_token_but_its_own_whatever_it_asks_for(
    ours: Ours, challenge: str
) -> None:
    seen = ours.departures()
    for _ in range(2):
        ours.answers(Answer(401, {}, {"WWW-Authenticate": challenge}))

    with pytest.raises(errors.AccessDeniedError, match="answered 401"):
        ours.resources.subscriptions()

    assert seen.audiences() <= {f"https://{ARM}"}
    assert seen.hosts() == {ARM}


_BLOB_CHALLENGES = {
    "a strange resource": f"Bearer authorization_uri={_EVIL}/t/oauth2 resource_id={_EVIL}",
    "Resource Manager": f"Bearer authorization_uri={_EVIL}/t/oauth2 resource_id=https://{ARM}",
    "a vault": f"Bearer authorization_uri={_EVIL}/t/oauth2 resource_id=https://vault.azure.net",
    "a suffix added": f"Bearer authorization_uri={_EVIL}/t/oauth2"
    " resource_id=https://storage.azure.com.evil.example",
}


@pytest.mark.parametrize("challenge", _BLOB_CHALLENGES.values(), ids=list(_BLOB_CHALLENGES))
def test_an_account_that_asks_for_a_token_for_others_gets_none(ours: Ours, challenge: str) -> None:
    seen = ours.departures(BLOBS)
    ours.answers(Answer(401, b"", {"WWW-Authenticate": challenge}), BLOBS)

    with pytest.raises(errors.PermanentError, match="read"):
        files(ours).read(f"{SOURCE}/deploy.yaml")

    assert seen.audiences() <= {"https://storage.azure.com"}
    assert seen.hosts() == {BLOBS}


# -- redirects -----------------------------------------------------------------------------------

_AWAY = {
    "another host": "https://evil.example/x",
    "a suffix added": "https://{host}.evil.example/x",
    "userinfo": "https://{host}@evil.example/x",
    "without TLS": "http://{host}/x",
    "without TLS at a stranger": "http://evil.example/x",
    "two slashes": "//evil.example/x",
    "another port": "https://{host}:8443/x",
}
_CODES = (301, 302, 303, 307, 308)

away = pytest.mark.parametrize("link", _AWAY.values(), ids=list(_AWAY))


@away
def test_resource_manager_cannot_redirect_us(ours: Ours, link: str) -> None:
    calls: list[Callable[[], object]] = [
        lambda: ours.resources.read(STORAGE_ACCOUNT, ACCOUNT),
        lambda: ours.resources.write(STORAGE_ACCOUNT, ACCOUNT, {}, request_id="r", etag=""),
    ]
    for call, status in itertools.product(calls, _CODES):
        seen = ours.departures()
        ours.answers(Answer(status, b"", {"Location": link.format(host=ARM)}))
        with pytest.raises(errors.RejectedError, match=f"answered {status}"):
            call()
        assert seen.hosts() == {ARM}
        seen.assert_none_for_strangers()


@away
def test_a_vault_cannot_redirect_us(ours: Ours, link: str) -> None:
    key = new_key(ours)
    known = vaults(ours, key)
    assert known.current(key).id.key == key
    for call, status in itertools.product((known.current, known.rotate), _CODES):
        seen = ours.departures(key.vault)
        ours.answers(Answer(status, b"", {"Location": link.format(host=key.vault)}), key.vault)
        with pytest.raises(errors.PermanentError):
            call(key)
        seen.assert_none_for_strangers()
        assert seen.hosts() == {key.vault}


@away
def test_an_account_of_configs_cannot_redirect_us(ours: Ours, link: str) -> None:
    kept = files(ours).read(f"{SOURCE}/deploy.yaml")
    calls: list[Callable[[], object]] = [
        lambda: files(ours).page(SOURCE, ""),
        lambda: files(ours).read(f"{SOURCE}/deploy.yaml"),
        lambda: files(ours).write(
            f"{SOURCE}/deploy.yaml", kept.content, etag=kept.etag, request_id="r"
        ),
    ]
    for call, status in itertools.product(calls, _CODES):
        seen = ours.departures(BLOBS)
        ours.answers(Answer(status, b"", {"Location": link.format(host=BLOBS)}), BLOBS)
        with pytest.raises(errors.RejectedError, match=f"answered {status}"):
            call()
        assert seen.hosts() == {BLOBS}
        seen.assert_none_for_strangers()


@away
@pytest.mark.parametrize("status", _CODES)
def test_a_topic_cannot_redirect_what_we_announce(ours: Ours, link: str, status: int) -> None:
    host = ours.azure.topic.endpoint.split("/")[2]
    client = EventGridPublisherClient(ours.azure.topic.endpoint, ours.credential)
    announcer = TopicAnnouncer(client, "keyturn", RealClock())
    seen = ours.departures(host)
    ours.answers(Answer(status, b"", {"Location": link.format(host=host)}), host)

    with pytest.raises(errors.KeyturnError):
        announcer.announce("Keyturn.RotationCompleted", id="i", subject="s", facts={})

    assert seen.hosts() == {host}
    seen.assert_none_for_strangers()


# -- the watch itself ----------------------------------------------------------------------------


def test_a_token_for_a_stranger_would_be_seen(ours: Ours) -> None:
    seen = ours.departures()
    ours.credential.get_token("https://stranger.example/.default")

    assert seen.audiences() == {"https://stranger.example"}
    with pytest.raises(AssertionError):
        seen.assert_none_for_strangers()


def test_a_connection_to_a_stranger_would_be_seen(ours: Ours) -> None:
    seen = ours.departures()
    key = new_key(ours)
    vaults(ours, key).current(key)

    assert seen.hosts() == {key.vault}
    with pytest.raises(AssertionError):
        seen.assert_none_for_strangers()
