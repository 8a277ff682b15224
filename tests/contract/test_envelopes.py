"""age's files: what we write pyrage reads, and the other way round; and nothing that was changed opens."""

import asyncio
from collections.abc import AsyncIterator

import pyrage
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.adapters.age import (
    AgeKeyring,
    AgeOpener,
    AgeSealer,
    Passphrase,
    new_identity,
    parse_identities,
    parse_recipient,
)
from samovar.ports.envelopes import BadRecipient, EnvelopeBroken

CHUNK = 64 * 1024
SIZES = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 7]
MINE = new_identity()
OTHER_END = "q" if MINE.recipient.endswith("x") else "x"
SMALL = Passphrase("correct horse", work=2)


async def pieces(content: bytes, size_bytes: int) -> AsyncIterator[bytes]:
    for at in range(0, len(content), size_bytes):
        yield content[at : at + size_bytes]


async def whole(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


def plain_of(size_bytes: int) -> bytes:
    return (b"%06d|" * (size_bytes // 7 + 1) % tuple(range(size_bytes // 7 + 1)))[:size_bytes]


@pytest.mark.parametrize("size_bytes", SIZES)
async def test_a_recipient_opens_with_another_program_what_we_sealed(size_bytes: int) -> None:
    theirs = pyrage.x25519.Identity.generate()
    sealer = AgeSealer([parse_recipient(MINE.recipient), parse_recipient(str(theirs.to_public()))])
    plain = plain_of(size_bytes)
    sealed = await whole(sealer.seal(pieces(plain, 10_001)))
    assert pyrage.decrypt(sealed, [theirs]) == plain
    assert pyrage.decrypt(sealed, [pyrage.x25519.Identity.from_str(MINE.text)]) == plain
    assert await whole(AgeOpener([MINE]).open(pieces(sealed, 999))) == plain


@pytest.mark.parametrize("piece_bytes", [CHUNK, 8 * CHUNK], ids=["in pieces", "in one piece"])
@pytest.mark.parametrize("size_bytes", SIZES)
async def test_we_open_what_another_program_sealed(size_bytes: int, piece_bytes: int) -> None:
    theirs = pyrage.x25519.Identity.generate()
    plain = plain_of(size_bytes)
    opener = AgeOpener(parse_identities(f"# made yesterday\n\n{theirs}\n"))
    assert await whole(opener.open(pieces(pyrage.encrypt(plain, [theirs.to_public()]), piece_bytes))) == plain


async def test_a_passphrase_means_the_same_to_both() -> None:
    plain = plain_of(70_000)
    sealed = await whole(AgeSealer(Passphrase("чай & 茶")).seal(pieces(plain, 5000)))
    assert pyrage.passphrase.decrypt(sealed, "чай & 茶") == plain
    theirs = pyrage.passphrase.encrypt(plain, "чай & 茶")
    assert await whole(AgeOpener(Passphrase("чай & 茶")).open(pieces(theirs, 5000))) == plain


async def test_a_wrong_key_and_a_wrong_passphrase_are_told() -> None:
    sealed = await whole(AgeSealer(SMALL).seal(pieces(b"x", 1)))
    for opener in (AgeOpener(Passphrase("wrong horse", work=2)), AgeOpener([MINE])):
        with pytest.raises(EnvelopeBroken, match="None of the keys"):
            await whole(opener.open(pieces(sealed, 100)))


def test_a_passphrase_that_would_cost_a_gigabyte_is_refused() -> None:
    header = b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 30\n" + b"A" * 43 + b"\n--- " + b"A" * 43 + b"\n"
    with pytest.raises(EnvelopeBroken, match="more work"):
        asyncio.run(whole(AgeOpener(SMALL).open(pieces(header + bytes(32), 50))))


@settings(max_examples=60, deadline=None)
@given(size_bytes=st.sampled_from([0, 5, CHUNK, CHUNK + 9]), data=st.data(), recipient=st.booleans())
def test_no_byte_can_be_changed_and_none_can_be_missing(size_bytes: int, data: st.DataObject, recipient: bool) -> None:
    plain = plain_of(size_bytes)
    sealer = AgeSealer([parse_recipient(MINE.recipient)]) if recipient else AgeSealer(SMALL)
    opener = AgeOpener([MINE]) if recipient else AgeOpener(SMALL)
    sealed = asyncio.run(whole(sealer.seal(pieces(plain, 1000))))
    # Half of the time the header, which is small and full of meaning.
    most = len(sealed) - 1 if data.draw(st.booleans()) else min(300, len(sealed) - 1)
    at = data.draw(st.integers(0, most))
    if data.draw(st.booleans()):
        changed = sealed[:at]
    else:
        changed = sealed[:at] + bytes([sealed[at] ^ 1 << data.draw(st.integers(0, 7))]) + sealed[at + 1 :]
    with pytest.raises(EnvelopeBroken):
        asyncio.run(whole(opener.open(pieces(changed, 777))))


@pytest.mark.parametrize(
    "text",
    ["", "age1", MINE.text, MINE.recipient[:-1] + OTHER_END, MINE.recipient[:9] + MINE.recipient[10:]],
    ids=["nothing", "a prefix", "a secret key", "a wrong end", "one short"],
)
def test_a_recipient_that_is_none_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(BadRecipient) as refused:
        parse_recipient(text)
    assert not text or len(text) < 8 or text not in refused.value.detail


def test_recipients_and_a_passphrase_do_not_go_together() -> None:
    with pytest.raises(BadRecipient):
        AgeKeyring().sealer([MINE.recipient], "phrase")
    assert AgeKeyring().sealer([], None) is None
    assert AgeKeyring().opener(None, None) is None


def test_keys_are_not_shown_by_accident() -> None:
    assert "AGE-SECRET" not in repr(MINE)
    assert "horse" not in repr(SMALL)
