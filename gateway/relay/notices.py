"""What a worker does when it hears that something was edited: what it remembers of it goes, and is looked up anew."""

from gateway.relay.catalog_watch import CatalogWatch
from gateway.relay.foreign_keys import ForeignKeys
from gateway.relay.revocations import Revocations
from gateway.store.token_cache import TokenCache


class Notices:
    """Obeys notices. What binds is in the store, and the next reservation finds it there: this is only sooner."""

    def __init__(
        self,
        tokens: TokenCache,
        foreign: ForeignKeys,
        revocations: Revocations,
        catalogs: CatalogWatch,
    ) -> None:
        self._tokens = tokens
        self._foreign = foreign
        self._revocations = revocations
        self._catalogs = catalogs

    def token_changed(self, token_id: int) -> None:
        """A token was edited: it may be the first that another gateway's key opens."""
        self._tokens.drop(token_id)
        self._foreign.wake()
        self._revocations.wake()

    def user_changed(self, user_id: int) -> None:
        """All of a user's tokens changed."""
        self._tokens.drop_user(user_id)
        self._revocations.wake()

    def account_changed(self, account_id: int) -> None:
        """What binds an account's tokens was edited."""
        self._tokens.drop_account(account_id)
        self._revocations.wake()

    def catalog_changed(self, generation: int) -> None:
        """The catalog was edited: it is of this generation now."""
        self._catalogs.notice(generation)

    def missed(self) -> None:
        """Notices may have been lost."""
        self._tokens.clear()
        self._foreign.wake()
        self._revocations.wake()
        self._catalogs.wake()
