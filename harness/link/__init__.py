"""The serial protocol between the host and the agent firmware: frames, messages, client."""
