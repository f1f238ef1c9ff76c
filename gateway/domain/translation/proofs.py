"""What proves a thought to the provider that made it, in a place where another dialect has one opaque text. Pure.

Gemini's `thoughtSignature` and the Responses' `encrypted_content` come back to us as callers got them. What stands
there is bytes that nobody else makes: what Gemini or OpenAI itself has signed is read as no proof, and so never given
to another provider.
"""

import base64
import binascii

import msgspec

from gateway.domain.translation.conversation import Thought


class _Proof(msgspec.Struct, array_like=True, tag="tollhouse", forbid_unknown_fields=True):
    signature: str
    redacted: str


_decode = msgspec.json.Decoder(_Proof).decode


def write_proof(thought: Thought) -> str:
    """The opaque text, in base64 as Google's SDKs write bytes."""
    proof = msgspec.json.encode(_Proof(thought.signature, thought.redacted))
    return base64.urlsafe_b64encode(proof).decode()


def read_thought(text: str, proof: str) -> Thought:
    """A thought as a caller sends it back, with its proof if there is one."""
    if not proof:
        return Thought(text)
    try:
        found = _decode(base64.b64decode(standard_base64(proof), validate=True))
    except (binascii.Error, msgspec.DecodeError, ValueError, RecursionError):
        return Thought(text)
    return Thought(text, found.signature, found.redacted)


def standard_base64(data: str) -> str:
    """Base64 in the standard's own alphabet, padded; proto JSON takes either, other dialects only this.

    https://protobuf.dev/programming-guides/json/
    """
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    return data + "=" * (-len(data) % 4)
