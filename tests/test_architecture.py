"""The house keeps its order: who may import whom, what numerics must not do, and what must start fast."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import audiofix

PACKAGE = Path(audiofix.__file__).parent

# Layer: the layers that it may import, besides itself. A layer is a folder or a module directly in audiofix/;
# `priors.base` stands apart, because many need the protocol of a prior and few need a concrete one.
BASE = {"errors", "types"}
PROTOCOLS = {*BASE, "numerics", "operators", "priors.base"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "types": {"errors"},
    "settings": set(),
    "numerics": BASE,
    "nets": {*BASE, "numerics"},
    "operators": {*BASE, "numerics"},
    "audio": {*BASE, "numerics"},
    "priors.base": {*BASE, "numerics"},
    "priors": {*BASE, "numerics", "nets", "priors.base"},
    "posterior": PROTOCOLS,
    "samplers": {*BASE, "numerics"},
    "runtime": {*PROTOCOLS, "posterior", "samplers"},
    "separation": {*PROTOCOLS, "posterior", "samplers"},
    "hub": {*BASE, "numerics", "nets", "priors", "priors.base"},
    "progress": {"numerics", "samplers"},
    "marching": {*PROTOCOLS, "posterior", "samplers", "separation", "runtime"},
    "restoration": {*PROTOCOLS, "posterior", "samplers", "separation"},
    "axes": {*BASE, "numerics", "operators", "damages", "restoration"},
    "faultlist": BASE,
    "faults": {*BASE, "numerics"},
    "baselines": {*BASE, "numerics", "operators"},
    "damages": {*BASE, "operators"},
    "frame": BASE,
    "effect": {*BASE, "operators", "damages"},
    "guesses": {*BASE, "numerics", "operators", "baselines", "damages"},
    "compare": {*BASE, "baselines", "damages", "guesses"},
    "scoring": {*BASE, "numerics", "audio"},
    "resolve": {*BASE, "damages", "faultlist", "faults"},
}
WORKERS = set(ALLOWED)
ALLOWED["training"] = WORKERS
ALLOWED["choosing"] = {*BASE, "hub"}
ALLOWED["setup"] = WORKERS
ALLOWED["loading"] = {*WORKERS, "choosing", "setup"}
ALLOWED["likeness"] = {*BASE, "numerics", "operators", "priors.base"}
ALLOWED["reporting"] = {*BASE, "hub", "choosing", "setup", "separation", "likeness"}
ALLOWED["drawing"] = {*WORKERS, "setup"}
ALLOWED["checks"] = BASE
ALLOWED["api"] = {*WORKERS, "setup", "loading", "reporting", "checks", "drawing"}
ALLOWED["longfile"] = {*ALLOWED["api"], "api"}
ALLOWED["recognising"] = {*BASE, "numerics", "audio", "priors.base", "runtime", "hub", "choosing"}
ALLOWED["tools"] = {*WORKERS, "choosing", "likeness", "recognising"}
ALLOWED["preparing"] = {*WORKERS, "tools"}
ALLOWED["repairreport"] = {*WORKERS, "tools"}
ALLOWED["repair"] = {*WORKERS, "tools", "preparing", "repairreport"}
ALLOWED["longrepair"] = {*ALLOWED["drawing"], *ALLOWED["repair"], "drawing", "repair"}
ALLOWED["costing"] = {*WORKERS, "tools", "preparing", "repair"}
ALLOWED["datasets"] = {*BASE, "audio"}
ALLOWED["evaluation"] = {*WORKERS, "choosing", "tools", "api", "repair", "datasets"}
ALLOWED["batch"] = {*BASE, "audio"}
FRONT = {"api", "setup", "loading", "drawing", "longfile", "longrepair", "preparing", "repair", "costing"}
ALLOWED["cli"] = {*WORKERS, *FRONT, "training", "datasets", "evaluation", "batch", ""}
ALLOWED[""] = {"api", "repair", "hub", "types"}  # audiofix/__init__.py
ALLOWED["__main__"] = {"cli"}

TERMINAL = {"cli", "__main__"}  # may print, exit, and import typer and rich
GLOBAL_DRAWS = {"normal", "rand", "randint", "randn", "randperm"}
GLOBAL_NOISE = {"manual_seed", "rand_like", "randn_like", "randint_like"}
LONGEST = 300


def module_name(file: Path) -> str:
    parts = ("audiofix", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(module: str) -> str:
    inner = module.removeprefix("audiofix").removeprefix(".")
    return inner if inner == "priors.base" else inner.split(".")[0]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and module of every import, those inside functions and for type checkers included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            for name in node.names:
                full = f"{source}.{name.name}"
                # `from audiofix.priors import base` imports a module, `from audiofix.errors import X` does not.
                yield node.lineno, full if is_module(full) else source


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return name.startswith("audiofix.") and (path.is_dir() or path.with_suffix(".py").is_file())


def faults(source: str, module: str) -> list[str]:
    """What a module's source does that its layer may not, one line each."""
    tree, layer = ast.parse(source), layer_of(module)
    if layer not in ALLOWED:
        return [f"{module}: layer {layer!r} has no row in tests/test_architecture.py"]
    found = [(line, fault) for line, name in imports(tree) if (fault := import_fault(layer, name))]
    if layer not in TERMINAL:
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        found += [(call.lineno, fault) for call in calls if (fault := call_fault(call))]
    lines = source.count("\n")
    if lines > LONGEST:
        found.append((lines, f"{lines} lines, more than {LONGEST}"))
    return [f"{module}:{line}: {fault}" for line, fault in found]


def import_fault(layer: str, name: str) -> str | None:
    root = name.split(".")[0]
    if not root:
        return f"relative import {name}"
    if root == "audiofix":
        target = layer_of(name)
        return None if target == layer or target in ALLOWED[layer] else f"{layer} may not import {name}"
    if root in {"typer", "rich", "click"} and layer not in TERMINAL:
        return f"{root} belongs in cli"
    if layer == "numerics" and root not in {*sys.stdlib_module_names, "torch", "numpy"}:
        return f"numerics knows torch and numpy only, not {root}"
    return None


def call_fault(call: ast.Call) -> str | None:
    parts = ast.unparse(call.func).split(".")
    name = parts[-1]
    if parts in (["print"], ["exit"], ["quit"], ["sys", "exit"], ["os", "_exit"]):
        return f"{'.'.join(parts)}() belongs in cli"
    if name == "manual_seed" and parts[:-1] in (["torch"], ["torch", "random"], ["torch", "cuda"]):
        return "seeds the global generator"
    if name in GLOBAL_NOISE - {"manual_seed"}:
        return f"{name} draws from the global generator"
    drawn = name in GLOBAL_DRAWS and parts[0] == "torch"
    if drawn and "generator" not in {keyword.arg for keyword in call.keywords}:
        return f"torch.{name} without a generator"
    return None


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=module_name)
def test_every_file_keeps_to_its_layer(file):
    assert faults(file.read_text(encoding="utf-8"), module_name(file)) == []


def test_the_table_has_no_cycle():
    placed: set[str] = set()
    for _ in ALLOWED:
        placed |= {layer for layer, above in ALLOWED.items() if above <= placed}
    assert placed == set(ALLOWED)


BAD = {
    "numerics.made_up": [
        "from audiofix.priors.wavenet import WaveNetPrior",
        "import audiofix.cli.app",
        "import scipy.signal",
        "from ..priors import base",
        "def f():\n    from audiofix.hub.registry import load_prior",
        "if TYPE_CHECKING:\n    from audiofix.nets.wavenet import TieredWaveNet",
        "print('hello')",
        "sys.exit(1)",
        "torch.manual_seed(0)",
        "torch.randn_like(x)",
        "torch.randn(3)",
        "pass\n" * 301,
    ],
    "samplers.made_up": [
        "from audiofix.priors.base import Prior",
        "from audiofix.operators import base",
        "from audiofix import runtime",
    ],
    "runtime.made_up": ["from audiofix.priors.wavenet import WaveNetPrior", "import rich.table"],
    "operators.made_up": ["from audiofix.nets.layers import delay"],
    "cellar.made_up": ["import math"],
}
GOOD = {
    "numerics.made_up": ["import math", "import torch", "torch.randn(3, generator=g)", "g.manual_seed(0)"],
    "runtime.made_up": ["from audiofix.priors.base import Prior", "from audiofix.priors import base"],
    "cli.made_up": ["import typer", "print('hello')", "sys.exit(1)", "from audiofix import __version__"],
}


def cases(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(module, source) for module, sources in table.items() for source in sources]


@pytest.mark.parametrize(("module", "source"), cases(BAD))
def test_the_checker_catches(module, source):
    assert len(faults(source, f"audiofix.{module}")) == 1


@pytest.mark.parametrize(("module", "source"), cases(GOOD))
def test_the_checker_lets_pass(module, source):
    assert faults(source, f"audiofix.{module}") == []


HEAVY = "{'torch', 'librosa', 'museval', 'scipy', 'numpy'} & set(sys.modules)"
HELP = """
import audiofix.cli.app, sys
sys.argv = ["audiofix", "--help"]
try:
    audiofix.cli.app.main()
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.parametrize(
    "what",
    ["import audiofix", "import audiofix.hub.registry as r; r.scan_models()", HELP],
    ids=["import", "list of models", "help"],
)
def test_starts_without_heavy_imports(what):
    code = f"import sys\n{what}\nprint(sorted({HEAVY}))"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"


def test_public_names_are_there():
    for name in audiofix.__all__:
        assert getattr(audiofix, name) is not None
    assert set(audiofix.__all__) <= set(dir(audiofix))
    with pytest.raises(AttributeError, match="public: Audio"):
        audiofix.nothing  # noqa: B018
