"""Modules that are always loaded, as one: each module of its own costs a board some 150 bytes of its heap.

A module is an object, a dictionary with its own copy of every name that it imports, a table of constants, and three
names that MicroPython keeps: `x`, `tally.x`, `tally/x.mpy`.

    trees = {"tally/head": ast.parse(source), ...}
    bundle(trees, "tally/life", ("tally/cbor", "tally/cose", ...))      # changes the trees

Rules
* The modules are put into the last one, `into`, each behind those that it imports while it is loaded. A module that is
  put away is not there any more: `from tally import record` finds nothing on a board.
* A name of a module becomes one of the whole: `record.event` becomes `event`, or `record_event` where another module
  has that name, or a function has a variable of that name.
* All other modules of the program read what they need out of the whole.
* What cannot be put together is a BundleError: a name that two modules import from different places, a module that is
  passed on as a value.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator

_SCOPES = (ast.FunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class BundleError(Exception):
    """These modules cannot be put together; the text says why."""


def _inside(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a scope, without those of the functions in it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, _SCOPES):
            yield from _inside(child)


def _bound(scope: ast.AST) -> set[str]:
    """The names that a module or a function binds for itself."""
    found: set[str] = set()
    if isinstance(scope, _SCOPES):
        found.update(arg.arg for arg in ast.walk(scope.args) if isinstance(arg, ast.arg))
    shared: set[str] = set()
    methods = {
        id(part)
        for node in ast.walk(scope)
        if isinstance(node, ast.ClassDef)
        for inner in node.body
        for part in (ast.walk(inner) if isinstance(inner, ast.Assign) else (inner,))
    }
    for node in _inside(scope):
        if id(node) in methods:
            continue  # an attribute of the class
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found.update((one.asname or one.name).split(".")[0] for one in node.names)
        elif isinstance(node, ast.Global):
            shared.update(node.names)
    return found - shared


def _path(node: ast.ImportFrom) -> str:
    return (node.module or "").replace(".", "/")


def _blocks(tree: ast.AST) -> Iterator[tuple[ast.AST, list[ast.stmt]]]:
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                yield node, block


class _Links:
    """What the names of one module mean: a module that is put away, or a name of one."""

    def __init__(self, tree: ast.Module, members: set[str]) -> None:
        self.modules: dict[str, str] = {}  # name -> path
        self.names: dict[str, tuple[str, str]] = {}  # name -> path, name there
        self._members = members
        self._tree = tree
        self._take(self._direct)

    def follow(self, links: dict[str, _Links]) -> None:
        """Take note, too, of what a module imports from one that has it only from the whole."""

        def meaning(where: str, name: str) -> tuple[str, str] | None:
            return links[where].names.get(name) if where in links else None

        self._take(meaning)

    def _direct(self, where: str, name: str) -> tuple[str, str] | None:
        if f"{where}/{name}" in self._members:
            return f"{where}/{name}", ""
        return (where, name) if where in self._members else None

    def _take(self, meaning: Callable[[str, str], tuple[str, str] | None]) -> None:
        """Take note of each imported name that means a module or a name of the whole, and drop it. A name that a
        function imports for itself is a variable of it, which another import there may bind, too: it is assigned."""
        functions = [node for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef)]
        within = {id(node) for function in functions for node in ast.walk(function)}
        for owner, block in _blocks(self._tree):
            kept: list[ast.stmt] = []
            for node in block:
                assigned: list[ast.stmt] | None = [] if id(owner) in within else None
                if not self._empty(node, meaning, assigned):
                    kept.append(node)
                kept += assigned or []
            block[:] = kept or ([ast.Pass()] if block else [])

    def _empty(
        self,
        node: ast.stmt,
        meaning: Callable[[str, str], tuple[str, str] | None],
        assigned: list[ast.stmt] | None,
    ) -> bool:
        """Whether nothing is left of an import. assigned: takes what stands for names, in a function."""
        if not isinstance(node, ast.ImportFrom):
            return False
        kept = []
        for one in node.names:
            found = meaning(_path(node), one.name)
            if found is None:
                kept.append(one)
            elif found[1] and assigned is not None:
                target = ast.Name(one.asname or one.name, ast.Store())
                assigned.append(ast.Assign([target], ast.Name("/".join(found), ast.Load())))
            elif found[1]:
                self.names[one.asname or one.name] = found
            else:
                self.modules[one.asname or one.name] = found[0]
        node.names = kept
        return not kept


class _Resolve(ast.NodeTransformer):
    """Names of modules into names of the whole."""

    def __init__(
        self, links: _Links, table: dict[tuple[str, str], str], own: str | None, whole: str
    ) -> None:
        """own: the path of the module, if it is put into the whole; else `whole` is what the others call that."""
        self._links, self._table, self._own, self._whole = links, table, own, whole
        self._scopes: list[set[str]] = []
        self.reads = False  # whether a module that stays reads out of the whole

    def _free(self, name: str) -> bool:
        return not any(name in scope for scope in self._scopes)

    def _name(self, place: tuple[str, str], context: ast.expr_context) -> ast.expr:
        if place not in self._table:
            message = f"no {place[1]!r} in {place[0]!r}"
            raise BundleError(message)
        if self._own is None:
            self.reads = True
            return ast.Attribute(ast.Name(self._whole, ast.Load()), self._table[place], context)
        return ast.Name(self._table[place], context)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if "/" in node.id:  # see _Links
            path, _, name = node.id.rpartition("/")
            return self._name((path, name), node.ctx)
        if not self._free(node.id):
            return node
        if node.id in self._links.names:
            return self._name(self._links.names[node.id], node.ctx)
        if node.id in self._links.modules:
            message = f"the module {node.id!r} is passed on as a value"
            raise BundleError(message)
        if self._own is not None and (self._own, node.id) in self._table:
            node.id = self._table[self._own, node.id]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        inner = node.value
        if isinstance(inner, ast.Name) and inner.id in self._links.modules and self._free(inner.id):
            return self._name((self._links.modules[inner.id], node.attr), node.ctx)
        return self.generic_visit(node)

    def visit_Global(self, node: ast.Global) -> ast.AST:
        if self._own is not None:
            node.names = [self._table.get((self._own, name), name) for name in node.names]
        return node

    def _function(self, node: ast.FunctionDef | ast.Lambda) -> ast.AST:
        node.args.defaults = [self.visit(one) for one in node.args.defaults]
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = [self.visit(one) for one in node.decorator_list]
        self._scopes.append(_bound(node))
        if isinstance(node, ast.FunctionDef):
            deleted = self._deleted(node)
            node.body = [self.visit(one) for one in node.body]
            if deleted:
                node.body.insert(0, ast.Global(deleted))
        else:
            node.body = self.visit(node.body)
        self._scopes.pop()
        return node

    def _deleted(self, function: ast.FunctionDef) -> list[str]:
        """Names of the whole that a function deletes out of a module."""
        return [
            self._table[self._links.modules[part.value.id], part.attr]
            for node in _inside(function)
            if isinstance(node, ast.Delete) and self._own is not None
            for part in node.targets
            if isinstance(part, ast.Attribute)
            and isinstance(part.value, ast.Name)
            and part.value.id in self._links.modules
        ]

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        if self._own is not None and not self._scopes:
            node.name = self._table.get((self._own, node.name), node.name)
        return self._function(node)

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        return self._function(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        if self._own is not None and not self._scopes:
            node.name = self._table.get((self._own, node.name), node.name)
        node.bases = [self.visit(one) for one in node.bases]
        node.decorator_list = [self.visit(one) for one in node.decorator_list]
        # a method has the class's name for itself, and what the class binds is no variable of it
        for at, part in enumerate(node.body):
            if isinstance(part, ast.FunctionDef):
                self._function(part)
            elif isinstance(part, ast.Assign):
                part.value = self.visit(part.value)
            else:
                node.body[at] = self.visit(part)
        return node


def _ordered(trees: dict[str, ast.Module], members: tuple[str, ...], into: str) -> list[str]:
    """The modules, each behind those that it imports while it is loaded."""
    order: list[str] = []

    def add(path: str, above: tuple[str, ...]) -> None:
        if path in order:
            return
        if path in above:
            message = f"{path!r} imports itself by way of {above[-1]!r}"
            raise BundleError(message)
        for node in trees[path].body:
            if isinstance(node, ast.ImportFrom):
                for one in node.names:
                    for target in (f"{_path(node)}/{one.name}", _path(node)):
                        if target in members:
                            add(target, (*above, path))
        order.append(path)

    for path in (*members, into):
        add(path, ())
    return order


def _imports(tree: ast.Module) -> dict[str, str]:
    """What a module imports from outside of the whole: name -> where from."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            found.update(
                {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
            )
        elif isinstance(node, ast.Import):
            found.update({one.asname or one.name: one.name for one in node.names})
    return found


def _table(trees: dict[str, ast.Module], order: list[str]) -> dict[tuple[str, str], str]:
    """(path, name there) -> name in the whole."""
    imported: dict[str, str] = {}
    owned: dict[str, list[str]] = {}
    taken: set[str] = set()  # by variables of functions
    for path in order:
        tree = trees[path]
        for name, source in _imports(tree).items():
            if imported.setdefault(name, source) != source:
                message = f"{name!r} is {source} in {path!r}, and {imported[name]} elsewhere"
                raise BundleError(message)
        for name in _bound(tree) - set(_imports(tree)):
            owned.setdefault(name, []).append(path)
        for node in ast.walk(tree):
            if isinstance(node, _SCOPES):
                taken |= _bound(node)
    table = {}
    used = set(imported) | taken
    for name, paths in sorted(owned.items()):
        for path in paths:
            stem = path.rpartition("/")[2]
            plain = len(paths) == 1 and name not in used
            wanted = name if plain else f"_{stem}{name}" if name[0] == "_" else f"{stem}_{name}"
            while not plain and (wanted in used or wanted in owned):
                wanted += "_"
            used.add(wanted)
            table[path, name] = wanted
    for path in order:
        table.update({(path, name): name for name in _imports(trees[path])})
    return table


def bundle(trees: dict[str, ast.Module], into: str, members: tuple[str, ...]) -> None:
    """Put these modules of a program into `into`, which imports some of them. Raises BundleError."""
    order = _ordered(trees, members, into)
    links = {path: _Links(tree, {*members, into}) for path, tree in trees.items()}
    for one in links.values():
        one.follow(links)
    table = _table(trees, order)
    whole = into.rpartition("/")[2]
    for path, tree in trees.items():
        own = path if path in order else None
        if own is None and whole in _bound(tree):
            if whole not in links[path].modules:
                message = f"{path!r} has something else by the name {whole!r}"
                raise BundleError(message)
        resolve = _Resolve(links[path], table, own, whole)
        tree.body = [resolve.visit(node) for node in tree.body]
        if resolve.reads:
            package = into.rpartition("/")[0].replace("/", ".")
            at = 1 if ast.get_docstring(tree) is not None else 0
            tree.body.insert(at, ast.ImportFrom(package, [ast.alias(whole)], 0))
    body: list[ast.stmt] = []
    seen: set[str] = set()
    for path in order:
        for node in trees[path].body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                text = ast.unparse(node)
                if text in seen:
                    continue
                seen.add(text)
            body.append(node)
        if path != into:
            del trees[path]
    trees[into] = ast.Module(body, [])
    ast.fix_missing_locations(trees[into])
    for tree in trees.values():
        ast.fix_missing_locations(tree)
