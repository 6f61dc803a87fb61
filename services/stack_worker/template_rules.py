"""What a template may not name, since all tenants' stacks are made by one service user. Pure.

Nova's key pairs belong to a user, not to a project, and ours serves every tenant: a stack could
read or replace another tenant's. And of a type that is an address, Heat would fetch the template.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from shared.contract import bounded_yaml
from shared.contract.problems import Reason
from shared.worker.errors import Refused

#: Types that reach what is the service user's, or that Heat fetches from an address.
_TYPES = frozenset({"OS::Nova::KeyPair", "AWS::CloudFormation::Stack"})
#: Properties that name a key pair of the service user, of whatever type.
_KEYS = frozenset(
    {"key_name", "KeyName", "keypair", "keypair_id", "user_keypair_id", "default_keypair_id"}
)
#: Properties that hold a resource's definition, and those that hold a template.
_DEFINITIONS = ("resource_def", "resource")
_GROUPS = frozenset({"OS::Heat::ResourceGroup", "OS::Heat::AutoScalingGroup"})
_CHAIN = "OS::Heat::ResourceChain"
_NESTED = "OS::Heat::Stack"
#: Functions of Heat's that may give a mapping.
_FUNCTIONS = frozenset(
    {"get_param", "get_attr", "get_file", "if", "map_merge", "map_replace", "yaql", "Ref"}
    | {"str_replace", "str_replace_strict", "str_replace_vstrict", "list_join", "resource_facade"}
)
_TOO_LARGE = "The template is too large, or nested too deeply."


def read(template: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return the template as an object: what was looked at is what Heat is given.

    Raises `Refused` (template_invalid) when it is none, or too large.
    """
    found = _parsed(template) if isinstance(template, str) else template
    if not isinstance(found, dict):
        raise _refused("The template is neither a JSON object nor a YAML mapping.")
    try:
        bounded_yaml.check_bounds(found)
    except bounded_yaml.Unbounded as error:
        raise _refused(_TOO_LARGE) from error
    except bounded_yaml.NotPlain as error:
        raise _refused(f"The template holds a {error}, which JSON has not.") from error
    return found


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return bounded_yaml.load(text)
    except bounded_yaml.Unbounded as error:
        raise _refused(_TOO_LARGE) from error
    except (yaml.YAMLError, ValueError) as error:
        words = " ".join(str(error).split())
        raise _refused(f"The template can't be read: {words[:500]}") from error


def check(template: Mapping[str, Any]) -> None:
    """Raise `Refused` (template_invalid), naming the resource, for what a stack may not have."""
    for name, definition in _definitions(template, ""):
        _check_one(name, definition)


def _check_one(name: str, definition: Mapping[str, Any]) -> None:
    kind = _either(definition, "type", "Type")
    if not isinstance(kind, str):
        raise _refused(f"Resource {name}: its type must be written out.")
    if kind in _TYPES or "://" in kind:
        raise _refused(f"Resource {name}: a template may have no resource of type {kind}.")
    properties = _properties(name, definition)
    inner = properties.get("properties")  # of a profile, which is of a server
    found = {*properties, *(inner if isinstance(inner, Mapping) else ())}
    if named := sorted(_KEYS & found):
        words = "key pairs are the service user's, of all tenants: give the key in user_data"
        raise _refused(f"Resource {name}: a template may not name {named[0]} ({words}).")


def _definitions(
    template: Mapping[str, Any], within: str
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """All resources that it defines, those of groups and of nested templates too, by name."""
    resources = _either(template, "resources", "Resources")
    for name, definition in resources.items() if isinstance(resources, Mapping) else ():
        if isinstance(definition, Mapping):  # else Heat says so
            yield from _with_inner(f"{within}{name}", definition)


def _with_inner(
    name: str, definition: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield name, definition
    kind, properties = _either(definition, "type", "Type"), _properties(name, definition)
    if kind in _GROUPS:
        for key in _DEFINITIONS:
            if key in properties:
                yield from _with_inner(f"{name}.{key}", _written_out(name, key, properties[key]))
    elif kind == _CHAIN:
        inner = _written_out(name, "properties", properties.get("resource_properties", {}))
        for one in _list(name, properties.get("resources")):
            yield name, {"type": one, "properties": inner}
    elif kind == _NESTED and "template" in properties:
        yield from _definitions(_nested(name, properties["template"]), f"{name}.")


def _list(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _refused(f"Resource {name}: its resources must be written out.")
    return value


def _nested(name: str, template: Any) -> Mapping[str, Any]:
    found = read(template) if isinstance(template, str) else template
    return _written_out(name, "template", found)


def _properties(name: str, definition: Mapping[str, Any]) -> Mapping[str, Any]:
    found = _either(definition, "properties", "Properties")
    return _written_out(name, "properties", {} if found is None else found)


def _written_out(name: str, key: str, value: Any) -> Mapping[str, Any]:
    """A mapping, and none that Heat first makes of something else (``get_param``, …)."""
    if not isinstance(value, Mapping) or any(
        one in _FUNCTIONS or str(one).startswith("Fn::") for one in value
    ):
        raise _refused(f"Resource {name}: its {key} must be written out.")
    return value


def _either(found: Mapping[str, Any], hot: str, cfn: str) -> Any:
    return found.get(hot, found.get(cfn))


def _refused(detail: str) -> Refused:
    return Refused(detail, reason=Reason.TEMPLATE_INVALID)
