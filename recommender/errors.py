"""What can go wrong with embedding models; each message is a sentence that says why and what to do."""


class ModelNotReady(Exception):
    """A model cannot be used in this process now."""


class RegistryError(Exception):
    """A model cannot be registered, backfilled, activated or retired."""
