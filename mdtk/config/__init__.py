"""The configuration: every key with its default, meaning and range, and how recipes are loaded, checked and frozen."""

from mdtk.config.load import (
    check,
    config_from_text,
    data_sets,
    default_config,
    depth_range,
    differences,
    dump,
    find_recipe,
    flatten,
    load_config,
    merge_mapping,
    override,
    read_recipe,
)

__all__ = [
    "check",
    "config_from_text",
    "data_sets",
    "default_config",
    "depth_range",
    "differences",
    "dump",
    "find_recipe",
    "flatten",
    "load_config",
    "merge_mapping",
    "override",
    "read_recipe",
]
