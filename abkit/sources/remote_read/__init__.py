"""Prometheus' remote_read: chunks as the server stores them, or samples, in Protocol Buffers."""
