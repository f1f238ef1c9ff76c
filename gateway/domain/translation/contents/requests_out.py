"""A conversation as a body of Gemini's `generateContent`. Pure.

Thoughts of earlier turns are passed over: those of other providers prove nothing, and Gemini's own stand on its calls.
What it has read before Gemini finds by itself. The path names the model and says whether it streams.
https://ai.google.dev/api/generate-content#request-body
"""

from collections.abc import Iterator

import msgspec

from gateway.domain.translation.codec import Losses, Uncarried
from gateway.domain.translation.contents.schemas import binding
from gateway.domain.translation.contents.thinking import is_before_levels, write_thinking
from gateway.domain.translation.conversation import (
    Audio,
    Conversation,
    Data,
    Declined,
    Drawing,
    File,
    Image,
    Output,
    Part,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from gateway.domain.translation.schemas import with_description
from gateway.domain.translation.untold import Untold

Json = dict[str, object]

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
# What a call says that has no signature, because another model made it; Gemini 3 refuses one without:
# https://ai.google.dev/gemini-api/docs/thought-signatures#faqs
NO_SIGNATURE = "skip_thought_signature_validator"
_TYPES_BY_ENDING = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "wav": "audio/wav",
    "mp3": "audio/mp3",
}
_TIERS = {"auto": "", "default": "standard", "standard": "standard", "flex": "flex"}
_TIERS["priority"] = "priority"
# https://ai.google.dev/api/generate-content#GenerationConfig
_MOST_STOPS = 5
_NO_MEMBER = "Gemini's generateContent has no member for it"
_untold = Untold("cache", "citations", "detail", "file_name", "output_name")


def write_request(conversation: Conversation, losses: Losses) -> bytes:
    """The body for an upstream. Raises `Uncarried`."""
    return msgspec.json.encode(request_of(conversation, losses))


def request_of(conversation: Conversation, losses: Losses) -> Json:
    """The same, before it is encoded."""
    _leave_out(conversation, losses)
    body: Json = {"contents": _Contents(conversation, losses).written()}
    system = [{"text": text} for text in _system(conversation)]
    if system:
        body["systemInstruction"] = {"parts": system}
    if conversation.tools:
        declared = [_tool(each, losses) for each in conversation.tools]
        body["tools"] = [{"functionDeclarations": declared}]
    choice = _tool_config(conversation.tool_choice, conversation.tools)
    if choice:
        body["toolConfig"] = {"functionCallingConfig": choice}
    config = _generation(conversation, losses)
    if config:
        body["generationConfig"] = config
    if conversation.safety:
        body["safetySettings"] = [
            {"category": category, "threshold": threshold}
            for category, threshold in conversation.safety
        ]
    tier = _tier(conversation.tier, losses)
    if tier:
        body["serviceTier"] = tier
    return body


def _system(conversation: Conversation) -> Iterator[str]:
    """The instructions; those in the middle go to the beginning, the only place that there is."""
    for text in conversation.system:
        if text.text:
            yield text.text
    for turn in conversation.turns:
        if turn.role == "system":
            yield from (each.text for each in turn.parts if isinstance(each, Text) and each.text)


def _leave_out(conversation: Conversation, losses: Losses) -> None:
    """Tell what has no place in the body. Raises `Uncarried`."""
    if conversation.logit_bias:
        losses.leave_out("logit_bias", _NO_MEMBER)
    if conversation.verbosity:
        losses.leave_out("verbosity", _NO_MEMBER)
    if conversation.metadata:
        losses.leave_out("metadata", _NO_MEMBER)
    if conversation.end_user:
        losses.leave_out("end_user", _NO_MEMBER)
    if len(conversation.stop) > _MOST_STOPS:
        losses.leave_out("stop", f"Gemini takes {_MOST_STOPS} at most")
    if conversation.parallel_tools is False and conversation.tools:
        losses.leave_out("parallel_tools", "Gemini cannot be told to call one tool at a time")
    _untold.note(conversation, losses)


def _tier(tier: str, losses: Losses) -> str:
    """https://ai.google.dev/gemini-api/docs/pricing has the tiers, by OpenAI's names."""
    if tier and tier not in _TIERS:
        losses.leave_out("tier", f"Gemini has no tier {tier!r}")
        return ""
    return _TIERS.get(tier, "")


class _Contents:
    """Writes the turns. Neighbours of one side become one: all results stand in one content, before what is said."""

    def __init__(self, conversation: Conversation, losses: Losses) -> None:
        self._turns = conversation.turns
        self._losses = losses
        self._signs = not is_before_levels(conversation.model)
        self._names: dict[str, str] = {}

    def written(self) -> list[Json]:
        """The contents. Raises `Uncarried`."""
        contents: list[Json] = []
        role, parts = "", list[Json]()
        for turn in self._turns:
            written = [] if turn.role == "system" else self._turn(turn)
            if not written:
                continue
            if turn.role != role:
                role, parts = turn.role, []
                side = "model" if role == "assistant" else "user"
                contents.append({"role": side, "parts": parts})
            parts.extend(written)
            if role == "user":
                parts.sort(key=_is_no_result)
        if not contents:
            raise Uncarried("turns", "Gemini answers only where somebody has said something")
        return contents

    def _turn(self, turn: Turn) -> list[Json]:
        parts: list[Json] = []
        unsigned = self._signs  # of calls that are made at once the first alone is signed
        for part in turn.parts:
            if isinstance(part, ToolCall):
                self._names[part.id] = part.name
                parts.append(_call(part, NO_SIGNATURE if unsigned else ""))
                unsigned = False
            else:
                written = self._part(part)
                if written is not None:
                    parts.append(written)
        if self._signs and turn.role == "assistant":
            _sign_pictures(parts)
        return parts

    def _part(self, part: Part) -> Json | None:
        """What a part is; None of a thought, and of an empty text, which Gemini refuses."""
        match part:
            case Text(text) | Declined(text):
                return {"text": text} if text else None
            case Image(data) if part.signature:
                return _media(data) | {"thoughtSignature": part.signature}
            case Image(data) | File(data) | Audio(data):
                return _media(data)
            case ToolResult():
                return self._result(part)
            case _:
                self._losses.note("thoughts")
                return None

    def _result(self, result: ToolResult) -> Json:
        """https://ai.google.dev/api/caching#FunctionResponse."""
        name = result.name or self._names.get(result.id, "")
        if not name:
            raise Uncarried("tool_result", "Gemini needs the name of the function that answered")
        texts = [part.text for part in result.parts if isinstance(part, Text)]
        told = "error" if result.is_error else "output"
        response: Json = {"id": result.id} if result.id else {}
        response["name"] = name
        response["response"] = {told: texts[0] if len(texts) == 1 else "\n".join(texts)}
        media = [_media(part.data) for part in result.parts if not isinstance(part, Text)]
        if media:
            response["parts"] = media
        return {"functionResponse": response}


def _is_no_result(part: Json) -> bool:
    return "functionResponse" not in part


def _sign_pictures(parts: list[Json]) -> None:
    """Of a turn in which the model has made pictures Gemini 3 wants them and the turn's beginning signed.

    https://ai.google.dev/gemini-api/docs/thought-signatures
    """
    pictures = [part for part in parts if "inlineData" in part]
    for part in (*parts[:1], *pictures) if pictures else ():
        part.setdefault("thoughtSignature", NO_SIGNATURE)


def _call(call: ToolCall, signature: str) -> Json:
    function: Json = {"id": call.id} if call.id else {}
    function["name"] = call.name
    function["args"] = arguments_of(call)
    signature = call.signature or signature
    written: Json = {"functionCall": function}
    if signature:
        written["thoughtSignature"] = signature
    return written


def arguments_of(call: ToolCall) -> msgspec.Raw:
    """The arguments as they stand in a body; an object, or they could be anything. Raises `Uncarried`."""
    try:
        given = call.arguments.encode() or b"{}"
        _decode_object(given)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        why = f"the arguments of the call of {call.name!r} are no JSON object"
        raise Uncarried("tool_call", why) from None
    return msgspec.Raw(given)


def _media(data: Data) -> Json:
    """Inline, or at an address: https://ai.google.dev/gemini-api/docs/file-input-methods."""
    if data.reference:
        raise Uncarried("file_reference", "Gemini cannot read a file that another provider keeps")
    if data.base64:
        return {"inlineData": {"mimeType": data.media_type, "data": data.base64}}
    written: Json = {"fileUri": data.url}
    path = data.url.partition("?")[0]
    media_type = data.media_type or _TYPES_BY_ENDING.get(path.rpartition(".")[2].lower(), "")
    if media_type:
        written["mimeType"] = media_type
    return {"fileData": written}


# Tools


def _tool(tool: Tool, losses: Losses) -> Json:
    declaration: Json = {"name": tool.name}
    if tool.description:
        declaration["description"] = tool.description
    if tool.schema:
        schema = binding(tool.schema, losses, "tools") if tool.strict else tool.schema
        declaration["parametersJsonSchema"] = msgspec.Raw(schema.encode())
    return declaration


def _tool_config(choice: ToolChoice | None, tools: tuple[Tool, ...]) -> Json:
    """Which tools may be called; `VALIDATED` is `AUTO` that keeps to the schemas, as `ANY` does in any case.

    https://ai.google.dev/gemini-api/docs/function-calling#function_calling_modes
    """
    kind = "auto" if choice is None else choice.kind
    names = () if choice is None else (choice.name,) if kind == "one" else choice.names
    if kind == "auto":
        if names or any(tool.strict for tool in tools):
            mode = "VALIDATED"
        elif choice is None:
            return {}
        else:
            mode = "AUTO"
    else:
        mode = "NONE" if kind == "none" else "ANY"
    return {"mode": mode, "allowedFunctionNames": names} if names else {"mode": mode}


# Generation


def _generation(conversation: Conversation, losses: Losses) -> Json:
    said: Json = {
        "maxOutputTokens": conversation.max_output_tokens,
        "stopSequences": conversation.stop[:_MOST_STOPS] or None,
        "temperature": conversation.temperature,
        "topP": conversation.top_p,
        "topK": conversation.top_k,
        "presencePenalty": conversation.presence_penalty,
        "frequencyPenalty": conversation.frequency_penalty,
        "seed": conversation.seed,
        "imageConfig": _image_config(conversation.drawing),
        "candidateCount": conversation.choices if conversation.choices > 1 else None,
        "responseModalities": [each.upper() for each in conversation.modalities] or None,
        "responseLogprobs": None if conversation.logprobs is None else True,
        "logprobs": conversation.logprobs or None,
    }
    config = {name: value for name, value in said.items() if value is not None}
    if conversation.output is not None:
        config.update(_output(conversation.output, losses))
    if conversation.thinking is not None:
        thinking = write_thinking(conversation.thinking, conversation.model, losses)
        if thinking:
            config["thinkingConfig"] = thinking
    return config


def _image_config(drawing: Drawing | None) -> Json | None:
    """https://ai.google.dev/gemini-api/docs/image-generation."""
    if drawing is None:
        return None
    said: Json = {"aspectRatio": drawing.aspect_ratio, "imageSize": drawing.size}
    return {name: value for name, value in said.items() if value}


def _output(output: Output, losses: Losses) -> Json:
    """https://ai.google.dev/gemini-api/docs/structured-output."""
    written: Json = {"responseMimeType": "application/json"}
    if output.schema:
        schema = binding(with_description(output.schema, output.description), losses, "output")
        written["responseJsonSchema"] = msgspec.Raw(schema.encode())
    return written
