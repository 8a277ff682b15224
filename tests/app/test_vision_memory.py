"""What a call for vision holds while it lasts."""

import json
import tracemalloc

from tests.app.conftest import ADMIN, Serve
from tests.e2e.pictures import base64_of, picture

UPLOAD_BYTES = 6_000_000


async def test_a_stream_does_not_hold_what_was_uploaded_for_it(serve: Serve) -> None:
    served = await serve()
    key = (await served.ask("POST", "/api/keys", body=b'{"name": "k"}', headers=ADMIN)).json["key"]
    # Blanks do not count in base64: what goes to the model is small.
    image = base64_of(picture()) + " " * UPLOAD_BYTES
    asked = {"model": "sandbox/vision", "prompt": "What? [[fault:hang_mid]]", "image_base64": image}
    body = json.dumps(asked).encode()
    headers = {"Host": "x", "Content-Length": str(len(body)), "Authorization": f"Bearer {key}"}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    reader, writer = await served.connect()
    tracemalloc.start()
    try:
        writer.write(f"POST /v1/vision/stream HTTP/1.1\r\n{head}\r\n".encode())
        writer.write(body)
        first = await reader.readline()
        assert b" 200 " in first, await reader.read(2000)
        await reader.readuntil(b'"content":"')
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        writer.close()
    assert held_bytes < UPLOAD_BYTES
