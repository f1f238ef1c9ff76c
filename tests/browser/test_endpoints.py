"""The page of endpoints: where applications are pointed, and code that does it."""

import json
import os
import re
import sys

import pytest
from playwright.sync_api import expect

from tests.e2e.product import output_of


def ready(console):
    return console.page.get_by_role("region", name="Ready to paste")


def code(console, tool):
    console.button(tool).click()
    return console.page.get_by_role("region", name=tool).locator("pre").inner_text()


@pytest.fixture
def key(console):
    return console.call("POST", "/api/token/", {"name": "endpoints", "quota_usd": 1})["key"]


def test_the_base_url_of_each_dialect_is_told_and_copied(console, look):
    console.go("Endpoints")
    gateway = console.product.ready["gateway_url"]
    for dialect, base_url in (
        ("OpenAI", f"{gateway}/v1"),
        ("Anthropic", gateway),
        ("Gemini", gateway),
    ):
        card = console.page.get_by_role("region", name=dialect, exact=True)
        expect(card.get_by_text(base_url, exact=True)).to_be_visible()
        card.get_by_role("button", name="Copy Base URL").click()
        expect(card.get_by_role("status").filter(has_text="Copied")).to_be_attached()
        assert console.page.evaluate("navigator.clipboard.readText()") == base_url
    look("endpoints")


def test_the_code_calls_the_gateway_as_it_stands(console, key):
    console.go("Endpoints")
    environment = {**os.environ, "TOLLHOUSE_KEY": key}
    python = code(console, "OpenAI · Python")
    assert key not in ready(console).inner_text()
    said = output_of([sys.executable, "-c", python], environment)
    assert "demo" in said.lower()
    assert (
        json.loads(output_of(["sh", "-c", code(console, "curl")], environment))["object"]
        == "chat.completion"
    )


def test_tools_are_told_what_they_want_to_know(console, look):
    console.go("Endpoints")
    gateway = console.product.ready["gateway_url"]
    for tool, lines in {
        "Claude Code": [
            f"export ANTHROPIC_BASE_URL='{gateway}'",
            'ANTHROPIC_AUTH_TOKEN="$TOLLHOUSE_KEY"',
        ],
        "Codex": [
            f'base_url = "{gateway}/v1"',
            'env_key = "TOLLHOUSE_KEY"',
            'wire_api = "responses"',
        ],
        "Gemini · Python": [f'HttpOptions(base_url="{gateway}")'],
        "Cursor": [f"{gateway}/v1"],
        "Open WebUI": [f"OPENAI_API_BASE_URL='{gateway}/v1'"],
    }.items():
        text = code(console, tool)
        assert [line for line in lines if line not in text] == []
    look("endpoints-tool")


def test_only_models_are_offered_that_can_be_called_in_the_tools_dialect(console):
    untranslated = {"base_url": "https://1.1.1.1/v1", "models": ["plain"], "translate": False}
    console.call("POST", "/api/upstream", {"name": "plain", **untranslated})
    console.go("Endpoints")
    plain = console.page.get_by_label("Model", exact=True).locator("option", has_text="plain")
    expect(plain).to_have_count(1)
    assert '"demo"' in code(console, "Gemini · Python")
    expect(plain).to_have_count(0)
    console.call("DELETE", "/api/upstream/plain")


def test_a_tool_and_a_model_can_be_sent_to_somebody(console):
    console.go("Endpoints")
    console.button("Codex").click()
    console.page.get_by_label("Model", exact=True).select_option("demo")
    expect(console.page).to_have_url(re.compile("tool=codex&model=demo"))
    console.page.reload()
    expect(console.button("Codex")).to_have_attribute("aria-pressed", "true")
