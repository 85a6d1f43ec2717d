"""A desk: an estate in the sandbox, an ``az`` on PATH, and the command, run as people run it."""

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from typer.testing import CliRunner

from cli.main import app
from sandbox.azure import LocalAzure
from sandbox.identity import AUDIENCES, TENANT
from sandbox.key_vault.access import Permission

CHECKOUT = Path(__file__).parents[2]
ME = "8c2f3f0e-5a8e-4f0b-9f37-1f0d7c1f2b60"
"""Object id of whoever sits at the desk."""
READER = frozenset({"*/read"})
"""The built-in role Reader."""
KEYS: frozenset[Permission] = frozenset({"get", "list", "getRotationPolicy"})
"""What Key Vault Reader gives of keys."""

# The real client runs: az account get-access-token --output json --resource RESOURCE [--tenant ID]
_AZ = """#!{python} -SE
import json, pathlib, sys
argv = sys.argv[1:]
assert argv[:4] == ["account", "get-access-token", "--output", "json"], argv
kept = pathlib.Path({tokens!r})
if not kept.exists():
    sys.exit("ERROR: Please run 'az login' to setup account.")
kept, resource = json.loads(kept.read_text()), argv[argv.index("--resource") + 1]
if "refusal" in kept:
    sys.exit(kept["refusal"])
if resource not in kept:
    sys.exit(f"ERROR: AADSTS500011: The resource principal named {{resource}} was not found.")
print(json.dumps({{
    "accessToken": kept[resource],
    "expiresOn": "2099-01-01 00:00:00.000000",
    "expires_on": 4070908800,
    "subscription": "00000000-0000-0000-0000-000000000000",
    "tenant": {tenant!r},
    "tokenType": "Bearer",
}}))
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """How the command ended, and what it said."""

    code: int
    out: str
    err: str

    def json(self) -> list[dict[str, object]]:
        """Return what it printed, as JSON."""
        found: list[dict[str, object]] = json.loads(self.out)
        return found


@dataclass(slots=True)
class Desk:
    """Runs the command."""

    azure: LocalAzure
    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        bin_folder = self.folder / "bin"
        bin_folder.mkdir()
        az = bin_folder / "az"
        az.write_text(
            _AZ.format(python=sys.executable, tokens=str(self.folder / "tokens"), tenant=TENANT)
        )
        az.chmod(az.stat().st_mode | stat.S_IXUSR)
        self.env = {
            **self.azure.serving.environment(),
            "PATH": f"{bin_folder}:/usr/bin:/bin",
            "HOME": str(self.folder),
            "KEYTURN_SANDBOX_CLOCK": self.azure.clock.setting,
            "PYTHONPATH": str(CHECKOUT),
            "LANG": "C.UTF-8",
        }
        self.sign_in()

    # -- who sits here ---------------------------------------------------------------------------

    def sign_in(self, name: str = "", *roles: str) -> None:
        """Log in; with a name and roles, to the app as well, whose tokens carry them."""
        resources = (
            "https://management.azure.com",
            "https://vault.azure.net",
            "https://managedhsm.azure.net",
            "https://storage.azure.com",
        )
        tokens = {each: self.azure.tokens.issue(each, principal=ME) for each in resources}
        if name:
            tokens[AUDIENCES[0]] = self.azure.tokens.sign_in(name, *roles, version="1.0")
        (self.folder / "tokens").write_text(json.dumps(tokens))

    def sign_out(self) -> None:
        """Log out."""
        (self.folder / "tokens").unlink()

    def let_login_expire(self) -> None:
        """Have Entra ID refuse, as it does when the refresh token is too old."""
        refusal = (
            "ERROR: AADSTS70043: The refresh token has expired or is invalid due to sign-in"
            " frequency checks by conditional access. Interactive authentication is needed. Please"
            " run: az login"
        )
        (self.folder / "tokens").write_text(json.dumps({"refusal": refusal}))

    # -- the command -----------------------------------------------------------------------------

    def run(self, *args: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Ran:
        """Run the command with its output in pipes, in this process: as `run_apart`, but sooner."""
        mine: dict[str, str | None] = {**dict.fromkeys(os.environ), **self.env, **(env or {})}
        with chdir(self.folder):
            done = CliRunner().invoke(app, args, env=mine, input=stdin, prog_name="keyturn")
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Ran(done.exit_code, done.stdout, done.stderr)

    def run_apart(self, *args: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Ran:
        """Run the command with its output in pipes, in a process of its own."""
        done = subprocess.run(  # noqa: S603 - the command under test
            [sys.executable, "-m", "cli", *args],
            env={**self.env, **(env or {})},
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def on_terminal(
        self, *args: str, columns: int = 120, env: Mapping[str, str] | None = None
    ) -> Ran:
        """Run the command on a terminal; what it draws is in ``out``, with its escapes."""
        with self.typing(*args, columns=columns, env=env) as session:
            return session.ended()

    @contextmanager
    def typing(
        self, *args: str, columns: int = 120, env: Mapping[str, str] | None = None
    ) -> Iterator["Typed"]:
        """Start the command on a terminal, to be looked at and interrupted."""
        ours, theirs = pty.openpty()
        child = subprocess.Popen(  # noqa: S603 - likewise
            [sys.executable, "-m", "cli", *args],
            env={**self.env, "TERM": "xterm-256color", "COLUMNS": str(columns), **(env or {})},
            cwd=self.folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        try:
            yield Typed(child, ours)
        finally:
            child.kill()
            child.wait()
            os.close(ours)


@dataclass(slots=True)
class Typed:
    """A command that runs on a terminal."""

    child: "subprocess.Popen[bytes]"
    terminal: int
    seen: str = ""

    def until(self, text: str, within: float = 100) -> None:
        """Wait until the terminal has shown a text."""
        end = time.monotonic() + within
        while text not in plain(self.seen):
            assert time.monotonic() < end, f"{text!r} did not come: {plain(self.seen)[-2000:]}"
            if not self._read() and self.child.poll() is not None:
                break
        assert text in plain(self.seen), plain(self.seen)[-2000:]

    def interrupt(self) -> None:
        """Type Ctrl-C."""
        os.killpg(self.child.pid, signal.SIGINT)

    def ended(self, within: float = 100) -> Ran:
        """Wait for its end."""
        end = time.monotonic() + within
        while self.child.poll() is None:
            assert time.monotonic() < end, plain(self.seen)[-2000:]
            self._read()
        while self._read():
            pass
        return Ran(self.child.returncode, self.seen.replace("\r\n", "\n"), "")

    def _read(self) -> bool:
        ready, _, _ = select.select([self.terminal], [], [], 0.1)
        if not ready:
            return False
        try:
            found = os.read(self.terminal, 65536)
        except OSError:  # its other end was closed
            return False
        self.seen += found.decode(errors="replace")
        return bool(found)


_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def plain(text: str) -> str:
    """Return what a terminal was sent, without colours and movements."""
    return _ESCAPE.sub("", text)
