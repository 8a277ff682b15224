"""Azure's ``POST /azure/.../responses``: OpenAI's format with Azure's errors and key.

https://learn.microsoft.com/azure/ai-foundry/openai/how-to/responses.
"""

from samovar.providers.sandbox.errors import Problem
from samovar.providers.sandbox.exchange import Request
from samovar.providers.sandbox.openai_hosts import AZURE, azure_error
from samovar.providers.sandbox.openai_responses import OpenAIResponses
from samovar.providers.sandbox.surface import bearer_or_api_key


class AzureResponses(OpenAIResponses):
    """See the module."""

    name = "azure.responses"
    manners = AZURE.manners

    def claims(self, path: str) -> bool:
        """``/azure/.../responses``."""
        return path.startswith(AZURE.prefix) and path.endswith("/responses")

    def key(self, request: Request) -> bytes:
        """``api-key``, or ``Authorization: Bearer``."""
        return bearer_or_api_key(request.headers)

    def error(self, problem: Problem) -> bytes:
        """``{"error": {"code", "message", ...}}``."""
        return azure_error(problem)
