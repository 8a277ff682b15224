"""See :class:`Responses`."""

import base64
from collections.abc import Iterable
from typing import Any

import openai

from tests.e2e.talks import MAX_TOKENS, Refused, Said, Task, arguments


class Responses:
    """OpenAI's Responses."""

    def __init__(self, client: openai.OpenAI, task: Task) -> None:
        self._client = client
        self._task = task
        self._input: list[Any] = []
        self._ids: list[str] = []

    def ask(self, text: str, image: bytes | None = None) -> Said:
        parts: list[Any] = [{"type": "input_text", "text": text}]
        if image is not None:
            url = f"data:image/png;base64,{base64.b64encode(image).decode()}"
            parts.append({"type": "input_image", "image_url": url, "detail": "auto"})
        self._input.append({"role": "user", "content": text if image is None else parts})
        return self._said()

    def give(self, results: Iterable[str]) -> Said:
        for call_id, result in zip(self._ids, results, strict=True):
            self._input.append({"type": "function_call_output", "call_id": call_id, "output": result})
        return self._said()

    def _said(self) -> Said:
        task = self._task
        fields: dict[str, Any] = {"model": task.model, "input": self._input, "store": False}
        fields["max_output_tokens"] = MAX_TOKENS
        if task.tools:
            fields["tools"] = [
                {"type": "function", "name": name, "parameters": schema, "strict": False} for name, schema in task.tools
            ]
        if task.schema is not None:
            fields["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": task.schema}}
        if task.thinks:
            fields["reasoning"] = {"effort": "low", "summary": "auto"}
            fields["include"] = ["reasoning.encrypted_content"]
        pieces = 0
        try:
            if task.stream:
                final: Any = None
                for event in self._client.responses.create(**fields, stream=True):
                    pieces += event.type == "response.output_text.delta"
                    if event.type in ("response.completed", "response.incomplete"):
                        final = event.response
            else:
                final = self._client.responses.create(**fields)
        except openai.APIStatusError as error:
            raise Refused(error.status_code, str(error.code), str(error.body)) from error
        return self._told(final, pieces)

    def _told(self, final: Any, pieces: int) -> Said:
        self._input += [item.model_dump(exclude_none=True) for item in final.output]
        calls = [item for item in final.output if item.type == "function_call"]
        self._ids = [call.call_id for call in calls]
        thoughts = [item for item in final.output if item.type == "reasoning"]
        stop = "tools" if calls else {"completed": "end"}.get(final.status, "?")
        return Said(
            text=final.output_text,
            calls=tuple((call.name, arguments(call.arguments)) for call in calls),
            thought="".join(summary.text for item in thoughts for summary in item.summary),
            stop=stop,
            input=final.usage.input_tokens,
            output=final.usage.output_tokens,
            cached=final.usage.input_tokens_details.cached_tokens or 0,
            reasoning=final.usage.output_tokens_details.reasoning_tokens,
            pieces=pieces,
        )
