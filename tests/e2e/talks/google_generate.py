"""See :class:`Generate`."""

from collections.abc import Iterable
from typing import Any

from google import genai
from google.genai import errors, types

from tests.e2e.talks import MAX_TOKENS, THINKING_TOKENS, Refused, Said, Task, arguments


def client_of(url: str, key: str) -> genai.Client:
    """Google's SDK at a base URL, which calls the version of the API that it calls by itself."""
    return genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))


class Generate:
    """Google's ``generateContent``."""

    def __init__(self, client: genai.Client, task: Task) -> None:
        self._client = client
        self._task = task
        self._contents: list[Any] = []
        self._calls: list[types.FunctionCall] = []

    def ask(self, text: str, image: bytes | None = None) -> Said:
        parts = [types.Part(text=text)]
        if image is not None:
            parts.append(types.Part.from_bytes(data=image, mime_type="image/png"))
        self._contents.append(types.Content(role="user", parts=parts))
        return self._said()

    def give(self, results: Iterable[str]) -> Said:
        answered = [
            types.Part(
                function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": result})
            )
            for call, result in zip(self._calls, results, strict=True)
        ]
        self._contents.append(types.Content(role="user", parts=answered))
        return self._said()

    def _said(self) -> Said:
        task = self._task
        config = types.GenerateContentConfig(max_output_tokens=MAX_TOKENS)
        if task.tools:
            declared = [
                types.FunctionDeclaration(name=name, parameters_json_schema=schema) for name, schema in task.tools
            ]
            config.tools = [types.Tool(function_declarations=declared)]
            config.automatic_function_calling = types.AutomaticFunctionCallingConfig(disable=True)
        if task.schema is not None:
            config.response_mime_type = "application/json"
            config.response_json_schema = task.schema
        if task.thinks:
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=THINKING_TOKENS)
        asked: dict[str, Any] = {"model": task.model, "contents": self._contents, "config": config}
        try:
            if task.stream:
                chunks = list(self._client.models.generate_content_stream(**asked))
            else:
                chunks = [self._client.models.generate_content(**asked)]
        except errors.APIError as error:
            raise Refused(error.code, str(error.status), str(error.message)) from error
        return self._told(chunks)

    def _told(self, chunks: list[types.GenerateContentResponse]) -> Said:
        contents = [chunk.candidates[0].content for chunk in chunks if chunk.candidates and chunk.candidates[0].content]
        parts = [part for content in contents for part in content.parts or ()]
        self._contents.append(types.Content(role="model", parts=parts))
        self._calls = [part.function_call for part in parts if part.function_call]
        words = [part.text for part in parts if part.text and not part.thought]
        usage = chunks[-1].usage_metadata
        last = chunks[-1].candidates
        assert usage is not None
        assert last
        stop = (
            "tools" if self._calls else {"STOP": "end"}.get(str(last[0].finish_reason and last[0].finish_reason.value))
        )
        thoughts = usage.thoughts_token_count or 0
        return Said(
            text="".join(words),
            calls=tuple((str(call.name), arguments(call.args)) for call in self._calls),
            thought="".join(part.text or "" for part in parts if part.thought),
            stop=stop or "?",
            input=usage.prompt_token_count or 0,
            output=(usage.candidates_token_count or 0) + thoughts,
            cached=usage.cached_content_token_count or 0,
            reasoning=thoughts,
            pieces=len(words),
        )
