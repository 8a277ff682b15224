"""Prompts on their way in and out: as JSON, YAML or a folder of Markdown files, and what an import makes of them.

What is written is read again as it was, whatever a text holds; what is read may be a stranger's, and is bounded.
"""

from samovar.domains.prompts.model.exchange.documents import ENDINGS, MEDIA_TYPES, Writer, read_document, writer
from samovar.domains.prompts.model.exchange.entries import (
    Entry,
    Form,
    Item,
    Slot,
    Which,
    called,
    digest,
    entry_of,
    read_items,
)
from samovar.domains.prompts.model.exchange.folder import (
    MAX_FILE_BYTES,
    is_prompt_path,
    path_of,
    read_files,
    write_file,
)
from samovar.domains.prompts.model.exchange.plain_yaml import read_yaml, write_yaml
from samovar.domains.prompts.model.exchange.plan import (
    Action,
    Mode,
    Step,
    by_slot,
    clashes,
    conflicts,
    content,
    flaws_of,
    plan,
)

__all__ = [
    "ENDINGS",
    "MAX_FILE_BYTES",
    "MEDIA_TYPES",
    "Action",
    "Entry",
    "Form",
    "Item",
    "Mode",
    "Slot",
    "Step",
    "Which",
    "Writer",
    "by_slot",
    "called",
    "clashes",
    "conflicts",
    "content",
    "digest",
    "entry_of",
    "flaws_of",
    "is_prompt_path",
    "path_of",
    "plan",
    "read_document",
    "read_files",
    "read_items",
    "read_yaml",
    "write_file",
    "write_yaml",
    "writer",
]
