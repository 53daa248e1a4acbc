# Copyright (c) 2026, the daskops.cluster authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page and the JSON file of a cluster's status. The page is looked at in a real Chromium."""

from __future__ import annotations

import copy
import html.parser
import io
import json
import os
import re
import stat
import sys
from pathlib import Path

import jsonschema
import pytest
from ansible_collections.daskops.cluster.plugins.plugin_utils.status_files import (
    WrongFile,
    as_json,
    as_page,
    content_of,
    destination,
    replace,
)
from PIL import Image
from playbook_runs import ROOT
from test_status import RECORDING, REQUEST, WAITING, recorded_status

sys.path.append(str(ROOT / "tools"))
from browser import DESKTOP, PHONE, browser, chromium, window

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&amp;{{ 7*7 }}\u202eevil" + "a" * 300


def hostile_status():
    """Return a status in which every text from the cluster is hostile."""

    def poison(value):
        if isinstance(value, dict):
            return {key: poison(item) for key, item in value.items()}
        if isinstance(value, list):
            return [poison(item) for item in value]
        return HOSTILE if isinstance(value, str) else value

    parts = copy.deepcopy(RECORDING)
    health, groups = parts["health"], {"dask_scheduler": ["scheduler"], "dask_workers": [HOSTILE]}
    health.update({name: poison(health[name]) for name in ("workers", "problems", "scheduler", "missing")})
    health["tasks"] = {HOSTILE: 3}
    health["waiting"] = [{**poison(WAITING[0]), "cause": "request"}, poison(WAITING[1])]
    health["scaling_requests"] = [poison(REQUEST)]
    lost = {"unreachable": True, "msg": HOSTILE}
    first = poison(parts["infos"]["worker1"])
    first.update(certificates={}, versions=[{**one, "labels": {}, "applications": {}} for one in first["versions"]])
    infos = {"scheduler": parts["infos"]["scheduler"], HOSTILE: first, f"{HOSTILE}2": lost}
    plan = {**parts["plan"], "drift": [HOSTILE], "mixed": [HOSTILE], "missing_packages": [HOSTILE]}
    return recorded_status(
        health=health, groups=groups, infos=infos, plan=plan, changes={"plays": {"stage": [HOSTILE]}}
    )


class Elements(html.parser.HTMLParser):
    """The elements of a page, with their attributes."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_page_needs_nothing_else_and_has_no_script():
    for tag, attributes in Elements(as_page(recorded_status())).found:
        assert tag not in ("script", "iframe", "object", "embed", "img")
        assert not any(name.startswith("on") for name in attributes)
        assert tag == "a" or attributes.get("href", "data:,") == "data:,"
        assert "src" not in attributes
    style = re.search(r"<style>(.*)</style>", as_page(recorded_status()), re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style


def test_page_has_workers_on_standby_and_requests_of_clients():
    health = {**RECORDING["health"], "waiting": WAITING, "missing": [], "scaling_requests": [REQUEST]}
    page = as_page(recorded_status(health=health))
    assert "<b>1 running, 1 on standby, 1 outside of their hours, 1 starting of 4</b>workers" in page
    rows = dict(re.findall(r'<tr><td data-name="worker">(.)</td>\n<td data-name="state">(.*)</td>', page))
    assert rows == {
        "g": '<span class="state good">standby</span> a client has asked for fewer',
        "h": '<span class="state good">outside hours</span> until Mon 19:00',
        "i": '<span class="state warning">starting</span>',
    }
    assert (
        "<li>Request of a client in effect. Pool default: 2 of 3 workers, requested from tls://10.0.0.9:41000 at "
        "2026-11-30 02:00:00+00:00.</li>"
    ) in page


def test_hostile_values_are_escaped():
    status = hostile_status()
    page = as_page(status)
    assert "<script" not in page and "<img" not in page and page.count("&lt;script&gt;") > 10
    shape = [(tag, *sorted(names)) for tag, names in Elements(page).found]
    assert {tag for tag, *dummy in shape} <= {tag for tag, dummy in Elements(as_page(recorded_status())).found} | {
        "ul",
        "li",
    }
    assert {name for dummy, *names in shape for name in names} <= {
        "lang", "charset", "name", "content", "http-equiv", "rel", "href", "class", "style", "data-name"
    }  # fmt: skip
    assert "\u202e" not in status.hosts[2].reason and "\u202e" not in status.problems[0]
    assert json.loads(as_json(status))["changes"][0]["hosts"] == [HOSTILE]


def test_json_matches_its_schema():
    schema = json.loads((ROOT / "docs/reference/status.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    for status in (recorded_status(), hostile_status(), recorded_status(health={}, infos={})):
        validator.validate(json.loads(as_json(status)))
    wrong = {**json.loads(as_json(recorded_status())), "certificate_days": "soon", "tasks": {"x": "many"}}
    assert len(list(validator.iter_errors(wrong))) == 2
    del wrong["hosts"][0]["state"]
    assert len(list(validator.iter_errors(wrong))) == 3


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_file_is_replaced_atomically_and_keeps_its_mode(tmp_path):
    path = tmp_path / "page.html"
    previous = os.umask(0o077)
    try:
        replace(str(path), "a")
    finally:
        os.umask(previous)
    assert (path.read_text(), mode(path)) == ("a", 0o644)
    path.chmod(0o640)
    link = tmp_path / "link.html"
    link.symlink_to(path)
    with open(path) as reader:  # a reader of the old file is not affected
        replace(str(link), "b")
        assert reader.read() == "a"
    assert (path.read_text(), mode(path), link.is_symlink()) == ("b", 0o640, True)
    assert sorted(os.listdir(tmp_path)) == ["link.html", "page.html"]
    assert content_of(str(path)) == "b" and content_of(str(tmp_path / "none")) == ""


def test_failed_replacement_leaves_nothing(tmp_path):
    with pytest.raises(OSError):
        replace(str(tmp_path / "none/page"), "a")
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        replace(str(tmp_path / "file/page"), "a")
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("kind", ["directory", "fifo", "link to a device"])
def test_only_regular_files_are_replaced(tmp_path, kind):
    path = tmp_path / "page"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/null")
    before = os.lstat("/dev/null"), os.lstat(path)
    for call in (lambda: content_of(str(path)), lambda: replace(str(path), "a")):
        with pytest.raises(WrongFile, match=r" is not a regular file\. Name another file\.$"):
            call()
    assert (os.lstat("/dev/null"), os.lstat(path)) == before and os.listdir(tmp_path) == ["page"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give links to other users")
@pytest.mark.parametrize("link", ["page", "directory"])
def test_link_of_another_user_is_not_followed(tmp_path, link):
    (tmp_path / "own").mkdir()
    (tmp_path / "own/page").write_text("own")
    (tmp_path / link).symlink_to(tmp_path / ("own/page" if link == "page" else "own"))
    path = str(tmp_path / ("page" if link == "page" else "directory/page"))
    assert destination(path) == str(tmp_path / "own/page")
    os.lchown(tmp_path / link, 65534, 65534)
    for call in (lambda: content_of(path), lambda: replace(path, "a")):
        with pytest.raises(WrongFile, match=f"{tmp_path / link} is a symbolic link of another user. Remove it"):
            call()
    assert (tmp_path / "own/page").read_text() == "own"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to other users")
def test_mode_of_a_file_of_another_user_is_not_kept(tmp_path):
    (tmp_path / "page").touch()
    (tmp_path / "page").chmod(0o666)
    os.chown(tmp_path / "page", 65534, 65534)
    replace(str(tmp_path / "page"), "a")
    assert mode(tmp_path / "page") == 0o644


# In a browser


@pytest.fixture(scope="module")
def started():
    """Return a running Chromium."""
    try:
        chromium()
    except FileNotFoundError as reason:
        pytest.skip(str(reason))
    with browser() as one:
        yield one


#: Colours of states in the page.
COLOURS = {"good": (0x1A, 0x7F, 0x37), "warning": (0x9A, 0x67, 0x00), "bad": (0xCF, 0x22, 0x2E)}


def colours(picture: bytes) -> dict[str, int]:
    """Return the number of pixels of each colour in a picture."""
    pixels = Image.open(io.BytesIO(picture)).convert("RGB")
    found = {rgb: number for number, rgb in pixels.getcolors(maxcolors=2**24)}
    return {name: found.get(rgb, 0) for name, rgb in COLOURS.items()}


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("which", ["recorded", "hostile"])
def test_page_in_a_browser(started, which, width, tmp_path):
    plan = {**RECORDING["plan"], "maintenance": ["worker2"]}
    status = hostile_status() if which == "hostile" else recorded_status(plan=plan)
    path = tmp_path / "page.html"
    path.write_text(as_page(status))
    with window(started, width) as page:
        said, requests = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        wide = "[...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        assert page.evaluate(f"{wide}.length") == 0
        shown = page.inner_text("body")
        (Path(tmp_path) / "picture.png").write_bytes(page.screenshot(full_page=True))
    assert said == [] and [url for url in requests if not url.startswith("data:")] == [path.as_uri()]
    text = " ".join(shown.split())
    for expected in (status.verdict, status.written, status.hosts[0].name, status.workers[0].name, *status.problems):
        assert " ".join(expected.split()) in text
    if which == "recorded":
        assert "worker3 could not be inspected." in text and "Connection timed out" in text and "364" in text
        assert all(number > 100 for number in colours((Path(tmp_path) / "picture.png").read_bytes()).values())
