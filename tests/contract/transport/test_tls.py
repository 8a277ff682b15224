"""The transport port over TLS: whom it believes, and whom not."""

import asyncio
import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from samovar.adapters.http1 import Http1Transport
from samovar.ports.transport import ConnectFailed, ConnectionBroken, ConnectTimeout, Timeouts, Transport
from tests.contract.transport.scenes import EVENTS, OK, QUICK, MakeTransport, ask, chunk, http1_of, post
from tests.support.scripted import Peer, answering, scripted
from tests.support.sockets import silent_server


class Authority:
    """Signs certificates; nobody on this machine believes it unasked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test's own authority")])
        own = self._builder(self._name, self._key).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        own = own.add_extension(usage, True)
        self.pem = own.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def server(self, name: x509.GeneralName) -> ssl.SSLContext:
        """The context of a server that is called ``name``."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])
        builder = self._builder(subject, key).add_extension(x509.SubjectAlternativeName([name]), False)
        signed = builder.sign(self._key, hashes.SHA256())
        path = self._folder / f"{id(key)}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + signed.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        issuer_id = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), False)
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


async def test_an_authority_of_ones_own_is_believed(make_transport: MakeTransport, authority: Authority) -> None:
    transport = make_transport(ca_pem=authority.pem)
    async with scripted(
        answering(EVENTS, chunk(b"a"), chunk(b"b"), b"0\r\n\r\n"), tls=authority.server(LOOPBACK)
    ) as server:
        for _ in range(3):
            assert await ask(transport, post(server.port, scheme="https")) == (200, b"ab")
            await asyncio.sleep(0.02)
        assert server.connections == 1
    async with scripted(answering(OK), tls=authority.server(x509.DNSName("localhost"))) as server:
        assert await ask(transport, post(server.port, scheme="https", host="localhost")) == (200, b"ok")


async def test_a_wrong_name_is_refused_unsent(make_transport: MakeTransport, authority: Authority) -> None:
    transport = make_transport(ca_pem=authority.pem)
    async with scripted(answering(OK), tls=authority.server(x509.DNSName("other.test"))) as server:
        with pytest.raises(ConnectFailed) as refused:
            await ask(transport, post(server.port, scheme="https"))
        assert not refused.value.sent
        assert server.requests == []


async def test_an_unknown_authority_is_refused_unsent(transport: Transport, authority: Authority) -> None:
    async with scripted(answering(OK), tls=authority.server(LOOPBACK)) as server:
        with pytest.raises(ConnectFailed) as refused:
            await ask(transport, post(server.port, scheme="https"))
        assert not refused.value.sent
        assert server.requests == []


async def test_a_server_that_speaks_no_tls_is_refused_unsent(transport: Transport) -> None:
    async def script(peer: Peer) -> None:
        await peer.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with scripted(script) as server:
        with pytest.raises(ConnectFailed) as refused:
            await ask(transport, post(server.port, scheme="https"))
        assert not refused.value.sent


async def test_a_handshake_has_the_connects_bound(transport: Transport) -> None:
    async with silent_server() as port:
        with pytest.raises(ConnectTimeout) as late:
            await ask(transport, post(port, scheme="https"), Timeouts(connect_s=0.3, first_byte_s=5))
        assert not late.value.sent


async def test_leaving_early_ends_a_tls_connection_too(make_transport: MakeTransport, authority: Authority) -> None:
    transport = make_transport(ca_pem=authority.pem)
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(EVENTS, chunk(b"one"))
        await peer.gone()
        gone.set()

    async with scripted(script, tls=authority.server(LOOPBACK)) as server:
        request = post(server.port, scheme="https", streamed=True)
        async with transport.send(request, timeouts=QUICK) as answer:
            assert await anext(answer.blocks()) == b"one"
        async with asyncio.timeout(1):
            await gone.wait()


async def test_an_answer_cut_under_tls_is_broken(make_transport: MakeTransport, authority: Authority) -> None:
    transport = make_transport(ca_pem=authority.pem)

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.say(EVENTS, chunk(b"one"))
        peer.cut()

    async with scripted(script, tls=authority.server(LOOPBACK)) as server:
        with pytest.raises(ConnectionBroken):
            await ask(transport, post(server.port, scheme="https"))


async def test_a_slow_taker_stops_the_server_under_tls(make_transport: MakeTransport, authority: Authority) -> None:
    transport = http1_of(make_transport(ca_pem=authority.pem))
    body = b"x" * 8_000_000
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with scripted(answering(head + body), tls=authority.server(LOOPBACK)) as server:
        async with transport.send(post(server.port, scheme="https"), timeouts=QUICK) as answer:
            await asyncio.sleep(0.2)
            assert await answer.read(max_bytes=len(body)) == body
        async with transport.send(post(server.port, scheme="https"), timeouts=QUICK) as answer:
            assert await answer.read(max_bytes=len(body)) == body
        assert server.connections == 1


def test_what_is_no_certificate_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="certificate"):
        Http1Transport(ca_pem=b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
