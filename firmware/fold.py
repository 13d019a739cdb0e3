"""Constants into the places where they are used: MicroPython keeps each name of a module, and a place for its value.

mpy-cross does that within a module, for `_NAME = const(...)`. This does the rest:

* A whole number that a module makes public with `const` is written where other modules use it, and is gone then.
* A private text, number or tuple that is bound once is a `const`, whether or not it says so.
* `const` itself is not imported: the compiler knows it, and nothing else does.
* A module that holds nothing but one piece of bytes, a table, goes into the one that imports it.
"""

from __future__ import annotations

import ast

TRIVIAL = (ast.Constant, ast.Tuple, ast.UnaryOp, ast.USub, ast.Load)


def _is_const(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "const"
        and len(node.args) == 1
    )


def _number(node: ast.expr) -> int | None:
    """The value of const(expression of whole numbers), else None."""
    if not _is_const(node):
        return None
    inner = node.args[0]  # type: ignore[attr-defined]
    allowed = (ast.Constant, ast.BinOp, ast.UnaryOp, ast.operator, ast.unaryop, ast.Load)
    if not all(isinstance(part, allowed) for part in ast.walk(inner)):
        return None
    try:
        value = ast.literal_eval(inner)
    except ValueError:
        value = eval(compile(ast.Expression(inner), "const", "eval"), {"__builtins__": {}})
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _single(node: ast.stmt) -> str | None:
    """The name of `NAME = ...`."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target = node.targets[0]
        if isinstance(target, ast.Name):
            return target.id
    return None


def _module_of(node: ast.ImportFrom, trees: dict[str, ast.Module]) -> str | None:
    """The path of the program's module that `from a.b import ...` reads, else None."""
    path = (node.module or "").replace(".", "/")
    return path if path in trees else None


class _Fold(ast.NodeTransformer):
    def __init__(self, names: dict[str, int], modules: dict[str, dict[str, int]]) -> None:
        self._names, self._modules = names, modules

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and node.id in self._names:
            return ast.Constant(self._names[node.id])
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if isinstance(node.value, ast.Name) and node.attr in self._modules.get(node.value.id, {}):
            return ast.Constant(self._modules[node.value.id][node.attr])
        return self.generic_visit(node)


def _table(tree: ast.Module) -> ast.stmt | None:
    """The one statement of a module that is a table."""
    body = [node for node in tree.body if not isinstance(node, ast.Expr)]
    if len(body) == 1 and _single(body[0]):
        value = body[0].value  # type: ignore[attr-defined]
        if isinstance(value, ast.Constant) and isinstance(value.value, bytes):
            return body[0]
    return None


def _inline(trees: dict[str, ast.Module]) -> None:
    tables = {path: node for path, tree in trees.items() if (node := _table(tree)) is not None}
    for path in tables:
        del trees[path]
    for tree in trees.values():
        for index, node in enumerate(tree.body):
            if isinstance(node, ast.ImportFrom):
                path = (node.module or "").replace(".", "/")
                tree.body[index] = tables.get(path, node)


def fold(trees: dict[str, ast.Module]) -> None:
    """Fold the constants of all modules of a program. The key of a tree is its path without suffix."""
    _inline(trees)
    public: dict[str, dict[str, int]] = {}
    for path, tree in trees.items():
        public[path] = {}
        for statement in tree.body:
            name = _single(statement)
            if name is not None and not name.startswith("_"):
                value = _number(statement.value)  # type: ignore[attr-defined]
                if value is not None:
                    public[path][name] = value
    for path, tree in trees.items():
        names = dict(public[path])
        modules: dict[str, dict[str, int]] = {}
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom):
                continue
            source = _module_of(node, trees)
            if source is not None:
                folded = [a for a in node.names if a.name in public[source]]
                names.update({a.asname or a.name: public[source][a.name] for a in folded})
                node.names = [a for a in node.names if a.name not in public[source]]
            for alias in node.names:
                inner = f"{(node.module or '').replace('.', '/')}/{alias.name}"
                if inner in public:
                    modules[alias.asname or alias.name] = public[inner]
        body = [n for n in tree.body if (_single(n) or "") not in public[path]]
        tree.body = body
        _Fold(names, modules).visit(tree)
        _clean(tree)


def _clean(tree: ast.Module) -> None:
    """Drop empty imports and those of `const`, and make constants of what is constant."""
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                kept = [n for n in block if not (isinstance(n, ast.ImportFrom) and not n.names)]
                setattr(node, field, kept or ([ast.Pass()] if block else []))
    tree.body = [node for node in tree.body if not _gives_const(node)]
    bound = [
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    ]
    for node in tree.body:
        name = _single(node)
        if name is None or not name.startswith("_") or bound.count(name) != 1:
            continue
        value = node.value  # type: ignore[attr-defined]
        if all(isinstance(part, TRIVIAL) for part in ast.walk(value)):
            node.value = ast.Call(ast.Name("const", ast.Load()), [value], [])  # type: ignore[attr-defined]
    ast.fix_missing_locations(tree)


def _gives_const(node: ast.stmt) -> bool:
    """`from micropython import const`, also with a stand-in for CPython."""
    if isinstance(node, ast.Try):
        return any(_gives_const(part) for part in node.body)
    return (
        isinstance(node, ast.ImportFrom)
        and node.module == "micropython"
        and [alias.name for alias in node.names] == ["const"]
    )
