"""What a process of ours and its worker say to one another over their socket: a header, then the bytes of an image."""

import socket
from typing import Final

import msgspec

from samovar.ports.images import BrokenImage, ImageLimits, ImageTooLarge, Picture, UnsupportedImage

_SIZES_BYTES: Final = 8
_REFUSALS: Final = {error.code: error for error in (UnsupportedImage, BrokenImage, ImageTooLarge)}


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What is read at all, whoever is to receive it."""

    max_bytes: int
    max_side_px: int
    max_pixels: int


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker has started."""


class Job(msgspec.Struct, frozen=True, tag="job"):
    """Prepare the image that follows."""

    bounds: Bounds
    limits: ImageLimits


class Done(msgspec.Struct, frozen=True, tag="done"):
    """It is done; the image follows."""

    kind: str
    width_px: int
    height_px: int
    recoded: bool


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """It is refused: the failure's code and detail."""

    code: str
    detail: str


Message = Ready | Job | Done | Refused

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final[msgspec.msgpack.Decoder[Message]] = msgspec.msgpack.Decoder(Message)


class Hangup(Exception):
    """The other side is gone."""


def send(peer: socket.socket, message: Message, content: bytes = b"") -> None:
    """Send a message and what belongs to it. Raises ``OSError``."""
    header = _ENCODER.encode(message)
    peer.sendall(len(header).to_bytes(4, "big") + len(content).to_bytes(4, "big") + header)
    if content:
        peer.sendall(content)


def receive(peer: socket.socket, *, max_bytes: int) -> tuple[Message, bytes]:
    """The next message and what belongs to it. Raises :class:`Hangup`, ``OSError``."""
    sizes = _exactly(peer, _SIZES_BYTES)
    header_bytes, content_bytes = int.from_bytes(sizes[:4], "big"), int.from_bytes(sizes[4:], "big")
    if max(header_bytes, content_bytes) > max_bytes:
        raise Hangup
    header = _exactly(peer, header_bytes)
    content = _exactly(peer, content_bytes)
    try:
        return _DECODER.decode(header), content
    except msgspec.DecodeError as error:
        raise Hangup from error


def _exactly(peer: socket.socket, size: int) -> bytes:
    buffer = bytearray(size)
    view = memoryview(buffer)
    filled = 0
    while filled < size:
        count = peer.recv_into(view[filled:])
        if not count:
            raise Hangup
        filled += count
    return bytes(buffer)


def refusal(message: Refused) -> UnsupportedImage | BrokenImage | ImageTooLarge:
    """The failure that a worker named."""
    return _REFUSALS.get(message.code, BrokenImage)(message.detail)


def done(picture: Picture) -> Done:
    """A picture without its bytes."""
    return Done(picture.kind.value, picture.width_px, picture.height_px, picture.recoded)
