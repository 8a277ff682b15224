"""The secrets port: the sealed box and its master key."""

import base64
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.adapters.aesgcm import AesGcmBox, BadMasterKey, load_or_make_master_key, parse_master_key
from samovar.ports.secrets import SealBroken

KEY = bytes(range(32))
PLACE = "provider_keys:pk_1:secret"


@given(plain=st.binary(max_size=200), place=st.text(max_size=40))
def test_what_was_sealed_opens(plain: bytes, place: str) -> None:
    box = AesGcmBox(master_key=KEY)
    assert box.open(box.seal(plain, bound_to=place), bound_to=place) == plain


@given(plain=st.binary(max_size=20), at=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_any_changed_byte_breaks_the_seal(plain: bytes, at: int, flip: int) -> None:
    box = AesGcmBox(master_key=KEY)
    sealed = bytearray(box.seal(plain, bound_to=PLACE))
    sealed[at % len(sealed)] ^= flip
    with pytest.raises(SealBroken):
        box.open(bytes(sealed), bound_to=PLACE)


@given(st.binary(max_size=60))
def test_what_was_never_sealed_does_not_open(text: bytes) -> None:
    with pytest.raises(SealBroken):
        AesGcmBox(master_key=KEY).open(text, bound_to=PLACE)


def test_a_secret_opens_neither_in_another_row_nor_under_another_key(box: AesGcmBox) -> None:
    sealed = box.seal(b"sk-live", bound_to=PLACE)
    with pytest.raises(SealBroken, match="another row"):
        box.open(sealed, bound_to="provider_keys:pk_2:secret")
    with pytest.raises(SealBroken, match="another master key"):
        AesGcmBox(master_key=KEY).open(sealed, bound_to=PLACE)


def test_sealing_twice_gives_two_texts_and_shows_nothing(box: AesGcmBox) -> None:
    first, second = (box.seal(b"sk-live", bound_to=PLACE) for _ in range(2))
    assert first != second
    assert b"sk-live" not in first


def test_the_check_value_tells_master_keys_apart_and_holds_no_key() -> None:
    first, again, other = AesGcmBox(master_key=KEY), AesGcmBox(master_key=KEY), AesGcmBox(master_key=KEY[::-1])
    assert again.has_check_value(first.check_value)
    assert not other.has_check_value(first.check_value)
    assert not first.has_check_value("")
    assert KEY.hex() not in first.check_value


@pytest.mark.parametrize(
    "text",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(b"\xff" * 32).decode(),
        base64.urlsafe_b64encode(b"\xff" * 32).decode(),
        f"  {base64.b64encode(KEY).decode().rstrip('=')}\n",
    ],
)
def test_a_master_key_is_read_from_text(text: str) -> None:
    assert parse_master_key(text) in (KEY, b"\xff" * 32)


@pytest.mark.parametrize("text", ["", "short", "a" * 63, "zz" * 32, base64.b64encode(b"x" * 31).decode(), "пароль"])
def test_what_is_no_master_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(BadMasterKey) as caught:
        parse_master_key(text)
    assert not text or text not in str(caught.value)


def test_a_master_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    made = load_or_make_master_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make_master_key(path) == made
    assert [file.name for file in tmp_path.iterdir()] == ["master.key"]


def test_processes_that_start_at_once_get_the_same_master_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(load_or_make_master_key, [tmp_path / "master.key"] * 32))
    assert len(set(keys)) == 1


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_master_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.key"
    load_or_make_master_key(path)
    path.chmod(mode)
    with pytest.raises(BadMasterKey, match="chmod 600"):
        load_or_make_master_key(path)


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"\x07" * 40, b"A" * 100_000])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(BadMasterKey, match="holds no key"):
        load_or_make_master_key(path)


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_or_make_master_key(tmp_path / "nowhere" / "master.key")
