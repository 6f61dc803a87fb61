"""What a template may not name, wherever it stands in it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from services.stack_worker.template_rules import check, read
from services.stack_worker.templates import Templates
from shared.contract.problems import Reason
from shared.worker.errors import Refused

KEY = {"type": "OS::Nova::KeyPair", "properties": {"name": "theirs"}}
SERVER = {"type": "OS::Nova::Server", "properties": {"image": "i", "key_name": "theirs"}}
FETCHED = {"type": "http://169.254.169.254/a.yaml"}
FINE = {"type": "OS::Nova::Server", "properties": {"image": "i", "flavor": {"get_param": "f"}}}


def template(**resources: Any) -> dict[str, Any]:
    return {"heat_template_version": "2018-08-31", "resources": resources}


def nested(inner: Any) -> dict[str, Any]:
    return {"type": "OS::Heat::Stack", "properties": {"template": inner}}


def group(inner: Any) -> dict[str, Any]:
    return {"type": "OS::Heat::ResourceGroup", "properties": {"count": 2, "resource_def": inner}}


def scaled(inner: Any) -> dict[str, Any]:
    properties = {"min_size": 1, "max_size": 2, "resource": inner}
    return {"type": "OS::Heat::AutoScalingGroup", "properties": properties}


def chain(*kinds: Any, **properties: Any) -> dict[str, Any]:
    inner = {"resources": list(kinds), "resource_properties": properties}
    return {"type": "OS::Heat::ResourceChain", "properties": inner}


@pytest.mark.parametrize(
    ("resource", "named"),
    [
        (KEY, "bad: a template may have no resource of type OS::Nova::KeyPair"),
        (SERVER, "bad: a template may not name key_name"),
        (FETCHED, "bad: .* of type http://"),
        ({"type": "file:///etc/passwd"}, "bad: .* of type file://"),
        ({"type": "AWS::CloudFormation::Stack"}, "bad: .* of type AWS::CloudFormation::Stack"),
        ({"type": {"get_param": "kind"}}, "bad: its type must be written out"),
        ({"type": "OS::Nova::Server", "properties": {"get_param": "all"}}, "bad: its properties"),
        ({"type": "OS::Senlin::Profile", "properties": SERVER}, r"bad: .* key_name"),
        (group(KEY), r"bad\.resource_def: .*KeyPair"),
        (group(SERVER), r"bad\.resource_def: .*key_name"),
        (group({"get_param": "definition"}), "bad: its resource_def must be written out"),
        (group({"type": "OS::Nova::Server", "properties": {"get_param": "p"}}), "its properties"),
        (scaled(FETCHED), r"bad\.resource: "),
        (scaled(group(KEY)), r"bad\.resource\.resource_def: "),
        (chain("OS::Heat::None", "OS::Nova::KeyPair"), "bad: .*KeyPair"),
        (chain("OS::Nova::Server", key_name="theirs"), "bad: .*key_name"),
        (chain({"get_param": "kind"}), "bad: its type must be written out"),
        (nested(template(inner=KEY)), r"bad\.inner: .*KeyPair"),
        (nested(yaml.safe_dump(template(inner=SERVER))), r"bad\.inner: .*key_name"),
        (nested(json.dumps(template(inner=nested(template(web=KEY))))), r"bad\.inner\.web: "),
        (nested({"str_replace": {"template": "…", "params": {}}}), "its template must be written"),
        (nested({"get_file": "x.yaml"}), "its template must be written out"),
    ],
)
def test_what_reaches_across_tenants_is_refused_with_the_resources_name(
    resource: dict[str, Any], named: str
) -> None:
    """Before Heat is asked for anything."""
    for given in (template(fine=FINE, bad=resource), json.dumps(template(bad=resource))):
        with pytest.raises(Refused, match=named) as refused:
            check(read(given))
        assert refused.value.reason == Reason.TEMPLATE_INVALID


def test_the_other_way_of_writing_templates_is_looked_at_too() -> None:
    """CloudFormation's."""
    server = {"Type": "AWS::EC2::Instance", "Properties": {"KeyName": "theirs"}}
    with pytest.raises(Refused, match=r"Resource bad: .* KeyName"):
        check(read({"HeatTemplateFormatVersion": "2012-12-12", "Resources": {"bad": server}}))


def test_what_is_none_of_that_passes() -> None:
    """A parameter may be called as it likes; what ships passes as well."""
    fine = template(web=FINE, group=group(FINE), scaled=scaled(FINE), nested=nested(template()))
    fine["parameters"] = {"key_name": {"type": "string"}}
    check(read(fine))
    shipped = Templates.load()
    for name in shipped.names:
        check(read(shipped.text(name)))


def test_a_template_is_read_as_heat_reads_it() -> None:
    """A date stays a text; JSON is JSON."""
    assert read("heat_template_version: 2018-08-31") == {"heat_template_version": "2018-08-31"}
    assert read('{"a":\t1}') == {"a": 1}


@pytest.mark.parametrize(
    "text",
    [
        "a: [1",
        "- a",
        "a: !!binary aGVsbG8=",
        "a: !!python/object:os.system x",
        "[" * 50_000,
        "a: " + "[" * 5000 + "]" * 5000,
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{c}: &{c} [{', '.join([f'*{chr(ord(c) - 1)}'] * 10)}]\n" for c in "bcdefghij"),
        "a: &a {x: 1}\n"
        + "".join(
            f"{c}: &{c} {{<<: [{', '.join([f'*{chr(ord(c) - 1)}'] * 10)}]}}\n" for c in "bcdefghij"
        ),
        "a: &a [*a]",
    ],
)
def test_what_is_no_template_or_grows_when_it_is_read_is_refused(text: str) -> None:
    """Soon, and as the requester's fault."""
    with pytest.raises(Refused) as refused:
        read(text)
    assert refused.value.reason == Reason.TEMPLATE_INVALID
