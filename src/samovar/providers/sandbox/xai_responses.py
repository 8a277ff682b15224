"""xAI's ``POST /xai/v1/responses``: OpenAI's format with xAI's errors and cost.

https://docs.x.ai/docs/api-reference. Unlike in its chat, reasoning is in ``output_tokens`` here.
"""

from typing import Any

from samovar.providers.sandbox.ask import Answer
from samovar.providers.sandbox.errors import Problem
from samovar.providers.sandbox.openai_flavours import XAI, cost_in_ticks, xai_error
from samovar.providers.sandbox.openai_responses import OpenAIResponses


class XAIResponses(OpenAIResponses):
    """See the module."""

    name = "xai.responses"
    manners = XAI.manners

    def claims(self, path: str) -> bool:
        """``/xai/.../responses``."""
        return path.startswith(XAI.prefix) and path.endswith("/responses")

    def usage(self, answer: Answer) -> dict[str, Any]:
        """Inclusive, with the cost."""
        return {**super().usage(answer), "num_sources_used": 0, "cost_in_usd_ticks": cost_in_ticks(answer.tokens)}

    def error(self, problem: Problem) -> bytes:
        """``{"code", "error"}``, both words."""
        return xai_error(problem)
