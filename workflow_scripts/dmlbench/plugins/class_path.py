"""Reading a class named by its path, such as ``pytorch_metric_learning.losses.CircleLoss``.

Its source is found where Python would find it, or in the working directory, and read without being
imported: checking a config must stay quick (:mod:`dmlbench.plugins.objects` imports it).
"""

import ast
import importlib.machinery
import importlib.util
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dmlbench.errors import ConfigError
from dmlbench.plugins.messages import nearest


@dataclass(frozen=True)
class Source:
    """Where a class is written.

    Attributes:
        file: The file.
        module: The dotted name of its module.
        node: The class in the file's syntax tree.
        tree: That tree.
    """

    file: Path
    module: str
    node: ast.ClassDef
    tree: ast.Module


@cache
def read_tree(file: Path) -> ast.Module:
    """The syntax tree of a file.

    Raises:
        ConfigError: It is no Python, with the line that is wrong.
    """
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except SyntaxError as error:
        raise ConfigError(f"{file}, line {error.lineno}: {error.msg}") from None
    except ValueError as error:  # bytes that are no text, among others
        raise ConfigError(f"{file}: is no Python source ({error})") from None


def is_class_path(name: str) -> bool:
    """Whether ``name`` is a path rather than a registered name."""
    return "." in name


def find_class(path: str) -> Source:
    """The source of the class ``path``, followed through re-exports, without importing it.

    Raises:
        ConfigError: There is no such module, or no such class in it.
    """
    module, _, name = path.rpartition(".")
    file = _module_file(module)
    if file is None:
        top = module.partition(".")[0]
        found = _module_file(top) is not None
        missing = f"'{top}' has no module '{module}'" if found else f"no package '{top}'"
        raise ConfigError(
            f"{missing}; install it, put it on PYTHONPATH or into the working directory"
        )
    source = _class_in(file, module, name)
    if source is None:
        raise ConfigError(f"'{module}' has no class '{name}'{_near(name, file)}")
    return source


@dataclass(frozen=True)
class Constructor:
    """What a constructor takes.

    Attributes:
        defaults: Each keyword argument with the syntax of its default; None where it has none.
        annotations: Each annotated argument with the syntax of its annotation.
        open: It may take more: a base class that could not be read takes what is left.
    """

    defaults: dict[str, ast.expr | None]
    annotations: dict[str, ast.expr]
    open: bool

    @property
    def names(self) -> set[str]:
        return set(self.defaults)


def constructor(source: Source) -> Constructor:
    """The arguments of a class's constructor, those it hands on to its bases included."""
    init = next((n for n in source.node.body if getattr(n, "name", "") == "__init__"), None)
    if not isinstance(init, ast.FunctionDef):
        return _of_bases(source)
    arguments = init.args
    named = [*arguments.posonlyargs, *arguments.args][1:]
    padding = [None] * max(0, len(named) - len(arguments.defaults))
    given = arguments.defaults[max(0, len(arguments.defaults) - len(named)) :]
    defaults: dict[str, ast.expr | None] = dict(
        zip([a.arg for a in named], [*padding, *given], strict=True)
    )
    keywords = [a.arg for a in arguments.kwonlyargs]
    defaults |= zip(keywords, arguments.kw_defaults, strict=True)
    everyone = [*named, *arguments.kwonlyargs]
    annotations = {a.arg: a.annotation for a in everyone if a.annotation is not None}
    if arguments.kwarg is None:
        return Constructor(defaults, annotations, open=False)
    inherited = _of_bases(source)
    passed = _passed_on(init)
    defaults = {k: v for k, v in inherited.defaults.items() if k not in passed} | defaults
    return Constructor(defaults, inherited.annotations | annotations, inherited.open)


def _passed_on(init: ast.FunctionDef) -> set[str]:
    """The keyword arguments that a constructor sets itself when it calls its base's.

    Not those that it looks up in its own ``**kwargs`` first: the caller gives them.
    """
    nodes = list(ast.walk(init))
    calls = [n for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)]
    calls = [call for call in calls if call.func.attr == "__init__"]
    looked_up = {ast.unparse(n.slice).strip("'") for n in nodes if isinstance(n, ast.Subscript)}
    return {word.arg for call in calls for word in call.keywords if word.arg} - looked_up


def _of_bases(source: Source) -> Constructor:
    defaults: dict[str, ast.expr | None] = {}
    annotations: dict[str, ast.expr] = {}
    unknown = False
    for base in source.node.bases:
        words = ast.unparse(base)
        if words in ("object", "ABC") or words.split(".")[-1] == "Module":
            continue  # torch.nn.Module takes no arguments
        found = _class_in(source.file, source.module, words) if words.isidentifier() else None
        if found is None:
            unknown = True
            continue
        inherited = constructor(found)
        defaults = inherited.defaults | defaults
        annotations = inherited.annotations | annotations
        unknown |= inherited.open
    return Constructor(defaults, annotations, unknown)


def _class_in(file: Path, module: str, name: str) -> Source | None:
    """The class ``name`` as the module in ``file`` knows it: its own, or one it imports."""
    tree = read_tree(file)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == name:
            return Source(file, module, node, tree)
    for origin, original, alias in _imports(tree, file, module):
        if alias not in (name, "*") or origin == module:
            continue
        file_of_origin = _module_file(origin)
        wanted = name if alias == "*" else original
        if file_of_origin and (found := _class_in(file_of_origin, origin, wanted)):
            return found
    return None


def _imports(tree: ast.Module, file: Path, module: str) -> Iterator[tuple[str, str, str]]:
    """Every ``from module import name as alias`` of a file, the module's name made absolute."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                parts = package.split(".")
                base = ".".join(parts[: len(parts) - node.level + 1])
                origin = f"{base}.{origin}" if origin else base
            for alias in node.names:
                yield origin, alias.name, alias.asname or alias.name


def _module_file(module: str) -> Path | None:
    """The file of a module, without importing any of its parents."""
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ValueError, ImportError):
        spec = None
    if spec is None:
        spec = importlib.machinery.PathFinder.find_spec(top, [str(Path.cwd())])
    if spec is None:
        return None
    if not rest:
        return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    for folder in spec.submodule_search_locations or []:
        place = Path(folder, *rest)
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                return file
    return None


def lacks(source: Source, method: str) -> bool:
    """Whether a class and all its bases could be read and none has the method."""
    if any(getattr(node, "name", "") == method for node in source.node.body):
        return False
    for base in source.node.bases:
        words = ast.unparse(base)
        if words.split(".")[-1] in ("object", "ABC", "Module"):
            continue
        found = _class_in(source.file, source.module, words) if words.isidentifier() else None
        if found is None or not lacks(found, method):
            return False
    return True


def required_arguments(source: Source, method: str) -> int:
    """How many of :func:`method_arguments` have no default."""
    for node in source.node.body:
        if isinstance(node, ast.FunctionDef) and node.name == method:
            return len(node.args.args) - 1 - len(node.args.defaults)
    for base in source.node.bases:
        words = ast.unparse(base)
        found = _class_in(source.file, source.module, words) if words.isidentifier() else None
        if found and not lacks(found, method):
            return required_arguments(found, method)
    return 0


def method_arguments(source: Source, method: str) -> list[str] | None:
    """A method's positional arguments after self, its own or inherited; None if unknown."""
    for node in source.node.body:
        if isinstance(node, ast.FunctionDef) and node.name == method:
            if node.args.vararg:
                return None
            return [argument.arg for argument in node.args.args][1:]
    for base in source.node.bases:
        words = ast.unparse(base)
        found = _class_in(source.file, source.module, words) if words.isidentifier() else None
        if found and (arguments := method_arguments(found, method)) is not None:
            return arguments
    return None


def sources(path: str) -> list[Path]:
    """Every file that the class ``path`` is made of, as far as imports in the text tell.

    Followed are files that are neither the standard library's nor in site-packages (the user's),
    and those of the package that the path begins with (a library's). Of dmlbench itself only its
    losses count here: the rest is hashed where it is used.
    """
    found: dict[Path, str] = {}
    waiting = [path.rpartition(".")[0]]
    own = path.partition(".")[0]
    while waiting:
        module = waiting.pop()
        file = _module_file(module)
        if file is None or file in found or not _followed(file, module, own):
            continue
        found[file] = module
        tree = read_tree(file)
        waiting += [
            n.name for node in ast.walk(tree) if isinstance(node, ast.Import) for n in node.names
        ]
        for origin, name, _ in _imports(tree, file, module):
            waiting += [origin, f"{origin}.{name}"]
    return sorted(found)


def _followed(file: Path, module: str, own: str) -> bool:
    if module.partition(".")[0] == "dmlbench":
        return module.startswith("dmlbench.losses.")
    installed = "site-packages" in file.parts or file.is_relative_to(sysconfig.get_path("stdlib"))
    return module.partition(".")[0] == own or not installed


def _near(name: str, file: Path) -> str:
    """The classes of a file that ``name`` may have meant."""
    tree = read_tree(file)
    known = [n.name for n in tree.body if isinstance(n, ast.ClassDef)]
    imports = [n for n in tree.body if isinstance(n, ast.ImportFrom)]
    known += [alias.asname or alias.name for node in imports for alias in node.names]
    known = [word for word in known if word != "*"]
    return nearest(name, known)
