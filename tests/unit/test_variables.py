# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluation of inventory variables, and conversion of Ansible's own types to plain values."""

import pytest
from ansible.errors import AnsibleUndefinedVariable
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import (
    Evaluation,
    evaluation_of,
    inputs,
    plain,
    templates,
)

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19
    trust_as_template = str


class Counting(Evaluation):
    """An evaluation with Ansible that counts the calls."""

    def __init__(self):
        self.count = 0
        ansible = evaluation_of(Templar(loader=DataLoader()))

        def template(value, variables):
            self.count += 1
            return ansible._template(value, variables)

        super().__init__(template)


@pytest.fixture
def evaluation():
    return Counting()


def test_values_without_templates_are_not_evaluated(evaluation):
    variables = {"a": {"b": [1, "x", None, True, 0.5]}, "c": "{ x }"}
    assert evaluation.values(["a", "c"], variables) == (variables, {})
    assert evaluation.count == 0


def test_template_of_a_group_is_evaluated_once(evaluation):
    group = {"a": [trust_as_template("{{ b }}/x")], "b": trust_as_template("{{ c }}"), "c": "y"}
    values = [evaluation.value("a", {**group, "inventory_hostname": host}) for host in ("w1", "w2", "w3")]
    assert values == [["y/x"]] * 3 and evaluation.count == 1


def test_template_that_depends_on_the_host_is_evaluated_for_each(evaluation):
    group = {"a": trust_as_template("{{ b }}"), "b": trust_as_template("{{ inventory_hostname }}-x")}
    assert [evaluation.value("a", {**group, "inventory_hostname": f"w{number}"}) for number in range(20)] == [
        f"w{number}-x" for number in range(20)
    ]


def test_template_is_evaluated_again_for_other_inputs(evaluation):
    template = trust_as_template("{{ b | default('none') }}")
    assert [evaluation.value("a", {"a": template, **host}) for host in ({}, {"b": 1}, {"b": 2}, {}, {"b": 2})] == [
        "none",
        1,
        2,
        "none",
        2,
    ]
    assert evaluation.count == 3


def test_template_with_a_lookup_of_variables_is_evaluated_for_each(evaluation):
    template = trust_as_template("{{ lookup('vars', 'b' ~ 'c') }}")
    assert [evaluation.value("a", {"a": template, "bc": number}) for number in (1, 2)] == [1, 2]


def test_circular_variables_have_finite_inputs():
    variables = {"a": "{{ b }}", "b": "{{ a }}", "c": "x"}
    assert inputs("{{ a }} c", variables) == {"a": "{{ b }}", "b": "{{ a }}", "c": "x"}


def test_only_the_named_variables_are_evaluated(evaluation):
    variables = {"a": trust_as_template("{{ missing }}"), "b": trust_as_template("{{ 1 + 1 }}"), "c": object()}
    values, errors = evaluation.values(["a", "b"], variables)
    assert values == {"b": 2} and list(errors) == ["a"]
    assert isinstance(errors["a"], AnsibleUndefinedVariable)


class Vaulted:
    """An inline ``!vault`` as in ansible-core before 2.19: an object that ``str`` decrypts."""

    __ENCRYPTED__ = True

    def __str__(self):
        return "a text"


def test_vaulted_values_become_strings():
    value = {"a": [Vaulted(), ("b",), 1, 0.5, None, True], "c": {"d": Vaulted()}}
    assert plain(value) == {"a": ["a text", ["b"], 1, 0.5, None, True], "c": {"d": "a text"}}


def test_vaulted_values_are_evaluated():
    vaulted = Vaulted()
    assert templates({"a": [vaulted, "b"]}) == [vaulted]
