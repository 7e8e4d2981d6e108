"""What all tests share."""

from hypothesis import settings

settings.register_profile("default", deadline=None, print_blob=True)  # a busy machine is not a failure
settings.load_profile("default")

pytest_plugins = ["support.engines", "support.worker", "support.javascript", "support.componentized"]
