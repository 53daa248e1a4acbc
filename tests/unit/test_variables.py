# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluation of inventory variables, and conversion of Ansible's own types to plain values."""

import json

import pytest
from ansible.errors import AnsibleUndefinedVariable
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play import Play
from ansible.template import Templar
from ansible.utils.unsafe_proxy import wrap_var
from ansible.vars.hostvars import HostVars
from ansible.vars.manager import VariableManager
from ansible_collections.daskops.cluster.plugins.plugin_utils.variables import (
    Evaluation,
    connection_names,
    evaluation_of,
    inputs,
    plain,
    templates,
    values_of,
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


def test_templates_of_a_dictionary_are_evaluated_one_by_one(evaluation):
    """One template that names the host does not make the others be evaluated for each host."""
    group = {
        "a": {
            "memory": trust_as_template("{{ 4 * 2 }}GiB"),
            "names": [trust_as_template("x-{{ inventory_hostname }}")],
        },
    }
    hosts = [f"w{number}" for number in range(5)]
    values = [evaluation.value("a", {**group, "inventory_hostname": host}) for host in hosts]
    assert values == [{"memory": "8GiB", "names": [f"x-{host}"]} for host in hosts]
    assert evaluation.count == 1 + len(hosts)


def test_reference_to_a_name_needs_no_evaluation(evaluation):
    template = trust_as_template("{{ inventory_hostname }}")
    assert evaluation.value("a", {"a": template, "inventory_hostname": "w1.example"}) == "w1.example"
    assert evaluation.count == 0
    assert evaluation.value("a", {"a": wrap_var("{{ inventory_hostname }}"), "inventory_hostname": "w1"}) == str(
        template
    )
    evaluation.count = 0
    # Ansible may return another type for these, or has to evaluate them.
    for value in ("true", "[1]", 7, trust_as_template("{{ 1 + 1 }}")):
        evaluation.value("a", {"a": template, "inventory_hostname": value})
    assert evaluation.count == 4


def test_error_inside_a_dictionary_is_that_of_the_whole_value(evaluation):
    raw = {"b": {"c": trust_as_template("{{ nothing }}")}}
    with pytest.raises(AnsibleUndefinedVariable) as whole:
        evaluation._template(raw, {"a": raw})
    dummy, errors = evaluation.values(["a"], {"a": raw})
    assert str(errors["a"]) == str(whole.value)


def test_omitted_items_are_evaluated_with_what_holds_them(evaluation):
    raw = {"b": trust_as_template("{{ omit }}"), "c": 1}
    variables = {"a": raw, "omit": "__omit_place_holder__1"}
    assert evaluation.value("a", variables) == plain(evaluation._template(raw, variables))


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


# The variables of a task on other hosts than its own

INVENTORY = {
    "all": {
        "children": {
            "dask_scheduler": {"hosts": {"s1": {"dask_worker_count": 2, "dask_tls": True, "base": "/srv"}}},
            "dask_workers": {
                "hosts": {
                    "w1": {"dask_worker_count": 3, "dask_tls": False, "dask_keep_releases": 7},
                    "w2": {"dask_user": "worker"},
                }
            },
        }
    }
}


@pytest.fixture
def values(tmp_path):
    """Return a function that returns the values of a task of a play for all hosts of the inventory."""
    (tmp_path / "hosts.json").write_text(json.dumps(INVENTORY))
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[str(tmp_path / "hosts.json")])
    manager = VariableManager(loader=loader, inventory=inventory)
    hostvars = HostVars(inventory=inventory, variable_manager=manager, loader=loader)

    def values(facts=None, reported=None, **options):
        for host, own in (facts or {}).items():
            manager.set_nonpersistent_facts(host, own)
        for host, own in (reported or {}).items():
            manager.set_host_facts(host, own)
        about = {"name": "test", "hosts": "all", "gather_facts": False, "tasks": [{"debug": None}], **options}
        play = Play.load(about, variable_manager=manager, loader=loader)
        (task,) = [task for block in play.compile() for task in block.block if task.action.endswith("debug")]
        task_vars = manager.get_vars(play=play, host=inventory.get_host("s1"), task=task)
        assert task_vars["hostvars"] is hostvars
        return values_of(Templar(loader=loader, variables=task_vars), task, task_vars, ["s1", "w1", "w2"])

    return values


def each(values, name):
    return [about[name] for about in values.values()]


def test_value_of_each_host_comes_from_the_inventory(values):
    found = values()
    assert each(found, "dask_worker_count") == [2, 3, "auto"] and each(found, "dask_tls") == [True, False, True]


@pytest.mark.parametrize("where", ["play", "block", "task"])
def test_variable_of_the_play_that_equals_the_value_of_the_tasks_host_wins_on_all_hosts(values, where):
    own = {"vars": {"dask_worker_count": 2, "dask_tls": True}}
    task = {"debug": None}
    options = {
        "play": own,
        "block": {"tasks": [{"block": [task], **own}]},
        "task": {"tasks": [{**task, **own}]},
    }
    found = values(**options[where])
    assert each(found, "dask_worker_count") == [2, 2, 2] and each(found, "dask_tls") == [True, True, True]
    assert each(found, "dask_keep_releases") == [3, 7, 3] and each(found, "dask_user") == ["dask", "dask", "worker"]


def test_variable_of_the_play_that_equals_the_default_wins_on_all_hosts(values):
    assert each(values(vars={"dask_keep_releases": 3}), "dask_keep_releases") == [3, 3, 3]


def test_variable_of_the_play_in_a_file_wins_on_all_hosts(values, tmp_path):
    (tmp_path / "vars.yml").write_text("dask_worker_count: 2\n")
    assert each(values(vars_files=[str(tmp_path / "vars.yml")]), "dask_worker_count") == [2, 2, 2]


def test_fact_of_a_host_wins_over_the_play(values):
    found = values({"w1": {"dask_worker_count": 5}}, vars={"dask_worker_count": 2})
    assert each(found, "dask_worker_count") == [2, 5, 2]


def test_variable_in_the_facts_that_a_host_reports_is_rejected(values):
    assert each(values(reported={"w1": {"ansible_kernel": "6.1"}}), "dask_worker_count") == [2, 3, "auto"]
    with pytest.raises(
        ValueError, match=r"^w1: dask_home comes from the facts of this host, .* Set it in the inventory"
    ):
        values(reported={"w1": {"ansible_kernel": "6.1", "dask_home": "/srv/other"}})


def test_template_of_a_host_reads_other_variables_of_the_play(values):
    found = values({"w2": {"dask_home": trust_as_template("{{ top }}/dask")}}, vars={"top": "/data"})
    assert each(found, "dask_home") == ["/opt/dask", "/opt/dask", "/data/dask"]


def test_template_of_the_play_reads_the_variables_of_each_host(values):
    home = trust_as_template("{{ base | default('/nowhere') }}/{{ inventory_hostname }}")
    assert each(values(vars={"dask_home": home}), "dask_home") == ["/srv/s1", "/nowhere/w1", "/nowhere/w2"]


def test_names_of_connections_are_not_evaluated():
    inventory = InventoryManager(loader=DataLoader(), sources="a,b,c,")
    for host, address in {"a": "10.0.0.1", "b": "{{ no_such_variable }}"}.items():
        inventory.get_host(host).set_variable("ansible_host", address)
    hostvars = HostVars(inventory, VariableManager(DataLoader(), inventory), DataLoader())
    assert connection_names(["a", "b", "c"], hostvars) == {"a": "10.0.0.1", "b": "", "c": "c"}
