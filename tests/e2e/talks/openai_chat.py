"""See :class:`Chat`."""

import base64
from collections.abc import Iterable
from typing import Any

import openai

from tests.e2e.talks import MAX_TOKENS, Refused, Said, Task, arguments

_SWITCHES = {
    "effort": {"reasoning_effort": "low"},
    "thinking": {"thinking": {"type": "enabled"}},
    # It says in so many words that the thinking is wanted.
    "openrouter": {"reasoning": {"enabled": True}},
}


def client_of(url: str, key: str) -> openai.OpenAI:
    """OpenAI's SDK at a base URL."""
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


def _words(content: Any) -> tuple[str, str]:
    """Thinking and words: Mistral answers with parts where it thinks."""
    if content is None or isinstance(content, str):
        return "", content or ""
    thinking = "".join(inner["text"] for part in content for inner in part.get("thinking", ()))
    return thinking, "".join(part.get("text", "") for part in content)


class Chat:
    """OpenAI's chat completions."""

    def __init__(self, client: openai.OpenAI, task: Task) -> None:
        self._client = client
        self._task = task
        self._messages: list[Any] = []
        self._ids: list[str] = []

    def ask(self, text: str, image: bytes | None = None) -> Said:
        parts: list[Any] = [{"type": "text", "text": text}]
        if image is not None:
            url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
        self._messages.append({"role": "user", "content": text if image is None else parts})
        return self._said()

    def give(self, results: Iterable[str]) -> Said:
        for call_id, result in zip(self._ids, results, strict=True):
            self._messages.append({"role": "tool", "tool_call_id": call_id, "content": result})
        return self._said()

    def _said(self) -> Said:
        task = self._task
        fields: dict[str, Any] = {"model": task.model, "messages": self._messages, "max_tokens": MAX_TOKENS}
        if task.tools:
            fields["tools"] = [
                {"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in task.tools
            ]
        if task.schema is not None:
            form = {"name": "answer", "schema": task.schema}
            fields["response_format"] = {"type": "json_schema", "json_schema": form}
        if task.thinks:
            fields["extra_body"] = _SWITCHES[task.switch]
        try:
            whole, pieces = self._streamed(fields) if task.stream else (self._whole(fields), 0)
        except openai.APIStatusError as error:
            raise Refused(error.status_code, str(error.code), str(error.body)) from error
        message = whole.choices[0].message
        self._messages.append(message.model_dump(exclude_none=True, warnings=False))
        calls = message.tool_calls or []
        self._ids = [call.id for call in calls]
        usage = whole.usage
        assert usage is not None
        cached, reasoned = usage.prompt_tokens_details, usage.completion_tokens_details
        further = message.model_extra or {}
        thought, text = _words(message.content)
        return Said(
            text=text,
            calls=tuple((call.function.name, arguments(call.function.arguments)) for call in calls),
            thought=thought or further.get("reasoning_content") or further.get("reasoning") or "",
            stop={"stop": "end", "tool_calls": "tools"}.get(whole.choices[0].finish_reason, "?"),
            input=usage.prompt_tokens,
            # xAI leaves reasoning out of the completion, and has it in the total as all others do.
            output=usage.total_tokens - usage.prompt_tokens,
            cached=(cached.cached_tokens if cached else 0) or 0,
            reasoning=(reasoned.reasoning_tokens if reasoned else 0) or 0,
            pieces=pieces,
        )

    def _whole(self, fields: dict[str, Any]) -> Any:
        return self._client.chat.completions.create(**fields)

    def _streamed(self, fields: dict[str, Any]) -> tuple[Any, int]:
        # Not with the SDK's ``stream()``: it wants strict tools as soon as a form is given.
        if self._task.asks_usage:
            fields["stream_options"] = {"include_usage": True}
        chunks = self._client.chat.completions.create(**fields, stream=True)
        gathered = _Gathered()
        for chunk in chunks:
            gathered.take(chunk)
        return gathered.whole(), gathered.pieces


class _Gathered:
    """Chunks of a chat, put together as the SDK's users do it."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {"role": "assistant", "content": ""}
        self._calls: dict[int, dict[str, Any]] = {}
        self._finish: str | None = None
        self._usage: Any = None
        self.pieces = 0

    def take(self, chunk: Any) -> None:
        self._usage = chunk.usage.model_dump() if chunk.usage else self._usage
        if not chunk.choices:
            return
        choice = chunk.choices[0]
        self._finish = choice.finish_reason or self._finish
        delta = choice.delta
        self.pieces += bool(delta.content)
        thought, text = _words(delta.content)
        self._message["content"] += text
        if thought:
            self._message["reasoning"] = self._message.get("reasoning", "") + thought
        for name in ("reasoning_content", "reasoning"):
            if piece := (delta.model_extra or {}).get(name):
                self._message[name] = self._message.get(name, "") + piece
        for detail in (delta.model_extra or {}).get("reasoning_details") or ():
            self._detail(detail)
        for piece in delta.tool_calls or ():
            self._call(piece)

    def _detail(self, detail: dict[str, Any]) -> None:
        details = self._message.setdefault("reasoning_details", [])
        known = next((each for each in details if each.get("index") == detail.get("index")), None)
        if known is None:
            details.append(dict(detail))
            return
        known["text"] = known.get("text", "") + detail.get("text", "")
        known.update({name: value for name, value in detail.items() if name != "text"})

    def _call(self, piece: Any) -> None:
        call = self._calls.setdefault(piece.index, {"type": "function", "function": {"name": "", "arguments": ""}})
        call["id"] = piece.id or call.get("id")
        call.update(piece.model_extra or {})
        call["function"]["name"] += piece.function.name or ""
        call["function"]["arguments"] += piece.function.arguments or ""

    def whole(self) -> Any:
        message = {**self._message, "content": self._message["content"] or None}
        if self._calls:
            message["tool_calls"] = [self._calls[number] for number in sorted(self._calls)]
        choice = {"index": 0, "message": message, "finish_reason": self._finish, "logprobs": None}
        body = {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        return openai.types.chat.ChatCompletion.model_validate({**body, "usage": self._usage})
