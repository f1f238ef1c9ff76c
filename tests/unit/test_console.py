"""The console's files hold together: imports, texts in both languages, sizes, and nothing that reads markup."""

import functools
import json
import re
from pathlib import Path
from typing import get_args

import pytest

from admin_api.console.files import CONSOLE
from admin_api.envelope import STATUS
from gateway.catalog_entries import Kind
from gateway.domain.cases import Case
from gateway.domain.errors import Ground, Reason
from gateway.domain.limits import RINGS, Metric
from gateway.domain.rules import Rule
from gateway.domain.token import SCOPES
from gateway.explain.unasked import Unasked
from gateway.explain.walk import CHAINS
from gateway.store.refusals import SHADOW

WEB = Path(__file__).parents[2] / "admin_api/console/web"
MESSAGES = WEB / "messages"
MODULES = [path for path in WEB.rglob("*.js") if path.parent.name != "vendor"]
AREAS = sorted(path.stem for path in (MESSAGES / "en").iterdir())
# Words that pages share.
SHARED = {"frame"}
# What the server may answer: in English it says it itself.
REFUSALS = "refusals"
# What fills its sentences and is a word itself.
WORDS = {
    "scope": SCOPES,
    "metric": Metric,
    "window": [*RINGS, "month"],
    "kind": get_args(Kind),
}
FIRST_PAGE_BYTES = 150_000

NAMED = re.compile(r"\bt\(\s*[\"']([\w.]+)[\"']")
BUILT = re.compile(r"\bt\(\s*`([\w.]*)\$\{")
IMPORTED = re.compile(r"""(?:from|import)\s*\(?\s*["'](\.[^"']+)["']""")
# What takes text for markup or for code, and what keeps things in the browser.
UNSAFE = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|document\.write|\beval\b|new Function|"
    r"sessionStorage|indexedDB|document\.cookie"
)


def by_name(path):
    return path.relative_to(WEB).as_posix()


@functools.cache
def texts(language, area):
    return json.loads((MESSAGES / language / f"{area}.json").read_text(encoding="utf-8"))


def forms(text):
    return {"": text} if isinstance(text, str) else text


@functools.cache
def all_sources():
    return "\n".join(path.read_text(encoding="utf-8") for path in MODULES)


@functools.cache
def all_keys():
    return {key for area in AREAS for key in texts("en", area)}


def test_there_are_the_same_areas_in_every_language():
    for language in MESSAGES.iterdir():
        found = {path.stem for path in language.iterdir()}
        assert found - {REFUSALS} == set(AREAS)
        assert (REFUSALS in found) == (language.name != "en")


@pytest.mark.parametrize("area", AREAS)
def test_a_text_there_is_in_both_languages_and_with_the_same_values(area):
    english, chinese = texts("en", area), texts("zh", area)
    assert list(english) == list(chinese)
    for key, text in english.items():
        told = {value for form in forms(text).values() for value in re.findall(r"\{(\w+)\}", form)}
        for form in forms(chinese[key]).values():
            assert set(re.findall(r"\{(\w+)\}", form)) <= told, key
        assert not isinstance(text, dict) or set(text) == {"one", "other"}, key


@pytest.mark.parametrize(
    "language", [path.name for path in MESSAGES.iterdir() if path.name != "en"]
)
def test_what_the_server_may_answer_has_a_sentence_in_every_language(language):
    told = texts(language, REFUSALS)
    wanted = {f"rule.{rule}": names_in(rule.template) for rule in Rule}
    wanted |= {f"problem.{code}": set() for code in STATUS}
    wanted |= {f"refusal.{case}": names_in(case.template) for case in Case}
    words = {f"word.{name}.{word}": set() for name, words in WORDS.items() for word in words}
    assert {key: names_in(sentence) for key, sentence in told.items()} == wanted | words


@pytest.mark.parametrize("language", ["en", "zh"])
def test_whatever_explain_can_say_has_a_text_in_every_language(language):
    told = texts(language, "tokens")
    skipped = {key: names_in(told[key]) for key in told if key.startswith("tokens.skipped.")}
    assert skipped == {f"tokens.skipped.{case}": names_in(case.template) for case in Unasked}
    reasons = {key for key in told if key.startswith("tokens.reason.")}
    assert {f"tokens.reason.{case.reason}" for case in Case} <= reasons
    for ground in Ground:
        owner, _, name = ground.partition(".")
        known = {f"tokens.remedy.{owner}.{name}", f"tokens.remedy.{name or owner}"}
        assert known & told.keys(), ground
    checks = {name for chain in CHAINS.values() for name in chain}
    assert {f"tokens.check.{name}" for name in checks} <= told.keys()


def test_the_audit_can_be_narrowed_to_each_action_that_is_recorded():
    """Those that stand in the source as texts; the catalog's are named by the kind of entry."""
    recorded = {
        f"{kind}.{verb}" for kind in get_args(Kind) for verb in ("create", "update", "delete")
    }
    kinds = "|".join(sorted({each.partition(".")[0] for each in offered_actions()}))
    for path in (WEB.parents[2] / "gateway/store").rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if "audit" in source:
            recorded |= set(re.findall(rf"[\"']((?:{kinds})\.[a-z_]+)[\"']", source))
    assert sorted(offered_actions()) == sorted(recorded)
    for language in ("en", "zh"):
        verbs = {f"audit.did.{action.partition('.')[2]}" for action in recorded}
        assert verbs <= texts(language, "audit").keys()


def offered_actions():
    words = (WEB / "pages/audit/words.js").read_text(encoding="utf-8")
    listed = words[words.index("ACTIONS = [") : words.index("];")]
    return re.findall(r'"([a-z_]+\.[a-z_]+)"', listed)


@pytest.mark.parametrize("directory", ["gateway/domain", "gateway/store", "gateway/explain"])
def test_what_an_owner_can_ask_about_is_refused_by_a_case(directory):
    found = [
        path.name
        for path in (WEB.parents[2] / directory).rglob("*.py")
        if re.search(r"(?<!class )(?<!\.)\bRefusal\(", path.read_text(encoding="utf-8"))
    ]
    assert found == (["cases.py"] if directory == "gateway/domain" else [])


def names_in(sentence):
    return set(re.findall(r"\{(\w+)(?:!\w)?\}", sentence))


def test_no_key_is_in_two_areas():
    keys = [key for area in AREAS for key in texts("en", area)]
    assert sorted(keys) == sorted(set(keys))


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_a_module_finds_what_it_imports_and_says(module):
    source = module.read_text(encoding="utf-8")
    for other in IMPORTED.findall(source):
        assert (module.parent / other).resolve().is_file(), other
    keys = all_keys()
    assert [key for key in NAMED.findall(source) if key not in keys] == []
    for beginning in BUILT.findall(source):
        assert any(key.startswith(beginning) for key in keys), beginning


@pytest.mark.parametrize("module", MODULES, ids=by_name)
def test_a_module_reads_no_markup_and_keeps_nothing(module):
    source = module.read_text(encoding="utf-8")
    assert not UNSAFE.search(source)
    assert ("localStorage" in source) == (by_name(module) == "core/preferences.js")


@pytest.mark.parametrize("area", [area for area in AREAS if area not in SHARED])
def test_every_text_of_a_page_is_said_somewhere(area):
    sources = all_sources()
    built = tuple(filter(None, BUILT.findall(sources)))
    unsaid = [
        key
        for key in texts("en", area)
        if not (key.startswith(built) or re.search(rf"[\"'`]{re.escape(key)}[\"'`]", sources))
    ]
    assert unsaid == []


def test_each_page_has_a_path_and_a_name_of_its_own():
    table = (WEB / "pages.js").read_text(encoding="utf-8")
    paths = re.findall(r'path: "([^"]+)"', table)
    assert sorted(paths) == sorted(set(paths))
    assert {f"page.{area}" for area in re.findall(r'area: "(\w+)"', table)} <= all_keys()


def test_the_first_page_is_small():
    first = {*CONSOLE.imported("main.js"), "index.html", "console.css", "icon.svg"}
    first |= {*CONSOLE.imported("pages/dashboard.js"), "messages/zh/frame.json"}
    first |= {"messages/zh/dashboard.json"}
    assert sum(len(CONSOLE.files[name].compressed) for name in first) < FIRST_PAGE_BYTES


def test_an_address_changes_with_what_it_leads_to():
    page = CONSOLE.page("index.html")
    assert set(re.findall(r"/console/([^/]+)/", page)) == {CONSOLE.release}
    assert "$" not in page
    for path in re.findall(rf"/console/{CONSOLE.release}/([^\"]+)", page):
        assert path in CONSOLE.files


def test_every_reason_that_is_counted_has_a_word():
    counted = {f"refused.reason.{reason}" for reason in (*Reason, SHADOW)}
    assert {key for key in texts("en", "refused") if ".reason." in key} == counted
