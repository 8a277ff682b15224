"""Every test here runs for each adapter, on the loop of production and on Python's own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from samovar.adapters.http1 import Http1Transport
from samovar.adapters.reqwest import ReqwestTransport
from samovar.ports.transport import Transport
from tests.contract.transport.scenes import MakeTransport, is_http1


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops that pytest-asyncio runs each test on."""
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.SelectorEventLoop}


@pytest.fixture(params=["http1", "reqwest"])
async def make_transport(request: pytest.FixtureRequest) -> AsyncIterator[MakeTransport]:
    """Makes the adapter under test. After the test it is closed, and must then hold nothing."""
    made: list[Transport] = []

    def make(*, max_connections: int = 100, ca_pem: bytes | None = None) -> Transport:
        transport: Transport
        if request.param == "http1":
            transport = Http1Transport(max_connections=max_connections, ca_pem=ca_pem)
        else:
            transport = ReqwestTransport(connect_s=1, max_connections=max_connections, ca_pem=ca_pem)
        made.append(transport)
        return transport

    yield make
    for transport in made:
        await transport.close()
        if is_http1(transport):
            assert isinstance(transport, Http1Transport)
            assert (transport.exchanges, transport.open_connections) == (0, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
def transport(make_transport: MakeTransport) -> Transport:
    """The adapter under test."""
    return make_transport()
