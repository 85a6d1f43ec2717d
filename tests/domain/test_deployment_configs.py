"""Deployment config files: what is a reference, what is ambiguous, what a write leaves alone."""

import subprocess
import sys
from dataclasses import replace

import pytest
from ruamel.yaml import YAML

from shared.catalog.storage import STORAGE_ACCOUNT
from shared.domain import deployment_configs
from shared.domain.deployment_configs import MAX_BYTES, DeploymentConfig, parse, repointed
from shared.domain.errors import RefusedWriteError, UnreadableError
from shared.domain.keys import Key, KeyVersion
from shared.domain.kinds import Completion, Write
from shared.domain.plans import Age, Allowed, Outrun, Repoint, Skip, VerifyOnly, plan
from shared.domain.resources import Reference
from tests.domain.values import KEY, OLD, TARGET, state

OTHER = KeyVersion(Key(KEY.vault, "other"), "0" * 31 + "9")

# As Microsoft's pages have it, in other words: the arguments of deploy_configuration …
CMK = f"""\
# web service of the fraud model
cpu_cores: 1
cmk_vault_base_url: https://{KEY.vault}/   # the team's vault
cmk_key_name: {KEY.name}
cmk_key_version: '{OLD.version}'  # pinned on purpose
"""
# … what the CLI reads …
ACI = f"""{{
\t"computeType": "ACI",
\t"containerResourceRequirements": {{"cpu": 0.5, "memoryInGB": 1.0}},
\t"vaultBaseUrl": "https://{KEY.vault}", "keyName": "{KEY.name}", "keyVersion":"{OLD.version}"
}}"""
# … and container groups: two, of which the second uses another key.
GROUPS = f"""\
apiVersion: '2025-09-01'
type: Microsoft.ContainerInstance/containerGroups
properties:
  encryptionProperties: {{vaultBaseUrl: "https://{KEY.vault}", keyName: {KEY.name}, \
keyVersion: "{OLD.version}"}}
  osType: Linux
---
type: Microsoft.ContainerInstance/containerGroups
properties:
  encryptionProperties:
    keyVersion: {OTHER.version}
    keyName: {OTHER.key.name}
    vaultBaseUrl: https://{KEY.vault}
"""
TEMPLATE = f"""{{"resources": [{{"type": "Microsoft.Storage/storageAccounts", "properties": {{}}}},
  {{"type": "Microsoft.ContainerInstance/containerGroups", "properties": {{"encryptionProperties":
   {{"vaultBaseUrl": "https:\\/\\/{KEY.vault}", "keyName": "{KEY.name}",
     "keyVersion": "{OLD.version}"}}}}}}]}}"""


def held(place: str, version: KeyVersion, *, pinned: bool = True) -> Reference:
    return Reference(place, version.key, version if pinned else None)


def fields(version: str, *, vault: str = f"https://{KEY.vault}", name: str = KEY.name) -> str:
    return f"cmk_vault_base_url: {vault}\ncmk_key_name: {name}\ncmk_key_version: {version}\n"


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        pytest.param(CMK, "a.yaml", [held("top level", OLD)], id="Azure ML, by argument"),
        pytest.param(ACI, "a.json", [held("top level", OLD)], id="Azure ML, as the CLI reads it"),
        pytest.param(ACI, "a.yml", [held("top level", OLD)], id="JSON in a file named for YAML"),
        pytest.param(
            GROUPS,
            "groups.yaml",
            [
                held("document 1: properties.encryptionProperties", OLD),
                held("document 2: properties.encryptionProperties", OTHER),
            ],
            id="container groups",
        ),
        pytest.param(
            TEMPLATE,
            "template.json",
            [held("resources[1].properties.encryptionProperties", OLD)],
            id="a template",
        ),
        pytest.param(
            f"[{ACI}, 1]", "all.json", [held("[0]", OLD)], id="an array at the top of a file"
        ),
        pytest.param(
            "a.b:\n  " + CMK.replace("\n", "\n  "), "x", [held('["a.b"]', OLD)], id="an odd name"
        ),
        pytest.param(ACI.upper(), "a.json", [held("top level", OLD)], id="any casing"),
        pytest.param(fields("~"), "a", [held("top level", OLD, pinned=False)], id="null"),
        pytest.param(fields("''"), "a", [held("top level", OLD, pinned=False)], id="empty"),
        pytest.param(
            fields("x").rsplit("cmk", 1)[0],
            "a",
            [held("top level", OLD, pinned=False)],
            id="no version",
        ),
        pytest.param(
            "v: &v https://kv1.vault.azure.net\n" + fields(OLD.version, vault="*v"),
            "a",
            [held("top level", OLD)],
            id="a vault that is an alias of a text",
        ),
    ],
)
def test_every_documented_form_is_found(text: str, name: str, expected: list[Reference]) -> None:
    assert parse(text.encode(), name).references == tuple(expected)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        pytest.param("", "empty.yaml", id="an empty file"),
        pytest.param("{}", "a.json", id="an empty object"),
        pytest.param(ACI.replace("ACI", "AKS"), "a.json", id="another compute type"),
        pytest.param("encryptionProperties: {}", "a", id="an empty reference"),
        pytest.param("encryptionProperties:", "a", id="a reference that is null"),
        pytest.param(
            "encryptionProperties: {keyVaultProperties: {keyName: a, keyVersion: b}}",
            "a",
            id="another service's encryption",
        ),
        pytest.param("a: &a [1]\nb: [*a, *a]\nc: {<<: {d: 1}}\ne: !x {f: 1}", "a", id="no names"),
    ],
)
def test_what_names_no_key_holds_no_reference(text: str, name: str) -> None:
    assert parse(text.encode(), name).references == ()


@pytest.mark.parametrize(
    ("version", "why"),
    [
        pytest.param("[parameters('v')]", "is no text", id="a template's, as YAML reads it"),
        pytest.param("\"[parameters('v')]\"", "filled in at deployment", id="a template's"),
        pytest.param("${VERSION}", "filled in at deployment", id="a shell's"),
        pytest.param("$(version)", "filled in at deployment", id="a pipeline's"),
        pytest.param("'{{ version }}'", "filled in at deployment", id="a chart's"),
        pytest.param("<key version>", "filled in at deployment", id="a placeholder"),
        pytest.param(f"&v {OLD.version}", "carries the anchor &v", id="anchored"),
        pytest.param(f"!!str {OLD.version}", "carries the tag", id="tagged"),
        pytest.param("*old", "is the alias \\*old", id="an alias"),
        pytest.param(f"|-\n  {OLD.version}", "over several lines", id="a literal block"),
        pytest.param(f">-\n  {OLD.version}", "over several lines", id="a folded block"),
        pytest.param(f'"\\x30{OLD.version[1:]}"', "with escapes", id="escaped"),
        pytest.param(f'"{OLD.version[:9]}\\\n  {OLD.version[9:]}"', "several lines", id="folded"),
        pytest.param("latest", "no version of a key", id="no version"),
        pytest.param(f"{OLD.version}/", "no version of a key", id="more than a version"),
        pytest.param("0x1", "no version of a key", id="a number"),
        pytest.param("{a: 1}", "is no text", id="a mapping"),
    ],
)
def test_a_version_that_cannot_be_replaced_in_place_is_reported_with_its_place(
    version: str, why: str
) -> None:
    text = f"old: &old {OLD.version}\n" + fields(version)
    with pytest.raises(UnreadableError, match=f"^deploy.yaml, line 4, .*top level: .*{why}.*hand"):
        parse(text.encode(), "deploy.yaml")
    with pytest.raises(UnreadableError):
        repointed(text.encode(), "deploy.yaml", ["top level"], TARGET)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(fields(OLD.version, vault="'${VAULT}'"), "filled in", id="vault by a shell"),
        pytest.param(fields(OLD.version, name="'{{ k }}'"), "filled in", id="name by a chart"),
        pytest.param(fields(OLD.version, vault="kv1"), "no key of a vault", id="no vault's URL"),
        pytest.param(fields(OLD.version, vault="''"), "base_url is missing", id="no vault"),
        pytest.param(fields(OLD.version, name="~"), "key_name is missing", id="no name"),
        pytest.param(fields("~", vault="~"), "base_url is missing", id="only a name"),
        pytest.param(fields(OLD.version, name="[a]"), "is no text", id="a name that is a list"),
        pytest.param(
            fields(OLD.version) + "CMK_KEY_VERSION: a",
            "differ in casing",
            id="twice in two casings",
        ),
        pytest.param(
            fields(OLD.version)
            + f"computeType: aci\nkeyName: k\nvaultBaseUrl: https://{KEY.vault}",
            "in two forms",
            id="two forms in one object",
        ),
        pytest.param("encryptionProperties: \"[variables('e')]\"", "no object", id="an expression"),
        pytest.param("encryptionProperties: [a]", "no object", id="a list"),
        pytest.param("e: &e x\nencryptionProperties: *e", "no object", id="an alias of a text"),
        pytest.param(
            "e: &e {keyName: k}\nencryptionProperties: *e", "the alias \\*e", id="an alias"
        ),
        pytest.param(
            "e: &e {keyName: k}\nf: &f [*e]\ng: *f", "the alias \\*e", id="an alias within"
        ),
        pytest.param(
            "e: &e\n  keyName: k\nencryptionProperties:\n  <<: *e\n",
            "the alias",
            id="a merged alias",
        ),
        pytest.param("a: {<<: {x: [{keyVersion: v}]}}", "merged in", id="a merge"),
        pytest.param("a: !Sub {b: {cmk_key_name: k}}", "the tag !Sub", id="a tagged parent"),
    ],
)
def test_a_reference_that_reads_in_more_than_one_way_is_reported(text: str, why: str) -> None:
    with pytest.raises(UnreadableError, match=why):
        parse(text.encode(), "deploy.yaml")


@pytest.mark.parametrize(
    ("version", "why"),
    [
        pytest.param("1234", "is 1234, no text", id="a number"),
        pytest.param("true", "is true, no text", id="a truth value"),
        pytest.param(f'"\\u0030{OLD.version[1:]}"', "with escapes", id="escaped"),
    ],
)
def test_a_version_that_json_does_not_write_as_plain_text_is_reported(
    version: str, why: str
) -> None:
    text = ACI.replace(f'"{OLD.version}"', version)
    with pytest.raises(UnreadableError, match=why):
        parse(text.encode(), "deploy.json")


def test_a_version_that_is_null_in_json_is_versionless() -> None:
    text = ACI.replace(f'"{OLD.version}"', "null")
    assert parse(text.encode(), "a.json").references == (held("top level", OLD, pinned=False),)


@pytest.mark.parametrize(
    ("content", "name", "why"),
    [
        pytest.param(CMK.encode(), "a.json", "line 1, column 1: not JSON", id="YAML as .json"),
        pytest.param(b'{"a": 1,}', "a.json", "column 9: .*double quotes", id="a trailing comma"),
        pytest.param(b'{"a": 1 "b": 2}', "a.json", "a comma or }", id="no comma"),
        pytest.param(b'{"a" 1}', "a.json", "a colon", id="no colon"),
        pytest.param(b'{"a": 1} x', "a.json", "more text after", id="a tail"),
        pytest.param(b'{"a": NaN}', "a.json", "a value was expected", id="no number"),
        pytest.param(b'{"a": 01}', "a.json", "a value was expected", id="a leading zero"),
        pytest.param(b'{"a": "\n"}', "a.json", "control character", id="a raw line break"),
        pytest.param(b"[1", "a.json", "a comma or ]", id="not closed"),
        pytest.param(b"// c\n{}", "a.json", "a value was expected", id="a comment in JSON"),
        pytest.param(b"", "a.json", "a value was expected", id="an empty .json"),
        pytest.param(b'\n{"a":1,"a":2}', "a.json", "line 2, .*'a' is named twice", id="twice"),
        pytest.param(b"a: 1\na: 2", "a.yaml", "line 2, column 1: 'a' is named twice", id="again"),
        pytest.param(b"a:\n\tb: 1", "a.yaml", "line 2, .*not YAML.*cannot start", id="a tab"),
        pytest.param(b"a: b: c", "a.yaml", "not YAML: mapping values", id="two colons"),
        pytest.param(b"a: *b", "a.yaml", "no finished anchor", id="an unknown alias"),
        pytest.param(b"a: &a [*a]", "a.yaml", "no finished anchor", id="an alias of itself"),
        pytest.param(b"a: &a 1\n---\nb: *a", "a.yaml", "no finished", id="another document's"),
        pytest.param(b"? [a]\n: b", "a.yaml", "a name that is no text", id="a list as a name"),
        pytest.param(b"keyVersion: {{ v }}", "a.yaml", "must be in quotes", id="a bare template"),
        pytest.param(b'a: "\\UFFFFFFFF"', "a.yaml", "not YAML that", id="no character"),
        pytest.param(b"a: \x00", "a.yaml", "not YAML: special characters", id="a null byte"),
        pytest.param("{}".encode("utf-16"), "a.json", "save it as UTF-8", id="UTF-16"),
        pytest.param(b" " * (MAX_BYTES + 1), "a.yaml", "more than 1048576", id="too large"),
        pytest.param(b"[" * 65 + b"]" * 65, "a.json", "more than 64 deep", id="too deep in JSON"),
        pytest.param(b"[" * 65 + b"]" * 65, "a.yaml", "more than 64 deep", id="too deep in YAML"),
        pytest.param(b"[" * 200_000, "a.json", "more than 64 deep", id="endlessly deep in JSON"),
        pytest.param(b"[" * 200_000, "a.yaml", "more than 64 deep", id="endlessly deep in YAML"),
        pytest.param(b"[" + b"1," * 10_000 + b"1]", "a.json", "10000 values", id="too many"),
    ],
)
def test_a_malformed_or_oversized_file_is_reported_with_the_position(
    content: bytes, name: str, why: str
) -> None:
    with pytest.raises(UnreadableError, match=f"(?s)^{name}.*{why}"):
        parse(content, name)


def test_no_message_quotes_what_may_be_a_secret() -> None:
    for content, name in (
        (b"password: hunter2: x", "a.yaml"),
        (b'password: "hunter2\\z"', "a.yaml"),
        (b'{"password": "hunter2" x}', "a.json"),
        (b'{"password": hunter2}', "a.json"),
    ):
        with pytest.raises(UnreadableError) as raised:
            parse(content, name)
        assert "hunter2" not in str(raised.value)
        assert raised.value.__cause__ is None


def test_aliases_of_aliases_are_not_expanded() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert parse("\n".join(lines).encode(), "bomb.yaml").references == ()


@pytest.mark.parametrize("text", [CMK, ACI, GROUPS, TEMPLATE], ids=["cmk", "aci", "groups", "arm"])
def test_only_the_versions_characters_change(text: str) -> None:
    (place, *_) = [r.place for r in parse(text.encode(), "a.yaml").references]
    changed = repointed(text.encode(), "a.yaml", [place], TARGET)
    assert changed == text.replace(OLD.version, TARGET.version).encode()


@pytest.mark.parametrize("number", ["1" * 32, "1" * 15 + "e" + "1" * 16, "0b" + "1" * 30])
def test_an_unquoted_version_gets_quotes_where_it_would_be_read_as_a_number(number: str) -> None:
    content = fields("a" * 32).encode()

    changed = repointed(content, "a.yaml", ["top level"], KeyVersion(KEY, number))

    assert changed == fields(f'"{number}"').encode()
    for version in ((1, 1), (1, 2)):
        yaml = YAML(typ="safe", pure=True)
        yaml.version = version
        assert yaml.load(changed)["cmk_key_version"] == number


@pytest.mark.parametrize("number", ["1" * 32, "1" * 15 + "e" + "1" * 16, "0b" + "1" * 30])
def test_an_unquoted_version_that_looks_like_a_number_is_read_as_it_is_written(
    number: str,
) -> None:
    content = fields(number).encode()
    assert parse(content, "a.yaml").references[0].pinned == KeyVersion(KEY, number)
    changed = repointed(content, "a.yaml", ["top level"], KeyVersion(KEY, "a" * 32))
    assert changed == fields("a" * 32).encode()


def test_a_reference_that_names_the_target_already_is_left_as_it_is_written() -> None:
    content = fields("A" * 32).encode()
    target = KeyVersion(KEY, "a" * 32)
    assert repointed(content, "a.yaml", ["top level"], target) == content


def test_an_anchor_around_a_reference_stays() -> None:
    content = GROUPS.replace("properties:", "properties: &p").encode()
    changed = repointed(content, "a", ["document 1: properties.encryptionProperties"], TARGET)
    assert changed == content.replace(OLD.version.encode(), TARGET.version.encode())


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param(GROUPS, "document 2: properties.encryptionProperties", id="another key"),
        pytest.param(fields("~"), "top level", id="versionless"),
        pytest.param(CMK, "properties", id="no reference"),
    ],
)
def test_what_holds_no_pinned_reference_to_the_key_is_never_written(text: str, place: str) -> None:
    with pytest.raises(RefusedWriteError, match=f"a.yaml: no pinned reference .*at {place}"):
        repointed(text.encode(), "a.yaml", [place], TARGET)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        pytest.param("cpu_cores: 1", "cpu_cores: 2", id="a neighbour changes too"),
        pytest.param(TARGET.version, OTHER.version, id="another version"),
        pytest.param(TARGET.version, OLD.version, id="nothing changes"),
    ],
)
def test_a_replacement_that_goes_wrong_is_not_let_out(
    right: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last net: what comes out is read again, and compared with what went in."""
    replaced = deployment_configs._replaced  # noqa: SLF001 - nothing that it does is wrong
    monkeypatch.setattr(
        deployment_configs, "_replaced", lambda *given: replaced(*given).replace(right, wrong)
    )
    with pytest.raises(RefusedWriteError, match="more than the versions would change: not written"):
        repointed(CMK.encode(), "a.yaml", ["top level"], TARGET)


KIND = replace(
    STORAGE_ACCOUNT,
    shape=DeploymentConfig(),
    write=Write(
        verb="PUT", send=("name", "text"), never=(), guard="name", completion=Completion.SYNC
    ),
)


def body(text: str) -> dict[str, object]:
    return {"id": "https://st1/c/a", "type": "deployment_config", "name": "a.yaml", "text": text}


def test_a_plan_sends_the_text_with_the_reference_moved() -> None:
    text = "\ufeff" + GROUPS.replace("\n", "\r\n")
    planned = plan(KIND, body(text), state(TARGET), {OLD: Age.OLDER}, Allowed())
    assert isinstance(planned, Repoint)
    assert planned.body == {"name": "a.yaml", "text": text.replace(OLD.version, TARGET.version)}
    assert isinstance(plan(KIND, planned.body, state(TARGET), {}, Allowed()), VerifyOnly)


def test_a_plan_never_lowers_or_touches_anything_else() -> None:
    newer = plan(KIND, body(CMK), state(TARGET), {OLD: Age.NEWER}, Allowed())
    assert isinstance(newer, Outrun)
    assert isinstance(plan(KIND, body("a: 1"), state(TARGET), {}, Allowed()), Skip)


def test_a_reference_to_another_key_is_not_pointed() -> None:
    file = body(CMK)
    (reference,) = DeploymentConfig().read(file)
    DeploymentConfig().point(file, reference, OTHER)
    assert file == body(CMK)


def test_the_yaml_reader_is_not_loaded_before_it_is_needed() -> None:
    code = (
        "import sys, shared.catalog; from shared.domain.deployment_configs import parse;"
        "parse(b'{}', 'a.json'); sys.exit('ruamel.yaml' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603 - our own interpreter


def test_a_file_is_never_given_an_earlier_form_back() -> None:
    with pytest.raises(RefusedWriteError, match="never nudged"):
        DeploymentConfig().restore(body(CMK), body(CMK), again=False)
