"""What of the control plane stands in the audit chain: a table, and the witness who writes it down.

A router that comes adds a row for each of its routes that changes anything, or an exemption with its reason; a test names those
that have neither.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple


class Act(NamedTuple):
    """A route whose requests are recorded, as ``openapi.json`` has its path. ``resource`` takes names in braces from the path, or
    from the answer's JSON where the path has them not; ``facts`` are fields of the request's body that are recorded with their
    values; those that may hold a secret, or somebody's text, are none of them. Where ``waits`` is false the answer does not wait
    for its record: for what is done a thousand times a second, and leaves its own trace."""

    method: str
    path: str
    action: str
    resource: str
    facts: tuple[str, ...] = ()
    waits: bool = True


_KEY_FACTS: Final = ("name", "scopes", "allowed_models", "expires_at", "wallet_id", "project_id", "user_id")
_ACCOUNT: Final = "service-account:{account_id}"
_ACCOUNT_FACTS: Final = ("name", "role", "client_id", "disabled")
_MONEY_FACTS: Final = ("name", "credits", "project_id", "user_id", "kind", "period", "mode", "wallet_id")
_QUOTA_FACTS: Final = ("subject", "subject_id", "limits", "tokens", "concurrency")
_PROVIDER_FACTS: Final = ("name", "vendor", "base_url", "models", "enabled")
_ELEMENT: Final = "storage-element:{element_id}"
_ELEMENT_FACTS: Final = ("id", "url", "mode", "priority", "capacity_bytes", "state")
_PROMPT_FACTS: Final = ("namespace", "name", "lang", "make_default")

ACTS: Final = (
    Act("POST", "/api/keys", "key:create", "key:{id}", _KEY_FACTS),
    Act("PATCH", "/api/keys/{key_id}", "key:change", "key:{key_id}", _KEY_FACTS),
    Act("DELETE", "/api/keys/{key_id}", "key:revoke", "key:{key_id}"),
    Act("POST", "/api/keys/{key_id}/rotate", "key:rotate", "key:{key_id}", ("grace_s", "expires_at")),
    Act("POST", "/api/auth/token", "token:issue", "token", ("client_id", "audience")),
    Act("POST", "/api/service-accounts", "service-account:create", "service-account:{id}", _ACCOUNT_FACTS),
    Act("PATCH", "/api/service-accounts/{account_id}", "service-account:change", _ACCOUNT, _ACCOUNT_FACTS),
    Act("DELETE", "/api/service-accounts/{account_id}", "service-account:delete", _ACCOUNT),
    Act("POST", "/api/service-accounts/{account_id}/rotate-secret", "service-account:rotate", _ACCOUNT, ("grace_s",)),
    Act("POST", "/api/providers", "provider:create", "provider:{id}", _PROVIDER_FACTS),
    Act("PATCH", "/api/providers/{provider_id}", "provider:change", "provider:{provider_id}", _PROVIDER_FACTS),
    Act("DELETE", "/api/providers/{provider_id}", "provider:delete", "provider:{provider_id}"),
    Act("POST", "/api/providers/{provider_id}/discover", "provider:discover", "provider:{provider_id}"),
    Act("PUT", "/api/models/{model_id}/override", "price:set", "model:{model_id}", ("context_window", "quality")),
    Act("DELETE", "/api/models/{model_id}/override", "price:reset", "model:{model_id}"),
    Act("PUT", "/api/aliases/{name}", "alias:set", "alias:{name}", ("model_id",)),
    Act("DELETE", "/api/aliases/{name}", "alias:delete", "alias:{name}"),
    Act("PUT", "/api/groups/{name}", "route:set", "group:{name}", ("model_ids", "strategy")),
    Act("DELETE", "/api/groups/{name}", "route:delete", "group:{name}"),
    Act("POST", "/api/wallets", "wallet:create", "wallet:{id}", _MONEY_FACTS),
    Act("PATCH", "/api/wallets/{wallet_id}", "wallet:change", "wallet:{wallet_id}", _MONEY_FACTS),
    Act("POST", "/api/wallets/{wallet_id}/credits", "wallet:topup", "wallet:{wallet_id}", _MONEY_FACTS),
    Act("POST", "/api/budgets", "budget:create", "budget:{id}", _MONEY_FACTS),
    Act("PATCH", "/api/budgets/{budget_id}", "budget:change", "budget:{budget_id}", _MONEY_FACTS),
    Act("DELETE", "/api/budgets/{budget_id}", "budget:delete", "budget:{budget_id}"),
    Act("POST", "/api/leases/{lease_id}/{verdict}", "lease:judge", "lease:{lease_id}/{verdict}"),
    Act("POST", "/api/quotas", "quota:create", "quota:{id}", _QUOTA_FACTS),
    Act("PUT", "/api/quotas/{quota_id}", "quota:change", "quota:{quota_id}", _QUOTA_FACTS),
    Act("DELETE", "/api/quotas/{quota_id}", "quota:delete", "quota:{quota_id}"),
    Act("DELETE", "/api/quotas/blocked/{address}", "address:unblock", "address:{address}"),
    Act("POST", "/api/files/upload", "file:upload", "file:{file_id}", waits=False),
    Act("POST", "/api/files/uploads", "file-upload:create", "file:{file_id}", waits=False),
    Act("POST", "/api/files/uploads/{upload_id}", "file-upload:change", "file:{upload_id}", waits=False),
    Act("PATCH", "/api/files/uploads/{upload_id}", "file-upload:append", "file:{upload_id}", waits=False),
    Act("DELETE", "/api/files/uploads/{upload_id}", "file-upload:end", "file:{upload_id}"),
    Act("PATCH", "/api/files/{file_id}", "file:change", "file:{file_id}"),
    Act("DELETE", "/api/files/{file_id}", "file:delete", "file:{file_id}"),
    Act("POST", "/api/files/{file_id}/finalize", "file:finalize", "file:{file_id}"),
    Act("POST", "/api/files/{file_id}/restore", "file:restore", "file:{file_id}"),
    Act("POST", "/api/files/{file_id}/links", "file-link:create", "file:{file_id}", ("ttl_s", "disposition")),
    Act("DELETE", "/api/files/{file_id}/links/{link_id}", "file-link:revoke", "file:{file_id}/link:{link_id}"),
    Act("PUT", "/api/files/owners/{owner}", "file-owner:bound", "file-owner:{owner}", ("max_files", "max_bytes")),
    Act("POST", "/api/transactions/{transaction_id}/cancel", "file-transaction:cancel", "file:{transaction_id}"),
    Act("POST", "/api/storage-elements", "storage-element:create", "storage-element:{id}", _ELEMENT_FACTS),
    Act("PATCH", "/api/storage-elements/{element_id}", "storage-element:change", _ELEMENT, _ELEMENT_FACTS),
    Act("POST", "/api/storage-elements/{element_id}/rebuild", "storage-element:rebuild", _ELEMENT, ("extent",)),
    Act("POST", "/api/storage-elements/{element_id}/check", "storage-element:check", _ELEMENT, ("reads_contents",)),
    Act("POST", "/api/storage-elements/{element_id}/scrub", "storage-element:scrub", _ELEMENT),
    Act("POST", "/api/storage-elements/{element_id}/mode", "storage-element:mode", _ELEMENT, ("mode", "confirm")),
    Act("POST", "/v1/prompts", "prompt:create", "prompt:{id}", _PROMPT_FACTS),
    Act("POST", "/v1/prompts/import", "prompt:import", "prompts"),
    Act("PUT", "/v1/prompts/{prompt_id}", "prompt:change", "prompt:{prompt_id}", _PROMPT_FACTS),
    Act("DELETE", "/v1/prompts/{prompt_id}", "prompt:delete", "prompt:{prompt_id}"),
    Act("PUT", "/v1/prompts/{prompt_id}/default", "prompt:default", "prompt:{prompt_id}"),
    Act("DELETE", "/v1/prompts/{prompt_id}/default", "prompt:undefault", "prompt:{prompt_id}"),
    Act("PUT", "/v1/prompts/{prompt_id}/labels/{label}", "prompt:label", "prompt:{prompt_id}/{label}"),
    Act("DELETE", "/v1/prompts/{prompt_id}/labels/{label}", "prompt:unlabel", "prompt:{prompt_id}/{label}"),
    Act("POST", "/v1/prompts/{prompt_id}/restore", "prompt:restore", "prompt:{prompt_id}"),
    Act("POST", "/v1/prompts/{prompt_id}/versions", "prompt:version", "prompt:{prompt_id}", ("make_default",)),
    Act("PUT", "/admin/config/regex", "config:regex", "config:regex"),
    Act("DELETE", "/admin/config/regex", "config:regex:reset", "config:regex"),
    Act("POST", "/admin/backup", "backup:download", "backup"),
    Act("POST", "/api/backups", "backup:create", "backup"),
    Act("POST", "/api/backups/{name}/verify", "backup:verify", "backup:{name}"),
    Act("POST", "/api/jobs/cron/{name}/run", "job:run", "cron:{name}"),
    Act("POST", "/api/jobs/{job_id}/cancel", "job:cancel", "job:{job_id}"),
    Act("POST", "/api/jobs/{job_id}/replay", "job:replay", "job:{job_id}"),
    Act("GET", "/api/audit/export", "audit:export", "audit"),
)
"""Reads stand here only where somebody takes a great deal away at once."""

EXEMPT: Final[Mapping[tuple[str, str], str]] = MappingProxyType(
    {
        ("POST", "/api/routes/explain"): "changes nothing: it says where a call would go",
        (
            "POST",
            "/storage/v1/{element_id}/{operation}",
        ): "between roles: who was asked by somebody records it",
        ("POST", "/v1/prompts/{prompt_id}/render"): "changes nothing: it fills a prompt in",
    }
)
"""Routes that look as if they changed something, and why they are not recorded. Calls of models (the data plane) are not: usage
events and the ledger hold each of them."""


def table() -> Iterator[tuple[tuple[str, str], Act]]:
    """Each act under its method and path."""
    for act in ACTS:
        yield (act.method, act.path), act
