"""The tests of this folder talk to a hub on this machine."""

from hub_server import hub as hub
