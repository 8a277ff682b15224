"""The vendors that speak the dialect."""

from samovar.ports.dialect import Quirks, Vendor


def _vendor(name: str, title: str, quirks: Quirks) -> Vendor:
    return Vendor(
        name=name,
        title=title,
        base_url=f"https://api.{name}.invalid/v1",
        paths={"openai-responses": "/responses"},
        key_env=None,
        base_url_env=None,
        quirks=quirks,
    )


OPENAI = _vendor("openai", "OpenAI", Quirks(rejects=frozenset({"top_k"})))
XAI = _vendor("xai", "xAI", Quirks(developer_role=False, rejects=frozenset({"metadata"})))
VENDORS = {vendor.name: vendor for vendor in (OPENAI, XAI)}
