"""What a Samovar whose Redis is away makes of answers from memory."""

import json

from tests.app.conftest import ADMIN, Serve
from tests.support.sockets import closed_port


async def test_without_its_redis_every_call_is_answered_anew(serve: Serve) -> None:
    served = await serve(redis_url=f"redis://127.0.0.1:{closed_port()}/0", sandbox="on")
    made = await served.ask("POST", "/api/keys", body=b'{"name":"k"}', headers=ADMIN)
    headers = {"Authorization": f"Bearer {made.json['key']}", "x-samovar-cache": "1"}
    for stream in (False, True):
        body = {"model": "sandbox/echo", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
        for _ in range(2):
            answer = await served.ask("POST", "/v1/chat/completions", body=json.dumps(body).encode(), headers=headers)
            assert (answer.status, answer.headers["x-cache"]) == (200, "MISS")
            assert b"hi" in answer.body
