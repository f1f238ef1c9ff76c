"""A caller's body of Gemini's `generateContent` as a conversation. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from gateway.domain.ask import Invalid
from gateway.domain.cases import Case
from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.contents.bodies import (
    BodyReader,
    Content,
    FunctionDeclaration,
    GenerationConfig,
    ImageConfig,
    Request,
)
from gateway.domain.translation.contents.bodies import Tool as Declarations
from gateway.domain.translation.contents.schemas import json_schema
from gateway.domain.translation.contents.thinking import read_thinking
from gateway.domain.translation.contents.turns_in import TurnsReader, parts_of
from gateway.domain.translation.conversation import (
    Conversation,
    Drawing,
    Output,
    Text,
    Tool,
    ToolChoice,
)
from gateway.domain.translation.reading import is_said

_reader = BodyReader(Request)
_NOTHING = (b"", b"null")
_NO_OTHER = "no other provider knows it"
_CONFIG = "generationConfig"
PARAMS: Mapping[str, str] = {
    "turns": "contents",
    "system": "systemInstruction",
    "tool_choice": "toolConfig.functionCallingConfig",
    "output": f"{_CONFIG}.responseMimeType",
    "thinking": f"{_CONFIG}.thinkingConfig",
    "max_output_tokens": f"{_CONFIG}.maxOutputTokens",
    "stop": f"{_CONFIG}.stopSequences",
    "temperature": f"{_CONFIG}.temperature",
    "top_p": f"{_CONFIG}.topP",
    "top_k": f"{_CONFIG}.topK",
    "presence_penalty": f"{_CONFIG}.presencePenalty",
    "frequency_penalty": f"{_CONFIG}.frequencyPenalty",
    "seed": f"{_CONFIG}.seed",
    "logprobs": f"{_CONFIG}.responseLogprobs",
    "choices": f"{_CONFIG}.candidateCount",
    "modalities": f"{_CONFIG}.responseModalities",
    "drawing": f"{_CONFIG}.imageConfig",
    "tier": "serviceTier",
    "safety": "safetySettings",
    "metadata": "labels",
    "image": "inlineData",
    "file": "inlineData",
    "audio": "inlineData",
    "file_reference": "fileData",
    "tool_call": "functionCall",
    "tool_result": "functionResponse",
    "effort": f"{_CONFIG}.thinkingConfig.thinkingLevel",
    "file_name": "displayName",
    "response": "functionDeclarations.response",
    "shown": f"{_CONFIG}.thinkingConfig.includeThoughts",
    "thoughts": "contents.thoughtSignature",
}
_KINDS: dict[str, Literal["auto", "any", "none"]] = {
    "": "auto",
    "MODE_UNSPECIFIED": "auto",
    "AUTO": "auto",
    "VALIDATED": "auto",
    "ANY": "any",
    "NONE": "none",
}


def read_request(body: bytes, losses: Losses, *, model: str, stream: bool) -> Conversation:
    """What a caller asks. Raises `Invalid` and `Uncarried`."""
    return conversation_of(_reader.read(body, losses), losses, model=model, stream=stream)


def conversation_of(request: Request, losses: Losses, *, model: str, stream: bool) -> Conversation:
    """What a body asks that was read. Raises `Invalid` and `Uncarried`."""
    config = request.generation_config or GenerationConfig()
    _leave_out(request, config, losses)
    choice, is_strict = _tool_choice(request)
    contents = request.contents
    return Conversation(
        model=model,
        stream=stream,
        turns=TurnsReader(losses).read([contents] if isinstance(contents, Content) else contents),
        system=_system(request.system_instruction),
        tools=tuple(_tools(request, losses, is_strict=is_strict)),
        tool_choice=choice,
        output=_output(config),
        thinking=read_thinking(config.thinking_config),
        max_output_tokens=config.max_output_tokens,
        stop=tuple(config.stop_sequences),
        temperature=config.temperature,
        top_p=config.top_p,
        top_k=None if config.top_k is None else round(config.top_k),
        presence_penalty=config.presence_penalty or None,
        frequency_penalty=config.frequency_penalty or None,
        seed=config.seed,
        logprobs=(config.logprobs or 0) if config.response_logprobs else None,
        choices=config.candidate_count or 1,
        modalities=_modalities(config.response_modalities),
        drawing=_drawing(config.image_config),
        tier=_tier(request.service_tier),
        safety=tuple((each.category, each.threshold) for each in request.safety_settings),
        metadata=request.labels or None,
    )


def _leave_out(request: Request, config: GenerationConfig, losses: Losses) -> None:
    """Tell what no conversation has. Raises `Uncarried`."""
    for name, raw, why in (
        ("cachedContent", request.cached_content, "only Google keeps what it stands for"),
        ("continuationToken", request.continuation_token, "only Google can go on from it"),
    ):
        if is_said(raw) and bytes(raw) != b'""':
            raise Uncarried(name, why, name)
    where = _CONFIG
    if not {"TEXT", "IMAGE"}.issuperset(each.upper() for each in config.response_modalities):
        why = "only text and pictures are translated"
        raise Uncarried("modalities", why, f"{where}.responseModalities")
    if config.media_resolution:
        losses.leave_out("media_resolution", _NO_OTHER, f"{where}.mediaResolution")
    if config.enable_enhanced_civic_answers:
        losses.leave_out("civic_answers", _NO_OTHER, f"{where}.enableEnhancedCivicAnswers")
    if request.store:
        losses.leave_out("store", "only Google keeps it so", "store")
    tools = request.tool_config
    if tools is not None and is_said(tools.retrieval_config):
        losses.leave_out("retrieval", _NO_OTHER, "toolConfig.retrievalConfig")


def _modalities(told: Sequence[str]) -> tuple[str, ...]:
    modalities = tuple(each.lower() for each in told)
    return () if modalities == ("text",) else modalities


def _drawing(config: ImageConfig | None) -> Drawing | None:
    if config is None or not (config.aspect_ratio or config.image_size):
        return None
    return Drawing(config.aspect_ratio, config.image_size)


def _tier(tier: str) -> str:
    """By OpenAI's name."""
    tier = tier.lower()
    return {"unspecified": "", "standard": "default"}.get(tier, tier)


def _system(content: Content | None) -> tuple[Text, ...]:
    texts = []
    for at, part in enumerate(() if content is None else parts_of(content)):
        if part.text is None:
            raise Uncarried("system", "only text can instruct", f"systemInstruction.parts[{at}]")
        texts.append(Text(part.text))
    return tuple(texts)


# Tools


def _tools(request: Request, losses: Losses, *, is_strict: bool) -> Iterator[Tool]:
    """The functions. What they answer with nobody else can be told; Google's SDK says it of any that it can."""
    groups: Sequence[Declarations]
    groups = [request.tools] if isinstance(request.tools, Declarations) else request.tools
    for at, group in enumerate(groups):
        for number, each in enumerate(group.function_declarations):
            where = f"tools[{at}].functionDeclarations[{number}]"
            if each.behavior.upper() not in {"", "UNSPECIFIED", "BLOCKING"}:
                why = "elsewhere the model waits for what a function answers"
                raise Uncarried("tools", why, f"{where}.behavior")
            if is_said(each.response) or is_said(each.response_json_schema):
                losses.note("response")
            strict = True if is_strict else None
            yield Tool(each.name, each.description, _parameters(each, where), strict)


def _parameters(declared: FunctionDeclaration, where: str) -> str:
    return _schema(
        bytes(declared.parameters), bytes(declared.parameters_json_schema), f"{where}.parameters"
    )


def _schema(own: bytes, plain: bytes, where: str) -> str:
    """JSON Schema, given as it is or in Gemini's own way. Raises `Invalid`."""
    try:
        if plain not in _NOTHING:
            return plain.decode()
        return "" if own in _NOTHING else json_schema(own)
    except ValueError as error:
        why = f"'{where}' is no schema: {error}"
        raise Invalid(Case.MEMBER_UNREADABLE, where, why=why) from None


def _tool_choice(request: Request) -> tuple[ToolChoice | None, bool]:
    """Which tools may be called, and whether arguments keep to their schemas.

    https://ai.google.dev/gemini-api/docs/function-calling#function_calling_modes
    """
    tools = request.tool_config
    config = None if tools is None else tools.function_calling_config
    if config is None:
        return None, False
    mode = config.mode.upper()
    kind = _KINDS.get(mode)
    if kind is None:
        where = "toolConfig.functionCallingConfig.mode"
        why = f"'{where}' must be one of AUTO, ANY, NONE, VALIDATED."
        raise Invalid(Case.MEMBER_UNREADABLE, where, why=why)
    names = tuple(config.allowed_function_names)
    if kind == "any" and len(names) == 1:
        return ToolChoice("one", names[0]), False
    return ToolChoice(kind, names=names), mode == "VALIDATED"


# Output


def _output(config: GenerationConfig) -> Output | None:
    """What the answer must be. https://ai.google.dev/gemini-api/docs/structured-output."""
    where = _CONFIG
    schema = _schema(
        bytes(config.response_schema),
        bytes(config.response_json_schema),
        f"{where}.responseSchema",
    )
    match config.response_mime_type.lower():
        case "application/json":
            return Output(schema)
        case "" | "text/plain":
            return None
        case other:
            why = f"{other!r} is no kind of answer that others know"
            raise Uncarried("output", why, f"{where}.responseMimeType")
