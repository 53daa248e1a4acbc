# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Validation errors of variables, which name the variable, the hosts and the remedy."""

import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import SETTINGS
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.validate import problems, to_bool, wrong_variables
from sentences import only, says


def variables(playing=None, **hosts):
    """Return the problems of the variables of hosts."""
    return problems({host: (values, {}) for host, values in hosts.items()}, hosts if playing is None else playing)


def test_defaults_are_valid():
    assert variables(w1={name: setting.default for name, setting in SETTINGS.items()}) == []


def test_whole_numbers_have_bounds():
    """Units, and lists with that many items, cannot contain any number."""
    assert [one.name for one in SETTINGS.values() if one.type == "int" and None in (one.minimum, one.maximum)] == []


@pytest.mark.parametrize("value", [True, "yes", "True", " on", 1, 1.0, "t"])
def test_values_that_mean_true(value):
    assert to_bool(value) is True


@pytest.mark.parametrize("value", [False, "no", "FALSE", "off", 0, "f"])
def test_values_that_mean_false(value):
    assert to_bool(value) is False


@pytest.mark.parametrize("value", ["", "perhaps", 2, None, [True], {}, "1.0"])
def test_values_that_are_no_boolean(value):
    assert to_bool(value) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("dask_scheduler_port", "8786"),
        ("dask_tls_warn_days", 0),
        ("dask_tls", "no"),
        ("dask_worker_profile", "gpu"),
        ("dask_worker_count", "2"),
        ("dask_worker_preloads", [{"name": "a", "arguments": ["--x"]}]),
        ("dask_worker_gpus", [0, 1]),
        ("dask_worker_pools", {"a": {"nanny": "yes"}}),
        ("dask_worker_pools", {"a": {"hours": ["Mon..Fri 19:00-07:00", "Sat,Sun"]}}),
        *[("dask_worker_hours", hours) for hours in ("", [], "Sat", "22:00-06:00 Europe/Berlin")],
        *[
            ("dask_python", value)
            for value in ("auto", "/usr/bin/python3", "python3.12", "3.13", 3.13, "3.13.5+20261129")
        ],
        ("dask_python_sha256", {"x86_64": "0" * 64, "aarch64": "f" * 64}),
        *[
            ("dask_release_label", label)
            for label in ("", "v1.4", "1.10", "2026-11-29", 1234, "a" * 63, "1.0+g3f2a_x-y")
        ],
        *[("dask_umask", umask) for umask in ("0022", "022", "0002", "0027", "0077", "0007")],
        *[("dask_serial", serial) for serial in (1, "3", "20%", "100%", [1, "50%"])],
        *[("dask_user", user) for user in ("dask", "_dask", "First.Last", "svc-dask_1@corp.example.org", "a" * 32)],
    ],
)
def test_valid_values_are_accepted(name, value):
    assert variables(w1={name: value}) == []


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        (
            "dask_python",
            3.1,
            "is '3.1'. Give auto, an interpreter's name or path, or a version in quotes, '3.10' or newer",
        ),
        (
            "dask_python",
            "3.9",
            "is '3.9'. Give auto, an interpreter's name or path, or a version in quotes, '3.10' or newer",
        ),
        ("dask_python", {}, "Give auto"),
        ("dask_python_sha256", "0" * 64, "Give a dictionary with 64 hexadecimal digits for x86_64 and for aarch64"),
        (
            "dask_python_sha256",
            {"x86_64": "0"},
            "Give a dictionary with 64 hexadecimal digits for x86_64 and for aarch64",
        ),
        ("dask_python_sha256", {"amd64": "0" * 64}, "Give a dictionary with 64 hexadecimal digits"),
        ("dask_scheduler_port", "http", "is 'http'. Give a whole number, 1 to 65535"),
        ("dask_scheduler_port", 99999, "is '99999'. Give a whole number, 1 to 65535"),
        ("dask_scheduler_port", [1, 2], "is '[1, 2]'. Give a whole number, 1 to 65535"),
        ("dask_worker_drain_timeout", -5, "is '-5'. Give a whole number, 0 to 31536000"),
        ("dask_worker_drain_timeout", 1.5, "is '1.5'. Give a whole number, 0 to 31536000"),
        ("dask_worker_drain_timeout", 10**19, f"is '{10**19}'. Give a whole number, 0 to 31536000"),
        ("dask_worker_drain_timeout", "9" * 5000, "Give a whole number, 0 to 31536000"),  # int() accepts 4300 digits
        ("dask_watchdog_timeout", True, "is 'True'. Give a whole number, 1 to 31536000"),
        ("dask_keep_releases", 0, "is '0'. Give a whole number, 1 to 1000"),
        ("dask_tls", "perhaps", "is 'perhaps'. Give true or false"),
        ("dask_tls", [True], "Give true or false"),
        ("dask_worker_profile", "numpy", "is 'numpy'. Give one of numeric, python, mixed, io, gpu"),
        ("dask_worker_threads", [1, 2], "is '[1, 2]'. Give a number or a string"),
        ("dask_environment_lock", {"file": "x"}, "Give a number or a string"),
        ("dask_environment_lock", None, "is empty. Give it a value, or remove it"),
        ("dask_worker_paths", "/data", "is '/data'. Give a list of strings, also for a single value"),
        ("dask_worker_paths", [["/data"]], "Give a list of strings"),
        ("dask_worker_preloads", "a.py", "is 'a.py'. Give a list, also for a single value"),
        ("dask_config", "a=b", "is 'a=b'. Give a dictionary ({} for an empty one)"),
        (
            "dask_config",
            "distributed:\n  worker:\n    memory: {target: 0.5}\n",
            "is text (distributed:...). Give a dictionary: remove the | before the text, or add | from_yaml to the lookup.",
        ),
        ("dask_environment_setup", "module load a\nmodule load b\n", "is 'module load a...'. Give a list of strings"),
        ("dask_worker_gpus", {"a": 1}, "Give a number, a string, or a list of these"),
        (
            "dask_worker_hours",
            "Mon-Fri 19:00-07:00",
            "has 'Mon-Fri 19:00-07:00', in which 'Mon-Fri' is not understood. Write days like Mon..Fri, with three letters",
        ),
        (
            "dask_worker_hours",
            ["Sat", 5],
            "has '5', which is not text. Put it in quotes. Write it like 'Mon..Fri 19:00-07:00'",
        ),
        ("dask_worker_hours", None, "is empty. Give it a value, or remove it"),
        ("dask_worker_interface", [["eth0"]], "Give a number, a string, or a list of these"),
        *[
            ("dask_user", user, f"is '{user}'. Give the name of an account other than root, with whose permissions")
            for user in (
                "root",
                "",
                "da sk",
                "-x",
                "a" * 40,
                "a/b",
                "1000",
                1000,
                True,
                ["dask"],
                "dask\n",
                "a:b",
                "@b",
            )
        ],
        *[
            ("dask_release_label", label, f"is '{label}'. Give up to 63 letters, digits and the characters . _ + -")
            for label in ("v1 4", "v1.4;", "-v1", "a" * 64, "release/1.4", "v1.4\n", "é", 1.1, True, ["v1.4"])
        ],
        *[
            # YAML reads 0022 as 18. All accounts could write with 0000, and services lose rights with 0722.
            ("dask_umask", umask, f"is '{umask}'. Give three or four octal digits in quotes, such as \"0002\"")
            for umask in (18, 22, "18", "0000", "0020", "0001", "0722", "1022", "0028", "u=rwx", "", "00022", ["0022"])
        ],
        *[
            ("dask_serial", serial, f"is '{serial}'. Give a number of hosts, 1 or more")
            for serial in (0, -1, 0.2, "half", "0%", "101%", "", [], [1, 0])
        ],
    ],
)
def test_invalid_values_are_rejected(name, value, instead):
    assert says(only(variables(w1={name: value}, w2={})), f"{name}, set for w1, ", instead)


@pytest.mark.parametrize("name", sorted(name for name, setting in SETTINGS.items() if setting.secret))
def test_secret_values_are_in_no_message(name):
    wrong = ["hunter2"] if SETTINGS[name].type == "str" else "hunter2"
    assert "hunter2" not in only(variables(w1={name: wrong}))


def test_secrets_of_pools_are_in_no_message():
    for wrong in ("hunter2", {"a": "hunter2"}, {"a": {"environment_variables": "hunter2"}}):
        assert "hunter2" not in only(variables(w1={"dask_worker_pools": wrong}))


@pytest.mark.parametrize(
    "name", ["dask_environment_archive", "dask_python_mirror", "dask_dashboard_prefix", "dask_home"]
)
@pytest.mark.parametrize("value", [True, False])
def test_boolean_is_no_text(name, value):
    (problem,) = wrong_variables({name: value}, {})
    assert "Give a number or a string." in str(problem)


def test_failing_template_is_reported():
    error = "'x' is  undefined."
    assert problems({"w1": ({}, {"dask_home": error}), "w2": ({}, {})}, []) == [
        "dask_home, set for w1, cannot be evaluated: 'x' is undefined. Correct the template, or give the password of its "
        "vault."
    ]
    facts = "'ansible_processor_vcpus' is undefined"
    assert "Facts (ansible_...) are not gathered" in only(problems({"w1": ({}, {"dask_worker_count": facts})}, []))


def test_text_of_a_secret_dictionary_is_not_shown():
    sentence = only(variables(w1={"dask_environment_variables": "TOKEN: hunter2\nA: 1\n"}))
    assert says(sentence, "dask_environment_variables, set for w1, is text. Give a dictionary: remove the | before")


def test_templates_of_secrets_are_in_no_message():
    assert "hunter2" not in only(problems({"w1": ({}, {"dask_shutdown_token": "in 'hunter2{{'"})}, []))


def test_name_that_no_variable_has_is_explained():
    assert says(
        only(variables(w1={"dask_log_dir": "/var/log"})), "Remove it. Services write to the journal: journalctl -u"
    )
    assert says(
        only(variables(w1={"dask_xyzzy_quux": 1})), "Remove it. 'ansible-doc -t role daskops.cluster.preflight'"
    )


def test_invalid_pool_is_reported_with_its_hosts():
    wrong = {"dask_worker_pools": {"Big Pool": {}}}
    sentence = only(variables(w1=wrong, w2=wrong))
    assert says(sentence, "dask_worker_pools, set for all hosts, has 'Big Pool', which is not a valid name of a pool")
    assert says(sentence, "Use up to 20 lower-case letters")
    sentence = only(variables(w1={"dask_worker_pools": {"a": {"thread": 1}}}, w2={}))
    assert says(sentence, "dask_worker_pools.a.thread, set for w1, is not a setting of a pool. Did you mean threads?")
    sentence = only(variables(w1={"dask_worker_pools": ["a"]}, w2={}))
    assert says(sentence, "dask_worker_pools, set for w1, is not a dictionary")


def test_pools_of_hosts_outside_the_run_are_not_checked():
    given = {"dask_worker_pools": {"a": {}}}
    others = {**given, "dask_worker_pool_overrides": {"b": {"threads": 2}}}
    assert variables(playing=["w1"], w1=given, w2=others) == []
    sentence = only(variables(playing=["w1", "w2"], w1=given, w2=others))
    assert says(
        sentence, "dask_worker_pool_overrides, set for w2, has b, which is not a pool of this host", "There are a"
    )


def test_misspelt_variable_is_reported_once_with_its_hosts():
    wrong = {"dask_worker_thread": 4}
    sentence = only(variables(w1=wrong, w2=wrong, w3={}))
    assert says(sentence, "dask_worker_thread, set for w1, w2, is not a variable", "Did you mean dask_worker_threads?")


def test_unknown_variable_without_a_suggestion():
    assert says(only(variables(w1={"dask_xyzzy_quux": 1})), "dask_xyzzy_quux, set for w1", "Remove it")


def test_invalid_hours_of_a_pool_are_rejected():
    pools = {"a": {"hours": "Mon 19:00-19:00"}}
    assert only(variables(w1={"dask_worker_pools": pools})) == (
        "dask_worker_pools.a.hours, set for w1, has 'Mon 19:00-19:00', in which '19:00-19:00' has no length. Leave out the "
        "times for whole days."
    )
