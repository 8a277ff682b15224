"""See :class:`Messages`."""

import base64
from collections.abc import Iterable
from typing import Any

import anthropic

from tests.e2e.talks import MAX_TOKENS, THINKING_TOKENS, Refused, Said, Task, arguments


def client_of(url: str, key: str) -> anthropic.Anthropic:
    """Anthropic's SDK at a base URL."""
    return anthropic.Anthropic(base_url=url, api_key=key, max_retries=0)


class Messages:
    """Anthropic's messages. Its usage does not tell reasoning apart."""

    def __init__(self, client: anthropic.Anthropic, task: Task) -> None:
        self._client = client
        self._task = task
        self._messages: list[Any] = []
        self._ids: list[str] = []

    def ask(self, text: str, image: bytes | None = None) -> Said:
        content: list[Any] = [{"type": "text", "text": text}]
        if image is not None:
            source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(image).decode()}
            content.append({"type": "image", "source": source})
        self._messages.append({"role": "user", "content": text if image is None else content})
        return self._said()

    def give(self, results: Iterable[str]) -> Said:
        pairs = zip(self._ids, results, strict=True)
        blocks = [{"type": "tool_result", "tool_use_id": call_id, "content": result} for call_id, result in pairs]
        self._messages.append({"role": "user", "content": blocks})
        return self._said()

    def _said(self) -> Said:
        task = self._task
        fields: dict[str, Any] = {"model": task.model, "messages": self._messages, "max_tokens": MAX_TOKENS}
        if task.tools:
            fields["tools"] = [{"name": name, "input_schema": schema} for name, schema in task.tools]
        if task.schema is not None:
            fields["extra_body"] = {"output_config": {"format": {"type": "json_schema", "schema": task.schema}}}
        if task.thinks:
            fields["thinking"] = {"type": "enabled", "budget_tokens": THINKING_TOKENS}
        pieces = 0
        try:
            if task.stream:
                with self._client.messages.stream(**fields) as stream:
                    for event in stream:
                        pieces += event.type == "text"
                    final: Any = stream.get_final_message()
            else:
                final = self._client.messages.create(**fields)
        except anthropic.APIStatusError as error:
            body: Any = error.body
            raise Refused(error.status_code, body["error"]["type"], body["error"]["message"]) from error
        self._messages.append({"role": "assistant", "content": [_block(block) for block in final.content]})
        calls = [block for block in final.content if block.type == "tool_use"]
        self._ids = [call.id for call in calls]
        usage = final.usage
        cached = usage.cache_read_input_tokens or 0
        return Said(
            text="".join(block.text for block in final.content if block.type == "text"),
            calls=tuple((call.name, arguments(call.input)) for call in calls),
            thought="".join(block.thinking for block in final.content if block.type == "thinking"),
            stop={"end_turn": "end", "tool_use": "tools"}.get(final.stop_reason, "?"),
            input=usage.input_tokens + cached + (usage.cache_creation_input_tokens or 0),
            output=usage.output_tokens,
            cached=cached,
            pieces=pieces,
        )


def _block(block: Any) -> dict[str, Any]:
    return {name: value for name, value in block.model_dump(exclude_none=True).items() if name != "parsed_output"}
