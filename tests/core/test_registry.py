"""Registries: decorators, homes, plugins of a recipe."""

from __future__ import annotations

import sys

import pytest

from mdtk.core.errors import MdtkError
from mdtk.core.registry import Registry, import_plugins


def test_register_and_find():
    registry: Registry = Registry("colour")

    @registry.register("red")
    def red() -> None: ...

    assert registry["red"] is registry.find("red", "KEY") is red
    assert list(registry) == ["red"]
    with pytest.raises(MdtkError, match=r"KEY names the colour 'rad'.*nearest is red.*PLUGINS"):
        registry.find("rad", "KEY")


def test_a_name_is_registered_once():
    registry: Registry = Registry("colour")
    registry.register("red")(test_register_and_find)
    with pytest.raises(MdtkError, match=r"'red' is registered by .* and by"):
        registry.register("red")(pytest.raises)


def test_a_home_is_imported_at_first_use(tmp_path, monkeypatch):
    home = tmp_path / "paint_shop"
    home.mkdir()
    (home / "__init__.py").write_text("from mdtk.core.registry import Registry\nPAINTS = Registry('paint', __name__)\n")
    (home / "blue.py").write_text("from paint_shop import PAINTS\n@PAINTS.register('blue')\nclass Blue: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import paint_shop

    assert "paint_shop.blue" not in sys.modules
    assert list(paint_shop.PAINTS) == ["blue"]


def test_plugins_are_found_in_the_working_directory(tmp_path, monkeypatch):
    (tmp_path / "my_plugin_for_a_test.py").write_text("VALUE = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    import_plugins(["my_plugin_for_a_test"], "recipe.yaml")
    assert sys.modules["my_plugin_for_a_test"].VALUE == 3
    (tmp_path / "broken_plugin_for_a_test.py").write_text("1 / 0\n")
    with pytest.raises(MdtkError, match=r"recipe.yaml: PLUGINS names .*'broken_plugin_for_a_test'.*ZeroDivisionError"):
        import_plugins(["broken_plugin_for_a_test"], "recipe.yaml")
