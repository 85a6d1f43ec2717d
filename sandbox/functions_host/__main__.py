"""``python -m sandbox.functions_host APP_DIR``."""

import asyncio
import logging
import os
import signal
import sys
import threading
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from sandbox.clock import SandboxClock
from sandbox.functions_host.death import Death
from sandbox.functions_host.loading import ForeignModuleError
from sandbox.functions_host.runtime import IndexingError, Runtime
from sandbox.functions_host.settings import HostSettings, HostSettingsError

_REFUSALS = (IndexingError, ForeignModuleError, HostSettingsError)


def main() -> None:
    """Run the function app in APP_DIR as the platform would."""
    options = _options()
    clock = options.clock or SandboxClock.start()
    _log_to_stdout(clock)
    try:
        finished = asyncio.run(_run(options, clock))
    except _REFUSALS as refusal:
        sys.exit(f"the app cannot be run: {refusal}")
    if not finished:
        # An invocation still runs in a thread, and the interpreter would wait for it.
        sys.stdout.flush()
        os._exit(0)


def _options() -> Namespace:
    # Not typer, as elsewhere: a tenth of a second of every start would go into importing it.
    parser = ArgumentParser("python -m sandbox.functions_host", description=main.__doc__)
    add = parser.add_argument
    add("app_dir", type=_folder, metavar="APP_DIR")
    add("--port", type=int, default=0, help="0: one that is free")
    add("--ready-file", type=_path, help="written when it serves: address, keys, functions")
    add(
        "--clock",
        type=SandboxClock.parse,
        default=os.environ.get("KEYTURN_SANDBOX_CLOCK"),
        help="'MOMENT xRATE' (KEYTURN_SANDBOX_CLOCK)",
    )
    for name in ("function", "admin", "system"):
        variable = f"SANDBOX_{name.upper()}_KEY"
        add(
            f"--{name}-key",
            default=os.environ.get(variable),
            help=f"random if not given ({variable})",
        )
    add("--lease-seconds", type=_positive, default=600, help="hides a running message; default 600")
    add("--freeze-timers", action="store_true", help="run them by hand only")
    add("--dies", type=Death.parse, help="""when to end as if killed: '{"after_request": 3}'""")
    add("--stop-with-stdin", action="store_true", help="stop when stdin ends")
    return parser.parse_args()


async def _run(given: Namespace, clock: SandboxClock) -> bool:
    stopping = _stop_event(stop_with_stdin=given.stop_with_stdin)
    settings = HostSettings.from_json((given.app_dir / "host.json").read_text())
    runtime = await Runtime.start(given.app_dir)
    # Only now: what the host imports for itself must not hide what the app lacks.
    from sandbox.functions_host.app_service_auth import SETTING, AppServiceAuth  # noqa: PLC0415 - see above
    from sandbox.functions_host.host import Host, HostOptions  # noqa: PLC0415 - see above
    from sandbox.functions_host.keys import Keys  # noqa: PLC0415 - see above

    keys = {name: getattr(given, f"{name}_key") for name in ("function", "admin", "system")}
    options = HostOptions(
        clock=clock,
        keys=Keys.given(keys),
        port=given.port,
        ready_file=given.ready_file,
        lease_seconds=given.lease_seconds,
        freeze_timers=given.freeze_timers,
        dies=given.dies,
        auth=AppServiceAuth.parse(auth) if (auth := os.environ.get(SETTING)) else None,
    )
    return await Host(runtime, settings, os.environ, options).serve(stopping)


def _path(text: str) -> Path:
    return Path(text).resolve()


def _folder(text: str) -> Path:
    if not Path(text).is_dir():
        raise ArgumentTypeError(f"{text} is no folder")
    return _path(text)


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ArgumentTypeError(f"{text} is not above zero")
    return int(text)


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
    main()
