"""The house stands as it was drawn: imports point down, and importing it costs little."""

import ast
import subprocess
import sys
from pathlib import Path

import jaxloss
from jaxloss import catalog

PACKAGE = Path(jaxloss.__file__).parent
# From the ground up: a room imports only from rooms before it (and from itself).
FLOORS = [
    "arguments",
    "numerics",
    "reduction",
    "protocol",
    "regression",
    "classification",
    "divergence",
    "adversarial",
    "ranking",
    "contrastive",
    "robust",
    "segmentation",
    "sequence",
    "fused",
    "curriculum",
    "weighting",
    "multitask",
    "jaxloss",
    "catalog",
    "verify",
    "console",
    "bench",
    "demo",
    "cli",
    "__main__",
]


def _room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "jaxloss" if first == "__init__" else first


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "jaxloss":
            parts = (node.module or "").split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {"jaxloss" for alias in node.names if alias.name == "jaxloss"}
    return {name if name in FLOORS else "jaxloss" for name in found}


def test_imports_point_down() -> None:
    upward = []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = _room(path)
        for imported in _imports(path) - {room}:
            if FLOORS.index(imported) >= FLOORS.index(room):
                upward.append(f"{path.relative_to(PACKAGE)} imports {imported}")
    assert not upward


def test_every_room_has_a_floor() -> None:
    rooms = {_room(path) for path in PACKAGE.rglob("*.py")}
    assert rooms == set(FLOORS)


def test_no_file_outgrows_its_concept() -> None:
    long = {
        p.name: n for p in PACKAGE.rglob("*.py") if (n := len(p.read_text().splitlines())) > 430
    }
    assert not long


def test_importing_the_library_brings_in_neither_flax_nor_tools() -> None:
    heavy = ["flax", "chex", "matplotlib", "rich", "sklearn", "mpmath", "orbax"]
    code = f"""
import sys, jax, optax
before = set(sys.modules)
import jaxloss
new = {{name.split(".")[0] for name in set(sys.modules) - before}}
assert not new & set({heavy}), new & set({heavy})
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_losses_are_plain_functions() -> None:
    """Documentation tools leave out custom-rule objects, and jit would hide signatures."""
    for family in catalog.families():
        for name in set(getattr(jaxloss, family).__all__) - set(catalog.NOT_LOSSES):
            assert type(getattr(jaxloss, name)).__name__ == "function"
