"""OpenAI's chat completions as a wire form: what `Codec` asks for. Pure."""

from gateway.domain.translation.chat.answers_in import read_answer, read_fault
from gateway.domain.translation.chat.answers_out import write_answer
from gateway.domain.translation.chat.events_in import reader
from gateway.domain.translation.chat.events_out import writer
from gateway.domain.translation.chat.requests_in import PARAMS, read_request
from gateway.domain.translation.chat.requests_out import write_request

__all__ = [
    "PARAMS",
    "read_answer",
    "read_fault",
    "read_request",
    "reader",
    "write_answer",
    "write_request",
    "writer",
]
