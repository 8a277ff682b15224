"""``samovar chat``: one answer, or a conversation, through a Samovar that runs.

The answer goes to standard output as it comes; what it cost goes to standard error. Ctrl-C ends the answer, which cancels
the call at the provider, and in a conversation nothing more.
"""

from samovar.cli.chat.command import chat

__all__ = ["chat"]
