"""How signing in and keeping keys can fail. No message ever repeats a credential."""

from typing import ClassVar, Final

from samovar.kernel.errors import Conflict, Forbidden, NotFound, SamovarError, TooManyRequests, Unauthenticated

_TOLD_TO_RENEW: Final = 'Bearer realm="samovar", error="invalid_token"'
"""RFC 6750, section 3.1: the client may get a new token and ask again."""


class SignInFailed(Unauthenticated):
    """Base of the refusals below; carries the challenge that RFC 9110 (section 11.6.1) asks of a 401."""

    challenge: ClassVar[str] = 'Bearer realm="samovar"'

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": self.challenge})


class NoCredential(SignInFailed):
    """The request carried no credential at all."""

    code = "no_credential"
    title = "No key was sent"


class UnknownKey(SignInFailed):
    """A credential that this installation never gave out."""

    code = "unknown_key"
    title = "Unknown key"


class RevokedKey(SignInFailed):
    """A key that somebody revoked, or that was replaced and whose grace is over."""

    code = "revoked_key"
    title = "Revoked key"


class ExpiredKey(SignInFailed):
    """A key past its ``expires_at``."""

    code = "expired_key"
    title = "Expired key"


class InvalidToken(UnknownKey):
    """A token that this installation did not sign, or that is not meant for whoever got it."""

    code = "invalid_token"
    title = "The token is not good here"
    challenge = _TOLD_TO_RENEW


class ExpiredToken(SignInFailed):
    """A token past its ``exp``."""

    code = "expired_token"
    title = "Expired token"
    challenge = _TOLD_TO_RENEW


class RevokedToken(SignInFailed):
    """A token whose account was disabled or deleted, or whose secret is over."""

    code = "revoked_token"
    title = "Revoked token"
    challenge = _TOLD_TO_RENEW


class InvalidClient(SignInFailed):
    """No such service account, or not its secret: the two look alike on purpose."""

    code = "invalid_client"
    title = "Unknown client or wrong secret"
    challenge = 'Basic realm="samovar"'


class AccountNotFound(NotFound):
    """No such service account in the caller's team."""

    code = "service_account_not_found"
    title = "No such service account"


class ClientIdTaken(Conflict):
    """Another service account of this installation has this client id."""

    code = "client_id_taken"
    title = "The client id is taken"


class RotatedMeanwhile(Conflict):
    """Somebody else changed the account or rotated its secret at the same moment."""

    code = "rotated_meanwhile"
    title = "The secret was rotated in the meantime"


class TooManyWrongCredentials(TooManyRequests):
    """One address sent too many unknown credentials; ``Retry-After`` says when the next may be tried."""

    code = "too_many_wrong_credentials"
    title = "Too many wrong credentials"


class KeyNotFound(NotFound):
    """No such key in the caller's team."""

    code = "key_not_found"
    title = "No such key"


class KeyNotActive(Conflict):
    """The key was revoked, replaced or has expired, so it cannot be rotated or changed."""

    code = "key_not_active"
    title = "The key is not active"


class BeyondOwnRights(Forbidden):
    """A key or service account can do, or would be able to do, what who makes or changes it may not."""

    code = "beyond_own_rights"
    title = "Nobody gives away, or takes away, more than they have themselves"


class BadTokenRequest(SamovarError):
    """A token request that breaks RFC 6749. ``oauth`` is the word of its section 5.2 (or of RFC 8707 for the audience)."""

    code = "bad_token_request"
    status = 400
    title = "Bad token request"

    def __init__(self, detail: str, *, oauth: str = "invalid_request") -> None:
        super().__init__(detail)
        self.oauth = oauth


class WrongMasterKey(SamovarError):
    """The master key is not the one this database was installed with. Start-up must stop."""

    code = "wrong_master_key"
    status = 500
    title = "Wrong master key"
