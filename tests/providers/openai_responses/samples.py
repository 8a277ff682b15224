"""Streams of our own making, as the API sends them."""

import json


def event(kind: str, number: int, **fields: object) -> bytes:
    """One named event."""
    data = json.dumps({"type": kind, "sequence_number": number, **fields}, ensure_ascii=False)
    return f"event: {kind}\ndata: {data}\n\n".encode()


RESPONSE: dict[str, object] = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1760000000,
    "status": "in_progress",
    "model": "gpt-5-mini",
    "output": [],
    "usage": None,
}
MESSAGE: dict[str, object] = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant"}
TEXT = "Чай готов"
DONE_MESSAGE: dict[str, object] = {
    **MESSAGE,
    "status": "completed",
    "content": [{"type": "output_text", "text": TEXT}],
}
DONE: dict[str, object] = {
    **RESPONSE,
    "status": "completed",
    "output": [DONE_MESSAGE],
    "usage": {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7},
}
CREATED = event("response.created", 0, response=RESPONSE)
ADDED = event("response.output_item.added", 1, output_index=0, item={**MESSAGE, "content": []})
OPENED = event(
    "response.content_part.added", 2, output_index=0, content_index=0, part={"type": "output_text", "text": ""}
)
DELTAS = (
    event("response.output_text.delta", 3, output_index=0, content_index=0, delta="Чай "),
    event("response.output_text.delta", 4, output_index=0, content_index=0, delta="готов"),
)
CLOSED = event("response.output_text.done", 5, output_index=0, content_index=0, text=TEXT) + event(
    "response.output_item.done", 6, output_index=0, item=DONE_MESSAGE
)
COMPLETED = event("response.completed", 7, response=DONE)
STREAM = b"".join((CREATED, ADDED, OPENED, *DELTAS, CLOSED, COMPLETED))

QUOTA = {
    "type": "insufficient_quota",
    "code": "insufficient_quota",
    "message": "You exceeded your quota",
    "param": None,
}
ERROR = event("error", 8, error=QUOTA)
FAILED = event(
    "response.failed",
    9,
    response={**RESPONSE, "status": "failed", "error": {"code": QUOTA["code"], "message": QUOTA["message"]}},
)
