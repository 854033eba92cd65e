"""Registries: classes and functions that a recipe names, of this project or another, each registered by a decorator.

The entries come from three places: the modules of the registry's home package (imported at first use), the modules that
the recipe names in PLUGINS, and installed packages that declare an entry point of the group `mdtk.plugins`. All of them
use the decorators when they are imported.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, TypeVar

from mdtk.core.errors import MdtkError

GROUP = "mdtk.plugins"  # of the entry points
T = TypeVar("T")
C = TypeVar("C")


class Registry(Mapping[str, T]):
    """A mapping from names to the classes or functions that were registered under them.

    Args:
        kind: what messages call an entry, for example "dataset reader".
        home: the package whose modules register the project's own entries; empty if the caller imports them.
    """

    def __init__(self, kind: str, home: str = "") -> None:
        self.kind, self._home = kind, home
        self._entries: dict[str, T] = {}
        self._opened = not home

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that registers a class or a function as `name`; raises `MdtkError` if the name is taken."""

        def keep(entry: T) -> T:
            taken = self._entries.get(name)
            if taken is not None and _place(taken) != _place(entry):
                both = f"{_place(taken)[:150]} and by {_place(entry)[:150]}"
                raise MdtkError(f"{self.kind} '{name}' is registered by {both}; rename one of them")
            self._entries[name] = entry
            return entry

        return keep

    def find(self, name: str, asker: str) -> T:
        """The entry `name`, which may come from an installed plugin.

        Raises `MdtkError` for an unknown name; the message starts with `asker` (a key or an option), names the nearest
        entry and lists all.
        """
        self._open()
        if name not in self._entries:
            import_installed_plugins()
        if name not in self._entries:
            near = difflib.get_close_matches(name, list(self._entries), n=1, cutoff=0.0)
            nearest = f" (the nearest is {near[0]})" if near else ""
            raise MdtkError(
                f"{asker} names the {self.kind} '{name}', and there is none{nearest}: choose one of "
                f"{', '.join(self._entries)}, or name the module that registers it: PLUGINS [my_package.my_module]"
            )
        return self._entries[name]

    def __getitem__(self, name: str) -> T:
        self._open()
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        self._open()
        return iter(tuple(self._entries))

    def __len__(self) -> int:
        self._open()
        return len(self._entries)

    def _open(self) -> None:
        """Imports the modules of the home package once, in alphabetical order, so that listings are always the same."""
        if self._opened:
            return
        self._opened = True
        home = importlib.import_module(self._home)
        for module in sorted(info.name for info in pkgutil.iter_modules(home.__path__)):
            importlib.import_module(f"{self._home}.{module}")


class NamedRegistry(Registry[type[T]]):
    """A registry of classes, mostly frozen dataclasses of options, that are told their name: `cls.name`."""

    def register(self, name: str) -> Callable[[type[C]], type[C]]:
        """A decorator that puts a class under `name`, and the name on the class."""
        keep = super().register(name)

        def keep_named(entry: type[C]) -> type[C]:
            entry.name = name  # type: ignore[attr-defined]
            keep(entry)  # type: ignore[arg-type]
            return entry

        return keep_named

    def build(self, mapping: Mapping[str, Any], key: str) -> T:
        """The class that `mapping["NAME"]` names, made with the mapping's other keys, in lower case, as its options.

        Lists become tuples. A missing or unknown option is an `MdtkError`; it begins with `key`, where the mapping is.
        """
        kind = self.find(mapping["NAME"], key)
        fields = [field for field in dataclasses.fields(kind) if field.init]  # type: ignore[arg-type]
        options = {name.lower(): tuple(v) if isinstance(v, list) else v for name, v in mapping.items()}
        del options["name"]
        takes = ", ".join(field.name.upper() for field in fields) or "no options"
        unknown = sorted(options.keys() - {field.name.lower() for field in fields})
        if unknown:
            raise MdtkError(f"{key}: the {self.kind} {mapping['NAME']} has no {unknown[0].upper()}; it takes {takes}")
        missing = [
            field.name
            for field in fields
            if field.name.lower() not in options
            and field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        ]
        if missing:
            raise MdtkError(f"{key}: the {self.kind} {mapping['NAME']} needs {missing[0].upper()}; it takes {takes}")
        return kind(**{field.name: options[field.name.lower()] for field in fields if field.name.lower() in options})


def _place(entry: object) -> str:
    return f"{getattr(entry, '__module__', '?')}.{getattr(entry, '__qualname__', repr(entry))}"


def import_plugins(names: Sequence[str], origin: str) -> None:
    """Imports the modules that the user's own recipe or command line names in PLUGINS, never those of a checkpoint.

    They are looked for on Python's path and in the working directory. `origin` names the recipe in messages. Raises
    `MdtkError` for a module that cannot be imported.
    """
    here = str(Path.cwd())
    for name in names:
        if here not in sys.path:
            sys.path.append(here)
        try:
            importlib.import_module(name)
        except MdtkError:
            raise
        except Exception as error:  # somebody else's code may fail in any way
            raise MdtkError(
                f"{origin}: PLUGINS names the module '{name}', which cannot be imported "
                f"({type(error).__name__}: {error}); install it, or start in the folder that holds it"
            ) from error


_installed: list[str] = []


def import_installed_plugins() -> None:
    """Imports, once, the modules that installed packages declare as entry points of the group `mdtk.plugins`."""
    if _installed:
        return
    _installed.append(GROUP)
    for point in entry_points(group=GROUP):
        try:
            point.load()
        except Exception as error:  # somebody else's code may fail in any way
            raise MdtkError(
                f"the installed plugin {point.name} ({point.value}) cannot be imported "
                f"({type(error).__name__}: {error}); repair or uninstall it"
            ) from error
