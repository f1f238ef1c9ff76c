"""The playground: a chat with a key, as it comes, as it ends, and as it is refused."""

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.beside import beside
from tests.browser.console import PASSWORD, Console
from tests.e2e.product import running, scripted
from tests.events import CASES, TRY
from tests.upstream import CUT, Answer, Gate, ScriptedUpstream, refuse

USAGE = {"prompt_tokens": 12, "completion_tokens": 4, "total_tokens": 16}


@pytest.fixture(scope="module")
def upstream():
    with beside(ScriptedUpstream) as server:
        yield server


@pytest.fixture(scope="module")
def product(upstream):
    with running(scripted(upstream.served.base_url)) as started:
        yield started


@pytest.fixture
def console(page, product):
    opened = Console(page, product)
    opened.sign_in("admin", PASSWORD)
    return opened


@pytest.fixture
def token(console):
    return console.call("POST", "/api/token", {"name": "tried", "quota_usd": 1})


def event(**members):
    whole = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: %b\n\n" % json.dumps({**whole, **members}).encode()


def text(content, finish=None):
    delta = {"content": content} if content else {}
    return event(choices=[{"index": 0, "delta": delta, "finish_reason": finish}])


END = (text("", "stop"), event(choices=[], usage=USAGE), b"data: [DONE]\n\n")


def stream(*pieces):
    return Answer(pieces, content_type="text/event-stream", framing="chunked")


def say(console, words):
    console.field("Message").fill(words)
    console.field("Message").press("Enter")


def answers(console):
    return console.page.get_by_role("article", name="Answer")


def test_an_answer_appears_as_it_comes_and_tells_what_it_cost(console, upstream, token, look):
    gate = Gate()
    script = stream(text("One  line\n"), text("  <b>two</b>"), gate, text(" & three"), *END)
    upstream.served.answer("m", script)
    console.go("Playground")
    look("playground-empty")
    console.open(f"/playground?token_id={token['id']}")
    say(console, "Hello there")
    said = answers(console).locator(".text")
    expect(said).to_have_text(re.compile("One  line\n  <b>two</b>"), use_inner_text=True)
    expect(console.button("Stop")).to_be_visible()
    upstream.do(gate.release)
    expect(said).to_have_text("One  line\n  <b>two</b> & three", use_inner_text=True)
    expect(answers(console)).to_contain_text("12 tokens in, 4 out")
    expect(answers(console)).to_contain_text("first token after")
    expect(answers(console)).to_contain_text("$0.000052")
    expect(console.page.get_by_text("broke off")).to_have_count(0)
    console.page.get_by_role("button", name="Copy").click()
    copied = console.page.evaluate("navigator.clipboard.readText()")
    assert copied == "One  line\n  <b>two</b> & three"
    look("playground")

    upstream.served.answer("m", stream(text("Again"), *END))
    console.field("System prompt").fill("Be brief")
    console.field("Temperature").fill("0.5")
    console.field("Max tokens").fill("50")
    say(console, "And now?")
    expect(answers(console)).to_have_count(2)
    expect(answers(console).last).to_contain_text("12 tokens in")
    body = json.loads(upstream.served.requests[-1].body)
    assert [each["role"] for each in body["messages"]] == ["system", "user", "assistant", "user"]
    assert (body["temperature"], body["max_tokens"]) == (0.5, 50)
    console.button("Clear").click()
    expect(answers(console)).to_have_count(0)


MARKUP = """<script>document.title = "run"</script>
<img src=x onerror="document.title='run'"><svg onload="document.title='run'">
<iframe srcdoc="<script>parent.document.title='run'</script>"></iframe>
<a href="javascript:document.title='run'">a link</a> <style>* { display: none }</style>
[a link](javascript:alert(1)) ![a picture](https://elsewhere.example/?stolen=1)
<form action="https://elsewhere.example/"><input name="password"></form> </div></article> &lt;b&gt; ${1 + 1}"""


def test_markup_in_an_answer_is_text_and_does_nothing(console, upstream, token):
    """C06."""
    asked, title = [], console.page.title()
    console.page.on("request", lambda request: asked.append(request.url))
    # Cut where a reader of markup would have to put it together.
    upstream.served.answer("m", stream(*[text(part) for part in re.split("(?<=<)", MARKUP)], *END))
    console.open(f"/playground?token_id={token['id']}")
    console.field("System prompt").fill(MARKUP)
    say(console, MARKUP)
    said = answers(console).locator(".text")
    expect(answers(console)).to_contain_text("12 tokens in")
    assert said.inner_text() == MARKUP
    assert said.evaluate("node => node.childElementCount") == 0
    question = console.page.locator(".said.user .text")
    assert question.evaluate("node => [node.childElementCount, node.textContent]") == [0, MARKUP]
    made = "script[src=x], iframe, svg[onload], form[action*=elsewhere], a[href^=javascript]"
    assert console.page.locator(made).count() == 0
    assert [url for url in asked if not url.startswith(console.url)] == []
    console.go("Dashboard")
    assert "run" not in {console.page.title(), title}


def test_markup_in_a_refusal_is_text_and_does_nothing(console, upstream, token):
    """C06."""
    upstream.served.answer("m", refuse(400, MARKUP, code="<b>no</b>"))
    console.open(f"/playground?token_id={token['id']}")
    say(console, "Hello")
    refused = console.page.get_by_role("alert")
    expect(refused).to_contain_text("<img src=x onerror=")
    assert refused.locator("img, script, iframe, form, b").count() == 0


def test_an_answer_that_breaks_off_does_not_look_finished(console, upstream, token, look):
    upstream.served.answer("m", stream(text("Half of"), CUT))
    console.open(f"/playground?token_id={token['id']}")
    say(console, "Hello")
    expect(answers(console)).to_contain_text("Half of")
    expect(console.page.get_by_role("alert")).to_contain_text("this is not all of it")
    expect(console.button("Send")).to_be_visible()
    look("playground-cut")


def test_an_answer_is_stopped(console, upstream, token):
    gate = Gate()
    upstream.served.answer("m", stream(text("Begun"), gate, *END))
    console.open(f"/playground?token_id={token['id']}")
    say(console, "Hello")
    expect(answers(console)).to_contain_text("Begun")
    console.button("Stop").click()
    expect(answers(console)).to_contain_text("You stopped it")
    expect(console.button("Send")).to_be_visible()


def test_a_refusal_is_the_gateways_own_and_leads_to_the_reason(console, token, look):
    denied = console.call(
        "POST", "/api/token", {"name": "elsewhere", "quota_usd": 1, "allow_ips": "203.0.113.1"}
    )
    console.open(f"/playground?token_id={denied['id']}")
    expect(console.field("Key")).to_have_value(str(denied["id"]))
    say(console, "Hello")
    refused = console.page.get_by_role("alert")
    expect(refused).to_contain_text("403 ip_not_allowed")
    expect(refused).to_contain_text("127.0.0.1")
    expect(refused.get_by_role("link", name="Why?")).to_have_attribute(
        "href", f"#/keys/{denied['id']}/why?model=m"
    )
    look("playground-refused")
    # With another key it goes on.
    console.field("Key").select_option(str(token["id"]))
    expect(console.page).to_have_url(re.compile(f"token_id={token['id']}"))


def test_what_the_provider_refuses_is_told_in_its_words(console, upstream, token):
    upstream.served.answer("m", refuse(400, "This model takes no pictures.", code="no_pictures"))
    console.open(f"/playground?token_id={token['id']}")
    say(console, "Hello")
    expect(console.page.get_by_role("alert")).to_contain_text("This model takes no pictures.")
    expect(console.page.get_by_role("alert")).to_contain_text("400 no_pictures")


def test_a_model_that_the_key_may_not_call_is_refused_by_the_gateway(console, token):
    console.open(f"/playground?token_id={token['id']}")
    console.field("Model").fill("another")
    say(console, "Hello")
    expect(console.page.get_by_role("alert")).to_contain_text("model_not_found")


def test_a_stream_is_read_as_its_events_wherever_the_browser_cuts_it(console):
    wrong = console.page.evaluate(
        f"""async (cases) => {{
          const base = document.querySelector("script[src]").src;
          const events = await import(new URL("core/events.js", base));
          return ({TRY.strip()})(events, cases);
        }}""",
        CASES,
    )
    assert wrong == []
