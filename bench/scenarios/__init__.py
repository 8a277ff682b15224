"""What is measured, one scenario a module. Each takes the bench and returns its figures."""

from collections.abc import Callable, Mapping

from bench.figures import Figure
from bench.scenarios.analyze import analyze
from bench.scenarios.bench import Bench
from bench.scenarios.calls import calls
from bench.scenarios.explain import explain
from bench.scenarios.filereads import filereads
from bench.scenarios.files import files
from bench.scenarios.filesearch import filesearch
from bench.scenarios.images import images
from bench.scenarios.instructions import instructions
from bench.scenarios.jobs import jobs
from bench.scenarios.latency import latency
from bench.scenarios.ledger import ledger
from bench.scenarios.memory import memory
from bench.scenarios.paced import paced
from bench.scenarios.paid import paid
from bench.scenarios.prompts import prompts
from bench.scenarios.routes import passthrough, translated
from bench.scenarios.startup import startup
from bench.scenarios.streams import streams
from bench.scenarios.vision import vision

SCENARIOS: Mapping[str, Callable[[Bench], list[Figure]]] = {
    "calls": calls,
    "streams": streams,
    "paced": paced,
    "latency": latency,
    "startup": startup,
    "memory": memory,
    "passthrough": passthrough,
    "translated": translated,
    "ledger": ledger,
    "jobs": jobs,
    "explain": explain,
    "files": files,
    "filereads": filereads,
    "filesearch": filesearch,
    "images": images,
    "paid": paid,
    "instructions": instructions,
    "prompts": prompts,
    "vision": vision,
    "analyze": analyze,
}

__all__ = ["SCENARIOS", "Bench"]
