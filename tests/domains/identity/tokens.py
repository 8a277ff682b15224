"""What tests of tokens share: tokens made by hand, good and bad."""

import base64
import hashlib
import hmac
import json
from datetime import datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from samovar.domains.identity.model import Claims
from samovar.domains.identity.service import jose


def part(value: Any) -> str:
    """A part of a token."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def parts_of(token: str) -> tuple[Any, Any]:
    """Header and claims of a token, unchecked."""
    header, payload, _ = (base64.urlsafe_b64decode(one + "=" * (-len(one) % 4)) for one in token.split("."))
    return json.loads(header), json.loads(payload)


def unsigned(token: str, algorithm: str = "none") -> str:
    """The same claims with no signature."""
    header, claims = parts_of(token)
    return f"{part({**header, 'alg': algorithm})}.{part(claims)}."


def with_shared_secret(token: str, secret: bytes) -> str:
    """The same claims under HS256: what a verifier takes that lets the token choose how it is checked."""
    header, claims = parts_of(token)
    signed = f"{part({**header, 'alg': 'HS256'})}.{part(claims)}"
    return f"{signed}.{part(hmac.digest(secret, signed.encode(), hashlib.sha256))}"


def changed(token: str, **claims: Any) -> str:
    """Other claims under the old signature."""
    head, payload, signature = token.split(".")
    known = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return f"{head}.{part({**known, **claims})}.{signature}"


@cache
def _of_somebody_else() -> Any:
    return jose.imported(jose.new_private_jwk("of-somebody-else"))


def own(kid: str = "of-somebody-else", **claims: Any) -> str:
    """A token signed right, by a key of somebody else."""
    return jose.signed(claims_of(**claims), kid, _of_somebody_else())


def claims_of(**claims: Any) -> Claims:
    """Claims of no matter what."""
    usual: dict[str, Any] = {
        "sub": "role:ingester",
        "iss": "samovar",
        "aud": ("storage",),
        "iat": 1_795_262_400,
        "exp": 1_795_266_000,
        "permissions": ("files:read",),
        "team": "default",
        "jti": "1",
    }
    return Claims(**{**usual, **claims})


def public_pem(jwk: dict[str, Any]) -> bytes:
    """A JWK as the PEM that attackers feed to HMAC."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return public_key(jwk).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def public_key(jwk: dict[str, Any]) -> rsa.RSAPublicKey:
    """A JWK read without joserfc."""
    n, e = (
        int.from_bytes(base64.urlsafe_b64decode(jwk[name] + "=" * (-len(jwk[name]) % 4)), "big") for name in ("n", "e")
    )
    return rsa.RSAPublicNumbers(e, n).public_key()


def seconds(at: datetime) -> int:
    """Since 1970."""
    return int(at.timestamp())
