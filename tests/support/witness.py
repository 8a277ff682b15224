"""A sandbox that remembers every request which reached it: ``python -m tests.support.witness``. Runs until it is ended."""

import asyncio

from samovar.providers.sandbox import Keeping, SandboxServer

_REQUESTS = 100_000
_BODY_BYTES = 256


async def main() -> None:
    """Serve."""
    server = SandboxServer(keeping=Keeping(requests=_REQUESTS, body_bytes=_BODY_BYTES))
    address = await server.start()
    print(f"sandbox on {address.url}", flush=True)  # noqa: T201  # the parent reads it
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
