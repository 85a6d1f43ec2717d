"""``python -m sandbox.functions_host APP_DIR``."""

import asyncio
import logging
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer

from sandbox.clock import SandboxClock
from sandbox.functions_host.loading import ForeignModuleError
from sandbox.functions_host.runtime import IndexingError, Runtime
from sandbox.functions_host.settings import HostSettings, HostSettingsError

_REFUSALS = (IndexingError, ForeignModuleError, HostSettingsError)

app = typer.Typer(add_completion=False)


@app.command()
def main(  # noqa: PLR0913 - one parameter is one option
    app_dir: Annotated[Path, typer.Argument(exists=True, file_okay=False, resolve_path=True)],
    *,
    port: Annotated[int, typer.Option(help="0: one that is free.")] = 0,
    ready_file: Annotated[
        Path | None,
        typer.Option(resolve_path=True, help="Written when it serves: address, keys, functions."),
    ] = None,
    clock: Annotated[
        str | None, typer.Option(envvar="KEYTURN_SANDBOX_CLOCK", help="'MOMENT xRATE'.")
    ] = None,
    function_key: Annotated[str | None, typer.Option(envvar="SANDBOX_FUNCTION_KEY")] = None,
    admin_key: Annotated[str | None, typer.Option(envvar="SANDBOX_ADMIN_KEY")] = None,
    system_key: Annotated[str | None, typer.Option(envvar="SANDBOX_SYSTEM_KEY")] = None,
    lease_seconds: Annotated[int, typer.Option(min=1, help="Hides a running message.")] = 600,
    freeze_timers: Annotated[bool, typer.Option(help="Run them by hand only.")] = False,
    stop_with_stdin: Annotated[bool, typer.Option(help="Stop when stdin ends.")] = False,
) -> None:
    """Run the function app in APP_DIR as the platform would."""
    time_of_host = SandboxClock.parse(clock) if clock else SandboxClock.start()
    _log_to_stdout(time_of_host)

    async def run() -> bool:
        stopping = _stop_event(stop_with_stdin=stop_with_stdin)
        settings = HostSettings.from_json((app_dir / "host.json").read_text())
        runtime = await Runtime.start(app_dir)
        # Only now: what the host imports for itself must not hide what the app lacks.
        from sandbox.functions_host.host import Host, HostOptions  # noqa: PLC0415 - see above
        from sandbox.functions_host.keys import Keys  # noqa: PLC0415 - see above

        options = HostOptions(
            clock=time_of_host,
            keys=Keys.given({"function": function_key, "admin": admin_key, "system": system_key}),
            port=port,
            ready_file=ready_file,
            lease_seconds=lease_seconds,
            freeze_timers=freeze_timers,
        )
        return await Host(runtime, settings, os.environ, options).serve(stopping)

    try:
        finished = asyncio.run(run())
    except _REFUSALS as refusal:
        typer.echo(f"the app cannot be run: {refusal}", err=True)
        raise typer.Exit(1) from None
    if not finished:
        # An invocation still runs in a thread, and the interpreter would wait for it.
        sys.stdout.flush()
        os._exit(0)


def _stop_event(*, stop_with_stdin: bool) -> asyncio.Event:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if stop_with_stdin:

        def wait_for_end() -> None:
            # Not through sys.stdin: its lock, held here, would break the interpreter's end.
            while os.read(0, 1024):
                pass
            loop.call_soon_threadsafe(stopping.set)

        threading.Thread(target=wait_for_end, daemon=True).start()
    return stopping


def _log_to_stdout(clock: SandboxClock) -> None:
    """Show what the app logs, at INFO as on the platform, stamped with sandbox time."""

    class _Formatter(logging.Formatter):
        def formatTime(self, _record: logging.LogRecord, _format: str | None = None) -> str:  # noqa: N802 - logging's name
            return clock.now().isoformat(timespec="milliseconds")

    output = logging.StreamHandler(sys.stdout)
    output.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[output])
    for noisy in ("azure", "uvicorn"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


if __name__ == "__main__":
    app()
