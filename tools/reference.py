# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Return the pages of the reference in `docs/reference`, from the code."""

from __future__ import annotations

import ast
import dataclasses
import json
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.daskops.cluster.plugins.plugin_utils.alerts import ALERTS, expression_of
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.doctor import KINDS, SEVERITIES
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.settings import (
    POOL_PREFIX,
    SECTIONS,
    SETTINGS,
    Setting,
)
from ansible_collections.daskops.cluster.plugins.plugin_utils.cluster.status import Status
from ansible_collections.daskops.cluster.plugins.plugin_utils.ports import PORTS
from markup import kind, markdown, shown, table

SCOPES = {
    "cluster": "the same for all hosts",
    "host": "for a host or a group",
    "pool": "for a host, a group or, as `{}`, a pool",
}


def begin(what: str) -> str:
    """Return the line before a generated part of a page."""
    return f"<!-- {what}: written by `make generate` -->\n"


END = "<!-- End of what `make generate` writes -->\n"


def replaced(text: str, what: str, content: str) -> str:
    """Return a page with another content of one of its generated parts."""
    before, found, rest = text.partition(begin(what))
    dummy, end, after = rest.partition(END)
    if not (found and end):
        raise ValueError(f"A page lacks the lines {begin(what).strip()} and {END.strip()}.")
    return f"{before}{found}\n{content}\n{END}{after}"


# Variables


def linked(text: str) -> str:
    """Convert a text from the markup of Ansible's documentation to Markdown, with links to variables of the page."""
    text = re.sub(r"\bO\((dask_\w+)\)", r"[`\1`](#\1)", text)
    return markdown(text)


def bounds(setting: Setting) -> str:
    """Return the bounds of a number, such as ``, 1 to 3650``."""
    if setting.minimum is None and setting.maximum is None:
        return ""
    if setting.maximum is None:
        return f", at least {setting.minimum}"
    return f", {setting.minimum} to {setting.maximum}"


def variable(setting: Setting) -> str:
    """Return the description of a variable."""
    about = [
        f"Type: {kind(setting)}{bounds(setting)}.",
        f"Default: {shown(setting)}.",
        f"Scope: {SCOPES[setting.scope].format(setting.name.removeprefix(POOL_PREFIX))}.",
    ]
    if setting.secret:
        about.append("Secret: messages and logs do not show the value.")
    paragraphs = [" ".join(about), *map(linked, [setting.meaning, *setting.details])]
    return f"### `{setting.name}`\n\n" + "".join(f"{paragraph}\n\n" for paragraph in paragraphs)


def variables() -> str:
    """Return all variables by section."""
    return (
        "".join(f"## {title}\n\n" + "".join(map(variable, settings)) for title, settings in SECTIONS.items()).rstrip(
            "\n"
        )
        + "\n"
    )


def frequent_variables() -> str:
    """Return the table of the variables most often set."""
    rows = [(f"[`{one.name}`](#{one.name})", shown(one), one.summary) for one in SETTINGS.values() if one.summary]
    return table([("variable", "default", "meaning"), *rows])


# Playbooks


def header(path: Path) -> str:
    """Return the comment at the start of a playbook."""
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    comment = []
    for line in lines:
        if not line.startswith("# "):
            break
        comment.append(line[2:])
    return " ".join(comment)


def tags(path: Path) -> set[str]:
    """Return the tags of a playbook and of the playbooks that it imports. No task of a role has tags of its own."""
    found: set[str] = set()

    def walk(value: Any) -> None:
        if isinstance(value, list):
            for one in value:
                walk(one)
        elif isinstance(value, dict):
            for key, inner in value.items():
                if key == "tags":
                    found.update([inner] if isinstance(inner, str) else inner)
                elif key == "ansible.builtin.import_playbook":
                    found.update(tags(path.parent / inner))
                else:
                    walk(inner)

    walk(yaml.safe_load(path.read_text(encoding="utf-8")))
    return found - {"always", "never"}


def playbooks(root: Path) -> str:
    """Return the table of the playbooks that users run."""
    rows = []
    for path in sorted((root / "playbooks").glob("[!_]*.yml")):
        names = ", ".join(f"`{tag}`" for tag in sorted(tags(path)))
        rows.append((f"`{path.name}`", markdown(header(path)), names or "none"))
    return table([("playbook", "does", "tags"), *rows])


# Roles


def roles(about: Mapping[str, Any]) -> str:
    """Return the table of the roles, in the order in which they run."""
    rows = [
        (
            f"`{name}`",
            markdown(one["description"][0]),
            ", ".join(f"`{before}`" for before in one["after"]) or "none",
        )
        for name, one in about["roles"].items()
    ]
    return table([("role", "does", "needs before it"), *rows])


# Ports


def ports() -> str:
    """Return the table of the ports."""
    rows = []
    for name, (purpose, connects, clients) in PORTS.items():
        first = SETTINGS[name].default or SETTINGS[name].shown_default
        rows.append((str(first), f"[`{name}`](variables.md#{name})", purpose, connects, "yes" if clients else "no"))
    return table([("port", "variable", "purpose", "who connects", "open for `dask_firewall_clients`"), *rows])


# The status in JSON

#: Types of Python in a JSON schema.
JSON_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema_of(kind: Any) -> dict[str, Any]:
    """Return the JSON schema of a type. Objects may have more keys, because new ones may be added."""
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        properties = {
            one.name: {"description": one.metadata["about"], **schema_of(hints[one.name])}
            for one in dataclasses.fields(kind)
        }
        return {"type": "object", "required": list(properties), "properties": properties}
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is list:
        return {"type": "array", "items": schema_of(arguments[0])}
    if typing.get_origin(kind) is dict:
        return {"type": "object", "additionalProperties": schema_of(arguments[1])}
    if typing.get_origin(kind) is types.UnionType:
        return {"type": [JSON_TYPES[one] for one in arguments]}
    return {"type": JSON_TYPES[kind]}


def schema() -> str:
    """Return the JSON schema of the file that `status.yml` writes."""
    about = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Status of a cluster of daskops.cluster",
    }
    return json.dumps({**about, **schema_of(Status)}, indent=2) + "\n"


def status_keys(kind: Any = Status, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield the rows of the table of the keys: name, type and meaning."""
    for one, hint in zip(dataclasses.fields(kind), typing.get_type_hints(kind).values(), strict=True):
        inner = typing.get_args(hint)[0] if typing.get_origin(hint) is list else hint
        found = schema_of(hint)["type"]
        shown = found if isinstance(found, str) else " or ".join(found)
        if shown == "array":
            shown = f"array of {schema_of(inner)['type']}s"
        yield f"`{prefix}{one.name}`", shown, one.metadata["about"]
        if dataclasses.is_dataclass(inner):
            yield from status_keys(inner, f"{prefix}{one.name}{'[]' if inner is not hint else ''}.")


# Findings of doctor.yml


def kinds_of_findings() -> str:
    """Return the table of all findings of `doctor.yml`, the most severe first."""
    rows = [
        (f"`{code}`", kind.severity, kind.when, kind.remedy)
        for severity in SEVERITIES
        for code, kind in sorted(KINDS.items())
        if kind.severity == severity
    ]
    return table([("code", "severity", "found when", "what to do"), *rows])


# Alerts


def alerts() -> str:
    """Return the table of the alerts, with the expressions for the default of ``dask_tls_warn_days``."""
    rows = []
    for alert in ALERTS:
        expression = expression_of(alert, SETTINGS["dask_tls_warn_days"].default).replace("|", "\\|")
        summary = re.sub(r"{{ \$(?:labels\.)?(\w+).*?}}", lambda found: f"*{found[1]}*", alert.summary)
        lasts = "must last" if alert.lasts else "at once"
        rows.append((f"`{alert.name}`", summary, f"`{expression}`", lasts, alert.severity))
    return table([("alert", "says", "condition", "fires", "severity"), *rows])


# Messages

#: The files whose messages users read, by the subject of the messages.
MESSAGES = {
    "The run, its groups and its tags": ["plugin_utils/cluster/groups.py", "plugin_utils/tags.py"],
    "Two runs at once": ["action/cluster_lock.py", "module_utils/run_lock.py", "module_utils/host_lock.py"],
    "Variables": ["plugin_utils/cluster/validate.py"],
    "The inventory as a whole": ["plugin_utils/cluster/inventory.py", "plugin_utils/cluster/hosts.py"],
    "A host and its workers": ["plugin_utils/cluster/host_plan.py", "plugin_utils/clocks.py"],
    "The environment": [
        "plugin_utils/cluster/environment_kinds.py",
        "plugin_utils/cluster/python_choice.py",
        "plugin_utils/caches.py",
        "plugin_utils/environments.py",
        "plugin_utils/existing_environments.py",
        "plugin_utils/lock_files.py",
        "plugin_utils/features.py",
    ],
    "The application": ["plugin_utils/applications.py", "plugin_utils/projects.py"],
    "Certificates": ["plugin_utils/certificates.py", "plugin_utils/handshakes.py"],
    "Monitoring": ["plugin_utils/cluster/monitoring.py"],
    "The firewall": ["plugin_utils/cluster/firewall.py", "module_utils/firewalls.py", "modules/ufw_rules.py"],
    "The change of the cluster": [
        "plugin_utils/cluster/plan.py",
        "plugin_utils/cluster/rollback.py",
        "plugin_utils/planning.py",
        "plugin_utils/failed_changes.py",
        "plugin_utils/blame.py",
        "modules/change_services.py",
        "modules/try_release.py",
    ],
    "The state of services": ["plugin_utils/stopped_services.py", "plugin_utils/mixed_releases.py"],
}

#: Shorter texts are parts of sentences.
SENTENCE = 34
#: Texts that are commands or comments in files.
CODE = re.compile(r"&&|^# ")


def constants(tree: ast.Module) -> dict[str, str]:
    """Return the texts that a module names, by name."""
    return {
        target.id: statement.value.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }


def rendered(node: ast.AST, known: Mapping[str, str]) -> str:
    """Return a text with ``…`` for each value that is known only in a run."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(rendered(part, known) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return rendered(node.value, known)
    if isinstance(node, ast.Name):
        return known.get(node.id, "…")
    if isinstance(node, ast.BinOp):
        return rendered(node.left, known) + rendered(node.right, known)
    return "…"


def called(node: ast.AST, name: str) -> bool:
    """Return whether a node calls a function or method of this name."""
    return isinstance(node, ast.Call) and name == getattr(node.func, "id", getattr(node.func, "attr", ""))


def texts(node: ast.AST, known: Mapping[str, str]) -> Iterator[str]:
    """Yield the texts below a node, and the sentences of each `Problem`. Docstrings are not included."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(child, ast.Assign) and any(
            getattr(one, "id", "") in ("DOCUMENTATION", "EXAMPLES", "RETURN") for one in child.targets
        ):
            continue
        if called(child, "Problem"):
            where, wrong, remedy = (rendered(one, known) for one in child.args)  # type: ignore[attr-defined]
            yield f"{where} {wrong}. {remedy}"
        elif isinstance(child, ast.JoinedStr):
            yield rendered(child, known)
        elif isinstance(child, ast.Constant):
            yield child.value if isinstance(child.value, str) else ""
        else:
            yield from texts(child, known)


def cell(text: str) -> str:
    """Return a message as a cell of a table."""
    text = re.sub(r"…+", "…", " ".join(text.split()).replace("{}", "…"))
    return re.sub(r"([|<*\\])", r"\\\1", text)


def sentences(path: Path) -> list[str]:
    """Return the messages in a file, in their order."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [cell(text) for text in texts(tree, constants(tree))]
    return [
        text
        for text in dict.fromkeys(found)
        if len(text) >= SENTENCE
        and text[-1] in ".…"
        and len(re.findall(r"[a-z]{2,} ", text)) > 4
        and not CODE.search(text)
    ]


def messages(root: Path) -> str:
    """Return the messages of runs, by subject."""
    parts = []
    for subject, paths in MESSAGES.items():
        found = [text for path in paths for text in sentences(root / "plugins" / path)]
        parts.append(f"### {subject}\n\n" + "".join(f"- {text}\n" for text in dict.fromkeys(found)))
    return "\n".join(parts)


def findings(root: Path) -> str:
    """Return the table of the problems in health reports, with the verdict that each of them causes."""
    tree = ast.parse((root / "plugins/module_utils/health.py").read_text(encoding="utf-8"))
    known = constants(tree)
    rows = []
    for node in ast.walk(tree):
        if called(node, "add") and len(node.args) == 2:  # type: ignore[attr-defined]
            verdict, problem = node.args  # type: ignore[attr-defined]
            names = [one.id for one in ast.walk(verdict) if isinstance(one, ast.Name) and one.id in known]
            text = cell(rendered(problem, known))
            if len(text) >= SENTENCE:
                rows.append((" or ".join(known[name] for name in names), text))
    return table([("verdict", "message"), *dict.fromkeys(rows)])


def pages(root: Path, about: Mapping[str, Any]) -> dict[str, str]:
    """Return the pages with generated parts, by path.

    Parameters
    ----------
    root : pathlib.Path
        The checkout.
    about : dict
        Content of `tools/roles.yml`.
    """
    parts = {
        "variables": {"Frequent variables": frequent_variables(), "Variables": variables()},
        "playbooks": {"Playbooks": playbooks(root)},
        "roles": {"Roles": roles(about)},
        "ports": {"Ports": ports()},
        "status": {"Keys": table([("key", "type", "meaning"), *status_keys()])},
        "metrics": {"Alerts": alerts()},
        "messages": {"Health report": findings(root), "Messages": messages(root)},
    }
    paths = {f"docs/reference/{name}.md": contents for name, contents in parts.items()}
    paths["docs/how-to/doctor.md"] = {"Findings": kinds_of_findings()}
    found = {"docs/reference/status.schema.json": schema()}
    for path, contents in paths.items():
        text = (root / path).read_text(encoding="utf-8")
        for what, content in contents.items():
            text = replaced(text, what, content)
        found[path] = text
    return found
