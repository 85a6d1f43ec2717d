"""Microsoft's own validator of traffic against its OpenAPI files: the npm package ``oav``."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.azurite.node import find_node
from sandbox.front_door import Call

_LOCKED = Path(__file__).parent
_SECONDS = 120
_UNKNOWN = "Undefined operation"
"""Said by ``oav`` of a request that is none of the file's operations; it counts for no error."""


@dataclass(frozen=True, slots=True)
class Specification:
    """OpenAPI files of one service at one version, and the requests that they are for.

    Attributes:
        folder: Of the files.
        requests: What host and path of each match, with no regard to case.
        spoken: The api-version of the requests.
        version: That of the files: the nearest that there is.
    """

    folder: Path
    requests: re.Pattern[str]
    spoken: str
    version: str

    def covers(self, call: Call) -> bool:
        """Tell whether a request is one of these."""
        return bool(self.requests.fullmatch(call.host + call.path))


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the traffic that the files do not allow."""

    operation: str
    source: str
    """``request`` or ``response``."""
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Validation:
    """What ``oav`` says of some traffic.

    Attributes:
        findings: Each once.
        operations: Ids of the operations that the traffic holds.
        unknown: The lines on requests that are none of the files' operations.
    """

    findings: frozenset[Finding]
    operations: frozenset[str]
    unknown: tuple[str, ...]


def install() -> Path:
    """Install what ``package-lock.json`` names, if it is not there yet; return its script.

    It lies in the virtual environment, and goes with it. Several may try at once.

    Raises:
        NodeMissingError: There is no usable Node.
        subprocess.CalledProcessError: npm failed; it has printed why.
        subprocess.TimeoutExpired: It took two minutes.
    """
    digest = hashlib.sha256((_LOCKED / "package-lock.json").read_bytes()).hexdigest()
    target = Path(sys.prefix, "oav", digest[:12])
    if not target.is_dir():
        target.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            _install(Path(folder, "new"), target)
    return target / "node_modules/oav/dist/cli.js"


def _install(new: Path, target: Path) -> None:
    """Install into a new folder, which becomes the target once it is whole."""
    new.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_LOCKED / name, new / name)
    command = (*find_node().npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    subprocess.run(  # noqa: S603 - no part of it comes from outside
        command, cwd=new, check=True, timeout=_SECONDS
    )
    with suppress(OSError):  # another one was quicker
        new.rename(target)


def validate(
    oav: Path, calls: Iterable[Call], specification: Specification, folder: Path
) -> Validation:
    """Run ``oav validate-traffic``.

    Args:
        oav: As ``install`` returned it.
        calls: Requests that the specification covers.
        specification: To hold them against.
        folder: An empty one, for the traffic and the report.

    Raises:
        ValueError: It could not do its work.
    """
    traffic, report = folder / "traffic", folder / "report.json"
    traffic.mkdir()
    for number, call in enumerate(calls):
        (traffic / f"{number:04}.json").write_text(json.dumps(_pair(call, specification)))
    # No report in HTML: the package lacks the templates.
    options = ("--report", "", "--jsonReport", str(report))
    paths = (str(traffic), str(specification.folder))
    ran = subprocess.run(  # noqa: S603 - no part of it comes from outside
        (*find_node().node, str(oav), "validate-traffic", *paths, *options),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    if not report.is_file():
        raise ValueError(f"oav wrote no report: {ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    found = json.loads(report.read_text())
    findings = frozenset(_finding(each) for each in found["errors"])
    if bool(findings) != bool(ran.returncode):  # what it stumbled over is in no report
        raise ValueError(f"oav stumbled: {ran.stdout[-4000:]}{ran.stderr[-2000:]}")
    return Validation(
        findings,
        frozenset(_operations(found)),
        tuple(line for line in ran.stdout.splitlines() if _UNKNOWN in line),
    )


def _pair(call: Call, specification: Specification) -> dict[str, Any]:
    """Return a request and its answer as ``oav`` reads them.

    docs: oav, ``lib/models/requestResponse``: headers are texts, the status is one too, and
    bodies are parsed.
    """
    query = call.query.replace(
        f"api-version={specification.spoken}", f"api-version={specification.version}"
    )
    return {
        "liveRequest": {
            "method": call.method,
            "url": f"https://{call.host}{call.path}?{query}",
            "headers": dict(call.request_headers),
            "body": _parsed(call.request_body),
        },
        "liveResponse": {
            "statusCode": str(call.status),
            "headers": dict(call.response_headers),
            "body": _parsed(call.response_body),
        },
    }


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(body) if body else None


def _finding(error: dict[str, Any]) -> Finding:
    return Finding(
        error["operationId"], error["issueSource"], error["errorCode"], error["errorMessage"]
    )


def _operations(report: dict[str, Any]) -> Iterable[str]:
    failed = (error["operationId"] for error in report["errors"])
    passed = (each["operationIds"] for each in report["passedOperationsList"])
    return {*failed, *(operation for some in passed for operation in some)}
