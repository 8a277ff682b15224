"""Keys as callers give them."""

from collections.abc import Sequence

from samovar.adapters.age.envelope import AgeOpener, AgeSealer
from samovar.adapters.age.keys import Passphrase, parse_identities, parse_recipient
from samovar.ports.envelopes import BadRecipient


class AgeKeyring:
    """A :class:`samovar.ports.envelopes.Keyring`."""

    def sealer(self, recipients: Sequence[str], passphrase: str | None) -> AgeSealer | None:
        """See the port."""
        if recipients and passphrase:
            raise BadRecipient("age encrypts for recipients or under a passphrase: give one of them.")
        if passphrase:
            return AgeSealer(Passphrase(passphrase))
        return AgeSealer([parse_recipient(one) for one in recipients]) if recipients else None

    def opener(self, identity: str | None, passphrase: str | None) -> AgeOpener | None:
        """See the port."""
        if identity and passphrase:
            raise BadRecipient("A file is encrypted for an identity or under a passphrase: give one of them.")
        if passphrase:
            return AgeOpener(Passphrase(passphrase))
        return AgeOpener(parse_identities(identity)) if identity else None
