"""How signing in and keeping keys can fail. No message ever repeats a credential."""

from samovar.kernel.errors import Conflict, Forbidden, NotFound, SamovarError, TooManyRequests, Unauthenticated


class SignInFailed(Unauthenticated):
    """Base of the refusals below; carries the challenge that RFC 9110 (section 11.6.1) asks of a 401."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": 'Bearer realm="samovar"'})


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
    """The new key would be able to do what its maker may not."""

    code = "beyond_own_rights"
    title = "A key cannot be given more than its maker has"


class WrongMasterKey(SamovarError):
    """The master key is not the one this database was installed with. Start-up must stop."""

    code = "wrong_master_key"
    status = 500
    title = "Wrong master key"
