"""What makes a token good: signature, algorithm, key, issuer, audience and time."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jws
from joserfc.jwk import RSAKey

from samovar.adapters.http1 import Http1Transport
from samovar.domains.identity.errors import ExpiredToken, InvalidToken, UnknownKey
from samovar.domains.identity.service import IdentityService, RemoteKeys, TokenRules, TokenVerifier, jose
from samovar.kernel.errors import Unavailable
from samovar.kernel.principal import PrincipalKind
from tests.app.conftest import listening
from tests.domains.identity.conftest import Make, Watched
from tests.domains.identity.tokens import (
    changed,
    claims_of,
    own,
    part,
    parts_of,
    public_pem,
    seconds,
    unsigned,
    with_shared_secret,
)
from tests.support.clock import ManualClock
from tests.support.sockets import closed_port

HOUR_S = 3600


async def issued(service: IdentityService, *, audience: str = "storage", ttl_s: int = 600) -> str:
    return await service.issuer.issue("role:ingester", audience, ["files:read", "files:write"], ttl_s)


async def refused(work: Awaitable[object], words: str, kind: type[Exception] = InvalidToken) -> None:
    with pytest.raises(kind, match=words):
        await work


async def test_a_token_between_roles_says_who_sends_it_and_what_they_may(service: IdentityService) -> None:
    principal = await service.verifier.verify(await issued(service), "storage")
    assert (principal.id, principal.kind) == ("role:ingester", PrincipalKind.SERVICE)
    assert principal.permissions == {"files:read", "files:write"}


async def test_no_signature_and_a_shared_secret_are_refused(service: IdentityService) -> None:
    token = await issued(service)
    jwk = (await service.signing_keys.verifying(parts_of(token)[0]["kid"])).about.public  # type: ignore[union-attr]
    for bad, algorithm in (
        (unsigned(token), "none"),
        (unsigned(token, "NONE"), "NONE"),
        (with_shared_secret(token, b"secret"), "HS256"),
        (with_shared_secret(token, public_pem(jwk)), "HS256"),
        (with_shared_secret(token, jwk["n"].encode()), "HS256"),
    ):
        await refused(service.verifier.verify(bad, "storage"), f"signed with '{algorithm}'; only RS256")


async def test_rs384_and_pss_by_our_own_key_are_refused(service: IdentityService) -> None:
    token = await issued(service)
    about, key = await service.signing_keys.signing()
    for algorithm in ("RS384", "RS512", "PS256"):
        header = {"alg": algorithm, "kid": about.kid, "typ": "JWT"}
        usable = RSAKey.import_key({**key.as_dict(private=True), "alg": algorithm})
        other = jws.serialize_compact(header, b"{}", usable, algorithms=[algorithm])
        await refused(service.verifier.verify(other, "storage"), f"'{algorithm}'; only RS256")
    assert await service.verifier.verify(token, "storage")


async def test_a_changed_claim_and_a_cut_token_are_refused(service: IdentityService) -> None:
    token = await issued(service)
    for bad in (changed(token, permissions=["keys:write"]), token[:-4], token[:-4] + "AAAA", token + "x"):
        await refused(service.verifier.verify(bad, "storage"), "signature is not right")
    head, _, rest = token.partition(".")
    await refused(service.verifier.verify(f"eyJ{head[3:]}!.{rest}", "storage"), "base64url")
    await refused(service.verifier.verify("eyJ.e30.e30", "storage"), "token")
    await refused(service.verifier.verify("eyJ" + "a" * 9000 + ".e30.e30", "storage"), "more than 8192")


async def test_a_key_of_somebody_else_is_refused_under_its_name_and_under_ours(service: IdentityService) -> None:
    kid = parts_of(await issued(service))[0]["kid"]
    await refused(service.verifier.verify(own(), "storage"), "not one of ours")
    await refused(service.verifier.verify(own(kid), "storage"), "signature is not right")


async def test_another_audience_and_another_issuer_are_refused(service: IdentityService, make: Make) -> None:
    token = await issued(service)
    await refused(service.verifier.verify(token, "query"), "is for storage, and this is query")
    elsewhere = make(tokens=TokenRules(issuer="another"))
    await refused(elsewhere.verifier.verify(token, "storage"), "issued by 'samovar'")


async def test_a_token_ends_and_none_is_taken_from_the_future(service: IdentityService, clock: ManualClock) -> None:
    token = await issued(service)
    clock.advance(605)
    assert await service.verifier.verify(token, "storage")
    clock.advance(5)
    await refused(service.verifier.verify(token, "storage"), "over", ExpiredToken)
    about, key = await service.signing_keys.signing()
    now = seconds(clock.now())
    for late in ({"iat": now + 11, "exp": now + 60}, {"iat": now, "nbf": now + 11, "exp": now + 60}):
        await refused(
            service.verifier.verify(jose.signed(claims_of(**late), about.kid, key), "storage"), "from the future"
        )
    soon = jose.signed(claims_of(iat=now + 9, exp=now + 60), about.kid, key)
    assert await service.verifier.verify(soon, "storage")


async def test_a_key_past_its_grace_is_refused_whatever_its_token_says(
    service: IdentityService, clock: ManualClock
) -> None:
    about, key = await service.signing_keys.signing()
    far = jose.signed(claims_of(exp=seconds(clock.now()) + 90 * HOUR_S), about.kid, key)
    clock.advance(25 * HOUR_S - 1)
    assert await service.verifier.verify(far, "storage")
    clock.advance(1)
    await refused(service.verifier.verify(far, "storage"), "retired at 2026-11-22T13:00:00")


async def test_a_token_outlives_the_key_that_signed_it_by_nothing(service: IdentityService, clock: ManualClock) -> None:
    await service.signing_keys.signing()
    clock.advance(24 * HOUR_S - 1)
    token, expires_in_s = await service.issuer.issue_to("role:query", ("storage",), (), ttl_s=86_400)
    assert expires_in_s == HOUR_S + 1
    assert parts_of(token)[1]["exp"] == seconds(clock.now()) + HOUR_S + 1


async def test_a_role_s_token_does_not_open_the_api(service: IdentityService) -> None:
    with pytest.raises(UnknownKey, match="between the roles"):
        await service.authenticate(await issued(service, audience="admin"))


async def test_a_process_that_starts_amid_calls_takes_them_all(make: Make, watched: Watched) -> None:
    here, there = make(), make(database=watched)
    await here.ensure_installed(None)
    token = await issued(here)
    found = await asyncio.gather(*(there.verifier.verify(token, "storage") for _ in range(20)))
    assert {one.id for one in found} == {"role:ingester"}
    assert watched.asked == 1


async def test_the_first_key_is_found_by_a_process_that_looked_a_moment_before(
    make: Make, watched: Watched, clock: ManualClock
) -> None:
    here, there = make(), make(database=watched)
    await here.ensure_installed(None)
    async with there.running():
        await there.signing_keys.advance()
        clock.advance(25 * HOUR_S)
        await there.signing_keys.verifying("nobody's")
        clock.advance(1)
        assert await there.verifier.verify(await issued(here), "storage")
    asked = watched.asked
    for kid in range(50):
        await refused(there.verifier.verify(own(f"kid-{kid}"), "storage"), "not one of ours")
    assert watched.asked == asked


# --- keys from a JWKS over HTTP -------------------------------------------------------------------------------------


class Jwks:
    """A server of a JWKS that counts how often it is asked."""

    def __init__(self, service: IdentityService) -> None:
        self.service = service
        self.asked = 0
        self.status = 200
        self.body: bytes | None = None

    async def __call__(self, scope: object, receive: object, send: Callable[[object], Awaitable[None]]) -> None:
        self.asked += 1
        body, _, max_age_s = await self.service.signing_keys.published()
        body = self.body or body
        headers = [(b"content-length", b"%d" % len(body)), (b"cache-control", b"public, max-age=%d" % max_age_s)]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def far_away(url: str, clock: ManualClock) -> tuple[TokenVerifier, Http1Transport]:
    transport = Http1Transport()
    return TokenVerifier(
        keys=RemoteKeys(url=url, transport=transport, clock=clock), issuer="samovar", clock=clock
    ), transport


async def test_a_process_without_the_database_checks_tokens_by_the_published_keys(
    service: IdentityService, clock: ManualClock
) -> None:
    jwks = Jwks(service)
    async with listening(jwks) as port:  # type: ignore[arg-type]  # its scope is not looked at
        verifier, transport = far_away(f"http://127.0.0.1:{port}/", clock)
        token = await issued(service)
        found = await asyncio.gather(*(verifier.verify(token, "storage") for _ in range(20)))
        assert {one.id for one in found} == {"role:ingester"}
        assert jwks.asked == 1
        # Keys that nobody has make it ask again once, and then not for five seconds.
        for kid in range(20):
            await refused(verifier.verify(own(f"kid-{kid}"), "storage"), "not one of ours")
        assert jwks.asked == 1
        clock.advance(5)
        for kid in range(2):
            await refused(verifier.verify(own(f"kid-{kid}"), "storage"), "not one of ours")
        assert jwks.asked == 2
        # The next key: found at its first token.
        clock.advance(24 * HOUR_S)
        assert await verifier.verify(await issued(service), "storage")
        assert jwks.asked == 3
        await transport.close()


async def test_known_keys_go_on_while_the_jwks_is_away_and_unknown_ones_wait(
    service: IdentityService, clock: ManualClock
) -> None:
    jwks = Jwks(service)
    async with listening(jwks) as port:  # type: ignore[arg-type]  # its scope is not looked at
        verifier, transport = far_away(f"http://127.0.0.1:{port}/", clock)
        assert await verifier.verify(await issued(service), "storage")
        jwks.status = 500
        clock.advance(HOUR_S)
        assert await verifier.verify(await issued(service), "storage")
        await refused(verifier.verify(own(), "storage"), "answers with status 500", Unavailable)
        for body in (b"<html>", b'{"keys": 1}'):
            jwks.status, jwks.body = 200, body
            clock.advance(5)
            await refused(verifier.verify(own(), "storage"), "no JWKS", Unavailable)
        jwks.body = b'{"keys": [{"kty": "oct", "kid": "of-somebody-else", "k": "AAAA", "exp": 9999999999}]}'
        clock.advance(5)
        await refused(verifier.verify(own(), "storage"), "not one of ours")
        await transport.close()


async def test_a_jwks_that_nobody_serves_is_said_to_be_away(clock: ManualClock) -> None:
    verifier, transport = far_away(f"http://127.0.0.1:{closed_port()}/", clock)
    await refused(verifier.verify(own(), "storage"), "cannot be fetched", Unavailable)
    await transport.close()


def test_a_short_key_and_one_for_something_else_are_not_imported() -> None:
    numbers = rsa.generate_private_key(65537, 1024).public_key().public_numbers()  # noqa: S505 - too short on purpose
    short = {"kty": "RSA", "kid": "short", "n": part(numbers.n.to_bytes(128, "big")), "e": "AQAB"}
    good = jose.public_jwk(jose.new_private_jwk("good"))
    assert isinstance(jose.imported(good), RSAKey)
    for bad in (short, {**good, "alg": "PS256"}, {**good, "use": "enc"}, {**good, "kty": "oct"}, {"kty": "RSA"}):
        with pytest.raises(ValueError, match="the key"):
            jose.imported(bad)
