"""RS256 (RFC 7515, 7518) through joserfc. Loaded when it is first needed: it takes half a second to import."""

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from samovar.domains.identity.errors import InvalidToken
from samovar.domains.identity.model import ALGORITHM, MAX_TOKEN_CHARS, Claims, header_of

if TYPE_CHECKING:
    from joserfc.jwk import RSAKey

KEY_BITS: Final = 2048
_MOST_EXPONENT_BYTES: Final = 8


def new_private_jwk(kid: str) -> dict[str, Any]:
    """A new key pair as a JWK (RFC 7517). A tenth of a second of processor time: call it in a thread."""
    from joserfc.jwk import RSAKey

    key = RSAKey.generate_key(KEY_BITS, {"kid": kid, "use": "sig", "alg": ALGORITHM}, private=True)
    return dict(key.as_dict(private=True))


def public_jwk(private: Mapping[str, Any]) -> dict[str, Any]:
    """What of it everybody may see."""
    return {name: private[name] for name in ("kty", "kid", "use", "alg", "n", "e")}


def imported(jwk: Mapping[str, Any]) -> "RSAKey":
    """The key of a JWK. Raises ``ValueError`` for one that is no RSA key of ours or too short."""
    from joserfc.errors import JoseError
    from joserfc.jwk import RSAKey

    if jwk.get("kty") != "RSA" or jwk.get("alg", ALGORITHM) != ALGORITHM or jwk.get("use", "sig") != "sig":
        raise ValueError(f"the key is not for {ALGORITHM} signatures")
    try:
        bits = int.from_bytes(_decoded(str(jwk["n"])), "big").bit_length()
        if bits < KEY_BITS or len(_decoded(str(jwk["e"]))) > _MOST_EXPONENT_BYTES:
            raise ValueError(f"it has {bits} bits, and {KEY_BITS} are asked for")
        return RSAKey.import_key(dict(jwk))
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"the key cannot be read: {error}") from error


def signed(claims: Claims, kid: str, key: "RSAKey") -> str:
    """A token in the compact form. About a millisecond."""
    from joserfc import jws

    header = {"alg": ALGORITHM, "kid": kid, "typ": "JWT"}
    return jws.serialize_compact(header, msgspec.json.encode(claims), key, algorithms=[ALGORITHM])


def key_id_of(token: str) -> str:
    """Which key a token says has signed it. Raises ``InvalidToken``, also for any algorithm but ours."""
    if len(token) > MAX_TOKEN_CHARS:
        raise InvalidToken(f"The token has more than {MAX_TOKEN_CHARS} characters, as none of ours has.")
    try:
        raw = _decoded(token.partition(".")[0])
    except ValueError as error:
        raise InvalidToken("The token's header is no base64url. Was the token copied whole?") from error
    kid = header_of(raw).kid
    assert kid is not None
    return kid


def payload_of(token: str, key: "RSAKey") -> bytes:
    """The payload, if ``key`` signed it with RS256. Raises ``InvalidToken``."""
    from joserfc import jws
    from joserfc.errors import JoseError

    try:
        return bytes(jws.deserialize_compact(token, key, algorithms=[ALGORITHM]).payload)
    except (JoseError, ValueError) as error:
        raise InvalidToken("The token's signature is not right. Was the token copied whole?") from error


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("no base64url") from error
