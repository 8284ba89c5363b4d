"""The reference of the Python packages: a page a package, from the docstrings."""

from __future__ import annotations

import inspect
import pkgutil
import sys
from importlib import import_module
from pathlib import Path

from prefect import Flow, Task

PACKAGES = ("stager", "flows", "tasks", "blocks", "workers")
# They do something when they are imported: steps from one form of the database to the next, and a run's preparations.
LEFT_OUT = ("stager.records.migrations", "workers.preloaded")
UNDERLINES = "=-"


def write_python_api(folder: Path) -> None:
    """Write a page for each package into a folder; what is there already and the same is left alone.

    All of the packages is imported: by Sphinx it would be with ``TYPE_CHECKING`` set, which not every library bears.
    """
    pages = {f"{package}.rst": _page(package, modules) for package, modules in _packages().items()}
    folder.mkdir(exist_ok=True)
    for old in folder.glob("*.rst"):
        if old.name not in pages:
            old.unlink()
    for name, text in pages.items():
        page = folder / name
        if not page.exists() or page.read_text() != text:
            page.write_text(text)


def python_packages() -> str:
    """Return a list of the packages: a link to the page of each, and what its docstring begins with."""
    told = ((package, inspect.getdoc(import_module(package)) or "") for package in sorted(_packages()))
    return "".join(f"- [`{package}`](python/{package}.rst): {text.splitlines()[0]}\n" for package, text in told)


def let_flows_be_functions() -> None:
    """Put the functions in place of the Prefect flows and tasks that they were made into: these have no signature."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in PACKAGES:
            for attribute, value in list(vars(module).items()):
                if isinstance(value, Flow | Task):
                    setattr(module, attribute, value.fn)


def _packages() -> dict[str, list[str]]:
    """Return the modules of each package, by the package's name."""
    found: dict[str, list[str]] = {}
    for package in PACKAGES:
        found[package] = []
        for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
            if module.name.startswith(LEFT_OUT) or any(part.startswith("_") for part in module.name.split(".")):
                continue
            import_module(module.name)
            if module.ispkg:
                found[module.name] = []
            else:
                found[module.name.rpartition(".")[0]].append(module.name)
    return found


def _page(package: str, modules: list[str]) -> str:
    parts = [_heading(package, 0), f".. automodule:: {package}\n   :members:\n"]
    for module in modules:
        parts += [_heading(module, 1), f".. automodule:: {module}\n   :members:\n"]
    return "\n".join(parts)


def _heading(name: str, level: int) -> str:
    return f"{name}\n{UNDERLINES[level] * len(name)}\n"
