"""A gateway and the admin app on the same stores: what an edit does to calls."""

from dataclasses import dataclass

from tests.admin import Admin
from tests.integration.rig import Rig, chat

KEPT = {"keys": {"recoverable": True}}


@dataclass
class Beside:
    """A gateway and the admin app on the same stores."""

    rig: Rig
    admin: Admin
    access: str

    async def call(self, method: str, path: str, body=None, **more):
        answer = await self.admin.call(method, path, body, token=self.access, **more)
        assert answer.status == 200, answer.body
        return answer.data

    async def status(self, key: str) -> int:
        async with self.rig.post(key, chat(max_tokens=5)) as answer:
            await answer.read()
            return answer.status
