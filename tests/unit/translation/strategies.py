"""Conversations and answers, such as a form can say without a loss."""

from hypothesis import strategies as st

from gateway.domain.translation.answers import Answer, Choice, Finish
from gateway.domain.translation.conversation import (
    Audio,
    Citation,
    Conversation,
    Data,
    Declined,
    Drawing,
    File,
    Image,
    Output,
    Part,
    Text,
    Thinking,
    Thought,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from gateway.domain.usage import Usage

Draw = st.DrawFn
SAID = st.text(min_size=1, max_size=8)
NAMES = st.sampled_from(("look", "f_2", "get-it"))
SCHEMAS = st.sampled_from(('{"type":"object","properties":{"é":{}}}', '{"type":"object"}'))
CLOSED = ('{"type":"string"}', '{"type":"object", "additionalProperties":false}')
ARGUMENTS = st.sampled_from(("{}", '{"a":1}', '{"b":[1.50,"\\u00e9\\n"],"c":{"d":null}}'))
PACKED = st.sampled_from(("AAAA", "iVBORw0KGgo="))
PICTURES = st.builds(Data, st.sampled_from(("image/png", "image/jpeg")), PACKED) | st.builds(
    Data, url=st.just("https://a.example/b.png")
)
_COUNTS = st.integers(0, 40) | st.integers(0, 2**29)


def _caches(*, there: bool = True) -> st.SearchStrategy[str]:
    return st.sampled_from(("", "5m", "1h")) if there else st.just("")


def _of(share: int, whole: int) -> int:
    """So many of ten parts of the whole."""
    return whole * share // 10


def _usage(inputs: int, outputs: int, shares: tuple[int, ...], told: tuple[bool, ...]) -> Usage:
    cached = _of(shares[0], inputs)
    written = _of(shares[1], inputs - cached)
    audio = _of(shares[2], inputs)
    reasoning = _of(shares[3], outputs)
    spoken = _of(shares[4], outputs - reasoning)
    drawn = _of(shares[5], outputs - reasoning - spoken)
    return Usage(
        *(inputs, outputs, cached, written, reasoning, audio, _of(shares[6], inputs - audio)),
        spoken if told[0] else None,
        drawn if told[1] else None,
        _of(shares[7], outputs),
        _of(shares[8], written) if told[2] else None,
    )


def usages() -> st.SearchStrategy[Usage]:
    """What a meter would believe."""
    shares = st.tuples(*[st.sampled_from((0, 0, 3, 10))] * 9)
    return st.builds(_usage, _COUNTS, _COUNTS, shares, st.tuples(*[st.booleans()] * 3))


# Answers


def calls(*, cached: bool = False) -> st.SearchStrategy[ToolCall]:
    ids = st.integers(0, 999).map("call_{}".format)
    return st.builds(ToolCall, ids, NAMES, ARGUMENTS, cache=_caches(there=cached))


def _places() -> st.SearchStrategy[tuple[Citation, ...]]:
    place = st.builds(
        Citation, st.just("https://a.example"), SAID, start=st.just(0), end=st.just(1)
    )
    return st.lists(place, max_size=2).map(tuple)


def made_pictures() -> st.SearchStrategy[Image]:
    """Pictures that a model has made."""
    data = st.builds(Data, st.sampled_from(("image/png", "image/jpeg")), PACKED)
    return st.builds(Image, data, signature=st.sampled_from(("", "c2lnbmVk")))


_CHAT_PARTS = st.tuples(
    st.lists(st.builds(Thought, SAID), max_size=1),
    st.lists(st.builds(Text, SAID, citations=_places()), max_size=1),
    st.lists(made_pictures(), max_size=2),
    st.lists(st.builds(Declined, SAID), max_size=1),
    st.lists(calls(), max_size=2, unique_by=lambda call: call.id),
)
_CHAT_ENDS = st.sampled_from((Finish.STOP, Finish.LENGTH, Finish.CONTENT_FILTER))


@st.composite
def chat_choices(draw: Draw) -> Choice:
    thought, told, shown, declined, called = draw(_CHAT_PARTS)
    finish = draw(_CHAT_ENDS)
    if finish is Finish.STOP:
        finish = Finish.TOOL_CALLS if called else Finish.DECLINED if declined else finish
    return Choice((*thought, *told, *shown, *declined, *called), finish)


def chat_answers() -> st.SearchStrategy[Answer]:
    return st.builds(
        Answer,
        id=SAID,
        model=st.just("m"),
        choices=st.lists(chat_choices(), min_size=1, max_size=3).map(tuple),
        usage=st.none() | usages(),
        created=st.integers(1, 2**31),
    )


def thoughts_with_proof() -> st.SearchStrategy[Thought]:
    return st.builds(Thought, SAID, SAID) | st.builds(Thought, redacted=SAID)


_SOURCES = st.builds(Citation, st.just("https://a.example"), SAID, SAID)
_MESSAGES_PARTS = st.lists(
    st.one_of(
        st.builds(Text, SAID, citations=st.lists(_SOURCES, max_size=2).map(tuple)),
        thoughts_with_proof(),
        st.builds(Thought, SAID),
        calls(),
    ),
    max_size=4,
)
_MESSAGES_ENDS = st.sampled_from(
    (
        *(Finish.STOP, Finish.LENGTH, Finish.STOP_SEQUENCE),
        *(Finish.TOOL_CALLS, Finish.DECLINED, Finish.PAUSED),
    )
)


@st.composite
def messages_choices(draw: Draw) -> Choice:
    parts, finish = draw(_MESSAGES_PARTS), draw(_MESSAGES_ENDS)
    return Choice(tuple(parts), finish, draw(SAID) if finish is Finish.STOP_SEQUENCE else "")


def messages_answers() -> st.SearchStrategy[Answer]:
    return st.builds(
        Answer,
        id=SAID,
        model=st.just("m"),
        choices=messages_choices().map(lambda choice: (choice,)),
        usage=usages(),
    )


# Conversations


def _texts(*, cached: bool) -> st.SearchStrategy[Text]:
    return st.builds(Text, SAID, _caches(there=cached))


@st.composite
def _turns(
    draw: Draw,
    said: st.SearchStrategy[Part],
    answered: st.SearchStrategy[list[Part]],
    results: st.SearchStrategy[tuple[Text | Image | File, ...]],
    *,
    cached: bool,
) -> tuple[Turn, ...]:
    """Turns in which every call has its result, and the user begins."""
    several, some = st.lists(said, min_size=1, max_size=3), st.lists(said, max_size=2)
    drawn = st.lists(calls(cached=cached), max_size=2)
    failures, caches = st.booleans() if cached else st.just(value=False), _caches(there=cached)
    turns = [Turn("user", tuple(draw(several)))]
    for round_ in range(draw(st.integers(0, 2))):
        called = [
            ToolCall(f"c{round_}{i}", each.name, each.arguments, cache=each.cache)
            for i, each in enumerate(draw(drawn))
        ]
        parts = (*draw(answered), *called)
        if not parts:
            break
        turns.append(Turn("assistant", parts))
        back = [
            ToolResult(
                *(call.id, call.name, draw(results)), is_error=draw(failures), cache=draw(caches)
            )
            for call in called
        ]
        more = draw(some if back else several)
        turns.append(Turn("user", (*back, *more)))
    return tuple(turns)


def _tools(*, cached: bool) -> st.SearchStrategy[tuple[Tool, ...]]:
    loose = st.sampled_from((None, False))
    said = (NAMES, st.text(max_size=5))
    caches = _caches(there=cached)
    tool = st.builds(Tool, *said, SCHEMAS, loose, caches) | st.builds(
        Tool, *said, st.sampled_from(CLOSED[1:]), st.just(value=True), caches
    )
    return st.lists(tool, max_size=2).map(tuple)


def _choices_of_tools() -> st.SearchStrategy[ToolChoice]:
    kinds = st.sampled_from(("auto", "none", "any"))
    return st.builds(ToolChoice, kinds) | st.builds(ToolChoice, st.just("one"), NAMES)


_PLAIN = _texts(cached=False)
_MARKED = _texts(cached=True)
_MAYBE_FALSE = st.sampled_from((None, False))
_SHOWN = st.builds(Image, PICTURES, st.sampled_from(("", "low", "high")))
_HEARD = st.builds(Audio, st.builds(Data, st.just("audio/wav"), PACKED))
_PAPERS = st.builds(File, st.builds(Data, st.just("application/pdf"), PACKED), NAMES)
_CHAT_TURNS = _turns(
    st.one_of(_PLAIN, _SHOWN, _HEARD, _PAPERS),
    st.builds(
        list.__add__,
        st.lists(_PLAIN, max_size=1),
        st.lists(st.builds(Declined, SAID), max_size=1),
    ),
    st.lists(st.builds(Text, st.text(max_size=5)), min_size=1, max_size=2).map(tuple),
    cached=False,
)
_CHAT_TOOLS = _tools(cached=False)
_CHAT_CHOICES = (
    st.none()
    | _choices_of_tools()
    | st.builds(ToolChoice, st.sampled_from(("auto", "any")), names=st.just(("look", "f_2")))
)
_SAMPLING = st.fixed_dictionaries(
    {},
    optional={
        "max_output_tokens": st.integers(1, 2**20),
        "temperature": st.floats(0, 2),
        "top_p": st.floats(0, 0.99),
        "presence_penalty": st.floats(0.1, 2),
        "frequency_penalty": st.floats(-2, -0.1),
        "seed": st.integers(-9, 9),
        "logit_bias": st.just({"50256": -100.0}),
        "logprobs": st.integers(0, 20),
        "choices": st.integers(1, 3),
        "stop": st.lists(SAID, max_size=4).map(tuple),
        "verbosity": st.sampled_from(("low", "high")),
        "drawing": st.just(Drawing("16:9")) | st.just(Drawing("1:1", "2K")),
        "modalities": st.sampled_from((("image",), ("image", "text"))),
        "tier": st.sampled_from(("flex", "priority")),
        "metadata": st.dictionaries(SAID, SAID, min_size=1, max_size=2),
        "end_user": st.text(max_size=64),
        "system": st.lists(_PLAIN, max_size=2).map(tuple),
        "output": st.just(Output())
        | st.builds(Output, SCHEMAS, NAMES, st.text(max_size=4), st.sampled_from((None, True))),
        "thinking": st.just(Thinking(is_on=False))
        | st.builds(Thinking, effort=st.sampled_from(("minimal", "low", "high", "xhigh"))),
    },
)


@st.composite
def chat_conversations(draw: Draw) -> Conversation:
    tools = draw(_CHAT_TOOLS)
    return Conversation(
        model="m",
        turns=draw(_CHAT_TURNS),
        tools=tools,
        tool_choice=draw(_CHAT_CHOICES) if tools else None,
        parallel_tools=draw(_MAYBE_FALSE) if tools else None,
        stream=draw(st.booleans()),
        **draw(_SAMPLING),
    )


def _messages_thinking() -> st.SearchStrategy[tuple[str, Thinking | None]]:
    """A model, and how it is told to think."""
    shown = st.sampled_from((None, True, False))
    efforts = st.sampled_from(("", "low", "high", "max"))
    newer = st.builds(Thinking, effort=efforts, shown=shown)
    older = st.builds(Thinking, budget_tokens=st.integers(1024, 4000), shown=shown)
    neither = st.sampled_from((None, Thinking(is_on=False)))
    return (
        st.tuples(st.just("claude-opus-4-6"), newer)
        | st.tuples(st.just("claude-sonnet-4-5@20250929"), older)
        | st.tuples(st.just("another-model"), newer | older)
        | st.tuples(st.just("another-model"), neither)
    )


_PICTURES = st.builds(Image, PICTURES, cache=_caches())
_DOCUMENTS = st.builds(
    File,
    st.builds(Data, st.sampled_from(("application/pdf", "text/plain")), st.just("aGk="))
    | st.builds(Data, url=st.just("https://a.example/b.pdf")),
    st.text(max_size=4),
    _caches(),
)
_KEPT = st.one_of(_MARKED, _PICTURES, _DOCUMENTS)
_MESSAGES_TURNS = _turns(
    _KEPT,
    st.lists(_MARKED | thoughts_with_proof(), max_size=3),
    st.lists(_KEPT, max_size=2).map(tuple),
    cached=True,
)
_MESSAGES_TOOLS = _tools(cached=True)
_MESSAGES_THINKING = _messages_thinking()
_MESSAGES_CHOICES = st.none() | _choices_of_tools()
_FREE_CHOICES = st.sampled_from((None, ToolChoice("auto"), ToolChoice("none")))
_MESSAGES_OPTIONS = st.fixed_dictionaries(
    {"max_output_tokens": st.integers(4001, 2**20)},
    optional={
        "system": st.lists(_MARKED, max_size=2).map(tuple),
        "output": st.sampled_from(CLOSED).map(lambda schema: Output(schema, strict=True)),
        "stop": st.lists(SAID.filter(str.strip), max_size=5).map(tuple),
        "top_p": st.floats(0.95, 0.99),
        "stream": st.booleans(),
        "tier": st.just("default"),
        "end_user": st.text(max_size=64),
    },
)
_DRAWING = st.fixed_dictionaries(
    {}, optional={"temperature": st.floats(0, 0.99), "top_k": st.integers(1, 99)}
)


@st.composite
def messages_conversations(draw: Draw) -> Conversation:
    tools = draw(_MESSAGES_TOOLS)
    model, thinking = draw(_MESSAGES_THINKING)
    thinks = thinking is not None and thinking.is_on
    choice = draw(_FREE_CHOICES if thinks else _MESSAGES_CHOICES) if tools else None
    is_plain = choice is not None and choice.kind in {"auto", "none"}
    return Conversation(
        model=model,
        turns=draw(_MESSAGES_TURNS),
        tools=tools,
        tool_choice=choice,
        parallel_tools=draw(_MAYBE_FALSE) if tools and not is_plain else None,
        thinking=thinking,
        **draw(_MESSAGES_OPTIONS),
        **({} if thinks else draw(_DRAWING)),
    )
