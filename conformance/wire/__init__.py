"""The event stream format, sans-IO: bytes in, events and violations out, and back."""
