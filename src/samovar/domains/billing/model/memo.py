"""What a charge in the ledger remembers: enough to compute it again in years, without the price card of then. Pure."""

from typing import Final

import msgspec

from samovar.domains.billing.model.prices import Charge, charge_lines, nano_usd_of
from samovar.domains.catalog.model import Rates
from samovar.ports.llm import Usage


class Memo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``rates`` is the column of the price card that applied, ``prices`` the version of the snapshot it stood in.
    ``computed_nano_usd`` is there where the provider's own figure was charged: what the rates say."""

    model: str
    provider: str
    prices: str
    usage: Usage | None = None
    rates: Rates | None = None
    computed_nano_usd: int | None = None


_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(Memo)


def memo_of(charge: Charge, usage: Usage | None, *, model: str, provider: str, prices: str) -> bytes:
    """The memo of a charge, as JSON."""
    memo = Memo(
        model=model,
        provider=provider,
        prices=prices,
        usage=usage,
        rates=charge.rates,
        computed_nano_usd=charge.computed_nano_usd,
    )
    return _encoder.encode(memo)


def recomputed(memo: str) -> int | None:
    """What the memo's rates say of its usage, in nano-dollars; ``None`` where it has no rates, or none for a kind that was
    used. Raises ``msgspec.DecodeError`` for what is no memo."""
    read = _decoder.decode(memo)
    if read.usage is None or read.rates is None:
        return None
    return nano_usd_of(charge_lines(read.usage, read.rates))
