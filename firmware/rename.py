"""Names that cost nothing: what the program calls itself gets words that every MicroPython has in its ROM anyway.

A name that the interpreter does not know yet takes some sixteen bytes of the heap, for good. `atan2` it knows.

    trees = {"tally/head": ast.parse(source), ...}
    rename(trees, outside)              # changes the trees; {old: new}

Rules
* One name, one word, in all modules and all roles (variable, attribute, argument, function): whatever means the same
  before means the same afterwards.
* Renamed is what the program itself binds. A name keeps its name that stands in a text (`once("start", "lamp")`), that
  is one of `outside` or of a module, or that something of MicroPython's has, too (`SHARED`).
* So does one that a caller may give as a text: what goes into `**facts`, and what stands, as a name or as a word, in a
  module that looks into `globals` or has `once` call what a variable says.
* A word is used once, and not at all if the program uses it for anything. The longest names go first.
"""

from __future__ import annotations

import ast
import itertools
import keyword
import string
from collections.abc import Iterable, Iterator, Sequence

# Facts of MicroPython: names with a fixed number in every .mpy of version 6 (py/makeqstrdata.py, static_qstr_list)...
STATIC = (
    "abs all any append bool builtins bytecode callable chr clear copy count dict dir divmod end eval exec extend "
    "find format from_bytes get getattr hasattr hash id index insert isalpha isdigit isinstance islower isspace "
    "issubclass isupper items iter join key len list little lower lstrip main map next object open ord pop popitem "
    "pow print range read readinto readline remove replace repr reverse rfind rindex round rsplit rstrip sep set "
    "setattr setdefault sort sorted split start startswith step stop str strip sum to_bytes tuple type update upper "
    "value values write zip ArithmeticError AssertionError AttributeError BaseException EOFError Ellipsis "
    "GeneratorExit IndentationError IndexError KeyError KeyboardInterrupt LookupError NameError NoneType "
    "NotImplementedError OverflowError StopIteration SyntaxError SystemExit TypeError ZeroDivisionError"
)
# ...and names that the modules of both the ESP32 and the Unix port have
BUILT_IN = (
    "acos acosh asin asinh atan atan2 atanh ceil copysign cosh cos degrees e erf erfc exp expm1 fabs floor fmod frexp "
    "gamma isclose isfinite isinf isnan ldexp lgamma log10 log2 modf nan inf phase pi polar radians rect sin sinh "
    "sqrt tan tanh trunc OrderedDict appendleft deque namedtuple popleft compile match search sub array heapify "
    "heappop heappush FrameBuffer FrameBuffer1 MONO_VLSB MONO_HLSB MONO_HMSB RGB565 GS2_HMSB GS4_HMSB GS8 blit "
    "ellipse fill fill_rect hline pixel poly scroll vline UINT8 INT8 UINT16 INT16 UINT32 INT32 UINT64 INT64 BFUINT8 "
    "BFINT8 BF_POS BF_LEN FLOAT32 FLOAT64 ARRAY PTR BIG_ENDIAN LITTLE_ENDIAN bytearray_at bytes_at addressof sizeof "
    "struct calcsize pack_into unpack_from partition rpartition center splitlines discard difference_update "
    "intersection isdisjoint issubset issuperset symmetric_difference union frozenset delattr complex filter oct real "
    "imag reversed slice mkdir rmdir unlink chdir getcwd mount umount VfsLfs2 VfsFat listdir statvfs errorcode EACCES "
    "EADDRINUSE EAGAIN EALREADY EBADF ECONNABORTED ECONNREFUSED EEXIST EHOSTUNREACH EIO EISDIR ENOBUFS ENODEV ENOMEM "
    "ENOTCONN EOPNOTSUPP EPERM CERT_NONE CERT_OPTIONAL load_cert_chain get_ciphers set_ciphers cipher server_side "
    "POLLERR POLLHUP uctypes framebuf StringIO getvalue isenabled print_exception coro cur_task task push cancel done "
    "ph_key dumps loads a2b_base64 b2a_base64 hexlify unhexlify execfile input getrandbits randint choice seed "
    "uniform randrange mktime localtime time_ns SOCK_STREAM SOCK_DGRAM makefile recvfrom sendto sendall listen "
    "fromkeys DeflateIO ZLIB GZIP RAW AUTO TaskQueue peek maxsize platform version_info opt_level heap_lock "
    "heap_unlock kbd_intr stack_use mem_info qstr_info schedule pend_throw closure generator iterator bound_method "
    "dict_view deleter getter setter BFINT16 BFINT32 BFUINT16 BFUINT32 INT UINT LONG ULONG LONGLONG ULONGLONG SHORT "
    "USHORT VOID CancelledError FileIO IOBase LockType MBEDTLS_VERSION NotImplemented RingIO SOCK_RAW SOL_SOCKET "
    "SO_BROADCAST SO_KEEPALIVE SO_REUSEADDR AF_INET6 SSLSocket StopAsyncIteration Task TextIOWrapper UnicodeError "
    "ViperTypeError abs_tol rel_tol allocate_lock buffering do_handshake_on_connect exc_info fromhex get_ident gmtime "
    "group intersection_update iterable keepends lookahead mkfs mem_current mem_peak mem_total newline progsize ps1 "
    "ps2 python_compiler libc_ver recv_into separators setsockopt single stack_size start_new_thread "
    "symmetric_difference_update verify_callback usys binascii deflate bin cmath collections default dump disable "
    "enable executable float function heapq help indices math modules module mtime ptr readlines readsize stderr sync "
    "system tau tls unsetenv putenv getenv hashlib io json stat difference ticks_cpu sleep_us VfsLfs1 VfsPosix NATIVE "
    "PROTOCOL_TLS_SERVER PROTOCOL_DTLS_CLIENT PROTOCOL_DTLS_SERVER"
)
# What the program binds and MicroPython's own objects have, too: append of a journal and of a list. A test finds all.
SHARED = (
    "_exists accept add append args clear compress context decode degrees digest encode index items join link log "
    "next pending poll random remove replace select set setblocking sha512 sleep tell uint urandom values verify_mode "
    "version"
).split()


def identifiers(node: ast.AST) -> Iterator[str]:
    """What one node has as names."""
    for field in ("id", "attr", "arg", "name", "asname", "module"):
        value = getattr(node, field, None)
        if isinstance(value, str):
            yield from value.split(".")
    if isinstance(node, ast.Global):
        yield from node.names


def _vanishes(part: ast.stmt) -> bool:
    """Whether this is `_NAME = const(...)`, which the compiler puts where it is used."""
    return (
        isinstance(part, ast.Assign)
        and isinstance(part.value, ast.Call)
        and isinstance(part.value.func, ast.Name)
        and part.value.func.id == "const"
        and all(isinstance(one, ast.Name) and one.id.startswith("_") for one in part.targets)
    )


def bound(tree: ast.Module) -> set[str]:
    """What a module binds and MicroPython keeps the name of: all but the variables of functions."""
    found = set()
    places: list[ast.AST] = [tree]
    while places:
        node = places.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        if isinstance(node, ast.Module | ast.ClassDef):
            for part in node.body:
                if not isinstance(part, ast.FunctionDef | ast.ClassDef) and not _vanishes(part):
                    found |= {
                        name.id
                        for name in ast.walk(part)
                        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
                    }
        places.extend(ast.iter_child_nodes(node))
    return found


def public(tree: ast.Module) -> set[str]:
    """What a module binds for others."""
    return {name for name in bound(tree) if not name.startswith("_")}


def settings(tree: ast.Module) -> set[str]:
    """Arguments of what is made here."""
    makers = (node for node in ast.walk(tree) if getattr(node, "name", "") == "__init__")
    return {node.arg for made in makers for node in ast.walk(made) if isinstance(node, ast.arg)}


def _function_named(node: ast.AST) -> ast.Constant | None:
    """The text that is the name of a function: `once(module, function, ...)`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "once":
        name = node.args[1]
        return name if isinstance(name, ast.Constant) else None
    return None


def _as_text(trees: Iterable[ast.Module]) -> set[str]:
    """Names that the program knows as texts, too."""
    found: set[str] = set()
    nodes = [node for tree in trees for node in ast.walk(tree)]
    loose = {"dict"}  # called with names that become texts
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and node.args.kwarg:
            loose.add(node.name)
        elif isinstance(node, ast.ClassDef) and any(
            isinstance(part, ast.FunctionDef) and part.name == "__init__" and part.args.kwarg
            for part in node.body
        ):
            loose.add(node.name)
    functions = {id(name) for name in map(_function_named, nodes) if name is not None}
    for node in nodes:
        if id(node) in functions:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.Call):
            called = set(identifiers(node.func))
            if called & loose:
                found.update(word.arg for word in node.keywords if word.arg)
    return found


def _calls_by_text(tree: ast.Module) -> bool:
    """Whether a function to be called comes out of a variable."""
    return any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "once"
        and not isinstance(node.args[1], ast.Constant)
        for node in ast.walk(tree)
    )


def _words_of(tree: ast.Module) -> set[str]:
    """All words of the texts of a module, its comments apart."""
    comments = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        word
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in comments
        for word in node.value.split()
    }


class _Rename(ast.NodeTransformer):
    def __init__(self, names: dict[str, str]) -> None:
        self._names = names

    def generic_visit(self, node: ast.AST) -> ast.AST:
        name = _function_named(node)
        if name is not None and isinstance(name.value, str):
            name.value = self._names.get(name.value, name.value)
        for field in ("id", "attr", "arg", "name", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                setattr(node, field, self._names.get(value, value))
        if isinstance(node, ast.Global):
            node.names = [self._names.get(name, name) for name in node.names]
        return super().generic_visit(node)


def renamed(source: str, names: dict[str, str]) -> str:
    """A script that uses a renamed program, with the names that are there now."""
    return ast.unparse(_Rename(names).visit(ast.parse(source)))


def _words(taken: set[str]) -> Iterator[str]:
    """What nobody else uses: words of the ROM, and when they are spent the shortest there are."""
    for word in (*STATIC.split(), *BUILT_IN.split()):
        if word not in taken:
            yield word
    for letters in itertools.product(string.ascii_lowercase, repeat=2):
        word = "".join(letters)
        if word not in taken and not keyword.iskeyword(word):
            yield word


def rename(trees: dict[str, ast.Module], first: Sequence[str], outside: set[str]) -> dict[str, str]:
    """Give what these modules bind, but for `outside`, other words. {old name: word}.

    The key of a tree is its path without suffix; first: beginnings of the paths whose names matter most, in order."""
    texts = _as_text(trees.values())
    kept = {*outside, *SHARED, *STATIC.split(), *BUILT_IN.split(), *texts}
    kept.update(part for path in trees for part in path.split("/"))
    used: set[str] = set()
    rank: dict[str, int] = {}
    for path, tree in trees.items():
        names = {name for node in ast.walk(tree) for name in identifiers(node)}
        used |= names
        place = next((n for n, begin in enumerate(first) if path.startswith(begin)), len(first))
        for name in bound(tree):
            rank[name] = min(rank.get(name, place), place)
        if "globals" in names or _calls_by_text(tree):
            kept |= bound(tree) | _words_of(tree)
    wanted = sorted(
        (
            name
            for name in rank.keys() - kept
            if not (name.startswith("__") and name.endswith("__"))
        ),
        key=lambda name: (rank[name], -len(name), name),
    )
    chosen = dict(zip(wanted, _words(used | outside | texts), strict=False))
    for tree in trees.values():
        _Rename(chosen).visit(tree)
    return chosen
