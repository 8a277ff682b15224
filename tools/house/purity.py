"""Where the outside may be touched: time, chance, the environment, tasks, SQL, and what happens at import."""

import ast
import re
from collections.abc import Iterator

from house.checkout import Checkout, Finding, Rule

CLOCKS = re.compile(
    r"datetime\.(datetime|date)\.(now|utcnow|today)"
    r"|time\.(time|time_ns|monotonic|monotonic_ns|perf_counter|perf_counter_ns|localtime|gmtime)"
)
CHANCE = re.compile(r"uuid\.uuid[1-8]|random\.\w+|secrets\.(?!compare_digest)\w+")
# Ruff's own mark counts as well, if the reason stands behind it.
EDGE = re.compile(r"# edge: *\w|# noqa: BLE001\W+\w")
TASKS = ("create_task", "ensure_future")


def injected(checkout: Checkout) -> Iterator[Finding]:
    """Time, ids and chance come from outside, so that a test can say what they are.

    ``os.urandom`` stays where adapters make keys and nonces: a cipher's chance must not be anybody's to choose."""
    for source in checkout.product():
        if source.within("adapters/system/"):
            continue
        for call, name in source.calls():
            if CLOCKS.fullmatch(name):
                yield Finding(source.path, call.lineno, f"{name}: take a Clock (ports/clock.py) in the constructor")
            elif CHANCE.fullmatch(name) or (name == "os.urandom" and not source.within("adapters/")):
                yield Finding(source.path, call.lineno, f"{name}: take Ids or a random.Random in the constructor")


def environment(checkout: Checkout) -> Iterator[Finding]:
    """One file reads the environment. Setting a variable for a library or a child process is no reading."""
    for source in checkout.product():
        if source.within("app/settings"):
            continue
        written = {id(place) for node in source.nodes if (place := _set_by(node)) is not None}
        for node in source.nodes:
            if not isinstance(node, ast.Attribute | ast.Name) or id(node) in written:
                continue
            if source.dotted(node) in ("os.environ", "os.getenv", "os.environb"):
                yield Finding(source.path, node.lineno, "the environment is read by app/settings alone: add a setting")


def owned_task(checkout: Checkout) -> Iterator[Finding]:
    """A task belongs to a TaskGroup, or to an object that keeps it in an attribute and cancels it when closed."""
    for source in checkout.product():
        owned = {
            id(node.value)
            for node in source.nodes
            if isinstance(node, ast.Assign) and any(isinstance(target, ast.Attribute) for target in node.targets)
        }
        for call, name in source.calls():
            if id(call) not in owned and _starts_task(call, name):
                message = "start it in a TaskGroup, or keep it in an attribute of the object that cancels it"
                yield Finding(source.path, call.lineno, message)


def _starts_task(call: ast.Call, name: str) -> bool:
    if name in [f"asyncio.{task}" for task in TASKS]:
        return True
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in TASKS:
        return False
    receiver = ast.unparse(call.func.value)
    return receiver.endswith(("loop", "loop()"))


def sql_in_store(checkout: Checkout) -> Iterator[Finding]:
    """In a domain, SQL stands in its store and nowhere else."""
    for source in checkout.product():
        if source.domain is None or source.domain_file == "store":
            continue
        for _, target, line in source.imports:
            if target.split(".")[0] == "sqlalchemy":
                yield Finding(
                    source.path, line, "SQL belongs to the domain's store: write a function there and call it"
                )


def store_takes_tx(checkout: Checkout) -> Iterator[Finding]:
    """A store's functions take the open transaction first, and leave the commit to whoever opened it."""
    for source in checkout.product():
        if source.domain is None:
            continue
        if source.domain_file == "store":
            for node in source.body:
                if not isinstance(node, ast.AsyncFunctionDef) or node.name.startswith("_"):
                    continue
                if [argument.arg for argument in node.args.args[:1]] != ["tx"]:
                    yield Finding(source.path, node.lineno, f"{node.name} must take the open transaction `tx` first")
        for call, _ in source.calls():
            if isinstance(call.func, ast.Attribute) and call.func.attr in ("commit", "rollback"):
                yield Finding(
                    source.path, call.lineno, "the block `async with database.transaction()` commits or rolls back"
                )


def limited_list(checkout: Checkout) -> Iterator[Finding]:
    """A list has a bound in SQL."""
    for source in checkout.product():
        if source.domain_file != "store":
            continue
        for function in source.functions():
            called = {_last_name(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
            if function.name.startswith("list_") and "select" in called and not called & {"limit", "fetch"}:
                yield Finding(
                    source.path, function.lineno, f"{function.name} selects without .limit(): bound it, by keyset"
                )


def broad_except(checkout: Checkout) -> Iterator[Finding]:
    """Only a loop or a request edge catches everything, and says why; cleaning up and raising again is no catching."""
    for source in checkout.product():
        for node in source.nodes:
            if not isinstance(node, ast.ExceptHandler) or not _catches_all(node):
                continue
            raises_again = isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None
            if not raises_again and not EDGE.search(source.line(node.lineno)):
                message = (
                    "catch the errors you expect; at a loop's or request's edge say why (`# edge: ...`) and log it"
                )
                yield Finding(source.path, node.lineno, message)


def module_state(checkout: Checkout) -> Iterator[Finding]:
    """Nothing mutable lives in a module, and nothing runs at import but definitions."""
    for source in checkout.product():
        for node in source.nodes:
            if isinstance(node, ast.Global):
                yield Finding(
                    source.path, node.lineno, "no module-level state: keep it in an object that app/services.py makes"
                )
        for node in source.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and _holds_mutable(node):
                message = "a mutable value in a module: make it a tuple, frozenset or Final constant, or move it into an object"
                yield Finding(source.path, node.lineno, message)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call | ast.Await):
                yield Finding(source.path, node.lineno, "nothing runs at import: call it from app/ or cli/")


def http_exception(checkout: Checkout) -> Iterator[Finding]:
    """Errors are types; the app alone turns them into responses."""
    for source in checkout.product():
        for _, target, line in source.imports:
            if target.endswith(".HTTPException") and not source.within("app/"):
                yield Finding(
                    source.path, line, "raise a SamovarError of the domain's errors.py; app turns it into a response"
                )


def _set_by(node: ast.AST) -> ast.expr | None:
    """What ``x[...] = ...`` or ``x.setdefault(...)`` sets: ``x``."""
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        return node.value
    return node.value if isinstance(node, ast.Attribute) and node.attr == "setdefault" else None


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _catches_all(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(_last_name(kind) in ("Exception", "BaseException") for kind in kinds)


def _holds_mutable(node: ast.Assign | ast.AnnAssign) -> bool:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    constant = all(name == "__all__" or name.lstrip("_").isupper() for name in names)
    display = isinstance(node.value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)
    made = isinstance(node.value, ast.Call) and _last_name(node.value.func) in (
        "list", "dict", "set", "defaultdict", "OrderedDict", "deque", "Counter", "WeakValueDictionary", "ContextVar",
    )  # fmt: skip
    return (display or made) and not constant


RULES: dict[str, Rule] = {
    "injected": injected,
    "environment": environment,
    "owned-task": owned_task,
    "sql-in-store": sql_in_store,
    "store-takes-tx": store_takes_tx,
    "limited-list": limited_list,
    "broad-except": broad_except,
    "module-state": module_state,
    "http-exception": http_exception,
}
