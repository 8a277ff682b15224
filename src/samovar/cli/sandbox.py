"""``samovar sandbox``."""

import asyncio

import uvloop

from samovar.cli.output import CannotDo
from samovar.providers.sandbox import SandboxServer


def serve_sandbox(host: str, port: int) -> None:
    """Serve until interrupted."""

    async def main() -> None:
        server = SandboxServer()
        try:
            address = await server.start(host, port)
        except OSError as error:
            raise CannotDo(f"{host}:{port} cannot be listened on; choose another port with --port") from error
        print(f"sandbox on http://{address.host}:{address.port}", flush=True)  # noqa: T201
        try:
            await asyncio.Event().wait()
        finally:
            await server.close()

    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    except KeyboardInterrupt:
        return
