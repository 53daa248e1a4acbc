# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluation of an inventory's variables, and values without Ansible's own types."""

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
    """Evaluates with Ansible, and counts how often."""

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


def test_a_template_of_a_group_is_evaluated_once(evaluation):
    group = {"a": [trust_as_template("{{ b }}/x")], "b": trust_as_template("{{ c }}"), "c": "y"}
    values = [evaluation.value("a", {**group, "inventory_hostname": host}) for host in ("w1", "w2", "w3")]
    assert values == [["y/x"]] * 3 and evaluation.count == 1


def test_a_template_that_follows_from_the_host_is_evaluated_for_each(evaluation):
    group = {"a": trust_as_template("{{ b }}"), "b": trust_as_template("{{ inventory_hostname }}-x")}
    assert [evaluation.value("a", {**group, "inventory_hostname": f"w{number}"}) for number in range(20)] == [
        f"w{number}-x" for number in range(20)
    ]


def test_a_template_with_another_value_below_it_is_another(evaluation):
    template = trust_as_template("{{ b | default('none') }}")
    assert [evaluation.value("a", {"a": template, **host}) for host in ({}, {"b": 1}, {"b": 2}, {}, {"b": 2})] == [
        "none",
        1,
        2,
        "none",
        2,
    ]
    assert evaluation.count == 3


def test_a_template_that_reads_a_variable_by_its_name_is_evaluated_for_each(evaluation):
    template = trust_as_template("{{ lookup('vars', 'b' ~ 'c') }}")
    assert [evaluation.value("a", {"a": template, "bc": number}) for number in (1, 2)] == [1, 2]


def test_variables_that_follow_from_each_other():
    variables = {"a": "{{ b }}", "b": "{{ a }}", "c": "x"}
    assert inputs("{{ a }} c", variables) == {"a": "{{ b }}", "b": "{{ a }}", "c": "x"}


def test_only_the_named_variables_are_evaluated(evaluation):
    variables = {"a": trust_as_template("{{ missing }}"), "b": trust_as_template("{{ 1 + 1 }}"), "c": object()}
    values, errors = evaluation.values(["a", "b"], variables)
    assert values == {"b": 2} and list(errors) == ["a"]
    assert isinstance(errors["a"], AnsibleUndefinedVariable)


class Vaulted:
    """An inline ``!vault`` as ansible-core older than 2.19 has it: no text, but an object that is decrypted as one."""

    __ENCRYPTED__ = True

    def __str__(self):
        return "a text"


def test_a_vaulted_text_is_a_text():
    value = {"a": [Vaulted(), ("b",), 1, 0.5, None, True], "c": {"d": Vaulted()}}
    assert plain(value) == {"a": ["a text", ["b"], 1, 0.5, None, True], "c": {"d": "a text"}}


def test_a_vaulted_text_is_evaluated():
    vaulted = Vaulted()
    assert templates({"a": [vaulted, "b"]}) == [vaulted]
