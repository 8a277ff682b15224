"""How keeping and using prompts can fail."""

from collections.abc import Sequence
from typing import Final

from samovar.kernel.errors import Conflict, Flaw, Invalid, NotFound, TooManyRequests

MAX_FLAWS: Final = 100
"""Named of one import."""


class PromptNotFound(NotFound):
    """No such prompt in the caller's team."""

    code = "prompt_not_found"
    title = "No such prompt"


class NoDefaultPrompt(NotFound):
    """Nothing is the default of this namespace and language."""

    code = "no_default_prompt"
    title = "There is no default prompt"


class FormerTextNotFound(NotFound):
    """The row's history has no text of that revision."""

    code = "former_text_not_found"
    title = "No such former text"


class LabelNotFound(NotFound):
    """The label does not point to this version."""

    code = "label_not_found"
    title = "No such label"


class BadPrompt(Invalid):
    """Something in a prompt breaks a rule; ``flaws`` names each."""

    code = "bad_prompt"
    title = "Not a prompt that can be kept"

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__("; ".join(f"{flaw.where}: {flaw.what}" for flaw in flaws[:5]), flaws=flaws)


class BadVariables(Invalid):
    """What was given does not fill the prompt's variables; ``flaws`` names each that is missing or wrong."""

    code = "bad_variables"
    title = "The prompt's variables cannot be filled"

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__("; ".join(f"{flaw.where}: {flaw.what}" for flaw in flaws[:10]), flaws=flaws)


class VersionTaken(Conflict):
    """The prompt has this version already."""

    code = "version_taken"
    title = "The version exists"


class PromptInactive(Conflict):
    """An inactive version can neither be used nor be the default."""

    code = "prompt_inactive"
    title = "The prompt is inactive"


class PromptIsDefault(Conflict):
    """The default can be neither deleted nor switched off while it is the default."""

    code = "prompt_is_default"
    title = "The prompt is a default"


class PromptIsLabelled(Conflict):
    """A version that labels point to is not deleted unasked."""

    code = "prompt_is_labelled"
    title = "Labels point to the prompt"


class RegistryFull(Conflict):
    """The team has as many prompts, or a version as many labels, as may be."""

    code = "registry_full"
    title = "There are too many"


class NonceReplayed(Conflict):
    """A write with this nonce was taken already."""

    code = "nonce_replayed"
    title = "The nonce was used already"


class NonceExpired(Conflict):
    """The write's timestamp is too far from now: it may be an old one, sent again."""

    code = "nonce_expired"
    title = "The request is not of this moment"


class TooManyWrites(TooManyRequests):
    """The caller wrote as often as it may within a while."""

    code = "too_many_writes"
    title = "Too many writes"


class BadImport(Invalid):
    """Something in an import cannot be taken, so nothing of it is; ``flaws`` names each by its place and its prompt."""

    code = "bad_import"
    title = "The import cannot be taken"

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        shown = flaws[:MAX_FLAWS]
        more = f"; and {len(flaws) - 5} more" if len(flaws) > 5 else ""
        super().__init__("; ".join(f"{flaw.where}: {flaw.what}" for flaw in shown[:5]) + more, flaws=shown)


class ImportConflict(Conflict):
    """The registry holds something newer than what an import was made from, so nothing of it is taken; ``flaws`` names each."""

    code = "import_conflict"
    title = "The registry changed in the meantime"

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        super().__init__("; ".join(f"{flaw.where}: {flaw.what}" for flaw in flaws[:5]), flaws=flaws[:MAX_FLAWS])
