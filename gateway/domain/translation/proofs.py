"""What proves a thought to the provider that made it, in a place where another dialect has one opaque text. Pure.

Gemini's `thoughtSignature` and the Responses' `encrypted_content` come back to us as callers got them. What stands
there is bytes that nobody else makes: what Gemini or OpenAI itself has signed is read as no proof, and so never given
to another provider. What an upstream has encrypted of a response's reasoning is a signature that says so, with the
item's id, without which it takes nothing back: https://platform.openai.com/docs/guides/reasoning#encrypted-reasoning-items
"""

import base64
import binascii

import msgspec

from gateway.domain.translation.conversation import Thought


class _Proof(msgspec.Struct, array_like=True, tag="tollhouse", forbid_unknown_fields=True):
    signature: str
    redacted: str


_SEAL = "responses:"
_decode = msgspec.json.Decoder(_Proof).decode


def write_proof(thought: Thought) -> str:
    """The opaque text, in base64 as Google's SDKs write bytes."""
    proof = msgspec.json.encode(_Proof(thought.signature, thought.redacted))
    return base64.urlsafe_b64encode(proof).decode()


def read_thought(text: str, proof: str) -> Thought:
    """A thought as a caller sends it back, with its proof if there is one."""
    found = _opened(proof)
    return Thought(text) if found is None else Thought(text, found.signature, found.redacted)


def sealed(item_id: str, encrypted: str) -> str:
    """The signature of what an upstream of the Responses API has thought; what is ours in truth is that."""
    found = _opened(encrypted)
    return f"{_SEAL}{item_id}:{encrypted}" if found is None else found.signature


def is_sealed(thought: Thought) -> bool:
    """Whether it is for such an upstream alone."""
    return thought.signature.startswith(_SEAL)


def unsealed(thought: Thought) -> tuple[str, str]:
    """The item's id, and what is encrypted, of a thought that is sealed."""
    item_id, _, encrypted = thought.signature.removeprefix(_SEAL).partition(":")
    return item_id, encrypted


def _opened(proof: str) -> _Proof | None:
    if not proof:
        return None
    try:
        return _decode(base64.b64decode(standard_base64(proof), validate=True))
    except (binascii.Error, msgspec.DecodeError, ValueError, RecursionError):
        return None


def standard_base64(data: str) -> str:
    """Base64 in the standard's own alphabet, padded; proto JSON takes either, other dialects only this.

    https://protobuf.dev/programming-guides/json/
    """
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)
