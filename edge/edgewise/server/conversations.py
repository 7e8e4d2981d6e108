"""Conversations: who answered last in each session, so that the router can stay with the model that has its cache."""

from collections import OrderedDict

from edgewise.request import Request

MOST_CONVERSATIONS = 10_000


class Conversations:
    """The newest sessions of all tenants, with the model that answered last and how much of the prompt it has read."""

    def __init__(self, most: int = MOST_CONVERSATIONS) -> None:
        self._most = most
        self._known: OrderedDict[tuple[str, str], tuple[str, int]] = OrderedDict()

    def recall(self, request: Request) -> Request:
        """The request with what is known of its session, where the client does not say so itself."""
        known = self._known.get((request.tenant, request.session)) if request.session else None
        if known is None or request.session_model:
            return request
        model, tokens = known
        return request.model_copy(update={"session_model": model, "cached_tokens": tokens})

    def remember(self, request: Request, model: str, tokens: int) -> None:
        """A model has answered, and read so many tokens of the conversation, its own answer included."""
        if not request.session:
            return
        key = (request.tenant, request.session)
        self._known[key] = model, tokens
        self._known.move_to_end(key)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
