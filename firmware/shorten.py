"""Short names for what is compiled: MicroPython keeps each name of a .mpy in the heap, once, for good.

Shortened are names that nobody outside can know: arguments that no call names, and what begins with an underscore.
The short ones are the same in all modules, so that some hundred names become thirty. That is six kilobytes of a heap.

    trees = {"tally/head": ast.parse(source), ...}
    shorten(trees)                                              # changes the trees

Rules
* An argument keeps its name if any call in the program names it, or if a function inside has one of that name.
* A private attribute is reached by `self` alone, and set in its own module by a method; any other keeps its name.
  So does one that stands in a string, and everything private of a class whose base is another module's of the program.
* A private name of a module keeps its name where the module looks names up (`globals`), or somebody else does.
"""

from __future__ import annotations

import ast
import itertools
import string
from collections.abc import Callable, Iterator

_FUNCTIONS = (ast.FunctionDef, ast.Lambda)


def _private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and len(name) > 1


def _short() -> Iterator[str]:
    for length in (1, 2):
        for letters in itertools.product(string.ascii_lowercase, repeat=length):
            yield "".join(letters)


def _names(tree: ast.AST) -> set[str]:
    """All that stands as a name, bound or used, in this piece of program."""
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    found |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            found.update(node.names)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found


class _Rename(ast.NodeTransformer):
    def __init__(self, names: dict[str, str], attributes: dict[str, str]) -> None:
        self._names, self._attributes = names, attributes

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self._names.get(node.id, node.id)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg = self._names.get(node.arg, node.arg)
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        node.names = [self._names.get(name, name) for name in node.names]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        node.attr = self._attributes.get(node.attr, node.attr)
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        node.name = self._names.get(node.name, node.name)
        for part in node.body:
            if isinstance(part, ast.FunctionDef):  # a method is an attribute, not a name
                part.name = self._attributes.get(part.name, part.name)
                self.generic_visit(part)
            else:
                self.visit(part)
        node.bases = [self.visit(base) for base in node.bases]
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.name = self._names.get(node.name, node.name)
        return self.generic_visit(node)


def _arguments(tree: ast.Module, named: set[str]) -> None:
    """Shorten the arguments of all functions; named: those that some call names."""
    for function in ast.walk(tree):
        if not isinstance(function, _FUNCTIONS):
            continue
        inside = [n for n in ast.walk(function) if isinstance(n, _FUNCTIONS) and n is not function]
        taken = {
            arg.arg for one in inside for arg in ast.walk(one.args) if isinstance(arg, ast.arg)
        }
        own = [arg.arg for arg in ast.walk(function.args) if isinstance(arg, ast.arg)]
        used = _names(function)
        free = (name for name in _short() if name not in used)
        names = {
            name: next(free)
            for name in own
            if name not in named | taken and name != "self" and not name.startswith("_")
        }
        body = function.body if isinstance(function.body, list) else [function.body]
        rename = _Rename(names, {})
        for arg in ast.walk(function.args):
            if isinstance(arg, ast.arg):
                arg.arg = names.get(arg.arg, arg.arg)
        for part in body:
            rename.visit(part)


def _top(tree: ast.Module) -> set[str]:
    """Names that the module itself binds, also within its `if` and `try`."""
    found = set()
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda)
        for part in ast.walk(node)
        if part is not node
    }
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
    return found


def _attributes(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Private attributes: (defined here, reached in another way than by `self`)."""
    defined, foreign = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _private(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id == "self"):
                foreign.add(node.attr)
            elif isinstance(node.ctx, ast.Store):
                defined.add(node.attr)
        elif isinstance(node, ast.ClassDef):
            methods = (part.name for part in node.body if isinstance(part, ast.FunctionDef))
            defined.update(name for name in methods if _private(name))
            # what the class itself binds is a name there, which a constant of the module could have
            for part in node.body:
                if isinstance(part, ast.Assign):
                    foreign.update(one.id for one in part.targets if isinstance(one, ast.Name))
    return defined, foreign


def _inherits(tree: ast.Module, packages: set[str]) -> bool:
    """Whether a class has a base out of another module of the program."""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in packages
        for alias in node.names
    }
    bases = [
        base for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases
    ]
    return any(
        isinstance(name, ast.Name) and name.id in imported
        for base in bases
        for name in ast.walk(base)
    )


def _alone(tree: ast.Module) -> list[ast.AST]:
    """The parts of a module whose private attributes are their own: its classes, or all of it if one inherits."""
    classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    names = {node.name for node in classes}
    bases = {
        n.id for c in classes for base in c.bases for n in ast.walk(base) if isinstance(n, ast.Name)
    }
    return [tree] if names & bases else list(classes)


def _private_attributes(part: ast.AST, kept: set[str]) -> None:
    """Shorten the private attributes of a class, or of classes that inherit from one another."""
    module = part if isinstance(part, ast.Module) else ast.Module([part], [])  # type: ignore[list-item]
    defined, _ = _attributes(module)
    used = {n.attr for n in ast.walk(module) if isinstance(n, ast.Attribute)}
    free = ("_" + name for name in _short() if "_" + name not in used)
    _Rename({}, {name: next(free) for name in sorted(defined - kept)}).visit(module)


def _bound_inside(tree: ast.Module) -> set[str]:
    """Names that a function binds for itself: an argument, or a variable that is not `global`."""
    found = set()
    for function in ast.walk(tree):
        if isinstance(function, _FUNCTIONS):
            shared = {n for g in ast.walk(function) if isinstance(g, ast.Global) for n in g.names}
            stored = {
                node.id
                for node in ast.walk(function)
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            }
            found |= (stored - shared) | {
                node.arg for node in ast.walk(function.args) if isinstance(node, ast.arg)
            }
    return found


def shorten(
    trees: dict[str, ast.Module], wanted: Callable[[str], bool] = bool, *, arguments: bool = True
) -> None:
    """Shorten the names in the wanted ones of all modules of a program; without `arguments`, what is private alone.

    The key of a tree is its path without suffix."""
    packages = {path.split("/")[0] for path in trees}
    named = {
        word.arg
        for tree in trees.values()
        for word in ast.walk(tree)
        if isinstance(word, ast.keyword) and word.arg
    }
    kept = set()  # private, and known to somebody else
    for tree in trees.values():
        defined, foreign = _attributes(tree)
        used = {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and _private(n.attr)}
        kept |= foreign | (used - defined)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                kept.update(alias.name for alias in node.names)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                kept.add(node.value)
    for tree in (tree for path, tree in trees.items() if wanted(path)):
        if arguments:
            _arguments(tree, named)
        if not _inherits(tree, packages):
            for part in _alone(tree):
                _private_attributes(part, kept)
        names = set() if "globals" in _names(tree) else {n for n in _top(tree) if _private(n)}
        used = _names(tree)
        free = ("_" + name for name in _short() if "_" + name not in used)
        own = {name: next(free) for name in sorted(names - kept - _bound_inside(tree))}
        _Rename(own, {}).visit(tree)
