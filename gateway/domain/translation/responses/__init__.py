"""OpenAI's Responses API as a wire form: what `Codec` asks for. Pure.

https://platform.openai.com/docs/api-reference/responses
"""

from gateway.domain.translation.responses.answers_in import read_answer
from gateway.domain.translation.responses.answers_out import write_answer
from gateway.domain.translation.responses.events_in import reader
from gateway.domain.translation.responses.events_out import writer
from gateway.domain.translation.responses.faults import read_fault
from gateway.domain.translation.responses.requests_in import PARAMS, read_request
from gateway.domain.translation.responses.requests_out import write_request

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
