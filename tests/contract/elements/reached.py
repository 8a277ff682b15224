"""An element of another process, in the test's own: a real one on a disk, our server on a real socket, and the remote adapter."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from samovar.adapters.disk import DiskElement
from samovar.adapters.remote import Bounds, RemoteElement
from samovar.adapters.system import SystemClock, SystemIds
from samovar.app.http import Edge
from samovar.domains.files.http import ElementDoor, element_routes, of_these
from samovar.kernel.principal import Principal, PrincipalKind
from samovar.ports.asgi import Route
from samovar.ports.elements import Mode, StorageElement
from tests.app.conftest import listening
from tests.contract.elements.homes import Home, on_disk

QUICK = Bounds(connect_s=1, idle_s=10, farewell_s=5, rest_s=0.01)
PERMISSIONS = frozenset({"files:read", "files:write", "files:delete", "elements:admin"})


async def a_role(_: str) -> Principal:
    """Whatever the token: the ingester."""
    return Principal(
        id="role:ingester",
        kind=PrincipalKind.SERVICE,
        team_id="default",
        name="ingester",
        permissions=PERMISSIONS,
    )


async def a_token() -> str:
    """One that :func:`a_role` takes."""
    return "a.b.c"


class _Silent:
    def began(self) -> None: ...
    def ended(self, method: str, route: str, status: int, seconds: float) -> None: ...


@asynccontextmanager
async def _alive() -> AsyncIterator[None]:
    yield


@asynccontextmanager
async def served(
    element: StorageElement, *, verify: Callable[[str], Awaitable[Principal]] = a_role, **bounds: float
) -> AsyncIterator[str]:
    """The URL at which ``element`` is served, as a process of the role serves it."""
    clock = SystemClock()
    door = ElementDoor(
        verify=verify,
        elements=of_these({element.element_id: element}),
        ids=SystemIds(clock=clock),
        base_headers=(),
        **({"idle_s": 5.0} | bounds),
    )
    async with listening(edge_of(element_routes(door))) as port:
        yield f"http://127.0.0.1:{port}"


def edge_of(routes: list[Route]) -> Edge:
    """The app of a process that has these routes and no others."""
    return Edge(
        routes=routes,
        control=None,  # type: ignore[arg-type]  # nothing here is asked for that is not in the table
        nowhere=None,
        lifespan=_alive,
        meter=_Silent(),
        clock=SystemClock(),
        allowed_origins=(),
        trusted_proxies=(),
    )


class Reached(RemoteElement):
    """Starts the element it reaches, and its server, and closes both."""

    def __init__(self, local: DiskElement) -> None:
        self._local = local
        self._stack = AsyncExitStack()
        super().__init__("http://unknown", element_id=local.element_id, token=a_token, clock=SystemClock())

    async def start(self) -> None:
        """See the port."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._local.close)
            await self._local.start()
            url = await stack.enter_async_context(served(self._local))
            super().__init__(url, element_id=self.element_id, token=a_token, clock=SystemClock(), bounds=QUICK)
            await super().start()
            self._stack = stack.pop_all()

    async def close(self) -> None:
        """See the port."""
        await super().close()
        await self._stack.aclose()


def reached_on_disk(root: Path) -> Home:
    """A folder whose elements are reached over a socket."""
    disk = on_disk(root)

    def make(**changed: Any) -> Reached:
        values: dict[str, Any] = {"element_id": "se-1", "mode": Mode.EDIT, "clock": SystemClock()} | changed
        return Reached(DiskElement(root, **values))

    return Home(make, disk.put, disk.remove, disk.names)
