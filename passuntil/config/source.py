"""YAML text to plain values that remember their lines, and overrides on top of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from passuntil.errors import UsageError, nearest

__all__ = ["KeyPath", "Source", "dotted", "parse_yaml"]

KeyPath = tuple[str | int, ...]


class _Loader(yaml.SafeLoader):
    """YAML 1.2's plain scalars: 70e6 is a number; no, 010, 1:30 and 2024-01-01 are not special.

    PyYAML follows YAML 1.1, which reads 70e6 as text and a revision 2024-01-01 as a date.
    Underscores in numbers are kept from 1.1.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^[-+]?(?:(?:\.[0-9]+|[0-9][0-9_]*\.[0-9_]*)(?:[eE][-+]?[0-9]+)?"
        r"|[0-9][0-9_]*[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))$|^\.(?:nan|NaN|NAN)$"
    ),
    list("-+0123456789."),
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])


def dotted(path: KeyPath) -> str:
    """Write a key path the way overrides spell it."""
    return ".".join(map(str, path))


@dataclass(slots=True)
class Source:
    """Plain values, where each came from, and what is wrong with them so far.

    `origins` maps a key path to text such as ``job.yaml:12`` or ``override budget=0``.
    """

    file: str
    values: object = None
    origins: dict[KeyPath, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def origin(self, path: KeyPath) -> str:
        """Return where the value at `path`, or its nearest parent, came from."""
        for n in range(len(path), -1, -1):
            if path[:n] in self.origins:
                return self.origins[path[:n]]
        return self.file

    def resolve(self, path: KeyPath, *, is_key_missing: bool) -> KeyPath:
        """Keep those steps of `path` that lead through `values`; a missing key may end it."""
        kept: KeyPath = ()
        node = self.values
        for i, step in enumerate(path):
            if isinstance(node, dict) and (step in node or (is_key_missing and i == len(path) - 1)):
                node = node.get(step)
            elif isinstance(node, list) and isinstance(step, int) and step < len(node):
                node = node[step]
            else:
                continue
            kept += (step,)
        return kept

    def override(self, text: str) -> None:
        """Set one value from ``key.path=value``; a problem is noted, not raised."""
        origin = f"override {text}"
        key, equals, value_text = text.partition("=")
        if not equals or not key.strip():
            self.problems.append(
                f"{origin}: got no key and value; allowed: key=value such as budget=2000; "
                "write the key, an equals sign and the value."
            )
            return
        try:
            parsed = parse_yaml(value_text, origin, has_lines=False)
            self.problems += parsed.problems
            path = self._place(key.strip(), parsed.values)
        except UsageError as error:
            self.problems.append(
                str(error) if str(error).startswith(origin) else f"{origin}: {error}"
            )
            return
        self.origins = {k: v for k, v in self.origins.items() if k[: len(path)] != path}
        self.origins[path] = origin

    def _place(self, key: str, value: object) -> KeyPath:
        node, rest = self.values, key.split(".")
        path: KeyPath = ()
        parent: tuple[object, str | int] | None = None
        while rest:
            if node is None and parent is not None:  # an absent or null section
                node = {}
                _store(parent, node)
            if isinstance(node, dict):
                step: str | int = rest.pop(0)
            elif isinstance(node, list):
                step, rest = _item(node, rest, dotted(path))
            else:
                raise UsageError(
                    f"got a key below {dotted(path)}, which is {node!r}; allowed: keys below a "
                    "mapping or a list; set the whole value."
                )
            parent, path = (node, step), (*path, step)
            node = node.get(step) if isinstance(node, dict) else node[int(step)]
        assert parent is not None
        _store(parent, value)
        return path


def _store(place: tuple[object, str | int], value: object) -> None:
    container, step = place
    if isinstance(container, dict):
        container[step] = value
    elif isinstance(container, list):
        container[int(step)] = value


def _item(items: Sequence[object], rest: list[str], where: str) -> tuple[int, list[str]]:
    """Find the item that the first words of `rest` name; names may contain dots."""
    names = {
        item["name"]: i
        for i, item in enumerate(items)
        if isinstance(item, dict) and isinstance(item.get("name"), str)
    }
    for n in range(len(rest), 0, -1):
        name = ".".join(rest[:n])
        if name in names:
            return names[name], rest[n:]
    if rest[0].isdecimal() and int(rest[0]) < len(items):
        return int(rest[0]), rest[1:]
    known = [*names, *map(str, range(len(items)))]
    raise UsageError(
        f"{where}: got {rest[0]!r}; allowed: {', '.join(known) or 'nothing, the list is empty'}; "
        f"name an item of the list.{nearest('.'.join(rest), names) or nearest(rest[0], names)}"
    )


def parse_yaml(text: str, file: str, *, has_lines: bool = True) -> Source:
    """Read one YAML document; repeated keys are noted, malformed text raises."""
    source = Source(file)
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None:
            source.values = _Reader(loader, source, has_lines=has_lines).read(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark and has_lines else ""
        what = " ".join(part for part in (error.context, error.problem) if part)
        raise UsageError(f"{file}{where}: got malformed YAML: {what}; correct it.") from error
    except yaml.reader.ReaderError as error:
        lines = text[: error.position].split("\n")
        where = f":{len(lines)}:{len(lines[-1]) + 1}" if has_lines else ""
        raise UsageError(
            f"{file}{where}: got malformed YAML: a control character; "
            "remove it, or write it escaped in double quotes."
        ) from error
    return source


class _Reader:
    """Turns nodes into plain values and notes their lines."""

    def __init__(self, loader: _Loader, source: Source, *, has_lines: bool) -> None:
        self.loader = loader
        self.source = source
        self.has_lines = has_lines
        self.open: set[int] = set()  # nodes being read; an alias to one of them is a cycle

    def read(self, node: yaml.Node, path: KeyPath) -> object:
        """Return the value of a node."""
        if id(node) in self.open:
            raise yaml.MarkedYAMLError(
                problem="an alias refers to what contains it", problem_mark=node.start_mark
            )
        self.source.origins.setdefault(path, self._line(node))
        self.open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.read(item, (*path, i)) for i, item in enumerate(node.value)]
            value: object = self.loader.construct_object(node)
            return value
        except ValueError as error:  # an explicit tag such as !!int on other text
            raise yaml.MarkedYAMLError(
                problem=f"{node.value!r} is no {node.tag.rpartition(':')[2]}",
                problem_mark=node.start_mark,
            ) from error
        finally:
            self.open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, path: KeyPath) -> Mapping[str, object]:
        first: dict[str, str] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a key is not plain text", problem_mark=key.start_mark
                )
            if key.value in first:
                self.source.problems.append(
                    f"{self._line(key)}: {dotted((*path, key.value))}: got the key a second time; "
                    f"allowed: once (first at {first[key.value]}); remove one of the two."
                )
            first.setdefault(key.value, self._line(key))
        self.loader.flatten_mapping(node)  # merges <<: the mapping's own keys come last and win
        values: dict[str, object] = {}
        for key, item in node.value:
            self._forget((*path, key.value))
            self.source.origins[(*path, key.value)] = self._line(key)
            values[key.value] = self.read(item, (*path, key.value))
        return values

    def _forget(self, path: KeyPath) -> None:
        origins = self.source.origins
        if path in origins:
            for known in [p for p in origins if p[: len(path)] == path]:
                del origins[known]

    def _line(self, node: yaml.Node) -> str:
        line = f":{node.start_mark.line + 1}" if self.has_lines else ""
        return f"{self.source.file}{line}"
