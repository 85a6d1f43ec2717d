"""What every command has in common: its options, and how errors are told."""

import functools
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any

import typer

from cli.console import Format, Terminal, is_unwritten, shown
from cli.exits import Exit, code_for, sentence
from shared.domain.clouds import CLOUDS, Cloud
from shared.domain.errors import KeyturnError
from shared.wiring.laptop import Laptop

_EVERYWHERE = "Everywhere"

CloudName = StrEnum("CloudName", {name: name for name in CLOUDS})  # type: ignore[misc] # made from data


class Identity(StrEnum):
    """Whose rights a command works under."""

    AZ = "az"
    DEFAULT = "default"


Output = Annotated[
    Format,
    typer.Option(
        "--output",
        "-o",
        envvar="KEYTURN_OUTPUT",
        help="How results are written.",
        rich_help_panel=_EVERYWHERE,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print results and errors only.", rich_help_panel=_EVERYWHERE
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Log every request on stderr, and show tracebacks.",
        rich_help_panel=_EVERYWHERE,
    ),
]
Credential = Annotated[
    Identity,
    typer.Option(
        "--credential",
        envvar="KEYTURN_CREDENTIAL",
        help="Who signs in: whoever `az login` did, or the first that azure-identity's"
        " DefaultAzureCredential finds.",
        rich_help_panel=_EVERYWHERE,
    ),
]
InCloud = Annotated[
    CloudName,
    typer.Option(
        "--cloud", envvar="KEYTURN_CLOUD", help="Which cloud.", rich_help_panel=_EVERYWHERE
    ),
]


@dataclass(frozen=True)
class Session:
    """One run of the command.

    Attributes:
        terminal: What it prints on.
        cloud: Which cloud it works in.
        default_credential: See ``sign_in``.
    """

    terminal: Terminal
    cloud: Cloud
    default_credential: bool = False
    env: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def laptop(self, *, policy: str = "", config_sources: tuple[str, ...] = ()) -> Laptop:
        """Return the use cases that need no deployment."""
        return Laptop(
            cloud=self.cloud,
            policy=policy,
            config_sources=config_sources,
            sandbox_clock=self.sandbox_clock,
            default_credential=self.default_credential,
        )

    @cached_property
    def sandbox_clock(self) -> str:
        """The sandbox's clock, where requests go to a proxy of this machine; else real time."""
        is_local = self.env.get("HTTPS_PROXY", "").startswith("http://127.0.0.1:")
        return self.env.get("KEYTURN_SANDBOX_CLOCK", "") if is_local else ""


def command(app: typer.Typer, name: str, **how: Any) -> Callable[[Callable[..., None]], object]:  # noqa: ANN401 - typer's
    """Make a function a command, with the options that all have; it gets a ``Session`` first."""

    def make(run: Callable[..., None]) -> object:
        @functools.wraps(run)
        def whole(
            *,
            output: Format,
            quiet: bool,
            debug: bool,
            credential: Identity,
            cloud: CloudName,
            **own: Any,  # noqa: ANN401 - the command's own
        ) -> None:
            is_default = credential is Identity.DEFAULT
            session = Session(Terminal(output, quiet), CLOUDS[cloud], is_default)
            told(session.terminal, functools.partial(run, session, **own), debug=debug)

        _, *own = inspect.signature(run, eval_str=True).parameters.values()
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            *(each.replace(kind=keyword) for each in own),
            inspect.Parameter("output", keyword, default=Format.TABLE, annotation=Output),
            inspect.Parameter("quiet", keyword, default=False, annotation=Quiet),
            inspect.Parameter("debug", keyword, default=False, annotation=Debug),
            inspect.Parameter("credential", keyword, default=Identity.AZ, annotation=Credential),
            inspect.Parameter(
                "cloud", keyword, default=CloudName("AzureCloud"), annotation=InCloud
            ),
        ]
        del whole.__wrapped__
        whole.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # typer reads it
        whole.__annotations__ = {each.name: each.annotation for each in parameters}
        return app.command(name, **how)(whole)

    return make


def told(terminal: Terminal, run: Callable[[], None], *, debug: bool) -> None:
    """Run a command; end with a sentence and an exit code if it fails.

    Raises:
        typer.Exit: It failed; why has been printed.
    """
    _log(debug=debug)
    try:
        run()
    except KeyturnError as error:
        _fail(terminal, sentence(error), code_for(error), debug=debug)
    except (typer.Exit, BrokenPipeError):
        raise
    except typer.BadParameter as error:
        hint = f"{str(error.param_hint).strip(chr(39))}: " if error.param_hint else ""
        _fail(terminal, f"{hint}{error.message}", Exit.USAGE, debug=debug)
    except KeyboardInterrupt:
        terminal.progress.clear()
        raise typer.Exit(Exit.INTERRUPTED) from None
    except Exception as error:  # whoever types a command gets no traceback
        if is_unwritten(error):
            raise  # `Root` tells of it
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        step = "that is a bug: run it again with --debug, and report what it prints"
        _fail(terminal, f"{said}: {step}", Exit.ERROR, debug=debug)
    finally:
        terminal.progress.clear()


def _fail(terminal: Terminal, said: str, code: Exit, *, debug: bool) -> None:
    terminal.progress.clear()
    if debug:
        sys.stderr.write(shown(traceback.format_exc(), keep="\n"))
    sys.stderr.write(f"keyturn: {shown(said)}\n")
    raise typer.Exit(code) from None


class _Shown(logging.Formatter):
    """Has what comes from elsewhere escaped; see ``shown``."""

    def format(self, record: logging.LogRecord) -> str:
        """See ``logging.Formatter.format``."""
        return shown(super().format(record), keep="\n")


def _log(*, debug: bool) -> None:
    level = logging.DEBUG if debug else logging.CRITICAL
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Shown("%(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
